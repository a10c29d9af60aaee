"""Training a stack of GANs: draw, step, probe, update."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..parts.data import Data
from .adversarial import PLAYERS, Match, Rules, advance
from .evaluation import Scores
from .glances import AT_ONCE, Glance, Seen, told
from .match_probes import Probe, at_probe, scores
from .moves import nothing_moved
from .network import Network
from .nonfinite import first_weights, note, nothing_yet
from .packing import set_states, set_values, states_of, values_of
from .player import Turn
from .probes import effective_depth
from .training import Trace, arrays
from .turns import glances_without_turns
from .watch import Watch


@dataclass
class Record:
    """What the matches of a stack left behind.

    The players' traces share where a value was first not finite. A trace's ``losses`` are those of
    a player's last turn of each step, the discriminator's with its penalty; a generator that stays
    as it was drawn has none.
    """

    players: dict[str, Trace]
    games: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)  # step -> (runs) each
    scores: dict[int, Scores] = field(default_factory=dict)
    glances: list[tuple[int, Glance]] = field(default_factory=list)  # after a step, not told yet

    def glance(self, step: int, glances: list[Glance]) -> None:
        """Note what was seen of the players after ``step`` steps."""
        self.glances += [(step, glance) for glance in glances]
        if len(self.glances) >= AT_ONCE * len(PLAYERS):
            self.tell()

    def tell(self) -> None:
        """Work out what was seen and is not told yet."""
        found = told([glance for _, glance in self.glances])
        for (step, _), seen in zip(self.glances, found, strict=True):
            self.note(step, seen)
        self.glances = []

    def note(self, step: int, seen: Seen) -> None:
        """Add what is told of the players after ``step`` steps."""
        for name, layers in seen.layers.items():
            self.players[name].measures[step] |= arrays(layers)
        self.games[step] = self.games.get(step, {}) | arrays(seen.game)


def play(
    rules: Rules,
    nets: dict[str, Network],
    data: Data,
    source: dict,
    runs: tuple[list[str], list[int], list[float | None]],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    watch: Watch | None = None,
    name: str = "",
) -> Record:
    """Train the ``runs`` (inits, seeds, rates) of a stack together, and measure on the way.

    A step is an update of the generator, and the discriminator's before it; with a fixed generator
    it is one of the discriminator. ``source`` is the task as a cohort names it. Where the
    ``watch`` has a state of the match called ``name``, it goes on from there.
    """
    watch = watch or Watch()
    saved = watch.resume(name, device)
    if saved and "finished" in saved:
        return _record(saved["finished"])
    match, budget = Match.of(rules, nets, data, runs, device, dtype), rules.budget
    probe, record = Probe.of(match, source), _empty(len(runs[0]))
    losses, begin = {player: [] for player in PLAYERS}, 0
    first = nothing_yet(len(runs[0]), device)
    if saved:
        record, losses, begin = _restore(match, saved)
        first.copy_(torch.from_numpy(record.players["generator"].first_nonfinite))
    for step in range(begin, budget.steps + 1):
        if step:
            looked_at = budget.own_pass and step - 1 in budget.probe_steps
            turns = advance(match, step, step in budget.probe_steps, looked_at)
            for player, turn in turns.items():
                losses[player].append(turn.losses)
                note(first, step, turn.nonfinite)
                record.glance(step - 1, turn.glances)
                turn.glances = []
        if step in budget.probe_steps:
            _probe(match, probe, step, record)
        watch.after(name, step, budget.steps, partial(_state, match, step, losses, first, record))
    note(first, budget.steps, _first_weights(match))
    record.tell()
    _note_first(record, first)
    for player, found in losses.items():
        if found:
            record.players[player].losses = torch.stack(found).double().cpu().numpy()
    watch.finished(name, record)
    return record


def _state(
    match: Match, step: int, losses: dict[str, list[Tensor]], first: Tensor, record: Record
) -> dict:
    """All that the steps after ``step`` rest on, and what was measured until then."""
    players = {
        name: values_of(player) | {"turns": player.turns, "last": player.last}
        for name, player in match.players.items()
    }
    stacked = {name: torch.stack(found) for name, found in losses.items() if found}
    record.tell()
    _note_first(record, first)
    made = {"step": step, "losses": stacked, "record": record}
    return {"players": players, "draws": states_of(match.draws), **made}


def _restore(match: Match, saved: dict) -> tuple[Record, dict[str, list[Tensor]], int]:
    """Have a match be as it was saved; gives its record, its losses, and the next step."""
    for name, player in match.players.items():
        found = saved["players"][name]
        set_values(player, found)
        player.turns, player.last = found["turns"], found["last"] and Turn(**found["last"])
    set_states(match.draws, saved["draws"])
    losses = {name: list(saved["losses"].get(name, [])) for name in PLAYERS}
    return _record(saved["record"]), losses, saved["step"] + 1


def _record(fields: dict) -> Record:
    players = {name: Trace(**found) for name, found in fields["players"].items()}
    players["discriminator"].first_nonfinite = players["generator"].first_nonfinite  # one array
    return Record(**{**fields, "players": players})


def _note_first(record: Record, first: Tensor) -> None:
    """Have the record say what a step on a GPU keeps to itself."""
    for trace in record.players.values():
        trace.first_nonfinite = first.cpu().numpy()


def _empty(runs: int) -> Record:
    first = np.zeros((runs, 2), dtype=np.int64)
    return Record({player: Trace(np.empty((0, runs)), first) for player in PLAYERS})


def _probe(match: Match, probe: Probe, step: int, record: Record) -> None:
    """Everything that is measured after ``step`` steps."""
    budget = match.rules.budget
    for name, player in match.players.items():
        moved = player.last.moved if player.last else nothing_moved(player.parameters)
        layers, trace = arrays(moved), record.players[name]
        depth = effective_depth(layers["total_change"])
        trace.measures[step], trace.of_network[step] = layers, {"effective_depth": depth}
    if not budget.own_pass:
        record.note(step, at_probe(match, probe))
    elif step == budget.steps:
        record.glance(step, glances_without_turns(match))
    at_all = not budget.own_pass or "scores" in budget.blocks
    if step == 0 or (match.rules.live and (at_all or step == budget.steps)):
        record.scores[step] = scores(match, probe)


def _first_weights(match: Match) -> Tensor:
    """The layer (runs) of weights that the last update left not finite, or 0: no loss saw them."""
    generator, discriminator = (first_weights(p.parameters) for p in match.players.values())
    return torch.where(generator > 0, generator, discriminator)
