"""The figure of verdicts: whole statements, in groups, and effects that leave the axis."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import read_claims
from vanishing.figures import ledger, style
from vanishing.tables import LEDGER

REGISTRY = Path(__file__).parents[1] / "reports/claims.yaml"
WORDS = ("SUPPORTED", "REFUTED", "CONDITIONAL", "INCONCLUSIVE")


@pytest.fixture(scope="module")
def claims():
    return read_claims(REGISTRY)


def judged(claims) -> pd.DataFrame:
    """A row ``all`` a claim of the registry, with its verdict by turns; W04 has no estimate."""
    rows = [
        dict.fromkeys(LEDGER.columns)
        | {"claim": claim.id, "stratum": "all", "statistic": "V at init [decades], mean",
           "value": -0.5, "low": -0.6, "high": -0.45, "n": 9, "verdict": WORDS[n % 4],
           "planned": 9, "done": 9, "diverged": 0, "reason": "r"}
        for n, claim in enumerate(claims.claims)
    ]  # fmt: skip
    rows[-1] |= {"value": None, "low": None, "high": None, "verdict": "NOT TESTABLE"}
    return LEDGER.frame(rows)


@pytest.fixture(scope="module")
def drawn(claims) -> dict:
    data = judged(claims)
    return {name: ledger.draw(ledger.points(data, claims, kinds))
            for name, kinds in ledger.PARTS.items()}  # fmt: skip


def texts(figure: mpl.figure.Figure) -> list[mpl.text.Text]:
    return [t for t in figure.findobj(mpl.text.Text) if t.get_text() and t.get_visible()]


def row(claim: str, **other: object) -> dict:
    said = {"claim": claim, "statement": "It is so.", "side": "greater", "verdict": "SUPPORTED"}
    found = {"value": 2.0, "low": 1.5, "high": 2.5, "n": 3, "effect": 0.4, "unit": ""}
    return said | found | other


def marks(figure: mpl.figure.Figure, shapes: str = "oXD") -> list[mpl.lines.Line2D]:
    [axes] = figure.axes
    return [line for line in axes.lines if line.get_marker() in shapes and len(line.get_xdata())]


def test_every_claim_of_the_registry_stands_whole_in_two_lines_and_once(drawn, claims) -> None:
    said = [" ".join(t.get_text().split()) for figure in drawn.values() for t in texts(figure)]
    for claim in claims.claims:
        assert said.count(claim.statement) == 1, claim.id
        assert said.count(claim.id) == 1


def test_the_registry_fills_no_more_than_two_thirds_of_a_page_a_figure(drawn) -> None:
    for figure in drawn.values():
        assert figure.get_figwidth() == style.WIDTH
        assert figure.get_figheight() < 6.8


def test_no_words_meet_others_or_leave_the_page_and_none_is_small(drawn) -> None:
    for figure in drawn.values():
        shown = texts(figure)
        assert min(text.get_fontsize() for text in shown) >= 7
        boxes = [text.get_window_extent() for text in shown]
        assert min(box.x0 for box in boxes) >= 0
        assert max(box.x1 for box in boxes) <= figure.bbox.x1
        inside = [box.shrunk(0.98, 0.9) for box in boxes]  # lines of a text have a little air
        for n, box in enumerate(inside):
            assert not any(box.overlaps(other) for other in inside[:n]), shown[n].get_text()


def test_claims_stand_in_groups_in_the_order_of_their_ids() -> None:
    data = pd.DataFrame([row("R02"), row("C07"), row("R01"), row("C01"), row("Z1")])
    said = [t.get_text() for t in sorted(texts(ledger.draw(data)), key=lambda t: -top(t))]
    groups = [ledger.GROUPS["R"], "R01", "R02", ledger.GROUPS["C"], "C01", "C07", "Z1"]
    assert [word for word in said if word in groups] == groups


def top(text: mpl.text.Text) -> float:
    return text.get_window_extent().y1


def test_an_effect_has_its_number_and_unit_beside_it_and_a_claim_without_one_its_verdict() -> None:
    none = {"value": np.nan, "low": np.nan, "high": np.nan, "effect": np.nan}
    data = pd.DataFrame(
        [
            row("C01", effect=-0.5, unit="decades"),
            row("C02", effect=1234.5),
            row("C03", effect=1.0, unit="decades/layer"),
            row("C04", verdict="NOT TESTABLE", **none),
            row("C05", verdict="INCONCLUSIVE", **none),
        ]
    )
    said = [" ".join(text.get_text().split()) for text in texts(ledger.draw(data))]
    beside = ("\u22120.50 decades", "1234", "1.0 decades/layer", "not testable",
              "no estimate")  # fmt: skip
    assert all(said.count(words) == 1 for words in beside)
    assert "supported" in said
    assert len(marks(ledger.draw(data))) == 1


def test_verdicts_differ_in_shape_or_filling_and_only_decided_ones_are_filled() -> None:
    data = pd.DataFrame([row(f"C0{n}", verdict=word) for n, word in enumerate(WORDS)])
    found = marks(ledger.draw(data))
    filled = [line.get_markerfacecolor() != style.BACKGROUND for line in found]
    assert filled == [True, True, False, False]
    assert len({(line.get_marker(), full) for line, full in zip(found, filled, strict=True)}) == 4


def test_an_effect_beyond_the_axis_is_an_arrow_at_its_end() -> None:
    data = pd.DataFrame([row("C01", value=5e3, low=4e3, high=6e3), row("C02", low=-900.0)])
    figure = ledger.draw(data)
    left, right = figure.axes[0].get_xlim()
    [found] = marks(figure)
    assert list(found.get_xdata()) == [2.0]
    arrows = {line.get_marker(): list(line.get_xdata()) for line in marks(figure, "<>")}
    assert arrows == {"<": [left], ">": [right]}


def test_the_shade_is_where_the_claim_says_that_its_effect_lies() -> None:
    data = pd.DataFrame([row("C01"), row("C02", side="equivalent")])
    [axes] = ledger.draw(data).axes
    [shade] = [c for c in axes.collections if isinstance(c, mpl.collections.PolyCollection)]
    spans = [sorted(set(path.vertices[:, 0])) for path in shade.get_paths()]
    assert spans == [[1.0, axes.get_xlim()[1]], [0.0, 1.0]]


def test_a_statement_of_the_users_that_is_too_long_is_cut_at_a_word() -> None:
    wide = "Where weights are small, the gradient vanishes as WAGONS DO with memory, " * 3
    figure = ledger.draw(pd.DataFrame([row("W01", statement=wide)]))
    [said] = [text for text in texts(figure) if text.get_text().startswith("Where")]
    assert said.get_text().endswith(" \u2026")
    assert said.get_text().count("\n") == 1
    assert said.get_window_extent().x1 < figure.axes[0].get_window_extent().x0
