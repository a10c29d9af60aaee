"""Small random data, graphs and networks in float64."""

import numpy as np
import torch

from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.parts.losses import LOSSES
from vanishing.parts.tasks import Data

INPUTS, WIDTH, DEPTH, CLASSES, IMAGE = 16, 8, 4, 3, (1, 4, 4)
SEQUENCE = (4, 4)  # time steps, features
LOSS = LOSSES["cross_entropy"]
# What only recurrent nets and GANs set.
OF_OTHER_FAMILIES = {
    "recurrence": "none", "length": 0, "truncation": 0, "game": "none", "players": "none",
    "generator": "none", "latent": 0, "discriminator_steps": 0, "instance_noise": 0.0,
    "normed": "none",
}  # fmt: skip
CPU = torch.device("cpu")
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def data_of(samples=120, seed=0):
    """Inputs without structure, and labels that do not depend on them."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(samples, INPUTS)).astype(np.float32)
    return Data(inputs, generator.integers(0, CLASSES, samples), IMAGE, SEQUENCE)


def graph_of(**changes):
    """What a cohort's JSON says of its graph."""
    graph = {
        "family": "mlp", "activation": "tanh", "norm": "none", "residual": "none", "depth": DEPTH,
        "width": WIDTH, "padding": "circular", "loss": "cross_entropy", "optimizer": "sgd",
        "recurrence": "vanilla", "steps": 3, "batch": 16,
        "probes": {"steps": [0, 1, 3], "batch": 12, "blocks": []},
    }  # fmt: skip
    return {**graph, **changes}


def net_of(**changes):
    """The network of such a graph."""
    return Network.of(graph_of(**changes), data_of().shape)


def drawn(net, inits, seeds):
    """Its initial parameters, a run an init and seed."""
    return doubled(draw(net, list(inits), list(seeds)))


def normal(*shape, seed=0):
    """Draws from N(0, 1), the same for a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
