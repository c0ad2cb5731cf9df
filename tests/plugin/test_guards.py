"""Guards: what the model must not lose, on test sets of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from endpoint_project import EndpointProject, answer
from gate_project import Project, check, label, refused, statuses, write_jsonl, wrong
from loopback import LoopbackServer

LEAST = 99  # examples that rule out a drop of 3 points where nothing differs


def guard_set(project: Project, n: int, name: str = "general.jsonl", prefix: str = "g", **extra: Any) -> None:
    rows = [{"id": f"{prefix}{i}", "input": f"{name} item {i}", "expected": label(i), **extra} for i in range(n)]
    write_jsonl(project.path / name, rows)


def answers(project: Project, file: str, n: int, wrong_at: Any = (), prefix: str = "g") -> None:
    """Add what a recorded model says to the examples of a guard."""
    missed = set(wrong_at)
    rows = [{"id": f"{prefix}{i}", "output": wrong(i) if i in missed else label(i)} for i in range(n)]
    with (project.path / file).open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def guarded(project: Project, n: int, *, base: Any = (), ft: Any = (), **guard: Any) -> dict[str, Any]:
    """Judge a green gate with one guard of n examples, of which the models miss these."""
    guard_set(project, n)
    answers(project, "base.jsonl", n, base)
    answers(project, "ft.jsonl", n, ft)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03, **guard}})
    return project.gate()


def test_without_guards_the_block_says_that_forgetting_was_not_measured(project: Project) -> None:
    project.gate_test()
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "guards")["status"] == "note"
    assert gate["guards"] == []
    project.result.stdout.fnmatch_lines(["*note * guards: forgetting was not measured: give guards, *"])


def test_a_guard_on_which_nothing_was_lost(project: Project) -> None:
    gate = guarded(project, LEAST)
    assert gate["verdict"] == "pass"
    (guard,) = gate["guards"]
    assert guard["verdict"] == "pass"
    assert {key: guard[key] for key in ("name", "metric", "max_drop", "evidence", "confidence", "against", "n")} == {
        "name": "general",
        "metric": "accuracy",
        "max_drop": 0.03,
        "evidence": "proven",
        "confidence": 0.95,
        "against": "baseline",
        "n": LEAST,
    }
    assert (guard["baseline"], guard["candidate"], guard["gain"], guard["wins"], guard["losses"]) == (1, 1, 0, 0, 0)
    assert guard["lower_bound"] == pytest.approx(-0.0298, abs=1e-3)
    assert guard["test_set"]["examples"] == LEAST
    assert "forgetting" not in project.result.stdout.str()
    seen = check(gate, "guards.general")
    assert seen["message"].startswith(
        "guard general: accuracy 100.0 % to 100.0 % (+0.0 points), a drop of 3 points is allowed; "
        "95 % sure of no more than 3.0 points lost"
    )
    assert seen["source"] == "marker"


def test_what_was_forgotten_fails_the_gate(project: Project) -> None:
    gate = guarded(project, LEAST, ft=range(4))
    assert gate["verdict"] == "fail"
    assert statuses(gate)["margin"] == "pass"
    assert check(gate, "guards.general")["status"] == "fail"
    assert check(gate, "guards.general")["observed"] == pytest.approx(-4 / LEAST)
    project.result.assert_outcomes(failed=1)
    project.result.stdout.fnmatch_lines(["*failed: guard general: accuracy 100.0 % to 96.0 % (-4.0 points), *"])


def test_a_small_drop_that_is_not_ruled_out_is_inconclusive(project: Project) -> None:
    gate = guarded(project, 110, ft=range(1))
    assert gate["verdict"] == "inconclusive"
    seen = check(gate, "guards.general")
    assert seen["status"] == "inconclusive"
    needed = gate["guards"][0]["examples_needed"]
    assert needed > 110
    assert f"about {needed:,} examples in all ({needed - 110:,} more) would settle it" in seen["advice"]
    project.result.assert_outcomes(failed=1)


@pytest.mark.parametrize(("lost", "verdict"), [(3, "pass"), (4, "fail")])
def test_observed_holds_the_measured_drop_to_what_is_allowed(project: Project, lost: int, verdict: str) -> None:
    gate = guarded(project, 100, ft=range(lost), evidence="observed")
    assert gate["verdict"] == verdict
    assert gate["guards"][0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("won", "lost", "verdict", "seen"), [(2, 6, "pass", "warning"), (0, 4, "fail", "fail"), (5, 8, "pass", "pass")]
)
def test_significant_fails_only_what_is_surely_worse(
    project: Project, won: int, lost: int, verdict: str, seen: str
) -> None:
    gate = guarded(project, 100, base=range(50, 50 + won), ft=range(lost), evidence="significant")
    assert gate["verdict"] == verdict
    assert gate["guards"][0]["verdict"] == seen
    assert (gate["guards"][0]["upper_bound"] < 0) is (seen == "fail")


def test_a_guard_that_is_too_small_says_how_many_it_needs_before_any_call(project: Project) -> None:
    guard_set(project, LEAST - 1)
    answers(project, "base.jsonl", LEAST - 1)
    answers(project, "ft.jsonl", LEAST - 1)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}})
    message = refused(project, "inconclusive")
    assert message == (
        "guard general: 98 examples cannot rule out a drop of 3 points without a gain, at least 99 are needed"
    )
    gate = project.gate()
    assert check(gate, "guards.general")["required"] == LEAST
    assert gate["guards"][0]["verdict"] is None
    assert gate["guards"][0]["max_drop"] == 0.03


@pytest.mark.parametrize(
    ("evidence", "n", "called"), [("observed", 1, True), ("significant", 4, False), ("significant", 5, True)]
)
def test_other_standards_need_fewer(project: Project, evidence: str, n: int, called: bool) -> None:
    gate = guarded(project, n, evidence=evidence)
    assert gate["models_called"] is called
    assert gate["verdict"] == ("pass" if called else "inconclusive")


def test_a_guard_in_the_training_set_fails_before_any_call(project: Project) -> None:
    guard_set(project, LEAST)
    answers(project, "base.jsonl", LEAST)
    answers(project, "ft.jsonl", LEAST)
    with (project.path / "train.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps({"input": "GENERAL.jsonl  item 7", "expected": "refund"}) + "\n")
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}})
    assert refused(project, "fail") == (
        "guard general: 1 of 99 examples stands in the training set, first general.jsonl:8"
    )


def test_a_guard_that_the_baseline_cannot_do_at_all_is_none(project: Project) -> None:
    gate = guarded(project, LEAST, base=range(LEAST), ft=range(LEAST))
    assert gate["verdict"] == "fail"
    assert gate["guards"][0]["verdict"] == "fail"
    assert check(gate, "guards.general.nothing_to_lose")["message"] == (
        "guard general: baseline base.jsonl has accuracy 0.0 %, so that no drop could be too large"
    )


def test_recorded_models_without_the_guards_predictions_are_an_error_before_any_call(project: Project) -> None:
    guard_set(project, LEAST)
    answers(project, "base.jsonl", LEAST)
    answers(project, "ft.jsonl", LEAST - 2)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}})
    assert refused(project) == (
        "guard general: candidate ft.jsonl has no recorded prediction for 2 of 99 examples, first g97"
    )


def test_missing_answers_of_the_candidate_may_count_as_wrong(project: Project) -> None:
    guard_set(project, 100)
    answers(project, "base.jsonl", 100)
    answers(project, "ft.jsonl", 98)
    guard = {"test_set": "general.jsonl", "max_drop": 0.03, "evidence": "observed"}
    project.gate_test(guards={"general": guard}, errors="score_zero")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["guards"][0]["candidate"] == 0.98
    assert check(gate, "guards.general.candidate_predictions")["status"] == "warning"


def test_one_id_for_two_examples_is_an_error_with_recorded_models(project: Project) -> None:
    guard_set(project, 60, prefix="t")
    guard = {"test_set": "general.jsonl", "max_drop": 0.3}
    project.gate_test(guards={"general": guard})
    assert refused(project) == (
        "guard general: the id t0 names another example in the test set, and recorded predictions (base.jsonl) are "
        "joined by id"
    )


def test_several_guards_and_baselines(project: Project) -> None:
    for name, prefix in (("general.jsonl", "g"), ("safety.jsonl", "s")):
        guard_set(project, LEAST, name, prefix)
        answers(project, "ft.jsonl", LEAST, prefix=prefix)
    project.predictions("other.jsonl", 60, wrong_at=range(45, 60))
    answers(project, "base.jsonl", LEAST, range(10))
    answers(project, "other.jsonl", LEAST)
    answers(project, "base.jsonl", LEAST, prefix="s")
    answers(project, "other.jsonl", LEAST, range(10), prefix="s")
    guards = {
        "general": {"test_set": "general.jsonl", "max_drop": 0.03, "metric": "f1_macro", "evidence": "observed"},
        "safety": {"test_set": "safety.jsonl", "max_drop": 0.03},
    }
    project.gate_test(baseline=..., baselines={"a": "recorded:base.jsonl", "b": "recorded:other.jsonl"}, guards=guards)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert [(one["name"], one["metric"], one["against"]) for one in gate["guards"]] == [
        ("general", "f1_macro", "b"),
        ("safety", "accuracy", "a"),
    ]


def test_repeats_hold_for_guards_too(project: Project) -> None:
    for file, missed in (("base.jsonl", 40), ("ft.jsonl", 58)):
        rows = [
            {"id": f"{p}{i}", "repeat": k, "output": wrong(i) if p == "t" and i >= missed else label(i)}
            for p, n in (("t", 60), ("g", LEAST))
            for i in range(n)
            for k in range(2)
        ]
        write_jsonl(project.path / file, rows)
    guard_set(project, LEAST)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}}, repeats=2)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["guards"][0]["n"] == LEAST
    assert "Gaffke" in gate["guards"][0]["method"]


def test_examples_that_belong_together_are_counted_by_groups(project: Project) -> None:
    rows = [{"id": f"g{i}", "input": f"i {i}", "expected": label(i), "group": f"c{i // 5}"} for i in range(200)]
    write_jsonl(project.path / "general.jsonl", rows)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}}, errors="score_zero")
    answers(project, "base.jsonl", 200)
    assert refused(project, "inconclusive") == (
        "guard general: 40 groups cannot rule out a drop of 3 points without a gain, at least 99 are needed"
    )


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        ({"max_drop": 3}, "guard general: max_drop 3 (marker) is impossible: accuracy lies between 0 and 1"),
        ({"max_drop": 0}, "guards.general.max_drop: max_drop 0 cannot be proven"),
        ({"metric": "acuracy"}, "guard general: there is no metric 'acuracy'"),
        ({"test_set": "absent.jsonl"}, "absent.jsonl"),
        ({"maxdrop": 0.1}, "guards.general.maxdrop: unknown key; did you mean 'max_drop'?"),
    ],
)
def test_what_cannot_be_judged_is_an_error_before_any_call(project: Project, guard: Any, told: str) -> None:
    guard_set(project, LEAST)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03, **guard}})
    assert told in refused(project)


def test_a_blank_or_repeated_input_of_a_guard_is_an_error(project: Project) -> None:
    rows = [{"id": f"g{i}", "input": "one and the same", "expected": "refund"} for i in range(2)]
    write_jsonl(project.path / "general.jsonl", rows)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}})
    assert "general.jsonl:2: the input is the same as that of line 1" in refused(project)


def test_guards_are_shown_in_full_when_asked(project: Project) -> None:
    guarded(project, LEAST)
    lines = [" ".join(line.split()) for line in project.run("-v").outlines]
    assert "guard n baseline candidate change at least at most" in lines
    assert "general (accuracy) 99 100.0 % 100.0 % +0.0 -3.0 +3.0 pass" in lines


def guard_answer(body: dict[str, Any]) -> str:
    text = body["messages"][-1]["content"]
    return label(int(text.split()[-1])) if "general" in text else answer(body)


@pytest.mark.usefixtures("no_ambient_settings")
def test_guards_are_asked_with_the_rest_stored_and_recorded(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    project = EndpointProject(pytester, server)
    server.answer = guard_answer
    guard_set(project, LEAST)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}})
    first = project.gate("--ftgate-report=recordings:recordings")
    assert first["verdict"] == "pass"
    assert len(server.bodies) == 2 * (60 + LEAST)
    assert set(project.asked.values()) == {1}
    assert len(list((project.path / "recordings").glob("*.jsonl"))) == 4
    project.forget()
    assert project.gate()["verdict"] == "pass"
    assert not server.bodies
    project.pytester.makeini("[pytest]\nftgate_recordings = recordings\n")
    judged = project.gate("--ftgate-offline", "--ftgate-cache=off")
    assert judged["guards"] == first["guards"]
    assert not server.bodies


@pytest.mark.usefixtures("no_ambient_settings")
def test_a_guards_missing_answer_is_an_error(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    project = EndpointProject(pytester, server)
    project.gate_test()
    assert project.gate()["verdict"] == "pass"
    guard_set(project, LEAST)
    project.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}})
    gate = project.gate("--ftgate-offline")
    assert gate["verdict"] == "error"
    assert gate["guards"][0]["verdict"] == "error"
    assert gate["candidate"]["value"] == 56 / 60
    assert check(gate, "guards.general.candidate_predictions")["message"].startswith(
        "guard general: candidate ft: 99 of 99 answers missing (g0, "
    )
