"""The theory of gradients through time against the engine, from a study's plan to its tables."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from vanishing import cli
from vanishing.engine import job
from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.engine.samples import samples_of
from vanishing.engine.through_time import measure_through_time
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Shape
from vanishing.parts.data import Data
from vanishing.parts.inits import INITS
from vanishing.parts.losses import LOSSES
from vanishing.parts.recurrences import RECURRENCES
from vanishing.parts.tasks import load
from vanishing.study import plan
from vanishing.tables import EXPECTED, LAG_PREDICTIONS, PREDICTIONS
from vanishing.theory import sequences, study
from vanishing.theory.recurrent import MOST_STEPS, unrolled
from vanishing.theory.sequences import Probe
from vanishing.theory.slope import lag_slope

RNN = """
    family: rnn
    width: {width}
    task: {task}
    factors: {{activation: {activation}, init: {init}, norm: [{norm}], depth: [{depth}]}}
    vary: {{recurrence: {recurrence}}}
    truncation: {truncation}
    seeds: {{judged: {seeds}}}
    train: {{steps: 0}}
    probes: {{batch: 64}}
"""
LEFT_OUT = {
    "width": 256, "task": "adding", "activation": "[tanh]", "init": "[orthogonal]", "norm": "none",
    "depth": 1, "recurrence": "[vanilla]", "truncation": 0, "seeds": 4,
}  # fmt: skip
GAN = """
    family: gan
    width: 8
    task: ring
    factors: {activation: [relu], init: [he], depth: [2, 3]}
    seeds: {judged: 1}
    train: {steps: 0}
"""


class Found(NamedTuple):
    """What an init study measured, and what theory says of it."""

    runs: pd.DataFrame
    layers: pd.DataFrame
    lags: pd.DataFrame
    predictions: pd.DataFrame
    expected: pd.DataFrame
    lag_predictions: pd.DataFrame

    def cell(self, **settings: object) -> str:
        """The one cell that has these settings."""
        rows = self.runs
        for name, value in settings.items():
            rows = rows[rows[name] == value]
        [cell] = rows["cell"].unique()
        return cell

    def profiles(self, cell: str, layer: int = 1) -> np.ndarray:
        """log10 rms(dL/dh_t) as measured, (runs, lags)."""
        mine = self.runs.loc[self.runs["cell"] == cell, "run_id"]
        rows = self.lags[self.lags["run_id"].isin(mine) & (self.lags["layer"] == layer)]
        return rows.pivot(index="run_id", columns="lag", values="log10_delta_rms").to_numpy(float)

    def predicted_profile(self, cell: str, layer: int = 1) -> np.ndarray:
        """The same as predicted, (lags), 0 at lag 0 of the top layer."""
        rows = self.lag_predictions
        rows = rows[(rows["cell"] == cell) & (rows["layer"] == layer)]
        return rows.sort_values("lag")["log10_delta_rms"].to_numpy()

    def slope(self, cell: str) -> float:
        """The lag slope that is expected."""
        return self.expected.set_index(["cell", "quantity"]).loc[(cell, "lag_slope"), "value"]


def planned(results: Path, **batteries: str) -> Path:
    """A folder of results with the plan of these batteries."""
    text = "batteries:\n" + "\n".join(f"  {name}:{body}" for name, body in batteries.items())
    (results / "study.yaml").write_text(text)
    made = plan.make(results / "study.yaml", results)
    plan.write(made, results)
    plan.write_cohorts(made, results)
    return results


def rnn(**settings: object) -> str:
    return RNN.format(**{**LEFT_OUT, **settings})


def run(results: Path) -> Found:
    """Train what is planned, and predict it."""
    cohorts = [json.loads(path.read_text()) for path in sorted((results / "cohorts").iterdir())]
    logs = [job.run(cohort, device="cpu") for cohort in cohorts]
    measured = (pd.concat([log[name] for log in logs]) for name in ("runs", "layers", "lags"))
    return Found(*measured, **study.tables(results))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return run(
        planned(
            tmp_path_factory.mktemp("rnn"),
            plain=rnn(activation="[tanh, linear]", seeds=10),
            identity=rnn(activation="[relu]", init="[identity]"),
            memory=rnn(recurrence="[lstm]", seeds=3),
            layers=rnn(depth=2, width=128, seeds=3),
            tokens=rnn(task="temporal_order", seeds=3),
        )
    )


TANH = {"activation": "tanh", "recurrence": "vanilla", "depth": 1, "task": "adding", "width": 256}


def test_orthogonal_tanh_is_within_5_thousandths_of_a_decade_per_step(found: Found) -> None:
    for settings in (TANH, {**TANH, "task": "temporal_order"}):
        cell = found.cell(**settings)
        assert lag_slope(found.profiles(cell)).mean() == pytest.approx(found.slope(cell), abs=0.005)
        assert found.slope(cell) < -0.005  # more than the tolerance


def test_a_profile_is_that_predicted_but_for_a_factor(found: Found) -> None:
    cell = found.cell(**TANH)
    profiles = found.profiles(cell)
    predicted = found.predicted_profile(cell)
    assert predicted[0] == 0
    np.testing.assert_allclose((profiles - profiles[:, :1]).mean(0), predicted, atol=0.03)


def test_orthogonal_linear_keeps_a_gradient_to_rounding(found: Found) -> None:
    cell = found.cell(activation="linear")
    np.testing.assert_allclose(lag_slope(found.profiles(cell)), 0, atol=1e-6)
    assert found.slope(cell) == pytest.approx(0, abs=1e-9)


def test_identity_relu_is_within_a_hundredth_of_the_theory(found: Found) -> None:
    cell = found.cell(init="identity")
    assert lag_slope(found.profiles(cell)).mean() == pytest.approx(found.slope(cell), abs=0.01)


def test_lstm_is_within_a_hundredth_of_the_theory_and_above_its_bound(found: Found) -> None:
    cell = found.cell(recurrence="lstm")
    measured = lag_slope(found.profiles(cell))
    assert measured.mean() == pytest.approx(found.slope(cell), abs=0.01)
    assert measured.min() > np.log10(RECURRENCES["lstm"].carry)


def test_both_layers_have_the_predicted_profile_through_time(found: Found) -> None:
    cell = found.cell(depth=2)
    top = found.profiles(cell, 2)
    for layer in (1, 2):
        seen = (found.profiles(cell, layer) - top[:, :1]).mean(0)
        np.testing.assert_allclose(found.predicted_profile(cell, layer), seen, atol=0.1)
    assert lag_slope(top).mean() == pytest.approx(found.slope(cell), abs=0.01)


def engine_profile(x: np.ndarray, init: str, seeds: list[int], **settings: object) -> np.ndarray:
    """log10 rms(dL/dh_t) of a net of one layer, (runs, lags), the wanted answer always 1."""
    graph = {
        "family": "rnn", "norm": "none", "residual": "none", "depth": 1, "width": 64,
        "recurrence": "vanilla", **settings,
    }  # fmt: skip
    flat = torch.from_numpy(x).flatten(1).double()
    net = Network.of(graph, Shape(flat.shape[1], 1, sequence=x.shape[1:]))
    drawn = doubled(draw(net, [init] * len(seeds), seeds))
    ones = torch.ones(len(x), 1, dtype=torch.float64)
    found = measure_through_time(net, drawn, LOSSES["squared_error"], flat, ones)
    return found.lags[:, 0].numpy()


def test_behind_a_truncation_lags_are_censored_in_both() -> None:
    probe = Probe.of(load({"kind": "adding", "samples": 100}), 32)
    cell = sequences.RecurrentCell("tanh", "orthogonal", "none", "vanilla", 1, 64, 20, probe)
    profiles = engine_profile(probe.x, "orthogonal", [0, 1, 2, 3], activation="tanh", truncation=20)
    predicted = sequences.prediction(cell)
    assert np.isfinite(profiles).sum(1).tolist() == [20] * 4
    censored = np.isnan(predicted.log10_delta_rms[0, ::-1])
    np.testing.assert_array_equal(np.isnan(profiles).all(0), censored)
    whole = sequences.prediction(cell._replace(truncation=0))
    assert predicted.lag_slope != whole.lag_slope
    assert lag_slope(profiles).mean() == pytest.approx(predicted.lag_slope, abs=0.01)


def test_q_is_that_measured_over_all_time_steps(found: Found) -> None:
    predicted = found.predictions.set_index(["cell", "layer"])["q"]
    layers = found.layers.merge(found.runs[["run_id", "cell"]], on="run_id")
    measured = layers.groupby(["cell", "layer"])["q"].agg(["mean", "sem"])
    assert len(measured) == 7
    off = (measured["mean"] - predicted[measured.index]).abs()
    assert (off <= 3 * measured["sem"] + 0.02 * predicted[measured.index]).all()
    assert (off <= 0.2 * predicted[measured.index]).all()


def test_of_a_layer_nothing_is_predicted_but_q(found: Found) -> None:
    others = found.predictions[["chi_1", "slope", "log10_delta_rms"]]
    assert others.isna().all(axis=None)
    assert found.predictions["source"].ne("none").all()


def test_of_a_net_only_the_lag_slope_is_expected(found: Found) -> None:
    assert set(found.expected["quantity"]) == {"lag_slope"}
    assert found.expected["cell"].is_unique


def test_identity_relu_keeps_a_gradient_exactly_where_nothing_drives_it() -> None:
    """After its first step; each unit then stays as it is."""
    x = np.zeros((16, 30, 2))
    x[:, 0] = np.random.default_rng(0).standard_normal((16, 2))
    measured = engine_profile(x, "identity", [0], activation="relu")[0]
    found = unrolled(
        ACTIVATIONS["relu"], INITS["identity"], "none", RECURRENCES["vanilla"], x, 1, 64
    )
    for profile in (measured, found.log10_delta_rms[0]):
        assert np.ptp(profile) == 0
    assert float(lag_slope(measured)) == found.lag_slope == 0


@pytest.mark.parametrize("kind", ["adding", "temporal_order", "copy_memory", "agreement"])
def test_theory_sees_the_samples_that_the_engine_probes(kind: str) -> None:
    data = load({"kind": kind, "samples": 200})
    samples = samples_of(data, [0], 0, 1, 24, torch.device("cpu"))
    seen, labels = samples.at(samples.probe, torch.float64)
    probe = Probe.of(data, 24)
    assert probe.x.shape == (24, *data.sequence)
    np.testing.assert_array_equal(probe.x.reshape(24, -1), seen)
    assert probe.answered_last == (labels.dim() == 1 or bool((labels[:, -1] >= 0).all()))


def test_nothing_is_expected_where_the_last_step_is_not_asked() -> None:
    tokens = np.zeros((20, 6), np.int64)
    labels = np.where(np.arange(6) == 3, 1, -1) * np.ones((20, 1), np.int64)
    probe = Probe.of(Data(tokens, labels, sequence=(6, 4), vocabulary=4), 5)
    cell = sequences.RecurrentCell("tanh", "he", "none", "vanilla", 1, 8, 0, probe)
    assert not probe.answered_last
    assert next(iter(sequences.quantities(cell)))[0::2] == ("lag_slope", "")
    answered = cell._replace(probe=Probe(probe.x, True))
    assert sequences.prediction(answered) is not None


def test_long_memories_have_a_bound_with_a_name_of_its_own(tmp_path: Path) -> None:
    battery = rnn(task="{adding: {samples: 100}}", recurrence="[lstm, gru, skip]", width=8)
    results = planned(tmp_path, long=f"{battery}    length: {MOST_STEPS + 1}\n")
    tables = study.tables(results)
    expected = tables["expected"].set_index("quantity").sort_values("value")
    assert expected.index.tolist() == ["lag_slope_bound", "lag_slope_bound", "lag_slope"]
    carries = sorted(RECURRENCES[name].carry for name in ("lstm", "gru"))
    np.testing.assert_allclose(expected["value"], [*np.log10(carries), np.nan])
    assert expected["source"].str.contains("lower bound").tolist() == [True, True, False]
    assert tables["predictions"]["source"].eq("none").all()
    assert tables["predictions"]["q"].isna().all()
    assert tables["lag_predictions"].empty


def test_no_theory_is_claimed_of_players(tmp_path: Path) -> None:
    tables = study.tables(planned(tmp_path, game=GAN))
    assert tables["predictions"].groupby("cell").size().tolist() in ([2, 3], [3, 2])
    for name in ("predictions", "expected"):
        assert tables[name]["source"].eq("none").all()
    assert tables["expected"]["value"].isna().all()
    assert not tables["expected"].empty
    assert tables["lag_predictions"].empty


def test_a_norm_without_formula_leaves_nulls(tmp_path: Path) -> None:
    tables = study.tables(planned(tmp_path, norm=rnn(norm="rms", init="[he]", width=8)))
    assert tables["expected"][["quantity", "source"]].to_numpy().tolist() == [["lag_slope", "none"]]
    assert tables["predictions"]["source"].tolist() == ["none"]


def test_cells_that_theory_cannot_tell_apart_share_a_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(
        sequences, "unrolled", lambda *given: calls.append(given) or unrolled(*given)
    )
    two = {f"of_{t}": rnn(truncation=t, recurrence="[leaky]", width=16) for t in (0, 10)}
    tables = study.tables(planned(tmp_path, **two))
    assert len(tables["expected"]) == 2
    assert len(calls) == 1


def test_the_verb_writes_three_tables_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(study, "SILENCE", -1.0)
    results = planned(tmp_path, plain=rnn(width=16, activation="[tanh, relu]"), game=GAN)
    out = tmp_path / "tables"
    assert cli.main(["predict", str(results), "--out", str(out / "predictions.parquet")]) == 0
    tables = [t.read(out / f"{t.name}.parquet") for t in (PREDICTIONS, EXPECTED, LAG_PREDICTIONS)]
    assert [len(table) for table in tables] == [2 + 5, 2 + 4, 2 * 50]
    assert capsys.readouterr().err.splitlines() == [f"{n} of 4 cells" for n in (1, 2, 3, 4)]


def test_the_bias_of_a_gate_counts_behind_a_layer_norm(tmp_path: Path) -> None:
    gates = "[{lstm: {forget_bias: 3}}, {lstm: {forget_bias: 0}}]"
    found = run(planned(tmp_path, mine=rnn(recurrence=gates, norm="layer", width=128)))
    slopes = []
    for bias in (0, 3):
        cell = found.cell(recurrence=f"lstm(forget_bias={bias})")
        slopes.append(lag_slope(found.profiles(cell)).mean())
        assert slopes[-1] == pytest.approx(found.slope(cell), abs=0.01)
    assert slopes[0] != slopes[1]  # before the norm a bias of all units would be taken away
