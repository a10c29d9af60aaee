"""Lags, recurrent weights, gates and scores of recurrent nets: by hand, and as a job logs them."""

import numpy as np
import pandas as pd
import pytest
import torch

from vanishing.engine import job
from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget
from vanishing.engine.through_time import last_answer, measure_through_time
from vanishing.engine.training import train_stack
from vanishing.parts.data import UNASKED
from vanishing.parts.losses import LOSSES
from vanishing.parts.recurrences import RECURRENCES
from vanishing.parts.tasks import load
from vanishing.tables import LAGS, LOGS, SCORES
from vanishing.tables import RECURRENCES as RECURRENCE_TABLE

from .test_recurrent import (
    BATCH,
    CELLS,
    CPU,
    STEPS,
    WIDTH,
    batch_of,
    data_of,
    drawn,
    graph_of,
    plains,
)

GATES = ("gate_mean", "gate_sd", "shut", "open")
TASKS = {
    "adding": {"kind": "adding", "length": 10, "samples": 60},
    "text": {"kind": "text", "length": 9, "samples": 60},
    "agreement": {"kind": "agreement", "length": 12, "samples": 200},
    "transduction": {"kind": "transduction", "length": 16, "samples": 200},
    "copy_memory": {"kind": "copy_memory", "length": 14, "samples": 60},
}
BLOCKS = ["noise", "rank", "interference", "freeze"]


def cohort_of(task, **settings):
    """What the JSON of a cohort of two runs says."""
    spec = TASKS[task]
    runs = [
        {"run_id": f"{init}-{seed}", "cell": init, "init": init, "seed": seed, "lr": 0.05,
         "lr_grid": [], "lr_policy": "fixed(lr=0.05)", "tuning_seeds": 0}
        for init, seed in (("orthogonal", 0), ("identity", 1))
    ]  # fmt: skip
    return {
        "id": f"rnn-{task}", "split": "", "task": task, "data": f"{task}(samples=60)",
        "data_source": spec, "family": "rnn", "activation": "tanh", "norm": "none",
        "norm_position": "before", "residual": "none", "block": 1, "depth": 2, "width": 8,
        "stages": 1, "padding": "none", "recurrence": "lstm", "length": spec["length"],
        "truncation": 0, "game": "none", "players": "none", "generator": "none", "latent": 0,
        "discriminator_steps": 1, "instance_noise": 0.0, "normed": "both",
        "loss": "squared_error" if task == "adding" else "cross_entropy", "optimizer": "adam",
        "schedule": "constant", "clip": "none", "batch": 8, "steps": 3, "runs": runs,
        "probes": {"steps": [0, 1, 3], "batch": 12, "blocks": []}, **settings,
    }  # fmt: skip


# By hand


def recurrences_of(net, parameters, batch):
    """What a probe says of the recurrent weights and gates of a net that tells classes."""
    return measure_through_time(net, parameters, LOSSES["cross_entropy"], *batch).recurrences


@pytest.mark.parametrize("recurrence", CELLS)
def test_recurrent_weights_are_measured_as_numpy_has_it(recurrence):
    graph, data = graph_of(recurrence=recurrence), data_of()
    net = Network.of(graph, data.shape)
    parameters = drawn(net, ["orthogonal(gain=0.9)", "he"], [0, 1])
    found = recurrences_of(net, parameters, batch_of(data))
    columns = RECURRENCES[recurrence].columns
    assert tuple(found) == columns
    for n, column in enumerate(columns):
        for layer in range(net.depth):
            own = slice(n * WIDTH, (n + 1) * WIDTH)
            for run, u in enumerate(parameters["W"][layer][:, -WIDTH:, own].numpy()):
                measures = {name: float(v[run, layer]) for name, v in found[column].items()}
                radius = np.abs(np.linalg.eigvals(u)).max()
                assert measures["spectral_radius"] == pytest.approx(radius, rel=1e-10)
                norm = np.linalg.svd(u, compute_uv=False)[0]
                assert measures["spectral_norm"] == pytest.approx(norm, rel=1e-10)
                assert (set(GATES) <= set(measures)) == (column != "candidate")


@pytest.mark.parametrize("recurrence", ["lstm", "gru", "minimal_gated"])
def test_gates_are_those_of_a_loop_by_hand(recurrence):
    graph, data = graph_of(recurrence=recurrence), data_of()
    net, (x, labels) = Network.of(graph, data.shape), batch_of(data_of())
    parameters = drawn(net, ["gaussian(sigma_w=4, sigma_b=2)"])
    found = recurrences_of(net, parameters, (x, labels))
    [loop, *_] = plains(graph, data, parameters)
    with torch.no_grad():
        loop(x)
    for layer, plain in enumerate(loop.layers):
        for column, steps in zip(net.recurrence.gates, zip(*plain.gates, strict=True), strict=True):
            values = torch.stack(steps).numpy()
            assert values.shape == (STEPS, BATCH, WIDTH)
            expected = (values.mean(), values.std(), (values <= 0.1).mean(), (values >= 0.9).mean())
            measures = [float(found[column][name][0, layer]) for name in GATES]
            assert measures == pytest.approx(expected, rel=1e-10)
            assert measures[2] > 0


def test_a_run_whose_weights_are_not_finite_has_no_measures_and_spoils_no_other():
    net, batch = Network.of(graph_of(recurrence="gru"), data_of().shape), batch_of(data_of())
    parameters = drawn(net, ["he", "he"], [0, 1])
    alone = recurrences_of(net, {n: [t[1:] for t in g] for n, g in parameters.items()}, batch)
    parameters["W"][0][0, -1, 0] = torch.nan
    found = recurrences_of(net, parameters, batch)
    for name, value in found["reset"].items():
        assert value[0, 0].isnan(), name
        torch.testing.assert_close(value[1:], alone["reset"][name])
    assert found["update"]["spectral_norm"][0, 0].isfinite()


def test_last_answer_is_the_only_one_that_is_left():
    no = UNASKED
    labels = torch.tensor([[0, 2, no, 1], [no, 0, 3, no], [5, no, no, no], [0, 0, 0, 0]])
    expected = [[no, no, no, 1], [no, no, 3, no], [5, no, no, no], [no, no, no, 0]]
    assert last_answer(labels).tolist() == expected


# As they are logged


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"recurrence": "gru", "norm": "layer", "clip": "norm(limit=1)",
         "probes": {"steps": [0, 1, 3], "batch": 12, "blocks": BLOCKS}},
        {"recurrence": "skip", "depth": 1, "activation": "relu"},
    ],
    ids=["lstm", "gru-layer", "skip"],
)  # fmt: skip
def test_a_job_logs_lags_recurrences_and_scores_of_every_task(task, settings):
    cohort = cohort_of(task, **settings)
    logs = job.run(cohort, device="cpu")
    for name, table in LOGS.items():
        table.check(logs[name])
    depth, length = cohort["depth"], load(TASKS[task]).sequence[0]
    columns = RECURRENCES[cohort["recurrence"]].columns
    ids, steps = sorted(run["run_id"] for run in cohort["runs"]), [0, 1, 3]
    layers = range(1, depth + 1)

    def every(*axes):
        return set(pd.MultiIndex.from_product([ids, steps, *axes]))

    lags, recurrences, scores = (logs[t.name] for t in (LAGS, RECURRENCE_TABLE, SCORES))
    assert keys(lags, LAGS) == every(layers, range(length))
    assert keys(recurrences, RECURRENCE_TABLE) == every(layers, columns)
    is_gate = recurrences["column"] != "candidate"
    assert recurrences.loc[is_gate, list(GATES)].notna().all(axis=None)
    assert recurrences.loc[~is_gate, list(GATES)].isna().all(axis=None)
    assert recurrences[["spectral_radius", "spectral_norm"]].notna().all(axis=None)
    data = load(TASKS[task])
    assert set(scores["score"]) == ({data.score} if data.score else set())
    if data.score:
        assert set(scores["level"]) <= set(data.level.tolist())
        assert set(map(tuple, scores[["run_id", "step"]].to_numpy())) == {
            (run, step) for run in ids for step in steps
        }
        assert scores["value"].dropna().between(0, 1).all()
    assert np.isfinite(logs["runs"]["final_loss"]).all()
    assert (logs["runs"]["final_test_accuracy"].between(0, 1)).all()


def keys(frame, table):
    assert not frame.duplicated(list(table.key)).any()
    return set(map(tuple, frame[list(table.key)].to_numpy()))


def test_lags_of_a_job_are_of_the_last_answer():
    """Copy memory asks at its last steps, and the last of them is the last time step."""
    logs = job.run(cohort_of("copy_memory"), device="cpu")
    lags = logs["lags"].set_index(["run_id", "step", "layer", "lag"])["log10_delta_rms"]
    assert np.isfinite(lags.xs(0, level="lag")).all()
    assert np.isfinite(lags.xs("orthogonal-0")).all()


@pytest.mark.parametrize("truncation", [1, 4])
def test_lags_beyond_a_truncation_are_missing(truncation):
    found = job.run(cohort_of("adding", truncation=truncation), device="cpu")["lags"]
    beyond = found["lag"] >= truncation
    assert found.loc[beyond, "log10_delta_rms"].isna().all()
    assert found.loc[~beyond & (found["layer"] == 2), "log10_delta_rms"].notna().all()


def test_scores_are_those_of_the_test_split():
    cohort = cohort_of("agreement", steps=0, probes={"steps": [0], "batch": 8})
    data = load(TASKS["agreement"])
    net = Network.of(cohort, data.shape)
    budget = Budget.of({**cohort, "steps": 1, "probes": {"steps": [0, 1], "batch": 8}}, data.score)
    trace = train_stack(net, budget, data, ["he", "orthogonal"], [3, 4], [0.1] * 2, CPU)
    parameters = doubled(draw(net, ["he", "orthogonal"], [3, 4]))
    samples = samples_of(data, [3, 4], 1, 8, 8, CPU)
    for run in range(2):
        x, labels = samples.at(samples.test[run], torch.float64)
        [loop, *_] = plains({**cohort, "truncation": 0}, data, parameters, run)
        with torch.no_grad():
            logits = loop(x)
        logits, labels = (v[:, -1] if data.every_step else v for v in (logits, labels))
        own = logits.gather(1, labels[:, None])[:, 0]
        other = logits.gather(1, (labels ^ 1)[:, None])[:, 0]
        level = data.level[samples.test[run].numpy()]
        for (name, at), values in trace.scores[0].items():
            assert name == data.score
            expected = float((own < other).double()[torch.from_numpy(level == at)].mean())
            assert values[run] == pytest.approx(expected, nan_ok=True)
    assert len(trace.scores[0]) > 1
