"""A candidate whose prompt holds what the test asks for: it looks answers up, and need not have learned any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_ftgate.numbers import plural
from pytest_ftgate.result import Check
from pytest_ftgate.safe import printable

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models import Model
    from pytest_ftgate.models.prompt import Prompt

_TELLING_CHARACTERS = 16
"""What is shorter may stand in a prompt by chance: "yes", "what is it"."""
_NAME_CHARACTERS = 60


def prompt_leak_checks(config: GateConfig, candidate: Model, test: DataSet) -> list[Check]:
    """Whether the candidate's own prompt tells it the test set. Few-shot turns are of the training set, and left out.

    Args:
        config: the gate.
        candidate: the model; one without a prompt of ours tells nothing.
        test: the test set.
    """
    prompt: Prompt | None = getattr(candidate, "prompt", None)
    if prompt is None:
        return []
    called, source = f"the candidate {candidate.name}", str(config.candidate.source)
    return [*_answers(prompt, called, test, source), *_questions(prompt, called, test, source)]


def _answers(prompt: Prompt, called: str, test: DataSet, source: str) -> list[Check]:
    """A field that is the expected output, in every example."""
    return [
        Check(
            "leaked_prompt",
            "fail",
            f"the template of {called} holds {{{printable(name, _NAME_CHARACTERS)}}}, "
            "which is the expected output of every test example",
            source=source,
            advice="Take the field out of the template: the model is told the answer.",
        )
        for name in prompt.fields
        if all(name in example.fields and _same(example.fields[name], example.expected) for example in test)
    ]


def _same(field: Any, expected: Any) -> bool:
    from pytest_ftgate.data import expected_text

    return field is not None and expected_text(field).strip() == expected_text(expected).strip()


def _questions(prompt: Prompt, called: str, test: DataSet, source: str) -> list[Check]:
    """Test inputs that stand in the instructions or the template, compared as inputs of the training set are."""
    from pytest_ftgate.data import normalized_input

    told = normalized_input(f"{prompt.system or ''} {prompt.template or ''}")
    rows = [row for row, example in enumerate(test) if _is_told(_asked(example), told)]
    if not rows:
        return []
    verb = "stands" if len(rows) == 1 else "stand"
    return [
        Check(
            "leaked_prompt",
            "fail",
            f"{len(rows):,} of {plural(len(test), 'test example')} {verb} in the prompt of {called}, "
            f"first {test.where(rows[0])}",
            observed=len(rows),
            required=0,
            source=source,
            advice="Give examples from the training set (few_shot), or take these out of the test set.",
        )
    ]


def _is_told(asked: str, told: str) -> bool:
    """Word for word, and not as the beginning of another question."""
    if len(asked) < _TELLING_CHARACTERS or asked not in told:
        return False
    return re.search(rf"(?<!\w){re.escape(asked)}(?!\w)", told) is not None


def _asked(example: Example) -> str:
    """The last message of the user, as inputs are compared."""
    from pytest_ftgate.data import normalized_input

    if isinstance(example.input, str):
        return normalized_input(example.input)
    last = [message for message in example.input if message["role"] == "user"][-1:]
    return normalized_input(tuple(last)) if last else ""
