"""What an endpoint's answers and refusals come to."""

from __future__ import annotations

from contextlib import suppress
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Reply, error

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.openai_api.chat_answer import read_answer
from pytest_ftgate.models.openai_api.endpoint import Endpoint, retry_after_s

HERE = Endpoint("http://127.0.0.1:8000/v1", "m")


def body(content="hi", finish="stop", usage=None, **message):
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return {"choices": [choice], **({} if usage is None else {"usage": usage})}


# --- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (body("hi"), Completion("hi")),
        (body(" hi\n"), Completion(" hi\n")),
        (body(""), Completion("")),
        (body(None), Completion("")),
        (body("hi", None), Completion("hi")),
        (body("hi", "eos_token"), Completion("hi")),
        (body("hi", ["stop"]), Completion("hi")),
        (body("hi", "length"), Completion("hi", finish="cut_off")),
        (body("", "content_filter"), Completion("", finish="filtered")),
        (body(None, refusal="I cannot"), Completion("I cannot", finish="refusal")),
        (body("hi", refusal=None), Completion("hi")),
        (body("hi", refusal=""), Completion("hi")),
        (body(None, "length", refusal="I cannot"), Completion("I cannot", finish="refusal")),
        (body(None, "tool_calls", tool_calls=[{}]), Completion("")),
        ({"choices": [*body("one")["choices"], *body("two")["choices"]]}, Completion("one")),
    ],
)
def test_an_answer(data, answer):
    assert read_answer(data, HERE) == answer


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2}, (7, 2, None, None)),
        ({"prompt_tokens": 7, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 4}}, (7, 0, 4, None)),
        ({"prompt_tokens": 7, "prompt_tokens_details": None}, (7, None, None, None)),
        ({"prompt_tokens": 7, "prompt_tokens_details": {"cache_write_tokens": 5}}, (7, None, None, 5)),
        (
            {"prompt_tokens": "7", "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": True}},
            (None,) * 4,
        ),
        ([1], (None,) * 4),
        ({}, (None,) * 4),
    ],
)
def test_tokens(usage, counts):
    answer = read_answer(body(usage=usage), HERE)
    assert (answer.input_tokens, answer.output_tokens, answer.cached_input_tokens, answer.cache_write_tokens) == counts


def test_json_that_is_not_called_json_is_an_answer(ask, build, server):
    server.faults.append(Reply("hi", headers={"Content-Type": "text/plain"}))
    assert ask(build(base_url=server.url)).text == "hi"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({}, "it holds no choice"),
        ({"choices": []}, "it holds no choice"),
        ({"choices": None}, "it holds no choice"),
        ({"choices": {"0": 1}}, "it holds no choice"),
        ({"choices": ["hi"]}, "its first choice holds no message"),
        ({"choices": [{"text": "hi"}]}, "its first choice holds no message"),
        (body(1), "the content is a number, not text"),
        (body([{"type": "text", "text": "hi"}]), "the content is a list, not text"),
        (body({"a": 1}), "the content is an object, not text"),
        ([body()], "it is a list, not an object"),
        (None, "it is null, not an object"),
        ("null", "it is null, not an object"),
        ("3", "it is a number, not an object"),
    ],
)
def test_a_body_that_is_no_chat_completion(data, what):
    with pytest.raises(ModelError) as caught:
        read_answer(data, HERE)
    assert str(caught.value).startswith(
        f"127.0.0.1:8000: the endpoint's answer is not a chat completion: {what}\n  found: "
    )
    assert caught.value.retryable
    assert not caught.value.fatal


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda child: (
        st.lists(child, max_size=3)
        | st.dictionaries(st.sampled_from(["choices", "message", "content", "usage"]), child)
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_the_body_holds_it_is_an_answer_or_a_failure(data):
    with suppress(ModelError):
        assert isinstance(read_answer(data, HERE).text, str)


def test_evidence_is_the_beginning_of_the_body_on_one_line():
    with pytest.raises(ModelError) as caught:
        read_answer("<html>\n\x1b[31m" + "x" * 500, HERE)
    assert str(caught.value) == (
        "127.0.0.1:8000: the endpoint answered with something that is not JSON\n"
        f"  found: <html>  [31m{'x' * 108}...\n"
        "  base_url may name a web page: it usually ends in /v1"
    )


@pytest.mark.parametrize(
    ("reply", "lines"),
    [
        (Reply(body='{"choices": [{"mess'), ["answered with something that is not JSON", 'found: {"choices": [{"mess']),
        (Reply(body=b'{"a": "\xff"}'), ["answered with something that is not JSON", 'found: {"a": "\ufffd"}']),
        (Reply(body="data: {}\n\n", headers={"Content-Type": "text/event-stream"}), ["not JSON", "found: data: {}"]),
        (Reply(body=""), ["the endpoint's answer is empty"]),
        (Reply(body="", headers={"Content-Type": "text/html"}), ["the endpoint's answer is empty"]),
    ],
)
def test_a_body_that_is_no_json(ask, build, server, reply, lines):
    server.faults.append(reply)
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=server.url))
    found = str(caught.value).splitlines()
    assert len(found) == len(lines)
    assert all(line in whole for line, whole in zip(lines, found, strict=True))
    assert caught.value.retryable


# --- refusals ------------------------------------------------------------------------------------------------

UNKNOWN = "the endpoint does not know the model 'm', or base_url is wrong"
TOO_LONG = "a prompt is longer than the context of 'm'"
VLLM_TOO_LONG = {"object": "error", "message": "This model's maximum context length is 8 tokens.", "code": 400}
LLAMA_TOO_LONG = {"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error"}}


@pytest.mark.parametrize(
    ("reply", "what", "cure"),
    [
        (
            error(401, "invalid_api_key"),
            "the endpoint refused the key named by MY_KEY",
            "set MY_KEY to a key that may use 'm'",
        ),
        (error(403), "the endpoint refused the key named by MY_KEY", "set MY_KEY to a key that may use 'm'"),
        (error(404, "model_not_found"), UNKNOWN, "asked was 127.0.0.1:{port}/v1/chat/completions"),
        (
            error(429, "insufficient_quota"),
            "the quota of the key named by MY_KEY is exhausted",
            "raise the quota, or name another key",
        ),
        (error(402), "the quota of the key named by MY_KEY is exhausted", "raise the quota, or name another key"),
        (
            error(400, "context_length_exceeded"),
            TOO_LONG,
            "shorten the system message, the few-shot examples or the inputs",
        ),
        (
            Reply(status=400, body=VLLM_TOO_LONG),
            TOO_LONG,
            "shorten the system message, the few-shot examples or the inputs",
        ),
        (
            Reply(status=400, body=LLAMA_TOO_LONG),
            TOO_LONG,
            "shorten the system message, the few-shot examples or the inputs",
        ),
        (
            error(400, "invalid_value"),
            "the endpoint refused the request",
            "check params: they are sent as they are written",
        ),
        (error(422), "the endpoint refused the request", "check params: they are sent as they are written"),
        (error(413), "the endpoint refused the request", "check params: they are sent as they are written"),
    ],
)
def test_a_refusal_that_every_call_would_meet_ends_the_run(ask, build, server, monkeypatch, reply, what, cure):
    monkeypatch.setenv("MY_KEY", "sk-mine-1234")
    server.faults.append(reply)
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=server.url, api_key_env="MY_KEY"))
    found = caught.value
    head, said, advice = str(found).splitlines()
    assert head == f"127.0.0.1:{server.port}: {what}"
    assert said.startswith(f"  HTTP {reply.status}: ")
    assert advice.strip() == cure.format(port=server.port)
    assert (found.fatal, found.retryable, found.unpaid) == (True, False, True)


def test_an_endpoint_that_asks_for_a_key_where_none_is_named(ask, build, server):
    server.faults.append(error(401, message="who are you?"))
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=server.url))
    assert str(caught.value) == (
        f"127.0.0.1:{server.port}: the endpoint asks for a key, and the gate names none\n"
        "  HTTP 401: who are you?\n"
        "  name its variable: api_key_env: NAME"
    )


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_a_refusal_that_may_pass(ask, build, server, status):
    server.faults.append(error(status, retry_after="7"))
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=server.url))
    found = caught.value
    assert found.what == ("the endpoint asked to slow down" if status == 429 else "the endpoint failed")
    assert found.evidence == f"HTTP {status}: no"
    assert (found.fatal, found.retryable, found.retry_after_s) == (False, True, 7.0)
    assert found.unpaid == (status in (409, 429, 503))


def test_a_refusal_without_words(ask, build, server):
    server.faults.append(Reply(status=500, body=""))
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=server.url))
    assert str(caught.value) == f"127.0.0.1:{server.port}: the endpoint failed\n  HTTP 500"


def test_a_refusal_as_a_web_page(ask, build, server):
    server.faults.append(Reply(status=502, body="<html>\nBad gateway", headers={"Content-Type": "text/html"}))
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=server.url))
    assert caught.value.evidence == "HTTP 502: <html> Bad gateway"


# --- Retry-After ---------------------------------------------------------------------------------------------

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": formatdate(NOW + 20, usegmt=True)}, 20.0),
        ({"retry-after": formatdate(NOW - 20, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after_s(headers, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_a_wait_or_none(text):
    wait = retry_after_s({"retry-after": text}, NOW)
    assert wait is None or wait >= 0


# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("http://me:secret@host:80/v1?key=1", "host:80"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_an_endpoint_is_called_by_its_host(base_url, shown):
    assert str(Endpoint(base_url, "m").where) == shown
