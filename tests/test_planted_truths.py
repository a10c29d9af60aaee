"""The whole engine on planted truths: right verdicts, errors no more often than nominal."""

import math

import pytest

from .planted_truths import (
    CONDITIONAL,
    DRAWS,
    INCONCLUSIVE,
    REFUTED,
    SUPPORTED,
    Truth,
    kinds,
    truths,
)

NOMINAL, POWER = 0.05, 0.8
DIFFERENCE, SUCCESS = kinds()["seed_difference"], kinds()["success_difference"]


@pytest.mark.parametrize("truth", truths(), ids=str)
def test_planted_truths_are_found_and_seldom_mistaken(truth):
    words = truth.verdicts(truth.draws)["verdict"]
    assert len(words) == truth.draws
    sigma = math.sqrt(NOMINAL * (1 - NOMINAL) / truth.draws)
    assert (words == truth.wrong).mean() <= NOMINAL + 3 * sigma
    if truth.right:
        assert (words == truth.right).mean() >= POWER


@pytest.mark.parametrize("test", kinds())
def test_the_ledger_says_what_the_draws_say(test):
    # Far from every border, where the draw makes no difference.
    for effects, word in (((1, 1), SUPPORTED), ((-1, -1), REFUTED), ((1, -1), CONDITIONAL)):
        truth = Truth(kinds()[test], "", effects, word)
        rows = truth.ledgers(1)
        assert list(rows["verdict"]) == [word]
        assert list(rows["planned"]) == list(rows["done"]) == [len(truth.kind.skeleton())]


@pytest.mark.parametrize("test", kinds())
def test_a_missing_run_of_any_test_makes_its_claim_incomplete(test):
    rows = Truth(kinds()[test], "", (1, 1), SUPPORTED).ledgers(3, missing=True)
    assert set(rows["verdict"]) == {"INCOMPLETE"}
    assert (rows["done"] == rows["runs"]).all()
    assert (rows["planned"] == rows["runs"] + 1).all()


@pytest.mark.parametrize("effect", [0.0, 0.5, -1.0])
def test_diverged_runs_stay_in_every_denominator(effect):
    rows = Truth(SUCCESS, "", (effect, effect), "").ledgers(5)
    assert (rows["diverged"] == rows["truly"]).all()
    assert (rows["done"] == len(SUCCESS.skeleton())).all()
    assert (rows["n"] == SUCCESS.seeds).all()
    # Trained with chance .5 +- .4 effect: were diverged runs dropped, shares would be 1 and 1.
    assert rows["value"].mean() == pytest.approx(0.8 * effect, abs=0.12)


def test_the_seeds_that_are_said_to_be_needed_decide():
    truth = Truth(DIFFERENCE, "a little beyond the smallest effect", (0.575, 0.575), SUPPORTED)
    few = truth.verdicts()
    open_ = few[few["verdict"] == INCONCLUSIVE]
    assert len(open_) > DRAWS / 4
    needed = int(open_["seeds_needed"].median())
    assert DIFFERENCE.seeds < needed < 100
    assert (truth.verdicts(seeds=needed)["verdict"] != INCONCLUSIVE).mean() >= 0.7


def test_planted_draws_are_the_same_from_the_same_seed_and_others_from_another():
    truth = Truth(DIFFERENCE, "", (0.575, 0.575), SUPPORTED)
    first, again, other = (truth.verdicts(40, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
