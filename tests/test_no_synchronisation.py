"""A step of training on another device than the CPU waits for nothing, and notes the same.

The device is torch's ``meta``, whose tensors have no values: whoever asks for one is refused, as
are tensors of the CPU beside its own. Copies to it must not wait.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from vanishing.engine import adversarial
from vanishing.engine import stack as stacks
from vanishing.engine.adversarial import Match, Rules, players_of
from vanishing.engine.network import Network, flat
from vanishing.engine.nonfinite import _first, first_layers, first_weights, note, nothing_yet
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.combinations import impossible
from vanishing.parts.games import GAMES
from vanishing.parts.norms import NORMS
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.recurrences import RECURRENCES
from vanishing.parts.residuals import RESIDUALS
from vanishing.parts.schedules import CLIPS, SCHEDULES

from . import test_adversarial as gan
from . import test_recurrent as recurrent
from .small import CPU, OF_OTHER_FAMILIES, data_of, graph_of

META = torch.device("meta")
RUNS = (["he", "he", "xavier"], [1, 2, 3], [0.1, 0.05, 0.02])
WITH_LIMIT = {"norm": "norm(limit=0.5)", "value": "value(limit=0.01)"}


class NoWaiting(TorchDispatchMode):
    """Refuses what has the host wait for a device, or a device for the host."""

    asks = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, tensors = kwargs or {}, []
        tree_map_only(torch.Tensor, tensors.append, (args, kwargs))
        found = func(*args, **kwargs)
        there = {t.device.type for t in tensors}
        assert func.name().split(".")[0] not in self.asks or there == {"cpu"}, func
        if isinstance(found, torch.Tensor) and there and there != {found.device.type}:
            scalar = all(t.dim() == 0 for t in tensors if t.device.type == "cpu")
            waits = not kwargs.get("non_blocking") and not (scalar and len(there) > 1)
            assert not waits, f"{func} waits for a copy from {there} to {found.device}"
        return found


def on_meta(tensors):
    """Tensors in dicts and lists, on the device without values."""
    return tree_map_only(torch.Tensor, lambda t: t.detach().to(META), tensors)


def moved(trained):
    """A stack or player on that device."""
    parameters = on_meta(trained.parameters)
    return {
        "parameters": parameters,
        "learning": [t.requires_grad_() for t in flat(parameters)],
        "buffers": on_meta(trained.buffers),
        "initial": on_meta(trained.initial),
        "state": [{} for _ in trained.learning],
    }


def samples_moved(samples):
    return replace(samples, **on_meta(vars(samples)))


def stack_of(graph, data=None):
    """A stack of such runs on the CPU."""
    data = data or data_of()
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    probed = graph["probes"]["batch"]
    samples = samples_of(data, RUNS[1], graph["steps"], graph["batch"], probed, CPU)
    return Stack.of(net, budget, samples, RUNS, torch.float32)


def match_of(graph):
    """A match of such runs on the CPU."""
    data, rules = gan.data_of(), Rules.of(graph)
    return Match.of(rules, players_of(graph, data), data, RUNS, CPU, torch.float32)


def elsewhere(on_cpu):
    """A stack or match on the device without values."""
    own = {"samples": samples_moved(on_cpu.samples), "lr": on_meta(on_cpu.lr)}
    if isinstance(on_cpu, Stack):
        return replace(on_cpu, **own, **moved(on_cpu), kept=on_meta(on_cpu.kept))
    players = {
        name: replace(player, **moved(player), chained=False)  # as a player there is
        for name, player in on_cpu.players.items()
    }
    return replace(on_cpu, **own, **players, draws=replace(on_cpu.draws, device=META))


def assert_that_nothing_waits(on_cpu):
    """Two steps, and what a training does with them."""
    trained, first = elsewhere(on_cpu), nothing_yet(len(RUNS[0]), META)
    with NoWaiting():
        for step in (1, 2):
            if isinstance(trained, Stack):
                made = [stacks.advance(trained, step, wanted=step == 2)]
            else:
                made = adversarial.advance(trained, step, wanted=step == 2).values()
            for one in made:
                assert one.losses.device == one.nonfinite.device == META
                note(first, step, one.nonfinite)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU can wait for the host")
@pytest.mark.filterwarnings("ignore:.*set_sync_debug_mode")  # it says that it is new
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_on_a_gpu_has_nobody_wait(dtype):
    data, cuda = data_of(), torch.device("cuda")
    graph = graph_of(residual="stochastic_depth", depth=4)
    samples = samples_of(data, RUNS[1], graph["steps"], graph["batch"], 16, cuda)
    stack = Stack.of(Network.of(graph, data.shape), Budget.of(graph), samples, RUNS, dtype)
    rules, of_gan = Rules.of(gan.graph_of(instance_noise=0.1)), gan.data_of()
    match = Match.of(rules, players_of(gan.graph_of(), of_gan), of_gan, RUNS, cuda, dtype)
    for step in (1, 2):  # the first step may wait: it sets up what multiplies
        torch.cuda.set_sync_debug_mode("error" if step == 2 else "default")
        try:
            stacks.advance(stack, step, wanted=True)
            adversarial.advance(match, step, wanted=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def refused(graph):
    """Whether the parts of a graph don't go together."""
    try:
        own = {"init": "he", "kind": "npz", "image": (1, 4, 4)}
        return impossible({**OF_OTHER_FAMILIES, **graph, **own, "recurrence": "none"})
    except UserError as error:
        return str(error)


def labels_of(registry):
    return [WITH_LIMIT.get(name, name) if registry is CLIPS else name for name in registry]


OF_A_STEP = {
    "optimizer": OPTIMIZERS, "clip": CLIPS, "schedule": SCHEDULES, "activation": ACTIVATIONS,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "label"), [(k, label) for k, of in OF_A_STEP.items() for label in labels_of(of)]
)
def test_no_part_of_an_update_has_it_wait(kind, label):
    assert_that_nothing_waits(stack_of(graph_of(**{kind: label})))


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize(("kind", "label"), [
    *(("norm", name) for name in NORMS), *(("residual", name) for name in RESIDUALS),
])  # fmt: skip
def test_no_norm_and_no_residual_has_a_step_wait(family, kind, label):
    graph = graph_of(family=family, stages=1, block=1, norm_position="before", **{kind: label})
    if reason := refused(graph):
        pytest.skip(reason)
    assert_that_nothing_waits(stack_of(graph))


@pytest.mark.parametrize(
    ("recurrence", "answer", "inputs"),
    [(name, "end", "tokens") for name in RECURRENCES]
    + [("vanilla", "every", "numbers"), ("vanilla", "values", "numbers")],
)
def test_no_recurrence_has_a_step_wait(recurrence, answer, inputs):
    graph = recurrent.graph_of(answer, recurrence=recurrence, norm="layer", truncation=3)
    assert_that_nothing_waits(stack_of(graph, recurrent.data_of(answer, inputs)))


@pytest.mark.parametrize("game", list(GAMES))
@pytest.mark.parametrize("players", ["mlp", "cnn"])
def test_no_game_has_a_step_wait(game, players):
    shape = gan.CNN if players == "cnn" else gan.MLP
    noisy = {"instance_noise": 0.1, "residual": "stochastic_depth", "discriminator_steps": 2}
    assert_that_nothing_waits(match_of(gan.graph_of(game=game, **shape, **noisy)))


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_no_norm_of_a_player_has_a_step_wait(norm):
    assert_that_nothing_waits(match_of(gan.graph_of(norm=norm)))


@pytest.mark.parametrize(
    "ask",
    [
        lambda losses: bool(losses.isfinite().all()),
        lambda losses: losses[0].item(),
        lambda losses: losses[losses > 0],
        lambda losses: losses + torch.ones(3).to(losses.device),
        lambda losses: losses + torch.ones(3),
        lambda losses: losses.cpu(),
    ],
)
def test_a_step_that_waits_would_be_found(ask):
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), NoWaiting():
        ask(torch.zeros(3, device=META))


def planted(run, layer, value, depth=3):
    """h of a stack of 4 runs, (runs, batch, units) a layer, with a value in one run and layer.

    What is above it is not finite either.
    """
    generator = torch.Generator().manual_seed(0)
    h = [torch.randn(4, 5, 6, generator=generator) for _ in range(depth)]
    losses = torch.randn(4, generator=generator)
    for z in h[layer - 1 :]:
        z[run, 2, 3] = value
    losses[run] = torch.nan
    return losses, h


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_the_first_layer_that_is_not_finite_is_found_in_its_run(layer, value):
    """Layer 4 of 3 is the head; a layer in pieces counts as one."""
    losses, h = planted(2, layer, value)
    assert first_layers(losses, lambda: h).tolist() == [0, 0, layer, 0]
    pieces = [list(z.split(2, dim=2)) for z in h]
    assert first_layers(losses, lambda: pieces).tolist() == [0, 0, layer, 0]
    on_a_device = torch.where(losses.isfinite(), 0, _first(h))  # of all runs, with no look before
    assert on_a_device.tolist() == [0, 0, layer, 0]
    assert first_weights({"W": [*h, torch.ones(4, 2, 2)]}).tolist() == [0, 0, layer % 4, 0]


def test_a_value_that_no_loss_saw_is_of_no_layer():
    losses, h = planted(2, 1, torch.inf)
    losses[2] = 1.0
    assert first_layers(losses, pytest.fail) is None  # and no layer was asked for
    losses[0] = torch.inf
    assert first_layers(losses, lambda: h).tolist() == [4, 0, 0, 0]


def test_a_run_that_was_lost_before_is_not_looked_for_again():
    losses, h = planted(2, 1, torch.inf)
    lost = torch.tensor([False, False, True, False])
    assert first_layers(losses, pytest.fail, lost) is None
    losses[1] = torch.nan
    assert first_layers(losses, lambda: h, lost).tolist() == [0, 4, 0, 0]


def test_only_the_first_time_is_noted():
    first = nothing_yet(3, CPU)
    note(first, 1, None)
    note(first, 2, torch.tensor([0, 5, 0]))
    note(first, 3, torch.tensor([0, 1, 4]))
    assert first.tolist() == [[0, 0], [2, 5], [3, 4]]


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("layer", [1, 3, 5])
def test_what_training_notes_is_what_a_look_at_every_value_finds(layer, step):
    """A bias of one run is spoilt before an update; its layer and later ones are not finite."""
    graph = graph_of(steps=4, probes={"steps": [4], "batch": 8, "blocks": []})
    trained, found = stack_of(graph), {name: nothing_yet(3, CPU) for name in ("cpu", "hand")}
    for n in range(1, 5):
        if n == step:
            trained.parameters["b"][layer - 1].data[1] = torch.nan
        x, labels = trained.samples.at(trained.samples.order[n - 1])
        logits, h, _ = stacks.forward(trained.net, trained.parameters, x, trained.buffers)
        losses = trained.budget.loss.per_sample(logits, labels).mean(1).detach()
        note(found["hand"], n, _by_hand(losses, h))
        note(found["cpu"], n, stacks.advance(trained, n).nonfinite)
    assert torch.equal(found["cpu"], found["hand"])
    assert found["cpu"].tolist() == [[0, 0], [step, layer], [0, 0]]


def _by_hand(losses, h):
    """By hand, with no look at the losses first: 0, or the first layer with such a value."""
    found = []
    for run, loss in enumerate(losses):
        bad = [not np.isfinite(z[run].detach().numpy()).all() for z in h] + [True]
        found.append(0 if loss.isfinite() else bad.index(True) + 1)
    return torch.tensor(found)
