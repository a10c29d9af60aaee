"""Prints what a study costs by its number of runs: ``python -m benchmarks.scale``.

Time and peak memory of each command, and bytes on disk, at a thousand runs, ten thousand and so on
up to ``--runs``. Logs are generated; nothing is trained. Run it in the root of the repository.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml
from benchmarks.generated import config, write_logs

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "reports", "environment.yml")
SIZES = (1_000, 10_000, 100_000)
MIB = 2**20
# A small process starts the command: of a large one's child, the peak would begin at its parent's.
LAUNCH = """
import os, resource, sys
process = os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    print(used.ru_maxrss, used.ru_utime + used.ru_stime, file=file)
sys.exit(status)
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure every size up to ``--runs``, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=SIZES[-1], help="the largest size")
    parser.add_argument("--least", type=int, default=SIZES[0], help="the smallest size")
    parser.add_argument("--judge", type=int, default=SIZES[1], help="judge sizes up to this")
    parser.add_argument("--folder", type=Path, help="where results go, and stay; else nowhere")
    asked = parser.parse_args(arguments)
    rows = []
    for size in (size for size in SIZES if asked.least <= size <= asked.runs):
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            rows += measured(size, Path(folder), judge=size <= asked.judge)
        print(table(rows), flush=True)  # noqa: T201


def measured(runs: int, folder: Path, judge: bool) -> list[dict]:
    """A row a step of a study of about ``runs`` runs in ``folder``: its seconds and MiB."""
    name, results = f"scale{runs}", folder / "results" / f"scale{runs}"
    for part in PARTS:
        place = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        place(ROOT / part, folder / part)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config(runs)))
    study = [f"{name}.yaml", "--quick", "--out", str(results)]
    plan = command("plan", ["vanishing", "plan", *study], folder)
    workflow = ["snakemake", "--cores", "1", "--config", f"study={name}.yaml"]
    dry = command("dry run", [*workflow, "-n", "--quiet"], folder)
    started = time.perf_counter()
    write_logs(results)
    generated = {"step": "(generating the logs)", "seconds": time.perf_counter() - started}
    steps = [plan, dry, generated, command("gather", ["vanishing", "gather", results], folder)]
    if judge:
        steps.append(command("judge", ["vanishing", "judge", results], folder))
        steps.append(_notebook(results, folder))
    return [{"runs": runs, **row} for row in (*steps, *_sizes(results))]


def _notebook(results: Path, folder: Path) -> dict:
    render = ["vanishing", "render", "reports/notebooks/trainability.py", "--results", results]
    return command("notebook", [*render, "--out", results / "notebooks/trainability.ipynb"], folder)


def command(step: str, words: Iterable[object], folder: Path) -> dict:
    """Seconds and peak MiB of a command, its children included; it has to succeed."""
    used = folder / "used"
    with tempfile.TemporaryFile() as said:
        launched = [sys.executable, "-S", "-c", LAUNCH, str(used), *map(str, words)]
        started = time.perf_counter()
        failed = subprocess.call(launched, cwd=folder, stdout=said, stderr=said)
        seconds = time.perf_counter() - started
        if failed:
            said.seek(0)
            sys.exit(f"{step} failed:\n{said.read().decode(errors='replace')[-4000:]}")
    kib, cpu = map(float, used.read_text().split())
    return {"step": step, "seconds": seconds, "cpu_seconds": cpu, "mib": kib / 2**10}


def _sizes(results: Path) -> list[dict]:
    """The files and MiB of what a study keeps."""
    found = []
    for name in ("plan.json", "index.json", "cohorts", "logs", "tables"):
        files = [file for file in (results / name).rglob("*") if file.is_file()]
        files = files or [results / name] * (results / name).is_file()
        size = sum(file.stat().st_size for file in files) / MIB
        found.append({"step": f"{name} on disk", "mib": size, "files": len(files)})
    return found


def table(rows: list[dict]) -> str:
    """A row a step, a column a number and size; MiB on disk or of memory."""
    data = pd.DataFrame(rows)
    numbers = [n for n in ("seconds", "cpu_seconds", "mib", "files") if n in data]
    order = list(dict.fromkeys(data["step"]))
    wide = data.pivot(index="step", columns="runs", values=numbers).reindex(order)
    return wide.dropna(axis=1, how="all").to_string(float_format="{:.1f}".format, na_rep="")


if __name__ == "__main__":
    main()
