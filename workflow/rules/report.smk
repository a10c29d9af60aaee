rule rulegraph:
    """Draw which rule takes what from which."""
    input:
        snakefiles=["Snakefile", *map(str, sorted(Path("workflow/rules").iterdir()))],
        config=INDEX.config_path,
    output:
        dot=f"{RESULTS}/figures/rulegraph.dot",
        svg=f"{RESULTS}/figures/rulegraph.svg",
    log:
        f"{RESULTS}/logs/rulegraph.log",
    conda:
        "../../environment.yml"
    params:
        code=code("report.rulegraph"),
        results=subpath(output.dot, ancestor=2),
    shell:
        "(snakemake --config study={input.config:q} --nolock --forceall --rulegraph dot"
        " > {output.dot:q} && vanishing render {output.dot:q} --results {params.results:q}"
        " --out {output.svg:q}) 2> {log:q}"


rule paper:
    """Bind text, figures, tables and facts into the paper."""
    input:
        sources=PAPER,
        claims="reports/claims.yaml",
        notebooks=expand(
            f"{RESULTS}/notebooks/{{notebook}}.ipynb", notebook=list(NOTEBOOKS)
        ),
        rulegraph=f"{RESULTS}/figures/rulegraph.svg",
        ledger=f"{RESULTS}/claims/ledger.parquet",
        evidence=f"{RESULTS}/claims/evidence.parquet",
        specifications=f"{RESULTS}/claims/specifications.parquet",
        facts=f"{RESULTS}/claims/facts.json",
        tables=expand(
            f"{RESULTS}/tables/{{table}}.parquet",
            table=["runs", "curves", "layers", "lags", "predictions", "agreement"],
        ),
        verified=f"{RESULTS}/claims/verified.json",
        plan=f"{RESULTS}/plan.json",
    output:
        html=report(
            f"{RESULTS}/report/paper.html",
            caption="../report/paper.rst",
            category="Paper",
            labels={"form": "HTML"},
        ),
        pdf=report(
            f"{RESULTS}/report/paper.pdf",
            caption="../report/paper.rst",
            category="Paper",
            labels={"form": "PDF"},
        ),
    log:
        f"{RESULTS}/logs/paper.log",
    conda:
        "../../environment.yml"
    params:
        code=code(
            "report",
            "analysis",
            "parts",
            "theory",
            "study.config",
            "study.description",
            "study.fields",
            "table",
            "tables",
            packages=["pypandoc_binary", "typst"],
        ),
        results=subpath(input.plan, parent=True),
        out=subpath(output.html, parent=True),
    shell:
        "vanishing render reports/paper/paper.md --results {params.results:q} --out {params.out:q}"
        " 2> {log:q}"


rule bundle:
    """Put the paper and all that it rests on into one file that says what is in it."""
    input:
        paper=rules.paper.output,
        notebooks=rules.paper.input.notebooks,
        tables=[*rules.gather.output, *rules.predict.output, *rules.judge.output],
        verified=f"{RESULTS}/claims/verified.json",
        plan=f"{RESULTS}/plan.json",
        config=INDEX.config_path,
        project=["reports/claims.yaml", "requirements.lock", "CITATION.cff", "LICENSE"],
    output:
        f"{RESULTS}/report/bundle.zip",
    log:
        f"{RESULTS}/logs/bundle.log",
    conda:
        "../../environment.yml"
    params:
        code=code("report", "table", "tables", packages=["rocrate"]),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing bundle {params.results:q} > {log:q} 2>&1"
