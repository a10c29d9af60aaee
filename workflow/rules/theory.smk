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
        code=fingerprint("theory", "parts", "tables"),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing predict {params.results} --out {output} 2> {log}"
