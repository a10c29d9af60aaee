"""What a probe asks of an MLP's layer, added up while its values are in the cache.

Compiled loops for those of :mod:`.chain_kernels`; ``n`` is a layer's index. What they fill is told
by :mod:`.chain_looks`.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .layer_kernels import phi_back
from .sum_kernels import count_flat, count_small, scaled, scan

Array = np.ndarray
# Of each layer and run: the sums of h, those of what leaves the layer, flat slopes, units alive,
# and the bounds of the flat; then the sums of delta, its squares scaled, the same of dL/dW, how
# many are small, and the limits of that.
ForwardLook = tuple[Array, Array, Array, Array, Array]
BackwardLook = tuple[Array, Array, Array, Array, Array, Array]


@exact
def look_at_phi(
    n: int,
    run: int,
    h: Array,
    a: Array,
    which: int,
    slope: float,
    units: int,
    rows: Array,
    look: ForwardLook,
) -> None:
    """The sums of h, and how flat phi is there; ``rows`` are room for slopes, and ones."""
    (h_sums, _, flat, alive, bounds), steepness, ones = look, rows[0], rows[1]
    scan(h, (1, 1, len(h), 0, 0), (False, False), h_sums[n, run : run + 1])
    phi_back(ones, a, which, slope, steepness)
    layout, here = (1, len(h) // units, units, 0, units), slice(run, run + 1)
    count_flat(h, layout, steepness, layout, bounds, flat[n, here], alive[n, here])


@exact
def look_at_output(n: int, run: int, out: Array, look: ForwardLook) -> None:
    """The sums of what leaves the layer."""
    scan(out, (1, 1, len(out), 0, 0), (True, False), look[1][n, run : run + 1])


@exact
def look_at_delta(n: int, run: int, delta: Array, look: BackwardLook) -> None:
    """The sums of delta."""
    scan(delta, (1, 1, len(delta), 0, 0), (False, True), look[0][n, run : run + 1])
    scaled(delta, look[0][n, run, 2], look[1][n, run])


@exact
def look_at_weight(n: int, run: int, g: Array, look: BackwardLook) -> None:
    """The sums of dL/dW, and how many are small."""
    _, _, sums, squares, small, limits = look
    layout, here = (1, 1, len(g), 0, 0), slice(run, run + 1)
    scan(g, layout, (True, True), sums[n, here])
    scaled(g, sums[n, run, 2], squares[n, run])
    count_small(g, layout, limits, sums[n, run, 4], small[n, here])
