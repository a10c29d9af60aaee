"""How good generated samples are: modes, kernel and Fréchet distances, the digit classifier."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from vanishing.engine import quality
from vanishing.engine.quality import (
    Real,
    _reach,
    compiled_sums,
    digit_classifier,
    digit_features,
    frechet,
    mmd2,
    modes_and_quality,
    sums_of_kernels,
)
from vanishing.parts.tasks import digits

ANGLES = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
RING = 2 * torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
SD = 0.02


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mmd(x, y):
    return mmd2(x, Real.of(y))


def modes_covered(samples, centres=RING, sd=SD):
    return modes_and_quality(samples, centres, sd)[0]


def high_quality(samples, centres=RING, sd=SD):
    return modes_and_quality(samples, centres, sd)[1]


def of_modes(modes, m=400, seed=0):
    """Samples (m, 2) of the first so many modes in turn."""
    return RING[torch.arange(m) % modes] + SD * normal(seed, m, 2)


# Modes


def test_samples_of_k_modes_cover_k_modes():
    samples = torch.stack([of_modes(k) for k in range(1, 9)])
    assert modes_covered(samples).tolist() == list(range(1, 9))


def test_share_of_high_quality_of_the_data_itself_is_that_of_a_gaussian_in_the_plane():
    share = high_quality(of_modes(8, 40_000)[None])
    # Four standard errors of a share about 1 - exp(-9/2).
    expected = 1 - math.exp(-4.5)
    assert float(share) == pytest.approx(
        expected, abs=4 * math.sqrt(expected * (1 - expected) / 4e4)
    )


def test_a_sample_counts_within_three_standard_deviations_of_its_nearest_mode():
    inside = RING[3] + torch.tensor([0.0, 2.99 * SD])
    outside = RING[5] - torch.tensor([3.01 * SD, 0.0])
    samples = torch.stack([inside, outside, inside, torch.zeros(2)])[None]
    assert high_quality(samples).tolist() == [0.5]
    assert modes_covered(samples).tolist() == [1]


def test_a_sample_near_two_modes_counts_for_the_nearest_alone():
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert modes_covered(torch.tensor([[[0.4, 0.0]]]), centres, 1.0).tolist() == [1]


def test_noise_and_samples_that_are_not_finite_cover_no_mode():
    samples = torch.stack([torch.zeros(50, 2), torch.full((50, 2), torch.nan)])
    samples[1, ::2] = torch.inf
    assert modes_covered(samples).tolist() == [0, 0]
    assert high_quality(samples).tolist() == [0, 0]


# Kernel distance


def test_mmd_is_the_double_sum_of_its_definition():
    x, y = normal(1, 2, 6, 3) + 0.3, normal(2, 7, 3)
    distances = [math.dist(y[i], y[j]) for i in range(7) for j in range(i)]
    middle = sorted(distances)[len(distances) // 2]  # of 21
    scales = [middle / 4, middle / 2, middle, 2 * middle, 4 * middle]

    def k(a, b):
        return sum(math.exp(-(math.dist(a, b) ** 2) / (2 * s**2)) for s in scales)

    for run, found in zip(x, mmd(x, y), strict=True):
        own = np.mean([k(run[i], run[j]) for i in range(6) for j in range(6) if i != j])
        real = np.mean([k(y[i], y[j]) for i in range(7) for j in range(7) if i != j])
        other = np.mean([k(a, b) for a in run for b in y])
        assert float(found) == pytest.approx(own + real - 2 * other, rel=1e-12)


def test_mmd_of_equal_distributions_is_zero_in_expectation():
    found = torch.stack([mmd(normal(s, 1, 60, 2), normal(s + 500, 60, 2))[0] for s in range(200)])
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean()) < 4 * error
    assert (found < 0).any()


def test_mmd_grows_with_a_shift_up_to_what_disjoint_samples_have():
    x, y = normal(3, 200, 2), normal(4, 200, 2)
    shifted = torch.stack([x + shift for shift in (0.0, 0.5, 1.0, 3.0)])
    found = mmd(shifted, y)
    assert (found.diff() > 0).all()
    assert abs(found[0]) < 0.05
    assert found[3] > 1
    own = mmd((x + 1e6)[None], y)  # no kernel reaches across: what is left are the own sums
    assert float(own) == pytest.approx(float(mmd((x - 1e6)[None], y)), rel=1e-6)
    assert own > found[3]


def test_mmd_takes_its_bandwidths_from_the_real_data():
    x, y = normal(5, 1, 50, 3) + 1, normal(6, 60, 3)
    torch.testing.assert_close(mmd(1000 * x, 1000 * y), mmd(x, y))


def test_mmd_of_real_data_with_many_copies_has_a_bandwidth():
    y = torch.cat([torch.zeros(50, 2), normal(7, 10, 2)])
    assert mmd(normal(8, 1, 20, 2), y).isfinite().all()


@pytest.mark.parametrize("widest", [3.0, 100.0])
def test_sums_of_kernels_are_the_same_compiled_and_by_torch(widest):
    """Whatever the number of values: near points far from 0, points that are equal or far apart."""
    for values in (1, 2, 3, 64):
        x, y = normal(20, 3, 40, values), normal(21, 30, values)
        x[0, :5], x[1], x[2, 3] = y[:5], x[1] * 1e-9 + 1e6, 1e200
        expected = sums_of_kernels(x, y, widest)
        for found, sums in zip(compiled_sums(x, y, widest), expected, strict=True):
            torch.testing.assert_close(found, sums, rtol=1e-13, atol=1e-12)  # of 780 or more
        assert (expected[0] > 0).all()


EXPONENTS = [0.0, 1e-12, 1e-3, 0.1, 0.4, 0.7, 1.0, 1.19, 1.21, 3.0, 10.0, 30.0, 39.0]


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_kernel_of_a_pair_is_that_of_the_system_library(exponent):
    """To 2e-14 each, of the widest one's exponent; the others have 4, 16, 64 and 256 times it."""
    apart = torch.tensor([[[0.0], [math.sqrt(2 * exponent)]]], dtype=torch.float64)
    expected = sum(math.exp(-exponent * 4**n) for n in range(5))
    own, shared = compiled_sums(apart, apart[0], 1.0)
    assert float(own) == pytest.approx(expected, abs=2e-14)
    assert float(shared) == pytest.approx(2 * 5 + 2 * expected, abs=4e-14)


def test_runs_are_near_where_no_two_points_are_further_apart_than_the_first_series_reaches():
    """Those of a run, and of a run and the real data."""
    ends = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [3.0, 0.0]], [[0.5, 0.5]] * 2])
    reach = _reach(ends.double(), torch.tensor([[0.0, -1.0]], dtype=torch.float64))
    assert reach.tolist() == [1 + 4, 9 + 1, 0.25 + 2.25]


def test_pairs_beyond_all_kernels_add_nothing_that_counts():
    apart = torch.tensor([[[0.0], [20.0], [1e3], [1e300]]], dtype=torch.float64)
    own, _ = compiled_sums(apart, apart[0], 1.0)
    assert abs(float(own)) < 6 * 2e-16


# Fréchet distance


def test_frechet_is_that_of_scipys_matrix_square_root():
    mixing = normal(9, 3, 5, 5)
    x, y = normal(10, 3, 300, 5) @ mixing + 0.5, normal(11, 200, 5) @ normal(12, 5, 5)
    for run, found in zip(x.numpy(), frechet(x, y), strict=True):
        c_x, c_y = np.cov(run.T), np.cov(y.numpy().T)
        root = scipy.linalg.sqrtm(c_x @ c_y).real
        shift = run.mean(0) - y.numpy().mean(0)
        expected = shift @ shift + np.trace(c_x + c_y - 2 * root)
        assert float(found) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_a_shift_is_its_square():
    y = normal(13, 100, 4)
    shift = torch.tensor([1.0, -2.0, 0.0, 3.0], dtype=torch.float64)
    assert float(frechet((y + shift)[None], y)) == pytest.approx(14, rel=1e-12)


def test_frechet_of_a_scale_is_the_squared_difference_of_the_standard_deviations():
    y = normal(14, 100, 4)
    centred = y - y.mean(0)
    expected = 4 * float(centred.square().sum()) / 99  # (3 - 1)^2 tr C
    assert float(frechet(3 * centred[None], centred)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("m", [3, 50])
def test_frechet_of_equal_samples_is_zero_though_features_are_dead_or_more_than_samples(m):
    y = normal(15, m, 8)
    y[:, 2] = 0
    y[:, 5] = y[:, 6]
    found = frechet(y[None], y)
    assert 0 <= float(found) < 1e-12 * float(y.square().sum())


def test_frechet_is_the_same_both_ways():
    x, y = normal(16, 80, 6), normal(17, 90, 6) @ normal(18, 6, 6)
    torch.testing.assert_close(frechet(x[None], y), frechet(y[None], x))


# All measures


MEASURES = {
    "modes": lambda x, y: modes_covered(x),
    "high_quality": lambda x, y: high_quality(x),
    "mmd": mmd,
    "frechet": frechet,
}


@pytest.mark.parametrize("name", MEASURES)
def test_a_stack_of_runs_equals_each_run_alone(name):
    stack = torch.stack([of_modes(k, 100, seed=k) for k in (1, 4, 8)])
    stack[1, :10], stack[2, :20] = 0, 0  # no mode's
    found = MEASURES[name](stack, of_modes(8, 120))
    assert found.shape == (3,)
    assert found.dtype == torch.float64
    assert len(set(found.tolist())) == 3
    for run, value in zip(stack, found, strict=True):
        alone = MEASURES[name](run[None], of_modes(8, 120))
        torch.testing.assert_close(alone, value[None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_float32_is_computed_in_float64(name):
    stack = of_modes(5, 100)[None].float()
    found, exact = (MEASURES[name](x, of_modes(8, 120)) for x in (stack, stack.double()))
    assert torch.equal(found, exact)


@pytest.mark.parametrize("name", ["mmd", "frechet"])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_run_that_diverged_has_no_distance_and_the_others_keep_theirs(name, wrong):
    stack = torch.stack([of_modes(3, 50), of_modes(4, 50)])
    alone = MEASURES[name](stack[1:], of_modes(8, 60))
    stack[0, 7, 1] = wrong
    found = MEASURES[name](stack, of_modes(8, 60))
    assert found.isnan().tolist() == [True, False]
    torch.testing.assert_close(found[1:], alone)


# Features of digits


def images():
    return torch.from_numpy(digits().inputs)


def test_classifier_tells_digits_that_it_has_not_seen():
    assert 0.95 < digit_classifier().accuracy <= 1


def test_features_are_those_of_the_last_hidden_layer():
    x, classifier = images()[:20].double(), digit_classifier()
    for weight, bias in classifier.layers[:-1]:
        x = (x @ weight + bias).clamp(min=0)
    found = digit_features()(images()[:20].view(2, 10, 64))
    assert found.shape == (2, 10, 32)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    torch.testing.assert_close(found.view(20, 32), x)


def test_classifier_is_trained_once_and_always_the_same():
    first = digit_classifier()
    assert digit_classifier() is first
    state = torch.random.get_rng_state()
    with torch.no_grad():
        second = digit_classifier.__wrapped__()
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, other in zip(first.layers, second.layers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_frechet_of_digits_tells_digits_from_noise_and_from_one_class_alone():
    order = torch.from_numpy(np.random.RandomState(1).permutation(len(images())))
    half, real = images()[order[:600]], images()[order[600:]]
    ones = images()[torch.from_numpy(digits().labels) == 1]
    ones = ones[torch.arange(600) % len(ones)]
    noise = normal(19, 600, 64).float()
    features = digit_features()
    found = frechet(features(torch.stack([half, ones, noise])), features(real))
    assert 10 * found[0] < min(found[1], found[2])


def test_classifier_has_the_sizes_that_it_states():
    sizes = [tuple(W.shape) for W, _ in digit_classifier().layers]
    assert sizes == list(zip(quality.SIZES, quality.SIZES[1:], strict=False))
