"""Seeds of a repetition, rates that are each judged, and parts that change one thing alone."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from vanishing.analysis.estimates import summary
from vanishing.analysis.fact import mean_over_seeds
from vanishing.analysis.fact_rows import Selection
from vanishing.analysis.study_tables import Tables
from vanishing.engine import job
from vanishing.engine.forward import forward
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Place
from vanishing.parts.combinations import impossible
from vanishing.parts.inits import INITS
from vanishing.parts.tasks import load
from vanishing.study import plan
from vanishing.study.description import description
from vanishing.study.grid import FIRST_TUNING_SEED
from vanishing.tables import SUMMARY
from vanishing.theory.catalogue import chi_1_of_init
from vanishing.theory.cell import centred
from vanishing.theory.fixed_points import chi_1_star
from vanishing.theory.predictions import profile
from vanishing.theory.study import cells_of
from vanishing.theory.study import tables as theory_tables

from . import small
from .test_catalogue import CELL
from .test_theory_parts import cell

BATTERY = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh"], "init": ["he", "xavier"], "depth": [3]},
    "width": 8,
    "seeds": {"tuning": 2, "judged": 3},
    "train": {"steps": 4, "lr": [0.1, 0.3], "batch": 8},
    "probes": {"batch": 8},
}
RATES = {**BATTERY, "seeds": {"judged": 3}, "train": {"steps": 4, "batch": 8}}
RATES = {**RATES, "vary": {"lr": [0.01, 1]}}


@pytest.fixture
def make(tmp_path):
    """Plans a study of one battery, ``first_seed`` beside it."""

    def make(battery, **beside):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": {"b": battery}, **beside}))
        return plan.make(path, tmp_path / "results")

    return make


def runs_of(planned, *splits):
    return [m for c in planned.cohorts for m in c.members if not splits or m.split in splits]


def seeds(planned, split):
    return {member.settings.seed for member in runs_of(planned, split)}


# Seeds of a repetition


def test_first_seed_moves_judged_and_tuning_seeds_alike(make):
    planned = make(BATTERY, first_seed=40)
    assert seeds(planned, "judged") == {40, 41, 42}
    assert seeds(planned, "tuning") == {FIRST_TUNING_SEED + 40, FIRST_TUNING_SEED + 41}


def test_a_repetition_shares_cells_and_no_run(make):
    first, again = make(BATTERY), make(BATTERY, first_seed=3)
    ids, other_ids = ({m.run_id for m in runs_of(planned)} for planned in (first, again))
    assert len(ids) == len(other_ids)
    assert not ids & other_ids
    assert {m.cell for m in runs_of(first)} == {m.cell for m in runs_of(again)}


def test_first_seed_0_is_that_of_a_study_that_names_none(make):
    ids = [[m.run_id for m in runs_of(make(BATTERY, **b))] for b in ({}, {"first_seed": 0})]
    assert ids[0] == ids[1]


def test_a_judged_seed_that_two_repetitions_share_is_another_run_where_it_is_tuned(make):
    """Its rate is chosen on other seeds, and may be another."""
    first, again = ({m.settings.seed: m for m in runs_of(make(BATTERY, first_seed=n), "judged")}
                    for n in (0, 1))  # fmt: skip
    assert first[2].cell == again[2].cell
    assert first[2].run_id != again[2].run_id


@pytest.mark.parametrize(
    ("first", "message"),
    [(-1, "greater than or equal to 0"), (FIRST_TUNING_SEED - 2, "999997 is the most")],
)
def test_a_first_seed_among_the_tuning_seeds_is_refused(make, first, message):
    with pytest.raises(UserError, match=message):
        make(BATTERY, first_seed=first)
    assert make(BATTERY, first_seed=FIRST_TUNING_SEED - 3).cohorts


def test_each_repetition_waits_for_tuning_runs_on_its_own_seeds(make):
    planned = make(BATTERY, first_seed=40)
    for id_, cohort in planned.by_id.items():
        if cohort.graph.split == "judged":
            waited = [m for t in planned.tuning_of[id_] for m in planned.by_id[t].members]
            assert {m.settings.seed for m in waited} == seeds(planned, "tuning")


def test_rates_are_tuned_on_the_repetitions_own_seeds_in_a_folder_of_two(make):
    planned = make(BATTERY, first_seed=40)
    [judged] = [c for c in planned.cohorts if c.graph.split == "judged"]
    rows = [
        {"cell": m.cell, "seed": m.settings.seed - moved, "lr": m.settings.lr, "outcome": "slow",
         "final_loss": m.settings.lr if moved == 0 else -m.settings.lr}
        for m in runs_of(planned, "tuning") for moved in (0, 40, 1)
    ]  # fmt: skip
    logs = pd.DataFrame(rows).drop_duplicates(["cell", "seed", "lr"])  # 0.1 is best on its own
    rates = {job._rate(judged.as_json(), run, logs) for run in judged.as_json()["runs"]}
    assert rates == {0.1}
    others = logs[logs["seed"] < FIRST_TUNING_SEED + 40]
    with pytest.raises(UserError, match="0 of 4 tuning runs"):
        job._rate(judged.as_json(), judged.as_json()["runs"][0], others)


# Rates that are each judged


def test_every_run_is_judged_at_each_rate_and_cells_share_their_hash(make):
    members = runs_of(make(RATES))
    assert {m.split for m in members} == {"judged"}
    assert len({m.run_id for m in members}) == len(members) == 2 * 3 * 2
    assert len({m.cell for m in members}) == 2
    policies = {(m.settings.lr, m.settings.lr_policy) for m in members}
    assert policies == {(0.01, "fixed(0.01)"), (1.0, "fixed(1)")}


def test_a_varied_rate_is_the_run_that_a_fixed_one_is(make):
    fixed = {**RATES, "vary": {}, "train": {**RATES["train"], "lr": 0.01}}
    alone = {m.run_id for m in runs_of(make(fixed))}
    assert alone < {m.run_id for m in runs_of(make(RATES))}


def test_a_varied_rate_can_be_left_out(make):
    rule = {"when": {"init": "he", "lr": 1}, "because": "it diverges"}
    members = runs_of(make({**RATES, "exclude": [rule]}))
    assert {(m.settings.init, m.settings.lr) for m in members} == {
        ("he", 0.01), ("xavier", 0.01), ("xavier", 1.0)
    }  # fmt: skip


def test_a_plan_says_how_many_rates_are_judged(make):
    assert "2 cells, 12 judged runs, each at 2 rates" in description(make(RATES))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {**RATES["train"], "lr": 0.1}}, "give either train.lr or vary.lr"),
        ({"train": {"steps": 0}}, "vary.lr has no sense with steps: 0"),
        ({"vary": {}}, "train.lr is missing.*vary.lr"),
        ({"seeds": {"tuning": 1, "judged": 2}}, "seeds.tuning is given, and train.lr is no list"),
        ({"vary": {"lr": [0.1, -1]}}, r"vary.lr\[1\]: .*greater than 0"),
        ({"vary": {"lr": [0.1, 0.1]}}, "0.1 stands twice"),
    ],
)
def test_rates_that_make_no_sense_are_refused(make, changes, message):
    with pytest.raises(UserError, match=message):
        make({**RATES, **changes})


@pytest.fixture(scope="module")
def at_rates(tmp_path_factory):
    """Runs and layers of two inits, each trained at a small rate and at one that diverges."""
    folder = tmp_path_factory.mktemp("rates")
    battery = {**RATES, "vary": {"lr": [0.01, 1e20]}}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"batteries": {"b": battery}}))
    [cohort] = plan.make(folder / "mine.yaml", folder).cohorts
    logs = job.run(json.loads(json.dumps(cohort.as_json())))
    return Tables(logs["runs"].assign(battery="b"), layers=logs["layers"])


def test_the_summary_keeps_rates_apart(at_rates):
    table = summary(at_rates, 0)
    SUMMARY.check(table)
    losses = table[table["outcome"] == "final_loss"].set_index(["init", "lr_policy"])
    assert sorted(losses.index) == [
        (init, f"fixed({rate})") for init in ("he", "xavier") for rate in ("0.01", "1e+20")
    ]
    assert (losses["n"] == 3).all()
    assert np.isfinite(losses["value"].xs("fixed(0.01)", level="lr_policy")).all()
    assert losses["value"].xs("fixed(1e+20)", level="lr_policy").isna().all()


def test_a_fact_counts_a_cell_once_at_each_rate(at_rates):
    runs = at_rates.runs
    values = runs["lr"].eq(0.01).astype(float)
    values[runs["lr"].eq(1e20) & runs["seed"].eq(0)] = np.nan  # seed 0 lacks a rate
    found = mean_over_seeds(Selection(at_rates, {}), values, "m", "1", 2)
    assert found["value"] == pytest.approx(0.5)  # and not the 2/3 of which seed 0 gives 1


# One layer apart


@pytest.mark.parametrize("layer", [1, 3, 5])
def test_one_layer_scales_exactly_that_layer(layer):
    net = small.net_of()  # of 4 layers and a head
    inits = [f"one_layer(layer={layer}, factor=0.25)", "one_layer(layer=1)"]
    parameters = small.drawn(net, [*inits, "gaussian(sigma_w=1.4142135623730951)"], [3, 3, 3])
    for number, weight in enumerate(parameters["W"], start=1):
        factor = 0.25 if number == layer else 1.0
        torch.testing.assert_close(weight[0], factor * weight[2], rtol=1e-6, atol=0)
        torch.testing.assert_close(weight[1], weight[2], rtol=1e-6, atol=0)
    assert not any(bias.count_nonzero() for bias in parameters["b"])


def test_one_layer_must_be_there():
    ends = {**CELL, "depth": 3, "init": "one_layer(layer=4)"}
    assert impossible(ends) == ""
    assert "ends with its head, layer 3" in impossible({**ends, "depth": 2})
    with pytest.raises(UserError, match="layer must be a whole number from 1 on"):
        INITS["one_layer(layer=0)"]
    with pytest.raises(UserError, match="factor must be above 0"):
        INITS["one_layer(layer=1, factor=0)"]


@pytest.mark.parametrize("layer", [2, 5, 9])
def test_theory_scales_all_gradients_behind_one_linear_layer(layer):
    linear = ACTIVATIONS["linear"]
    plain = profile(cell(linear, "one_layer(layer=5, sigma_w=1)")).log10_delta_rms
    found = profile(cell(linear, f"one_layer(layer={layer}, factor=0.1, sigma_w=1)"))
    change = found.log10_delta_rms - plain
    np.testing.assert_allclose(change[: layer - 1], change[0], atol=0.02)
    assert change[0] == pytest.approx(-1, abs=0.12)  # less what p - y changes at the head


def measured_and_predicted(folder, **factors):
    """log10 rms(delta) by layer, a row a cell: the mean over seeds, and the theory's."""
    battery = {
        **BATTERY, "factors": {"depth": [8], **factors}, "width": 64, "seeds": {"judged": 16},
        "train": {"steps": 0}, "probes": {"batch": 32},
    }  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump({"batteries": {"b": battery}}))
    planned = plan.make(folder / "mine.yaml", folder)
    plan.write(planned, folder)
    logs = [job.run(json.loads(json.dumps(c.as_json()))) for c in planned.cohorts]
    runs, layers = (pd.concat([log[name] for log in logs]) for name in ("runs", "layers"))
    layers = layers.assign(cell=layers["run_id"].map(runs.set_index("run_id")["cell"]))
    wanted = ["cell", "layer"]
    found = layers.groupby(wanted)["log10_delta_rms"].mean().unstack()
    said = theory_tables(folder)["predictions"].set_index(wanted)["log10_delta_rms"].unstack()
    return found, said.loc[found.index]


def test_theory_predicts_a_net_with_one_layer_apart(tmp_path):
    inits = [{"one_layer": {"layer": n, "factor": f, "sigma_w": 1}}
             for n, f in ((4, 0.05), (4, 3), (9, 0.2))]  # fmt: skip
    found, said = measured_and_predicted(tmp_path, activation=["tanh"], init=inits)
    np.testing.assert_allclose(found, said, atol=0.06)
    assert np.ptp(said.to_numpy()) > 1


def test_theory_predicts_centred_nets_as_those_of_phi_less_phi_0(tmp_path):
    activations = ["tanh", "shifted_tanh", "sigmoid"]
    found, said = measured_and_predicted(tmp_path, activation=activations, init=["centred_xavier"])
    np.testing.assert_allclose(found, said, atol=0.06)


# Biases that take phi(0) away


def seen(activation, init, **changes):
    """h and delta of every layer, in float64."""
    net = small.net_of(activation=activation, depth=6, width=24, **changes)
    parameters = small.drawn(net, [init], [5])
    x = small.normal(1, 12, small.INPUTS).requires_grad_()
    logits, h, _ = forward(net, parameters, x, {}, learning=True)
    labels = torch.arange(12)[None] % small.CLASSES
    loss = small.LOSS.per_sample(logits, labels).mean()
    return parameters, [t.detach() for t in h], torch.autograd.grad(loss, h)


@pytest.mark.parametrize("shift", [1, -3])
@pytest.mark.parametrize(
    "changes", [{}, {"norm": "batch"}, {"residual": "pre_activation", "block": 2}], ids=str
)
def test_a_shift_of_phi_changes_nothing_behind_centred_biases(shift, changes):
    parameters, h, delta = seen("tanh", "xavier", **changes)
    shifted = f"shifted_tanh(shift={shift})"
    mine, my_h, my_delta = seen(shifted, "centred_xavier", **changes)
    assert all(map(torch.equal, mine["W"], parameters["W"]))
    assert all(bias.count_nonzero() for bias in mine["b"][1:])
    for ours, theirs in zip((*my_h, *my_delta), (*h, *delta), strict=True):
        # The biases are drawn in float32.
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6 * float(theirs.abs().max()))
    _, others, _ = seen(shifted, "xavier", **changes)
    if "norm" not in changes:  # which takes a shift out again by itself
        assert (others[-1] - h[-1]).abs().max() > 0.1


def test_centred_weights_have_the_sigma_w_that_is_asked():
    place = Place(20, 30, layer=2, depth=5, activation=ACTIVATIONS["sigmoid"])
    weight, bias = INITS["centred(sigma_w=0.5)"].draw(place, torch.Generator().manual_seed(2))
    known, _ = INITS["gaussian(sigma_w=0.5)"].draw(place, torch.Generator().manual_seed(2))
    assert torch.equal(weight, known)
    torch.testing.assert_close(bias, -weight.sum(0, keepdim=True) / 2)


@pytest.mark.parametrize("layer", [1, 4])
def test_where_phi_is_0_at_0_centred_biases_are_0(layer):
    place = Place(20, 30, layer=layer, depth=5, activation=ACTIVATIONS["tanh"])
    weight, bias = INITS["centred_xavier"].draw(place, torch.Generator().manual_seed(2))
    known, zero = INITS["xavier"].draw(place, torch.Generator().manual_seed(2))
    assert torch.equal(weight, known)
    assert torch.equal(bias.abs(), zero.abs())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm": "batch", "norm_position": "after", "batch": 8}, "see phi"),
        ({"residual": "identity"}, "see phi"),
        ({"residual": "highway"}, "see phi"),
        ({"norm": "spectral"}, "changes the weights"),
        ({"family": "cnn"}, "for mlp only"),
    ],
)
def test_centred_biases_are_refused_where_layers_see_something_else(changes, words):
    assert words in impossible({**CELL, "init": "centred_xavier", **changes})


def test_no_theory_is_given_of_centred_biases_unless_of_the_centred_activation():
    sigmoid = ACTIVATIONS["sigmoid"]
    assert profile(cell(sigmoid, "centred_xavier")).source == "none"
    assert profile(cell(centred(sigmoid), "centred_xavier")).source != "none"
    chi_1 = chi_1_of_init(INITS["centred_xavier"], ACTIVATIONS["shifted_tanh"])
    assert chi_1 == pytest.approx(chi_1_star(ACTIVATIONS["tanh"], 1.0), rel=1e-6)


def test_a_study_gives_the_theory_the_activation_that_layers_see(make, tmp_path):
    battery = {**BATTERY, "seeds": {"judged": 1}, "train": {"steps": 0}}
    factors = {"activation": ["sigmoid"], "init": ["centred_xavier", "xavier"], "depth": [3]}
    planned = make({**battery, "factors": factors})
    plan.write(planned, tmp_path)
    found = {c.init.centred: c.activation for c in cells_of(tmp_path).values()}
    zero = torch.zeros((), dtype=torch.float64)
    assert float(found[True].phi(zero)) == 0
    assert float(found[False].phi(zero)) == 0.5


def test_every_activation_is_centred_by_what_it_is_at_0():
    h = torch.linspace(-4, 4, 33, dtype=torch.float64)
    for name in ACTIVATIONS:
        phi, other = ACTIVATIONS[name], centred(ACTIVATIONS[name])
        assert float(other.phi(torch.zeros((), dtype=torch.float64))) == 0, name
        torch.testing.assert_close(other.derivative(h), phi.derivative(h))


# Labels that say nothing


def test_shuffled_labels_keep_their_frequencies_and_their_inputs():
    real, shuffled = load({"kind": "digits"}), load({"kind": "digits", "shuffled": True})
    np.testing.assert_array_equal(real.inputs, shuffled.inputs)
    np.testing.assert_array_equal(np.bincount(real.labels), np.bincount(shuffled.labels))
    alike = (real.labels == shuffled.labels).mean()
    assert alike == pytest.approx(0.1, abs=0.03)  # as by chance
    again = load({"kind": "digits", "shuffled": True})
    np.testing.assert_array_equal(shuffled.labels, again.labels)


def test_shuffled_labels_have_runs_of_their_own_and_plain_ones_keep_theirs(make):
    plain, off, on = (
        runs_of(make({**BATTERY, "task": task}))
        for task in ("digits", {"digits": {"shuffled": False}}, {"digits": {"shuffled": True}})
    )
    assert {m.settings.task for m in plain} == {"digits"}
    assert [m.run_id for m in plain] == [m.run_id for m in off]
    assert {m.settings.task for m in on} == {"digits(shuffled=1)"}
    assert not {m.run_id for m in plain} & {m.run_id for m in on}


def test_a_job_trains_on_the_shuffled_labels_that_its_cohort_names(make):
    battery = {**RATES, "vary": {"lr": [0.01]}, "task": {"digits": {"shuffled": True}}}
    [cohort] = make(battery).cohorts
    written = json.loads(json.dumps(cohort.as_json()))
    assert written["data_source"] == {"kind": "digits", "shuffled": True}
    assert set(job.run(written)["runs"]["task"]) == {"digits(shuffled=1)"}
