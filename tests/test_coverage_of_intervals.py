"""Intervals that say 95 % hold the truth 93 to 97 % of the time, by simulation."""

import subprocess
import sys
from pathlib import Path

import pytest

from .coverages import CASES, false_equivalence, wilson_coverages

ROOT = Path(__file__).parents[1]
EXACT = [case for case in CASES if not case.conservative]
CONSERVATIVE = [case for case in CASES if case.conservative]


@pytest.mark.parametrize("case", EXACT, ids=str)
def test_interval_covers_93_to_97_percent(case):
    covered = case.coverage()
    print(f"{case}: {covered:.3f} of {case.draws}")  # noqa: T201
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("case", CONSERVATIVE, ids=str)
def test_conservative_interval_covers_at_least_93_percent(case):
    covered = case.coverage()
    print(f"{case}: {covered:.3f} of {case.draws}")  # noqa: T201
    assert 0.93 <= covered < 1


@pytest.mark.parametrize("n", [7, 10, 20])
def test_wilsons_interval_covers_93_to_97_percent_of_shares_and_less_near_0_and_1(n):
    # The coverage of a count jumps from share to share: it is the mean over shares that is .95.
    covered = wilson_coverages(n)
    assert 0.93 <= covered.mean() <= 0.97
    middle = covered[len(covered) // 4 : -len(covered) // 4]
    assert covered.min() < middle.min()
    assert covered.min() > 0.83


@pytest.mark.parametrize("n", [7, 10, 20])
def test_a_mean_on_the_margin_is_called_equivalent_at_most_5_percent_of_the_time(n):
    # Three standard errors of 2,000 draws above the level.
    assert false_equivalence(n) <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_same_seed_gives_the_same_coverage():
    case = CASES[0]
    assert case.coverage(50, seed=3) == case.coverage(50, seed=3)
    assert len({case.coverage(50, seed) for seed in range(8)}) > 1


def test_benchmark_prints_every_interval():
    command = [sys.executable, "-m", "benchmarks.coverage", "2"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for case in CASES:
        assert case.interval in out
    assert "Wilson's" in out
    assert "TOST" in out
