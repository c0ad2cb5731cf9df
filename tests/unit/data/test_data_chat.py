"""Conversations: the last message is the expected output, what stands before it the input."""

import json
from pathlib import Path

import pytest

from pytest_ftgate.data import Example, content_id, load_examples
from pytest_ftgate.errors import DataError

SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "A"}
PLAIN = {"input": "a", "expected": "b"}


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(*rows, **options):
    Path("chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_examples(Path("chat.jsonl"), **options)


def error_of(*rows, **options):
    with pytest.raises(DataError) as caught:
        load(*rows, **options)
    return str(caught.value)


def error_of_messages(messages):
    return error_of({"messages": messages})


class TestConversations:
    def test_a_conversation_becomes_an_example(self):
        data = load({"messages": [SYSTEM, USER, ANSWER], "id": 5, "group": "g", "tools": [{"type": "function"}]})
        assert data.examples == (Example("5", (SYSTEM, USER), "A", "g", {"tools": [{"type": "function"}]}),)

    def test_the_id_is_made_from_the_messages_before_the_answer(self):
        data = load({"messages": [USER, ANSWER]}, {"messages": [USER, {**ANSWER, "content": "B"}]})
        assert {example.id for example in data} == {content_id((USER,))}

    def test_earlier_answers_belong_to_the_input(self):
        data = load({"messages": [USER, ANSWER, USER, {**ANSWER, "content": "last"}]})
        assert data.examples[0].input == (USER, ANSWER, USER)
        assert data.examples[0].expected == "last"

    def test_further_keys_of_messages_are_kept(self):
        named = {**USER, "name": "Ada"}
        assert load({"messages": [named, ANSWER]}).examples[0].input == (named,)

    @pytest.mark.parametrize(
        "calls", [{"tool_calls": [{"id": "1"}]}, {"function_call": {"name": "f"}, "content": None}]
    )
    def test_calls_of_tools_need_no_content(self, calls):
        call = {"role": "assistant", **calls}
        result = {"role": "tool", "tool_call_id": "1", "content": "7"}
        assert load({"messages": [USER, call, result, ANSWER]}).examples[0].input == (USER, call, result)

    def test_text_in_parts(self):
        parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
        data = load({"messages": [{**USER, "content": parts}, {**ANSWER, "content": parts}]})
        assert data.examples[0].input == ({**USER, "content": parts},)
        assert data.examples[0].expected == "AB"

    def test_messages_can_be_the_input_of_a_plain_row(self):
        assert load({"input": [SYSTEM, USER], "expected": {"x": 1}}).examples[0].input == (SYSTEM, USER)

    def test_messages_can_be_mapped_to_the_input(self):
        data = load({"messages": [SYSTEM, USER], "label": "b"}, fields={"input": "messages", "expected": "label"})
        assert data.examples == (Example(content_id((SYSTEM, USER)), (SYSTEM, USER), "b"),)

    def test_messages_under_another_name(self):
        row = {"conversation": [USER, ANSWER], "uid": "x"}
        assert load(row, fields={"messages": "conversation", "id": "uid"}).examples == (Example("x", (USER,), "A"),)


class TestForms:
    def test_the_first_row_sets_the_form(self):
        assert error_of({"messages": [USER, ANSWER]}, PLAIN) == (
            'chat.jsonl:2: no field "messages"\n'
            "  found: input, expected\n"
            '  this row is not a conversation: all rows of a file have one form, set by the first or by "format"'
        )
        assert error_of(PLAIN, {"messages": [USER, ANSWER]}) == (
            'chat.jsonl:2: no field "input"; no field "expected"\n'
            "  found: messages\n"
            '  this row is a conversation: all rows of a file have one form, set by the first or by "format"'
        )

    def test_a_written_format_sets_the_form(self):
        assert "this row is not a conversation" in error_of(PLAIN, format="chat")
        assert "this row is a conversation" in error_of({"messages": [USER, ANSWER]}, format="jsonl")

    @pytest.mark.parametrize("second", ["input", "expected"])
    def test_two_sources_in_one_row(self, second):
        assert error_of({"messages": [USER, ANSWER], second: "x"}, format="chat") == (
            f'chat.jsonl:1: the row has "messages" and "{second}": which of the two counts is not said\n'
            f"  found: messages, {second}\n"
            "  remove one, or make the messages the input: format: jsonl, fields: {input: messages}"
        )

    def test_mapped_names_that_the_format_does_not_have(self):
        assert error_of({"messages": [USER, ANSWER]}, format="chat", fields={"input": "messages", "expected": "x"}) == (
            "chat.jsonl: fields: names input, expected, but in the format chat both come from the messages\n"
            "  to read the messages as the input: format: jsonl, fields: {input: messages}"
        )

    def test_messages_and_a_mapped_label_need_the_input_mapped_too(self):
        assert error_of({"messages": [USER], "label": "b"}, fields={"expected": "label"}) == (
            'chat.jsonl:1: no field "input"\n'
            "  found: messages, label\n"
            "  say what they are called: fields: {input: messages}"
        )


class TestBrokenMessages:
    def test_the_last_message_is_the_assistants(self):
        assert error_of_messages([SYSTEM, USER]) == (
            'chat.jsonl:1: messages[1]: the last message must be from the assistant, is from "user"\n'
            "  roles: system, user\n"
            "  the expected output is the assistant's last message; what stands before it is the input"
        )

    def test_something_stands_before_it(self):
        assert error_of_messages([ANSWER]) == "chat.jsonl:1: messages: no message stands before the assistant's answer"

    @pytest.mark.parametrize(
        "answer",
        [
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "assistant", "content": []},
            {"role": "assistant", "content": [{"type": "text", "text": "A"}, {"type": "image_url"}]},
        ],
    )
    def test_the_last_message_has_text(self, answer):
        assert error_of_messages([USER, answer]) == (
            "chat.jsonl:1: messages[1]: the assistant's last message has no text that could be the expected output\n"
            f"  found: {', '.join(answer)}\n"
            "  answers are compared as text: give the message a text content"
        )

    @pytest.mark.parametrize(
        ("messages", "message"),
        [
            ("hello", "messages: must be a list of messages, is text"),
            ([], "messages: is an empty list of messages"),
            (["hello"], "messages[0]: a message must be an object, is text"),
            ([{"content": "a"}, ANSWER], 'messages[0]: a message must have a "role"'),
            ([{"role": "user", "tool_calls": []}, ANSWER], 'messages[0]: a message must have a "content"'),
            ([USER, {"role": "assistant"}], 'messages[1]: a message must have a "content"'),
            ([{"role": "asistant", "content": "a"}], 'messages[0].role: unknown role: "asistant"'),
            ([{"role": 3, "content": "a"}], "messages[0].role: unknown role: a number"),
            (
                [{"role": "user", "content": None}],
                'messages[0].content: must be text or a list of parts with a "type", is null',
            ),
            (
                [{"role": "user", "content": ["a"]}],
                'messages[0].content: must be text or a list of parts with a "type", is a list',
            ),
        ],
    )
    def test_the_message_and_key_are_named(self, messages, message):
        assert error_of_messages(messages).split("\n")[0] == f"chat.jsonl:1: {message}"

    def test_an_unknown_role_suggests_the_nearest(self):
        assert error_of_messages([{"role": "sytem", "content": "a"}, USER, ANSWER]).endswith(
            '\n  roles: system, developer, user, assistant, tool, function\n  did you mean "system"?'
        )

    def test_messages_as_input_are_checked_in_the_same_way(self):
        assert error_of({"input": [{"role": "user"}], "expected": "b"}).split("\n") == [
            'chat.jsonl:1: input[0]: a message must have a "content"',
            "  found: role",
            '  a message looks like this: {"role": "user", "content": "..."}',
        ]
