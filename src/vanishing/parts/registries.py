"""All registries of parts, by the kind of part: the axes of a study whose values are parts."""

from __future__ import annotations

from .activations import ACTIVATIONS
from .games import GAMES
from .inits import INITS
from .losses import LOSSES
from .norms import NORMS
from .optimizers import OPTIMIZERS
from .recurrences import RECURRENCES
from .registry import Registry
from .residuals import RESIDUALS
from .schedules import CLIPS, SCHEDULES

REGISTRIES: dict[str, Registry] = {
    registry.kind: registry
    for registry in (
        ACTIVATIONS, INITS, NORMS, RESIDUALS, OPTIMIZERS, SCHEDULES, CLIPS, LOSSES, RECURRENCES,
        GAMES,
    )
}  # fmt: skip
