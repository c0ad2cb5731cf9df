"""Dataclasses as plain JSON values, and back."""

from __future__ import annotations

import pytest

from pytest_ftgate.plain import to_plain
from pytest_ftgate.result import GateResult, ModelResult


def test_what_json_cannot_say_is_null_and_long_text_is_cut() -> None:
    infinite, unknown = float("inf"), float("nan")
    found = to_plain({"name": "a" * 3000, "range": (0.0, infinite), 1: unknown})
    assert found == {"name": "a" * 1997 + "...", "range": [0.0, None], "1": None}


def test_a_range_without_an_end_comes_back_without_one() -> None:
    result = GateResult("a", "b", "pass", metric_range=(0.0, float("inf")))
    assert result.to_dict()["metric_range"] == [0.0, None]
    assert GateResult.from_dict(result.to_dict()) == result


def test_whether_a_gate_passed_is_told_by_its_verdict_alone() -> None:
    forged = {**GateResult("a", "b", "fail").to_dict(), "passed": True}
    assert not GateResult.from_dict(forged).passed


def test_a_metric_that_was_not_measured_names_those_that_were() -> None:
    with pytest.raises(KeyError, match=r"f1.*accuracy, token_f1"):
        ModelResult("m", metrics={"accuracy": 1.0, "token_f1": None}).score("f1")
