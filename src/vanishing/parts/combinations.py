"""Which parts go together: what a cell of the grid asks for that no network can be."""

from __future__ import annotations

from collections.abc import Mapping

from .architecture import KERNEL
from .inits import INITS, Init
from .norms import NORMS, Norm
from .residuals import RESIDUALS, concatenate

MOST_CHANNELS = 8192  # that a concatenating network hands on: its weights grow with their square


def canonical(cell: Mapping[str, object]) -> dict[str, object]:
    """The cell with every setting that makes no difference at its default: one net, one id.

    Blocks are those of a residual; a norm of the weights, or none, stands nowhere; pixels are a
    CNN's. A part of the user's own may differ: it is left as it is.
    """
    plain = {"block": cell["residual"] == "none", "norm_position": _placeless(str(cell["norm"]))}
    defaults = {"block": 1, "norm_position": "before"}
    return {**cell, **{name: defaults[name] for name, idle in plain.items() if idle}}


def _placeless(norm: str) -> bool:
    return norm == "none" or (":" not in norm and NORMS[norm].weigh is not None)


def impossible(cell: Mapping[str, object]) -> str:
    """Why there is no such network, as a sentence; '' where there is one.

    Parts of the user's own are looked at where they can be: in the job that trains them.
    """
    for reason in (_init(cell), _norm(cell), _both(cell), _shape(cell)):
        if reason:
            return reason
    return ""


def unknown_parts(cell: Mapping[str, object]) -> bool:
    """Whether a part is the user's own, which only a job may import."""
    return any(":" in str(cell[name]) for name in ("init", "norm", "residual"))


def _init(cell: Mapping[str, object]) -> str:
    init = INITS[str(cell["init"])]
    if cell["family"] not in init.families:
        return f"init {cell['init']!r} is for {', '.join(init.families)} only"
    if init.needs_block and (cell["residual"] == "none" or cell["block"] < init.needs_block):
        return (
            f"init {cell['init']!r} needs a residual with blocks of at least {init.needs_block} "
            f"layers, and residual {cell['residual']!r} with block {cell['block']} came"
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
    if norm.iterates and init.unit_variance:
        return "the norm undoes every scaling of the weights that the init makes"
    return ""


def _shape(cell: Mapping[str, object]) -> str:
    if cell["family"] == "cnn":
        if not cell["image"]:
            return "family 'cnn' needs a task of images, and this one's samples are plain vectors"
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
