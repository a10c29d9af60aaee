"""Stand-ins for cases from the real world: a proxy has the structure of a case, not its images.

What a net does on one of them says nothing about cars or clinics; it says whether the condition
that is said to cause the failure causes it where everything else is known. The breast-cancer table
is real.
"""

from __future__ import annotations

import importlib.util
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import within
from ..lazy import Lazy
from .data import Data

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

SIDE = 16  # pixels, of the image of faint_blob
BLOB = 1.5  # pixels, the blob's sd
# The blob's peak in sd of the noise: from invisible to clear.
CONTRASTS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


def fine_and_coarse() -> Data:
    """Two digits that look alike, 3 and 8, and two that do not, 0 and 1: four classes.

    A proxy for telling a person from a lamp post: the fine pair differs in a detail, the coarse one
    as a whole. Classes 0 and 1 are the coarse pair (level 0), 2 and 3 the fine one (level 1: digits
    3 and 8); the score is the accuracy within each pair. 717 of scikit-learn's digits (Alpaydin,
    Kaynak 1998).
    """
    from .tasks import digits  # tasks lists this module's functions

    whole, chosen = digits(), (0, 1, 3, 8)
    rows = np.isin(whole.labels, chosen)
    labels = np.searchsorted(chosen, whole.labels[rows])
    return Data(
        whole.inputs[rows],
        labels,
        whole.image,
        level=(labels >= 2).astype(np.float32),
        score="accuracy_by_level",
    )


def faint_blob(samples: int = 6000) -> Data:
    r"""Whether a faint blob is hidden in the noise of a 16 x 16 image: in half it is (1).

    A proxy for a small tumour in a scan. Every pixel is N(0, 1); a blob adds contrast
    :math:`\exp(-d^2 / (2 \cdot 1.5^2))` at distance d, in pixels, from a centre that is uniform
    over the places at least two of its sd, 3 pixels, away from the border's pixels. ``level`` is
    the contrast, one of six values with the same number of samples each, and 0 where there is no
    blob. The noise is the unit: with a blob the mean square is a little above 1.

    A reader who knew the place would have d' = contrast sqrt(pi) 1.5, that is .7 to 8.
    """
    within("samples of faint_blob", samples, 2 * len(CONTRASTS), inf)
    generator, place = np.random.RandomState(0), np.arange(samples)
    labels = place % 2
    level = labels * np.array(CONTRASTS)[place // 2 % len(CONTRASTS)]
    centre = 2 * BLOB + (SIDE - 1 - 4 * BLOB) * generator.rand(samples, 2)
    # exp of a sum of squares is the product of a row's profile and a column's
    profile = np.exp(-np.square(np.arange(SIDE) - centre[..., None]) / (2 * BLOB**2))
    blobs = profile[:, 0, :, None] * profile[:, 1, None, :]  # (samples, height, width)
    images = generator.randn(samples, SIDE, SIDE) + level[:, None, None] * blobs
    return Data(
        images.reshape(samples, -1).astype(np.float32),
        labels,
        (1, SIDE, SIDE),
        level=level.astype(np.float32),
        score="sensitivity_by_level",
    )


def breast_cancer() -> Data:
    """Whether a tumour is malignant (1) or benign (0), by 30 features of its cells' nuclei.

    569 patients; a real table, which ships with scikit-learn. Each feature has mean 0 and mean
    square 1 over them. ``level`` is 1 where malignant, else 0, so that the score is one number.
    (Street, Wolberg, Mangasarian 1993.)
    """
    features, malignant = _breast_cancer_table()
    centred = features - features.mean(0)
    scaled = (centred / np.sqrt(np.square(centred).mean(0))).astype(np.float32)
    level = malignant.astype(np.float32)
    return Data(scaled, malignant, level=level, score="sensitivity_by_level")


def _breast_cancer_table() -> tuple[np.ndarray, np.ndarray]:
    """Features (patients, 30), and 1 where malignant: scikit-learn's 0."""
    package = importlib.util.find_spec("sklearn")
    file = Path(package.origin).parent / "datasets" / "data" / "breast_cancer.csv"
    if file.exists():  # importing scikit-learn would cost each job a second
        table = np.loadtxt(file, delimiter=",", skiprows=1)
        return table[:, :-1], 1 - table[:, -1].astype(np.int64)
    from sklearn.datasets import load_breast_cancer

    features, benign = load_breast_cancer(return_X_y=True)
    return features, 1 - benign.astype(np.int64)
