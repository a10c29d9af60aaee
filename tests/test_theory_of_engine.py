"""The theory against the engine: the slopes that a study measures are those that it predicts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vanishing.engine import job
from vanishing.study import plan
from vanishing.tables import EXPECTED
from vanishing.theory.study import tables

CONFIG = """
batteries:
  init:
    family: mlp
    task: digits
    factors:
      activation: [sigmoid, tanh, relu, gelu]
      init: [xavier, he]
      depth: [20]
    width: 128
    seeds: {judged: 20}
    train: {steps: 0}
    probes: {batch: 64}
"""


PARTS = """
batteries:
  norms:
    family: mlp
    task: digits
    factors:
      activation: [relu]
      init: [he]
      norm: [batch, layer, {group: {groups: 4}}, rms, spectral, standardised]
      depth: [14]
    vary: {norm_position: [before, after]}
    width: 128
    seeds: {judged: 5}
    train: {steps: 0}
    probes: {batch: 64}
  residuals:
    family: mlp
    task: digits
    factors:
      activation: [tanh]
      init: [he]
      norm: [none, layer]
      residual: [identity, pre_activation, {skip_init: {start: 0.3}}, highway, stochastic_depth,
                 dense]
      depth: [13]
    vary: {block: [1, 3]}
    width: 96
    seeds: {judged: 5}
    train: {steps: 0}
    probes: {batch: 32}
  convolutions:
    family: cnn
    task: digits
    factors:
      activation: [tanh]
      init: [he, delta_orthogonal]
      residual: [none, identity]
      depth: [8]
    vary: {padding: [zero, circular], stages: [1, 2]}
    width: 32
    seeds: {judged: 6}
    train: {steps: 0}
    probes: {batch: 4}
"""
ONE_INPUT = """
batteries:
  width:
    family: mlp
    task: digits
    factors:
      activation: [relu]
      init: [he, orthogonal]
      depth: [6]
    vary: {width: [3, 48]}
    seeds: {judged: 200}
    train: {steps: 0}
    probes: {batch: 1}
"""


def measured(config: str, results: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The runs and layers of a study, and what is expected of its cells, by quantity."""
    (results / "study.yaml").write_text(config)
    made = plan.make(results / "study.yaml", results)
    plan.write(made, results)
    plan.write_cohorts(made, results)
    cohorts = [json.loads(path.read_text()) for path in sorted((results / "cohorts").iterdir())]
    logs = [job.run(cohort, device="cpu") for cohort in cohorts]
    expected = EXPECTED.check(tables(results)["expected"])
    runs, layers = (pd.concat([log[name] for log in logs]) for name in ("runs", "layers"))
    return runs, layers, expected.pivot(index="cell", columns="quantity", values="value")


@pytest.fixture(scope="module")
def slopes(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The slope of every run beside that of its cell."""
    results = tmp_path_factory.mktemp("init")
    runs, _, expected = measured(CONFIG, results)
    by_layer = tables(results)["predictions"].groupby("cell")["slope"].first()
    pd.testing.assert_series_equal(by_layer, expected["slope"], check_names=False)
    return runs.assign(predicted=runs["cell"].map(by_layer))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu"])
@pytest.mark.parametrize("init", ["xavier", "he"])
def test_measured_slopes_are_within_a_hundredth_of_the_predicted(
    slopes: pd.DataFrame, activation: str, init: str
) -> None:
    cell = slopes[slopes["activation"].eq(activation) & slopes["init"].eq(init)]
    assert len(cell) == 20
    assert cell["slope"].mean() == pytest.approx(cell["predicted"].iloc[0], abs=0.01)


def test_slopes_and_indices_of_other_parts_are_those_predicted_in_19_of_20_cells(
    tmp_path: Path,
) -> None:
    runs, _, expected = measured(PARTS, tmp_path)
    found = runs.groupby("cell")[["slope", "vanishing_index"]].mean()
    found = found.join(expected.add_suffix("_0"))
    assert len(found) >= 45
    assert found["slope_0"].notna().all()
    slope_off = (found["slope"] - found["slope_0"]).abs()
    index_off = (found["vanishing_index"] - found["vanishing_index_0"]).abs()
    assert (slope_off <= 0.01).mean() >= 0.95
    assert (index_off <= 0.2).mean() >= 0.95
    assert slope_off.max() <= 0.03


def test_networks_differ_and_are_born_dead_as_expected(tmp_path: Path) -> None:
    runs, layers, expected = measured(ONE_INPUT, tmp_path)
    by_run = runs.set_index("run_id")
    last = layers[layers["layer"] == 6].set_index("run_id")
    varies = np.log(last["q"].where(last["q"] > 0)).groupby(by_run["cell"]).var()
    known = expected["log_q_variance"].dropna()
    assert len(known) == 2  # at a width of 3 an expansion in 1/width says nothing
    np.testing.assert_allclose(varies[known.index], known, rtol=0.3)  # of 200: sd .1
    dead = layers.groupby("run_id")["dead_fraction"].max().eq(1)
    share = dead.groupby(by_run["cell"]).mean()
    known = expected["born_dead"].dropna()
    assert known.max() > 0.5
    np.testing.assert_allclose(share[known.index], known, atol=0.1)
