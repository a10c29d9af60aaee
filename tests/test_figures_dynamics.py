"""The heat map of the gradient during training: which trainings, and what a cell of it shows."""

import math
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.dynamics import followed
from vanishing.figures import dynamics, style
from vanishing.tables import LAYERS, PROFILES, RUNS

from .aggregated import profiles_of
from .drawn import overflow, smallest_letters
from .planted import runs_of

TRAINED = {"optimizer": "sgd", "lr_policy": "fixed(0.1)", "lr": 0.1, "steps": 4}
FACTORS = {"activation": ["tanh", "sigmoid"], "init": ["torch_default", "he"],
           "norm": ["none", "batch"], "residual": ["none", "identity"],
           "depth": [2, 5, 9]}  # fmt: skip
STEPS, SEEDS = (0, 1, 4), 4
LOST = {"tanh": -0.4, "sigmoid": -2.5}  # decades a layer of a plain net, at first


def ends(cell: dict, _: object) -> dict:
    """With a norm the nets of depth 5 and less train, without one those of depth 2."""
    deepest = 5 if cell["norm"] == "batch" else 2
    return {"outcome": "trained" if cell["depth"] <= deepest else "stalled"}


def decay(run: pd.Series, step: int, layer: int) -> float:
    """Half of what is lost comes back at the end; with a norm nothing is lost."""
    lost = 0.0 if run["norm"] == "batch" else LOST[run["activation"]]
    size = -3.0 - step + lost * (1 - 0.5 * (step == 4)) * (run["depth"] - layer)
    return size + 0.01 * run["seed"] * (run["depth"] - layer)


def layers_of(runs: pd.DataFrame, gone=lambda run, step, layer: False) -> pd.DataFrame:
    base = dict.fromkeys(LAYERS.columns, 0.0) | {"player": "net", "q": 1.0}
    rows = [
        base | {"run_id": run["run_id"], "step": step, "layer": layer}
        | {"log10_delta_rms": None if gone(run, step, layer) else decay(run, step, layer)}
        for _, run in runs.iterrows() for step in STEPS for layer in range(1, run["depth"] + 1)
    ]  # fmt: skip
    return LAYERS.frame(rows)


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return runs_of("training", FACTORS, SEEDS, ends, **TRAINED)


@pytest.fixture(scope="module")
def data(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of sigmoid without a remedy diverge: one at the first update, all before the end."""

    def gone(run: pd.Series, step: int, _: int) -> bool:
        arm = run["activation"] == "sigmoid" and run["norm"] == run["residual"] == "none"
        return arm and (step == 4 or (step == 1 and run["seed"] == 3))

    return dynamics.points(runs, profiles_of(runs, layers=layers_of(runs, gone)))


@pytest.fixture(scope="module")
def figure(data: pd.DataFrame) -> mpl.figure.Figure:
    return dynamics.draw(data)


def panel(figure: mpl.figure.Figure, activation: str, column: int) -> mpl.axes.Axes:
    rows = [axes for axes in figure.axes if axes.get_ylabel() in LOST]
    first = next(axes for axes in rows if axes.get_ylabel() == activation)
    return figure.axes[figure.axes.index(first) + column]


def colour_at(axes: mpl.axes.Axes, column: int, layer: int) -> str | None:
    """The colour that is drawn at a cell."""
    for patch in axes.patches:
        inside = patch.get_path().contains_point((column, layer))
        if isinstance(patch, mpl.patches.PathPatch) and inside:
            return mpl.colors.to_hex(patch.get_facecolor())
    return None


def words(axes: mpl.axes.Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def class_colour(decades: float) -> str:
    return dynamics.CLASSES.colours.colors[dynamics.CLASSES.of([decades])[0]]


def test_followed_are_one_remedy_at_a_time_at_the_first_init_and_the_deepest_that_train(runs):
    found = followed(runs)
    assert set(found["depth"]) == {5}
    assert set(found["init"]) == {"torch_default"}
    arms = set(zip(found["norm"], found["residual"], strict=True))
    assert arms == {("none", "none"), ("batch", "none"), ("none", "identity")}
    assert found.groupby(["activation", "norm", "residual"])["run_id"].nunique().eq(SEEDS).all()


def test_where_no_arm_trains_the_least_depth_is_followed(runs):
    assert set(followed(runs.assign(outcome="stalled"))["depth"]) == {2}


def test_tuning_runs_other_batteries_and_untrained_nets_are_not_followed(runs):
    tuning = runs.assign(split="tuning", run_id="t" + runs["run_id"])
    plain = runs_of("more", {"depth": [30, 40]}, 2, lambda *_: {"outcome": "trained"}, **TRAINED)
    drawn = runs_of("signal", {"depth": [50]}, 2, lambda *_: {})
    more = pd.concat([runs, tuning, plain, drawn], ignore_index=True)
    assert followed(more)["run_id"].tolist() == followed(runs)["run_id"].tolist()


def test_a_point_is_the_mean_of_each_runs_decades_below_its_own_last_layer(data):
    plain = data[data["norm"].eq("none") & data["residual"].eq("none")]
    tanh = plain[plain["activation"].eq("tanh")].set_index(["step", "layer"])
    # 4 layers back at -0.4 decades each, and 0.01 a layer for each of the seeds 0, 1, 2, 3.
    assert tanh.loc[(0, 1), "value"] == pytest.approx(-1.6 + 0.04 * 1.5, abs=1e-6)
    assert tanh.loc[(4, 1), "value"] == pytest.approx(-0.8 + 0.04 * 1.5, abs=1e-6)
    assert tanh.loc[(4, 5), "value"] == pytest.approx(0, abs=1e-6)
    assert (tanh["n"] == SEEDS).all()
    sd = 0.04 * np.std([0, 1, 2, 3], ddof=1)
    width = tanh.loc[(0, 1), "high"] - tanh.loc[(0, 1), "low"]
    assert width == pytest.approx(2 * 3.1824 * sd / math.sqrt(SEEDS), rel=1e-3)


def test_a_step_without_a_run_has_a_row_and_no_value(data):
    gone = data[data["activation"].eq("sigmoid") & data["norm"].eq("none")]
    gone = gone[gone["residual"].eq("none")]
    assert gone.groupby("step")["n"].unique().map(list).to_dict() == {0: [4], 1: [3], 4: [0]}
    assert gone.loc[gone["step"].eq(4), "value"].isna().all()
    trained = data.groupby(["norm", "residual"])["trained"].unique().map(list).to_dict()
    assert trained == {("none", "none"): [0], ("batch", "none"): [4], ("none", "identity"): [0]}
    assert (data["runs"] == SEEDS).all()


def test_a_cell_has_the_colour_of_its_decades_and_one_without_runs_has_none(figure):
    tanh, sigmoid = panel(figure, "tanh", 0), panel(figure, "sigmoid", 0)
    assert colour_at(tanh, 0, 1) == class_colour(-1.54)
    assert colour_at(tanh, 2, 1) == colour_at(tanh, 0, 5) == class_colour(0)
    assert colour_at(sigmoid, 0, 1) == class_colour(-10 + 0.06) != class_colour(-10.06)
    assert colour_at(sigmoid, 1, 4) == class_colour(-2.49)
    assert colour_at(sigmoid, 2, 3) is None
    assert all(colour_at(panel(figure, "tanh", 1), n, 1) == class_colour(0) for n in range(3))


def test_a_panel_says_what_it_is_what_trained_and_layer_1_at_first_and_at_last(figure):
    titles = [panel(figure, "sigmoid", n).get_title(loc="left") for n in range(3)]
    ended = [title.split("\n")[-1] for title in titles]
    assert ended == ["0 of 4 trained", "4 of 4 trained", "0 of 4 trained"]
    assert words(panel(figure, "tanh", 0)) == ["−1.5", "−0.7"]
    # One run of four is gone at the second column, and all at the third.
    assert words(panel(figure, "sigmoid", 0)) == ["−9.9", "← −10.0", "3", "0 left"]
    shown = [tick.get_text() for tick in panel(figure, "tanh", 0).get_xticklabels()]
    assert shown == ["0", "1", "4"]


def test_an_arm_that_the_study_does_not_have_is_said_to_be_missing(data):
    some = data[~(data["activation"].eq("tanh") & data["norm"].eq("batch"))]
    axes = panel(dynamics.draw(some), "tanh", 1)
    assert "not in this study" in axes.get_title(loc="left")
    assert colour_at(axes, 0, 1) is None


def test_colours_of_classes_grow_lighter_in_grey_with_the_gradient():
    shades = dynamics.CLASSES.colours.colors
    grey = [mpl.colors.to_rgb(c) @ np.array([0.299, 0.587, 0.114]) for c in shades]
    assert len(grey) == len(dynamics.CLASSES.bounds) + 1
    assert (np.diff(grey) > 0).all()


def test_many_probe_steps_keep_names_apart():
    steps = [0, *2 ** np.arange(24)]
    rows = [
        {"activation": "tanh", "norm": "none", "residual": "none", "init": "he", "depth": 2,
         "step": step, "layer": layer, "value": 0.0, "n": 2, "runs": 2, "trained": 1}
        for step in steps for layer in (1, 2)
    ]  # fmt: skip
    figure = dynamics.draw(pd.DataFrame(rows))
    labels = [tick for tick in figure.axes[0].get_xticklabels() if tick.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) > 5
    assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))


def test_the_figure_keeps_to_its_page_and_letters_are_no_smaller_than_7(figure):
    assert figure.get_figwidth() == style.WIDTH
    assert figure.get_figheight() <= 3.4
    assert smallest_letters(figure) >= 7
    assert overflow(figure) <= 0.01


def test_the_same_data_give_the_same_bytes(data, figure, tmp_path):
    twice = {"a": figure, "b": dynamics.draw(data)}
    saved = [style.save(drawn, tmp_path / f"{n}.svg", data).path for n, drawn in twice.items()]
    assert saved[0].read_bytes() == saved[1].read_bytes()
    assert len(pd.read_csv(saved[0].with_suffix(".csv"))) == len(data)


def test_a_study_that_follows_nothing_says_so(runs):
    empty = dynamics.points(RUNS.frame([]), PROFILES.frame([]))
    drawn = runs_of("signal", {"depth": [9]}, 2, lambda *_: {})
    untrained = dynamics.points(drawn, profiles_of(drawn, layers=layers_of(drawn.iloc[:0])))
    shallow = dynamics.points(one := runs[runs["depth"].eq(2)].assign(depth=1),
                              profiles_of(one, layers=layers_of(one)))  # fmt: skip
    for data in (empty, untrained, shallow):
        [text] = dynamics.draw(data).texts
        assert "follows no training" in text.get_text()
