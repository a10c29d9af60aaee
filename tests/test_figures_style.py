"""Colours and marks: who has which, and whether they stay apart for every reader.

The rule: what one figure shows side by side is at least 12 apart in CIE Lab (Delta E 1976), for
full colour vision and for a dichromat of each kind; in grey it is 12 apart in lightness, or
differs in its marker or its filling.
"""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest

from vanishing.figures import ledger, style
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.games import GAMES
from vanishing.parts.recurrences import RECURRENCES

APART = 12.0
# Linear RGB as a dichromat sees it: Machado, Oliveira and Fernandes 2009, table 1, severity 1.
VISION = {
    "full": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
# sRGB to CIE XYZ under D65: IEC 61966-2-1.
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
INK = {"paper": style.ON_PAPER[style.TEXT], "screen": "#e6e6e6"}


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE Lab of a colour as it is seen."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISION[vision] @ linear, 0, 1)
    ratio = XYZ @ seen / XYZ.sum(axis=1)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def look(colour: str, *mark: object) -> dict:
    return {"colour": colour, "mark": mark}


def remedies(ink: str) -> dict:
    arms = {"plain": (), "batch": ("batch",), "layer": ("layer",), "identity": ("none", "identity")}
    looks = {name: style.remedy_look(*arm) for name, arm in arms.items()}
    found = {name: look(own["color"], own["marker"]) for name, own in looks.items()}
    found["he"] = look(style.remedy_colour("he"), style.remedy_marker("he"))
    found["plain"]["colour"] = INK[ink]
    return found


def cells() -> dict:
    others = [name for name in RECURRENCES if name != "vanilla"]
    pairs = [("vanilla", a) for a in ("sigmoid", "tanh", "relu")] + [(r, "tanh") for r in others]
    return {" ".join(p): look(style.cell_colour(*p), style.cell_marker(*p)) for p in pairs}


def verdicts() -> dict:
    drawn = {name: ledger.look(name) for name in ledger.COLOURS if name != "NOT TESTABLE"}
    return {
        name: look(own["color"], own["marker"], own["markerfacecolor"] == style.BACKGROUND)
        for name, own in drawn.items()
    }


TOGETHER = {
    "activations": {a: look(style.activation_colour(a), style.activation_marker(a))
                    for a in list(ACTIVATIONS)[:6]},
    "cells": cells(),
    "games": {game: look(style.game_colour(game), style.game_marker(game)) for game in GAMES},
    "conditions": {init: look(style.condition_colour(init), style.condition_marker(init))
                   for init in style.CONDITIONS},
    "remedies on paper": remedies("paper"),
    "remedies on a dark screen": remedies("screen"),
    "verdicts": verdicts(),
}  # fmt: skip
UNDECIDED = {"INCONCLUSIVE", "INCOMPLETE"}  # both are grey, as what is not known is


@pytest.mark.parametrize("kind", TOGETHER)
@pytest.mark.parametrize("vision", VISION)
def test_colours_that_meet_in_a_figure_stay_apart(kind: str, vision: str) -> None:
    for (one, first), (other, second) in combinations(TOGETHER[kind].items(), 2):
        apart = np.linalg.norm(lab(first["colour"], vision) - lab(second["colour"], vision))
        assert apart >= APART or {one, other} == UNDECIDED, (one, other)


@pytest.mark.parametrize("kind", TOGETHER)
def test_in_grey_they_differ_in_lightness_or_in_their_mark(kind: str) -> None:
    for (one, first), (other, second) in combinations(TOGETHER[kind].items(), 2):
        light, dark = (lab(own["colour"], "full")[0] for own in (first, second))
        assert abs(light - dark) >= APART or first["mark"] != second["mark"], (one, other)


def test_simulated_vision_keeps_white_and_confuses_what_dichromats_do() -> None:
    for vision in VISION:
        assert lab("#ffffff", vision) == pytest.approx([100, 0, 0], abs=1)
    red, green = "#b84f4f", "#7a7a1f"
    apart = {v: np.linalg.norm(lab(red, v) - lab(green, v)) for v in VISION}
    assert apart["deuteranopia"] < apart["full"] / 1.5


def test_one_colour_is_one_things() -> None:
    looks = {(kind, name): own["colour"] for kind, rows in TOGETHER.items()
             if kind not in ("verdicts", "remedies on paper") for name, own in rows.items()
             if not name.startswith("vanilla")}  # fmt: skip
    assert len(set(looks.values())) == len(looks)


def test_a_part_keeps_its_look_whatever_its_parameters_are() -> None:
    assert style.game_colour("wgan(clip=0.1)") == style.game_colour("wgan")
    assert style.game_marker("wgan(clip=0.1)") == style.game_marker("wgan")
    assert style.cell_colour("skip(steps=5)", "tanh") == style.cell_colour("skip", "relu")
    assert style.cell_marker("skip(steps=5)", "tanh") == style.cell_marker("skip", "relu")
    assert style.remedy_colour("group(groups=2)") == style.remedy_colour("group(groups=2)")


@pytest.mark.parametrize("part", ["activation", "game", "condition", "remedy"])
def test_a_users_part_has_a_look_that_stays(part: str) -> None:
    colour, marker = (getattr(style, f"{part}_{what}") for what in ("colour", "marker"))
    assert colour("my_parts:own") == colour("my_parts:own")
    assert colour("my_parts:own") in style.PALETTE
    assert marker("my_parts:own") == marker("my_parts:own")


def test_a_cell_of_the_users_has_a_look_and_a_vanilla_one_that_of_its_activation() -> None:
    own = style.cell_colour("my_parts:cell", "tanh")
    assert own == style.cell_colour("my_parts:cell", "relu")
    assert own in style.PALETTE
    assert style.cell_colour("vanilla", "relu") == style.activation_colour("relu")
    assert style.cell_marker("vanilla", "relu") == style.activation_marker("relu")


def test_a_remedy_with_a_norm_and_a_residual_is_the_norms_open_and_in_the_residuals_stroke():
    both, norm = style.remedy_look("batch", "identity"), style.remedy_look("batch")
    assert (both["color"], both["marker"]) == (norm["color"], norm["marker"])
    assert both["linestyle"] == style.remedy_look("none", "identity")["linestyle"]
    assert (both["markerfacecolor"], norm["markerfacecolor"]) == (style.BACKGROUND, norm["color"])
    assert style.remedy_look()["color"] == style.TEXT


@pytest.mark.parametrize("background", ["#ffffff", "#14171a"])
def test_every_colour_stands_out_on_white_and_on_near_black(background: str) -> None:
    shown = {own["colour"] for rows in TOGETHER.values() for own in rows.values()}
    for colour in shown - set(INK.values()):
        light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colour


def luminance(colour: str) -> float:
    """Y of CIE XYZ, which is the relative luminance of WCAG 2."""
    lightness = lab(colour, "full")[0]
    return ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness * (3 / 29) ** 3
