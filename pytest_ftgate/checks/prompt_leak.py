"""The rule that the candidate's prompt contains neither test inputs nor expected outputs.

A field of the template reveals the expected output where it holds that output, alone, within words that are always
the same, as a part of a path or encoded, or a code of it. A text that contains the answer somewhere, such as the
document of a question, is not a leak.
"""

import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from pytest_ftgate.checks.baseline_quality import texts_in
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import Example, expected_text, normalized_input
from pytest_ftgate.models import Model
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable, whole_word

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
_WORDS_OF_PART, _WORDS = 4, 20
"""The most words between two punctuation marks of a path or a record, and in all; other texts are sentences."""
_ENCODED_CHARACTERS = 1_000
"""The longest text that is decoded."""
_LONGEST = 8
"""The most words of an output that is found in a path."""
_PARTS = "|"
"""Marks the place of the words of a path or a record."""
_MARK, _JOINT, _CAMEL = re.compile(r"[^\w\s]"), re.compile(r"[\W_]+"), re.compile("(?<=[a-z])(?=[A-Z])")
_ENCODED = re.compile(r"[\w+-]{3,}={0,2}", re.ASCII)


def check(gate: Context) -> list[Check]:
    """Check that the candidate's own prompt does not contain the test set. Few-shot turns are training rows."""
    model = gate.models["candidate"]
    return [] if model.prompt is None else [*_answers(gate, model.prompt.fields), *_questions(gate, model)]


def _leak(gate: Context, rows: Sequence[int], message: str, advice: str) -> Check:
    first, source = gate.test.where(rows[0]), str(gate.config.candidate.source)
    return Check("prompt_leak", "fail", f"{message}, first {first}", len(rows), 0, source, advice)


def _answers(gate: Context, fields: Sequence[str]) -> Iterator[Check]:
    """Refuse a field in the template that reveals the expected output."""
    for name in fields:
        leak = telling([example.fields.get(name) for example in gate.test], gate.expected)
        if leak is None:
            continue
        count, total = len(leak.rows), len(gate.test)
        of = "every test example" if count == total else f"{count:,} of {plural(total, 'test example')}"
        message = f"the template of the candidate {gate.models['candidate'].name} uses "
        message += f"{{{printable(name, _NAME_CHARACTERS)}}}, which "
        value, output = (printable(text, _NAME_CHARACTERS) for text in leak.such_as)
        kind = "is a code of" if leak.is_code else "contains"
        message += f"{kind} the expected output of {of}, such as {value!r} for {output!r}"
        yield _leak(gate, leak.rows, message, "Remove the field from the template: it tells the model the answer.")


def _questions(gate: Context, model: Model) -> Iterator[Check]:
    """Refuse test inputs in instructions, template or parameters, after the same normalization as for leakage."""
    assert model.prompt is not None
    sent = [model.prompt.system or "", model.prompt.template or "", *texts_in(model.params)]
    prompt_text = normalized_input(" ".join(sent))
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
        yield _leak(gate, rows, message + model.name, advice)


def _question(example: Example) -> str:
    """Return the last message of the user, normalized."""
    if isinstance(example.input, str):
        return normalized_input(example.input)
    last = [message for message in example.input if message["role"] == "user"][-1:]
    return normalized_input(tuple(last)) if last else ""


@dataclass(frozen=True)
class Telling:
    """Hold how a field reveals the expected outputs.

    Args:
        rows: the examples whose expected output it reveals, counted from 0.
        such_as: the value of the first of them, and its output.
        is_code: the field holds codes of outputs.
    """

    rows: tuple[int, ...]
    such_as: tuple[str, str]
    is_code: bool


class _Reading(NamedTuple):
    """Read an output from the text at one place of a field.

    With ``known`` it is what that knows of the text, or of the words from ``at`` on; below 0 they end there, counted
    from the end. Otherwise it is what stands between two texts.
    """

    place: str
    at: int | None = None
    before: str = ""
    after: str = ""
    known: Mapping[str, str] | None = None
    is_code: bool = False

    def of(self, texts: Mapping[str, str]) -> str | None:
        """Return the output that the texts of a field reveal; None where they reveal none."""
        text = texts.get(self.place, "")
        if self.known is None:
            within = len(text) > len(self.before) + len(self.after)
            inside = within and text.startswith(self.before) and text.endswith(self.after)
            return text[len(self.before) : len(text) - len(self.after)] if inside else None
        if self.at is None:
            return self.known.get(text)
        words, at = text.split(), self.at
        end = len(words) + at + 1
        runs = (words[at : at + n] if at >= 0 else words[max(end - n, 0) : end] for n in range(_LONGEST, 0, -1))
        return next((self.known[run] for run in map(" ".join, runs) if run in self.known), None)


def telling(values: Sequence[Any], expected: Sequence[Any]) -> Telling | None:
    """Return how a field reveals at least 90 % of the expected outputs beyond chance; None where it does not.

    Chance is the same field with its values shuffled among the examples: a field with a single value reveals nothing.

    ``values`` are the field's in each example; None where it has none.
    """
    asked = [_folded(expected_text(one)) for one in expected]
    fields = [dict(_texts(value)) for value in values]
    for reading in _readings(fields, asked):
        if rows := _revealed([reading.of(texts) for texts in fields], asked):
            return Telling(rows, (expected_text(values[rows[0]]), asked[rows[0]]), reading.is_code)
    return None


def _readings(fields: Sequence[Mapping[str, str]], asked: Sequence[str]) -> Iterator[_Reading]:
    """Yield how outputs may be read: within the most frequent words, at the most frequent place, or from codes."""
    pairs = list(zip(fields, asked, strict=True))
    for find in (_frames, _positions):
        found = Counter(reading for texts, one in pairs for reading in find(texts, one))
        for reading, _ in found.most_common(1):
            yield reading if reading.at is None else reading._replace(known={one: one for one in asked})
    for place in sorted({place for texts in fields for place in texts}):
        length = max(len(texts.get(place, "").split()) for texts in fields) if place.endswith(_PARTS) else 0
        parts = range(-length, length)
        for at in (None, *parts):
            values = [_word(texts.get(place, ""), at) for texts in fields]
            if len(set(values)) > _CODES_PER_OUTPUT * len(set(asked)):  # ids reveal nothing
                continue
            codes: dict[str, str] = {}
            for (value, output), count in Counter(zip(values, asked, strict=True)).most_common():
                if count >= _FEWEST_OF_CODE:
                    codes.setdefault(value, output)
            yield _Reading(place, at, known=codes, is_code=True)


def _word(text: str, at: int | None) -> str:
    """Return the word at a position, or without one the whole text."""
    return text if at is None else next(iter(text.split()[at : at + 1 or None]), "")


def _frames(texts: Mapping[str, str], expected: str) -> Iterator[_Reading]:
    """Yield where the expected output stands in the texts as whole words, with little else around it."""
    pattern = re.compile(whole_word(expected))
    for place, text in texts.items() if expected else ():
        if len(text) <= len(expected) + _LITTLE:
            for one in pattern.finditer(text):
                yield _Reading(place, before=text[: one.start()], after=text[one.end() :])


def _positions(texts: Mapping[str, str], expected: str) -> Iterator[_Reading]:
    """Yield where the expected output begins and ends among the words of paths and records."""
    wanted = expected.split()
    for place, text in texts.items() if wanted else ():
        words = text.split() if place.endswith(_PARTS) else []
        for at in range(len(words) - len(wanted) + 1):
            if words[at : at + len(wanted)] == wanted:
                yield _Reading(place, at)
                yield _Reading(place, at + len(wanted) - len(words) - 1)


def _revealed(read: Sequence[str | None], asked: Sequence[str]) -> tuple[int, ...]:
    """Return the examples whose output is revealed; none if that is less than 90 % of what chance leaves to reveal."""
    rows = tuple(row for row, (one, output) in enumerate(zip(read, asked, strict=True)) if one == output)
    outputs = Counter(asked)
    by_chance = sum(outputs[one] for one in read if one is not None) - len(rows)
    pairs = len(asked) * (len(asked) - 1)
    beyond = len(rows) / len(asked) - by_chance / pairs if pairs else 0
    return () if beyond <= 0 or beyond < _ENOUGH * (1 - by_chance / pairs) else rows


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in a field, each with its place: as they are, decoded, and read backwards."""
    if value is None:
        return
    text = expected_text(value)
    encoded = isinstance(value, str) and len(text) <= _ENCODED_CHARACTERS
    ways = {"": text, **({"decoded": _decoded(text), "reversed": text[::-1]} if encoded else {})}
    for way, read in ways.items():
        if read:
            yield f"{place}{way}", _folded(read)
            lengths = [len(part.split()) for part in _MARK.split(read)]
            if max(lengths) <= _WORDS_OF_PART and sum(lengths) <= _WORDS:
                yield f"{place}{way}{_PARTS}", _folded(read)
    members = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, member in islice(members, _MOST_VALUES):
        yield from _texts(member, f"{place}/{key}")


def _folded(text: str) -> str:
    """Return the words of a text in their normal form, as of ``card arrival`` and ``CardArrival``; signs stay."""
    plain = normalized_input(_CAMEL.sub(" ", text))
    return " ".join(_JOINT.sub(" ", plain).split()) or plain


def _decoded(text: str) -> str:
    """Return a text with all in it decoded that is URL-encoded, in base64 or hexadecimal; empty if nothing is."""
    plain = unquote_plus(text)
    decoded = _ENCODED.sub(lambda found: _plain(found[0]), plain)
    return "" if decoded == text else decoded


def _plain(text: str) -> str:
    bare = text.rstrip("=")
    for decode, code in ((bytes.fromhex, text), (urlsafe_b64decode, bare + "=" * (-len(bare) % 4))):
        try:
            decoded = decode(code).decode()
        except ValueError:
            continue
        if decoded.isprintable():
            return f" {decoded} "
    return text
