"""Rules read nothing that other rules found: in any order they find the same, with the same cures."""

from random import Random
from typing import Any

import pytest
from gate_project import Project, label, write_jsonl, wrong

from pytest_ftgate.checks import rules

N = 60
GATES = 60


def answers(project: Project, name: str, rng: Random, skill: float) -> None:
    """Write answers of some skill, of which some may be malformed, empty, or one text for all."""
    spoiled = rng.choice(["", "", "The label is {}.", "", "{}{}{}{}"])
    rows = []
    for i in range(N):
        output = label(i) if rng.random() < skill else wrong(i)
        if spoiled and rng.random() < 0.5:
            output = spoiled.format(*[output] * 4)
        rows.append({"id": f"t{i}", "output": output, "latency_s": 0.1 + rng.random()})
    if rng.random() < 0.1:
        rows = [{**row, "output": "refund"} for row in rows]
    write_jsonl(project.path / name, rows)


def any_gate(project: Project, rng: Random) -> dict[str, Any]:
    """Write the data of a gate, and return keys that let many rules object."""
    project.test_set(N, lang=lambda i: "en" if i % 3 else "de")
    project.training_set(rng.choice([150, *[210] * 5]))
    for name, skill in (
        ("base.jsonl", 0.6),
        ("few.jsonl", 0.7),
        ("ft.jsonl", rng.uniform(0.4, 0.95)),
        ("half.jsonl", 0.6),
    ):
        answers(project, name, rng, skill)
    rows = (project.path / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (project.path / "train.half.jsonl").write_text("".join(rows[::2]), encoding="utf-8")
    project.test_set(N, "other.jsonl", prefix="t")

    keys: dict[str, Any] = {"evidence": rng.choice(["observed", "significant", "proven"])}
    if rng.random() < 0.5:
        keys["baseline"] = ...
        keys["baselines"] = {"prompt": "recorded:base.jsonl", "few_shot": "recorded:few.jsonl"}
    further = {
        "metric": rng.choice(["accuracy", "f1_macro"]),
        "thresholds": {"accuracy": {"min": 0.8}, "latency_p50_s": {"max": 0.5}},
        "slices": {"fields": ["lang"], "max_drop": 0.05},
        "guards": {"other": {"test_set": "other.jsonl", "max_drop": 0.05}},
        "candidate_half": {"model": "recorded:half.jsonl", "training_set": "train.half.jsonl"},
        "hypothesis": {"from": 0.6, "to": 0.8},
        "goal": rng.choice(["format", "classification"]),
        "checks": {"formatting_gain": "warn", "weak_baseline": "warn"},
    }
    for key, value in further.items():
        if rng.random() < 0.4:
            keys[key] = value
    if rng.random() < 0.3:
        keys |= {"margin": ..., "max_drop": 0.2, "faster_by": 1.05, "evidence": "proven"}
    return keys


def findings(gate: dict[str, Any]) -> set[tuple[str, ...]]:
    """Return each check; what it says of several models is in the order of rules."""
    found = set()
    for check in gate["checks"]:
        parts = sorted((check["message"] or "").split("; "))
        cures = sorted((check["cure"] or "").split(". "))
        found.add((check["name"], check["status"], *parts, *cures))
    return found


@pytest.mark.parametrize("seed", range(GATES))
def test_rules_find_the_same_in_any_order(
    project: Project, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = Random(seed)
    keys = any_gate(project, rng)
    gate = project.judge(**keys)
    assert gate["verdict"] != "error"
    written = findings(gate)
    for _ in range(3):
        shuffled = rng.sample(rules.RULES, len(rules.RULES))
        monkeypatch.setattr(rules, "RULES", shuffled)
        assert findings(project.judge(**keys)) == written
