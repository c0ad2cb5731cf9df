"""Slices: parts of the test set that must not be worse, and the labels one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gate_project import Project, check, label, mentions, passed


def sliced(project: Project, n: int, base: Any, ft: Any, lang: Callable[[int], str], **keys: Any) -> dict[str, Any]:
    """Judge a gate on n examples, of which the models have these wrong, by their language."""
    project.test_set(n, lang=lang)
    project.predictions("base.jsonl", n, base)
    project.predictions("ft.jsonl", n, ft)
    return project.judge(slices=["lang"], **keys)


def by_value(gate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["value"]: one for one in gate["slices"]}


@pytest.mark.parametrize(("n_slices", "seen"), [(1, "fail"), (20, "warning")])
def test_of_many_slices_one_unlucky_one_is_no_alarm(project: Project, n_slices: int, seen: str) -> None:
    """Five losses of 40 count where there is one slice; among twenty, one such is to be expected (Bonferroni)."""
    n, keys = 40 * n_slices, {"min_test_examples": 40, "evidence": "observed"}
    first = sliced(project, n, range(40, n), range(5), lambda i: f"l{i // 40}", **keys)["slices"][0]
    assert (first["n"], first["wins"], first["losses"], first["verdict"]) == (40, 0, 5, seen)


# --- metrics of the set --------------------------------------------------------------------------------------


def by_metric(
    project: Project, metric: Any, expected: Callable[[int], str], langs: Callable[[int], str], n: int, missed: range
) -> dict[str, Any]:
    project.test_set(n, expected=expected, lang=langs)
    project.predictions("base.jsonl", n, output=lambda i: "no" if i in missed else expected(i))
    project.predictions("ft.jsonl", n, output=lambda i: "no" if i == 2 else expected(i))
    return project.judge(metric=metric, slices=["lang"])


def test_a_metric_of_the_set_is_computed_on_the_slice_alone(project: Project) -> None:
    """German examples expect two of three labels: the third one counts for neither model there."""
    gate = by_metric(
        project,
        "f1_macro",
        lambda i: label(i if i % 2 == 0 else i % 4 // 2),
        lambda i: ("en", "de")[i % 2],
        120,
        range(0, 120, 3),
    )
    de = by_value(gate)["de"]
    assert (gate["verdict"], de["candidate"]) == ("pass", 1.0)
    assert 0.7 < de["baseline"] < 0.9
    assert de["upper_bound"] is not None


def test_a_slice_on_which_everything_is_lost_fails_by_a_metric_of_the_set(project: Project) -> None:
    langs = (["en"] * 160 + ["de"] * 40).__getitem__
    gate = sliced(project, 200, range(100), range(160, 200), langs, metric="f1_macro")
    assert (gate["verdict"], by_value(gate)["de"]["verdict"]) == ("fail", "fail")


def test_a_slice_without_the_label_that_the_metric_is_about_is_said(project: Project) -> None:
    metric = {"name": "f1", "pos_label": "yes"}

    def expected(i: int) -> str:
        return "yes" if i < 40 and i % 2 else "no"

    gate = passed(by_metric(project, metric, expected, lambda i: "en" if i < 40 else "de", 80, range(1, 10, 2)))
    assert check(gate, "slices")["status"] == "warning"
    mentions(check(gate, "slices"), "lang=de", "f1")


# --- what cannot be judged -----------------------------------------------------------------------------------


def test_values_of_a_field_need_be_no_text_and_where_no_slice_is_judged_that_is_a_warning(project: Project) -> None:
    project.test_set(60, vip=lambda i: i % 2 == 0, tier=None, size=lambda i: i % 4)
    gate = passed(project.judge(slices=["vip", "tier"]))
    found = {(one["field"], one["value"]) for one in gate["slices"]}
    assert {("vip", "true"), ("vip", "false"), ("tier", "(none)")} <= found
    found = check(passed(project.judge(slices=["size"])), "slices")
    assert (found["status"], found["observed"]) == ("warning", 4)
    mentions(found, "no slice is judged")


def test_a_slice_holds_against_every_baseline(project: Project) -> None:
    passed(sliced(project, 100, range(50, 80), range(50, 60), lambda i: "en" if i < 50 else "de"))
    project.predictions("a.jsonl", 100, range(45))  # right on all of de
    baselines = {"a": "recorded:a.jsonl", "b": "recorded:base.jsonl"}
    gate = project.judge(baseline=..., baselines=baselines, slices=["lang"])
    de = by_value(gate)["de"]
    assert (gate["verdict"], de["verdict"], de["against"], de["losses"]) == ("fail", "fail", "a", 10)
    assert de["confidence"] == pytest.approx(1 - 0.05 / 4)  # two slices, two baselines
    mentions(check(gate, "slices"), "lang=de -20.0 points (baseline a)", "98.75 %")
