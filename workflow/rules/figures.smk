rule notebook:
    """Execute a notebook, which draws its figures."""
    input:
        source=lambda wildcards: NOTEBOOKS[wildcards.notebook],
        tables=read_by_notebook,
        claims="reports/claims.yaml",
    output:
        report(
            f"{RESULTS}/notebooks/{{notebook}}.ipynb",
            caption="../report/notebook.rst",
            category="Notebooks",
            labels={"notebook": "{notebook}"},
        ),
    log:
        f"{RESULTS}/logs/notebooks/{{notebook}}.log",
    conda:
        "../../environment.yml"
    params:
        code=code(
            "figures",
            "analysis",
            "parts",
            "theory",
            "table",
            "tables",
            "report.notebooks",
            "report.kernel",
            packages=["matplotlib"],
        ),
        results=subpath(output[0], ancestor=2),
    shell:
        "vanishing render {input.source:q} --results {params.results:q} --out {output:q} 2> {log:q}"


rule figures:
    """Set the figures in ink on white, by notebook, for Snakemake's own report."""
    input:
        notebooks=expand(
            f"{RESULTS}/notebooks/{{notebook}}.ipynb", notebook=list(NOTEBOOKS)
        ),
        rulegraph=f"{RESULTS}/figures/rulegraph.svg",
    output:
        report(
            directory(f"{RESULTS}/report/figures"),
            patterns=["{notebook}/{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{notebook}",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/figures.log",
    conda:
        "../../environment.yml"
    params:
        code=code("report.technical", "report.svg"),
        results=subpath(output[0], ancestor=2),
    shell:
        "vanishing render {params.results:q}/figures --results {params.results:q}"
        " --out {output:q} 2> {log:q}"
