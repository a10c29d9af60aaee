"""Training a stack of GANs: draw, step, probe, update."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ..parts.data import Data
from .adversarial import PLAYERS, Match, Rules, advance
from .evaluation import Scores
from .match_probes import Probe, at_probe, scores
from .network import Network
from .probes import effective_depth, of_update
from .training import Trace, arrays, nonfinite_weights, note


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


def play(
    rules: Rules,
    nets: dict[str, Network],
    data: Data,
    source: dict,
    runs: tuple[list[str], list[int], list[float | None]],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Record:
    """Train the ``runs`` (inits, seeds, rates) of a stack together, and measure on the way.

    A step is an update of the generator, and the discriminator's before it; with a fixed generator
    it is one of the discriminator. ``source`` is the task as a cohort names it.
    """
    match, budget = Match.of(rules, nets, data, runs, device, dtype), rules.budget
    probe, record = Probe.of(match, source), _empty(len(runs[0]))
    first = record.players["generator"].first_nonfinite
    losses = {player: [] for player in PLAYERS}
    for step in range(budget.steps + 1):
        if step:
            for player, turn in advance(match, step, wanted=step in budget.probe_steps).items():
                losses[player].append(turn.losses)
                note(first, step, turn.nonfinite)
        if step in budget.probe_steps:
            _probe(match, probe, step, record)
    note(first, budget.steps, _nonfinite_weights(match))
    for player, found in losses.items():
        if found:
            record.players[player].losses = torch.stack(found).double().cpu().numpy()
    return record


def _empty(runs: int) -> Record:
    first = np.zeros((runs, 2), dtype=np.int64)
    return Record({player: Trace(np.empty((0, runs)), first) for player in PLAYERS})


def _probe(match: Match, probe: Probe, step: int, record: Record) -> None:
    """Everything that is measured after ``step`` steps."""
    of_players, of_game = at_probe(match, probe)
    for name, player in match.players.items():
        layers = of_players[name] | of_update(player, player.last, player.earlier)
        whole = {"effective_depth": effective_depth(layers["total_change"])}
        trace = record.players[name]
        trace.measures[step], trace.of_network[step] = arrays(layers), arrays(whole)
        trace.test_accuracy[step] = np.full(len(match.lr), np.nan)  # of no player
    record.games[step] = arrays(of_game)
    if match.rules.live or step == 0:
        record.scores[step] = scores(match, probe)


def _nonfinite_weights(match: Match) -> dict[int, int]:
    """The layer of runs whose last update left weights not finite: no loss saw them."""
    found: dict[int, int] = {}
    for player in match.players.values():
        found = nonfinite_weights(player.parameters) | found
    return found
