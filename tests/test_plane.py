"""Tasks in the plane: where the points lie, and which class is where."""

from itertools import pairwise

import numpy as np
import pytest

from vanishing.errors import UserError
from vanishing.parts.plane import ring, ring_modes, swiss_roll, two_spirals, xor

TASKS = [ring, swiss_roll, xor, two_spirals]
ids = {"ids": lambda task: task.__name__}


@pytest.mark.parametrize("task", TASKS, **ids)
def test_inputs_have_mean_0_and_mean_square_1_and_classes_are_balanced(task):
    data = task()
    inputs = data.inputs.astype(np.float64)
    np.testing.assert_allclose(inputs.mean(0), 0, atol=2e-3)
    assert np.square(inputs).mean() == pytest.approx(1, abs=2e-3)
    assert data.inputs.dtype == np.float32
    assert np.ptp(np.bincount(data.labels)) <= 1


@pytest.mark.parametrize("task", TASKS, **ids)
def test_a_task_in_the_plane_makes_the_same_samples_each_time(task):
    assert task(samples=50).inputs.tobytes() == task(samples=50).inputs.tobytes()
    assert task(samples=51).inputs.shape == (51, 2)
    with pytest.raises(UserError, match=f"samples of {task.__name__} must be 10 or more"):
        task(samples=9)


@pytest.mark.parametrize(("modes", "sd"), [(8, 0.02), (2, 0.1), (5, 0.3)])
def test_each_mode_of_the_ring_has_the_centre_and_sd_that_are_stated(modes, sd):
    data, (centres, spread) = ring(4000, modes, sd), ring_modes(modes, sd)
    assert centres.shape == (modes, 2)
    np.testing.assert_allclose(np.hypot(*centres.T), np.hypot(*centres[0]))
    assert spread / np.hypot(*centres[0]) == pytest.approx(sd)
    assert np.square(centres).mean() + spread**2 == pytest.approx(1)
    off = data.inputs - centres[data.labels]
    for mode in range(modes):
        here = off[data.labels == mode]
        np.testing.assert_allclose(here.mean(0), 0, atol=5 * spread / np.sqrt(len(here)))
        np.testing.assert_allclose(here.std(0), spread, rtol=0.2)


def test_samples_of_the_ring_are_nearest_to_their_own_mode():
    data, (centres, _) = ring(), ring_modes()
    nearest = np.square(data.inputs[:, None] - centres).sum(2).argmin(1)
    np.testing.assert_array_equal(nearest, data.labels)


def test_the_quarters_of_the_swiss_roll_follow_one_another_along_it():
    data = swiss_roll(noise=0)
    radius = np.hypot(*(data.inputs - centre_of_roll()).T)
    edges = [(radius[data.labels == k].min(), radius[data.labels == k].max()) for k in range(4)]
    for (_, end), (start, _) in pairwise(edges):
        assert end <= start + 1e-3
    assert edges[3][1] / edges[0][0] == pytest.approx(3, rel=0.01)  # from 1.5 pi to 4.5 pi


def centre_of_roll():
    """Where (0, 0) of the curve lies once the curve is centred and scaled."""
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, 200_001)
    curve = np.stack([t * np.cos(t), t * np.sin(t)], 1)
    scale = np.sqrt(np.square(curve - curve.mean(0)).mean())
    return -curve.mean(0) / scale


def test_xor_is_the_sign_of_the_product_where_there_is_no_noise():
    data = xor(noise=0)
    np.testing.assert_allclose(np.abs(data.inputs), 1, rtol=1e-6)
    np.testing.assert_array_equal(data.labels, data.inputs.prod(1) < 0)
    noisy = xor()
    assert 0.99 < (noisy.labels == (noisy.inputs.prod(1) < 0)).mean() < 1


def test_no_line_tells_the_classes_of_xor_apart():
    data = xor()
    design = np.column_stack([data.inputs, np.ones(2000)])
    slopes, *_ = np.linalg.lstsq(design, 2.0 * data.labels - 1, rcond=None)
    assert np.abs(slopes).max() < 0.05


def test_the_second_spiral_is_the_first_through_the_centre():
    data = two_spirals(samples=4000, noise=0)
    first, second = (data.inputs[data.labels == k] for k in (0, 1))
    gap = np.sqrt(np.square(first[:, None] + second[None]).sum(2)).min(1)
    apart = np.sqrt(np.square(first[:, None] - second[None]).sum(2)).min(1)
    assert np.median(gap) < 0.02  # mirrored, one lies on the other
    assert np.median(apart) > 0.1  # as they are, they do not
    assert np.bincount(data.labels).tolist() == [2000, 2000]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ring(modes=1), "modes of ring must be 2 or more, and 1 came"),
        (lambda: ring(sd=0), "sd of ring must be above 0, and 0 came"),
        (lambda: xor(noise=-1), "noise of xor must be 0 or more"),
        (lambda: two_spirals(noise=-1), "noise of two_spirals must be 0 or more"),
        (lambda: swiss_roll(noise=-1), "noise of swiss_roll must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
