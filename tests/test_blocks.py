"""The expensive measures of training, each against a plain computation; and all in a training."""

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine import job
from vanishing.engine.blocks import at_probe, blocks_due, frozen_layers
from vanishing.engine.interference import interference
from vanishing.engine.jacobian import jacobian, shattering
from vanishing.engine.network import Network
from vanishing.engine.noise import noise, signal_and_variance
from vanishing.engine.probes import doubled
from vanishing.engine.samples import samples_of
from vanishing.engine.singular_values import of_jacobian
from vanishing.engine.stack import Budget, Stack, advance, copied
from vanishing.engine.training import train_stack
from vanishing.parts.measure_blocks import BLOCKS
from vanishing.parts.residuals import RESIDUALS
from vanishing.tables import FREEZE, LAYERS, NETWORKS, RUN_LOG

from .plain import Plain, weight
from .small import (
    CLASSES,
    CLOSE,
    CPU,
    DEPTH,
    INPUTS,
    LOSS,
    OF_OTHER_FAMILIES,
    data_of,
    drawn,
    graph_of,
    net_of,
    normal,
)

NORMED = ["none", "layer", "batch"]
_OF_JACOBIAN = ("mean_square", "relative_variance", "log10_max", "log10_min")
COLUMNS = {  # of the tables, by the block that gives them
    "accuracy": set(),  # curves
    "jacobian": {f"jacobian_{name}" for name in _OF_JACOBIAN},
    "shattering": {"shattering_cosine"},
    "noise": {"snr", "noise_scale"},
    "rank": {"effective_rank"},
    "interference": {"interference", "interference_cosine"},
    "freeze": {"reset_accuracy"},
    "robustness": set(),  # scores
    "linear_probe": {"linear_probe_accuracy"},
    "chain_rule": {"chain_rule_error"},
    "output_bins": {"derivative_low", "derivative_middle", "derivative_high"},
}
AT_INIT = COLUMNS["chain_rule"] | COLUMNS["output_bins"]
ALL_COLUMNS = set().union(*COLUMNS.values())


# --- noise


@pytest.mark.parametrize("norm", NORMED)
@pytest.mark.parametrize("batch", [70, 26, 12, 3])
def test_noise_equals_a_loop_over_micro_batches(norm, batch):
    count = min(8, batch // (8 if norm == "batch" else 1))
    size = batch // max(count, 1)
    net, x = net_of(norm=norm), normal(batch, INPUTS)
    labels = torch.arange(batch) % CLASSES
    parameters = drawn(net, ["he", "xavier"], [0, 1])
    snr, scale = noise(net, parameters, {}, LOSS, x, labels)
    if count < 2:
        assert snr.isnan().all()
        assert scale.isnan().all()
        return
    for run in range(2):
        plain = Plain(graph_of(norm=norm), data_of(), parameters, run)
        gradients = []
        for part in range(count):
            rows = slice(part * size, (part + 1) * size)
            plain.zero_grad()
            nn.functional.cross_entropy(plain(x[rows]), labels[rows]).backward()
            gradients.append([layer.weight.grad.flatten().clone() for layer in plain.layers])
        layers = [torch.stack(layer).numpy() for layer in zip(*gradients, strict=True)]
        variance = [g.var(0, ddof=1).sum() for g in layers]
        signal = [(g.mean(0) ** 2).sum() - v / count for g, v in zip(layers, variance, strict=True)]
        np.testing.assert_allclose(snr[run], np.divide(signal, variance), rtol=1e-8)
        # McCandlish et al. 2018, A.1: from a small batch and a big one.
        whole = np.concatenate(layers, axis=1)
        small, big = (whole**2).sum(1).mean(), (whole.mean(0) ** 2).sum()
        n, m = size, size * count
        squared = (m * big - n * small) / (m - n)
        expected = (small - big) / (1 / n - 1 / m) / squared if squared > 0 else np.nan
        np.testing.assert_allclose(scale[run], expected, rtol=1e-7)


def test_signal_and_variance_are_unbiased():
    """40,000 planted Gaussians, a run each: the means within 4 standard errors."""
    runs, draws, truth, sd = 40_000, 5, torch.tensor([0.3, -0.1, 0.2]), 0.7
    planted = [[truth.double() + sd * normal(runs, 3, seed=n)] for n in range(draws)]
    signal, variance, scale = signal_and_variance(planted)
    for found, expected in [(signal, 0.14), (variance, 3 * sd**2)]:
        values = (found * scale.square())[:, 0]
        error = values.std() / runs**0.5
        assert abs(values.mean() - expected) < 4 * error
    assert (signal < 0).any()  # or the mean would be too large


def test_noise_does_not_underflow_and_weighs_layers_by_their_size():
    draws = [[1e-200 * normal(1, 4, seed=n), 1e-203 * normal(1, 4, seed=n)] for n in range(5)]
    signal, variance, scale = signal_and_variance(draws)
    plain = torch.cat([normal(1, 4, seed=n) for n in range(5)]).numpy()
    assert variance[0].numpy() * (scale[0].numpy() / 1e-200) ** 2 == pytest.approx(
        plain.var(0, ddof=1).sum() * np.array([1, 1e-6])
    )
    torch.testing.assert_close(signal[0, 0] / variance[0, 0], signal[0, 1] / variance[0, 1])


def test_gradients_that_do_not_differ_have_no_ratio_and_no_noise():
    net, x = net_of(), normal(1, INPUTS).expand(16, INPUTS)
    found, scale = noise(net, drawn(net, ["he"], [0]), {}, LOSS, x, torch.zeros(16).long())
    # Equal but for rounding: the ratio is missing, or beyond what rounding leaves.
    assert (found.isnan() | (found > 1e25)).all()
    assert abs(scale.item()) < 1e-20


# --- interference


@pytest.mark.parametrize(
    ("family", "norm", "residual"),
    [
        ("mlp", "none", "none"),
        ("mlp", "batch", "none"),
        ("mlp", "layer", "highway"),
        ("cnn", "batch", "skip_init(start=0.5)"),
        ("mlp", "weight", "layer_scale"),
    ],
)
def test_interference_equals_a_loop_over_plain_modules(family, norm, residual):
    graph = graph_of(family=family, norm=norm, residual=residual, activation="prelu")
    net, x, labels = net_of(**graph), normal(2, 10, INPUTS), torch.arange(20).view(2, 10) % CLASSES
    before = drawn(net, ["he", "xavier"], [0, 1])
    after = {
        name: [t + 0.1 * normal(*t.shape, seed=n) for n, t in enumerate(tensors)]
        for name, tensors in before.items()
    }
    found = interference(net, before, after, {}, LOSS, x, labels)

    def gradient(plain, run, layer):
        plain.zero_grad()
        nn.functional.cross_entropy(plain(x[run]), labels[run]).backward()
        return weight(plain.layers[layer]).grad.clone()

    for run in range(2):
        for layer in range(DEPTH):
            plain = Plain(graph, data_of(), before, run).load(before, run)
            updated = Plain(graph, data_of(), before, run).load(after, run).named()
            old = gradient(plain, run, layer)
            for name, tensors in plain.named().items():
                first = 1 if name in ("skip", "W_gate", "b_gate") else 0  # blocks of one layer
                for n, tensor in enumerate(tensors, start=first):
                    if n < layer:
                        tensor.data.copy_(updated[name][n - first].data)
            new = gradient(plain, run, layer)
            change = (new - old).norm() / old.norm()
            torch.testing.assert_close(found["interference"][run, layer], change, **CLOSE)
            cosine = nn.functional.cosine_similarity(old.flatten(), new.flatten(), dim=0)
            torch.testing.assert_close(found["interference_cosine"][run, layer], cosine, **CLOSE)
    assert (found["interference"][:, 0] == 0).all()
    assert (found["interference"][:, 1:] > 1e-3).all()


def test_no_update_below_is_no_interference():
    net, x, labels = net_of(residual="highway"), normal(1, 10, INPUTS), torch.zeros(1, 10).long()
    before = drawn(net, ["he"], [0])
    head = {name: [*t[:-1], t[-1] + 1] if name in "Wb" else t for name, t in before.items()}
    found = interference(net, before, head, {}, LOSS, x, labels)["interference"]
    assert (found == 0).all()
    gate = {**before, "W_gate": [before["W_gate"][0] + 1, *before["W_gate"][1:]]}
    found = interference(net, before, gate, {}, LOSS, x, labels)["interference"]
    assert ((found > 0) == torch.tensor([False, False, True, True])).all()  # the gate of layer 2


# --- all of them in a training


def test_every_block_says_when_it_is_due():
    ends = {"jacobian", "shattering", "rank", "linear_probe"}
    init, accuracies = {*ends, "noise", "chain_rule", "output_bins"}, {"accuracy", "robustness"}
    assert blocks_due(tuple(BLOCKS), 0, 9) == init | accuracies
    assert blocks_due(tuple(BLOCKS), 4, 9) == {"noise", "interference"} | accuracies
    assert blocks_due(tuple(BLOCKS), 9, 9) == set(BLOCKS) - {"chain_rule", "output_bins"}
    assert blocks_due(tuple(BLOCKS), 0, 0) == init
    assert blocks_due((), 0, 0) == set()


def probed(net, budget, runs):
    inits, seeds, rates = map(list, zip(*runs, strict=True))
    return train_stack(net, budget, data_of(), inits, seeds, rates, CPU, torch.float64)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_gives_its_own_columns_where_it_is_due_and_no_others(block):
    graph = graph_of(probes={"steps": [0, 1, 3], "batch": 12, "blocks": [block]})
    trace = probed(Network.of(graph, data_of().shape), Budget.of(graph), [("he", 0, 0.1)])
    for step in (0, 1, 3):
        found = {name for name, v in trace.measures[step].items() if name in ALL_COLUMNS}
        found |= trace.of_network[step].keys() - {"effective_depth"}
        assert found == (COLUMNS[block] if block in blocks_due((block,), step, 3) else set())
    assert set(trace.test_accuracy) == ({0, 1, 3} if block == "accuracy" else {0, 3})


def test_every_column_of_a_block_is_declared_with_a_meaning_of_its_absence():
    assert COLUMNS.keys() == BLOCKS.keys()
    declared = {**LAYERS.columns, **NETWORKS.columns}
    assert all(declared[name].null for name in ALL_COLUMNS)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize(
    ("norm", "residual"), [("none", "none"), ("batch", "highway"), ("spectral", "pre_activation")]
)
def test_a_stack_measures_what_its_runs_measure_alone(family, norm, residual):
    probes = {"steps": [0, 1, 3], "batch": 12, "blocks": list(BLOCKS)}
    graph = graph_of(family=family, norm=norm, residual=residual, width=4, probes=probes)
    net, budget = Network.of(graph, data_of().shape), Budget.of(graph)
    runs = [("he", 0, 0.1), ("xavier", 1, 0.3), ("orthogonal", 0, 0.1)]
    together = probed(net, budget, runs)
    for i, run in enumerate(runs):
        alone = probed(net, budget, [run])
        for step in (0, 1, 3):
            for name, values in {**alone.measures[step], **alone.of_network[step]}.items():
                found = {**together.measures[step], **together.of_network[step]}[name][i]
                np.testing.assert_allclose(found, values[0], rtol=1e-6, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_every_residual_can_be_measured_in_full(residual):
    probes = {"steps": [0, 3], "batch": 16, "blocks": list(BLOCKS)}
    graph = graph_of(residual=residual, norm="batch", block=2, optimizer="adam", probes=probes)
    trace = probed(Network.of(graph, data_of().shape), Budget.of(graph), [("he", 0, 0.01)])
    end = {**trace.measures[3], **trace.of_network[3]}
    for name in ALL_COLUMNS - {"noise_scale", "jacobian_log10_min"} - AT_INIT:
        assert np.isfinite(end[name]).all(), name


def test_what_is_measured_at_a_probe_is_of_the_probe_batch_and_the_net_as_it_is():
    blocks = [name for name in BLOCKS if name != "freeze"]
    graph = graph_of(norm="layer", probes={"steps": [3], "batch": 12, "blocks": blocks})
    net, budget = Network.of(graph, data_of().shape), Budget.of(graph)
    samples = samples_of(data_of(), [0], 3, budget.batch, budget.probe_batch, CPU)
    stack = Stack.of(net, budget, samples, (["he"], [0], [0.5]), torch.float32)
    update = [advance(stack, step, wanted=True) for step in (1, 2, 3)][-1]
    of_layers, of_network = at_probe(stack, 3, update)
    now, (x, labels) = doubled(stack.parameters), samples.at(samples.probe)
    snr, scale = noise(net, now, {}, LOSS, x.double(), labels)
    torch.testing.assert_close(of_layers["snr"], snr, **CLOSE)
    expected = {"noise_scale": scale, **of_jacobian(jacobian(net, now, {}, x.double()))}
    expected["shattering_cosine"] = shattering(net, now, {}, x.double())
    plain = Plain(graph, data_of(), now).load(now, 0)
    plain(x.double())
    s = np.linalg.svd(plain.a[-1].detach().numpy(), compute_uv=False)
    s = s / s.sum()
    expected["effective_rank"] = torch.tensor([np.exp(-(s * np.log(s)).sum())])
    for name, values in expected.items():
        torch.testing.assert_close(of_network[name], values, equal_nan=True, **CLOSE)
    assert expected.keys() == of_network.keys()


def test_interference_is_of_the_last_update_and_its_batch():
    graph = graph_of(probes={"steps": [0, 2, 3], "batch": 12, "blocks": ["interference"]})
    net, budget = Network.of(graph, data_of().shape), Budget.of(graph)
    samples = samples_of(data_of(), [0], 3, budget.batch, budget.probe_batch, CPU)
    stack = Stack.of(net, budget, samples, (["he"], [0], [0.5]), torch.float64)
    advance(stack, 1)
    before = copied(stack.parameters)
    update = advance(stack, 2, wanted=True)
    found, _ = at_probe(stack, 2, update)
    x, labels = samples.at(samples.order[1])
    expected = interference(
        net, before, doubled(stack.parameters), {}, LOSS, x.double(), labels
    )  # fmt: skip
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, **CLOSE)
    assert (found["interference"][0, 1:] > 0).all()


def cohort_of(**changes):
    graph = graph_of(depth=3, steps=12, batch=16, schedule="constant", clip="none", **changes)
    graph |= {"task": "digits", "data": "", "norm_position": "before", "block": 1, "stages": 1}
    graph |= OF_OTHER_FAMILIES
    graph |= {"probes": {"steps": [0, 4, 12], "batch": 16, "blocks": list(BLOCKS)}}
    common = {"lr_policy": "fixed", "lr_grid": [], "tuning_seeds": 0}
    runs = [
        {"run_id": f"r{n}", "cell": f"c{n}", "init": init, "seed": n, "lr": lr, **common}
        for n, (init, lr) in enumerate([("he", 0.05), ("orthogonal", 0.1), ("he", 1e30)])
    ]
    return {"id": "c", "split": "judged", "data_source": {"kind": "digits"}, **graph, "runs": runs}


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_job_with_every_block_fills_its_tables(family, norm):
    """The last run diverges: its measures are missing, and no error."""
    logs = job.run(cohort_of(family=family, norm=norm, activation="relu"), device="cpu")
    tables = {"layers": LAYERS, "networks": NETWORKS, "freeze": FREEZE, "runs": RUN_LOG}
    for name, table in tables.items():
        table.check(logs[name])
    healthy = logs["layers"][logs["layers"]["run_id"] != "r2"].set_index("step")
    assert healthy["snr"].notna().all()
    assert healthy.loc[[4, 12], "interference"].notna().all()
    assert healthy.loc[12, "reset_accuracy"].between(0, 1).all()
    assert healthy.loc[[0, 4], "reset_accuracy"].isna().all()
    nets = logs["networks"][logs["networks"]["run_id"] != "r2"].set_index("step")
    for name in ("jacobian_mean_square", "shattering_cosine", "effective_rank"):
        assert nets.loc[[0, 12], name].notna().all()
        assert nets.loc[4, name].isna().all()
    curve, runs = logs["freeze"].set_index(["run_id", "frozen"]), logs["runs"].set_index("run_id")
    for run_id in ("r0", "r1"):
        assert sorted(curve.loc[run_id].index) == [0, *frozen_layers(3)]
        assert curve.loc[(run_id, 0), "final_loss"] == runs.loc[run_id, "final_loss"]
        assert curve.loc[(run_id, 0), "test_accuracy"] == runs.loc[run_id, "final_test_accuracy"]
