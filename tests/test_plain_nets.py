"""The benchmark's plain networks train as the engine's do; its loggers change nothing."""

import json
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from benchmarks import plain_loggers, plain_nets
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
from .speed_cells import FAMILIES, STEPS, small


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
    found = json.loads(capsys.readouterr().out)
    assert len(found["training"]) == len(found["updates"]) == 2
    assert all(0 < u < t for u, t in zip(found["updates"], found["training"], strict=True))
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
    assert json.loads(capsys.readouterr().out)["updates"][0] > 0


def test_cockpit_is_told_of_every_update_and_sees_its_gradients(tmp_path, monkeypatch, capsys):
    told, written = [], []

    class Cockpit:
        def __init__(self, parameters, quantities):
            assert quantities == "those of economy"
            self.parameters = parameters

        @contextmanager
        def __call__(self, step, info):
            yield
            gradients = [p.grad.clone() for p in self.parameters]
            told.append((step, info, gradients))

        def create_graph(self, _):
            return False

        def write(self, path):
            written.append(path)

    configuration = SimpleNamespace(configuration=lambda label: f"those of {label}")
    monkeypatch.setitem(sys.modules, "cockpit", SimpleNamespace(Cockpit=Cockpit))
    monkeypatch.setitem(sys.modules, "cockpit.utils", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cockpit.utils.configuration", configuration)
    monkeypatch.setitem(sys.modules, "backpack", SimpleNamespace(extend=lambda net: net))
    described = small("cnn", tmp_path).as_json()
    (tmp_path / "cohort.json").write_text(json.dumps(described))
    plain_nets.main([str(tmp_path / "cohort.json"), "--logging", "cockpit"])
    assert [step for step, _, _ in told] == [0, 1, 2]
    for _, info, gradients in told:
        assert info["batch_size"] == 8
        assert info["individual_losses"].mean().item() == pytest.approx(info["loss"].item())
        assert all(g.abs().sum() > 0 for g in gradients[:2])
    assert written == [str(tmp_path / described["runs"][0]["run_id"])]
    assert json.loads(capsys.readouterr().out)["updates"][0] > 0


def test_no_logger_changes_what_is_trained(tmp_path):
    described = small("mlp", tmp_path).as_json()
    data, weights = load(described["data_source"]), []
    x, labels = torch.from_numpy(data.inputs[:8]), torch.from_numpy(data.labels[:8])
    for name in ("none", "hooks"):
        torch.manual_seed(0)
        net = plain_nets.net_of(described, data)
        with plain_loggers.LOGGERS[name](net, tmp_path / "log.json") as log:
            optimizer = plain_nets.optimizer_of(described, net, 0.1)
            plain_nets.update(net, optimizer, described, x, labels, log)
        weights.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.equal(*weights)
