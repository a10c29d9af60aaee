"""The linter of the paper's text: a typed-in result is found, with its line; a name is not one."""

from pathlib import Path

import pytest

from vanishing.errors import UserError
from vanishing.report import lint

PAPER = Path(__file__).parents[1] / "reports" / "paper" / "paper.md"


def words(text: str) -> list[str]:
    return [finding.word for finding in lint.findings(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the slope was -0.51 here", ["-0.51"]),
        ("trained in 93 % of runs", ["93"]),
        ("about 3× faster", ["3×"]),
        ("between 10 and 20 layers", ["10", "20"]),
        ("a loss of 1e-5", ["1e-5"]),
        ("of 1,152 runs", ["1,152"]),
        ("(p = 0.03)", ["0.03"]),
        ("**0.7**", ["0.7"]),
        ("# A heading with 12 results", ["12"]),
        ("![a caption of 5 points](figures/a8.svg){#fig:a alt='x'}", ["5"]),
        ('![a](figures/a.svg){#fig:a2 width="72%" alt="It falls to 0.3."}', ["0.3"]),
        ("[a [7]{.given} link to 4](https://example.org/12)", ["4"]),
        ("title: We ran 400 networks", ["400"]),
        ("| tanh | 0.93 |", ["0.93"]),
        (": Caption with 17 rows. {#tbl:a1}", ["17"]),
        ("in 1850 of 2000 runs", ["1850"]),
    ],
)
def test_a_result_is_found(text, found):
    assert words(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "claims C01 and R13, ReLU6, float64, log10, E4M3, q_0",
        "images of 8×8, a 2D plot, in 1991 and 2015–2016 (2018)",
        "as [@He2016, p. 773; @Poole2016] and @Hochreiter1991 say in @sec:a1.2",
        "$x = 0.5$ and\n\n$$ \\frac{1}{2} $$\n",
        "`lr=0.1` and\n\n```yaml\ndepth: [10, 20]\n```\n",
        "{{slope.relu.he|interval}} and {{table:c01}}",
        "1. first\n2. second\n\n(3) third",
        "see <https://example.org/2020/10> or [this](a/b2/3.html)",
        "a threshold of [0.02]{.given} and [95 %]{.given} and [20 layers]{.given}",
        "<!-- 42 -->",
        "three of four",
        '::: {#eq:a alt="one half of log base 10"}\n:::',
    ],
)
def test_what_is_no_result_is_free(text):
    assert words(text) == []


def test_given_marks_one_number_and_no_sentence():
    (found,) = lint.findings("[the slope was 0.51 in all of our runs]{.given}")
    assert "which is for one number" in found.why


def test_every_finding_is_told_with_file_and_line():
    with pytest.raises(UserError, match=r"(?s)a\.md:3: '0\.5'.*a\.md:7: '12'.*\.given"):
        lint.check("one\n\ntwo 0.5\n\n`9`\n\n12 x", Path("a.md"))


def test_the_projects_paper_types_in_no_result():
    assert lint.findings(PAPER.read_text(encoding="utf-8")) == []
