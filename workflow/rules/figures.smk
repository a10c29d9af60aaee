rule notebook:
    """Execute a notebook, which draws its figures."""
    input:
        source=lambda wildcards: NOTEBOOKS[wildcards.notebook],
        tables=expand(
            f"{RESULTS}/tables/{{table}}.parquet",
            table=[
                "runs",
                "profiles",
                "predictions",
                "lag_predictions",
                "agreement",
                "summary",
                "importance",
                "interactions",
                "cases",
                "frontiers",
            ],
        ),
        ledger=f"{RESULTS}/claims/ledger.parquet",
        claims="reports/claims.yaml",
    output:
        f"{RESULTS}/notebooks/{{notebook}}.ipynb",
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
            packages=["matplotlib"],
        ),
        results=subpath(output[0], ancestor=2),
    shell:
        "vanishing render {input.source:q} --results {params.results:q} --out {output:q} 2> {log:q}"
