"""Markdown for those who read a pull request: what is open, folded, and left out, and that it does no harm."""

import re
from dataclasses import replace

import pytest
from html_page import Rendered
from test_render import gate

from pytest_ftgate.reports.json import Session
from pytest_ftgate.reports.markdown import MOST_BYTES, document, table
from pytest_ftgate.reports.tables import Table, columns
from pytest_ftgate.result import Advice, Check, Flip, ModelResult, PartResult
from pytest_ftgate.text import printable

ELEMENTS = {
    "h2", "h3", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "br", "details",
    "summary", "pre",
}  # fmt: skip
HOSTILE = (
    "@everyone", "see #123 and GH-7", "!5 &6 ~bug %next acme/shop#9", ":rocket: :+1:", "https://evil.example/x?a=1",
    "www.evil.example", "mallory@evil.example", "[x](https://evil.example)", "![x](https://evil.example/x.png)",
    "a | b || c", "`code` ``` fence", "</details></pre></code>", "<script>alert(1)</script>", "<img src=x onerror=y>",
    "**bold** _it_ __x__ ~~gone~~", "# title", "- item", "+ item", "1. item", "12) item", "> quote", "---", "===",
    "    code", "a  \nb\r\nc", "&lt;b&gt; &amp; &#64;", "\\*", "$x^2$", "[^1] [ ] [!NOTE]", "/close",
    "a\u202eb\u200bc\x1b[31m",
    "<!-- hidden -->", "| --- |", "xmpp:a@b.example mailto:a@b.example",
)  # fmt: skip
REFERENCE = re.compile(r"[@#]\w|[!&]\d|[~%][\w\"]|:\w+:|\bGH-\d|://|www\.", re.IGNORECASE)


def red(**changes):
    checks = (
        Check("leaked", "pass", "no test example leaked"),
        Check("margin", "fail", "gain +1.0 points, asked for +5 points", source="marker", advice="Drop it."),
        Check("slices", "warning", "lang=fr is worse"),
    )
    return gate(verdict="fail", checks=checks, **changes)


def test_what_is_beside_the_gates_stands_at_the_top():
    session = Session([("billing", "its test was skipped")], ["the gate old was removed"], ["$1 spent"])
    text = document([gate()], session)
    assert text.startswith("## ❌ ")
    assert text.index("its test was skipped") < text.index("intents")
    assert Rendered(text).read.index("the gate old was removed") < text.index("intents")
    assert "--ftgate-allow-missing" not in text
    waived = document([gate()], replace(session, waived_by="--ftgate-allow-missing"))
    assert waived.startswith("## ✅")
    assert all(fact in waived for fact in ("`--ftgate-allow-missing`", "**billing**"))
    assert document([], Session([("billing", "gone")])).startswith("## ❌ ")


def everywhere(text):
    """One text in every place that is not ours."""
    checks = tuple(Check(text, status, text, source=text, advice=text) for status in ("fail", "warning", "note"))
    model = ModelResult(text, metrics={text: 0.5}, price=text)
    result = red(
        name=text, nodeid=text, location=text, hypothesis=text, metric=text, note=text, baselines={text: model},
        candidate=model, broken=(Flip(text, text, text, text, text),), advice=(Advice("x", text, text),),
        guards=(PartResult(text, text, 0.1, 0.95, note=text),),
    )  # fmt: skip
    return [replace(result, checks=checks)], Session([(text, text)], [text], [text])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_foreign_text_is_read_as_it_stands_and_does_nothing(hostile):
    page = Rendered(document(*everywhere(hostile)))
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    told = printable(hostile.strip())
    assert page.read.count(told) > 20
    assert page.cells.count(told) >= 8
    assert not REFERENCE.search(page.loose)


def test_of_a_long_table_the_first_rows_are_shown():
    lines = list(table(Table("t", columns(["label"]), tuple((f"l{i}",) for i in range(60)))))
    assert (sum(line.startswith("| l") for line in lines[2:]), lines[-2]) == (50, "and 10 more in the JSON report")


def test_details_of_green_gates_go_first_then_those_of_red_then_green_gates():
    gates = [*(gate(name=f"green {i}") for i in range(60)), red(name="red")]
    whole = document(gates, Session(), most_bytes=10**9)
    assert whole.index("red: FAIL") < whole.index("green 0: PASS")
    assert "left out" not in whole
    less = document(gates, Session(), most_bytes=len(whole.encode()) - 1000)
    assert "the details of" in less
    assert less.count("<details>") < whole.count("<details>")
    assert all(f"green {i}: PASS" in less for i in range(60))
    assert "<details>" in less.partition("green 0: PASS")[0]
    little = document(gates, Session(), most_bytes=3000)
    assert len(little.encode()) <= 3000
    assert "red: FAIL" in little
    assert "details of 61 gates" in little
    assert "green 59: PASS" not in little


def test_a_report_fits_a_comment_and_never_takes_more_than_it_may():
    for most in (0, 50, 200, 400, 1000):
        text = document([red()], Session([("x", "y" * 500)]), most_bytes=most)
        assert len(text.encode()) <= most
        assert not text or "JSON report" in text
    gates = [red(name=f"red {i}") for i in range(200)]
    text = document(gates, Session([(f"gate {i}", "x" * 2000) for i in range(100)]))
    assert len(text.encode()) <= MOST_BYTES
