"""The rule that the candidate's prompt contains neither test inputs nor expected outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks.answer_leak import telling
from pytest_ftgate.data import normalized_input
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import Example
    from pytest_ftgate.models.prompt import Prompt

_TELLING_CHARACTERS = 16
"""Shorter inputs may be in a prompt by chance, such as "yes" or "what is it"."""
_NAME_CHARACTERS = 60


def check(gate: Context) -> list[Check]:
    """Check that the candidate's own prompt does not contain the test set. Few-shot turns are training rows."""
    prompt = gate.models["candidate"].prompt
    return [] if prompt is None else [*_answers(gate, prompt), *_questions(gate, prompt)]


def _leak(gate: Context, rows: Sequence[int], message: str, advice: str) -> Check:
    first, source = gate.test.where(rows[0]), str(gate.config.candidate.source)
    return Check("prompt_leak", "fail", f"{message}, first {first}", len(rows), 0, source, advice)


def _answers(gate: Context, prompt: Prompt) -> Iterator[Check]:
    """Refuse a field in the template that reveals the expected output."""
    for name in prompt.fields:
        leak = telling([example.fields.get(name) for example in gate.test], gate.expected)
        if leak is None:
            continue
        count, total = len(leak.rows), len(gate.test)
        of = "every test example" if count == total else f"{count:,} of {plural(total, 'test example')}"
        before, after = leak.around
        within = f" within {printable(f'{before}...{after}', _NAME_CHARACTERS)!r}" if before or after else ""
        message = f"the template of the candidate {gate.models['candidate'].name} uses "
        message += f"{{{printable(name, _NAME_CHARACTERS)}}}, which "
        if leak.code is None:
            message += f"contains the expected output of {of}{within}"
        else:
            value, output = (printable(text, _NAME_CHARACTERS) for text in leak.code)
            message += f"is a code of the expected output of {of}, such as {value!r} for {output!r}"
        yield _leak(gate, leak.rows, message, "Remove the field from the template: it tells the model the answer.")


def _questions(gate: Context, prompt: Prompt) -> Iterator[Check]:
    """Refuse test inputs in the instructions or the template, after the same normalization as for leakage."""
    prompt_text = normalized_input(f"{prompt.system or ''} {prompt.template or ''}")
    questions = {row: _question(example) for row, example in enumerate(gate.test)}
    # Word for word, and not as the beginning of another question.
    rows = [
        row
        for row, text in questions.items()
        if len(text) >= _TELLING_CHARACTERS and text in prompt_text
        if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", prompt_text)
    ]
    if rows:
        verb = "is" if len(rows) == 1 else "are"
        message = f"{len(rows):,} of {plural(len(gate.test), 'test example')} {verb} in the prompt of the candidate "
        advice = "Use examples from the training set instead (few_shot), or remove these from the test set."
        yield _leak(gate, rows, message + gate.models["candidate"].name, advice)


def _question(example: Example) -> str:
    """Return the last message of the user, normalized."""
    if isinstance(example.input, str):
        return normalized_input(example.input)
    last = [message for message in example.input if message["role"] == "user"][-1:]
    return normalized_input(tuple(last)) if last else ""
