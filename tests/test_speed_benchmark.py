"""The benchmark of speed: its arms train the same networks, and its table says what was met."""

import json
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from benchmarks import plain_nets, speed
from benchmarks.speed_cells import CELLS, Cell, cohort_of, probed, shares
from torch import nn

from vanishing.engine import adversarial
from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget
from vanishing.engine.training import train_stack
from vanishing.parts.tasks import load

from .plain import like
from .plain_recurrent import Fused
from .small import CLOSE, CPU

FAMILIES = list(dict.fromkeys(cell.family for cell in CELLS.values()))
STEPS = 3


def small(family, folder, runs=1):
    """The cohort of the family's first cell, with small nets and batches."""
    cell = next(cell for cell in CELLS.values() if cell.family == family)
    battery = {**cell.battery, "width": 5, "train": {**cell.battery["train"], "batch": 8}}
    battery |= {"probes": {"batch": 8}} | ({"length": 7} if "length" in battery else {})
    if "length" not in battery:
        battery["factors"] = {**battery["factors"], "depth": [2]}
    return cohort_of(Cell(family, battery, 1, 1), runs, STEPS, folder)


def with_weights(net, drawn):
    """A plain net of linear layers or convolutions with the weights of the engine's first run."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer, w, b in zip(layers, drawn["W"], drawn["b"], strict=True):
        layer.weight.data, layer.bias.data = like(w[0], layer.weight), like(b[0], layer.bias)
    return net.double()


def runs_of(described):
    columns = ("init", "seed", "lr")
    return tuple([run[name] for run in described["runs"]] for name in columns)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "gan"])
def test_plain_updates_lose_what_the_engines_do(family, tmp_path):
    described = small(family, tmp_path).as_json()
    data, (inits, seeds, rates) = load(described["data_source"]), runs_of(described)
    net, budget = Network.of(described, data.shape), Budget.of(described)
    engine = train_stack(net, budget, data, inits, seeds, rates, CPU, torch.float64)
    drawn, plain = draw(net, inits, seeds), plain_nets.net_of(described, data)
    if described["family"] == "rnn":
        fused = Fused(described, data.sequence, drawn)
        plain = plain.double()
        plain.load_state_dict(fused.state_dict())
    else:
        plain = with_weights(plain, drawn)
    samples = samples_of(data, seeds, STEPS, described["batch"], 8, CPU)
    optimizer = plain_nets.optimizer_of(described, plain, rates[0])
    for step, rows in enumerate(samples.order[:, 0]):
        x, labels = samples.at(rows, torch.float64)
        labels = labels.double() if labels.is_floating_point() else labels
        loss = plain_nets.update(plain, optimizer, described, x, labels)
        assert loss.item() == pytest.approx(engine.losses[step, 0], rel=CLOSE["rtol"])


def test_plain_players_lose_what_the_engines_do(tmp_path):
    described = small("gan", tmp_path).as_json()
    data, runs = load(described["data_source"]), runs_of(described)
    nets, rules = adversarial.players_of(described, data), adversarial.Rules.of(described)
    match = adversarial.Match.of(rules, nets, data, runs, CPU, torch.float64)
    plain = plain_nets.Players(described, data.inputs.shape[1])
    for name, player in match.players.items():
        with_weights(getattr(plain, name), player.parameters)
    optimizers = [
        plain_nets.optimizer_of(described, player, runs[2][0]) for player in plain.children()
    ]
    shape = described["batch"], described["latent"]
    again = adversarial.Draws(runs[1], CPU, torch.float64)
    for step in range(1, STEPS + 1):
        turns = adversarial.advance(match, step)
        real, _ = match.samples.at(match.samples.order[step - 1, 0], torch.float64)
        noise = [again.normal(f"latent_of_{name}", *shape)[0] for name in reversed(match.players)]
        losses = plain_nets.play(plain, optimizers, real, noise)
        for name, loss in zip(reversed(match.players), losses, strict=True):
            assert loss.item() == pytest.approx(turns[name].losses.item(), rel=CLOSE["rtol"])


def test_batches_hold_each_sample_once_an_epoch():
    rows = torch.stack(list(plain_nets.batches(11, 5, 4)))
    assert rows.shape == (4, 5)
    for epoch in rows.view(2, -1).tolist():
        assert len(set(epoch)) == 10
        assert set(epoch) <= set(range(11))


@pytest.mark.parametrize("family", FAMILIES)
def test_hooks_log_every_update_of_every_layer(family, tmp_path, capsys):
    described = small(family, tmp_path, runs=2).as_json()
    (tmp_path / "cohort.json").write_text(json.dumps(described))
    plain_nets.main([str(tmp_path / "cohort.json"), "--runs", "2", "--logging", "hooks"])
    assert len(json.loads(capsys.readouterr().out)) == 2
    for run in described["runs"]:
        rows = json.loads((tmp_path / f"{run['run_id']}.json").read_text())
        assert len(rows) == STEPS
        data = load(described["data_source"])
        gan = described["family"] == "gan"
        net = plain_nets.Players(described, 2) if gan else plain_nets.net_of(described, data)
        layers = [name for name, part in net.named_modules() if [*part.parameters(recurse=False)]]
        for row in rows:
            assert all(row[f"{name}.sd"] > 0 for name in layers)
            learning = [name for name, p in net.named_parameters() if p.requires_grad]
            assert {f"{name}.gradient" for name in learning} <= set(row)
            assert all(row[f"{name}.delta"] >= 0 for name in layers)


def test_wandb_watches_the_net_and_is_told_every_loss(tmp_path, monkeypatch, capsys):
    told, watched, finished = [], [], []
    run = SimpleNamespace(
        watch=lambda net, **how: watched.append((net, how)),
        log=told.append,
        finish=lambda: finished.append(True),
    )
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **_: run))
    (tmp_path / "cohort.json").write_text(json.dumps(small("mlp", tmp_path).as_json()))
    plain_nets.main([str(tmp_path / "cohort.json"), "--logging", "wandb"])
    [(net, how)] = watched
    assert isinstance(net, nn.Sequential)
    assert how == {"log": "all", "log_freq": 1}
    assert [set(row) for row in told] == [{"loss_0"}] * STEPS
    assert finished == [True]
    assert json.loads(capsys.readouterr().out)[0] > 0


def test_every_cell_has_the_depth_and_width_of_its_name(tmp_path):
    for name, cell in CELLS.items():
        graph = cohort_of(cell, 2, STEPS, tmp_path).as_json()
        sizes = {part[0]: int(part[1:]) for part in name.split("-")[1:]}
        assert graph["width"] == sizes["w"]
        assert graph["depth"] == sizes.get("d", 1)
        assert graph["length"] == sizes.get("t", 0)


def test_shares_hold_every_run_once_and_are_never_empty(tmp_path):
    cohort = small("mlp", tmp_path, runs=3)
    for count in (1, 2, 3, 5):
        dealt = [m.run_id for part in shares(cohort, count) for m in part.members]
        assert sorted(dealt) == sorted(member.run_id for member in cohort.members)
        assert all(part.members for part in shares(cohort, count))


def test_the_arms_of_the_engine_differ_in_their_probes_alone(tmp_path):
    described = small("mlp", tmp_path).as_json()
    steps = {arm: probed(described, arm)["probes"]["steps"] for arm in ("d", "off", "every")}
    assert steps == {"d": [0, 1, 2, 3], "off": [0, 3], "every": [0, 1, 2, 3]}
    for arm in steps:
        assert {**probed(described, arm), "probes": described["probes"]} == described


@pytest.mark.slow
def test_the_engine_trains_all_runs_in_jobs_of_their_own(tmp_path):
    found = speed.engine(small("gan", tmp_path, runs=3), "off", tmp_path)
    assert (found.runs, found.steps, found.probes) == (3, STEPS, 2)
    assert 0 < found.training < found.seconds


def test_a_command_that_fails_ends_the_benchmark_with_its_words():
    with pytest.raises(SystemExit, match="words"):
        speed.finish([[sys.executable, "-c", "raise SystemExit('words')"]], {})


def rows_of(cell, seconds):
    """Rows of two pairs: the arms' seconds for 100 runs of 10 steps, and their probes."""
    probes = {"d": 5, "off": 2, "every": 11}
    return [
        {"cell": cell, "pair": pair, "arm": arm}
        | speed.Time(100, 10, of * (1 + pair), of, probes.get(arm, 0)).row()
        for pair in (0, 1)
        for arm, of in seconds.items()
    ]


def test_the_table_has_a_row_a_cell_and_says_what_was_met():
    seconds = {"a": 40.0, "b": 4.0, "c": 2.0, "d": 1.05, "off": 1.02, "every": 1.11, "e": 12.0}
    rows = [row for cell in CELLS for row in rows_of(cell, seconds)]
    lines = speed.table(rows).splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(CELLS)
    by_cell = {line.split()[0]: line for line in lines[1:]}
    assert "38.10 (38.10 to 38.10) >=20 met" in by_cell["mlp-d8-w64"]
    assert "1.90 (1.90 to 1.90) >=2 missed" in by_cell["mlp-d8-w64"]
    assert "1.90 (1.90 to 1.90) >=1.2 met" in by_cell["cnn-d8-w16"]
    assert "5.00 (5.00 to 5.00) <=5 met" in by_cell["mlp-d8-w64"]


def test_an_arm_that_was_not_measured_has_no_column():
    table = speed.table(rows_of("gan-d3-w64", {"c": 2.0, "off": 1.0}))
    assert table.splitlines()[0].split() == ["c", "off", "off/c", "warm"]


def test_overhead_is_of_a_training_without_any_probe():
    rows = rows_of("gan-d3-w64", {"off": 1 + 2 * 0.01, "d": 1 + 5 * 0.01, "every": 1 + 11 * 0.02})
    of = pd.DataFrame(rows).pivot(index="pair", columns="arm")
    assert speed.overhead(of, "d").tolist() == pytest.approx([5, 5])
    each = (0.22 - 0.02) / 9
    assert speed.overhead(of, "every").tolist() == pytest.approx(
        [100 * 11 * each / (1.02 - 2 * each)] * 2
    )


def test_arms_take_turns_in_reverse_order_in_every_other_pair(tmp_path, monkeypatch, capsys):
    called = []

    def timed(cohort, arm, _):
        called.append((len(cohort.members), arm))
        return speed.Time(4, 10, 2.0, 1.0, 2)

    monkeypatch.setattr(speed, "timed", timed)
    out = tmp_path / "rows.csv"
    words = ["--families", "gan", "--arms", "c,d", "--runs", "4", "--pairs", "2", "--out", str(out)]
    speed.main(words)
    assert called == [(4, "c"), (4, "d"), (4, "d"), (4, "c")]
    assert pd.read_csv(out)["rate"].tolist() == [20.0] * 4
    assert "1.00 (1.00 to 1.00) >=2 missed" in capsys.readouterr().out


def test_plain_arms_train_no_more_runs_than_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(speed.slots, "cores", lambda: 4)
    asked = []

    def plain(*given):
        asked.append(given[1:4])

    monkeypatch.setattr(speed, "plain", plain)
    for arm in ("a", "b", "c", "e"):
        speed.timed(small("mlp", tmp_path, runs=2), arm, tmp_path)
        speed.timed(small("mlp", tmp_path, runs=9), arm, tmp_path)
    assert asked == [
        (1, 1, "hooks"), (1, 1, "hooks"), (1, 1, "none"), (1, 2, "none"),
        (2, 1, "none"), (4, 2, "none"), (1, 1, "wandb"), (1, 1, "wandb"),
    ]  # fmt: skip


def test_a_family_or_arm_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit):
        speed.arguments(["--families", "mlp,transformer"])
    assert "transformer is none of mlp, cnn, rnn, lstm, gru, gan" in capsys.readouterr().err


def test_wandb_is_left_out_where_it_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda _: None)
    assert speed.arguments(["--arms", "e,b"]).arms == ["b"]
    assert "(e) is left out: wandb is not installed" in capsys.readouterr().out
