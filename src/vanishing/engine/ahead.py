"""Compile the loops of networks ahead of the first study, which would wait for them a minute.

``python -m vanishing.engine.ahead``, once after an installation; what is compiled is kept, and what
earlier sources left is not.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from . import (
    chain,
    compiled,
    convolution,
    fused_recurrent,
    moves,
    products,
    quality,
    sum_kernels,
    updates,
)

OLD = 86400.0  # seconds: what was written later may serve a study that goes on with older sources

# The longest first: the rest goes beside them.
LOOPS: tuple[Callable[[], None], ...] = (
    *(partial(of.load, [dtype]) for of in (chain, fused_recurrent) for dtype in chain.DTYPES),
    convolution.load,
    sum_kernels.load,
    products.load,
    quality.load,
    updates.load,
    moves.load,
)


def compile_all() -> None:
    """All of :data:`LOOPS`, in as many processes as there are cores."""
    with ProcessPoolExecutor() as processes:
        for made in [processes.submit(loops) for loops in LOOPS]:
            made.result()


def forget_old() -> None:
    """Remove machine code of other sources, but what is younger than :data:`OLD`."""
    if compiled.KEPT is None:
        return
    for other in compiled.KEPT.parent.glob("machine-code-*"):
        if other != compiled.KEPT and other.stat().st_mtime < time.time() - OLD:
            shutil.rmtree(other, ignore_errors=True)


if __name__ == "__main__":
    compile_all()
    forget_old()
