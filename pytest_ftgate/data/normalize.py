"""Normalise inputs, so that equal ones can be found."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.data.example import Input, canonical_json
from pytest_ftgate.data.messages import calls_text

INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles of messages that instruct the model."""

# Unicode's Default_Ignorable_Code_Point: characters without a glyph, which NFKC_Casefold removes.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def normalized_input(input: Input) -> str:  # noqa: A002
    """Return the normalised input: two inputs are the same if these texts are equal.

    Text is normalised to NFKC and case folded, invisible characters are removed, and white space is collapsed and
    stripped. Messages keep their order and roles. A single message of the user is the same as its plain text.
    """
    if isinstance(input, str):
        return _normalized(input)
    if len(input) == 1 and input[0]["role"] == "user":
        return _normalized(_text(input[0]))
    # Normalised text has no line feeds or tabs, so that it cannot be confused with a conversation.
    return "".join(f"\n{message['role']}\t{_normalized(_text(message))}" for message in input)


def without_instructions(input: Input) -> Input:  # noqa: A002
    """Return the input without its system and developer messages; unchanged if it has no other messages."""
    if isinstance(input, str):
        return input
    turns = tuple(message for message in input if message["role"] not in INSTRUCTIONS)
    return turns if 0 < len(turns) < len(input) else input


def is_blank(input: Input) -> bool:  # noqa: A002
    """Return whether the input is blank text, or a conversation whose last message of the user is blank."""
    if isinstance(input, str):
        return not visible(input)
    questions = [message for message in input if message["role"] == "user"] or input
    return not questions or not visible(_text(questions[-1]))


def visible(text: str) -> str:
    """Return the text without invisible characters and surrounding white space."""
    return text.strip() if text.isascii() else _INVISIBLE.sub("", text).strip()


def _normalized(text: str) -> str:
    if text.isascii():
        return " ".join(text.lower().split())
    # Case folding can undo NFKC and the reverse: repeat until nothing changes.
    folded = _folded(text)
    while folded != text:
        text, folded = folded, _folded(folded)
    return " ".join(text.split())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()


def _text(message: Mapping[str, Any]) -> str:
    """Return a message's content as text; other parts (images) as canonical JSON, and tool calls without their ids."""
    content = message.get("content")
    parts = [content] if isinstance(content, str) else list(content or ())
    parts += [calls_text(message["tool_calls"])] if message.get("tool_calls") else []
    return " ".join(_part_text(part) for part in parts)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
    return text if isinstance(text, str) else canonical_json(part)
