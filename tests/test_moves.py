"""What a player's update did to its weights, against the weights before it and after."""

import pytest
import torch

from vanishing.engine import moves
from vanishing.engine.adversarial import Match, Rules, advance, players_of
from vanishing.engine.moves import of_update, squares_of
from vanishing.engine.network import Network
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, copied
from vanishing.engine.stack import advance as advance_stack
from vanishing.engine.turns import turn_of_discriminator
from vanishing.parts.optimizers import OPTIMIZERS, Optimizer

from . import small
from .test_adversarial import CNN, CPU, LIVE, MLP, RUNS, data_of, graph_of

LABELS = [*OPTIMIZERS, "adamw(weight_decay=0.5)", "lion(weight_decay=0.2)", "adam(beta_1=0)"]
CLOSE = {"rtol": 1e-9, "atol": 1e-12, "equal_nan": True}


def match_of(graph, dtype=torch.float64):
    data = data_of()
    return Match.of(Rules.of(graph), players_of(graph, data), data, RUNS, CPU, dtype)


def stack_of(dtype, frozen=0, rate=0.1, **changes):
    """Two runs of three layers, of which one has the rate 0."""
    graph, data = small.graph_of(depth=3, steps=2, **changes), small.data_of()
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    runs = ["he", "xavier"], [0, 1], [rate, 0.0]
    samples = samples_of(data, runs[1], 2, budget.batch, budget.probe_batch, CPU)
    return Stack.of(net, budget, samples, runs, dtype, frozen)


def told_both_ways(monkeypatch):
    """What the loops tell of each update from here on, and what torch does, the way of a GPU."""
    taken, by_loops = [], moves._by_loops

    def both(*given):
        taken.append((by_loops(*given), moves._by_torch(*given)))
        return taken[-1][0]

    monkeypatch.setattr(moves, "_by_loops", both)
    return taken


def norm(t):
    return t.double().flatten(1).norm(dim=1)


def expected_of(player, before, earlier):
    """From what a player was, and the gradients of its turn before."""
    columns = {"total_change": [], "update_ratio": [], "consecutive_cosine": []}
    for n, (old, weight) in enumerate(zip(before, player.parameters["W"][:-1], strict=False)):
        new, start, g = weight.detach(), player.initial["W"][n], player.last.gradients[n]
        columns["total_change"].append(norm(new - start) / norm(start))
        columns["update_ratio"].append(norm(new - old) / norm(old))
        cosine = torch.full_like(norm(g), torch.nan)
        if earlier:
            cosine = (g * earlier[n]).flatten(1).sum(1) / (norm(g) * norm(earlier[n]))
        columns["consecutive_cosine"].append(cosine)
    return {name: torch.stack(of_layers, dim=1).double() for name, of_layers in columns.items()}


def assert_moves(graph, close, dtype=torch.float64):
    match, earlier = match_of(graph, dtype), {}
    for step in (1, 2, 3):
        before = {name: copied(p.parameters)["W"] for name, p in match.players.items()}
        turns = advance(match, step, wanted=True)
        for name, player in match.players.items():
            expected = expected_of(player, before[name], earlier.get(name))
            assert turns[name].moved.keys() == expected.keys()
            for column, values in expected.items():
                found = turns[name].moved[column]
                torch.testing.assert_close(found, values, **close)
                assert found.dtype == torch.float64
        earlier = {name: turn.gradients for name, turn in turns.items()}


@pytest.mark.parametrize("optimizer", LABELS)
def test_an_update_is_told_by_what_it_leaves_with_any_optimizer(optimizer):
    assert_moves(graph_of(**MLP, optimizer=optimizer), CLOSE)


@pytest.mark.parametrize("settings", [
    {**CNN, "norm": "batch"}, {**MLP, "game": "wgan"}, {**MLP, "clip": "norm(limit=0.01)"},
], ids=["cnn", "clipped weights", "clipped gradients"])  # fmt: skip
def test_so_is_one_of_any_player_and_what_is_clipped_is_told_as_it_was_taken(settings):
    assert_moves(graph_of(**settings, optimizer="adam"), CLOSE)


def test_in_float32_a_change_far_below_the_last_bit_of_a_weight_is_told():
    """The weights after an update do not tell it any more."""
    graph = graph_of(**MLP, optimizer="adam")
    match = match_of(graph, torch.float32)
    match.lr.mul_(1e-12)
    before = copied(match.generator.parameters)["W"]
    turn = advance(match, 1, wanted=True)["generator"]
    assert all(map(torch.equal, before, match.generator.parameters["W"]))
    sizes = torch.stack([norm(w) / w[0].numel() ** 0.5 for w in before[:-1]], dim=1)
    expected = match.lr[:, 0] / sizes  # the first step of Adam is that of signs
    torch.testing.assert_close(turn.moved["update_ratio"], expected.double(), rtol=0.02, atol=0)


def test_in_float32_a_plain_update_is_told_to_its_own_digits():
    close = {"rtol": 2e-4, "atol": 1e-7, "equal_nan": True}
    assert_moves(graph_of(**MLP, optimizer="adam"), close, torch.float32)


@pytest.mark.parametrize("optimizer", ["adam", "adamw(weight_decay=0.5)", "momentum"])
def test_loops_tell_what_torch_does(optimizer, monkeypatch):
    """The way of a GPU, on the same numbers."""
    match = match_of(graph_of(**MLP, optimizer=optimizer))
    taken = told_both_ways(monkeypatch)
    for step in (1, 2):
        advance(match, step, wanted=True)
    assert len(taken) == 4
    for found, expected in taken:
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            torch.testing.assert_close(found[name], values, **CLOSE)


@pytest.mark.parametrize("frozen", [0, 2, 3])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("family", ["mlp", "rnn"])
def test_loops_tell_of_the_layers_of_a_stack_that_learn(family, optimizer, frozen, monkeypatch):
    """What torch does, and what the weights themselves do."""
    stack = stack_of(torch.float64, frozen, family=family, optimizer=optimizer)
    taken = told_both_ways(monkeypatch)
    earlier = advance_stack(stack, 1, wanted=True).gradients
    before = copied(stack.parameters)["W"]
    found = advance_stack(stack, 2, wanted=True, earlier=earlier).moved
    rows = zip(before[:-1], stack.parameters["W"], strict=False)
    ratios = torch.stack([norm(new.detach() - old) / norm(old) for old, new in rows], dim=1)
    torch.testing.assert_close(found["update_ratio"], ratios, **CLOSE)
    assert (found["update_ratio"][0] > 0).tolist() == [layer >= frozen for layer in range(3)]
    for loops, by_torch in taken:
        for name, values in by_torch.items():
            torch.testing.assert_close(loops[name], values, **CLOSE)


@pytest.mark.parametrize("rate", [1e-3, 1e3, 1e9])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "momentum"])
@pytest.mark.parametrize("family", ["rnn", "cnn"])
def test_in_float32_an_update_that_leaves_nothing_of_the_weights_is_told(family, optimizer, rate):
    stack = stack_of(torch.float32, family=family, optimizer=optimizer, rate=rate)
    before = copied(stack.parameters)["W"]
    found = advance_stack(stack, 1, wanted=True).moved["update_ratio"]
    rows = zip(before[:-1], stack.parameters["W"], strict=False)
    expected = torch.stack([norm(new.detach() - old) / norm(old) for old, new in rows], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_an_update_of_weights_that_were_0_has_no_ratio(optimizer):
    """It is infinite; of what stays at 0 it is missing."""
    stack = stack_of(torch.float32, optimizer=optimizer, activation="gelu")
    with torch.no_grad():
        stack.parameters["W"][1].zero_()
    found = advance_stack(stack, 1, wanted=True).moved["update_ratio"]
    assert found[0].isposinf().tolist() == [False, True, False]
    assert found[1].isnan().tolist() == [False, True, False]  # its rate is 0


def test_what_adam_takes_of_a_vanished_gradient_has_its_digits():
    """A rate times a mean of such a gradient would not."""
    graph = graph_of(**MLP, optimizer="adam")
    match = match_of(graph, torch.float32)
    player, rule = match.generator, OPTIMIZERS["adam"]
    for state, weight in zip(player.state, player.learning, strict=True):
        state["m"], state["v"] = torch.full_like(weight, 1e-37), torch.zeros_like(weight)
    match.lr.fill_(1e-6)
    weights, gradients = squares_of(player.parameters["W"][:-1]), player.learning
    found = of_update(player, rule, match.lr, 50, gradients, None, [], weights)["update_ratio"]
    sizes = [w[0].numel() ** 0.5 * 1e-35 / (1 - 0.9**50) for w in player.parameters["W"][:-1]]
    expected = torch.tensor(sizes).double() / weights.T.sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_a_cosine_of_gradients_whose_squares_are_lost_is_told():
    """Of the run that has them, and of no other; of a gradient of 0 there is none."""
    graph = graph_of(**MLP, optimizer="sgd")
    match = match_of(graph)
    player, rule = match.generator, OPTIMIZERS["sgd"]
    advance(match, 1)
    gradients = [g.clone() for g in player.last.gradients]
    earlier = player.last.gradients

    def told():
        weights = squares_of(player.parameters["W"][:-1])
        return of_update(player, rule, match.lr, 2, gradients, earlier, gradients, weights)

    plain = told()
    torch.testing.assert_close(plain["consecutive_cosine"], torch.ones(2, 3).double(), **CLOSE)
    for n, scale in enumerate((1e-200, 1e200, 0.0)):
        gradients[n][0] *= scale
    found = told()["consecutive_cosine"]
    torch.testing.assert_close(found[0, :2], torch.ones(2).double(), **CLOSE)
    assert found[0, 2].isnan()
    assert torch.equal(found[1], plain["consecutive_cosine"][1])


def test_what_moments_tell_is_what_the_rule_gives():
    """Of every optimizer that has some, so that none is told by another's."""
    with_moments = [name for name in LABELS if OPTIMIZERS[name].moments]
    assert "adam" in with_moments
    gradient, generator = torch.empty(2, 3, 4).double(), torch.Generator().manual_seed(0)
    for name in with_moments:
        rule: Optimizer = OPTIMIZERS[name]
        (beta_1, beta_2, epsilon), state = rule.moments, {}
        for step in (1, 2, 3):
            d = rule.update(gradient.normal_(generator=generator), state, step)
            root = (state["v"] / (1 - beta_2**step)).sqrt() + epsilon
            torch.testing.assert_close(d, state["m"] / (1 - beta_1**step) / root, **CLOSE)


def test_several_turns_of_a_step_are_each_compared_with_the_one_before():
    """Which need not have been told of."""
    match = match_of(graph_of(**MLP, **LIVE))
    advance(match, 1)
    before = copied(match.discriminator.parameters)["W"]
    turn_of_discriminator(match, 2)
    earlier, middle = match.discriminator.last, copied(match.discriminator.parameters)["W"]
    found = turn_of_discriminator(match, 2, wanted=True).moved
    expected = expected_of(match.discriminator, middle, earlier.gradients)
    torch.testing.assert_close(found, expected, **CLOSE)
    assert earlier.moved is None
    assert not any(map(torch.equal, before, middle))
