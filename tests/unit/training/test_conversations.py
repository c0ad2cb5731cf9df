"""The order of turns, and rows that are too long."""

import pytest

from pytest_ftgate.checks.audit.audit import chat_errors, estimated_tokens
from pytest_ftgate.data import Example


def turns(*roles, **contents):
    return tuple({"role": role, "content": contents.get(role, "text")} for role in roles)


def rows(inputs, **fields):
    return [Example("", given, "", fields=fields) for given in inputs]


CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}


@pytest.mark.parametrize(
    "messages",
    [
        turns("user"),
        turns("system", "user"),
        turns("developer", "user", "assistant", "user"),
        turns("system", "developer", "user"),
        (*turns("user"), CALL, *turns("tool")),
        (*turns("user"), CALL, *turns("tool", "tool", "assistant", "user")),
        (*turns("user"), CALL, *turns("tool", tool="")),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},),
    ],
)
def test_in_order(messages):
    assert chat_errors([messages]) == {}


def test_tool_calls_count_as_tokens():
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "mail", "arguments": "x" * 4000}}]}
    (example,) = rows([(*turns("user"), call, *turns("tool"))])
    assert estimated_tokens(example, "sent") > 1000


OUT_OF_ORDER = {
    "instructions": [turns("user", "system"), turns("user", "assistant", "system", "user")],
    "user": [turns("user", "user"), turns("system"), turns("system", "assistant")],
    "assistant": [
        *(turns("user", "assistant", "assistant", "user"), turns("user", "assistant"), turns("assistant", "user"))
    ],
    "call": [turns("user", "tool")],
    "empty": [turns("system", "user", system=" "), turns("user", "assistant", "user", assistant="")],
}


@pytest.mark.parametrize(("word", "messages"), [(word, one) for word, some in OUT_OF_ORDER.items() for one in some])
def test_out_of_order(word, messages):
    errors = chat_errors(["text", messages, turns("user")])
    assert list(errors) == [1]
    assert word in errors[1]


@pytest.mark.parametrize(
    ("given", "output", "fields", "tokens"),
    [
        ("x" * 36, "y" * 7, {}, 10),
        ("x" * 36, "y" * 8, {}, 11),
        ("x" * 36, "", {"tools": [{"name": "f"}]}, 12),
        ("ü" * 22, "", {}, 11),
        (turns("system", "user", system="x" * 20, user="y" * 24), "", {}, 11),
    ],
)
def test_tokens_are_bytes_by_four(given, output, fields, tokens):
    (example,) = rows([given], **fields)
    assert estimated_tokens(example, output) == tokens
