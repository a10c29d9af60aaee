"""Two players: what is left of the generator's gradient, and what the generator learns from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.over_seeds import judged, pooled
from ..analysis.profiles import GENERATOR_GRADIENT, OF_GAMES
from . import style

GRADIENT, ACCURACY, SATURATION = "gradient", "accuracy", "saturation"
# What a game's generator is judged by, as far as the task has it: the first two that there are.
SCORES = {
    "modes": "modes covered",
    "high_quality": "share of high quality",
    "mmd": "squared mmd from the data",
    "frechet": "Fréchet distance",
}
LABELS = {
    GRADIENT: "$\\log_{10}$ norm of $G$'s gradient,\nless that at the start",
    ACCURACY: "share that the discriminator tells right",
    **SCORES,
}
CELL, GAME = ["cell", "lr_policy"], ["task", "game"]
# What a game of a fixed generator shows, by the names of the table of profiles.
NAMES = dict(zip((GENERATOR_GRADIENT, *OF_GAMES), (GRADIENT, ACCURACY, SATURATION), strict=True))
# As far as a quantity can reach; what is not here, an unbiased squared mmd too, knows no bound.
WITHIN = {
    ACCURACY: (0, 1), SATURATION: (0, 1), "high_quality": (0, 1),
    "modes": (0, np.inf), "frechet": (0, np.inf),
}  # fmt: skip
EVERYWHERE = (-np.inf, np.inf)
MARKERS = "os^Dv<"


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
    """Upper row, a fixed generator: its gradient over updates, and over what the other one knows.

    Lower row, a generator that learns: two of its scores over updates.
    """
    rows = {
        draw_row: data[data["generator"] == kind]
        for kind, draw_row in (("fixed", _fixed), ("live", _live))
        if data["generator"].eq(kind).any()
    }
    if not rows:
        return style.nothing("This study trains no GAN: it has no two players.")
    drawn = style.figure(0.3 + 2.3 * len(rows))
    grid = drawn.subplots(len(rows), 2, squeeze=False)
    ends: dict[Axes, list] = {}
    for pair, (draw_row, shown) in zip(grid, rows.items(), strict=True):
        last = draw_row(*pair, shown)
        named = pair[1] if pair[1].get_visible() else pair[0]
        ends[named] = [
            (line["value"].iloc[-1], game, style.game_colour(game)) for game, line in _by_game(last)
        ]
    for axes, names in ends.items():
        style.label_ends(axes, names)
    return drawn


def _fixed(left: Axes, right: Axes, data: pd.DataFrame) -> pd.DataFrame:
    """Both panels of a fixed generator; gives the lines of the last of them."""
    gradient, accuracy = (data[data["quantity"] == name] for name in (GRADIENT, ACCURACY))
    _over_updates(left, gradient)
    left.set_title(f"only the discriminator learns ({_task(data)})", loc="left")
    left.set(xlabel="updates of the discriminator", ylabel=LABELS[GRADIENT])
    keys = ["game", "step"]
    both = gradient.merge(accuracy[[*keys, "value"]], on=keys, suffixes=("", "_accuracy"))
    for game, path in _by_game(both):
        style.interval(right, path["value_accuracy"], path, linestyle="-", **_look(game))
    right.set_xlabel(LABELS[ACCURACY])
    for axes in (left, right):
        axes.axhline(0, color=style.TEXT, linewidth=0.6)
    return both


def _live(left: Axes, right: Axes, data: pd.DataFrame) -> pd.DataFrame:
    """Two scores of a generator that learns, or the one that there is; gives the last lines."""
    there = [name for name in SCORES if data["quantity"].eq(name).any()][:2]
    for axes, name in zip((left, right), there, strict=False):
        shown = data[data["quantity"] == name]
        _over_updates(axes, shown)
        axes.set(xlabel="updates of the generator", ylabel=LABELS[name])
        if name in WITHIN:
            top = axes.get_ylim()[1]
            axes.set_ylim(-0.03 * top, top)  # so that a marker at 0 is whole
    left.set_title(f"both learn ({_task(data)})", loc="left")
    right.set_visible(len(there) > 1)
    return shown


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
    place = _place(game, list(style.GAMES))
    return {"color": style.game_colour(game), "marker": MARKERS[place % len(MARKERS)]}
