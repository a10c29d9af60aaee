"""The figures: what they draw, from what, in which colours, and that they are saved the same."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import Registry
from vanishing.analysis.frontier import frontiers
from vanishing.analysis.study_tables import Tables
from vanishing.figures import (
    agreement,
    calibration,
    ledger,
    phase,
    profiles,
    remedies,
    style,
    trainability,
)
from vanishing.figures.estimates import at_init as shown_at_init
from vanishing.parts.activations import ACTIVATIONS
from vanishing.tables import AGREEMENT, CURVES, FRONTIERS, LEDGER, PREDICTIONS, PROFILES, RUNS

from . import planted
from .aggregated import profiles_of
from .drawn import smallest_letters

OUTCOMES = {"none": "stalled", "batch": "trained", "layer": "diverged"}


def at_init(cell: dict, rng: np.random.Generator) -> dict:
    """Sigmoid loses half a decade a layer and tanh a tenth; a norm loses nothing."""
    slope = 0.0 if cell["norm"] != "none" else {"sigmoid": -0.5, "tanh": -0.1}[cell["activation"]]
    return {"slope": slope + rng.normal(0, 0.005)}


def trained(cell: dict, rng: np.random.Generator) -> dict:
    accuracy = 0.95 if cell["norm"] == "batch" else 0.1
    return at_init(cell, rng) | {"outcome": OUTCOMES[cell["norm"]], "final_test_accuracy": accuracy}


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    activation, norm = ["sigmoid", "tanh"], ["none", "batch"]
    sweep = [f"gaussian(sigma_w={sigma})" for sigma in (0.5, 1, 2)]
    signal = {"activation": activation, "init": ["torch_default", "he"], "depth": [10, 20]}
    remedy = {"norm": norm, "residual": ["none", "identity"]}
    arms = {"activation": activation, **remedy, "depth": [4, 9, 20]}
    return pd.concat(
        [
            planted.runs_of("signal", signal, 4, at_init),
            planted.runs_of("sigma", {"activation": activation, "init": sweep}, 4, at_init),
            planted.runs_of("remedies", {"activation": activation, "norm": norm}, 4, at_init),
            planted.runs_of("training", arms, 5, trained, steps=50, optimizer="sgd"),
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def layers(runs: pd.DataFrame) -> pd.DataFrame:
    return planted.layers_of(runs, lambda layer: {"q": 1.0, "log10_delta_rms": float(layer - 9)})


@pytest.fixture(scope="module")
def predictions(runs: pd.DataFrame) -> pd.DataFrame:
    return planted.predicted(runs, lambda row: -0.5 if row["activation"] == "sigmoid" else -0.1)


@pytest.fixture(scope="module")
def agreed(runs: pd.DataFrame) -> pd.DataFrame:
    return planted.agreed(runs, lambda row: -0.5 if row["activation"] == "sigmoid" else -0.1)


@pytest.fixture(scope="module")
def curves(runs: pd.DataFrame) -> pd.DataFrame:
    ids = runs.loc[runs["steps"] > 0, "run_id"]
    return CURVES.frame(
        {"run_id": run, "step": step, "train_loss": 2.0, "test_accuracy": accuracy}
        for run in ids
        for step, accuracy in ((0, 0.125), (50, 0.9))
    )


CLAIMS = Registry.model_validate(
    {
        "sources": {"S1": "An article"},
        "claims": [
            {
                "id": "C01", "statement": "The gradient shrinks.", "quote": "q", "sources": ["S1"],
                "quoted_from": "S1", "refuted_if": "it does not",
                "primary": {"batteries": ["signal"], "measure": "slope", "test": "seed_mean",
                            "side": "less", "smallest_effect": 0.02},
            },
            {
                "id": "W04", "statement": "An anecdote.", "quote": "q", "sources": ["S1"],
                "quoted_from": "S1", "refuted_if": "never", "not_testable": "an anecdote",
            },
        ],
    }
)  # fmt: skip


def judged() -> pd.DataFrame:
    row = {"stratum": "all", "statistic": "s", "n": 10, "planned": 10, "done": 10, "diverged": 0,
           "reason": "r"}  # fmt: skip
    found = {"value": -0.5, "low": -0.51, "high": -0.49, "p": 0.001, "p_holm": 0.001}
    rows = [row | found | {"claim": "C01", "verdict": "SUPPORTED"},
            row | {"claim": "W04", "verdict": "NOT TESTABLE"}]  # fmt: skip
    return LEDGER.frame([dict.fromkeys(LEDGER.columns) | row for row in rows])


@pytest.fixture(scope="module")
def drawn(runs, layers, predictions, agreed, curves) -> dict:
    """Every figure with the data that it shows."""
    cells = profiles_of(runs, layers=layers, curves=curves)
    data = {
        profiles: profiles.points(runs, cells, predictions),
        calibration: calibration.points(agreed),
        agreement: agreement.points(agreed),
        phase: phase.points(runs, predictions),
        trainability: trainability.points(runs, cells, frontiers(Tables(runs), 0)),
        remedies: remedies.points(runs),
        ledger: ledger.points(judged(), CLAIMS),
    }
    return {module.__name__: (module.draw(points), points) for module, points in data.items()}


def words(figure: mpl.figure.Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_every_figure_is_as_wide_as_the_text_and_shows_data(drawn: dict) -> None:
    for figure, points in drawn.values():
        assert figure.get_figwidth() == style.WIDTH
        assert len(points) > 0
        assert figure.axes


def test_no_text_is_small(drawn: dict) -> None:
    for figure, _ in drawn.values():
        assert smallest_letters(figure) >= 7


def test_empty_tables_give_a_figure_that_says_what_is_missing() -> None:
    runs, cells = RUNS.frame([]), PROFILES.frame([])
    predictions, ledgers = PREDICTIONS.frame([]), LEDGER.frame([])
    depths = trainability.points(runs, cells, FRONTIERS.frame([]))
    empty = [
        profiles.draw(profiles.points(runs, cells, predictions)),
        calibration.draw(calibration.points(AGREEMENT.frame([]))),
        agreement.draw(agreement.points(AGREEMENT.frame([]))),
        phase.draw(phase.points(runs, predictions)),
        trainability.draw(depths),
        trainability.draw_accuracy(trainability.accuracies(depths)),
        remedies.draw(remedies.points(runs)),
        ledger.draw(ledger.points(ledgers, CLAIMS)),
    ]
    assert all(re.search(r"\b(no|not|nothing)\b", words(figure), re.I) for figure in empty)


def test_one_activation_has_one_colour_and_registered_ones_differ(drawn: dict) -> None:
    colours = [style.activation_colour(name) for name in ACTIVATIONS]
    assert len(set(colours)) == len(colours)
    for name in ("profiles", "phase", "remedies"):
        figure, _ = drawn[f"vanishing.figures.{name}"]
        lines = {line.get_color() for line in figure.findobj(mpl.lines.Line2D)}
        expected = {style.activation_colour("sigmoid"), style.activation_colour("tanh")}
        others = {style.TEXT, style.GRID, ".8"} | {"black", "k"}
        assert expected <= lines <= expected | others, name


def test_a_users_activation_has_a_colour_of_the_palette_that_stays() -> None:
    colour = style.activation_colour("my_parts:snake")
    assert colour == style.activation_colour("my_parts:snake")
    assert colour in style.PALETTE
    mixed = ["my_parts:snake", "tanh", "linear"]
    assert style.ordered(mixed) == ["linear", "tanh", "my_parts:snake"]


@pytest.mark.parametrize("background", ["#ffffff", "#14171a"])
def test_colours_stand_out_on_white_and_on_near_black(background: str) -> None:
    for colour in (*style.PALETTE, *ledger.COLOURS.values()):
        light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colour


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in mpl.colors.to_rgb(colour)
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_a_figure_is_saved_as_the_same_bytes_twice(drawn: dict, tmp_path: Path, runs) -> None:
    for name, (figure, points) in drawn.items():
        first = style.save(figure, tmp_path / "a" / f"{name}.svg", points).path
        style.save(figure, tmp_path / "b" / f"{name}.svg", points)
        second = tmp_path / "b" / first.name
        assert first.read_bytes() == second.read_bytes()
        csv = first.with_suffix(".csv")
        assert csv.read_bytes() == (tmp_path / "b" / csv.name).read_bytes()
        assert len(pd.read_csv(csv)) == len(points)
    again = phase.draw(drawn["vanishing.figures.phase"][1])
    style.save(again, tmp_path / "c.svg", runs)
    first = tmp_path / "a" / "vanishing.figures.phase.svg"
    assert (tmp_path / "c.svg").read_bytes() == first.read_bytes()


def test_a_saved_figure_has_the_sentinel_colours_and_a_notebook_shows_others(
    drawn: dict, tmp_path: Path
) -> None:
    for name, (figure, points) in drawn.items():
        saved = style.save(figure, tmp_path / f"{name}.svg", points)
        svg, shown = saved.path.read_text(), saved._repr_svg_()
        assert style.TEXT in svg
        assert style.BACKGROUND in svg
        assert not any(sentinel in shown for sentinel in style.ON_PAPER)
        assert not re.search(r"(fill|stroke): ?#(000000|ffffff|262626)", svg), name


def test_points_of_the_calibration_are_means_with_student_intervals(runs, agreed) -> None:
    points = calibration.points(agreed)
    one = points[points["activation"].eq("sigmoid") & points["norm"].eq("none")].iloc[0]
    slopes = runs.loc[runs["cell"] == one["cell"], "slope"]
    assert one["value"] == pytest.approx(slopes.mean())
    assert one["n"] == 4
    assert one["high"] - one["low"] == pytest.approx(2 * 3.182 * slopes.std() / 2, rel=1e-3)
    assert one["difference"] == pytest.approx(slopes.mean() + 0.5)


def test_profiles_show_plain_networks_of_one_depth_and_one_init_a_sigma_w(drawn: dict) -> None:
    _, points = drawn["vanishing.figures.profiles"]
    assert points["depth"].unique().tolist() == [10]
    assert set(points["init"]) == {"torch_default", "he"}
    assert set(points["quantity"]) == set(profiles.QUANTITIES)


def test_the_phase_figure_names_its_phases_and_every_activation(drawn: dict) -> None:
    figure, points = drawn["vanishing.figures.phase"]
    assert sorted(points["sigma_w"].unique()) == [0.5, 1, 2]
    assert all(w in words(figure) for w in ("vanish", "explode", "sigmoid", "tanh"))


def test_shares_trained_have_wilson_intervals_and_count_every_run(drawn: dict) -> None:
    figure, points = drawn["vanishing.figures.trainability"]
    batch = points[points["outcome"].eq("trained") & points["norm"].eq("batch")]
    assert (batch["value"] == 1).all()
    assert batch["low"].to_numpy() == pytest.approx(0.5655, abs=1e-3)  # 5 of 5
    assert set(points["untrained"]) == {0.125}
    assert all(w in words(figure) for w in ("plain", "batch norm, skip"))


def test_remedies_are_paired_and_taken_alone(drawn: dict) -> None:
    _, points = drawn["vanishing.figures.remedies"]
    effects = points.set_index(["outcome", "remedy", "activation"])["value"]
    assert effects["vanishing_index", "batch", "sigmoid"] == pytest.approx(0.5 * 19, abs=0.2)
    assert effects["trained", "batch", "tanh"] == 1
    assert effects["trained", "identity", "tanh"] == 0
    assert points["low"].le(points["value"]).all()


def test_the_verdict_figure_turns_claims_their_way_and_prints_the_word(drawn: dict) -> None:
    figure, points = drawn["vanishing.figures.ledger"]
    first = points.set_index("claim").loc["C01"]
    assert (first["value"], first["low"], first["high"]) == pytest.approx((25, 24.5, 25.5))
    assert (first["effect"], first["unit"]) == (-0.5, "")
    assert all(w in words(figure) for w in ("supported", "not testable"))


def test_cells_beyond_the_panel_are_marked_and_named_apart_inside_the_figure(agreed) -> None:
    points = calibration.points(agreed).sort_values("predicted", ignore_index=True)
    off = pd.Series([0.1, 0.099, -0.06], index=points.index[-3:])
    off = off.reindex(points.index, fill_value=0)
    value = points["predicted"] + off
    shown = points.assign(value=value, low=value - 0.001, high=value + 0.001, difference=off)
    figure = calibration.draw(shown)
    names = [t for t in figure.findobj(mpl.text.Annotation) if "depth" in t.get_text()]
    boxes = [t.get_window_extent() for t in names]
    assert sorted(t.get_text().rpartition(" ")[2] for t in names) == ["0.099", "0.1", "\u22120.06"]
    assert not any(one.overlaps(other) for one in boxes for other in boxes if one is not other)
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    marks = [line for line in figure.findobj(mpl.lines.Line2D) if line.get_marker() in ("^", "v")]
    assert sum(len(line.get_xdata()) for line in marks) == 3
    low, high = figure.axes[1].get_ylim()
    assert all(low < y < high for line in marks for y in line.get_ydata())


def test_a_decade_is_as_long_forward_as_backward(drawn: dict) -> None:
    figure, _ = drawn["vanishing.figures.profiles"]
    long = [axes.bbox.height / np.ptp(axes.get_ylim()) for axes in figure.axes]
    assert long == pytest.approx([long[0]] * len(long), rel=0.02)
    steps = {round(step, 6) for axes in figure.axes for step in np.diff(axes.get_yticks())}
    assert len(steps) == 1


def test_a_remedy_has_one_colour_in_every_figure_and_lanes_are_named_in_it(drawn: dict) -> None:
    figure, points = drawn["vanishing.figures.trainability"]
    names = {label.get_text(): label.get_color() for label in figure.axes[0].get_yticklabels()}
    assert names["batch norm"] == style.remedy_colour("batch")
    assert names["skip"] == style.remedy_colour("identity")
    arms = points.drop_duplicates(["norm", "residual"])
    pairs = zip(arms["norm"], arms["residual"], strict=True)
    looks = {style.remedy_look(*pair)["color"] for pair in pairs}
    lines = {line.get_color() for line in figure.findobj(mpl.lines.Line2D)}
    assert looks <= lines <= looks | {style.TEXT, style.GRID, ".8", "black", "k"}


def test_a_study_without_init_batteries_shows_its_trained_runs_before_training():
    runs = pd.DataFrame(
        {"run_id": ["a", "b", "b", "c"], "split": ["judged", "judged", "judged", "tuning"]}
    ).assign(family="cnn", task="digits", cell="c")
    trained, mixed = runs.assign(steps=9), runs.assign(steps=[0, 9, 9, 9])
    assert shown_at_init(trained)["run_id"].tolist() == ["a", "b"]
    assert shown_at_init(mixed)["run_id"].tolist() == ["a"]
    two = trained.assign(family=["mlp", "cnn", "cnn", "cnn"])
    assert shown_at_init(two)["run_id"].tolist() == ["a"]
