"""Each rule where it speaks, and a near miss where it must not."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from gate_context import context

from pytest_ftgate.checks.advice import advise, loss_advice, most_to_try
from pytest_ftgate.checks.alternatives import check_knowledge
from pytest_ftgate.result import Advice, Check, Diagnosis, GateResult, LabelScore, Threshold
from pytest_ftgate.statistics.evidence import Comparison

MARGIN = Check("margin", "fail", "gain too small")
MODEL = SimpleNamespace(has_prompt=True, options={})
METRIC = SimpleNamespace(calls_tools=False)


def facts(*checks, diagnosis=(), labels=(), failed=(MARGIN,), **changes):
    """Return a gate that failed for its margin, and nothing else to be said of it."""
    told = {"baseline": {"right": 60}, "candidate": {"right": 60}, "fixed": 0, "broken": 0, **dict(diagnosis)}
    counts = {"wins": told.pop("fixed"), "losses": told.pop("broken"), "diagnosis": Diagnosis(**told)}
    found = tuple(replace(one, advice=one.advice or ("do it" if one.action else None)) for one in (*failed, *checks))
    plain = GateResult("g", "n", "fail", "accuracy", 0.05, gain=0.01, upper_bound=0.2, n=60, confidence=0.95)
    plain = replace(plain, metric_range=(0.0, 1.0), models_called=True, checks=found, **counts)
    result = replace(plain, **changes)
    result = replace(result, required=result.margin if result.max_drop is None else -result.max_drop)
    taught = [SimpleNamespace(expected=label) for label, count in dict(labels).items() for _ in range(count)]
    config = SimpleNamespace(asked={"candidate": MODEL}, confidence=0.95)
    parts = {"checks": result.checks, "training": taught, "config": config, "verdict": result.verdict}
    return SimpleNamespace(result=result, best="baseline", asked=lambda _: MODEL, share=True, deciding=METRIC, **parts)


HELD = Check("evidence", "inconclusive", "not sure enough")
CONFLICTS = Check("conflicts", "warning", "3 of 300", action="fix_data")


def saw(name, status, action=None):
    """Return a gate that failed for its margin, with one more check."""
    return facts(Check(name, status, "m", action=action))


def told(**diagnosis):
    return facts(diagnosis=diagnosis)


def baseline(right=40, **kinds):
    return told(baseline={"right": right, **kinds})


def candidate(right=40, **kinds):
    return told(candidate={"right": right, **kinds})


def hardly(right, answers, **labels):
    """Return a gate with these right answers of label ``a``, and as often in the training set as ``labels`` says."""
    scores = (LabelScore("a", answers, 0, right), *(LabelScore(name, 20, 15, 15) for name in "bc"))
    return facts(diagnosis={"labels": scores}, labels={"b": 50, "c": 60, **labels})


def dropped(upper_bound):
    failed = Check("max_drop", "fail", "too much worse")
    return facts(failed=(failed,), margin=None, max_drop=0.03, upper_bound=upper_bound)


def bound(name, action="cut_costs"):
    limit = Threshold(f"thresholds.{name}.min", 0.9)
    return facts(failed=(Check(f"thresholds.{name}", "fail", "m", action=action, threshold=limit),))


WARNED = ("baseline_prompt", "warning")
SPEAKS = {  # the action, a gate of which it is said, and a near miss
    "a failed check": ("fix_data", saw("leaked", "fail", "fix_data"), saw("leaked", "pass", "fix_data")),
    "a warning": ("better_prompt", saw(*WARNED, "better_prompt"), saw(*WARNED)),
    "a bound on the answers": ("fix_data", bound("f1_macro", "fix_data"), bound("latency_p50_s")),
    "broken examples": ("fix_data", told(fixed=10, broken=5), told(fixed=11, broken=5)),
    "a few broken examples": ("fix_data", told(fixed=1, broken=5), told(fixed=1, broken=4)),
    "a label hardly seen": ("add_examples", hardly(2, 6, a=9), hardly(2, 6, a=10)),
    "a label hardly seen and mostly wrong": ("add_examples", hardly(2, 6), hardly(3, 6)),
    "a label that is rare in the test set": ("add_examples", hardly(0, 3), hardly(0, 2)),
    "form of the baseline": ("better_prompt", baseline(malformed=5, wrong=5), baseline(malformed=5, wrong=6)),
    "form of the candidate": ("better_prompt", candidate(malformed=5), candidate(wrong=5)),
    "refusals of the candidate": ("better_prompt", candidate(refusal=8, wrong=20), candidate(refusal=2)),
    "refusals of the baseline": ("better_prompt", baseline(refusal=8), baseline(refusal=2)),
    "missing of the candidate": ("measure_again", candidate(right=27, missing=3), candidate(right=28, missing=3)),
    "empty of the baseline": ("measure_again", baseline(right=27, empty=3), baseline(right=28, empty=3)),
    "cut off of the candidate": ("better_prompt", candidate(right=27, cut_off=3), candidate(right=28, cut_off=3)),
    "cut off of the baseline": ("better_prompt", baseline(right=27, cut_off=3), baseline(right=28, cut_off=3)),
    "a few cut off": ("better_prompt", baseline(right=3, cut_off=3), baseline(right=3, cut_off=2)),
    "wrong in both": ("another_model", told(wrong_in_both=16, broken=4), told(wrong_in_both=15, broken=4)),
    "often wrong in both": ("another_model", told(wrong_in_both=10), told(wrong_in_both=9)),
    "surely below the margin": ("stop", facts(upper_bound=0.049), facts(upper_bound=0.05)),
    "surely worse than it may be": ("stop", dropped(-0.031), dropped(-0.03)),
}


@pytest.mark.parametrize(("action", "speaks", "silent"), SPEAKS.values(), ids=SPEAKS)
def test_a_rule_speaks_on_its_fact_and_not_on_a_near_miss(action, speaks, silent):
    (advice,) = [one for one in advise(speaks) if one.action == action]
    assert advice.text
    assert advice.fact
    assert action != "add_examples" or re.findall(r"\d+", advice.text)[0] in ("41", "50")
    assert action not in {one.action for one in advise(silent)}


def test_recordings_and_functions_get_no_advice_about_prompts():
    """What a check itself advises is its rule's."""
    given = SimpleNamespace(has_prompt=False, options={})
    config = SimpleNamespace(asked={"candidate": given}, confidence=0.95)
    better = facts(gain=0.236, lower_bound=0.164, upper_bound=0.3, margin=0.4)
    calls = [model(right=27, malformed=3) for model in (baseline, candidate)]
    for gate in (better, *calls, *(speaks for name, (_, speaks, _) in SPEAKS.items() if name != "a warning")):
        said = advise(SimpleNamespace(**{**vars(gate), "config": config, "asked": lambda _: given}))
        assert said
        assert [one for one in said if "prompt" in one.text or one.action == "better_prompt"] == []


def test_a_green_gate_and_one_that_could_not_be_judged_get_none_nor_one_of_which_nothing_is_known():
    failing = SPEAKS["broken examples"][1]
    for judged in (facts(), *(SimpleNamespace(**{**vars(failing), "verdict": one}) for one in ("pass", "error"))):
        assert advise(judged) == ()


def test_the_order_is_that_of_the_actions():
    actions = ["measure_again", "fix_data", "add_examples", "better_prompt", "retrieval", "another_model"]
    actions += ["cut_costs", "stop"]
    failed = (Check(f"{action} first", "fail", "m", action=action) for action in reversed(actions))
    everything = facts(*failed, diagnosis={"fixed": 6, "broken": 5})
    found = advise(everything)
    assert list(dict.fromkeys(one.action for one in found)) == actions
    assert [one.action for one in found][1:3] == ["fix_data", "fix_data"]
    assert [one.action for one in most_to_try(replace(everything.result, advice=found, checks=()))] == actions[:3]


def test_what_is_shown_are_several_things_to_do_and_not_those_of_a_check_again():
    several = (Advice("fix_data", "a", "x"), Advice("fix_data", "b", "y"), Advice("stop", "c", "z"))
    assert most_to_try(GateResult("g", "n", "fail", advice=several)) == [several[0], several[2]]
    advice = (Advice("retrieval", "Use RAG.", "knowledge"),)
    alone = GateResult("g", "n", "fail", checks=(Check("goal", "fail", "knowledge", advice="Use RAG."),), advice=advice)
    assert most_to_try(alone) == []
    assert most_to_try(replace(alone, advice=(replace(advice[0], fact="another"),))) == []
    both = (*advice, Advice("stop", "Drop it.", "x"))
    assert most_to_try(replace(alone, advice=both)) == [both[1]]


# --- what the answers tell, and what the gate failed for -----------------------------------------------------


def lost_much(*checks, candidate, **changes):
    """Return a gate whose candidate broke examples, and is surely below the margin."""
    told = {"broken": 20, "wrong_in_both": 90, "fixed": 2, "candidate": candidate}
    return facts(*checks, diagnosis=told, upper_bound=-0.1, **changes)


def actions(found):
    return [one.action for one in found]


@pytest.mark.parametrize("kind", ["malformed", "empty", "cut_off", "refusal", "missing"])
def test_where_most_mistakes_are_of_form_nothing_else_is_learned_from_them(kind):
    mostly = lost_much(candidate={"right": 20, kind: 20, "wrong": 20})
    assert actions(advise(mostly)) == ["measure_again" if kind in ("missing", "empty") else "better_prompt"]
    less = advise(lost_much(candidate={"right": 20, kind: 19, "wrong": 20}))
    assert {"fix_data", "another_model", "stop"} <= set(actions(less))
    assert actions(less)[0] == "stop"


def test_of_several_kinds_of_form_the_most_frequent_is_mended_first():
    found = advise(lost_much(CONFLICTS, candidate={"right": 20, "cut_off": 40}))
    assert actions(found) == ["better_prompt", "fix_data"]  # before what a check of the data says
    found = advise(candidate(cut_off=9, malformed=12, refusal=8))
    assert ["max_completion_tokens" in one.text for one in found] == [False, True, False]
    assert re.findall(r"\d+", found[0].fact) == ["12", "69"]
    assert "malformed" in found[0].fact


@pytest.mark.parametrize("name", ["identical_outputs", "formatting_gain"])
def test_where_scores_do_not_measure_the_candidate_nothing_else_is_said_of_it(name):
    found = Check(name, "fail", "60 of 60", advice="Check the names.", action="measure_again")
    weak = Check("weak_baseline", "fail", "m", action="better_prompt")
    degenerate = Check("degenerate_candidate", "fail", "m", action="fix_data")
    (advice,) = advise(lost_much(found, weak, degenerate, HELD, candidate={"right": 30, "wrong": 30}))
    assert (advice.action, advice.text, advice.fact) == ("measure_again", "Check the names.", f"{name}: 60 of 60")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("guards.general", "add_examples"),
        ("faster_by", "cut_costs"),
        ("thresholds.latency_p50_s", "cut_costs"),
        ("thresholds.format", "better_prompt"),
    ],
)
def test_what_failed_decides_and_not_the_labels_beside_it(name, action):
    failed = Check(name, "fail", "m", action=action, threshold=Threshold(f"{name}.min", 0.9))
    prompt = Check("baseline_prompt", "warning", "m", advice="Give it one.", action="better_prompt")
    beside = {"candidate": {"right": 20, "wrong": 20}}
    (advice,) = advise(lost_much(prompt, CONFLICTS, failed=(failed,), **beside))
    assert advice.fact == f"{name}: m"
    both = advise(lost_much(prompt, CONFLICTS, failed=(failed, MARGIN), **beside))
    assert advice in both
    assert {"fix_data", "better_prompt", "stop"} <= set(actions(both))


def test_a_baseline_that_misses_the_form_has_not_shown_what_the_model_cannot_do():
    mistaken = {"right": 20, "wrong": 20}
    both = {"wrong_in_both": 20, "candidate": mistaken}
    assert actions(advise(facts(diagnosis={**both, "baseline": {"right": 20, "malformed": 20}}))) == ["better_prompt"]
    for broken, counts in ((0, ["20", "20"]), (4, ["20", "24"])):
        (advice,) = advise(facts(diagnosis={**both, "baseline": mistaken, "broken": broken}))
        assert re.findall(r"\d+", advice.fact) == counts


def test_what_is_to_be_mended_before_a_candidate_is_dropped():
    def of(gate, upper=None):
        return loss_advice(gate, Comparison(upper_bound=upper, required=0.05), "other")

    same = Check("identical_outputs", "fail", "60 of 60", advice="Check the names.", action="measure_again")
    assert of(facts(same)) is None
    cut = facts(diagnosis={"baseline": {"right": 40, "wrong": 20}, "candidate": {"cut_off": 60}})
    assert "max_completion_tokens" in (of(cut, 0.04) or "")
    less = candidate(right=20, cut_off=20, wrong=21)
    assert (of(less), of(less, 0.05)) == ("other", "other")
    assert "upper bound" in (of(less, 0.04) or "")


@pytest.mark.parametrize(("fixed", "recalled", "said"), [(6, 3, True), (7, 3, False), (4, 4, False), (0, None, False)])
def test_a_gain_that_is_knowledge_is_said_of_green_gates_too(fixed, recalled, said):
    diagnosis = Diagnosis({}, {}, recalled=recalled)
    gate = context(result={"diagnosis": diagnosis})
    object.__setattr__(gate, "comparisons", {"baseline": SimpleNamespace(wins=fixed)})
    found = check_knowledge(gate)
    assert [(check.name, check.status) for check in found] == [("knowledge", "warning")] * said
