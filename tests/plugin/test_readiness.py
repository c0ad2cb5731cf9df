"""Before training: ``stage: ready`` judges all that can be judged without a candidate, and green means train now."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject
from gate_project import LABELS, Project, check, label, statuses, write_jsonl
from loopback import LoopbackServer

HYPOTHESIS = {"from": 0.7, "to": 0.85}


@pytest.fixture
def ready(project: Project) -> Project:
    """Ready to train: the baseline is right on 40 of 60, and 9 more are expected."""
    project.keys = {**project.keys, "stage": "ready", "hypothesis": HYPOTHESIS}
    del project.keys["candidate"]
    (project.path / "ft.jsonl").unlink()
    return project


def judged(project: Project, verdict: str, /, **changes: Any) -> dict[str, Any]:
    project.gate_test(**changes)
    gate = project.gate()
    assert gate["verdict"] == verdict, gate["checks"]
    project.result.assert_outcomes(**{{"pass": "passed", "error": "errors"}.get(verdict, "failed"): 1})
    return gate


def test_green_means_train_now(ready: Project) -> None:
    gate = judged(ready, "pass")
    assert (gate["stage"], gate["passed"], gate["models_called"]) == ("ready", True, True)
    assert ready.result.ret == 0
    ready.result.stdout.fnmatch_lines(["*ftgate test_gate.py::test_gate: PASS*", "READY: train now"])
    assert gate["baseline"]["value"] == 40 / 60
    names = ("min_training_examples", "leaked", "min_test_examples", "baseline_predictions", "weak_baseline")
    assert all(statuses(gate)[name] == "pass" for name in (*names, "hypothesis_from", "hypothesis_gain", "room"))


def test_the_candidate_is_null_and_so_is_the_gain(ready: Project) -> None:
    gate = judged(ready, "pass")
    empty = {"name": "candidate", "metrics": {}}
    assert {key: value for key, value in gate["candidate"].items() if value is not None} == empty
    assert [gate[key] for key in ("gain", "lower_bound", "margin_proven", "wins", "n")] == [None] * 5
    assert "candidate" not in "".join(line for line in ready.result.outlines if "base.jsonl" in line)


def test_the_same_gate_with_a_candidate_later_is_the_acceptance(project: Project) -> None:
    project.keys["hypothesis"] = HYPOTHESIS
    before = judged(project, "pass", stage="ready")
    note = check(before, "candidate_ignored")
    assert (note["status"], note["message"]) == ("note", "stage is ready: the candidate ft.jsonl is not looked at")
    after = judged(project, "pass")
    assert (after["stage"], after["candidate"]["value"]) == ("accept", 56 / 60)
    assert "candidate_ignored" not in statuses(after)
    assert "READY" not in project.result.stdout.str()


def test_a_candidate_that_cannot_be_asked_is_no_hindrance(project: Project) -> None:
    gate = judged(project, "pass", stage="ready", candidate="recorded:not-yet.jsonl", hypothesis=HYPOTHESIS)
    assert gate["candidate"]["model"] == "recorded:not-yet.jsonl"
    judged(project, "error", candidate="recorded:not-yet.jsonl")


def test_at_the_stage_accept_a_candidate_is_required(ready: Project) -> None:
    gate = judged(ready, "error", stage="accept")
    assert "a required key is missing: candidate" in check(gate, "configuration")["message"]


def test_only_the_baseline_is_asked(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    project = EndpointProject(pytester, server)
    gate = judged(project, "pass", stage="ready", hypothesis=HYPOTHESIS)
    assert {body["model"] for body in server.bodies} == {"base"}
    assert gate["candidate"]["n_expected"] is None
    project.forget()
    judged(project, "pass", hypothesis=HYPOTHESIS)
    assert {body["model"] for body in server.bodies} == {"ft"}  # the baseline's answers are kept


def test_a_missing_answer_of_the_baseline_is_an_error(ready: Project) -> None:
    write_jsonl(ready.path / "base.jsonl", ({"id": f"t{i}", "output": label(i)} for i in range(59)))
    gate = judged(ready, "error")
    assert check(gate, "baseline_predictions")["status"] == "error"
    ready.result.stdout.fnmatch_lines(["NOT READY: do not train yet"])


def test_a_weak_baseline_fails(ready: Project) -> None:
    ready.predictions("base.jsonl", 60, wrong_at=range(20, 60))
    assert check(judged(ready, "fail", hypothesis=...), "weak_baseline")["status"] == "fail"
    assert judged(ready, "pass", hypothesis=..., allow_weak_baseline="a stub", margin=0.2)["passed"]


@pytest.mark.parametrize("problem", ["training", "leak", "test"])
def test_data_that_is_not_fit_fails_before_any_call(ready: Project, problem: str) -> None:
    if problem == "training":
        ready.training_set(199)
    elif problem == "leak":
        rows = [{"input": f"training question {i}", "expected": label(i)} for i in range(200)]
        write_jsonl(ready.path / "train.jsonl", [*rows, {"input": "customer question 7", "expected": label(7)}])
    else:
        ready.test_set(49)
    assert judged(ready, "fail")["models_called"] is False


def test_a_hypothesis_that_the_baseline_belies_fails(ready: Project) -> None:
    gate = judged(ready, "fail", hypothesis={"from": 0.5, "to": 0.85})
    assert check(gate, "hypothesis_from")["message"].endswith("the room for improvement is smaller than thought")
    assert "hypothesis_to" not in statuses(gate)


# --- room ----------------------------------------------------------------------------------------------------


def test_a_baseline_with_too_little_left_to_gain_fails(ready: Project) -> None:
    ready.predictions("base.jsonl", 60, wrong_at=(58, 59))
    found = check(judged(ready, "fail", hypothesis=...), "room")
    assert found["message"] == (
        "no room: baseline is at 96.7 %, a candidate can gain +3.3 points at most, the margin asks for 5 points"
    )
    assert (found["observed"], found["required"], found["source"]) == (pytest.approx(2 / 60), 0.05, "marker")
    ready.result.stdout.fnmatch_lines(["*failed: no room: *", "*advice: Do not train: *"])


def test_room_for_just_the_margin_is_enough(ready: Project) -> None:
    ready.predictions("base.jsonl", 60, wrong_at=(57, 58, 59))
    assert check(judged(ready, "pass", hypothesis=..., evidence="observed"), "room")["status"] == "pass"
    judged(ready, "fail", hypothesis=..., evidence="observed", margin=0.0501)


def test_a_perfect_baseline_leaves_no_room_for_a_margin_of_zero(ready: Project) -> None:
    ready.predictions("base.jsonl", 60)
    assert check(judged(ready, "fail", hypothesis=..., margin=0), "room")["status"] == "fail"
    ready.predictions("base.jsonl", 60, wrong_at=(0,))
    judged(ready, "pass", hypothesis=..., margin=0)


def test_room_where_lower_is_better(ready: Project) -> None:
    ready.file(
        "conftest.py",
        "import pytest_ftgate\n"
        "def pytest_ftgate_metrics(): return {'distance': pytest_ftgate.metric(\n"
        "    low=0, high=10, greater_is_better=False)(lambda expected, answer: 0.0 if expected == answer else 3.0)}\n",
    )
    assert check(judged(ready, "fail", metric="distance", margin=1.1, hypothesis=...), "room")["observed"] == 1.0
    assert check(judged(ready, "pass", metric="distance", margin=1, hypothesis=...), "room")["status"] == "pass"


# --- whether the test set could prove it ---------------------------------------------------------------------


def test_a_gain_that_the_test_set_proves(ready: Project) -> None:
    found = check(judged(ready, "pass"), "power")
    assert found["status"] == "note"
    assert found["observed"] > 0.8
    assert found["message"].startswith(
        "a gain of 15 points (the hypothesis) that breaks nothing is proven on 60 test examples about "
    )
    assert found["advice"] is None


def test_a_gain_that_the_test_set_would_rather_not_prove_is_inconclusive(ready: Project) -> None:
    gate = judged(ready, "inconclusive", hypothesis={"from": 0.7, "to": 0.73}, margin=0.02)
    found = check(gate, "power")
    assert (found["status"], found["required"]) == ("inconclusive", 0.5)
    assert found["observed"] < 0.5
    assert found["advice"].startswith("Label ")
    assert "in all prove it 4 times out of 5" in found["advice"]
    ready.test_set(400)
    ready.predictions("base.jsonl", 400, wrong_at=range(270, 400))
    assert check(judged(ready, "pass", hypothesis={"from": 0.7, "to": 0.73}, margin=0.02), "power")["observed"] > 0.5


def test_without_a_hypothesis_the_margin_is_what_is_expected(ready: Project) -> None:
    found = check(judged(ready, "pass", hypothesis="it gets better", margin=0.15), "power")
    assert found["message"].startswith("a gain of 15 points (the margin)")
    other = {"metric": "f1_macro", "from": 0.7, "to": 0.9}
    found = check(judged(ready, "pass", hypothesis=other, margin=0.15), "power")
    assert found["message"].startswith("a gain of 15 points (the margin)")


def test_a_margin_that_the_test_set_would_not_prove_is_a_warning(ready: Project) -> None:
    """The margin is the least that is asked for: what is expected, nobody has said."""
    found = check(judged(ready, "pass", hypothesis=...), "power")
    assert found["status"] == "warning"
    assert found["observed"] < 0.5
    assert found["advice"].endswith("If more is expected than the margin, say so: hypothesis: {from, to}.")


@pytest.mark.parametrize("keys", [{"margin": 0}, {"evidence": "proven"}], ids=str)
def test_where_nothing_says_what_is_expected_the_chance_is_unknown(ready: Project, keys: dict[str, Any]) -> None:
    found = check(judged(ready, "pass", hypothesis=..., **keys), "power")
    assert (found["status"], found["observed"]) == ("note", None)
    assert "cannot be told" in found["message"]
    assert "hypothesis: {from: ..., to: ...}" in found["advice"]


def test_proof_of_the_margin_itself_takes_more(ready: Project) -> None:
    easy = check(judged(ready, "pass", hypothesis={"from": 0.65, "to": 0.85}), "power")["observed"]
    hard = check(judged(ready, "pass", hypothesis={"from": 0.65, "to": 0.85}, evidence="proven"), "power")
    assert 0.5 < hard["observed"] < easy
    assert "that it reaches the margin" in hard["message"]


def test_a_set_level_metric_and_repeats(ready: Project) -> None:
    gate = judged(ready, "pass", metric="f1_macro")
    assert check(gate, "power")["observed"] > 0.8
    gate = judged(ready, "inconclusive", metric="f1_macro", hypothesis={"from": 0.66, "to": 0.67}, margin=0.001)
    assert check(gate, "power")["observed"] < 0.5


def test_repeated_answers(ready: Project) -> None:
    ready.file(
        "models.py",
        f"""
LABELS = {LABELS!r}
def base(text):
    i = int(text.split()[-1])
    return LABELS[i % 3] if i < 40 else 'none'
""",
    )
    ready.pytester.syspathinsert()
    gate = judged(ready, "pass", baseline="python:models:base", repeats=2)
    assert gate["baseline"]["n_scored"] == 120
    assert check(gate, "power")["observed"] > 0.8


def test_observed_evidence_needs_no_proof(ready: Project) -> None:
    assert "power" not in statuses(judged(ready, "pass", evidence="observed"))


def test_a_hypothesis_that_expects_less_than_the_gate_asks_for_fails_before_any_call(ready: Project) -> None:
    gate = judged(ready, "fail", hypothesis={"from": 0.7, "to": 0.74})
    assert gate["models_called"] is False
    assert check(gate, "hypothesis_gain")["message"] == (
        "the hypothesis expects a gain of 4 points, the gate asks for 5 points"
    )
    judged(ready, "pass", hypothesis={"from": 0.7, "to": 0.75}, margin=0.05, evidence="observed")


# --- what training costs -------------------------------------------------------------------------------------


def priced(**price: float) -> dict[str, Any]:
    return {"provider": "recorded", "path": "base.jsonl", "price": price}


def test_what_training_costs_is_estimated_where_the_price_is_known(ready: Project) -> None:
    rows = [{"input": f"{i:0390}", "expected": ("refund", "invoic", "orders")[i % 3] + "abcd"} for i in range(200)]
    write_jsonl(ready.path / "train.jsonl", rows)
    gate = judged(ready, "pass", baseline=priced(training_per_1m=25))
    found = check(gate, "training_cost")
    assert (found["status"], found["observed"]) == ("note", 0.5)  # 200 rows of 400 characters, 4 to a token
    assert found["message"] == (
        "one epoch over 200 training rows is about 20,000 tokens, which costs about $0.5000 at 25 a million"
    )


def test_the_candidates_own_price_counts_first(ready: Project) -> None:
    tuned = {"provider": "recorded", "path": "ft.jsonl", "price": {"training_per_1m": 8}}
    gate = judged(ready, "pass", candidate=tuned, baseline=priced(training_per_1m=25))
    assert " at 8 a million" in check(gate, "training_cost")["message"]


@pytest.mark.parametrize("baseline", ["recorded:base.jsonl", priced(gpu_hour_usd=2)], ids=["none", "other"])
def test_without_a_price_the_cost_is_unknown_and_not_zero(ready: Project, baseline: Any) -> None:
    found = check(judged(ready, "pass", baseline=baseline), "training_cost")
    assert found["observed"] is None
    assert "what it costs is unknown: no price says training_per_1m" in found["message"]


def test_costs_of_conversations(ready: Project) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"{i:096}"}, {"role": "assistant", "content": LABELS[i % 2]}]}
        for i in range(200)
    ]
    write_jsonl(ready.path / "train.jsonl", rows)
    assert "is about 5," in check(judged(ready, "pass"), "training_cost")["message"]


# --- around it -----------------------------------------------------------------------------------------------


def test_bounds_on_the_candidate_wait_and_those_on_the_baseline_hold(ready: Project) -> None:
    candidate = {"metric": "accuracy", "min": 0.9}
    latency = {"metric": "latency_p95_s", "max": 1}
    assert "require.candidate.accuracy" not in statuses(judged(ready, "pass", require=[candidate, latency]))
    gate = judged(ready, "fail", require=[{"metric": "accuracy", "max": 0.5, "of": "baseline"}])
    assert check(gate, "require.baseline.accuracy")["status"] == "fail"


def test_the_body_of_the_test_runs_on_the_baseline(ready: Project) -> None:
    ready.gate_test("def test_gate(ftgate):\n    assert ftgate.baseline.value > 0.9\n")
    ready.gate()
    ready.result.assert_outcomes(failed=1)
    ready.result.stdout.fnmatch_lines(["*assert 0.66* > 0.9*"])


def test_there_is_no_candidate_to_be_called(ready: Project) -> None:
    ready.gate_test("def test_gate(ftgate_candidate):\n    pass\n")
    ready.run().assert_outcomes(errors=1)
    ready.gate_test("def test_gate(ftgate_candidate):\n    pass\n")
    ready.run().stdout.fnmatch_lines(["*this gate has no candidate yet: its stage is ready*"])


def test_several_baselines(ready: Project) -> None:
    ready.predictions("good.jsonl", 60, wrong_at=(57, 58))
    baselines = {"plain": "recorded:base.jsonl", "few_shot": "recorded:good.jsonl"}
    gate = judged(ready, "fail", baseline=..., baselines=baselines, hypothesis=...)
    assert check(gate, "room")["message"].startswith("no room: baseline few_shot is at 96.7 %")


def required(project: Project, marker: str = "", **keys: Any) -> dict[str, Any]:
    gates = {"version": 1, "gates": {"support": {**project.keys, **keys}}}
    project.gate_file(yaml.safe_dump(gates))
    project.pytester.makeini("[pytest]\nftgate_required = all\n")
    project.file("test_gate.py", f"import pytest\n\n@pytest.mark.ftgate('support'{marker})\ndef test_gate(): pass\n")
    return project.report()


def test_a_gate_that_is_ready_is_judged(ready: Project) -> None:
    assert required(ready)["unjudged"] == []
    assert ready.result.ret == 0


def test_a_mark_that_makes_it_ready_loosens_the_gate_in_the_file(project: Project) -> None:
    report = required(project, ", stage='ready'")
    assert report["gates"][0]["verdict"] == "pass"
    assert "stage: accept -> ready" in report["unjudged"][0]["reason"]
    assert project.result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_mark_that_accepts_what_is_ready_in_the_file_asks_for_more(project: Project) -> None:
    keys = {key: value for key, value in project.keys.items() if key != "candidate"}
    project.keys = {**keys, "stage": "ready"}
    report = required(project, ", stage='accept', candidate='recorded:ft.jsonl'")
    assert report["gates"][0]["stage"] == "accept"
    assert report["unjudged"] == []
    assert project.result.ret == 0
