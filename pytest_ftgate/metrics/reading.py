"""The lenient reading of an answer: what it says, whatever its form.

It serves to tell what a model knows from how it writes. No step of it looks for the right answer: of an expected output
it uses the shape alone.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pytest_ftgate.data import canonical_json, expected_text, messages, strict_json
from pytest_ftgate.metrics.labels import MOST_WORDS, NUMBER, LabelSet, leaves_of, tokens_of, without_lead
from pytest_ftgate.metrics.options import FULL
from pytest_ftgate.models.protocol import leading_block

Kind: TypeAlias = Literal["label", "calls", "whole", "text", "reasoning"]
"""What is compared: a label, tool calls, the whole answer, its words, or what only its author knows."""

_FENCE = re.compile(r"(```|~~~)(?:[\w+.-]*[ \t\r]*\n)?(.*?)\1", re.DOTALL)
_STOP_TOKENS = re.compile(r"(?:\s*(?:<\|[\w ]+\|>|</?s>|<eos>|<end_of_turn>))+\s*$")


def read_leniently(
    answer: str, kind: Kind, expected: Any = "", *, labels: LabelSet | None = None, tools: Collection[str] = ()
) -> str:
    """Return what an answer says, as text that the metric's lenient form compares with the expected output."""
    if kind == "calls":
        return _calls(answer, tools) if strict_json.container_of(expected) else answer
    text = without_blocks(answer) if leading_block(expected_text(expected)) is None else answer
    if kind == "reasoning":
        return text
    text = unfenced(_STOP_TOKENS.sub("", text))
    if kind == "label" and labels is not None:
        return labels.named_by(answer, text) or answer
    return text if kind == "text" else _whole(text, expected)


def holds(answer: str, expected: Any, labels: LabelSet | None = None) -> bool:
    """Return whether an answer that is read as wrong holds all that is expected, in a form that is not the task's.

    Every plain value of the expected output stands in it, under its key where the answer has keys. A number, or a label
    among others, must be the first or the last one that is named, and a short text stand at the edge of a phrase.
    """
    text = _STOP_TOKENS.sub("", answer)
    if labels is not None:
        named = labels.named_in(text)
        return labels.label_of(expected) in (*named[:1], *named[-1:])
    wanted, numbers = strict_json.container_of(expected), list(map(_numbers, _NUMBER.findall(text)))
    if wanted is not None:
        said = " ".join((_words(text), *(one for meant in numbers for one in meant), ""))
        given = [pair for _, _, value in strict_json.json_within(text) for pair in _pairs(value)]
        asked = [pair for pair in _pairs(wanted) if pair[1] != " "]
        under = {key: " ".join(leaf for one, leaf in given if one == key) for key, _ in given}
        return bool(asked) and all(leaf in under.get(key, said) for key, leaf in asked)
    words = tokens_of(expected_text(expected))
    if len(words) == 1 and NUMBER.fullmatch(words[0]):
        plain = NUMBER.fullmatch(text.strip()) is not None
        return not plain and any(words[0] in one for one in (*numbers[:1], *numbers[-1:]))
    if len(words) >= _LONG:
        return _words(expected_text(expected)) in _words(text)
    phrase, edge = r"\W+".join(map(re.escape, words)), r"[^\w\s]|\n"
    found = rf"(?:^|{edge})\s*{phrase}\b|\b{phrase}\s*(?:$|{edge})"
    return bool(words) and re.search(found, unicodedata.normalize("NFKC", text), re.IGNORECASE) is not None


def renamed(
    answers: Iterable[tuple[str, str]], fewest: int = 3, rows: Sequence[tuple[str | None, str]] = ()
) -> dict[str, str]:
    """Return which label each answer stands for, of pairs of an answer without a known label and the expected label.

    An answer is another name of a label if at least 90 % of its examples, and ``fewest`` of them, expect that label; a
    name alone may be what a model says to all, so there must be names of two labels. A label that ``rows``, what all
    answers say with what is expected, nearly never say has another name, if its share of that name's examples is more
    than two thirds of the way from its share of all to 1.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for answer, label in answers:
        counts[answer][label] += 1
    found = {answer: of.most_common(1)[0] for answer, of in counts.items()}
    names = {answer: label for answer, (label, n) in found.items() if n >= max(fewest, 0.9 * counts[answer].total())}
    names = names if len(set(names.values())) > 1 else {}
    said, asked = (Counter(row[side] for row in rows) for side in (0, 1))
    for answer, (label, n) in found.items() if rows else ():
        if n >= fewest and said[label] <= 0.1 * n and n / counts[answer].total() > (2 + asked[label] / len(rows)) / 3:
            names[answer] = label
    return names


_LONG = 4
_NUMBER = re.compile(r"[-\u2212]?\d(?:[\d.,'\u2019_ \u00a0\u202f{}]*\d)?")


def _numbers(written: str) -> set[str]:
    """Return what a number may mean: its last separator is a decimal one, or all of them group digits."""
    digits = written.replace("\u2212", "-")
    whole, _, rest = re.sub(r"[^-\d]", ".", digits).rpartition(".")
    found = (re.sub(r"[^-\d]", "", digits), re.sub(r"[^-\d]", "", whole) + f".{rest}")
    return {token for one in found for token in tokens_of(one)}


def _words(text: str) -> str:
    """Return the words of a text in lower case, each between spaces, with the parts of ``camelCase`` apart."""
    apart = re.sub(r"(?<=[a-z\d])(?=[A-Z])|_", " ", text)
    return "".join(f" {word.casefold()}" for word in tokens_of(apart)) + " "


def _pairs(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the plain values in a JSON value, each with the key that it, or the list around it, stands under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _pairs(inner, _words(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, key)
    else:
        yield key, _words(expected_text(value))


def without_blocks(text: str) -> str:
    """Drop the blocks in paired tags that a text begins with, and the tags around all of it."""
    while (block := leading_block(text)) is not None:
        inside, after = block
        text = after or inside
    return text


def unfenced(text: str) -> str:
    """Return the content of the only code fence of a text; the text itself if there is none, or several."""
    found = _FENCE.findall(text) if "```" in text or "~~~" in text else []
    return (found[0][1].strip() if len(found) == 1 else "") or text


def loosened(value: Any) -> Any:
    """Return a JSON value whose texts that are numbers, true or false are these values."""
    if isinstance(value, Mapping):
        return {key: loosened(one) for key, one in value.items()}
    if isinstance(value, list):
        return [loosened(one) for one in value]
    if isinstance(value, str) and re.fullmatch(r"-?(?:0|[1-9]\d{0,14})(?:\.\d+)?|true|false", value):
        return strict_json.parse_json(value)
    return value


def expected_loosely(expected: Any, kind: Kind) -> Any:
    """Return an expected output as :func:`read_leniently` gives answers: with the types of JSON values loosened."""
    container = strict_json.container_of(expected) if kind in ("calls", "whole") else None
    return expected if container is None else loosened(container)


def _calls(answer: str, tools: Collection[str]) -> str:
    """Return the tool calls that an answer makes, or writes as text behind its reasoning."""
    text = answer
    while (block := leading_block(text)) is not None and not messages.calls_written(block[0], tools):
        if not messages.calls_written(block[1], tools):
            break
        text = block[1]
    made, written = messages.calls_in(answer) or [], messages.calls_written(text, tools)
    calls = written if len(written) >= len(made) else made
    named = [{**call, "name": messages.tool_named(call["name"], tools) or call["name"]} for call in calls]
    return canonical_json(loosened(named)) if named else answer


def _whole(text: str, expected: Any) -> str:
    """Return the only JSON value of the expected type; for other outputs the value in it, the number, or the line."""
    wanted = strict_json.container_of(expected)
    found = {canonical_json(value): value for _, _, value in strict_json.json_within(text)}
    if wanted is not None:
        one = [value for value in found.values() if isinstance(value, type(wanted))]
        if not one and isinstance(wanted, dict):
            lists = [value for value in found.values() if len(value) == 1]
            one = [value[0] for value in lists if isinstance(value[0], dict)]
        return canonical_json(loosened(one[0])) if len(one) == 1 else text
    right = expected_text(expected).strip()
    if FULL(text.strip()) == FULL(right):
        return text
    leaves = [*leaves_of(*found.values())] if len(found) == 1 and "{" in text else []
    text = (leaves[0] if len(leaves) == 1 else text).strip()
    if len(one := tokens_of(right)) == 1 and NUMBER.fullmatch(one[0]) and len(text.split()) <= MOST_WORDS:
        numbers = {token for token in tokens_of(text) if NUMBER.fullmatch(token)}
        if len(numbers) == 1:
            return right if numbers == {one[0]} else numbers.pop()
    return text if "\n" in right else without_lead(text.partition("\n")[0]) or text
