"""Before training: ``stage: ready`` judges all that can be judged without a candidate; goals and hypotheses."""

from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject
from gate_project import (
    LABELS,
    Project,
    block,
    check,
    checks,
    ends,
    label,
    mentions,
    passed,
    statuses,
    stopped,
)

from pytest_ftgate import metric
from pytest_ftgate.statistics import chances

HYPOTHESIS = {"from": 0.7, "to": 0.85}


@pytest.fixture
def ready(project: Project) -> Project:
    """Ready to train: the baseline is right on 40 of 60, and 9 more are expected."""
    project.keys |= {"stage": "ready", "hypothesis": HYPOTHESIS}
    del project.keys["candidate"]
    (project.path / "ft.jsonl").unlink()
    return project


def found(project: Project, verdict: str, name: str, /, **changes: Any) -> dict[str, Any]:
    return check(ends(project.judge(**changes), verdict), name)


def test_only_the_baseline_is_asked(http: EndpointProject) -> None:
    gate = passed(http.judge(stage="ready", candidate=..., hypothesis=HYPOTHESIS, stored=True))
    assert {body["model"] for body in http.server.bodies} == {"base"}
    assert gate["candidate"]["n_expected"] is None
    http.forget()
    passed(http.judge(hypothesis=HYPOTHESIS, stored=True))
    # the baseline's answers are kept
    assert {body["model"] for body in http.server.bodies} == {"ft"}


def test_the_baseline_is_judged_as_ever(ready: Project) -> None:
    ready.predictions("base.jsonl", 59)
    gate = ends(ready.judge(), "error")
    assert check(gate, "baseline_answers")["status"] == "error"
    assert any(line.startswith("NOT READY") for line in block(gate))
    ready.predictions("base.jsonl", 60, wrong_at=range(20, 60))
    assert found(ready, "fail", "weak_baseline", hypothesis=...)["status"] == "fail"
    passed(ready.judge(hypothesis=..., checks={"weak_baseline": "warn"}, margin=0.2))


# --- room ----------------------------------------------------------------------------------------------------


@metric(low=0, high=10, greater_is_better=False)
def distance(expected: str, answer: str) -> float:
    return 0.0 if expected == answer else 3.0


@pytest.mark.parametrize(
    ("wrong_at", "keys", "status", "room"),
    [
        ((58, 59), {}, "fail", 2 / 60),
        ((57, 58, 59), {"evidence": "observed"}, "pass", 0.05),
        ((57, 58, 59), {"evidence": "observed", "margin": 0.0501}, "fail", 0.05),
        ((), {"margin": 0}, "fail", 0),
        ((0,), {"margin": 0}, "pass", 1 / 60),
        (range(40, 60), {"metric": distance, "margin": 1.1}, "fail", 1.0),
        (range(40, 60), {"metric": distance, "margin": 1}, "pass", 1.0),
    ],
)
def test_a_baseline_must_leave_room_for_the_margin(
    ready: Project, wrong_at: Iterable[int], keys: dict[str, Any], status: str, room: float
) -> None:
    ready.predictions("base.jsonl", 60, wrong_at)
    gate = ends(ready.judge(hypothesis=..., **keys), status)
    finding = check(gate, "headroom")
    assert (finding["status"], finding["observed"], finding["source"]) == (
        status,
        pytest.approx(room),
        "marker",
    )
    assert finding["required"] == keys.get("margin", 0.05)
    assert ("cheaper_by" in str(finding["cure"])) is (status == "fail")
    if room == 2 / 60:
        mentions(finding, "96.7 %", "3.3 points", "5 points")
        ready.predictions("plain.jsonl", 60, wrong_at=range(40, 60))
        models = {
            "plain": "recorded:plain.jsonl",
            "few_shot": "recorded:base.jsonl",
        }  # of which the best must leave room
        mentions(
            found(ready, "fail", "headroom", baseline=..., baselines=models, hypothesis=...),
            "few_shot",
            "96.7 %",
        )


# --- whether the test set could prove it ---------------------------------------------------------------------


def test_a_gain_that_the_test_set_would_rather_not_prove_is_inconclusive(ready: Project) -> None:
    power_check = found(ready, "pass", "power")
    assert (power_check["status"], power_check["observed"] > 0.8, power_check["cure"]) == (
        "note",
        True,
        None,
    )
    mentions(power_check, "+15.0 points", "99 %")
    little = {"hypothesis": {"from": 0.7, "to": 0.73}, "margin": 0.02}
    power_check = found(ready, "inconclusive", "power", **little)
    assert (power_check["status"], power_check["observed"] < 0.5, power_check["required"]) == (
        "inconclusive",
        True,
        0.5,
    )
    assert power_check["cure"]
    ready.test_set(400)
    ready.predictions("base.jsonl", 400, wrong_at=range(270, 400))
    assert found(ready, "pass", "power", **little)["observed"] > 0.5


def test_without_a_hypothesis_twice_the_margin_is_expected(ready: Project) -> None:
    power_checks = [
        found(ready, "pass", "power", hypothesis=hypothesis, margin=0.05)
        for hypothesis in ("it gets better", ...)
    ]
    stated = found(ready, "pass", "power", hypothesis={"from": 0.7, "to": 0.8}, margin=0.05)
    assert [power_check["observed"] for power_check in power_checks] == [stated["observed"]] * 2

    # Nobody has said that so much is expected, so that low power for it is a warning.
    for keys, status in (
        ({"margin": 0.02}, "warning"),
        ({"margin": 0}, "note"),
        ({"evidence": "proven"}, "warning"),
    ):
        power = found(ready, "pass", "power", hypothesis=..., **keys)
        assert (power["status"], (power["observed"] or 0) < 0.5) == (status, True)
        assert (power["observed"] is None) is (status == "note")
        if status == "warning":
            mentions(power, "hypothesis: {from: ..., to: ...}")


def test_the_power_is_that_of_the_verdict(ready: Project) -> None:
    """A gain of exactly the margin is measured below it in about half of all test sets."""
    power_check = found(
        ready, "inconclusive", "power", hypothesis={"from": 0.65, "to": 0.87}, margin=0.22
    )
    expected = chances(
        60, gain=0.22, disagreement=0.22, margin=0.22, confidence=0.95, evidence="significant"
    )
    assert power_check["observed"] == pytest.approx(expected.passed, abs=1e-4)
    few = found(ready, "inconclusive", "power", hypothesis={"from": 0.65, "to": 0.71}, margin=0.05)
    mentions(few, "Label", "80 % power")


def test_the_power_of_groups_is_that_of_groups(ready: Project) -> None:
    alone = found(ready, "pass", "power", hypothesis={"from": 0.66, "to": 0.76}, margin=0.05)[
        "observed"
    ]
    ready.test_set(60, group=lambda i: f"customer {i % 15}")
    grouped = found(ready, "pass", "power", hypothesis={"from": 0.66, "to": 0.76}, margin=0.05)[
        "observed"
    ]
    assert 0.5 < grouped <= alone + 0.05


def test_proof_of_the_margin_itself_takes_more(ready: Project) -> None:
    ready.keys["hypothesis"] = {"from": 0.65, "to": 0.85}
    easy, hard = (
        found(ready, "pass", "power", evidence=standard)["observed"]
        for standard in ("significant", "proven")
    )
    assert 0.5 < hard < easy
    assert "power" not in statuses(passed(ready.judge(evidence="observed")))


def test_a_set_level_metric_and_repeats(ready: Project) -> None:
    assert found(ready, "pass", "power", metric="f1_macro")["observed"] > 0.8
    little = {"hypothesis": {"from": 0.66, "to": 0.67}, "margin": 0.001}
    assert found(ready, "inconclusive", "power", metric="f1_macro", **little)["observed"] < 0.5

    def base(text: str) -> str:
        i = int(text.split()[-1])
        return LABELS[i % 3] if i < 40 else "none"

    gate = passed(ready.judge(baseline=base, repeats=2))
    assert (gate["baseline"]["n_scored"], check(gate, "power")["observed"] > 0.8) == (120, True)


# --- around it -----------------------------------------------------------------------------------------------


def test_the_body_of_the_test_runs_on_the_baseline_and_has_no_candidate(ready: Project) -> None:
    bodies = "def test_gate(ftgate):\n    assert ftgate.baseline.value > 0.9\n"
    second_test = f"\n\n{ready.mark(name='other')}\ndef test_other(ftgate_candidate):\n    pass\n"
    ready.gate_test(bodies + second_test)
    (result := ready.run()).assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines_random(["*assert 0.66* > 0.9*", "*no candidate yet*"])


def test_a_gate_that_is_ready_is_judged_and_one_that_is_accepted_asks_for_more(
    ready: Project,
) -> None:
    ready.gate_file(yaml.safe_dump({"version": 1, "gates": {"support": ready.keys}}))
    ready.predictions("ft.jsonl", 60, wrong_at=(0, 1, 58, 59))
    accepted = ", stage='accept', candidate='recorded:ft.jsonl'"
    for required, extra_text, unmet in (
        ("all", "", ["support"]),
        ("all:ready", "", []),
        ("all", accepted, []),
    ):
        ready.ini_file(f"ftgate_required = {required}")
        ready.marked(f"'support'{extra_text}")
        report = ready.report()
        assert ([gate["name"] for gate in report["unjudged"]], ready.result.ret) == (
            unmet,
            len(unmet),
        )
        assert report["gates"][0]["stage"] == ("accept" if extra_text else "ready")


# --- guards and slices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "wrong_at", "leak", "verdict", "stopped_by", "called"),
    [
        (99, (), False, "pass", None, True),
        (99, range(99), False, "fail", "guards.general", True),
        (99, (), True, "fail", "guards.general", False),
        (30, (), False, "inconclusive", "guards.general", False),
    ],
)
def test_guards_are_asked_of_the_baseline_alone(
    ready: Project,
    n: int,
    wrong_at: Any,
    leak: bool,
    verdict: str,
    stopped_by: str | None,
    called: bool,
) -> None:
    ready.test_set(n, "general.jsonl", prefix="g", input="general item {}".format)
    ready.predictions("base.jsonl", n, wrong_at, prefix="g", add=True)
    ready.training_set(200, [{"input": "general item 3", "expected": label(3)}] * leak)
    gate = ends(
        ready.judge(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.03}}), verdict
    )
    (guard,) = gate["guards"]
    assert (guard["candidate"], guard["gain"], gate["models_called"]) == (None, None, called)
    red = [name for name, status in statuses(gate).items() if status == verdict != "pass"]
    assert red == ([] if stopped_by is None else [stopped_by])
    if called:
        outcome = ("baseline", 1, None) if stopped_by is None else ("baseline", 0, "fail")
        assert (guard["against"], guard["baseline"], guard["verdict"]) == outcome
        assert len(checks(gate, "guards.general")) == len(red)


def test_slices_labels_and_thresholds_wait_for_the_candidate(ready: Project) -> None:
    ready.test_set(60, lang="en")
    gate = passed(
        ready.judge(
            slices=["lang"], thresholds={"accuracy": {"min": 0.9}, "latency_p95_s": {"max": 1}}
        )
    )
    assert (gate["slices"], [label["candidate"] for label in gate["diagnosis"]["labels"]]) == (
        [],
        [None] * 3,
    )
    assert checks(gate, "thresholds.accuracy") == []


# --- a goal and a hypothesis; what is said of each: tests/messages ---------------------------------------------


@pytest.mark.parametrize(
    "goal", ["style", "format", "classification", "extraction", "latency", "cost", None]
)
def test_what_training_serves_passes(project: Project, goal: str | None) -> None:
    gate = passed(project.judge(goal=goal or ...))
    assert statuses(gate).get("goal") == (goal and "pass")


@pytest.mark.parametrize(("to", "status"), [(0.5, "pass"), (0.15, "warning")])
def test_where_lower_is_better(project: Project, to: float, status: str) -> None:
    # the candidate is at 0.2
    gate = passed(project.judge(metric=distance, hypothesis={"from": 1.0, "to": to}))
    assert statuses(gate)["hypothesis"] == status
    mentions(
        stopped(project.judge(metric=distance, hypothesis={"from": 0.5, "to": 1.5})), "0.5", "1.5"
    )


def test_the_margin_itself_and_the_best_baseline_are_what_a_hypothesis_is_about(
    project: Project,
) -> None:
    for start in (0.7, 0.2):
        passed(project.judge(hypothesis={"from": start, "to": round(start + 0.05, 2)}))
    project.predictions("weak.jsonl", 60, wrong_at=range(30, 60))
    models = {"weak": "recorded:weak.jsonl", "good": "recorded:base.jsonl"}
    gate = passed(
        project.judge(baseline=..., baselines=models, hypothesis={"from": 0.7, "to": 0.9})
    )
    mentions(check(gate, "hypothesis"), "good", "66.7 %")
