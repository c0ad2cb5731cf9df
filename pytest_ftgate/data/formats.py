"""The formats of rows that are recognized by their keys. A format is one entry of ``FORMATS``."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pytest_ftgate.data import example, strict_json
from pytest_ftgate.data.example import Messages, canonical_json
from pytest_ftgate.data.messages import (
    calls_to_send,
    check_role,
    checked_calls,
    checked_messages,
    declared_tools,
    must_be,
    split_conversation,
)
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import listed, plural

Row = Mapping[str, Any]
Names = Mapping[str, str]
"""The column of a row for each key of its format."""


class Parts(NamedTuple):
    """What a row holds: the input, the expected output, and the tools that may be called.

    ``conversation`` are all messages of a row that is one, as they were written.
    """

    input: Any
    expected: Any
    tools: Any = None
    conversation: Messages | None = None


Read = Callable[[Row, Names], Parts | None]


@dataclass(frozen=True)
class Format:
    """One format of rows.

    Attributes:
        name: as ``format:`` takes it.
        title: as reports call it.
        by: whose format it is, for reports; empty for our own.
        keys: that every row has.
        read: returns the parts of a row; None if it holds no answer to learn from. Raises
            :class:`DataError` without file and line.
        uses: further keys that it reads.
        covers: formats whose keys such rows may have too.
        when: what the values must be, besides the keys.
        in_lists: one file holds such rows in several lists, which belong together.
        id_of: returns the id of a row, or None, where it is not in the column ``id``.
    """

    name: str
    title: str
    by: str
    keys: tuple[str, ...]
    read: Read
    uses: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    when: Callable[[Row], bool] = field(default=lambda _: True)
    in_lists: bool = False
    id_of: Callable[[Row], str | None] | None = None

    def fits(self, row: Row) -> bool:
        return all(key in row for key in self.keys) and self.when(row)

    def parts(self, row: Row, column: Names) -> Parts | None:
        """Return the parts of a row.

        Return None where its answer is not wanted, as data for KTO marks it.
        """
        # In rows of our own format ``label`` is a field of the user's.
        if self is not PLAIN and _is_unwanted(row):
            return None
        return self.read(row, column)


def _is_unwanted(row: Row) -> bool:
    """Return whether a row marks its answer as not wanted, by ``label`` or ``kto_tag``."""
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
    fitting = [form for form in FORMATS.values() if form.fits(row)]
    for form in list(fitting):
        fitting = [candidate for candidate in fitting if candidate.name not in form.covers]

    if not fitting:
        return None
    if len(fitting) > 1:
        message = (
            f"the row has the keys of several formats: {listed(form.name for form in fitting)}"
        )
        cure = f"name one of them, for example format: {fitting[0].name}"
        raise DataError(message, evidence=f"found: {listed(row)}", cure=cure)
    return fitting[0]


# --- values ---------------------------------------------------------------------------------------


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise must_be("text", value, key)
    return value


def _parsed(value: Any) -> Any:
    """Return the value of a JSON text, as a cell of a table has it; any other value as it is."""
    return strict_json.json_or(value, value) if isinstance(value, str) else value


def _object(value: Any, key: str) -> Row:
    if not isinstance(value, Mapping):
        raise must_be("an object", value, key)
    return value


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value


def _spoken(row: Row, key: str) -> Any:
    """Return a list of messages, which may be one message or JSON text.

    Return any other value of the key as it is.
    """
    value = row[key]
    if _is_message(value):
        return [value]
    messages = _parsed(value)
    if isinstance(messages, list) and messages and _is_message(messages[0]):
        return messages
    return value


def _asked(row: Row, key: str) -> Any:
    prompt = _spoken(row, key)
    return prompt if isinstance(prompt, str) else checked_messages(prompt, key)


def _answered(prompt: Any, row: Row, key: str) -> Parts | None:
    """Return the parts of a prompt and its answer: a value, or messages that follow the prompt."""
    answer = _spoken(row, key)
    if not isinstance(answer, list):
        return Parts(prompt, answer)
    first = strict_json.object_of(answer[0]) if answer else {}
    role = first.get("role")
    if role is None and ("name" in first or "function" in first):
        return Parts(prompt, answer)  # tool calls

    if role not in ("system", "developer", "user"):  # else the answer repeats the prompt
        question = (
            [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt or ()
        )
        answer = [*question, *answer]
    return _split(answer, key)


def _split(messages: Any, key: str, tools: Any = None) -> Parts | None:
    divided = split_conversation(messages, key)
    return None if divided is None else Parts(*divided, tools)


def _whole(messages: Any, key: str, tools: Any) -> Parts | None:
    """Return the parts of a row that is a conversation."""
    content = _split(messages, key, tools)
    return content and content._replace(conversation=tuple(messages))


# --- conversations in the words of others ---------------------------------------------------------


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
    """Return the function that reads conversations in these words, and what stands beside them."""

    def read(row: Row, column: Names) -> Parts | None:
        key = column[words.key]
        turns = _parsed(row[key])
        messages = _instruction(row)
        if not isinstance(turns, list):
            raise must_be("a list of turns", turns, key)
        for number, turn in enumerate(turns):
            messages += _turn(turn, f"{key}[{number}]", words, messages)

        tools = row.get("tools")
        if row.get("toolConfig"):
            tools = _object(row["toolConfig"], "toolConfig").get("tools")
        return _whole(messages, key, _tools(tools))

    return read


def _instruction(row: Row) -> list[dict[str, Any]]:
    """Return the system message that stands beside the turns of a row, if there is one."""
    name = next((name for name in _SYSTEM if name in row), "system")
    content = row.get(name)
    if isinstance(content, Mapping):
        content = content.get("parts")
    if not content:
        return []
    if not isinstance(content, list):
        content = _text(row, name)
    return _said("system", content, name, ())


def _turn(turn: Any, place: str, words: _Words, earlier: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the messages that a turn is; ``earlier`` are those of the turns before it."""
    turn = _object(turn, place)
    role = next((turn[name] for name in words.role if name in turn), None)
    content = next((turn[name] for name in words.content if turn.get(name) is not None), None)
    if not isinstance(role, str) or content is None:
        absent = words.role[0]
        if isinstance(role, str):
            absent = words.content[0]
        evidence = f"found: {listed(turn)}"
        cure = f"a turn has {words.role[0]} and {words.content[0]}"
        problem = f'a turn has no "{absent}"'
        raise DataError(problem, where=Where(key=place), evidence=evidence, cure=cure)

    role = words.roles.get(role, role)
    if role != _CALLS:
        check_role(role, place)
    messages = _said(role, content, place, earlier)
    if turn.get("weight") is not None:
        for message in messages:
            message["weight"] = turn["weight"]
    return messages


def _said(role: str, content: Any, place: str, earlier: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the messages that one turn is: its results of tools, and what is said."""
    if role == _CALLS:
        return [_calling(checked_calls(_parsed(content), place), len(earlier))]
    if role == "tool":
        return [_result(content, earlier)]
    if not isinstance(content, list):
        return [{"role": role, "content": content}]

    calls: list[Row] = []
    results: list[dict[str, Any]] = []
    spoken: list[Row] = []
    for item in content:
        item = _object(item, place)
        call = item.get("functionCall") or item.get("toolUse")
        result = item.get("functionResponse") or item.get("toolResult")
        if call:
            call = _object(call, place)
            arguments = call.get("args", call.get("input"))
            calls.append({"name": call.get("name"), "arguments": arguments})
        elif result:
            result = _object(result, place)
            returned = result.get("response", result.get("content"))
            results.append(_result(returned, [*earlier, *results]))
        else:
            spoken.append(item)

    # What is said beside calls is not learned: the calls are the answer.
    if calls:
        return [_calling(checked_calls(calls, place), len(earlier))]
    if not spoken and results:
        return results
    return [*results, {"role": role, "content": _content(spoken)}]


def _content(items: Sequence[Row]) -> str | list[Row]:
    """Return the text of parts; where others are among them, all with their types."""
    texts = [item["text"] for item in items if isinstance(item.get("text"), str)]
    if len(texts) == len(items):
        return "".join(texts)
    return [{"type": next(iter(item), ""), **item} for item in items]


def _calling(calls: Sequence[Row], number: int) -> dict[str, Any]:
    """Return the message in which the assistant makes these calls, with the ids they need."""
    tool_calls = calls_to_send(calls, f"call_{number}")
    return {"role": "assistant", "content": None, "tool_calls": tool_calls}


def _result(content: Any, earlier: Sequence[Row]) -> dict[str, Any]:
    """Return the message with the result of a tool.

    Several results are those of the last calls in their order.
    """
    message = {"role": "tool", "content": example.expected_text(content)}
    for number, answered in enumerate(reversed(earlier)):
        if "tool_calls" in answered:
            calls = answered["tool_calls"]
            message["tool_call_id"] = calls[min(number, len(calls) - 1)]["id"]
            break
    return message


def _tools(value: Any) -> Any:
    """Return tools in the shape of the OpenAI API, from JSON or the shapes of others."""
    value = _parsed(value)
    if not value:
        return None

    tools: list[Any] = []
    for tool in strict_json.items_of(value):
        if not isinstance(tool, Mapping):
            return value
        specs = tool.get("functionDeclarations") or tool.get("function_declarations")
        specs = specs or [tool.get("toolSpec", tool)]
        if not isinstance(specs, list) or not all(isinstance(spec, Mapping) for spec in specs):
            return value
        tools += [spec if "function" in spec else _function(spec) for spec in specs]
    return tools or None


def _function(spec: Row) -> dict[str, Any]:
    function = dict(spec)
    schema = function.pop("inputSchema", None)
    if isinstance(schema, Mapping):
        function["parameters"] = schema.get("json", schema)
    return {"type": "function", "function": function}


# --- the formats ----------------------------------------------------------------------------------


_CHAT_KEYS = {"id", "group", "messages", "tools", "system"}
"""Keys of a row beside which ``system`` is its system message, as Bedrock has it."""


def _chat(row: Row, column: Names) -> Parts | None:
    for name in ("input", "expected"):
        if name in row:
            message = f'the row has both "messages" and "{name}"'
            cure = "remove one of them, or use the messages as input: fields: {input: messages}"
            raise DataError(message, evidence=f"found: {listed(row)}", cure=cure)

    key = column["messages"]
    # Tables hold conversations as JSON text.
    messages = _parsed(row[key])
    if isinstance(messages, list) and row.get("system") and row.keys() <= _CHAT_KEYS:
        messages = [{"role": "system", "content": row["system"]}, *messages]
    tools = None
    if isinstance(row.get("tools"), str):
        tools = _tools(row["tools"])
    return _whole(messages, key, tools)


def _alpaca(row: Row, column: Names) -> Parts:
    output = row[column["output"]]
    if isinstance(output, list):
        cure = "write the good answer as output, or both as chosen and rejected"
        where = Where(key=column["output"])
        raise DataError("must be one output, got a list", where=where, cure=cure)
    for key in ("system", "history"):
        if row.get(key):
            cure = "write the row as messages"
            raise DataError("would not be sent to a model", where=Where(key=key), cure=cure)

    prompt = _text(row, column["instruction"])
    if row.get("input") is not None:
        prompt = "\n".join(filter(None, (prompt, _text(row, "input"))))
    return Parts(prompt, output)


def _prompted(row: Row, column: Names) -> Parts | None:
    return _answered(_asked(row, column["prompt"]), row, column["completion"])


def _preference(row: Row, column: Names) -> Parts | None:
    key = column["chosen"]
    prompt = None
    if row.get("prompt") is not None:
        prompt = _asked(row, "prompt")
    elif not isinstance(_spoken(row, key), list):
        cure = "name its column: fields: {input: NAME, expected: chosen}"
        raise DataError('the row has no "prompt"', evidence=f"found: {listed(row)}", cure=cure)
    return _answered(prompt, row, key)


def _preferred(row: Row, column: Names) -> Parts | None:
    """Return the parts of a preference row of OpenAI or Together."""
    key = column["input"]
    request = _object(_parsed(row[key]), key)
    messages = checked_messages(request.get("messages"), f"{key}.messages")
    content = _answered(messages, row, column["preferred_output"])
    return content and content._replace(tools=_tools(request.get("tools")))


def _plain(row: Row, column: Names) -> Parts:
    tools = _tools(row.get("tools"))
    if not declared_tools(tools):  # another kind of field
        tools = None
    return Parts(row[column["input"]], row.get(column["expected"]), tools)


_BESIDE = (*_SYSTEM, "tools", "toolConfig")
_OF_A_REPORT = (
    *("name", "output", "evaluators", "evaluator_failures", "metrics", "attributes", "scores"),
    *("labels", "assertions", "task_duration", "total_duration", "source_case_name", "trace_id"),
    *("span_id", "error_message", "error_stacktrace"),
)
_OF_A_RESULT = (
    *("id", "cost", "gradingResult", "latencyMs", "namedScores", "prompt", "promptId", "promptIdx"),
    *("provider", "response", "score", "success", "testIdx", "tokenUsage", "metadata", "error"),
    *("failureReason",),
)
_OF_A_TRACE = (
    *("id", "trace_id", "client_request_id", "state", "request_time", "execution_duration"),
    *("response", "ok/value"),
)
"""What a tool writes beside a case, which says nothing about it."""

_EXPECTATION = "expected_response/value"
"""Where MLflow writes the expectation ``expected_response``."""


# --- cases of other tools -------------------------------------------------------------------------


def _case(row: Row, column: Names) -> Parts:
    """Return the parts of a case of pydantic-evals or DeepEval, whose input may be an object."""
    question = row[column["inputs" if "inputs" in column else "input"]]
    if isinstance(question, Mapping):
        question = canonical_json(question)
    return Parts(question, row[column["expected_output"]])


def _name_of(row: Row) -> str | None:
    """Return the name of a case; None where it has none, or one that its tool gave it."""
    name = row.get("source_case_name") or row.get("name")  # a repeat has both
    # Reports of pydantic-evals call the first case without a name "Case 1".
    if not isinstance(name, str) or re.fullmatch(r"\s*|Case \d+", name):
        return None
    return name


def _promptfoo(row: Row, _: Names) -> Parts:
    """Return the parts of a test of promptfoo: its only variable, and what it must be equal to."""
    variables = dict(_object(row["vars"], "vars"))
    expected = _equal_to(_object(row["testCase"], "testCase").get("assert"))
    # The value may be a variable: {{expected}}.
    if isinstance(expected, str):
        named = re.fullmatch(r"\{\{\s*(\w+)\s*\}\}", expected)
        if named and named[1] in variables:
            expected = variables.pop(named[1])

    cure = "fields: {id: testIdx, input: vars.NAME, expected: testCase.assert.0.value}"
    return Parts(_only_variable(variables, cure), expected)


def _equal_to(assertions: Any) -> Any:
    """Return the value of the first assertion ``equals``; None without one."""
    for assertion in assertions or ():
        if isinstance(assertion, Mapping) and assertion.get("type") == "equals":
            return assertion.get("value")
    return None


def _mlflow(row: Row, _: Names) -> Parts:
    """Return the parts of a row of ``mlflow.genai.evaluate``: its only input is the input."""
    request = strict_json.container_of(row["request"])
    expected = row[_EXPECTATION]
    if not isinstance(request, Mapping):
        return Parts(row["request"], expected)
    cure = f"fields: {{id: trace_id, input: request.NAME, expected: {_EXPECTATION}}}"
    return Parts(_only_variable(request, cure), expected)


def _only_variable(variables: Mapping[str, Any], cure: str) -> Any:
    """Return the value of the only variable besides ``id``."""
    names = [name for name in variables if name != "id"]
    if len(names) != 1:
        message = f"the row has {plural(len(names), 'variable')}, of which one must be the input"
        raise DataError(message, evidence=f"found: {listed(names)}", cure=cure)
    return variables[names[0]]


def _promptfoo_id(row: Row) -> str | None:
    """Return the variable ``id`` of a test."""
    return _id_among(row["vars"])


def _mlflow_id(row: Row) -> str | None:
    """Return the id that the client gave a request, or the input ``id``."""
    own_id = row.get("client_request_id")
    return str(own_id) if own_id is not None else _id_among(row["request"])


def _id_among(variables: Any) -> str | None:
    own_id = strict_json.object_of(variables).get("id")
    return None if own_id is None else str(own_id)


_ALL = (
    Format(
        name="plain",
        title="input/expected",
        by="",
        keys=("input", "expected"),
        read=_plain,
        covers=("sharegpt", "gemini", "bedrock", "alpaca", "prompt_completion", "preference"),
    ),
    Format(
        name="chat",
        title="chat",
        by="OpenAI",
        keys=("messages",),
        read=_chat,
        when=lambda row: "input" not in row,
    ),
    Format(
        name="bedrock",
        title="conversation",
        by="Bedrock",
        keys=("schemaVersion", "messages"),
        read=_conversation(_BEDROCK),
        uses=_BESIDE,
        covers=("chat",),
    ),
    Format(
        name="sharegpt",
        title="conversations",
        by="ShareGPT",
        keys=("conversations",),
        read=_conversation(_SHAREGPT),
        uses=_BESIDE,
    ),
    Format(
        name="gemini",
        title="contents",
        by="Gemini",
        keys=("contents",),
        read=_conversation(_GEMINI),
        uses=_BESIDE,
    ),
    Format(
        name="alpaca",
        title="instruction",
        by="Alpaca",
        keys=("instruction", "output"),
        read=_alpaca,
        uses=("input",),
    ),
    Format(
        name="prompt_completion",
        title="prompt/completion",
        by="TRL, Bedrock",
        keys=("prompt", "completion"),
        read=_prompted,
    ),
    Format(
        name="preference",
        title="preference",
        by="TRL",
        keys=("chosen", "rejected"),
        read=_preference,
        uses=("prompt", "messages"),
        covers=("chat",),
    ),
    Format(
        name="preferred",
        title="preference",
        by="OpenAI, Together",
        keys=("input", "preferred_output"),
        read=_preferred,
        uses=("non_preferred_output",),
    ),
    Format(
        name="pydantic_evals",
        title="cases",
        by="pydantic-evals",
        keys=("inputs", "expected_output"),
        read=_case,
        uses=_OF_A_REPORT,
        in_lists=True,
        id_of=_name_of,
    ),
    Format(
        name="deepeval",
        title="goldens",
        by="DeepEval",
        keys=("input", "expected_output"),
        read=_case,
        uses=("name", "actual_output"),
        when=lambda row: "actual_output" in row,
        id_of=_name_of,
    ),
    Format(
        name="promptfoo",
        title="tests",
        by="promptfoo",
        keys=("vars", "testCase"),
        read=_promptfoo,
        uses=_OF_A_RESULT,
        id_of=_promptfoo_id,
    ),
    Format(
        name="mlflow",
        title="traces",
        by="MLflow",
        keys=("request", _EXPECTATION),
        read=_mlflow,
        uses=_OF_A_TRACE,
        id_of=_mlflow_id,
    ),
)
FORMATS: Mapping[str, Format] = {form.name: form for form in _ALL}
"""All formats by name."""

PLAIN = FORMATS["plain"]
