"""The comparison of two studies: what moved, beyond what chance moves, and what differs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from vanishing import cli
from vanishing.analysis import causes
from vanishing.analysis.compare import (
    agreements,
    apart,
    cells,
    chance_of_apart,
    compare,
    facts,
    verdicts,
)
from vanishing.analysis.differences import ROWS, differences
from vanishing.analysis.estimates import summary
from vanishing.analysis.study_tables import Tables
from vanishing.errors import UserError
from vanishing.report.comparison import WIDTH, text
from vanishing.table import provenance_of
from vanishing.tables import LAYERS, LEDGER, RUNS, SUMMARY

from .finished_study import CNN, MLP, finish, rewrite

DENSE = {
    **MLP,
    "factors": {"activation": ["tanh"], "init": ["he"], "depth": [3]},
    "seeds": {"judged": 3},
    "train": {"steps": 4, "lr": 0.1, "batch": 16},
}
IMAGES = {**CNN, "seeds": {"judged": 2}}
STAMP = {"commit": "a" * 40, "claims": {"commit": "c1"}, "packages": {"torch": "2"}}


def row(claim, verdict, value=0.3, stratum="all"):
    """A row of the ledger."""
    filled = {name: "x" if c.dtype == "string" else 1.0 for name, c in LEDGER.columns.items()}
    own = {"claim": claim, "stratum": stratum, "verdict": verdict, "value": value}
    return {**filled, **own, "low": value - 0.1, "high": value + 0.1, "n": 7}


def ledger(*words):
    """A ledger of claims with these verdicts, each with a stratum beside it."""
    rows = [row(f"C{i:02}", word) for i, word in enumerate(words)]
    return LEDGER.frame([*rows, row("C00", "REFUTED", stratum="depth 3")])


def fact(value, low=None, high=None, precision=2, unit="1"):
    return {"value": value, "unit": unit, "precision": precision, "low": low, "high": high}


FACTS = {"slope": fact(0.301, 0.2, 0.4), "runs": fact(5, precision=0), "best": fact("he")}


def judged(results, words=("SUPPORTED", "REFUTED"), known=FACTS, stamp=STAMP):
    """The study with conclusions: a ledger, facts, and the summary of its tables."""
    LEDGER.write(ledger(*words), results / "claims/ledger.parquet", stamp)
    (results / "claims/facts.json").write_text(json.dumps(known))
    tables = Tables(*(t.read(results / "tables" / f"{t.name}.parquet") for t in (RUNS, LAYERS)))
    SUMMARY.write(summary(tables, 0), results / "tables/summary.parquet", stamp)
    return results


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    batteries = {"dense": DENSE, "images": IMAGES}
    return judged(finish(tmp_path_factory.mktemp("first"), batteries))


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """The dense battery with another seed more and another rate policy; no images, but others."""
    grown = {**DENSE, "seeds": {"judged": 4}, "probes": {"batch": 16, "steps": [0]}}
    batteries = {"dense": grown, "others": {**DENSE, "width": 10}}
    known = {**FACTS, "slope": fact(0.6, 0.5, 0.7), "new": fact(1)}
    words = ("SUPPORTED", "INCONCLUSIVE", "CONDITIONAL")
    stamp = {**STAMP, "commit": "b" * 40, "claims": {"commit": "c2"}}
    return judged(finish(tmp_path_factory.mktemp("second"), batteries), words, known, stamp)


def test_nothing_moved_between_a_study_and_itself(first):
    found = compare(first, first)
    assert not found.moved
    assert found.provenance == found.config == found.seeds == []
    said = text(found)
    assert "nothing moved" in said
    assert "SAME RUNS: 5 in both, 5 of these equal to the bit" in said


def test_what_differs_is_named_before_what_moved(first, second):
    found = compare(first, second)
    assert ("judged by: commit", "a" * 40, "b" * 40) in found.provenance
    assert ("judged by: claims.commit", "c1", "c2") in found.provenance
    assert ("batteries.images", "there", "(absent)") in found.config
    assert ("batteries.others", "(absent)", "there") in found.config
    assert ("batteries.dense.seeds.judged", "3", "4") in found.config
    assert ("batteries.dense.probes.steps", "sparse", "[0]") in found.config
    assert not [name for name, *_ in found.config if name.startswith("batteries.images.")]
    assert found.seeds == [("dense", "0-2", "0-3")]
    said = text(found)
    assert "nothing moved" not in said
    assert "batteries.dense.seeds.judged: 3 -> 4" in said
    assert said.index("config:") < said.index("VERDICTS") < said.index("FACTS")
    assert max(map(len, said.splitlines())) <= WIDTH


def test_runs_of_both_studies_are_compared_and_no_others(first, second):
    shared = compare(first, second).shared
    runs = [set(RUNS.read(s / "tables/runs.parquet")["run_id"]) for s in (first, second)]
    assert set(shared["run_id"]) == runs[0] & runs[1]
    assert shared["run_id"].nunique() == 3
    assert shared["absolute"].max() < 1e-3  # trained in another stack, with a run more


def test_one_changed_number_moves_its_run_and_its_cell(first, tmp_path):
    runs = RUNS.read(first / "tables/runs.parquet")
    runs.loc[runs.index[0], "final_loss"] += 0.25
    copy = rewrite(first, RUNS, runs, tmp_path)
    summarised = SUMMARY.read(first / "tables/summary.parquet")
    one = summarised.index[summarised["low"].notna()][0]
    summarised.loc[one, ["value", "low", "high"]] += 100
    SUMMARY.write(summarised, copy / "tables/summary.parquet", STAMP)
    found = compare(first, copy)
    assert found.moved
    assert found.cells["moved"].sum() == 1
    differ = found.shared[~found.shared["equal"]]
    assert differ[["run_id", "column"]].to_numpy().tolist() == [[runs["run_id"][0], "final_loss"]]
    assert differ["absolute"].item() == pytest.approx(0.25)
    assert f"final_loss of {runs['run_id'][0]}, by 0.25" in text(found)
    assert f"{summarised.loc[one, 'battery']}" in text(found).partition("CELLS")[2]


def estimates_of(*words):
    frame = ledger(*words)
    return frame[frame["stratum"] == "all"]


def test_agreement_counts_a_claim_that_only_one_decides_among_the_decided():
    a = estimates_of("SUPPORTED", "REFUTED", "INCONCLUSIVE", "SUPPORTED", "INCOMPLETE")
    words = ("SUPPORTED", "SUPPORTED", "CONDITIONAL", "INCONCLUSIVE", "INCOMPLETE", "REFUTED")
    b = estimates_of(*words)
    found = verdicts(a, b)
    assert found["moved"].tolist() == [False, True, True, True, False, False]
    agreed = agreements(found)
    assert [(g.claims, g.equal) for g in agreed.values()] == [(5, 2), (4, 1), (2, 1)]
    assert agreed["decided in at least one"].share == 0.25
    assert found["only_in"].tolist() == [""] * 5 + ["B"]


def test_no_share_is_given_of_no_decided_claim():
    one = estimates_of("INCONCLUSIVE")
    assert np.isnan(agreements(verdicts(one, one))["decided in both"].share)


def test_a_fact_moves_where_it_is_printed_differently():
    a = {
        "rounds": fact(0.301),
        "near": fact(0.30, 0.1, 0.5),
        "far": fact(1.0, 0.9, 1.1),
        "bare": fact(3, precision=0),
        "word": fact("he"),
        "gone": fact(None),
        "lone": fact(1),
    }
    b = {
        "rounds": fact(0.299),
        "near": fact(0.40, 0.2, 0.6),
        "far": fact(2.0, 1.8, 2.2),
        "bare": fact(4, precision=0),
        "word": fact("lecun"),
        "gone": fact(1.0),
        "new": fact(2),
    }
    found = facts(a, b).set_index("fact")
    assert set(found.index[found["moved"]]) == {"near", "far", "bare", "word", "gone"}
    assert set(found.index[found["beyond"]]) == {"far", "bare", "word", "gone"}
    assert found["relative"]["far"] == 0.5
    assert found["only_in"][["lone", "new"]].tolist() == ["A", "B"]
    assert found.index[0] == "far"


def test_facts_are_cut_at_twenty_unless_all_are_asked_for(first, tmp_path):
    known = {f"f{i:02}": fact(float(i)) for i in range(1, 31)}
    more = {name: fact(f["value"] + 1) for name, f in known.items()}
    two = [judged(rewrite(first, None, None, tmp_path / n), known=k)
           for n, k in (("a", known), ("b", more))]  # fmt: skip
    found = compare(*two)
    assert "and 10 more (--all lists them)" in text(found)
    assert "f30" in text(found, every=True)
    assert "f30" not in text(found)


def intervals(a, b):
    names = ("low_a", "high_a", "low_b", "high_b")
    return pd.DataFrame([dict(zip(names, (*a, *b), strict=True))])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [((0, 1), (2, 3), True), ((2, 3), (0, 1), True), ((0, 2), (1, 3), False),
     ((0, 1), (1, 2), False), ((np.nan, np.nan), (1, 2), False)],
)  # fmt: skip
def test_intervals_are_apart_where_they_share_no_point(a, b, expected):
    assert apart(intervals(a, b)).item() is expected


def test_intervals_of_one_truth_miss_each_other_as_often_as_is_said():
    draws = np.random.default_rng(0).normal(size=(200_000, 2))
    apart_by_chance = np.abs(draws[:, 0] - draws[:, 1]) > 2 * 1.959964
    assert chance_of_apart() == pytest.approx(apart_by_chance.mean(), abs=6e-4)


def test_cells_are_told_apart_by_their_rate_policy_where_it_is_there():
    shared = {"battery": "b", "cell": "c", "outcome": "slope", "n": 3}
    rows = [{**shared, "lr_policy": p, "value": v, "low": v - 1, "high": v + 1}
            for p, v in (("tuned", 0.0), ("fixed", 10.0))]  # fmt: skip
    a = pd.DataFrame(rows)
    assert not cells(a, a)["moved"].any()
    b = a.assign(low=a["low"] + [0, 5], high=a["high"] + [0, 5])
    assert cells(a, b).set_index("lr_policy")["moved"].to_dict() == {"fixed": True, "tuned": False}


def layer_rows(**changes):
    """Two layers of a run at step 0."""
    filled = {name: "x" if c.dtype == "string" else 1.0 for name, c in LAYERS.columns.items()}
    rows = [{**filled, "run_id": "r", "step": 0, "layer": layer} for layer in (1, 2)]
    rows[0] |= changes
    return LAYERS.frame(rows)


@pytest.mark.parametrize(
    ("changes", "absolute", "relative"),
    [({"q": 4.0}, 3.0, 0.75), ({"q": None}, np.inf, np.inf), ({"player": "net"}, np.inf, np.inf),
     ({"q": np.nextafter(1, 2)}, 2.0**-52, 2.0**-52)],
)  # fmt: skip
def test_a_difference_is_told_with_its_column_and_size(changes, absolute, relative):
    found = differences(LAYERS, layer_rows(), layer_rows(**changes))
    differ = found[~found["equal"]]
    assert set(differ["column"]) <= {*changes, ROWS, *LAYERS.columns}
    assert ROWS in set(differ["column"]) or set(differ["column"]) == set(changes)
    assert differ["absolute"].max() == absolute
    assert differ["relative"].max() == pytest.approx(relative)


def test_minus_zero_is_not_equal_to_the_bit_and_differs_by_nothing():
    found = differences(LAYERS, layer_rows(q=0.0), layer_rows(q=-0.0)).set_index("column")
    assert not found["equal"]["q"]
    assert found["absolute"]["q"] == 0
    assert found.drop("q")["equal"].all()


def test_missing_values_of_both_are_equal():
    both = layer_rows(q=None)
    assert differences(LAYERS, both, both)["equal"].all()


def test_the_verb_prints_and_writes_all_rows(first, second, tmp_path, capsys):
    asked = ["compare", str(first), str(second), "--out", str(tmp_path / "out")]
    assert cli.main(asked) == 0
    assert "VERDICTS: 1 of 2 moved" in capsys.readouterr().out
    written = {file.name: pd.read_csv(file) for file in (tmp_path / "out").iterdir()}
    assert sorted(written) == ["cells.csv", "facts.csv", "verdicts.csv"]
    assert written["verdicts.csv"]["claim"].tolist() == ["C00", "C01", "C02"]


def test_a_folder_or_file_that_is_not_there_is_named(first, tmp_path):
    with pytest.raises(UserError, match="give the folder of a study"):
        compare(first, tmp_path / "nowhere")
    copy = rewrite(first, None, None, tmp_path)
    shutil.rmtree(copy / "claims")
    with pytest.raises(UserError, match=r"there is no .*claims.*finish the study first"):
        compare(first, copy)


def test_a_table_of_another_version_is_named_with_its_commit(first, tmp_path):
    copy = rewrite(first, None, None, tmp_path)
    path = copy / "claims/ledger.parquet"
    older = LEDGER.without("high")
    older.write(LEDGER.read(path).drop(columns="high"), path, provenance_of(path))
    with pytest.raises(
        UserError, match=r"another version.*aaaa\) and lacks the columns \['high'\]"
    ):
        compare(first, copy)


def test_a_column_that_only_one_version_has_is_left_out(first, tmp_path):
    copy = rewrite(first, None, None, tmp_path)
    path = copy / "claims/ledger.parquet"
    LEDGER.without("reason", "p").write(
        LEDGER.read(path).drop(columns=["reason", "p"]), path, provenance_of(path)
    )
    assert not compare(first, copy).moved


def test_ranges_of_seeds_are_short():
    assert causes.ranges([20, 1, 2, 3]) == "1-3, 20"
    assert causes.ranges([]) == ""
