import json
import re
from dataclasses import replace
from functools import partial

import pytest

from pytest_ftgate.reports.json import Session, report
from pytest_ftgate.reports.markdown import document
from pytest_ftgate.reports.tables import Column, Table, breakdowns, parts
from pytest_ftgate.reports.text import block, title
from pytest_ftgate.result import (
    AttemptResult,
    BreakdownResult,
    Check,
    Diagnosis,
    Economics,
    Flip,
    GateResult,
    LabelScore,
    ModelResult,
    PartResult,
)
from pytest_ftgate.statistics.compare import by_exact_test
from pytest_ftgate.statistics.evidence import Question
from pytest_ftgate.statistics.planning import chances
from pytest_ftgate.text import (
    is_share,
    plural,
    show_age,
    show_amount,
    show_difference,
    show_percent,
    show_seconds,
    show_usd,
    show_value,
)


def gate(**changes):
    counts = {"metrics": {"accuracy": 0.78}, "n_scored": 200, "n_expected": 200}
    made = GateResult(
        name="intents", nodeid="test_gate.py::test_gate", verdict="pass", metric="accuracy", margin=0.05,
        evidence="significant", confidence=0.95, gain=0.11, lower_bound=0.0592, upper_bound=0.16, n=200, wins=31,
        losses=9, method="exact", p_value=0.0048, metric_range=(0.0, 1.0), models_called=True,
        baseline=ModelResult("gpt-4.1-mini", value=0.78, **counts),
        baselines={"baseline": ModelResult("gpt-4.1-mini", **counts)},
        candidate=ModelResult("ft:mini", value=0.89, **{**counts, "metrics": {"accuracy": 0.89}}),
        checks=(Check("margin", "pass", "gain +11.0 points, asked for +5 points", source="marker"),),
        broken=tuple(Flip(f"t{i}", "where is it", "shipping", "shipping", "refund") for i in range(9)),
    )  # fmt: skip
    return replace(made, **changes)


def text_of(result, verbosity=0):
    return "\n".join(line.text for line in block(result, verbosity=verbosity))


def test_ready_does_not_say_to_train_for_nothing():
    for breaks_even, shown in ((True, "READY: train now"), (False, "at these costs training never pays for itself")):
        costs = Economics(None, None, None, None, 1, None, None, breaks_even, None, None, "s")
        result = gate(stage="ready", checks=(Check("headroom", "pass", "m"),), economics=costs)
        assert all(shown in text for text in (text_of(result), document([result], Session())))


@pytest.mark.parametrize("proven", [True, False])
def test_a_green_block_says_where_the_margin_is_not_proven(proven):
    assert ("not proven" in " ".join(text_of(gate(margin_proven=proven)).split())) is not proven


@pytest.mark.parametrize("evidence", ["observed", "significant", "proven"])
@pytest.mark.parametrize(("n", "wins", "losses"), [(60, 18, 2), (100, 14, 6), (150, 20, 20)])
def test_a_small_test_set_says_which_gain_it_can_show(n, wins, losses, evidence):
    """That gain passes in about four of five runs, by the exact test, if the models differ as often as measured."""
    asked = {"margin": 0.05, "confidence": 0.95, "evidence": evidence}
    found = by_exact_test(wins, losses, n, Question(**asked))
    facts = {"baseline": ModelResult("b", value=0.5), "lower_bound": found.bounds()[0], "evidence": evidence}
    result = gate(n=n, gain=(wins - losses) / n, **facts)
    (shown,) = re.findall(rf"with {n} examples, a real gain of \+(\S+) points passes 4 times in 5", text_of(result))
    assert shown in document([result], Session())
    passed = chances(n, gain=float(shown) / 100, disagreement=(wins + losses) / n, **asked).passed
    assert passed == pytest.approx(0.8, abs=0.08)
    assert "4 times in 5" not in text_of(replace(result, n=200))
    assert "4 times in 5" not in text_of(replace(result, lower_bound=result.gain - 1.5))


def test_three_warnings_are_a_line_each_and_the_others_are_counted():
    checks = tuple(Check(f"w{i}", "warning", "x" * i, advice="Do it.") for i in range(5))
    text = text_of(gate(checks=checks))
    assert text.splitlines()[-5:] == [
        *(f"warning w{i}: {'x' * i}" for i in range(3)),
        "2 more warnings (-v)",
        "5 warnings (-v shows them)",
    ]
    assert "Do it." not in text
    assert "fix:  Do it." in text_of(gate(checks=checks), verbosity=1)


def test_of_later_attempts_the_examples_that_may_be_shown_are_not_counted():
    attempt = AttemptResult(2, 5, 0.95, 0.9875)
    text = text_of(gate(attempt=attempt), 1)
    assert "broken by the candidate (9 of those that may be shown)" in text
    assert "31 fixed, 9 broken of 200 examples; attempt 2 of 5: 95 % -> 98.75 %" in text


@pytest.mark.parametrize("statuses", [("warning", "warning"), ("fail", "fail"), ("fail", "warning")])
def test_advice_of_two_checks_is_said_once(statuses):
    checks = tuple(
        Check(name, status, name, advice="Use another judge.") for name, status in zip("ab", statuses, strict=True)
    )
    checks = (Check("margin", "fail", "no gain"), *checks, Check("c", "warning", "c", advice="Something else."))
    made = gate(checks=tuple(checks), verdict="fail")
    for text in (text_of(made, 1), document([made], Session()).partition("<details>")[0]):
        assert text.count("Use another judge.") == text.count("Something else.") == 1


def test_a_check_is_broken_between_words_and_coloured_by_its_status():
    check = Check("leaked", "fail", "one word after the other " * 8, advice="Do this, and that. " * 6)
    lines = block(gate(checks=(check,), models_called=False, gain=None, verdict="fail", wrong=(), broken=()))
    assert max(len(line.text) for line in lines) <= 80
    assert [line.colour for line in lines[:3]] == ["red"] * 3
    assert title(gate()) == ("ftgate intents: PASS", "green")
    assert title(gate(verdict="inconclusive")).colour == "red"


def test_the_report_carries_every_gate_and_the_versions_of_what_is_optional_too(monkeypatch):
    monkeypatch.setattr("pytest_ftgate.reports.json.version", lambda name: f"version of {name}")
    document = json.loads(report([gate()], Session()))
    assert (document["version"], document["gates"][0]["passed"]) == (1, True)
    assert {"python", "pytest", "openai", "scikit-learn"} <= document["environment"].keys()
    for name in ("genai-prices", "jsonschema", "rapidfuzz"):  # by which answers are scored and priced
        assert document["environment"][name] == f"version of {name}"


SHARE, PLAIN = {"share": True}, {"share": False}
NUMBERS = [
    (partial(show_value, **SHARE), {0.8125: "81.2 %", None: "-"}),
    (partial(show_value, **PLAIN), {0.8125: "0.812"}),
    (partial(show_difference, **SHARE), {-0.0: "+0.0 points"}),
    (partial(show_difference, **PLAIN), {-0.031: "-0.031"}),
    (partial(show_amount, **SHARE), {0.05: "5 points", 0.01: "1 point", 0.125: "12.5 points"}),
    (partial(show_amount, **PLAIN), {0.125: "0.125"}),
    (show_percent, {0.95: "95 %", 0.975: "97.5 %", 1 - 0.05 / 3: "98.33 %", 0.9999: "99.99 %"}),
    (show_seconds, {0.0421: "42 ms", 3.21: "3.2 s"}),
    (show_usd, {None: "unknown", 0: "$0", 0.99999999: "$1.00", 0.000098: "$0.0001", 0.00004: "<$0.0001"}),
    (show_usd, {0.0756: "$0.0756", 1234.5: "$1,234.50"}),
    (show_age, {59.9: "59 seconds", 3_700: "1 hour", 3 * 86_400 + 5: "3 days"}),
    (partial(plural, noun="example"), {1: "1 example", 2000: "2,000 examples"}),
    (is_share, {(0.0, 1.0): True, (-1.0, 1.0): False, None: False}),
]


@pytest.mark.parametrize(("show", "shown"), NUMBERS)
def test_numbers(show, shown):
    assert {value: show(value) for value in shown} == shown


def a_slice(value, gain, verdict):
    return PartResult(f"lang={value}", "accuracy", 0.03, 0.99, "lang", value, 0.9, 0.9 + gain, verdict, gain=gain, n=40)


def test_of_the_slices_that_do_not_hold_at_most_five_are_shown_and_in_full_all():
    result = gate(slices=tuple(a_slice(f"l{i}", -0.1, "fail") for i in range(6)))
    assert [text_of(result, verbosity).count("lang=") for verbosity in (0, 1)] == [5, 6]


@pytest.mark.parametrize(
    "hostile", ["t\x1b[2J\u202e::error::\n" + "x" * 500, "::error::x\n::add-mask::y", "##[group]\r\x07"]
)
def test_foreign_text_cannot_command_a_terminal_or_a_ci_log(hostile):
    parts = {
        "broken": (Flip(*5 * (hostile,)),),
        "guards": (PartResult(hostile, "accuracy", 0.03, 0.95, gain=-0.02, n=12, verdict="fail"),),
        "slices": (a_slice(hostile, -0.1, "fail"),),
        "diagnosis": Diagnosis({}, {}, labels=(LabelScore(hostile, 1, 0, 0),)),
        "breakdowns": (BreakdownResult("accuracy", "candidate", "rule", ("answers",), ((hostile, (3,)),)),),
    }
    lines = text_of(gate(**parts), 1).splitlines()
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert max(map(len, lines)) < 200


def breakdown_lines(*found, metric="field_f1"):
    return [line for table in breakdowns(gate(metric=metric, breakdowns=found), 30) for line in table.lines("  ")]


def test_what_a_model_has_nothing_of_is_a_dash_and_parts_of_the_candidate_come_first():
    """The usual table is in tests/golden."""
    shown = BreakdownResult("field_f1", "candidate", "field", ("F1", "right"), (("other", (None, 1234)),), ("F1",))
    lines = breakdown_lines(replace(shown, role="baseline", rows=(("intent", (0.95, 6)),)), shown)
    assert [" ".join(line.split()) for line in lines[1:]] == [
        *("other", "baseline - 0", "candidate - 1,234"),
        *("intent", "baseline 95.0 % 6", "candidate - 0"),
    ]


def test_only_the_worst_rows_are_shown():
    rows = tuple((f"json_schema $.field_{i}: type", (100 - i,)) for i in range(60))
    many = BreakdownResult("format", "candidate", "failing rule", ("answers",), rows)
    assert len(breakdown_lines(many, metric="format")) == 1 + 2 * 30
    assert not any(breakdowns(gate(breakdowns=(replace(many, rows=()),))))


def test_columns_that_say_nothing_are_left_out_but_for_the_first_two():
    headings = (Column("", "text"), Column("model", "text"), Column("gain"), Column("cost"), Column("", "status"))
    table = Table("t", headings, (("a", "", "-", "unknown", ""), ("b", "", "-", "$1", ""))).compact()
    assert [column.heading for column in table.columns] == ["", "model", "cost"]
    assert table.rows == (("a", "", "unknown"), ("b", "", "$1"))


@pytest.mark.parametrize(
    ("values", "metric_range", "span"),
    [
        ((3.0, 12.0), (0.0, float("inf")), (0.0, 12.0)),
        ((0.3, None), (0.0, 1.0), (0.0, 1.0)),
        ((None, None), None, (0.0, 1.0)),
    ],
)
def test_a_metric_without_an_end_is_drawn_as_far_as_it_goes(values, metric_range, span):
    one = PartResult("lang=en", "accuracy", 0.03, None, "lang", "en", *values, metric_range=metric_range)
    (bars,) = parts(gate(slices=(one,)))[1].bars
    assert bars == (*values, *span)
