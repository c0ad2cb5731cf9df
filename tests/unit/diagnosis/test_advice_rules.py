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

GUARD = GuardResult("general", "accuracy", 0.03, 0.95)
MARGIN = Check("margin", "fail", "gain too small")
DROP = Check("max_drop", "fail", "too much worse")
ACTIONS = {
    "alternatives": "better_prompt",
    "baseline_prompt": "better_prompt",
    "cheaper_by": "cut_costs",
    "degenerate_candidate": "fix_data",
    "economics": "cut_costs",
    "faster_by": "cut_costs",
    "guards.general": "add_examples",
    "guards.general.leaked": "fix_data",
    "guards.general.nothing_to_lose": "measure_again",
    "identical_outputs": "measure_again",
    "leaked": "fix_data",
    "max_age_days": "measure_again",
    "min_training_examples": "add_examples",
    "power": "add_examples",
    "thresholds.accuracy": "fix_data",
    "thresholds.cost_usd": "cut_costs",
    "thresholds.error_rate": "measure_again",
    "thresholds.f1_macro": "fix_data",
    "thresholds.format": "better_prompt",
    "thresholds.latency_p50_s": "cut_costs",
    "thresholds.latency_p95_s": "cut_costs",
    "room": "stop",
    "slices": "add_examples",
    "weak_baseline": "better_prompt",
}
"""As the rules give them to their checks."""


def as_made(check: Check) -> Check:
    """Return the check with the action that its rule gives it, and an advice."""
    warns = check.status == "warning" and check.name not in ("alternatives", "baseline_prompt")
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
    return SimpleNamespace(
        result=replace(plain, **changes),
        training=training_set,
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


def saw(name: str, status: Any, *numbers: float, **more: Any) -> Any:
    """Return a gate that failed for its margin, with one more check."""
    return facts(Check(name, status, "m", *numbers, **more))


def guarded(name: str, status: Any, **more: Any) -> Any:
    return facts(Check(f"guards.{name}", status, "m", **more), guards=(GUARD,))


def lost(name: str, status: Any = "fail", **more: Any) -> Any:
    """Return a gate that failed for this check alone."""
    return facts(failed=(Check(name, status, "m"),), **more)


def told(**diagnosis: Any) -> Any:
    return facts(diagnosis=diagnosis)


def hardly(right: int, answers: int, **labels: int) -> Any:
    """Return a gate with these right answers of label ``a``, and as often in the training set as ``labels`` says."""
    return facts(diagnosis=scored(right, answers), labels={**USUAL, **labels})


def usable(count: int, gain: float, upper_bound: float = 0.2) -> Any:
    return facts(gain=gain, training={"usable": count}, upper_bound=upper_bound)


def conflicting(count: int) -> Any:
    return facts(training={"usable": 300, "conflicts": count})


def needing(*checks: Check, examples: int | None) -> Any:
    return facts(*checks, verdict="inconclusive", examples_needed=examples)


def dropped(upper_bound: float) -> Any:
    return facts(failed=(DROP,), margin=None, max_drop=0.03, upper_bound=upper_bound)


BOTH_REFUSE = told(baseline=wrong(refusal=6), candidate=wrong(refusal=6))
LOST_MORE = wrong(refusal=8, wrong_label=20)
SMALL_DROP = {"verdict": "inconclusive", "examples_needed": 150}
SPEAKS: dict[str, tuple[str, Any, Any]] = {  # the action, a gate of which it is said, and a near miss
    "leaked": ("fix_data", saw("leaked", "fail"), saw("leaked", "pass")),
    "a guard that was trained on": ("fix_data", guarded("general.leaked", "fail"), guarded("other.leaked", "fail")),
    "forgotten": ("add_examples", guarded("general", "fail"), guarded("general", "warning")),
    "a guard that is too small": ("add_examples", guarded("general", "inconclusive"), guarded("general", "pass")),
    "a slice that lost": ("add_examples", saw("slices", "fail"), saw("slices", "warning")),
    "contradictions": ("fix_data", conflicting(3), conflicting(2)),
    "learned confusion": ("fix_data", told(**pair(2, 5)), told(**pair(3, 5))),
    "a label that was lost to another": ("fix_data", told(**pair(0, 9, lost=3)), told(**pair(0, 9, lost=2))),
    "a label that is one": ("fix_data", told(**pair(0, 9)), told(**pair(0, 9, answered="(no known label)"))),
    "one answer to everything": ("fix_data", saw("degenerate_candidate", "fail"), saw("degenerate_candidate", "pass")),
    "a bound on the answers": (
        "fix_data",
        lost("thresholds.f1_macro"),
        lost("thresholds.latency_p50_s"),
    ),
    "broken examples": ("fix_data", told(fixed=ids(10), broken=ids(5)), told(fixed=ids(11), broken=ids(5))),
    "a few broken examples": ("fix_data", told(fixed=ids(1), broken=ids(5)), told(fixed=ids(1), broken=ids(4))),
    "too few training examples": (
        "add_examples",
        saw("min_training_examples", "fail", 150, 200),
        saw("min_training_examples", "pass", 200, 200),
    ),
    "a label hardly seen": ("add_examples", hardly(2, 6, a=9), hardly(2, 6, a=10)),
    "a label hardly seen and mostly wrong": ("add_examples", hardly(2, 6), hardly(3, 6)),
    "a label that is rare in the test set": ("add_examples", hardly(0, 3), hardly(0, 2)),
    "half of the margin that may be reached": ("add_examples", usable(1999, 0.025, 0.05), usable(1999, 0.025, 0.049)),
    "half of the margin": ("add_examples", usable(1999, 0.025), usable(1999, 0.0249)),
    "a training set that can grow": ("add_examples", usable(200, 0.04), usable(2000, 0.04)),
    "more test examples": ("add_examples", needing(HELD, examples=150), needing(HELD, examples=None)),
    "more test examples for a small drop": (
        "add_examples",
        lost("max_drop", "inconclusive", **SMALL_DROP),
        lost("max_drop", examples_needed=150),
    ),
    "a test set that is too small": ("add_examples", saw("power", "inconclusive"), saw("power", "warning")),
    "a weak baseline": ("better_prompt", saw("weak_baseline", "fail"), saw("weak_baseline", "pass")),
    "a baseline without a prompt": (
        "better_prompt",
        saw("baseline_prompt", "warning"),
        saw("baseline_params", "warning", advice="Give it."),
    ),
    "form of the baseline": (
        "better_prompt",
        told(baseline=wrong(wrong_format=3, unknown_label=2, wrong_label=5)),
        told(baseline=wrong(wrong_format=3, unknown_label=2, wrong_label=6)),
    ),
    "some form of the baseline": ("better_prompt", told(baseline=wrong(empty=5)), told(baseline=wrong(empty=4))),
    "form of the candidate": (
        "better_prompt",
        told(candidate=wrong(wrong_format=5)),
        told(candidate=wrong(wrong_label=5)),
    ),
    "refusals of the candidate": (
        "better_prompt",
        told(candidate=LOST_MORE),
        told(candidate=LOST_MORE, baseline=wrong(refusal=6)),
    ),
    "missing answers": (
        "measure_again",
        told(candidate={"right": 27, "missing": 3}),
        told(candidate={"right": 28, "missing": 3}),
    ),
    "a bound on the form": ("better_prompt", lost("thresholds.format"), lost("thresholds.accuracy")),
    "few-shot that is enough": (
        "better_prompt",
        saw("alternatives", "warning"),
        saw("alternatives", "pass"),
    ),
    "one model under two names": (
        "measure_again",
        saw("identical_outputs", "fail"),
        saw("identical_outputs", "warning", advice="Look whether both names reach one model."),
    ),
    "a guard that measures nothing": (
        "measure_again",
        guarded("general.nothing_to_lose", "fail"),
        guarded("general.nothing_to_lose", "pass"),
    ),
    "old evidence": ("measure_again", lost("max_age_days"), saw("max_age_days", "pass")),
    "requests that fail": (
        "measure_again",
        lost("thresholds.error_rate"),
        lost("thresholds.cost_usd"),
    ),
    "economics": (
        "cut_costs",
        lost("economics"),
        saw("economics", "warning", advice="Give it."),
    ),
    "not faster": ("cut_costs", lost("faster_by"), saw("faster_by", "pass")),
    "too slow": ("cut_costs", lost("thresholds.latency_p95_s"), saw("thresholds.latency_p95_s", "pass")),
    "cut-off answers": (
        "better_prompt",
        told(candidate={"right": 27, "cut_off": 3}),
        told(candidate={"right": 28, "cut_off": 3}),
    ),
    "a few cut-off answers": (
        "better_prompt",
        told(baseline={"right": 3, "cut_off": 3}),
        told(baseline={"right": 3, "cut_off": 2}),
    ),
    "refusals of the baseline": ("better_prompt", told(baseline=wrong(refusal=6)), told(baseline=wrong(refusal=2))),
    "refusals of both": ("another_model", BOTH_REFUSE, told(candidate=wrong(refusal=6))),
    **{
        f"{goal} as a goal": (action, facts(GOAL[goal]), facts(replace(GOAL[goal], status=status)))
        for goal, action, status in (
            ("knowledge", "retrieval", "warning"),
            ("reasoning", "another_model", "pass"),
            ("new_modality", "another_model", "warning"),
            ("one_off", "stop", "warning"),
            ("safety", "stop", "warning"),
        )
    },
    "wrong in both": (
        "another_model",
        told(wrong_in_both=16, broken=ids(4)),
        told(wrong_in_both=15, broken=ids(4)),
    ),
    "often wrong in both": ("another_model", told(wrong_in_both=10), told(wrong_in_both=9)),
    "no room": ("stop", saw("room", "fail"), saw("room", "pass")),
    "surely below the margin": ("stop", facts(upper_bound=0.049), facts(upper_bound=0.05)),
    "surely worse than it may be": ("stop", dropped(-0.031), dropped(-0.03)),
}


@pytest.mark.parametrize(("action", "speaks", "silent"), SPEAKS.values(), ids=SPEAKS)
def test_a_rule_speaks_on_its_fact_and_not_on_a_near_miss(action: str, speaks: Any, silent: Any) -> None:
    (advice,) = [one for one in advise(speaks) if one.action == action]
    assert advice.text
    assert advice.fact
    assert action not in {one.action for one in advise(silent)}


def test_a_gate_that_failed_for_its_margin_alone_gets_no_advice_that_rests_on_nothing() -> None:
    assert advise(facts()) == ()


def test_a_green_gate_and_one_that_could_not_be_judged_get_none() -> None:
    failing = SPEAKS["broken examples"][1]
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
    (text,) = [one.text for one in advise(SPEAKS[name][1]) if one.action == "add_examples"]
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


def test_one_model_under_two_names_leaves_nothing_to_be_said_of_the_candidate() -> None:
    same = Check("identical_outputs", "fail", "60 of 60", advice="Check the names.", action="measure_again")
    (advice,) = advise(lost_much(same, HELD, candidate={"right": 30, "wrong_label": 30}, examples_needed=500))
    assert (advice.action, advice.fact) == ("measure_again", "identical_outputs: 60 of 60")


@pytest.mark.parametrize(
    "failed",
    [
        Check("economics", "fail", "m", advice="Wait."),
        Check("faster_by", "fail", "m", advice="Try a smaller model."),
        Check("cheaper_by", "fail", "m", advice="Try a smaller model."),
        Check("max_age_days", "fail", "m", advice="Ask again."),
        Check("guards.general", "fail", "m", advice="Mix examples of it in."),
        Check("thresholds.latency_p50_s", "fail", "m"),
        Check("thresholds.format", "fail", "m"),
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
    same = Check("identical_outputs", "fail", "60 of 60", advice="Check the names.", action="measure_again")
    assert advice_on_loss(facts(same), "other") == "Check the names."
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
