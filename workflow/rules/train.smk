# A cohort's file is named by its contents, so it is no input that could be newer than the logs.
# (Nor is plan.json, by ancient(): Snakemake 9.27 overlooks a changed formula behind such an edge
# whenever the rule at its other end has to run.)
onstart:
    index.refresh(STUDY)


rule train:
    """Train every run of a cohort at once, and log its gradients layer by layer."""
    input:
        tuning=tuning_logs,
    output:
        # Written last of the cohort's logs: it says that all of them are there. One output a job,
        # and not nine, is what lets Snakemake look through ten thousand jobs within seconds.
        runs=f"{RESULTS}/logs/runs/{{cohort}}.parquet",
    log:
        f"{RESULTS}/logs/train/{{cohort}}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory,
        runtime=minutes,
    params:
        code=training_code,
        tables="; ".join(table.signature for table in LOGS.values()),
        results=subpath(output.runs, ancestor=3),
        device=INDEX.device,
    # exec: a cluster's SIGTERM ends a shell at once, and the job with it, before the checkpoint.
    shell:
        "exec vanishing train {params.results:q}/cohorts/{wildcards.cohort}.json"
        " --logs {params.results:q}/logs --device {params.device} --tuning {input.tuning:q} 2> {log:q}"
