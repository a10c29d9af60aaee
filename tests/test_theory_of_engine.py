"""The theory against the engine: the slopes that a study measures are those that it predicts."""

import json

import pandas as pd
import pytest

from vanishing.engine import job
from vanishing.study import plan
from vanishing.theory.study import predictions

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


@pytest.fixture(scope="module")
def slopes(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The slope of every run beside that of its cell."""
    results = tmp_path_factory.mktemp("init")
    (results / "init.yaml").write_text(CONFIG)
    made = plan.make(results / "init.yaml", results)
    plan.write(made, results)
    plan.write_cohorts(made, results)
    cohorts = [json.loads(path.read_text()) for path in (results / "cohorts").iterdir()]
    runs = pd.concat([job.run(cohort).runs for cohort in cohorts])
    predicted = predictions(results).groupby("cell")["slope"].first()
    return runs.assign(predicted=runs["cell"].map(predicted))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu"])
@pytest.mark.parametrize("init", ["xavier", "he"])
def test_measured_slopes_are_within_a_hundredth_of_the_predicted(
    slopes: pd.DataFrame, activation: str, init: str
) -> None:
    cell = slopes[slopes["activation"].eq(activation) & slopes["init"].eq(init)]
    assert len(cell) == 20
    assert cell["slope"].mean() == pytest.approx(cell["predicted"].iloc[0], abs=0.01)
