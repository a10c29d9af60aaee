"""A headless browser, and pages in it that keep what they fetched and what went wrong."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

WIDTHS = (375, 768, 1280)  # px: a phone, a tablet, a laptop
SCHEMES = ("light", "dark")


@dataclass
class Opened:
    """A page in the browser; ``fetched`` holds addresses, ``errors`` complaints."""

    page: object
    fetched: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, started once for a module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if not program:
        pytest.skip("the browser chromium is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(
    browser, path: Path, width: int = 1280, scheme: str = "light", script: bool = True
) -> Iterator[Opened]:
    """The file ``path`` in a window of ``width`` px, in a profile of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=script
    )
    try:
        seen = Opened(context.new_page())
        seen.page.on("request", lambda request: seen.fetched.append(request.url))
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on(
            "console",
            lambda message: seen.errors.append(message.text) if message.type == "error" else None,
        )
        seen.page.goto(path.as_uri())
        yield seen
    finally:
        context.close()
