"""Dataclasses as plain JSON values, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_ftgate.plain import from_plain, to_plain
from pytest_ftgate.result import GateResult, ModelResult


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Tree:
    leaf: Leaf
    maybe: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    named: Mapping[str, Leaf] = field(default_factory=dict)
    table: tuple[tuple[str, tuple[float | None, ...]], ...] = ()
    seen: Any = None


TREES = [
    Tree(Leaf("a")),
    Tree(Leaf("a", (0.0, 1.0)), Leaf("b"), (Leaf("c"), Leaf("d", (1, 2))), {"e": Leaf("e")}, (("f", (1.0, None)),)),
    Tree(Leaf("a"), seen=[1, {"x": [2]}]),
]


@pytest.mark.parametrize("tree", TREES)
def test_they_come_back_as_they_were(tree: Tree) -> None:
    written = json.dumps(to_plain(tree), allow_nan=False)
    assert from_plain(Tree, json.loads(written)) == tree


def test_what_json_cannot_say_is_null_and_long_text_is_cut() -> None:
    tree = Tree(Leaf("a" * 3000, (0.0, float("inf"))), seen={1: float("nan")})
    found = to_plain(tree)
    assert found["leaf"] == {"name": "a" * 1997 + "...", "range": [0.0, None]}
    assert found["seen"] == {"1": None}


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
