"""The pages of the PDF: nothing overflows, overlaps, is orphaned, empty, far off or untagged."""

from pathlib import Path

import pytest

from vanishing.report import pdf

from . import page_checks
from .pages import Document, read
from .papers import PAPER, whole_paper

PUBLISHED = PAPER.parent / "published" / "paper.pdf"
PAGES = {"synthetic": range(12, 31), "published": range(12, 21)}  # as many as it may have
CHECKS = (
    page_checks.uneven_margins,
    page_checks.empty_pages,
    page_checks.words_outside,
    page_checks.ink_outside,
    page_checks.overlapping_words,
    page_checks.orphaned_headings,
    page_checks.distant_floats,
    page_checks.missing_bookmarks,
    page_checks.fonts_outside,
    page_checks.missing_tags,
)

SOUND = """
#set document(title: "Sound")
#set text(lang: "en", size: 10pt)
#set par(justify: true)
#set page(width: 120mm, height: 120mm, margin: 20mm, header: [Sound pages], footer: [
  #align(center, context counter(page).display())])
#set figure.caption(separator: [. ])
#show heading: set block(sticky: true)
#let drawn = bytes("<svg xmlns='http://www.w3.org/2000/svg' width='80' height='12'>
  <rect width='80' height='12' fill='blue'/></svg>")

= Start
@f and @t. #lorem(90)
#figure(image(drawn, width: 100%, alt: "a blue box"), caption: [A box.]) <f>
#v(0pt) <before>
== Middle
#lorem(40)
#figure(table(columns: (1fr, 1fr), table.header([a], [b]), [one], [two]), caption: [Few.]) <t>
#lorem(200)
== End
#lorem(100)
"""
# The check, what is put in the place of what, and what the check then says.
PLANTED = [
    ("uneven_margins", "margin: 20mm", "margin: (y: 20mm, left: 20mm, right: 30mm)", "pt right"),
    ("empty_pages", "== End", "#pagebreak()\nFew words.\n#pagebreak()\n== End", "only"),
    ("words_outside", "[two]", "box(width: 60mm, [#h(45mm) wide])", "'wide' leaves the type area"),
    ("ink_outside", "width: 100%", "width: 115%", "ink in the right margin"),
    (
        "ink_outside",
        "width: 100%",
        'width: 60mm, height: 85mm, fit: "stretch"',
        "ink in the strip above the footer",
    ),
    (
        "overlapping_words",
        "(1fr, 1fr), table.header([a], [b]), [one]",
        "(6mm, 1fr), align: left, table.header([a], [b]), text(hyphenate: false)[incomprehensible]",
        "'incomprehensible' and 'two' overlap",
    ),
    (
        "orphaned_headings",
        "== End",
        "#pagebreak()\n#lorem(110)\n#v(1fr)\n#block(sticky: false)[== End]\n#pagebreak()",
        "nothing follows the heading 'End'",
    ),
    (
        "orphaned_headings",
        "== End",
        "#columns(2)[#lorem(9) #v(1fr)\n#block(sticky: false)[== End]\n#colbreak() #lorem(60)]",
        "nothing follows the heading 'End'",
    ),
    ("distant_floats", "#v(0pt) <before>", "#lorem(500)", "Table 1 is first mentioned on page 1"),
    ("distant_floats", "@f and @t", "@t", "nothing refers to Figure 1"),
    ("missing_bookmarks", "== End", "#heading(level: 2, bookmarked: false)[End]", "to 'End'"),
    ("missing_tags", ', alt: "a blue box"', "", "a figure without alternative text"),
    ("missing_tags", "table.header([a], [b])", "[a], [b]", "tables without tagged header cells"),
]
# A page in a font that every reader is supposed to have.
FOREIGN = b"""%PDF-1.4
1 0 obj
<</Type/Catalog/Pages 2 0 R>>
endobj
2 0 obj
<</Type/Pages/Kids[3 0 R]/Count 1>>
endobj
3 0 obj
<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>
endobj
4 0 obj
<</Length 32>>
stream
BT /F 12 Tf 50 150 Td (Aa) Tj ET
endstream
endobj
5 0 obj
<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>
endobj
trailer
<</Root 1 0 R/Size 6>>
"""


@pytest.fixture(scope="module")
def synthetic(once) -> Path:
    """The project's paper of a synthetic study."""
    return once("paper", whole_paper) / "results/laptop/report/paper.pdf"


@pytest.fixture(scope="module", params=PAGES)
def printed(request) -> tuple[str, Document]:
    """The paper's name and pages: of the synthetic study, and the published one."""
    if request.param == "synthetic":
        return request.param, read(request.getfixturevalue("synthetic"))
    if not PUBLISHED.is_file():
        pytest.skip(f"no paper is published at {PUBLISHED}")
    return request.param, read(PUBLISHED)


def compiled(text: str, folder: Path, standard: str | None = pdf.STANDARD) -> Document:
    """The pages of a short text of typst's."""
    import typst

    standards = [standard] if standard else []
    out = folder / "planted.pdf"
    document = typst.compile(
        text.encode(), format="pdf", pdf_standards=standards, ignore_system_fonts=True
    )
    out.write_bytes(document)
    return read(out)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_paper_keeps_to(check, printed):
    assert check(printed[1]) == []


def test_paper_has_a_usual_length(printed):
    name, document = printed
    assert len(document.pages) in PAGES[name]


def test_sound_pages_pass_every_check(tmp_path):
    sound = compiled(SOUND, tmp_path)
    assert len(sound.pages) > 3
    assert {check.__name__: found for check in CHECKS if (found := check(sound))} == {}


@pytest.mark.parametrize(("name", "old", "new", "message"), PLANTED)
def test_planted_fault_is_found(name, old, new, message, tmp_path):
    assert old in SOUND
    standard = None if name == "missing_tags" else pdf.STANDARD  # which refuses to write it
    found = getattr(page_checks, name)(compiled(SOUND.replace(old, new), tmp_path, standard))
    assert any(message in one for one in found), found


def test_captions_that_are_not_recognised_are_not_passed_over(tmp_path):
    found = page_checks.distant_floats(compiled(SOUND.replace("[. ]", "[, ]"), tmp_path))
    assert found == ["2 captions are tagged, 0 read: Figure or Table, a number and a dot"]


def test_untagged_page_in_a_foreign_font_is_found(tmp_path):
    (tmp_path / "foreign.pdf").write_bytes(FOREIGN)
    document = read(tmp_path / "foreign.pdf")
    assert page_checks.fonts_outside(document) == [
        "Helvetica: embedded False, with a map to Unicode False"
    ]
    assert page_checks.missing_bookmarks(document) == ["there are no headings"]
    expected = {"the file is not tagged", "no mark of PDF/UA-1", "no title", "no language"}
    assert expected <= set(page_checks.missing_tags(document))
