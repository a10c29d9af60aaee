"""The page's explorer of runs in a browser: filters, sorting, a run, the hash, keyboard, axe."""

import json
import re

import numpy as np
import pytest

from vanishing.report import explorer, html, numbers

from . import explored
from .browser import browser
from .papers import PAPER

THEME = PAPER / "theme"
__all__ = ["browser"]


@pytest.fixture(scope="module")
def section(tmp_path_factory) -> str:
    return explorer.section(explored.explored(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="module")
def page(section, tmp_path_factory):
    """A page with the explorer alone, under the paper's style and scripts."""
    body = section.removeprefix("```{=html}\n").removesuffix("\n```")
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Runs</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{html.style(THEME)}</style><main><h1>Runs</h1><h2>All</h2>{body}</main>"
        f"<script>{''.join(f'{{{p.read_text()}}}' for p in sorted(THEME.glob('explorer*.js')))}"
        "</script></html>"
    )
    return path.as_uri()


@pytest.fixture
def tab(browser, page):
    """Opens the page at a hash; fails on a console error, or on a request of anything else."""
    wrong, contexts = [], []

    def opened(hash_="", width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(20_000)
        tab.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on(
            "request", lambda r: None if r.url.startswith((page, "data:")) else wrong.append(r.url)
        )
        tab.goto(page + hash_)
        tab.wait_for_selector(".explorer-status")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def hash_of(tab) -> str:
    return tab.evaluate("location.hash")


def said(tab) -> str:
    return tab.inner_text(".explorer-status")


def column(tab, name: str) -> list[str]:
    """What the table shows in the column ``name``."""
    heads = tab.locator(".explorer-results thead th").evaluate_all(
        "all => all.map(h => h.dataset.name)"
    )
    return tab.locator(
        f".explorer-results tbody tr > :nth-child({heads.index(name) + 1})"
    ).all_inner_texts()


def choose(tab, name: str, label: str) -> None:
    box = tab.locator(f'.explorer-filter[data-name="{name}"]')
    box.locator("summary").click()
    box.locator("label", has=tab.get_by_text(label, exact=True)).locator("input").click()


def test_filters_narrow_the_rows_and_go_into_the_hash(tab):
    shown = tab()
    assert said(shown) == "32 of 32 runs."
    choose(shown, "activation", "tanh")
    choose(shown, "init", "gaussian(sigma_w=1, sigma_b=0.5)")
    assert said(shown).startswith("4 of 32 runs: ")
    assert column(shown, "init") == ["gaussian(sigma_w=1, sigma_b=0.5)"] * 4
    where = {"activation": ["tanh"], "init": ["gaussian(sigma_w=1, sigma_b=0.5)"]}
    assert shown.evaluate("decodeURIComponent(location.hash)") == (
        "#runs?activation=tanh&init=gaussian(sigma_w=1, sigma_b=0.5)"
    )
    again = tab("#" + numbers.explored(where))
    assert column(again, "run_id") == column(shown, "run_id")
    again.get_by_role("button", name="Clear all filters").click()
    assert said(again) == "32 of 32 runs."
    assert hash_of(again) == "#runs"


def test_only_settings_that_differ_are_filters_and_columns(tab):
    shown = tab()
    names = shown.locator(".explorer-filter").evaluate_all("all => all.map(f => f.dataset.name)")
    assert {"activation", "init", "outcome", "battery", "seed", "steps"} <= set(names)
    assert not {"norm", "depth", "optimizer", "sigma_w"} & set(names)


def test_a_named_part_without_parameters_matches_itself_alone(tab):
    shown = tab("#runs?init=gaussian")
    assert said(shown) == "8 of 32 runs: init gaussian."
    assert set(column(shown, "init")) == {"gaussian"}


def test_values_of_the_hash_are_alternatives_and_columns_all_hold(tab):
    shown = tab(
        "#runs?init=he,gaussian%28sigma_w%3D4%29&seed=1,2&sigma_w=1.4142135623730951&depth=6"
    )
    assert said(shown).startswith("8 of 32 runs")
    shown.goto(shown.url.partition("#")[0] + "#runs?battery=signal")
    shown.wait_for_function(
        "document.querySelector('.explorer-status').textContent.startsWith('1 of')"
    )
    assert column(shown, "battery") == ["signal, training"]
    assert shown.evaluate("document.activeElement.className") == "explorer-status"


def test_a_missing_value_can_be_asked_for(tab):
    shown = tab("#runs?outcome=")
    assert set(column(shown, "init")) == {"gaussian"}
    assert set(column(shown, "outcome")) == {"–"}


def test_what_the_study_does_not_have_is_said(tab):
    shown = tab("#runs?activation=swish&colour=red")
    assert said(shown) == (
        "0 of 32 runs: activation (no such). This study has no activation swish, no colour."
    )
    other = tab("#run=ffff")
    assert "no run ffff here" in said(other)


def test_rows_are_sorted_by_a_column_with_missing_values_last(tab):
    shown = tab()
    head = shown.locator('.explorer-results th[data-name="final_loss"]')
    for direction, sign in (("ascending", 1), ("descending", -1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        texts = column(shown, "final_loss")
        known = [sign * float(text) for text in texts if text != "–"]
        assert known == sorted(known)
        assert texts[len(known) :] == ["–"] * (32 - len(known))
        assert len(known) == 21
    assert shown.locator("[aria-sort]").count() == 1


def test_shares_count_the_runs_that_are_shown(tab):
    shown = tab("#runs?activation=relu")
    rows = shown.locator(".explorer-shares div:first-child li").all_inner_texts()
    assert [re.sub(r"\s+", " ", row) for row in rows] == [
        "trained 9 (56 %)", "diverged 3 (19 %)", "init only 4 (25 %)",
    ]  # fmt: skip


def test_pages_of_a_longer_table_can_be_turned(browser, tmp_path):
    study = explored.explored(tmp_path, seeds=8)
    path = tmp_path / "page.html"
    body = explorer.section(study).removeprefix("```{=html}\n").removesuffix("\n```")
    path.write_text(f"{body}<script>{{{(THEME / 'explorer.js').read_text()}}}</script>")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.get_by_role("button", name="Next").click()
    assert tab.locator(".explorer-pages span").inner_text() == "51 to 64 of 64"
    assert tab.get_by_role("button", name="Next").is_disabled()
    assert tab.locator(".explorer-results tbody tr").count() == 14
    tab.close()


def charts(tab) -> list[str]:
    tab.wait_for_selector(".explorer-charts svg")
    return tab.locator(".explorer-charts figcaption b").all_inner_texts()


def test_a_click_on_a_row_opens_its_run(tab):
    shown = tab("#runs?activation=tanh&init=he&seed=0")
    shown.locator(".explorer-results tbody td").nth(1).click()
    assert charts(shown) == [
        "Backward: the error signal δ by layer.",
        "Forward: the pre-activations h by layer.",
        "Training loss by update.",
    ]
    assert hash_of(shown) == f"#run={0:016x}"
    legend = shown.locator(".explorer-legend").first.locator("li").all_inner_texts()
    assert legend == ["theory, at init", "at init", f"after update {explored.STEPS}"]
    backward = shown.locator(".explorer-charts figure").first
    assert "1 of 18 values are exactly zero or not finite" in backward.inner_text()
    assert backward.locator("g.explorer-line").first.locator("circle").count() == explored.DEPTH - 1
    assert backward.locator("g.explorer-line path").first.get_attribute("d").count("M") == 2
    assert shown.locator(".explorer-results [aria-current=true]").count() == 1


def test_the_values_of_a_chart_are_in_its_table(tab):
    shown = tab(f"#run={2:016x}")
    charts(shown)
    figure = shown.locator(".explorer-charts figure").first
    figure.locator("summary").click()
    rows = [row.split() for row in figure.locator("tbody tr").all_inner_texts()]
    for layer, row in enumerate(rows, 1):
        numbers = [float(text.replace("−", "-")) for text in row]
        expected = [layer, -layer / 4, -layer / 3 - 2, -layer / 3 - 2 - explored.STEPS]
        np.testing.assert_allclose(numbers, expected, rtol=0.005, atol=0.011)
    assert len(rows) == explored.DEPTH


def test_a_run_can_be_opened_and_closed_by_keyboard(tab):
    shown = tab("#runs?init=he")
    button = shown.locator(".explorer-results tbody button").nth(2)
    button.focus()
    shown.keyboard.press("Enter")
    charts(shown)
    assert shown.evaluate("document.activeElement.tagName") == "H3"
    shown.keyboard.press("Escape")
    assert not shown.locator(".explorer-run").is_visible()
    assert button.evaluate("button => button === document.activeElement")
    assert hash_of(shown) == "#runs?init=he"


def test_a_diverged_run_says_when_and_where(tab):
    shown = tab(f"#run={1003:016x}")
    charts(shown)
    assert shown.inner_text(".explorer-ending") == (
        "This run diverged: its numbers are not finite from update 4 on, first in layer 2."
    )
    assert "Gaps: 18 of 20 values" in shown.locator(".explorer-charts figure").last.inner_text()


def test_a_line_without_any_value_is_named(tab):
    shown = tab(f"#run={1003:016x}")
    charts(shown)
    backward = shown.locator(".explorer-charts figure").first
    assert f"after update {explored.STEPS}: every value is exactly zero or not finite" in (
        backward.inner_text()
    )
    assert backward.locator(".explorer-legend li").all_inner_texts() == [
        "theory, at init",
        "at init",
    ]


def test_a_run_that_was_not_trained_has_no_curve(tab):
    shown = tab(f"#run={100:016x}")
    assert len(charts(shown)) == 2


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_nothing_bars_a_reader_and_nothing_is_wider_than_the_page(tab, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    shown = tab(f"#run={1003:016x}", width, scheme)
    charts(shown)
    for summary in shown.locator(".explorer summary").all():
        summary.click()
    shown.locator('.explorer-filter[data-name="activation"] input').first.click()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(shown, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert json.dumps(serious, indent=1) == "[]"
