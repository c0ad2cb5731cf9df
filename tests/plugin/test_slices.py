"""Slices: parts of the test set that must not be worse, and the labels one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from gate_project import Project, check, label, mentions, passed

LANG = ["lang"]


def sliced(
    project: Project,
    parts: dict[str | None, int],
    base: Iterable[int] | None = None,
    ft: Iterable[int] = (),
    /,
    keys: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Judge a gate of which ``parts`` says how many examples have which language; None: they have none."""
    langs = [lang for lang, n in parts.items() for _ in range(n)]
    project.test_set(len(langs), lang=lambda i: langs[i])
    if base is not None:
        project.predictions("base.jsonl", len(langs), base)
        project.predictions("ft.jsonl", len(langs), ft)
    return project.judge(slices=LANG, **(keys or {}))


def by_value(gate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["value"]: one for one in gate["slices"]}


@pytest.mark.parametrize(("n_slices", "seen"), [(1, "fail"), (20, "warning")])
def test_of_many_slices_one_unlucky_one_is_no_alarm(project: Project, n_slices: int, seen: str) -> None:
    """Five losses of 40 count where there is one slice; among twenty, one such is to be expected (Bonferroni)."""
    parts: dict[str | None, int] = {f"l{i}": 40 for i in range(n_slices)}
    keys = {"min_test_examples": 40, "evidence": "observed"}
    first = sliced(project, parts, range(40, 40 * n_slices), range(5), keys=keys)["slices"][0]
    assert (first["n"], first["wins"], first["losses"], first["verdict"]) == (40, 0, 5, seen)


# --- metrics of the set --------------------------------------------------------------------------------------


def by_metric(
    project: Project, metric: Any, expected: Callable[[int], str], langs: Callable[[int], str], n: int, missed: range
) -> dict[str, Any]:
    project.test_set(n, expected=expected, lang=langs)
    project.predictions("base.jsonl", n, output=lambda i: "no" if i in missed else expected(i))
    project.predictions("ft.jsonl", n, output=lambda i: "no" if i == 2 else expected(i))
    return project.judge(metric=metric, slices=LANG)


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
    gate = sliced(project, {"en": 160, "de": 40}, range(100), range(160, 200), keys={"metric": "f1_macro"})
    assert (gate["verdict"], by_value(gate)["de"]["verdict"]) == ("fail", "fail")


def test_a_slice_without_the_label_that_the_metric_is_about_is_said(project: Project) -> None:
    metric = {"name": "f1", "pos_label": "yes"}

    def expected(i: int) -> str:
        return "yes" if i < 40 and i % 2 else "no"

    gate = passed(by_metric(project, metric, expected, lambda i: "en" if i < 40 else "de", 80, range(1, 10, 2)))
    assert check(gate, "slices")["status"] == "warning"
    mentions(check(gate, "slices"), "lang=de", "f1")


# --- what cannot be judged -----------------------------------------------------------------------------------


def test_where_no_slice_is_judged_that_is_a_warning(project: Project) -> None:
    gate = passed(sliced(project, dict.fromkeys(("a", "b", "c", "d"), 15)))
    assert (check(gate, "slices")["status"], check(gate, "slices")["observed"]) == ("warning", 4)
    mentions(check(gate, "slices"), "no slice is judged")


def test_values_of_a_field_need_be_no_text(project: Project) -> None:
    project.test_set(60, vip=lambda i: i < 30, tier=None)
    gate = project.judge(slices={"fields": ["vip", "tier"]})
    assert {(one["field"], one["value"]) for one in gate["slices"]} == {
        ("vip", "true"),
        ("vip", "false"),
        ("tier", "(none)"),
    }


def test_a_slice_holds_against_every_baseline(project: Project) -> None:
    project.test_set(100, lang=lambda i: "en" if i < 50 else "de")
    project.predictions("a.jsonl", 100, range(45))  # right on all of de
    project.predictions("b.jsonl", 100, range(50, 80))
    project.predictions("ft.jsonl", 100, range(50, 60))
    one, other = "recorded:a.jsonl", "recorded:b.jsonl"
    assert project.judge(baseline=other, slices=LANG)["verdict"] == "pass"
    gate = project.judge(baseline=..., baselines={"a": one, "b": other}, slices=LANG)
    de = by_value(gate)["de"]
    assert (gate["verdict"], de["verdict"], de["against"], de["losses"]) == ("fail", "fail", "a", 10)
    assert de["confidence"] == pytest.approx(1 - 0.05 / 4)  # two slices, two baselines
    mentions(check(gate, "slices"), "lang=de -20.0 points (baseline a)", "98.75 %")
