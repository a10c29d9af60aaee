rule notebook:
    """Execute a notebook, which draws its figures."""
    input:
        source=lambda wildcards: NOTEBOOKS[wildcards.notebook],
        tables=expand(
            f"{RESULTS}/tables/{{table}}.parquet",
            table=["runs", "curves", "layers", "predictions", "summary"],
        ),
        ledger=f"{RESULTS}/claims/ledger.parquet",
    output:
        f"{RESULTS}/notebooks/{{notebook}}.ipynb",
    log:
        f"{RESULTS}/logs/notebooks/{{notebook}}.log",
    conda:
        "../../environment.yml"
    params:
        code=fingerprint("figures", "analysis", "theory", "tables", "report.notebooks"),
        results=subpath(output[0], ancestor=2),
    shell:
        "vanishing render {input.source} --results {params.results} --out {output} 2> {log}"
