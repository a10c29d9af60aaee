"""Plain-text maths, as people read it, evaluated: what a part's ``formula`` says it computes.

``0.5 h (1 + tanh(√(2 / π) (h + 0.044715 h³)))``: a space, or nothing, between two values is a
product; superscripts are powers; ``|h|`` is the absolute value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from scipy import special

FUNCTIONS = {
    "max": np.maximum, "min": np.minimum, "exp": np.exp, "ln": np.log, "√": np.sqrt, "abs": np.abs,
    "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "arctan": np.arctan,
    "erf": special.erf, "Φ": special.ndtr,
}  # fmt: skip
CONSTANTS = {"π": np.pi}
PYTHON = {"√": "sqrt"}  # which Python takes for no name
POWERS = {"²": 2, "³": 3, "⁴": 4}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:e[+-]?\d+)?)|(?P<name>√|Φ|π|[a-z]+)|(?P<power>[²³⁴])"
    r"|(?P<sign>[-+*/(),]))"
)


def evaluate(formula: str, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
    """What ``formula`` is where its letters have these ``values``; ValueError if unreadable.

    >>> float(evaluate("h tanh(2 h²) / |h|", {"h": -1.0})).__round__(6)
    -0.964028
    """
    names = {**FUNCTIONS, **CONSTANTS, **values}
    python = {PYTHON.get(name, name): value for name, value in names.items()}
    source = _python(re.sub(r"\|([^|]*)\|", r"abs(\1)", formula), names)
    try:
        return np.asarray(eval(source, {"__builtins__": {}}, python))
    except (SyntaxError, TypeError) as error:
        raise ValueError(f"{formula!r} cannot be read: {error}") from error


def _python(formula: str, names: Mapping[str, object]) -> str:
    """The formula as a Python expression: products and powers written out."""
    words, ended, at = [], False, 0  # ended: the word before can be the left side of a product
    while formula[at:].strip():
        match = _TOKEN.match(formula, at)
        if not match:
            raise ValueError(f"{formula!r} cannot be read from {formula[at:].strip()!r} on")
        kind, word, at = match.lastgroup, match[match.lastgroup], match.end()
        if kind == "name" and word not in names:
            raise ValueError(f"{formula!r}: {word!r} is none of {', '.join(names)}")
        if ended and (kind in ("number", "name") or word == "("):
            words.append("*")
        words.append(f"**{POWERS[word]}" if kind == "power" else PYTHON.get(word, word))
        ended = word == ")" if kind == "sign" else word not in FUNCTIONS
    return " ".join(words)
