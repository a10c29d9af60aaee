"""Classes of signal, and summaries over seeds: against plain numbers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vanishing.analysis.estimates import signal_class, signals, summary
from vanishing.analysis.study_tables import Tables
from vanishing.tables import SUMMARY

from .planted import normal, runs_of
from .test_facts import signal, training


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return pd.concat([signal(), training()], ignore_index=True)


@pytest.mark.parametrize(
    ("centre", "expected"),
    [
        (0, "healthy"),
        (-2, "vanishing"),
        (-9, "severely vanishing"),
        (2, "exploding"),
        (9, "severely exploding"),
        (-1, "borderline"),
    ],
)
def test_classes_of_signal(centre, expected):
    v = centre + np.array([-0.1, 0, 0.1, -0.05, 0.05])
    assert signal_class(v) == expected


def test_one_seed_has_no_class_and_learning_rates_do_not_multiply_seeds():
    assert signal_class(np.array([-9.0])) == "borderline"
    runs = runs_of("training", {"init": ["he"]}, 1, normal(-0.3), steps=10)
    rates = pd.concat(
        [runs.assign(run_id=lambda t, r=r: t["run_id"] + r) for r in "abc"], ignore_index=True
    )
    assert set(signals(Tables(rates))) == {"borderline"}


def test_summary_is_a_checked_table_of_interquartile_means(runs):
    table = summary(Tables(runs), 0)
    SUMMARY.check(table)
    row = table.query("battery == 'signal' and outcome == 'slope'").iloc[0]
    values = runs[(runs["cell"] == row["cell"])]["slope"]
    assert row["value"] == pytest.approx(stats.trim_mean(values, 0.25))
    assert row["low"] <= row["value"] <= row["high"]
    pd.testing.assert_frame_equal(table, summary(Tables(runs), 0))


def test_summary_ranks_a_diverged_run_worst_and_gives_no_loss_to_init_runs(runs):
    table = summary(Tables(runs), 0).set_index(["battery", "cell", "outcome"])["value"]
    losses = table.xs("final_loss", level="outcome")
    assert set(losses.index.get_level_values("battery")) == {"training"}
    assert losses.isna().sum() == 1
    assert math.isclose(table.xs("final_test_accuracy", level="outcome").min(), 0.1)
