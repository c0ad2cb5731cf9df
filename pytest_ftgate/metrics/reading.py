"""The lenient reading of an answer: what it says, whatever its form.

It serves to tell what a model knows from how it writes. No step of it looks for the right answer: of an expected output
it uses the shape alone.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias

from pytest_ftgate.data import expected_text
from pytest_ftgate.data.example import canonical_json
from pytest_ftgate.data.strict_json import container_of, json_within, parse_json
from pytest_ftgate.data.tool_calls import calls_in, calls_written, tool_named
from pytest_ftgate.metrics.labels import MOST_WORDS, NUMBER, LabelSet, leaves_of, tokens_of, without_lead
from pytest_ftgate.metrics.normalization import FULL
from pytest_ftgate.models.reasoning import leading_block

Kind: TypeAlias = Literal["label", "calls", "whole", "text", "reasoning"]
"""What is compared: a label, tool calls, the whole answer, its words, or what only its author knows."""

_FENCE = re.compile(r"(```|~~~)(?:[\w+.-]*[ \t\r]*\n)?(.*?)\1", re.DOTALL)
_STOP_TOKENS = re.compile(r"(?:\s*(?:<\|[\w ]+\|>|</?s>|<eos>|<end_of_turn>))+\s*$")


def read_leniently(
    answer: str, kind: Kind, expected: Any = "", *, labels: LabelSet | None = None, tools: Collection[str] = ()
) -> str:
    """Return what an answer says, as text that the metric's lenient form compares with the expected output."""
    if kind == "calls":
        return _calls(answer, tools) if container_of(expected) else answer
    text = without_blocks(answer) if leading_block(expected_text(expected)) is None else answer
    if kind == "reasoning":
        return text
    text = unfenced(_STOP_TOKENS.sub("", text))
    if kind == "label" and labels is not None:
        return labels.named_by(answer, text) or answer
    return text if kind == "text" else _whole(text, expected)


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
        return parse_json(value)
    return value


def expected_loosely(expected: Any, kind: Kind) -> Any:
    """Return an expected output as :func:`read_leniently` gives answers: with the types of JSON values loosened."""
    container = container_of(expected) if kind in ("calls", "whole") else None
    return expected if container is None else loosened(container)


def _calls(answer: str, tools: Collection[str]) -> str:
    """Return the tool calls that an answer makes, or writes as text behind its reasoning."""
    text = answer
    while (block := leading_block(text)) is not None and not calls_written(block[0], tools):
        if not calls_written(block[1], tools):
            break
        text = block[1]
    made, written = calls_in(answer) or [], calls_written(text, tools)
    calls = written if len(written) >= len(made) else made
    named = [{**call, "name": tool_named(call["name"], tools) or call["name"]} for call in calls]
    return canonical_json(loosened(named)) if named else answer


def _whole(text: str, expected: Any) -> str:
    """Return the only JSON value of the expected type; for other outputs the value in it, the number, or the line."""
    wanted = container_of(expected)
    found = {canonical_json(value): value for _, _, value in json_within(text)}
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
        return right if numbers == {one[0]} else numbers.pop() if len(numbers) == 1 else text
    return text if "\n" in right else without_lead(text.partition("\n")[0]) or text
