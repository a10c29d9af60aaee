"""What a task is judged by besides loss and accuracy: its own score, level by level.

A score is a function of a test split: logits (runs, samples, classes), labels and level (runs,
samples); or, where an answer is asked at every step, logits (runs, samples, steps, classes) and
labels (runs, samples, steps), of which it takes the last step. It gives a value a run, (runs), for
its name and each level; NaN where a run has no sample of that level. A logit that is not a number
rates nothing above anything: its answer counts as wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

ByLevel = dict[tuple[str, float], "Tensor"]
Score = Callable[["Tensor", "Tensor", "Tensor"], ByLevel]


def error_by_level(logits: Tensor, labels: Tensor, level: Tensor) -> ByLevel:
    """The share of samples of a level that are answered with the other class of the pair.

    Classes 2k and 2k + 1 are a pair (two forms of a word), and no class outside it counts: what is
    measured is the choice between the two. Chance is .5, also where both logits are equal.
    """
    return _by_level("error_by_level", 1 - _within_pair(logits, labels), level)


def accuracy_by_level(logits: Tensor, labels: Tensor, level: Tensor) -> ByLevel:
    """The share of samples of a level whose own class is rated above the other of the pair.

    One minus :func:`error_by_level`; classes 2k and 2k + 1 are a pair.
    """
    return _by_level("accuracy_by_level", _within_pair(logits, labels), level)


def sensitivity_by_level(logits: Tensor, labels: Tensor, level: Tensor) -> ByLevel:
    """The share of the positives of a level that are found, at a specificity of 95 %.

    Class 1 is positive, class 0 negative, and logit 1 - logit 0 rates how sure the net is. Each
    run's threshold is the least of its negatives' ratings that leaves at least 95 % of them at or
    below it; found is what lies above it. The levels are those of the positives.
    """
    logits, labels = _last(logits, labels)
    rating, positive = logits[..., 1] - logits[..., 0], labels == 1
    found = (rating > _threshold(rating, positive)).double()
    return _by_level("sensitivity_by_level", found, level, positive)


SCORES: dict[str, Score] = {
    score.__name__: score for score in (error_by_level, accuracy_by_level, sensitivity_by_level)
}


def _within_pair(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the right class is rated above the other of its pair, .5 where as high, else 0."""
    logits, labels = _last(logits, labels)
    own = logits.gather(-1, labels[..., None])[..., 0]
    other = logits.gather(-1, (labels ^ 1)[..., None])[..., 0]  # 2k against 2k + 1
    return (own > other).double() + (own == other).double() / 2


def _last(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return (logits[:, :, -1], labels[:, :, -1]) if labels.ndim == 3 else (logits, labels)


def _threshold(rating: Tensor, positive: Tensor) -> Tensor:
    """The ceil(.95 n)-th smallest rating of each run's n negatives, (runs, 1)."""
    ordered = rating.masked_fill(positive, torch.inf).sort(1).values
    negatives = (~positive).sum(1, keepdim=True)
    # In whole numbers: .95 n in floating point may lie just above the number that it is.
    return ordered.gather(1, ((95 * negatives + 99) // 100 - 1).clamp_min(0))


def _by_level(name: str, value: Tensor, level: Tensor, counted: Tensor | None = None) -> ByLevel:
    """The mean of ``value`` over the samples of each level that are ``counted``, (runs)."""
    counted = torch.ones_like(level, dtype=torch.bool) if counted is None else counted
    result = {}
    for each in level[counted].unique().tolist():
        of_level = counted & (level == each)
        result[name, each] = (value * of_level).sum(1) / of_level.sum(1)
    return result
