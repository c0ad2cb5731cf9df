"""The order of turns, and rows that are too long."""

import pytest

from pytest_ftgate.checks.training_set.conversations import chat_errors, long_rows


def turns(*roles, **contents):
    return tuple({"role": role, "content": contents.get(role, "text")} for role in roles)


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


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        (turns("user", "system"), "instructions after the first turn"),
        (turns("user", "assistant", "system", "user"), "instructions after the first turn"),
        (turns("user", "user"), "two turns of the user in a row"),
        (turns("user", "assistant", "assistant", "user"), "two turns of the assistant in a row"),
        (turns("user", "assistant"), "two turns of the assistant in a row"),
        (turns("system"), "no turn of the user"),
        (turns("system", "assistant"), "no turn of the user"),
        (turns("assistant", "user"), "begins with the assistant"),
        (turns("user", "tool"), "the result of a call that nobody made"),
        (turns("system", "user", system=" "), "an empty message"),
        (turns("user", "assistant", "user", assistant=""), "an empty message"),
    ],
)
def test_out_of_order(messages, what):
    assert chat_errors(["text", messages, turns("user")]) == {1: what}


def test_tokens_are_bytes_by_four():
    assert long_rows(["x" * 36], ["y" * 7], 10) == {}
    assert long_rows(["short", "x" * 36], ["", "y" * 8], 10) == {1: 11}
    assert long_rows(["ü" * 22], [""], 10) == {0: 11}
    assert long_rows([turns("system", "user", system="x" * 20, user="y" * 24)], [""], 10) == {0: 11}
