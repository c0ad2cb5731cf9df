"""The documentation in a browser: what the copy button copies, and what a phone shows of a key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from doc_pages import DOCS, build_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("material", reason="mkdocs-material is missing: pip install --group docs")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the built site on loopback, where a page may read the clipboard."""
    folder = build_site(tmp_path_factory.mktemp("site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_copy_button_copies_no_prompt(site: str, browser: Browser) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{site}/tutorial/")
    block = page.locator(".highlight", has=page.locator(".gp", has_text="$")).nth(1)
    block.hover()
    block.locator("button").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == "python take.py 240"
    context.close()


def test_sections_are_tabs_and_a_link_opens_one(site: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{site}/serve/#ollama")
    titles = page.locator("article h2")  # the last one is no server, and always there
    assert [title.is_visible() for title in titles.all()] == [
        False,
        True,
        False,
        False,
        False,
        False,
        True,
    ]
    page.locator(".tabs button", has_text="LiteLLM").click()
    assert [title.is_visible() for title in titles.all()] == [
        False,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(site: str, browser: Browser, scheme: Any, width: int) -> None:
    axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    findings = []
    for source in sorted(DOCS.rglob("*.md")):
        address = source.relative_to(DOCS).with_suffix("").as_posix().removesuffix("index")
        page.goto(f"{site}/{address}/")
        page.locator("article").wait_for()
        for finding in axe.run(page).response["violations"]:
            findings.append((address, finding["id"], finding["nodes"][0]["html"]))
    assert findings == []
    context.close()


@pytest.mark.parametrize(
    "name", ["gate-file", "metrics-and-checks", "command-line", "python-and-json"]
)
def test_a_phone_shows_the_meaning_beside_the_key(site: str, browser: Browser, name: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{site}/reference/{name}/")
    meanings = [cell.bounding_box() for cell in page.locator("td:nth-child(2)").all()]
    assert len(meanings) > 5
    # at least a third of the screen is the meaning's
    assert max(box["x"] for box in meanings if box) < 260
    cells = [cell.bounding_box() for cell in page.locator("td:visible").all()]
    # nothing scrolls
    assert name != "gate-file" or max(box["x"] + box["width"] for box in cells if box) <= 390
    context.close()
