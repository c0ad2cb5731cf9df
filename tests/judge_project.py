"""Projects whose answers are judged: by functions in ``judges.py``, or by the model ``judge`` of a loopback server."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from endpoint_project import EndpointProject
from gate_project import Project, write_jsonl

RUBRIC = "A good answer greets the customer and names the number."
N = 60


def task(index: int) -> str:
    return f"customer question {index}"


def good(index: int) -> str:
    return f"Hello! Your number is {index}, gladly."


def poor(index: int) -> str:
    return f"number {index}"


def asked_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a judge's question: of a request, or of the messages that a Python judge is given."""
    messages = body["messages"] if isinstance(body, dict) else body
    found: dict[str, Any] = json.loads(messages[-1]["content"])
    return found


def quality(answer: str) -> int:
    return 5 if answer.startswith("Hello") else 2


def honest(body: dict[str, Any]) -> str:
    """Return a judge that looks at what it is asked about."""
    data = asked_of(body)
    if "answer" in data:
        return json.dumps({"score": quality(data["answer"])})
    first, second = quality(data["answer_A"]), quality(data["answer_B"])
    return json.dumps({"better": "tie" if first == second else "A" if first > second else "B"})


HONEST = """
import json

def quality(answer):
    return 5 if answer.startswith("Hello") else 2

def honest(messages):
    data = json.loads(messages[-1]["content"])
    if "answer" in data:
        return json.dumps({"score": quality(data["answer"])})
    first, second = quality(data["answer_A"]), quality(data["answer_B"])
    return json.dumps({"better": "tie" if first == second else "A" if first > second else "B"})

def first(messages):
    return '{"better": "A"}'

def chatty(messages):
    return "I would say 4 of 5."
"""


class Judged:
    """What both projects have: 60 answers of each model, the candidate's good on 50, the baseline's on 20."""

    good_at: ClassVar = {"base": range(20), "ft": range(10, 60)}

    def answer_of(self, model: str, index: int) -> str:
        return good(index) if index in self.good_at[model] else poor(index)


class PythonJudged(Judged, Project):
    """Recorded models and Python judges."""

    def __init__(self, pytester: Any) -> None:
        super().__init__(pytester)
        for name, model in (("base.jsonl", "base"), ("ft.jsonl", "ft")):
            write_jsonl(self.path / name, [{"id": f"t{i}", "output": self.answer_of(model, i)} for i in range(N)])
        self.file("judges.py", HONEST)
        pytester.makeini("[pytest]\npythonpath = .\n")

    def judged_by(self, judge: Any = "python:judges:honest", /, name: str = "rubric", **options: Any) -> None:
        changes = options.pop("gate", {})
        metric = {"name": name, "judge": judge, "rubric": RUBRIC, **options}
        self.gate_test(metric=metric, **{"margin": 0.3 if name == "rubric" else 0.05, **changes})


class ServedJudged(Judged, EndpointProject):
    """Models and judge at one server."""

    def __init__(self, pytester: Any, server: Any) -> None:
        super().__init__(pytester, server)
        self.judge = honest
        server.answer = self._answer

    def _answer(self, body: dict[str, Any]) -> Any:
        if body["model"].startswith("judge"):
            return self.judge(body)
        (number,) = re.findall(r"question (\d+)", body["messages"][-1]["content"])
        return self.answer_of(body["model"], int(number))

    def judged_by(self, judge: Any = "judge", /, name: str = "rubric", **options: Any) -> None:
        changes = options.pop("gate", {})
        of_file = isinstance(judge, str) and judge.startswith("recorded:")
        model = self.model(judge) if isinstance(judge, str) and not of_file else judge
        metric = {"name": name, "judge": model, "rubric": RUBRIC, **options}
        self.gates(metric=metric, **{"margin": 0.3 if name == "rubric" else 0.05, **changes})

    def n_asked(self, prefix: str) -> int:
        return sum(body["model"].startswith(prefix) for body in self.server.bodies)
