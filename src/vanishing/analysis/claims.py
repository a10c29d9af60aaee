"""The registry of claims (``reports/claims.yaml``): strict models, all errors at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from .. import strict_yaml
from ..errors import unknown
from ..strict_yaml import Strict
from ..tables import RUNS
from .effects import FACTORS, TESTS
from .measures import MEASURES

Level = str | int | float


class Range(Strict):
    """Values from ``min`` to ``max``, ends included; or all ``other_than`` some."""

    min: float | None = None
    max: float | None = None
    other_than: tuple[Level, ...] = ()

    def holds(self, value: Level) -> bool:
        """Is ``value`` in it?"""
        above = self.min is None or value >= self.min
        below = self.max is None or value <= self.max
        return above and below and not any(same(value, level) for level in self.other_than)


class Contrast(Strict):
    """Two arms: cells that differ in ``factor`` alone, at ``treatment`` and at ``control``."""

    factor: str
    treatment: Level
    control: Level | tuple[Level, ...]

    @property
    def controls(self) -> tuple[Level, ...]:
        """The controls, one or more."""
        return self.control if isinstance(self.control, tuple) else (self.control,)

    @field_validator("factor")
    @classmethod
    def _known_factor(cls, name: str) -> str:
        return _known("factor", name, FACTORS)


class Regress(Strict):
    """What the measure is set against over cells: the ``term``, at equal ``beside``."""

    term: str
    beside: tuple[str, ...] = ()

    @field_validator("term")
    @classmethod
    def _known_term(cls, name: str) -> str:
        return _known("measure", name, MEASURES)

    @field_validator("beside")
    @classmethod
    def _known_beside(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known("measure", name, MEASURES) for name in names)


def _known_columns(where: dict | None) -> dict | None:
    for name, allowed in (where or {}).items():
        dtype = RUNS.columns[_known("column of runs", name, RUNS.columns)].dtype
        ends = isinstance(allowed, Range) and (allowed.min, allowed.max) != (None, None)
        if ends and dtype == "string":
            raise ValueError(f"{name!r} holds words: it has no min or max")
    return where


class Analysis(Strict):
    """One test: which runs, which number, compared how, and what effect would matter."""

    batteries: Annotated[tuple[str, ...], Field(min_length=1)]
    measure: str
    test: str
    side: Literal["greater", "less", "equivalent", "both"]
    smallest_effect: Annotated[float, Field(gt=0)]
    holds: Literal["every", "some", "average"] = "average"
    target: float = 0.0
    where: dict[str, Level | tuple[Level, ...] | Range] = {}
    contrast: Contrast | None = None
    regress: Regress | None = None
    strata: tuple[str, ...] = ()

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, name: str) -> str:
        return _known("measure", name, MEASURES)

    @field_validator("test")
    @classmethod
    def _known_test(cls, name: str) -> str:
        return _known("test", name, TESTS)

    _known_columns = field_validator("where")(_known_columns)

    @field_validator("strata")
    @classmethod
    def _known_strata(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = (*FACTORS, "sigma_w", "sigma_b", "control")
        return tuple(_known("stratum", name, known) for name in names)

    @model_validator(mode="after")
    def _consistent(self) -> Analysis:
        needs = TESTS[self.test].needs
        for part in ("contrast", "regress"):
            if (getattr(self, part) is not None) != (part in needs):
                verb = "needs" if part in needs else "has no use for"
                raise ValueError(f"the test {self.test!r} {verb} {part!r}")
        if self.target and self.side != "equivalent":
            raise ValueError("only an equivalent claim has a target")
        if self.side == "both" and self.holds != "some":
            raise ValueError("side 'both' asks whether each sign appears somewhere: holds: some")
        if (self.test == "success_difference") != (self.is_share and self.contrast is not None):
            raise ValueError("success_difference is the contrast of a share, and of nothing else")
        if "control" in self.strata and self.contrast is None:
            raise ValueError("the stratum 'control' needs a contrast")
        alone = ("seed_thirds", "seed_hazard", "seed_shape")
        if self.regress and self.regress.beside and self.test in alone:
            raise ValueError(f"the test {self.test!r} holds nothing fixed: leave out 'beside'")
        if self.contrast and self.contrast.factor in self.strata:
            raise ValueError(f"{self.contrast.factor!r} tells the arms apart, and is no stratum")
        return self

    @property
    def is_share(self) -> bool:
        """Is the measure a yes or no of each run?"""
        return MEASURES[self.measure].binary

    @property
    def of_shares(self) -> bool:
        """Is the effect a share, or a difference of shares?"""
        return self.is_share and self.regress is None

    def conditions(self) -> dict[str, Callable[[object], bool]]:
        """For every column that the runs are chosen by, which values are in."""
        chosen = {name: _condition(allowed) for name, allowed in self.where.items()}
        if self.contrast:
            arms = (self.contrast.treatment, *self.contrast.controls)
            chosen[self.contrast.factor] = _condition(arms)
        return chosen

    def listed(self) -> dict[str, tuple[Level, ...]]:
        """The levels that ``where`` names one by one; a range names none."""
        return {
            name: allowed if isinstance(allowed, tuple) else (allowed,)
            for name, allowed in self.where.items()
            if not isinstance(allowed, Range)
        }


class Specification(Strict):
    """The primary analysis on other batteries, and on other cells of them where it says so."""

    batteries: Annotated[tuple[str, ...], Field(min_length=1)]
    where: dict[str, Level | tuple[Level, ...] | Range] | None = None

    _known_columns = field_validator("where")(_known_columns)


class Claim(Strict):
    """A hypothesis in our own words, what the articles say, and what would refute it."""

    id: Annotated[str, Field(pattern=r"^[A-Z]\d\d$")]
    statement: str
    quote: Annotated[str, Field(max_length=160)]
    quoted_from: str
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    refuted_if: str
    reading: str = ""
    primary: Analysis | None = None
    secondary: dict[str, Analysis] = {}
    specifications: dict[str, Specification] = {}
    figure: str = ""  # of the paper, that shows it
    not_testable: str = ""

    @model_validator(mode="after")
    def _one_primary(self) -> Claim:
        if (self.primary is None) == (not self.not_testable):
            raise ValueError("a claim has either a primary analysis or a reason in not_testable")
        if self.specifications and self.primary is None:
            raise ValueError("specifications vary a primary analysis, and there is none")
        if self.quoted_from not in self.sources:
            raise ValueError(f"quoted_from is {self.quoted_from!r}, and must be one of its sources")
        return self


class Registry(Strict):
    """All claims, and the titles of the articles that they come from."""

    sources: dict[str, str]
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_agree(self) -> Registry:
        ids = [claim.id for claim in self.claims]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"claims with the same id: {', '.join(twice)}")
        for claim in self.claims:
            for name in claim.sources:
                _known("source", name, self.sources)
        return self


def _known(kind: str, name: str, names: object) -> str:
    if name not in names:
        raise ValueError(unknown(kind, name, names))
    return name


def _condition(allowed: Level | tuple | Range) -> Callable[[object], bool]:
    if isinstance(allowed, Range):
        return allowed.holds
    levels = allowed if isinstance(allowed, tuple) else (allowed,)
    return lambda value: any(same(value, level) for level in levels)


def same(value: object, level: Level) -> bool:
    """Is ``value`` of a table the registered ``level``? Numbers may differ by rounding."""
    if isinstance(level, str) or isinstance(value, str):
        return value == level
    return abs(value - level) <= 1e-9 * max(1.0, abs(level))


def read_claims(path: Path) -> Registry:
    """The registry in the file ``path``, or a :class:`UserError` with all mistakes and lines."""
    return strict_yaml.read(Path(path), Registry)
