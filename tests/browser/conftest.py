"""Start a headless Chromium: the one on the PATH, or the one that FTGATE_CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opened import Open, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OFF = ("gpu", "background-networking", "component-update", "sync")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install -e . --group browser"
    )
    executable = (
        os.environ.get("FTGATE_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("google-chrome")
    )
    if executable is None:
        pytest.skip("there is no Chromium: install one, or name it in FTGATE_CHROMIUM")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in OFF)],
        )
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Return a function that opens a file in a new window; its ``options`` are those of playwright's contexts."""
    with ExitStack() as contexts:

        def opened(path: Path, **options: Any) -> Opened:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            contexts.callback(context.close)
            return Opened(context.new_page(), path)

        yield opened
