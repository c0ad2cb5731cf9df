"""``python -m pytest_ftgate verify``: the last step of a pipeline, and the first of a deployment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_project import ALONE, GATE, Project

import pytest_ftgate


@pytest.fixture
def split(project: Project) -> Project:
    """Return two required gates, each with a test, in a pipeline that verifies at its end."""
    project.gate_file(f"version: 1\ngates:\n  support: {{{GATE}}}\n  orders: {{{GATE}, evidence: observed}}\n")
    project.file("pytest.ini", "[pytest]\nftgate_required = all\nftgate_required_by = verify\n")
    for name in ("support", "orders"):
        project.file(f"test_{name}.py", f"import pytest\n@pytest.mark.ftgate({name!r})\ndef test_{name}(): pass\n")
    return project


@pytest.fixture
def verify(split: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return the command, which gives its output if it ends with the expected status."""
    from pytest_ftgate.cli.commands import main

    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(ALONE))

    def verify(*args: str, status: int = 0) -> str:
        capfd.readouterr()
        found = main(["verify", *args])
        said = "".join(capfd.readouterr())
        assert found == status, said
        return said

    return verify


def shard(project: Project, *args: str, to: str = "a.json") -> dict[str, Any]:
    result = project.run(f"--ftgate-report=json:{to}", *args)
    assert result.ret in (0, 1)
    found: dict[str, Any] = json.loads((project.path / to).read_text(encoding="utf-8"))
    return found


def test_shards_are_verified_together(split: Project, verify: Callable[..., str]) -> None:
    assert [one["name"] for one in shard(split, "-k", "support")["unjudged"]] == ["orders"]
    shard(split, "-k", "orders", to="b.json")
    said = verify("a.json", "b.json")
    assert all(f"passed: {name}, candidate recorded:ft.jsonl" in said for name in ("support", "orders"))
    assert "FAILED: orders: no report has a result" in verify("a.json", status=1)
    assert "FAILED: c.json: no such file" in verify("a.json", "b.json", "c.json", status=1)
    assert "FAILED: support:" in verify("b.json", status=1)


def test_in_a_process_of_its_own(split: Project) -> None:
    shard(split)
    environment = {**os.environ, "PYTHONPATH": str(Path(pytest_ftgate.__file__).parents[1])}
    command = [sys.executable, "-m", "pytest_ftgate", "verify", "a.json"]
    for status in (0, 1):
        done = subprocess.run(command, cwd=split.path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, "FAILED" in done.stdout) == (status, bool(status)), done
        split.lose()


CHANGES: dict[str, Callable[[Project], Any]] = {
    "ftgate.yaml": lambda project: project.file("ftgate.yaml", f"version: 1\ngates: {{support: {{{GATE}}}}}\n"),
    "test.jsonl": lambda project: project.test_set(61),
    "train.jsonl": lambda project: project.training_set(201),
    "base.jsonl": lambda project: project.predictions("base.jsonl", 60, wrong_at=range(30, 60)),
    "ft.jsonl": lambda project: os.remove(project.path / "ft.jsonl"),
    "rules.json": lambda project: project.file("rules.json", "{}"),
    "models.py": lambda project: project.file("models.py", "def model(text): return 'refund'\n"),
    "guards/b.jsonl": lambda project: project.test_set(5, "guards/b.jsonl"),
    "test_support.py": lambda project: project.file("test_support.py", "def test_support(): pass\n"),
    "conftest.py": lambda project: project.file("conftest.py", LOADER),
}
LOADER = (
    "import json\n\n\ndef pytest_ftgate_load_examples(path, options):\n    if path.is_dir():\n"
    "        return [json.loads(line) for file in path.iterdir() for line in file.read_text().splitlines()]\n"
)


@pytest.fixture
def rich(split: Project) -> Project:
    """Return a gate that reads everything that a gate can read, but for prompts."""
    split.file("rules.json", '{"type": "string"}')
    split.file(
        "models.py",
        "LABELS = ('refund', 'invoice', 'shipping')\n\n\ndef model(text):\n"
        "    return LABELS[min(int(text.split()[-1]), 36) % 3]\n",
    )
    split.test_set(60, "guards/a.jsonl")
    override = "\n\nimport pytest\n@pytest.fixture\ndef ftgate_candidate(): return 'recorded:ft.jsonl'\n"
    split.file("conftest.py", LOADER + override)
    split.gate_file(
        "version: 1\ngates:\n  support:\n    test_set: test.jsonl\n    training_set: train.jsonl\n    margin: 0.05\n"
        "    baselines: {prompt: 'recorded:base.jsonl', rules: 'python:models:model'}\n"
        "    metric: [accuracy, {name: format, json_schema: rules.json}]\n"
        "    guards: {other: {test_set: guards, max_drop: 0.5}}\n"
    )
    split.file("test_orders.py", "")
    split.file(
        "test_support.py", "import pytest\n@pytest.mark.ftgate('support', margin=0.06)\ndef test_support(): pass\n"
    )
    return split


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_has_changed_since(rich: Project, verify: Callable[..., str], name: str) -> None:
    """Data, recordings, files of metrics, the code of models, and all places where keys are written."""
    report = shard(rich)
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"], report["gates"][0]["checks"]
    verify("a.json")
    CHANGES[name](rich)
    said = verify("a.json", status=1)
    assert "FAILED: support: " in said
    assert name.partition("/")[0] in said


def test_prompts_and_metric_files_are_among_the_files_of_a_gate(project: Project) -> None:
    from pytest_ftgate.config import Layer, Source, resolve_gate
    from pytest_ftgate.config.files import files_of

    judge = {"provider": "openai", "model": "j", "system_file": "judge.md"}
    calibration = {"path": "people.jsonl", "min_kappa": 0.6}
    keys = {
        **project.keys,
        "baselines": {"a": {"provider": "openai", "model": "m", "system_file": "prompt.md"}},
        "metric": {"name": "rubric", "judge": judge, "rubric_file": "rubric.md", "calibration": calibration},
        "require": [
            {"metric": {"name": "format", "json_schema": "schema.json"}, "min": 0.9},
        ],
        "guards": {"g": {"test_set": "guard.jsonl", "max_drop": 0.1, "metric": {"name": "exact_match"}}},
    }
    del keys["baseline"]
    layer = Layer(keys, dict.fromkeys(keys, Source("marker", "marker", project.path)))
    found = files_of(resolve_gate([layer], file=None, gate=None, default_name="x"))
    names = {path.relative_to(project.path).as_posix() for _, path in found}
    assert "." not in names
    assert names >= {
        "test.jsonl", "train.jsonl", "ft.jsonl", "prompt.md", "judge.md", "rubric.md", "people.jsonl", "schema.json",
        "guard.jsonl",
    }  # fmt: skip


# --- reports that must not count -----------------------------------------------------------------------------


def doctored(report: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {**report, "gates": [{**gate, **facts} for gate in report["gates"]]}


DOCTORED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "verdict": lambda red: doctored(red, verdict="pass", passed=True),
    "no checks": lambda red: doctored(red, verdict="pass", passed=True, checks=[]),
    "statuses": lambda red: doctored(
        red,
        verdict="pass",
        passed=True,
        checks=[{**one, "status": "pass"} for one in red["gates"][0]["checks"]],
    ),
    "no hashes": lambda red: doctored(red, inputs=[]),
    "partial": lambda red: {**red, "partial": True},
    "version": lambda red: {**red, "version": 0},
}


@pytest.mark.parametrize("how", DOCTORED)
def test_a_report_that_proves_nothing(split: Project, verify: Callable[..., str], how: str) -> None:
    if how in ("verdict", "statuses", "no checks"):
        split.lose()
    report = DOCTORED[how](shard(split))
    split.file("a.json", json.dumps(report))
    said = verify("a.json", status=1)
    assert "FAILED: support: " in said
    assert "passed: " not in said


def test_a_red_gate_and_one_that_a_mark_loosens(split: Project, verify: Callable[..., str]) -> None:
    split.lose()
    shard(split)
    assert "the verdict of test_support.py::test_support is fail" in verify("a.json", status=1)
    split.predictions("ft.jsonl", 60)
    split.file("test_orders.py", "import pytest\n@pytest.mark.ftgate('orders', margin=0.01)\ndef test_orders(): pass\n")
    shard(split)
    said = verify("a.json", status=1)
    assert "passed: support" in said
    assert "FAILED: orders: test_orders.py::test_orders requires less than the gate file: margin: 0.05 -> 0.01" in said


def test_only_what_failed_is_run_again(split: Project, verify: Callable[..., str]) -> None:
    """``--lf``: the second report has the gate that the first could not judge, and the first has the other one."""
    split.file("ftgate.yaml", (split.path / "ftgate.yaml").read_text().replace("ft.jsonl', ev", "late.jsonl', ev"))
    split.file("late.jsonl", "")
    shard(split)
    assert "FAILED: orders" in verify("a.json", status=1)
    split.predictions("late.jsonl", 60)
    assert len(shard(split, "--lf", to="b.json")["gates"]) == 1
    verify("a.json", "b.json")
    assert "FAILED: support" in verify("b.json", status=1)


def test_every_test_of_a_gate_must_have_passed(split: Project, verify: Callable[..., str]) -> None:
    """A shard may not have the parameter that fails, and another report not the file of a gate of a marker."""
    split.predictions("bad.jsonl", 60, wrong_at=range(39, 60))
    split.file(
        "test_support.py",
        "import pytest\n@pytest.mark.ftgate('support')\n@pytest.mark.parametrize('ftgate_candidate', "
        "['recorded:ft.jsonl', 'recorded:bad.jsonl'])\ndef test_support(ftgate_candidate): pass\n",
    )
    shard(split, "-k", "orders or (support and ft.jsonl)")
    verify("a.json")
    shard(split, "-k", "bad.jsonl", to="b.json")
    assert "FAILED: support: the verdict of " in verify("a.json", "b.json", status=1)


def test_a_gate_that_only_markers_name_is_owed_by_every_test(split: Project, verify: Callable[..., str]) -> None:
    split.ini_file("ftgate_required = own", "ftgate_required_by = verify")
    for number in (0, 1):
        split.file(f"test_own_{number}.py", f"import pytest\n{split.mark(name='own')}\ndef test_own(): pass\n")
    shard(split, "-k", "own_0")
    assert "FAILED: own: test_own_1.py::test_own has this gate too" in verify("a.json", status=1)
    shard(split, "-k", "own_1", to="b.json")
    verify("a.json", "b.json")


def test_another_gate_file(split: Project, verify: Callable[..., str]) -> None:
    split.file("easy.yaml", (split.path / "ftgate.yaml").read_text())
    shard(split, "--ftgate-config=easy.yaml")
    assert "FAILED: support: a.json: it is of another gate file than ftgate.yaml" in verify("a.json", status=1)


# --- what is required ----------------------------------------------------------------------------------------


def test_nothing_is_required(split: Project, verify: Callable[..., str]) -> None:
    split.file("pytest.ini", "[pytest]\n")
    shard(split)
    assert "nothing is required" in verify("a.json", status=1)
    verify("a.json", "--gate", "support")
    assert "FAILED: suport: " in verify("a.json", "--gate", "suport", status=1)


def test_what_the_run_required_stays_required(split: Project, verify: Callable[..., str]) -> None:
    shard(split, "-k", "support")
    split.file("pytest.ini", "[pytest]\nftgate_required = support\n")
    assert "FAILED: orders" in verify("a.json", status=1)


def test_the_ini_file_cannot_be_read_or_overridden(
    split: Project, verify: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(split, "-k", "support")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-o ftgate_required=support")
    verify("a.json", status=1)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--help")
    verify("a.json", status=1)
    split.file("pytest.ini", "[pytest]\nftgate_required_by = nobody\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(ALONE))
    verify("a.json", status=1)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("ftgate_requird = all", ("pytest.ini:4: ftgate_requird", "ftgate_required?")),
        ("ftgate_forbid_weakening = sure", ("pytest.ini:4: ftgate_forbid_weakening", "sure")),
        ("ftgate_required_by = verfy", ("pytest.ini:4: ftgate_required_by", "run or verify", "verfy")),
    ],
)
def test_an_ini_file_that_pytest_refuses_is_refused(
    split: Project, verify: Callable[..., str], line: str, parts: tuple[str, ...]
) -> None:
    shard(split)
    verify("a.json")
    split.file("pytest.ini", f"[pytest]\n# ftgate_requird\nmarkers =\n{line}\n")
    said = verify("a.json", status=1)
    assert not [part for part in parts if part not in said], said
    result = split.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not [part for part in parts if part not in result.stderr.str()]


@pytest.mark.parametrize("name", ["ft.jsonl", "recorded:ft.jsonl"])
def test_a_model_that_a_green_gate_stands_behind(split: Project, verify: Callable[..., str], name: str) -> None:
    shard(split)
    verify("a.json", "--model", name)
    verify("a.json", "--gate", "support", "--model", name)
    for args in ((), ("--gate", "support")):
        assert "passed with recorded:ft.jsonl, not with other" in verify("a.json", "--model", "other", *args, status=1)
    split.lose()
    shard(split)
    assert "no gate passed with" in verify("a.json", "--model", name, status=1)
