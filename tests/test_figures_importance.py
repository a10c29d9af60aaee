"""The figures of importance, interactions and frontiers: what they show, and say without data."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.frontier import frontiers
from vanishing.analysis.importance import importance
from vanishing.analysis.interactions import PAIRS
from vanishing.analysis.study_tables import Tables
from vanishing.figures import frontier as frontier_figure
from vanishing.figures import importance as importance_figure
from vanishing.figures import interactions, style
from vanishing.tables import FRONTIERS, INTERACTIONS, RUNS

from . import planted
from .aggregated import interactions_of

OF_THE_TEXT = {"scales": 0.7}  # how wide a figure is; others are as wide as the text
LIMITS = {"sigmoid": 5, "tanh": 12, "relu": 30}


def learned(cell: dict, rng: np.random.Generator) -> dict:
    """Norms help sigmoid alone; success falls near a depth of the activation's own."""
    helped = cell["activation"] == "sigmoid" and cell["norm"] == "batch"
    limit = LIMITS[cell["activation"]] * (20 if helped else 1) * np.exp(rng.normal(0, 0.3))
    works = cell["depth"] < limit
    slope = {"sigmoid": -0.5, "tanh": -0.1, "relu": -0.05}[cell["activation"]] * (not helped)
    return {
        "slope": slope + rng.normal(0, 0.005),
        "weight_vanishing_index": (slope + rng.normal(0, 0.01)) * (cell["depth"] - 1),
        "outcome": "trained" if works else "stalled",
        "final_test_accuracy": (0.9 if works else 0.1) + rng.normal(0, 0.01),
    }


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    grid = {"activation": list(LIMITS), "norm": ["none", "batch"], "depth": [4, 9, 20, 40]}
    trained = planted.runs_of("training", grid, 5, learned, steps=50, optimizer="sgd")
    sweep = [f"gaussian(sigma_w={sigma})" for sigma in (10, 0.5, 2)]
    drawn = {"activation": ["tanh", "relu"], "init": sweep, "depth": [10, 20]}
    signal = planted.runs_of("signal", drawn, 5, planted.normal(-0.2, 0.1))
    return pd.concat([trained, signal], ignore_index=True)


@pytest.fixture(scope="module")
def explained(runs) -> pd.DataFrame:
    return importance(Tables(runs), 0)


@pytest.fixture(scope="module")
def drawn(runs, explained) -> dict:
    """Every figure with the data that it shows."""
    found = frontiers(Tables(runs), 0)
    xi = np.array([1.0, 2, 4, 8])
    row = {"battery": "b", "norm": "none", "residual": "none", "n": 9, "beyond": "inside"}
    arms = FRONTIERS.frame(
        row | {"activation": a, "init": i, "xi": x, "depth_50": 6 * x, "low": 5 * x, "high": 8 * x}
        for x, a, i in zip(xi, ["tanh", "tanh", "erf", "erf"], ["xavier", "he"] * 2, strict=True)
    )
    arms["depth_50"] *= [1.1, 0.9, 1, 1]
    points = {
        "importance": importance_figure.points(explained),
        "interactions": interactions.points(interactions_of(runs, explained), "slope"),
        "accuracy": interactions.points(interactions_of(runs, explained), "test_accuracy"),
        "frontier": frontier_figure.points(runs, found),
        "scales": frontier_figure.scales(arms),
    }
    draw = {
        "importance": importance_figure.draw,
        "interactions": interactions.draw,
        "accuracy": interactions.draw,
        "frontier": frontier_figure.draw,
        "scales": frontier_figure.draw_scales,
    }
    return {name: (draw[name](data), data) for name, data in points.items()}


def words(figure: mpl.figure.Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_figures_have_their_width_and_no_text_is_small_or_outside(drawn: dict) -> None:
    for name, (figure, _) in drawn.items():
        assert figure.get_figwidth() == OF_THE_TEXT.get(name, 1) * style.WIDTH, name
        texts = [t for t in figure.findobj(mpl.text.Text) if t.get_text() and t.get_visible()]
        assert min(text.get_fontsize() for text in texts) >= 7, name
        ticks = {t for a in figure.axes for t in (*tick_labels(a.xaxis), *tick_labels(a.yaxis))}
        shown = {t for a in figure.axes if a.get_visible() for t in named_on(a)}
        boxes = [t.get_window_extent() for t in texts if t in shown or t not in ticks]
        assert max(box.x1 for box in boxes) <= figure.bbox.x1 + 1, name
        assert min(box.x0 for box in boxes) >= -1, name


def test_names_on_axes_and_titles_do_not_overlap(drawn: dict) -> None:
    for name, (figure, _) in drawn.items():
        texts = [text for axes in figure.axes if axes.get_visible() for text in named_on(axes)]
        boxes = [text.get_window_extent() for text in texts]
        for i, box in enumerate(boxes):
            over = [
                t.get_text() for t, b in zip(texts[:i], boxes[:i], strict=True) if b.overlaps(box)
            ]
            assert not over, (name, texts[i].get_text(), over)


def named_on(axes: mpl.axes.Axes) -> list:
    shown = [axes.xaxis.label, axes.yaxis.label, axes._left_title]
    level = [t for t in axes.get_xticklabels() if t.get_rotation() == 0] + axes.get_yticklabels()
    left, right = axes.bbox.x0 - 1, axes.bbox.x1 + 1
    below, above = axes.bbox.y0 - 1, axes.bbox.y1 + 1
    ticks = [t for t in level if t.get_visible() and t.get_text()]
    inside = [
        t for t in ticks
        if left <= center(t)[0] <= right or below <= center(t)[1] <= above
    ]  # fmt: skip
    return [t for t in shown + inside if t.get_text()]


def tick_labels(axis: mpl.axis.Axis) -> list[mpl.text.Text]:
    return [*axis.get_majorticklabels(), *axis.get_minorticklabels()]


def center(text: mpl.text.Text) -> tuple[float, float]:
    box = text.get_window_extent()
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def test_they_are_saved_as_the_same_bytes_in_sentinel_colours(drawn: dict, tmp_path: Path) -> None:
    for name, (figure, points) in drawn.items():
        first = style.save(figure, tmp_path / "a" / f"{name}.svg", points)
        second = style.save(figure, tmp_path / "b" / f"{name}.svg", points)
        assert first.path.read_bytes() == second.path.read_bytes()
        svg = first.path.read_text()
        assert style.TEXT in svg
        assert not re.search(r"(fill|stroke): ?#(000000|ffffff|262626)", svg), name


def test_empty_tables_and_a_smoke_study_give_figures_that_say_what_is_missing() -> None:
    none = RUNS.frame([])
    smoke = planted.runs_of("smoke", {"depth": [4]}, 2, learned_once, steps=9, optimizer="sgd")
    for runs in (none, smoke):
        tables = Tables(runs)
        explained, found = importance(tables, 0), frontiers(tables, 0)
        figures = [
            importance_figure.draw(importance_figure.points(explained)),
            interactions.draw(interactions.points(INTERACTIONS.frame([]))),
            interactions.draw(interactions.points(INTERACTIONS.frame([]), "test_accuracy")),
            frontier_figure.draw(frontier_figure.points(runs, found)),
            frontier_figure.draw_scales(frontier_figure.scales(found)),
        ]
        assert all(re.match(r"No ", words(figure).strip()) for figure in figures)


def learned_once(*_: object) -> dict:
    return {"slope": -0.1, "outcome": "trained", "final_test_accuracy": 0.9}


def test_importance_shows_the_named_batteries_and_terms_of_a_hundredth_at_least(drawn) -> None:
    figure, points = drawn["importance"]
    assert points["battery"].unique().tolist() == ["signal", "training"]
    assert points.groupby(["battery", "term"])["value"].max().min() >= 0.01
    assert points.groupby("battery")["term"].nunique().max() <= importance_figure.MOST
    shown = words(figure)
    assert "activation \u00d7 norm" in shown
    assert "not measured" in shown  # nothing is trained in the battery signal


def test_factors_are_ranked_by_each_measure_and_stand_before_pairs(drawn) -> None:
    mine, others = importance_figure.by_measures(drawn["importance"][1])
    assert (set(mine["battery"]), set(others["battery"])) == ({"training"}, {"signal"})
    figure = importance_figure.draw(mine)
    assert len(figure.axes) == mine["measure"].nunique() == 3
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    pairs = ["\u00d7" in name for name in names]
    assert pairs == sorted(pairs)
    measures = [name for name in importance_figure.MEASURES if name in set(mine["measure"])]
    for axes, measure in zip(figure.axes, measures, strict=True):
        factors = mine[mine["measure"].eq(measure) & mine["order"].eq(1)].set_index("term")["value"]
        ranks = {names[round(t.xy[1])]: t.get_text() for t in axes.texts}
        assert ranks[importance_figure.named(factors.idxmax())] == "1"
        assert sorted(ranks.values()) == [str(n + 1) for n in range(len(factors))]


def test_importance_of_other_batteries_is_shown_where_the_named_ones_are_not_there(explained):
    other = explained.assign(battery=explained["battery"] + "_of_mine")
    assert set(importance_figure.points(other)["battery"]) == {"signal_of_mine", "training_of_mine"}
    assert set(importance_figure.points(explained, ["signal"])["battery"]) == {"signal"}


def test_interactions_are_of_the_largest_pairs_each_once_with_plain_means(runs, drawn) -> None:
    _, points = drawn["interactions"]
    pairs = points.drop_duplicates(["battery", "term"])
    assert 1 < len(pairs) <= PAIRS
    assert pairs["term"].is_unique
    assert pairs["omega_squared"].is_monotonic_decreasing
    assert pairs["term"].iloc[0] == "activation:norm"
    one = points[points["x_level"].eq("batch") & points["line_level"].eq("sigmoid")].iloc[0]
    own = runs[runs["activation"].eq("sigmoid") & runs["norm"].eq("batch")]
    assert one["value"] == pytest.approx(own["slope"].mean())
    assert one["n"] == 5


def test_levels_of_one_part_go_by_their_parameter_in_order(explained, runs) -> None:
    one = explained[explained["term"].eq("activation:init") & explained["measure"].eq("slope")]
    figure = interactions.draw(interactions.points(interactions_of(runs, one)))
    [axes] = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "2", "10"]
    assert "sigma_w" in axes.get_xlabel()


def test_a_frontier_is_drawn_for_each_arm_or_an_arrow_where_it_lies_beyond(drawn) -> None:
    figure, points = drawn["frontier"]
    assert set(points["battery"]) == {"training"}
    arms = points.drop_duplicates(["activation", "norm"]).set_index(["activation", "norm"])
    assert arms.loc[("sigmoid", "batch"), "beyond"] == "deeper"
    inside = arms[arms["beyond"] == "inside"]
    assert (inside["slope"] < 0).all()
    halves = np.exp(-inside["intercept"] / inside["slope"])
    assert halves.to_numpy() == pytest.approx(inside["depth_50"].to_numpy())
    markers = [line.get_marker() for line in figure.findobj(mpl.lines.Line2D)]
    assert markers.count(">") == (arms["beyond"] == "deeper").sum()
    assert all(name in words(figure) for name in (*LIMITS, "plain", "batch norm"))


def test_each_l_50_stands_in_its_lane_with_its_interval_cut_at_the_panel(drawn) -> None:
    figure, points = drawn["frontier"]
    for axes in figure.axes:
        activation = axes.get_title("left").partition(",")[0]
        arms = points[points["activation"] == activation].drop_duplicates("norm")
        left, right = axes.get_xlim()
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        lanes = dict(zip(names, figure.axes[0].get_yticks(), strict=True))
        marks = {round(line.get_ydata()[0], 9): line for line in axes.lines
                 if len(line.get_xdata()) == 1 and line.get_ydata()[0] < 0}  # fmt: skip
        bars = {round(line.get_ydata()[0], 9): line.get_xdata() for line in axes.lines
                if line.get_gid() == "L50"}  # fmt: skip
        for arm in arms.itertuples():
            lane = round(lanes["plain" if arm.norm == "none" else "batch norm"], 9)
            assert marks[lane].get_color() == style.remedy_look(arm.norm)["color"]
            if arm.beyond == "inside":
                assert marks[lane].get_xdata()[0] == pytest.approx(arm.depth_50)
                ends = max(arm.low_50, left), min(arm.high_50, right)
                assert list(bars[lane]) == pytest.approx(ends)


def test_an_arm_without_an_estimate_says_so_and_of_many_inits_each_has_a_lane(drawn) -> None:
    _, points = drawn["frontier"]
    gone = points["activation"].eq("tanh") & points["norm"].eq("batch")
    assert "not in this study" in words(frontier_figure.draw(points[~gone]))
    unknown = points.assign(beyond=points["beyond"].where(~gone))
    assert "no estimate" in words(frontier_figure.draw(unknown))
    sigmas = ("0.5", "1", "2", "10")
    many = pd.concat([points.assign(init=f"gaussian(sigma_w={sigma})") for sigma in sigmas])
    figure = frontier_figure.draw(many)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[: len(sigmas)] == [f"$\\sigma_w$ = {sigma}" for sigma in sigmas]
    colours = {label.get_color() for label in figure.axes[0].get_yticklabels()[: len(sigmas)]}
    assert len(colours) == len(sigmas)


def test_the_scale_is_fitted_and_said_and_the_published_one_stands_beside_it(drawn) -> None:
    figure, points = drawn["scales"]
    assert points["slope_value"].nunique() == 1
    assert points["slope_value"].iloc[0] == pytest.approx(1, abs=0.1)
    assert "Schoenholz" in words(figure)
    assert f"{points['factor_value'].iloc[0]:.2g}" in words(figure)
    few = frontier_figure.draw_scales(points.head(1).assign(slope_value=np.nan))
    assert "too few" in words(few)
