"""Checks name the key of the gate that they hold to, its value, and the direction in which it would ask for less."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, write_jsonl

PRICED = {"price": {"input_per_1m": 2.0, "output_per_1m": 8.0}}
USAGE = {"usage": {"input_tokens": 100, "output_tokens": 2}, "latency_s": 1.0}
SAVING = {"calls_per_month": 1e6, "training_cost_usd": 1.0, "data_cost_usd": 0.0, "hosting_usd_per_month": 1.0}


def thresholds(gate: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        one["threshold"]["key"]: (one["threshold"]["value"], one["threshold"]["weaker"])
        for one in gate["checks"]
        if one["threshold"]
    }


@pytest.fixture
def counted(project: Project) -> Project:
    """Return recorded models that tell their tokens and times; the candidate takes half of both."""
    half = {"usage": {"input_tokens": 50, "output_tokens": 1}, "latency_s": 0.5}
    project.predictions("base.jsonl", 60, wrong_at=range(40, 60), **USAGE)
    project.predictions("ft.jsonl", 60, wrong_at=(0, 1, 58, 59), **half)
    project.keys["baseline"] = {"provider": "recorded", "path": "base.jsonl", **PRICED}
    project.keys["candidate"] = {"provider": "recorded", "path": "ft.jsonl", **PRICED}
    return project


def test_a_gate_that_must_win(counted: Project) -> None:
    limits = {"min_monthly_saving_usd": 1.0, "max_break_even_days": 30.0}
    gate = counted.judge(
        margin=0.05,
        min_training_examples=100,
        require=[{"metric": "accuracy", "min": 0.8}],
        economics={**SAVING, **limits},
    )
    assert thresholds(gate) == {
        "margin": (0.05, "lower"),
        "evidence": ("significant", "lower"),
        "min_test_examples": (50, "lower"),
        "min_training_examples": (100, "lower"),
        "require[0].min": (0.8, "lower"),
        "economics.min_monthly_saving_usd": (1.0, "lower"),
        "economics.max_break_even_days": (30.0, "higher"),
    }


def test_a_gate_that_must_match(counted: Project) -> None:
    gate = counted.judge(margin=..., objective="match", max_drop=0.1, cheaper_by=1.5, faster_by=1.2)
    kept = {key: value for key, value in thresholds(gate).items() if not key.startswith("min_")}
    assert kept == {"max_drop": (0.1, "higher"), "cheaper_by": (1.5, "lower"), "faster_by": (1.2, "lower")}


def test_guards_slices_and_the_age_of_answers(project: Project) -> None:
    project.test_set(60, lang=lambda i: "de" if i % 2 else "en")
    project.test_set(100, "general.jsonl", prefix="g")
    for name in ("base.jsonl", "ft.jsonl"):
        project.predictions(name, 100, prefix="g", add=True)
    gate = project.judge(
        guards={"q.1": {"test_set": "general.jsonl", "max_drop": 0.06}},
        slices={"fields": ["lang"], "max_drop": 0.2, "evidence": "observed"},
        max_age_days=9,
    )
    kept = {key: value for key, value in thresholds(gate).items() if not key.startswith("min_")}
    assert kept["guards.q.1.max_drop"] == (0.06, "higher")
    assert kept["slices.max_drop"] == (0.2, "higher")
    assert kept["max_age_days"] == (9, "higher")


def test_before_training(counted: Project) -> None:
    gate = counted.judge(stage="ready", candidate=..., margin=0.05, economics={**SAVING, "max_break_even_days": 30.0})
    kept = thresholds(gate)
    assert (kept["margin"], kept["economics.max_break_even_days"]) == ((0.05, "lower"), (30.0, "higher"))


def test_rows_that_are_too_long(project: Project) -> None:
    write_jsonl(
        project.path / "train.jsonl", [{"input": f"q {i} {'long ' * 50}", "expected": "refund"} for i in range(9)]
    )
    assert thresholds(project.judge(audit={"max_tokens": 20}))["audit.max_tokens"] == (20, "higher")
