"""Each rule where it speaks, and a near miss where it must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_ftgate.diagnosis.advice import RULES, Facts, advise, most_to_try
from pytest_ftgate.diagnosis.knowledge import knowledge_checks
from pytest_ftgate.result import (
    Advice,
    Check,
    Confusion,
    Diagnosis,
    GateResult,
    GuardResult,
    LabelScore,
    TrainingResult,
)

GUARD = GuardResult("general", "accuracy", 0.03, "proven", 0.95)
MARGIN = Check("margin", "fail", "gain too small")


def facts(
    *checks: Check,
    diagnosis: dict[str, Any] | None = None,
    training: dict[str, int] | None = None,
    labels: dict[str, int] | None = None,
    **changes: Any,
) -> Facts:
    """A gate that failed for its margin, and nothing else to be said of it."""
    made = Diagnosis(**{"baseline": {"right": 60}, "candidate": {"right": 60}, **(diagnosis or {})})
    counted = TrainingResult(usable=5000, duplicates=0, conflicts=0, leaked=0)
    plain = GateResult(
        "g",
        "n",
        "fail",
        margin=0.05,
        gain=0.01,
        upper_bound=0.2,
        n=60,
        confidence=0.95,
        metric_range=(0.0, 1.0),
        checks=(MARGIN, *checks),
        diagnosis=made,
        training=replace(counted, **(training or {})),
    )
    return Facts(replace(plain, **changes), labels or {})


def ids(n: int) -> tuple[str, ...]:
    return tuple(f"t{i}" for i in range(n))


def wrong(**kinds: int) -> dict[str, int]:
    return {"right": 40, **kinds}


def pair(baseline: int, candidate: int) -> dict[str, Any]:
    return {"confusions": (Confusion("a", "b", baseline, candidate), Confusion("c", "d", 9, 9))}


def scored(right: int, answers: int) -> dict[str, Any]:
    usual = [LabelScore(name, 20, 15, 15) for name in ("b", "c")]
    return {"labels": (LabelScore("a", answers, 0, right), *usual)}


USUAL = {"b": 50, "c": 60}
HELD = Check("evidence", "inconclusive", "not sure enough")
GOAL = {name: Check("goal", "fail", name, name, advice=f"instead of {name}") for name in ("knowledge", "safety")}
GOAL |= {name: Check("goal", "fail", name, name, advice="x") for name in ("reasoning", "one_off", "new_modality")}

SPEAKS: dict[str, tuple[Facts, str, Facts]] = {
    "leaked": (facts(Check("leaked", "fail", "m")), "fix_data", facts(Check("leaked", "pass", "m"))),
    "a guard that was trained on": (
        facts(Check("guards.general.leaked", "fail", "m"), guards=(GUARD,)),
        "fix_data",
        facts(Check("guards.other.leaked", "fail", "m"), guards=(GUARD,)),
    ),
    "forgotten": (
        facts(Check("guards.general", "fail", "m"), guards=(GUARD,)),
        "add_examples",
        facts(Check("guards.general", "warning", "m"), guards=(GUARD,)),
    ),
    "a guard that is too small": (
        facts(Check("guards.general", "inconclusive", "m"), guards=(GUARD,)),
        "add_examples",
        facts(Check("guards.general", "pass", "m"), guards=(GUARD,)),
    ),
    "a slice that lost": (facts(Check("slices", "fail", "m")), "add_examples", facts(Check("slices", "warning", "m"))),
    "contradictions": (
        facts(training={"usable": 300, "conflicts": 3}),
        "fix_data",
        facts(training={"usable": 300, "conflicts": 2}),
    ),
    "learned confusion": (facts(diagnosis=pair(2, 5)), "fix_data", facts(diagnosis=pair(3, 5))),
    "broken examples": (
        facts(diagnosis={"fixed": ids(10), "broken": ids(5)}),
        "fix_data",
        facts(diagnosis={"fixed": ids(11), "broken": ids(5)}),
    ),
    "a few broken examples": (
        facts(diagnosis={"fixed": ids(1), "broken": ids(5)}),
        "fix_data",
        facts(diagnosis={"fixed": ids(1), "broken": ids(4)}),
    ),
    "too few training examples": (
        facts(Check("min_training_examples", "fail", "m", 150, 200)),
        "add_examples",
        facts(Check("min_training_examples", "pass", "m", 200, 200)),
    ),
    "a label hardly seen": (
        facts(diagnosis=scored(2, 6), labels={**USUAL, "a": 9}),
        "add_examples",
        facts(diagnosis=scored(2, 6), labels={**USUAL, "a": 10}),
    ),
    "a label hardly seen and mostly wrong": (
        facts(diagnosis=scored(2, 6), labels=USUAL),
        "add_examples",
        facts(diagnosis=scored(3, 6), labels=USUAL),
    ),
    "a label that is rare in the test set": (
        facts(diagnosis=scored(0, 3), labels=USUAL),
        "add_examples",
        facts(diagnosis=scored(0, 2), labels=USUAL),
    ),
    "half of the margin that may be reached": (
        facts(gain=0.025, training={"usable": 1999}, upper_bound=0.05),
        "add_examples",
        facts(gain=0.025, training={"usable": 1999}, upper_bound=0.049),
    ),
    "half of the margin": (
        facts(gain=0.025, training={"usable": 1999}),
        "add_examples",
        facts(gain=0.0249, training={"usable": 1999}),
    ),
    "a training set that can grow": (
        facts(gain=0.04, training={"usable": 200}),
        "add_examples",
        facts(gain=0.04, training={"usable": 2000}),
    ),
    "more test examples": (
        facts(HELD, verdict="inconclusive", examples_needed=150),
        "add_examples",
        facts(HELD, verdict="inconclusive", examples_needed=None),
    ),
    "a test set that is too small": (
        facts(Check("power", "inconclusive", "m")),
        "add_examples",
        facts(Check("power", "warning", "m")),
    ),
    "a weak baseline": (
        facts(Check("weak_baseline", "fail", "m", advice="Write a prompt.")),
        "better_prompt",
        facts(Check("weak_baseline", "pass", "m")),
    ),
    "a baseline without a prompt": (
        facts(Check("baseline_prompt", "warning", "m", advice="Give it one.")),
        "better_prompt",
        facts(Check("baseline_params", "warning", "m", advice="Give it those.")),
    ),
    "form of the baseline": (
        facts(diagnosis={"baseline": wrong(wrong_format=3, unknown_label=2, wrong_label=5)}),
        "better_prompt",
        facts(diagnosis={"baseline": wrong(wrong_format=3, unknown_label=2, wrong_label=6)}),
    ),
    "some form of the baseline": (
        facts(diagnosis={"baseline": wrong(empty=5)}),
        "better_prompt",
        facts(diagnosis={"baseline": wrong(empty=4)}),
    ),
    "form of the candidate": (
        facts(diagnosis={"candidate": wrong(wrong_format=5)}),
        "better_prompt",
        facts(diagnosis={"candidate": wrong(wrong_label=5)}),
    ),
    "cut-off answers": (
        facts(diagnosis={"candidate": {"right": 27, "cut_off": 3}}),
        "better_prompt",
        facts(diagnosis={"candidate": {"right": 28, "cut_off": 3}}),
    ),
    "a few cut-off answers": (
        facts(diagnosis={"baseline": {"right": 3, "cut_off": 3}}),
        "better_prompt",
        facts(diagnosis={"baseline": {"right": 3, "cut_off": 2}}),
    ),
    "refusals of the baseline": (
        facts(diagnosis={"baseline": wrong(refusal=6)}),
        "better_prompt",
        facts(diagnosis={"baseline": wrong(refusal=2)}),
    ),
    "refusals of both": (
        facts(diagnosis={"baseline": wrong(refusal=6), "candidate": wrong(refusal=6)}),
        "another_model",
        facts(diagnosis={"candidate": wrong(refusal=6)}),
    ),
    "knowledge as a goal": (facts(GOAL["knowledge"]), "retrieval", facts(replace(GOAL["knowledge"], status="warning"))),
    "knowledge that was fixed": (
        facts(diagnosis={"fixed": ids(6), "recalled": 3}),
        "retrieval",
        facts(diagnosis={"fixed": ids(7), "recalled": 3}),
    ),
    "some knowledge that was fixed": (
        facts(diagnosis={"fixed": ids(5), "recalled": 5}),
        "retrieval",
        facts(diagnosis={"fixed": ids(4), "recalled": 4}),
    ),
    "reasoning as a goal": (
        facts(GOAL["reasoning"]),
        "another_model",
        facts(replace(GOAL["reasoning"], status="pass")),
    ),
    "a new modality": (
        facts(GOAL["new_modality"]),
        "another_model",
        facts(replace(GOAL["new_modality"], status="warning")),
    ),
    "wrong in both": (
        facts(diagnosis={"wrong_in_both": 16, "broken": ids(4)}),
        "another_model",
        facts(diagnosis={"wrong_in_both": 15, "broken": ids(4)}),
    ),
    "often wrong in both": (
        facts(diagnosis={"wrong_in_both": 10}),
        "another_model",
        facts(diagnosis={"wrong_in_both": 9}),
    ),
    "one_off": (facts(GOAL["one_off"]), "stop", facts(replace(GOAL["one_off"], status="warning"))),
    "safety": (facts(GOAL["safety"]), "stop", facts(replace(GOAL["safety"], status="warning"))),
    "no room": (facts(Check("room", "fail", "m", advice="Do not train.")), "stop", facts(Check("room", "pass", "m"))),
    "surely below the margin": (facts(upper_bound=0.049), "stop", facts(upper_bound=0.05)),
}


@pytest.mark.parametrize(("speaks", "action", "silent"), SPEAKS.values(), ids=SPEAKS)
def test_a_rule_speaks_on_its_fact_and_not_on_a_near_miss(speaks: Facts, action: str, silent: Facts) -> None:
    (advice,) = [one for one in advise(speaks) if one.action == action]
    assert advice.text
    assert advice.fact
    assert action not in {one.action for one in advise(silent)}


def test_a_gate_that_failed_for_its_margin_alone_gets_no_advice_that_rests_on_nothing() -> None:
    assert advise(facts()) == ()


def test_a_green_gate_and_one_that_could_not_be_judged_get_none() -> None:
    failing = SPEAKS["broken examples"][0]
    for verdict in ("pass", "error"):
        assert advise(Facts(replace(failing.result, verdict=verdict), {})) == ()  # type: ignore[arg-type]


def test_numbers_of_examples() -> None:
    def text(name: str) -> str:
        return next(one.text for one in advise(SPEAKS[name][0]) if one.action == "add_examples")

    assert text("too few training examples") == "Write 50 more distinct training examples."
    assert text("a label hardly seen and mostly wrong") == "Write 50 training examples of 'a'."
    assert text("half of the margin") == "Write 1 more training examples."
    assert text("a training set that can grow") == "Write 200 more training examples."
    assert text("more test examples") == "Label 90 more test examples, about 150 in all."


def test_the_order_is_that_of_the_actions() -> None:
    everything = facts(
        Check("room", "fail", "m", advice="Do not train."),
        GOAL["reasoning"],
        Check("weak_baseline", "fail", "m", advice="Write a prompt."),
        Check("min_training_examples", "fail", "m", 1, 200),
        Check("leaked", "fail", "m"),
        diagnosis={"fixed": ids(6), "recalled": 6, "broken": ids(5)},
    )
    found = advise(everything)
    actions = ["fix_data", "add_examples", "better_prompt", "retrieval", "another_model", "stop"]
    assert list(dict.fromkeys(one.action for one in found)) == actions
    assert [one.action for one in found][:2] == ["fix_data", "fix_data"]
    assert [one.action for one in most_to_try(found)] == actions[:3]


def test_the_three_that_are_shown_are_three_things_to_do() -> None:
    advice = (Advice("fix_data", "a", "x"), Advice("fix_data", "b", "y"), Advice("stop", "c", "z"))
    assert most_to_try(advice) == [advice[0], advice[2]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_case(rule: Any) -> None:
    assert any(list(rule(speaks)) for speaks, *_ in SPEAKS.values())


@pytest.mark.parametrize(("fixed", "recalled", "said"), [(6, 3, True), (7, 3, False), (4, 4, False), (0, None, False)])
def test_a_gain_that_is_knowledge_is_said_of_green_gates_too(fixed: int, recalled: int | None, said: bool) -> None:
    found = knowledge_checks(Diagnosis({}, {}, fixed=ids(fixed), recalled=recalled))
    assert [(check.name, check.status) for check in found] == [("knowledge", "warning")] * said
