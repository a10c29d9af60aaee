"""The rows of a stack of GANs in every table that a training job writes."""

from __future__ import annotations

import numpy as np

from ..tables import GAMES
from .adversarial import PLAYERS, Rules
from .logs import (
    RESULTS,
    Rows,
    Tables,
    below,
    of_curves,
    of_layers,
    of_networks,
    of_runs,
    of_scores,
    signal,
    stacked,
)
from .match import Record
from .measures import outcome_of_discriminator, outcome_of_generator, outcome_of_match, smoothed
from .network import Network


def of_match(
    cohort: dict,
    nets: dict[str, Network],
    rules: Rules,
    members: list[dict],
    record: Record,
    used: list[dict],
) -> Tables:
    """The rows of a stack in every table; ``used`` are time, device and rate of each member.

    The signal at init, as the sigmas, are those of the generator.
    """
    ids, players = [member["run_id"] for member in members], record.players
    results = [
        {**signal(players["generator"], i), **_results(record, rules, i)}
        for i in range(len(members))
    ]
    cohort = {**cohort, "loss": "none"}  # they play a game
    batch = 0 if rules.budget.own_pass else rules.budget.probe_batch
    return {
        "runs": of_runs(cohort, nets["generator"], batch, members, used, results),
        "curves": of_curves(ids, players["discriminator"], rules.budget.steps),
        "layers": stacked([of_layers(ids, players[name], name) for name in PLAYERS]),
        "networks": stacked([of_networks(ids, players[name], name) for name in PLAYERS]),
        "scores": of_scores(ids, record.scores),
        "games": _games(ids, record.games),
    }


def _results(record: Record, rules: Rules, i: int) -> dict:
    """How run ``i`` ended; accuracies there are none.

    Its loss, by which a learning rate is chosen, is that of the samples where the generator is
    live (the squared mmd): the discriminator's is least where it has won. Else the discriminator's.
    """
    found, steps = dict.fromkeys(RESULTS), rules.budget.steps
    if not steps:
        return found
    found["outcome"] = _outcome(record, rules, i)
    if found["outcome"] != "diverged" and rules.live:
        found["final_loss"] = float(record.scores[steps]["mmd", 0.0][i])
    elif found["outcome"] != "diverged":
        losses = record.players["discriminator"].losses[:, i]
        found["final_loss"] = float(smoothed(losses)[-1])
    return found


def _outcome(record: Record, rules: Rules, i: int) -> str:
    """diverged, dead, trained, stalled or slow."""
    steps = rules.budget.steps
    losses = {name: trace.losses[:, i] for name, trace in record.players.items()}
    end = {
        name: {measure: values[i] for measure, values in trace.measures[steps].items()}
        for name, trace in record.players.items()
    }
    if found := outcome_of_match(losses, end):
        return found
    if not rules.live:
        return outcome_of_discriminator(float(record.games[steps]["discriminator_accuracy"][i]))
    last, first = (float(record.scores[step]["mmd", 0.0][i]) for step in (steps, 0))
    return outcome_of_generator(last, first)


def _games(ids: list[str], games: dict[int, dict[str, np.ndarray]]) -> Rows:
    """A row a run and probe step."""
    steps = games.items()
    return below([{"run_id": np.array(ids), "step": step, **found} for step, found in steps], GAMES)
