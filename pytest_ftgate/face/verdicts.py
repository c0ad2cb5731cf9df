"""What was judged in one session: in this process, and by xdist's workers, whose verdicts are heard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.pipeline import Judged
from pytest_ftgate.result import GateResult

if TYPE_CHECKING:
    from pytest_ftgate.diagnosis.answers import Answers


class Verdicts:
    """The first verdict of each test, by node id.

    Attributes:
        results: the verdicts.
        facts: the same as JSON, of the tests of this process.
        answers: all answers of the models, where a report shows them.
    """

    def __init__(self) -> None:
        self.results: dict[str, GateResult] = {}
        self.facts: dict[str, str] = {}
        self.answers: dict[str, Answers] = {}

    @property
    def all_passed(self) -> bool:
        return all(result.passed for result in self.results.values())

    def keep(self, nodeid: str, result: GateResult, facts: str) -> None:
        """A verdict of this process."""
        self.results[nodeid] = result
        self.facts[nodeid] = facts

    def keep_answers(self, nodeid: str, judged: Judged) -> None:
        """What a page shows of every example."""
        from pytest_ftgate.diagnosis.answers import side_by_side

        baselines = judged.result.baselines
        best = next((role for role, facts in baselines.items() if facts == judged.result.baseline), None)
        if judged.prepared is not None and best is not None and best in judged.scored:
            deciding = judged.prepared.deciding
            self.answers[nodeid] = side_by_side(deciding, judged.scored, judged.samples, best)

    def hear(self, nodeid: str, facts: str) -> None:
        """A verdict of one of xdist's workers, out of a test report or, where a hook altered that, at its end.

        Where several workers judge one test (``--dist=each``), a verdict that is not ``pass`` counts.
        """
        heard, known = json.loads(facts), self.results.get(nodeid)
        if known is None or (known.passed and not heard["passed"]):
            self.results[nodeid] = GateResult.from_dict(heard)

    def to_plain(self) -> dict[str, Any]:
        """For an xdist worker's output."""
        return {"facts": self.facts, "answers": {nodeid: one.to_json() for nodeid, one in self.answers.items()}}

    def add(self, plain: Mapping[str, Any]) -> None:
        """What a worker has judged; the answers of a test belong to the verdict that counts."""
        from pytest_ftgate.diagnosis.answers import Answers

        for nodeid, facts in plain["facts"].items():
            self.hear(nodeid, facts)
            if nodeid in plain["answers"] and self.results[nodeid] == GateResult.from_dict(json.loads(facts)):
                self.answers[nodeid] = Answers.from_json(plain["answers"][nodeid])
