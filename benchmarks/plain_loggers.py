"""What a user logs of a plain training: nothing, hooks with ``.item()``, or what packages log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor, nn, optim


class Nothing:
    """No number leaves the device."""

    def __init__(self, net: nn.Module, path: Path) -> None:
        self.net, self.path = net, path

    def __enter__(self) -> Nothing:
        return self

    def backward(self, loss: Tensor, *_: object) -> None:
        """Take the gradients of an update; then come outputs, labels, and its optimizer."""
        loss.backward()

    def step(self, losses: tuple[Tensor, ...]) -> None:
        """An update was made."""

    def __exit__(self, *_: object) -> None:
        """The training ended."""


class Hooks(Nothing):
    """At every update, of every layer: mean and sd of its output, norms of what flows back to it,
    of its weights and of their gradients; written as JSON in the end.
    """

    def __enter__(self) -> Hooks:
        self.rows: list[dict[str, float]] = []
        self.row: dict[str, float] = {}
        self.hooks = [
            layer.register_forward_hook(self._of(name))
            for name, layer in self.net.named_modules()
            if [*layer.parameters(recurse=False)]
        ]
        return self

    def _of(self, name: str) -> Callable:
        def back(delta: Tensor) -> None:
            self.row[f"{name}.delta"] = delta.norm().item()

        def forward(_: nn.Module, __: tuple, output: Tensor | tuple) -> None:
            a = output[0] if isinstance(output, tuple) else output
            self.row[f"{name}.mean"] = a.mean().item()
            self.row[f"{name}.sd"] = a.std().item()
            if a.requires_grad:
                a.register_hook(back)

        return forward

    def step(self, losses: tuple[Tensor, ...]) -> None:
        """Note the losses, the weights and their gradients; begin a new row."""
        for number, loss in enumerate(losses):
            self.row[f"loss_{number}"] = loss.item()
        for name, parameter in self.net.named_parameters():
            self.row[f"{name}.norm"] = parameter.norm().item()
            if parameter.grad is not None:
                self.row[f"{name}.gradient"] = parameter.grad.norm().item()
        self.rows.append(self.row)
        self.row = {}

    def __exit__(self, *_: object) -> None:
        """Write all rows, and take the hooks away."""
        self.path.write_text(json.dumps(self.rows))
        for hook in self.hooks:
            hook.remove()


class Wandb(Nothing):
    """``wandb.watch`` of weights and gradients at every update, in its offline mode."""

    def __enter__(self) -> Wandb:
        import wandb

        self.run = wandb.init(mode="offline", project="speed", dir=str(self.path.parent))
        self.run.watch(self.net, log="all", log_freq=1)
        return self

    def step(self, losses: tuple[Tensor, ...]) -> None:
        """Log the losses, and with them the histograms."""
        self.run.log({f"loss_{n}": loss.item() for n, loss in enumerate(losses)})

    def __exit__(self, *_: object) -> None:
        """Finish the run."""
        self.run.finish()


class Cockpit(Nothing):
    """The ``economy`` quantities of Cockpit (Schneider et al. 2021), its cheapest set, at every
    update of a classifier: individual gradients, their histograms and tests.
    """

    def __enter__(self) -> Cockpit:
        import cockpit
        from backpack import extend
        from cockpit.utils.configuration import configuration

        learning = [p for p in extend(self.net).parameters() if p.requires_grad]
        self.cockpit = cockpit.Cockpit(learning, quantities=configuration("economy"))
        self.updates = 0
        return self

    def backward(
        self, loss: Tensor, found: Tensor, labels: Tensor, optimizer: optim.Optimizer
    ) -> None:
        """Take the gradients, and all that the quantities need beside them."""
        known = {
            "batch_size": len(labels),
            "individual_losses": functional.cross_entropy(found, labels, reduction="none"),
            "loss": loss,
            "optimizer": optimizer,
        }
        with self.cockpit(self.updates, info=known):
            loss.backward(create_graph=self.cockpit.create_graph(self.updates))
        self.updates += 1

    def __exit__(self, *_: object) -> None:
        """Write what was tracked."""
        self.cockpit.write(str(self.path.with_suffix("")))


LOGGERS = {"none": Nothing, "hooks": Hooks, "wandb": Wandb, "cockpit": Cockpit}
