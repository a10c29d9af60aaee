"""What stands below every figure of a study that lacks runs: that it does, and how many."""

from __future__ import annotations

import json
import re
from pathlib import Path

from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from ..tables import RUNS

COLOUR = "#d55e00"  # seen on white and on near-black
SIZE, ROOM = 8, 16  # points: of the letters, and of the strip that they stand in
EXTENT = re.compile(r'height="[\d.]+pt" viewBox="0 0 (?P<width>[\d.]+) (?P<height>[\d.]+)"')
COMMANDS = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}


def missing(path: Path) -> str:
    """What a figure at ``path``, among the results of a study, must say of it; empty if nothing.

    >>> missing(Path("figures/of_no_study.svg"))
    ''
    """
    for results in path.resolve().parents[1:3]:
        plan, runs = results / "plan.json", results / "tables" / "runs.parquet"
        if plan.exists() and runs.exists():
            members = json.loads(plan.read_text(encoding="utf-8"))["members"].values()
            planned = {run_id for battery in members for run_id in battery}
            done = len(planned & set(RUNS.read(runs, ["run_id"])["run_id"]))
            return f"INCOMPLETE: {done:,} of {len(planned):,} runs" if done < len(planned) else ""
    return ""


def stamped(svg: str, says: str, background: str) -> str:
    """The drawing with ``says`` in a strip below it; nothing else in it moves."""
    if not says:
        return svg
    extent = EXTENT.search(svg)
    width, height = float(extent["width"]), float(extent["height"])
    higher = f'height="{height + ROOM:g}pt" viewBox="0 0 {width:g} {height + ROOM:g}"'
    strip = (
        f'<path d="M 0 {height:g} L {width:g} {height:g} L {width:g} {height + ROOM:g} '
        f'L 0 {height + ROOM:g} z" style="fill: {background}"/>\n'
        f'<path d="{_outline(says, 4, height + ROOM - 5)}" style="fill: {COLOUR}"/>\n'
    )
    head, tail = svg.replace(extent[0], higher, 1).rsplit("</svg>", 1)
    return f'{head}<g id="stamp">\n{strip}</g>\n</svg>{tail}'


def _outline(text: str, x: float, y: float) -> str:
    """The letters of ``text`` from the point (x, y) on, as the path of an SVG, where y is down."""
    path = TextPath((0, 0), text, size=SIZE)
    words = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        if code == Outline.CLOSEPOLY:
            words.append("z")
            continue
        places = [f"{x + a:.2f} {y - b:.2f}" for a, b in points.reshape(-1, 2)]
        words.append(f"{COMMANDS[code]} {' '.join(places)}")
    return " ".join(words)
