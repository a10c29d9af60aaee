# A cohort's file is named by its contents, so it is no input that could be newer than the logs.
# (Nor is plan.json, by ancient(): Snakemake 9.27 overlooks a changed formula behind such an edge
# whenever the rule at its other end has to run.)
onstart:
    plan.write_cohorts(PLAN, Path(RESULTS))


rule train:
    """Train every run of a cohort at once, and log its gradients layer by layer."""
    input:
        tuning=tuning_logs,
    output:
        **{name: f"{RESULTS}/logs/{name}/{{cohort}}.parquet" for name in LOGS},
    log:
        f"{RESULTS}/logs/train/{{cohort}}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        code=training_code,
        tables="; ".join(table.signature for table in LOGS.values()),
        results=subpath(output.runs, ancestor=3),
        device=PLAN.study.device,
    shell:
        "vanishing train {params.results:q}/cohorts/{wildcards.cohort}.json"
        " --logs {params.results:q}/logs --device {params.device} --tuning {input.tuning:q} 2> {log:q}"
