"""The verdicts at a glance: every claim's effect in units of the smallest that would matter."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.claims import Registry
from . import style

COLOURS = {
    "SUPPORTED": "#2e8b57",
    "REFUTED": "#cf4034",
    "CONDITIONAL": "#b87700",
    "INCONCLUSIVE": "#808080",
    "INCOMPLETE": "#808080",
    "NOT TESTABLE": "#808080",
}


PARTS = {"ledger": "CE", "ledger_remedies": "RAW"}  # a figure's name and its kinds of claims


def points(ledger: pd.DataFrame, claims: Registry, kinds: str = "") -> pd.DataFrame:
    """A claim a row: verdict, and effect with interval divided by the smallest effect of interest.

    Of the claims whose ids begin with one of the letters ``kinds``, or of all.

    The sign is turned so that the claimed direction is to the right; of an equivalence it is the
    distance from its target, which the claim has under 1.
    """
    rows = ledger[ledger["stratum"] == "all"].set_index("claim")
    found = []
    for claim in claims.claims:
        if claim.id not in rows.index or (kinds and claim.id[0] not in kinds):
            continue
        row, analysis = rows.loc[claim.id], claim.primary
        side = analysis.side if analysis else ""
        scale = (-1 if side == "less" else 1) / (analysis.smallest_effect if analysis else np.nan)
        ends = sorted([scale * row["low"], scale * row["high"]])
        found.append(
            {"claim": claim.id, "statement": claim.statement, "side": side,
             "verdict": row["verdict"], "value": scale * row["value"],
             "low": ends[0], "high": ends[1], "n": row["n"]}
        )  # fmt: skip
    columns = ["claim", "statement", "side", "verdict", "value", "low", "high", "n"]
    return pd.DataFrame(found, columns=columns)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row a claim: statement, effect, verdict in words and in colour."""
    if data.empty:
        return style.nothing("No claim of the registry was judged in this study.")
    drawn = style.figure(0.7 + 0.27 * len(data))
    axes = drawn.subplots()
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    axes.axvspan(-1, 1, color=style.TEXT, alpha=0.1, linewidth=0)
    axes.axvline(0, color=style.TEXT, linewidth=0.6)
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(data.itertuples()):
        _row(axes, place, row)
    axes.set_yticks([])
    axes.set_ylim(len(data) - 0.4, -0.6)
    reach = np.nanmax(np.abs([*data["low"], *data["high"], *data["value"], 3]))
    axes.set_xlim(-1.6 * reach, 1.6 * reach)
    axes.set_xlabel(
        "effect / smallest effect of interest (claimed direction to the right;\n"
        "\u25c7 distance from a target: claimed to lie in the grey band)"
    )
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", "\u2212"))
    return drawn


def _row(axes: Axes, place: int, row: tuple) -> None:
    colour = COLOURS.get(row.verdict, style.TEXT)
    within = row.side == "equivalent"
    if np.isfinite(row.value):
        error = np.nan_to_num([[row.value - row.low], [row.high - row.value]])
        axes.errorbar(
            row.value, place, xerr=np.maximum(error, 0), color=colour, elinewidth=1.2,
            markersize=4.5, marker="D" if within else "o",
            markerfacecolor=style.BACKGROUND if within else colour,
        )  # fmt: skip
    else:
        paper = {
            "facecolor": style.BACKGROUND,
            "edgecolor": "none",
            "pad": 2,
        }  # hides the line at 0
        axes.text(
            0, place, "no estimate", ha="center", va="center", fontsize=style.SIZE - 1, bbox=paper
        )
    beside = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points",
              "va": "center", "annotation_clip": False}  # fmt: skip
    statement = _wrapped(f"{row.claim}  {row.statement}")
    axes.annotate(statement, (0, place), (-190, 0), fontsize=style.SIZE - 1, **beside)
    bold = {"color": colour, "fontsize": style.SIZE - 0.5, "fontweight": "bold"}
    axes.annotate(row.verdict, (1, place), (6, 0), **bold, **beside)


def _wrapped(text: str, width: int = 48, lines: int = 2) -> str:
    """``text`` in lines that are shorter than the space to the left of the axis."""
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" \u2026"))
