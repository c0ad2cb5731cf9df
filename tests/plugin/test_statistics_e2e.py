"""How sure a gain is, from files to verdict: standards of evidence, groups, graded and set-level metrics, baselines."""

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

import pytest
from gate_project import Project, check, checks, ends, label, mentions, passed, stopped, wrong

from pytest_ftgate import metric
from pytest_ftgate.result import GateResult

STANDARDS = ("observed", "significant", "proven")


def models(
    project: Project, n: int, *, base: Iterable[int], ft: Iterable[int], **fields: Any
) -> None:
    """Test set and recordings of ``n`` examples, of which the models have these wrong."""
    project.test_set(n, **fields)
    project.predictions("base.jsonl", n, wrong_at=base)
    project.predictions("ft.jsonl", n, wrong_at=ft)


@pytest.mark.parametrize(
    ("fixed", "standards"), [(3, STANDARDS[:1]), (6, STANDARDS[:2]), (20, STANDARDS)]
)
def test_the_same_gain_meets_one_standard_after_the_other(
    project: Project, fixed: int, standards: Any
) -> None:
    """Three examples more: seen. Six: above zero for sure. Twenty: the margin for sure."""
    models(project, 60, base=range(25), ft=range(25 - fixed))
    for evidence in STANDARDS:
        assert project.judge(evidence=evidence)["verdict"] == (
            "pass" if evidence in standards else "inconclusive"
        )
        finding = stopped(project.judge(evidence=evidence, margin=0.34), "fail", called=True)
        assert (finding["name"], finding["observed"], finding["required"]) == (
            "margin",
            pytest.approx(fixed / 60),
            0.34,
        )


@pytest.mark.parametrize("margin", [0, 0.01, 0.1, 0.15, 0.16, 0.17, 0.18, 0.2, 0.26])
def test_a_margin_that_is_not_proven_is_said_to_be_just_then(
    project: Project, margin: float
) -> None:
    gate = project.judge(margin=margin)
    lower, evidence_check = gate["lower_bound"], check(gate, "evidence")
    assert (gate["verdict"], 0.15 < lower < 0.18) == ("pass", True)
    assert gate["margin_proven"] is (lower >= margin)
    assert ("not proven" in evidence_check["message"]) is (lower < margin)
    mentions(
        evidence_check, f"+{100 * lower:.1f}", "95 %", *([f"{100 * margin:g}"] * (lower < margin))
    )


@pytest.mark.parametrize(
    ("group_of", "effective", "fragments"),
    [
        (lambda i: "customer", 1, ["1 group"]),
        (lambda i: f"customer {i % 12}", 12, ["12 groups"]),
        # Two long conversations and ten single questions say no more of the next conversation than two do.
        (lambda i: f"customer {i % 2}" if i < 50 else None, 2, ["12 groups", "2"]),
    ],
    ids=["one", "twelve", "uneven"],
)
def test_too_few_groups_are_inconclusive_before_any_call(
    project: Project, group_of: Callable[[int], Any], effective: int, fragments: list[str]
) -> None:
    project.test_set(60, group=group_of)
    finding = stopped(project.judge(), "inconclusive")
    assert (finding["name"], int(finding["observed"]), finding["required"]) == (
        "min_fixed",
        effective,
        15,
    )
    mentions(finding, "15", *fragments)
    gate = passed(project.judge(evidence="observed"))
    assert (gate["lower_bound"], gate["margin_proven"]) == (None, False)
    mentions(check(gate, "evidence"), f" {effective}", "15")


def test_too_few_groups_for_a_baseline_whose_drop_must_be_proven(project: Project) -> None:
    project.test_set(60, group=lambda i: f"customer {i % 12}")
    champion = {"model": "recorded:base.jsonl", "max_drop": 0.02}
    baselines = {"prompted": "recorded:base.jsonl", "champion": champion}
    finding = stopped(
        project.judge(baseline=..., baselines=baselines, evidence="observed"), "inconclusive"
    )
    assert (finding["name"], finding["observed"], finding["required"]) == ("min_fixed", 12, 15)


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_enough_groups_are_judged_as_groups(project: Project, metric: str) -> None:
    alone = project.judge(metric=metric)
    project.test_set(60, group=lambda i: f"customer {i % 15}")
    gate = project.judge(metric=metric)
    assert (gate["verdict"], gate["note"], gate["gain"]) == (
        "pass",
        "15 groups",
        pytest.approx(alone["gain"]),
    )
    assert ["group" in gate_facts["method"] for gate_facts in (gate, alone)] == [True, False]
    project.test_set(60, group=None)  # examples of no group stand alone
    gate = project.judge(metric=metric)
    assert (gate["method"], gate["lower_bound"]) == (alone["method"], alone["lower_bound"])


@pytest.mark.parametrize(
    ("groups", "evidence", "counts"),
    [
        # all of 20 groups gain 10 points: one in 7 may be lost, one in 11 undoes it
        (20, "significant", (20, 32)),
        (31, "significant", (31, 32)),
        (32, "significant", ()),
        (20, "observed", ()),
    ],
)
def test_groups_that_cannot_exclude_a_loss_that_undoes_the_gain_are_a_warning(
    project: Project, groups: int, evidence: str, counts: tuple[int, ...]
) -> None:
    n = 10 * groups
    models(project, n, base=range(0, n, 10), ft=(), group=lambda i: f"customer {i // 10}")
    gate = passed(project.judge(evidence=evidence))
    findings = checks(gate, "rare_group_loss")
    assert len(findings) == (1 if counts else 0)
    for warning in findings:
        assert (warning["status"], warning["observed"], warning["required"]) == ("warning", *counts)
        mentions(warning, f"{groups} groups cannot exclude", "one in", "32 exclude one in 11")
    strict = project.judge(evidence=evidence, checks={"rare_group_loss": "fail"})
    assert strict["verdict"] == ("fail" if counts else "pass")


def test_a_gain_that_is_the_same_in_every_group_passes(project: Project) -> None:
    """One of two answers fixed in each of 60 groups: leaving out any group changes nothing."""
    models(project, 120, base=range(0, 120, 2), ft=(), group=lambda i: f"customer {i // 2}")
    gate = passed(project.judge())
    assert (gate["gain"], gate["lower_bound"]) == (0.5, pytest.approx(0.421, abs=2e-3))


@pytest.mark.parametrize(("base", "ft"), [(range(6), ()), (range(54), ()), ((), range(54))])
def test_bounds_are_gains_that_are_possible(
    project: Project, base: Iterable[int], ft: Iterable[int]
) -> None:
    """Few large groups: Student's t with few degrees of freedom once bounded the gain at -521 points."""
    models(project, 60, base=base, ft=ft, group=lambda i: f"g{i // 4}")
    for name, width in (("accuracy", 1), ("f1_macro", 1), ("matthews_corrcoef", 2)):
        gate = project.judge(metric=name)
        assert -width <= gate["lower_bound"] <= gate["gain"] <= gate["upper_bound"] <= width


@metric(low=0, high=1, greater_is_better=True)
def overlap(expected: str, answer: str) -> float:
    return len(set(expected) & set(answer)) / len(set(expected) | set(answer))


@metric(low=0, high=8, greater_is_better=False)
def distance(expected: str, answer: str) -> float:
    return sum(a != b for a, b in zip_longest(expected, answer))


@pytest.mark.parametrize(("score", "sign", "margin"), [(overlap, 1, 0.1), (distance, -1, 0.5)])
def test_a_graded_metric_is_judged_by_its_own_unit(
    project: Project, score: Any, sign: int, margin: float
) -> None:
    keys = {"metric": score, "margin": margin}
    gate = passed(project.judge(**keys))
    base_value = gate["baseline"]["value"]
    candidate_value = gate["candidate"]["value"]
    for value, missed in ((base_value, range(40, 60)), (candidate_value, (0, 1, 58, 59))):
        total = 0.0
        for i in range(60):
            answer = wrong(i) if i in missed else label(i)
            total += score(label(i), answer)
        assert value == pytest.approx(total / 60)

    assert gate["gain"] == pytest.approx(sign * (candidate_value - base_value))
    assert 0 < gate["lower_bound"] < gate["gain"] < gate["upper_bound"]
    assert ("Gaffke" in gate["method"], gate["fixed"], gate["broken"]) == (True, 18, 2)
    swapped = project.judge(**keys, baseline="recorded:ft.jsonl", candidate="recorded:base.jsonl")
    assert check(ends(swapped, "fail"), "margin")["observed"] == pytest.approx(-gate["gain"])


def test_a_margin_is_held_against_the_range(project: Project) -> None:
    assert (
        stopped(project.judge(metric=distance, margin=7.9), "fail", called=True)["required"] == 7.9
    )
    refused = stopped(project.judge(metric=distance, margin=8))
    mentions(refused, "test_gate.py:4", "margin 8", "distance", "0 and 8")


@pytest.mark.parametrize("ft", [range(10, 20), range(20, 40)])
def test_the_bounds_stand_above_the_cure_which_does_not_repeat_them(
    project: Project, ft: Iterable[int]
) -> None:
    models(project, 60, base=range(10), ft=ft)
    gate = project.judge()
    assert stopped(gate, "fail", called=True)["name"] == "margin"
    lines = str(GateResult.from_dict(gate)).splitlines()
    bounds = [i for i, line in enumerate(lines) if f"to {100 * gate['upper_bound']:+.1f}; " in line]
    cures = [i for i, line in enumerate(lines) if line.startswith("fix:  ")]
    assert len(bounds) == len(cures) == 1
    assert bounds < cures


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
    models = {
        "baseline": ...,
        "baselines": {"prompt": "recorded:base.jsonl", "few-shot": "recorded:few.jsonl"},
    }
    gate = project.judge(**models)
    assert (gate["verdict"], gate["baseline"]) == (verdict, gate["baselines"]["few-shot"])
    margin_check, gain = check(gate, "margin"), (len(few) - 4) / 60
    assert margin_check["status"] == ("fail" if verdict == "fail" else "pass")
    assert margin_check["observed"] == pytest.approx(gate["gain"]) == pytest.approx(gain)
    mentions(margin_check, f"few-shot {100 * gain:+.1f}", "prompt +26.7")
    lower_is_better = project.judge(**models, metric=distance, margin=0.5)
    assert lower_is_better["baseline"] == lower_is_better["baselines"]["few-shot"]
