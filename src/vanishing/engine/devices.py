"""Where a stack is trained, and how many runs it holds."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import os

import torch
from torch import Tensor

from ..errors import UserError
from ..parts.architecture import Architecture
from ..parts.stack_sizes import CPU_BYTES, bytes_of_run, most_runs
from ..study.slots import per_device

GPU_SHARE = 0.8  # of what a job may have of a GPU's memory: estimates err, and blocks lie apart

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt, malloc.h
KEPT_BYTES = 1 << 30


def choose(wanted: str) -> torch.device:
    """The device that a config names; ``auto`` takes a GPU where there is one."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        # Probes need float64, which Metal does not have: it is used only where it is asked for.
        return torch.device("cuda" if there["cuda"] else "cpu")
    if wanted == "mps":
        raise UserError("device 'mps' has no float64, which the probes need: give cpu or auto.")
    if not there[wanted]:
        raise UserError(f"device {wanted!r} is not there. Give one of: auto, cpu.")
    return torch.device(wanted)


def set_precision() -> None:
    """Have a GPU multiply float32 as float32, and choose the same algorithm every time.

    TF32 keeps 10 of its 23 bits, which gradients that span 40 orders of magnitude would show; cuDNN
    uses it in convolutions unless told not to. What is set here goes into every table's provenance.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # A benchmark of algorithms may end otherwise the next time, and with it a run's last bits.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def sent(values: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """``values`` of the host on the ``device``, which a GPU fetches while the host goes on.

    That takes memory that the system does not page out.
    """
    kind = dtype or values.dtype
    if device.type == "cuda":
        values = values.to(kind).pin_memory()  # cast here: a copy that casts would be paged
    return values.to(device, kind, non_blocking=device.type != "cpu")


def gpu_bytes(free: float, total: float, sharing: int) -> float:
    """Bytes that a stack may hold of a GPU that ``sharing`` jobs use, with ``free`` of ``total``.

    A job's part of the whole, for a neighbour may come yet, or of what is free where that is less.
    """
    return GPU_SHARE * min(free, total / sharing)


def bytes_of_stack(device: torch.device, sharing: int = 1) -> float:
    """Bytes that a stack may hold on the ``device``."""
    if device.type != "cuda":
        return CPU_BYTES
    free, total = torch.cuda.mem_get_info(device)
    # What torch has kept of earlier stacks is free to the next one.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return gpu_bytes(free, total, sharing)


def keep_freed_memory() -> None:
    """Have glibc keep large blocks that are freed: the next step asks for the same ones.

    By default it hands them back to the system and faults them in again, which costs a stacked CNN
    about a fifth of its time. Elsewhere nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(parameter, KEPT_BYTES)


def stacks(
    runs: int,
    architecture: Architecture,
    samples: int,
    device: torch.device,
    opponent: Architecture | None = None,
    memory: float | None = None,
) -> list[range]:
    """The runs of a cohort in stacks of about equal size, each of which fits into ``memory``.

    Bytes, by default those of :func:`bytes_of_stack` for a device that other jobs may share.
    ``samples`` are those that go through the net at a time. An ``opponent`` sees as many real ones
    beside what the net generates.
    """
    if memory is None:
        memory = bytes_of_stack(device, per_device(os.environ))
    needed = bytes_of_run(architecture, samples, opponent)
    most = most_runs(architecture, on_cpu=device.type == "cpu")
    largest = max(1, min(most, int(memory // needed)))
    if device.type != "cpu":
        # A power of two, so that a little more or less of free memory makes the same stacks: the
        # last bits of a run's numbers may depend on how many are trained beside it.
        largest = 1 << (largest.bit_length() - 1)
    count = math.ceil(runs / largest)
    edges = [runs * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in itertools.pairwise(edges)]
