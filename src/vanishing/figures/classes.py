"""Classes of decades, a colour each: the darker, in grey too, the more of a gradient is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

LIGHT, DARK = "#fcfcfc", "#1c1c1e"  # marks on a colour, which stays as it is on a dark page


@dataclass(frozen=True)
class Classes:
    """What lies between two neighbours of ``bounds``, in decades, has one colour."""

    bounds: tuple[float, ...]

    def of(self, decades: Sequence[float]) -> np.ndarray:
        """The number of the class of each value: how many bounds it is not below.

        >>> Classes((-1, 1)).of([-2, -1, 0, 3])
        array([0, 1, 1, 2])
        """
        return np.searchsorted(self.bounds, decades, side="right")

    @property
    def colours(self) -> ListedColormap:
        """A colour a class."""
        shades = np.linspace(0, 1, len(self.bounds) + 1)
        return ListedColormap([mpl.colors.to_hex(c) for c in mpl.colormaps["viridis"](shades)])

    def bar(
        self, drawn: Figure, panels: Sequence[Axes], low: int, high: int, **place: object
    ) -> Colorbar:
        """A bar of the classes ``low`` to ``high`` beside ``panels``: a tick where two meet."""
        scale = BoundaryNorm(np.arange(low, high + 2) - 0.5, high - low + 1)
        shown = ListedColormap([self.colours(kind) for kind in range(low, high + 1)])
        bar = drawn.colorbar(
            ScalarMappable(scale, shown), ax=panels, ticks=np.arange(low, high) + 0.5,
            drawedges=True, **place,
        )  # fmt: skip
        bar.ax.tick_params(length=0)
        bar.outline.set_linewidth(0.5)
        bar.dividers.set_linewidth(0.3)
        return bar
