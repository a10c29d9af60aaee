"""Every registered part with its formula, source, chi_1 and what it goes with, as text or table.

Nothing is typed in for a part: rows follow from its fields, its signature and the theory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ..errors import UserError, unknown
from ..parts.activations import ACTIVATIONS, Activation
from ..parts.games import GAMES
from ..parts.inits import INITS
from ..parts.losses import LOSSES
from ..parts.norms import NORMS
from ..parts.optimizers import OPTIMIZERS
from ..parts.recurrences import RECURRENCES
from ..parts.registry import Registry
from ..parts.residuals import RESIDUALS, Residual
from ..parts.schedules import CLIPS, SCHEDULES
from ..theory.catalogue import WIDTH, chi_1_of_init, chi_1_of_norm, gradient_growth
from ..theory.fixed_points import critical_point
from .combining import FAMILIES, combines, families, parameters
from .facts import escaped
from .markdown import table
from .sources import Work, cited

REGISTRIES = {
    registry.kind: registry
    for registry in (
        ACTIVATIONS, INITS, NORMS, RESIDUALS, RECURRENCES, OPTIMIZERS, SCHEDULES, CLIPS, LOSSES,
        GAMES,
    )
}  # fmt: skip
EXAMPLES = ("tanh", "relu")  # of activations, for the chi_1 of what is no activation
BLOCKS = (10, 50)  # of a residual net whose growth is given
NOTHING = "–"
HARD_SPACE = "\N{NO-BREAK SPACE}"


class Column(NamedTuple):
    """A column of numbers: its name in text and in Markdown, and a part's value, None if none."""

    text: str
    markdown: str
    value: Callable[[object], float | None]


class Row(NamedTuple):
    """A part: its signature, formula, source, numbers and what it combines with."""

    name: str
    formula: str
    source: str
    numbers: tuple[float | None, ...]
    combines: str


def _critical(field: str) -> Callable[[Activation], float | None]:
    return lambda activation: getattr(critical_point(activation), field, None)


def _with(
    chi_1: Callable[[object, Activation], float | None], activation: str
) -> Callable[[object], float | None]:
    return lambda part: chi_1(part, ACTIVATIONS[activation])


def _growth(blocks: int) -> Callable[[Residual], float | None]:
    return lambda residual: gradient_growth(residual, blocks)


COLUMNS = {
    "activation": [
        Column("sigma_w", r"$\sigma_w$", _critical("sigma_w")),
        Column("q*", "$q^*$", _critical("q_star")),
        Column("chi_1", r"$\chi_1$", _critical("chi_1")),
    ],
    "init": [Column(f"chi_1, {a}", rf"$\chi_1$, {a}", _with(chi_1_of_init, a)) for a in EXAMPLES],
    "norm": [Column(f"chi_1, {a}", rf"$\chi_1$, {a}", _with(chi_1_of_norm, a)) for a in EXAMPLES],
    "residual": [Column(f"{n} blocks", f"{n} blocks", _growth(n)) for n in BLOCKS],
    "recurrence": [Column("carry", "Carry", lambda recurrence: recurrence.carry)],
}

# What the numbers of a kind are.
NOTES = {
    "activation": (
        "sigma_w: where chi_1 at its q* rises through 1, without biases; q* and chi_1 are those "
        "there. A chi_1 that is not 1 jumps over 1."
    ),
    "init": f"chi_1: of a plain net of width {WIDTH} at its own q*.",
    "norm": f"chi_1: of a deep plain net of width {WIDTH} with he and the norm before phi.",
    "residual": (
        "blocks: by what factor E(dL/da)² grows over so many, with he, relu and no norm; a "
        "branch that may be left out counts by its probability."
    ),
    "recurrence": (
        "carry: the share of a gradient that a step hands back by the direct path alone, with no "
        "weights and no input. U acts on the past, W on what is seen; k and alpha are parameters."
    ),
}


def rows(kind: str, family: str | None = None) -> list[Row]:
    """A row a registered part of a kind; with ``family``, only those that the family can have."""
    registry = _registry(kind)
    if family is not None and family not in FAMILIES:
        raise UserError(unknown("family", family, FAMILIES))
    built = ((name, entry, _built(registry, entry)) for name, entry in registry.entries.items())
    return [
        _row(registry, name, entry, part)
        for name, entry, part in built
        if family is None or family in families(part)
    ]


def _registry(kind: str) -> Registry:
    if kind not in REGISTRIES:
        raise UserError(unknown("kind of part", kind, REGISTRIES))
    return REGISTRIES[kind]


def _built(registry: Registry, entry: object) -> object:
    """The part at its defaults; a parameter without one is 1, which no row shows."""
    if isinstance(entry, registry.part):
        return entry
    needed = [p.name for p in parameters(registry, entry) if p.default is p.empty]
    return entry(**dict.fromkeys(needed, 1.0))


def _row(registry: Registry, name: str, entry: object, part: object) -> Row:
    taken = parameters(registry, entry)
    free = any(p.default is p.empty for p in taken)
    written = [p.name if p.default is p.empty else f"{p.name}={plain(p.default)}" for p in taken]
    return Row(
        f"{name}({', '.join(written)})" if written else name,
        part.formula,
        part.source,
        (None,) * len(COLUMNS.get(registry.kind, [])) if free else _numbers(registry.kind, name),
        combines(part),
    )


@cache  # seconds of theory, for parts that do not change
def _numbers(kind: str, name: str) -> tuple[float | None, ...]:
    """The numbers of the registered part ``name`` at its defaults."""
    registry = _registry(kind)
    part = _built(registry, registry.entries[name])
    return tuple(column.value(part) for column in COLUMNS.get(kind, []))


def plain(value: float | None) -> str:
    """A number to four digits, ∞, or a dash.

    >>> plain(1.00000001), plain(math.inf), plain(2.0**50), plain(1e-8), plain(None)
    ('1', '∞', '1.126e15', '1e-8', '–')
    """
    if value is None:
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.4g}")


def tables(known: list[Work]) -> dict[str, str]:
    """A pipe table a kind, ``parts_activation`` and so on; sources are cited from ``known``."""
    return {f"parts_{kind}": _as_table(kind, rows(kind), known) for kind in REGISTRIES}


def _as_table(kind: str, found: list[Row], known: list[Work]) -> str:
    columns = COLUMNS.get(kind, [])
    head = ("Name", "Formula", "Source", *(c.markdown for c in columns), "Combines with")
    lines = [
        (
            escaped(row.name),
            escaped(row.formula),
            cited(row.source, known) or NOTHING,
            *map(_power, map(plain, row.numbers)),
            escaped(row.combines),
        )
        for row in found
    ]
    return table(head, lines, "lll" + "r" * len(columns) + "l")


def _power(number: str) -> str:
    digits, e, exponent = number.partition("e")
    return f"{digits}{HARD_SPACE}·{HARD_SPACE}10^{exponent.replace('-', '−')}^" if e else digits
