"""What a paper is put together from: its tables, numbers and stamp, figures, the rule graph."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from vanishing.analysis.claims import read_claims
from vanishing.errors import UserError
from vanishing.report import blocks, design, facts, progress, rulegraph, svg
from vanishing.report.svg_compact import Sheet
from vanishing.study.config import read
from vanishing.tables import AGREEMENT, LEDGER, RUNS

from .papers import CLAIMS, LONG, drawing, fact, ledger, paper_in, run_rows, study_in

DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
    0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
    1[label = "report", color = "0.20 0.6 0.85", style="rounded"];
    2[label = "train", color = "0.40 0.6 0.85", style="rounded"];
    3[label = "plan", color = "0.50 0.6 0.85", style="rounded"];
    1 -> 0
    2 -> 1
    3 -> 1
    3 -> 2
}"""


@pytest.fixture
def results(tmp_path) -> Path:
    """A finished synthetic study: all that the paper reads."""
    return study_in(tmp_path)


@pytest.fixture
def source(tmp_path) -> Path:
    """A small paper with the project's theme and bibliography."""
    return paper_in(tmp_path)


def test_figures_follow_the_page_in_html_and_are_ink_in_pdf():
    sheet = Sheet()
    screen = svg.for_screen(drawing("a"), "a", 'an "alt" text', sheet)
    assert 'aria-label="an &quot;alt&quot; text"' in screen
    assert 'clip-path="url(#s0)"' in screen
    assert '<clipPath id="s0">' in sheet.drawing()
    assert "fill:var(--plot-text)" in sheet.drawing()
    screen += sheet.drawing()
    for sentinel in (svg.TEXT, svg.GRID, svg.BACKGROUND):
        assert sentinel not in screen + svg.for_paper(drawing("a"))


def test_sentinel_colours_are_those_of_the_figures():
    from vanishing.figures import style

    assert (svg.TEXT, svg.GRID, svg.BACKGROUND) == (style.TEXT, style.GRID, style.BACKGROUND)
    assert svg.ON_PAPER == style.ON_PAPER


def test_study_without_any_run_is_stamped(results):
    (results / "tables" / "runs.parquet").unlink()
    assert progress.stamp(*progress.read(results)) == "incomplete: 0 of 6 runs"


def test_a_study_named_smoke_may_judge_if_its_config_says_so(results):
    plan, runs = progress.read(results)
    assert progress.stamp(plan | {"study": "smoke"}, runs) == ""


def test_statement_of_an_unregistered_claim_is_refused():
    with pytest.raises(UserError, match="states no such claims"):
        blocks.verdicts(ledger(), {"C01": "x"})


def test_a_mistake_in_the_registry_is_refused_before_the_table(source):
    claims = source.parents[1] / "claims.yaml"
    assert blocks.statements(read_claims(claims))["C01"] == f"{' '.join(LONG.split())} C01"
    claims.write_text(claims.read_text().replace("statement:", "statment:", 1))
    with pytest.raises(UserError, match="no key is called 'statment'"):
        blocks.standard(source.parent, claims, "")


def test_reasons_give_holms_p_of_a_primary_test_and_hochbergs_of_a_secondary_one():
    given = {"stratum": "secondary a_b", "p": 0.5, "p_holm": None, "p_bh": 0.25}
    rows = LEDGER.frame(ledger().head(1).assign(**given))
    both = LEDGER.frame(pd.concat([ledger().head(1), rows], ignore_index=True))
    first, second = blocks.reasons(both).splitlines()[2:]
    assert "| < 0.001 |" in first
    assert second.startswith("| C01 a b |")
    assert "| 0.250 |" in second


def test_verdict_table_has_a_row_a_claim():
    lines = blocks.verdicts(ledger(), dict.fromkeys(CLAIMS, "It | shrinks.")).splitlines()
    assert len(lines) == 2 + len(CLAIMS)
    badge = "[[SUPPORTED]{.verdict .supported}](#claim-C01)"
    effect = "−0.250 \\[−0.500,\xa00.000\\] decades/layer, *n* = 20"
    assert lines[2] == f"| C01 | It \\| shrinks. | {badge} [{effect}]{{.statistic}} |"


def test_agreement_counts_cells_within_tolerance_by_quantity():
    row = {name: "x" if c.dtype == "string" else 1 for name, c in AGREEMENT.columns.items()}
    rows = [
        row | {"quantity": "slope", "cell": cell, "tolerance": 0.01, "distance": off, "inside": ok}
        for cell, off, ok in (("a", 0.002, True), ("b", -0.03, False))
    ]
    rows.append(
        row | {"quantity": "log_q_variance", "tolerance": 0.25, "distance": 0.125, "inside": True}
    )
    lines = blocks.agreement(AGREEMENT.frame(rows)).splitlines()[2:]
    assert lines[0].endswith("| 2 | 1 | 0.01 | 0.03 | 0.03 |")
    assert lines[1].endswith("| 1 | 1 | 25.0% | 12.5% | 12.5% |")
    assert blocks.agreement(AGREEMENT.frame([])).count("|") == 3 * 7
    [missed] = blocks.outside(AGREEMENT.frame(rows)).splitlines()[2:]
    assert missed.startswith("| slope | x, x, norm x, residual x, depth 1, width 1, task x | 1.000")
    assert blocks.outside(AGREEMENT.frame([])).count("|") == 3 * 5


def test_a_recurrent_cell_outside_is_named_by_its_recurrence_and_length_in_order_of_quantity():
    row = {name: "none" if c.dtype == "string" else 1 for name, c in AGREEMENT.columns.items()}
    row |= {"inside": False, "task": "digits", "family": "mlp", "truncation": 0}
    net = {"family": "rnn", "recurrence": "lstm", "length": 50, "task": "adding"}
    rows = [
        row | net | {"quantity": "lag_slope", "cell": "a"},
        row | {"quantity": "slope", "cell": "b"},
        row | net | {"quantity": "lag_slope", "cell": "c", "truncation": 5, "length": 25},
    ]
    first, second, third = blocks.outside(AGREEMENT.frame(rows)).splitlines()[2:]
    assert first.startswith("| slope | none, none, depth 1, width 1 |")
    assert "RNN, lstm, length 50, depth 1, width 1, task adding |" in second
    assert "length 25, truncated to 5," in third


BATTERY = """\
batteries:
  gates:
    family: rnn
    task: adding
    factors: {activation: [tanh], init: [he], norm: [none], residual: [none], depth: [1, 2]}
    vary: {recurrence: [gru, {skip: {steps: 7}}]}
    exclude:
      - {when: {recurrence: [gru, {skip: {steps: 7}}], depth: 2}, because: short}
    width: 8
    length: 20
    seeds: {judged: 2}
    train: {steps: 0}
"""


def test_the_config_lacks_what_stands_at_its_default_and_resolves_to_the_same(tmp_path):
    (tmp_path / "own.yaml").write_text(BATTERY)
    study = read(tmp_path / "own.yaml")
    shown = design.config({"config": study.model_dump(exclude_none=True)})
    assert not any(name in shown for name in ("instance_noise", "padding", "tuning", "schedule"))
    assert all(name in shown for name in ("length: 20", "recurrence: [gru, skip(steps=7)]"))
    assert shown.startswith("```yaml\n# What stands at its default is left out.\n")
    given = yaml.safe_load(shown.removeprefix("```yaml").removesuffix("```"))
    assert set(given["batteries"]["gates"]) == {
        "family", "task", "factors", "vary", "exclude", "width", "length", "seeds", "train"
    }  # fmt: skip


def test_rules_name_parts_by_their_labels():
    rule = {"when": {"recurrence": ["gru", {"skip": {"steps": 5}}], "depth": 2}, "cells": 3}
    battery = {"excluded": [rule | {"because": "short"}]}
    [row] = design.excluded({"batteries": {"gates": battery}}).splitlines()[2:]
    assert row == "| gates | recurrence gru or skip(steps=5), depth 2 | 3 | short |"


def test_a_battery_has_its_networks_training_seeds_and_runs(results):
    rows = run_rows(["run0", "run1"]).assign(outcome=["diverged", "trained"])
    RUNS.write(RUNS.frame(rows), results / "tables" / "runs.parquet")
    plan, runs = progress.read(results)
    made = design.batteries(plan, progress.batteries(plan, runs)).splitlines()[-1]
    networks = "MLP on digits; activation tanh; init he; depth 10, 20; width 64"
    assert made == f"| signal | {networks} | none | 3 | 2 of 6 | 1 |"


@pytest.mark.parametrize(
    ("lr", "vary", "said"),
    [
        ([0.1, 0.3], {}, "80 updates, adam, best of 2 rates"),
        ([0.1], {}, "80 updates, adam, rate 0.1"),
        (0.1, {"lr": [0.1, 1, 10]}, "80 updates, adam, each of 3 rates"),
    ],
)
def test_a_trained_battery_says_how_its_rates_were_chosen(results, lr, vary, said):
    plan, runs = progress.read(results)
    plan["config"]["batteries"]["signal"] |= {
        "train": {"steps": 80, "optimizer": "adam", "lr": lr}, "vary": vary,
        "seeds": {"tuning": 2, "judged": 9},
    }  # fmt: skip
    made = design.batteries(plan, progress.batteries(plan, runs)).splitlines()[-1]
    assert f"| {said} | 2 + 9 | 6 |" in made


@pytest.mark.parametrize(
    ("value", "formats", "shown"),
    [
        (0.5, ["signed"], "+0.500"),
        (0.5, ["percent"], "50.0\u202f%"),
        (0.00001, ["p"], "< 0.001"),
        (0.0321, ["p"], "= 0.032"),
        (None, [], "n/a"),
        (None, ["percent"], "n/a"),
        (None, ["unit", "interval"], "n/a"),
        ("laptop", [], "laptop"),
        (-0.00001, [], "0.000"),
    ],
)
def test_formats(value, formats, shown):
    assert facts.formatted(fact(value), formats) == shown


def test_rule_graph_drops_all_and_implied_edges():
    picture = rulegraph.draw(DOT)
    assert re.findall(r">(\w+)</text>", picture) == ["report", "train", "plan"]
    assert picture.count("<path") == 2


def test_rule_graph_without_rules_is_refused():
    with pytest.raises(UserError, match="names no rules"):
        rulegraph.draw("digraph {}")
