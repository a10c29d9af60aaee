"""Which parts go together: what a cell of the grid asks for that no network can be."""

from __future__ import annotations

from collections.abc import Mapping

from .architecture import KERNEL
from .games import GAMES
from .inits import INITS, Init
from .losses import LOSSES
from .norms import NORMS, Norm
from .residuals import BEFORE, RESIDUALS, concatenate, plus, replace
from .tasks import OF_VALUES

LEAST_GROUP = 3  # units: of two, normalised, there is only the sign, of one nothing
MOST_CHANNELS = 8192  # that a concatenating network hands on: its weights grow with their square


def canonical(cell: Mapping[str, object]) -> dict[str, object]:
    """The cell with every setting that makes no difference at its default: one net, one id.

    Blocks are those of a residual, and no longer than the layers after the first; a norm of the
    weights, or none, stands nowhere. A norm of the user's own may be either: it stays in its place.
    A truncation longer than the sequence is none; before a generator that stays as it is, each step
    is one of the discriminator; no norm is no player's, and players without images have no stages.
    """
    alone = cell["residual"] == "none" or cell["depth"] == 1
    block = 1 if alone else min(cell["block"], cell["depth"] - 1)
    placeless = _placeless(str(cell["norm"]))
    position = "before" if placeless else cell["norm_position"]
    found = {**cell, "block": block, "norm_position": position}
    if cell["truncation"] >= cell["length"]:
        found["truncation"] = 0
    if cell["game"] != "none" and cell["norm"] == "none":
        found["normed"] = "both"
    if cell["players"] == "mlp":
        found |= {"stages": 1, "padding": "zero"}
    if cell["generator"] == "fixed":
        found["discriminator_steps"] = 1
    return found


def _placeless(norm: str) -> bool:
    return norm == "none" or (":" not in norm and NORMS[norm].weigh is not None)


def impossible(cell: Mapping[str, object]) -> str:
    """Why there is no such network, as a sentence; '' where there is one. The cell is canonical.

    Parts of the user's own are looked at where they can be: in the job that trains them.
    """
    network = {**cell, "family": cell["players"]} if cell["family"] == "gan" else cell
    for reason in (
        _task(cell), _recurrent(cell), _game(cell),
        _init(network), _norm(network), _both(network), _shape(network),
    ):  # fmt: skip
        if reason:
            return reason
    return ""


def unknown_parts(cell: Mapping[str, object]) -> bool:
    """Whether a part is the user's own, which only a job may import."""
    kinds = ("init", "norm", "residual", "loss", "recurrence", "game")
    return any(":" in str(cell[name]) for name in kinds)


def _task(cell: Mapping[str, object]) -> str:
    """Why family, task and loss do not go together; ``kind`` is the task's."""
    kind, sequence = cell["kind"], cell["length"] > 0
    if (cell["family"] == "rnn") != sequence:
        are = "are sequences" if sequence else "are no sequences"
        are += " (of your own: sequence: true)" if kind == "npz" and not sequence else ""
        return f"family {cell['family']!r} does not go with task {kind!r}, whose samples {are}"
    if cell["family"] != "gan" and LOSSES[str(cell["loss"])].of_values != (kind in OF_VALUES):
        answers = "values" if kind in OF_VALUES else "classes"
        return f"loss {cell['loss']!r} does not go with task {kind!r}, whose answers are {answers}"
    return ""


def _recurrent(cell: Mapping[str, object]) -> str:
    if cell["family"] != "rnn":
        return ""
    norm = NORMS[str(cell["norm"])]
    if norm.mixes_samples:
        return (
            f"norm {cell['norm']!r} in a recurrent net would share its statistics between time "
            "steps whose values differ, and know in one what comes in the next; with statistics "
            "of each step's own (Cooijmans et al. 2017) it is no longer one net for all lengths: "
            "take layer"
        )
    if cell["norm_position"] != "before":
        return "norm_position 'after' is not that of a recurrent net, whose past it would scale"
    if cell["residual"] != "none":
        return (
            f"residual {cell['residual']!r} is of feed-forward nets: a recurrent net skips time, "
            "by the recurrence leaky or skip"
        )
    return ""


def _game(cell: Mapping[str, object]) -> str:
    if cell["family"] != "gan":
        return ""
    game, residual = GAMES[str(cell["game"])], RESIDUALS[str(cell["residual"])]
    mixing = NORMS[str(cell["norm"])].mixes_samples and cell["normed"] != "generator"
    if game.penalty and mixing:
        return (
            f"norm {cell['norm']!r} mixes the samples that game {cell['game']!r} holds to a slope "
            "one by one (Gulrajani et al. 2017): give normed: generator, or another norm"
        )
    if cell["players"] == "cnn" and cell["image"]:
        if residual.add not in (replace, plus):
            return f"residual {cell['residual']!r} has no form for a net that enlarges its image"
        if any(side % 2 ** (cell["stages"] - 1) for side in cell["image"][1:]):
            return (
                f"{cell['stages']} stages cannot double a smallest image to one of "
                f"{cell['image'][1]} x {cell['image'][2]}"
            )
    return ""


def _init(cell: Mapping[str, object]) -> str:
    init = INITS[str(cell["init"])]
    if cell["family"] not in init.families:
        return f"init {cell['init']!r} is for {', '.join(init.families)} only"
    if init.unit_variance and cell["family"] == "rnn":
        return f"init {cell['init']!r} is fitted to data, and a recurrent net's weights are not"
    if init.needs_layer > cell["depth"] + 1:
        return (
            f"init {cell['init']!r} is about layer {init.needs_layer}, and a net of depth "
            f"{cell['depth']} ends with its head, layer {cell['depth'] + 1}"
        )
    residual, block = RESIDUALS[str(cell["residual"])], cell["block"]
    adds = residual.add is plus and residual.joins == BEFORE
    if init.needs_block and not (adds and block >= init.needs_block):
        return (
            f"init {cell['init']!r} needs a residual that adds before phi, in blocks of at least "
            f"{init.needs_block} layers, and residual {cell['residual']!r} with blocks of {block} "
            "came"
        )
    if init.centred and (cell["norm_position"] == "after" or (residual.skips and not adds)):
        return (
            f"init {cell['init']!r} is for layers that see phi(h) as it is: take norm_position "
            "'before', and a residual that adds before phi, or none"
        )
    return ""


def _norm(cell: Mapping[str, object]) -> str:
    norm = NORMS[str(cell["norm"])]
    if cell["family"] not in norm.families:
        return f"norm {cell['norm']!r} is for {', '.join(norm.families)} only"
    if norm.groups and cell["width"] % norm.groups:
        return (
            f"norm {cell['norm']!r} needs a width that is a multiple of {norm.groups}, and "
            f"{cell['width']} came"
        )
    if norm.groups and cell["family"] == "mlp" and cell["width"] // norm.groups < LEAST_GROUP:
        return (
            f"norm {cell['norm']!r} would leave groups of {cell['width'] // norm.groups} units at "
            f"width {cell['width']}, whose values say nothing: {LEAST_GROUP} is the least"
        )
    channels = cell["width"] * 2 ** (cell["stages"] - 1)
    apart = cell["norm"] == "instance" or norm.groups == channels
    if cell["family"] == "cnn" and cell["norm_position"] == "after" and apart:
        return (
            f"norm {cell['norm']!r} after phi takes every channel's mean over the pixels to 0, "
            "which is all that a CNN's head sees"
        )
    if norm.mixes_samples and cell["batch"] < 2 and cell["steps"]:
        return f"norm {cell['norm']!r} needs a batch of at least 2 to take statistics over"
    return ""


def _both(cell: Mapping[str, object]) -> str:
    clash = clashing(INITS[str(cell["init"])], NORMS[str(cell["norm"])])
    return f"norm {cell['norm']!r} and init {cell['init']!r}: {clash}" if clash else ""


def clashing(init: Init, norm: Norm) -> str:
    """Why an init and a norm do not go together; '' where they do."""
    if norm.needs_weights and init.may_be_zero:
        return "a unit may have no weights, and the norm would divide 0 by 0"
    if norm.weigh and init.centred:
        return "the norm changes the weights that the biases are made for"
    if norm.iterates and init.unit_variance:
        return "the norm fixes the weights' size, which the init would set from the data"
    return ""


def _shape(cell: Mapping[str, object]) -> str:
    if cell["family"] == "cnn":
        if not cell["image"]:
            of = "players 'cnn' need" if cell["game"] != "none" else "family 'cnn' needs"
            return f"{of} a task of images, and this one's samples are plain vectors"
        side = min(cell["image"][1:])
        if side < KERNEL * 2 ** (cell["stages"] - 1):
            return (
                f"{cell['stages']} stages would shrink an image of side {side} below "
                f"{KERNEL} pixels"
            )
    if cell["stages"] > cell["depth"]:
        return f"{cell['stages']} stages need as many layers, and depth {cell['depth']} came"
    residual = RESIDUALS[str(cell["residual"])]
    blocks = -(-(cell["depth"] - 1) // cell["block"])
    channels = cell["width"] * 2 ** (cell["stages"] - 1) * (blocks + 1)
    if residual.add is concatenate and channels > MOST_CHANNELS:
        return (
            f"residual {cell['residual']!r} would hand on {channels} units at width "
            f"{cell['width']} and depth {cell['depth']}; {MOST_CHANNELS} is the most"
        )
    return ""
