"""Figures of cells that are judged at several learning rates: a seed counts once in each mean."""

import pandas as pd
import pytest

from vanishing.figures import adversarial, lags, memory, profiles, trainability
from vanishing.tables import FRONTIERS, LAG_PREDICTIONS, LOGS, PREDICTIONS

from . import planted_nets as nets
from .aggregated import profiles_of
from .planted import runs_of

SEEDS, SLOW, FAST = 4, "fixed(0.1)", "fixed(0.2)"
RATES = {"lr_policy": [SLOW, FAST]}
STEPS = (0, 64)


def at_both_rates(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs as of one cell, for a cell's name leaves out the rate."""
    return runs.assign(cell="the same")


def by_rate(run: dict) -> float:
    return {SLOW: 1.0, FAST: 2.0}[run["lr_policy"]]


@pytest.fixture(scope="module")
def recurrent() -> pd.DataFrame:
    training = nets.TRAINED | {"outcome": "trained"}
    return at_both_rates(nets.recurrent(RATES, SEEDS, nets.nothing, **training))


def falling(run: dict, step: int, _: int) -> list[float]:
    """A profile that all rates share before the first update."""
    return nets.line(-0.1 * (by_rate(run) if step else 1.0))


def test_lags_at_init_count_a_seed_once(recurrent):
    cells = profiles_of(recurrent, lags=nets.lags_of(recurrent, falling, STEPS))
    points = lags.points(recurrent, cells, LAG_PREDICTIONS.frame([]))
    assert points["lag"].tolist() == list(range(nets.LENGTH))
    assert set(points["n"]) == {SEEDS}


def test_slopes_in_training_are_a_line_a_rate(recurrent):
    cells = profiles_of(recurrent, lags=nets.lags_of(recurrent, falling, STEPS))
    points = memory.points(recurrent, cells)
    last = points[points["outcome"].eq("slope") & points["step"].eq(64)].set_index("lr_policy")
    assert last["value"].to_dict() == pytest.approx({SLOW: -0.1, FAST: -0.2})
    assert set(points["n"]) == {SEEDS}
    shown = " ".join(text.get_text() for axes in memory.draw(points).axes for text in axes.texts)
    assert f"lr_policy {FAST}" in shown


def layers_of(runs: pd.DataFrame) -> pd.DataFrame:
    return LOGS["layers"].frame(
        dict.fromkeys(LOGS["layers"].columns, 0.0)
        | {"run_id": run, "step": 0, "player": "net", "layer": layer, "q": 1.0}
        for run in runs["run_id"]
        for layer in (1, 2)
    )


def test_layers_at_init_count_a_seed_once():
    runs = at_both_rates(runs_of("b", RATES, SEEDS, nets.nothing, **{**nets.TRAINED, "depth": 2}))
    cells = profiles_of(runs, layers=layers_of(runs))
    points = profiles.points(runs, cells, PREDICTIONS.frame([]))
    assert len(points) == 2 * 2
    assert set(points["n"]) == {SEEDS}


def test_a_game_is_shown_at_one_policy_of_the_battery_with_most_games():
    games = RATES | {"game": ["saturating", "non_saturating"]}
    both = nets.gans(games, SEEDS, nets.nothing, generator="fixed")
    other = nets.gans(
        {"game": ["saturating"]}, SEEDS, nets.nothing, "other", generator="fixed",
        lr_policy="fixed(0.3)",
    )  # fmt: skip
    runs = pd.concat([other, both], ignore_index=True)
    runs["cell"] = runs["game"]
    played = nets.games_of(runs, lambda run: {0: 0.0, 64: -float(run["lr_policy"][6:-1])})
    points = adversarial.points(runs, profiles_of(runs, games=played))
    assert set(points["n"]) == {SEEDS}
    last = points[points["quantity"].eq(adversarial.GRADIENT) & points["step"].eq(64)]
    assert last.set_index("game")["value"].to_dict() == pytest.approx(
        {"saturating": -0.1, "non_saturating": -0.1}
    )


def test_chance_is_that_of_the_runs_shown():
    shown = runs_of("b", {"norm": ["none", "batch"]}, 2, nets.nothing, **TRAINED)
    other = runs_of("c", {"norm": ["none"]}, 2, nets.nothing, **TRAINED | {"lr_policy": FAST})
    other["cell"] = shown["cell"].iloc[0]
    runs = pd.concat([shown, other], ignore_index=True)
    curves = LOGS["curves"].frame(
        {"run_id": run, "step": 0, "train_loss": 1.0, "test_accuracy": accuracy}
        for run, accuracy in zip(
            runs["run_id"], runs["battery"].map({"b": 0.1, "c": 0.9}), strict=True
        )
    )
    cells = profiles_of(runs, curves=curves)
    points = trainability.points(runs, cells, FRONTIERS.frame([]))
    assert points["untrained"].unique() == pytest.approx([0.1])


TRAINED = nets.TRAINED | {"outcome": "trained", "final_test_accuracy": 0.9}
