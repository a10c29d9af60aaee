"""Formulas of lanes: the numbers, to the last bit, that they give of each number alone."""

import numpy as np
import pytest

from vanishing.engine.compiled import exact
from vanishing.engine.fast_phi import sigmoid, tanh
from vanishing.engine.lane_numbers import if_at_most, if_less, read, write
from vanishing.engine.lane_totals import (
    doubled,
    largest_of,
    load_doubled,
    read_doubled,
    total_of,
)
from vanishing.engine.lanes import LANE_BYTES

TWO, THREE = np.float32(2), np.float32(3)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -87.5, 88.0, -709.0, 9.3, -19.2]


@exact
def _by_number(x, out):
    for i in range(len(x)):
        out[0, i], out[1, i] = tanh(x[i]), sigmoid(x[i])
        out[2, i], out[3, i] = if_less(x[i], 1.0, x[i], -1.0), if_at_most(x[i], 0.0, -1.0, x[i])
        out[4, i] = (x[i] + TWO) * (THREE - x[i]) / (x[i] * x[i])


@exact
def _by_lanes(x, out):
    flat, count = out.ravel(), len(x)
    for i in range(0, count, LANE_BYTES // x.itemsize):
        left = count - i
        h = read(x, i, left)
        write(flat, i, left, tanh(h))
        write(flat, count + i, left, sigmoid(h))
        write(flat, 2 * count + i, left, if_less(h, 1.0, h, -1.0))
        write(flat, 3 * count + i, left, if_at_most(h, 0.0, -1.0, h))
        write(flat, 4 * count + i, left, (h + TWO) * (THREE - h) / (h * h))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 7, 8, 31, 32, 33, 100])
@pytest.mark.parametrize("turned", range(len(SPECIAL)))
def test_lanes_have_the_bits_of_numbers(dtype, count, turned):
    drawn = np.random.default_rng(0).standard_normal(count) * np.logspace(-3, 3, count)
    x = np.roll([*SPECIAL, *drawn], turned)[:count].astype(dtype)
    alone, together = (np.full((5, count), np.nan, dtype) for _ in range(2))
    _by_number(x, alone)
    _by_lanes(x, together)
    assert alone.tobytes() == together.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 5, 8])
def test_what_is_behind_the_count_is_neither_read_nor_written(dtype, count):
    x, out = np.full(64, np.nan, dtype), np.full(64, 7.0, dtype)
    x[:count] = 1.0
    _copy_one_more(x, out, count)
    np.testing.assert_array_equal(out[:count], 2.0)
    np.testing.assert_array_equal(out[count:], 7.0)
    _copy_one_more(x, out, 64)  # as many as are asked for, or as there are lanes
    assert np.isnan(out[count : LANE_BYTES // out.itemsize]).all()


@exact
def _copy_one_more(x, out, count):
    write(out, 0, count, read(x, 0, count) + 1.0)


@exact
def _totals(x, out):
    h = read(x, 0, len(x))
    out[0], out[1], out[2] = total_of(h), total_of(doubled(h)), largest_of(h)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 5, 8])
def test_totals_are_of_all_lanes_and_in_float64_where_they_are_doubled(dtype, count):
    x, out = np.linspace(1, 2, count).astype(dtype), np.empty(3)
    x[-1] = 1e9
    _totals(x, out)
    assert out[0] == pytest.approx(x.sum(dtype=np.float64), rel=float(np.finfo(dtype).eps))
    assert out[1] == pytest.approx(x.sum(dtype=np.float64), rel=1e-15)
    assert out[2] == x.max()
    x[0] = np.inf
    _totals(x, out)
    assert (out == np.inf).all()


@exact
def _doubled_three_times(x, count, out):
    out[0] = total_of(doubled(read(x, 0, count)))
    out[1] = total_of(read_doubled(x, 0, count))
    if count * x.itemsize >= LANE_BYTES:
        out[1] -= total_of(load_doubled(x, 0)) - out[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 3, 8, 31, 40])
def test_what_is_doubled_as_it_is_read_is_what_was_read(dtype, count):
    x, out = (np.random.default_rng(0).standard_normal(64) * 1e30).astype(dtype), np.empty(2)
    x[count:] = np.nan
    _doubled_three_times(x, count, out)
    first = x[: min(count, LANE_BYTES // x.itemsize)].astype(np.float64)
    assert out[0] == out[1] == pytest.approx(first.sum(), rel=1e-13)
