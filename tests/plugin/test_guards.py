"""What the model must not lose: guards on test sets of their own, and slices of the test set."""

from collections.abc import Callable
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project, check, label, mentions, passed, stopped

LEAST = 99  # examples that rule out a drop of 3 points where nothing differs
GENERAL = {"test_set": "general.jsonl", "max_drop": 0.03}


def guard_set(project: Project, n: int, **fields: Any) -> None:
    project.test_set(
        n, "general.jsonl", **{"prefix": "g", "input": "general question {}".format, **fields}
    )


def answers(project: Project, n: int, **missed: Any) -> None:
    """Add what recorded models say to the examples of the guard."""
    for name, wrong_at in {"base": (), "ft": (), **missed}.items():
        project.predictions(f"{name}.jsonl", n, wrong_at, prefix="g", add=True)


def judged(project: Project, guard: Any = None, **changes: Any) -> dict[str, Any]:
    return project.judge(guards={"general": {**GENERAL, **(guard or {})}}, **changes)


def test_examples_that_belong_together_are_counted_by_groups(project: Project) -> None:
    guard_set(project, 200, group=lambda i: f"c{i // 40}")
    answers(project, 200)
    finding = stopped(judged(project), "inconclusive")
    assert (finding["observed"], finding["required"]) == (5, LEAST)


def test_recorded_models_without_the_guards_predictions(project: Project) -> None:
    """An error; of the candidate they may count as wrong."""
    guard_set(project, 100)
    project.predictions("base.jsonl", 100, prefix="g", add=True)
    project.predictions("ft.jsonl", 98, prefix="g", add=True)
    finding = stopped(judged(project), called=True)
    assert finding["name"] == "guards.general"
    mentions(finding, "ft.jsonl", "2 of 100", "general.jsonl:99")
    gate = judged(project, {"max_drop": 0.1}, missing_answers="wrong")
    assert (gate["verdict"], gate["guards"][0]["candidate"]) == ("pass", 0.98)
    assert check(gate, "guards.general")["status"] == "warning"


def test_recorded_answers_to_the_test_set_are_none_to_a_guard_with_the_same_ids(
    project: Project,
) -> None:
    """Nobody recorded the guard: both models would lose nothing on it."""
    guard_set(project, 60, prefix="t")
    finding = stopped(judged(project, {"max_drop": 0.3}))
    assert finding["name"] == "guards.general"
    assert finding["source"] == "general.jsonl:1"
    mentions(finding, "t0")


def test_a_guard_holds_against_every_baseline(project: Project) -> None:
    """Measured, b is the better one, and the candidate answers as b does; a may be better in reality."""
    project.predictions("other.jsonl", 60, wrong_at=range(45, 60))
    guard_set(project, 100)
    wrong_of_b, wrong_of_a = [*range(14), *range(90, 100)], [*range(20, 35), *range(90, 100)]
    answers(project, 100, base=wrong_of_a, ft=wrong_of_b, other=wrong_of_b)
    baselines = {"a": "recorded:base.jsonl", "b": "recorded:other.jsonl"}
    guards = {"general": {**GENERAL, "max_drop": 0.05}}
    alone = project.judge(baseline="recorded:other.jsonl", guards=guards)
    assert alone["guards"][0]["verdict"] == "pass"
    guards["form"] = {
        **GENERAL,
        "metric": {"name": "format", "allowed": ["refund", "invoice", "shipping"]},
    }
    gate = project.judge(baseline=..., baselines=baselines, guards=guards)
    guard, form = gate["guards"]
    assert (form["metric"], form["verdict"]) == ("format", "pass")
    assert (gate["verdict"], guard["verdict"], guard["against"]) == (
        "inconclusive",
        "inconclusive",
        "a",
    )
    assert (guard["baseline"], guard["candidate"], guard["fixed"], guard["broken"]) == (
        0.75,
        0.76,
        15,
        14,
    )
    mentions(check(gate, "guards.general"), "baseline a", "75.0 %", "76.0 %")


@pytest.mark.parametrize(
    ("right", "expected", "verdict"),
    [(33, label, "pass"), (60, "refund", "pass"), (0, label, "fail")],
)
def test_a_baseline_that_is_always_wrong_has_nothing_to_lose(
    project: Project, right: int, expected: Any, verdict: str
) -> None:
    guard_set(project, LEAST, expected=expected)
    answers(project, LEAST, base=range(right, LEAST), ft=range(right, LEAST))
    gate = judged(project)
    assert (gate["verdict"], check(gate, "guards.general")["status"]) == (verdict, verdict)


def test_repeats_hold_for_guards_too(project: Project) -> None:
    for file, missed in (("base.jsonl", 40), ("ft.jsonl", 58)):
        project.predictions(file, 60, range(missed, 60), repeats=2)
        project.predictions(file, LEAST, prefix="g", add=True, repeats=2)
    guard_set(project, LEAST)
    gate = judged(project, repeats=2)
    assert (gate["verdict"], gate["guards"][0]["n"]) == ("pass", LEAST)
    assert "exact" in gate["guards"][0]["method"]  # no example has answers of both kinds


def test_guards_are_asked_with_the_rest_stored_and_recorded(http: EndpointProject) -> None:
    guard_set(http, LEAST)
    http.gate_test(guards={"general": GENERAL})
    first = passed(http.whole("--ftgate-report=recordings:recordings"))
    assert len(http.server.bodies) == 2 * (60 + LEAST)
    assert set(http.asked.values()) == {1}
    assert len(list((http.path / "recordings").glob("*.jsonl"))) == 4
    http.forget()
    passed(judged(http, stored=True))
    http.ini["ftgate_recordings"] = "recordings"
    assert judged(http, offline=True)["guards"] == first["guards"]
    assert not http.server.bodies


def test_a_guards_missing_answer_is_an_error(http: EndpointProject) -> None:
    guard_set(http, LEAST)
    passed(http.judge(stored=True))
    gate = judged(http, stored=True, offline=True)
    assert (gate["verdict"], gate["guards"][0]["verdict"], gate["candidate"]["value"]) == (
        "error",
        "error",
        56 / 60,
    )
    finding = next(check for check in gate["checks"] if check["status"] == "error")
    mentions(finding, "ft", "99 of 99")
    assert finding["name"] == "guards.general"


def sliced(
    project: Project,
    n: int,
    base: Any,
    ft: Any,
    lang: Callable[[int], str],
    expected: Any = label,
    **keys: Any,
) -> dict[str, Any]:
    """Judge a gate on n examples, of which the models have these wrong, by their language."""
    project.test_set(n, expected=expected, lang=lang)
    # a label, and so no malformed answer
    project.training_set(200, [{"input": "what?", "expected": "no"}])
    for name, missed in (("base.jsonl", base), ("ft.jsonl", ft)):
        project.predictions(
            name, n, output=lambda i, missed=missed: "no" if i in missed else expected(i)
        )
    return project.judge(slices=["lang"], **keys)


def by_value(gate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {slice_result["value"]: slice_result for slice_result in gate["slices"]}


@pytest.mark.parametrize(("n_slices", "observed"), [(1, "fail"), (20, "pass")])
def test_of_many_slices_one_unlucky_one_is_no_alarm(
    project: Project, n_slices: int, observed: str
) -> None:
    """Five losses of 40 count where there is one slice; among twenty, one such is to be expected (Bonferroni)."""
    n, keys = 40 * n_slices, {"min_test_examples": 40, "evidence": "observed"}
    first = sliced(project, n, range(40, n), range(5), lambda i: f"l{i // 40}", **keys)["slices"][0]
    assert (first["n"], first["fixed"], first["broken"], first["verdict"]) == (40, 0, 5, observed)


@pytest.mark.parametrize(
    ("size", "lost", "verdict", "confidence"),
    [
        (25, 25, "fail", 0.975),
        (25, 5, "fail", 0.975),
        (25, 4, "pass", 0.975),
        (6, 6, "fail", 0.975),
        (5, 5, None, 0.975),  # it could fail if it were the only slice
        (4, 4, None, 0.95),  # it could never fail, and does not count
    ],
)
def test_a_slice_has_no_minimum_of_examples(
    project: Project, size: int, lost: int, verdict: str | None, confidence: float
) -> None:
    langs = (["de"] * size + ["en"] * (200 - size)).__getitem__
    gate = sliced(project, 200, range(120, 200), range(lost), langs)
    de = by_value(gate)["de"]
    assert (de["n"], de["broken"], de["verdict"]) == (size, verdict and lost, verdict)
    assert gate["verdict"] == ("fail" if verdict == "fail" else "pass")
    assert by_value(gate)["en"]["confidence"] == pytest.approx(confidence)


def test_a_metric_of_the_set_is_computed_on_the_slice_alone(project: Project) -> None:
    """German examples expect two of three labels: the third one counts for neither model there."""
    expected, lang = lambda i: label(i if i % 2 == 0 else i % 4 // 2), lambda i: ("en", "de")[i % 2]
    gate = sliced(project, 120, range(0, 120, 3), (2,), lang, expected, metric="f1_macro")
    de = by_value(gate)["de"]
    assert (gate["verdict"], de["candidate"]) == ("pass", 1.0)
    assert 0.7 < de["baseline"] < 0.9
    assert de["upper_bound"] is not None


def test_a_slice_on_which_everything_is_lost_fails_by_a_metric_of_the_set(project: Project) -> None:
    langs = (["en"] * 160 + ["de"] * 40).__getitem__
    gate = sliced(project, 200, range(100), range(160, 200), langs, metric="f1_macro")
    assert (gate["verdict"], by_value(gate)["de"]["verdict"]) == ("fail", "fail")


def test_a_slice_without_the_label_that_the_metric_is_about_is_said(project: Project) -> None:
    expected = lambda i: "yes" if i < 40 and i % 2 else "no"  # noqa: E731
    keys = {"metric": {"name": "f1", "pos_label": "yes"}, "checks": {"labels_in_common": "warn"}}
    gate = passed(
        sliced(
            project, 80, range(1, 10, 2), (), lambda i: "en" if i < 40 else "de", expected, **keys
        )
    )
    mentions(check(gate, "slices"), "lang=de", "f1")


def test_values_of_a_field_need_be_no_text_and_where_no_slice_is_judged_that_is_a_warning(
    project: Project,
) -> None:
    project.test_set(60, vip=lambda i: i % 2 == 0, tier=None, size=lambda i: i % 20)
    gate = passed(project.judge(slices=["vip", "tier"]))
    pairs = {(slice_result["field"], slice_result["value"]) for slice_result in gate["slices"]}
    assert {("vip", "true"), ("vip", "false"), ("tier", "(none)")} <= pairs
    pairs = check(passed(project.judge(slices=["size"])), "slices")
    assert (pairs["status"], pairs["observed"]) == ("warning", 20)
    mentions(pairs, "no slice is judged")


def test_a_slice_holds_against_every_baseline(project: Project) -> None:
    passed(sliced(project, 100, range(50, 80), range(50, 60), lambda i: "en" if i < 50 else "de"))
    project.predictions("a.jsonl", 100, range(45))  # right on all of de
    baselines = {"a": "recorded:a.jsonl", "b": "recorded:base.jsonl"}
    gate = project.judge(baseline=..., baselines=baselines, slices=["lang"])
    de = by_value(gate)["de"]
    assert (gate["verdict"], de["verdict"], de["against"], de["broken"]) == (
        "fail",
        "fail",
        "a",
        10,
    )
    assert de["confidence"] == pytest.approx(1 - 0.05 / 4)  # two slices, two baselines
    mentions(check(gate, "slices"), "lang=de -20.0 points (baseline a)", "98.75 %")
