"""A retrained candidate: it beats the prompt by the margin, and is proven not to be worse than what runs today."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, block, check, ends, mentions, passed, read_jsonl, statuses, stopped

from pytest_ftgate.config.models import has_own_standards

LIVE = "recorded:live.jsonl"
CHAMPION = {"model": LIVE, "max_drop": 0.03}


def judged(project: Project, champion: Any = None, prompt: Any = "recorded:base.jsonl", **keys: Any) -> dict[str, Any]:
    baselines = {"prompt": prompt, "champion": CHAMPION if champion is None else champion}
    return project.judge(baseline=..., **{"baselines": baselines, **keys})


def answers(project: Project, n: int, candidate: int) -> None:
    """Record n answers: 81.2 % right by the prompt, 96.5 % by the champion, and ``candidate`` right ones."""
    project.test_set(n)
    for name, right in (("base.jsonl", 13 * n // 16), ("live.jsonl", round(0.9653 * n)), ("ft.jsonl", candidate)):
        project.predictions(name, n, range(right, n))


@pytest.fixture
def project(project: Project) -> Project:
    answers(project, 288, 276)
    return project


@pytest.mark.parametrize(
    ("n", "right", "verdict", "words"),
    [
        (288, 276, "pass", ("-0.7 points", "-2.2 points", "limit -3 points")),
        (144, 138, "inconclusive", ("-0.7 points", "-3.3 points", "232 in all", "88 more test examples")),
        (288, 255, "fail", ("-8.0 points", "limit -3 points")),
    ],
)
def test_the_champion_decides_by_max_drop(project: Project, n: int, right: int, verdict: str, words: Any) -> None:
    answers(project, n, right)
    gate = ends(judged(project), verdict)
    found = check(gate, "max_drop")
    assert (found["status"], found["threshold"]) == (verdict, {"key": "baselines.champion.max_drop", "value": 0.03})
    mentions(found, "champion", *words)
    assert statuses(gate)["margin"] == statuses(gate)["evidence"] == "pass"
    assert (gate["baseline"]["value"], gate["margin"], gate["max_drop"]) == (pytest.approx(0.8125), 0.05, None)
    assert {role: one["required"] for role, one in gate["gains"].items()} == {"prompt": 0.05, "champion": -0.03}
    assert "champion" not in check(gate, "weak_baseline")["message"]
    assert any("champion" in line and "max_drop 3 points" in line for line in block(gate))


@pytest.mark.parametrize(("wrong", "verdict", "status"), [(3, "pass", "warning"), (9, "fail", "fail")])
def test_a_candidate_may_answer_as_the_champion_does(project: Project, wrong: int, verdict: str, status: str) -> None:
    """Two good models may agree everywhere; with many mistakes in common they are one model under two names."""
    project.predictions("live.jsonl", 288, range(288 - wrong, 288))
    said = {row["id"]: row["output"] for row in read_jsonl(project.path / "live.jsonl")}
    gate = ends(judged(project, candidate=lambda text: said[f"t{text.split()[-1]}"]), verdict)
    assert statuses(gate)["identical_outputs"] == status


def test_the_prompt_must_be_beaten_whatever_the_champion_allows(project: Project) -> None:
    gate = ends(judged(project, margin=0.2), "fail")
    assert (statuses(gate)["margin"], statuses(gate)["max_drop"]) == ("fail", "pass")
    gate = passed(judged(project, {"model": None, "max_drop": 0.03}))  # no champion yet
    assert (list(gate["gains"]), check(gate, "max_drop")["status"]) == (["prompt"], "note")
    answers(project, 96, 96)
    assert stopped(judged(project), "inconclusive")["required"] == 99


@pytest.mark.parametrize(
    "keys",
    [
        {"margin": ..., "prompt": {"model": "recorded:base.jsonl", "margin": 0.05}},
        {"margin": ..., "prompt": {"model": "recorded:base.jsonl", "margin": 0.05}, "max_drop": 0.03, "champion": LIVE},
        {"margin": 0.3, "prompt": {"model": "recorded:base.jsonl", "margin": 0.05}},
    ],
)
def test_standards_may_stand_at_the_gate_or_at_the_baseline(project: Project, keys: dict[str, Any]) -> None:
    gate = passed(judged(project, **keys))
    required = {role: one["required"] for role, one in gate["gains"].items()}
    assert (gate["margin"], required) == (0.05, {"prompt": 0.05, "champion": -0.03})


def test_at_least_one_baseline_must_be_beaten(project: Project) -> None:
    for champion, words in ((CHAMPION, "applies to no baseline"), ({**CHAMPION, "model": None}, "no baseline has a")):
        mentions(stopped(judged(project, baselines={"champion": champion})), words)
    mentions(stopped(judged(project, baselines={"champion": CHAMPION}, margin=...)), "needs cheaper_by or faster_by")
    mentions(stopped(judged(project, {"model": LIVE, "max_drop": 3})), "Did you mean 0.03?")
    owns = [has_own_standards({"champion": CHAMPION, **more}) for more in ({}, {"prompt": LIVE})]
    assert owns == [True, False]
