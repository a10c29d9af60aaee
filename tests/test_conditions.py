"""Where a conditional claim holds, in words."""

import pandas as pd
import pytest

from vanishing.report.conditions import conditions


def ledger(overall: str, strata: dict[str, str]) -> pd.DataFrame:
    """A claim's verdict and those of its strata, beside a secondary analysis of no account."""
    rows = {"all": overall, **strata, "secondary other: control=gelu": "SUPPORTED"}
    return pd.DataFrame({"claim": "C01", "stratum": list(rows), "verdict": list(rows.values())})


@pytest.mark.parametrize(
    ("strata", "said"),
    [
        (
            {"init=he, control=tanh": "REFUTED", "init=he, control=sigmoid": "SUPPORTED",
             "init=lecun, control=tanh": "REFUTED"},
            ", against sigmoid and not against tanh",
        ),
        (
            {"depth=4": "SUPPORTED", "depth=8": "SUPPORTED", "depth=32": "REFUTED"},
            ", with depth 4 or 8 and not with depth 32",
        ),
        (
            {"init=he, depth=4": "SUPPORTED", "init=he, depth=8": "REFUTED",
             "init=xavier, depth=4": "INCONCLUSIVE"},
            ", in he 4 and not in he 8",
        ),
        (
            {"a=1, b=1": "SUPPORTED", "a=1, b=2": "REFUTED", "a=2, b=1": "REFUTED",
             "a=2, b=2": "SUPPORTED", "a=3, b=3": "REFUTED", "a=1, b=3": "REFUTED"},
            ", in 1 1; 2 2 and not in 4 of 6 strata",
        ),
    ],
)  # fmt: skip
def test_a_condition_names_the_levels_that_part_the_strata_or_the_strata(strata, said):
    assert conditions(ledger("CONDITIONAL", strata)) == {"C01": said}


def test_a_verdict_that_is_not_conditional_has_no_condition():
    assert conditions(ledger("REFUTED", {"depth=4": "SUPPORTED"})) == {"C01": ""}
