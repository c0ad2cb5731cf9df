"""Slices: parts of the test set that must not be worse, and the labels one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from gate_project import Project, block, check, label, mentions, passed, statuses, stopped

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


def test_every_slice_has_its_own_counts_and_bounds(project: Project) -> None:
    gate = passed(sliced(project, {"en": 60, "de": 40}, [*range(20), *range(60, 70)], range(5)))
    en, de = by_value(gate)["en"], by_value(gate)["de"]
    assert (en["n"], en["baseline"], en["candidate"], en["wins"], en["losses"]) == (60, 40 / 60, 55 / 60, 15, 0)
    assert (de["n"], de["baseline"], de["candidate"], de["gain"], de["verdict"]) == (40, 0.75, 1.0, 0.25, "pass")
    assert en["lower_bound"] < en["gain"] < en["upper_bound"]
    assert en["confidence"] == pytest.approx(0.975)
    assert check(gate, "slices")["status"] == "pass"
    mentions(check(gate, "slices"), "2 of 2", "lang=en", "+25.0", "60")


def test_a_loss_on_one_slice_fails_a_gate_that_gains_on_the_whole(project: Project) -> None:
    gate = sliced(project, {"en": 160, "de": 40}, range(60), range(160, 172))
    assert (gate["verdict"], gate["gain"] > 0.2) == ("fail", True)
    seen = check(gate, "slices")
    assert (seen["status"], seen["required"], seen["source"]) == ("fail", -0.03, "default")
    assert seen["observed"] == pytest.approx(-0.3)
    mentions(seen, "1 of 2", "97.5 %", "lang=de", "-30.0", "40")
    assert [one["value"] for one in gate["slices"]] == ["de", "en"]
    short, full = ([" ".join(one.split()) for one in block(gate, verbose=verbose)] for verbose in (False, True))
    (row,) = [line for line in short if line.startswith("lang=de 40 100.0 % 70.0 % -30.0")]
    assert row.endswith("fail")
    assert not [line for line in short if line.startswith("lang=en 160")]
    assert [line for line in full if line.startswith("lang=en 160")]


@pytest.mark.parametrize(
    ("lost", "verdict", "status"), [(3, "pass", "pass"), (4, "pass", "warning"), (6, "fail", "fail")]
)
def test_how_large_a_loss_may_be(project: Project, lost: int, verdict: str, status: str) -> None:
    gate = sliced(project, {"en": 100, "de": 100}, range(60), range(100, 100 + lost))
    assert (gate["verdict"] == "fail", check(gate, "slices")["status"]) == (status == "fail", status)
    assert by_value(gate)["de"]["verdict"] == status


@pytest.mark.parametrize(("n_slices", "seen"), [(1, "fail"), (20, "warning")])
def test_of_many_slices_one_unlucky_one_is_no_alarm(project: Project, n_slices: int, seen: str) -> None:
    """Five losses of 40 count where there is one slice; among twenty, one such is to be expected (Bonferroni)."""
    parts: dict[str | None, int] = {f"l{i}": 40 for i in range(n_slices)}
    keys = {"min_test_examples": 40, "evidence": "observed"}
    first = sliced(project, parts, range(40, 40 * n_slices), range(5), keys=keys)["slices"][0]
    assert (first["n"], first["wins"], first["losses"], first["verdict"]) == (40, 0, 5, seen)


def test_a_slice_that_is_too_small_says_before_any_call_how_many_it_needs(project: Project) -> None:
    gate = passed(sliced(project, {"en": 60, "de": 12, None: 8}, range(30), [60, 61, 62]))
    found = check(gate, "slices")
    assert (found["status"], found["observed"]) == ("pass", by_value(gate)["en"]["gain"])
    mentions(found, "2 slices are not judged", "lang=de", "12 of 30", "lang=(none)", "8 of 30")
    de = by_value(gate)["de"]
    assert (de["n"], de["gain"], de["verdict"], "12 of 30" in de["note"]) == (12, None, None, True)
    assert by_value(gate)["en"]["confidence"] == 0.95
    project.training_set(3)
    gate = project.judge(slices=LANG)
    assert ("slices" in statuses(gate), gate["models_called"]) == (True, False)


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


@pytest.mark.parametrize(
    ("slices", "parts"),
    [
        ({"fields": ["langs"]}, ["'langs'", "'lang'"]),
        ({"fields": ["group"]}, ["'group'"]),
        ({"fields": ["lang"], "max_drop": 3}, ["max_drop 3", "marker"]),
        (["langs"], ["slices.fields", "'langs'", "'lang'"]),
        ("lang", ["slices", "list", "'lang'"]),
        ({"fields": ["lang", "lang"]}, ["slices.fields", "'lang'"]),
        ({"field": ["lang"]}, ["slices.field", "'fields'"]),
    ],
)
def test_what_cannot_be_judged_is_an_error_before_any_call(project: Project, slices: Any, parts: list[str]) -> None:
    project.test_set(60, lang="en")
    mentions(stopped(project.judge(slices=slices)), *parts)


def test_where_no_slice_is_judged_that_is_a_warning(project: Project) -> None:
    gate = sliced(project, dict.fromkeys(("a", "b", "c", "d"), 15))
    assert (gate["verdict"], check(gate, "slices")["status"], check(gate, "slices")["observed"]) == (
        "pass",
        "warning",
        0,
    )


def test_values_of_a_field_need_be_no_text(project: Project) -> None:
    project.test_set(60, vip=lambda i: i < 30, tier=None)
    gate = project.judge(slices={"fields": ["vip", "tier"]})
    assert {(one["field"], one["value"]) for one in gate["slices"]} == {
        ("vip", "true"),
        ("vip", "false"),
        ("tier", "(none)"),
    }


def test_labels_are_told_one_by_one_the_worst_first(project: Project) -> None:
    project.predictions("ft.jsonl", 60, wrong_at=(1, 4, 7))
    gate = project.judge()
    lines = [line.split() for line in block(gate, verbose=True)]
    first, *others = [line for line in lines if line[0] in ("refund", "invoice", "shipping")]
    assert (first[:2], first[4:6], len(others)) == (["invoice", "20"], ["85.0", "%"], 2)
    assert sum(one["answers"] for one in gate["diagnosis"]["labels"]) == 60


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
