rule gather:
    """Put the logs of all cohorts together."""
    input:
        plan=f"{RESULTS}/plan.json",
        logs=[
            f"{RESULTS}/logs/{table}/{cohort}.parquet"
            for cohort in PLAN.by_id
            for table in LOGS
        ],
    output:
        expand(f"{RESULTS}/tables/{{table}}.parquet", table=LOGS),
    log:
        f"{RESULTS}/logs/gather.log",
    conda:
        "../../environment.yml"
    params:
        code=code("analysis", "table", "tables"),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing gather {params.results:q} 2> {log:q}"
