"""Compile the loops of networks ahead of the first study, which would wait for them a minute.

``python -m vanishing.engine.ahead``, once after an installation; what is compiled is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from . import chain, convolution, fused_recurrent, products, quality, sum_kernels, updates

# The longest first: the rest goes beside them.
LOOPS: tuple[Callable[[], None], ...] = (
    *(partial(of.load, [dtype]) for of in (chain, fused_recurrent) for dtype in chain.DTYPES),
    convolution.load,
    sum_kernels.load,
    products.load,
    quality.load,
    updates.load,
)


def compile_all() -> None:
    """All of :data:`LOOPS`, in as many processes as there are cores."""
    with ProcessPoolExecutor() as processes:
        for made in [processes.submit(loops) for loops in LOOPS]:
            made.result()


if __name__ == "__main__":
    compile_all()
