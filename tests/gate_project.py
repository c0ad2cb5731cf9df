"""A project on recorded predictions, of which a test changes the one thing that it is about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

# Other plugins of the environment stay out of the inner runs, unless a test is about them.
OTHERS = ("asyncio", "anyio", "hypothesispytest", "rerunfailures", "randomly", "syrupy")
ALONE = tuple(f"-pno:{name}" for name in OTHERS)
LABELS = ("refund", "invoice", "shipping")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def label(index: int) -> str:
    return LABELS[index % len(LABELS)]


def wrong(index: int) -> str:
    return LABELS[(index + 1) % len(LABELS)]


class Project:
    """A folder with test set, training set, and recorded predictions of both models.

    By default the baseline is right on 40 of 60 test examples and the candidate on 56 (it breaks two): a clear
    win, green under ``significant`` with margin 0.05.
    """

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.keys: dict[str, Any] = {
            "test_set": "test.jsonl",
            "training_set": "train.jsonl",
            "baseline": "recorded:base.jsonl",
            "candidate": "recorded:ft.jsonl",
            "margin": 0.05,
        }
        self.test_set(60)
        self.training_set(200)
        self.predictions("base.jsonl", 60, wrong_at=range(40, 60))
        self.predictions("ft.jsonl", 60, wrong_at=(0, 1, 58, 59))

    def test_set(self, n: int, **extra: Any) -> None:
        rows = [{"id": f"t{i}", "input": f"customer question {i}", "expected": label(i), **extra} for i in range(n)]
        write_jsonl(self.path / "test.jsonl", rows)

    def training_set(self, n: int) -> None:
        rows = [{"input": f"training question {i}", "expected": label(i)} for i in range(n)]
        write_jsonl(self.path / "train.jsonl", rows)

    def predictions(self, name: str, n: int, wrong_at: Iterable[int] = ()) -> None:
        missed = set(wrong_at)
        rows = [{"id": f"t{i}", "output": wrong(i) if i in missed else label(i)} for i in range(n)]
        write_jsonl(self.path / name, rows)

    def mark(self, **changes: Any) -> str:
        """The mark as source code; a key changed to ``...`` is left out."""
        keys = {name: value for name, value in {**self.keys, **changes}.items() if value is not ...}
        return "@pytest.mark.ftgate(" + ", ".join(f"{name}={value!r}" for name, value in keys.items()) + ")"

    def gate_test(self, body: str = "def test_gate():\n    pass\n", **changes: Any) -> Path:
        """``test_gate.py`` with one marked test."""
        return self.file("test_gate.py", f"import pytest\n\n\n{self.mark(**changes)}\n{body}")

    def gate_file(self, text: str) -> Path:
        return self.file("ftgate.yaml", text)

    def file(self, name: str, text: str) -> Path:
        path: Path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*ALONE, *args)

    def run_apart(self, *args: str, alone: bool = True) -> pytest.RunResult:
        """In a process of its own, as xdist and a terminal need it."""
        return self.pytester.runpytest_subprocess(*(ALONE if alone else ()), *args)

    def report(self, *args: str, apart: bool = False) -> dict[str, Any]:
        """Run, and read the JSON report."""
        run = self.run_apart if apart else self.run
        self.result = run("--ftgate-report=json:report.json", *args)
        found: dict[str, Any] = json.loads((self.path / "report.json").read_text(encoding="utf-8"))
        return found

    def gate(self, *args: str, apart: bool = False) -> dict[str, Any]:
        """Run, and give the one gate of the JSON report."""
        (found,) = self.report(*args, apart=apart)["gates"]
        return found  # type: ignore[no-any-return]


def check(gate: Mapping[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in gate["checks"] if item["name"] == name]
    return found  # type: ignore[no-any-return]


def statuses(gate: Mapping[str, Any]) -> dict[str, str]:
    return {item["name"]: item["status"] for item in gate["checks"]}


def refused(project: Project, verdict: str = "error", *, called: bool = False, apart: bool = False) -> str:
    """Run, see that the gate is red in the way of its verdict, and give the message that says why."""
    gate = project.gate(apart=apart)
    text = project.result.stdout.str() + project.result.stderr.str()
    assert gate["verdict"] == verdict, gate["checks"]
    assert gate["passed"] is False
    assert gate["models_called"] is called
    project.result.assert_outcomes(**{"errors" if verdict == "error" else "failed": 1})
    assert project.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in text
    assert "pytest_ftgate/" not in text
    assert "traceback entries are hidden" not in text
    message: str = next(check["message"] for check in gate["checks"] if check["status"] == verdict)
    assert "\n" not in message
    word = {"error": "could not be judged", "fail": "failed"}.get(verdict, verdict)
    assert f"{word}: {message[:40]}" in text
    return message
