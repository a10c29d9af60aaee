"""Means over the seeds of cells, pooled from their profiles, are those over all of the runs."""

import numpy as np
import pandas as pd

from vanishing.analysis.over_seeds import means, pooled
from vanishing.tables import LAYERS
from vanishing.theory.slope import lag_slope

from .aggregated import profiles_of
from .planted import runs_of
from .planted_nets import lags_of, nothing, recurrent

NUMBERS = ["value", "low", "high", "n"]


def test_pooled_layers_are_the_means_over_all_runs_of_several_cells():
    rng = np.random.default_rng(0)
    runs = runs_of("b", {"activation": ["tanh", "relu"], "width": [8, 16, 32]}, 4, nothing)
    runs = runs.drop(index=[3, 9])  # cells of different sizes
    base = dict.fromkeys(LAYERS.columns, 0.0) | {"step": 0, "player": "net"}
    layers = LAYERS.frame(
        base | {"run_id": run, "layer": layer, "log10_delta_rms": rng.normal(-30 * layer, 2)}
        for run in runs["run_id"]
        for layer in (1, 2)
    )
    plain = means(layers.merge(runs, on="run_id"), ["activation", "layer"], "log10_delta_rms")
    cells = profiles_of(runs, layers=layers).query("quantity == 'log10_delta_rms'")
    named = runs.drop_duplicates("cell")[["cell", "activation"]]
    found = pooled(cells.merge(named, on="cell"), ["activation", "place"])
    both = (plain.sort_values(["activation", "layer"]), found.sort_values(["activation", "place"]))
    a, b = (rows[NUMBERS].reset_index(drop=True) for rows in both)
    pd.testing.assert_frame_equal(b, a, rtol=1e-7)
    assert set(a["n"]) == {10, 12}


def test_lag_slopes_are_those_of_each_run_and_step_of_the_top_layer():
    rng = np.random.default_rng(0)
    runs = recurrent({}, 5, nothing, depth=2, steps=64)
    lags = lags_of(runs, lambda run, *_: rng.normal(size=run["length"]), (0, 64))
    [first, last] = profiles_of(runs, lags=lags).query("quantity == 'lag_slope'").to_dict("records")
    for row in (first, last):
        mine = lags[lags["step"].eq(row["step"]) & lags["layer"].eq(2)].sort_values("lag")
        each = mine.groupby("run_id")["log10_delta_rms"].agg(lambda x: float(lag_slope(x)))
        np.testing.assert_allclose((row["mean"], row["sd"]), (each.mean(), each.std()), rtol=1e-5)
        assert row["n"] == 5


def test_a_quantity_of_one_run_has_no_interval_and_one_of_none_no_row():
    rows = {"cell": "c", "step": 0, "quantity": "q", "place": 0.0}
    [row] = pooled(pd.DataFrame([rows | {"n": 1, "mean": 2.0, "sd": np.nan}]), ["step"]).to_dict(
        "records"
    )
    assert (row["value"], row["n"]) == (2.0, 1)
    assert np.isnan([row["low"], row["high"]]).all()
