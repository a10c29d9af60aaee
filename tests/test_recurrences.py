"""What the contracts of recurrences and of games catch, and what they let pass."""

import dataclasses
import re

import pytest
import torch

from vanishing.contract.games import game_problems
from vanishing.contract.recurrences import recurrence_problems
from vanishing.errors import UserError
from vanishing.parts.games import GAMES, Game
from vanishing.parts.recurrences import RECURRENCES, Recurrence, Step

VANILLA, LSTM, GRU, LEAKY = (RECURRENCES[n] for n in ("vanilla", "lstm", "gru", "leaky"))
HINGE, SQUARES, WGAN = (GAMES[n] for n in ("hinge", "least_squares", "wgan"))


def of_step(change, cell=VANILLA):
    """The cell with its step changed: ``change(step, p, r, before, phi, see)``."""

    def step(p, r, before, phi, see):
        return change(cell.step(p, r, before, phi, see), p, r, before, phi, see)

    return dataclasses.replace(cell, step=step)


def in_place(step, p, *_):
    p[0].mul_(1)
    p[0].add_(1)
    return step


def unseen(p, r, before, phi, see):  # noqa: ARG001
    h = p[0] + r[0]
    return Step(h, phi(h))


def past_phi(p, r, before, phi, see):  # noqa: ARG001
    h = see(0, p[0] + r[0])
    return Step(h, torch.tanh(h))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_, h):
        return torch.tanh(h)

    @staticmethod
    def backward(_, gradient):
        return 2 * gradient


def with_values(**names):
    return of_step(
        lambda step, *_: dataclasses.replace(step, **{n: f(step) for n, f in names.items()})
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (dataclasses.replace(VANILLA, columns=("candidate", "gate")), "must end with 'candidate'"),
        (dataclasses.replace(LSTM, columns=("a", "a", "b", "candidate")), "different names"),
        (dataclasses.replace(VANILLA, bias={"forget": 1.0}), "has forget"),
        (dataclasses.replace(LSTM, bias={"forget": float("nan")}), "bias must be finite"),
        (dataclasses.replace(VANILLA, reaches=0), "reaches must be a whole number from 1"),
        (dataclasses.replace(VANILLA, carry=1.5), r"carry must be in \[0, 1\]"),
        (dataclasses.replace(VANILLA, formula=""), "formula"),
        (dataclasses.replace(LEAKY, carry=0.95), "hands back 0.9 of a gradient"),
        (dataclasses.replace(VANILLA, carry=0.1), "hands back 0 of a gradient"),
        (dataclasses.replace(LSTM, bias={}), "hands back 0.5 of a gradient"),
        (dataclasses.replace(GRU, carry=0.6), "carry is 0.6, and with phi tanh"),
        (dataclasses.replace(VANILLA, columns=("gate", "candidate")), "has 0 gates, and"),
        (of_step(in_place), "changes its inputs in place"),
        (with_values(a=lambda s: s.a.float()), "a is .* in torch.float32"),
        (with_values(a=lambda s: s.a[..., :2]), r"a is \(3, 4, 2\)"),
        (with_values(h=lambda s: s.h / 0), "h holds values that are not finite"),
        (with_values(memory=lambda s: s.a[0]), r"memory is \(4, 5\)"),
        (of_step(lambda s, *_: dataclasses.replace(s, gates=(s.h, s.h)), GRU), r"in \[0, 1\]"),
        (dataclasses.replace(VANILLA, step=unseen), "must pass see once, and passes 0 times"),
        (dataclasses.replace(VANILLA, step=past_phi), "phi is not given h"),
        (of_step(lambda s, p, r, b, phi, see: see(0, p[0]) is None or s), "passes 2 times"),
        (of_step(lambda s, p, r, b, phi, see: see(3, p[0]) is None or s), r"columns \[3\]"),
        (with_values(h=lambda s: 2 * s.h), "h is not what see gives"),
        (with_values(a=lambda s: s.a - s.a.mean(0)), "a run's step depends on the other runs"),
        (with_values(a=lambda s: s.a - s.a.mean(1, keepdim=True)), "a sample's step depends"),
        (with_values(a=lambda s: Doubled.apply(s.h)), "not that of finite differences"),
        (dataclasses.replace(VANILLA, step=lambda *_: 1 / 0), "ZeroDivisionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_recurrence_that_breaks_its_contract_is_told_how(cell, message):
    problems = recurrence_problems(cell)
    assert any(re.search(message, problem) for problem in problems), problems


def test_a_recurrence_of_the_users_own_may_be_any_of_them():
    def kept(p, r, before, phi, see):
        """A state with a memory that decays by a gate's share, with two of the past's outputs."""
        gate, h = torch.sigmoid(see(0, p[0] + r[0])), see(1, p[1] + r[1])
        memory = gate * before.memory + phi(h)
        return Step(h, torch.tanh(memory), memory, (gate,))

    own = Recurrence(
        kept, "a user's own", "c = σ(.) c₋₁ + phi(h)", ("keep", "candidate"), reaches=2, carry=0.3
    )
    assert recurrence_problems(own) == []


@pytest.mark.parametrize(
    ("label", "carry"),
    [
        ("lstm(forget_bias=0)", 0.5), ("lstm(forget_bias=-30)", 0), ("leaky(alpha=0.75)", 0.25),
        ("skip(steps=9)", 0), ("gru", 0.5), ("minimal_gated", 0.5), ("vanilla", 0),
    ],
)  # fmt: skip
def test_carry_is_what_a_cell_without_weights_hands_back(label, carry):
    cell = RECURRENCES[label]
    assert recurrence_problems(cell) == []
    assert cell.carry == pytest.approx(carry, abs=1e-12)
    assert any("lower bound" in p for p in recurrence_problems(
        dataclasses.replace(cell, carry=cell.carry + 1e-6)
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("leaky(alpha=0)", r"alpha must be in \(0, 1\], and 0 came"),
        ("leaky(alpha=1.5)", r"alpha must be in \(0, 1\], and 1.5 came"),
        ("skip(steps=1)", "steps must be a whole number from 2 on, and 1 came"),
        ("skip(steps=2.5)", "steps must be a whole number from 2 on, and 2.5 came"),
        ("lsmt", "no recurrence is called 'lsmt'. Did you mean 'lstm'"),
        ("lstm(bias=1)", "its parameters are: forget_bias"),
    ],
)
def test_wrong_recurrences_are_refused(label, message):
    with pytest.raises(UserError, match=message):
        RECURRENCES[label]


# Games


def game(cell=HINGE, **fields):
    return dataclasses.replace(cell, **fields)


def mixed(real, fake):
    return -real + real.mean(1, keepdim=True) / 2, fake


def of_runs(real, fake):
    return -real, fake + fake.mean(0)


def logs(real, fake):
    return -torch.sigmoid(real).log(), -(1 - torch.sigmoid(fake)).log()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (game(threshold=float("nan")), "threshold must be finite, or None"),
        (game(clip=0), "clip must be finite and above 0"),
        (game(penalty=-1), "penalty must be finite and not below 0"),
        (game(generator=lambda fake: -fake.mean(1)), r"the loss of the generator .* is \(3,\)"),
        (game(generator=lambda fake: -fake.double()), "in torch.float64: it must be one"),
        (game(generator=lambda fake: -fake.add_(1)), "in place"),
        (game(discriminator=logs), "is not finite at an output of"),
        (game(generator=lambda fake: Doubled.apply(-fake)), "not that of finite differences"),
        (game(discriminator=mixed), "on real samples depends, for a sample, on the other samples"),
        (game(discriminator=of_runs), "depends, for a run, on the other runs"),
        (game(generator=lambda fake: fake), "of the generator must fall with the output"),
        (game(discriminator=lambda real, fake: (real, fake)), "on real samples must fall"),
        (game(discriminator=lambda real, fake: (-real, -fake)), "generated samples must rise"),
        (game(SQUARES, threshold=1.0), "must fall with the output where it is 1"),
        (game(generator=lambda _: 1 / 0), "ZeroDivisionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_game_that_breaks_its_contract_is_told_how(wrong, message):
    problems = game_problems(wrong)
    assert any(re.search(message, problem) for problem in problems), problems


def test_a_game_of_the_users_own_may_be_a_bounded_one():
    own = Game(
        lambda real, fake: (-torch.tanh(real), torch.tanh(fake)),
        lambda fake: -torch.tanh(fake),
        "a user's own",
    )
    assert game_problems(own) == []
    assert game_problems(dataclasses.replace(WGAN, clip=0.1)) == []
