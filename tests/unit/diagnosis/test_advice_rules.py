"""Each rule where it speaks, and a near miss where it must not."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from gate_context import context

from pytest_ftgate.checks import knowledge
from pytest_ftgate.checks.advice import advice_on_loss, advise, most_to_try
from pytest_ftgate.checks.goal import NOT_SERVED
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
DROP = Check("max_drop", "fail", "too much worse")
ACTIONS = {
    "alternative_closes_gap": "better_prompt",
    "baseline_prompt": "better_prompt",
    "cheaper_by": "cut_costs",
    "degenerate_candidate": "fix_data",
    "economics.max_break_even_days": "cut_costs",
    "faster_by": "cut_costs",
    "guards.general": "add_examples",
    "guards.general.leaked": "fix_data",
    "guards.general.nothing_to_lose": "measure_again",
    "identical_outputs": "measure_again",
    "leaked": "fix_data",
    "max_age_days": "measure_again",
    "min_training_examples": "add_examples",
    "power": "add_examples",
    "require.baseline.accuracy": "better_prompt",
    "require.baseline.latency_p95_s": "better_prompt",
    "require.candidate.accuracy": "fix_data",
    "require.candidate.cost_usd": "cut_costs",
    "require.candidate.error_rate": "measure_again",
    "require.candidate.f1_macro": "fix_data",
    "require.candidate.format": "better_prompt",
    "require.candidate.latency_p50_s": "cut_costs",
    "require.candidate.latency_p95_s": "cut_costs",
    "room": "stop",
    "shutdown_candidate": "another_model",
    "slices": "add_examples",
    "weak_baseline": "better_prompt",
}
"""As the rules give them to their checks."""


def as_made(check: Check) -> Check:
    """Return the check with the action that its rule gives it, and an advice."""
    warns = check.status == "warning" and check.name not in ("alternative_closes_gap", "baseline_prompt")
    action = None if warns else ACTIONS.get(check.name, check.action)
    return replace(check, action=action, advice=check.advice or ("do it" if action else None))


def facts(
    *checks: Check,
    diagnosis: dict[str, Any] | None = None,
    training: dict[str, int] | None = None,
    labels: dict[str, int] | None = None,
    failed: tuple[Check, ...] = (MARGIN,),
    **changes: Any,
) -> Any:
    """Return a gate that failed for its margin, and nothing else to be said of it."""
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
        metric="accuracy",
        models_called=True,
        checks=tuple(map(as_made, (*failed, *checks))),
        diagnosis=made,
        wins=len(made.fixed),
        losses=len(made.broken),
        training=replace(counted, **(training or {})),
    )
    training_set = [SimpleNamespace(expected=label) for label, count in (labels or {}).items() for _ in range(count)]
    biased = tuple(check for check in checks if check.name.startswith("position_bias"))
    return SimpleNamespace(
        result=replace(plain, **changes),
        training=training_set,
        judge_run=SimpleNamespace(checks=biased),
        config=SimpleNamespace(asked={}),
        comparisons={},
        scored={},
        accepts=True,
    )


def ids(n: int) -> tuple[str, ...]:
    return tuple(f"t{i}" for i in range(n))


def wrong(**kinds: int) -> dict[str, int]:
    return {"right": 40, **kinds}


def pair(baseline: int, candidate: int, *, lost: int = 5, answered: str = "b") -> dict[str, Any]:
    labels = (LabelScore("a", 20, 15, 15 - lost), LabelScore("b", 20, 15, 15))
    return {"confusions": (Confusion("a", answered, baseline, candidate), Confusion("c", "d", 9, 9)), "labels": labels}


def scored(right: int, answers: int) -> dict[str, Any]:
    usual = [LabelScore(name, 20, 15, 15) for name in ("b", "c")]
    return {"labels": (LabelScore("a", answers, 0, right), *usual)}


USUAL = {"b": 50, "c": 60}
HELD = Check("evidence", "inconclusive", "not sure enough")
GOAL = {
    name: Check("goal", "fail", name, name, advice=f"instead of {name}", action=NOT_SERVED[name][2])
    for name in NOT_SERVED
}

SPEAKS: dict[str, tuple[Any, str, Any]] = {
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
    "a label that was lost to another": (
        facts(diagnosis=pair(0, 9, lost=3)),
        "fix_data",
        facts(diagnosis=pair(0, 9, lost=2)),
    ),
    "a label that is one": (
        facts(diagnosis=pair(0, 9)),
        "fix_data",
        facts(diagnosis=pair(0, 9, answered="(no known label)")),
    ),
    "a candidate that answers one thing": (
        facts(Check("degenerate_candidate", "fail", "m")),
        "fix_data",
        facts(Check("degenerate_candidate", "pass", "m")),
    ),
    "a bound on how good the answers are": (
        facts(failed=(Check("require.candidate.f1_macro", "fail", "m"),)),
        "fix_data",
        facts(failed=(Check("require.candidate.latency_p50_s", "fail", "m"),)),
    ),
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
    "more test examples for a small drop": (
        facts(failed=(Check("max_drop", "inconclusive", "m"),), verdict="inconclusive", examples_needed=150),
        "add_examples",
        facts(failed=(Check("max_drop", "fail", "m"),), examples_needed=150),
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
    "refusals of the candidate": (
        facts(diagnosis={"candidate": wrong(refusal=8, wrong_label=20)}),
        "better_prompt",
        facts(diagnosis={"candidate": wrong(refusal=8, wrong_label=20), "baseline": wrong(refusal=6)}),
    ),
    "missing answers": (
        facts(diagnosis={"candidate": {"right": 27, "missing": 3}}),
        "measure_again",
        facts(diagnosis={"candidate": {"right": 28, "missing": 3}}),
    ),
    "a bound on the form": (
        facts(failed=(Check("require.candidate.format", "fail", "m"),)),
        "better_prompt",
        facts(failed=(Check("require.candidate.accuracy", "fail", "m"),)),
    ),
    "a bound on the baseline": (
        facts(failed=(Check("require.baseline.accuracy", "fail", "m"),)),
        "better_prompt",
        facts(failed=(Check("require.candidate.accuracy", "fail", "m"),)),
    ),
    "few-shot that is enough": (
        facts(Check("alternative_closes_gap", "warning", "m", advice="Keep the prompt with 8 examples in it.")),
        "better_prompt",
        facts(Check("alternative_closes_gap", "pass", "m", advice="Keep the prompt with 8 examples in it.")),
    ),
    "a judge that goes by the order": (
        facts(Check("position_bias.accuracy", "warning", "m", advice="Take another judge")),
        "measure_again",
        facts(Check("position_bias.another", "warning", "m")),
    ),
    "one model under two names": (
        facts(Check("identical_outputs", "fail", "m", advice="Look whether both names reach one model.")),
        "measure_again",
        facts(Check("identical_outputs", "warning", "m", advice="Look whether both names reach one model.")),
    ),
    "a guard that measures nothing": (
        facts(Check("guards.general.nothing_to_lose", "fail", "m", advice="Look at it."), guards=(GUARD,)),
        "measure_again",
        facts(Check("guards.general.nothing_to_lose", "pass", "m"), guards=(GUARD,)),
    ),
    "old evidence": (
        facts(failed=(Check("max_age_days", "fail", "m", advice="Ask the models again."),)),
        "measure_again",
        facts(Check("max_age_days", "pass", "m")),
    ),
    "requests that fail": (
        facts(failed=(Check("require.candidate.error_rate", "fail", "m"),)),
        "measure_again",
        facts(failed=(Check("require.candidate.cost_usd", "fail", "m"),)),
    ),
    "a shutdown": (
        facts(failed=(Check("shutdown_candidate", "fail", "m", advice="Train on another base model."),)),
        "another_model",
        facts(Check("shutdown_candidate", "warning", "m", advice="Train on another base model.")),
    ),
    "economics": (
        facts(failed=(Check("economics.max_break_even_days", "fail", "m", advice="Wait for more calls."),)),
        "cut_costs",
        facts(Check("economics.data_cost_usd", "warning", "m", advice="Give it.")),
    ),
    "not faster": (
        facts(failed=(Check("faster_by", "fail", "m", advice="Try a smaller model."),)),
        "cut_costs",
        facts(Check("faster_by", "pass", "m")),
    ),
    "too slow": (
        facts(failed=(Check("require.candidate.latency_p95_s", "fail", "m"),)),
        "cut_costs",
        facts(failed=(Check("require.baseline.latency_p95_s", "fail", "m"),)),
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
    "surely worse than it may be": (
        facts(failed=(DROP,), margin=None, max_drop=0.03, upper_bound=-0.031),
        "stop",
        facts(failed=(DROP,), margin=None, max_drop=0.03, upper_bound=-0.03),
    ),
}


@pytest.mark.parametrize(("speaks", "action", "silent"), SPEAKS.values(), ids=SPEAKS)
def test_a_rule_speaks_on_its_fact_and_not_on_a_near_miss(speaks: Any, action: str, silent: Any) -> None:
    (advice,) = [one for one in advise(speaks) if one.action == action]
    assert advice.text
    assert advice.fact
    assert action not in {one.action for one in advise(silent)}


def test_a_gate_that_failed_for_its_margin_alone_gets_no_advice_that_rests_on_nothing() -> None:
    assert advise(facts()) == ()


def test_a_green_gate_and_one_that_could_not_be_judged_get_none() -> None:
    failing = SPEAKS["broken examples"][0]
    for verdict in ("pass", "error"):
        judged = SimpleNamespace(**{**vars(failing), "result": replace(failing.result, verdict=verdict)})
        assert advise(judged) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a label hardly seen and mostly wrong", ["50", "'a'"]),
        ("half of the margin", []),
        ("a training set that can grow", []),
        ("more test examples", ["90", "150"]),
    ],
)
def test_numbers_of_examples(name: str, parts: list[str]) -> None:
    (text,) = [one.text for one in advise(SPEAKS[name][0]) if one.action == "add_examples"]
    assert re.findall(r"\d+|'\w+'", text) == parts


def test_the_order_is_that_of_the_actions() -> None:
    everything = facts(
        Check("room", "fail", "m", advice="Do not train."),
        GOAL["reasoning"],
        Check("weak_baseline", "fail", "m", advice="Write a prompt."),
        Check("min_training_examples", "fail", "m", 1, 200),
        Check("leaked", "fail", "m"),
        GOAL["knowledge"],
        diagnosis={"fixed": ids(6), "broken": ids(5)},
    )
    found = advise(everything)
    actions = ["fix_data", "add_examples", "better_prompt", "retrieval", "another_model", "stop"]
    assert list(dict.fromkeys(one.action for one in found)) == actions
    assert [one.action for one in found][:2] == ["fix_data", "fix_data"]
    assert [one.action for one in most_to_try(replace(everything.result, advice=found, checks=()))] == actions[:3]


def test_the_three_that_are_shown_are_three_things_to_do() -> None:
    advice = (Advice("fix_data", "a", "x"), Advice("fix_data", "b", "y"), Advice("stop", "c", "z"))
    assert most_to_try(GateResult("g", "n", "fail", advice=advice)) == [advice[0], advice[2]]


def test_the_advice_of_a_check_is_not_repeated() -> None:
    advice = (Advice("retrieval", "Use RAG.", "knowledge"),)
    alone = GateResult("g", "n", "fail", checks=(Check("goal", "fail", "knowledge", advice="Use RAG."),), advice=advice)
    assert most_to_try(alone) == []
    assert most_to_try(replace(alone, advice=(replace(advice[0], fact="another"),))) == []
    both = (*advice, Advice("stop", "Drop it.", "x"))
    assert most_to_try(replace(alone, advice=both)) == [both[1]]


# --- what the answers tell, and what the gate failed for -----------------------------------------------------

LOST_MUCH = {**pair(0, 9), "broken": ids(20), "wrong_in_both": 90, "fixed": ids(2)}
"""A candidate that lost labels and broke examples, surely below the margin."""


def lost_much(*checks: Check, candidate: dict[str, int], **changes: Any) -> Any:
    return facts(*checks, diagnosis={**LOST_MUCH, "candidate": candidate}, upper_bound=-0.1, **changes)


def actions(found: tuple[Advice, ...]) -> list[str]:
    return [one.action for one in found]


@pytest.mark.parametrize("kind", ["wrong_format", "unknown_label", "empty", "cut_off", "refusal", "missing"])
def test_where_most_mistakes_are_of_form_nothing_else_is_learned_from_them(kind: str) -> None:
    mostly = lost_much(candidate={"right": 20, kind: 20, "wrong_label": 20})
    assert actions(advise(mostly)) == ["measure_again" if kind in ("missing", "empty") else "better_prompt"]
    less = advise(lost_much(candidate={"right": 20, kind: 19, "wrong_label": 20}))
    assert {"fix_data", "another_model", "stop"} <= set(actions(less))
    assert actions(less)[0] == "stop"


def test_of_several_kinds_of_form_the_most_frequent_is_mended_first() -> None:
    found = advise(facts(diagnosis={"candidate": wrong(cut_off=9, wrong_format=12, refusal=8)}))
    assert ["max_completion_tokens" in one.text for one in found] == [False, True, False]
    assert re.findall(r"\d+", found[0].fact) == ["12", "29"]


def test_form_comes_before_what_a_check_of_the_data_says() -> None:
    found = advise(lost_much(training={"usable": 300, "conflicts": 3}, candidate={"right": 20, "cut_off": 40}))
    assert actions(found) == ["better_prompt", "fix_data"]


def test_a_judge_that_goes_by_the_order_leaves_nothing_to_be_said_of_the_candidate() -> None:
    biased = Check("position_bias.accuracy", "warning", "60 of 60", advice="Take another judge.")
    (advice,) = advise(lost_much(biased, HELD, candidate={"right": 30, "wrong_label": 30}, examples_needed=500))
    assert (advice.action, advice.fact) == ("measure_again", "position_bias.accuracy: 60 of 60")


@pytest.mark.parametrize(
    "failed",
    [
        Check("economics.max_break_even_days", "fail", "m", advice="Wait."),
        Check("faster_by", "fail", "m", advice="Try a smaller model."),
        Check("cheaper_by", "fail", "m", advice="Try a smaller model."),
        Check("shutdown_candidate", "fail", "m", advice="Train again."),
        Check("max_age_days", "fail", "m", advice="Ask again."),
        Check("guards.general", "fail", "m", advice="Mix examples of it in."),
        Check("require.candidate.latency_p50_s", "fail", "m"),
        Check("require.candidate.format", "fail", "m"),
    ],
    ids=lambda check: check.name,
)
def test_what_failed_decides_and_not_the_labels_beside_it(failed: Check) -> None:
    mistakes = {"right": 20, "wrong_label": 20}
    beside = {"guards": (GUARD,), "training": {"usable": 300, "conflicts": 3}}
    prompt = Check("baseline_prompt", "warning", "m", advice="Give it one.")
    (advice,) = advise(lost_much(prompt, candidate=mistakes, failed=(failed,), **beside))
    assert advice.fact == f"{failed.name}: m"
    both = advise(lost_much(prompt, candidate=mistakes, failed=(failed, MARGIN), **beside))
    assert advice in both
    assert {"fix_data", "better_prompt", "stop"} <= set(actions(both))


def test_a_candidate_that_is_surely_better_and_surely_not_good_enough_is_told_so() -> None:
    def told(lower: float) -> Advice:
        (advice,) = advise(facts(gain=0.236, lower_bound=lower, upper_bound=0.3, margin=0.4))
        return advice

    better = told(0.164)
    assert re.findall(r"[\d.]+\d", better.text) == ["16.4", "40"]
    assert re.findall(r"[\d.]+\d", better.fact) == ["95", "30.0", "40"]
    assert (told(0.0).action, better.action) == ("stop", "stop")
    assert told(0.0).text != better.text


def test_a_baseline_that_misses_the_form_has_not_shown_what_the_model_cannot_do() -> None:
    wrong_label = {"right": 20, "wrong_label": 20}
    both = {"wrong_in_both": 20, "candidate": wrong_label}
    assert actions(advise(facts(diagnosis={**both, "baseline": {"right": 20, "wrong_format": 20}}))) == [
        "better_prompt"
    ]
    for broken, counts in ((0, ["20"]), (4, ["20", "24"])):
        (advice,) = advise(facts(diagnosis={**both, "baseline": wrong_label, "broken": ids(broken)}))
        assert re.findall(r"\d+", advice.fact) == counts


def test_what_is_to_be_mended_before_a_candidate_is_dropped() -> None:
    biased = Check("position_bias.accuracy", "warning", "60 of 60", advice="Take another judge.")
    assert advice_on_loss(facts(biased), "other") == "Take another judge."
    cut = facts(diagnosis={"baseline": {"right": 40, "wrong_label": 20}, "candidate": {"cut_off": 60}})
    assert "max_completion_tokens" in (advice_on_loss(cut, "other") or "")
    assert advice_on_loss(facts(diagnosis={"candidate": {"right": 20, "cut_off": 20, "wrong": 21}}), "other") == "other"


@pytest.mark.parametrize(("fixed", "recalled", "said"), [(6, 3, True), (7, 3, False), (4, 4, False), (0, None, False)])
def test_a_gain_that_is_knowledge_is_said_of_green_gates_too(fixed: int, recalled: int | None, said: bool) -> None:
    diagnosis = Diagnosis({}, {}, fixed=ids(fixed), recalled=recalled)
    found = knowledge.check(context(result={"diagnosis": diagnosis, "wins": fixed}))
    assert [(check.name, check.status) for check in found] == [("knowledge", "warning")] * said


def test_where_both_models_refuse_the_base_model_is_what_refuses() -> None:
    both = {"baseline": wrong(refusal=30), "candidate": wrong(refusal=30)}
    assert actions(advise(facts(diagnosis=both, upper_bound=0.0))) == ["another_model"]
