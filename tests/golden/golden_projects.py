"""The projects whose reports are kept: small gates that together show every part of a report.

Each function builds one project in an empty folder. Add a project where a new part of a report would not be seen in any
of these.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import (
    GATE,
    LARGE,
    SMALL,
    USAGE,
    Project,
    label,
    on_a_branch,
    recorded,
    write_jsonl,
    wrong,
)
from judge_project import PythonJudged, ServedJudged
from loopback import LoopbackServer

Build = Callable[[Any], None]
PROJECTS: dict[str, Callable[[pytest.Pytester, LoopbackServer], Project]] = {}
FACTS = ("prompted", "economics", "guards_and_slices")  # whose JSON report is kept whole
PAGES = ("guards_and_slices",)  # whose HTML is kept too
ROOMS = ("kitchen", "hall", "attic")


def golden(kind: type[Any] = Project) -> Callable[[Build], Build]:
    """Keep the reports of a project of this kind."""

    def keep(build: Build) -> Build:
        def made(pytester: pytest.Pytester, server: LoopbackServer) -> Project:
            project: Project = (
                kind(pytester, server) if issubclass(kind, EndpointProject) else kind(pytester)
            )
            build(project)
            return project

        PROJECTS[build.__name__] = made
        return build

    return keep


def plain(name: str, answers: Mapping[str, Iterable[int]] | None = None, /, **keys: Any) -> None:
    """A project of which only keys differ, and what its recorded models have wrong."""

    def build(project: Project) -> None:
        for file, missed in (answers or {}).items():
            project.predictions(file, 60, missed)
        project.gate_test(**keys)

    build.__name__ = name
    golden()(build)


# --- what a gate decides -------------------------------------------------------------------------------------

plain("green", name="support", metric=["accuracy", "f1_macro"], hypothesis="labels are learned")
plain("inconclusive", {"ft.jsonl": (*range(3), *range(47, 60))}, evidence="proven")
plain("misspelt_key", margn=0.1)
plain("knowledge", {"base.jsonl": range(10, 60)}, goal="knowledge")
BOTH = {"prompted": "recorded:base.jsonl", "plain": "recorded:weak.jsonl"}
plain("baselines", {"weak.jsonl": range(25, 60)}, baseline=..., baselines=BOTH)


@golden()
def missing_answer(project: Project) -> None:
    project.predictions("ft.jsonl", 59)
    project.gate_test()


@golden()
def margin_missed(project: Project) -> None:
    keys = "".join(
        f"    {key}: {value}\n" for key, value in project.keys.items() if key != "margin"
    )
    project.gate_file(
        "version: 1\ndefaults: {confidence: 0.9}\ngates:\n  support:\n    margin: 0.3\n"
        f"    thresholds: {{accuracy: {{min: 0.95}}, f1_macro: {{min: 0.5}}}}\n{keys}"
    )
    project.marked()


@golden()
def unfit_data(project: Project) -> None:
    """Leaks, contradictions, duplicates, and too few rows, before any model is asked."""
    rows = [{"input": f"training question {i}", "expected": label(i)} for i in range(190)]
    rows += [{"input": f"customer question {i}", "expected": label(i)} for i in range(3)]
    rows += [{"input": f"Training  question {i}", "expected": wrong(i)} for i in range(4)]
    write_jsonl(
        project.path / "train.jsonl",
        [*rows, rows[9], {"input": "an unseen label", "expected": "other"}],
    )
    project.predictions("base.jsonl", 59)  # else its gain is shown
    project.gate_test()


@golden()
def wrong_form(project: Project) -> None:
    """The baseline knows as much, but answers in sentences."""
    project.test_set(120)
    project.predictions("base.jsonl", 120, output=lambda i: f"The label is {label(i)}.")
    project.predictions("ft.jsonl", 120, range(4))
    project.gate_test(name="intents")


@golden()
def straw_man(project: Project) -> None:
    """The baseline gives one answer to nearly everything."""
    project.predictions("base.jsonl", 60, output=lambda i: "refund" if i else "invoice")
    project.gate_test(name="intents")


@golden()
def no_room(project: Project) -> None:
    """The baseline leaves less than the margin."""
    project.test_set(120)
    project.predictions("base.jsonl", 120, range(4))
    project.predictions("ft.jsonl", 120)
    project.gate_test(name="intents")


# --- the case for fine-tuning --------------------------------------------------------------------------------


@golden()
def match(project: Project) -> None:
    """Return a small model in place of a large one: as good, cheaper and faster."""
    project.test_set(300)
    project.predictions("base.jsonl", 300, range(270, 300), usage=USAGE, latency_s=1.0)
    project.predictions("ft.jsonl", 300, (0, 1, *range(270, 299)), usage=USAGE, latency_s=0.5)
    project.keys |= {
        "baseline": recorded("base.jsonl", price=LARGE),
        "candidate": recorded("ft.jsonl", price=SMALL),
        "thresholds": {"latency_p95_s": {"max": 0.4}, "cost_usd": {"max": 1}},
    }
    project.gate_test(margin=..., max_drop=0.02, cheaper_by=6, faster_by=2)


@golden()
def economics(project: Project) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 50}
    project.predictions("base.jsonl", 60, range(40, 60), usage=usage)
    project.predictions("ft.jsonl", 60, (0, 1, 58, 59), usage=usage)
    costs = {
        "training_cost_usd": 100,
        "data_cost_usd": 200,
        "hosting_usd_per_month": 10,
        "retrains_per_year": 4,
    }
    project.gate_test(
        baseline=recorded("base.jsonl", price=LARGE, name="large"),
        candidate=recorded("ft.jsonl", price=SMALL, name="small"),
        economics={"calls_per_month": 200_000, **costs, "max_break_even_days": 20},
    )


@golden()
def guards_and_slices(project: Project) -> None:
    project.test_set(120, lang=lambda i: ("en", "de", "fr", "it")[i // 35])
    project.predictions("base.jsonl", 120, wrong_at=(*range(20), *range(60, 80)))
    project.predictions("ft.jsonl", 120, wrong_at=range(85, 95))
    for name, n, ft in (("general", 110, (7,)), ("safety", 120, range(20))):
        project.test_set(n, f"{name}.jsonl", prefix=name, input=f"{name} item {{}}".format)
        project.predictions("base.jsonl", n, prefix=name, add=True)
        project.predictions("ft.jsonl", n, ft, prefix=name, add=True)
    project.gate_test(
        slices=["lang"],
        guards={
            name: {"test_set": f"{name}.jsonl", "max_drop": 0.03} for name in ("general", "safety")
        },
    )


@golden()
def ready(project: Project) -> None:
    (project.path / "ft.jsonl").unlink()
    hypothesis = {"from": 0.7, "to": 0.85, "because": "labels drift"}
    project.gate_test(candidate=..., stage="ready", hypothesis=hypothesis)


# --- metrics -------------------------------------------------------------------------------------------------


@golden()
def f1_macro_in_groups(project: Project) -> None:
    project.test_set(60, group=lambda i: f"g{i // 2}")
    hypothesis = {"from": 0.4, "to": 0.99}
    project.gate_test(metric=[{"name": "f1_macro"}, "cohen_kappa"], hypothesis=hypothesis)


def _wanted(i: int) -> dict[str, Any]:
    return {"intent": ("light", "heat")[i % 2], "slots": {"room": ROOMS[i % 3], "level": i}}


def _forms(project: Project) -> None:
    project.test_set(60, input="say {}".format, expected=_wanted)
    project.training_set(
        0, [{"input": f"train {i}", "expected": _wanted(i + 1000)} for i in range(200)]
    )

    def right(i: int) -> str:
        return json.dumps(_wanted(i))

    def typo(i: int) -> str:
        return right(i).replace('"room": "', '"room": "x')

    def of_baseline(i: int) -> str:
        if i < 20:
            return typo(i)
        return f"```json\n{right(i)}\n```" if i < 26 else right(i)

    def of_candidate(i: int) -> str:
        return typo(i) if i in (30, 31) else right(i)

    project.predictions("base.jsonl", 60, output=of_baseline)
    project.predictions("ft.jsonl", 60, output=of_candidate)


@golden()
def extraction(project: Project) -> None:
    _forms(project)
    project.gate_test(
        metric="field_f1", thresholds={"exact_match": {"min": 0.9}}, goal="extraction"
    )


@golden()
def answer_format(project: Project) -> None:
    _forms(project)
    rooms = {"type": "object", "properties": {"room": {"enum": [*ROOMS]}}}
    schema = {"type": "object", "properties": {"slots": rooms}, "required": ["intent"]}
    project.file("intent.json", json.dumps(schema))
    project.gate_test(metric={"name": "format", "json_schema": "intent.json"})


@golden()
def texts(project: Project) -> None:
    """Return a graded metric, and one from a hook of the project."""

    def sentence(i: int) -> str:
        return f"send the invoice {i} again to our office in {ROOMS[i % 3]}"

    def garbled(i: int) -> str:
        return sentence(i).replace("the invoice", "indeed" * (i % 4)).replace("office", "indeed")

    project.test_set(80, input="sentence {}".format, expected=sentence)
    project.training_set(
        0, [{"input": f"training {i}", "expected": sentence(1000 + i)} for i in range(200)]
    )
    for name, bad in (("base.jsonl", range(60)), ("ft.jsonl", range(70, 80))):
        project.predictions(
            name, 80, output=lambda i, bad=bad: (garbled if i in bad else sentence)(i)
        )
    project.file(
        "conftest.py",
        "import pytest_ftgate\n\n\n"
        "def pytest_ftgate_metrics():\n"
        "    distance = pytest_ftgate.metric(low=0, high=10, greater_is_better=False)\n"
        "    return {'distance': distance(lambda expected, answer: 0.0 if expected == answer else 5.0)}\n",
    )
    thresholds = {"distance": {"max": 0.5}}
    project.gate_test(metric=["token_f1", "exact_match", "edit_similarity"], thresholds=thresholds)


@golden(ServedJudged)
def judged(project: ServedJudged) -> None:
    project.judged_by()


@golden(PythonJudged)
def preferred(project: PythonJudged) -> None:
    """Compare the answers of both models with a judge that is a Python function."""
    project.judged_by(
        {"provider": "python", "target": "judges:honest", "revision": "1"}, name="preference"
    )


# --- models --------------------------------------------------------------------------------------------------


@golden(EndpointProject)
def prompted(project: EndpointProject) -> None:
    """Return all that is part of a question, and so of the key of its answer."""
    project.file("prompt.txt", "Answer with one label.")
    options = {
        "few_shot": 2,
        "template": "Customer: {input}",
        "params": {"temperature": 0, "seed": 7},
    }
    project.gate_test(
        baseline=project.model("base", system_file="prompt.txt", price=LARGE, **options),
        candidate=project.model("ft", system="Label.", revision="2", price=SMALL),
    )


@golden()
def python_models(project: Project) -> None:
    project.own(
        "from pytest_ftgate import Completion\n"
        "async def ft(text): return Completion(text=good(text), input_tokens=5, output_tokens=1)\n",
    )
    project.gate_test(
        baseline={"provider": "python", "target": "own:weak", "revision": "1", "name": "rules"},
        candidate={"provider": "python", "target": "own:ft", "revision": "step-500"},
    )


@golden(EndpointProject)
def repeated_calls(project: EndpointProject) -> None:
    project.gates(repeats=2)


@golden(EndpointProject)
def looked_up(project: EndpointProject) -> None:
    """Find answers by their keys in the folder of recordings, and call no endpoint."""
    project.gates()
    project.run("--ftgate-report=recordings:recorded")
    shutil.rmtree(project.path / ".ftgate")
    project.file(
        "tox.ini", "[pytest]\nftgate_config = gates/ftgate.yaml\nftgate_recordings = recorded\n"
    )
    project.forget()
    project.server.answer = None  # type: ignore[assignment]  # so that a call would be an error


# --- over time, and in a repository --------------------------------------------------------------------------


@golden(EndpointProject)
def aged(project: EndpointProject) -> None:
    """Return a gate that was green 100 days ago, on answers of that day; some other answers are worse today."""
    project.gate_test(max_age_days=90)
    project.run()
    long = 100 * 86_400
    with closing(sqlite3.connect(project.path / ".ftgate/predictions.sqlite3")) as store, store:
        store.execute("UPDATE predictions SET created_at = created_at - ?", (long,))
        for name, text in store.execute("SELECT name, text FROM notes").fetchall():
            data = json.loads(text)
            if "judged_at" in data:
                data["judged_at"] -= long
                store.execute("UPDATE notes SET text = ? WHERE name = ?", (json.dumps(data), name))
    project.gate_test(max_age_days=90, candidate=project.model("ft", revision="2"))
    answer = project.server.answer
    project.server.answer = lambda body: (
        wrong(index_of(body)) if index_of(body) in range(20, 24) else answer(body)
    )


@golden()
def weakened(project: Project) -> None:
    """Return a change that asks less of its own gate, which the project forbids."""
    if not shutil.which("git"):
        pytest.skip("there is no git")
    project.filed(", min_test_examples: 60")
    project.ini_file("ftgate_forbid_weakening = true")
    on_a_branch(project.path)
    text = (project.path / "ftgate.yaml").read_text()
    project.gate_file(
        text.replace("margin: 0.05", "margin: 0.04").replace("examples: 60", "examples: 55")
    )


@golden()
def obligations(project: Project) -> None:
    """One required gate that a mark loosens, one that is skipped, and one that no test has."""
    gates = "".join(f"  {name}: {{{GATE}}}\n" for name in ("orders", "refunds", "rest"))
    project.gate_file(f"version: 1\ngates:\n{gates}")
    project.ini_file("ftgate_required = all")
    project.file(
        "test_gate.py",
        "import pytest\n\n\n@pytest.mark.ftgate('orders', margin=0.01)\ndef test_orders(): pass\n\n\n"
        "@pytest.mark.skip(reason='slow')\n@pytest.mark.ftgate('refunds')\ndef test_refunds(): pass\n",
    )
