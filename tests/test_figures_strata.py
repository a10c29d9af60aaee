"""The forest plot of a claim's strata: which rows, in which order, how drawn and saved."""

import numpy as np
import pandas as pd
import pytest

from vanishing.figures import ledger as verdicts
from vanishing.figures import strata, style
from vanishing.tables import LEDGER

from .followed import registry, study


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    return registry(tmp_path_factory.mktemp("claims"))


@pytest.fixture(scope="module")
def ledger() -> pd.DataFrame:
    return study()[0]


def many(ledger: pd.DataFrame, count: int) -> pd.DataFrame:
    """The ledger with ``count`` strata of C01, of the effects 0, 1, 2 and so on, in disorder."""
    stratum = ledger[ledger["stratum"] == "init=he, control=tanh"]
    rows = [
        stratum.assign(stratum=f"init=he, control={n:03}", value=n, low=n - 0.5, high=n + 0.5)
        for n in np.random.default_rng(0).permutation(count)
    ]
    return LEDGER.frame(pd.concat([ledger[ledger["stratum"] == "all"], *rows], ignore_index=True))


def test_rows_are_the_strata_by_effect_and_the_pooled_one_last(ledger, claims):
    data = strata.points(ledger, claims.claims[0])
    of_ledger = ledger[ledger["claim"] == "C01"].set_index("stratum")
    assert data["row"].iloc[-1] == "all"
    assert set(data["row"]) == {f"init={i}, control={c}" for i in ("he", "xavier")
                                for c in ("tanh", "sigmoid")} | {"all"}  # fmt: skip
    assert data["value"][:-1].is_monotonic_increasing
    for column in ("value", "low", "high", "n", "verdict"):
        assert list(data[column]) == list(of_ledger.loc[data["row"], column])
    assert set(zip(data["band_low"], data["band_high"], strict=True)) == {(-0.02, 0.02)}


def test_labels_name_levels_and_the_pooled_row_says_what_it_is(ledger, claims):
    data = strata.points(ledger, claims.claims[0]).set_index("row")
    assert data.loc["init=he, control=tanh", "label"] == "he, than tanh"
    assert data.loc["all", "label"] == "all (weakest stratum)"
    said = "slope at init, activation relu less tanh or sigmoid [decades/layer]"
    assert data["axis"].iloc[0] == said


def test_an_equivalence_is_set_off_from_its_target(ledger, claims):
    [row] = strata.points(ledger, claims.claims[1]).to_dict("records")
    distance = ledger.loc[(ledger["claim"] == "C02") & (ledger["stratum"] == "all"), "value"]
    assert row["value"] == pytest.approx(0.01 + distance.iloc[0])
    assert (row["band_low"], row["band_high"]) == pytest.approx((-0.04, 0.06))
    assert row["label"] == "all (mean over cells, distance)"
    assert not row["axis"].startswith("distance")


@pytest.mark.parametrize(("count", "left_out"), [(12, 0), (13, 1), (60, 48)])
def test_of_many_strata_the_most_extreme_are_kept_and_the_others_counted(
    ledger, claims, count, left_out
):
    data = strata.points(many(ledger, count), claims.claims[0])
    assert len(data) == 13
    assert list(data["value"][:6]) == [0, 1, 2, 3, 4, 5]
    assert list(data["value"][6:12]) == list(range(count - 6, count))
    assert set(data["left_out"]) == {left_out}
    said = [text.get_text() for text in strata.draw(data).axes[0].texts]
    assert said == ([f"… {left_out} strata between these …"] if left_out else [])


def test_marks_are_those_of_the_verdicts_and_the_pooled_one_is_larger(ledger, claims):
    data = strata.points(ledger, claims.claims[0])
    data = data.assign(verdict=["SUPPORTED", "REFUTED", "INCONCLUSIVE", "SUPPORTED", "CONDITIONAL"])
    marks = [line for line in strata.draw(data).axes[0].lines if line.get_marker() in "oXD"]
    found = {(line.get_marker(), line.get_markerfacecolor()): line for line in marks}
    green, red = verdicts.COLOURS["SUPPORTED"], verdicts.COLOURS["REFUTED"]
    open_ones = {("o", style.BACKGROUND), ("D", style.BACKGROUND)}
    assert set(found) == {("o", green), ("X", red)} | open_ones
    assert list(found["o", green].get_xdata()) == list(data["value"].iloc[[0, 3]])
    sizes = sorted((line.get_markersize(), line.get_marker()) for line in marks)
    assert sizes[-1][1] == "D"
    assert sizes[-1][0] > sizes[-2][0]


def test_an_interval_lies_at_the_height_of_its_point(ledger, claims):
    data = strata.points(ledger, claims.claims[0])
    lines = strata.draw(data).axes[0].lines
    bars = {y: x for line in lines if line.get_marker() == "None" and len(line.get_xdata()) % 3 == 0
            for x, y in zip(np.reshape(line.get_xdata(), (-1, 3))[:, :2].tolist(),
                            line.get_ydata()[::3].tolist(), strict=True)}  # fmt: skip
    points = {y: x for line in lines if line.get_marker() in "oXD"
              for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}  # fmt: skip
    assert bars.keys() == points.keys()
    heights = sorted(points)
    assert [points[y] for y in heights] == list(data["value"])
    assert [tuple(bars[y]) for y in heights] == list(zip(data["low"], data["high"], strict=True))


def test_no_label_leaves_the_figure(ledger, claims):
    wide = {"init=he, control=003": f"init=he, control={'w' * 80}"}
    drawn = strata.draw(
        strata.points(many(ledger, 12).replace({"stratum": wide}), claims.claims[0])
    )
    labels = drawn.axes[0].get_yticklabels()
    assert min(text.get_window_extent().x0 for text in labels) >= 0
    assert max(len(text.get_text()) for text in labels) == strata.LABEL


def test_a_claim_without_an_estimate_has_no_rows(ledger, claims):
    assert strata.points(ledger, claims.claims[2]).empty
    empty = strata.draw(strata.points(ledger, claims.claims[2]))
    assert "Nothing of this claim" in empty.texts[0].get_text()


def test_every_claim_with_an_estimate_is_drawn_the_same_twice(ledger, claims, tmp_path):
    first = strata.save_each(ledger, claims, tmp_path / "a")
    again = strata.save_each(ledger, claims, tmp_path / "b")
    assert [saved.path.name for saved in first] == ["C01.svg", "C02.svg"]
    for one, other in zip(first, again, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()
        assert len(pd.read_csv(one.path.with_suffix(".csv"))) in (1, 5)


def test_figures_of_claims_that_have_no_estimate_any_more_are_removed(ledger, claims, tmp_path):
    strata.save_each(ledger, claims, tmp_path)
    strata.save_each(ledger[ledger["claim"] == "C01"], claims, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"C01.svg", "C01.csv"}
