"""The rating sheet in a browser: offline, blind, and what it saves is what the gate reads."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from gate_project import Project, write_jsonl
from opened import Opened

from pytest_ftgate.judges.sheets import Sheet, blinded
from pytest_ftgate.reports.html.page import sheet_page

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e . --group browser")
expect = sync_api.expect
Open = Callable[..., Opened]

HOSTILE = (
    "</script><script>window.pwned = 1; alert(1)</script>",
    "<img src=x onerror=\"window.pwned = 1\"><svg onload='alert(2)'>",
    "=HYPERLINK(\"http://192.0.2.1\")\n, 'quoted' \u202edrawkcab \u2028",
    "x" * 20_000,
)
GATE = {"test_set": "test.jsonl", "baseline": "recorded:base.jsonl", "candidate": "recorded:ft.jsonl", "margin": 0.05}


@pytest.fixture
def sheet(project: Project) -> Sheet:
    """Return a sheet of 60 pairs, of which two are equal; the candidate's answers end in ``better``."""
    ids = ["=1+1", *(f"t{i}" for i in range(1, 60))]
    texts = [(f"{HOSTILE[i % 4]} {i}", "same" if i > 57 else f"{HOSTILE[i % 4]} poor") for i in range(60)]
    better = ["same" if i > 57 else f"{HOSTILE[(i + 1) % 4]} better" for i in range(60)]
    write_jsonl(project.path / "test.jsonl", ({"id": ids[i], "input": texts[i][0]} for i in range(60)))
    write_jsonl(project.path / "base.jsonl", ({"id": ids[i], "output": texts[i][1]} for i in range(60)))
    write_jsonl(project.path / "ft.jsonl", ({"id": ids[i], "output": better[i]} for i in range(60)))
    examples = [(ids[i], texts[i][0], {"baseline": texts[i][1], "candidate": better[i]}) for i in range(60)]
    made = blinded("support", examples, "1")
    project.file("key.csv", made.key())
    project.file("sheet.html", sheet_page(made, "Which <b>reply</b> is better?"))
    return made


def choose_all(opened: Opened) -> None:
    """Choose by the keyboard: the better one, but a tie in the first pair."""
    page = opened.page
    expect(page.locator("#count")).to_have_text("Pair 1 of 58")
    page.keyboard.press("t")
    for number in range(2, 59):
        expect(page.locator("#count")).to_have_text(f"Pair {number} of 58")
        better = (page.locator("#answer-a").text_content() or "").endswith("better")
        page.keyboard.press("a" if better else "b")


@pytest.mark.parametrize(("button", "suffix"), [("CSV", "csv"), ("JSON Lines", "jsonl")])
def test_what_it_saves_decides_the_gate(
    project: Project, sheet: Sheet, open_page: Open, button: str, suffix: str
) -> None:
    assert sum(pair.equal for pair in sheet.pairs) == 2
    opened = open_page(project.path / "sheet.html", offline=True)
    page = opened.page
    save = page.get_by_role("button", name=f"Save as {button}")
    save.click()
    expect(page.get_by_role("alert")).to_contain_text("name")
    expect(page.get_by_label("Your name")).to_be_focused()
    page.get_by_label("Your name").fill("=An,na")
    page.locator("#count").focus()
    choose_all(opened)
    expect(page.get_by_role("status")).to_have_text("58 of 58 chosen")
    with page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == f"support-_An_na.{suffix}"
    saved = project.path / "ratings" / f"anna.{suffix}"
    saved.parent.mkdir()
    download.value.save_as(saved)
    text = saved.read_text(encoding="utf-8")
    assert "candidate" not in text
    if suffix == "jsonl":
        assert json.loads(text.splitlines()[0])["id"] == "'=1+1"
    metric = {"name": "human_preference", "path": "ratings", "key": "key.csv"}
    gate = project.judge(metric=metric, **GATE)
    assert (gate["verdict"], gate["judges"][0]["raters"]) == ("pass", 1), gate["checks"]
    (pair,) = gate["judges"][0]["pairs"]
    assert (pair["wins"], pair["ties"], pair["losses"]) == (57, 3, 0)
    opened.requests = [one for one in opened.requests if not one.startswith("blob:")]
    opened.is_quiet()


def test_choices_can_be_changed_and_outlast_the_page(project: Project, sheet: Sheet, open_page: Open) -> None:
    opened = open_page(project.path / "sheet.html")
    page = opened.page
    page.get_by_label("Your name").fill("Anna")
    page.get_by_role("button", name="A is better").click()
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("button", name="A is better")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Neither").click()
    page.get_by_role("button", name="Next", exact=True).click()
    page.get_by_role("button", name="B is better").click()
    page.get_by_role("button", name="Next without a choice").click()
    expect(page.locator("#count")).to_have_text("Pair 5 of 58")
    page.reload()
    expect(page.locator("#count")).to_have_text("Pair 2 of 58")
    expect(page.get_by_role("status")).to_have_text("2 of 58 chosen")
    expect(page.get_by_label("Your name")).to_have_value("Anna")
    assert sheet.id in page.evaluate("() => Object.keys(localStorage)[0]")


@pytest.mark.parametrize("width", [360, 1280])
def test_answers_stay_text_in_every_window(project: Project, sheet: Sheet, open_page: Open, width: int) -> None:
    opened = open_page(project.path / "sheet.html", viewport={"width": width, "height": 800})
    page = opened.page
    expect(page.locator("h1")).to_have_text("Which <b>reply</b> is better?")
    for number in range(4):
        expect(page.locator("#input")).to_have_text(sheet.pairs[number].input)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("button", name="Next", exact=True).click()
    assert page.evaluate("() => window.pwned") is None
    for injected in ("main img", "main svg", "main script", "h1 b"):
        expect(page.locator(injected)).to_have_count(0)
    opened.is_quiet()


def test_without_javascript_it_names_the_other_file(project: Project, sheet: Sheet, open_page: Open) -> None:
    assert sheet.pairs
    opened = open_page(project.path / "sheet.html", java_script_enabled=False)
    expect(opened.page.get_by_text("sheet.csv")).to_be_visible()
    expect(opened.page.locator("main")).to_be_hidden()
