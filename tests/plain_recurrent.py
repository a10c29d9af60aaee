"""The same recurrent nets in plain torch: torch.nn where it has the cell, and loops by hand.

One run each, in float64; of the engine nothing is read but the numbers that it drew.
"""

import math

import torch
from torch import nn

from . import plain_parts as parts

UNASKED = -1
# The blocks of the engine's columns, and where each stands in torch.nn, which has i, f, g, o.
MODULES = {
    "vanilla": (nn.RNN, [0]),
    "lstm": (nn.LSTM, [0, 1, 3, 2]),
    "gru": (nn.GRU, [0, 1, 2]),
}


def blocks_of(w, width):
    """The column blocks of an engine's tensor (rows, blocks * units), each (units, rows)."""
    return [block.detach().T.clone() for block in w.split(width, dim=1)]


class Fused(nn.Module):
    """``torch.nn.RNN``, ``LSTM`` or ``GRU`` with a linear head; its second biases stay 0."""

    def __init__(self, graph, sequence, drawn, run=0, every_step=False):
        super().__init__()
        name, _ = parts.parsed(graph["recurrence"])
        kind, self.order = MODULES[name]
        self.sequence, self.width, self.every_step = sequence, graph["width"], every_step
        more = {"nonlinearity": graph["activation"]} if kind is nn.RNN else {}
        self.cell = kind(
            sequence[1], self.width, graph["depth"], batch_first=True, dtype=torch.float64, **more
        )
        for n in range(graph["depth"]):
            getattr(self.cell, f"bias_hh_l{n}").data.zero_()
            getattr(self.cell, f"bias_hh_l{n}").requires_grad_(False)
            blocks = blocks_of(drawn["W"][n][run], self.width)
            rows = torch.cat([blocks[i] for i in self.order])
            getattr(self.cell, f"weight_ih_l{n}").data = rows[:, : -self.width].clone()
            getattr(self.cell, f"weight_hh_l{n}").data = rows[:, -self.width :].clone()
            biases = drawn["b"][n][run, 0].split(self.width)
            getattr(self.cell, f"bias_ih_l{n}").data = torch.cat([biases[i] for i in self.order])
        self.head = head(drawn, run)

    def forward(self, x):
        """Logits (batch, [steps,] outputs)."""
        a, _ = self.cell(x.unflatten(1, self.sequence))
        return self.head(a if self.every_step else a[:, -1])

    def learning(self):
        """What is trained."""
        return [p for p in self.parameters() if p.requires_grad]

    def as_engine(self, read):
        """What ``read`` takes of every parameter, in the engine's shapes."""
        back = [self.order.index(i) for i in range(len(self.order))]
        found = {"W": [], "b": []}
        for n in range(self.cell.num_layers):
            names = (f"{kind}_l{n}" for kind in ("weight_ih", "weight_hh", "bias_ih"))
            w, u, b = (read(getattr(self.cell, name)).split(self.width) for name in names)
            found["W"].append(torch.cat([torch.cat([w[i].T, u[i].T]) for i in back], dim=1))
            found["b"].append(torch.cat([b[i] for i in back])[None])
        return with_head(found, self.head, read)


def head(drawn, run):
    layer = nn.Linear(*drawn["W"][-1].shape[1:], dtype=torch.float64)
    layer.weight.data = drawn["W"][-1][run].detach().T.clone()
    layer.bias.data = drawn["b"][-1][run, 0].detach().clone()
    return layer


def with_head(found, layer, read):
    found["W"].append(read(layer.weight).T)
    found["b"].append(read(layer.bias)[None])
    return found


class Layer(nn.Module):
    """A recurrent layer: for each gate and the candidate a linear map of x and one of the past."""

    def __init__(self, w, b, width, phi, norm):
        super().__init__()
        self.see, self.recall = nn.ModuleList(), nn.ModuleList()
        for block, bias in zip(blocks_of(w, width), b[0].split(width), strict=True):
            see = nn.Linear(block.shape[1] - width, width, dtype=torch.float64)
            see.weight.data = block[:, :-width].clone()
            see.bias.data = bias.detach().clone()
            recall = nn.Linear(width, width, bias=False, dtype=torch.float64)
            recall.weight.data = block[:, -width:].clone()
            self.see.append(see)
            self.recall.append(recall)
        normed = norm == "layer"
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, dtype=torch.float64) if normed else nn.Identity() for _ in self.see
        )
        self.phi = phi

    def gate(self, n, x, a):
        return torch.sigmoid(self.norms[n](self.see[n](x) + self.recall[n](a)))

    def candidate(self, x, recalled):
        """The candidate's pre-activation, kept for its gradient."""
        h = self.norms[-1](self.see[-1](x) + recalled)
        if h.requires_grad:
            h.retain_grad()
        self.h.append(h)
        return h

    def forward(self, x, cell, given, stretch):
        """The outputs of all steps of ``x``, a list; gradients end where a stretch begins."""
        self.h, self.gates = [], []
        zero = x[0].new_zeros(len(x[0]), self.recall[0].out_features)
        past, memory, outputs = [zero], zero, []
        for t, now in enumerate(x):
            left = len(x) - t
            if stretch and left % stretch == 0:
                past, memory = [a.detach() for a in past], memory.detach()
            a, memory = CELLS[cell](self, now, past, memory, **given)
            past.append(a)
            outputs.append(a)
        return outputs


def vanilla(layer, x, past, memory):
    return layer.phi(layer.candidate(x, layer.recall[0](past[-1]))), memory


def leaky(layer, x, past, memory, alpha=0.1):
    h = layer.candidate(x, layer.recall[0](past[-1]))
    return (1 - alpha) * past[-1] + alpha * layer.phi(h), memory


def skip(layer, x, past, memory, steps=5):
    steps = int(steps)
    far = past[-steps] if len(past) >= steps else torch.zeros_like(past[0])
    return layer.phi(layer.candidate(x, layer.recall[0](past[-1] + far) / math.sqrt(2))), memory


def lstm(layer, x, past, memory, forget_bias=1.0):  # noqa: ARG001  (drawn into its bias)
    i, f, o = (layer.gate(n, x, past[-1]) for n in range(3))
    layer.gates.append((i, f, o))
    memory = f * memory + i * layer.phi(layer.candidate(x, layer.recall[3](past[-1])))
    return o * layer.phi(memory), memory


def gru(layer, x, past, memory):
    r, z = (layer.gate(n, x, past[-1]) for n in range(2))
    layer.gates.append((r, z))
    h = layer.candidate(x, r * layer.recall[2](past[-1]))
    return (1 - z) * layer.phi(h) + z * past[-1], memory


def minimal_gated(layer, x, past, memory):
    f = layer.gate(0, x, past[-1])
    layer.gates.append((f,))
    h = layer.candidate(x, f * layer.recall[1](past[-1]))
    return (1 - f) * past[-1] + f * layer.phi(h), memory


CELLS = {f.__name__: f for f in (vanilla, leaky, skip, lstm, gru, minimal_gated)}


class Loop(nn.Module):
    """Any cell, a time step after the other; ``layers[n].h`` are the pre-activations."""

    def __init__(self, graph, sequence, drawn, run=0, every_step=False):
        super().__init__()
        self.cell, self.given = parts.parsed(graph["recurrence"])
        self.sequence, self.every_step = sequence, every_step
        self.stretch, width = graph.get("truncation", 0), graph["width"]
        self.layers = nn.ModuleList(
            Layer(
                drawn["W"][n][run],
                drawn["b"][n][run],
                width,
                parts.made(parts.ACTIVATIONS, graph["activation"]),
                graph["norm"],
            )
            for n in range(graph["depth"])
        )
        for n, layer in enumerate(self.layers if "bias" in drawn else ()):
            shifts = drawn["bias"][n][run, 0].split(width)
            for norm, shift in zip(layer.norms, shifts, strict=True):
                norm.bias.data = shift.detach().clone()
        self.head = head(drawn, run)

    def forward(self, x):
        """Logits (batch, [steps,] outputs)."""
        a = list(x.unflatten(1, self.sequence).unbind(1))
        for layer in self.layers:
            a = layer(a, self.cell, self.given, self.stretch)
        self.a = a
        return self.head(torch.stack(a, dim=1) if self.every_step else a[-1])

    @property
    def h(self):
        """The pre-activations of every layer, step by step."""
        return [layer.h for layer in self.layers]

    def learning(self):
        """What is trained."""
        return list(self.parameters())

    def as_engine(self, read):
        """What ``read`` takes of every parameter, in the engine's shapes."""
        found = {"W": [], "b": []}
        for layer in self.layers:
            pairs = zip(layer.see, layer.recall, strict=True)
            columns = [torch.cat([read(s.weight).T, read(r.weight).T]) for s, r in pairs]
            found["W"].append(torch.cat(columns, dim=1))
            found["b"].append(torch.cat([read(s.bias) for s in layer.see])[None])
            for name, of in (("gain", "weight"), ("bias", "bias")):
                rows = [read(getattr(m, of)) for m in layer.norms if isinstance(m, nn.LayerNorm)]
                if rows:
                    found.setdefault(name, []).append(torch.cat(rows)[None])
            learned = list(layer.phi.parameters())
            if learned:
                found.setdefault("phi_0", []).append(read(learned[0]).view(1, 1))
        return with_head(found, self.head, read)


def loss_of(logits, labels):
    """The loss of every sample: a mean over the steps that ask, or over the values."""
    if labels.is_floating_point():
        return ((logits - labels) ** 2).mean(-1)
    if labels.dim() == 1:
        return nn.functional.cross_entropy(logits, labels, reduction="none")
    found = [
        nn.functional.cross_entropy(own[asked != UNASKED], asked[asked != UNASKED])
        for own, asked in zip(logits, labels, strict=True)
    ]
    return torch.stack(found)


def last_alone(labels):
    """Labels of which only each sample's last answer is left."""
    if labels.dim() == 1 or labels.is_floating_point():
        return labels
    left = torch.full_like(labels, UNASKED)
    for sample, row in enumerate(labels.tolist()):
        place = max(t for t, label in enumerate(row) if label != UNASKED)
        left[sample, place] = row[place]
    return left
