rule plan:
    """Write down what is run."""
    input:
        config=INDEX.config_path,
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
            "study.cost",
            "study.description",
            "study.sizes",
            "study.places",
            "study.plan",
            "study.durations",
            "parts",
        ),
        cohorts=INDEX.digest,
        results=subpath(output[0], parent=True),
    shell:
        "vanishing plan {input.config:q} --out {params.results:q} > {log:q} 2>&1"
