"""The page: its facts, its content security policy, and that no text becomes markup."""

import json
import re
import sys
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import pytest
from html_page import Page

from pytest_ftgate.reports.html.page import page
from pytest_ftgate.reports.json import Session
from pytest_ftgate.reports.sentences import decision_sentence
from pytest_ftgate.result import (
    Check,
    Confusion,
    Diagnosis,
    Economics,
    Flip,
    GateResult,
    LabelScore,
    ModelResult,
    PartResult,
    RowPair,
    TestSetResult,
    Threshold,
    TrainingResult,
)
from pytest_ftgate.statistics.evidence import Comparison

HOSTILE = (
    "</script></style><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & <!-- <svg onload=alert(3)> "
    "javascript:alert(4) {{ 7 * 7 }} \u202edrawkcab \x00 \x1b[31m \u2028 \ud800"
)


def bare(verdict="error"):
    """Return a gate of which nothing else is known."""
    return GateResult(
        "intents",
        "test_gate.py::test_gate",
        verdict,
        checks=(Check("margin", verdict, "that is why"),),
    )


def full(text="words"):
    """Return a gate of which everything is known, with ``text`` wherever text can be."""
    model = ModelResult(
        text, text, 0.7, {"accuracy": 0.7}, 4, 4, 0, 0, latency_p50_s=0.2, latency_p95_s=0.9,
        price=text, verified=False,
    )  # fmt: skip
    economics = Economics(20, 10, 120, 3, 1, 10, True, 365, text)
    return GateResult(
        text, text, "fail", "accuracy", 0.05, "significant", 0.95,
        baseline=model, baselines={"prompted": model, "few_shot": model}, candidate=model,
        gain=0.1, lower_bound=0.06, upper_bound=0.2, method=text,
        n=4, fixed=1, broken=1, note=text, examples_needed=120,
        training=TrainingResult(text, text, 400, 390, 1, 2, 3, (RowPair(*[text] * 4),)),
        test_set=TestSetResult(text, text, 4),
        checks=(Check("margin", "pass", text), Check("slices", "fail", text, 1, 2, text, text)),
        hypothesis=text, gate=text, loosened=(text,), metric_range=(0.0, 1.0), models_called=True, stage="accept",
        diagnosis=Diagnosis({"right": 2, "wrong": 2}, {"right": 3, "refusal": 1},
                            (LabelScore(text, 4, 2, 3), LabelScore("frequent", 40, 20, 30)),
                            (Confusion(text, text, 2, 3),)),
        economics=economics,
        gains=dict.fromkeys(("prompted", "few_shot"), Comparison(gain=0.1, lower_bound=0.06, upper_bound=0.2)),
        guards=(PartResult(text, text, 0.02, 0.95, gain=0.01, n=3, baseline=0.7, candidate=0.8),),
        slices=(PartResult(text, "accuracy", 0.03, 0.9, text, text, 0.7, 0.8, "fail", n=4, gain=0.1, lower_bound=0.0),),
    )  # fmt: skip


def test_all_facts_survive_json_but_a_value_that_is_no_number():
    for result, read in (
        (full(), full()),
        (replace(full(), gain=float("nan")), replace(full(), gain=None)),
    ):
        assert (
            GateResult.from_dict(
                json.loads(json.dumps(result.to_dict(whole=True), allow_nan=False))
            )
            == read
        )


def written(*results, session=None):
    markup = page(results, session or Session(), written_at=0.0)
    markup.encode()  # a lone surrogate would be an error
    return Page(markup)


def test_everything_that_is_known_is_said_and_nothing_else():
    full_page, nothing = written(full()), written(bare())
    for facts in ("+10.0 points", "+6.0", "needs +5.0", "1 fixed, 1 broken", "few_shot"):
        assert facts in full_page.text, facts
    # of one gate
    assert ('<h1 class="fail">' in full_page.markup, "Verdicts" in full_page.headings) == (
        True,
        False,
    )
    assert "Environment" in nothing.headings
    extra_titles = {"Economics"}
    assert extra_titles <= set(full_page.headings)
    assert extra_titles.isdisjoint(nothing.headings)
    assert "None" not in nothing.text
    assert "svg" not in {tag for tag, _ in nothing.elements}


def test_red_gates_come_first():
    verdicts = ["pass", "fail", "inconclusive", "pass", "error"]
    html = written(*(replace(bare(verdict), name=f"gate{i}") for i, verdict in enumerate(verdicts)))
    assert "Verdicts" in html.headings
    names = [heading.split()[0] for heading in html.headings if heading.startswith("gate")]
    assert names == ["gate4", "gate1", "gate2", "gate0", "gate3"]


def test_a_green_gate_does_not_hide_an_obligation():
    green = bare("pass")
    session = Session(
        unjudged=(("other", "its test was skipped"),), removed=("a gate was removed",)
    )
    html = written(green, session=session)
    assert "required" in html.headings[0]
    for words in ("other", "its test was skipped", "a gate was removed"):
        assert words in html.text
    allowed = written(green, session=replace(session, waived_by="--ftgate-allow-missing"))
    assert "required" not in allowed.headings[0]
    assert "--ftgate-allow-missing" in allowed.text


def test_hostile_text_stays_text():
    tame, hostile = written(full("x")), written(full(HOSTILE))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in tame.elements]
    for (_, attributes), (_, tame_attributes) in zip(hostile.elements, tame.elements, strict=True):
        assert attributes.keys() == tame_attributes.keys()
    assert "</script></style><script>alert(1)</script>" in hostile.text
    assert "49" not in hostile.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u202e\ud800-\udfff]", hostile.markup)


def missed(gain=0.1):
    return (Check("margin", "fail", "gain", gain, threshold=Threshold("margin", 0.05)),)


LEAKED = (Check("leaked", "fail", "a leak"),)


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        ("Ship: 23.3 points better, 20 required", {"verdict": "pass", "gain": 0.233, "margin": 0.2}),
        ("Do not ship: 23.3 points better, 30 required", {"gain": 0.233, "margin": 0.3, "checks": missed(0.233)}),
        ("Do not ship: 7.6 points worse, 5 required", {"gain": -0.076, "checks": missed(-0.076)}),
        ("Ship: 0.0 points better, 3 worse allowed", {"verdict": "pass", "gain": 0.0, "max_drop": 0.03}),
        ("Do not ship: 0.100 better, 0.05 required", {"metric_range": (1.0, 5.0), "checks": missed()}),
        ("Do not ship", {"checks": LEAKED}),
        ("Ship", {"verdict": "pass", "gain": 0.0, "margin": None}),
        ("Not decided", {"verdict": "inconclusive", "gain": None}),
        ("Not judged", {"verdict": "error", "gain": None}),
    ],
)  # fmt: skip
def test_the_verdict_in_words(sentence, facts):
    result = replace(full(), **{"checks": (), **facts})
    assert list(decision_sentence(result)) == [sentence]
    assert sentence in written(result).text


def test_of_a_red_gate_what_passed_is_folded_and_a_warning_is_not():
    found = (Check("seen", "warning", "look at it"), Check("form", "pass", "well formed"))
    red = replace(full(), checks=(*missed(), *found))
    for result, titles in (
        (red, ["Method", "1 check passed"]),
        (replace(red, checks=found, verdict="pass"), ["Method"]),
    ):
        html = written(result)
        assert re.findall(r"<summary.*?>(.*?)</summary>", html.markup) == titles
        folded = "".join(re.findall(r"<details>(.*?)</details>", html.markup, flags=re.DOTALL))
        assert ("well formed" in folded, "well formed" in html.text) == (len(titles) == 2, True)
        assert ("look at it" in folded, "look at it" in html.text) == (False, True)


def test_a_notebook_shows_the_block_of_the_page_and_keeps_its_own_style():
    tame, hostile = Page(full("x")._repr_html_()), Page(full(HOSTILE)._repr_html_())
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in tame.elements]
    assert "+10.0 points" in tame.text
    assert not {"html", "body", "script", "h1"} & {tag for tag, _ in tame.elements}
    (style,) = re.findall(r"<style>(.*?)</style>", tame.markup, flags=re.DOTALL)
    assert style.startswith(".ftgate.ftgate {")
    assert style.count("{") == style.count("}")
    assert not re.search(r"(:root|\bbody\b)", style)


def test_a_notebook_without_jinja2_shows_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    shown = full("<b>")._repr_html_()
    assert shown.startswith("<pre>")
    assert "&lt;b&gt;" in shown


def test_the_page_loads_nothing_links_lead_within_it_and_it_has_only_its_own_style():
    html = written(full(), full())
    assert not html.attributes("src")
    ids, links = html.attributes("id"), html.attributes("href")
    assert len(ids) == len(set(ids))
    assert {*links, *(f"#{attribute}" for attribute in html.attributes("aria-labelledby"))} <= {
        f"#{attribute}" for attribute in ids
    }
    assert not html.attributes("style")
    assert not any(name.startswith("on") for _, attributes in html.elements for name in attributes)
    assert not re.search(r"url\(|@import|https?:", html.markup)
    (policy,) = [value for value in html.attributes("content") if "default-src" in value]
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in {tag for tag, _ in html.elements}
    (style,) = re.findall(r"<style>(.*?)</style>", html.markup, flags=re.DOTALL)
    assert f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy


def test_wrong_answers_of_a_red_gate_are_there():
    flips = tuple(
        Flip(f"t{number}", f"question {number}", "refund", "refund", "invoice")
        for number in range(3)
    )
    checks = (Check("margin", "fail", "gain"),)
    html = written(replace(full(), checks=checks, wrong=flips, n_wrong=8))
    assert "wrong answers of the candidate (3 of 8)" in html.text
    assert "t2 question 2 refund refund invoice" in html.text


def test_wrong_answers_of_a_green_gate_are_there_and_those_it_broke_only_once():
    flips = tuple(
        Flip(f"t{number}", f"question {number}", "refund", "invoice", "invoice")
        for number in range(3)
    )
    green = replace(full(), verdict="pass", checks=(), broken_examples=flips[:1], broken=1)
    html = written(replace(green, wrong=flips, n_wrong=8))
    assert "wrong answers of both models (2 of 7)" in html.text
    assert [html.text.count(f"question {number}") for number in range(3)] == [1, 1, 1]


def test_the_rows_of_a_red_guard_are_there_and_a_gate_on_the_page_is_not_listed_as_missing():
    flip = Flip("g1", "a question of the guard", "refund", "refund", "invoice")
    guard = PartResult(
        "safety", "accuracy", 0.03, 0.95, verdict="fail", n=9, broken=1, broken_examples=(flip,)
    )
    red = GateResult(
        "intents",
        "t",
        "fail",
        checks=(Check("guards.safety", "fail", "-16.7 points"),),
        guards=(guard,),
    )
    page_of_gate = written(
        red, session=Session(unjudged=(("intents", "the verdict of t is fail"),))
    )
    assert "a question of the guard" in page_of_gate.text
    assert "the verdict of t" not in page_of_gate.text
    assert page_of_gate.headings[0] == "0 of 1 gate passed"
    assert '<h1 class="fail">' in page_of_gate.markup


def test_before_training_there_is_no_candidate_and_parts_with_few_examples_are_grey():
    html = written(replace(full(), stage="ready", verdict="pass", gain=None))
    assert "READY" in html.text
    assert html.classes("tr").count("noise") == 3  # a guard, a slice and a label


def test_a_bound_that_is_not_known_has_no_end_and_each_of_several_baselines_its_row():
    gate = replace(full(), gains={})
    for gate_shown, whiskers, dots in (
        (gate, 3, 1), (replace(gate, lower_bound=None, upper_bound=None), 1, 1), (full(), 6, 2),
    ):  # fmt: skip
        html = written(gate_shown)
        assert (html.classes("line").count("whisker"), html.classes("circle").count("dot")) == (
            whiskers,
            dots,
        )
        assert ("over few_shot" in html.text) is (dots == 2)
