"""A candidate whose prompt holds what the test asks for: it looks answers up, and need not have learned any."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks.answer_leak import telling
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import Example
    from pytest_ftgate.models.prompt import Prompt

_TELLING_CHARACTERS = 16
"""What is shorter may stand in a prompt by chance: "yes", "what is it"."""
_NAME_CHARACTERS = 60


def check(gate: Context) -> list[Check]:
    """Check that the candidate's own prompt does not tell it the test set. Few-shot turns are of the training set."""
    prompt = gate.models["candidate"].prompt if gate.accepts else None
    return [] if prompt is None else [*_answers(gate, prompt), *_questions(gate, prompt)]


def _leak(gate: Context, rows: Sequence[int], message: str, advice: str) -> Check:
    first, source = gate.test.where(rows[0]), str(gate.config.candidate.source)
    return Check("leaked_prompt", "fail", f"{message}, first {first}", len(rows), 0, source, advice)


def _answers(gate: Context, prompt: Prompt) -> Iterator[Check]:
    """A field that tells the expected output."""
    for name in prompt.fields:
        leak = telling([example.fields.get(name) for example in gate.test], gate.expected)
        if leak is None:
            continue
        count, total = len(leak.rows), len(gate.test)
        of = "every test example" if count == total else f"{count:,} of {plural(total, 'test example')}"
        before, after = leak.around
        within = f" within {printable(f'{before}...{after}', _NAME_CHARACTERS)!r}" if before or after else ""
        message = f"the template of the candidate {gate.models['candidate'].name} holds "
        message += f"{{{printable(name, _NAME_CHARACTERS)}}}, which is the expected output of {of}{within}"
        yield _leak(gate, leak.rows, message, "Take the field out of the template: the model is told the answer.")


def _questions(gate: Context, prompt: Prompt) -> Iterator[Check]:
    """Test inputs that stand in the instructions or the template, compared as inputs of the training set are."""
    from pytest_ftgate.data import normalized_input

    told = normalized_input(f"{prompt.system or ''} {prompt.template or ''}")
    rows = [row for row, example in enumerate(gate.test) if _is_told(_asked(example), told)]
    if rows:
        verb = "stands" if len(rows) == 1 else "stand"
        message = f"{len(rows):,} of {plural(len(gate.test), 'test example')} {verb} in the prompt of the candidate "
        advice = "Give examples from the training set (few_shot), or take these out of the test set."
        yield _leak(gate, rows, message + gate.models["candidate"].name, advice)


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
