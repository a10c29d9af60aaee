"""Measures of a GAN's two players; missing where there are none."""

from __future__ import annotations

import pandas as pd

from .study_tables import Tables, bounded

STAGNANT = ("stalled", "dead", "diverged")


def generator_decades(tables: Tables) -> pd.Series:
    """By how many decades the norm of the generator's gradient grew from init to the last probe.

    Negative where it vanishes. The bound where it is exactly 0 in the end, the opposite bound where
    the generator's loss is not finite by then. Missing where it was 0 from the start, and where
    nothing was trained.
    """
    games = tables.games.sort_values("step")
    games = games[games["run_id"].isin(tables.runs["run_id"])]
    start = games[games["step"] == 0].set_index("run_id")["log10_generator_gradient"]
    end = games.drop_duplicates("run_id", keep="last").set_index("run_id")
    change = (end["log10_generator_gradient"] - start).astype(float).reindex(end.index)
    known = start.reindex(end.index).notna() & (end["step"] > 0)
    found = bounded(change, end["generator_loss"].isna()).where(known)
    return tables.runs["run_id"].map(found).astype(float)


def discriminator_accuracy(tables: Tables) -> pd.Series:
    """Share of real and generated samples that it tells right, at the last probe step."""
    end = tables.games.sort_values("step").drop_duplicates("run_id", keep="last")
    values = end.set_index("run_id")["discriminator_accuracy"]
    return tables.runs["run_id"].map(values).astype(float)


def stagnation(tables: Tables) -> pd.Series:
    """1 where a live GAN is stalled, dead or diverged, else 0; missing where none was trained."""
    outcome = tables.runs["outcome"]
    live = (tables.runs["generator"] == "live") & outcome.notna()
    return outcome.isin(STAGNANT).astype(float).where(live)
