"""a W + b of a stack in float64: the compiled loops against torch's products, gradients, bits."""

import itertools

import pytest
import torch

from vanishing.engine.products import affine

SIZES = list(itertools.product((1, 5, 64), (1, 10, 63, 64), (1, 10, 33, 128)))


def drawn(runs, batch, inputs, units):
    """a, W and b, which all want gradients."""
    generator = torch.Generator().manual_seed(batch + inputs + units)
    shapes = (runs, batch, inputs), (runs, inputs, units), (runs, 1, units)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


def gradients(z, tensors):
    delta = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
    return torch.autograd.grad(z, tensors, delta)


def assert_torch_agrees(a, weight, bias, tensors):
    """Value and gradients with respect to ``tensors``, to rounding of the largest."""
    found, theirs = affine(a, weight, bias), torch.baddbmm(bias, a, weight)
    assert found.is_contiguous()
    pairs = zip(
        (found, *gradients(found, tensors)), (theirs, *gradients(theirs, tensors)), strict=True
    )
    for ours, expected in pairs:
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-13 * expected.abs().max().item())


@pytest.mark.parametrize("runs", [1, 3])
def test_product_and_its_gradients_are_torchs_for_every_shape(runs):
    for size in SIZES:
        tensors = drawn(runs, *size)
        assert_torch_agrees(*tensors, tensors)


def test_strided_and_expanded_inputs_give_what_their_copies_give():
    a, weight, bias = drawn(3, 12, 20, 18)
    turned = a.transpose(1, 2)[:, ::2, ::3], weight[:, 1:9:2, ::2], bias[..., 1:10]
    assert_torch_agrees(*turned, [a, weight, bias])
    same = a[:1].expand(3, 12, 20), weight[1:2].expand(3, 20, 18), bias[:1].expand(3, 1, 18)
    assert_torch_agrees(*same, [a, weight, bias])


def test_gradient_of_an_expanded_sum_is_torchs():
    tensors = drawn(2, 7, 10, 9)
    found = torch.autograd.grad(affine(*tensors).sum(), tensors)
    a, weight, bias = tensors
    theirs = torch.autograd.grad(torch.baddbmm(bias, a, weight).sum(), tensors)
    torch.testing.assert_close(found, theirs, rtol=1e-13, atol=1e-13)


def test_gradients_can_be_differentiated():
    tensors = drawn(2, 3, 4, 5)
    assert torch.autograd.gradgradcheck(affine, tensors)


def test_runs_give_the_same_bits_alone():
    tensors = drawn(4, 13, 10, 12)
    z = affine(*tensors)
    found = torch.autograd.grad(z, tensors, torch.ones_like(z))
    for run in range(4):
        own = [t[run : run + 1].detach().requires_grad_() for t in tensors]
        alone = affine(*own)
        assert torch.equal(alone[0], z[run])
        theirs = torch.autograd.grad(alone, own, torch.ones_like(alone))
        assert all(torch.equal(g[run], t[0]) for g, t in zip(found, theirs, strict=True))


def test_product_may_be_changed_in_place():
    tensors = drawn(2, 8, 10, 9)
    a, weight, bias = tensors
    found = gradients(affine(*tensors).mul_(3), tensors)
    theirs = gradients(torch.baddbmm(bias, a, weight).mul_(3), tensors)
    torch.testing.assert_close(found, theirs, rtol=1e-12, atol=1e-12)


def test_what_is_not_a_number_stays_in_its_own_sample():
    a, weight, bias = (t.detach() for t in drawn(2, 8, 10, 9))
    a[1, 7, 3] = torch.nan
    broken = affine(a, weight, bias).isnan()
    assert broken[1, 7].all()
    assert broken.sum() == 9


def test_sizes_that_do_not_fit_are_refused():
    a, weight, bias = drawn(2, 3, 4, 5)
    with pytest.raises(RuntimeError):
        affine(a, weight[:, 1:], bias)
    with pytest.raises(RuntimeError):
        affine(a, weight, bias[..., 1:])


def test_float32_is_torchs_own():
    tensors = [t.detach().float() for t in drawn(2, 8, 10, 9)]
    a, weight, bias = tensors
    assert torch.equal(affine(*tensors), torch.baddbmm(bias, a, weight))
