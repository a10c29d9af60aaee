"""Generated tasks on sequences: the answer rests on steps that lie far back.

A task always makes the same samples; a run's seed splits and orders them. Inputs are (samples,
steps * features) in the order of time, or tokens (samples, steps).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ..errors import UserError, within
from ..lazy import Lazy
from .data import UNASKED, Data

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

PIXELS = 64  # of a digit, each a time step
FEWEST = 10  # samples: fewer cannot be split into training and test
_SYMBOLS, _COPIED = 8, 5  # of copy_memory: how many there are, and how many to recall
_DISTRACTORS = 4  # of temporal_order
LEAST_LENGTH = {  # time steps that each task needs
    "adding": 2, "temporal_order": 10, "copy_memory": 2 * _COPIED + 1, "noisy_majority": 2,
    "agreement": 6, "transduction": 13,
}  # fmt: skip


def adding(length: int = 50, samples: int = 4000) -> Data:
    """The adding problem: the sum of the two values that are marked.

    A step has two features: a value from U[0, 1], and a marker that is 1 at one step of the first
    half and at one of the second, else 0. They are as published, and not brought to mean 0 and mean
    square 1. The mean answer, 1, is off by 1/6 in the mean square: twice the variance of U[0, 1].
    (Hochreiter, Schmidhuber 1997; in the form of Le, Jaitly, Hinton 2015.)
    """
    refuse_small("adding", length, samples)
    generator, half = np.random.RandomState(0), length // 2
    values = generator.rand(samples, length)
    marked = np.stack(
        [generator.randint(0, half, samples), generator.randint(half, length, samples)], 1
    )
    markers = np.zeros_like(values)
    np.put_along_axis(markers, marked, 1.0, 1)
    inputs = np.stack([values, markers], 2).reshape(samples, -1).astype(np.float32)
    labels = np.take_along_axis(values, marked, 1).sum(1, keepdims=True).astype(np.float32)
    return Data(inputs, labels, sequence=(length, 2))


def temporal_order(length: int = 50, samples: int = 4000) -> Data:
    """In which order two symbols came: XX, XY, YX or YY, as classes 0 to 3.

    Tokens: 0 is X, 1 is Y, and 2 to 5 are distractors, which fill all other steps. The symbols
    stand at steps t with .1 T <= t <= .2 T and .5 T <= t <= .6 T, t from 0 on.
    (Hochreiter, Schmidhuber 1997; with the steps of Pascanu, Mikolov, Bengio 2013.)
    """
    refuse_small("temporal_order", length, samples)
    generator = np.random.RandomState(0)
    tokens = generator.randint(2, 2 + _DISTRACTORS, (samples, length))
    labels = np.arange(samples) % 4
    for symbol, (low, high) in ((labels // 2, (1, 2)), (labels % 2, (5, 6))):
        first, last = -(-low * length // 10), high * length // 10
        tokens[np.arange(samples), generator.randint(first, last + 1, samples)] = symbol
    return _of_tokens(tokens, labels, 2 + _DISTRACTORS)


def copy_memory(length: int = 30, samples: int = 4000) -> Data:
    """Five symbols to be recalled in their order, at the last five of ``length`` steps.

    Tokens: five of the symbols 0 to 7 at the start, blanks (8), and a go token (9) at the step
    before the recall, during which the input is blank. With the symbols, the go token and the
    recall, ``length`` - 11 blanks are the wait. (Hochreiter, Schmidhuber 1997; in the form of
    Arjovsky, Shah, Bengio 2016, with half as many symbols to copy.)
    """
    refuse_small("copy_memory", length, samples)
    blank, go = _SYMBOLS, _SYMBOLS + 1
    symbols = np.random.RandomState(0).randint(0, _SYMBOLS, (samples, _COPIED))
    tokens = np.full((samples, length), blank)
    tokens[:, :_COPIED] = symbols
    tokens[:, -_COPIED - 1] = go
    labels = np.full((samples, length), UNASKED)
    labels[:, -_COPIED:] = symbols
    return _of_tokens(tokens, labels, _SYMBOLS + 2)


def noisy_majority(length: int = 50, samples: int = 4000, noise: float = 0.5) -> Data:
    """Whether most of ``length`` signals were -1 (class 0) or +1 (class 1), seen through noise.

    With s_t = -1 or +1 at even odds and n_t ~ N(0, 1), all independent, a step shows
    x_t = (s_t + noise n_t) / sqrt(1 + noise^2), of mean 0 and mean square 1. The label is the sign
    of sum_t s_t; where that sum is 0, one step drawn at random is turned first. Every step counts
    the same. The sign of sum_t x_t is wrong in a share of arctan(noise) / pi in long sequences; a
    net that reads the sign of each step first does better. (A task of this project.)
    """
    refuse_small("noisy_majority", length, samples)
    within("noise of noisy_majority", noise, 0, inf)
    generator = np.random.RandomState(0)
    signals = 2 * generator.randint(0, 2, (samples, length)) - 1
    turned = generator.randint(0, length, samples)
    tied = np.flatnonzero(signals.sum(1) == 0)
    signals[tied, turned[tied]] *= -1
    seen = (signals + noise * generator.randn(samples, length)) / np.sqrt(1 + noise**2)
    labels = (signals.sum(1) > 0).astype(np.int64)
    return Data(seen.astype(np.float32), labels, sequence=(length, 1))


def pixel_digits(samples: int | None = None) -> Data:
    """The 1,797 digits of scikit-learn read pixel by pixel: 64 steps of one feature, row by row.

    ``samples``: the first of them after a shuffle that is always the same; all, if it is None.
    (Le, Jaitly, Hinton 2015 do this with MNIST's 784 pixels; the digits: Alpaydin, Kaynak 1998.)
    """
    from .tasks import digits  # tasks lists this module's functions

    whole = digits()
    count = len(whole.labels) if samples is None else samples
    within("samples of pixel_digits", count, FEWEST, inf)
    if count > len(whole.labels):
        raise UserError(f"digits holds {len(whole.labels)} samples, and samples: {samples} came.")
    chosen = np.random.RandomState(0).permutation(len(whole.labels))[:count]
    return Data(whole.inputs[chosen], whole.labels[chosen], sequence=(whole.inputs.shape[1], 1))


def _of_tokens(tokens: np.ndarray, labels: np.ndarray, vocabulary: int) -> Data:
    return Data(
        tokens.astype(np.int64),
        labels.astype(np.int64),
        sequence=(tokens.shape[1], vocabulary),
        vocabulary=vocabulary,
    )


def refuse_small(task: str, length: int, samples: int) -> None:
    """Refuse a ``length`` under the least that ``task`` needs, and samples too few to split."""
    within(f"length of {task}", length, LEAST_LENGTH[task], inf)
    within(f"samples of {task}", samples, FEWEST, inf)
