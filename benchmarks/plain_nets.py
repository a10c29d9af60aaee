"""Trains runs of a cohort one after another in plain torch, as a careful user would write it.

``python -m benchmarks.plain_nets COHORT.json --first 0 --runs 4 [--logging hooks]`` prints, for
each run, the seconds that its training took, and of these its updates. It reads the file that
``vanishing train`` reads, and knows the settings that :mod:`benchmarks.speed` asks for: fused
layers and optimizers, data on the device once, gradients of what learns alone, and no number
fetched where nothing is logged. On a GPU nothing waits for the device but the clock.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from benchmarks import plain_loggers
from torch import Tensor, nn
from torch.nn import functional

from vanishing.parts.data import Data
from vanishing.parts.registry import parsed
from vanishing.parts.tasks import TEST_FRACTION, load

PHIS = {"tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
CELLS = {"vanilla": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def mlp(graph: dict, inputs: int, outputs: int) -> nn.Sequential:
    """``depth`` hidden layers and a linear head."""
    layers: list[nn.Module] = []
    for _ in range(graph["depth"]):
        layers += [nn.Linear(inputs, graph["width"]), PHIS[graph["activation"]]()]
        inputs = graph["width"]
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def cnn(graph: dict, data: Data) -> nn.Sequential:
    """``depth`` convolutions of 3 x 3, the mean over the pixels, and a linear head."""
    channels, layers = data.image[0], [nn.Unflatten(1, data.image)]
    for _ in range(graph["depth"]):
        layers.append(nn.Conv2d(channels, graph["width"], 3, padding=1))
        layers.append(PHIS[graph["activation"]]())
        channels = graph["width"]
    head = nn.Linear(channels, data.outputs)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


class Recurrent(nn.Module):
    """torch's own recurrent layers, and a linear head that sees the last output."""

    def __init__(self, graph: dict, data: Data) -> None:
        super().__init__()
        self.sequence, kind = data.sequence, CELLS[graph["recurrence"]]
        self.cell = kind(self.sequence[1], graph["width"], graph["depth"], batch_first=True)
        for name, parameter in self.cell.named_parameters():
            if name.startswith("bias_hh"):  # of two biases that are added one learns
                nn.init.zeros_(parameter).requires_grad_(False)
        self.head = nn.Linear(graph["width"], data.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (batch, outputs) of samples (batch, steps * features)."""
        a, _ = self.cell(x.unflatten(1, self.sequence))
        return self.head(a[:, -1])


def net_of(graph: dict, data: Data) -> nn.Module:
    """The network of a cohort that is no GAN, as it starts."""
    if graph["family"] == "rnn":
        return started(Recurrent(graph, data), graph)
    if graph["family"] == "cnn":
        return started(cnn(graph, data), graph)
    return started(mlp(graph, data.inputs.shape[1], data.outputs), graph)


def started(net: nn.Module, graph: dict) -> nn.Module:
    """Weights by the init of the cohort's runs; torch's own draws stay as they are."""
    init = graph["runs"][0]["init"]
    if init == "torch_default":
        return net
    draw = {"he": nn.init.kaiming_normal_, "orthogonal": nn.init.orthogonal_}[init]
    for name, parameter in net.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        else:
            draw(parameter)
    return net


def optimizer_of(graph: dict, net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """torch's fused kernel of the cohort's optimizer."""
    learning = [p for p in net.parameters() if p.requires_grad]
    name, given = parsed(graph["optimizer"])
    if name == "sgd":
        return torch.optim.SGD(learning, lr, fused=True)
    betas = given.get("beta_1", 0.9), given.get("beta_2", 0.999)
    return torch.optim.Adam(learning, lr, betas, fused=True)


def batches(
    samples: int, batch: int, steps: int, device: str | torch.device = "cpu"
) -> Iterator[Tensor]:
    """Indices of ``steps`` batches: each sample once an epoch, newly ordered, a rest dropped."""
    left: list[Tensor] = []
    for _ in range(steps):
        if not left:
            whole = torch.randperm(samples, device=device)[: samples // batch * batch]
            left = list(whole.view(-1, batch).unbind())
        yield left.pop()


def update(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    graph: dict,
    x: Tensor,
    labels: Tensor,
    log: plain_loggers.Nothing | None = None,
) -> Tensor:
    """An update on a batch; its loss before. A ``log`` may look on as the gradients are taken."""
    optimizer.zero_grad()
    found = net(x)
    values = labels.is_floating_point()
    loss = (functional.mse_loss if values else functional.cross_entropy)(found, labels)
    if log:
        log.backward(loss, found, labels, optimizer)
    else:
        loss.backward()
    name, given = parsed(graph["clip"])
    if name == "norm":
        nn.utils.clip_grad_norm_(net.parameters(), given["limit"])
    optimizer.step()
    return loss.detach()


class Players(nn.Module):
    """A generator and a discriminator, both multilayer perceptrons."""

    def __init__(self, graph: dict, inputs: int) -> None:
        super().__init__()
        self.generator = started(mlp(graph, graph["latent"], inputs), graph)
        self.discriminator = started(mlp(graph, inputs, 1), graph)


def play(
    players: Players, optimizers: list[torch.optim.Optimizer], real: Tensor, noise: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """An update of the discriminator, then one of the generator, by the non-saturating losses.

    ``optimizers`` are the generator's and the discriminator's, ``noise`` for the two updates in
    their order. Gives both losses, the discriminator's first.
    """
    for optimizer in optimizers:
        optimizer.zero_grad()
    with torch.no_grad():
        fake = players.generator(noise[0])
    # One pass sees both kinds: no norm would mix them.
    on_real, on_fake = players.discriminator(torch.cat([real, fake])).split(len(real))
    of_d = functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()
    of_d.backward()
    optimizers[1].step()
    of_g = functional.softplus(-players.discriminator(players.generator(noise[1]))).mean()
    of_g.backward(inputs=list(players.generator.parameters()))
    optimizers[0].step()
    return of_d.detach(), of_g.detach()


def train(
    cohort: dict,
    run: dict,
    data: tuple[Data, Tensor, Tensor],
    logging: str,
    folder: Path,
) -> float:
    """Train a run to its end; the seconds of its updates.

    ``data`` are the task's, with inputs and labels on the device.
    """
    known, inputs, labels = data
    device = inputs.device
    torch.manual_seed(run["seed"])
    held_out = round(len(labels) * TEST_FRACTION)
    order = torch.randperm(len(labels))[held_out:].to(device)
    inputs, labels = inputs[order], labels[order]
    gan = cohort["family"] == "gan"
    net = Players(cohort, inputs.shape[1]) if gan else net_of(cohort, known)
    net = net.to(device)
    parts = list(net.children()) if gan else [net]
    optimizers = [optimizer_of(cohort, part, run["lr"]) for part in parts]
    with plain_loggers.LOGGERS[logging](net, folder / f"{run['run_id']}.json") as log:
        started_at = time.perf_counter()
        for rows in batches(len(inputs), cohort["batch"], cohort["steps"], device):
            if gan:
                noise = torch.randn(2, cohort["batch"], cohort["latent"], device=device)
                losses = play(net, optimizers, inputs[rows], list(noise.unbind()))
            else:
                batch = inputs[rows], labels[rows]
                losses = (update(net, optimizers[0], cohort, *batch, log),)
            log.step(losses)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started_at


def main(arguments: list[str] | None = None) -> None:
    """Train the runs that are asked for, and print the seconds of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--first", type=int, default=0, help="the first run")
    parser.add_argument("--runs", type=int, default=1, help="how many")
    parser.add_argument("--logging", choices=sorted(plain_loggers.LOGGERS), default="none")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # as the engine: products of float32 are float32's
    cohort = json.loads(asked.cohort.read_text())
    task = load(cohort["data_source"])
    data = task, *(torch.from_numpy(of).to(asked.device) for of in (task.inputs, task.labels))
    optimizer_of(cohort, nn.Linear(1, 1), 0.1)  # the first one imports for a second: start-up
    if asked.device == "cuda":  # whose libraries load with the first kernels: start-up, too
        few = {**cohort, "steps": 3}
        train(few, cohort["runs"][asked.first], data, "none", asked.cohort.parent)
    found: dict[str, list[float]] = {"training": [], "updates": []}
    for run in cohort["runs"][asked.first : asked.first + asked.runs]:
        started_at = time.perf_counter()
        updates = train(cohort, run, data, asked.logging, asked.cohort.parent)
        found["training"].append(time.perf_counter() - started_at)
        found["updates"].append(updates)
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
