"""A study of two cohorts whose head is killed, and the jobs of a cluster that outlive it."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from vanishing.study import head, processes
from vanishing.study.cluster import EXECUTOR
from vanishing.study.snakemake_records import record_path
from vanishing.tables import LOGS as TABLES

from . import lazy_head
from .test_run import CONFIG

ROOT = Path(__file__).parents[1]
RESULTS = Path("results/tiny")
# While the file `hold` is there its jobs wait. `version` stands for the code that trains.
SNAKEFILE = """
R = "results/" + Path(config["study"]).stem

rule all:
    input: R + "/report/paper.html", R + "/report/paper.pdf"

rule train:
    output: [f"{R}/logs/{t}/{{c}}.parquet" for t in TABLES]
    log: R + "/logs/train/{c}.log"
    params: version=Path("version").read_text()
    shell:
        "echo begun > {log}; while test -e hold; do sleep 0.1; done;"
        " echo {wildcards.c} >> trained; for f in {output}; do cp sample.parquet $f; done"

rule paper:
    input: [f"{R}/logs/runs/{c}.parquet" for c in "ab"]
    output: R + "/report/paper.html", R + "/report/paper.pdf"
    shell: "touch {output}"
""".replace("TABLES", repr(tuple(TABLES)))


def lay_out(folder: Path) -> None:
    """Write the study's project into ``folder``."""
    profile = folder / "workflow/profiles/default"
    profile.mkdir(parents=True)
    shutil.copy(ROOT / "workflow/profiles/default/config.yaml", profile)
    (folder / "tiny.yaml").write_text(CONFIG)
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "version").write_text("1")
    (folder / "trained").touch()
    pq.write_table(pa.table({"x": [1.0]}), folder / "sample.parquet")


def begin() -> subprocess.Popen:
    """The study in a process of its own, with its first jobs held."""
    Path("hold").touch()
    logs = RESULTS / "logs/train"
    shutil.rmtree(logs, ignore_errors=True)
    words = [sys.executable, lazy_head.__file__, "study", "tiny.yaml"]
    begun = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    until(lambda: logs.exists() and any(logs.iterdir()))
    return begun


def kill(begun: subprocess.Popen) -> None:
    """The machine of the head is gone, in mid-run; its jobs were a cluster's."""
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    begun.stdout.close()
    until(_none_left)
    Path("hold").unlink()
    record(replace(head.last_head(RESULTS), executor=EXECUTOR))


def _none_left() -> bool:
    """Whether nothing runs below the head; what does is killed, and may have begun more by then."""
    left = processes.below(RESULTS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return not left


def record(last: head.Head) -> None:
    """Have ``last`` be the last head of the study."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / head.RECORD).write_text(json.dumps(asdict(last)))


def dead(**said) -> head.Head:
    """A head on this machine that is not alive any more, and has worked with a cluster."""
    return replace(head.Head(2**22 + 1, 1e9, head.platform.node(), EXECUTOR), **said)


def finish(cohort: str, *, marked: bool) -> None:
    """What a cluster's job leaves that ends well without its head: logs, and no record of them.

    Its own Snakemake removes the marks of unfinished outputs, unless that is another machine's.
    """
    files = [RESULTS / "logs" / table / f"{cohort}.parquet" for table in TABLES]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("sample.parquet", file)
        if not marked:
            record_path("incomplete", file).unlink(missing_ok=True)


def trained() -> list[str]:
    """The cohorts that Snakemake's own jobs have trained, in order of their names."""
    return sorted(Path("trained").read_text().split())


def until(holds, patience=60):
    """Wait until ``holds()``, at most ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
