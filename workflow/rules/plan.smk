rule plan:
    """Write down what is run."""
    input:
        config=str(PLAN.config_path),
    output:
        f"{RESULTS}/plan.json",
    log:
        f"{RESULTS}/logs/plan.log",
    conda:
        "../../environment.yml"
    params:
        code=code(
            "strict_yaml",
            "study.config",
            "study.fields",
            "study.tasks",
            "study.grid",
            "study.cohort",
            "study.plan",
            "study.durations",
            "parts",
        ),
        cohorts=" ".join(sorted(PLAN.by_id)),
        results=subpath(output[0], parent=True),
    shell:
        "vanishing plan {input.config:q} --out {params.results:q} > {log:q} 2>&1"
