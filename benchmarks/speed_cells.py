"""What the benchmark of speed trains: networks of every family, on the study's own tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from vanishing.parts.stack_sizes import GPU_STACK
from vanishing.study import cost, plan, slots
from vanishing.study.cohort import Cohort


@dataclass(frozen=True)
class Cell:
    """A row of the table: what is trained, and how much faster the engine should be at least."""

    family: str  # as --families names it
    battery: dict  # of a study's config
    over_a: float | None
    over_c: float
    over_b: float | None = None  # on a GPU, over (b) on the same one


def _battery(family: str, task: object, depth: int, width: int, **changes: object) -> dict:
    """A battery of plain networks."""
    parts = {"activation": ["relu"], "init": ["he"], "depth": [depth]}
    train = {"optimizer": "sgd", "lr": 0.01, "batch": 64}
    return {"family": family, "task": task, "factors": parts, "width": width, "train": train} | {
        name: {**{"factors": parts, "train": train}.get(name, {}), **value}
        if isinstance(value, dict)
        else value
        for name, value in changes.items()
    }


def _mlp(depth: int, width: int, over_a: float, over_c: float) -> Cell:
    return Cell("mlp", _battery("mlp", "digits", depth, width), over_a, over_c, 100)


def _cnn(depth: int) -> Cell:
    changes = {"train": {"batch": 32}, "probes": {"batch": 16}}
    return Cell("cnn", _battery("cnn", "digits", depth, 16, **changes), 5, 1.2, 20)


def _rnn(recurrence: str, length: int, over_a: float | None, over_c: float) -> Cell:
    init = "orthogonal" if recurrence == "vanilla" else "torch_default"
    train = {"optimizer": "adam", "lr": 0.001, "batch": 32, "clip": {"norm": {"limit": 1}}}
    changes = {
        "recurrence": recurrence, "length": length, "train": train, "probes": {"batch": 32},
        "factors": {"activation": ["tanh"], "init": [init]},
    }  # fmt: skip
    family = "rnn" if recurrence == "vanilla" else recurrence
    over_b = 30 if recurrence == "vanilla" else None
    return Cell(family, _battery("rnn", "adding", 1, 32, **changes), over_a, over_c, over_b)


def _gan() -> Cell:
    changes = {
        "factors": {"activation": ["leaky_relu"]}, "probes": {"batch": 128},
        "train": {"optimizer": {"adam": {"beta_1": 0.5}}, "lr": 0.001},
    }  # fmt: skip
    return Cell("gan", _battery("gan", "ring", 3, 64, **changes), 20, 2)


CELLS = {
    "mlp-d8-w64": _mlp(8, 64, 20, 2),
    "mlp-d32-w64": _mlp(32, 64, 20, 2),
    "mlp-d96-w64": _mlp(96, 64, 5, 2),
    "mlp-d32-w128": _mlp(32, 128, 20, 1.3),
    "cnn-d8-w16": _cnn(8),
    "cnn-d20-w16": _cnn(20),
    "cnn-d56-w16": _cnn(56),
    "rnn-t64-w32": _rnn("vanilla", 64, 10, 2),
    "rnn-t200-w32": _rnn("vanilla", 200, 10, 2),
    "lstm-t64-w32": _rnn("lstm", 64, None, 1),
    "gru-t64-w32": _rnn("gru", 64, None, 1),
    "gan-d3-w64": _gan(),
}


def cohort_of(
    cell: Cell, runs: int, steps: int, folder: Path, probes: dict | None = None, jobs: int = 0
) -> Cohort:
    """The cohort of all runs of a cell, with ``probes`` other than its own.

    Where ``runs`` is 0: of a full stack for each of as many ``jobs``, by default a core each.
    """
    changes = {"train": {**cell.battery["train"], "steps": steps}}
    changes["probes"] = {**cell.battery.get("probes", {}), **(probes or {})}
    path = folder / "speed.yaml"

    def of(count: int) -> list[Cohort]:
        battery = {**cell.battery, **changes, "seeds": {"judged": count}}
        path.write_text(yaml.safe_dump({"verdicts": False, "batteries": {"speed": battery}}))
        return list(plan.make(path, folder).cohorts)

    if not runs:
        runs = jobs * GPU_STACK if jobs else slots.cores() * cost.stack_of(of(1)[0].graph)
    found = of(runs)
    return Cohort(found[0].graph, tuple(member for cohort in found for member in cohort.members))


def shares(cohort: Cohort, count: int) -> list[Cohort]:
    """The runs of a cohort dealt to ``count`` cohorts, of which none is empty."""
    dealt = [cohort.members[n::count] for n in range(count)]
    return [Cohort(cohort.graph, members) for members in dealt if members]


def probes_of(arm: str, steps: int) -> dict:
    """What an arm changes of a battery's probes: at every step they look at the updates' passes."""
    if arm == "off":
        return {"steps": [0, steps]}
    if arm != "every":
        return {}
    return {"steps": "every", "batch": "training"}
