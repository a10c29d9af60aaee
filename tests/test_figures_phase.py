"""The phase planes: theory as a field, and measured slopes as points of the same colours."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from vanishing.figures import phase, style
from vanishing.parts.activations import ACTIVATIONS
from vanishing.tables import RUNS
from vanishing.theory.fixed_points import chi_1_star, critical_sigma_w

from .drawn import overflow, smallest_letters
from .planted import predicted, runs_of

ACTIVATION = ["tanh", "relu"]
SHADES = phase.CLASSES.colours.colors
PAIRS = [(0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (1.0, 1.0), (2.0, 1.0)]


def theory(name: str, sigma_w: float, sigma_b: float) -> float:
    return 0.5 * float(np.log10(chi_1_star(ACTIVATIONS[name], sigma_w, sigma_b)))


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """Plain nets whose slope is what theory says, two seeds .01 around it; relu has no biases."""
    parts = []
    for name, pairs in (("tanh", PAIRS), ("relu", PAIRS[:3])):
        for sigma_w, sigma_b in pairs:
            label = f"gaussian(sigma_w={sigma_w})"
            made = runs_of("sigma", {"activation": [name], "init": [label]}, 2, lambda *_: {})
            slopes = theory(name, sigma_w, sigma_b) + np.array([-0.01, 0.01])
            tag = f" {sigma_b}"
            parts.append(made.assign(slope=slopes, sigma_b=sigma_b, cell=made["cell"] + tag,
                                     run_id=made["run_id"] + tag))  # fmt: skip
    deep = runs_of("deep", {"init": ["gaussian(sigma_w=9)"], "depth": [50]}, 2,
                   lambda *_: {"slope": 0.0})  # fmt: skip
    return pd.concat([*parts, deep], ignore_index=True)


@pytest.fixture(scope="module")
def plane(runs: pd.DataFrame) -> pd.DataFrame:
    return phase.plane(runs)


@pytest.fixture(scope="module")
def field(plane: pd.DataFrame) -> pd.DataFrame:
    return phase.field(plane)


@pytest.fixture(scope="module")
def curves(runs: pd.DataFrame) -> pd.DataFrame:
    return phase.points(runs, predicted(runs, lambda row: 0.0))


@pytest.fixture(scope="module")
def figure(curves, plane, field) -> mpl.figure.Figure:
    return phase.draw(curves, plane, field)


def test_a_plane_shows_the_activations_whose_weights_and_biases_both_vary(plane):
    assert set(plane["activation"]) == {"tanh"}
    assert sorted(zip(plane["sigma_w"], plane["sigma_b"], strict=True)) == sorted(PAIRS)
    expected = [theory("tanh", w, b) for w, b in zip(plane["sigma_w"], plane["sigma_b"],
                                                     strict=True)]  # fmt: skip
    np.testing.assert_allclose(plane["value"], expected, atol=1e-12)
    assert (plane["n"] == 2).all()


def test_the_field_is_the_slope_at_the_fixed_point_and_lies_around_the_points(field, plane):
    assert field["sigma_w"].min() < plane["sigma_w"].min()
    assert field["sigma_w"].max() > plane["sigma_w"].max()
    assert field["sigma_b"].max() > plane["sigma_b"].max()
    some = field[field["sigma_b"].gt(0.2)].iloc[::150]
    expected = [theory("tanh", w, b) for w, b in zip(some["sigma_w"], some["sigma_b"],
                                                     strict=True)]  # fmt: skip
    np.testing.assert_allclose(some["theory"], expected, atol=1e-3)


def test_the_critical_line_is_where_chi_1_is_one(figure):
    axes = figure.axes[0]
    [line] = [c for c in axes.collections if isinstance(c, mpl.contour.ContourSet)
              and not c.filled]  # fmt: skip
    ends = line.get_paths()[0].vertices
    at = ends[np.abs(ends[:, 1] - 0.6).argmin()]
    assert at[0] == pytest.approx(critical_sigma_w(ACTIVATIONS["tanh"], float(at[1])), rel=0.01)
    words = {text.get_text() for text in axes.texts}
    assert {"vanish", "$\\chi_1$ = 1"} <= words


def test_a_point_has_the_fields_colour_for_its_own_slope(figure, plane):
    axes = figure.axes[0]
    [dots] = [c for c in axes.collections if isinstance(c, mpl.collections.PathCollection)
              and not isinstance(c, mpl.contour.ContourSet)]  # fmt: skip
    np.testing.assert_allclose(dots.get_offsets(), plane[["sigma_w", "sigma_b"]])
    drawn = [mpl.colors.to_hex(colour) for colour in dots.get_facecolors()]
    assert drawn == [SHADES[kind] for kind in phase.CLASSES.of(plane["value"])]
    assert len(set(drawn)) > 2
    filled = next(c for c in axes.collections if getattr(c, "filled", False))
    assert [mpl.colors.to_hex(c) for c in filled.get_facecolors()] == SHADES


def test_classes_are_cut_at_the_bounds_and_grow_lighter_in_grey():
    assert phase.CLASSES.of([-9, -1, -0.03, 0.0, 0.019, 0.02, 9]).tolist() == [0, 1, 5, 6, 6, 7, 11]
    shades = [mpl.colors.to_rgb(colour) for colour in SHADES]
    assert (np.diff([np.dot(shade, (0.299, 0.587, 0.114)) for shade in shades]) > 0).all()


def test_without_biases_that_vary_the_curves_stand_alone(runs, curves):
    flat = phase.plane(runs[runs["sigma_b"] == 0])
    assert flat.empty
    assert phase.field(flat).empty
    alone = phase.draw(curves, flat, phase.field(flat))
    assert len(alone.axes) == 1
    assert "decades/layer" in alone.axes[0].get_ylabel()
    nothing = RUNS.frame([])
    empty = phase.draw(phase.points(nothing, predicted(nothing, lambda row: 0.0)),
                       phase.plane(nothing), phase.field(phase.plane(nothing)))  # fmt: skip
    assert "does not vary sigma_w" in empty.texts[0].get_text()


def test_the_figure_keeps_to_its_page_and_letters_are_no_smaller_than_7(figure):
    assert figure.get_figwidth() == style.WIDTH
    assert figure.get_figheight() <= 2.9
    assert smallest_letters(figure) >= 7
    assert overflow(figure) <= 0.01


def test_the_same_data_give_the_same_bytes(curves, plane, field, figure, tmp_path):
    twice = {"a": figure, "b": phase.draw(curves, plane, field)}
    saved = [style.save(drawn, tmp_path / f"{n}.svg", plane).path for n, drawn in twice.items()]
    assert saved[0].read_bytes() == saved[1].read_bytes()
