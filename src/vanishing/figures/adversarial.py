"""Two players: what is left of the generator's gradient, and what the generator learns from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.over_seeds import judged, pooled
from ..analysis.profiles import GENERATOR_GRADIENT, OF_GAMES
from . import style

GRADIENT, ACCURACY, SATURATION = "gradient", "accuracy", "saturation"
# What a game's generator is judged by, as far as the task has it: the first two that there are.
SCORES = {
    "modes": "modes covered",
    "high_quality": "share of high quality",
    "mmd": "squared mmd\nfrom the data",
    "frechet": "Fréchet distance",
}
LABELS = {
    GRADIENT: "gradient of $G$ (decades,\nless that at the start)",
    ACCURACY: "share that $D$ tells wrong",
    **SCORES,
}
# As the literature writes the games; a game of the user's has its own name.
WRITTEN = {"non_saturating": "non-saturating", "least_squares": "least squares", "wgan": "WGAN",
           "wgan_gp": "WGAN-GP"}  # fmt: skip
HIGH = {"fixed": 1.85, "live": 1.45}  # inches, of a row
ERRORS = (0.5, 0.1, 0.01, 0.001, 0.0001)  # that have a tick, with that of none
CELL, GAME = ["cell", "lr_policy"], ["task", "game"]
# What a game of a fixed generator shows, by the names of the table of profiles.
NAMES = dict(zip((GENERATOR_GRADIENT, *OF_GAMES), (GRADIENT, ACCURACY, SATURATION), strict=True))
# As far as a quantity can reach; what is not here, an unbiased squared mmd too, knows no bound.
WITHIN = {
    ACCURACY: (0, 1), SATURATION: (0, 1), "high_quality": (0, 1),
    "modes": (0, np.inf), "frechet": (0, np.inf),
}  # fmt: skip
EVERYWHERE = (-np.inf, np.inf)


def points(runs: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """By game and probe step, means over seeds with Student's interval, in long form.

    ``generator`` fixed: log10 of the norm of the generator's gradient less that before the first
    update (``gradient``), what the discriminator tells right (``accuracy``), and the share of
    generated samples on which it is saturated. ``generator`` live: the scores of what is generated.
    What is not finite in a run has no part in a mean; ``n`` says how many have.
    """
    data = judged(runs, "gan")
    data = _one_setting(data[data["steps"].gt(0)])
    cells = data[[*CELL, "generator", *GAME]].drop_duplicates(CELL)
    rows = profiles.merge(cells, on=CELL).replace({"quantity": NAMES})
    fixed, live = (rows["generator"] == kind for kind in ("fixed", "live"))
    of_fixed, of_live = (rows["quantity"].isin(list(n)) for n in (NAMES.values(), SCORES))
    rows = rows[(fixed & of_fixed) | (live & of_live)]
    by = ["generator", "quantity", *GAME, "step"]
    return pooled(rows, by).sort_values(by, ignore_index=True)


def _one_setting(data: pd.DataFrame) -> pd.DataFrame:
    """For each kind of generator the battery and the policy of rates with most games."""
    kept = []
    for _, kind in data.groupby("generator"):
        games = kind.groupby(["battery", "lr_policy"])["game"].nunique()
        battery, policy = games.idxmax()
        kept.append(kind[kind["battery"].eq(battery) & kind["lr_policy"].eq(policy)])
    return pd.concat(kept) if kept else data


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Upper row, a fixed generator: its gradient by what the other one knows, and over updates.

    Lower row, a generator that learns: two of its scores over updates.
    """
    rows = {
        kind: data[data["generator"] == kind] for kind in HIGH if data["generator"].eq(kind).any()
    }
    if not rows:
        return style.nothing("This study trains no GAN: it has no two players.")
    heights = [HIGH[kind] for kind in rows]
    drawn = style.figure(0.3 + sum(heights))
    grid = drawn.subplots(len(rows), 2, squeeze=False, height_ratios=heights)
    ends: dict[Axes, pd.DataFrame] = {}
    for pair, (kind, shown) in zip(grid, rows.items(), strict=True):
        draw_row = _fixed if kind == "fixed" else _live
        ends |= zip(pair, draw_row(*pair, shown), strict=False)
    for axes, lines in ends.items():
        style.label_ends(axes, [
            (line["value"].iloc[-1], _written(game), style.game_colour(game))
            for game, line in _by_game(lines)
        ])  # fmt: skip
    return drawn


def _written(game: str) -> str:
    """The name of a game as it is written in a text, with its parameters where it has some."""
    kind, bracket, parameters = game.partition("(")
    return WRITTEN.get(kind, kind) + bracket + parameters


def _fixed(left: Axes, right: Axes, data: pd.DataFrame) -> list[pd.DataFrame]:
    """Both panels of a fixed generator, on one axis of gradients; gives the lines of each."""
    gradient, accuracy = (data[data["quantity"] == name] for name in (GRADIENT, ACCURACY))
    keys = ["game", "step"]
    both = gradient.merge(accuracy[[*keys, "value"]], on=keys, suffixes=("", "_accuracy"))
    wrong = (1 - both["value_accuracy"]).round(9).clip(lower=0)
    for game, path in _by_game(both):
        style.interval(left, wrong[path.index], path, linestyle="-", **_look(game))
    _error_axis(left, wrong)
    left.set(xlabel=LABELS[ACCURACY], ylabel=LABELS[GRADIENT])
    left.set_title(f"only the discriminator $D$ learns ({_task(data)})", loc="left")
    _over_updates(right, gradient)
    right.set(xlabel="updates of $D$")
    right.sharey(left)
    for axes in (left, right):
        axes.axhline(0, color=style.TEXT, linewidth=0.6)
    return [both, gradient]


def _error_axis(axes: Axes, wrong: pd.Series) -> None:
    """An x axis of errors, fewer to the right: by powers of ten, and none at its end."""
    least = min([error for error in wrong if error > 0], default=ERRORS[1])
    shown = [error for error in ERRORS if error >= least / 2]
    axes.set_xscale("symlog", linthresh=shown[-1], linscale=0.8)
    axes.set_xlim(max([0.6, *wrong]), -0.15 * shown[-1])
    axes.xaxis.set_major_locator(FixedLocator([*shown, 0.0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def _live(left: Axes, right: Axes, data: pd.DataFrame) -> list[pd.DataFrame]:
    """Two scores of a generator that learns, or the one that there is; gives the lines of each."""
    there = [name for name in SCORES if data["quantity"].eq(name).any()][:2]
    for axes, name in zip((left, right), there, strict=False):
        shown = data[data["quantity"] == name]
        _over_updates(axes, shown)
        axes.set(xlabel="updates of $G$", ylabel=LABELS[name])
        if name in WITHIN:
            top = axes.get_ylim()[1]
            axes.set_ylim(-0.03 * top, top)  # so that a marker at 0 is whole
    left.set_title(f"both learn ({_task(data)})", loc="left")
    right.set_visible(len(there) > 1)
    return [data[data["quantity"] == name] for name in there]


def _task(data: pd.DataFrame) -> str:
    return ", ".join(sorted({task.partition("(")[0] for task in data["task"]}))


def _over_updates(axes: Axes, data: pd.DataFrame) -> None:
    for game, line in _by_game(data):
        within = WITHIN.get(line["quantity"].iloc[0], EVERYWHERE)
        style.interval(axes, line["step"], line, linestyle="-", within=within, **_look(game))
    style.update_axis(axes, data["step"])


def _by_game(data: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of every game in the order of updates; games in that of their registry."""
    known = list(style.GAMES)
    for game in sorted(data["game"].unique(), key=lambda g: (_place(g, known), g)):
        yield game, data[data["game"] == game].sort_values("step")


def _place(game: str, known: list[str]) -> int:
    kind = game.partition("(")[0]
    return known.index(kind) if kind in known else len(known)


def _look(game: str) -> dict:
    return {"color": style.game_colour(game), "marker": style.game_marker(game)}
