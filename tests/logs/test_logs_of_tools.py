"""Logs that other evaluation tools write here, judged by one command, without a network: nox -s logs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, label, write_jsonl, wrong

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries
N = 60
TASK = """\
task: intents
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
doc_to_text: "{{{{input}}}}"
doc_to_target: "{{{{expected}}}}"
"""
GENERATED = """\
output_type: generate_until
generation_kwargs: {until: ["\\n"], max_gen_toks: 5}
metric_list: [{metric: exact_match}]
"""
CHOICES = """\
output_type: multiple_choice
doc_to_choice: [refund, invoice, shipping]
metric_list: [{metric: acc}]
"""


def needs(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: nox -s logs")


def judged(
    project: Project, baseline: Path, candidate: Path, *args: str, **keys: Any
) -> dict[str, Any]:
    """Judge two logs by one command in a process of its own; return the gate of its JSON report."""
    recorded = {"baseline": f"recorded:{baseline}", "candidate": f"recorded:{candidate}"}
    project.gate_test(**{**recorded, **keys})
    return project.gate(*args, "-W", "ignore", apart=True)


# --- inspect_ai ------------------------------------------------------------------------------------------------


class Words:
    """Stand for a tokenizer, which inspect_ai would download."""

    def encode(self, text: str, **_: Any) -> list[str]:
        return text.split()

    encode_ordinary = encode


def inspect_log(folder: Path, answers: Sequence[str], form: str) -> Path:
    """Let inspect_ai write the log of a task with these answers."""
    inspect_ai = import_module("inspect_ai")
    models = import_module("inspect_ai.model")
    sample = import_module("inspect_ai.dataset").Sample
    outputs = [models.ModelOutput.from_content("mockllm/model", answer) for answer in answers]
    (log,) = inspect_ai.eval(
        inspect_ai.Task(
            dataset=[
                sample(id=f"t{i}", input=f"customer question {i}", target=label(i))
                for i in range(N)
            ],
            solver=[import_module("inspect_ai.solver").generate()],
            scorer=import_module("inspect_ai.scorer").match(),
            name="intents",
        ),
        model=models.get_model("mockllm/model", custom_outputs=outputs, memoize=False),
        log_dir=str(folder),
        log_format=form,
        display="none",
        max_samples=1,
    )
    assert log.status == "success"
    return Path(str(log.location).removeprefix("file://"))


@pytest.mark.parametrize("form", ["eval", "json"])
def test_logs_of_inspect_are_judged(
    project: Project, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    needs("inspect_ai")
    monkeypatch.setattr(import_module("tiktoken"), "get_encoding", lambda _: Words())
    answers = {
        "base": [label(i) if i < 40 else wrong(i) for i in range(N)],
        "ft": [label(i) if i < 56 else wrong(i) for i in range(N)],
    }
    logs = {name: inspect_log(project.path / name, answers[name], form) for name in answers}
    assert {log.suffix for log in logs.values()} == {f".{form}"}

    gate = judged(project, logs["base"], logs["ft"])
    assert (gate["verdict"], gate["gain"]) == ("pass", pytest.approx(16 / 60))
    assert gate["candidate"]["n_scored"] == N


# --- lm-evaluation-harness -------------------------------------------------------------------------------------


def lm_eval_log(folder: Path, task: str, seed: int) -> Path:
    """Let lm-eval write the samples of a task, answered at random by its model ``dummy``."""
    folder.mkdir()
    rows = [
        {"id": f"t{i}", "input": f"customer question {i}", "expected": label(i)} for i in range(N)
    ]
    data = write_jsonl(folder / "data.jsonl", rows)
    (folder / "intents.yaml").write_text(TASK.format(path=data) + task, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "lm_eval",
        "--model",
        "dummy",
        "--tasks",
        "intents",
        "--include_path",
        str(folder),
    ]
    command += ["--log_samples", "--output_path", str(folder / "out"), "--seed", str(seed)]
    subprocess.run(
        command,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")},
    )
    (log,) = folder.glob("out/**/samples_intents_*.jsonl")
    return log


@pytest.mark.parametrize("task", [GENERATED, CHOICES], ids=["generated", "choices"])
def test_logs_of_lm_eval_are_judged(project: Project, task: str) -> None:
    """The model ``dummy`` always generates one text, and chooses at random: neither is worth a fine-tune."""
    needs("lm_eval")
    log = lm_eval_log(project.path / "task", task, 1)

    accept = {"weak_baseline": "warn", "formatting_gain": "warn"}
    perfect = write_jsonl(
        project.path / "ft.jsonl", [{"id": f"t{i}", "output": label(i)} for i in range(N)]
    )
    gate = judged(project, log, perfect, checks=accept)
    assert gate["verdict"] == "pass"
    assert gate["baseline"]["n_scored"] == N
    assert gate["baseline"]["value"] < 0.7

    gate = judged(project, perfect, log, checks=accept)
    assert gate["verdict"] == "fail"
    assert gate["candidate"]["n_scored"] == N


# --- pydantic-evals, DeepEval and promptfoo ---------------------------------------------------------------------


QUESTIONS = [f"customer question {i}" for i in range(N)]
LABELS = [label(i) for i in range(N)]
ANSWERS = {
    "base": [label(i) if i < 40 else wrong(i) for i in range(N)],
    "ft": [label(i) if i < 56 else wrong(i) for i in range(N)],
}


def pydantic_evals_report(folder: Path, name: str) -> Path:
    """Let pydantic-evals ask a function, and write its report."""
    evals = import_module("pydantic_evals")
    answers = dict(zip(QUESTIONS, ANSWERS[name], strict=True))
    cases = [
        evals.Case(inputs=question, expected_output=answer)
        for question, answer in zip(QUESTIONS, LABELS, strict=True)
    ]
    data = evals.Dataset(name="intents", cases=cases, evaluators=[])
    data.to_file(folder / "tests.json")
    data.to_file(folder / "tests.yaml")
    report = data.evaluate_sync(answers.__getitem__, progress=False)
    path = folder / f"{name}.json"
    adapter = import_module("pydantic_evals.reporting").EvaluationReportAdapter
    path.write_bytes(adapter.dump_json(report))
    return path


def deepeval_cases(folder: Path, name: str) -> Path:
    """Let DeepEval write its goldens and test cases."""
    data = import_module("deepeval.dataset")
    case = import_module("deepeval.test_case").LLMTestCase
    texts = list(zip(QUESTIONS, LABELS, ANSWERS[name], strict=True))
    goldens = [
        data.Golden(input=question, expected_output=expected) for question, expected, _ in texts
    ]
    data.EvaluationDataset(goldens=goldens).save_as("json", str(folder), file_name="tests")
    cases = data.EvaluationDataset()
    for question, expected, answer in texts:
        cases.add_test_case(case(input=question, expected_output=expected, actual_output=answer))
    cases.save_as("json", str(folder), file_name=name, include_test_cases=True)
    return folder / f"{name}.json"


def deepeval_run(folder: Path, name: str) -> Path:
    """Let DeepEval judge test cases, and keep the run."""
    deepeval = import_module("deepeval")
    metric = import_module("deepeval.metrics").ExactMatchMetric()
    deepeval_cases(folder, name)
    case = import_module("deepeval.test_case").LLMTestCase
    cases = [
        case(input=question, expected_output=expected, actual_output=answer)
        for question, expected, answer in zip(QUESTIONS, LABELS, ANSWERS[name], strict=True)
    ]
    results = folder / name
    os.environ["DEEPEVAL_RESULTS_FOLDER"] = str(results)
    deepeval.evaluate(test_cases=cases, metrics=[metric])
    (path,) = results.glob("*.json")
    return path


PROVIDER = """\
const answers = %s;
module.exports = class {
  id() { return "own"; }
  async callApi(prompt) { return { output: answers[prompt] }; }
};
"""


def promptfoo_results(folder: Path, name: str) -> Path:
    """Let promptfoo ask a provider of one's own; its results are the test set, too."""
    answers = dict(zip(QUESTIONS, ANSWERS[name], strict=True))
    (folder / f"{name}.js").write_text(PROVIDER % json.dumps(answers), encoding="utf-8")
    tests = []
    for question, expected in zip(QUESTIONS, LABELS, strict=True):
        tests.append(
            {"vars": {"question": question}, "assert": [{"type": "equals", "value": expected}]}
        )
    config = {"prompts": ["{{question}}"], "providers": [f"file://{name}.js"], "tests": tests}
    (folder / f"{name}.yaml").write_text(json.dumps(config), encoding="utf-8")
    # Wrong answers are no failure of its command where this is 0.
    quiet = ("DISABLE_TELEMETRY=1", "DISABLE_UPDATE=1", "FAILED_TEST_EXIT_CODE=0")
    settings = dict(f"PROMPTFOO_{setting}".split("=") for setting in quiet)
    settings["PROMPTFOO_CONFIG_DIR"] = str(folder)
    command = ["promptfoo", "eval", "--no-cache", "--no-table", "-c", f"{name}.yaml"]
    for out in (f"{name}.json", "tests.json"):
        subprocess.run(
            [*command, "-o", out],
            check=True,
            cwd=folder,
            env={**os.environ, **settings},
            capture_output=True,
        )
    return folder / f"{name}.json"


@pytest.mark.parametrize(
    ("library", "write", "test_set"),
    [
        ("pydantic_evals", pydantic_evals_report, "tests.json"),
        ("pydantic_evals", pydantic_evals_report, "tests.yaml"),
        ("deepeval", deepeval_cases, "tests.json"),
        ("deepeval", deepeval_run, "tests.json"),
        ("promptfoo", promptfoo_results, "tests.json"),
    ],
)
def test_cases_of_a_tool_are_a_test_set_and_its_results_are_answers(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    write: Callable[[Path, str], Path],
    test_set: str,
) -> None:
    monkeypatch.setenv("DEEPEVAL_TELEMETRY_OPT_OUT", "YES")
    monkeypatch.setenv("DEEPEVAL_RESULTS_FOLDER", "")
    if library == "promptfoo" and shutil.which("promptfoo") is None:
        pytest.skip("promptfoo is not installed: npm install --global promptfoo")
    if library != "promptfoo":
        needs(library)
    logs = {name: write(project.path, name) for name in ANSWERS}

    gate = judged(project, logs["base"], logs["ft"], test_set=test_set)
    assert (gate["verdict"], gate["gain"]) == ("pass", pytest.approx(16 / 60))
    assert gate["candidate"]["n_scored"] == N
