"""Tool calls in one canonical shape: ``[{"name": ..., "arguments": {...}}]``, whatever shape they came in."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from pytest_ftgate.data.example import canonical_json
from pytest_ftgate.data.strict_json import container_of, json_or, json_within, parse_json
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
        return [call for part in tagged or [text] for call in canonical_calls(parse_json(part.strip()))]
    except ValueError:
        return None


def calls_written(text: str, tools: Collection[str]) -> list[dict[str, Any]]:
    """Return the calls of known tools that a text writes in whatever form: Python, JSON, or parameters in tags."""
    in_json = _in_json(text, tools)
    return in_json or _in_python(text, tools) or _in_tags(text, tools) or _behind_names(text, tools)


_NAME = re.compile(r"[\w.-]+")
_PARAMETER = re.compile(
    r"<(?:\w+:)?(?:parameter|param|arg)(?:=|\s+name=)[\"']?([\w.-]+)[\"']?\s*>([^<]*)</"
    r"|<arg_key>\s*([\w.-]+)\s*</arg_key>\s*<arg_value>([^<]*)</arg_value>"
)
_CONSTANTS = {"true": True, "false": False, "null": None}


def tool_named(name: Any, tools: Collection[str]) -> str | None:
    """Return the tool of a name, which may be qualified: ``functions.f``; None if it is no known one."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return None
    return next((one for one in (name.strip(), *re.split(r"[.:]", name.strip())[::-1]) if one in tools), None)


_LONGEST_NAME = 200


def _in_json(text: str, tools: Collection[str]) -> list[dict[str, Any]]:
    return [call for _, _, value in json_within(text) for call in _calls_of(value, tools)]


def _behind_names(text: str, tools: Collection[str]) -> list[dict[str, Any]]:
    """Return the calls whose arguments are a JSON object behind the name of a tool."""
    found, last = [], 0
    for start, end, value in json_within(text):
        names = [tool for name in _NAME.findall(text[last:start]) if (tool := tool_named(name, tools))]
        found += [{"name": names[-1], "arguments": value}] if names and isinstance(value, dict) else []
        last = end
    return found


def _calls_of(value: Any, tools: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the calls in a JSON value: objects with the name of a tool, and one object, or its text, beside it."""
    if isinstance(value, list):
        for one in value:
            yield from _calls_of(one, tools)
    elif isinstance(value, dict):
        names = [tool for one in value.values() if (tool := tool_named(one, tools))]
        inner = [one for one in map(container_of, value.values()) if isinstance(one, dict)]
        if names:
            yield {"name": names[0], "arguments": inner[0] if inner else {}}
        elif len(value) == len(inner) and all(tool_named(key, tools) for key in value):
            yield from (
                {"name": tool_named(key, tools), "arguments": one} for key, one in zip(value, inner, strict=True)
            )
        else:
            for one in value.values():
                yield from _calls_of(one, tools)


def _in_python(text: str, tools: Collection[str]) -> list[dict[str, Any]]:
    """Return the calls that are written as in Python, with arguments by name: ``get_weather(city="Oslo")``."""
    found = []
    for start in islice(re.finditer(r"([\w.-]+)\(", text), _MOST_CALLS):
        tool, ends = tool_named(start[1], tools), re.finditer(r"\)", text[start.end() :])
        for end in islice(ends, _MOST_BRACKETS) if tool else ():
            try:
                call = ast.parse(f"f({text[start.end() : start.end() + end.end()]}", mode="eval").body
                arguments = {one.arg: _literal(one.value) for one in getattr(call, "keywords", ())}
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            if isinstance(call, ast.Call) and not call.args:
                found.append({"name": tool, "arguments": arguments})
            break
    return found


_MOST_BRACKETS = 20
_MOST_CALLS = 50


def _literal(node: ast.expr) -> Any:
    return _CONSTANTS[node.id] if isinstance(node, ast.Name) and node.id in _CONSTANTS else ast.literal_eval(node)


def _in_tags(text: str, tools: Collection[str]) -> list[dict[str, Any]]:
    """Return the calls whose parameters are in tags behind the name of a tool."""
    found, parameters = [], list(_PARAMETER.finditer(text))
    names = [(one.end(), tool) for one in _NAME.finditer(text) if (tool := tool_named(one[0], tools))][:_MOST_CALLS]
    for (start, tool), end in zip(names, [*(one for one, _ in names[1:]), len(text)], strict=False):
        inside = (
            (one[1] or one[3], (one[2] or one[4] or "").strip()) for one in parameters if start <= one.start() < end
        )
        arguments = {name: json_or(text, text) for name, text in inside}
        found += [{"name": tool, "arguments": arguments}] if arguments else []
    return found


def readable_calls(answer: str) -> str:
    """Return the tool calls of an answer for people, ``get_weather({"city":"Oslo"})``; any other answer as it is."""
    calls = calls_in(answer)
    return ", ".join(f"{call['name']}({canonical_json(call['arguments'])})" for call in calls) if calls else answer


def calls_tool(answer: str) -> bool:
    """Return whether an answer calls a tool, also with unreadable arguments."""
    if (calls := calls_in(answer)) is not None:
        return bool(calls)
    return any(isinstance(part.get("name"), str) for part in _functions(json_or(answer.strip())))


def declared_tools(tools: Any) -> dict[str, Any]:
    """Return the parameters of each tool by its name, of a row's ``tools`` in the shape of the OpenAI API."""
    if not tools:
        return {}
    return {part["name"]: part.get("parameters") for part in _functions(tools) if isinstance(part.get("name"), str)}


def _functions(value: Any) -> list[dict[str, Any]]:
    """Return the functions of untrusted tools or calls; what has another shape is left out."""
    parts = value if isinstance(value, list) else [value]
    found = [part.get("function", part) for part in parts if isinstance(part, dict)]
    return [part for part in found if isinstance(part, dict)]
