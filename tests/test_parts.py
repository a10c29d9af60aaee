"""The contract that every registered part keeps, because it is registered, and what it catches."""

import dataclasses
import inspect
import math
import re

import pytest
import torch

from vanishing.contract.check import CONTRACTS
from vanishing.contract.inits import init_problems
from vanishing.contract.norms import norm_problems
from vanishing.contract.optimizers import (
    clip_problems,
    optimizer_problems,
    schedule_problems,
)
from vanishing.contract.residuals import residual_problems
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.inits import INITS
from vanishing.parts.laws import Law, normal, uniform
from vanishing.parts.losses import LOSSES
from vanishing.parts.norms import NORMS
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.residuals import RESIDUALS
from vanishing.parts.schedules import CLIPS, SCHEDULES, Clip, Schedule

REGISTRIES = [LOSSES, *(registry for registry, _ in CONTRACTS)]
NEEDED = {  # parts without defaults, by kind and name
    ("init", "gaussian"): "gaussian(sigma_w=1.5, sigma_b=0.3)",
    ("init", "uniform"): "uniform(sigma_w=1.5, sigma_b=0.3)",
    ("init", "one_layer"): "one_layer(layer=2, factor=0.3)",
    ("clip", "norm"): "norm(limit=1)",
    ("clip", "value"): "value(limit=0.5)",
}
EVERY = [
    pytest.param(
        registry, problems, NEEDED.get((registry.kind, name), name), id=f"{registry.kind}-{name}"
    )
    for registry, problems in CONTRACTS
    if registry is not ACTIVATIONS  # test_activations.py has them, at other parameters too
    for name in registry
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("registry", "problems", "label"), EVERY)
def test_every_part_keeps_its_contract(registry, problems, label):
    assert problems(registry[label]) == []


# What the contract catches


def varied(part, **fields):
    return dataclasses.replace(part, **fields)


def wide(law, factor):
    return Law(lambda place, generator: factor * law.draw(place, generator), law.cdf)


def no_seed(place, generator):  # noqa: ARG001
    return torch.randn(place.fan_in, place.units, generator=seeded(3))


def half_normal(place, generator):
    return normal.draw(place, generator).abs()


def fewer_zeros(place, generator):
    w = INITS["sparse"].law.draw(place, generator)
    return torch.where(torch.rand(w.shape, generator=generator) < 0.01, 1.0, w)


HE, SPARSE, BATCH = INITS["he"], INITS["sparse"], NORMS["batch"]


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (varied(HE, law=wide(normal, 1.03)), r"1\.06\d+ times the stated variance"),
        (varied(HE, law=Law(uniform.draw, normal.cdf)), "do not follow the law's cdf"),
        (varied(HE, law=Law(normal.draw, uniform.cdf)), "do not follow the law's cdf"),
        (varied(HE, law=Law(no_seed, normal.cdf)), "another seed gave the same draw"),
        (varied(HE, law=Law(half_normal, normal.cdf)), "stds off the stated one"),
        (varied(SPARSE, law=Law(fewer_zeros, SPARSE.law.cdf)), "of the weights are 0, and"),
        (varied(HE, weight_mean=lambda place: math.nan), "not finite"),
        (varied(HE, families=("ufo",)), "families must be some of mlp, cnn, rnn"),
        (
            varied(HE, law=Law(lambda p, g: normal.draw(p, g).T, normal.cdf)),
            r"shapes \(\(400, 200\), \(1, 400\)\) came",
        ),
    ],
)
def test_a_wrong_init_is_reported(init, message):
    problems = init_problems(init)
    assert any(re.search(message, problem) for problem in problems), problems


def centred(z, running, learning):  # noqa: ARG001
    return z - z.mean(1, keepdim=True)


@pytest.mark.parametrize(
    ("norm", "message"),
    [
        (varied(BATCH, apply=centred, running=False), "must be 1"),
        (varied(BATCH, mixes_samples=False), "mixes_samples says that samples do not"),
        (varied(NORMS["layer"], mixes_samples=True), "mixes_samples says that samples do"),
        (varied(NORMS["layer"], running=True), "running mean or variance stays as it was"),
        (
            varied(NORMS["layer"], apply=lambda z, r, learning: z / z.square().mean().sqrt()),
            "depend on the other runs",
        ),
        (
            varied(
                NORMS["rms"],
                apply=lambda z, r, learning: NORMS["rms"].apply(z.detach(), r, learning),
            ),
            "its gradient is not that of finite differences",
        ),
        (
            varied(NORMS["weight"], weigh=lambda w, gain, phi, top: w * gain),
            "a weight 7 times as large gives another result",
        ),
        (varied(NORMS["weight"], affine=("gain", "bias")), "a norm of weights can learn gain"),
        (varied(NORMS["group"], apply=lambda z, r, learning: z.flatten(2)[:, :, :3]), "became"),
    ],
)
def test_a_wrong_norm_is_reported(norm, message):
    problems = norm_problems(norm)
    assert any(re.search(message, problem) for problem in problems), problems


@pytest.mark.parametrize(
    ("residual", "message"),
    [
        (varied(RESIDUALS["identity"], add=lambda x, f: f * 1), "the skip is missing"),
        (varied(RESIDUALS["identity"], add=lambda x, f: x * 1), "does not give its branch"),
        (varied(RESIDUALS["identity"], add=lambda x, f: x.add_(f)), "in place"),
        (varied(RESIDUALS["identity"], add=lambda x, f: torch.cat([x, f], 2)), "became"),
        (varied(RESIDUALS["identity"], joins="inputs"), "joins must be 'pre_activations'"),
        (varied(RESIDUALS["scaled"], strength=lambda block, blocks: blocks**0.5), "strength of"),
        (varied(RESIDUALS["highway"], add=lambda x, f, t: x + t * f), "a gate of 1 the branch"),
    ],
)
def test_a_wrong_residual_is_reported(residual, message):
    problems = residual_problems(residual)
    assert any(re.search(message, problem) for problem in problems), problems


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda g, state, step: g.mul_(0.9), "changes its gradient in place"),
        (lambda g, state, step: -g, "led from"),
        (lambda g, state, step: g / g.norm(), "other runs of its stack"),
        (lambda g, state, step: g / g.abs().sqrt(), "gradients that were always 0"),
        (lambda g, state, step: g.sum(1), "gave a direction"),
    ],
)
def test_a_wrong_optimizer_is_reported(update, message):
    problems = optimizer_problems(varied(OPTIMIZERS["sgd"], update=update))
    assert any(re.search(message, problem) for problem in problems), problems


def test_wrong_schedules_and_clips_are_reported():
    assert "not in [0, 1]" in schedule_problems(Schedule(lambda step, steps: step, ""))[0]
    assert "nothing would be learned" in schedule_problems(Schedule(lambda n, steps: 0.0, ""))[0]
    for apply, message in {
        lambda gs: [g / sum(g.norm() for g in gs) for g in gs]: "clipped by those of other runs",
        lambda gs: [2 * g for g in gs]: "or grew",
        lambda gs: [g.clamp_(-1, 1) for g in gs]: "in place",
        lambda gs: gs[:1]: "2 gradients became 1",
    }.items():
        assert any(message in problem for problem in clip_problems(Clip(apply, "")))


def test_a_part_that_fails_is_reported_with_its_error():
    def fails(*_):
        raise ValueError("no such thing\nand more")

    for problems, part in (
        (init_problems, varied(HE, weight_std=fails)),
        (norm_problems, varied(BATCH, apply=fails)),
        (norm_problems, varied(NORMS["weight"], weigh=fails)),
        (residual_problems, varied(RESIDUALS["identity"], add=fails)),
        (residual_problems, varied(RESIDUALS["scaled"], strength=fails)),
        (optimizer_problems, varied(OPTIMIZERS["sgd"], update=fails)),
        (schedule_problems, Schedule(fails, "")),
        (clip_problems, Clip(fails, "")),
    ):
        assert problems(part)[-1].endswith("it fails with ValueError: no such thing")


# The registry


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_part_says_where_it_comes_from_and_what_its_formula_is(registry):
    for name in registry:
        part = registry[NEEDED.get((registry.kind, name), name)]
        assert part.source or name == "none", name
        assert part.formula, name


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_part_is_reached_by_the_label_of_its_name(registry):
    for name, entry in registry.entries.items():
        if isinstance(entry, registry.part):
            assert registry.label(name) == name
            continue
        parameters = inspect.signature(entry).parameters.values()
        whole = {p.name for p in parameters if isinstance(p.default, int) or p.annotation == "int"}
        given = {p.name: 2.0 if p.name in whole else 0.5 for p in parameters}
        label = registry.label({name: given})
        assert registry.label({name: given}) == label
        assert isinstance(registry[label], registry.part)


def test_a_parameter_at_its_default_stays_out_of_the_label():
    assert ACTIVATIONS.label({"leaky_relu": {"slope": 0.01}}) == "leaky_relu"
    assert ACTIVATIONS.label({"leaky_relu": {"slope": 0.2}}) == "leaky_relu(slope=0.2)"
    assert INITS.label({"gaussian": {"sigma_b": 0, "sigma_w": 4}}) == "gaussian(sigma_w=4)"


@pytest.mark.parametrize(
    ("registry", "label", "message"),
    [
        (INITS, "sparse(connections=0.5)", "connections must be a whole number"),
        (NORMS, "group(groups=2.5)", "groups must be a whole number"),
        (SCHEDULES, "warmup(warmup=1)", "a share of the steps"),
        (CLIPS, "norm(limit=0)", "limit must be above 0"),
        (CLIPS, "value(limit=-1)", "limit must be above 0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(registry, label, message):
    with pytest.raises(UserError, match=message):
        registry[label]


@pytest.mark.parametrize(
    ("registry", "spec", "message"),
    [
        (ACTIVATIONS, "tanhh", "no activation is called 'tanhh'. Did you mean 'tanh'"),
        (ACTIVATIONS, {"tanh": {"slope": 1}}, "takes none, and 'slope' came"),
        (ACTIVATIONS, {"leaky_relu": {"slop": 1}}, "Did you mean 'slope'"),
        (INITS, "gaussian", "needs sigma_w"),
        (INITS, {"gaussian": {"sigma_w": "big"}}, "sigma_w must be a number, and 'big' came"),
        (INITS, {"gaussian": {"sigma_w": float("nan")}}, "sigma_w must be finite, and nan came"),
        (INITS, ["he"], "is no init: give a name"),
        (ACTIVATIONS, "no_such_module:phi", "no module 'no_such_module' is found"),
    ],
)
def test_a_part_that_does_not_exist_is_refused_with_what_does(registry, spec, message):
    with pytest.raises(UserError, match=message):
        registry.label(spec)


def test_a_part_of_the_users_own_needs_no_registration(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text(
        "import torch\n"
        "from vanishing.parts.residuals import Residual, plus\n"
        "def halved(by=2.0):\n"
        "    return Residual(plus, 'me', 'x + f / by', strength=lambda block, blocks: 1 / by)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert RESIDUALS.label("my_parts:halved") == "my_parts:halved"
    part = RESIDUALS[RESIDUALS.label({"my_parts:halved": {"by": 4.0}})]
    assert part.strength(1, 9) == 1 / 4
    assert residual_problems(part) == []
    with pytest.raises(UserError, match="Did you mean 'halved'"):
        RESIDUALS.label("my_parts:halvd")
