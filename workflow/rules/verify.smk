rule verify:
    """Train a few random runs again, and write down whether they equal the tables."""
    input:
        plan=f"{RESULTS}/plan.json",
        tables=expand(f"{RESULTS}/tables/{{table}}.parquet", table=LOGS),
    output:
        report(
            f"{RESULTS}/claims/verified.json",
            caption="../report/verified.rst",
            category="Claims",
            labels={"table": "verified"},
        ),
    log:
        f"{RESULTS}/logs/verify.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=most_memory,
    params:
        code=lambda wildcards: fingerprint(
            "parts",
            "engine",
            *imported("theory", "parts", "engine"),
            "table",
            "tables",
            "provenance",
            "analysis.differences",
            "analysis.finished",
            "analysis.verify",
            extra_files=INDEX.own_parts,
            packages=["torch"],
        ),
        results=subpath(input.plan, parent=True),
        device=INDEX.device,
    shell:
        "vanishing verify {params.results:q} --least 4 --seconds 30 --device {params.device}"
        " --record > {log:q} 2>&1"
