"""Out of memory: a stack that does not fit is halved, and its runs come out the same."""

import pandas as pd
import pytest
import torch

from vanishing.engine import chain, job, player, stack
from vanishing.engine.checkpoints import Checkpoints
from vanishing.engine.memory import in_fitting_stacks, out_of_memory
from vanishing.engine.watch import Watch
from vanishing.errors import UserError

from .interrupted import COHORTS, GAN, NET, RNN, assert_same, cohort_of

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore")
ALLOCATOR = "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"


def small_memory(monkeypatch, most, error=CUDA):
    """Have memory for ``most`` runs at once; gives the sizes of the stacks that were begun."""
    begun = []
    for module, name in ((stack, "forward"), (chain, "passed"), (player, "pass_forward")):
        plain = getattr(module, name)

        def limited(net, parameters, *rest, plain=plain, **more):
            runs = len(parameters["W"][0])
            begun.append(runs)
            if runs > most:
                raise error
            return plain(net, parameters, *rest, **more)

        monkeypatch.setattr(module, name, limited)
    return begun


@pytest.mark.parametrize("settings", [NET, RNN, GAN, COHORTS["cnn"]], ids=lambda s: s["family"])
def test_runs_whose_stack_did_not_fit_come_out_the_same(settings, monkeypatch, capsys):
    cohort = cohort_of(settings)
    whole = job.run(cohort, device="cpu")
    begun = small_memory(monkeypatch, 1)
    found = job.run(cohort, device="cpu")
    assert set(begun) == {3, 2, 1}
    for name, table in whole.items():
        pd.testing.assert_frame_equal(
            *(t.drop(columns="seconds", errors="ignore").sort_values(keys(t)).reset_index(drop=True)
              for t in (found[name], table)),
            rtol=1e-3, atol=1e-4, obj=name,
        )  # fmt: skip
    lines = capsys.readouterr().err
    assert "3 runs at once do not fit into memory (CUDA out of memory. Tried" in lines
    assert "2 runs at once do not fit" in lines


def keys(table):
    names = ("run_id", "player", "step", "layer", "lag", "column", "score", "level", "frozen")
    return [name for name in names if name in table]


def test_a_perceptrons_runs_are_equal_to_the_bit_in_smaller_stacks(monkeypatch):
    cohort = cohort_of(COHORTS["freeze, schedule, clip"] | {"norm": "none"})
    whole = job.run(cohort, device="cpu")
    small_memory(monkeypatch, 2)
    found = job.run(cohort, device="cpu")
    for logs in (whole, found):
        for name, table in logs.items():
            logs[name] = table.sort_values(keys(table)).reset_index(drop=True)
    assert_same(found, whole)


def test_a_later_start_begins_with_what_fitted(monkeypatch, tmp_path):
    cohort, begun = cohort_of(NET), small_memory(monkeypatch, 2)
    first = job.run(cohort, device="cpu", watch=Watch(Checkpoints(tmp_path)))
    assert 3 in begun
    begun.clear()
    again = job.run(cohort, device="cpu", watch=Watch(Checkpoints(tmp_path)))
    assert set(begun) == {1, 2}
    assert_same(again, first)


def test_a_single_run_that_does_not_fit_is_told_with_what_to_do(monkeypatch):
    small_memory(monkeypatch, 0)
    message = "cohort c: a single run does not fit .*2.00 GiB.*Give its battery a smaller batch"
    with pytest.raises(UserError, match=message):
        job.run(cohort_of(NET), device="cpu")


@pytest.mark.parametrize(
    "error",
    [
        CUDA,
        MemoryError(),
        RuntimeError(ALLOCATOR),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:40],
)
def test_memory_that_ran_out_is_known_by_the_error(error, monkeypatch):
    assert out_of_memory(error)
    begun = small_memory(monkeypatch, 2, error)
    assert len(job.run(cohort_of(NET), device="cpu")["runs"]) == 3
    assert 3 in begun


def test_a_real_lack_of_memory_is_known():
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(raised.value)


def test_another_error_is_raised_as_it_is():
    def fail(_):
        raise RuntimeError("shapes do not match")

    assert out_of_memory(RuntimeError("shapes do not match")) is None
    with pytest.raises(RuntimeError, match="shapes"):
        list(in_fitting_stacks([range(2)], fail, lambda layout: None, "c"))


def test_what_a_failed_stack_held_is_free_before_its_halves_are_trained():
    import weakref

    held = []

    def train(members):
        assert all(reference() is None for reference in held)
        tensor = torch.ones(3)
        held.append(weakref.ref(tensor))
        if len(members) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return members

    layouts = []
    found = list(in_fitting_stacks([range(1), range(1, 4)], train, layouts.append, "c"))
    singles = [range(n, n + 1) for n in range(4)]
    assert [members for members, _ in found] == [made for _, made in found] == singles
    assert layouts == [[range(1), range(1, 2), range(2, 4)], singles]
