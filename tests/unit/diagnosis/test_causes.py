"""The causes of a gain that is too small at their limits; real gates with each: tests/plugin/test_cures.py."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from gate_context import context

from pytest_ftgate.checks import constant_baseline
from pytest_ftgate.checks.alternatives import check_knowledge
from pytest_ftgate.checks.causes import cure_of_a_loss
from pytest_ftgate.result import Check, Diagnosis, LabelScore

FIND_OUT = "Nothing in the data"
MISMATCH = Check("prompt_mismatch", "warning", "m", cure="Ask it so.", explains_loss=True)


def cure(
    *checks: Check,
    rows: Any = (),
    answers: Any = ("a is it", "it is b"),
    attempt: Any = None,
    **diagnosis: Any,
) -> str:
    """Return the cure of a gate with max_drop, these checks, training rows by label, and answers."""
    metric = SimpleNamespace(
        uses_labels=True, of_numbers=False, form="a label alone", judged=False, pairwise=False
    )
    standard = SimpleNamespace(drops=True)
    gate: Any = SimpleNamespace(
        checks=checks,
        diagnosis=Diagnosis(**{"baseline": {}, "candidate": {"right": 9}, **diagnosis}),
        training=SimpleNamespace(path=None),
        audit=SimpleNamespace(labels=SimpleNamespace(counts=dict(rows))),
        config=SimpleNamespace(standard_of=lambda role: standard),
        deciding=metric,
        attempt=attempt,
        half=None,
        more_data=None,
        scored={"candidate": SimpleNamespace(answers=[answers])},
    )
    with patch.object(constant_baseline, "cure_of_candidate", return_value=None):
        return cure_of_a_loss(gate, "baseline") or ""


def label(right: int, answers: int, rows: int) -> dict[str, Any]:
    """Return a gate with these right answers of label ``a``, which has so many training rows."""
    scores = (LabelScore("a", answers, 0, right), *(LabelScore(name, 20, 15, 15) for name in "bc"))
    return {"labels": scores, "rows": {"a": rows, "b": 40, "c": 60}}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (label(2, 8, 9), "'a' has 9 training rows"),
        (label(2, 8, 10), FIND_OUT),
        (label(4, 9, 0), "misspelt"),
        (label(5, 10, 0), FIND_OUT),
        (label(0, 5, 0), "'a' has 0 training rows"),
        (label(0, 4, 0), FIND_OUT),
        ({"candidate": {"cut_off": 4, "wrong": 3}}, "max_tokens"),
        ({"candidate": {"empty": 4, "wrong": 3}}, "by hand"),
        ({"candidate": {"refusal": 4, "wrong": 3}}, "filters"),
        ({"candidate": {"missing": 4, "wrong": 3}}, "candidate_answers"),
        ({"candidate": {"malformed": 2, "empty": 2, "wrong": 3}}, "4 of 7 wrong answers"),
        ({"candidate": {"malformed": 3, "wrong": 3}}, FIND_OUT),
        ({"candidate": {"malformed": 4, "wrong": 3}, "answers": ["Sorry"] * 7}, FIND_OUT),
        ({"candidate": {"empty": 7}, "answers": [""] * 7}, "by hand"),
        ({"candidate": {"malformed": 20}, **label(0, 20, 1)}, "malformed"),
    ],
)
def test_a_cause_is_named_on_its_condition_and_not_on_a_near_miss(
    facts: dict[str, Any], words: str
) -> None:
    assert words in cure(**facts)


@pytest.mark.parametrize(
    ("facts", "keeps"),
    [({}, True), (label(0, 20, 1), True), ({"candidate": {"malformed": 20}}, False)],
)
def test_after_the_last_attempt_nobody_is_told_to_train_again(facts: Any, keeps: bool) -> None:
    for number, is_last in ((2, False), (3, True)):
        attempt = SimpleNamespace(facts=SimpleNamespace(number=number, most=3))
        text = cure(attempt=attempt, **facts)
        is_told = text.startswith("Keep the baseline")
        assert is_told is (keeps and is_last), text
        assert not (is_told and "rain" in text), text


def test_another_check_may_explain_the_scores() -> None:
    for name in ("identical_outputs", "recording_order", "formatting_gain"):
        assert cure(Check(name, "fail", "60 of 60", cure="Check the names.")) == ""
        assert FIND_OUT in cure(Check(name, "pass", ""))
    assert cure(MISMATCH, candidate={"malformed": 20}) == "Ask it so."


@pytest.mark.parametrize(
    ("fixed", "recalled", "warns"),
    [(6, 3, True), (7, 3, False), (4, 4, False), (0, None, False)],
)
def test_a_gain_that_is_knowledge_is_said_of_green_gates_too(
    fixed: int, recalled: int | None, warns: bool
) -> None:
    diagnosis = Diagnosis({}, {}, recalled=recalled)
    gate = context(diagnosis=diagnosis)
    object.__setattr__(gate, "comparisons", {"baseline": SimpleNamespace(fixed=fixed)})
    checks = check_knowledge(gate)
    assert [(check.name, check.status) for check in checks] == [("knowledge", "warning")] * warns
