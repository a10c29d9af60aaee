"""An update of a stack's tensors: what is told of it, and what a faster way may not change."""

from dataclasses import replace

import pytest
import torch

from vanishing.contract.optimizers import optimizer_problems
from vanishing.engine.updates import update
from vanishing.parts.optimizers import OPTIMIZERS

SHAPES = ((4, 5, 6), (4, 1, 6))
LR = torch.tensor([0.1, 0.1, 0.0, 0.03]).view(-1, 1, 1)
WAYS = [(name, fused) for name in OPTIMIZERS for fused in (True, False)]


def trained(name, fused, wanted, dtype=torch.float32):
    """The tensors after each of some updates, and what was told of them."""
    optimizer = OPTIMIZERS[name]
    optimizer = optimizer if fused else replace(optimizer, fused=None)
    tensors, state = [torch.ones(shape, dtype=dtype) for shape in SHAPES], [{} for _ in SHAPES]
    generator, after, told = torch.Generator().manual_seed(0), [], []
    for step in (1, 2, 3):
        gradients = [torch.randn(t.shape, generator=generator).to(dtype) for t in tensors]
        told.append(update(optimizer, tensors, gradients, state, LR.to(dtype), step, wanted))
        after.append([t.clone() for t in tensors])
    return after, told


@pytest.mark.parametrize(("name", "fused"), WAYS)
def test_what_is_told_of_an_update_does_not_change_it(name, fused):
    after, told = trained(name, fused, wanted=2)
    quietly, nothing = trained(name, fused, wanted=0)
    assert nothing == [[]] * 3
    for step in range(3):
        assert all(map(torch.equal, after[step], quietly[step]))
        assert len(told[step]) == len(SHAPES)


@pytest.mark.parametrize(("name", "fused"), WAYS)
def test_of_the_tensors_that_nobody_asks_about_nothing_is_told(name, fused):
    (_, told), (_, first) = (trained(name, fused, wanted) for wanted in (2, 1))
    for both, one in zip(told, first, strict=True):
        assert len(one) == 1
        assert torch.equal(one[0], both[0])


@pytest.mark.parametrize(("name", "fused"), WAYS)
def test_the_changes_are_what_was_taken_from_the_tensors(name, fused):
    after, told = trained(name, fused, wanted=2, dtype=torch.float64)
    for step in (1, 2):
        for old, new, change in zip(after[step - 1], after[step], told[step], strict=True):
            torch.testing.assert_close(old - new, change, rtol=1e-9, atol=1e-12)
            assert not change[2].any()  # of a run whose rate is 0
            assert change[1].any()


@pytest.mark.parametrize("name", [name for name, of in OPTIMIZERS.items() if of.fused])
def test_a_fused_optimizer_that_does_something_else_is_reported(name):
    other = OPTIMIZERS["adam(beta_1=0.5)"].fused
    assert not optimizer_problems(OPTIMIZERS[name])
    problems = optimizer_problems(replace(OPTIMIZERS[name], fused=other))
    assert any("fused" in problem for problem in problems)
