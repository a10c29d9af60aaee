"""What a part of a network goes with, in words that follow from its fields.

As :mod:`vanishing.parts.combinations` has it, which refuses the rest.
"""

from __future__ import annotations

import inspect

from ..errors import UserError
from ..parts.activations import Activation
from ..parts.architecture import Place
from ..parts.combinations import clashing
from ..parts.games import Game
from ..parts.inits import INITS, Init
from ..parts.losses import Loss
from ..parts.norms import NORMS, Norm
from ..parts.recurrences import Recurrence
from ..parts.registry import Registry
from ..parts.residuals import BEFORE, Residual, concatenate, plus, replace

FAMILIES = {"mlp": "MLP", "cnn": "CNN", "rnn": "RNN", "gan": "GAN"}
PLAYERS = ("mlp", "cnn")  # what the nets of a GAN can be
EVERYTHING = "everything"


def parameters(registry: Registry, entry: object) -> list[inspect.Parameter]:
    """What a registered part takes, where it is a function that gives one."""
    given = isinstance(entry, registry.part)
    return [] if given else list(inspect.signature(entry).parameters.values())


def families(part: object) -> tuple[str, ...]:
    """The families that can have a part: a GAN can have what the nets that play it can.

    A loss is what nets without an opponent learn by, and layers are skipped, or drawn as parts of
    blocks, in feed-forward nets only (:mod:`vanishing.parts.combinations`).
    """
    if isinstance(part, Recurrence | Game):
        return ("rnn",) if isinstance(part, Recurrence) else ("gan",)
    if isinstance(part, Loss):
        return (*PLAYERS, "rnn")
    found = set(getattr(part, "families", (*PLAYERS, "rnn")))
    if getattr(part, "skips", False) or getattr(part, "needs_block", 0):
        found -= {"rnn"}
    if found & set(PLAYERS):
        found |= {"gan"}
    return tuple(name for name in FAMILIES if name in found)


def combines(part: object) -> str:
    """What a part goes with, from its fields, as :mod:`vanishing.parts.combinations` has it."""
    limits = _of_families(families(part))
    for kind, of_kind in _LIMITS.items():
        if isinstance(part, kind):
            limits += of_kind(part)
    places = _PLACES[type(part)](part) if type(part) in _PLACES else []
    return ", ".join(["; ".join(limits) or EVERYTHING, *places])


def _of_families(found: tuple[str, ...]) -> list[str]:
    """Which families there are, if not all; a GAN of CNNs goes without saying."""
    lacking = [FAMILIES[name] for name in FAMILIES if name not in found]
    alone = [name for name in found if name != "gan"] or ["gan"]
    if len(alone) == 1:
        return [f"{FAMILIES[alone[0]]} only"]
    return [f"no {' or '.join(lacking)}"] if lacking else []


def _of_activation(activation: Activation) -> list[str]:
    refused = [name for name in INITS if _refuses(name, activation)]
    return [f"no init {' or '.join(refused)}"] if refused else []


def _refuses(name: str, activation: Activation) -> bool:
    """Whether an init has no std for the layers of an activation."""
    if parameters(INITS, INITS.entries[name]):
        return False  # its std is a parameter
    try:
        INITS[name].weight_std(Place(9, 1, activation=activation, blocks=1, block=2))
    except UserError:
        return True
    return False


def _of_init(init: Init) -> list[str]:
    layers = init.needs_block
    blocks = (
        [f"residuals that add before phi, in blocks of at least {layers} layers"] if layers else []
    )
    if init.centred:
        blocks += ["residuals that add before phi", "norms before phi"]
    return blocks + _none_of(
        "norm", [name for name in _without_parameters(NORMS) if clashing(init, NORMS[name])]
    )


def _none_of(kind: str, names: list[str]) -> list[str]:
    return [f"no {kind} {' or '.join(names)}"] if names else []


def _of_norm(norm: Norm) -> list[str]:
    widths = [f"widths that are multiples of {norm.groups}"] if norm.groups else []
    batches = ["batches of at least 2"] if norm.mixes_samples else []
    refused = [name for name in _without_parameters(INITS) if clashing(INITS[name], norm)]
    return widths + batches + _none_of("init", refused)


def _without_parameters(registry: Registry) -> list[str]:
    """The names that are parts as they stand: every parameter has a default."""
    return [
        name
        for name, entry in registry.entries.items()
        if all(p.default is not p.empty for p in parameters(registry, entry))
    ]


def _of_residual(residual: Residual) -> list[str]:
    enlarges = [] if residual.add in (plus, replace) else ["no GAN of CNNs"]
    if residual.add is plus and residual.joins == BEFORE:
        return enlarges
    refused = [name for name, init in INITS.entries.items() if getattr(init, "needs_block", 0)]
    if residual.skips:
        refused += [name for name in _without_parameters(INITS) if INITS[name].centred]
    return enlarges + _none_of("init", refused)


def _of_game(game: Game) -> list[str]:
    """A penalty is taken of single samples, by a discriminator that must not mix them."""
    if not game.penalty:
        return []
    mixing = [name for name in _without_parameters(NORMS) if NORMS[name].mixes_samples]
    return [f"{words} in its discriminator" for words in _none_of("norm", mixing)]


def _place_of_norm(norm: Norm) -> list[str]:
    return ["before and after phi alike"] if norm.weigh else []


def _place_of_residual(residual: Residual) -> list[str]:
    if not residual.skips:
        return []
    joins = "joins before phi" if residual.joins == BEFORE else "joins after phi"
    return [joins, *(["each block adds its width"] if residual.add is concatenate else [])]


_LIMITS = {
    Activation: _of_activation,
    Init: _of_init,
    Norm: _of_norm,
    Residual: _of_residual,
    Game: _of_game,
}
_PLACES = {Norm: _place_of_norm, Residual: _place_of_residual}
