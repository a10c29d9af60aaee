"""The benchmark of the hardware's share: the work that it counts is what plain torch does."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from benchmarks import peak, plain_nets, products, work
from benchmarks.speed_cells import CELLS, Cell, cohort_of
from torch.utils.flop_counter import FlopCounterMode

from vanishing.parts.tasks import load

from .small import CPU


def described_of(family, folder, runs=1):
    """The cohort's JSON of a family's first cell, at a small size."""
    cell = next(cell for cell in CELLS.values() if cell.family == family)
    battery = {**cell.battery, "width": 6, "train": {**cell.battery["train"], "batch": 8}}
    battery |= {"probes": {"batch": 8}} | ({"length": 5} if "length" in battery else {})
    if "length" not in battery:
        battery["factors"] = {**battery["factors"], "depth": [3]}
    return cohort_of(Cell(family, battery, 1, 1), runs, 3, folder).as_json()


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_an_update_has_the_operations_of_a_plain_net(family, tmp_path):
    described = described_of(family, tmp_path)
    data = load(described["data_source"])
    net = plain_nets.net_of(described, data)
    optimizer = plain_nets.optimizer_of(described, net, 0.1)
    x, labels = torch.from_numpy(data.inputs[:8]), torch.from_numpy(data.labels[:8])
    with FlopCounterMode(display=False) as counted:
        plain_nets.update(net, optimizer, described, x, labels)
    assert work.of_update(described, data).operations == counted.get_total_flops()


def test_a_turn_of_both_players_has_the_operations_of_plain_ones(tmp_path):
    described = described_of("gan", tmp_path)
    data = load(described["data_source"])
    players = plain_nets.Players(described, data.inputs.shape[1])
    optimizers = [plain_nets.optimizer_of(described, p, 0.1) for p in players.children()]
    noise = list(torch.randn(2, 8, described["latent"]).unbind())
    with FlopCounterMode(display=False) as counted:
        plain_nets.play(players, optimizers, torch.from_numpy(data.inputs[:8]), noise)
    assert work.of_update(described, data).operations == counted.get_total_flops()


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru"])
def test_a_recurrent_update_multiplies_each_weight_at_each_time_step(family, tmp_path):
    described = described_of(family, tmp_path)
    data = load(described["data_source"])
    gates, (steps, features) = {"rnn": 1, "lstm": 4, "gru": 3}[family], data.sequence
    own, of_past, of_head = gates * 6 * features, gates * 6 * 6, 6 * data.outputs
    each = steps * (2 * own + 3 * of_past) + 3 * of_head
    assert work.of_update(described, data).operations == 2 * 8 * each


def test_bytes_are_those_of_hidden_values_and_weights(tmp_path):
    described = described_of("mlp", tmp_path)
    data = load(described["data_source"])
    weights = data.inputs.shape[1] * 6 + 2 * 6 * 6 + 6 * data.outputs
    assert work.of_update(described, data).bytes == 4 * (8 * 5 * 3 * 6 + 6 * weights)
    adam = work.of_update({**described, "optimizer": "adam(beta_1=0.5)"}, data)
    assert adam.bytes == 4 * (8 * 5 * 3 * 6 + 10 * weights)


@pytest.mark.parametrize("family", ["mlp", "gan", "rnn"])
def test_a_cell_of_every_kind_is_measured(family):
    cell = next(cell for cell in CELLS.values() if cell.family == family)
    small = {**cell.battery, "width": 4, "probes": {"batch": 4}}
    small["train"] = {**small["train"], "batch": 4}
    small |= {"length": 4} if "length" in small else {}
    found = peak.row(replace(cell, battery=small), 2, CPU, times=2)
    assert found["runs"] == 2
    assert min(found["update"], found["operations"], found["bytes"], found["probed operations"]) > 0
    assert math.isfinite(found["probe"])


def test_shares_are_of_the_best_product_and_of_copying():
    each = {"runs": 2, "update": 0.5, "probe": 1.0, "operations": 1e9, "bytes": 3e9}
    found = peak.table(
        {"one": each | {"probed operations": 4e9}},
        pd.Series({"float32": 8.0, "float64": 16.0}),
        copied=12.0,
    ).loc["one"]
    assert found.tolist() == [2, 500, 2, 25, 6, 50, 2, 25]


def test_every_library_multiplies_the_same():
    a, w = torch.randn(1, 5, 7), torch.randn(1, 7, 3)
    known = products.libraries(a, w)
    assert {"torch", "numpy"} <= set(known)
    for multiply in known.values():
        got = torch.as_tensor(multiply()).reshape(5, 3)
        torch.testing.assert_close(got, a[0] @ w[0])


def test_rates_are_above_zero_for_both_types_of_numbers():
    found = products.products(CPU, [(1, 64, 64, 64), (3, 8, 8, 8)], times=3)
    assert {"torch 1 x 64 x 64 x 64", "numpy 3 x 8 x 8 x 8"} <= set(found.index)
    assert (found.loc[["torch 1 x 64 x 64 x 64"]] > 0).all(axis=None)
    assert products.copy_rate(CPU, 2**22, 3) > 0


def test_a_gpu_that_is_not_there_is_said_at_once(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        peak.main(["--device", "cuda"])
    assert ended.value.code == 2
    assert "device 'cuda' is not there" in capsys.readouterr().err
