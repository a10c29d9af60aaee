"""Figures over depth and of how trainings go: what they show, of which runs, and of none."""

import numpy as np
import pandas as pd
import pytest

from vanishing.figures import depths, outcomes, remedies, style, survival

from . import planted


def ended(cell: dict, rng: np.random.Generator) -> dict:
    """Batch norm trains after 20 updates, plain nets diverge when deep, and stall otherwise."""
    if cell["norm"] == "batch":
        return {"outcome": "trained", "steps_to_threshold": 20 + int(rng.integers(3))}
    return {"outcome": "diverged" if cell["depth"] == 9 else "stalled"}


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    arms = {"activation": ["sigmoid", "tanh"], "norm": ["none", "batch"], "depth": [4, 9]}
    return planted.runs_of("training", arms, 5, ended, steps=50, optimizer="sgd")


def test_a_run_that_never_gets_there_stays_in_the_curve_until_its_budget_ends(runs):
    data = survival.points(runs)
    plain = data[data["norm"].eq("none") & data["activation"].eq("tanh")]
    assert plain["survival"].eq(1).all()
    assert plain["time"].max() == 50
    assert plain["reached"].eq(0).all()
    batch = data[data["norm"].eq("batch") & data["activation"].eq("tanh")]
    assert batch["survival"].iloc[-1] == 0
    assert batch["time"].iloc[-1] <= 22
    assert batch["runs"].eq(10).all()
    assert survival.draw(data).axes


def test_every_outcome_of_every_cell_is_counted(runs):
    data = outcomes.points(runs)
    assert data["runs"].sum() == len(runs)
    cell = data[data["norm"].eq("none") & data["depth"].eq(9) & data["activation"].eq("tanh")]
    assert cell[["outcome", "runs"]].to_numpy().tolist() == [["diverged", 5]]
    drawn = outcomes.draw(data)
    assert [axes.get_title("left") for axes in drawn.axes] == ["depth 4", "depth 9"]


def test_outcomes_differ_in_height_or_fill_and_bars_of_a_cell_fill_its_row(runs):
    drawn = outcomes.draw(outcomes.points(runs))
    for axes in drawn.axes:
        bars = [patch.get_bbox() for patch in axes.patches if patch.get_width() > 0]
        assert sum(bar.width for bar in bars) == pytest.approx(4)
    heights = {outcomes.HEIGHTS.get(name, 0.8) for name in outcomes.COLOURS}
    assert len(heights) == len(outcomes.COLOURS)


def test_lines_of_the_survival_figure_are_named_at_their_ends(runs):
    drawn = survival.draw(survival.points(runs))
    names = {t.get_text(): t.get_color() for axes in drawn.axes for t in axes.texts}
    assert names == {name: style.remedy_colour(norm) for name, norm in
                     (("plain", "none"), ("batch norm", "batch"))}  # fmt: skip


def test_tuning_runs_are_in_no_curve_and_no_bar(runs):
    tuning = runs.assign(split="tuning", run_id=runs["run_id"] + "t")
    both = pd.concat([runs, tuning], ignore_index=True)
    pd.testing.assert_frame_equal(survival.points(both), survival.points(runs))
    pd.testing.assert_frame_equal(outcomes.points(both), outcomes.points(runs))


def test_depth_is_shown_at_the_width_and_inits_that_have_most_of_them():
    arms = {"activation": ["tanh"], "init": ["he", "xavier"], "depth": [4, 8, 16]}
    few = {"activation": ["tanh"], "init": ["lecun"], "depth": [4, 8]}
    found = pd.concat(
        [planted.runs_of("depths", arms, 4, planted.normal(-0.1)),
         planted.runs_of("few", few, 4, planted.normal(-0.1))], ignore_index=True
    )  # fmt: skip
    data = depths.points(found)
    assert set(data["init"]) == {"he", "xavier"}
    assert data["n"].eq(4).all()
    assert len(depths.draw(data).axes) == 2


def test_a_remedy_keeps_the_control_that_its_battery_shares_with_another():
    arms = {"activation": ["tanh"], "init": ["torch_default"], "norm": ["none", "batch"]}
    remedy = planted.runs_of("remedies_init", arms, 4, planted.normal(-0.1))
    shared = remedy[remedy["norm"].eq("none")].assign(battery="signal")
    data = remedies.points(pd.concat([shared, remedy], ignore_index=True))
    assert data["remedy"].tolist() == ["batch"]
    assert data["n"].tolist() == [4]


@pytest.mark.parametrize("module", [depths, survival, outcomes])
def test_a_study_without_such_runs_says_so(module, runs):
    drawn = module.draw(module.points(runs.iloc[:0]))
    assert len(drawn.texts) == 1


def test_the_same_data_give_the_same_bytes(runs, tmp_path):
    written = []
    for _ in range(2):
        for module in (survival, outcomes):
            data = module.points(runs)
            path = tmp_path / f"{module.__name__}.svg"
            style.save(module.draw(data), path, data)
            written.append(path.read_bytes())
    assert written[:2] == written[2:]
