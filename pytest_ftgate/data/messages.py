"""Check chat messages, and split conversations into input and expected output."""

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.data.example import Messages
from pytest_ftgate.data.tool_calls import canonical_calls
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, kind_of, listed

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def checked_messages(value: Any, key: str) -> Messages:
    """Return the messages under a row's ``key``, each with a known role and a content; errors lack file and line."""
    if not isinstance(value, list):
        raise DataError(f"must be a list of messages, got {kind_of(value)}", where=Where(key=key))
    if not value:
        raise DataError("the list of messages is empty", where=Where(key=key))
    for number, message in enumerate(value):
        _check_message(message, f"{key}[{number}]")
    return tuple(value)


def split_conversation(value: Any, key: str) -> tuple[Messages, Any] | None:
    """Return the messages before the last one, and the expected output in the last one, which must be the assistant's.

    That is its text or, if it calls tools, the list of its calls (see :mod:`pytest_ftgate.data.tool_calls`).
    A message with ``weight: 0`` is not trained on: the last one of the assistant with another weight is the expected
    output, and None is returned if there is none. Weights are removed from the input.
    """
    messages = checked_messages(value, key)
    if any("weight" in message for message in messages):
        trained = _last_trained(messages, key)
        if trained is None:
            return None
        turns = messages[: trained + 1]
        messages = tuple({name: one for name, one in turn.items() if name != "weight"} for turn in turns)
    last = messages[-1]
    place = f"{key}[{len(messages) - 1}]"
    if last["role"] != "assistant":
        raise DataError(
            f'the last message must have the role "assistant", got "{last["role"]}"',
            where=Where(key=place),
            evidence=f"roles: {listed(message['role'] for message in messages)}",
            cure="end the conversation with the expected output, as a message of the assistant",
        )
    if len(messages) == 1:
        raise DataError("there is no message before the assistant's answer", where=Where(key=key))
    return messages[:-1], _answer(last, place)


def _last_trained(messages: Messages, key: str) -> int | None:
    """Return the index of the assistant's last message that is trained on; the last index if it is not of one."""
    for number, message in enumerate(messages):
        if message.get("weight") not in (0, 1, None):
            place = Where(key=f"{key}[{number}].weight")
            raise DataError(f"must be 0 or 1, got {excerpt(str(message['weight']))}", where=place)
    if messages[-1]["role"] != "assistant":
        return len(messages) - 1
    answers = (n for n, one in enumerate(messages) if one["role"] == "assistant" and one.get("weight") != 0)
    return max(answers, default=None)


def _answer(message: Mapping[str, Any], place: str) -> Any:
    for key in ("tool_calls", "function_call"):
        if message.get(key):
            return checked_calls(message[key], f"{place}.{key}")
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content or ()
    texts = [part["text"] for part in parts if part.get("type") == "text" and isinstance(part.get("text"), str)]
    if not texts or len(texts) < len(parts):
        raise DataError(
            "the assistant's last message has no text",
            where=Where(key=place),
            evidence=f"found: {listed(message)}",
            cure="write the expected output as its text content",
        )
    return "".join(texts)


def checked_calls(value: Any, key: str) -> list[dict[str, Any]]:
    """Return tool calls in their canonical shape; errors lack file and line."""
    try:
        return canonical_calls(value)
    except ValueError as error:
        cure = 'a call looks like this: {"type": "function", "function": {"name": "...", "arguments": "{...}"}}'
        raise DataError(str(error), where=Where(key=key), cure=cure) from None


def _check_message(message: Any, place: str) -> None:
    if not isinstance(message, dict):
        raise DataError(f"a message must be an object, got {kind_of(message)}", where=Where(key=place))
    content, role = message.get("content"), message.get("role")
    calls_tools = role == "assistant" and ("tool_calls" in message or "function_call" in message)
    for key in ("role", "content"):
        if key not in message and not (key == "content" and calls_tools):
            raise DataError(
                f'a message has no "{key}"',
                where=Where(key=place),
                evidence=f"found: {listed(message)}",
                cure='a message looks like this: {"role": "user", "content": "..."}',
            )
        if key == "role":
            check_role(role, f"{place}.role")
    are_parts = isinstance(content, list) and all(isinstance(part, dict) and "type" in part for part in content)
    if not isinstance(content, str) and not are_parts and not (content is None and calls_tools):
        what = f'must be text or a list of parts with a "type", got {kind_of(content)}'
        raise DataError(what, where=Where(key=f"{place}.content"))


def check_role(role: Any, key: str) -> None:
    """Raise :class:`DataError` without file and line unless this is a role of the OpenAI API."""
    if isinstance(role, str) and role in ROLES:
        return
    found = f'"{excerpt(role)}"' if isinstance(role, str) else kind_of(role)
    raise DataError(f"unknown role: {found}", where=Where(key=key), evidence=f"roles: {listed(ROLES)}")
