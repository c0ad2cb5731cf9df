"""Texts that the page shows beside a result. They are many: neither the JSON report nor JUnit keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.attempts import hides, shown_answers
from pytest_ftgate.checks.training_set import row_pairs
from pytest_ftgate.data import canonical_json
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.result import RowPair, called, from_plain
from pytest_ftgate.runs.answer_rows import Answers, side_by_side
from pytest_ftgate.text import readable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_PROMPT_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """Texts of one gate.

    ``answers`` is None where the models were not scored. ``prompts`` are the messages that were sent for the first test
    example, by the models that were sent them. ``near_duplicates`` pairs a training row with an earlier one.
    """

    answers: Answers | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    near_duplicates: tuple[RowPair, ...] = ()

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
    return Evidence(answers, _prompts(gate), row_pairs(gate.training, gate.training, gate.audit.near_rows))


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
