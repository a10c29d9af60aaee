"""A claim in all its strata: each one's effect, beside the smallest that would matter."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.claims import Analysis, Claim, Registry
from ..analysis.effects import ALL
from ..analysis.strata import SECONDARY
from . import style
from .ledger import look

MOST = 12  # strata that a figure shows
COLUMNS = ("row", "label", "value", "low", "high", "n", "verdict",
           "band_low", "band_high", "axis", "left_out")  # fmt: skip
POOLED = {"average": "mean over cells", "every": "weakest stratum", "some": "strongest stratum"}
LABEL = 46  # letters
BELOW = 0.52  # inches, for the axis and its name


def points(ledger: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """A stratum of the primary analysis a row, sorted by effect, and the row ``all`` last.

    Of more than 12 strata the six lowest and the six highest are kept; ``left_out`` says how many
    are not. The band is that of effects too small to matter, of an equivalence its margin, within
    which it is claimed to lie; there the row ``all``, which is a distance, is set off from the
    target.
    """
    rows = ledger[(ledger["claim"] == claim.id) & ~ledger["stratum"].str.startswith(SECONDARY)]
    analysis = claim.primary
    if analysis is None or not rows["value"].notna().any():
        return pd.DataFrame(columns=list(COLUMNS))
    strata = rows[rows["stratum"] != ALL].sort_values("value", kind="stable")
    shown = _extreme(strata)
    pooled = rows[rows["stratum"] == ALL]
    if analysis.side == "equivalent":
        ends = {name: pooled[name] + analysis.target for name in ("value", "low", "high")}
        pooled = pooled.assign(**ends)
    named = pd.concat([shown, pooled], ignore_index=True)
    least, target = analysis.smallest_effect, analysis.target
    return named.assign(
        row=named["stratum"],
        label=[_label(stratum, analysis) for stratum in named["stratum"]],
        band_low=target - least,
        band_high=target + least,
        axis=_axis(pooled["statistic"].iloc[0]),
        left_out=len(strata) - len(shown),
    )[list(COLUMNS)]


def _extreme(strata: pd.DataFrame) -> pd.DataFrame:
    if len(strata) <= MOST:
        return strata
    return pd.concat([strata.head(MOST // 2), strata.tail(MOST // 2)])


def _label(stratum: str, analysis: Analysis) -> str:
    """The levels of a stratum without the names of their factors, which say nothing new."""
    if stratum == ALL:
        pooled = "smaller extreme" if analysis.side == "both" else POOLED[analysis.holds]
        far = ", distance" if analysis.side == "equivalent" else ""
        return f"all ({pooled}{far})"
    pattern = ", ".join(rf"{re.escape(name)}=(.*)" for name in analysis.strata)
    levels = re.fullmatch(pattern, stratum)
    said = zip(analysis.strata, levels.groups(), strict=True) if levels else ()
    words = [_said(name, level) for name, level in said]
    return _cut(", ".join(words) or stratum)


def _said(name: str, level: str) -> str:
    """A level in few words; a number, or none, with what it is a level of.

    >>> _said("depth", "20"), _said("init", "he"), _said("norm", "none")
    ('depth 20', 'he', 'norm none')
    """
    if name == "control":
        return f"than {level}"
    bare = level == "none" or re.fullmatch(r"-?[\d.e+-]+", level)
    return f"{name} {level}" if bare else level


def _cut(text: str) -> str:
    return text if len(text) <= LABEL else text[: LABEL - 1].rstrip(" ,") + "…"


def _axis(statistic: str) -> str:
    """What the effects are, with their unit: not how far from a target, or how put together."""
    what = statistic.partition(" (deciding stratum")[0]
    what = re.sub(r"^distance from \S+ of the ", "", what)
    return re.sub(r", (?:mean over cells|(?:weakest|strongest) stratum|smaller of .*)$", "", what)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row a stratum with its interval, the pooled one under a line; marked by its verdict."""
    if data.empty:
        return style.nothing("Nothing of this claim could be estimated in this study.")
    places, gap = _places(data)
    drawn, axes = _frame(0.19 * (places[-1] + 1.4))
    band = (data["band_low"].iloc[0], data["band_high"].iloc[0])
    axes.axvspan(*band, color=style.TEXT, alpha=0.1, linewidth=0)
    if band[0] <= 0 <= band[1]:
        axes.axvline(0, color=style.TEXT, linewidth=0.6)
    axes.grid(visible=False, axis="y")
    _marks(axes, data, np.array(places))
    if gap is not None:
        _note(axes, gap, f"… {data['left_out'].iloc[0]} strata between these …")
    if len(data) > 1:
        axes.axhline(places[-1] - 0.65, color=style.TEXT, linewidth=0.4)
    _finish(axes, data, places)
    return drawn


def _frame(height: float) -> tuple[Figure, Axes]:
    """A figure with axes ``height`` inches high; set by hand, in a third of the time."""
    drawn = style.figure(height + BELOW + 0.06)
    drawn.set_layout_engine("none")
    whole = drawn.get_figheight()
    return drawn, drawn.add_axes((0.3, BELOW / whole, 0.68, height / whole))


def _beside_labels(axes: Axes) -> None:
    """Begin the axes where the longest label of a row ends."""
    labels = (text.get_window_extent().width for text in axes.get_yticklabels())
    left = (max(labels) / axes.figure.dpi + 0.22) / style.WIDTH
    place = axes.get_position()
    axes.set_position((left, place.y0, place.x1 - left, place.height))


def _places(data: pd.DataFrame) -> tuple[list[float], float | None]:
    """Heights of the rows from the top, and that of the note on what is left out, if any."""
    strata = len(data) - 1
    left_out = data["left_out"].iloc[0] > 0
    places = [float(i + (left_out and i >= MOST // 2)) for i in range(strata)]
    pooled = places[-1] + 1.3 if places else 0.0
    return [*places, pooled], MOST // 2 if left_out else None


def _marks(axes: Axes, data: pd.DataFrame, places: np.ndarray) -> None:
    """Points with intervals: one line of them a verdict, for a study has hundreds; ``all`` bold."""
    pooled = data["row"].eq(ALL)
    for verdict, bold in dict.fromkeys(zip(data["verdict"], pooled, strict=True)):
        mine = (data["verdict"].eq(verdict) & pooled.eq(bold) & data["value"].notna()).to_numpy()
        rows, y, mark = data[mine], places[mine], look(verdict)
        ends = (rows[name].fillna(rows["value"]) for name in ("low", "high"))
        x = np.column_stack([*ends, np.full(len(y), np.nan)]).ravel()  # nan: between two intervals
        axes.plot(x, np.repeat(y, 3), color=mark["color"], linewidth=1.6 if bold else 1.0)
        axes.plot(rows["value"], y, linestyle="none", markersize=5.2 if bold else 3.8,
                  markeredgewidth=0.9, **mark)  # fmt: skip


def _note(axes: Axes, place: float, said: str) -> None:
    paper = {"facecolor": style.BACKGROUND, "edgecolor": "none", "pad": 1}  # hides the line at 0
    axes.annotate(
        said, (0.5, place), xycoords=axes.get_yaxis_transform(), ha="center", va="center",
        fontsize=style.SIZE - 1, bbox=paper,
    )  # fmt: skip


def _finish(axes: Axes, data: pd.DataFrame, places: list[float]) -> None:
    axes.set_yticks(places, data["label"])
    _beside_labels(axes)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.set_xlabel("\n".join(textwrap.wrap(data["axis"].iloc[0], 76, max_lines=2)))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", "\u2212"))


def save_each(ledger: pd.DataFrame, claims: Registry, folder: Path) -> list[style.Saved]:
    """Draw every claim that has an estimate into ``folder``, as ``C06.svg``; give the figures.

    What an earlier ledger left there of other claims is removed.
    """
    found = {claim.id: points(ledger, claim) for claim in claims.claims}
    found = {claim: data for claim, data in found.items() if len(data)}
    for old in Path(folder).glob("*.*"):
        if old.stem not in found:
            old.unlink()
    return [
        style.save(draw(data), Path(folder) / f"{claim}.svg", data) for claim, data in found.items()
    ]
