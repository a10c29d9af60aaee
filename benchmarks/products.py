"""How fast this machine multiplies matrices and copies memory, on one thread or its GPU."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

SIDE = {"cpu": 1024, "cuda": 8192}  # of products that neither a call nor a cache bounds
CALLS = {"cpu": 1, "cuda": 20}  # before the host waits: on a GPU it runs ahead of the device
COPIED = {"cpu": 2**27, "cuda": 2**30}  # bytes of the tensor that is copied
TYPES = {"float32": torch.float32, "float64": torch.float64}


def seconds(work: Callable[[], object], device: torch.device, times: int, calls: int = 1) -> float:
    """What ``work`` takes, the median of several times after one that does not count.

    On a CPU the processor's time, which is the same whatever else the machine does; it takes one
    thread. On a GPU the clock's, until the device is done with so many ``calls``.
    """
    on_gpu, found = device.type == "cuda", []
    clock = time.perf_counter if on_gpu else time.process_time
    for _ in range(times + 1):
        started = clock()
        for _ in range(calls):
            work()
        if on_gpu:
            torch.cuda.synchronize()
        found.append((clock() - started) / calls)
    return statistics.median(found[1:])


def products(
    device: torch.device, shapes: list[tuple[int, int, int, int]], times: int = 9
) -> pd.DataFrame:
    """GFLOP/s of (runs, batch, inputs) times (runs, inputs, units) for such ``shapes``.

    A row a shape and library, a column a type of numbers.
    """
    rows = {}
    for shape in shapes:
        runs, batch, inputs, units = shape
        for name, dtype in TYPES.items():
            a = torch.randn(runs, batch, inputs, device=device, dtype=dtype)
            w = torch.randn(runs, inputs, units, device=device, dtype=dtype)
            repeated = times if math.prod(shape) > 2**26 else 20 * times
            for library, multiply in libraries(a, w).items():
                took = seconds(multiply, device, repeated, CALLS[device.type])
                row = rows.setdefault(f"{library} {' x '.join(map(str, shape))}", {})
                row[name] = 2e-9 * math.prod(shape) / took
    return pd.DataFrame(rows).T


def libraries(a: Tensor, w: Tensor) -> dict[str, Callable[[], Tensor | np.ndarray]]:
    """What multiplies ``a`` and ``w`` here: torch's BLAS; on a CPU numpy's; of one matrix oneDNN's.

    oneDNN's takes a linear layer in float32, which is how torch reaches it.
    """
    out = torch.empty(*a.shape[:2], w.shape[2], device=a.device, dtype=a.dtype)
    known: dict[str, Callable] = {"torch": lambda: torch.bmm(a, w, out=out)}
    if len(a) == 1:
        known["torch"] = lambda: torch.mm(a[0], w[0], out=out[0])
    if a.device.type != "cpu":
        return known
    x, y, z = (tensor.numpy() for tensor in (a, w, out))
    known["numpy"] = lambda: np.matmul(x, y, out=z)
    there = torch.backends.mkldnn.is_available()
    if len(a) == 1 and a.dtype == torch.float32 and there:
        linear, columns = torch.ops.mkldnn._linear_pointwise, w[0].T.contiguous()
        known["oneDNN"] = lambda: linear(a[0], columns, None, "none", [], "")
    return known


def copy_rate(device: torch.device, size: int = 0, times: int = 5) -> float:
    """GB/s of copying a tensor of ``size`` bytes, what is read and what is written counted."""
    size = size or COPIED[device.type]
    values = torch.ones(size // 4, device=device)
    out = torch.empty_like(values)
    took = seconds(lambda: out.copy_(values), device, times, CALLS[device.type])
    return 2e-9 * size / took
