"""Projects whose answers are judged: by functions in ``judges.py``, or by the model ``judge`` of a loopback server."""

import json
import re
from inspect import getsource
from typing import Any, ClassVar

from endpoint_project import EndpointProject
from gate_project import Project

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
    request: dict[str, Any] = json.loads(messages[-1]["content"])
    return request


def quality(answer: str) -> int:
    return 5 if answer.startswith("Hello") else 2


def honest(body: dict[str, Any]) -> str:
    """Return a judge that looks at what it is asked about."""
    data = asked_of(body)
    if "answer" in data:
        return json.dumps({"score": quality(data["answer"])})
    first, second = quality(data["answer_A"]), quality(data["answer_B"])
    return json.dumps({"better": "tie" if first == second else "A" if first > second else "B"})


def first(body: dict[str, Any]) -> str:
    return json.dumps({"better": "A"})


HONEST = "from __future__ import annotations\nimport json\n\n"
HONEST += "\n\n".join(getsource(function) for function in (asked_of, quality, honest, first))


class Judged(Project):
    """What both projects have: 60 answers of each model, the candidate's good on 50, the baseline's on 20."""

    good_at: ClassVar = {"base": range(20), "ft": range(10, 60)}

    def answer_of(self, model: str, index: int) -> str:
        return good(index) if index in self.good_at[model] else poor(index)

    def asking(self, judge: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """Return the keys of a gate whose metric asks this judge."""
        changes = options.pop("gate", {})
        metric = {"name": name, "judge": judge, "rubric": RUBRIC, **options}
        return {"metric": metric, "margin": 0.3 if name == "rubric" else 0.05, **changes}


class PythonJudged(Judged):
    """Recorded models and Python judges."""

    def __init__(self, pytester: Any) -> None:
        super().__init__(pytester)
        for name, model in (("base.jsonl", "base"), ("ft.jsonl", "ft")):
            self.predictions(name, N, output=lambda i, model=model: self.answer_of(model, i))
        self.file("judges.py", HONEST)
        pytester.makeini("[pytest]\npythonpath = .\n")

    def judged_by(
        self, judge: Any = "python:judges:honest", /, name: str = "rubric", **options: Any
    ) -> None:
        self.gate_test(**self.asking(judge, name, options))

    def by(
        self, judge: Any = "python:judges:honest", /, name: str = "rubric", **options: Any
    ) -> dict[str, Any]:
        """Judge without pytest."""
        return self.judge(**self.asking(judge, name, options))


class ServedJudged(Judged, EndpointProject):
    """Models and judge at one server."""

    def __init__(self, pytester: Any, server: Any) -> None:
        super().__init__(pytester, server)
        self.judge_says = honest
        server.answer = self._answer

    def _answer(self, body: dict[str, Any]) -> Any:
        if body["model"].startswith("judge"):
            return self.judge_says(body)
        (number,) = re.findall(r"question (\d+)", body["messages"][-1]["content"])
        return self.answer_of(body["model"], int(number))

    def _model(self, judge: Any) -> Any:
        return (
            self.model(judge)
            if isinstance(judge, str) and not judge.startswith("recorded:")
            else judge
        )

    def judged_by(self, judge: Any = "judge", /, name: str = "rubric", **options: Any) -> None:
        self.gates(**self.asking(self._model(judge), name, options))

    def by(self, judge: Any = "judge", /, name: str = "rubric", **options: Any) -> dict[str, Any]:
        """Judge without pytest; what is said is kept."""
        return self.judge(**{"stored": True, **self.asking(self._model(judge), name, options)})

    def n_asked(self, prefix: str) -> int:
        return sum(body["model"].startswith(prefix) for body in self.server.bodies)
