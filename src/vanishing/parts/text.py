"""A character language model's task: which character comes next, in any text file."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, within
from ..lazy import Lazy
from .data import Data

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

EMBEDDED = Path(__file__).with_name("vanishing.txt")  # about gradients, written for this project
_KEPT = 96  # the most frequent characters that are tokens of their own
_FEWEST = 10  # windows: fewer cannot be split into training and test


def text(path: str | None = None, length: int = 32, samples: int = 4000) -> Data:
    """The next character at each of ``length`` steps, in windows of a text file.

    A window is ``length`` + 1 characters: the first ``length`` are shown, the last ``length`` are
    asked. No two windows share a character, since the run's seed deals them out to training and
    test one by one: of all that fit into the text one after the other, ``samples`` are drawn, or
    all are taken where there are fewer (some 170 of the embedded text).

    A token is a character, in the order of their code points; those beyond the 96 most frequent
    are one token, the last. (The task as in Karpathy 2015.)

    ``path``: a file in UTF-8; None: a text of 5.6 kB about vanishing gradients.
    """
    within("length of text", length, 1, inf)
    within("samples of text", samples, _FEWEST, inf)
    tokens, vocabulary = _tokens(_read(EMBEDDED if path is None else Path(path)))
    if vocabulary == 1:
        raise UserError(f"{path or EMBEDDED} holds one character only: there is nothing to tell.")
    count = len(tokens) // (length + 1)
    if count < _FEWEST:
        raise UserError(
            f"{path or EMBEDDED} holds {len(tokens)} characters, which is {count} windows of "
            f"{length + 1}: give a text of {_FEWEST * (length + 1)} or more, or a shorter length."
        )
    windows = tokens[: count * (length + 1)].reshape(count, length + 1)
    # The generator that numpy keeps as it is: a newer one may shuffle otherwise some day.
    windows = windows[np.random.RandomState(0).permutation(count)[:samples]]
    shown, asked = windows[:, :-1].copy(), windows[:, 1:].copy()
    return Data(shown, asked, sequence=(length, vocabulary), vocabulary=vocabulary)


def _read(path: Path) -> str:
    """The text of a file, its line ends as one character each."""
    try:
        found = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the text {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not text in UTF-8 (byte {error.start}): convert it, or give another file."
        ) from None
    if "\0" in found:
        raise UserError(f"{path} is not text: it holds a zero byte. Give a text file in UTF-8.")
    return found


def _tokens(characters: str) -> tuple[np.ndarray, int]:
    """The token of each character, and how many tokens there are."""
    points = np.frombuffer(characters.encode("utf-32-le"), "<u4")
    known, place, count = np.unique(points, return_inverse=True, return_counts=True)
    kept = np.sort(np.argsort(-count, kind="stable")[:_KEPT])
    token = np.full(len(known), len(kept))
    token[kept] = np.arange(len(kept))
    return token[place].astype(np.int64), len(kept) + (len(kept) < len(known))
