"""A part of the user's own, ``module:attribute``, put to the contract of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import UserError
from ..parts.activations import ACTIVATIONS
from ..parts.games import GAMES
from ..parts.inits import INITS
from ..parts.norms import NORMS
from ..parts.optimizers import OPTIMIZERS
from ..parts.recurrences import RECURRENCES
from ..parts.registry import Registry, imported, made, parsed
from ..parts.residuals import RESIDUALS
from ..parts.schedules import CLIPS, SCHEDULES
from .activations import activation_problems
from .failure import told
from .games import game_problems
from .inits import init_problems
from .norms import norm_problems
from .optimizers import clip_problems, optimizer_problems, schedule_problems
from .recurrences import recurrence_problems
from .residuals import residual_problems

CONTRACTS: list[tuple[Registry, Callable[..., list[str]]]] = [
    (ACTIVATIONS, activation_problems),
    (INITS, init_problems),
    (NORMS, norm_problems),
    (RESIDUALS, residual_problems),
    (OPTIMIZERS, optimizer_problems),
    (SCHEDULES, schedule_problems),
    (CLIPS, clip_problems),
    (RECURRENCES, recurrence_problems),
    (GAMES, game_problems),
]


def check(label: str) -> tuple[str, list[str]]:
    """The kind of the part that ``label`` names ("activation"), and all that it breaks.

    ``label`` is ``module:attribute`` of a part, or of a function that returns one, whose parameters
    may follow: ``my_parts:halved(by=4)``.
    """
    name, given = parsed(label)
    if ":" not in name:
        raise UserError(
            f"{name!r} is no part of your own: give it as module:attribute, like my_parts:snake. "
            "`vanishing parts` lists ours, which the project's tests check."
        )
    kinds = tuple(registry.part for registry, _ in CONTRACTS)
    allowed = ", ".join(kind.__name__ for kind in kinds)
    wanted = f"no part: give one of {allowed}, or a function that returns one"
    part = made(repr(name), imported(name), kinds, given, wanted)
    registry, problems = next(pair for pair in CONTRACTS if isinstance(part, pair[0].part))
    return registry.kind, list(told(_found(problems, part)))


def _found(problems: Callable[..., list[str]], part: object) -> Iterator[str]:
    yield from problems(part)
