"""Measures of recurrent nets: planted lag profiles come back, zeros as bounds, none for others."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.estimates import OUTCOMES, signals, summary
from vanishing.analysis.measures import MEASURES
from vanishing.analysis.study_tables import LARGEST, SMALLEST, Tables
from vanishing.engine.logs import signal
from vanishing.engine.training import Trace

from .planted import layers_of, normal, runs_of
from .planted_nets import TRAINED, lags_of, line, nothing, recurrent

PROBES = (0, 1, 2, 32, 64)


def planted(slope: float | None, index: float | None, seeds: int = 4) -> pd.DataFrame:
    return recurrent({}, seeds, lambda *_: {"lag_slope": slope, "lag_index": index})


def of(name: str, *tables: object, **more: object) -> pd.Series:
    return MEASURES[name].of(Tables(*tables, **more))


def test_index_and_slope_through_time_are_those_of_the_runs():
    runs = planted(-0.2, -4.0)
    assert of("lag_index", runs).tolist() == [-4.0] * 4
    assert of("lag_slope", runs).tolist() == [-0.2] * 4


def test_a_gradient_that_is_gone_at_the_largest_lag_is_bounded_by_it():
    runs = planted(None, None)
    np.testing.assert_allclose(of("lag_index", runs), SMALLEST)
    np.testing.assert_allclose(of("lag_slope", runs), SMALLEST / 20)
    runs.loc[0, "lag_index"] = -90.0  # float64 reaches farther
    np.testing.assert_allclose(of("lag_index", runs), -90.0)


def test_an_overflow_is_bounded_the_other_way():
    runs = planted(None, None)
    layers = layers_of(runs, lambda _: {"nonfinite_fraction": 0.5}, 1)
    np.testing.assert_allclose(of("lag_index", runs, layers), LARGEST)
    np.testing.assert_allclose(of("lag_slope", runs, layers), LARGEST / 20)


def test_a_profile_that_ends_in_zeros_keeps_the_slope_up_to_there():
    assert of("lag_slope", planted(-0.5, None)).tolist() == [-0.5] * 4


def test_behind_a_truncation_the_gradient_counts_as_gone_and_has_no_slope():
    runs = planted(None, None).assign(truncation=[0, 2, 3, 4])
    np.testing.assert_allclose(of("lag_index", runs), SMALLEST)
    expected = [SMALLEST / 20, np.nan, np.nan, SMALLEST / 3]
    np.testing.assert_allclose(of("lag_slope", runs), expected)


@pytest.mark.parametrize("length", [2, 3])
def test_a_sequence_too_short_for_a_slope_has_none(length):
    assert of("lag_slope", planted(None, -1.0).assign(length=length)).isna().all()


@pytest.mark.parametrize("name", ["lag_index", "lag_slope", "lag_slope_early"])
def test_a_net_without_a_past_has_none(name):
    assert of(name, runs_of("signal", {}, 3, normal(-0.3))).isna().all()


def test_the_early_slope_is_the_mean_over_updates_1_to_32_of_the_top_layer():
    runs = recurrent({"depth": [2]}, 3, nothing, **TRAINED)
    slopes = {0: 9.0, 1: -0.1, 2: -0.2, 32: -0.6, 64: 9.0}
    lags = lags_of(runs, lambda run, step, layer: line(slopes[step] if layer == 2 else 7.0), PROBES)
    np.testing.assert_allclose(of("lag_slope_early", runs, lags=lags), -0.3, rtol=1e-5)


def test_an_early_step_without_a_gradient_enters_as_a_bound():
    runs = recurrent({}, 1, nothing, **TRAINED)
    lags = lags_of(runs, lambda _, step, __: line(-0.2) if step < 32 else [None] * 21, PROBES)
    expected = (-0.2 - 0.2 + SMALLEST / 20) / 3
    np.testing.assert_allclose(of("lag_slope_early", runs, lags=lags), expected, rtol=1e-5)


def test_from_the_update_that_left_no_number_on_the_bound_is_the_opposite_one():
    runs = recurrent({}, 2, nothing, **TRAINED)
    runs["first_nonfinite_step"] = pd.array([2, None], dtype="Int64")
    lags = lags_of(runs, lambda *_: line(-0.2), (0, 1, 2, 32))
    bad = lags["run_id"].eq(runs["run_id"][0]) & lags["step"].ge(2)
    lags.loc[bad, "log10_delta_rms"] = np.nan
    expected = [(-0.2 + 2 * LARGEST / 20) / 3, -0.2]
    np.testing.assert_allclose(of("lag_slope_early", runs, lags=lags), expected, rtol=1e-5)


def test_runs_that_were_not_probed_early_have_no_early_slope():
    runs = recurrent({}, 2, nothing, **TRAINED)
    assert of("lag_slope_early", runs, lags=lags_of(runs, lambda *_: line(1.0))).isna().all()
    early = lags_of(runs, lambda *_: line(1.0), (1,))
    assert of("lag_slope_early", runs, lags=early).notna().all()
    assert of("lag_slope_early", runs.assign(truncation=3), lags=early).isna().all()


def test_a_recurrent_cell_is_classed_by_its_gradient_through_time():
    def truth(cell, rng):
        index = {"vanilla": -9.0, "lstm": 0.0}[cell["recurrence"]]
        return {"lag_index": index + rng.normal(0, 0.1), "vanishing_index": 5.0}

    runs = recurrent({"recurrence": ["vanilla", "lstm"]}, 5, truth)
    found = dict(zip(runs["recurrence"], signals(Tables(runs)), strict=True))
    assert found == {"vanilla": "severely vanishing", "lstm": "healthy"}


def test_lag_slopes_are_summarised_where_there_are_any():
    runs = pd.concat([planted(-0.2, -4.0), runs_of("signal", {}, 4, normal(-0.3))])
    table = summary(Tables(runs.reset_index(drop=True)), 0)
    rows = table[table["outcome"] == "lag_slope"]
    assert rows["battery"].tolist() == ["rnn_init"]
    assert rows["value"].tolist() == [-0.2]
    assert set(table["outcome"]) <= set(OUTCOMES)


def test_a_job_logs_index_and_slope_of_the_top_layer_at_init():
    flat = {"log10_delta_rms": np.zeros((2, 2)), "log10_grad_rms": np.zeros((2, 2))}
    profile = np.stack([[line(9.0), line(-0.2)], [line(9.0), np.full(21, np.nan)]])
    trace = Trace(np.empty(0), np.zeros((2, 2), dtype=int), measures={0: flat}, lags={0: profile})
    kept, gone = signal(trace, 0), signal(trace, 1)
    assert (kept["lag_index"], kept["lag_slope"]) == (pytest.approx(-4), pytest.approx(-0.2))
    assert np.isnan([gone["lag_index"], gone["lag_slope"]]).all()
    plain = signal(Trace(np.empty(0), np.zeros((2, 2), dtype=int), measures={0: flat}), 0)
    assert np.isnan([plain["lag_index"], plain["lag_slope"]]).all()
    assert plain["vanishing_index"] == 0
