"""The cure of a gain that is too small: each sentence where it speaks, and a near miss where it must not."""

from types import SimpleNamespace
from typing import Any

import pytest
from gate_context import context

from pytest_ftgate.checks.advice import cure_of_a_loss
from pytest_ftgate.checks.alternatives import check_knowledge
from pytest_ftgate.result import Check, Diagnosis, LabelScore
from pytest_ftgate.statistics.evidence import Comparison

OTHERWISE = "otherwise"
PARTS = {
    "upper bound": "stop",
    "the median label": "label",
    "more capable base model": "model",
    OTHERWISE: OTHERWISE,
}
"""A part of each sentence, and its name here."""


def cure(*checks: Check, rows: Any = (), compared: Any = (), **diagnosis: Any) -> str | None:
    """Return the cure of a gate with these checks, training rows by label, gain and answers."""
    facts = {"baseline": {"right": 60}, "candidate": {"right": 60}, **diagnosis}
    gate: Any = SimpleNamespace(
        checks=checks,
        facts={"diagnosis": Diagnosis(**facts)},
        training=[
            SimpleNamespace(expected=name)
            for name, count in dict(rows).items()
            for _ in range(count)
        ],
        config=SimpleNamespace(confidence=0.95),
        deciding=SimpleNamespace(label_set=None),
        share=True,
    )
    numbers = {"upper_bound": 0.2, "required": 0.05, "losses": 0, **dict(compared)}
    return cure_of_a_loss(gate, Comparison(**numbers), OTHERWISE)


def gain(**numbers: Any) -> dict[str, Any]:
    return {"compared": numbers}


def label(right: int, answers: int, rows: int) -> dict[str, Any]:
    """Return a gate with these right answers of label ``a``, which has so many training rows."""
    scores = (LabelScore("a", answers, 0, right), *(LabelScore(name, 20, 15, 15) for name in "bc"))
    return {"labels": scores, "rows": {"a": rows, "b": 50, "c": 60}}


SENTENCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "surely below the margin": ("stop", gain(upper_bound=0.049), gain(upper_bound=0.05)),
    "surely too much worse": (
        "stop",
        gain(upper_bound=-0.031, required=-0.03),
        gain(upper_bound=-0.03, required=-0.03),
    ),
    "a label with few rows": ("label", label(2, 8, 9), label(2, 8, 10)),
    "a label that is mostly wrong": ("label", label(4, 9, 0), label(5, 10, 0)),
    "a label with enough mistakes": ("label", label(0, 5, 0), label(0, 4, 0)),
    "wrong in both": (
        "model",
        {"wrong_in_both": 16, **gain(losses=4)},
        {"wrong_in_both": 15, **gain(losses=4)},
    ),
    "often wrong in both": ("model", {"wrong_in_both": 10}, {"wrong_in_both": 9}),
    "a baseline in the form": (
        "model",
        {"wrong_in_both": 20, "baseline": {"right": 20, "malformed": 4}},
        {"wrong_in_both": 20, "baseline": {"right": 20, "malformed": 5}},
    ),
}


@pytest.mark.parametrize(("name", "speaks", "silent"), SENTENCES.values(), ids=list(SENTENCES))
def test_a_sentence_is_printed_on_its_condition_and_not_on_a_near_miss(
    name: str, speaks: dict[str, Any], silent: dict[str, Any]
) -> None:
    for facts, expected in ((speaks, name), (silent, OTHERWISE)):
        text = cure(**facts) or ""
        assert [sentence for fragment, sentence in PARTS.items() if fragment in text] == [expected]


@pytest.mark.parametrize("kind", ["malformed", "empty", "cut_off", "refusal", "missing"])
def test_nothing_is_concluded_of_training_from_answers_without_form(kind: str) -> None:
    everything = {**label(0, 20, 1), "wrong_in_both": 90, **gain(upper_bound=-0.1)}
    for flaws, wrong, fragment in (
        (20, 20, OTHERWISE),
        (19, 20, "upper bound"),
        (4, 0, "upper bound"),
    ):
        assert fragment in (cure(**everything, candidate={kind: flaws, "wrong": wrong}) or "")


def test_the_label_has_the_numbers_that_it_rests_on() -> None:
    text = cure(**label(2, 22, 6)) or ""
    for fragment in ("'a' has 6 training rows", "label 50", "2 of 22 right", "about 44 more"):
        assert fragment in text


@pytest.mark.parametrize("name", ["identical_outputs", "recording_order", "formatting_gain"])
def test_where_another_check_explains_the_scores_the_loss_has_no_cure_of_its_own(name: str) -> None:
    assert (
        cure(Check(name, "fail", "60 of 60", advice="Check the names."), **gain(upper_bound=-0.1))
        is None
    )
    assert cure(Check(name, "pass", "")) == OTHERWISE


def test_a_prompt_that_is_not_that_of_training_is_the_cure() -> None:
    mismatch = Check(
        "prompt_mismatch", "warning", "m", advice="Ask as in training.", explains_loss=True
    )
    assert cure(mismatch, **gain(upper_bound=-0.1)) == "Ask as in training."
    assert (
        cure(
            Check("prompt_mismatch", "note", "m", advice="Ask as in training.", explains_loss=True)
        )
        == OTHERWISE
    )


@pytest.mark.parametrize(
    ("fixed", "recalled", "warns"),
    [(6, 3, True), (7, 3, False), (4, 4, False), (0, None, False)],
)
def test_a_gain_that_is_knowledge_is_said_of_green_gates_too(
    fixed: int, recalled: int | None, warns: bool
) -> None:
    diagnosis = Diagnosis({}, {}, recalled=recalled)
    gate = context(result={"diagnosis": diagnosis})
    object.__setattr__(gate, "comparisons", {"baseline": SimpleNamespace(wins=fixed)})
    checks = check_knowledge(gate)
    assert [(check.name, check.status) for check in checks] == [("knowledge", "warning")] * warns
