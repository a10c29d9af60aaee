"""How deep can a network be and still learn: by activation, init, norm and residual."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.estimates import fullest, one_family
from ..analysis.frontier import ARM
from ..analysis.over_seeds import means
from ..analysis.profiles import TEST_ACCURACY
from . import style, success

SKIP = "identity"  # the residual that is meant where none is named
MOST_INITS = 3  # one above the other
FEW = 5  # arms: of more, names are shared in a legend


def points(runs: pd.DataFrame, profiles: pd.DataFrame, frontiers: pd.DataFrame) -> pd.DataFrame:
    """By depth and arm, of judged seeds, each with its interval over runs.

    Of the battery with most remedies.

    ``trained``: the share of runs with that outcome, Wilson's interval, with the curve and L_50 of
    :func:`vanishing.figures.success.points`. ``accuracy``: the mean test accuracy at the end with
    Student's, a diverged run at chance as it is logged. ``untrained``: the mean accuracy of all
    networks before their first update, which is chance.
    """
    data = runs[runs["steps"].gt(0) & runs["split"].eq("judged") & runs["outcome"].notna()]
    data = fullest(one_family(data))
    trained = success.points(data, frontiers)
    accuracy = means(data, [*ARM, "depth"], "final_test_accuracy")
    found = pd.concat([trained.assign(outcome="trained"), accuracy.assign(outcome="accuracy")])
    cells = data[["cell", "lr_policy"]].drop_duplicates()
    first = profiles[profiles["quantity"].eq(TEST_ACCURACY) & profiles["step"].eq(0)]
    first = first.merge(cells, on=["cell", "lr_policy"])
    untrained = (first["mean"] * first["n"]).sum() / first["n"].sum() if len(first) else np.nan
    found = found.assign(untrained=untrained)
    return found.sort_values(["outcome", *ARM, "depth"], ignore_index=True)


def accuracies(found: pd.DataFrame) -> pd.DataFrame:
    """The accuracies of :func:`points`, without columns that tell nothing of any; none of games."""
    data = found[found["outcome"].eq("accuracy")]
    return data.dropna(axis="columns", how="all") if len(data) else data


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Share trained by depth: a row an init, a column an activation, a line a remedy; L_50."""
    data = data[data["outcome"] == "trained"]
    if data.empty:
        return style.nothing("This study trains nothing: how deep a network can be is not known.")
    return grid(data)


def grid(data: pd.DataFrame) -> Figure:
    """A panel an init and activation, a line a remedy, and lanes where an arm has its L_50."""
    arms, lanes = series_of(data), bool(data["beyond"].notna().any())
    rows, depths = inits_of(data), np.sort(data["depth"].unique())
    drawn, panels = _panels(data, rows, success.height(lanes * len(arms)))
    for init, row in zip(rows, panels, strict=True):
        for activation, axes in zip(style.ordered(data["activation"]), row, strict=True):
            mine = data[data["init"].eq(init) & data["activation"].eq(activation)]
            success.panel(axes, mine, arms, depths, lanes)
        success.name_lanes(row[0], arms, lanes)
    plain = "depth (hidden layers)"
    drawn.supxlabel((success.IN_WORDS if lanes else plain) + _more(data, rows), fontsize=style.SIZE)
    if not lanes:
        _legend(drawn, arms)
    return drawn


@style.styled
def draw_accuracy(data: pd.DataFrame) -> Figure:
    """Test accuracy at the end, panels as of :func:`draw`; dotted is that before training."""
    data = data[data["outcome"] == "accuracy"]
    if data.empty:
        return style.nothing("This study trains nothing: no accuracy is known.")
    chance = data["untrained"].iloc[0] if "untrained" in data else np.nan
    arms, rows, depths = series_of(data), inits_of(data), np.sort(data["depth"].unique())
    drawn, panels = _panels(data, rows, 1.15)
    for init, row in zip(rows, panels, strict=True):
        for activation, axes in zip(style.ordered(data["activation"]), row, strict=True):
            mine = data[data["init"].eq(init) & data["activation"].eq(activation)]
            success.panel(axes, mine.assign(intercept=np.nan, slope=np.nan), arms, depths, False)
            axes.axhline(chance, color=style.TEXT, linewidth=0.7, linestyle=style.BY_CHANCE)
        success.name_lanes(row[0], arms, False)
        row[0].set_ylabel("test accuracy")
    drawn.supxlabel("depth (hidden layers)" + _more(data, rows), fontsize=style.SIZE)
    _legend(drawn, arms)
    return drawn


def _panels(data: pd.DataFrame, rows: list[str], height: float) -> tuple[Figure, np.ndarray]:
    """An empty panel for each init and activation, named after both, of ``height`` inches."""
    activations = style.ordered(data["activation"])
    drawn = style.figure(0.42 + height * len(rows))
    panels = drawn.subplots(len(rows), len(activations), sharex=True, sharey=True, squeeze=False)
    for init, row in zip(rows, panels, strict=True):
        for activation, axes in zip(activations, row, strict=True):
            axes.set_title(
                f"{activation}, {init}", color=style.activation_colour(activation), loc="left"
            )
    return drawn, panels


def _more(data: pd.DataFrame, rows: list[str]) -> str:
    more = data["init"].nunique() - len(rows)
    return f"; {more} more inits are in the table" if more else ""


def inits_of(data: pd.DataFrame) -> list[str]:
    """The inits that have a row, torch's own first."""
    known = sorted(data["init"].unique(), key=lambda init: (init != "torch_default", init))
    return known[:MOST_INITS]


def series_of(data: pd.DataFrame) -> list[success.Series]:
    """A series for each norm with a residual, in the colour that this remedy has everywhere."""
    return [
        success.Series(arm_name(*arm), dict(zip(("norm", "residual"), arm, strict=True)),
                       style.remedy_look(*arm))
        for arm in arms_of(data)
    ]  # fmt: skip


def arms_of(data: pd.DataFrame) -> list[tuple[str, str]]:
    """Norm and residual of every arm, the plain one first."""
    arms = set(zip(data["norm"], data["residual"], strict=True))
    return sorted(arms, key=lambda arm: (arm[1] != "none", arm[0] != "none", arm))


def arm_name(norm: str, residual: str) -> str:
    """The arm in words: ``plain``, ``batch norm``, ``skip``, ``rezero residual``.

    >>> arm_name("batch", "identity")
    'batch norm, skip'
    """
    parts = [f"{norm} norm"] * (norm != "none")
    if residual != "none":
        parts.append("skip" if residual == SKIP else f"{residual} residual".replace("_", " "))
    return ", ".join(parts) or "plain"


def _legend(drawn: Figure, arms: list[success.Series]) -> None:
    marks = [Line2D([], [], label=one.name, **one.look) for one in arms]
    columns = len(arms) if len(arms) <= FEW else 3
    drawn.legend(handles=marks, loc="outside upper right", ncols=columns, handlelength=2.6)
