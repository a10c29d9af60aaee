"""What a study was set up to run, as Markdown: its batteries, what they leave out, its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import yaml

from ..study import description
from ..study.config import Battery, Probes, Seeds, Study, Train
from ..study.description import rule_in_words
from ..study.fields import Block
from .combining import FAMILIES
from .facts import escaped, number
from .markdown import NONE, cell, table

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

BLOCKS = {"seeds": Seeds, "train": Train, "probes": Probes}  # of a battery
LISTED = 4  # levels of an axis that are named; of more, their number is
PLAIN = {"norm": ["none"], "residual": ["none"]}  # goes without saying


def batteries(plan: Mapping, counted: Sequence[Mapping]) -> str:
    """A row a battery: its networks, its training, its seeds, and the runs planned and done.

    ``counted``: the runs of each, as :func:`.progress.batteries` counts them.
    """
    configs = plan["config"]["batteries"]
    rows = [
        (
            escaped(row["battery"]),
            escaped("; ".join(_networks(configs[row["battery"]]))),
            escaped(_training(configs[row["battery"]])),
            _seeds(configs[row["battery"]]["seeds"]),
            _runs(row),
            number(row["diverged"]),
        )
        for row in counted
    ]
    head = ("Battery", "Networks", "Training", "Seeds", "Runs", "Diverged")
    return table(head, rows, "lllrrr")


def _networks(battery: Mapping) -> Iterator[str]:
    """Family and task, then each axis with its levels, as far as they are not plain."""
    task = battery["task"]
    yield f"{FAMILIES[battery['family']]} on {label(task)}"
    for axis, levels in {**battery["factors"], **battery.get("vary", {})}.items():
        if PLAIN.get(axis) != levels:
            yield _axis(axis, levels)
    if "width" not in battery.get("vary", {}):
        yield f"width {battery['width']}"


def _axis(name: str, levels: Sequence) -> str:
    """An axis in words.

    >>> _axis("depth", [4, 20]), _axis("init", ["he", {"gaussian": {"sigma_w": 2}}] * 3)
    ('depth 4, 20', 'init: 6 levels')
    """
    if len(levels) > LISTED and not all(isinstance(level, int) for level in levels):
        return f"{name}: {len(levels)} levels"
    return f"{name} {', '.join(map(label, levels))}"


def label(value: object) -> str:
    """A part or a task in words, without the brackets of one that has no parameters."""
    return description.label(value).removesuffix("()")


def _training(battery: Mapping) -> str:
    train, varied = battery["train"], battery.get("vary", {})
    if not train["steps"]:
        return "none"
    rates = varied.get("lr") or train["lr"]
    rates = rates if isinstance(rates, list) else [rates]
    which = "each of" if "lr" in varied else "best of"
    chosen = f"rate {rates[0]:g}" if len(rates) == 1 else f"{which} {len(rates)} rates"
    return f"{train['steps']} updates, {label(train['optimizer'])}, {chosen}"


def _seeds(seeds: Mapping) -> str:
    tuning = seeds.get("tuning", 0)
    return f"{tuning} + {seeds['judged']}" if tuning else str(seeds["judged"])


def _runs(row: Mapping) -> str:
    """How many runs there are; of how many, where some are missing."""
    if row["done"] == row["planned"]:
        return number(row["done"])
    return f"{number(row['done'])} of {number(row['planned'])}"


def excluded(plan: Mapping) -> str:
    """A row a rule that takes cells out of a battery's grid: which, how many, why."""
    rows = [
        (
            escaped(name),
            escaped(rule_in_words(rule["when"])),
            number(rule["cells"]),
            cell(rule["because"]),
        )
        for name, battery in plan["batteries"].items()
        for rule in battery.get("excluded", [])
    ]
    return table(("Battery", "Excluded", "Cells", "Because"), rows or [(NONE,) * 4], "llrl")


def config(plan: Mapping) -> str:
    """The resolved config as YAML; what stands at its default is left out."""
    resolved = plan["config"]
    shown = {
        name: {
            key: _chosen(value, BLOCKS[key]) if key in BLOCKS else value
            for key, value in _chosen(battery, Battery).items()
        }
        for name, battery in resolved.get("batteries", {}).items()
    }
    chosen = _chosen(resolved, Study) | ({"batteries": shown} if shown else {})
    text = yaml.safe_dump(chosen, sort_keys=False, default_flow_style=None, width=84)
    return f"```yaml\n# What stands at its default is left out.\n{text}```"


def _chosen(given: Mapping, model: type[Block]) -> dict:
    """``given`` without the settings that stand at the default of the ``model``."""
    fields = model.model_fields
    return {
        name: value
        for name, value in given.items()
        if name not in fields or value != _default(fields[name])
    }


def _default(field: FieldInfo) -> object:
    default = field.get_default(call_default_factory=True)
    return default.model_dump(exclude_none=True) if isinstance(default, Block) else default
