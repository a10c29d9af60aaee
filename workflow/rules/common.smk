# What the rules share. All logic lives in src; nothing here may import torch or pandas.
from pathlib import Path

from vanishing.provenance import fingerprint as code, imported
from vanishing.study import plan
from vanishing.tables import LOGS

PLAN = plan.make(config.get("study", "laptop"))
RESULTS = f"results/{PLAN.name}"
NOTEBOOKS = {
    path.stem: str(path) for path in sorted(Path("reports/notebooks").glob("*.py"))
}
PAPER = [
    str(path) for path in sorted(Path("reports/paper").rglob("*")) if path.is_file()
]


def tuning_logs(wildcards):
    """The runs logs that a cohort's learning rates are chosen from."""
    return [
        f"{RESULTS}/logs/runs/{id_}.parquet" for id_ in PLAN.tuning_of[wildcards.cohort]
    ]


def training_code(wildcards):
    """Changes when a cohort's numbers may: our formulas, or the file of a part of the user's own."""
    own = PLAN.by_id[wildcards.cohort].own_parts
    formulas = imported("theory", "parts", "engine")
    return code("parts", "engine", *formulas, extra_files=own, packages=["torch"])
