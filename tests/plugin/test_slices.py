"""Slices: parts of the test set that must not be worse, and the labels one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from gate_project import Project, check, label, refused, statuses, write_jsonl

LANGS = ("en", "de", "fr")


def examples(project: Project, parts: dict[str | None, int], **extra: Any) -> None:
    """A test set in which ``parts`` says how many examples have which language; None: they have none."""
    langs = [lang for lang, n in parts.items() for _ in range(n)]
    rows = [
        {"id": f"t{i}", "input": f"question {i}", "expected": label(i), **({"lang": lang} if lang else {}), **extra}
        for i, lang in enumerate(langs)
    ]
    write_jsonl(project.path / "test.jsonl", rows)


def predictions(project: Project, n: int, *, base: Iterable[int], ft: Iterable[int]) -> None:
    project.predictions("base.jsonl", n, base)
    project.predictions("ft.jsonl", n, ft)


def sliced(gate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{one['field']}={one['value']}": one for one in gate["slices"]}


def judged(project: Project, parts: dict[str | None, int], **slices: Any) -> dict[str, Any]:
    project.gate_test(slices={"fields": ["lang"], **slices})
    return project.gate()


def test_every_slice_has_its_own_counts_and_bounds(project: Project) -> None:
    examples(project, {"en": 60, "de": 40})
    predictions(project, 100, base=[*range(20), *range(60, 70)], ft=[*range(5)])
    gate = judged(project, {})
    assert gate["verdict"] == "pass"
    en, de = sliced(gate)["lang=en"], sliced(gate)["lang=de"]
    assert (en["n"], en["baseline"], en["candidate"], en["wins"], en["losses"]) == (60, 40 / 60, 55 / 60, 15, 0)
    assert (de["n"], de["baseline"], de["candidate"], de["gain"], de["verdict"]) == (40, 0.75, 1.0, 0.25, "pass")
    assert en["lower_bound"] < en["gain"] < en["upper_bound"]
    assert en["confidence"] == pytest.approx(0.975)
    assert check(gate, "slices")["message"] == (
        "2 of 2 slices lost no more than is allowed (3 points): worst lang=en +25.0 points (60 examples)"
    )


def test_a_loss_on_one_slice_fails_a_gate_that_gains_on_the_whole(project: Project) -> None:
    examples(project, {"en": 160, "de": 40})
    predictions(project, 200, base=range(60), ft=range(160, 172))
    gate = judged(project, {})
    assert gate["gain"] > 0.2
    assert gate["verdict"] == "fail"
    assert statuses(gate)["slices"] == "fail"
    seen = check(gate, "slices")
    assert seen["message"] == (
        "1 of 2 slices lost more than is allowed (3 points, 97.5 % sure for each): lang=de -30.0 points (40 examples)"
    )
    assert (seen["observed"], seen["required"], seen["source"]) == (pytest.approx(-0.3), -0.03, "default")
    assert [one["value"] for one in gate["slices"]] == ["de", "en"]
    lines = [" ".join(line.split()) for line in project.result.outlines]
    (row,) = [line for line in lines if line.startswith("lang=de 40 100.0 % 70.0 % -30.0")]
    assert row.endswith("fail")
    assert not [line for line in lines if line.startswith("lang=en 160")]
    full = [" ".join(line.split()) for line in project.run("-v").outlines]
    assert [line for line in full if line.startswith("lang=en 160")]
    assert [line for line in full if line.startswith("label n baseline candidate change")]


def test_a_loss_that_may_be_chance_is_a_warning(project: Project) -> None:
    examples(project, {"en": 160, "de": 40})
    predictions(project, 200, base=range(60), ft=range(160, 162))
    gate = judged(project, {})
    assert gate["verdict"] == "pass"
    assert check(gate, "slices")["status"] == "warning"
    assert "which may be chance" in check(gate, "slices")["message"]
    assert sliced(gate)["lang=de"]["verdict"] == "warning"


@pytest.mark.parametrize(("n_slices", "seen"), [(1, "fail"), (20, "warning")])
def test_of_many_slices_one_unlucky_one_is_no_alarm(project: Project, n_slices: int, seen: str) -> None:
    """Five losses of 40 count where there is one slice; among twenty, one such is to be expected (Bonferroni)."""
    n = 40 * n_slices
    rows = [{"id": f"t{i}", "input": f"q {i}", "expected": label(i), "lang": f"l{i // 40}"} for i in range(n)]
    write_jsonl(project.path / "test.jsonl", rows)
    predictions(project, n, base=range(40, n), ft=range(5))
    project.gate_test(slices={"fields": ["lang"]}, min_test_examples=40, evidence="observed")
    first = project.gate()["slices"][0]
    assert (first["n"], first["wins"], first["losses"]) == (40, 0, 5)
    assert first["verdict"] == seen


def test_a_slice_that_is_too_small_says_before_any_call_how_many_it_needs(project: Project) -> None:
    examples(project, {"en": 60, "de": 12, None: 8})
    predictions(project, 80, base=range(30), ft=[60, 61, 62])
    gate = judged(project, {})
    assert gate["verdict"] == "pass"
    assert check(gate, "slices_too_few")["message"] == (
        "2 slices are not judged: lang=de too few to judge (12 of 30), lang=(none) too few to judge (8 of 30)"
    )
    assert check(gate, "slices_too_few")["status"] == "note"
    de = sliced(gate)["lang=de"]
    assert (de["n"], de["gain"], de["verdict"], de["note"]) == (12, None, None, "too few to judge (12 of 30)")
    project.training_set(3)
    assert "slices_too_few" in statuses(project.gate())  # with no model called
    assert sliced(gate)["lang=en"]["confidence"] == 0.95


def test_what_a_slice_must_prove_takes_more_examples(project: Project) -> None:
    examples(project, {"en": 120, "de": 40})
    project.gate_test(slices={"fields": ["lang"], "evidence": "proven"})
    message = refused(project, "inconclusive")
    assert message == (
        "1 slice cannot rule out a drop of 3 points without a gain: lang=de has 40 examples, 99 are needed"
    )
    predictions(project, 160, base=range(40), ft=[])
    gate = judged(project, {}, evidence="proven", min_examples=99)
    assert gate["verdict"] == "pass"
    assert sliced(gate)["lang=en"]["confidence"] == 0.95
    assert sliced(gate)["lang=de"]["note"] == "too few to judge (40 of 99)"


def test_proven_is_inconclusive_where_the_drop_is_not_ruled_out(project: Project) -> None:
    examples(project, {"en": 120, "de": 120})
    predictions(project, 240, base=range(60), ft=[120, 121])
    gate = judged(project, {}, evidence="proven")
    assert gate["verdict"] == "inconclusive"
    assert check(gate, "slices")["status"] == "inconclusive"
    assert sliced(gate)["lang=en"]["verdict"] == "pass"


@pytest.mark.parametrize(("lost", "verdict"), [(3, "pass"), (4, "fail")])
def test_observed_looks_at_the_measured_drop_alone(project: Project, lost: int, verdict: str) -> None:
    examples(project, {"en": 100, "de": 100})
    predictions(project, 200, base=range(60), ft=range(100, 100 + lost))
    assert judged(project, {}, evidence="observed")["verdict"] == verdict


def test_a_metric_of_the_set_is_computed_on_the_slice_alone(project: Project) -> None:
    """German examples expect two of three labels: the third one counts for neither model there."""
    rows = [
        {"id": f"t{i}", "input": f"q {i}", "lang": LANGS[i % 2], "expected": label(i if i % 2 == 0 else i % 4 // 2)}
        for i in range(120)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    for file, missed in (("base.jsonl", range(0, 120, 3)), ("ft.jsonl", [2])):
        told = [{"id": r["id"], "output": "none" if i in missed else r["expected"]} for i, r in enumerate(rows)]
        write_jsonl(project.path / file, told)
    project.gate_test(metric="f1_macro", slices={"fields": ["lang"]})
    gate = project.gate()
    assert gate["verdict"] == "pass"
    de = sliced(gate)["lang=de"]
    assert de["candidate"] == 1.0
    assert 0.7 < de["baseline"] < 0.9
    assert de["upper_bound"] is not None


def test_a_slice_on_which_everything_is_lost_fails_by_a_metric_of_the_set(project: Project) -> None:
    examples(project, {"en": 160, "de": 40})
    predictions(project, 200, base=range(100), ft=range(160, 200))
    project.gate_test(metric="f1_macro", slices={"fields": ["lang"]})
    gate = project.gate()
    assert gate["verdict"] == "fail"
    assert sliced(gate)["lang=de"]["verdict"] == "fail"


def test_a_slice_without_the_label_that_the_metric_is_about_is_said(project: Project) -> None:
    rows = [
        {"id": f"t{i}", "input": f"q {i}", "expected": "yes" if i < 40 and i % 2 else "no", "lang": LANGS[i // 40]}
        for i in range(80)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    for file, missed in (("base.jsonl", range(1, 10, 2)), ("ft.jsonl", [])):
        told = [{"id": r["id"], "output": "no" if i in missed else r["expected"]} for i, r in enumerate(rows)]
        write_jsonl(project.path / file, told)
    project.gate_test(metric={"name": "f1", "pos_label": "yes"}, slices={"fields": ["lang"]})
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "slices_unjudged")["status"] == "warning"
    assert (
        "lang=de cannot be judged by f1: f1 needs a test set with two labels"
        in (check(gate, "slices_unjudged")["message"])
    )


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        ({"fields": ["langs"]}, "no example of the test set has the field 'langs'"),
        ({"fields": ["group"]}, "no example of the test set has the field 'group'"),
        ({"fields": ["lang"], "max_drop": 3}, "max_drop 3 (marker) is impossible"),
        ({"fields": ["lang"], "max_drop": 0, "evidence": "proven"}, "slices.max_drop: max_drop 0 cannot be proven"),
        ({"fields": ["lang", "lang"]}, "slices.fields: names 'lang' twice"),
        ({"field": ["lang"]}, "slices.field: unknown key; did you mean 'fields'?"),
    ],
)
def test_what_cannot_be_judged_is_an_error_before_any_call(project: Project, slices: Any, told: str) -> None:
    examples(project, {"en": 60})
    project.gate_test(slices=slices)
    assert told in refused(project)


def test_the_nearest_field_is_suggested(project: Project) -> None:
    examples(project, {"en": 60}, channel="mail")
    project.gate_test(slices={"fields": ["chanel"]})
    refused(project)
    project.result.stdout.fnmatch_lines(["*their further fields are: *channel*", "*Did you mean 'channel'?*"])


def test_where_no_slice_is_judged_that_is_a_warning(project: Project) -> None:
    examples(project, dict.fromkeys(("a", "b", "c", "d"), 15))
    gate = judged(project, {})
    assert gate["verdict"] == "pass"
    assert check(gate, "slices")["message"] == "no slice is judged"


def test_values_of_a_field_need_be_no_text(project: Project) -> None:
    rows = [{"id": f"t{i}", "input": f"q {i}", "expected": label(i), "vip": i < 30, "n": None} for i in range(60)]
    write_jsonl(project.path / "test.jsonl", rows)
    project.gate_test(slices={"fields": ["vip", "n"]})
    assert set(sliced(project.gate())) == {"vip=true", "vip=false", "n=(none)"}


def test_labels_are_told_one_by_one_the_worst_first(project: Project) -> None:
    project.predictions("ft.jsonl", 60, wrong_at=(1, 4, 7))
    project.gate_test()
    gate = project.gate()
    first = gate["labels"][0]
    assert (first["label"], first["n"], first["candidate"]) == ("invoice", 20, 0.85)
    assert first["change"] == pytest.approx(first["candidate"] - first["baseline"])
    assert sum(one["n"] for one in gate["labels"]) == 60


def test_answers_that_are_no_labels_have_no_table(project: Project) -> None:
    project.gate_test(metric="exact_match")
    assert project.gate()["labels"] == []


def test_a_result_survives_the_way_through_json(project: Project) -> None:
    from pytest_ftgate.result import GateResult

    examples(project, {"en": 60, "de": 12})
    predictions(project, 72, base=range(30), ft=[])
    gate = judged(project, {})
    assert GateResult.from_dict(gate).to_dict() == gate
