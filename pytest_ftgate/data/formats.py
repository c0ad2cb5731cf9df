"""The formats of rows that are recognised by their keys. A format is one entry of ``FORMATS``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pytest_ftgate.data import example, strict_json
from pytest_ftgate.data.messages import (
    check_role,
    checked_calls,
    checked_messages,
    declared_tools,
    split_conversation,
)
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import kind_of, listed

Row = Mapping[str, Any]
Names = Mapping[str, str]
"""The column of a row for each key of its format."""


class Parts(NamedTuple):
    """What a row holds: the input, the expected output, and the tools that the model may call, if any."""

    input: Any
    expected: Any
    tools: Any = None


Read = Callable[[Row, Names], Parts | None]


@dataclass(frozen=True)
class Format:
    """One format of rows.

    Attributes:
        name: as ``format:`` takes it.
        title: as reports call it.
        keys: that every row has.
        read: returns the parts of a row; None if it holds no answer to learn from. Raises
            :class:`DataError` without file and line.
        uses: further keys that it reads.
        covers: formats whose keys such rows may have too.
        when: what the values must be, besides the keys.
    """

    name: str
    title: str
    by: str
    keys: tuple[str, ...]
    read: Read
    uses: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    when: Callable[[Row], bool] = field(default=lambda _: True)

    def fits(self, row: Row) -> bool:
        return all(key in row for key in self.keys) and self.when(row)

    def parts(self, row: Row, column: Names) -> Parts | None:
        """Return the parts of a row; None where its answer is not wanted, as data for KTO marks it."""
        if self is not PLAIN and _is_unwanted(row):
            return None
        return self.read(row, column)


def _is_unwanted(row: Row) -> bool:
    """Return whether a row says that its answer is not wanted (``label`` or ``kto_tag`` is false)."""
    for key in ("label", "kto_tag"):
        mark = row.get(key)
        if mark is False:
            return True
        # A table has it as text; beside messages a text is a field of the user's.
        if "messages" not in row and isinstance(mark, str) and mark.strip().lower() == "false":
            return True
    return False


def format_of(row: Row) -> Format | None:
    """Return the format of a row; None if it has the keys of none.

    Raise :class:`DataError` if it has several's.
    """
    fitting = [one for one in FORMATS.values() if one.fits(row)]
    covered = {name for one in fitting for name in one.covers}
    left = [one for one in fitting if one.name not in covered]
    if len(left) < 2:
        return left[0] if left else None
    what = f"the row has the keys of several formats: {listed(one.name for one in left)}"
    cure = f"name one of them, for example format: {left[0].name}"
    raise DataError(what, evidence=f"found: {listed(row)}", cure=cure)


# --- values
# --------------------------------------------------------------------------------------------------------


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"must be text, got {kind_of(value)}", where=Where(key=key))
    return value


def _parsed(value: Any) -> Any:
    """Return the value of a JSON text, as a cell of a table has it; any other value as it is."""
    return strict_json.json_or(value, value) if isinstance(value, str) else value


def _object(value: Any, key: str) -> Row:
    if not isinstance(value, Mapping):
        raise DataError(f"must be an object, got {kind_of(value)}", where=Where(key=key))
    return value


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value


def _spoken(row: Row, key: str) -> Any:
    """Return a list of messages, which may be one message or JSON text; any other value of the key as it is."""
    value = [row[key]] if _is_message(row[key]) else _parsed(row[key])
    return value if isinstance(value, list) and value and _is_message(value[0]) else row[key]


def _asked(row: Row, key: str) -> Any:
    prompt = _spoken(row, key)
    return prompt if isinstance(prompt, str) else checked_messages(prompt, key)


def _answered(asked: Any, row: Row, key: str) -> Parts | None:
    """Return the parts of a prompt, if any, and its answer: a value, or messages that go on from the prompt."""
    answer = _spoken(row, key)
    first = next(iter(answer), None) if isinstance(answer, list) else None
    called = (
        isinstance(first, Mapping) and first.keys() & {"name", "function"} and "role" not in first
    )
    if called or not isinstance(answer, list):
        return Parts(asked, answer)  # a list may be one of tool calls
    before = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked or ())
    # all of it again
    whole = isinstance(first, Mapping) and first.get("role") in ("system", "developer", "user")
    return _split(answer if whole else [*before, *answer], key)


def _split(messages: Any, key: str, tools: Any = None) -> Parts | None:
    found = split_conversation(messages, key)
    return None if found is None else Parts(*found, tools)


# --- conversations in the words of others
# --------------------------------------------------------------------------


class _Words(NamedTuple):
    """The keys of the turns, of a turn's role and of its content, and what its roles are called."""

    key: str
    role: tuple[str, ...]
    content: tuple[str, ...]
    roles: Mapping[str, str]


_CALLS = "function_call"
_MODELS = dict.fromkeys(("gpt", "chatgpt", "bot", "model"), "assistant")
_SPEAKERS = {"human": "user", "observation": "tool", "tool_response": "tool", **_MODELS}
_SHAREGPT = _Words("conversations", ("from", "role"), ("value", "content"), _SPEAKERS)
_GEMINI = _Words("contents", ("role",), ("parts",), {"model": "assistant", "function": "user"})
_BEDROCK = _Words("messages", ("role",), ("content",), {})
_SYSTEM = ("system", "systemInstruction", "system_instruction")


def _conversation(words: _Words) -> Read:
    """Return the function that reads conversations in these words, with the instruction and the tools beside them."""

    def read(row: Row, column: Names) -> Parts | None:
        name = next((name for name in _SYSTEM if name in row), "system")
        system, key = row.get(name), column[words.key]
        content = system.get("parts") if isinstance(system, Mapping) else system
        if content and not isinstance(content, list):
            content = _text(row, name)
        messages = _said("system", content, name, ()) if content else []
        turns = _parsed(row[key])
        if not isinstance(turns, list):
            raise DataError(f"must be a list of turns, got {kind_of(turns)}", where=Where(key=key))
        for number, turn in enumerate(turns):
            messages += _turn(turn, f"{key}[{number}]", words, messages)
        config = row.get("toolConfig")
        return _split(
            messages,
            key,
            _tools(_object(config, "toolConfig").get("tools") if config else row.get("tools")),
        )

    return read


def _turn(turn: Any, place: str, words: _Words, before: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the messages that a turn is; ``before`` are those of the turns before it."""
    turn = _object(turn, place)
    role = next((turn[name] for name in words.role if name in turn), None)
    content = next((turn[name] for name in words.content if turn.get(name) is not None), None)
    if not isinstance(role, str) or content is None:
        absent = words.role if not isinstance(role, str) else words.content
        found, cure = f"found: {listed(turn)}", f"a turn has {words.role[0]} and {words.content[0]}"
        raise DataError(
            f'a turn has no "{absent[0]}"', where=Where(key=place), evidence=found, cure=cure
        )
    role = words.roles.get(role, role)
    if role != _CALLS:
        check_role(role, place)
    weight = {"weight": turn["weight"]} if turn.get("weight") is not None else {}
    return [{**message, **weight} for message in _said(role, content, place, before)]


def _said(role: str, content: Any, place: str, before: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the messages that one turn is: its results of tools, and what is said."""
    if role == _CALLS:
        return [_calling(checked_calls(_parsed(content), place), len(before))]
    if role == "tool":
        return [_result(content, before)]
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    calls, results, said = list[Row](), list[dict[str, Any]](), list[Row]()
    for part in content:
        part = _object(part, place)
        if call := part.get("functionCall") or part.get("toolUse"):
            call = _object(call, place)
            calls.append(
                {"name": call.get("name"), "arguments": call.get("args", call.get("input"))}
            )
        elif result := part.get("functionResponse") or part.get("toolResult"):
            result = _object(result, place)
            results.append(
                _result(result.get("response", result.get("content")), [*before, *results])
            )
        else:
            said.append(part)
    if calls:
        return [_calling(checked_calls(calls, place), len(before))]
    texts = [part["text"] for part in said if isinstance(part.get("text"), str)]
    if len(texts) == len(said):
        return [
            *results,
            *([{"role": role, "content": "".join(texts)}] if said or not results else []),
        ]
    typed = [part if "type" in part else {"type": next(iter(part), ""), **part} for part in said]
    return [*results, {"role": role, "content": typed}]


def _calling(calls: Sequence[Row], number: int) -> dict[str, Any]:
    """Return the message in which the assistant makes these calls, with ids as the OpenAI API asks for."""
    called = [
        {"name": call["name"], "arguments": example.canonical_json(call["arguments"])}
        for call in calls
    ]
    made = [
        {"id": f"call_{number}_{index}", "type": "function", "function": one}
        for index, one in enumerate(called)
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def _result(content: Any, before: Sequence[Row]) -> dict[str, Any]:
    """Return the message with the result of a tool; several results are those of the last calls in their order."""
    text = content if isinstance(content, str) else example.canonical_json(content)
    if (
        at := next((at for at in reversed(range(len(before))) if "tool_calls" in before[at]), None)
    ) is None:
        return {"role": "tool", "content": text}
    calls, number = before[at]["tool_calls"], len(before) - at - 1
    return {
        "role": "tool",
        "content": text,
        "tool_call_id": calls[min(number, len(calls) - 1)]["id"],
    }


def _tools(value: Any) -> Any:
    """Return tools in the shape of the OpenAI API, from JSON text, or the shapes of Gemini and Bedrock."""
    value = _parsed(value)
    tools: list[Any] = []
    for one in value if isinstance(value, list) else [value] if value else []:
        if not isinstance(one, Mapping):
            return value
        specs = (
            one.get("functionDeclarations")
            or one.get("function_declarations")
            or [one.get("toolSpec", one)]
        )
        if not (isinstance(specs, list) and all(isinstance(spec, Mapping) for spec in specs)):
            return value
        tools += [one if spec is one and "function" in one else _function(spec) for spec in specs]
    return tools or None


def _function(spec: Row) -> dict[str, Any]:
    function = {key: value for key, value in spec.items() if key != "inputSchema"}
    if isinstance(schema := spec.get("inputSchema"), Mapping):
        function["parameters"] = schema.get("json", schema)
    return {"type": "function", "function": function}


# --- the formats
# ---------------------------------------------------------------------------------------------------


_CHAT_KEYS = {"id", "group", "messages", "tools", "system"}
"""Keys of a row beside which ``system`` is its system message, as Bedrock has it for Anthropic's models."""


def _chat(row: Row, column: Names) -> Parts | None:
    key, tools = column["messages"], row.get("tools")
    if "input" in row or "expected" in row:
        what = f'the row has both "messages" and "{"input" if "input" in row else "expected"}"'
        cure = "remove one of them, or use the messages as input: fields: {input: messages}"
        raise DataError(what, evidence=f"found: {listed(row)}", cure=cure)
    messages = _parsed(row[key])
    if isinstance(messages, list) and row.get("system") and row.keys() <= _CHAT_KEYS:
        messages = [{"role": "system", "content": row["system"]}, *messages]
    return _split(messages, key, _tools(tools) if isinstance(tools, str) else None)


def _alpaca(row: Row, column: Names) -> Parts:
    keys = (column["instruction"], *(["input"] if row.get("input") is not None else []))
    asked, output = (_text(row, key) for key in keys), row[column["output"]]
    if isinstance(output, list):
        cure = "write the good answer as output, or both as chosen and rejected"
        raise DataError(
            "must be one output, got a list", where=Where(key=column["output"]), cure=cure
        )
    for key in ("system", "history"):
        if row.get(key):
            raise DataError(
                "no model would be told this",
                where=Where(key=key),
                cure="write the row as messages",
            )
    return Parts("\n".join(filter(None, asked)), output)


def _prompted(row: Row, column: Names) -> Parts | None:
    return _answered(_asked(row, column["prompt"]), row, column["completion"])


def _preference(row: Row, column: Names) -> Parts | None:
    prompt, key = None if row.get("prompt") is None else _asked(row, "prompt"), column["chosen"]
    if prompt is None and not isinstance(_spoken(row, key), list):
        cure = "name its column: fields: {input: NAME, expected: chosen}"
        raise DataError('the row has no "prompt"', evidence=f"found: {listed(row)}", cure=cure)
    return _answered(prompt, row, key)


def _preferred(row: Row, column: Names) -> Parts | None:
    """Return the parts of a preference row of OpenAI or Together, whose input holds messages and tools."""
    asked = _object(_parsed(row[column["input"]]), column["input"])
    messages = checked_messages(asked.get("messages"), f"{column['input']}.messages")
    parts = _answered(messages, row, column["preferred_output"])
    return parts and parts._replace(tools=_tools(asked.get("tools")))


def _plain(row: Row, column: Names) -> Parts:
    tools = _tools(row.get("tools"))
    return Parts(
        row[column["input"]], row.get(column["expected"]), tools if declared_tools(tools) else None
    )


_OTHERS = ("sharegpt", "gemini", "bedrock", "alpaca", "prompt_completion", "preference")
_BESIDE = (*_SYSTEM, "tools", "toolConfig")
_BEDROCK_KEYS = ("schemaVersion", "messages")
_PREFERRED_KEYS = ("input", "preferred_output")
_ALL = (
    Format("plain", "input/expected", "", ("input", "expected"), _plain, covers=_OTHERS),
    Format("chat", "chat", "OpenAI", ("messages",), _chat, when=lambda row: "input" not in row),
    Format(
        "bedrock",
        "conversation",
        "Bedrock",
        _BEDROCK_KEYS,
        _conversation(_BEDROCK),
        _BESIDE,
        ("chat",),
    ),
    Format(
        "sharegpt",
        "conversations",
        "ShareGPT",
        ("conversations",),
        _conversation(_SHAREGPT),
        _BESIDE,
    ),
    Format("gemini", "contents", "Gemini", ("contents",), _conversation(_GEMINI), _BESIDE),
    Format("alpaca", "instruction", "Alpaca", ("instruction", "output"), _alpaca, ("input",)),
    Format(
        "prompt_completion",
        "prompt/completion",
        "TRL, Bedrock",
        ("prompt", "completion"),
        _prompted,
    ),
    Format(
        "preference",
        "preference",
        "TRL",
        ("chosen", "rejected"),
        _preference,
        ("prompt", "messages"),
        ("chat",),
    ),
    Format(
        "preferred",
        "preference",
        "OpenAI, Together",
        _PREFERRED_KEYS,
        _preferred,
        ("non_preferred_output",),
    ),
)
FORMATS: Mapping[str, Format] = {one.name: one for one in _ALL}
"""All formats by name."""

PLAIN = FORMATS["plain"]
