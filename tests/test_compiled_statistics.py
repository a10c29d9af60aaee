"""A run's moments, shares and norms, by torch and by compiled loops, against numpy's formulas."""

import numpy as np
import pytest
import torch

from vanishing.engine import compiled_statistics, probes, statistics
from vanishing.parts.activations import ACTIVATIONS

from .small import normal

BOTH = pytest.mark.parametrize("take", [statistics, compiled_statistics], ids=["torch", "loops"])
EVERY = ("mean", "sd", "mean_square", "log10_rms", "zero", "finite")
FLAT = ("saturation_low", "saturation_high", "dead_fraction")


def with_one(value, seed=0):
    """Two runs of normal draws; the first has one other value."""
    values = normal(2, 5, 7, seed=seed)
    values[0, 3, 4] = value
    return values


def of_convolution(*shape, seed=0):
    """(runs, batch, channels, height, width) as a grouped convolution lays it: batch first."""
    runs, batch, *rest = shape
    return normal(batch, runs, *rest, seed=seed).transpose(0, 1)


VALUES = {
    "normal": normal(3, 8, 16),
    "float32": normal(3, 8, 16).float(),
    "transposed": normal(3, 16, 9).transpose(1, 2),
    "expanded": normal(1, 4, 5).expand(3, 4, 5),
    "far from 0": 1e8 + normal(2, 8, 16),
    "about 9": 9 + normal(2, 8, 16),  # here and there, the mean takes a hundredth away
    "about 20": 20 + normal(2, 8, 16),
    "a number": normal(1, 1, 1),
    "a matrix": normal(2, 40),
    "images": of_convolution(3, 4, 5, 6, 6),
    "transposed images": normal(3, 4, 6, 6, 5).permute(0, 1, 4, 2, 3),
    "zeros": torch.zeros(2, 3, 4, dtype=torch.float64),
    "some zeros": torch.relu(normal(2, 8, 16)),
    "a NaN": with_one(torch.nan),
    "an infinity": with_one(torch.inf),
    "minus infinity": with_one(-torch.inf),
    "subnormal": 1e-310 * normal(2, 8, 16),
    "tiny": 1e-200 * normal(2, 8, 16),
    "huge": 1e200 * normal(2, 8, 16),
    "decades": normal(4, 8, 16)
    * torch.tensor([1e-300, 1e-150, 1, 1e150], dtype=torch.float64).view(4, 1, 1),
    "subnormal float32": (1e-42 * normal(2, 8, 16)).float(),
}


def plain(values, name):
    """The statistic of a run's values, by numpy."""
    v = values.detach().double().numpy().ravel()
    with np.errstate(all="ignore"):
        if name == "log10_rms":
            scale = np.abs(v).max()
            found = np.log10(np.sqrt(np.mean((v / scale) ** 2))) + np.log10(scale)
            return found if np.isfinite(found) else np.nan
        return {
            "mean": np.mean,
            "sd": np.std,
            "mean_square": lambda v: np.mean(v**2),
            "zero": lambda v: np.mean(v == 0),
            "finite": lambda v: np.mean(np.isfinite(v)),
        }[name](v)


def assert_equal(found, expected, atol=0.0):
    assert found.dtype == torch.float64
    expected = torch.tensor(expected, dtype=torch.float64).view_as(found)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=atol, equal_nan=True)


def moments(take, pieces):
    """All moments of one layer, (runs) each."""
    return {name: found[:, 0] for name, found in take.moments([pieces], EVERY).items()}


@BOTH
@pytest.mark.parametrize("kind", VALUES)
def test_moments_are_those_of_numpy(take, kind):
    values = VALUES[kind]
    found = moments(take, [values])
    assert set(found) == set(EVERY)
    for name in EVERY:
        size = float(values.double().abs().nan_to_num(0, 0, 0).max())
        cancels = 1e-15 * size if name == "mean" else 1e-14 if name == "log10_rms" else 0.0
        assert_equal(found[name], [plain(run, name) for run in values], atol=cancels)


@BOTH
def test_only_what_is_wanted_is_given(take):
    assert set(take.moments([[normal(2, 3, 4)]], ("zero", "sd"))) == {"zero", "sd"}


@BOTH
def test_every_layer_has_a_column_whatever_its_shape(take):
    layers = [[normal(2, 3, 4)], [1e-200 * normal(2, 5, 4)], [normal(2, 3, 4), normal(2, 3, 4)]]
    together, limits = take.moments(layers, EVERY), [0.1, 1.0]
    within = take.shares_within(layers, limits)
    assert within.shape == (2, 3, 2)
    for n, pieces in enumerate(layers):
        for name, found in moments(take, pieces).items():
            assert torch.equal(together[name][:, n], found)
        assert torch.equal(within[:, n], take.shares_within([pieces], limits)[:, 0])


@BOTH
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e-310])
def test_moments_of_time_steps_are_those_of_all_their_values(take, scale):
    """Of steps whose means lie apart, one of them all 0."""
    pieces = [scale * (normal(3, 4, 5, seed=n) + 10 * n) for n in range(6)] + [
        torch.zeros(3, 4, 5, dtype=torch.float64)
    ]
    found = moments(take, pieces)
    together = torch.stack(pieces, dim=3)
    for name in EVERY:
        expected = [plain(run, name) for run in together]
        assert_equal(found[name], expected, atol=1e-13 if name == "log10_rms" else 0.0)


@BOTH
@pytest.mark.parametrize("kind", VALUES)
def test_shares_within_limits_are_counts(take, kind):
    limits, values = [0.0, 1e-305, 1e-9, 0.5, 1e300], VALUES[kind]
    pieces = [values, -2 * values] if values.dim() > 2 else [values]
    found = take.shares_within([pieces], limits)[:, 0]
    both = np.stack([t.double().numpy() for t in pieces], axis=1)
    for n, limit in enumerate(limits):
        expected = [np.mean(np.abs(run) <= limit) for run in both]
        assert_equal(found[:, n], expected)


@BOTH
@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "linear"])
@pytest.mark.parametrize("kind", ["units", "steps", "pixels", "NaN"])
def test_flat_slopes_and_dead_units_are_counts(take, activation, kind):
    phi = ACTIVATIONS[activation]
    make = of_convolution if kind == "pixels" else normal
    shape = (3, 6, 5, 2, 2) if kind == "pixels" else (3, 6, 5)
    pieces = [2 * make(*shape, seed=n) for n in range(4 if kind == "steps" else 1)]
    for h in pieces:
        h[1, :, 2] = -3.0  # a unit that a relu leaves dead
    if kind == "NaN":
        pieces[0][0, 1, 1] = torch.nan
    slopes = [phi.derivative(h) for h in pieces]
    of_h = dict(zip(map(id, pieces), slopes, strict=True))
    found = take.flatness(phi, [pieces], lambda h: of_h[id(h)])
    low, high, dead = (found[n][:, 0] for n in FLAT)
    h, slope = (np.stack([t.numpy() for t in of], axis=1) for of in (pieces, slopes))
    peak, steepest = phi.peak
    flat = np.abs(slope) <= 0.1 * steepest
    for run in range(3):
        assert_equal(low[run], np.mean(flat[run] & (h[run] < peak)))
        assert_equal(high[run], np.mean(flat[run] & ~(h[run] < peak)))
        still = (np.moveaxis(slope[run], 2, 0) == 0).reshape(5, -1).all(1)
        assert_equal(dead[run], still.mean())
    assert float(dead[1]) == (0.2 if activation == "relu" else 0.0)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lies", ["contiguous", "transposed"])
def test_distances_and_cosines_are_those_of_numpy(take, dtype, lies):
    x, y = (normal(3, 6, 6, seed=n).to(dtype) for n in (0, 1))
    if lies == "transposed":
        x = x.transpose(1, 2)
    for run in range(3):
        a, b = (t[run].double().numpy().ravel() for t in (x, y))
        apart = np.linalg.norm(a - b) / np.linalg.norm(b)
        assert_equal(statistics.relative_distance(x, y)[run], apart)
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert_equal(take.cosine(x, y)[run], cosine, atol=1e-15)


@BOTH
def test_what_is_divided_by_nothing_is_missing_or_infinite(take):
    x, zero = normal(1, 3, 4), torch.zeros(1, 3, 4, dtype=torch.float64)
    assert statistics.relative_distance(x, zero).isposinf().all()
    assert statistics.relative_distance(zero, zero).isnan().all()
    assert take.cosine(x, zero).isnan().all()
    assert take.cosine(with_one(torch.nan), normal(2, 5, 7)).isnan().tolist() == [True, False]


@BOTH
def test_cosines_neither_underflow_nor_overflow(take):
    x, y = normal(2, 4, 3), normal(2, 4, 3, seed=1)
    expected = torch.nn.functional.cosine_similarity(x.flatten(1), y.flatten(1))
    torch.testing.assert_close(take.cosine(1e-200 * x, 1e200 * y), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf, 1e-200, 1e200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cosine_has_the_same_bits_whatever_runs_are_beside_it(value, dtype):
    x, y = (normal(4, 7, 9, seed=n).to(dtype) for n in (0, 1))
    healthy = [compiled_statistics.cosine(x[run : run + 1], y[run : run + 1]) for run in range(4)]
    x[1] *= value
    found = compiled_statistics.cosine(x, y)
    assert torch.equal(found[1:2], compiled_statistics.cosine(x[1:2], y[1:2])) or found[1].isnan()
    for run in (0, 2, 3):
        assert torch.equal(found[run : run + 1], healthy[run])


@pytest.mark.parametrize("kind", ["normal", "far from 0", "images", "decades"])
def test_a_run_has_the_same_bits_whatever_runs_are_beside_it(kind):
    values = VALUES[kind]
    together = moments(compiled_statistics, [values])
    for run in range(len(values)):
        alone = moments(compiled_statistics, [values[run : run + 1].clone()])
        for name in EVERY:
            assert torch.equal(alone[name], together[name][run : run + 1]), name


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "prelu"])
def test_a_slope_from_the_graph_of_a_pass_is_the_derivative(name):
    phi, slopes = ACTIVATIONS[name], probes.Slopes()
    h = (3 * normal(2, 5, 7)).requires_grad_() * 1
    a = phi.phi(h)
    slopes.see(h, a)
    assert torch.equal(slopes.at(h), phi.derivative(h))
    a.sum().backward()  # the graph is still there


def test_a_constant_has_no_slope():
    slopes, h = probes.Slopes(), normal(2, 3)
    slopes.see(h, torch.ones(2, 3, dtype=torch.float64))
    assert torch.equal(slopes.at(h), torch.zeros_like(h))


def test_loops_serve_a_cpu_and_torch_every_other_device():
    assert probes.statistics_on(torch.device("cpu")) is compiled_statistics
    assert probes.statistics_on(torch.device("cuda")) is statistics
