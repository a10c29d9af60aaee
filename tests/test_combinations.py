"""Which parts go together: refused before anything runs, and one id for one network."""

import numpy as np
import pytest
import yaml

from vanishing.errors import UserError
from vanishing.study import plan

GOOD = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh"], "init": ["he"], "depth": [5]},
    "width": 8,
    "seeds": {"judged": 2},
    "train": {"steps": 0},
}


def made(folder, changes, factors=None):
    battery = {**GOOD, **changes, "factors": {**GOOD["factors"], **(factors or {})}}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"batteries": {"b": battery}}))
    return plan.make(path, folder / "results")


def settings(folder, changes, factors=None):
    return made(folder, changes, factors).grids["b"].judged


@pytest.mark.parametrize(
    ("changes", "factors", "message"),
    [
        ({}, {"init": ["delta_orthogonal"]}, "init 'delta_orthogonal' is for cnn only"),
        ({}, {"norm": ["instance"]}, "norm 'instance' is for cnn only"),
        ({"width": 8}, {"norm": ["group"]}, "would leave groups of 2 units at width 8"),
        ({"width": 6}, {"norm": ["group"]}, "needs a width that is a multiple of 4, and 6 came"),
        ({}, {"init": ["fixup"]}, "init 'fixup' needs a residual that adds before phi"),
        ({}, {"init": ["fixup"], "residual": ["identity"]}, "'identity' with blocks of 1 came"),
        ({}, {"init": ["zeros"], "norm": ["weight"]}, "the norm would divide 0 by 0"),
        ({}, {"init": ["lsuv"], "norm": ["spectral"]}, "which the init would set from the data"),
        (
            {"family": "cnn", "norm_position": "after"},
            {"norm": ["instance"]},
            "takes every channel's mean over the pixels to 0",
        ),
        ({"width": 4096}, {"residual": ["dense"]}, "would hand on 20480 units at width 4096"),
        ({"padding": "circular"}, {}, "padding is of family cnn or gan, and family mlp came"),
        ({"vary": {"stages": [1, 2]}}, {}, "stages is of family cnn or gan, and family mlp came"),
        ({"family": "cnn", "stages": 3}, {}, "3 stages would shrink an image of side 8"),
        ({"probes": {"batch": 1}}, {"norm": ["batch"]}, "probes.batch must be at least 2"),
        ({"probes": {"blocks": ["jacobean"]}}, {}, "'jacobian', 'shattering'"),
        (
            {"train": {"steps": 5, "lr": 0.1, "clip": {"norm": {"limit": 0}}}},
            {},
            "clip 'norm': limit must be above 0, and 0 came",
        ),
        (
            {"train": {"steps": 5, "lr": 0.1, "schedule": {"cosine": {"warmup": 1.5}}}},
            {},
            "warmup is a share of the steps",
        ),
        (
            {"block": 2, "vary": {"block": [1, 2]}},
            {"residual": ["identity"]},
            "give either block or vary.block",
        ),
        (
            {},
            {"residual": [{"stochastic_depth": {"survival": 2}}]},
            r"survival must be in \(0, 1\]",
        ),
        ({}, {"init": [{"sparse": {"connections": 0}}]}, "connections must be a whole number"),
    ],
)
def test_what_no_network_can_be_is_refused_with_what_to_do(tmp_path, changes, factors, message):
    with pytest.raises(UserError, match=message):
        made(tmp_path, changes, factors)


def test_a_cnn_needs_images(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=rng.normal(size=(20, 9)), y=np.arange(20) % 2)
    with pytest.raises(UserError, match="family 'cnn' needs a task of images"):
        made(tmp_path, {"family": "cnn", "task": {"npz": {"path": "own.npz"}}})


def test_an_excluded_cell_may_be_impossible(tmp_path):
    rule = {"when": {"init": "fixup", "residual": "none"}, "because": "fixup has no branch to end"}
    factors = {"init": ["he", "fixup"], "residual": ["none", "pre_activation"]}
    found = settings(tmp_path, {"block": 2, "exclude": [rule]}, factors)
    assert {(s.init, s.residual) for s in found} == {
        ("he", "none"), ("he", "pre_activation"), ("fixup", "pre_activation"),
    }  # fmt: skip


def test_a_setting_that_makes_no_difference_gives_no_second_run(tmp_path):
    changes = {"vary": {"block": [1, 2], "norm_position": ["before", "after"]}}
    found = settings(tmp_path, changes, {"norm": ["none", "weight"], "residual": ["none"]})
    assert [(s.norm, s.block, s.norm_position) for s in found if s.seed == 0] == [
        ("none", 1, "before"), ("weight", 1, "before"),
    ]  # fmt: skip


def test_settings_that_are_new_leave_old_ids_as_they_were(tmp_path):
    """The ids of a plain run and of its cell, as they were before blocks, stages and schedules."""
    [first, _] = settings(tmp_path, {"train": {"steps": 5, "lr": 0.1}})
    assert (first.run_id, first.cell) == ("643719fb1de50898", "2be3a178278cbcb8")


def test_every_axis_reaches_the_job(tmp_path):
    changes = {
        "family": "cnn",
        "train": {"steps": 4, "lr": 0.1},
        "probes": {"blocks": ["rank", "jacobian"]},
        "vary": {
            "padding": ["circular"], "stages": [2], "block": [2], "norm_position": ["after"],
            "schedule": ["cosine"], "clip": [{"value": {"limit": 0.5}}],
        },
    }  # fmt: skip
    planned = made(tmp_path, changes, {"norm": ["layer"], "residual": ["pre_activation"]})
    cohort = planned.cohorts[0].as_json()
    named = ("family", "padding", "stages", "block", "norm_position", "schedule", "clip")
    assert [cohort[name] for name in named] == [
        "cnn", "circular", 2, 2, "after", "cosine", "value(limit=0.5)",
    ]  # fmt: skip
    assert cohort["probes"]["blocks"] == ["jacobian", "rank"]


def test_a_run_that_two_batteries_ask_for_gets_the_blocks_of_both(tmp_path):
    batteries = {
        name: {**GOOD, "probes": {"blocks": [block]}}
        for name, block in (("a", "rank"), ("b", "jacobian"))
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"batteries": batteries}))
    [cohort] = plan.make(path, tmp_path / "results").cohorts
    assert cohort.graph.blocks == ("jacobian", "rank")
    assert len(cohort.members) == 2
