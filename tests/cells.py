"""Random cells of the whole grid, drawn from a seed, each part in its turn."""

import inspect

import numpy as np

from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Place
from vanishing.parts.combinations import canonical, impossible
from vanishing.parts.inits import INITS
from vanishing.parts.norms import NORMS
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.residuals import RESIDUALS
from vanishing.parts.schedules import CLIPS, SCHEDULES

from .small import OF_OTHER_FAMILIES

REGISTRIES = {
    "activation": ACTIVATIONS,
    "init": INITS,
    "norm": NORMS,
    "residual": RESIDUALS,
    "optimizer": OPTIMIZERS,
    "clip": CLIPS,
    "schedule": SCHEDULES,
}
VARIANTS = {
    "activation": [
        *("leaky_relu(slope=0.2)", "elu(alpha=0.5)", "celu(alpha=2)", "sine(frequency=2)"),
        *("prelu(start=0.1)", "shifted_tanh(shift=-0.5)"),
    ],
    "init": [
        *("gaussian(sigma_w=1.5, sigma_b=0.3)", "uniform(sigma_w=1, sigma_b=0.1)"),
        *("orthogonal(gain=1.4)", "sparse(connections=3)", "one_layer(layer=2, factor=0.5)"),
    ],
    "norm": ["group(groups=2)"],
    "residual": [
        *("skip_init(start=0.5)", "highway(bias=-1)", "stochastic_depth(survival=0.7)"),
        "layer_scale(start=0.6)",
    ],
    "optimizer": [
        *("momentum(beta=0.5)", "nesterov(beta=0.7)", "adamw(weight_decay=0.3)"),
        *("lion(weight_decay=0.2)", "rmsprop(alpha=0.8)", "adam(beta_1=0.5, epsilon=0.001)"),
    ],
    "clip": ["norm(limit=0.5)", "value(limit=0.01)"],
    "schedule": ["warmup(warmup=0.6)", "cosine(warmup=0.3)"],
}
AXES = {
    "family": ["mlp", "cnn"],
    "norm_position": ["before", "after"],
    "block": [1, 2],
    "stages": [1, 2],
    "padding": ["zero", "circular"],
    "depth": [3, 4, 5, 6],
}
WIDTH = {"mlp": 12, "cnn": 4}
STEPS, BATCH, PROBED = 3, 10, 8
IMAGE = (2, 6, 7)  # sides of which one halves to a whole number, and one does not
ALIKE = ("zeros", "constant", "identity")  # inits under which a norm may divide 0 by 0


def cards(axis):
    """What there is along an axis: the registered parts, and some with other parameters."""
    if axis in AXES:
        return AXES[axis]
    return [n for n, e in REGISTRIES[axis].entries.items() if not needs(e)] + VARIANTS[axis]


def needs(entry):
    """Whether a registered part is a function that must be given something."""
    parameters = inspect.signature(entry).parameters if inspect.isfunction(entry) else {}
    return any(p.default is p.empty for p in parameters.values())


def name_of(label):
    return str(label).partition("(")[0]


def drawn(seed, count):
    """Cells as a cohort's settings, with ``inits``, ``seeds`` and ``rates`` of their runs.

    Each axis is a deck of cards that is dealt to its end before it is shuffled anew, so that
    every part has its turn; what does not go together is put back, and where the last cards of
    the decks never do, all decks get new ones.
    """
    random = np.random.default_rng(seed)
    decks, cells, tries = {axis: [] for axis in (*REGISTRIES, *AXES)}, [], 0
    while len(cells) < count:
        tries += 1
        for axis, deck in decks.items():
            if len(deck) < 2 or tries % 50 == 0:
                deck.extend(cards(axis))
            random.shuffle(deck)
        cell = {axis: deck[0] for axis, deck in decks.items()}
        cell["inits"] = [cell.pop("init"), decks["init"][1]]
        cell |= {"width": WIDTH[cell["family"]], "steps": STEPS, "batch": BATCH}
        cell |= {"image": IMAGE if cell["family"] == "cnn" else None, "kind": "random"}
        cell |= {"loss": "cross_entropy", **OF_OTHER_FAMILIES}
        cell |= {"stages": cell["stages"] if cell["family"] == "cnn" else 1}
        if all(possible({**cell, "init": init}) for init in cell["inits"]):
            decks = {axis: deck[2 if axis == "init" else 1 :] for axis, deck in decks.items()}
            cells.append(_with_runs(cell, random))
            tries = 0
    return cells


def _with_runs(cell, random):
    """Three runs: the second init twice, on two seeds."""
    first, second = cell["inits"]
    rates = 10 ** random.uniform(-3, -1, 3)
    return {
        **canonical(cell),
        "probes": {"steps": [STEPS], "batch": PROBED},
        "inits": [first, second, second],
        "seeds": [int(s) for s in random.integers(0, 1000, 3)],
        "rates": rates.tolist(),
    }


def possible(cell):
    """Whether there is such a network, and all of its weights are numbers."""
    if impossible(canonical(cell)):
        return False
    if cell["activation"] == "linear" and _each_channel_apart(cell):
        return False
    try:
        INITS[cell["init"]].weight_std(Place(8, 8, activation=ACTIVATIONS[cell["activation"]]))
    except UserError:  # the activation has no critical point
        return False
    return True


def _each_channel_apart(cell):
    """Whether the last norm takes every channel to mean 0: all of it that a CNN's head sees."""
    channels = cell["width"] * 2 ** (cell["stages"] - 1)
    return cell["family"] == "cnn" and (
        cell["norm"] == "instance" or NORMS[cell["norm"]].groups == channels
    )


def degenerate(cell, init):
    """Whether some units or samples are all alike, so that a norm blows their rounding up."""
    return cell["norm"] != "none" and name_of(init) in ALIKE
