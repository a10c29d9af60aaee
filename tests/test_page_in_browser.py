"""The paper's HTML in a real browser: widths, colours, keyboard, accessibility, drawings."""

import io
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vanishing.figures import style
from vanishing.report import svg
from vanishing.report.svg_compact import Sheet

from .browser import SCHEMES, WIDTHS, browser, opened
from .papers import whole_paper

LIMIT = 1_500_000  # bytes of a page without a study's data: fonts, style, scripts, text
CONTRAST = 4.5  # WCAG's least for text
__all__ = ["browser"]


@pytest.fixture(scope="module")
def page(once):
    """The project's own paper, of a synthetic study, with a footnote."""
    return once("paper", whole_paper) / "results/laptop/report/paper.html"


def luminance(colour: str) -> float:
    """The relative luminance (WCAG) of a CSS colour ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def background(opened_page) -> float:
    colour = opened_page.evaluate("getComputedStyle(document.body).backgroundColor")
    return luminance(colour)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_fetches_nothing_and_does_not_complain(browser, page, width, scheme):
    with opened(browser, page, width, scheme) as seen:
        root = "document.scrollingElement"
        assert seen.page.evaluate(f"{root}.scrollWidth") <= width
        for fold in seen.page.query_selector_all("main details"):
            fold.evaluate("details => { details.open = true }")
        assert seen.page.evaluate(f"{root}.scrollWidth") <= width
        assert seen.page.evaluate(f"{root}.scrollHeight") > 5000
        assert (background(seen.page) < 0.05) == (scheme == "dark")
        assert seen.fetched == [page.as_uri()]
        assert seen.errors == []


def test_drawings_follow_the_colours_of_the_page(browser, page):
    paint = "getComputedStyle(document.querySelector('svg.plot rect')).fill"
    fills = []
    for scheme in SCHEMES:
        with opened(browser, page, scheme=scheme) as seen:
            fills.append(luminance(seen.page.evaluate(paint)))
    light, dark = fills
    assert light > 0.9
    assert dark < 0.05


def test_the_button_says_and_switches_the_colours_and_the_page_keeps_them(browser, page):
    with opened(browser, page, scheme="dark") as seen:
        button = seen.page.get_by_role("button", name="Colours")
        assert button.inner_text() == "Colours: system"
        button.focus()
        seen.page.keyboard.press("Enter")
        assert button.inner_text() == "Colours: light"
        assert background(seen.page) > 0.9
        seen.page.reload()
        assert seen.page.get_by_role("button", name="Colours: light").count() == 1
        assert background(seen.page) > 0.9
        for name in ("Colours: dark", "Colours: system"):
            button.click()
            assert button.inner_text() == name
            assert background(seen.page) < 0.05


def current(seen, id_: str) -> None:
    """Waits until the contents mark the section ``id_``, and no other."""
    seen.page.wait_for_function(
        """id => { const marked = [...document.querySelectorAll('[aria-current]')]
           return marked.length == 1 && decodeURIComponent(marked[0].hash) == '#' + id }""",
        arg=id_,
    )


def test_contents_lead_to_their_heading_and_say_where_one_is(browser, page):
    with opened(browser, page) as seen:
        links = seen.page.locator(".contents a")
        ids = links.evaluate_all("all => all.map(a => decodeURIComponent(a.hash.slice(1)))")
        assert "sec:remedies" in ids
        assert seen.page.evaluate("ids => ids.every(id => document.getElementById(id))", ids)
        links.nth(ids.index("sec:remedies")).click()
        top = seen.page.locator('[id="sec:remedies"] > h3').bounding_box()["y"]
        assert 0 <= top < 250
        current(seen, "sec:remedies")
        seen.page.evaluate("document.getElementById('sec:introduction').scrollIntoView()")
        current(seen, "sec:introduction")


def test_on_a_phone_the_contents_are_folded_open_by_key_and_close_behind_a_link(browser, page):
    with opened(browser, page, 375) as seen:
        link = seen.page.locator('.contents a[href="#sec:limitations"]')
        assert not link.is_visible()
        seen.page.locator(".contents summary").focus()
        seen.page.keyboard.press("Enter")
        assert link.is_visible()
        seen.page.keyboard.press("Escape")
        assert not link.is_visible()
        seen.page.keyboard.press("Enter")
        link.click()
        assert not link.is_visible()
        bar = seen.page.locator(".contents").bounding_box()
        heading = seen.page.locator('[id="sec:limitations"] > h2').bounding_box()
        assert heading["y"] >= bar["y"] + bar["height"]


def test_a_note_shows_beside_its_mark_and_leads_there_and_back_by_keyboard(browser, page):
    with opened(browser, page) as seen:
        mark = seen.page.locator("p", has_text="A last word.").locator("a.footnote-ref")
        number = mark.inner_text()
        assert mark.get_attribute("aria-label") == f"Note {number}"
        card = seen.page.locator(".note")
        mark.focus()
        assert card.is_visible()
        assert card.inner_text().strip() == "Said beside the text."
        seen.page.keyboard.press("Escape")
        assert not card.is_visible()
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("decodeURIComponent(location.hash)") == f"#fn{number}"
        seen.page.locator(f"a[aria-label='Back to the mark of note {number}']").focus()
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("decodeURIComponent(location.hash)") == f"#fnref{number}"


@pytest.mark.parametrize("width", [375, 1280])
def test_a_figure_is_enlarged_by_keyboard_and_escape_leads_back(browser, page, width):
    with opened(browser, page, width) as seen:
        small = seen.page.locator("figure > svg.plot").first.bounding_box()["width"]
        button = seen.page.get_by_role("button", name=re.compile("Enlarge Figure")).first
        button.focus()
        seen.page.keyboard.press("Enter")
        dialog = seen.page.get_by_role("dialog", name=re.compile("^Figure"))
        assert dialog.is_visible()
        drawing = dialog.get_by_role("img")
        assert drawing.bounding_box()["width"] > 1.25 * small
        assert seen.page.evaluate("document.scrollingElement.scrollWidth") <= width
        seen.page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert button.evaluate("button => button === document.activeElement")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_serious_violation(browser, page, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    options = {"resultTypes": ["violations"]}  # of what is in order no list is made
    if scheme == "dark":  # the rest is the same in both
        options |= {"runOnly": ["color-contrast", "link-in-text-block"]}
    with opened(browser, page, scheme=scheme) as seen:
        found = axe.Axe().run(seen.page, options=options).response["violations"]
    grave = {
        violation["id"]: [node["html"] for node in violation["nodes"]]
        for violation in found
        if violation["impact"] in ("serious", "critical")
    }
    assert grave == {}


def test_headings_go_down_by_one_and_the_title_is_the_only_first(browser, page):
    with opened(browser, page) as seen:
        tags = seen.page.locator("h1, h2, h3, h4, h5, h6").evaluate_all(
            "a => a.map(h => h.tagName)"
        )
    levels = [int(tag[1]) for tag in tags]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


def test_regions_that_scroll_have_names_and_are_reached_by_keyboard(browser, page):
    with opened(browser, page, 375) as seen:
        groups = seen.page.locator(".wide").evaluate_all(
            """all => all.map(e => [e.scrollWidth > e.clientWidth, e.tabIndex,
               e.getAttribute('aria-label') ??
               document.getElementById(e.getAttribute('aria-labelledby'))?.textContent])"""
        )
    assert any(scrolls for scrolls, _, _ in groups)
    assert all(name for _, _, name in groups)
    assert [tab for scrolls, tab, _ in groups if scrolls and tab != 0] == []


def test_without_script_all_is_there_and_open(browser, page):
    with opened(browser, page, 375, script=False) as seen:
        assert seen.page.locator('.contents a[href="#sec:limitations"]').is_visible()
        assert not seen.page.locator("#theme").is_visible()
        assert seen.page.locator("svg.plot").first.is_visible()
        assert seen.page.locator("#fn1").is_visible()
        assert seen.page.get_by_role("button").count() == 0


def test_formulas_are_set_in_the_pages_own_font(browser, page):
    with opened(browser, page) as seen:
        assert seen.page.locator("math").count() > 10
        family = seen.page.locator("math").first.evaluate("m => getComputedStyle(m).fontFamily")
        assert family.startswith('"Vanishing Math"')
        assert seen.page.evaluate("document.fonts.check('16px \"Vanishing Math\"')")
        height = seen.page.locator(".equation math").first.bounding_box()["height"]
        assert 15 < height < 150


def test_a_page_without_the_studys_data_is_small(page):
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'href="data:[^"]*"', "", text)
    assert len(text.encode()) < LIMIT


def drawn() -> str:
    """A drawing with all that ours hold: marks, intervals, dashes, hatches, words, formulas."""
    figure = Figure(figsize=(4, 2.5))
    left, right = figure.subplots(1, 2)
    x = np.linspace(0, 3, 60)
    left.plot(x, np.sin(x), "--", label="a word")
    left.errorbar(x[::6], np.cos(x[::6]), 0.1, fmt="o", markersize=4, alpha=0.6)
    left.scatter(x, x**0.5, s=9, c=x, alpha=0.5)
    left.set_xlabel(r"$\log_{10} \delta_{rms}$ and a word")
    left.set_ylim(-0.5, 1.2)
    right.bar([0, 1], [1, 2], hatch="///", facecolor=style.GRID, edgecolor=style.TEXT)
    right.fill_between([0, 1], [0.5, 1], [1, 1.5], alpha=0.3)
    right.grid(color=style.GRID)
    right.set_ylabel("a word", color=style.TEXT)
    right.pcolormesh([2, 2.5, 3], [0, 1, 2], [[1, 2], [3, 4]])
    left.legend()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def pixels(browser, body: str) -> np.ndarray:
    """What the browser draws, (height, width, 3), at two pixels a CSS pixel."""
    context = browser.new_context(viewport={"width": 700, "height": 450}, device_scale_factor=2)
    try:
        page = context.new_page()
        variables = "--plot-text:#010203;--plot-grid:#040506;--plot-paper:#070809"
        rules = (
            "svg.shared{position:absolute} svg:not(.shared){width:690px;height:auto;display:block}"
        )
        page.set_content(f'<style>{rules}</style><body style="{variables}">{body}')
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    finally:
        context.close()
    return np.asarray(image, dtype=int)


def test_a_compact_drawing_looks_as_matplotlib_drew_it(browser):
    original, sheet = drawn(), Sheet()
    compact = svg.for_screen(original, "a", "a drawing", sheet)
    again = svg.for_screen(original, "b", "a drawing", sheet)
    before = pixels(browser, original[original.index("<svg") :])
    after = pixels(browser, sheet.drawing() + compact)
    assert (before < 200).mean() > 0.02
    assert np.abs(before - after).mean() < 0.1
    assert (np.abs(before - after).max(axis=2) > 80).mean() < 1e-4
    assert len(compact) < len(original) / 4
    assert again == compact.replace("plot-a", "plot-b")


def test_what_the_page_holds_of_a_figures_data_is_its_csv(browser, page):
    with opened(browser, page) as seen:
        link = seen.page.locator('a[download="profiles.csv"]')
        with seen.page.expect_download() as download:
            link.click()
        content = download.value.path().read_text()
    assert content == (page.parents[1] / "figures" / "profiles.csv").read_text()
    assert json.dumps(content) == '"x,y\\n1,2\\n"'
