"""A candidate whose prompt holds what the test asks for: it looks answers up, and need not have learned any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models.prompt import Prompt

_TELLING_CHARACTERS = 16
"""What is shorter may stand in a prompt by chance: "yes", "what is it"."""
_NAME_CHARACTERS = 60


def check(gate: Context) -> list[Check]:
    """Check that the candidate's own prompt does not tell it the test set. Few-shot turns are of the training set."""
    if not gate.accepts:
        return []
    config, candidate, test = gate.config, gate.models["candidate"], gate.test
    prompt = candidate.prompt
    if prompt is None:
        return []
    called, source = f"the candidate {candidate.name}", str(config.candidate.source)
    return [*_answers(prompt, called, test, source), *_questions(prompt, called, test, source)]


def _answers(prompt: Prompt, called: str, test: DataSet, source: str) -> Iterator[Check]:
    """A field that tells the expected output."""
    from pytest_ftgate.checks.answer_leak import telling

    expected = [example.expected for example in test]
    for name in prompt.fields:
        found = telling([example.fields.get(name) for example in test], expected)
        if found is None:
            continue
        count, total = len(found.rows), len(test)
        of = "every test example" if count == total else f"{count:,} of {plural(total, 'test example')}"
        before, after = found.around
        within = f" within {printable(f'{before}...{after}', _NAME_CHARACTERS)!r}" if before or after else ""
        yield Check(
            "leaked_prompt",
            "fail",
            f"the template of {called} holds {{{printable(name, _NAME_CHARACTERS)}}}, which is the expected output of "
            f"{of}{within}, first {test.where(found.rows[0])}",
            observed=count,
            required=0,
            source=source,
            advice="Take the field out of the template: the model is told the answer.",
        )


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
