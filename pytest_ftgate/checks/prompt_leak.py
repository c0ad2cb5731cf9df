"""The rule that the candidate's prompt contains neither test inputs nor expected outputs.

A field of the template reveals the expected output where it holds that output, alone, within words that are always
the same, as a part of a path or encoded, or a code of it. A text that contains the answer somewhere, such as the
document of a question, is not a leak.
"""

import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

from pytest_ftgate.checks.audit import leaks, wording
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import Input, expected_text, normalized_input, texts_in
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

_TELLING_CHARACTERS, _FEWEST_SHORT, _SHORT = 16, 10, 0.5
"""Shorter inputs may be in a prompt by chance, such as "yes" or "what is it"; but not so many, and half of them."""
_NAME_CHARACTERS = 60
_ENOUGH = 0.9
"""The share of what chance leaves to reveal."""
_AROUND = 200
"""The most words around an output."""
_MOST_VALUES = 50
_FEWEST_OF_CODE, _CODES_PER_OUTPUT = 3, 3
"""The fewest examples with the same value and output that show a code, and the most codes: ids reveal nothing."""
_WORDS_OF_PART, _WORDS = 4, 20
"""The most words between two punctuation marks of a path or a record, and in all; other texts are sentences."""
_ENCODED_CHARACTERS = 1_000
"""The longest text that is decoded."""
_MARK, _JOINT, _CAMEL = re.compile(r"[^\w\s]"), re.compile(r"[\W_]+"), re.compile("(?<=[a-z])(?=[A-Z])")
_ENCODED = re.compile(r"[\w+-]{3,}={0,2}", re.ASCII)

Words = tuple[str, ...]


def check(gate: Context) -> Iterator[Check]:
    """Check that the candidate's own prompt does not contain the test set. Few-shot turns are training rows."""
    model, examples, source = gate.models["candidate"], gate.test.examples, str(gate.config.candidate.source)
    prompt = model.prompt or Prompt()
    for name in prompt.fields:
        values = [example.fields.get(name) for example in examples]
        if rows := telling(values, gate.expected):
            told = (printable(expected_text(some[rows[0]]), _NAME_CHARACTERS) for some in (values, gate.expected))
            message = f"the template of the candidate {model.name} uses {{{printable(name, _NAME_CHARACTERS)}}}, which "
            message += f"reveals the expected output of {_of(rows, gate)}: {' for '.join(map(repr, told))}"
            advice = "Remove the field from the template: it tells the model the answer."
            yield Check("prompt_leak", "fail", message, len(rows), 0, source, advice)
    sent = [prompt.system or "", prompt.template or "", *texts_in(model.params)] if model.prompt else []
    if rows := asked_in(" ".join(sent), [example.input for example in examples], gate.expected):
        message = f"the prompt of the candidate {model.name} contains {_of(rows, gate)}"
        advice = "Use examples from the training set instead (few_shot), or remove these from the test set."
        yield Check("prompt_leak", "fail", message, len(rows), 0, source, advice)


def _of(rows: Sequence[int], gate: Context) -> str:
    return f"{len(rows):,} of {plural(len(gate.test), 'test example')}, first {gate.test.where(rows[0])}"


def asked_in(sent: str, inputs: Sequence[Input], expected: Sequence[Any]) -> list[int]:
    """Return the rows whose last message of the user a prompt holds, found as in the texts of training rows.

    Short ones count together, without those that name a label.
    """
    said = wording.words_of(wording.unescaped(normalized_input(sent)))
    last = (
        one if isinstance(one, str) else tuple(turn for turn in one if turn["role"] == "user")[-1:] for one in inputs
    )
    texts = list(map(wording.plain_text, last))
    asked = list(map(wording.words_of, texts))
    found = {part for part, _ in leaks.Index({*asked} - {""}, Counter(said.split())).find(said)}
    short = {part for part, text in zip(asked, texts, strict=True) if len(text) < _TELLING_CHARACTERS}
    short_found = (found & short) - {wording.words_of(normalized_input(expected_text(one))) for one in expected}
    if len(short_found) < max(_FEWEST_SHORT, _SHORT * len(short)):
        found -= short
    return [row for row, part in enumerate(asked) if part in found]


def telling(values: Sequence[Any], expected: Sequence[Any]) -> list[int]:
    """Return the rows of which a field reveals the expected output, if they are at least 90 % of those beyond chance.

    Chance is the same field with its values shuffled among the examples: a field with a single value reveals nothing.

    ``values`` are the field's in each example; None where it has none.
    """
    asked = [_folded(expected_text(one)) for one in expected]
    fields = [dict(_texts(value)) for value in values]
    for place in sorted({place for texts in fields for place in texts}):
        for said in _readings([texts.get(place, ((), False)) for texts in fields], asked):
            if rows := _revealed(said, asked):
                return rows
    return []


def _readings(texts: Sequence[tuple[Words, bool]], asked: Sequence[Words]) -> Iterator[list[list[Words]]]:
    """Yield what the texts at one place may say, in each way of reading them, of each text.

    A text may say all of its words, those within the words that are around most outputs, those that few texts share,
    or of a path or record the words from one place on, or up to one, as many as an output has.
    """
    sizes = sorted({1, *map(len, asked)} & {*range(_WORDS)})
    around = Counter(
        (words[:at], words[at + len(one) :])
        for (words, _), one in zip(texts, asked, strict=True)
        for at in range(len(words) - len(one) + 1 if len(words) <= len(one) + _AROUND else 0)
        if words[at : at + len(one)] == one
    )
    yield [[words] for words, _ in texts]
    for start, end in (ends for ends, _ in around.most_common(1)):
        said = (words[len(start) : len(words) - len(end)] for words, _ in texts)
        yield [[one if (*start, *one, *end) == words else ()] for one, (words, _) in zip(said, texts, strict=True)]
    shared = Counter(word for (words, _), one in zip(texts, asked, strict=True) for word in {*words} - {*one})
    yield [[tuple(word for word in words if shared[word] < _ENOUGH * len(texts))] for words, _ in texts]
    paths = [words if is_path else () for words, is_path in texts]
    for at in range(max(map(len, paths))):
        yield [[words[at : at + size] for size in sizes] for words in paths]
        yield [[words[: len(words) - at][-size:] for size in sizes] for words in paths]


def _revealed(said: Sequence[Sequence[Words]], asked: Sequence[Words]) -> list[int]:
    """Return the rows whose output is told, by itself or by a code; none if that is little beyond chance."""
    outputs, values, codes = Counter(asked), [some[0] for some in said], dict[Words, Words]()
    if len(set(values)) <= _CODES_PER_OUTPUT * len(outputs):
        for (value, output), count in Counter(zip(values, asked, strict=True)).most_common():
            if count >= _FEWEST_OF_CODE:
                codes.setdefault(value, output)
    told = [next((one for one in reversed(some) if one in outputs), codes.get(some[0])) for some in said]
    pairs = max(len(asked) * (len(asked) - 1), 1)
    for read in (told, [codes.get(value) for value in values]):  # an output may be the code of another one
        rows = [row for row, one in enumerate(read) if one == asked[row]]
        by_chance = (sum(outputs[one] for one in read if one is not None) - len(rows)) / pairs
        beyond = len(rows) / len(asked) - by_chance
        if len(asked) > 1 and 0 < beyond >= _ENOUGH * (1 - by_chance):
            return rows
    return []


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, tuple[Words, bool]]]:
    """Yield the texts in a field by their places: as they are, decoded, and backwards; also whether each is a path."""
    if value is None:
        return
    text = expected_text(value)
    encoded = isinstance(value, str) and len(text) <= _ENCODED_CHARACTERS
    for way, read in {"reversed": text[::-1], "decoded": _decoded(text), "": text}.items() if encoded else [("", text)]:
        lengths = [len(part.split()) for part in _MARK.split(read)]
        if not way or read != text:
            yield f"{place}{way}", (_folded(read), max(lengths) <= _WORDS_OF_PART and sum(lengths) <= _WORDS)
    members = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, member in islice(members, _MOST_VALUES):
        yield from _texts(member, f"{place}/{key}")


def _folded(text: str) -> Words:
    """Return the words of a text in their normal form, as of ``card arrival`` and ``CardArrival``; else its signs."""
    plain = normalized_input(_CAMEL.sub(" ", text))
    return tuple(_JOINT.sub(" ", plain).split() or plain.split())


def _decoded(text: str) -> str:
    """Return a text with all in it decoded that is URL-encoded, in base64 or hexadecimal."""
    return _ENCODED.sub(lambda found: _plain(found[0]), unquote_plus(text))


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
