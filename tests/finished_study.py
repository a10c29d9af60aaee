"""Small studies, trained and gathered, and copies of them with a table changed."""

import shutil
from pathlib import Path

import yaml

from vanishing.analysis.gather import gather
from vanishing.engine import job
from vanishing.provenance import provenance
from vanishing.study import plan
from vanishing.study.identity import digest
from vanishing.table import provenance_of
from vanishing.tables import RUN_LOG

MLP = {
    "family": "mlp", "task": "digits", "width": 100,
    "factors": {"activation": ["tanh"], "init": ["he", "xavier", "lecun", "torch_default"],
                "depth": [3]},
    "seeds": {"tuning": 2, "judged": 3},
    "train": {"steps": 6, "lr": [0.05, 0.1, 0.2], "batch": 16},
    "probes": {"batch": 16},
}  # fmt: skip
CNN = {
    "family": "cnn", "task": "digits", "width": 4,
    "factors": {"activation": ["relu"], "init": ["he"], "norm": ["batch"], "depth": [3]},
    "seeds": {"judged": 9},
    "train": {"steps": 3, "lr": 0.05, "batch": 16},
    "probes": {"batch": 16},
}  # fmt: skip
BATTERIES = {"dense": MLP, "images": CNN}


def finish(folder: Path, batteries: dict) -> Path:
    """The results of a study with these batteries, up to its tables."""
    config, results = folder / "mine.yaml", folder / "results" / "mine"
    config.write_text(yaml.safe_dump({"verdicts": False, "batteries": batteries}))
    planned = plan.make(config, results)
    plan.write(planned, results)
    ordered = sorted(planned.cohorts, key=lambda cohort: cohort.graph.split != "tuning")
    for cohort in ordered:
        logs = [results / "logs/runs" / f"{id_}.parquet" for id_ in planned.tuning_of[cohort.id]]
        tuning = job.pd.concat([RUN_LOG.read(log) for log in logs]) if logs else None
        described = cohort.as_json()
        stamp = provenance(digest(described))
        job.write(job.run(described, tuning), results / "logs", cohort.id, stamp)
    gather(results, provenance(plan.config_digest(results)))
    return results


def rewrite(study: Path, table, data, folder: Path) -> Path:
    """A copy of a study, with other rows in one of its tables if one is given."""
    copy = Path(shutil.copytree(study, folder / study.name))
    if table is not None:
        path = copy / "tables" / f"{table.name}.parquet"
        table.write(data, path, provenance_of(path))
    return copy
