"""Texts that the page shows beside a result. They are many: neither the JSON report nor JUnit keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.attempts import hides, shown_answers
from pytest_ftgate.data import DataSet, canonical_json
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.result import called, from_plain
from pytest_ftgate.runs.answer_rows import Answers, side_by_side
from pytest_ftgate.runs.measure import shown_input
from pytest_ftgate.text import readable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_PROMPT_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two near-duplicate rows: where each is, as ``train.jsonl:7``, and its input."""

    row: str
    text: str
    earlier: str
    earlier_text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Texts of one gate.

    ``answers`` is None where the models were not scored. ``prompts`` are the messages that were sent for the first test
    example, by the models that were sent them. ``leaked`` and ``leaked_near`` pair a test example with a training row,
    ``near_duplicates`` two training rows.
    """

    answers: Answers | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    leaked: tuple[NearPair, ...] = ()
    leaked_near: tuple[NearPair, ...] = ()
    near_duplicates: tuple[NearPair, ...] = ()

    def to_json(self) -> str:
        """Return it on one line, for another process."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Evidence:
        """Return what :meth:`to_json` wrote."""
        return from_plain(cls, json.loads(text))


def collect(gate: Context) -> Evidence:
    """Return the texts of a gate that was judged."""
    answers = None
    if gate.best in gate.scored:
        shown = shown_answers(gate) if hides(gate) else gate.scored
        answers = side_by_side(gate.deciding, shown, gate.samples, gate.best) if shown else None
    audit, training = gate.audit, gate.training
    return Evidence(
        answers,
        _prompts(gate),
        tuple(_pairs(gate.test, training, audit.leaked_rows)),
        tuple(_pairs(gate.test, training, audit.leaked_near_rows)),
        tuple(_pairs(training, training, audit.near_rows)),
    )


def _prompts(gate: Context) -> dict[str, str]:
    """Return each different prompt once, by the models that share it."""
    roles: dict[str, list[str]] = {}
    for role in (*gate.config.baselines, "candidate"):
        prompt = getattr(gate.runs[role].model, "prompt", None) if role in gate.runs else None
        if isinstance(prompt, Prompt):
            messages = map(_message, prompt.messages(gate.test.examples[0]))
            roles.setdefault(readable("\n\n".join(messages), _PROMPT_CHARACTERS), []).append(called(role))
    return {", ".join(models): text for text, models in roles.items()}


def _message(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return f"[{message['role']}]\n{content if isinstance(content, str) else canonical_json(dict(message))}"


def _pairs(data: DataSet, training: DataSet, pairs: Sequence[tuple[int, int]]) -> Iterator[NearPair]:
    for row, earlier in pairs:
        yield NearPair(
            str(data.where(row)),
            readable(shown_input(data.examples[row])),
            str(training.where(earlier)),
            readable(shown_input(training.examples[earlier])),
        )
