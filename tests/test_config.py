# ruff: noqa: E501 - a mistake and its message stand in one line
"""A config is read strictly: all that is wrong with it at once, with its line and what to do."""

from pathlib import Path

import pytest
import yaml

from vanishing.errors import UserError
from vanishing.study import config, plan

ROOT = Path(__file__).parents[1]
GOOD = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh", "relu"], "init": ["he"], "depth": [2, 3]},
    "width": 8,
    "seeds": {"tuning": 1, "judged": 2},
    "train": {"steps": 4, "lr": [0.1, 0.3]},
}


@pytest.fixture
def read(tmp_path):
    """Reads a battery that is ``GOOD`` but for some blocks (None takes one away)."""

    def read(**changes):
        battery = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": {"b": battery}}))
        return plan.make(path, tmp_path / "results")

    return read


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "workflow/config").glob("*.yaml")])
def test_our_configs_are_good(name):
    planned = plan.make(ROOT / f"workflow/config/{name}.yaml")
    assert planned.cohorts


def test_the_schema_is_in_step():
    assert (ROOT / "workflow/config/schema.json").read_text() == config.json_schema()


def test_the_readme_example_is_good(tmp_path, monkeypatch):
    text = (ROOT / "workflow/config/README.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "mine.yaml").write_text(example)
    (tmp_path / "my_parts.py").write_text("snake = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert config.read(tmp_path / "mine.yaml").batteries["mine"].train.tuned


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widht": 3}, "no key is called 'widht'. Did you mean 'width'"),
        ({"family": "mpl"}, "batteries.b.family: Input should be 'mlp', 'cnn', 'rnn' or 'gan', and 'mpl' came"),
        ({"task": "digit"}, "no task is called 'digit'. Did you mean 'digits'"),
        ({"task": {"idx": {"images": "x"}}}, "batteries.b.task.idx.labels: this key is missing"),
        ({"task": {"npz": {"path": "no.npz"}}}, "there is no file .*no.npz"),
        ({"task": {"npz": None}}, "batteries.b.task.npz.path: this key is missing"),
        ({"task": ["digits"]}, "give one task: digits, mnist, fashion_mnist, cifar10, "),
        ({"task": {"mnist": {"folder": "no"}}}, "there is no folder .*/no "),
        ({"task": {"mnist": {"folder": "."}}}, r"lacks files of mnist: train-images-idx3-ubyte, .*must hold"),
        ({"task": {"mnist": {"samples": 9}}}, "samples: .*greater than or equal to 10, and 9 came"),
        ({"task": {"cifar10": {"sample": 99}}}, "no key is called 'sample'. Did you mean 'samples'"),
        ({"task": {"npz": {"path": "x", "nam": "y"}}}, "no key is called 'nam'. Did you mean 'name'"),
        ({"factors": {**GOOD["factors"], "depth": []}}, "factors.depth: List should have at least 1"),
        ({"factors": {**GOOD["factors"], "depth": [2, 2]}}, "2 stands twice"),
        ({"factors": {**GOOD["factors"], "depth": ["2"]}}, r"depth\[0\]: .*valid integer, and '2' came"),
        ({"factors": {**GOOD["factors"], "depth": 2}}, "factors.depth: .*valid list, and 2 came"),
        ({"factors": {**GOOD["factors"], "norm": ["bacth"]}}, "no norm is called 'bacth'. Did you mean"),
        ({"factors": {**GOOD["factors"], "norm": ["batch"]}, "train": {**GOOD["train"], "batch": 1}},
         "norm 'batch' needs a batch of at least 2"),
        ({"seeds": {"judged": 2}}, "seeds.tuning is 0"),
        ({"seeds": {"tuning": 1, "judged": 0}}, "seeds.judged: .*greater than or equal to 1"),
        ({"train": {"steps": 4, "lr": 0.1}}, "seeds.tuning is given, and train.lr is no list"),
        ({"train": {"steps": 4, "lr": [0.1]}}, "a list of rates is tuned over: give two or more"),
        ({"train": {"steps": 4, "lr": [0.1, -1]}}, r"train.lr\[1\]: .*greater than 0"),
        ({"train": {"steps": 4}, "seeds": {"judged": 2}}, "train.lr is missing"),
        ({"train": {"steps": 0, "lr": 0.1}, "seeds": {"judged": 2}}, "no sense with steps: 0"),
        ({"probes": {"steps": [0, 9]}}, "probes.steps holds 9, and training ends at 4"),
        ({"width": None}, "give either width, or a list of widths"),
        ({"vary": {"width": [4, 8]}}, "give either width, or a list of widths"),
        ({"vary": {"optimizer": ["adam"]}, "train": {**GOOD["train"], "optimizer": "sgd"}},
         "give either train.optimizer or vary.optimizer"),
        ({"vary": {"optimiser": ["adam"]}}, "no key is called 'optimiser'. Did you mean 'optimizer'"),
        ({"exclude": [{"when": {"norm": "batch"}, "because": "x"}]}, "'batch' is not on that axis: none"),
        ({"exclude": [{"when": {"nrm": "none"}, "because": "x"}]}, "no axis is called 'nrm'"),
        ({"exclude": [{"when": {"norm": "none"}, "because": "x"}]}, "leaves out every cell"),
        ({"exclude": [{"when": {"depth": 2}, "because": ""}]}, "because: String should have at least 1"),
        ({"exclude": [{"when": {"depth": 2}, "because": "x"}, {"when": {"depth": 2}, "because": "y"}]},
         "leaves out no cell"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_what_to_do(read, changes, message):
    with pytest.raises(UserError, match=message):
        read(**changes)


def test_all_mistakes_come_at_once_each_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "batteries:\n  b:\n    family: mlp\n    task: digits\n    factors:\n"
        "      activation: [tanh, tahn]\n      init: [hee]\n      depth: [2]\n    width: x\n"
        "    seeds: {judged: 2}\n    train: {steps: 0}\ncolour: red\n"
    )
    with pytest.raises(UserError) as error:
        config.read(path)
    lines = str(error.value).splitlines()
    starts = [f"{path}:{n}: " for n in (6, 7, 9, 12)]
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batteries: [", "mine.yaml:1: "),
        ("", "must be a mapping"),
        ("batteries: {}", "batteries: Dictionary should have at least 1 item"),
        ("batteries: {b: 3}", "batteries.b: Input should be a valid dictionary"),
        ("a: 1\na: 2\n", r"the key 'a' stands twice \(first in line 1"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        config.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        config.read(tmp_path / "none.yaml")


def test_numbers_in_scientific_notation_are_numbers(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"batteries": {"b": GOOD}}) + "cohort_flops: 1e9\n")
    assert config.read(path).cohort_flops == 1e9


def test_an_unknown_study_is_refused_with_the_names_that_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="no study is called 'laptob'"):
        plan.make("laptob")
