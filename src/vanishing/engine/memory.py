"""Stacks that fit into memory: one that does not is split in two, and its halves are trained."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from ..errors import UserError
from .checkpoints import say

Result = TypeVar("Result")
# How torch words it, besides its OutOfMemoryError: its allocator on a CPU, cuBLAS and cuDNN.
WORDS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def in_fitting_stacks(
    layout: list[range],
    train: Callable[[range], Result],
    keep: Callable[[list[range]], None],
    cohort: str,
) -> Iterator[tuple[range, Result]]:
    """Each stack of the ``layout`` with what ``train`` makes of it.

    A stack that does not fit into memory is split until it does; ``keep`` is told each layout that
    comes of it. A single run that does not fit is a :class:`UserError`.
    """
    done, waiting = [], list(layout)
    while waiting:
        members = waiting.pop(0)
        found, lack = _attempt(train, members)
        if lack is None:
            done.append(members)
            yield members, found
            continue
        waiting[:0] = _halves(members, cohort, lack)
        say(f"{len(members)} runs at once do not fit into memory ({lack}): now half as many")
        keep(done + waiting)


def _attempt(train: Callable[[range], Result], members: range) -> tuple[Result | None, str | None]:
    """What training gives, or how memory ran out, with all that was held freed again."""
    try:
        return train(members), None
    except Exception as error:
        lack = out_of_memory(error)
        if lack is None:
            raise
    gc.collect()  # only here, past the block: the error holds all frames and their tensors
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None, lack


def out_of_memory(error: Exception) -> str | None:
    """How an error says that memory ran out, in a line; None if it says something else."""
    line = (str(error).splitlines() or [""])[0]
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return line or "out of memory"
    worded = isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)
    return line if worded else None


def _halves(members: range, cohort: str, lack: str) -> list[range]:
    if len(members) == 1:
        raise UserError(
            f"cohort {cohort}: a single run does not fit into memory ({lack}). Give its battery a "
            "smaller batch, probe batch or width, or train it on a device with more memory."
        )
    middle = (members.start + members.stop) // 2
    return [range(members.start, middle), range(middle, members.stop)]
