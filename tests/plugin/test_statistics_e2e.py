"""How sure a gain is, from files to verdict: standards of evidence, groups, graded and set-level metrics, baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import pytest
from gate_project import Project, check, checks, label, mentions, passed, statuses, stopped, write_jsonl, wrong


def models(project: Project, n: int, *, base: Iterable[int], ft: Iterable[int]) -> None:
    """Test set and recordings of ``n`` examples, of which the models have these wrong."""
    project.test_set(n)
    project.predictions("base.jsonl", n, wrong_at=base)
    project.predictions("ft.jsonl", n, wrong_at=ft)


# --- standards of evidence -----------------------------------------------------------------------------------


def test_the_same_gain_meets_one_standard_after_the_other(project: Project) -> None:
    """Three examples more: seen. Six: above zero for sure. Twenty: the margin for sure."""
    standards = ("observed", "significant", "proven")
    passes = {}
    for fixed in (3, 6, 20):
        models(project, 60, base=range(25), ft=range(25 - fixed))
        verdicts = {evidence: project.judge(evidence=evidence)["verdict"] for evidence in standards}
        assert set(verdicts.values()) <= {"pass", "inconclusive"}
        passes[fixed] = [evidence for evidence in standards if verdicts[evidence] == "pass"]
    assert passes == {3: ["observed"], 6: ["observed", "significant"], 20: [*standards]}


@pytest.mark.parametrize("evidence", ["observed", "significant", "proven"])
def test_no_standard_passes_a_gain_below_the_margin(project: Project, evidence: str) -> None:
    found = stopped(project.judge(evidence=evidence, margin=0.27), "fail", called=True)
    assert (found["name"], found["observed"], found["required"]) == ("margin", pytest.approx(16 / 60), 0.27)


def test_inconclusive_says_how_many_examples_would_do(project: Project) -> None:
    models(project, 60, base=range(25), ft=[*range(20), 40])
    project.gate_test()
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    found = stopped(gate, "inconclusive", called=True)
    needed = gate["examples_needed"]
    assert (found["name"], found["observed"], found["required"]) == ("evidence", gate["lower_bound"], 0)
    assert gate["lower_bound"] < 0
    assert needed > 60
    mentions(found, "+6.7", "95 %", f"{100 * gate['lower_bound']:.1f}", f"{needed} test", f"{needed - 60} more")
    project.result.stdout.fnmatch_lines([f"*{needed} test examples*{needed - 60} more*"])


@pytest.mark.parametrize("margin", [0, 0.01, 0.1, 0.15, 0.16, 0.17, 0.18, 0.2, 0.26])
def test_a_margin_that_is_not_proven_is_said_to_be_just_then(project: Project, margin: float) -> None:
    gate = project.judge(margin=margin)
    lower, message = gate["lower_bound"], check(gate, "evidence")["message"]
    assert (gate["verdict"], 0.15 < lower < 0.18) == ("pass", True)
    assert gate["margin_proven"] is (lower >= margin)
    assert ("not proven" in message) is (lower < margin)
    mentions(check(gate, "evidence"), f"+{100 * lower:.1f}", "95 %", *([f"{100 * margin:g}"] * (lower < margin)))


def test_more_confidence_asks_for_more(project: Project) -> None:
    models(project, 60, base=range(25), ft=range(20))
    gates = {confidence: project.judge(confidence=confidence) for confidence in (0.9, 0.95, 0.99)}
    assert [gate["verdict"] for gate in gates.values()] == ["pass", "pass", "inconclusive"]
    for confidence, gate in gates.items():
        mentions(check(gate, "evidence"), f"{100 * confidence:g} %")
    lower = [gate["lower_bound"] for gate in gates.values()]
    assert lower == sorted(lower, reverse=True)


def test_too_few_examples_for_any_result_are_told_before_a_call(project: Project) -> None:
    models(project, 3, base=range(3), ft=())
    mentions(stopped(project.judge(min_test_examples=3), "inconclusive"), "3")


# --- groups --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group_of", "effective", "parts"),
    [
        (lambda i: "customer", 1, ["1 group"]),
        (lambda i: f"customer {i % 9}", 9, ["9 groups"]),
        # Two long conversations and ten single questions say no more of the next conversation than two do.
        (lambda i: f"customer {i % 2}" if i < 50 else None, 3, ["12 groups", "3"]),
    ],
    ids=["one", "nine", "uneven"],
)
def test_too_few_groups_are_inconclusive_before_any_call(
    project: Project, group_of: Callable[[int], Any], effective: int, parts: list[str]
) -> None:
    project.test_set(60, group=group_of)
    found = stopped(project.judge(), "inconclusive")
    assert (found["name"], int(found["observed"]), found["required"]) == ("groups", effective, 10)
    mentions(found, "10", *parts)


def test_observed_needs_no_groups(project: Project) -> None:
    project.test_set(60, group=lambda i: i % 3)
    gate = project.judge(evidence="observed")
    assert (gate["verdict"], gate["lower_bound"], gate["margin_proven"]) == ("pass", None, False)
    mentions(check(gate, "evidence"), "groups: 3", "10")


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_enough_groups_are_judged_as_groups(project: Project, metric: str) -> None:
    alone = project.judge(metric=metric)
    project.test_set(60, group=lambda i: f"customer {i % 12}")
    gate = project.judge(metric=metric)
    assert (gate["verdict"], gate["note"]) == ("pass", "12 groups")
    assert ["group" in one["method"] for one in (gate, alone)] == [True, False]
    assert gate["gain"] == pytest.approx(alone["gain"])
    project.test_set(60, group=None)  # examples of no group stand alone
    gate = project.judge(metric=metric)
    assert (gate["method"], gate["lower_bound"]) == (alone["method"], alone["lower_bound"])


def test_a_win_in_one_group_alone_is_no_win(project: Project) -> None:
    """All 18 fixed answers belong to 2 of 20 customers: there is no telling what the next customer gets."""
    project.test_set(60, group=lambda i: f"customer {i // 10 if i >= 40 else 100 + i % 18}")
    gate = project.judge()
    assert stopped(gate, "inconclusive", called=True)["name"] == "evidence"
    assert gate["lower_bound"] < 0


# --- metrics of one's own, and of the whole set --------------------------------------------------------------

OWN = """from itertools import zip_longest
from pytest_ftgate import metric

@metric(low=0, high=1, greater_is_better=True)
def overlap(expected, answer):
    return len(set(expected) & set(answer)) / len(set(expected) | set(answer))

@metric(low=0, high=8, greater_is_better=False)
def distance(expected, answer):
    return sum(a != b for a, b in zip_longest(expected, answer))

def pytest_ftgate_metrics(): return {"overlap": overlap, "distance": distance}
"""


def overlap(expected: str, answer: str) -> float:
    return len(set(expected) & set(answer)) / len(set(expected) | set(answer))


def distance(expected: str, answer: str) -> float:
    return sum(a != b for a, b in zip_longest(expected, answer))


def mean(score: Callable[[str, str], float], wrong_at: Iterable[int]) -> float:
    missed = set(wrong_at)
    return sum(score(label(i), wrong(i) if i in missed else label(i)) for i in range(60)) / 60


@pytest.mark.parametrize(("score", "sign", "margin"), [(overlap, 1, 0.1), (distance, -1, 0.5)])
def test_a_graded_metric_is_judged_by_its_own_unit(
    project: Project, score: Callable[[str, str], float], sign: int, margin: float
) -> None:
    project.file("conftest.py", OWN)
    gate = passed(project.judge(metric=score.__name__, margin=margin))
    before, after = gate["baseline"]["value"], gate["candidate"]["value"]
    assert (before, after) == (
        pytest.approx(mean(score, range(40, 60))),
        pytest.approx(mean(score, (0, 1, 58, 59))),
    )
    assert gate["gain"] == pytest.approx(sign * (after - before))
    assert 0 < gate["lower_bound"] < gate["gain"] < gate["upper_bound"]
    assert "Gaffke" in gate["method"]
    assert (gate["wins"], gate["losses"]) == (18, 2)
    models = {"baseline": "recorded:ft.jsonl", "candidate": "recorded:base.jsonl"}
    found = stopped(project.judge(metric=score.__name__, margin=margin, **models), "fail", called=True)
    assert (found["name"], found["observed"]) == ("margin", pytest.approx(-gate["gain"]))


def test_a_margin_is_held_against_the_range(project: Project) -> None:
    project.file("conftest.py", OWN)
    assert stopped(project.judge(metric="distance", margin=7.9), "fail", called=True)["required"] == 7.9
    found = stopped(project.judge(metric="distance", margin=8))
    mentions(found, "test_gate.py:4", "margin 8", "marker", "distance", "0 and 8")


@pytest.mark.parametrize(("groups", "status"), [(20, "warning"), (120, None)])
def test_a_group_that_may_be_lost_whole_is_a_warning(project: Project, groups: int, status: str | None) -> None:
    """One fixed example in each group of five; the evidence is there, and one lost group would take it away."""
    n = 5 * groups
    project.test_set(n, group=lambda i: f"customer {i // 5}")
    project.predictions("base.jsonl", n, wrong_at=range(0, n, 10))
    project.predictions("ft.jsonl", n)
    gate = project.judge()
    assert (gate["verdict"], statuses(gate).get("rare_group_loss")) == ("pass", status)
    if status is not None:
        found = check(gate, "rare_group_loss")
        assert found["observed"] < 0 < gate["lower_bound"]
        mentions(found, "group", f"{100 * found['observed']:.1f}")


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "matthews_corrcoef", "field_f1"])
def test_bounds_are_gains_that_are_possible(project: Project, metric: str) -> None:
    """Few large groups: Student's t with few degrees of freedom once bounded the gain at -521 points."""
    project.test_set(60, group=lambda i: f"g{i // 6}")
    if metric == "field_f1":
        project.test_set(60, group=lambda i: f"g{i // 6}", expected=lambda i: {"label": label(i)})
        for file, missed in (("base.jsonl", range(6)), ("ft.jsonl", ())):
            answers = {i: json.dumps({"label": wrong(i) if i in missed else label(i)}) for i in range(60)}
            project.predictions(file, 60, output=answers.get)
        metric_keys: Any = {"name": metric, "average": "micro"}
    else:
        models(project, 60, base=range(6), ft=())
        metric_keys = metric
    gate = project.judge(metric=metric_keys)
    width = 2 if metric == "matthews_corrcoef" else 1
    assert -width <= gate["lower_bound"] <= gate["gain"] <= gate["upper_bound"] <= width


# --- what is said about a gain that is too small -------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ft", "action", "parts"),
    [
        (range(10), range(10, 20), None, ["No gain was seen", "95 % upper bound"]),
        (range(10), range(1, 10), None, ["too small", "still possible"]),
        ((), range(20), "stop", ["Drop this fine-tune"]),
    ],
)
def test_a_fine_tune_is_only_dropped_where_the_margin_is_out_of_reach(
    project: Project, base: Iterable[int], ft: Iterable[int], action: str | None, parts: list[str]
) -> None:
    models(project, 60, base=base, ft=ft)
    gate = project.judge()
    margin = check(gate, "margin")
    assert gate["verdict"] == margin["status"] == "fail"
    assert (gate["upper_bound"] < 0.05) is (action == "stop")
    assert [one["action"] for one in gate["advice"] if one["action"] == "stop"] == ([] if action is None else [action])
    upper = [] if action else [f"{100 * gate['upper_bound']:+.1f} points"]
    for part in (*parts, *upper):
        assert part in margin["advice"]


def test_repeats_that_agree_are_right_or_wrong_answers(project: Project) -> None:
    """Three equal answers to each question: the exact test applies, as if each had been asked once."""
    for file, missed in (("base.jsonl", range(8)), ("ft.jsonl", ())):
        project.predictions(file, 60, missed, repeats=3)
    three = project.judge(repeats=3)
    models(project, 60, base=range(8), ft=())
    once = project.judge()
    assert "exact" in three["method"]
    assert [three[key] for key in ("p_value", "lower_bound")] == [once[key] for key in ("p_value", "lower_bound")]


# --- several baselines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("few", "verdict"),
    [
        (range(45, 60), "pass"),
        (range(52, 60), "inconclusive"),
        (range(56, 60), "fail"),
        (range(53, 54), "fail"),
    ],
)
def test_the_best_baseline_is_the_one_to_beat(project: Project, few: range, verdict: str) -> None:
    project.predictions("few.jsonl", 60, wrong_at=few)
    baselines = {"prompt": "recorded:base.jsonl", "few-shot": "recorded:few.jsonl"}
    gate = project.judge(baseline=..., baselines=baselines)
    assert gate["verdict"] == verdict
    assert gate["baseline"] == gate["baselines"]["few-shot"]
    prompt, best = checks(gate, "margin")
    assert (prompt["status"], prompt["observed"]) == ("pass", pytest.approx(16 / 60))
    assert best["status"] == ("fail" if verdict == "fail" else "pass")
    assert best["observed"] == pytest.approx(gate["gain"]) == pytest.approx((len(few) - 4) / 60)
    mentions(prompt, "prompt", "+26.7")
    mentions(best, "few-shot")


def test_where_lower_is_better_the_lowest_baseline_is_the_best(project: Project) -> None:
    project.file("conftest.py", OWN)
    project.predictions("few.jsonl", 60, wrong_at=range(45, 60))
    gate = passed(
        project.judge(
            baseline=...,
            baselines={"few-shot": "recorded:few.jsonl", "prompt": "recorded:base.jsonl"},
            metric="distance",
            margin=0.5,
        )
    )
    assert gate["baseline"] == gate["baselines"]["few-shot"]
    best, other = (gate["baselines"][name]["value"] for name in ("few-shot", "prompt"))
    assert best < other


# --- counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [5, 6, 7, 8, 9])
def test_a_gain_is_compared_as_a_fraction(project: Project, fixed: int) -> None:
    models(project, 60, base=range(20), ft=range(20 - fixed))
    margins = (0.1, 0.15, 0.1166, 0.1167)
    verdicts = [project.judge(margin=margin, evidence="observed")["verdict"] for margin in margins]
    assert verdicts == ["pass" if Fraction(fixed, 60) >= Fraction(str(margin)) else "fail" for margin in margins]


# --- several answers per example, averaged within it ------------------------------------------------------


def repeated(project: Project, name: str, n: int, wrong_at: set[tuple[int, int]], repeats: int = 2) -> None:
    rows = [
        {"id": f"t{i}", "repeat": k, "output": wrong(i) if (i, k) in wrong_at else label(i)}
        for i in range(n)
        for k in range(repeats)
    ]
    write_jsonl(project.path / name, rows)


def test_repeats_are_averaged_within_an_example(project: Project) -> None:
    repeated(project, "base.jsonl", 60, {(i, k) for i in range(20) for k in range(2)} | {(i, 0) for i in range(20, 30)})
    repeated(project, "ft.jsonl", 60, {(59, 0)})
    gate = passed(project.judge(repeats=2))
    assert gate["baseline"]["value"] == pytest.approx(70 / 120)
    assert gate["candidate"]["n_expected"] == 120
    assert gate["n"] == 60


def test_set_level_metrics_take_repeats_too(project: Project) -> None:
    repeated(project, "base.jsonl", 60, {(i, k) for i in range(20) for k in range(2)})
    repeated(project, "ft.jsonl", 60, {(59, 0)})
    passed(project.judge(repeats=2, metric="f1_macro"))
