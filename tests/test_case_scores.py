"""The table of cases: which scores it holds, of which runs, and over what they are averaged."""

import pandas as pd
import pytest

from vanishing.analysis.case_scores import ACCURACY, COMPARED, ERROR, case_scores

from .planted_cases import crossing, scored
from .planted_cases import proxies as of_cases
from .planted_families import scores_of


@pytest.fixture(scope="module")
def proxies() -> pd.DataFrame:
    return of_cases()


def test_errors_and_sensitivities_are_those_of_the_last_probe_step(proxies) -> None:
    points = case_scores(proxies, scores_of(proxies, scored))
    errors = points[points["score"] == ERROR].set_index(["recurrence", "level"])["value"]
    assert errors.to_dict() == {
        ("vanilla", 1): 0, ("vanilla", 5): 0, ("vanilla", 9): 0.5,
        ("lstm", 1): 0, ("lstm", 5): 0, ("lstm", 9): 0,
    }  # fmt: skip
    steps = points[points["score"] == ACCURACY]["step"].unique()
    assert sorted(steps) == [1, 8, 64]


def test_fine_pairs_are_compared_at_each_runs_own_crossing_and_not_on_the_path(proxies) -> None:
    only = proxies[proxies["battery"] == "w02"]
    scores = scores_of(only, crossing)
    points = case_scores(only, scores)
    compared = points[points["score"] == COMPARED]
    assert compared["level"].tolist() == [0.95, 0.95]
    assert compared["step"].isna().all()
    assert compared["n"].tolist() == [3, 3]  # what no seed of a cell has is left out
    assert compared["value"].tolist() == pytest.approx([(0.5 + 0.9 + 0.5) / 3] * 2)


def test_fine_pairs_have_no_point_where_no_run_gets_there(proxies) -> None:
    only = proxies[proxies["battery"].eq("w02") & proxies["depth"].eq(9)]
    points = case_scores(only, scores_of(only, crossing))
    assert set(points["score"]) == {ACCURACY}


def test_a_task_is_shown_of_its_battery_with_most_seeds_and_of_plain_networks(proxies) -> None:
    few = proxies[proxies["seed"] < 2]
    again = few.assign(battery="again", run_id=few["run_id"] + "a", init="he")
    normed = proxies.assign(run_id=proxies["run_id"] + "n", norm="batch")
    more = pd.concat([proxies, again, normed], ignore_index=True)
    shown, alone = (case_scores(runs, scores_of(runs, scored)) for runs in (more, proxies))
    pd.testing.assert_frame_equal(shown, alone)
