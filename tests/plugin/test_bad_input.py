"""Whatever stands in a file: an outcome that is not green, a message that names the place, no traceback of ours.

What else may be broken in data files and recordings: tests/messages, tests/unit/data and tests/unit/models.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from gate_project import Project, label, mentions, refused, stopped

from pytest_ftgate import metric

FILES = {"test_set": "test.jsonl", "training_set": "train.jsonl", "candidate": "ft.jsonl"}


def test_what_is_no_file_is_not_read(project: Project) -> None:
    """Neither a folder, nor a pipe, which would be waited for, nor a device without an end."""
    for key, name in FILES.items():
        raw = (project.path / name).read_bytes()
        for make in (os.mkdir, *([os.mkfifo] if hasattr(os, "mkfifo") else [])):
            (project.path / name).unlink()
            make(project.path / name)
            mentions(stopped(project.judge()), "test_gate.py:4", key, name)
            (project.path / name).rename(project.path / f"{make.__name__}-{name}")
            (project.path / name).write_bytes(raw)
        # a name that no file can have
        endless = "recorded:" * (key == "candidate") + "x" * 300 + ".jsonl"
        mentions(stopped(project.judge(**{key: endless})), "x.jsonl")
    if os.path.exists("/dev/zero"):
        mentions(
            stopped(project.judge(test_set={"path": "/dev/zero", "format": "jsonl"})), "/dev/zero"
        )
    if hasattr(os, "mkfifo"):
        os.mkfifo(project.path / "ftgate.yaml")
        mentions(stopped(project.judge()), "ftgate.yaml")


@pytest.mark.parametrize("expected", [{"label": "refund"}, ["refund"]])
@pytest.mark.parametrize(
    "keys", [{}, {"metric": "f1_macro"}, {"metric": ["exact_match", "accuracy"]}]
)
def test_labels_are_asked_for_and_something_else_is_expected(
    project: Project, expected: Any, keys: Any
) -> None:
    project.test_set(60, expected=lambda i: expected if i == 8 else label(i))
    metric = "f1_macro" if keys == {"metric": "f1_macro"} else "accuracy"
    mentions(stopped(project.judge(**keys)), metric, "test.jsonl:9")


def test_the_terminal_says_what_is_wrong_without_a_traceback(project: Project) -> None:
    """Of a data file, the gate file, and the mark, each at its own step."""
    project.file("ft.jsonl", '{"id": "t0", "output": "refund"}\nhello\n')
    project.gate_test()
    assert refused(project).startswith("ft.jsonl:2")
    project.gate_test(margin=3)
    assert "margin 3" in refused(project)
    project.gate_file("version: 1\ngates:\n  support:\n    margin: 0.05\n    margi")
    assert refused(project).startswith("ftgate.yaml:5")


own = metric(low=0, high=1, greater_is_better=True)
SCORES: dict[str, Callable[..., Any]] = {
    "nan": lambda *_: float("nan"),
    "returned None": lambda *_: None,
    "generator": lambda *_: (yield 1),
    "ZeroDivisionError": lambda *_: 1 / 0,
    "RecursionError": lambda *_: json.loads("[" * 100_000),
    "Skipped": lambda *_: pytest.skip("not today"),
    "XFailed": lambda *_: pytest.xfail("known"),
    "Exit": lambda *_: pytest.exit("bye", returncode=0),
    "SystemExit": lambda *_: sys.exit(0),
}


@pytest.mark.parametrize("fragment", SCORES)
def test_a_metric_that_breaks_its_promise(project: Project, fragment: str) -> None:
    finding = stopped(project.judge(metric=own(SCORES[fragment])), called=True)
    mentions(finding, "test.jsonl:1:", "<lambda>", "base.jsonl", fragment)


def test_of_two_models_one_gives_scores_out_of_range(project: Project) -> None:
    twice = own(lambda expected, answer: 2 if (expected, answer) == ("refund", "invoice") else 0.5)
    for fragments in (("test.jsonl:43", "base.jsonl"), ("test.jsonl:1", "ft.jsonl")):
        mentions(stopped(project.judge(metric=twice), called=True), "returned 2", *fragments)
        project.predictions("base.jsonl", 60, wrong_at=(1, 2))


def test_a_metric_that_nothing_can_score_on_is_no_pass(project: Project) -> None:
    gate = project.judge(metric=own(lambda *_: 1.0), margin=0)
    assert stopped(gate, "fail", called=True)["name"] == "weak_baseline"


HOOKS = {
    "return [1]": "",
    "return {3: 3}": "unknown metric",
    "return 1 / 0": "ZeroDivisionError",
    "pytest.skip('x')": "Skipped",
    "return {'own': len}": "test_gate.py:4: metric",
    "return {'own': 3}": "test_gate.py:4: metric",
    "return {'accuracy': 3}": "test_gate.py:4: metric",
}


@pytest.mark.parametrize(("body", "fragment"), HOOKS.items(), ids=HOOKS)
def test_a_hook_that_gives_no_metric(project: Project, body: str, fragment: str) -> None:
    project.file("conftest.py", f"import pytest\ndef pytest_ftgate_metrics(): {body}\n")
    mentions(stopped(project.judge(metric="own")), fragment or "pytest_ftgate_metrics")


def test_two_hooks_that_give_one_name(project: Project) -> None:
    text = "def pytest_ftgate_metrics(): return {'own': None}\n"
    project.file("second.py", text)
    project.file("conftest.py", f"pytest_plugins = ['second']\n{text}")
    project.pytester.syspathinsert()
    project.gate_test(metric="own")
    assert refused(project).startswith(
        "two hooks pytest_ftgate_metrics return a metric named 'own'"
    )


def test_a_folder_of_recordings_that_is_broken(project: Project) -> None:
    project.ini["ftgate_recordings"] = "recorded"
    project.file("recorded/a.jsonl", '{"id": "t0"}\n')
    assert stopped(project.judge())["message"].startswith('recorded/a.jsonl:1: no field "output"')
