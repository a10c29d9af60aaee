"""Which trainings are followed layer by layer and step by step: a few arms, chosen by rule.

All trainings at all probe steps would be most of the table of profiles, and of the memory that it
takes to make it.
"""

from __future__ import annotations

import pandas as pd

from .estimates import fullest, one_family

ACTIVATIONS_SHOWN, NORMS_SHOWN, RESIDUALS_SHOWN = 3, 2, 1
TRAINS = 0.5  # of an arm's runs end as trained, where the arm is said to train
ARM = ["activation", "norm", "residual"]
# The columns of runs that decide.
COLUMNS = ["run_id", "battery", "cell", "lr_policy", "family", "task", *ARM, "init", "depth",
           "steps", "split", "outcome"]  # fmt: skip


def followed(runs: pd.DataFrame) -> pd.DataFrame:
    """The judged runs of the arms that are followed, a cell an arm; ``runs`` has COLUMNS.

    Of the battery of trainings with most remedies: the activations that it names first, alone and
    with the norms and the residual that it names first, one at a time; of inits, and of all else
    that it varies, the first; the greatest depth at which one of these arms trains, or else the
    least.
    """
    known = runs["steps"].gt(0) & runs["split"].eq("judged") & runs["outcome"].notna()
    data = fullest(one_family(runs[known]))
    if data.empty:
        return data
    data = data[data["init"].eq(data["init"].iloc[0]) & _shown(data)]
    firsts = data.drop_duplicates([*ARM, "depth"])[["cell", "lr_policy"]]
    data = data.merge(firsts, on=["cell", "lr_policy"])
    return data[data["depth"] == _depth(data)].reset_index(drop=True)


def _shown(data: pd.DataFrame) -> pd.Series:
    """Which rows have one of the first activations, and one of the first remedies or none."""
    plain = {name: data[name].eq("none") for name in ("norm", "residual")}
    norms = data.loc[~plain["norm"], "norm"].unique()[:NORMS_SHOWN]
    residuals = data.loc[~plain["residual"], "residual"].unique()[:RESIDUALS_SHOWN]
    one_norm = data["norm"].isin(norms) & plain["residual"]
    one_residual = data["residual"].isin(residuals) & plain["norm"]
    alone = plain["norm"] & plain["residual"]
    first = data["activation"].isin(data["activation"].unique()[:ACTIVATIONS_SHOWN])
    return first & (alone | one_norm | one_residual)


def _depth(data: pd.DataFrame) -> int:
    """The greatest depth at which an arm trains; the least, where none does."""
    trained = data.assign(trained=data["outcome"].eq("trained"))
    shares = trained.groupby([*ARM, "depth"])["trained"].mean()
    train = shares[shares >= TRAINS].index.get_level_values("depth")
    return int(train.max() if len(train) else data["depth"].min())
