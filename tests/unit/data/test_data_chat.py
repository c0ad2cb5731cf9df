"""Conversations: the last message is the expected output, what stands before it the input."""

import json

import pytest

from pytest_ftgate.data import Example, content_id

SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "A"}
PLAIN = {"input": "a", "expected": "b"}


@pytest.fixture
def chat(load):
    return lambda *rows, **options: load(lines(rows), **options)


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


class TestConversations:
    def test_the_id_is_made_from_the_messages_before_the_answer(self, chat):
        data = chat({"messages": [USER, ANSWER]}, {"messages": [USER, {**ANSWER, "content": "B"}]})
        assert {example.id for example in data} == {content_id((USER,))}

    def test_further_keys_of_messages_are_kept(self, chat):
        named = {**USER, "name": "Ada"}
        assert chat({"messages": [named, ANSWER]}).examples[0].input == (named,)

    @pytest.mark.parametrize(
        "calls", [{"tool_calls": [{"id": "1"}]}, {"function_call": {"name": "f"}, "content": None}]
    )
    def test_calls_of_tools_need_no_content(self, chat, calls):
        call = {"role": "assistant", **calls}
        result = {"role": "tool", "tool_call_id": "1", "content": "7"}
        assert chat({"messages": [USER, call, result, ANSWER]}).examples[0].input == (USER, call, result)

    @pytest.mark.parametrize(
        "said",
        [
            {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
            {"tool_calls": [{"name": "f", "arguments": {"x": 1}}], "content": "Let me see."},
            {"function_call": {"name": "f", "arguments": '{"x":1}'}, "content": None},
        ],
    )
    def test_an_answer_that_calls_tools(self, chat, said):
        data = chat({"messages": [USER, {"role": "assistant", **said}]})
        assert data.examples[0].expected == [{"name": "f", "arguments": {"x": 1}}]

    def test_expected_calls_in_a_plain_row(self, chat):
        calls = [{"type": "function", "function": {"name": "f", "arguments": ""}}]
        assert chat({"input": "a", "expected": calls}).examples[0].expected == [{"name": "f", "arguments": {}}]

    def test_messages_may_be_in_parts_or_mapped_to_the_input(self, chat):
        parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
        in_parts = {**USER, "content": parts}
        (example,) = chat({"messages": [in_parts, {**ANSWER, "content": parts}]})
        assert (example.input, example.expected) == ((in_parts,), "AB")
        data = chat({"messages": [SYSTEM, USER], "label": "b"}, fields={"input": "messages", "expected": "label"})
        assert data.examples == (Example(content_id((SYSTEM, USER)), (SYSTEM, USER), "b"),)

    def test_messages_under_another_name(self, chat):
        row = {"conversation": [USER, ANSWER], "uid": "x"}
        assert chat(row, fields={"messages": "conversation", "id": "uid"}).examples == (Example("x", (USER,), "A"),)


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
