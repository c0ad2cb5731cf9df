"""Check chat messages, divide conversations into input and expected output, normalise inputs."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ftgate.data import example, strict_json
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, kind_of, listed

ROLES = ("system", "developer", "user", "assistant", "tool", "function")

_CALL, _END_OF_CALL = "<tool_call>", "</tool_call>"


def must_be(required: str, value: Any, key: str) -> DataError:
    """Return the error that a value is not what its key requires; it lacks file and line."""
    return DataError(f"must be {required}, got {kind_of(value)}", where=Where(key=key))


def checked_messages(value: Any, key: str) -> example.Messages:
    """Return the messages under a row's ``key``, each with a known role and a content.

    Errors lack file and line.
    """
    if not isinstance(value, list):
        raise must_be("a list of messages", value, key)
    if not value:
        raise DataError("the list of messages is empty", where=Where(key=key))
    for number, message in enumerate(value):
        _check_message(message, f"{key}[{number}]")
    return tuple(value)


def split_conversation(value: Any, key: str) -> tuple[example.Messages, Any] | None:
    """Return the messages before the assistant's last one, and the expected output in that one.

    That is its text or, if it calls tools, the list of its calls (see :func:`canonical_calls`). A
    message with ``weight: 0`` is not trained on: the last one of the assistant with another weight
    is the expected output, and None is returned if there is none. Weights are removed from the
    input.
    """
    messages = checked_messages(value, key)
    if any("weight" in message for message in messages):
        trained = _last_trained(messages, key)
        if trained is None:
            return None
        messages = tuple(without_weight(message) for message in messages[: trained + 1])

    last = messages[-1]
    place = f"{key}[{len(messages) - 1}]"
    if last["role"] != "assistant":
        problem = f'the last message must have the role "assistant", got "{last["role"]}"'
        evidence = f"roles: {listed(message['role'] for message in messages)}"
        cure = "end the conversation with the expected output, as a message of the assistant"
        raise DataError(problem, where=Where(key=place), evidence=evidence, cure=cure)
    if len(messages) == 1:
        raise DataError("there is no message before the assistant's answer", where=Where(key=key))
    return messages[:-1], answer_in(last, place)


def _last_trained(messages: example.Messages, key: str) -> int | None:
    """Return the index of the assistant's last message that is trained on.

    Return the last index if the last message is not the assistant's.
    """
    trained = None
    for number, message in enumerate(messages):
        weight = message.get("weight")
        if weight not in (0, 1, None):
            problem = f"must be 0 or 1, got {excerpt(str(weight))}"
            raise DataError(problem, where=Where(key=f"{key}[{number}].weight"))
        if message["role"] == "assistant" and weight != 0:
            trained = number

    # The caller names this message as the wrong one.
    if messages[-1]["role"] != "assistant":
        return len(messages) - 1
    return trained


def without_weight(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in message.items() if name != "weight"}


def answer_in(message: Mapping[str, Any], place: str) -> Any:
    """Return what a message of the assistant says, or the calls that it makes."""
    for key in ("tool_calls", "function_call"):
        if message.get(key):
            return checked_calls(message[key], f"{place}.{key}")
    content = message.get("content")
    if isinstance(content, str):
        return content

    texts = [_plain_text(item) for item in content or ()]
    if not texts or None in texts:
        problem = "the assistant's message has no text"
        evidence = f"found: {listed(message)}"
        cure = "write the expected output as its text content"
        raise DataError(problem, where=Where(key=place), evidence=evidence, cure=cure)
    return "".join(text for text in texts if text is not None)


def checked_calls(value: Any, key: str) -> list[dict[str, Any]]:
    """Return tool calls in their canonical shape; errors lack file and line."""
    try:
        return canonical_calls(value)
    except ValueError as error:
        cure = (
            'a call looks like this: {"type": "function", "function": {"name": "...", '
            '"arguments": "{...}"}}'
        )
        raise DataError(str(error), where=Where(key=key), cure=cure) from None


def _check_message(message: Any, place: str) -> None:
    if not isinstance(message, dict):
        problem = f"a message must be an object, got {kind_of(message)}"
        raise DataError(problem, where=Where(key=place))
    role = message.get("role")

    # A message that calls tools may have no content.
    calls_tools = role == "assistant" and ("tool_calls" in message or "function_call" in message)
    if "role" not in message:
        raise _lacks("role", message, place)
    check_role(role, f"{place}.role")
    if "content" not in message and not calls_tools:
        raise _lacks("content", message, place)

    content = message.get("content")
    if isinstance(content, str) or (content is None and calls_tools):
        return
    if not isinstance(content, list) or not all(map(_is_typed, content)):
        raise must_be('text or a list of parts with a "type"', content, f"{place}.content")


def _is_typed(item: Any) -> bool:
    """Return whether an item of a content says what it is."""
    return isinstance(item, dict) and "type" in item


def _lacks(key: str, message: Mapping[str, Any], place: str) -> DataError:
    return DataError(
        f'a message has no "{key}"',
        where=Where(key=place),
        evidence=f"found: {listed(message)}",
        cure='a message looks like this: {"role": "user", "content": "..."}',
    )


def check_role(role: Any, key: str) -> None:
    """Raise :class:`DataError` without file and line unless this is a role of the OpenAI API."""
    if isinstance(role, str) and role in ROLES:
        return
    label = f'"{excerpt(role)}"' if isinstance(role, str) else kind_of(role)
    evidence = f"roles: {listed(ROLES)}"
    raise DataError(f"unknown role: {label}", where=Where(key=key), evidence=evidence)


def canonical_calls(value: Any) -> list[dict[str, Any]]:
    """Return a list of calls, or one call, as names and arguments.

    Raise :class:`ValueError`, whose text says why.

    A call is ``{"name", "arguments"}`` or, as the OpenAI API has it, ``{"type": "function",
    "function": {"name", "arguments"}}``, with arguments as JSON text or as an object. Arguments
    that are absent, null or blank are none.
    """
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise ValueError(f"tool calls must be a list, got {kind_of(value)}")
    return [_canonical_call(call) for call in value]


def _canonical_call(call: Any) -> dict[str, Any]:
    call = strict_json.object_of(call)
    function = strict_json.object_of(call.get("function", call))
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError('a tool call must have a "name"')

    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = strict_json.parse_json(arguments) if arguments.strip() else {}
    if not isinstance(arguments, Mapping | None):
        raise ValueError(f"the arguments of {name} must be an object, got {kind_of(arguments)}")
    return {"name": name, "arguments": dict(arguments or {})}


def calls_to_send(calls: Iterable[Mapping[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """Return canonical calls as the OpenAI API takes them, with ids that begin with ``prefix``."""
    sent = []
    for index, call in enumerate(calls):
        arguments = example.canonical_json(call["arguments"])
        function = {"name": call["name"], "arguments": arguments}
        sent.append({"id": f"{prefix}_{index}", "type": "function", "function": function})
    return sent


def calls_text(value: Any) -> str:
    """Return the tool calls of an answer as canonical JSON.

    What a model made up, such as arguments that are not JSON, stays as it is: it is a wrong answer,
    not an error.
    """
    try:
        return example.canonical_json(canonical_calls(value))
    except ValueError:
        return example.canonical_json(value)


def calls_in(answer: str) -> list[dict[str, Any]] | None:
    """Return the tool calls that an answer's text makes: JSON, or ``<tool_call>`` tags.

    ``None``: it is plain text.
    """
    # Models of Hermes and Qwen write calls as text, in tags.
    text = answer.strip()
    texts = _tagged_calls(text)
    if not texts and text[:1] in ("[", "{"):
        texts = [text]
    if not texts:
        return None

    calls: list[dict[str, Any]] = []
    try:
        for call_text in texts:
            calls += canonical_calls(strict_json.parse_json(call_text.strip()))
    except ValueError:
        return None
    return calls


def _tagged_calls(text: str) -> list[str]:
    """Return the texts between ``<tool_call>`` and the next ``</tool_call>``."""
    texts = []
    start = text.find(_CALL)
    while start >= 0:
        end = text.find(_END_OF_CALL, start)
        if end < 0:
            break
        texts.append(text[start + len(_CALL) : end])
        start = text.find(_CALL, end)
    return texts


def readable_calls(answer: str) -> str:
    """Return the tool calls of an answer for people, ``get_weather({"city":"Oslo"})``.

    Return any other answer as it is.
    """
    calls = calls_in(answer)
    if not calls:
        return answer
    return ", ".join(
        f"{call['name']}({example.canonical_json(call['arguments'])})" for call in calls
    )


def calls_tool(answer: str) -> bool:
    """Return whether an answer calls a tool, also with unreadable arguments."""
    calls = calls_in(answer)
    if calls is not None:
        return bool(calls)
    return bool(_functions(strict_json.json_or(answer.strip())))


def declared_tools(tools: Any) -> dict[str, Any]:
    """Return the parameters of each tool by its name, of ``tools`` as the OpenAI API has them."""
    return {function["name"]: function.get("parameters") for function in _functions(tools)}


def _functions(value: Any) -> list[Mapping[str, Any]]:
    """Return the functions with a name of untrusted tools or calls.

    What has another shape is left out.
    """
    functions = []
    for tool in strict_json.items_of(value):
        tool = strict_json.object_of(tool)
        function = strict_json.object_of(tool.get("function", tool))
        if isinstance(function.get("name"), str):
            functions.append(function)
    return functions


# --- inputs in the form in which they are compared ------------------------------------------------

INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles of messages that instruct the model."""

# Unicode's Default_Ignorable_Code_Point: characters without a glyph, which NFKC_Casefold removes.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(member)


def normalized_input(input: example.Input) -> str:  # noqa: A002
    """Return the normalised input: two inputs are the same if these texts are equal.

    Text is normalised to NFKC and case folded, invisible characters are removed, and white space is
    collapsed and stripped. Messages keep their order and roles. A single message of the user is the
    same as its plain text.
    """
    if isinstance(input, str):
        return _normalized(input)
    if len(input) == 1 and input[0]["role"] == "user":
        return _normalized(_text(input[0]))
    # Normalised text has no line feeds or tabs, so that it cannot be confused with a conversation.
    return "".join(f"\n{message['role']}\t{_normalized(_text(message))}" for message in input)


def without_instructions(input: example.Input) -> example.Input:  # noqa: A002
    """Return the input without its system and developer messages.

    Return it unchanged if it has no other messages.
    """
    if isinstance(input, str):
        return input
    turns = tuple(message for message in input if message["role"] not in INSTRUCTIONS)
    return turns if 0 < len(turns) < len(input) else input


def is_blank(input: example.Input) -> bool:  # noqa: A002
    """Return whether the input is blank, or the last message of the user in a conversation."""
    if isinstance(input, str):
        return not visible(input)
    # What the user asked last decides, whatever the instructions say.
    questions = [message for message in input if message["role"] == "user"] or input
    return not questions or not visible(_text(questions[-1]))


def visible(text: str) -> str:
    """Return the text without invisible characters and surrounding white space."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    return text.strip()


def _normalized(text: str) -> str:
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    # Folding can undo what NFKC composed: a folded sharp s and an accent become a composed letter.
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _text(message: Mapping[str, Any]) -> str:
    """Return a message's content as text.

    Other parts, such as images, are canonical JSON; tool calls are without their ids.
    """
    content = message.get("content") or ()
    if isinstance(content, str):
        content = [content]
    texts = []
    for item in content:
        text = _plain_text(item)
        texts.append(example.expected_text(item) if text is None else text)
    if message.get("tool_calls"):
        texts.append(calls_text(message["tool_calls"]))
    return " ".join(texts)


def _plain_text(item: Any) -> str | None:
    """Return the text of a part of a message; None for other parts, such as images."""
    if not isinstance(item, Mapping) or item.get("type") != "text":
        return None
    text = item.get("text")
    return text if isinstance(text, str) else None
