"""Drawings made small: rounded paths, shared letters and words, references that still hold."""

import re

import pytest

from vanishing.report import svg_path
from vanishing.report.svg_compact import Sheet, compact

LETTER = '<path id="font-1" d="M 0 0 \nL 64 0 \nL 64 64 \nz\n" transform="scale(0.015625)"/>'
WORD = (
    f'<g id="text_1"><!-- a --><g style="fill: #123456" transform="translate(1.2345 6) '
    f'scale(0.08 -0.08)"><defs>{LETTER}</defs><use xlink:href="#font-1"/>'
    '<use xlink:href="#font-1" transform="translate(83.796875 0)"/></g></g>'
)


def drawing(inside: str) -> str:
    return (
        '<?xml version="1.0"?><svg xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><metadata>when</metadata><defs>'
        '<style type="text/css">*{stroke-linejoin: round}</style>'
        '<clipPath id="p1"><rect x="0" y="0" width="9" height="9"/></clipPath></defs>'
        f"{inside}</svg>"
    )


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("M 0 0 \nL 1 0 \nL 1 2.5 \n", "M0 0h1v2.5"),
        ("M 0.004 0 L 0.104 0.3 L -0.5 0.25", "M0 0l.1 .3-.6-.05"),
        ("M 1 1 L 2 1 L 2 2 L 1 1 z", "M1 1h1v1z"),
        ("M 0 0 Q 1 1 2 0 C 3 1 3 2 2 2", "M0 0q1 1 2 0c1 1 1 2 0 2"),
        ("M 0 0 A 1 1 0 0 1 2 2", "M 0 0 A 1 1 0 0 1 2 2"),
        ("m 0 0 l 1 1", "m 0 0 l 1 1"),
        ("", ""),
    ],
)
def test_a_path_is_rounded_and_relative_where_it_is_lines_and_curves(long, short):
    assert svg_path.data(long, 2) == short


def test_errors_of_rounding_do_not_add_up():
    steps = svg_path.data("M 0 0 " + " ".join(f"L {i / 3} {i / 7}" for i in range(1, 3001)), 2)
    numbers = [float(x) for x in svg_path.TOKEN.findall(steps) if not x.isalpha()]
    assert sum(numbers[2::2]) == pytest.approx(1000, abs=0.01)
    assert sum(numbers[3::2]) == pytest.approx(3000 / 7, abs=0.01)


def test_a_scale_keeps_the_digits_that_a_shift_loses():
    text = "translate(1.23456 -0.5) rotate(-90) scale(0.015625)"
    assert svg_path.transform(text, 1) == "translate(1.2-.5)rotate(-90)scale(.015625)"


def test_letters_and_words_of_two_drawings_are_drawn_once():
    sheet = Sheet()
    first, second = (compact(drawing(WORD), name, sheet)[1] for name in "ab")
    assert first == second
    assert re.fullmatch(r'<use href="#s\d" class="k0" x="1.23" y="6"/>', first)
    assert sheet.drawing().count("M0 0h64v64z") == 1
    assert sheet.drawing().count("scale(.08-.08)") == 1
    assert sheet.looks == {"fill:#123456": "k0"}


def test_lines_alike_become_one_path_and_see_through_ones_stay_apart():
    line = '<g id="line_{0}"><path d="M {0} 0 L {0} 5" style="fill: none; stroke: {1}"/></g>'
    solid = drawing("".join(line.format(i, "#000") for i in (1, 2, 3)))
    assert compact(solid, "a", Sheet())[1] == '<path d="M1 0v5M2 0v5M3 0v5" class="k0"/>'
    pale = drawing("".join(line.format(i, "#000; stroke-opacity: 0.5") for i in (1, 2)))
    assert compact(pale, "a", Sheet())[1].count("<path") == 2
    faint = drawing("".join(line.format(i, "#000; opacity: 0.5") for i in (1, 2)))
    assert compact(faint, "a", Sheet())[1].count('class="k0"') == 2


def test_neighbours_share_their_clip_path_and_nested_ones_keep_both():
    mark = '<circle clip-path="url(#p1)" cx="{0}" cy="1" r="1"/>'
    content = compact(drawing(mark.format(1) + mark.format(2)), "a", Sheet())[1]
    assert content.count("clip-path") == 1
    assert content.count("<circle") == 2
    nested = drawing(f'<g clip-path="url(#p1)">{mark.format(1)}</g>')
    assert compact(nested, "a", Sheet())[1].count('clip-path="url(#s0)"') == 2


def test_ids_stay_where_something_refers_to_them_and_are_the_drawings_own():
    content = compact(drawing('<g id="x" style="fill:red"><rect id="r" width="1" height="1"/></g>'
                              '<use href="#r"/>'), "a", Sheet())[1]  # fmt: skip
    assert 'id="a-r"' in content
    assert 'href="#a-r"' in content
    assert 'id="a-x"' not in content


def test_the_rule_for_all_elements_is_inherited_from_the_drawing():
    attributes, _ = compact(drawing(WORD), "a", Sheet())
    assert attributes == 'viewBox="0 0 9 9" stroke-linejoin="round"'


def test_every_reference_is_to_something_that_is_there():
    hatch = (
        '<defs><pattern id="h1" width="9" height="9"><rect width="9" height="9" fill="red"/>'
        '</pattern></defs><path d="M 0 0 L 5 5 L 5 0 z" clip-path="url(#p1)" '
        'style="fill: url(#h1); stroke: #010203"/>'
    )
    sheet = Sheet()
    page = compact(drawing(hatch + WORD), "a", sheet)[1] + sheet.drawing()
    asked = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page))
    assert asked == {"s0", "s1", "s2", "s3"}
    assert asked <= set(re.findall(r'\bid="([^"]+)"', page))
