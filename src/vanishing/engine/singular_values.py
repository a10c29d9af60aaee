"""What the singular values of a matrix say: how it stretches, and how many directions it has."""

from __future__ import annotations

import torch
from torch import Tensor


def singular_values(matrices: Tensor) -> Tensor:
    """Singular values (..., least side) of ``matrices`` (..., rows, columns), the largest first.

    Missing where an entry is not finite. The matrix is scaled by its largest entry first.
    """
    largest = matrices.abs().amax((-2, -1), keepdim=True)
    finite = largest.isfinite()
    scale = torch.where(finite & (largest > 0), largest, 1.0)
    found = torch.linalg.svdvals(torch.where(finite, matrices / scale, 0.0))
    return torch.where(finite, found[..., None, :] * scale, torch.nan)[..., 0, :]


def of_jacobian(jacobian: Tensor) -> dict[str, Tensor]:
    r"""What ``jacobian`` (runs, samples, outputs, inputs) does to lengths, each (runs).

    Over the :math:`n` = min(outputs, inputs) singular values :math:`s` of a sample, the mean of
    :math:`s^2`, its relative variance :math:`\overline{s^4} / \overline{s^2}^2 - 1`, and
    :math:`\log_{10}` of the largest and the least; of all these the mean over the samples
    (Pennington, Schoenholz, Ganguli 2017). A least one is missing where it is less than float64
    resolves beside the largest, as wherever fewer units than n are active.
    """
    s = singular_values(jacobian)
    largest, least = s[..., 0], s[..., -1]
    share = (s / s[..., :1]).square()
    resolved = torch.finfo(s.dtype).eps * max(jacobian.shape[-2:]) * largest
    found = {
        "mean_square": s.square().mean(-1),
        "relative_variance": share.var(-1, correction=0) / share.mean(-1).square(),
        "log10_max": torch.log10(torch.where(largest > 0, largest, torch.nan)),
        "log10_min": torch.log10(torch.where(least > resolved, least, torch.nan)),
    }
    return {f"jacobian_{name}": values.mean(1) for name, values in found.items()}


def effective_rank(values: Tensor) -> Tensor:
    r"""In how many directions ``values`` (runs, samples, units[, pixels]) lie, (runs).

    :math:`\exp(-\sum_k p_k \ln p_k)` with :math:`p_k = s_k / \sum_j s_j` the normalised singular
    values (Roy, Vetterli 2007), from 1 to min(samples, units times pixels). The mean over the
    samples counts as a direction. Missing where all values are 0.
    """
    s = singular_values(values.flatten(2))
    p = s / s.sum(-1, keepdim=True)
    return torch.exp(-torch.special.xlogy(p, p).sum(-1))
