"""Find conversations that chat templates reject or silently rewrite, and rows that are too long.

Unknown roles and conversations without a final answer of the assistant are rejected earlier, when the data is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from pytest_ftgate.data import Example, Input, canonical_json, is_blank
from pytest_ftgate.data.example import Messages

_BYTES_PER_TOKEN = 4
_FIRST = ("system", "developer")
_RESULTS = ("tool", "function")


def chat_errors(inputs: Sequence[Input]) -> dict[int, str]:
    """Return the rows whose conversation, input and expected output together, is malformed, with the first reason."""
    found = ((row, next(_flaws(given), None)) for row, given in enumerate(inputs) if not isinstance(given, str))
    return {row: flaw for row, flaw in found if flaw is not None}


def _flaws(messages: Messages) -> Iterator[str]:
    roles = [str(message["role"]) for message in messages]
    turns = [role for role in roles if role not in _FIRST]
    if any(role in _FIRST and before not in _FIRST for before, role in pairwise(roles)):
        yield "instructions after the first turn"
    if not turns or "user" not in turns:
        yield "no user message"
    elif turns[0] != "user":
        yield f"{turns[0]} message first"
    for before, role in zip(turns, [*turns[1:], "assistant"], strict=True):
        if before == role and role in ("user", "assistant"):
            yield f"two {role} messages in a row"
    called = empty = False
    for message in messages:
        if message["role"] in _RESULTS and not called:
            yield "tool result without a tool call"
        called = called or "tool_calls" in message or "function_call" in message
        calls = message.get("tool_calls") or message.get("function_call")
        empty = empty or (not calls and message["role"] not in _RESULTS and is_blank((message,)))
    if empty:
        yield "empty message"


def long_rows(training: Iterable[Example], outputs: Sequence[str], limit: int) -> dict[int, int]:
    """Return the rows with more than ``limit`` tokens, tools included, with their tokens: UTF-8 bytes / 4."""
    sizes = ((row, _tokens(example, outputs[row])) for row, example in enumerate(training))
    return {row: tokens for row, tokens in sizes if tokens > limit}


def _tokens(example: Example, output: str) -> int:
    given, keys, tools = example.input, ("content", "tool_calls"), example.fields.get("tools")
    texts = [given] if isinstance(given, str) else [str(message.get(key) or "") for message in given for key in keys]
    texts += [output, canonical_json(tools)] if tools else [output]
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts) // _BYTES_PER_TOKEN
