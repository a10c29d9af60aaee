"""Whether the error signal that comes back is the product of the layers' Jacobians."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.losses import Loss
from ..parts.norms import NORMS
from ..parts.residuals import RESIDUALS
from .forward import forward
from .network import Buffers, Network, Parameters, learned_by_phi

JACOBIAN_ENTRIES = 2**22  # of the Jacobians of a layer that are held at a time


def is_plain(net: Network) -> bool:
    """Whether h_{l+1} = phi(h_l) W_{l+1} + b_{l+1}, and nothing else."""
    bare = net.norm == NORMS["none"] and net.residual == RESIDUALS["none"]
    return bare and net.architecture.family == "mlp"


def chain_rule_error(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, x: Tensor, labels: Tensor
) -> Tensor:
    r"""How far the chain rule is from automatic differentiation in a plain net, (runs).

    With the Jacobians :math:`J_l = dh_{l+1}/dh_l = W_{l+1}^T \mathrm{diag}(\phi'(h_l))` of each
    sample of ``x`` (batch, inputs), :math:`\tilde\delta_l = \delta_L J_{L-1} \cdots J_l` (the
    equations of back-propagation, Rumelhart et al. 1986) against :math:`\delta_l = dL/dh_l`:

    .. math:: \max_{l < L} \max |\tilde\delta_l - \delta_l| / \max |\delta_l|

    over samples and units. 0 in a layer where both are 0; missing of a net with one layer.
    """
    runs = len(parameters["W"][0])
    x = x.expand(runs, *x.shape).clone().requires_grad_()
    logits, h, _ = forward(net, parameters, x, buffers, learning=False)
    total = loss.per_sample(logits, labels.expand(runs, *labels.shape)).sum()
    found = torch.autograd.grad(total, h)
    explicit, errors = found[-1], []
    for n in range(net.depth - 2, -1, -1):
        slope = net.activation.derivative(h[n], *learned_by_phi(net, parameters, n, h[n]))
        explicit = _sent_back(explicit, parameters["W"][n + 1], slope)
        errors.append(_relative(explicit - found[n], found[n]))
    return torch.stack(errors).amax(0) if errors else x.new_full((runs,), torch.nan)


def _sent_back(delta: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
    """delta_{l+1} (runs, batch, units above) times J_l of each sample: (runs, batch, units)."""
    size = max(1, JACOBIAN_ENTRIES // weight.numel())
    parts = zip(delta.split(size, dim=1), slope.split(size, dim=1), strict=True)
    return torch.cat([(d[:, :, None] @ jacobians(weight, s))[:, :, 0] for d, s in parts], dim=1)


def jacobians(weight: Tensor, slope: Tensor) -> Tensor:
    """W^T diag(phi'), from W (runs, units, units above) and phi' (runs, batch, units).

    (runs, batch, units above, units).
    """
    return weight.mT[:, None] * slope[:, :, None]


def _relative(error: Tensor, whole: Tensor) -> Tensor:
    """The largest ``error`` of each run over the largest of the ``whole``, (runs)."""
    largest, whole = error.abs().amax((1, 2)), whole.abs().amax((1, 2))
    return torch.where((largest == 0) & (whole == 0), 0.0, largest / whole)
