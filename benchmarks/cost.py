"""Prints measured over estimated times of a study's finished cohorts, by family and over all.

``python -m benchmarks.cost RESULTS CONFIG [--fit]``: the config is the one that RESULTS were made
of. With ``--fit`` it also prints the rates of :data:`vanishing.study.cost.SECONDS` that would fit
them best: least squares of log(measured / estimated), in which outliers count little.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from vanishing.micro_runs import finished_seconds
from vanishing.study import cost, plan

WITHIN = 1.5


def times(results: Path, config: str) -> pd.DataFrame:
    """A row a finished cohort: family, measured and estimated seconds, and its amounts."""
    planned, rows = plan.make(config, results), []
    for id_, measured in finished_seconds(planned, results).items():
        graph, runs = planned.by_id[id_].graph, len(planned.by_id[id_].members)
        stacks = -(-runs // cost.stack_of(graph))
        amounts = {n: stacks * of for n, of in cost.terms(graph, runs / stacks).items()}
        estimated = cost.seconds_of_runs(graph, runs)
        known = {"family": graph["family"], "measured": measured, "estimated": estimated}
        rows.append(known | amounts)
    return pd.DataFrame(rows)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Measured over estimated, by family and of all: median, 10 to 90 %, share within 1.5."""
    ratio = found["measured"] / found["estimated"]
    groups = {"all": ratio, **{f: ratio[of.index] for f, of in found.groupby("family")}}
    return pd.DataFrame(
        {
            name: {
                "cohorts": len(of),
                "median": of.median(),
                "10 %": of.quantile(0.1),
                "90 %": of.quantile(0.9),
                f"within {WITHIN}": (np.abs(np.log(of)) < np.log(WITHIN)).mean(),
            }
            for name, of in groups.items()
        }
    ).T


def fitted(found: pd.DataFrame) -> dict[str, float]:
    """The seconds of one of each amount, for the cohorts of a family."""
    amounts = found.drop(columns=["family", "measured", "estimated"])
    amounts = amounts.loc[:, amounts.sum() > 0]
    scale = amounts.mean().to_numpy()
    scaled, measured = amounts.to_numpy() / scale, found["measured"].to_numpy()

    def residuals(logs: np.ndarray) -> np.ndarray:
        return np.log(scaled @ np.exp(logs) / measured)

    start = np.full(len(scale), np.log(np.median(measured) / len(scale)))
    best = least_squares(residuals, start, loss="soft_l1", f_scale=0.2, bounds=(-25, 25))
    return dict(zip(amounts.columns, np.exp(best.x) / scale, strict=True))


def main(results: str, config: str, *options: str) -> None:
    """Print the table, and with ``--fit`` the rates."""
    found = times(Path(results), config)
    print(table(found).round(2).to_string())  # noqa: T201
    if "--fit" in options:
        for family, of in found.groupby("family"):
            print(family, {name: f"{rate:.1e}" for name, rate in fitted(of).items()})  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
