rule train:
    """Train every run of a cohort at once, and log its gradients layer by layer."""
    input:
        # The cohort's file is named by its contents: a new plan.json retrains nothing.
        plan=ancient(f"{RESULTS}/plan.json"),
        tuning=tuning_logs,
    output:
        runs=f"{RESULTS}/logs/runs/{{cohort}}.parquet",
        curves=f"{RESULTS}/logs/curves/{{cohort}}.parquet",
        layers=f"{RESULTS}/logs/layers/{{cohort}}.parquet",
    log:
        f"{RESULTS}/logs/train/{{cohort}}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        code=training_code,
        tables=[table.signature for table in (RUN_LOG, CURVES, LAYERS)],
        results=subpath(output.runs, ancestor=3),
        device=PLAN.study.device,
    shell:
        "vanishing train {params.results}/cohorts/{wildcards.cohort}.json"
        " --logs {params.results}/logs --device {params.device} --tuning {input.tuning} 2> {log}"
