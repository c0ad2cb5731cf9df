"""Models held against the best constant answer: the checks and their words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.checks.constant_baseline import Answered, Standard, Trivial, constant_checks
from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.metrics import build_metric
from pytest_ftgate.result import Check, ModelResult

ACCURACY = build_metric(
    MetricSpec("accuracy", {}, Source("marker", "marker", Path())), labels=["invoice", "refund"], custom={}
)
HALF = Trivial("refund", 0.5, perfect=False, n_expected=2)


def checks(
    baseline: float,
    candidate: float = 0.9,
    *,
    trivial: Trivial = HALF,
    reason: str | None = None,
    base_says: str | None = None,
    candidate_says: str | None = None,
) -> dict[str, Check]:
    answered = {
        "baseline": Answered(ModelResult("mini", value=baseline), base_says),
        "candidate": Answered(ModelResult("ft", value=candidate), candidate_says),
    }
    found = constant_checks(Standard(ACCURACY, trivial, reason, "ftgate.yaml:9"), answered)
    return {check.name: check for check in found}


def test_a_baseline_that_beats_the_constant_answer() -> None:
    found = checks(0.6)
    assert found == {
        "weak_baseline": Check(
            "weak_baseline",
            "pass",
            "baseline mini: accuracy 60.0 %; 'refund' to everything scores 50.0 %",
            observed=0.6,
            required=0.5,
        )
    }


@pytest.mark.parametrize("value", [0.5, 0.5 + 1e-14, 0.4, 0.0])
def test_a_baseline_that_does_not(value: float) -> None:
    found = checks(value)["weak_baseline"]
    assert (found.status, found.observed, found.required, found.source) == ("fail", value, 0.5, None)
    assert found.message == (
        f"baseline mini: accuracy {100 * value:.1f} % is no better than a constant answer: "
        "'refund' to everything scores 50.0 %"
    )
    assert found.advice == (
        "Write a real prompt: what the task is, every possible answer, a few examples (few_shot: {k: 8}); "
        'or say why it may be weak: allow_weak_baseline: "...".'
    )


def test_a_reason_makes_it_a_warning_that_prints_it() -> None:
    found = checks(0.4, reason="the endpoint takes no prompt")["weak_baseline"]
    assert (found.status, found.source, found.advice) == ("warning", "ftgate.yaml:9", None)
    assert found.message.endswith("scores 50.0 % (allowed: the endpoint takes no prompt)")


def test_a_reason_that_is_not_needed_changes_nothing() -> None:
    assert checks(0.6, reason="just in case") == checks(0.6)


def test_a_baseline_that_is_a_constant_answer_itself() -> None:
    found = checks(0.6, base_says="invoice")["weak_baseline"]
    assert found.status == "fail"
    assert found.message.endswith("scores 50.0 %, and it answers 'invoice' throughout")


def test_each_of_several_baselines() -> None:
    answered = {
        "prompt": Answered(ModelResult("mini", value=0.6), None),
        "bare": Answered(ModelResult("nano", value=0.5), None),
        "candidate": Answered(ModelResult("ft", value=0.9), None),
    }
    found = constant_checks(Standard(ACCURACY, HALF, None, "default"), answered)
    assert [check.status for check in found] == ["pass", "fail"]
    assert found[1].message.startswith("baseline bare (nano): accuracy 50.0 % is no better")


def test_the_advice_where_no_prompt_could_help() -> None:
    alone = checks(1.0, trivial=Trivial("refund", 1.0, perfect=True, n_expected=1))["weak_baseline"]
    assert (alone.advice or "").startswith("The test set expects one output everywhere: add examples with others")
    blind = checks(1.0, trivial=Trivial("refund", 1.0, perfect=True, n_expected=2))["weak_baseline"]
    assert (blind.advice or "").startswith("A constant answer is perfect by accuracy: decide by a metric that")


# --- the candidate -------------------------------------------------------------------------------------------


def test_a_candidate_that_learned_one_answer_by_heart() -> None:
    found = checks(0.4, 0.5, reason="a stub", candidate_says="refund")["degenerate_candidate"]
    assert (found.status, found.message) == (
        "fail",
        "candidate ft answers 'refund' throughout, and the test set expects 2 different outputs",
    )


def test_one_answer_is_right_where_one_is_expected() -> None:
    alone = Trivial("refund", 1.0, perfect=True, n_expected=1)
    assert "degenerate_candidate" not in checks(0.4, 1.0, trivial=alone, reason="r", candidate_says="refund")


@pytest.mark.parametrize(("value", "fails"), [(0.45, True), (0.5, True), (0.51, False)])
def test_a_weak_baseline_does_not_excuse_a_weak_candidate(value: float, fails: bool) -> None:
    found = checks(0.3, value, reason="a stub")
    assert ("degenerate_candidate" in found) is fails
    if fails:
        assert found["degenerate_candidate"].message == (
            f"candidate ft: accuracy {100 * value:.1f} % is no better than a constant answer: "
            "'refund' to everything scores 50.0 %"
        )


def test_without_the_reason_the_baseline_alone_is_named() -> None:
    assert list(checks(0.3, 0.4)) == ["weak_baseline"]


def test_a_constant_that_is_perfect_condemns_no_candidate() -> None:
    blind = Trivial("refund", 1.0, perfect=True, n_expected=2)
    assert list(checks(0.3, 0.9, trivial=blind, reason="the format is all we want")) == ["weak_baseline"]


def test_a_long_answer_is_cut() -> None:
    found = checks(0.3, trivial=Trivial("x" * 500, 0.5, perfect=False, n_expected=2))["weak_baseline"]
    assert "x" * 57 + "...' to everything" in found.message
    assert "x" * 58 not in found.message
