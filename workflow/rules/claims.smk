rule judge:
    """Judge every claim by its registered test, and write down the facts that the paper prints."""
    input:
        plan=f"{RESULTS}/plan.json",
        tables=expand(
            f"{RESULTS}/tables/{{table}}.parquet",
            table=[
                "runs",
                "layers",
                "networks",
                "lags",
                "recurrences",
                "scores",
                "games",
                "predictions",
                "expected",
            ],
        ),
        claims="reports/claims.yaml",
    output:
        agreement=f"{RESULTS}/tables/agreement.parquet",
        summary=f"{RESULTS}/tables/summary.parquet",
        ledger=f"{RESULTS}/claims/ledger.parquet",
        facts=f"{RESULTS}/claims/facts.json",
    log:
        f"{RESULTS}/logs/judge.log",
    conda:
        "../../environment.yml"
    params:
        code=code(
            "analysis",
            "tables",
            "strict_yaml",
            "theory.slope",
            packages=["scipy", "statsmodels"],
        ),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing judge {params.results:q} --claims {input.claims:q} 2> {log:q}"
