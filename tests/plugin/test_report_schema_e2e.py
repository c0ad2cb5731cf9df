"""What a real session writes is what the published JSON Schema of the report says."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
from gate_project import Project, label, write_jsonl, wrong

SCHEMA = json.loads(files("pytest_ftgate").joinpath("report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "pass": ({}, "pass"),
    "fail": ({"margin": 0.3}, "fail"),
    "inconclusive": ({"evidence": "proven", "margin": 0.26}, "inconclusive"),
    "no_recording": ({"baseline": "recorded:absent.jsonl"}, "error"),
    "misspelled": ({"margn": 1}, "error"),
    "free": ({"min_training_examples": 1000}, "fail"),
    "bounds": ({"require": [{"metric": "accuracy", "min": 0.5, "max": 1.0}], "show": ["f1_macro"]}, "pass"),
    "match": ({"objective": "match", "margin": ..., "max_drop": 0.05, "faster_by": 1.5}, "error"),
    "ready": ({"stage": "ready", "candidate": ..., "hypothesis": {"from": 0.66, "to": 0.9}}, "pass"),
    "candidates": (
        {"candidate": ..., "candidates": {"small": "recorded:base2.jsonl", "large": "recorded:ft.jsonl"}},
        "pass",
    ),
    "baselines": ({"baseline": ..., "baselines": {"a": "recorded:base.jsonl", "b": "recorded:base2.jsonl"}}, "pass"),
    "guards": ({"guards": {"general": {"test_set": "guard.jsonl", "max_drop": 0.03}}}, "pass"),
    "slices": ({"slices": {"fields": ["lang"], "max_drop": 0.3, "min_examples": 5, "evidence": "observed"}}, "pass"),
    "economics": ({"economics": {"calls_per_month": 1000, "training_cost_usd": 20}}, "pass"),
    "repeats": ({"repeats": 2, "baseline": "python:own:weak", "candidate": "python:own:good"}, "pass"),
}


def furnish(project: Project) -> None:
    """All that some of the gates need besides the usual files."""
    project.predictions("base2.jsonl", 60, wrong_at=range(38, 60))
    rows = [
        {"id": f"t{i}", "input": f"customer question {i}", "expected": label(i), "lang": "en" if i % 2 else "de"}
        for i in range(60)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    guard = [{"id": f"g{i}", "input": f"general question {i}", "expected": label(i)} for i in range(200)]
    write_jsonl(project.path / "guard.jsonl", guard)
    for name in ("base.jsonl", "ft.jsonl"):
        lines = (project.path / name).read_text(encoding="utf-8").splitlines()
        answers = [{"id": f"g{i}", "output": wrong(i) if i < 5 else label(i)} for i in range(200)]
        write_jsonl(project.path / name, [*map(json.loads, lines), *answers])
    project.file(
        "own.py",
        "LABELS = ('refund', 'invoice', 'shipping')\n"
        "def weak(text): return LABELS[int(text.split()[-1]) % 3] if int(text.split()[-1]) < 40 else 'refund'\n"
        "def good(text): return LABELS[int(text.split()[-1]) % 3]\n",
    )
    project.pytester.syspathinsert()


def test_reports_of_all_kinds_are_what_the_schema_says(project: Project) -> None:
    furnish(project)
    tests = [f"{project.mark(name=name, **keys)}\ndef test_{name}(): pass\n" for name, (keys, _) in KINDS.items()]
    project.file("test_gate.py", "import pytest\n\n" + "\n".join(tests))
    report = project.report()
    VALIDATOR.validate(report)
    verdicts = {gate["nodeid"].partition("::test_")[2]: gate["verdict"] for gate in report["gates"]}
    messages = [(gate["name"], one["message"]) for gate in report["gates"] for one in gate["checks"]]
    assert verdicts == {name: verdict for name, (_, verdict) in KINDS.items()}, messages
    by_name = {gate["nodeid"].partition("::test_")[2]: gate for gate in report["gates"]}
    for name, fact in (("guards", "guards"), ("slices", "slices"), ("candidates", "candidates"), ("pass", "labels")):
        assert by_name[name][fact], name
    assert by_name["economics"]["economics"]
    assert by_name["fail"]["advice"]
    assert by_name["ready"]["stage"] == "ready"


def test_a_report_without_a_gate_and_with_an_obligation(project: Project) -> None:
    project.file("pytest.ini", "[pytest]\nftgate_required = support\n")
    project.file("test_plain.py", "def test_plain(): pass\n")
    report = project.report("--ftgate-partial")
    VALIDATOR.validate(report)
    assert report["partial"] is True
    assert [one["name"] for one in report["unjudged"]] == ["support"]
    assert report["gates"] == []


def test_a_report_with_a_gate_file_of_the_command_line(project: Project) -> None:
    project.gate_file("version: 1\ngates: {}\n")
    project.gate_test()
    report = project.report("--ftgate-config=ftgate.yaml")
    VALIDATOR.validate(report)
    assert report["config"] == "ftgate.yaml"
