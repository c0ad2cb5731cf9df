"""Whatever asks for less is told: every key with a direction, in every place where it can be written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from pytest_ftgate.checks.weakening.past import Past
from pytest_ftgate.config import GateKeys, load_gate_file
from pytest_ftgate.config.checks import CHANGEABLE
from pytest_ftgate.config.weaker import comparable
from pytest_ftgate.plugin.layers import Layers
from pytest_ftgate.plugin.marks import Level
from pytest_ftgate.result import Check

KEYS: dict[str, Any] = {
    "test_set": "test.jsonl",
    "training_set": "train.jsonl",
    "baseline": "recorded:base.jsonl",
    "candidate": "recorded:ft.jsonl",
    "margin": 0.05,
}
MATCH = {"max_drop": 0.01, "cheaper_by": 6, "faster_by": 4, "margin": ...}
RUBRIC = {"name": "rubric", "judge": "python:judges:judge", "rubric": "x"}
LIMITED = {"max_break_even_days": 30}


def bound(**limits: float) -> dict[str, Any]:
    return {"thresholds": {"accuracy": limits}}


def guard(**keys: Any) -> dict[str, Any]:
    return {"guards": {"g.x": {"test_set": "guard.jsonl", "max_drop": 0.02, **keys}}}


def calibrated(min_kappa: float) -> dict[str, Any]:
    metric = {**RUBRIC, "calibration": {"path": "held.jsonl", "min_kappa": min_kappa}}
    return {"metric": ["accuracy", metric]}


def spent(**facts: float) -> dict[str, Any]:
    return {"economics": {"calls_per_month": 1000, **LIMITED, **facts}}


LOOSENED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "margin": ({"margin": 0.1}, {"margin": 0}),
    "max_drop": (MATCH, {**MATCH, "max_drop": 0.02}),
    "cheaper_by": (MATCH, {**MATCH, "cheaper_by": 2}),
    "faster_by": (MATCH, {**MATCH, "faster_by": 2}),
    "evidence": ({"evidence": "proven"}, {"evidence": "observed"}),
    "confidence": ({"confidence": 0.99}, {"confidence": 0.8}),
    "min_training_examples": ({"min_training_examples": 300}, {"min_training_examples": 10}),
    "min_test_examples": ({"min_test_examples": 60}, {"min_test_examples": 10}),
    "missing_answers": ({"missing_answers": "error"}, {"missing_answers": "wrong"}),
    "stage": ({"stage": "accept"}, {"stage": "ready", "candidate": ...}),
    "max_attempts": ({"max_attempts": 2}, {"max_attempts": 3}),
    "max_age_days": ({"max_age_days": 10}, {"max_age_days": 100}),
    "thresholds.min": (bound(min=0.9), bound(min=0.8)),
    "thresholds.max": (bound(max=0.1), bound(max=0.2)),
    "metric.calibration.min_kappa": (calibrated(0.8), calibrated(0.2)),
    "test_set.limit": ({}, {"test_set": {"path": "test.jsonl", "limit": 50}}),
    "guards.max_drop": (guard(), guard(max_drop=0.1)),
    "guards.test_set.limit": (guard(), guard(test_set={"path": "guard.jsonl", "limit": 5})),
    "slices.max_drop": ({"slices": ["a"]}, {"slices": {"fields": ["a"], "max_drop": 0.2}}),
    "economics.calls_per_month": (spent(), spent(calls_per_month=9000)),
    **{
        f"economics.{key}": (spent(**{key: 100}), spent(**{key: 1}))
        for key in ("training_cost_usd", "data_cost_usd", "hosting_usd_per_month", "retrains_per_year")
    },
    "economics.max_break_even_days": (spent(), spent(max_break_even_days=300)),
    "training_set.max_tokens": ({}, {"training_set": {"path": "train.jsonl", "max_tokens": 10**6}}),
    **{f"checks.{name}": ({"checks": {name: "fail"}}, {"checks": {name: "ignore"}}) for name in CHANGEABLE},
}
PLACES = ("defaults", "file")
"""Where a key can be written, the farthest first."""


def with_direction(keys: type[BaseModel] = GateKeys, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all keys with a direction, also those inside of others."""
    yield from (prefix + key for key in comparable(keys))
    for name, info in keys.model_fields.items():
        for part in parts(info.annotation):
            yield from with_direction(part, f"{prefix}{name}.")


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def test_no_key_with_a_direction_is_left_out() -> None:
    declared = {key for key in with_direction() if key != "baselines"}
    assert declared <= set(LOOSENED)
    assert len(declared) > 20


def written(keys: Mapping[str, Any], place: str) -> bytes:
    """Return a gate file with these keys in one place, and all others in the gate."""
    elsewhere = {key: value for key, value in KEYS.items() if key not in keys}
    own = {key: value for key, value in keys.items() if value is not ...}
    in_file = {**elsewhere, **(own if place == "file" else {})}
    tree = {"version": 1, "defaults": own if place == "defaults" else {}, "gates": {"g": in_file}}
    return yaml.safe_dump(tree).encode()


def judged(folder: Path, then: bytes, now: bytes, mark: Mapping[str, Any] = {}, **more: Any) -> dict[str, Check]:
    """Return the checks of a gate whose file was another then, and whose marker has more keys."""
    gates = folder / "ftgate.yaml"
    gates.write_bytes(now)
    own = {key: value for key, value in mark.items() if value is not ...}
    levels = [Level(folder / "test_gate.py", pytest.mark.ftgate("g", **own).mark)]
    layers = Layers(levels, folder, [], load_gate_file(gates), "test_gate.py::t", folder)
    base: Any = SimpleNamespace(ref="main", root=folder, unseen=None, content=lambda path: None)
    files: Any = SimpleNamespace(past=Past(base, load_gate_file(gates, then)), owes=False, base_ref=None)
    files.forbids_weakening = more.get("forbidden", False)
    return {one.name: one for one in layers.reviewed(layers.resolve(), files)}


@pytest.mark.parametrize("path", LOOSENED)
def test_asking_for_less_is_told_wherever_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    strict, loose = LOOSENED[path]
    changed = {**dict.fromkeys(strict, ...), **loose}
    words = {path.rpartition(".")[2], path.partition(".")[0]}
    for place in PLACES:
        then, now = written(strict, place), written(changed, place)
        found = judged(tmp_path, then, now)["weakened"]
        assert found.status == "warning", place
        assert words & set(re.split(r"[^\w]+", found.message)), found.message
        assert "ftgate.yaml:" in found.message, found.message
        assert "weakened" not in judged(tmp_path, then, then), place
        assert judged(tmp_path, then, now, forbidden=True)["weakened"].status == "fail"
        if ... not in changed.values():  # a marker cannot take a key away
            assert judged(tmp_path, then, then, changed)["weakened"].status == "warning"
