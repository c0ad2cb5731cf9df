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

from pytest_ftgate.checks.audit.content import plain_text, unescaped, words_of
from pytest_ftgate.checks.audit.leaks import Index
from pytest_ftgate.checks.baseline_quality import texts_in
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text, normalized_input
from pytest_ftgate.models import Model
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

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
_LONGEST, _TRIED = 8, 4
"""The most words of an output that is found in a path, and the places of outputs that are tried."""
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
    """Refuse test inputs in instructions, template or parameters, found as in the texts of training rows."""
    assert model.prompt is not None
    sent = [model.prompt.system or "", model.prompt.template or "", *texts_in(model.params)]
    said = words_of(unescaped(normalized_input(" ".join(sent))))
    asked: dict[str, list[int]] = {}
    for row, example in enumerate(gate.test):
        last = example.input
        if not isinstance(last, str):
            last = tuple([message for message in last if message["role"] == "user"][-1:])
        text = plain_text(last) if last else ""
        if len(text) >= _TELLING_CHARACTERS and (words := words_of(text)):
            asked.setdefault(words, []).append(row)
    found = {part for part, _ in Index(asked, Counter(said.split())).find(said)}
    rows = sorted(row for part in found for row in asked[part])
    if rows:
        verb = "is" if len(rows) == 1 else "are"
        message = f"{len(rows):,} of {plural(len(gate.test), 'test example')} {verb} in the prompt of the candidate "
        advice = "Use examples from the training set instead (few_shot), or remove these from the test set."
        yield _leak(gate, rows, message + model.name, advice)


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
    """Read an output from the words at one place of a field, by what ``known`` knows of such words.

    They are all words; or those from ``at`` on, below 0 those that end there, counted from the end. With ``rest`` all
    other words must be these.
    """

    place: str
    at: int | None = None
    rest: tuple[str, ...] | None = None
    known: Mapping[str, str] | None = None
    is_code: bool = False

    def of(self, texts: Mapping[str, str]) -> str | None:
        """Return the output that the texts of a field reveal; None where they reveal none."""
        words, known = texts.get(self.place, "").split(), self.known or {}
        if self.at is None:
            return known.get(" ".join(words))
        for size in range(_LONGEST, 0, -1) if self.rest is None else (len(words) - len(self.rest),):
            start = self.at if self.at >= 0 else len(words) + self.at + 1 - size
            run, others = " ".join(words[max(start, 0) : start + size]), (*words[:start], *words[start + size :])
            if start >= 0 and run in known and self.rest in (None, others):
                return known[run]
        return None


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
    """Yield how outputs may be read: at the places where most stand, or from codes."""
    pairs, known = zip(fields, asked, strict=True), {one: one for one in asked}
    found = Counter(reading for texts, one in pairs for reading in _places(texts, one))
    for reading, _ in found.most_common(_TRIED):
        yield reading._replace(known=known)
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


def _places(texts: Mapping[str, str], expected: str) -> Iterator[_Reading]:
    """Yield where the expected output stands in the texts: in sentences with all other words, with little around it."""
    wanted = expected.split()
    for place, text in texts.items():
        words = text.split() if wanted and len(text) <= len(expected) + _LITTLE else []
        for at in range(len(words) - len(wanted) + 1):
            end = at + len(wanted)
            if words[at:end] == wanted and place.endswith(_PARTS):
                yield from (_Reading(place, at), _Reading(place, end - len(words) - 1))
            elif words[at:end] == wanted:
                yield _Reading(place, at, (*words[:at], *words[end:]))


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
