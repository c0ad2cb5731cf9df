"""``judge`` and ``read_report``, in a notebook or a script: the verdict, facts and stored answers of a test."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject, untimed
from gate_project import Project, block, label
from loopback import LoopbackServer

from pytest_ftgate import DataError, GateResult, Report, judge, read_report


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.filed()
    monkeypatch.chdir(project.path)
    return project


def facts(result: GateResult) -> dict[str, Any]:
    """Return the facts without those that name the test."""
    own_keys = ("nodeid", "location", "name", "gate")
    return {name: value for name, value in result.to_dict().items() if name not in own_keys}


def test_a_gate_is_judged_as_its_test_is(here: Project) -> None:
    here.marked()
    here.report()
    (reported,) = read_report(here.path / "report.json")
    judged = judge("support")
    assert judged.passed
    assert facts(judged) == facts(reported)


def test_in_ci_an_attempt_must_be_in_the_ledger(
    here: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    assert judge("support", max_attempts=2).verdict == "error"
    line = capsys.readouterr().err.partition("ftgate-attempts.jsonl:\n")[2]
    here.file("ftgate-attempts.jsonl", line)
    assert judge("support", max_attempts=2).passed


@pytest.mark.parametrize(
    ("arguments", "keys", "verdict", "named"),
    [
        (("support",), {"margin": 0.9}, "fail", "margin"),
        (("support",), {"candidate": lambda text: label(int(text.split()[-1]))}, "pass", None),
        (("support", "ftgate.yaml"), {"metric": "f1_macro"}, "pass", None),
        (("suport",), {}, "error", "'support'"),
        (("support", "conf/gates.yaml"), {}, "error", "config='ftgate.yaml'"),
        (("support",), {"marginn": 0.9}, "error", "'margin'"),
        ((), {"margin": 0.05}, "error", "its marker or judge()"),
    ],
)
def test_keys_replace_those_of_the_file(
    here: Project, arguments: tuple[str, ...], keys: dict[str, Any], verdict: str, named: str | None
) -> None:
    result = judge(*arguments, **keys)
    assert result.verdict == verdict
    assert named is None or any(
        named in f"{check.name} {check.message} {check.cure}" for check in result.checks
    )


def test_a_loop_may_run_and_answers_are_stored_for_tests(here: Project) -> None:
    here.own("asked = []\ndef tuned(text):\n    asked.append(text)\n    return good(text)\n")
    model = {"provider": "python", "target": "own:tuned", "revision": "1"}

    async def cell() -> GateResult:
        return judge("support", candidate=model)

    first, second_result = asyncio.run(cell()), judge("support", candidate=model)
    assert first.passed
    assert (first.candidate.n_stored, second_result.candidate.n_stored) == (0, first.n)


def test_a_score_is_a_number_or_says_which_there_are(here: Project) -> None:
    candidate = judge("support").candidate
    assert candidate is not None
    assert candidate.score("accuracy") == 56 / 60
    with pytest.raises(KeyError, match=r"only accuracy; add it .*metric: \[accuracy, f1_macro\]"):
        candidate.score("f1_macro")
    with pytest.raises(DataError, match=r"other\.json"):
        read_report("other.json")


def test_a_mapping_of_keys_is_no_name_of_a_gate() -> None:
    with pytest.raises(TypeError, match=r"not an object: judge\(\*\*keys\)"):
        judge({"margin": 0.05})  # type: ignore[arg-type]


def test_a_result_has_no_truth_value(here: Project) -> None:
    """Otherwise ``if judge(...)`` would deploy a model that failed."""
    result = judge("support", margin=0.9)
    with pytest.raises(TypeError, match=r"result\.passed"):
        bool(result)
    assert result == result


@pytest.mark.parametrize(
    "keys", [{}, {"margin": 0.9}, {"marginn": 0.9}], ids=["pass", "fail", "error"]
)
def test_a_printed_result_is_the_block_of_the_terminal(here: Project, keys: dict[str, Any]) -> None:
    result = judge("support", **keys)
    title, *lines = str(result).splitlines()
    assert title == f"ftgate {result.name}: {result.verdict.upper()}"
    assert lines == block(result.to_dict(whole=True), width=80)[1:]


def test_the_score_of_a_gate_that_was_not_judged_says_why(here: Project) -> None:
    here.training_set(10)
    here.own()
    result = judge("support", candidate="python:own:good")
    for model in (result.candidate, result.baseline, result.baselines["baseline"]):
        with pytest.raises(
            KeyError, match=r"accuracy was not measured.*min_training_examples: 10 usable"
        ):
            model.score("accuracy")
    read = GateResult.from_dict(result.to_dict())
    with pytest.raises(KeyError, match="min_training_examples"):
        read.candidate.score("accuracy")


@pytest.mark.parametrize(
    ("required", "args", "margin", "passed", "unjudged"),
    [
        ("", (), 0.05, True, []),
        ("", (), 0.9, False, []),
        ("all", (), 0.05, True, []),
        ("all", ("-k", "nothing"), 0.05, False, ["support"]),
        ("all", ("-k", "nothing", "--ftgate-allow-missing"), 0.05, False, ["support"]),
        ("", ("-k", "nothing"), 0.05, False, []),  # nothing was judged
    ],
)
def test_a_report_passes_only_if_every_required_gate_was_judged(
    project: Project,
    required: str,
    args: tuple[str, ...],
    margin: float,
    passed: bool,
    unjudged: list[str],
) -> None:
    project.keys["margin"] = margin
    project.gate_file(yaml.safe_dump({"version": 1, "gates": {"support": project.keys}}))
    project.marked()
    project.ini_file(*([f"ftgate_required = {required}"] if required else []))
    project.report(*args)
    report = read_report(project.path / "report.json")
    assert isinstance(report, Report)
    assert (report.passed, [gate.name for gate in report.unjudged]) == (passed, unjudged)
    assert list(report) == list(report.gates) == [report[i] for i in range(len(report))]
    assert len(report) == (0 if args else 1)


HOOKS = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'same': pytest_ftgate.metric(\n"
    "    low=0, high=1, greater_is_better=True)(lambda expected, answer: float(expected == answer))}\n"
)
BOTH = {"small": "recorded:base.jsonl", "large": "recorded:ft.jsonl"}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (None, {}),
        (None, {"margin": 3, "confidence": 7, "margn": 0}),
        (None, {"candidate": ..., "stage": "ready"}),
        (None, {"metric": "same"}),
        (None, {"baseline": "small", "margin": ...}),
        *((name, {"margin": 0.01}) for name in ("support", "suport")),
    ],
    ids=str,
)
def test_a_mark_is_judged_in_process_as_in_a_run(
    project: Project, name: str | None, changes: dict[str, Any]
) -> None:
    project.file("conftest.py", HOOKS)
    written = {"models": BOTH, "defaults": {"margin": 0.1}, "gates": {"support": project.keys}}
    project.gate_file(yaml.safe_dump({"version": 1, **written}))
    if name is not None:
        project.keys = {"gate": name}
    project.gate_test(**changes)
    gate = project.whole()
    assert bool(gate["loosened"]) is (name == "support")
    assert project.judge(name, **changes) == gate
    assert set(block(gate, width=80)[1:]) <= set(project.result.outlines)


@pytest.mark.usefixtures("no_ambient_settings")
def test_models_that_are_called(
    tmp_path: Path, pytester: pytest.Pytester, server: LoopbackServer
) -> None:
    elsewhere = EndpointProject(tmp_path, server)
    elsewhere.gate_test()
    apart = elsewhere.judge()
    project = EndpointProject(pytester, server)
    project.gate_test()
    assert untimed(apart) == untimed(project.whole())
    project.forget()
    assert project.judge(stored=True, offline=True)["verdict"] == "pass"
    assert not server.requests
