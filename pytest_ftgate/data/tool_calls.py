"""Tool calls in one canonical shape: ``[{"name": ..., "arguments": {...}}]``, whatever shape they came in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.data.example import canonical_json
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.text import kind_of

_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


def canonical_calls(value: Any) -> list[dict[str, Any]]:
    """Return a list of calls, or one call, as names and arguments. Raise :class:`ValueError`, whose text says why.

    A call is ``{"name", "arguments"}`` or, as the OpenAI API has it, ``{"type": "function", "function": {"name",
    "arguments"}}``, with arguments as JSON text or as an object. Arguments that are absent, null or blank are none.
    """
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise ValueError(f"tool calls must be a list, got {kind_of(value)}")
    return [_canonical_call(call) for call in value]


def _canonical_call(call: Any) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else call
    name = function.get("name") if isinstance(function, Mapping) else None
    if not (isinstance(function, Mapping) and isinstance(name, str) and name):
        raise ValueError('a tool call must have a "name"')
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = parse_json(arguments) if arguments.strip() else {}
    if not isinstance(arguments, Mapping | None):
        raise ValueError(f"the arguments of {name} must be an object, got {kind_of(arguments)}")
    return {"name": name, "arguments": dict(arguments or {})}


def calls_text(value: Any) -> str:
    """Return the tool calls of an answer as canonical JSON.

    What a model made up, such as arguments that are not JSON, stays as it is: it is a wrong answer, not an error.
    """
    try:
        return canonical_json(canonical_calls(value))
    except ValueError:
        return canonical_json(value)


def calls_in(answer: str) -> list[dict[str, Any]] | None:
    """Return the tool calls that an answer's text makes: JSON, or ``<tool_call>`` tags. ``None``: it is plain text."""
    text = answer.strip()
    tagged = _TAGGED.findall(text)
    if not tagged and text[:1] not in ("[", "{"):
        return None
    try:
        if tagged:
            return [call for part in tagged for call in canonical_calls(parse_json(part.strip()))]
        return canonical_calls(parse_json(text))
    except ValueError:
        return None


def readable_calls(answer: str) -> str:
    """Return the tool calls of an answer for people, ``get_weather({"city":"Oslo"})``; any other answer as it is."""
    calls = calls_in(answer)
    return ", ".join(f"{call['name']}({canonical_json(call['arguments'])})" for call in calls) if calls else answer


def names_in(answer: str) -> list[str] | None:
    """Return the names of the tools that an answer calls, also with unreadable arguments; ``None``: it calls none."""
    calls = calls_in(answer)
    if calls is None:
        try:
            value = parse_json(answer.strip())
        except ValueError:
            return None
        calls = [part for part in _functions(value) if isinstance(part.get("name"), str)]
    return [call["name"] for call in calls] or None


def attempts_call(answer: str) -> bool:
    """Return whether an answer calls a tool, or tries to in a way that cannot be read."""
    return names_in(answer) is not None or "<tool_call>" in answer


def text_beside_calls(answer: str) -> str:
    """Return the text around the ``<tool_call>`` tags of an answer."""
    return _TAGGED.sub("", answer).strip() if _TAGGED.search(answer) else ""


def declared_tools(tools: Any) -> dict[str, Any]:
    """Return the parameters of each tool by its name, of a row's ``tools`` in the shape of the OpenAI API."""
    return {part["name"]: part.get("parameters") for part in _functions(tools) if isinstance(part.get("name"), str)}


def _functions(value: Any) -> list[dict[str, Any]]:
    """Return the functions of untrusted tools or calls; what has another shape is left out."""
    parts = value if isinstance(value, list) else [value]
    found = [part.get("function", part) for part in parts if isinstance(part, dict)]
    return [part for part in found if isinstance(part, dict)]
