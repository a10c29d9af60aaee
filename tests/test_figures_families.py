"""The figures of nets through time, of two players and of cases: what they draw, and from what."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.estimates import one_family
from vanishing.figures import adversarial, cases, lags, memory, style
from vanishing.tables import CASES, LAG_PREDICTIONS, PROFILES, RUNS

from . import planted_families as planted
from .aggregated import case_scores, profiles_of
from .drawn import overflow, smallest_letters
from .planted_cases import at, scored
from .planted_cases import proxies as of_cases

SLOPES = {"vanilla": -0.4, "lstm": -0.05, "gru": -0.1}
LEARNS = {("vanilla", 10): "trained", ("lstm", 10): "trained", ("lstm", 50): "trained"}


def slope(run: dict) -> float:
    return (
        2 * SLOPES[run["recurrence"]]
        if run["activation"] == "sigmoid"
        else SLOPES[run["recurrence"]]
    )


@pytest.fixture(scope="module")
def through_time() -> pd.DataFrame:
    vanilla = {"activation": ["sigmoid", "tanh"], "init": ["torch_default", "orthogonal"]}
    fixed = {"family": "rnn", "task": "adding", "length": 21}
    parts = [
        planted.runs_of("rnn_init", vanilla, 3, recurrence="vanilla", **fixed),
        planted.runs_of("rnn_gates", {"recurrence": ["lstm", "gru"]}, 3, **fixed),
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def adding() -> pd.DataFrame:
    factors = {"recurrence": ["vanilla", "lstm"], "length": [10, 50]}
    fixed = {"family": "rnn", "task": "adding(samples=2000)", "steps": 64}
    runs = planted.runs_of("rnn_training", factors, 5, **fixed)
    keys = zip(runs["recurrence"], runs["length"], strict=True)
    return runs.assign(outcome=[LEARNS.get(key, "stalled") for key in keys])


def game(run: dict) -> list[dict]:
    """The saturating game loses two decades from update 0 to 10, the other one nothing."""
    lost = -2.0 if run["game"] == "saturating" else 0.0
    rows = ((0, 0.0, 0.5), (10, lost, 0.9))
    return [
        {"step": step, "log10_generator_gradient": run["seed"] + change,
         "discriminator_accuracy": accuracy}
        for step, change, accuracy in rows
    ]  # fmt: skip


def generated(run: dict) -> list[dict]:
    found = {"modes": 6.0 + run["seed"] % 2, "high_quality": 0.7, "mmd": 0.1}
    return [
        {"step": step, "score": score, "level": 0.0, "value": value}
        for step in (0, 100)
        for score, value in found.items()
    ]


@pytest.fixture(scope="module")
def players() -> pd.DataFrame:
    factors = {"game": ["saturating", "wgan_gp(penalty=10)"]}
    kinds = [("gan_fixed", "fixed", "digits"), ("gan_live", "live", "ring")]
    return pd.concat(
        [
            planted.runs_of(name, factors, 4, family="gan", task=task, steps=10, generator=kind)
            for name, kind, task in kinds
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def proxies() -> pd.DataFrame:
    return of_cases()


@pytest.fixture(scope="module")
def drawn(through_time, adding, players, proxies) -> dict:
    """Every figure with the data that it shows."""
    predictions = planted.lag_predictions_of(through_time, slope)
    data = {
        lags: lags.points(
            through_time,
            profiles_of(through_time, lags=planted.lags_of(through_time, slope)),
            predictions,
        ),
        memory: memory.points(
            adding, profiles_of(adding, lags=planted.lags_of(adding, slope, (0, 1, 64)))
        ),
        adversarial: adversarial.points(
            players,
            profiles_of(
                players,
                games=planted.games_of(players, game),
                scores=planted.scores_of(players, generated),
            ),
        ),
        cases: case_scores(proxies, planted.scores_of(proxies, scored)),
    }
    return {module.__name__.rpartition(".")[2]: (module.draw(p), p) for module, p in data.items()}


def words(figure: mpl.figure.Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_every_figure_is_as_wide_as_the_text_and_its_letters_are_no_smaller_than_7(drawn) -> None:
    for figure, points in drawn.values():
        assert figure.get_figwidth() == style.WIDTH
        assert smallest_letters(figure) >= 7
        assert len(points) > 0


def test_nothing_that_is_drawn_leaves_the_page(drawn) -> None:
    for name, (figure, _) in drawn.items():
        assert overflow(figure) <= 0.01, name


def test_empty_tables_give_a_figure_that_says_what_is_missing() -> None:
    runs, profiles = RUNS.frame([]), PROFILES.frame([])
    empty = [
        lags.draw(lags.points(runs, profiles, LAG_PREDICTIONS.frame([]))),
        memory.draw(memory.points(runs, profiles)),
        adversarial.draw(adversarial.points(runs, profiles)),
        cases.draw(CASES.frame([])),
    ]
    assert all(re.search(r"\b(no|not|nothing)\b", words(figure), re.I) for figure in empty)


def test_a_study_with_some_cases_says_of_the_others_that_they_are_not_there(proxies) -> None:
    only = proxies[proxies["battery"] == "w03"]
    figure = cases.draw(case_scores(only, planted.scores_of(only, scored)))
    assert words(figure).count("This study") == 3
    assert "contrast" in words(figure)


def test_one_kind_of_generator_alone_is_one_row(players) -> None:
    live = players[players["generator"] == "live"]
    points = adversarial.points(live, profiles_of(live, scores=planted.scores_of(live, generated)))
    figure = adversarial.draw(points)
    assert len(figure.axes) == 2
    assert "modes covered" in words(figure)


def test_a_figure_is_saved_as_the_same_bytes_twice_in_sentinel_colours(
    drawn, tmp_path: Path
) -> None:
    for name, (figure, points) in drawn.items():
        first = style.save(figure, tmp_path / "a" / f"{name}.svg", points).path
        second = style.save(figure, tmp_path / "b" / f"{name}.svg", points).path
        assert first.read_bytes() == second.read_bytes()
        svg = first.read_text()
        assert style.TEXT in svg
        assert not re.search(r"(fill|stroke): ?#(000000|ffffff|262626)", svg), name
        assert len(pd.read_csv(first.with_suffix(".csv"))) == len(points)


def test_lag_profiles_start_at_zero_and_theirs_is_the_planted_slope(drawn) -> None:
    _, points = drawn["lags"]
    lstm = points[points["recurrence"] == "lstm"].set_index("lag")
    assert (points.loc[points["lag"] == 0, "value"] == 0).all()
    assert lstm.loc[20, "value"] == pytest.approx(-1.0, abs=1e-5)
    assert np.allclose(points["value"], points["theory"], atol=1e-5)
    assert set(points["n"]) == {3}


def test_lag_profiles_have_a_panel_a_kind_of_cell_and_init_and_name_each_line_once(drawn) -> None:
    figure, _ = drawn["lags"]
    titles = {axes.get_title(loc="left") for axes in figure.axes}
    assert titles == {"vanilla, torch_default", "vanilla, orthogonal", "other cells, torch_default"}
    said = words(figure).split()
    assert [said.count(name) for name in ("sigmoid", "tanh", "lstm", "gru")] == [1, 1, 1, 1]


def test_a_lag_at_which_a_seeds_gradient_is_zero_has_no_point(through_time) -> None:
    profiles = planted.lags_of(through_time, slope)
    dead = profiles["run_id"].eq(through_time["run_id"].iloc[0]) & profiles["lag"].eq(20)
    profiles["log10_delta_rms"] = profiles["log10_delta_rms"].mask(dead)
    cells = profiles_of(through_time, lags=profiles)
    points = lags.points(through_time, cells, LAG_PREDICTIONS.frame([]))
    last = points[points["lag"] == 20]["cell"]
    assert set(through_time["cell"]) - set(last) == {through_time["cell"].iloc[0]}
    assert points["theory"].isna().all()


def test_memory_counts_every_run_and_takes_the_slope_at_the_greatest_length(drawn) -> None:
    figure, points = drawn["memory"]
    share = points[points["outcome"] == "trained"].set_index(["recurrence", "length"])
    assert share["value"].to_dict() == {
        ("vanilla", 10): 1, ("lstm", 10): 1, ("vanilla", 50): 0, ("lstm", 50): 1
    }  # fmt: skip
    assert share.loc[("vanilla", 50), "high"] == pytest.approx(0.4345, abs=1e-3)  # 0 of 5
    slopes = points[points["outcome"] == "slope"]
    assert set(slopes["length"]) == {50}
    assert slopes.groupby("recurrence")["value"].mean().to_dict() == pytest.approx(
        {"vanilla": -0.4, "lstm": -0.05}, abs=1e-5
    )
    assert sorted(slopes["step"].unique()) == [0, 1, 64]
    assert all(name in words(figure) for name in ("lstm", "tanh, torch_default"))


def test_memory_pools_neither_norms_nor_depths() -> None:
    factors = {"recurrence": ["vanilla", "lstm"], "norm": ["none", "layer"], "depth": [1, 2]}
    fixed = {"family": "rnn", "task": "adding", "length": 10, "steps": 64}
    runs = planted.runs_of("own", factors, 3, **fixed).assign(outcome="trained")
    points = memory.points(runs, profiles_of(runs, lags=planted.lags_of(runs, slope, (0, 64))))
    assert set(points["n"]) == {3}
    assert len(points[points["outcome"] == "trained"]) == 8
    names = [text.get_text() for text in memory.draw(points).findobj(mpl.text.Annotation)]
    ends = [name for name in names if "depth" in name]
    assert len(ends) == 16
    assert len(set(ends)) == 8
    assert "lstm, norm layer, depth 2" in ends


def test_memory_tells_inits_of_one_kind_apart(adding) -> None:
    inits = [f"identity(sd={0.1 + 0.1 * (seed % 2):g})" for seed in adding["seed"]]
    runs = adding.assign(init=inits, cell=adding["cell"] + inits)
    points = memory.points(runs, profiles_of(runs, lags=planted.lags_of(runs, slope, (0, 64))))
    assert "tanh, identity(sd=0.2)" in words(memory.draw(points))


def test_lines_of_one_panel_that_coincide_have_different_strokes(drawn) -> None:
    figure, _ = drawn["lags"]
    for axes in figure.axes:
        lines = [line for line in axes.lines if len(line.get_xdata()) == 21]
        strokes = [(line.get_color(), line.is_dashed()) for line in lines]
        assert sorted(dashed for _, dashed in strokes) == [False, True]


def test_a_generator_without_modes_is_judged_by_its_distance_from_the_data(players) -> None:
    def distances(run: dict) -> list[dict]:
        return [at(s, "frechet", 0, 10.0 * (run["seed"] == 0)) for s in (0, 100)] + [
            at(s, "mmd", 0, 0.001 * (-1) ** run["seed"]) for s in (0, 100)
        ]

    live = players[players["generator"] == "live"]
    points = adversarial.points(live, profiles_of(live, scores=planted.scores_of(live, distances)))
    figure = adversarial.draw(points)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["squared mmd\nfrom the data", "Fréchet distance"]
    lowest = points.groupby("quantity")["low"].min()
    assert lowest["frechet"] < 0  # Student's, as the table has it
    mmd, frechet = (lowest_drawn(axes) for axes in figure.axes)
    assert frechet == 0
    assert mmd == pytest.approx(lowest["mmd"])


def lowest_drawn(axes: mpl.axes.Axes) -> float:
    """The lowest end of the intervals in ``axes``."""
    bars = axes.findobj(mpl.collections.LineCollection)
    return min(part[:, 1].min() for bar in bars for part in bar.get_segments())


def test_a_generators_gradient_is_shown_against_its_own_start(drawn) -> None:
    figure, points = drawn["adversarial"]
    ends = points[points["step"] == 10].set_index(["quantity", "game"])["value"]
    assert ends["gradient", "saturating"] == pytest.approx(-2)
    assert ends["gradient", "wgan_gp(penalty=10)"] == pytest.approx(0)
    assert ends["accuracy", "saturating"] == pytest.approx(0.9)
    modes = points[(points["quantity"] == "modes") & (points["step"] == 100)]
    assert modes["value"].tolist() == [6.5, 6.5]
    assert all(
        w in words(figure) for w in ("digits", "ring", "saturating", "share of high quality")
    )


def test_depths_are_averaged_within_a_seed(drawn) -> None:
    figure, points = drawn["cases"]
    faint = points[points["task"].eq("faint_blob") & points["level"].eq(0.25)]
    assert faint["value"].tolist() == pytest.approx([0.7, 0.7])
    assert faint["n"].tolist() == [3, 3]
    assert faint["high"].tolist() == pytest.approx([0.7, 0.7])
    assert "breast cancer" in words(figure)


def test_figures_of_layers_keep_to_the_task_of_most_cells(proxies) -> None:
    digits = planted.runs_of(
        "training", {"depth": [2, 4, 8, 16, 32]}, 1, family="mlp", task="digits"
    )
    mixed = pd.concat([proxies, digits], ignore_index=True)
    assert set(one_family(mixed)["task"]) == {"digits"}
    assert set(one_family(mixed)["family"]) == {"mlp"}
