rule judge:
    """Judge every claim by its registered test, and write down the facts that the paper prints."""
    input:
        plan=f"{RESULTS}/plan.json",
        tables=expand(
            f"{RESULTS}/tables/{{table}}.parquet",
            table=[
                "runs",
                "curves",
                "layers",
                "networks",
                "freeze",
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
        summary=report(
            f"{RESULTS}/tables/summary.parquet",
            caption="../report/conclusions.rst",
            category="Tables",
            labels={"table": "summary"},
        ),
        importance=f"{RESULTS}/tables/importance.parquet",
        interactions=f"{RESULTS}/tables/interactions.parquet",
        cases=f"{RESULTS}/tables/cases.parquet",
        frontiers=f"{RESULTS}/tables/frontiers.parquet",
        ledger=report(
            f"{RESULTS}/claims/ledger.parquet",
            caption="../report/ledger.rst",
            category="Claims",
            labels={"table": "ledger"},
        ),
        evidence=f"{RESULTS}/claims/evidence.parquet",
        specifications=f"{RESULTS}/claims/specifications.parquet",
        controls=f"{RESULTS}/claims/false_positives.parquet",
        facts=report(
            f"{RESULTS}/claims/facts.json",
            caption="../report/facts.rst",
            category="Claims",
            labels={"table": "facts"},
        ),
    log:
        f"{RESULTS}/logs/judge.log",
    # What most wait for; the checks and the notebooks that need no verdict go beside it.
    priority: 1
    conda:
        "../../environment.yml"
    params:
        code=code(
            "analysis",
            "parts",
            "engine.measures",
            "table",
            "tables",
            "strict_yaml",
            "theory",
            extra_files=INDEX.own_parts,
            packages=["scipy", "statsmodels"],
        ),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing judge {params.results:q} --claims {input.claims:q} 2> {log:q}"
