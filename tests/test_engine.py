"""The stacked engine against a plain loop over torch.nn modules, in float64."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine.network import MLP, draw, flat, forward, generator_of, initial_running
from vanishing.engine.probes import log10_rms, measure
from vanishing.engine.training import Budget, samples_of, train_stack, update
from vanishing.parts.losses import LOSSES
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.tasks import Data

DEPTH, WIDTH, INPUTS, CLASSES, BATCH = 4, 12, 6, 3, 16
PLAIN_ACTIVATIONS = {
    "linear": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
}
PLAIN_NORMS = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
PLAIN_OPTIMIZERS = {
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr),
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
    "adam": torch.optim.Adam,
}
CLOSE = {"rtol": 1e-9, "atol": 1e-13}


class Plain(nn.Module):
    """The same network written with torch.nn, one run, keeping h for its gradient."""

    def __init__(self, activation, norm, residual):
        super().__init__()
        sizes = [INPUTS] + [WIDTH] * DEPTH
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        widths = () if norm == "none" else (WIDTH,)
        self.norms = nn.ModuleList(PLAIN_NORMS[norm](*widths) for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, CLASSES)
        self.activation, self.residual = PLAIN_ACTIVATIONS[activation](), residual
        self.double()

    def forward(self, x):
        self.h, self.a = [], []
        for layer, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            h = norm(linear(x))
            h.retain_grad() if h.requires_grad else None
            a = self.activation(h)
            x = x + a if self.residual == "identity" and layer else a
            self.h.append(h)
            self.a.append(x)
        return self.head(x)

    def load(self, parameters, run):
        modules = [*self.linears, self.head]
        for module, w, b in zip(modules, parameters["W"], parameters["b"], strict=True):
            module.weight.data = w[run].detach().T.clone()
            module.bias.data = b[run, 0].detach().clone()
        return self

    def ordered(self):
        """Parameters in the order and orientation of the engine's."""
        linears = [*self.linears, self.head]
        tensors = [m.weight.T for m in linears] + [m.bias[None] for m in linears]
        if not isinstance(self.norms[0], nn.Identity):
            tensors += [m.weight[None] for m in self.norms] + [m.bias[None] for m in self.norms]
        return tensors

    def ordered_gradients(self):
        linears = [*self.linears, self.head]
        tensors = [m.weight.grad.T for m in linears] + [m.bias.grad[None] for m in linears]
        if not isinstance(self.norms[0], nn.Identity):
            tensors += [m.weight.grad[None] for m in self.norms]
            tensors += [m.bias.grad[None] for m in self.norms]
        return tensors


def net_of(activation="tanh", norm="none", residual="none", depth=DEPTH, width=WIDTH):
    graph = {"activation": activation, "norm": norm, "residual": residual}
    return MLP.of({**graph, "depth": depth, "width": width}, INPUTS, CLASSES)


def exact(parameters):
    return {k: [t.double().requires_grad_() for t in v] for k, v in parameters.items()}


def random_data(samples=200, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, samples)
    return Data(generator.normal(size=(samples, INPUTS)).astype(np.float32), labels)


def budget_of(optimizer="sgd", steps=12, batch=BATCH, probe_steps=(0,)):
    loss = LOSSES["cross_entropy"]
    return Budget(
        OPTIMIZERS[optimizer], loss, steps, batch, tuple(sorted({*probe_steps, steps})), 32
    )


@pytest.mark.parametrize(
    ("norm", "residual", "optimizer"),
    list(itertools.product(PLAIN_NORMS, ["none", "identity"], PLAIN_OPTIMIZERS)),
)
def test_gradients_deltas_and_updates_equal_the_plain_loop(norm, residual, optimizer):
    net, rates, steps = net_of("tanh", norm, residual), [0.05, 0.2, 0.01], 6
    parameters = exact(draw(net, ["he", "torch_default", "orthogonal"], [0, 1, 2]))
    running = initial_running(net, 3, parameters["W"][0].detach())
    lr = torch.tensor(rates, dtype=torch.float64).view(-1, 1, 1)
    plain = [Plain("tanh", norm, residual).load(parameters, run) for run in range(3)]
    optimizers = [
        PLAIN_OPTIMIZERS[optimizer](m.parameters(), rate)
        for m, rate in zip(plain, rates, strict=True)
    ]
    state = [{} for _ in flat(parameters)]
    generator = torch.Generator().manual_seed(1)
    for step in range(1, steps + 1):
        x = torch.randn(3, BATCH, INPUTS, generator=generator, dtype=torch.float64)
        labels = torch.randint(0, CLASSES, (3, BATCH), generator=generator)
        logits, h, _ = forward(net, parameters, x, running)
        loss = LOSSES["cross_entropy"].per_sample(logits, labels).mean(1).sum()
        gradients = torch.autograd.grad(loss, [*h, *flat(parameters)])
        update(OPTIMIZERS[optimizer], parameters, gradients[DEPTH:], state, lr, step)
        for run, (module, plain_optimizer) in enumerate(zip(plain, optimizers, strict=True)):
            plain_optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[run]), labels[run]).backward()
            for mine, other in zip(gradients[:DEPTH], module.h, strict=True):
                torch.testing.assert_close(mine[run], other.grad, **CLOSE)
            for mine, other in zip(gradients[DEPTH:], module.ordered_gradients(), strict=True):
                torch.testing.assert_close(mine[run], other, **CLOSE)
            if optimizer == "adam" and norm == "batch":
                # A bias before batch norm has gradient 0 but for rounding, which Adam blows up.
                _silence(module, plain_optimizer)
            plain_optimizer.step()
            if optimizer == "adam" and norm == "batch":
                _copy_hidden_biases(module, parameters, run)
            for mine, other in zip(flat(parameters), module.ordered(), strict=True):
                torch.testing.assert_close(mine[run], other, **CLOSE)
            for mine, other in zip(running, module.norms if running else [], strict=False):
                torch.testing.assert_close(
                    mine[0][run, 0], other.running_mean, rtol=1e-9, atol=1e-9
                )
                torch.testing.assert_close(mine[1][run, 0], other.running_var, rtol=1e-9, atol=1e-9)


def _silence(module, _):
    for linear in module.linears:
        linear.bias.grad.zero_()


def _copy_hidden_biases(module, parameters, run):
    for linear, b in zip(module.linears, parameters["b"], strict=False):
        linear.bias.data = b[run, 0].detach().clone()


@pytest.mark.parametrize("activation", PLAIN_ACTIVATIONS)
@pytest.mark.parametrize("norm", PLAIN_NORMS)
def test_probes_equal_autograd_through_a_plain_module(activation, norm):
    net = net_of(activation, norm)
    parameters = draw(net, ["he", "xavier"], [3, 4])
    x = torch.randn(BATCH, INPUTS, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(BATCH) % CLASSES
    found = measure(net, parameters, LOSSES["cross_entropy"], x, labels)
    for run in range(2):
        plain = Plain(activation, norm, "none").load(exact(parameters), run)
        nn.functional.cross_entropy(plain(x.double()), labels, reduction="sum").backward()
        delta = torch.stack([h.grad.square().mean().sqrt().log10() for h in plain.h])
        g = [linear.weight.grad / BATCH for linear in plain.linears]
        torch.testing.assert_close(found["log10_delta_rms"][run], delta, rtol=1e-9, atol=1e-12)
        expected = {
            "log10_grad_rms": torch.stack([t.square().mean().sqrt().log10() for t in g]),
            "grad_mean": torch.stack([t.mean() for t in g]),
            "grad_sd": torch.stack([t.std(correction=0) for t in g]),
            "q": torch.stack([h.square().mean() for h in plain.h]),
            "activation_mean": torch.stack([a.mean() for a in plain.a]),
            "activation_sd": torch.stack([a.std(correction=0) for a in plain.a]),
            "delta_zero_fraction": torch.stack([(h.grad == 0).double().mean() for h in plain.h]),
        }
        for name, values in expected.items():
            torch.testing.assert_close(found[name][run], values.detach(), rtol=1e-8, atol=1e-14)


def test_a_whole_training_equals_the_plain_loop():
    """Split, order, probes and all: the losses of 12 updates, run by run, within 1e-9."""
    data, budget, net = random_data(), budget_of("momentum"), net_of("relu", "batch", "identity")
    seeds, inits, rates = [0, 0, 5], ["he", "xavier", "he"], [0.05, 0.05, 0.1]
    trace = train_stack(
        net, budget, data, inits, seeds, rates, torch.device("cpu"), torch.float64
    )  # fmt: skip
    samples = samples_of(data, seeds, budget, torch.device("cpu"))
    parameters = draw(net, inits, seeds)
    for run, rate in enumerate(rates):
        plain = Plain("relu", "batch", "identity").load(exact(parameters), run)
        optimizer = torch.optim.SGD(plain.parameters(), rate, momentum=0.9)
        for step in range(budget.steps):
            x, labels = samples.at(samples.order[step])
            loss = nn.functional.cross_entropy(plain(x[run].double()), labels[run])
            assert trace.losses[step, run] == pytest.approx(loss.item(), rel=1e-9)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        plain.eval()
        x, labels = samples.at(samples.test)
        right = (plain(x[run].double()).argmax(-1) == labels[run]).double().mean().item()
        assert trace.test_accuracy[budget.steps][run] == right


@pytest.mark.parametrize("norm", PLAIN_NORMS)
def test_a_stack_equals_its_runs_trained_alone(norm):
    data, budget, net = random_data(), budget_of("adam", probe_steps=(0, 4)), net_of("tanh", norm)
    runs = [("he", 0, 0.01), ("orthogonal", 0, 0.03), ("torch_default", 7, 0.003)]
    train = lambda chosen: train_stack(  # noqa: E731
        net, budget, data, *map(list, zip(*chosen, strict=True)), torch.device("cpu"), torch.float64
    )
    together, alone = train(runs), [train([run]) for run in runs]
    for run, trace in enumerate(alone):
        np.testing.assert_allclose(together.losses[:, run], trace.losses[:, 0], rtol=1e-9)
        for step, measures in trace.measures.items():
            for name, values in measures.items():
                np.testing.assert_allclose(
                    together.measures[step][name][run], values[0], rtol=1e-6, atol=1e-9
                )


def test_one_seed_gives_the_same_draws_split_and_order_in_every_arm():
    net = net_of()
    he, wide = (draw(net, [init], [3])["W"] for init in ("he", "gaussian(sigma_w=3)"))
    for a, b in zip(he, wide, strict=True):
        torch.testing.assert_close(a / a.norm(), b / b.norm())
    budget, cpu = budget_of(), torch.device("cpu")
    alone, beside = (samples_of(random_data(), s, budget, cpu) for s in ([3], [1, 3]))
    torch.testing.assert_close(alone.order[:, 0], beside.order[:, 1])
    torch.testing.assert_close(alone.test[0], beside.test[1])


def test_another_seed_gives_other_draws_split_and_order():
    net, budget = net_of(), budget_of()
    draws = draw(net, ["he", "he"], [1, 2])["W"][0]
    samples = samples_of(random_data(), [1, 2], budget, torch.device("cpu"))
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(samples.test[0], samples.test[1])
    assert not torch.equal(samples.order[:, 0], samples.order[:, 1])


def test_a_run_never_trains_on_its_test_samples():
    samples = samples_of(random_data(), [0, 1], budget_of(steps=40), torch.device("cpu"))
    for run in range(2):
        assert not set(samples.order[:, run].ravel().tolist()) & set(samples.test[run].tolist())
        every = torch.cat([samples.train[run], samples.test[run]])
        assert sorted(every.tolist()) == list(range(200))


def test_an_epoch_holds_every_training_sample_at_most_once():
    samples = samples_of(random_data(), [0], budget_of(steps=10), torch.device("cpu"))
    first_epoch = samples.order[:10, 0].ravel().tolist()  # 160 training samples, 10 batches of 16
    assert len(set(first_epoch)) == len(first_epoch) == 160


def test_purposes_have_generators_of_their_own():
    draws = [torch.rand(1, generator=generator_of(0, purpose)) for purpose in ("init", "order")]
    assert draws[0] != draws[1]


def test_log10_rms_neither_underflows_nor_overflows():
    values = torch.tensor([[[1e-200, -1e-200]], [[1e300, 1e300]]], dtype=torch.float64)
    torch.testing.assert_close(
        log10_rms(values), torch.tensor([-200.0, 300.0], dtype=torch.float64)
    )


def test_log10_rms_of_zeros_is_missing():
    assert log10_rms(torch.zeros(1, 3, 2, dtype=torch.float64)).isnan().all()


def test_euler_identity_holds_in_a_homogeneous_net():
    """<W_l, g_l> is the same in all layers of a bias-free ReLU net (science: Euler)."""
    net = net_of("relu")
    parameters = exact(draw(net, ["he"], [0]))
    x = torch.randn(1, BATCH, INPUTS, dtype=torch.float64, generator=generator_of(0, "x"))
    labels = torch.arange(BATCH)[None] % CLASSES
    logits, _, _ = forward(net, parameters, x)
    loss = LOSSES["cross_entropy"].per_sample(logits, labels).sum()
    gradients = torch.autograd.grad(loss, parameters["W"])
    products = [(w * g).sum() for w, g in zip(parameters["W"], gradients, strict=True)]
    torch.testing.assert_close(torch.stack(products), products[0].expand(DEPTH + 1))


def test_update_ratio_is_the_relative_change_of_a_step():
    data, net = random_data(), net_of()
    budget = budget_of("sgd", steps=1)
    trace = train_stack(net, budget, data, ["he"], [0], [0.5], torch.device("cpu"), torch.float64)
    before = draw(net, ["he"], [0])["W"]
    samples = samples_of(data, [0], budget, torch.device("cpu"))
    x, labels = samples.at(samples.order[0])
    plain = Plain("tanh", "none", "none").load(exact(draw(net, ["he"], [0])), 0)
    nn.functional.cross_entropy(plain(x[0].double()), labels[0]).backward()
    expected = [
        0.5 * linear.weight.grad.norm().item() / w[0].double().norm().item()
        for linear, w in zip(plain.linears, before, strict=False)
    ]
    np.testing.assert_allclose(trace.measures[1]["update_ratio"][0], expected, rtol=1e-9)
    assert np.isnan(trace.measures[0]["update_ratio"]).all()
