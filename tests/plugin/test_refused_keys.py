"""Keys of a marker that cannot be meant: an error before any call, which names the place, the key and what it holds.

Of the gate file: test_bad_input.py. The whole of each message: tests/messages.
"""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, mentions, stopped

REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"baseline": ..., "baselines": {"candidate": "openai:n"}}, ["baselines", "candidate"]),
    ({"baseline": ..., "baselines": {"x": "nonsense"}}, ["baselines.x", "'nonsense'"]),
    ({"baseline": ..., "baselines": {"extends": "x"}}, ["baselines", "baseline"]),
    ({"checks": {"leaks": "fail"}}, ["checks.leaks", "'leaked'"]),
    ({"checks": {"leaked": "limit"}}, ["checks.leaked", "'limit'"]),
    *(
        ({"checks": {name: "warn"}}, [f"checks.{name}", "cannot be changed", "weak_baseline"])
        for name in ("margin", "thresholds.accuracy", "guards.refunds", "weakened")
    ),
    ({"training_set": {"path": "train.jsonl", "max_tokens": 0}}, ["training_set.max_tokens", "at least 1"]),
    ({"checks": "fail"}, ["checks", "'fail'"]),
    ({"margin": 3}, ["margin 3", "accuracy"]),
    ({"test_set": ()}, []),
    ({"test_set": [{"input": "a", "expected": "b"}] * 2}, ["item 2", "item 1"]),
    ({"test_set": [("a", float("nan"))]}, ["item 1", "expected"]),
    ({"test_set": [("a", "b", "c")]}, ["item 1"]),
    ({"test_set": {"a"}}, ["set"]),
    ({"metric": ["accuracy", "accuracy"]}, ["metric", "twice"]),
    ({"candidate": 3}, ["candidate", "got 3"]),
    ({"candidates": {"a": "recorded:ft.jsonl"}}, ["candidate"]),
    ({"candidate": "recorded:sub/../../x.jsonl"}, ["recorded:sub/../../x.jsonl", "marker"]),
    ({"economics": {"calls_per_month": 0}}, ["calls_per_month"]),
    ({"economics": {"training_cost_usd": -1}}, ["-1"]),
    ({"economics": {"calls_per_month": "many"}}, ["'many'"]),
    ({"economics": {"calls_per_moth": 1}}, ["'calls_per_month'"]),
    ({"economics": "free"}, ["economics"]),
    ({"hypothesis": {"from": 85, "to": 95}}, ["hypothesis.from 85", "marker", "accuracy", "0 and 1", "0.85"]),
    ({"hypothesis": {"from": 0.85, "to": 95}}, ["hypothesis.to 95", "0.95"]),
    ({"hypothesis": {"from": -0.1, "to": 0.5}}, ["hypothesis.from -0.1"]),
    ({"hypothesis": {"from": 0.9, "to": 0.8}}, ["hypothesis", "0.9", "0.8", "marker", "accuracy"]),
    ({"hypothesis": {"from": 0.9, "to": 0.9}}, ["hypothesis", "0.9", "marker"]),
    ({"goal": "knowlege"}, ["goal", "'knowledge'"]),
    *(({"timeout_s": value}, ["timeout_s"]) for value in (0, -1, "soon", float("nan"), True)),
    *(({"max_attempts": most}, ["max_attempts"]) for most in (0, 6)),
]


@pytest.mark.parametrize(("keys", "parts"), REFUSED, ids=str)
def test_what_cannot_be_meant(project: Project, keys: dict[str, Any], parts: list[str]) -> None:
    found = stopped(project.judge(**keys))
    mentions(found, *parts)
    assert "test_gate.py:4" in str(found) or "marker" in str(found)
