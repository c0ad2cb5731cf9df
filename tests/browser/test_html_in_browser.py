"""The page in a browser: layout, no requests, and no markup from models."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from gate_project import Project, label, write_jsonl
from opened import Open

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install -e . --group browser"
)
expect = sync_api.expect

HOSTILE = (
    "</script><script>window.pwned = 1; alert(1)</script>",
    "<img src=x onerror=\"window.pwned = 1\"><svg onload='alert(2)'>",
    "<a href='javascript:alert(3)'>javascript:alert(3)</a>",
    "\u202edrawkcab \x00 \x1b[31mred \u2028 {{ 7 * 7 }}",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe><link rel=stylesheet href=http://192.0.2.1/a.css>",
    "x" * 1_000_000,
)


def report(project: Project, **changes: Any) -> Path:
    project.gate_test(**changes)
    project.run("--ftgate-report=html:report.html")
    return project.path / "report.html"


def test_what_models_say_stays_text(project: Project, open_page: Open) -> None:
    project.predictions("ft.jsonl", 60, output=lambda i: HOSTILE[i % len(HOSTILE)])
    # else the rows are near copies
    words = ["".join(Random(i).choices("bdfgklmnprst", k=200)) for i in range(60)]
    tests = [
        {"id": f"t{i}", "input": f"{HOSTILE[i % 4]} {words[i]}", "expected": label(i)}
        for i in range(60)
    ]
    write_jsonl(project.path / "test.jsonl", tests)
    opened = open_page(report(project))
    page = opened.page
    expect(page.locator("main")).to_contain_text("javascript:alert(3)")
    assert page.evaluate("() => window.pwned") is None
    for injected in (
        "main img",
        "main iframe",
        "main link",
        "main svg svg",
        "main a:not([href^='#'])",
    ):
        expect(page.locator(injected)).to_have_count(0)
    expect(page.locator("script")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("\\u202edrawkcab")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    opened.is_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_window_and_scheme(
    project: Project, open_page: Open, width: int, scheme: str
) -> None:
    axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    project.test_set(60, lang="en")
    path = report(project, slices={"fields": ["lang"], "max_drop": 0.05}, metric="f1_macro")
    opened = open_page(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert opened.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert axe.run(opened.page).response["violations"] == []
    opened.is_quiet()


def test_on_a_phone_titles_and_checks_fit_and_wide_tables_scroll(
    project: Project, open_page: Open
) -> None:
    project.test_set(60, lang="en")
    path = report(project, slices={"fields": ["lang"], "max_drop": 0.05})
    opened = open_page(path, viewport={"width": 390, "height": 844})
    assert opened.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    titles = [box for title in opened.page.locator("h4").all() if (box := title.bounding_box())]
    assert titles
    assert all(box["width"] > 300 and box["x"] + box["width"] <= 390 for box in titles)
    wide = opened.page.locator(".scroll:has(table.plain)").first
    assert wide.evaluate("node => node.scrollWidth > node.clientWidth")
    for cell in opened.page.locator("table.checks td:nth-child(3)").all():
        box = cell.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
    models = open_page(path, viewport={"width": 375, "height": 844}).page.locator("table.models")
    assert models.evaluate("node => node.scrollWidth <= node.parentNode.clientWidth")
    for cell in models.locator("tbody td").all():
        box = cell.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 375
    assert "gradient" in wide.evaluate("node => getComputedStyle(node).backgroundImage")
    opened.is_quiet()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_first_screen_has_the_verdict_what_failed_its_cure_and_the_gain(
    project: Project, open_page: Open, size: tuple[int, int]
) -> None:
    path = report(project, margin=0.3)
    page = open_page(path, viewport={"width": size[0], "height": size[1]}).page
    for selector in (".badge.fail >> nth=0", ".decides .headline", ".decides .todo", "svg.plot"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= size[1], selector
        assert box["x"] + box["width"] <= size[0], selector
    icon = page.locator("h1").evaluate("node => getComputedStyle(node, '::before').content")
    assert "\u2717" in icon, "told apart without colour"


def test_printed_it_is_light(project: Project, open_page: Open) -> None:
    opened = open_page(report(project), color_scheme="dark")
    opened.page.emulate_media(media="print")
    expect(opened.page.locator("nav")).to_be_hidden()
    expect(opened.page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    assert opened.page.pdf().startswith(b"%PDF")
    opened.is_quiet()


# texts whose contrast is below WCAG level AA
