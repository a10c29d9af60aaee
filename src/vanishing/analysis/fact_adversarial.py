"""Facts of GANs: the generator's gradient before a better judge, how live games start and end."""

from __future__ import annotations

from dataclasses import replace

from .fact import mean_of, mean_over_seeds, share_of
from .fact_rows import Selection, selected
from .study_tables import Tables

GAMES = ("saturating", "non_saturating", "least_squares", "hinge", "wgan", "wgan_gp")


def adversarial(tables: Tables) -> dict[str, dict]:
    """Of battery gan_fixed and of battery gan_live, game by game.

    ``gan.decades.<game>``: growth of the generator's gradient while only the discriminator learns;
    ``gan.accuracy.<game>``: the discriminator's accuracy at the end of it, and
    ``gan.accuracy.fixed`` the mean over all games; ``gan.stalled.<game>``: the share of live
    games that stall, die or diverge; ``gan.modes.<game>``: modes that the generator covers then;
    ``gan.quality.<game>``: the share of its samples then that lie close to a mode.
    ``gan.modes.start`` and ``gan.quality.start`` are those of all live games before training.
    """
    every = selected(tables, "gan_fixed", generator="fixed")
    live = selected(tables, "gan_live", generator="live")
    found = {"gan.accuracy.fixed": mean_of(every, "discriminator_accuracy", 3)} | _start(live)
    for game in GAMES:
        fixed, played = every.at(game=game), live.at(game=game)
        found[f"gan.decades.{game}"] = mean_of(fixed, "generator_decades", 2)
        found[f"gan.accuracy.{game}"] = mean_of(fixed, "discriminator_accuracy", 3)
        found[f"gan.stalled.{game}"] = share_of(played, "stagnation")
        found[f"gan.modes.{game}"] = mean_of(played, "modes", 1)
        found[f"gan.quality.{game}"] = _quality(played)
    return found


def _start(live: Selection) -> dict[str, dict]:
    scores = live.tables.scores
    first = replace(live.tables, scores=scores[scores["step"] == 0])
    start = replace(live, tables=first, also="step 0")
    return {"gan.modes.start": mean_of(start, "modes", 1), "gan.quality.start": _quality(start)}


def _quality(live: Selection) -> dict:
    """The score high_quality at the last of the steps that are here."""
    scores = live.tables.scores
    rows = scores[scores["score"] == "high_quality"].sort_values("step")
    last = rows.drop_duplicates("run_id", keep="last").set_index("run_id")["value"]
    values = live.runs["run_id"].map(last).astype(float)
    return mean_over_seeds(live, values, "high_quality", "1", 3)
