# What the rules share. All logic lives in src; nothing here may import torch or pandas.
from pathlib import Path

from vanishing import provenance
from vanishing.provenance import fingerprint, imported
from vanishing.report.notebooks import reads
from vanishing.study import index
from vanishing.tables import LOGS

STUDY = config.get("study", "laptop")
INDEX = index.of_study(STUDY, in_job=not workflow.is_main_process)
RESULTS = INDEX.results
NOTEBOOKS = {
    path.stem: str(path) for path in sorted(Path("reports/notebooks").glob("*.py"))
}
PAPER = [
    str(path) for path in sorted(Path("reports/paper").rglob("*")) if path.is_file()
]


def code(*parts, **more):
    """A fingerprint that is taken only where a job asks for it: each job parses all rules."""
    return lambda wildcards: fingerprint(*parts, **more)


def training_code(wildcards):
    """Changes when a cohort's numbers may: our formulas, or the file of a part of the user's own."""
    return provenance.training_code(INDEX.jobs[wildcards.cohort].own_parts)


def tuning_logs(wildcards):
    """The runs logs that a cohort's learning rates are chosen from."""
    tuning = INDEX.jobs[wildcards.cohort].tuning
    return [f"{RESULTS}/logs/runs/{id_}.parquet" for id_ in tuning]


def read_by_notebook(wildcards):
    """The tables that a notebook reads: it need not wait for the others."""
    return [
        f"{RESULTS}/{table}" for table in reads(Path(NOTEBOOKS[wildcards.notebook]))
    ]


def minutes(wildcards, attempt):
    """A cohort's time limit on a cluster: thrice what is estimated, and more after a failure."""
    return int(5 + 3 * INDEX.jobs[wildcards.cohort].seconds / 60) * attempt


# MB: two of them run in every job of a cluster, beside its own program.
SNAKEMAKES = 400


def memory(wildcards, attempt):
    """What a cohort may take of memory, in MB: the estimate, and as much more after a failure."""
    return (SNAKEMAKES + INDEX.jobs[wildcards.cohort].memory_mb) * attempt


def most_memory(wildcards, attempt):
    """The same of a job that trains runs of any cohort."""
    return (SNAKEMAKES + max(job.memory_mb for job in INDEX.jobs.values())) * attempt
