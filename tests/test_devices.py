"""Devices: precision, what is sent to a GPU, and how much of its memory a stack may have.

No GPU is needed: what only one could do is asked of a stand-in.
"""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from vanishing import provenance as stamps
from vanishing.engine import devices
from vanishing.engine.devices import (
    bytes_of_stack,
    choose,
    gpu_bytes,
    sent,
    set_precision,
    stacks,
)
from vanishing.errors import UserError
from vanishing.parts.stack_sizes import GPU_STACK, bytes_of_run
from vanishing.study import slots

from .small import CPU, net_of

GIB = 2**30
CUDA = torch.device("cuda")
# Torch's settings are the process's own: what sets them is tried in another one.
SETTINGS = """
import json, warnings
warnings.simplefilter("error")
import torch
from vanishing.engine.devices import set_precision
{before}
set_precision()
b = torch.backends
print(json.dumps([
    torch.get_float32_matmul_precision(), b.cuda.matmul.allow_tf32, b.cudnn.allow_tf32,
    b.cuda.matmul.fp32_precision, b.cudnn.conv.fp32_precision != "tf32", b.cudnn.benchmark,
]))
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        'torch.set_float32_matmul_precision("medium")',
        "torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True",
        "torch.backends.cudnn.benchmark = True",
    ],
)
def test_float32_is_multiplied_as_float32_whatever_was_set(before):
    """No warning comes of it, and torch reads its own settings without complaint."""
    code = SETTINGS.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == ["highest", False, False, "ieee", True, False]


def test_every_job_sets_the_precision(monkeypatch):
    from vanishing.engine import job

    def stop():
        raise InterruptedError

    monkeypatch.setattr(job, "set_precision", stop)
    with pytest.raises(InterruptedError):
        job.run({}, None, "cpu")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto") == choose("cpu") == CPU
    with pytest.raises(UserError, match="'cuda' is not there"):
        choose("cuda")
    with pytest.raises(UserError, match="'mps' has no float64, which the probes need"):
        choose("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose("auto") == choose("cuda") == CUDA


def test_a_stack_may_have_a_jobs_part_of_a_gpu_or_of_what_is_free():
    assert gpu_bytes(free=80 * GIB, total=80 * GIB, sharing=1) == pytest.approx(64 * GIB)
    assert gpu_bytes(free=80 * GIB, total=80 * GIB, sharing=4) == pytest.approx(16 * GIB)
    assert gpu_bytes(free=40 * GIB, total=80 * GIB, sharing=2) == pytest.approx(32 * GIB)
    assert gpu_bytes(free=10 * GIB, total=80 * GIB, sharing=2) == pytest.approx(8 * GIB)


@pytest.fixture
def gpu(monkeypatch):
    """A GPU's memory in GiB, as torch would tell it, which a test may change."""
    memory = SimpleNamespace(free=60.0, total=80.0, reserved=0.0, allocated=0.0)
    told = {
        "mem_get_info": lambda _: (memory.free * GIB, memory.total * GIB),
        "memory_reserved": lambda _: memory.reserved * GIB,
        "memory_allocated": lambda _: memory.allocated * GIB,
    }
    for name, tell in told.items():
        monkeypatch.setattr(torch.cuda, name, tell)
    for name in slots.SCHEDULERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(slots.PER_DEVICE, raising=False)
    return memory


def test_what_torch_keeps_of_earlier_stacks_counts_as_free(gpu):
    assert bytes_of_stack(CUDA) == pytest.approx(0.8 * 60 * GIB)
    gpu.free, gpu.reserved, gpu.allocated = 10.0, 50.0, 1.0
    assert bytes_of_stack(CUDA) == pytest.approx(0.8 * 59 * GIB)
    assert bytes_of_stack(CUDA, sharing=4) == pytest.approx(0.8 * 20 * GIB)
    assert bytes_of_stack(CPU) == 1e9


def most(memory=None, runs=5000):
    return max(map(len, stacks(runs, net_of(width=64).architecture, 256, CUDA, memory=memory)))


def test_a_stack_on_a_gpu_is_as_large_as_the_memory_of_its_job(gpu, monkeypatch):
    needed = bytes_of_run(net_of(width=64).architecture, 256)
    gpu.free = gpu.total = 320 * needed / GIB
    monkeypatch.setenv(slots.PER_DEVICE, "1")
    assert 128 < most() <= 256 <= 0.8 * 320
    monkeypatch.setenv(slots.PER_DEVICE, "4")
    assert 32 < most() <= 64 <= 0.8 * 320 / 4
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert 128 < most() <= 256
    gpu.free = needed / 2 / GIB
    assert most() == 1
    gpu.free = gpu.total = 1e6
    assert most() <= GPU_STACK < 1.2 * most()


def test_a_little_more_free_memory_makes_the_same_stacks():
    """All that is between two powers of two: a run's last bits may depend on its stack."""
    needed, architecture = bytes_of_run(net_of(width=64).architecture, 256), net_of(width=64)
    layouts = [
        stacks(1000, architecture.architecture, 256, CUDA, memory=share * needed)
        for share in (130, 150, 255)
    ]
    assert layouts[0] == layouts[1] == layouts[2]
    assert [r for stack in layouts[0] for r in stack] == list(range(1000))


def test_what_is_sent_keeps_its_values_and_waits_only_on_the_cpu():
    drawn = torch.randn(3, 4)
    assert torch.equal(sent(drawn, CPU), drawn)
    assert sent(drawn, CPU, torch.float64).dtype == torch.float64
    assert sent(drawn > 0, CPU).dtype == torch.bool
    assert sent(drawn, torch.device("meta"), torch.float64).device.type == "meta"


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_gpu_is_sent_memory_that_is_not_paged_out(dtype):
    """What is pinned has the type that is sent: a cast on the way would not be pinned."""
    asked = []

    class Values:
        dtype = torch.float32

        def pin_memory(self):
            asked.append("pinned")
            return self

        def to(self, *place, non_blocking=False):
            asked.append((*place, non_blocking))
            return self

    sent(Values(), CUDA, dtype)
    kind = dtype or torch.float32
    assert asked == [(kind, False), "pinned", (CUDA, kind, True)]


def test_tables_say_which_gpu_made_them_and_how_it_multiplied(monkeypatch):
    set_precision()
    assert set(stamps.gpu().values()) == {None}  # none was used
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(stamps, "_output", lambda *_: "570.86\n570.86")
    said = stamps.gpu()
    assert said == {
        "gpu": "A GPU",
        "driver": "570.86",
        "cuda": torch.version.cuda,
        "compute_capability": "9.0",
        "matmul_precision": "highest",
        "tf32": False,
    }


def test_asking_where_a_table_comes_from_does_not_start_cuda(monkeypatch):
    def refuse(*_):
        raise AssertionError("CUDA was asked")

    for name in ("is_available", "get_device_name", "init", "device_count"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    assert stamps.provenance("abc")["gpu"] is None


def test_a_share_of_memory_is_left_for_what_an_estimate_misses():
    assert 0 < devices.GPU_SHARE < 1
