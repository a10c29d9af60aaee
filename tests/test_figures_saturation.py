"""Saturation against the slope: which networks are shown, where, and how paths are drawn."""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import yaml

from vanishing.figures import saturation, style
from vanishing.tables import LAYERS, PREDICTIONS, PROFILES, RUNS

from .aggregated import profiles_of
from .drawn import overflow, smallest_letters
from .planted import predicted, runs_of

SIGMAS = [0.5, 1, 4]
INITS = [f"gaussian(sigma_w={sigma})" for sigma in SIGMAS]
CLAIMS = Path(__file__).parents[1] / "reports" / "claims.yaml"


def slope(_: dict, rng: np.random.Generator) -> dict:
    return {"slope": -0.3 + rng.normal(0, 0.01)}


def with_biases(cell: dict, rng: np.random.Generator) -> dict:
    return slope(cell, rng) | {"init": "gaussian(sigma_w=1, sigma_b=2)", "sigma_b": 2.0,
                               "cell": f"biased {cell['activation']}"}  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    activation = ["sigmoid", "tanh", "relu"]
    factors = {"activation": activation, "init": INITS}
    biased = runs_of("saturated", {"activation": activation, "init": INITS[1:2]}, 4, with_biases)
    biased["run_id"] = "biased " + biased["run_id"]
    return pd.concat(
        [
            runs_of("sigma", factors, 4, slope),
            biased,
            runs_of("signal", {"activation": activation, "init": ["he", "xavier"]}, 4, slope),
            runs_of("deep", {"activation": activation, "depth": [50]}, 4, slope),
            runs_of("normed", {"norm": ["batch"], "init": INITS}, 4, slope),
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def layers(runs: pd.DataFrame) -> pd.DataFrame:
    """In layer 1 a tenth of sigma_w is saturated below, in layer 2 .1 more above; by seed .01."""
    base = dict.fromkeys(LAYERS.columns, 0.0) | {"player": "net", "step": 0, "q": 1.0}
    return LAYERS.frame(
        base
        | {"run_id": run["run_id"], "layer": layer, "saturation_high": 0.1 * (layer == 2)}
        | {"saturation_low": 0.1 * run["sigma_w"] + 0.01 * run["seed"]}
        for _, run in runs.iterrows()
        for layer in (1, 2)
    )


@pytest.fixture(scope="module")
def data(runs: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    cells = profiles_of(runs, layers=layers)
    return saturation.points(runs, cells, predicted(runs, lambda row: -0.3))


@pytest.fixture(scope="module")
def figure(data: pd.DataFrame) -> mpl.figure.Figure:
    return saturation.draw(data)


def words(figure: mpl.figure.Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_plain_nets_of_one_depth_that_saturate_at_both_ends_are_shown(data):
    assert set(data["activation"]) == {"sigmoid", "tanh"}
    assert set(data["depth"]) == {20}
    kinds = data[data["activation"] == "tanh"].groupby("kind")["init"].apply(sorted).to_dict()
    assert kinds == {
        "weights": sorted(INITS),
        "biases": ["gaussian(sigma_w=1, sigma_b=2)"],
        "named": ["he", "xavier"],
    }


def test_saturating_activations_are_flat_on_both_sides_users_too():
    labels = ["relu", "hard_tanh", "tanh", "sine", "gelu", "softsign", "linear", "erf", "relu6"]
    assert set(saturation.saturating(labels)) == {"hard_tanh", "tanh", "softsign", "erf", "relu6"}


def test_a_point_is_the_share_of_both_sides_over_the_layers_and_its_interval_over_seeds(data):
    one = data[data["activation"].eq("tanh") & data["kind"].eq("weights")].set_index("sigma_w")
    # .1 sigma_w, .1 in one of two layers, and .01 for each of the seeds 0 to 3.
    expected = 0.1 * one.index.to_numpy() + 0.05 + 0.015
    np.testing.assert_allclose(one["saturated_value"], expected, rtol=1e-5)
    half = 3.1824 * 0.01 * np.std([0, 1, 2, 3], ddof=1) / math.sqrt(4)
    np.testing.assert_allclose(one["saturated_high"] - one["saturated_value"], half, rtol=1e-3)
    assert (one["n"] == 4).all()


def test_the_derivative_is_what_theory_leaves_of_the_slope_beside_sigma_w(data):
    np.testing.assert_allclose(data["derivative"], 10**-0.3 / data["sigma_w"])


def test_the_path_of_weights_grows_and_that_of_biases_starts_from_it(data, figure):
    axes = next(a for a in figure.axes if a.get_title(loc="left") == "sigmoid")
    rows = data[data["activation"] == "sigmoid"]
    weights = rows[rows["kind"] == "weights"].sort_values("sigma_w")
    strokes = {line.get_linestyle(): line for line in axes.lines if len(line.get_xdata()) > 1}
    np.testing.assert_allclose(strokes["-"].get_xdata(), weights["saturated_value"])
    np.testing.assert_allclose(strokes["-"].get_ydata(), weights["value"])
    biases = rows[rows["kind"] == "biases"].iloc[0]
    start = weights[weights["sigma_w"] == 1].iloc[0]
    ends = [start["saturated_value"], biases["saturated_value"]]
    np.testing.assert_allclose(strokes["--"].get_xdata(), ends)
    heads = [text.xy for text in axes.texts if getattr(text, "arrow_patch", None)]
    x = weights["saturated_value"].to_numpy()
    np.testing.assert_allclose([at for at, _ in heads], (x[1:] + x[:-1]) / 2)


def test_lines_of_theory_rise_by_a_decade_a_decade_and_are_named(figure):
    axes = figure.axes[2]
    lines = [line for line in axes.lines if line.get_color() == style.TEXT]
    steps = [(np.diff(np.log10(li.get_xdata())), np.diff(li.get_ydata())) for li in lines]
    assert len(steps) == len(SIGMAS)
    for across, up in steps:
        np.testing.assert_allclose(up, across)
    assert [text.get_text() for text in axes.texts] == ["0.5", "$\\sigma_w$ = 1", "4"]


def test_the_band_is_what_the_claims_call_no_slope_of_interest(figure):
    claims = yaml.safe_load(CLAIMS.read_text())["claims"]
    [least] = [c["primary"]["smallest_effect"] for c in claims if c["id"] == "C01"]
    assert least == saturation.NEGLIGIBLE
    for axes in figure.axes:
        [band] = [p for p in axes.patches if isinstance(p, mpl.patches.Rectangle)]
        assert (band.get_y(), band.get_height()) == (-least, 2 * least)


def test_a_mark_of_growing_weights_is_filled_and_the_others_are_open(figure):
    axes = figure.axes[0]
    faces = {line.get_marker(): line.get_markerfacecolor() for line in axes.lines
             if line.get_marker() == "D"}  # fmt: skip
    assert faces == {"D": style.BACKGROUND}
    colour = style.activation_colour("sigmoid")
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert {line.get_markerfacecolor() for line in dots} == {colour, style.BACKGROUND}
    assert {line.get_color() for line in dots} == {colour}


def test_the_figure_says_how_to_read_it_and_keeps_to_its_page(figure):
    assert "if saturation were" in words(figure)
    assert figure.get_figwidth() == style.WIDTH
    assert figure.get_figheight() <= 2.5
    assert smallest_letters(figure) >= 7
    assert overflow(figure) <= 0.01


def test_the_same_data_give_the_same_bytes(data, figure, tmp_path):
    twice = {"a": figure, "b": saturation.draw(data)}
    saved = [style.save(drawn, tmp_path / f"{n}.svg", data).path for n, drawn in twice.items()]
    assert saved[0].read_bytes() == saved[1].read_bytes()
    assert len(pd.read_csv(saved[0].with_suffix(".csv"))) == len(data)


def test_studies_without_such_nets_say_so(runs):
    one = runs[runs["battery"] == "signal"]
    relu = runs[runs["activation"] == "relu"]
    for some in (RUNS.frame([]), one, relu):
        data = saturation.points(some, PROFILES.frame([]), PREDICTIONS.frame([]))
        [text] = saturation.draw(data).texts
        assert "does not vary sigma_w" in text.get_text()
