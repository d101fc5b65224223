"""A headless browser for tests of pages: Debian's chromium, by playwright. Without it such tests are skipped."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The browser. Skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium (as .ci/run does)")
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, file: Path, width: int = 1280) -> Iterator[Any]:
    """The page in a window of so many pixels. Whatever it complains of or asks for beside itself is an error."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page, own, wrong = context.new_page(), file.resolve().as_uri(), []
    page.on("console", lambda said: wrong.append(f"console, {said.type}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda asked: wrong.append(f"request: {asked.url}") if asked.url != own else None)
    page.route("**/*", lambda route: route.continue_() if route.request.url == own else route.abort())
    page.goto(own)
    yield page
    context.close()
    assert not wrong


def overflow(page: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def drawn(page: Any, side: int) -> Any:
    """What is drawn of every company and link on a side of the replay."""
    return page.evaluate(
        "side => document.querySelectorAll('.network')[side]._cyreg.cy.elements().map(e => e.data())", side
    )
