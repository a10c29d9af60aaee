"""The engine against plain torch.nn, on random cells of the whole grid: MLP and CNN, every part.

``VANISHING_CELLS_SEED`` and ``VANISHING_CELLS`` draw other cells, or more of them.
"""

import functools
import os

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine.forward import forward
from vanishing.engine.network import Network, flat
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance, copied
from vanishing.parts.tasks import Data

from . import cells, plain_parts
from .plain import Plain, Trainer, like

SEED = int(os.environ.get("VANISHING_CELLS_SEED", "0"))
COUNT = int(os.environ.get("VANISHING_CELLS", "64"))
DEFAULT_COUNT = 64
CLASSES, SAMPLES = 3, 60
CPU = torch.device("cpu")
PLAIN = {
    "activation": plain_parts.ACTIVATIONS,
    "norm": {**plain_parts.VALUE_NORMS, **plain_parts.WEIGHT_NORMS},
    "residual": plain_parts.RESIDUALS,
    "optimizer": plain_parts.OPTIMIZERS,
    "clip": plain_parts.CLIPS,
    "schedule": plain_parts.SCHEDULES,
}


def data_of(cell, seed=0):
    """Random samples with random labels, images for a CNN."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(SAMPLES, np.prod(cells.IMAGE) if cell["image"] else 7))
    labels = np.arange(SAMPLES) % CLASSES
    return Data(inputs.astype(np.float32), labels, cell["image"])


def stack_of(cell, data):
    net, budget = Network.of(cell, data.shape), Budget.of(cell)
    samples = samples_of(data, cell["seeds"], budget.steps, budget.batch, budget.probe_batch, CPU)
    runs = (cell["inits"], cell["seeds"], cell["rates"])
    return Stack.of(net, budget, samples, runs, torch.float64)


def shake(cell, stack):
    """Move runs off their special values (gains of 1, factors and biases of 0).

    The last run, and those where a norm would otherwise divide rounding by rounding.
    """
    generator, last = torch.Generator().manual_seed(1), len(cell["inits"]) - 1
    for tensor in flat(stack.parameters):
        noise = 0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for run, init in enumerate(cell["inits"]):
            if run == last or cells.degenerate(cell, init):
                tensor.data[run] += noise[run]


def deltas(stack, step):
    """dL/dh of every layer at the start of an update, without changing the stack."""
    x, labels = stack.samples.at(stack.samples.order[step - 1])
    buffers = {name: [t.clone() for t in tensors] for name, tensors in stack.buffers.items()}
    kept = None if stack.kept is None else stack.kept[step - 1]
    logits, h, _ = forward(stack.net, stack.parameters, x.double(), buffers, kept=kept)
    loss = stack.budget.loss.per_sample(logits, labels).mean(1).sum()
    return torch.autograd.grad(loss, h)


def assert_close(mine, theirs, scale, what, digits=1e-9):
    """To nine digits; what is 0 but for rounding, to 1e-12 of ``scale``."""
    torch.testing.assert_close(
        mine, theirs, rtol=digits, atol=1e-12 * scale, msg=lambda m: f"{what}: {m}"
    )


def size(tensors):
    return max(float(t.detach().abs().max()) for t in tensors)


@functools.cache
def drawn_cells(count):
    return cells.drawn(SEED, count)


def assert_start(cell, stack, plains, where):
    """What nothing draws starts where its definition says (the engine has it from float32).

    But for a gain that LSUV has scaled.
    """
    for run, plain in enumerate(plains):
        for name, tensors in plain.named().items():
            if (name, cells.name_of(cell["inits"][run])) == ("gain", "lsuv"):
                continue
            for t, engine in zip(tensors, stack.parameters[name], strict=True):
                assert_close(like(engine[run], t), t.data, 0, f"{name}, start of {where}", 1e-6)


def take_over(stack, plains):
    """Give the plain networks all that the runs of the stack hold."""
    for run, plain in enumerate(plains):
        plain.load(stack.parameters, run)
        for u, top in zip(plain.top, stack.buffers.get("top", []), strict=True):
            u.copy_(top[run, :, 0])


def by_name(stack, tensors):
    """``tensors`` in the order of all parameters, as the lists of each name."""
    found, rest = {}, iter(tensors)
    for name, group in stack.parameters.items():
        found[name] = [next(rest) for _ in group]
    return found


def assert_gradients(plain, run, delta, gradients, what):
    """Those of the engine, which the plain network takes over once they are seen to be its own.

    So a gradient that is 0 but for rounding (of a bias before batch norm) does not lead the two
    apart where an optimizer divides it by its size.
    """
    scale = size([*(h.grad for h in plain.h), *(p.grad for p in plain.parameters())])
    for layer, (mine, h) in enumerate(zip(delta, plain.h, strict=True), start=1):
        assert_close(mine[run], h.grad, scale, f"delta of layer {layer}, {what}")
    named = plain.named()
    assert named.keys() == gradients.keys()
    for name, tensors in named.items():
        for i, (p, mine) in enumerate(zip(tensors, gradients[name], strict=True)):
            assert_close(like(mine[run], p), p.grad, scale, f"gradient of {name}[{i}], {what}")
            p.grad = like(mine[run], p)


def assert_state(plain, run, stack, before, what):
    """Parameters, running statistics and first singular vectors."""
    for name, tensors in plain.named().items():
        for i, (p, mine) in enumerate(zip(tensors, stack.parameters[name], strict=True)):
            scale = size([p, before[name][i][run]])
            assert_close(like(mine[run], p), p.data, scale, f"{name}[{i}], {what}")
    buffers = {name: [t[run].ravel() for t in tensors] for name, tensors in stack.buffers.items()}
    running = {"mean": "running_mean", "variance": "running_var"}
    for name, attribute in running.items() if "mean" in buffers else ():
        for mine, norm in zip(buffers[name], plain.norms, strict=True):
            theirs = getattr(norm, attribute)
            scale = size([theirs, norm.running_var.sqrt()])
            assert_close(mine, theirs, scale, f"running {name}, {what}")
    for mine, u in zip(buffers.get("top", []), plain.top, strict=True):
        assert_close(mine, u, 1, f"singular vector, {what}")


def step_of_both(stack, trainers, step, where):
    """One update of the stack and of the plain networks; ``trainers`` loses those that diverge."""
    before = copied(stack.parameters)
    delta, update = deltas(stack, step), advance(stack, step, wanted=True)
    gradients = by_name(stack, update.gradients)
    for run, trainer in list(trainers.items()):
        what, plain = f"run {run}, update {step} of {where}", trainer.plain
        kept = None if stack.kept is None else stack.kept[step - 1, run]
        plain.zero_grad()
        loss = nn.functional.cross_entropy(plain(update.x[run], kept), update.labels[run])
        loss.backward()
        if not loss.isfinite():
            assert not update.losses[run].isfinite(), what
            del trainers[run]
            continue
        assert_close(update.losses[run], loss.detach(), 1, f"loss, {what}")
        assert_gradients(plain, run, delta, gradients, what)
        trainer.step()
        assert_state(plain, run, stack, before, what)


def assert_evaluation(stack, trainers, where):
    x, _ = stack.samples.at(stack.samples.test)
    logits, _, _ = forward(stack.net, stack.parameters, x.double(), stack.buffers, learning=False)
    for run, trainer in trainers.items():
        theirs = trainer.plain.eval()(x[run].double())
        assert_close(logits[run], theirs, size([theirs]), f"evaluation of run {run}, {where}")


@pytest.mark.parametrize("number", range(COUNT))
def test_gradients_updates_and_logits_equal_the_plain_network(number):
    cell = drawn_cells(COUNT)[number]
    where = f"cell {number} of VANISHING_CELLS_SEED={SEED}: {cell}"
    data = data_of(cell)
    stack = stack_of(cell, data)
    plains = [Plain(cell, data, stack.parameters, run) for run in range(len(cell["seeds"]))]
    assert_start(cell, stack, plains, where)
    shake(cell, stack)
    take_over(stack, plains)
    trainers = {n: Trainer(cell, p, cell["rates"][n]) for n, p in enumerate(plains)}
    for step in range(1, cells.STEPS + 1):
        step_of_both(stack, trainers, step, where)
    assert_evaluation(stack, trainers, where)


@pytest.mark.parametrize("axis", cells.REGISTRIES)
def test_every_part_stands_in_a_cell(axis):
    cards = [c["inits"] if axis == "init" else [c[axis]] for c in drawn_cells(DEFAULT_COUNT)]
    seen = {cells.name_of(card) for labels in cards for card in labels}
    missing = set(cells.REGISTRIES[axis]) - seen
    assert not missing, f"no cell has the {axis} {missing}: see VARIANTS in tests/cells.py"


@pytest.mark.parametrize("axis", PLAIN)
def test_every_part_has_a_plain_counterpart(axis):
    missing = set(cells.REGISTRIES[axis]) - set(PLAIN[axis])
    assert not missing, f"write the {axis} {missing} anew in tests/plain_parts.py, from its source"
