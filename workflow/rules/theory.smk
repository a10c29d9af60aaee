rule predict:
    """What mean-field theory says of every cell at initialisation."""
    input:
        plan=f"{RESULTS}/plan.json",
    output:
        layers=report(
            f"{RESULTS}/tables/predictions.parquet",
            caption="../report/predictions.rst",
            category="Tables",
            labels={"table": "predictions"},
        ),
        networks=f"{RESULTS}/tables/expected.parquet",
        lags=f"{RESULTS}/tables/lag_predictions.parquet",
    log:
        f"{RESULTS}/logs/predict.log",
    conda:
        "../../environment.yml"
    params:
        code=code("theory", "parts", "table", "tables", extra_files=INDEX.own_parts),
        results=subpath(input.plan, parent=True),
    shell:
        "vanishing predict {params.results:q} --out {output.layers:q} 2> {log:q}"
