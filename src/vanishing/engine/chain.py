"""A whole MLP as one compiled operation, forward and back, where the loops know its layers.

Torch makes a tensor of each step of a layer, of all runs: by the time the next step reads it, it
has left the cache. Here a run goes through all layers before the next one (:mod:`.chain_kernels`).
Measured against it, see ``benchmarks/README.md``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..lazy import Lazy
from ..parts.activations import ACTIVATIONS
from ..parts.architecture import Architecture
from ..parts.norms import EPSILON, NORMS
from ..parts.residuals import AFTER, RESIDUALS, plus
from .fused_layer import DTYPES, NONE, follow, norm_of, number, phi_of
from .fused_layer import kernels as layer_kernels
from .layer_looks import Look
from .network import Buffers, Network, Parameters, running_of

if TYPE_CHECKING:
    from .chain_back_kernels import Moves

kernels = Lazy("vanishing.engine.chain_kernels")  # numba takes a third of a second to load
back_kernels = Lazy("vanishing.engine.chain_back_kernels")
NAMES = ("W", "b", "gain", "bias")  # of what learns
NO_PLACES = np.empty(0, np.int64)
NO_MOVES = NO_PLACES, NO_PLACES, np.empty((0, 0, 0))


def is_known(
    net: Network, parameters: Parameters, x: Tensor, buffers: Buffers, learning: bool
) -> bool:
    """Whether the loops know all layers of a net that sees ``x`` (runs, batch, inputs).

    Where it is not ``learning``, ``x`` may be float64 beside ``parameters`` in float32.
    """
    weights = parameters["W"]
    if net.architecture.family != "mlp" or x.device.type != "cpu" or x.dtype not in DTYPES:
        return False
    plain = net.norm.apply is NONE
    by_batch = learning or "mean" not in buffers  # a norm has the statistics of the batch
    if not (plain or (net.norm_first and by_batch)) or norm_of(net.norm) is None:
        return False
    if phi_of(net.activation) is None or not _joins_simply(net):
        return False
    narrow = not learning and (weights[0].dtype, x.dtype) == DTYPES
    alike = narrow or weights[0].dtype == x.dtype
    fitting = alike and len(weights[0]) == len(x) and len(weights) > 1
    return fitting and all(t.is_contiguous() for name in NAMES for t in parameters.get(name, ()))


def _joins_simply(net: Network) -> bool:
    residual = net.residual
    if not residual.skips:
        return True
    varies = residual.learned or residual.survival or residual.gate_bias is not None
    return residual.add is plus and not varies


@dataclass
class Chain:
    """A pass through the layers: what the loops need to know, and what they leave."""

    x: Tensor  # (runs, batch, inputs), C-contiguous
    sizes: tuple[int, int, int, int]  # batch, inputs, units, outputs
    kinds: tuple[int, int, int]  # which norm and phi, and where blocks join
    blocks: tuple[np.ndarray, np.ndarray]  # (layers): whether one ends, and its branch's strength
    slope: np.floating  # of phi
    kept: tuple[np.ndarray, ...]  # see :mod:`.chain_kernels`; no layers where it need not be
    look: Look

    @classmethod
    def of(cls, net: Network, x: Tensor, limits: Sequence[float] | None = None) -> Chain:
        """The pass of a net that :func:`is_known`, before it is made.

        With ``limits`` it is looked at, see :class:`.layer_looks.Look`.
        """
        batch, inputs, units = *x.shape[1:], net.architecture.width
        which, slope = phi_of(net.activation)
        kinds = norm_of(net.norm), which, _joins(net)
        ends, strength = np.zeros(net.depth, np.bool_), np.ones(net.depth, x.numpy().dtype)
        for layer, of_block in zip(net.block_ends, net.strengths, strict=True):
            ends[layer - 1], strength[layer - 1] = True, of_block
        return cls(
            x.contiguous(),
            (batch, inputs, units, net.architecture.outputs),
            kinds,
            (ends, strength),
            number(x, slope),
            _memory(x, net.depth, units, kinds),
            Look.of(net, x, limits),
        )

    def forward(self, parameters: Parameters) -> Tensor:
        """Outputs (runs, batch, outputs); what is kept, and the look, is filled.

        Of x in float64 the ``parameters`` may be float32, as for all but :meth:`descend`.
        """
        runs, batch, outputs = len(self.x), self.sizes[0], self.sizes[3]
        made = self.x.new_empty(runs, batch * outputs)
        numbers = self.slope, number(self.x, EPSILON)
        kernels.forward(
            self.x.flatten(1).numpy(), *self._learned(parameters), self.sizes, self.kinds,
            self.blocks, numbers, self.kept, made.numpy(), self.look.forward,
        )  # fmt: skip
        return made.view(runs, batch, outputs)

    def gradients(
        self,
        d_outputs: Tensor,
        parameters: Parameters,
        lowest: int = 0,
        with_x: bool = False,
        hidden: bool = True,
    ) -> tuple[Parameters, Tensor | None]:
        """Those of all parameters from layer ``lowest`` (an index) on, and of x where wanted.

        None of ``hidden`` weights where they are not.
        """
        made = {
            name: [self._like(t) if n >= lowest else None for n, t in enumerate(of)]
            for name, of in parameters.items()
            if name in NAMES
        }
        if not hidden:
            made["W"][:-1] = [None] * (len(made["W"]) - 1)
        d_x = torch.empty_like(self.x if with_x else self.x[:0])
        self._back(d_outputs, parameters, made, lowest, d_x)
        return made, d_x if with_x else None

    def _like(self, tensor: Tensor) -> Tensor:
        """Memory for the gradient of a tensor: in the precision of x."""
        return torch.empty_like(tensor, dtype=self.x.dtype)

    def of_samples(self, d_outputs: Tensor, parameters: Parameters) -> Tensor:
        """What is lost by x alone."""
        d_x = torch.empty_like(self.x)
        self._back(d_outputs, parameters, {}, 0, d_x)
        return d_x

    def _learned(self, parameters: Parameters) -> tuple[tuple[np.ndarray, ...], bool]:
        """Where parameters lie, and whether they are float32 beside x in float64."""
        return _places(parameters), parameters["W"][0].dtype != self.x.dtype

    def descend(
        self,
        d_outputs: Tensor,
        parameters: Parameters,
        rates: Tensor,
        lowest: int = 0,
        moves: Moves = NO_MOVES,
    ) -> None:
        """W <- W - lr g of all of them, with a rate for each run: no gradient is written.

        With ``moves`` those of hidden weights are kept, see :mod:`.descent`.
        """
        self._back(d_outputs, parameters, {}, lowest, self.x[:0], rates.flatten(), moves)
        changed(t for name in NAMES for t in parameters.get(name, ())[lowest:])

    def see(self, d_outputs: Tensor, parameters: Parameters) -> None:
        """Go back for the look alone."""
        self._back(d_outputs, parameters, {}, 0, self.x[:0])

    def _back(
        self,
        d_outputs: Tensor,
        parameters: Parameters,
        made: Parameters,
        lowest: int,
        d_x: Tensor,
        rates: Tensor | None = None,
        moves: Moves = NO_MOVES,
    ) -> None:
        rates = self.x.new_empty(0) if rates is None else rates
        places, narrow = self._learned(parameters)
        if narrow and len(rates):
            raise ValueError("float32 parameters beside float64 samples are read, not learned.")
        nothing = {name: [None] * len(of) for name, of in parameters.items()}
        back_kernels.backward(
            d_outputs.contiguous().flatten(1).numpy(), self.x.flatten(1).numpy(),
            places, narrow, _places(nothing | made), rates.numpy(), self.sizes, self.kinds,
            self.blocks, self.slope, lowest, self.kept, d_x.flatten(1).numpy(),
            self.look.backward, moves,
        )  # fmt: skip

    def fold(self, buffers: Buffers) -> None:
        """Have the running statistics in the ``buffers``, where there are any, follow the batch."""
        if "mean" in buffers:
            for layer, of in enumerate(zip(*self.kept[3:], strict=True)):
                follow(running_of(buffers, layer), *map(torch.from_numpy, of), self.sizes[0])


def load(dtypes: Sequence[torch.dtype] = DTYPES) -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    architecture = Architecture("mlp", depth=1, width=1, inputs=1, outputs=1)
    net = Network(ACTIVATIONS["tanh"], NORMS["none"], RESIDUALS["none"], architecture)
    for dtype in dtypes:
        x = torch.zeros(1, 1, 1, dtype=dtype)
        parameters = {name: [x.clone(), x.clone()] for name in ("W", "b")}
        made = Chain.of(net, x, limits=[0.0])
        made.see(made.forward(parameters), parameters)


@dataclass
class Passed:
    """A pass that was made, with its losses (runs), and what is lost by its outputs."""

    chain: Chain
    losses: Tensor
    d_outputs: Tensor


def passed(
    net: Network,
    parameters: Parameters,
    buffers: Buffers,
    x: Tensor,
    losses_of: Callable[[Tensor], Tensor],
    limits: Sequence[float] | None = None,
) -> Passed:
    """The pass of a net that :func:`is_known`, with ``losses_of`` outputs as its losses.

    Running statistics in the ``buffers`` follow the batch. ``limits`` as of :meth:`Chain.of`.
    """
    chain = Chain.of(net, x, limits)
    outputs = chain.forward(parameters).requires_grad_()
    chain.fold(buffers)
    losses = losses_of(outputs)
    [d_outputs] = torch.autograd.grad(losses.sum(), [outputs])
    return Passed(chain, losses.detach(), d_outputs)


def outputs(net: Network, parameters: Parameters, x: Tensor, buffers: Buffers) -> Tensor:
    """(runs, batch, outputs) of a net that :func:`is_known`, to be differentiated once.

    Running statistics in the ``buffers`` follow the batch.
    """
    chain = Chain.of(net, x.detach())
    names = [(name, len(parameters[name])) for name in NAMES if name in parameters]
    tensors = [t for name, _ in names for t in parameters[name]]
    made = _Whole.apply(chain, names, x, *tensors)
    chain.fold(buffers)
    return made


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        chain: Chain,
        names: list[tuple[str, int]],
        x: Tensor,  # noqa: ARG004 - for its gradient alone
        *tensors: Tensor,
    ) -> Tensor:
        ctx.chain, ctx.names = chain, names
        ctx.save_for_backward(*tensors)
        return chain.forward(_named(names, tensors))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        parameters = _named(ctx.names, ctx.saved_tensors)
        _, _, of_x, *wanted = ctx.needs_input_grad
        if not any(wanted):
            return None, None, ctx.chain.of_samples(d, parameters), *[None] * len(wanted)
        layers = _named(ctx.names, wanted).values()
        lowest = 0 if of_x else min(n for of in layers for n, want in enumerate(of) if want)
        made, d_x = ctx.chain.gradients(d, parameters, lowest, of_x)
        found = (t for name, _ in ctx.names for t in made[name])
        learnt = (t if want else None for t, want in zip(found, wanted, strict=True))
        return None, None, d_x, *learnt


def _named(names: list[tuple[str, int]], tensors: Sequence) -> dict[str, list]:
    rest = iter(tensors)
    return {name: list(itertools.islice(rest, count)) for name, count in names}


def _joins(net: Network) -> int:
    if not net.residual.skips:
        return kernels.NOWHERE
    return kernels.AFTER if net.residual.joins == AFTER else kernels.BEFORE


def _memory(
    x: Tensor, depth: int, units: int, kinds: tuple[int, int, int]
) -> tuple[np.ndarray, ...]:
    """What is kept of a pass of ``x``, before it is made."""
    (runs, batch, _), (norm, _, joins), dtype = x.shape, kinds, x.numpy().dtype
    normed = norm != layer_kernels.PLAIN
    statistics = batch if norm == layer_kernels.LAYER else units
    wanted = normed, joins == kernels.AFTER, True, normed, normed
    sizes = *[batch * units] * 3, statistics, statistics
    return tuple(
        np.empty((depth, runs, size) if want else (0, 0, 0), dtype)
        for want, size in zip(wanted, sizes, strict=True)
    )


def _places(parameters: Parameters) -> tuple[np.ndarray, ...]:
    return tuple(addresses(parameters.get(name, ())) for name in NAMES)


def changed(tensors: Iterable[Tensor]) -> None:
    """Tell torch that a loop has written to ``tensors``: no graph may go back by new values."""
    torch.autograd.graph.increment_version(tensors)


def addresses(tensors: Sequence[Tensor | None]) -> np.ndarray:
    """Where tensors lie in memory; 0 of what there is not."""
    return np.array([0 if t is None else t.data_ptr() for t in tensors], np.int64)
