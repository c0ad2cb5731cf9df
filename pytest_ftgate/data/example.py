"""One example of a data set, and the hashes that identify it by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Messages: TypeAlias = tuple[Mapping[str, Any], ...]
"""A conversation: each message has a ``role`` and a ``content``, perhaps further keys such as ``name``."""

Input: TypeAlias = str | Messages
"""What a model is asked."""


@dataclass(frozen=True, slots=True)
class Example:
    """An input and the output that is expected for it.

    Attributes:
        id: names the example in reports and joins recordings to it.
        input: text, or the messages of a conversation up to the answer.
        expected: text, or any other JSON value but null.
        group: what belongs together (one document, one speaker) and is not independent; None: stands alone.
        fields: all else the row holds, as JSON values by name.
    """

    id: str
    input: Input
    expected: Any
    group: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no white space, no escapes beyond those that JSON asks for.

    Raises:
        TypeError, ValueError: the value is no JSON value (NaN and infinity are none).
    """
    return _CANONICAL.encode(value)


def input_sha256(input: Input) -> str:  # noqa: A002
    """Return the SHA-256, in hex, of the exact input: its text in UTF-8, or the canonical JSON of messages."""
    text = input if isinstance(input, str) else canonical_json(input)
    return hashlib.sha256(text.encode()).hexdigest()


def content_id(input: Input) -> str:  # noqa: A002
    """Return the id of an example that was given none: the first 16 hex digits of its input's hash."""
    return input_sha256(input)[:16]


def expected_text(expected: Any) -> str:
    """Return the expected output as a model would write it: text as it is, else compact JSON (``1``, ``true``)."""
    return expected if isinstance(expected, str) else canonical_json(expected)
