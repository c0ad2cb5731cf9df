"""What a terminal and a pull request show of a gate: what is open, folded and left out, and that it does no harm."""

import json
import re
from dataclasses import replace
from functools import partial

import pytest
from html_page import Rendered

from pytest_ftgate import text
from pytest_ftgate.errors import DataError
from pytest_ftgate.reports import markdown
from pytest_ftgate.reports.json import Session, read_report, report
from pytest_ftgate.reports.markdown import MOST_BYTES, document, table
from pytest_ftgate.reports.tables import Column, Table, columns
from pytest_ftgate.reports.text import block, title
from pytest_ftgate.result import (
    AgreementResult,
    AttemptResult,
    Check,
    Diagnosis,
    Economics,
    Flip,
    GateResult,
    LabelScore,
    ModelResult,
    PartResult,
    Threshold,
)
from pytest_ftgate.statistics.compare import ExactTest
from pytest_ftgate.statistics.evidence import Question
from pytest_ftgate.statistics.planning import chances


def gate(**changes):
    counts = {"metrics": {"accuracy": 0.78}, "n_scored": 200, "n_expected": 200}
    gate_made = GateResult(
        name="intents", nodeid="test_gate.py::test_gate", verdict="pass", metric="accuracy", margin=0.05,
        evidence="significant", confidence=0.95, gain=0.11, lower_bound=0.0592, upper_bound=0.16, n=200, fixed=31,
        broken=9, method="exact", metric_range=(0.0, 1.0), models_called=True,
        baseline=ModelResult("gpt-4.1-mini", value=0.78, **counts),
        baselines={"baseline": ModelResult("gpt-4.1-mini", **counts)},
        candidate=ModelResult("ft:mini", value=0.89, **{**counts, "metrics": {"accuracy": 0.89}}),
        checks=(Check("margin", "pass", "gain +11.0 points, asked for +5 points", source="marker"),),
        broken_examples=tuple(Flip(f"t{i}", "where is it", "shipping", "shipping", "refund") for i in range(9)),
    )  # fmt: skip
    return replace(gate_made, **changes)


def text_of(result, verbosity=0):
    return "\n".join(line.text for line in block(result, verbosity=verbosity))


def test_ready_does_not_say_to_train_for_nothing():
    checks = (Check("headroom", "pass", "room 9"), Check("power", "warning", "power is only 22 %"))
    for breaks_even, sentences in (
        (True, ["READY, but power is only 22 %", "room 9; 0 examples"]),
        (False, ["at these costs training never pays for itself", "power is only 22 %", "room 9"]),
    ):
        costs = Economics(None, None, None, 1, None, None, breaks_even, None, "s")
        result = gate(stage="ready", checks=checks, economics=costs)
        for page in (text_of(result), document([result], Session())):
            places = [page.find(sentence) for sentence in sentences]
            assert -1 not in places
            assert places == sorted(places)
        assert "warning power" not in text_of(result)


@pytest.mark.parametrize("proven", [True, False])
def test_a_green_block_says_where_the_margin_is_not_proven(proven):
    assert ("not proven" in " ".join(text_of(gate(margin_proven=proven)).split())) is not proven


@pytest.mark.parametrize("evidence", ["observed", "significant", "proven"])
@pytest.mark.parametrize(("n", "wins", "losses"), [(60, 18, 2), (100, 14, 6), (150, 20, 20)])
def test_a_small_test_set_says_which_gain_it_can_show(n, wins, losses, evidence):
    """That gain passes in about four of five runs, by the exact test, if the models differ as often as measured."""
    options = {"margin": 0.05, "confidence": 0.95, "evidence": evidence}
    test_of_gain = ExactTest(wins, losses, n, Question(**options))
    facts = {
        "baseline": ModelResult("b", value=0.5),
        "lower_bound": test_of_gain.bounds()[0],
        "evidence": evidence,
    }
    result = gate(n=n, gain=(wins - losses) / n, **facts)
    (expected_gain,) = re.findall(
        rf"{n} examples detect a true gain of \+(\S+) points \(80 % power\)", text_of(result, 1)
    )
    assert expected_gain in document([result], Session())
    passed = chances(
        n, gain=float(expected_gain) / 100, disagreement=(wins + losses) / n, **options
    ).passed
    assert passed == pytest.approx(0.8, abs=0.08)
    assert "80 % power" not in text_of(result)
    assert "80 % power" not in text_of(replace(result, n=200), 1)
    assert "80 % power" not in text_of(replace(result, lower_bound=result.gain - 3), 1)


def test_warnings_that_question_the_result_come_first_and_all_others_but_three_are_counted():
    checks = [
        Check("near_duplicates", "warning", "x", cure="Do it."),
        Check("imbalance", "warning", "x"),
    ]
    checks += [Check("too_long", "warning", "x"), Check("empty_outputs", "warning", "x")]
    checks += [
        Check(name, "warning", "y")
        for name in ("labels_missing", "leaked", "own.budget", "circular", "attempts")
    ]
    text = text_of(gate(checks=tuple(checks)))
    assert text.splitlines()[-10:] == [
        *(
            f"warning {name}: y"
            for name in ("labels_missing", "leaked", "own.budget", "circular", "attempts")
        ),
        *(f"warning {name}: x" for name in ("near_duplicates", "imbalance", "too_long")),
        "1 more warning (-v)",
        "9 warnings (-v shows them)",
    ]
    assert "Do it." not in text
    assert "fix:  Do it." in text_of(gate(checks=tuple(checks)), verbosity=1)


def test_a_warning_is_wrapped_and_never_cut():
    message = "a sentence that ends with what matters most, " * 6 + "here"
    lines = text_of(gate(checks=(Check("circular", "warning", message),))).splitlines()
    assert f"warning circular: {message}" in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80


def test_problems_come_first_and_show_the_rows_that_they_are_about():
    def flip(name):
        return Flip(name, f"input of {name}", "refund", "refund", "invoice")

    guards = tuple(
        PartResult(
            name,
            "accuracy",
            0.03,
            0.95,
            verdict="fail",
            n=99,
            broken=7,
            broken_examples=(flip(name),),
        )
        for name in ("safety", "general")
    )
    checks = (
        Check("margin", "pass", "gain"),
        Check(
            "guards.safety",
            "fail",
            "-16.7 points",
            threshold=Threshold("guards.safety.max_drop", 0.03),
        ),
        Check("guards.general", "inconclusive", "-0.9 points"),
        Check("thresholds.latency_p95_s", "inconclusive", "too few latencies"),
    )
    result = gate(verdict="fail", checks=checks, guards=guards, wrong=(flip("main"),))
    lines = text_of(result).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["FAIL", "INCONCLUSIVE", "INCONCLUSIVE"]
    assert "broken by the candidate in safety (1 of 7):" in lines
    assert "input of safety" in text_of(result)
    assert "input of main" not in text_of(result, 1)
    assert "input of general" in text_of(result, 1)
    latency = replace(result, verdict="inconclusive", checks=checks[3:])
    assert "input of" not in text_of(latency)
    assert "input of main" in text_of(
        replace(latency, checks=(Check("thresholds.accuracy", "fail", "x"),))
    )


@pytest.mark.parametrize(
    ("check", "is_of_agreement"),
    [
        (Check("agreement", "fail", "a", 0.9, threshold=Threshold("agreement.min", 0.98)), True),
        (
            Check(
                "thresholds.accuracy",
                "fail",
                "t",
                0.9,
                threshold=Threshold("thresholds.accuracy.min", 0.98),
            ),
            False,
        ),
        (
            Check(
                "min_fixed", "inconclusive", "n", 0.9, threshold=Threshold("agreement.min", 0.98)
            ),
            False,
        ),
    ],
)
def test_a_check_is_about_the_agreement_by_what_it_requires(check, is_of_agreement):
    """And not by a value that happens to be equal."""
    agreement = AgreementResult("adapter", 0.98, 0.9, 0.9, 200, 20)
    text = " ".join(
        text_of(gate(verdict=check.status, checks=(check,), gain=None, agreement=agreement)).split()
    )
    assert text.count("20 of 200 examples differ") == 1
    assert ("agreement 90 % with adapter" in text) is not is_of_agreement


def test_a_check_that_observed_nothing_does_not_stand_for_the_gain():
    check = Check("evidence", "fail", "the judges disagree", threshold=Threshold("evidence", 0.0))
    text = text_of(gate(verdict="fail", checks=(check,), lower_bound=None))
    assert "gain +11.0 points accuracy, needs +5.0" in text


def test_nothing_about_a_gain_is_said_twice():
    threshold = Threshold("margin", 0.05)
    short = Check(
        "margin", "fail", "gain +1.0 points accuracy, needs +5.0", 0.01, 0.05, threshold=threshold
    )
    result = gate(verdict="fail", checks=(short,), gain=0.01, lower_bound=-0.03, upper_bound=0.16)
    for verbosity in (0, 1):
        text = text_of(result, verbosity)
        assert text.count("gain +1.0 points") == text.count("95 % bounds -3.0 to +16.0") == 1
        assert "upper bound" not in text
    proven = Check(
        "evidence",
        "inconclusive",
        "95 % lower bound -3.0",
        -0.03,
        threshold=Threshold("evidence", 0.05),
    )
    text = text_of(replace(result, verdict="inconclusive", checks=(proven,)), 1)
    assert text.count("lower bound") == text.count("95 % upper bound +16.0 points") == 1


def test_of_later_attempts_the_examples_that_may_be_shown_are_not_counted():
    text = text_of(gate(attempt=AttemptResult(2, 5, 0.9875)), 1)
    assert "broken by the candidate (9 of those that may be shown)" in text
    assert "31 fixed, 9 broken of 200 examples; attempt 2 of 5, judged at 98.75 %" in text


@pytest.mark.parametrize(
    "statuses", [("warning", "warning"), ("fail", "fail"), ("fail", "warning")]
)
def test_a_cure_of_two_checks_is_said_once(statuses):
    twice = (
        Check(name, statuse, name, cure="Use another judge.")
        for name, statuse in zip("ab", statuses, strict=True)
    )
    checks = (
        Check("margin", "fail", "no gain"),
        *twice,
        Check("c", "warning", "c", cure="Something else."),
    )
    gate_made = gate(checks=checks, verdict="fail")
    for printed in (
        text_of(gate_made, 1),
        document([gate_made], Session()).partition("<details>")[0],
    ):
        assert printed.count("Use another judge.") == printed.count("Something else.") == 1


def test_a_check_is_broken_between_words_and_coloured_by_its_status():
    check = Check("leaked", "fail", "one word after the other " * 8, cure="Do this, and that. " * 6)
    lines = block(
        gate(
            checks=(check,),
            models_called=False,
            gain=None,
            verdict="fail",
            wrong=(),
            broken_examples=(),
        )
    )
    assert max(len(line.text) for line in lines) <= 80
    assert [line.colour for line in lines[:3]] == ["red"] * 3
    assert title(gate()) == ("ftgate intents: PASS", "green")
    assert title(gate(verdict="inconclusive")).colour == "red"


def test_a_long_name_is_cut_in_the_middle_of_its_heading():
    name = f"tests/quality/test_finetune.py::test_gate[{'x' * 60}-prompted]"
    heading = title(gate(name=name)).text
    assert len(f"- {heading} -") == 80
    assert heading.startswith("ftgate tests/quality/test_finetune.py")
    assert heading.endswith("-prompted]: PASS")


def test_the_report_carries_every_gate_and_the_versions_of_what_is_optional_too(monkeypatch):
    monkeypatch.setattr("pytest_ftgate.reports.json.version", lambda name: f"version of {name}")
    document = json.loads(report([gate()], Session()))
    assert (document["version"], document["gates"][0]["passed"]) == (1, True)
    assert {"python", "pytest", "openai", "scikit-learn"} <= document["environment"].keys()
    # by which answers are scored and priced
    for name in ("genai-prices", "jsonschema", "rapidfuzz"):
        assert document["environment"][name] == f"version of {name}"


NUMBERS = [
    (partial(text.show_value, share=True), {0.8125: "81.2 %", None: "-"}),
    (partial(text.show_value, share=False), {0.8125: "0.812"}),
    (partial(text.show_difference, share=True), {-0.0: "+0.0 points"}),
    (partial(text.show_difference, share=False), {-0.031: "-0.031"}),
    (
        partial(text.show_amount, share=True),
        {0.05: "5 points", 0.01: "1 point", 0.125: "12.5 points"},
    ),
    (partial(text.show_amount, share=False), {0.125: "0.125"}),
    (
        text.show_percent,
        {0.95: "95 %", 0.975: "97.5 %", 1 - 0.05 / 3: "98.33 %", 0.9999: "99.99 %"},
    ),
    (text.show_seconds, {0.0421: "42 ms", 3.21: "3.2 s"}),
    (
        text.show_usd,
        {None: "unknown", 0: "$0", 0.99999999: "$1.00", 0.000098: "$0.0001", 0.00004: "<$0.0001"},
    ),
    (text.show_usd, {0.0756: "$0.0756", 1234.5: "$1,234", 12.5: "$12.50"}),
    (text.show_usd, {412.3: "$412", 99.99: "$99.99", -12.5: "-$12.50", 1e6: "$1,000,000"}),
    (text.show_age, {59.9: "59 seconds", 3_700: "1 hour", 3 * 86_400 + 5: "3 days"}),
    (partial(text.plural, noun="example"), {1: "1 example", 2000: "2,000 examples"}),
    (text.is_share, {(0.0, 1.0): True, (-1.0, 1.0): False, None: False}),
]


@pytest.mark.parametrize(("show", "texts"), NUMBERS)
def test_numbers(show, texts):
    assert {value: show(value) for value in texts} == texts


def a_slice(value, gain, verdict):
    return PartResult(
        f"lang={value}",
        "accuracy",
        0.03,
        0.99,
        "lang",
        value,
        0.9,
        0.9 + gain,
        verdict,
        gain=gain,
        n=40,
    )


def test_all_slices_are_in_the_details_only_as_the_check_names_the_worst():
    result = gate(slices=tuple(a_slice(f"l{i}", -0.1, "fail") for i in range(6)))
    assert [text_of(result, verbosity).count("lang=") for verbosity in (0, 1)] == [0, 6]


@pytest.mark.parametrize(
    "hostile",
    ["t\x1b[2J\u202e::error::\n" + "x" * 500, "::error::x\n::add-mask::y", "##[group]\r\x07"],
)
def test_foreign_text_cannot_command_a_terminal_or_a_ci_log(hostile):
    results = {
        "broken_examples": (Flip(*5 * (hostile,)),),
        "guards": (PartResult(hostile, "accuracy", 0.03, 0.95, gain=-0.02, n=12, verdict="fail"),),
        "slices": (a_slice(hostile, -0.1, "fail"),),
        "diagnosis": Diagnosis({}, {}, labels=(LabelScore(hostile, 1, 0, 0),)),
    }
    lines = text_of(gate(**results), 1).splitlines()
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert max(map(len, lines)) < 200


def test_columns_that_say_nothing_are_left_out_but_for_the_first_two():
    headings = (
        Column("", "text"),
        Column("model", "text"),
        Column("gain"),
        Column("cost"),
        Column("", "status"),
    )
    left_table = Table(
        "t", headings, (("a", "", "-", "unknown", ""), ("b", "", "-", "$1", ""))
    ).compact()
    assert [column.heading for column in left_table.columns] == ["", "model", "cost"]
    assert left_table.rows == (("a", "", "unknown"), ("b", "", "$1"))


# --- Markdown --------------------------------------------------------------------------------------------------

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
        Check(
            "margin",
            "fail",
            "gain +1.0 points, asked for +5 points",
            source="marker",
            cure="Drop it.",
        ),
        Check("slices", "warning", "lang=fr is worse"),
    )
    return gate(verdict="fail", checks=checks, **changes)


def test_what_is_beside_the_gates_stands_at_the_top():
    session = Session(
        [("billing", "its test was skipped")], ["the gate old was removed"], ["$1 spent"]
    )
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
    checks = tuple(
        Check(text, status, text, source=text, cure=text) for status in ("fail", "warning", "note")
    )
    model = ModelResult(text, metrics={text: 0.5}, price=text)
    result = red(
        name=text, nodeid=text, location=text, hypothesis=text, metric=text, note=text, baselines={text: model},
        candidate=model, broken_examples=(Flip(text, text, text, text, text),),
        guards=(PartResult(text, text, 0.1, 0.95, note=text),),
    )  # fmt: skip
    return [replace(result, checks=checks)], Session([(text, text)], [text], [text])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_foreign_text_is_read_as_it_stands_and_does_nothing(hostile):
    page = Rendered(document(*everywhere(hostile)))
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    printed = text.printable(hostile.strip())
    assert page.read.count(printed) > 20
    assert page.cells.count(printed) >= 8
    assert not REFERENCE.search(page.loose)


def test_of_a_long_table_the_first_rows_are_shown():
    lines = list(table(Table("t", columns(["label"]), tuple((f"l{i}",) for i in range(60)))))
    assert (sum(line.startswith("| l") for line in lines[2:]), lines[-2]) == (
        50,
        "and 10 more in the JSON report",
    )


def test_a_report_that_is_too_long_has_no_details_and_ends_where_it_must(monkeypatch):
    gates = [*(gate(name=f"green {i}") for i in range(60)), red(name="red")]
    monkeypatch.setattr(markdown, "MOST_BYTES", 10**9)
    whole = document(gates, Session())
    assert whole.index("red: FAIL") < whole.index("green 0: PASS")
    assert "too long" not in whole

    monkeypatch.setattr(markdown, "MOST_BYTES", len(whole.encode()) - 1)
    less = document(gates, Session())
    assert "too long" in less
    assert "<details>" not in less
    assert all(f"green {i}: PASS" in less for i in range(60))

    monkeypatch.setattr(markdown, "MOST_BYTES", 3000)
    little = document(gates, Session())
    assert len(little.encode()) <= 3000
    assert "red: FAIL" in little
    assert "green 59: PASS" not in little
    assert little.splitlines()[-1] == "The report is too long: all of it is in the JSON report."


def test_a_report_fits_a_comment():
    gates = [red(name=f"red {i}") for i in range(200)]
    text = document(gates, Session([(f"gate {i}", "x" * 2000) for i in range(100)]))
    assert len(text.encode()) <= MOST_BYTES


# --- the JSON report, read again ----------------------------------------------------------------------------------


def read_again(tmp_path, result, **changes):
    """Return what is read of a report in which facts of the one gate are changed."""
    document = json.loads(report([result], Session()))
    document["gates"][0] |= changes
    (tmp_path / "report.json").write_text(json.dumps(document), encoding="utf-8")
    return read_report(tmp_path / "report.json").gates[0]


def test_a_range_may_have_no_end_and_what_was_seen_may_be_anything(tmp_path):
    checks = tuple(
        Check("c", "note", "m", observed=observed) for observed in (1, "x", None, [1], {"a": True})
    )
    for span in ((0.0, 1.0), (0.0, float("inf")), (float("-inf"), float("inf"))):
        result = GateResult("a", "b", "pass", metric_range=span, checks=checks)
        assert read_again(tmp_path, result) == result


def test_another_gate_is_refused(tmp_path):
    result = GateResult("a", "b", "pass")
    for change in (
        {"verdict": "green"},
        {"margin": "0.05"},
        {"metric_range": [0]},
        {"candidate": None},
        {"gains": {"x": 1}},
        {"loosened": [1]},
    ):
        with pytest.raises(DataError, match="not a report"):
            read_again(tmp_path, result, **change)
