"""Facts of GANs: the generator's gradient before a better judge, how live games start and end."""

from __future__ import annotations

from dataclasses import replace

from .fact import mean_of, mean_over_seeds, selected, share_of
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
    every, query = selected(tables, "gan_fixed", generator="fixed")
    found = {"gan.accuracy.fixed": mean_of(every, "discriminator_accuracy", 3, query)} | _start(
        tables
    )
    for game in GAMES:
        fixed, query = selected(tables, "gan_fixed", generator="fixed", game=game)
        found[f"gan.decades.{game}"] = mean_of(fixed, "generator_decades", 2, query)
        found[f"gan.accuracy.{game}"] = mean_of(fixed, "discriminator_accuracy", 3, query)
        live, query = selected(tables, "gan_live", generator="live", game=game)
        found[f"gan.stalled.{game}"] = share_of(live, "stagnation", query)
        found[f"gan.modes.{game}"] = mean_of(live, "modes", 1, query)
        found[f"gan.quality.{game}"] = _quality(live, query)
    return found


def _start(tables: Tables) -> dict[str, dict]:
    live, query = selected(tables, "gan_live", generator="live")
    live = replace(live, scores=live.scores[live.scores["step"] == 0])
    query = f"{query}, step 0"
    return {
        "gan.modes.start": mean_of(live, "modes", 1, query),
        "gan.quality.start": _quality(live, query),
    }


def _quality(live: Tables, query: str) -> dict:
    """The score high_quality at the last of the steps that are here."""
    rows = live.scores[live.scores["score"] == "high_quality"].sort_values("step")
    last = rows.drop_duplicates("run_id", keep="last").set_index("run_id")["value"]
    values = live.runs["run_id"].map(last).astype(float)
    return mean_over_seeds(live.runs, values, "high_quality", "1", 3, query)
