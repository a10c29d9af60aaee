"""What a bundle says of itself, for machines: RO-Crate 1.1 metadata, with the run that made it.

It also follows the profile Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5): one
action made the paper, from the config, with this software. The library ``rocrate`` builds the
graph; no address in it is looked up, and nothing in it is of the hour at which it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..tables import TABLES

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

FILE = "ro-crate-metadata.json"
VERSION = "1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
FORMATS = {
    ".cff": "application/yaml", ".csv": "text/csv", ".html": "text/html",
    ".ipynb": "application/x-ipynb+json", ".json": "application/json", ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet", ".pdf": "application/pdf",
    ".svg": "image/svg+xml", ".yaml": "application/yaml",
}  # fmt: skip
# Stands where results carry no time: a crate must have a date. It is the first that a zip can hold.
NO_DATE = "1980-01-01"
ACTION, SOFTWARE, MAKER = "#run", "#vanishing", "#authors"


@dataclass(frozen=True)
class About:
    """What is said of a bundle: its study, how to cite it, where its results come from."""

    name: str
    description: str
    citation: Mapping  # CITATION.cff
    provenance: Mapping  # of the ledger
    config: str  # the file in the bundle that the study was run from


def metadata(files: Mapping[str, tuple[int, str]], about: About) -> str:
    """The text of ``ro-crate-metadata.json`` for ``files``: name to size in bytes and what it is.

    The results carry one time, that of their first run: it is the date of publication.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=VERSION)
    began = about.provenance.get("claims", {}).get("first_run")
    _context(crate, about)
    for name in sorted(files):
        _add_file(crate, name, *files[name])
    crate.name, crate.description = about.name, about.description
    crate.datePublished = began[: len(NO_DATE)] if began else NO_DATE
    crate.license = {"@id": _license(about)}
    crate.root_dataset["author"] = {"@id": MAKER}
    crate.root_dataset["conformsTo"] = {"@id": PROFILE}
    crate.root_dataset["mentions"] = {"@id": ACTION}
    _add_action(crate, about, began)
    graph = crate.metadata.generate()
    return json.dumps(graph, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _license(about: About) -> str:
    return f"https://spdx.org/licenses/{about.citation['license']}"


def _add(crate: ROCrate, id_: str, kind: str, **properties: object) -> None:
    from rocrate.model.contextentity import ContextEntity

    crate.add(ContextEntity(crate, id_, properties={"@type": kind, **properties}))


def _context(crate: ROCrate, about: About) -> None:
    """Who made it, under which licence, with what, by which profile."""
    cited, made = about.citation, about.provenance
    names = ", ".join(author["name"] for author in cited["authors"])
    _add(crate, MAKER, "Organization", name=names)
    says = f"The {cited['license']} licence; its text is in the file LICENSE."
    _add(crate, _license(about), "CreativeWork", name=cited["license"], description=says)
    _add(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    commit = made.get("commit") or "unknown"
    changed = ", with changes that are in no commit" if made.get("dirty") else ""
    _add(
        crate, SOFTWARE, "SoftwareApplication",
        name="vanishing",
        version=made.get("packages", {}).get("vanishing") or str(cited["version"]),
        description=f"{' '.join(cited['abstract'].split())} Commit {commit}{changed}; "
        f"fingerprint of the code {made.get('code', 'unknown')}.",
        license={"@id": _license(about)},
        author={"@id": MAKER},
    )  # fmt: skip


def _add_file(crate: ROCrate, name: str, size: int, says: str) -> None:
    path = PurePosixPath(name)
    properties = {
        "name": path.name,
        "description": says,
        "contentSize": str(size),
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
    }
    if path.suffix == ".parquet" and path.stem in TABLES:
        properties["variableMeasured"] = _columns(crate, path.stem)
    crate.add_file(dest_path=name, properties=properties)


def _columns(crate: ROCrate, table: str) -> list[dict]:
    """An entity a column, from the table's declaration; what a missing value means is said too."""
    ids = []
    for name, column in TABLES[table].columns.items():
        id_ = f"#{table}.{name}"
        missing = f" Missing: {column.null}." if column.null else ""
        _add(
            crate, id_, "PropertyValue",
            name=name, description=column.meaning + missing, unitText=column.unit,
        )  # fmt: skip
        ids.append({"@id": id_})
    return ids


def _add_action(crate: ROCrate, about: About, began: str | None) -> None:
    """The run: the config in, the paper out."""
    made = about.provenance
    machine = ", ".join(
        f"{name} {made[name]}" for name in ("platform", "cpu", "gpu", "python") if made.get(name)
    )
    papers = [{"@id": f"report/paper.{kind}"} for kind in ("html", "pdf")]
    _add(
        crate, ACTION, "CreateAction",
        name=f"vanishing study {about.config}",
        description=f"Every run of the config, its analysis and its paper. {machine}".strip(),
        instrument={"@id": SOFTWARE},
        agent={"@id": MAKER},
        object={"@id": about.config},
        result=papers,
        **({"startTime": began} if began else {}),
    )  # fmt: skip
