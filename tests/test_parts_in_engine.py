"""Every registered part in a small network: a stack equals its runs alone, logs can be read."""

import numpy as np
import pandas as pd
import pytest
import torch

from vanishing.engine import job
from vanishing.engine.network import Network
from vanishing.engine.stack import Budget
from vanishing.engine.training import train_stack
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.inits import INITS
from vanishing.parts.losses import LOSSES
from vanishing.parts.norms import NORMS
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.recurrences import RECURRENCES
from vanishing.parts.residuals import RESIDUALS
from vanishing.parts.schedules import CLIPS, SCHEDULES
from vanishing.parts.tasks import Data
from vanishing.tables import LOGS

from .small import OF_OTHER_FAMILIES

SIDE, CLASSES, SAMPLES = 6, 3, 60
REGISTRIES = [ACTIVATIONS, INITS, NORMS, RESIDUALS, OPTIMIZERS, SCHEDULES, CLIPS, LOSSES]
REGISTRIES += [RECURRENCES]
NEEDED = {  # parts without defaults, by kind and name
    ("init", "gaussian"): "gaussian(sigma_w=1.5, sigma_b=0.3)",
    ("init", "uniform"): "uniform(sigma_w=1.5, sigma_b=0.3)",
    ("init", "one_layer"): "one_layer(layer=2, factor=0.3)",
    ("clip", "norm"): "norm(limit=0.1)",
    ("clip", "value"): "value(limit=0.01)",
}
GRAPH = {
    **OF_OTHER_FAMILIES,
    "family": "mlp", "task": "mine", "activation": "tanh", "norm": "none",
    "norm_position": "before", "residual": "none", "block": 1, "depth": 5, "width": 12,
    "stages": 1, "padding": "zero", "loss": "cross_entropy", "optimizer": "momentum",
    "schedule": "constant", "clip": "none", "batch": 8, "steps": 2,
    "probes": {"steps": [0, 2], "batch": 8, "blocks": []},
}  # fmt: skip


def families(registry, name):
    if registry is INITS or registry is NORMS:
        return registry[NEEDED.get((registry.kind, name), name)].families
    if registry is RECURRENCES:
        return ("rnn",)
    return ("mlp", "cnn", "rnn") if registry is ACTIVATIONS else ("mlp", "cnn")


EVERY = [
    pytest.param(
        family,
        registry.kind,
        NEEDED.get((registry.kind, name), name),
        id=f"{family}-{registry.kind}-{name}",
    )
    for registry in REGISTRIES
    for name in registry
    for family in families(registry, name)
]


# Each part in one of its families, in turn: a log's columns depend on the family alone.
IN_TURN = [
    pytest.param(
        families(registry, name)[number % len(families(registry, name))],
        registry.kind,
        NEEDED.get((registry.kind, name), name),
        id=f"{registry.kind}-{name}",
    )
    for registry in REGISTRIES
    for number, name in enumerate(registry)
]


def built(family, kind, label):
    """The settings of a net that has the part, in blocks of two layers where it needs them."""
    graph = {**GRAPH, "family": family, "length": SIDE if family == "rnn" else 0}
    graph["recurrence"] = "vanilla" if family == "rnn" else "none"
    init = label if kind == "init" else "he"
    if kind != "init":
        graph[kind] = label
    elif INITS[label].needs_block:
        graph |= {"residual": "pre_activation", "block": INITS[label].needs_block}
    return graph, init


def images(loss, seed=0):
    """Images that can be read row by row, with labels that the loss can take."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(SAMPLES, SIDE**2)).astype(np.float32)
    labels = np.arange(SAMPLES) % CLASSES
    if LOSSES[loss].of_values:
        labels = generator.normal(size=(SAMPLES, CLASSES)).astype(np.float32)
    return Data(inputs, labels, (1, SIDE, SIDE), (SIDE, SIDE))


def trained(graph, inits, seeds, rates):
    data = images(graph["loss"])
    return train_stack(
        Network.of(graph, data.shape), Budget.of(graph), data, inits, seeds, rates,
        torch.device("cpu"), torch.float64,
    )  # fmt: skip


def measured(trace, run):
    """All that is known of a run of a stack, by name."""
    found = {
        f"{step} {name}": values[run]
        for step, of in trace.measures.items()
        for name, values in of.items()
    }
    for step, accuracy in trace.test_accuracy.items():
        found[f"{step} accuracy"] = accuracy[run]
    return found | {"losses": trace.losses[:, run], "first": trace.first_nonfinite[run]}


@pytest.mark.parametrize(("family", "kind", "label"), EVERY)
def test_two_runs_trained_together_are_those_trained_alone(family, kind, label):
    graph, init = built(family, kind, label)
    inits, seeds, rates = [init, "xavier"], [3, 8], [0.01, 0.02]
    if graph["residual"] != "none" and kind == "init":
        inits[1] = init
    together = trained(graph, inits, seeds, rates)
    for run in (0, 1):
        alone = trained(graph, [inits[run]], [seeds[run]], [rates[run]])
        expected, found = measured(alone, 0), measured(together, run)
        assert expected.keys() == found.keys()
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-7, atol=1e-12, err_msg=name)
    assert np.isfinite(together.losses[0]).any()  # a run may diverge: squared_relu does
    assert (measured(together, 0)["losses"] != measured(together, 1)["losses"]).any()


@pytest.mark.parametrize(("family", "kind", "label"), IN_TURN)
def test_the_logs_of_its_runs_are_read_as_they_were_written(
    family, kind, label, tmp_path, monkeypatch
):
    graph, init = built(family, kind, label)
    monkeypatch.setattr(job, "load", lambda source: images(graph["loss"]))
    task = {"kind": "adding" if LOSSES[graph["loss"]].of_values else "mine"}
    runs = [
        {"run_id": f"r{seed}", "cell": "c", "init": init, "seed": seed, "lr": 0.01,
         "lr_grid": None, "lr_policy": "fixed", "tuning_seeds": 0}
        for seed in (0, 1)
    ]  # fmt: skip
    of_job = {"data": "", "id": "x", "split": "judged", "data_source": task, "runs": runs}
    logs = job.run({**graph, **of_job})
    job.write(logs, tmp_path, "x", {"made": "here"})
    for name, table in LOGS.items():
        again = table.read(tmp_path / name / "x.parquet")
        pd.testing.assert_frame_equal(again, logs[name].reset_index(drop=True))
    assert set(logs["runs"]["init" if kind == "init" else kind]) == {label}
    assert len(logs["layers"]) == 2 * 2 * graph["depth"]
