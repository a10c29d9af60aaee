"""Numbers of a drawing with fewer digits: path data, transforms, coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

PAIRS = {"M": 1, "L": 1, "Q": 2, "C": 3, "Z": 0}  # pairs of coordinates of each command
TOKEN = re.compile(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
EXACT = 6  # decimals of a scale or an angle, which is no place


@lru_cache(65536)  # a drawing repeats its few lengths
def number(value: float, digits: int) -> str:
    """``value`` with at most ``digits`` decimals and no zero that says nothing: ``-.5``."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    text = re.sub(r"^(-?)0\.", r"\1.", text)
    return "0" if text == "-0" else text


def joined(numbers: Sequence[str]) -> str:
    """Numbers in a row, apart by a space where no minus parts them."""
    return "".join(n if n.startswith("-") or not i else f" {n}" for i, n in enumerate(numbers))


def transform(value: str, digits: int) -> str:
    """A transform whose shifts have ``digits`` decimals."""

    def written(match: re.Match) -> str:
        places = digits if match[1] == "translate" else EXACT
        numbers = [number(float(x), places) for x in TOKEN.findall(match[2])]
        return f"{match[1]}({joined(numbers)})"

    return re.sub(r"(\w+)\(([^)]*)\)\s*", written, value)


@lru_cache(4096)  # all drawings have the same letters
def data(path: str, digits: int) -> str:
    """Path data of absolute lines and curves, rounded; other data comes back as it is.

    Every point is rounded where it stands, and steps lead from one rounded point to the next, so
    that no error adds up.
    """
    steps = _steps(path)
    if steps is None:
        return path
    unit = 10**digits
    return _written([(command, [round(x * unit) for x in xs]) for command, xs in steps], digits)


def _steps(path: str) -> list[tuple[str, list[float]]] | None:
    """Commands with their coordinates, or None where one is not of ours."""
    steps: list[tuple[str, list[float]]] = []
    for token in TOKEN.findall(path):
        command = "Z" if token == "z" else token
        if command in PAIRS:
            steps.append((command, []))
        elif token.isalpha() or not steps:
            return None
        else:
            steps[-1][1].append(float(token))
    whole = all(len(xs) == 2 * PAIRS[command] for command, xs in steps)
    return steps if whole and steps else None


def _written(steps: list[tuple[str, list[int]]], digits: int) -> str:
    """Steps between points on a grid of 10^-digits, as relative path data."""
    text, before, at, start = [], "", (0, 0), (0, 0)
    for (command, xs), (ahead, _) in zip(steps, [*steps[1:], ("", [])], strict=True):
        if command == "Z":
            text.append("z")
            before, at = "z", start
            continue
        if not (command == "L" and ahead == "Z" and tuple(xs) == start):  # else z draws it
            letter, moves = _shortest(command, xs, at)
            numbers = joined([number(x / 10**digits, digits) for x in moves])
            apart = "" if letter != before else " " * (not numbers.startswith("-"))
            text.append((letter if letter != before else apart) + numbers)
            before = letter
        at = (xs[-2], xs[-1])
        start = at if command == "M" else start
    return "".join(text)


def _shortest(command: str, xs: list[int], at: tuple[int, int]) -> tuple[str, list[int]]:
    """A step's letter and numbers: absolute for a move, one number for a level or upright line."""
    if command == "M":
        return "M", xs
    moves = [x - at[i % 2] for i, x in enumerate(xs)]
    if command == "L" and moves[1] == 0:
        return "h", moves[:1]
    if command == "L" and moves[0] == 0:
        return "v", moves[1:]
    return command.lower(), moves
