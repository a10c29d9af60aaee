"""The explorer of runs: what is packed, in how many bytes, and what is left out."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from vanishing.report import explorer, explorer_data
from vanishing.tables import CURVES, LAYERS, RUNS

from . import explored
from .papers import PAPER

THEME = PAPER / "theme"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A synthetic study."""
    return explored.explored(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def section(results) -> str:
    return explorer.section(results)


# ---- what is packed ------------------------------------------------------------------------------
@pytest.mark.parametrize("largest", [0, 1, 63, 64, 2**20, 2**40])
def test_sequences_are_read_as_they_were_written(largest):
    generator = np.random.default_rng(largest)
    codes = generator.integers(-largest, largest + 1, 500).astype(float)
    codes[generator.random(500) < 0.2] = np.nan
    for some in (codes, codes[:1], codes[:0], np.full(3, np.nan)):
        np.testing.assert_array_equal(explored.decoded(explorer_data.encode(some)), some)


@pytest.mark.parametrize("scale", [explorer_data.LOG10, explorer_data.LOSS, explorer_data.STEP])
def test_a_number_is_kept_within_half_of_its_quantum(scale):
    values = np.concatenate([np.linspace(-3, 3, 101), [1e4, -1e4, np.inf, np.nan]])
    back = explored.unscaled(scale.codes(values), *scale)
    known = np.isfinite(values)
    assert np.isnan(back[~known]).all()
    spread = np.hypot(values[known], scale.unit) if scale.unit else 1.0
    off = np.abs(back[known] - values[known])
    assert (off <= 0.51 * scale.quantum * spread).all()


def test_settings_and_outcomes_are_those_of_the_table(results, section):
    table = RUNS.read(results / "tables" / "runs.parquet")
    table = table.drop_duplicates("run_id").set_index("run_id").sort_index()
    packed = explored.read(section).set_index("run_id").sort_index()
    assert list(packed.index) == list(table.index)
    for name in (
        "cell",
        "activation",
        "init",
        "split",
        "outcome",
        "lr",
        "seed",
        "sigma_w",
        "depth",
    ):
        assert packed[name].isna().tolist() == table[name].isna().tolist()
        known = packed[name].dropna()
        if table[name].dtype == float:
            np.testing.assert_allclose(known, table[name].dropna(), rtol=1e-5)
        else:
            assert known.tolist() == table[name].dropna().tolist()
    for name, scale in explorer_data.NUMBERS.items():
        known = table[name].astype(float)
        spread = np.hypot(known, scale.unit) if scale.unit else 1.0
        assert packed[name].isna().equals(known.isna())
        assert not ((packed[name] - known).abs() > 0.51 * scale.quantum * spread).any()


def test_a_run_in_two_batteries_is_one_entry_with_both(section):
    packed = explored.read(section).set_index("run_id")["battery"]
    assert packed.loc[f"{0:016x}"] == ("signal", "training")
    assert set(packed.drop(f"{0:016x}")) == {("training",)}


def test_first_seeds_of_every_cell_come_first(section):
    packed = explored.read(section)
    assert packed["seed"].tolist() == sorted(packed["seed"])
    assert packed["cell"].nunique() == packed["seed"].eq(0).sum()


def lines(section: str, kind: str, names: list[str]) -> dict[int, list[dict]]:
    """The lines of a kind by run, in the order of :func:`explored.read`."""
    [meta], found = explored.packs(section, "meta"), {}
    for pack in explored.packs(section, "details"):
        of = {name: explored.decoded(pack["sequences"][f"{kind}.{name}"]) for name in names}
        keys = {
            name.partition(".")[2]: explored.decoded(content)
            for name, content in pack["sequences"].items()
            if name.startswith(f"{kind}.") and name.partition(".")[2] not in names
        }
        ends = np.cumsum(keys["n"]).astype(int)
        for i, end in enumerate(ends):
            points = slice(end - int(keys["n"][i]), end)
            line = {
                name: explored.unscaled(of[name][points], *meta["scales"][name]) for name in names
            }
            line |= {name: values[i] for name, values in keys.items()}
            found.setdefault(int(line["run"]), []).append(line)
    return found


def test_profiles_are_those_of_the_first_and_of_the_last_step(results, section):
    table = LAYERS.read(results / "tables" / "layers.parquet").set_index("run_id")
    found = lines(section, "layers", ["log10_delta_rms", "q"])
    for place, run in enumerate(explored.read(section).itertuples()):
        ends = sorted({0, explored.STEPS if run.init != "gaussian" else 0})
        assert [line["step"] for line in found[place]] == ends
        for line in found[place]:
            rows = table.loc[run.run_id]
            rows = rows[rows["step"] == line["step"]].sort_values("layer")
            np.testing.assert_allclose(line["log10_delta_rms"], rows["log10_delta_rms"], atol=0.006)
            np.testing.assert_allclose(line["q"], np.log10(rows["q"]), atol=0.006)


def test_curves_are_those_of_the_trained_runs(results, section):
    table = CURVES.read(results / "tables" / "curves.parquet").set_index("run_id")
    found = lines(section, "curve", ["step", "train_loss"])
    runs = explored.read(section)
    assert set(found) == set(runs.index[runs["init"] != "gaussian"])
    for place, [line] in found.items():
        rows = table.loc[runs["run_id"][place]]
        np.testing.assert_array_equal(line["step"], rows["step"])
        np.testing.assert_allclose(line["train_loss"], rows["train_loss"], rtol=0.006)


def test_layers_that_were_not_logged_are_missing():
    rows = pd.DataFrame({"run": [1, 1, 4], "layer": [4, 2, 1], "x": [4.0, 2.0, 1.0]})
    found = explorer_data.lines(rows, ["run"], "layer", 1, {"x": explorer_data.STEP})
    assert found.keys["n"].tolist() == [4, 1]
    np.testing.assert_array_equal(found.values["x"], [np.nan, 2, np.nan, 4, 1])
    part = {
        name: explored.decoded(content).tolist() for name, content in found.between(2, 9).items()
    }
    assert part == {"run": [4], "n": [1], "x": [1]}


def test_same_study_gives_the_same_bytes(results, section):
    assert explorer.section(results) == section


# ---- what is left out ----------------------------------------------------------------------------
def test_nothing_is_left_out_of_a_study_that_fits(section):
    assert "left-out" not in section


@pytest.mark.parametrize(("more", "of_rows"), [(10, 0.6), (2000, 0.6), (6000, 0.9)])
def test_the_budget_is_kept_and_what_is_left_out_is_said(
    results, section, monkeypatch, more, of_rows
):
    budget = len(re.search(r'class="explorer-meta">([^<]*)', section)[1]) + more
    monkeypatch.setattr(explorer, "BLOCK", 4)
    monkeypatch.setattr(explorer, "ROWS", 4)
    monkeypatch.setattr(explorer, "LEAST", 1)
    monkeypatch.setattr(explorer, "OF_ROWS", of_rows)
    text = explorer.section(results, budget)
    size = sum(map(len, re.findall(r'octet-stream" class="explorer-\w+">([^<]*)', text)))
    assert size <= budget
    rows = sum(len(pack["sequences"]["run_id"]) // 8 for pack in explored.packs(text, "rows"))
    details = 4 * len(explored.packs(text, "details"))
    assert min(rows, details) < 32
    note = re.search(r'left-out">(.*?)</p>', text)[1]
    assert (f"Curves and profiles are here of {details} of these runs" in note) == (details < rows)
    assert (f"Of the study’s 32 runs {rows} are here" in note) == (rows < 32)
    assert bool(explored.packs(text, "theory")) != ("What theory predicts" in note)


def test_a_study_without_a_finished_run_says_so(tmp_path):
    RUNS.write(RUNS.frame([]), tmp_path / "tables" / "runs.parquet")
    assert explorer.section(tmp_path) == explorer.EMPTY


def test_a_study_of_runs_alone_has_rows(results, tmp_path):
    (tmp_path / "tables").mkdir()
    shutil.copy(results / "tables" / "runs.parquet", tmp_path / "tables")
    text = explorer.section(tmp_path)
    assert len(explored.read(text)) == 32


def test_outcomes_have_the_colours_of_the_figures():
    from vanishing.figures.outcomes import COLOURS

    css = (THEME / "explorer.css").read_text()
    assert dict(re.findall(r"\.explorer-(\w+) \{ --hue: (#\w+); \}", css)) == COLOURS


def test_without_scripts_the_page_says_where_the_data_are(section):
    assert "<noscript>" in section
    assert "tables/runs.parquet" in explorer.WITHOUT_SCRIPT
