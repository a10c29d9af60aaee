"""A synthetic study, and a small paper of it."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import yaml

from vanishing.report import facts, findings, paper, svg
from vanishing.tables import AGREEMENT, LEDGER, RUNS

PAPER = Path(__file__).parents[1] / "reports" / "paper"
NOTEBOOKS = PAPER.parent / "notebooks"
TEXT = (PAPER / "paper.md").read_text()
REGISTRY = yaml.safe_load((PAPER.parent / "claims.yaml").read_text())
CLAIMS = tuple(claim["id"] for claim in REGISTRY["claims"])
WORDS = ("SUPPORTED", "REFUTED", "CONDITIONAL", "INCONCLUSIVE", "INCOMPLETE")
FIGURES = tuple(re.findall(r"\]\(figures/(\w+)\.svg\)", TEXT))
LONG = "A statement that goes on and on, as the statements of explanations do, " * 4
DIGEST = "0123456789abcdef" * 4
NOTE = "\n\nA last word.[^last]\n\n[^last]: Said beside the text.\n"

# A paper with one of everything, and no table that is made for it.
MINI = """---
title: Small
author: [Nobody]
---

# One {#sec:one}

See @fig:profiles, @tbl:t, @eq:e, @sec:one and @He2016.

![A caption with {{slope.relu.he}}.](figures/profiles.svg){#fig:profiles
alt="Slope {{slope.relu.he}}, {{verdict:C01}}"}

::: {#tbl:t widths="40 60"}
| a | b |
|:--|--:|
| x | {{slope.relu.he|unit|interval}} |

: About tables.
:::

::: {#eq:e alt="an equation"}
$$ a = \\log_{10} b \\cap \\sigma_w $$
:::

# References {.unnumbered}

::: {#refs}
:::
"""

BATTERY = {
    "family": "mlp",
    "task": {"digits": {}},
    "factors": {"activation": ["tanh"], "init": ["he"], "norm": ["none"], "residual": ["none"],
                "depth": [10, 20]},
    "width": 64,
    "seeds": {"tuning": 0, "judged": 3},
    "train": {"steps": 0, "optimizer": "sgd"},
}  # fmt: skip


def drawing(name: str) -> str:
    """A small SVG as a figure's is, in the figures' sentinel colours."""
    return (
        '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="400pt" '
        'height="200pt" viewBox="0 0 400 200"><metadata>when</metadata><defs>'
        '<style type="text/css">*{stroke:none}</style>'
        '<clipPath id="p1"><rect width="400" height="200"/></clipPath></defs>'
        f'<rect width="400" height="200" style="fill: {svg.BACKGROUND}"/>'
        f'<g clip-path="url(#p1)"><path d="M0 0L400 200" style="stroke: {svg.GRID}"/></g>'
        f'<circle cx="50" cy="50" r="9" fill="{svg.TEXT}"/><!-- {name} --></svg>\n'
    )


def ledger(words=WORDS) -> pd.DataFrame:
    """A ledger whose claims get the verdicts ``words`` in turn."""
    rows = [
        {"claim": claim, "stratum": "all", "statistic": "slope [decades/layer], weakest stratum",
         "value": -0.25 + i / 10, "low": -0.5 + i / 10, "high": i / 10, "n": 20, "p": 0.01,
         "p_holm": 0.0002, "p_bh": None, "verdict": words[i % len(words)], "planned": 40,
         "done": 39, "diverged": 1, "seeds_needed": None,
         "specifications": 2, "agreeing": 0.5, "reason": "strata differ: a_b=tanh; c=relu"}
        for i, claim in enumerate(CLAIMS)
    ]  # fmt: skip
    return LEDGER.frame(rows)


def agreeing(rows: pd.DataFrame) -> pd.DataFrame:
    """The ledger with the verdicts that the paper's bound sentences rest on."""
    bound = findings.findings(TEXT, PAPER / "paper.md")
    named = {claim: word for one in bound for claim, word in one.claims.items()}
    return rows.assign(verdict=[named.get(r.claim, r.verdict) for r in rows.itertuples()])


def run_rows(ids: list[str]) -> pd.DataFrame:
    """The table of runs with these ids, trained, in the battery signal."""
    text = {name: "x" for name, c in RUNS.columns.items() if c.dtype == "string"}
    numbers = {name: 1 for name, c in RUNS.columns.items() if c.dtype != "string"}
    rows = [
        {**text, **numbers, "run_id": i, "battery": "signal", "outcome": "trained"} for i in ids
    ]
    return RUNS.frame(rows)


def fact(value, precision=3, unit="decades/layer", low=None, high=None) -> dict:
    """A fact as facts.json holds it."""
    return {"value": value, "unit": unit, "precision": precision, "low": low, "high": high,
            "query": 'runs: init = "he" & <all>',
            "rows": {"table": "runs", "where": {"battery": ["signal"]}}}  # fmt: skip


def every_fact_of(text: str) -> dict:
    """Facts for all the slots of a paper."""
    names = {re.split(r"\s*\|", slot)[0] for slot in facts.SLOT.findall(text)}
    return {
        name: fact(-0.12345, low=-0.2, high=-0.1)
        for name in names
        if not name.startswith(("table:", "verdict:"))
    }


def study_in(folder: Path) -> Path:
    """A finished synthetic study: all that the paper reads."""
    root = folder / "results" / "laptop"
    ids = [f"run{i}" for i in range(6)]
    plan = {
        "study": "laptop",
        "config": {"verdicts": True, "batteries": {"signal": BATTERY}},
        "batteries": {
            "signal": {
                "excluded": [
                    {"when": {"norm": ["batch"]}, "because": "one | at a time", "cells": 3}
                ]
            }
        },
        "members": {"signal": ids},
    }
    for name in ("figures", "claims", "tables", "notebooks"):
        (root / name).mkdir(parents=True)
    (root / "plan.json").write_text(json.dumps(plan))
    known = every_fact_of(TEXT)
    (root / "claims" / "facts.json").write_text(json.dumps(known))
    stamp = {"code": DIGEST, "torch": "2.13"}
    LEDGER.write(agreeing(ledger()), root / "claims" / "ledger.parquet", stamp)
    RUNS.write(run_rows(ids), root / "tables" / "runs.parquet")
    AGREEMENT.write(AGREEMENT.frame([]), root / "tables" / "agreement.parquet")
    for name in FIGURES:
        (root / "figures" / f"{name}.svg").write_text(drawing(name))
        (root / "figures" / f"{name}.csv").write_text("x,y\n1,2\n")
    for notebook in NOTEBOOKS.glob("*.py"):
        (root / "notebooks" / f"{notebook.stem}.ipynb").write_text("{}")
    return root


def source_in(root: Path) -> Path:
    """Where :func:`paper_in` puts the source."""
    return root / "reports" / "paper" / "paper.md"


def paper_in(root: Path) -> Path:
    """A small paper with the project's theme and bibliography."""
    folder = source_in(root).parent
    shutil.copytree(PAPER / "theme", folder / "theme")
    shutil.copy(PAPER / "references.bib", folder)
    registry = yaml.safe_load((PAPER.parent / "claims.yaml").read_text())
    for claim in registry["claims"]:
        claim["statement"] = f"{LONG} {claim['id']}"
    (folder.parent / "claims.yaml").write_text(yaml.safe_dump(registry))
    source_in(root).write_text((PAPER / "paper.md").read_text())
    return source_in(root)


def whole_paper(root: Path) -> None:
    """The project's own paper with a footnote, built of a synthetic study, as HTML and PDF."""
    results, source = study_in(root), paper_in(root)
    source.write_text(source.read_text() + NOTE)
    report = results / "report"
    paper.build(source, results, report / "paper.html", report / "paper.pdf")
