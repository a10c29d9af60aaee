"""From logs to the ledger: every logged table is gathered, and the study is judged from them."""

import json

import pandas as pd
import pytest

from vanishing.analysis.gather import gather
from vanishing.analysis.study import judge_study
from vanishing.table import Table
from vanishing.tables import (
    AGREEMENT,
    CASES,
    EVIDENCE,
    EXPECTED,
    FALSE_POSITIVES,
    FRONTIERS,
    IMPORTANCE,
    INTERACTIONS,
    LEDGER,
    LOGS,
    PREDICTIONS,
    SPECIFICATIONS,
    SUMMARY,
    TABLES,
)

from .planted import layers_of, no_predictions
from .planted_claims import REGISTRY
from .planted_nets import games_of, gans, lags_of, line, recurrent, scores_of


def severe(_, rng):
    """An index through time that is severe, beside one through layers that is not."""
    return {"lag_slope": -0.2 + rng.normal(0, 0.001), "lag_index": -4.0, "vanishing_index": 0.0}


@pytest.fixture
def runs() -> pd.DataFrame:
    ended = {"outcome": "trained", "vanishing_index": 0.0}
    live = gans({"game": ["hinge"]}, 8, lambda *_: ended).assign(cohort="d")
    return pd.concat([recurrent({}, 8, severe), live], ignore_index=True)


@pytest.fixture
def results(tmp_path, runs):
    """The logs of two cohorts, of which nothing else is known, and their plan."""
    logged = {name: table.frame([]) for name, table in LOGS.items()}
    logged["runs"] = runs.drop(columns=["battery", "signal"])
    logged["layers"] = layers_of(runs, lambda _: {}, 2)
    logged["lags"] = lags_of(runs[:8], lambda *_: line(-0.2))
    logged["games"] = games_of(runs[8:], lambda _: {0: -1.0, 64: -3.0})
    logged["scores"] = scores_of(runs[8:], "modes", lambda _: {64: {0: 6.0}})
    for cohort, members in runs.groupby("cohort")["run_id"]:
        for name, table in LOGS.items():
            mine = logged[name][logged[name]["run_id"].isin(members)]
            table.write(mine, tmp_path / "logs" / name / f"{cohort}.parquet")
    plan = {
        "study": "planted", "config": {"verdicts": True}, "cohorts": [{"id": "c"}, {"id": "d"}],
        "members": {name: list(part["run_id"]) for name, part in runs.groupby("battery")},
    }  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    return tmp_path


def gathered(results) -> dict[str, pd.DataFrame]:
    """The tables that gathering the logs leaves behind."""
    gather(results)
    names = {file.stem for file in (results / "tables").iterdir()}
    return {n: TABLES[n].read(results / "tables" / f"{n}.parquet") for n in names}


def test_every_logged_table_is_gathered(results, runs):
    tables = gathered(results)
    assert set(tables) == {*LOGS, "profiles"}
    assert len(tables["runs"]) == len(runs)
    assert set(tables["lags"]["run_id"]) == set(runs["run_id"][:8])
    assert (
        set(tables["scores"]["run_id"]) == set(tables["games"]["run_id"]) == set(runs["run_id"][8:])
    )
    signals = tables["runs"].groupby("battery")["signal"].unique().map(list).to_dict()
    assert signals == {"rnn_init": ["severely vanishing"], "gan_live": ["healthy"]}


def test_runs_that_no_battery_asks_for_are_left_out_of_every_table(results, runs):
    plan = json.loads((results / "plan.json").read_text())
    plan["members"] = {"one": list(runs["run_id"][:3]), "two": list(runs["run_id"][2:3])}
    (results / "plan.json").write_text(json.dumps(plan))
    tables = gathered(results)
    assert sorted(tables["runs"]["battery"]) == ["one"] * 3 + ["two"]
    assert tables["lags"]["run_id"].nunique() == tables["layers"]["run_id"].nunique() == 3
    assert tables["games"].empty
    assert tables["scores"].empty


def test_a_study_is_judged_from_its_tables(results):
    def write(table: Table, data: pd.DataFrame) -> None:
        table.write(data, results / "tables" / f"{table.name}.parquet")

    tables = gathered(results)
    write(PREDICTIONS, no_predictions())
    said = {"quantity": "lag_slope", "value": -0.201, "source": "planted"}
    cell = tables["runs"].query("family == 'rnn'")["cell"].iloc[0]
    write(EXPECTED, EXPECTED.frame([{"cell": cell, **said}]))
    judge_study(results, REGISTRY)
    agreed = AGREEMENT.read(results / "tables/agreement.parquet")
    assert agreed["quantity"].tolist() == ["lag_slope"]
    assert agreed["inside"].all()
    facts = json.loads((results / "claims/facts.json").read_text())
    assert facts["lag.slope.vanilla.torch_default"]["value"] == pytest.approx(-0.2, abs=0.002)
    assert facts["gan.modes.hinge"]["value"] == 6
    assert "lag_slope" in set(SUMMARY.read(results / "tables/summary.parquet")["outcome"])
    assert not LEDGER.read(results / "claims/ledger.parquet").empty
    for table in (EVIDENCE, SPECIFICATIONS, FALSE_POSITIVES):
        assert set(table.read(results / f"claims/{table.name}.parquet").columns) == set(
            table.columns
        )
    for table in (INTERACTIONS, CASES):
        assert table.read(results / f"tables/{table.name}.parquet").empty
    assert IMPORTANCE.read(results / "tables/importance.parquet").empty
    assert FRONTIERS.read(results / "tables/frontiers.parquet").empty
