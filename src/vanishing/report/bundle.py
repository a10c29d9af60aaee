"""The bundle: a study's paper with all that it rests on, in one zip file that describes itself."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd
import yaml

from ..analysis.finished import path_of
from ..errors import UserError
from ..files import atomic
from ..study import config
from ..table import provenance_of
from ..tables import LEDGER, TABLES, data_dictionary
from . import crate, progress
from .svg import for_paper

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can hold: the same files, the same bytes
MODE = 0o100644 << 16  # of every file: readable by all, writable by its owner
SPREADSHEET = 2_000_000  # bytes of CSV: a larger table is there as Parquet alone
PACKED = (".parquet", ".pdf")  # compressed by themselves
PAPER = ("report/paper.html", "report/paper.pdf")
OF_PROJECT = {
    "reports/claims.yaml": "The hypotheses, registered before the runs: words, test, source.",
    "requirements.lock": "The exact version of every package.",
    "CITATION.cff": "How to cite this.",
    "LICENSE": "The licence.",
}
# What a folder of the results gives to the bundle, and what it says of each file there.
OF_STUDY = {
    "notebooks/*.ipynb": "A notebook, executed: text, one call a cell, and the figures it draws.",
    "figures/**/*.svg": "A figure of the paper, as vectors.",
    "figures/**/*.csv": "The data that the figure of the same name shows.",
    "claims/*.json": "Numbers of the paper, each with its query; or what training again gave.",
}
README = """# {study}: a study of vanishing and exploding gradients

{runs:,} runs, judged and written up. {state}
Begin with `report/paper.html` (any browser, no network needed) or `report/paper.pdf`.

| where | what |
|---|---|
| `report/` | the paper |
| `csv/` | the smaller tables, for a spreadsheet; the paper's numbers are in `csv/facts.csv` |
| `tables/`, `claims/` | all tables as Parquet: what was measured and predicted; the verdicts |
| `data-dictionary.md` | what each table and column means, with its unit |
| `figures/` | the figures as SVG, and the data of each as CSV |
| `notebooks/` | the notebooks that drew them, executed |
| `claims.yaml` | the hypotheses as they were registered |
| `{config}`, `plan.json` | what was run; every setting, run and cohort of it |
| `provenance.json` | where each table comes from: commit, versions, machine |
| `requirements.lock` | the exact version of every package |
| `ro-crate-metadata.json` | all of this for machines (RO-Crate 1.1) |

In pandas: `pd.read_parquet("tables/runs.parquet")`.

## Make it again

With the code of commit `{commit}`{changed}, Python 3.11 or newer and make:

```sh
make study STUDY=/path/of/this/bundle/{config}
```

That ends in another bundle like this one. Modules and data of your own that the config names are
not in here.
"""


def write(results: Path, root: Path) -> Path:
    """Write ``report/bundle.zip`` of the finished study in ``results``, and say where it is.

    ``root``: the project's folder. The same files give the same bytes. Links of the paper lead to
    what lies in the bundle, which has the folders of ``results``.
    """
    out = results / "report" / "bundle.zip"
    files = contents(results, root)
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w") as bundle:
        for name in sorted(files):
            _add(bundle, name, files[name][0])
    return out


def contents(results: Path, root: Path) -> dict[str, tuple[Path | bytes, str]]:
    """Every file of the bundle by its name there: the file or its content, and what it is."""
    plan, runs = progress.read(results)
    made = provenance_of(_there(path_of(results, LEDGER)))
    done, stamp = runs["run_id"].nunique(), progress.stamp(plan, runs)
    source = _config(plan, root)
    named = f"config/{source.name}"
    files: dict[str, tuple[Path | bytes, str]] = {
        **_of_project(root),
        **_of_study(results),
        **_tables(results),
        **_spreadsheets(results),
        named: (source, "What was run."),
        "plan.json": (results / "plan.json", "The config with its defaults, runs and cohorts."),
        "provenance.json": (_provenance(results), "Where each table comes from."),
        "data-dictionary.md": (data_dictionary().encode(), "What tables and columns mean."),
        "README.md": (_readme(plan, named, made, done, stamp).encode(), "What is what."),
    }
    about = crate.About(
        name=f"vanishing: the {plan['study']} study",
        description=f"{done:,} runs of a study of vanishing and exploding gradients: paper, "
        f"tables, notebooks, figures, claims, config, provenance. {_state(stamp)}",
        citation=yaml.safe_load(files["CITATION.cff"][0].read_text(encoding="utf-8")),
        provenance=made,
        config=named,
    )
    described = {name: (_size(content), says) for name, (content, says) in files.items()}
    files[crate.FILE] = (crate.metadata(described, about).encode(), "This crate's description.")
    return files


def _of_project(root: Path) -> dict[str, tuple[Path, str]]:
    return {PurePosixPath(n).name: (_there(root / n), says) for n, says in OF_PROJECT.items()}


def _of_study(results: Path) -> dict[str, tuple[Path | bytes, str]]:
    """Paper, notebooks, figures in the colours of paper, and what is JSON."""
    says = "The paper, with every number bound to the tables."
    files: dict[str, tuple[Path | bytes, str]] = {
        name: (_there(results / name), says) for name in PAPER
    }
    for pattern, says in OF_STUDY.items():
        for file in sorted(results.glob(pattern)):
            if not (file.name.startswith(".") or file.name.endswith(".failed.ipynb")):
                files[file.relative_to(results).as_posix()] = (_on_paper(file), says)
    return files


def _on_paper(file: Path) -> Path | bytes:
    return for_paper(file.read_text(encoding="utf-8")).encode() if file.suffix == ".svg" else file


def _tables(results: Path) -> dict[str, tuple[Path, str]]:
    return {
        path.relative_to(results).as_posix(): (path, f"The table {name}: a row is {table.row}.")
        for name, table in TABLES.items()
        if (path := path_of(results, table)).exists()
    }


def _spreadsheets(results: Path) -> dict[str, tuple[bytes, str]]:
    """The tables that are small as CSV, and the paper's facts."""
    files = {}
    for name, table in TABLES.items():
        path = path_of(results, table)
        if path.exists() and path.stat().st_size <= SPREADSHEET:
            data = table.read(path)
            if _at_least(data) <= SPREADSHEET and len(content := _csv(data)) <= SPREADSHEET:
                files[f"csv/{name}.csv"] = (content, f"The table {name}: a row is {table.row}.")
    facts = json.loads((results / "claims" / "facts.json").read_text(encoding="utf-8"))
    columns = ("value", "low", "high", "unit", "precision", "query")
    rows = [{"fact": n, **{c: facts[n].get(c) for c in columns}} for n in sorted(facts)]
    says = "Every number that the paper prints, with its interval, unit and query."
    files["csv/facts.csv"] = (_csv(pd.DataFrame(rows, columns=["fact", *columns])), says)
    return files


def _at_least(data: pd.DataFrame) -> int:
    """Bytes that a CSV of these rows has at least: it need not be made to see that it is large.

    Each value ends in a comma or the line, and has its characters, or one, where it is there.
    """
    words = data.select_dtypes("str")
    letters = sum(int(words[name].str.len().sum()) for name in words)
    return data.size + letters + int(data.drop(columns=words.columns).count().sum())


def _csv(data: pd.DataFrame) -> bytes:
    return data.to_csv(index=False, float_format="%.9g", lineterminator="\n").encode()


def _config(plan: Mapping, root: Path) -> Path:
    """The file that the study was run from; refused where it says something else by now."""
    path = _there(root / plan["path"])
    if config.read(path).model_dump(exclude_none=True) != plan["config"]:
        raise UserError(
            f"{path} has changed since its study was run: run it again, then bundle its results."
        )
    return path


def _provenance(results: Path) -> bytes:
    paths = sorted(path_of(results, table) for table in TABLES.values())
    made = {p.relative_to(results).as_posix(): provenance_of(p) for p in paths if p.exists()}
    return (json.dumps(made, indent=1, sort_keys=True) + "\n").encode()


def _readme(plan: Mapping, named: str, made: Mapping, runs: int, stamp: str) -> str:
    return README.format(
        study=plan["study"],
        config=named,
        runs=runs,
        state=_state(stamp),
        commit=made.get("commit") or "unknown",
        changed=" (and changes that are in no commit)" if made.get("dirty") else "",
    )


def _state(stamp: str) -> str:
    return f"Mind: {stamp}." if stamp else "No planned run is missing."


def _there(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"there is no {path}: a bundle needs it. Finish the study first.")
    return path


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _entries(content: Path | bytes) -> Iterator[bytes]:
    """A file piece by piece: tables may be larger than memory."""
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        yield from iter(lambda: file.read(2**20), b"")


def _add(bundle: zipfile.ZipFile, name: str, content: Path | bytes) -> None:
    """Put a file into the zip, without the time and the owner that it has here."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, MODE  # 3: Unix, whatever wrote it
    info.file_size = _size(content)  # beyond 4 GiB the zip needs another form
    stored = name.endswith(PACKED)
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with bundle.open(info, "w") as entry:
        for piece in _entries(content):
            entry.write(piece)
