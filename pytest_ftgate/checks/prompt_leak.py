"""The rule that the candidate's prompt contains neither test inputs nor expected outputs.

A field of the template reveals the expected output where it holds that output, alone or within words that are always
the same, or a code of it. A text that contains the answer somewhere, such as the document of a question, is not a leak.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text, normalized_input
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable, whole_word

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import Example
    from pytest_ftgate.models.prompt import Prompt

_TELLING_CHARACTERS = 16
"""Shorter inputs may be in a prompt by chance, such as "yes" or "what is it"."""
_NAME_CHARACTERS = 60
_ENOUGH = 0.9
_MOST_VALUES = 50
_FEWEST_OF_CODE = 3
"""The fewest examples with the same value and output that show a code."""

_CODES_PER_OUTPUT = 3
_LITTLE = 200
"""The most characters around an output."""


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


# --- fields that reveal the answer ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Telling:
    """Hold how a field reveals the expected outputs.

    Args:
        rows: the examples whose expected output it reveals, counted from 0.
        around: the text before and after the output.
        code: a value that stands for an output, with that output, if the field holds codes; else None.
    """

    rows: tuple[int, ...]
    around: tuple[str, str] = ("", "")
    code: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """Hold the place of a text within a field, and the text around it."""

    place: str
    before: str
    after: str


def telling(values: Sequence[Any], expected: Sequence[Any]) -> Telling | None:
    """Return how a field reveals at least 90 % of the expected outputs beyond chance; None where it does not.

    Chance is the same field with its values shuffled among the examples: a field with a single value reveals nothing.

    ``values`` are the field's in each example; None where it has none.
    """
    asked = [normalized_input(expected_text(one)) for one in expected]
    fields = [dict(_texts(value)) for value in values]
    return _spelled(fields, asked) or _coded(fields, asked)


def _spelled(fields: Sequence[Mapping[str, str]], asked: Sequence[str]) -> Telling | None:
    """Return where the fields hold the outputs within the same words."""
    frames = Counter(frame for texts, one in zip(fields, asked, strict=True) for frame in _frames(texts, one))
    if not frames:
        return None
    frame = frames.most_common(1)[0][0]
    rows = _revealed([_within(texts.get(frame.place, ""), frame) for texts in fields], asked)
    return Telling(rows, (frame.before, frame.after)) if rows else None


def _coded(fields: Sequence[Mapping[str, str]], asked: Sequence[str]) -> Telling | None:
    """Return where the fields hold codes of the outputs: few values, each nearly always with the same output.

    A value that occurs once or twice, such as an id, reveals nothing.
    """
    for place in sorted({place for texts in fields for place in texts}):
        values = [texts.get(place, "") for texts in fields]
        if len(set(values)) > _CODES_PER_OUTPUT * len(set(asked)):
            continue
        codes: dict[str, str] = {}
        for (value, output), count in Counter(zip(values, asked, strict=True)).most_common():
            if count >= _FEWEST_OF_CODE:
                codes.setdefault(value, output)
        if rows := _revealed([codes.get(value) for value in values], asked):
            return Telling(rows, code=(values[rows[0]], asked[rows[0]]))
    return None


def _revealed(revealed: Sequence[str | None], asked: Sequence[str]) -> tuple[int, ...]:
    """Return the examples whose output is revealed; none if that is less than 90 % of what chance leaves to reveal."""
    rows = tuple(row for row, (one, output) in enumerate(zip(revealed, asked, strict=True)) if one == output)
    outputs = Counter(asked)
    by_chance = sum(outputs[one] for one in revealed if one is not None) - len(rows)
    pairs = len(asked) * (len(asked) - 1)
    beyond = len(rows) / len(asked) - by_chance / pairs if pairs else 0
    return () if beyond <= 0 or beyond < _ENOUGH * (1 - by_chance / pairs) else rows


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in a field, each with its place."""
    if value is None:
        return
    yield place, normalized_input(expected_text(value))
    members: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, Mapping):
        members = iter(list(value.items())[:_MOST_VALUES])
    elif isinstance(value, list | tuple):
        members = iter(list(enumerate(value))[:_MOST_VALUES])
    for key, member in members:
        yield from _texts(member, f"{place}/{key}")


def _frames(texts: Mapping[str, str], expected: str) -> Iterator[_Frame]:
    """Yield where the expected output stands in the texts as whole words, with little else around it."""
    if not expected:
        return
    pattern = re.compile(whole_word(expected))
    for place, text in texts.items():
        if len(text) <= len(expected) + _LITTLE:
            yield from (_Frame(place, text[: one.start()], text[one.end() :]) for one in pattern.finditer(text))


def _within(text: str, frame: _Frame) -> str | None:
    if len(text) <= len(frame.before) + len(frame.after):
        return None
    if not (text.startswith(frame.before) and text.endswith(frame.after)):
        return None
    return text[len(frame.before) : len(text) - len(frame.after)]
