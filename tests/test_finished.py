"""The tables of a study lie where its workflow says that they do."""

import re
from pathlib import Path

import pytest

from vanishing.analysis.finished import path_of
from vanishing.tables import OF_CLAIMS, TABLES

RULES = Path(__file__).parent.parent / "workflow" / "rules"
CLAIMED = {"ledger", "evidence", "specifications", "false_positives"}


@pytest.mark.parametrize("name", TABLES)
def test_verdicts_and_what_they_rest_on_are_kept_apart_from_the_other_tables(name):
    folder = "claims" if name in CLAIMED else "tables"
    assert path_of(Path("results"), TABLES[name]) == Path(f"results/{folder}/{name}.parquet")


def test_the_rules_of_the_workflow_know_the_same_paths():
    rules = "".join(path.read_text() for path in RULES.glob("*.smk"))
    named = set(re.findall(r"{RESULTS}/((?:claims|tables)/(\w+)\.parquet)", rules))
    assert {name for _, name in named} >= set(OF_CLAIMS)
    for path, name in named:
        assert path_of(Path(), TABLES[name]) == Path(path)
