"""The catalogue of parts: a row each, from its fields and the theory; its sources have entries."""

import inspect
import math
import re
import subprocess
import sys

import pytest

from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS, Activation
from vanishing.parts.combinations import impossible
from vanishing.parts.inits import INITS
from vanishing.parts.norms import NORMS
from vanishing.parts.residuals import RESIDUALS
from vanishing.report.catalogue import (
    COLUMNS,
    NOTHING,
    REGISTRIES,
    plain,
    rows,
    tables,
)
from vanishing.report.combining import EVERYTHING, combines, families
from vanishing.report.listing import text
from vanishing.report.sources import cited, works
from vanishing.theory.catalogue import chi_1_of_init, chi_1_of_norm, gradient_growth
from vanishing.theory.fixed_points import critical_point
from vanishing.theory.maps import chi_1_batch, chi_1_layer

from .conftest import ROOT

TANH, RELU = ACTIVATIONS["tanh"], ACTIVATIONS["relu"]
BIBLIOGRAPHY = (ROOT / "reports/paper/references.bib").read_text(encoding="utf-8")
PAPER = (ROOT / "reports/paper/paper.md").read_text(encoding="utf-8")
NEEDED = {  # parts without defaults, by kind and name
    ("init", "gaussian"): "gaussian(sigma_w=1)", ("init", "uniform"): "uniform(sigma_w=1)",
    ("init", "one_layer"): "one_layer(layer=2)",
}  # fmt: skip
CELL = {
    "family": "mlp", "init": "he", "norm": "none", "residual": "none", "block": 1, "depth": 8,
    "width": 12, "stages": 1, "batch": 1, "steps": 1, "image": (1, 8, 8), "kind": "digits",
    "norm_position": "before", "length": 0, "loss": "cross_entropy", "recurrence": "none",
    "game": "none", "players": "none", "normed": "both",
}  # fmt: skip
FAMILY = {  # what a cell of each family is, whose parts go with it
    "mlp": {}, "cnn": {"family": "cnn"}, "rnn": {"family": "rnn", "length": 9},
    "gan": {"family": "gan", "players": "cnn", "game": "hinge"},
}  # fmt: skip


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_registered_part_has_a_row_with_its_parameters_formula_and_source(kind):
    found = rows(kind)
    assert [row.name.partition("(")[0] for row in found] == list(REGISTRIES[kind])
    for row, entry in zip(found, REGISTRIES[kind].entries.values(), strict=True):
        takes = (
            [] if isinstance(entry, REGISTRIES[kind].part) else inspect.signature(entry).parameters
        )
        assert re.findall(r"(?:\(|, )(\w+)", row.name) == list(takes)
        assert row.formula, row.name
        assert row.source or row.name == "none", row.name
        assert len(row.numbers) == len(COLUMNS.get(kind, []))


def test_a_part_that_is_registered_gets_a_row(monkeypatch):
    entries = {**ACTIVATIONS.entries, "mine": Activation(lambda h: 2 * h, "me 2026", "2 h")}
    monkeypatch.setattr(ACTIVATIONS, "entries", entries)
    mine = rows("activation")[-1]
    assert mine.name == "mine"
    assert mine.numbers == pytest.approx((0.5, 1, 1), abs=1e-9)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu"])
def test_an_activation_is_shown_at_its_critical_point(name):
    [row] = [row for row in rows("activation") if row.name == name]
    assert row.numbers == tuple(critical_point(ACTIVATIONS[name]))


def test_chi_1_of_inits_is_known_for_relu():
    for name, expected in {
        "he": 1, "lecun": 1 / 2, "xavier": 1 / 2, "torch_default": 1 / 6, "orthogonal": 1 / 2,
        "delta_orthogonal": 1 / 2, "too_large": 8, "sparse": 7.5, "lsuv": 1, "critical": 1,
        "zeros": 0,
    }.items():  # fmt: skip
        assert chi_1_of_init(INITS[name], RELU) == pytest.approx(expected, abs=1e-9), name
    for name in ("constant", "identity", "fixup"):
        assert chi_1_of_init(INITS[name], RELU) is None


def test_chi_1_of_norms_is_the_closed_form_of_each():
    for name, expected in {
        "none": 1, "weight": 1, "batch": math.pi / (math.pi - 1), "layer": 1, "rms": 1,
        "standardised": math.pi / (math.pi - 1),
    }.items():  # fmt: skip
        assert chi_1_of_norm(NORMS[name], RELU) == pytest.approx(expected, rel=1e-5), name
    assert chi_1_of_norm(NORMS["batch"], TANH) == pytest.approx(chi_1_batch(TANH), rel=1e-4)
    assert chi_1_of_norm(NORMS["layer"], TANH) == pytest.approx(chi_1_layer(TANH), rel=1e-4)
    # the largest singular value of a square matrix is twice sigma_w, at an infinite width
    assert chi_1_of_norm(NORMS["spectral"], RELU) == pytest.approx(1 / 8, rel=0.05)
    assert chi_1_of_norm(NORMS["spectral"], TANH) == pytest.approx(1 / 4, rel=0.05)
    assert chi_1_of_norm(NORMS["instance"], TANH) is None


def test_residuals_grow_as_their_papers_say():
    for label, blocks, expected in (
        ("none", 10, 1),
        ("identity", 10, 2**10),
        ("pre_activation", 10, 2**10),
        ("scaled", 10, 1.1**10),
        ("scaled", 400, math.e),
        ("rezero", 50, 1),
        ("skip_init(start=0.5)", 4, 1.25**4),
        ("layer_scale", 50, 1.01**50),
        ("stochastic_depth(survival=1)", 3, 8),
        ("stochastic_depth(survival=0.5)", 2, (1 + 0.75**2) * (1 + 0.5**2)),
        ("dense", 10, 11),
    ):
        growth = gradient_growth(RESIDUALS[label], blocks)
        assert growth == pytest.approx(expected, rel=2e-3), label
    assert 0 < gradient_growth(RESIDUALS["highway"], 10) < 1


def test_a_parameter_without_a_default_leaves_no_number():
    [row] = [row for row in rows("init") if row.name.startswith("gaussian")]
    assert row.name == "gaussian(sigma_w, sigma_b=0)"
    assert row.numbers == (None, None)


@pytest.mark.parametrize(
    ("kind", "words", "change"),
    [
        ("init", "CNN only", {"residual": "pre_activation", "block": 2}),
        ("init", "residuals that add before phi", {"family": "cnn"}),
        ("residual", "centred or centred_xavier", {"init": "centred"}),
        ("norm", "CNN only", {"batch": 8}),
        ("norm", "batches of at least 2", {"family": "cnn"}),
        ("norm", "widths that are multiples of 4", {"family": "cnn", "batch": 8, "width": 13}),
        ("residual", "no init fixup", {"block": 2, "init": "fixup"}),
        ("norm", "zeros", {"family": "cnn", "batch": 8, "init": "zeros"}),
        ("norm", "lsuv", {"family": "cnn", "batch": 8, "init": "lsuv"}),
        (
            "init",
            "spectral",
            {"family": "cnn", "norm": "spectral", "residual": "identity", "block": 2},
        ),
        ("residual", "no RNN", FAMILY["rnn"]),
        ("residual", "no GAN of CNNs", FAMILY["gan"]),
        ("game", "no norm batch", {**FAMILY["gan"], "batch": 8, "norm": "batch"}),
    ],
)
def test_what_is_said_of_combinations_is_what_the_plan_refuses(kind, words, change):
    said, refused = set(), set()
    for name in REGISTRIES[kind]:
        label = NEEDED.get((kind, name), name)
        said |= {label} if words in combines(REGISTRIES[kind][label]) else set()
        refused |= {label} if impossible({**CELL, **change, kind: label}) else set()
    assert said == refused
    assert said


@pytest.mark.parametrize("family", FAMILY)
@pytest.mark.parametrize("kind", ["activation", "init", "norm"])
def test_families_of_a_part_are_those_that_the_plan_does_not_refuse(kind, family):
    cell = {**CELL, **FAMILY[family], "batch": 8, "width": 16}
    if kind == "init" and family != "rnn":  # which fixup asks for
        cell |= {"residual": "pre_activation", "block": 2}
    for name in REGISTRIES[kind]:
        label = NEEDED.get((kind, name), name)
        part = REGISTRIES[kind][label]
        players = {"players": "mlp"} if family == "gan" and "cnn" not in families(part) else {}
        refused = impossible({**cell, **players, kind: label})
        assert (family in families(part)) == (not refused), name


def test_cells_and_games_are_of_one_family():
    found = {kind: {families(part) for part in map(REGISTRIES[kind].__getitem__, REGISTRIES[kind])}
             for kind in ("recurrence", "game", "loss")}  # fmt: skip
    assert found == {
        "recurrence": {("rnn",)},
        "game": {("gan",)},
        "loss": {("mlp", "cnn", "rnn")},
    }
    assert not rows("game", "rnn")
    assert [row.name for row in rows("residual", "rnn")] == ["none"]
    assert {row.combines for row in rows("recurrence")} == {"RNN only"}
    # a net that plays may be a CNN, which needs no word
    assert [row.combines for row in rows("norm") if row.name == "instance"] == ["CNN only"]


def test_carry_of_a_recurrence_is_shown():
    shown = {row.name: row.numbers for row in rows("recurrence")}
    assert shown["lstm(forget_bias=1)"] == pytest.approx((1 / (1 + math.exp(-1)),))
    assert (shown["gru"], shown["vanilla"]) == ((0.5,), (0,))


def test_rows_of_a_family_leave_out_what_it_can_not_have():
    assert "instance" not in [row.name for row in rows("norm", "mlp")]
    assert "instance" in [row.name for row in rows("norm", "cnn")]
    assert len(rows("activation", "mlp")) == len(ACTIVATIONS)
    with pytest.raises(UserError, match=r"no family is called 'mpl'\. Did you mean 'mlp'"):
        rows("norm", "mpl")


@pytest.mark.parametrize("width", [100, 120])
def test_the_listing_fits_its_width_and_loses_no_word(width):
    listed = text(width=width)
    assert max(map(len, listed.splitlines())) <= width
    together = re.sub(r"\s", "", listed)
    for kind in REGISTRIES:
        for row in rows(kind):
            for word in (row.name + " " + row.formula).split():
                assert word in together or len(word) > 12, (row.name, word)


def test_columns_of_the_listing_are_aligned():
    head, rule, *lines = text("norm", width=120).splitlines()
    starts = [match.start() for match in re.finditer("─+", rule)]
    assert [head[start] for start in (starts[0], starts[1], starts[2], starts[-1])] == list("nfsc")
    first = lines[0]
    assert first[starts[1] :].startswith("h = z")
    assert first[starts[-1] :] == EVERYTHING


def test_numbers_are_short():
    assert [plain(x) for x in (1.0000000033, 1.41421356, 0.0, math.inf, 2.0**50, None)] == [
        "1", "1.414", "0", "∞", "1.126e15", NOTHING,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_source_has_an_entry_in_the_bibliography(kind):
    known = works(BIBLIOGRAPHY)
    for row in rows(kind):
        as_cited = cited(row.source, known)
        assert not row.source or re.match(r"@\w+", as_cited), (row.name, as_cited)
        assert not re.search(r"\d{4}(?![a-z]?\b)", as_cited.replace("@", " ")), as_cited


def test_no_two_entries_have_one_key_and_every_key_ends_in_its_year():
    keys = [work.key for work in works(BIBLIOGRAPHY)]
    assert len(keys) == len(set(keys)) == BIBLIOGRAPHY.count("\n@") + 1
    years = re.findall(r"^\s*(?:year|date) = \{(\d{4})", BIBLIOGRAPHY, re.M)
    assert [re.sub(r"\D", "", key) for key in keys] == years


def test_authors_tell_works_of_one_year_apart():
    known = works(BIBLIOGRAPHY)
    assert cited("Zhang, Sennrich 2019", known) == "@ZhangSennrich2019"
    assert cited("Zhang, Dauphin, Ma 2019", known) == "@Zhang2019"
    assert cited("He et al. 2016", known) == "@He2016"
    assert cited("He et al. 2016b", known) == "@He2016b"
    assert cited("Nesterov 1983, Sutskever et al. 2013", known) == "@Nesterov1983, @Sutskever2013"
    with pytest.raises(UserError, match=r"0 entries for the source Nobody et al\. 2016"):
        cited("Nobody et al. 2016", known)


def test_the_papers_appendix_asks_for_the_table_of_every_kind():
    made = tables(works(BIBLIOGRAPHY))
    assert re.findall(r"\{\{table:(parts_\w+)\}\}", PAPER) == list(made)
    for kind in REGISTRIES:
        table = made[f"parts_{kind}"].splitlines()
        assert len(table) == 2 + len(REGISTRIES[kind])
        columns = 4 + len(COLUMNS.get(kind, []))
        assert {len(re.split(r"(?<!\\)\|", line)) for line in table} == {columns + 2}


def test_the_verb_lists_parts_and_refuses_an_unknown_kind(capsys):
    assert main(["parts", "clip"]) == 0
    assert "min(1, limit / ‖g‖)" in capsys.readouterr().out
    assert main(["parts", "norm", "--family", "mlp"]) == 0
    assert "instance" not in capsys.readouterr().out
    assert main(["parts", "norms"]) == 2
    assert "Did you mean 'norm'?" in capsys.readouterr().err


def test_a_reader_who_stops_early_sees_no_traceback():
    code = "import sys; from vanishing.cli import main; sys.exit(main(['parts']))"
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as listing:
        listing.stdout.close()
        assert listing.stderr.read() == ""
    assert listing.returncode == 0
