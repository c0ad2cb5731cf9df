"""Conversations that are refused. Those that are read: test_formats.py."""

import json

import pytest

SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "A"}
PLAIN = {"input": "a", "expected": "b"}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


CHAT = {"messages": [USER, ANSWER]}


@pytest.mark.parametrize(
    ("rows", "options", "place", "words"),
    [
        # the first row, or a written format, sets the form
        ([CHAT, PLAIN], {}, ":2", ['"messages"', "input, expected"]),
        ([PLAIN, CHAT], {}, ":2", ['"input"', '"expected"']),
        ([PLAIN], {"format": "chat"}, ":1", ['"messages"']),
        ([CHAT], {"format": "plain"}, ":1", ['"input"']),
        # two sources in one row
        *(
            ([{**CHAT, key: "x"}], {"format": "chat"}, ":1", ['"messages"', f'"{key}"', "fields: {input: messages}"])
            for key in ("input", "expected")
        ),
        # names that the format does not have
        (
            [CHAT],
            {"format": "chat", "fields": {"input": "messages", "expected": "x"}},
            ": fields",
            ["input, expected", "messages"],
        ),
        (
            [{"messages": [USER], "label": "b"}],
            {"fields": {"expected": "label"}},
            ":1",
            ['"input"', "fields: {input: messages}"],
        ),
        ([{"input": [{"role": "user"}], "expected": "b"}], {}, ":1: input[0]", ['"content"']),
    ],
)
def test_rows_of_two_forms_are_refused(refused, rows, options, place, words):
    refused(lines(rows), place, *words, **options)


CALL_WITHOUT_TEXT = {"role": "assistant", "content": None, "tool_calls": []}
PARTS = [{"type": "text", "text": "A"}, {"type": "image_url"}]


@pytest.mark.parametrize(
    ("messages", "place", "words"),
    [
        ([SYSTEM, USER], "[1]", ['"user"', "system, user"]),
        ([ANSWER], "", ["before"]),
        *(
            ([USER, {**ANSWER, **answer}], "[1]", ["text"])
            for answer in (CALL_WITHOUT_TEXT, {"content": []}, {"content": PARTS})
        ),
        ("hello", "", ["text"]),
        ([], "", ["empty"]),
        (["hello"], "[0]", ["text"]),
        ([{"content": "a"}, ANSWER], "[0]", ['"role"']),
        ([{"role": "user", "tool_calls": []}, ANSWER], "[0]", ['"content"']),
        ([USER, {"role": "assistant"}], "[1]", ['"content"']),
        ([{"role": "asistant", "content": "a"}], "[0].role", ['"asistant"', "developer", '"assistant"']),
        ([{"role": 3, "content": "a"}], "[0].role", ["number"]),
        ([{"role": "user", "content": None}], "[0].content", ["null"]),
        ([{"role": "user", "content": ["a"]}], "[0].content", ["list", '"type"']),
    ],
)
def test_a_broken_message_is_named_with_its_key(refused, messages, place, words):
    refused(lines([{"messages": messages}]), f":1: messages{place}", *words)
