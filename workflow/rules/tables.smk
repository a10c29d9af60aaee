rule gather:
    """Put the logs of all cohorts together."""
    input:
        plan=f"{RESULTS}/plan.json",
        logs=[f"{RESULTS}/logs/runs/{cohort}.parquet" for cohort in INDEX.jobs],
    output:
        runs=report(
            f"{RESULTS}/tables/runs.parquet",
            caption="../report/runs.rst",
            category="Tables",
            labels={"table": "runs"},
        ),
        others=[
            f"{RESULTS}/tables/{table}.parquet"
            for table in [*LOGS, "profiles"]
            if table != "runs"
        ],
    log:
        f"{RESULTS}/logs/gather.log",
    conda:
        "../../environment.yml"
    params:
        code=code("analysis", "table", "tables", "theory.slope"),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing gather {params.results:q} 2> {log:q}"
