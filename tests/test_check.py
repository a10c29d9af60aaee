"""A part of the user's own under the contract: kept, broken, or no part at all."""

import re
from pathlib import Path

import pytest

from vanishing import cli
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.inits import INITS

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(
    r"```python\n(.*?)```", (ROOT / "workflow/config/README.md").read_text(), re.DOTALL
)
WRONG = """
import torch
from vanishing.parts.activations import Activation
from vanishing.parts.inits import Init
from vanishing.parts.laws import Law, normal

class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        return h.clone()
    @staticmethod
    def backward(ctx, g):
        return 2 * g

derivative = Activation(Doubled.apply, "wrong", "h")
kink = Activation(lambda h: (h - 1).relu(), "wrong", "max(h - 1, 0)")
variance = Init(lambda p: 1.0, "wrong", law=Law(lambda p, g: 3 * normal.draw(p, g), normal.cdf))
notpart = 3
def swish(beta=1.0):
    return Activation(lambda h: h * torch.sigmoid(beta * h), "right", "h / (1 + exp(-h))")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module of the user's own, of a name that no other test has imported."""

    def write(text):
        name = f"own_{abs(hash((text, str(tmp_path))))}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return name

    return write


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("snake", "activation"),
        ("shrinking", "init"),
        ("sized", "norm"),
        ("half", "residual"),
        ("signs", "optimizer"),
    ],
)
def test_the_examples_of_the_readme_keep_the_contract(own, capsys, name, kind):
    module = own("\n".join(EXAMPLES))
    status = cli.main(["check", f"{module}:{name}"])
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out == f"{module}:{name} keeps the contract of every {kind}\n"
    assert status == 0


@pytest.mark.parametrize(
    ("name", "word"),
    [("derivative", "derivative"), ("kink", "kink"), ("variance", "variance|sd|std")],
)
def test_what_breaks_the_contract_is_said_with_status_2(own, capsys, name, word):
    assert cli.main(["check", f"{own(WRONG)}:{name}"]) == 2
    assert re.search(word, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("notpart", "is int, and no part"),
        ("gone", "cannot be imported"),
        (None, "module:attribute"),
    ],
)
def test_what_is_no_part_is_refused_without_a_traceback(own, capsys, name, words):
    module = own(WRONG)
    assert cli.main(["check", f"{module}:{name}" if name else module]) == 2
    assert words in capsys.readouterr().err


OWN = """
import torch
from vanishing.parts.games import Game
from vanishing.parts.recurrences import Recurrence, Step

def cell(carry=0.0):
    def step(p, r, before, phi, see):
        h = see(0, p[0] + r[0])
        return Step(h, (before.a + phi(h)) / 2)
    return Recurrence(step, "mine", "a = (a + phi(h)) / 2", carry=carry)

def losses(real, fake):
    return torch.relu(1 - real), torch.relu(1 + fake)

game = Game(losses, lambda fake: -fake, "mine")
backwards = Game(losses, lambda fake: fake, "mine")
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cell", "keeps the contract of every recurrence"),
        ("cell(carry=0.5)", "keeps the contract of every recurrence"),
        ("cell(carry=0.6)", "hands back 0.5 of a gradient"),
        ("game", "keeps the contract of every game"),
        ("backwards", "must fall with the output"),
    ],
)
def test_a_recurrence_and_a_game_of_the_users_own_are_checked(own, capsys, name, said):
    kept = said.startswith("keeps")
    assert cli.main(["check", f"{own(OWN)}:{name}"]) == (0 if kept else 2)
    printed = capsys.readouterr()
    assert said in (printed.out if kept else printed.err)


def test_a_function_with_defaults_is_checked_at_them(own, capsys):
    assert cli.main(["check", f"{own(WRONG)}:swish"]) == 0
    assert "activation" in capsys.readouterr().out


def test_a_wrong_parameter_of_an_own_part_is_refused_with_those_that_there_are(own):
    module = own(WRONG)
    with pytest.raises(UserError, match="its parameters are: beta"):
        ACTIVATIONS[f"{module}:swish(bta=2)"]
    with pytest.raises(UserError, match="is int, and must be a part"):
        ACTIVATIONS[f"{module}:notpart"]
    with pytest.raises(UserError, match="sigma_w"):
        INITS["gaussian"]
