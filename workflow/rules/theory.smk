rule predict:
    """What mean-field theory says of every cell at initialisation."""
    input:
        plan=f"{RESULTS}/plan.json",
    output:
        f"{RESULTS}/tables/predictions.parquet",
    log:
        f"{RESULTS}/logs/predict.log",
    conda:
        "../../environment.yml"
    params:
        code=code("theory", "parts", "tables", extra_files=PLAN.own_parts),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing predict {params.results:q} --out {output:q} 2> {log:q}"
