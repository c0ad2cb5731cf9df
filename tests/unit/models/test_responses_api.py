"""The Responses API: what is sent, and how answers are read."""

import pytest
from loopback import Reply

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.openai_api.answers import read_response
from pytest_ftgate.models.openai_api.endpoint import Endpoint

HERE = Endpoint("http://127.0.0.1:8000/v1", "m")


def body(*items, **more):
    return {"object": "response", "status": "completed", "output": list(items), **more}


def message(*texts, kind="output_text"):
    key = "refusal" if kind == "refusal" else "text"
    return {"type": "message", "role": "assistant", "content": [{"type": kind, key: text} for text in texts]}


CALL = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"x": 1}'}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]}
CANONICAL = '[{"arguments":{"x":1},"name":"f"}]'
CUT_OFF = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (body(message("hi")), Completion("hi")),
        (body(message("h", "i")), Completion("hi")),
        (body(THOUGHT, message("hi")), Completion("hi", reasoning="so")),
        (body(CALL), Completion(CANONICAL)),
        (body(THOUGHT, message("see"), CALL), Completion(CANONICAL, reasoning="so\nsee")),
        (body(message("no", kind="refusal")), Completion("no", finish="refusal")),
        (body(message("hi"), **CUT_OFF), Completion("hi", finish="cut_off")),
        (body(**CUT_OFF), Completion("", finish="cut_off")),
        (body(status="incomplete", incomplete_details={"reason": "content_filter"}), Completion("", finish="filtered")),
        (body(), Completion("")),
        (body({"type": "message", "content": 3}, {"type": "web_search_call"}), Completion("")),
        (
            body(
                message("hi"),
                usage={"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}},
            ),
            Completion("hi", input_tokens=7, output_tokens=2, cached_input_tokens=4),
        ),
    ],
)
def test_an_answer(data, answer):
    assert read_response(data, HERE) == answer


@pytest.mark.parametrize("data", [None, [], {}, {"output": "hi"}, body(model="other")])
def test_what_is_no_response(data):
    with pytest.raises(ModelError) as caught:
        read_response(data, HERE)
    assert (caught.value.kind, caught.value.retryable) == ("unreadable", False)


def test_a_response_that_failed_is_worth_another_try():
    with pytest.raises(ModelError) as caught:
        read_response(body(status="failed", error={"message": "down"}), HERE)
    assert caught.value.retryable


def test_a_conversation_with_tools_is_sent_in_the_shape_of_this_api(ask, build, server):
    server.faults.append(Reply(body=body(message("hi"))))
    function = {"name": "f", "parameters": {"type": "object"}}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = (
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "7"},
    )
    model = build(base_url=server.url, api="responses", params={"reasoning": {"effort": "low"}})
    assert ask(model, asked, tools=[{"type": "function", "function": function}]).text == "hi"
    assert server.requests[0].path == "/v1/responses"
    assert server.bodies == [
        {
            "model": "m",
            "input": [
                *asked[:2],
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "7"},
            ],
            "tools": [{"type": "function", **function}],
            "reasoning": {"effort": "low"},
        }
    ]


def test_answers_of_the_two_apis_are_stored_apart(build, server):
    example = Example("1", "hello", "x")
    keys = {build(base_url=server.url, **api).key(example) for api in ({}, {"api": "chat"}, {"api": "responses"})}
    assert len(keys) == 2


def test_input_is_not_a_parameter(build):
    with pytest.raises(ConfigError) as caught:
        build(api="responses", params={"input": "x"})
    assert "input" in str(caught.value)


def test_calls_of_the_old_api_keep_their_place(ask, build, server):
    """They have no ids, by which this API joins a call and its result."""
    server.faults.append(Reply(body=body(message("hi"))))
    old = [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": x}} for x in ("1", "2")]
    result = {"role": "function", "name": "f", "content": "7"}
    user = {"role": "user", "content": "u"}
    ask(build(base_url=server.url, api="responses"), (user, old[0], result, old[1], result))
    assert server.bodies[0]["input"] == [
        user,
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "7"},
        {"type": "function_call", "call_id": "call_2", "name": "f", "arguments": "2"},
        {"type": "function_call_output", "call_id": "call_2", "output": "7"},
    ]
