"""Conversations in an order that chat templates refuse or mend without a word, and rows that are too long.

What is no conversation at all (an unknown role, no answer of the assistant at the end) never gets here: reading it is
an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from pytest_ftgate.data import Input, is_blank
from pytest_ftgate.data.example import Messages

_BYTES_PER_TOKEN = 4
_FIRST = ("system", "developer")
_RESULTS = ("tool", "function")


def chat_errors(inputs: Sequence[Input]) -> dict[int, str]:
    """Return rows whose conversation, which the expected output ends, is not in order; and why."""
    found = ((row, _disorder(given)) for row, given in enumerate(inputs) if not isinstance(given, str))
    return {row: what for row, what in found if what is not None}


def _disorder(messages: Messages) -> str | None:
    return next(_disorders(messages), None)


def _disorders(messages: Messages) -> Iterator[str]:
    roles = [str(message["role"]) for message in messages]
    spoken = [role for role in roles if role not in _FIRST]
    if any(role in _FIRST and before not in _FIRST for before, role in pairwise(roles)):
        yield "instructions after the first turn"
    if not spoken or "user" not in spoken:
        yield "no turn of the user"
    elif spoken[0] != "user":
        yield f"begins with the {spoken[0]}"
    for before, role in zip(spoken, [*spoken[1:], "assistant"], strict=True):
        if before == role and role in ("user", "assistant"):
            yield f"two turns of the {role} in a row"
    called = False
    for message in messages:
        if message["role"] in _RESULTS and not called:
            yield "the result of a call that nobody made"
        called = called or "tool_calls" in message or "function_call" in message
    if any(_is_empty(message) for message in messages):
        yield "an empty message"


def _is_empty(message: Mapping[str, Any]) -> bool:
    calls = message.get("tool_calls") or message.get("function_call")
    return not calls and message["role"] not in _RESULTS and is_blank((message,))


def long_rows(inputs: Sequence[Input], outputs: Sequence[str], limit: int) -> dict[int, int]:
    """Return rows of more than ``limit`` tokens, and how many: an estimate, UTF-8 bytes / 4."""
    sizes = ((row, _tokens(given, outputs[row])) for row, given in enumerate(inputs))
    return {row: tokens for row, tokens in sizes if tokens > limit}


def _tokens(given: Input, output: str) -> int:
    texts = [given] if isinstance(given, str) else [str(message.get("content") or "") for message in given]
    return (sum(_bytes(text) for text in texts) + _bytes(output)) // _BYTES_PER_TOKEN


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
