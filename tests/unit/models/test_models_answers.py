"""What an endpoint's answers and refusals come to."""

import json
from contextlib import nullcontext, suppress
from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import LoopbackServer, Reply, error

from pytest_ftgate.data.strict_json import object_of
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.openai_api.endpoint import (
    Endpoint,
    is_same,
    read_answer,
    retry_after_s,
)
from pytest_ftgate.models.protocol import finish_of

HERE = Endpoint("http://127.0.0.1:8000/v1", "m")


def body(content="hi", finish="stop", usage=None, **message):
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }
    return {"choices": [choice], **({} if usage is None else {"usage": usage})}


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


THOUGHT = {
    "type": "thinking",
    "thinking": [{"type": "text", "text": "hm "}, {"type": "text", "text": "so"}],
}


# --- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (body("hi"), Completion("hi")),
        (body(" hi\n"), Completion(" hi\n")),
        (body(None), Completion("")),
        *(({**body("hi"), "model": served}, Completion("hi")) for served in ("", " ", 3, ["x"])),
        (body("hi", None), Completion("hi")),
        (body("hi", "length"), Completion("hi", finish="cut_off")),
        (body("", "content_filter"), Completion("", finish="filtered")),
        (body(None, refusal="I cannot"), Completion("I cannot", finish="refusal")),
        (body("hi", refusal=None), Completion("hi")),
        (body("hi", refusal=""), Completion("hi")),
        (body(None, "length", refusal="I cannot"), Completion("I cannot", finish="refusal")),
        (body([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]), Completion("hi")),
        (body([]), Completion("")),
        (body([THOUGHT, {"type": "text", "text": "hi"}]), Completion("hi", reasoning="hm so")),
        (body([THOUGHT], reasoning_content="and"), Completion("", reasoning="hm so\nand")),
        (
            body(None, "tool_calls", tool_calls=[CALL]),
            Completion('[{"arguments":{"x":1},"name":"f"}]'),
        ),
        (
            body("see", tool_calls=[CALL]),
            Completion('[{"arguments":{"x":1},"name":"f"}]', reasoning="see"),
        ),
        (
            body(None, tool_calls=[{"function": {"name": "f"}}]),
            Completion('[{"arguments":{},"name":"f"}]'),
        ),
        (body(None, tool_calls=[{}]), Completion("[{}]")),
        # as older models call
        (
            body(None, function_call=CALL["function"]),
            Completion('[{"arguments":{"x":1},"name":"f"}]'),
        ),
        (body("hi", reasoning_content="so"), Completion("hi", reasoning="so")),
        (body("hi", reasoning="so"), Completion("hi", reasoning="so")),
        (body("hi", reasoning={}, reasoning_details=[], annotations=[1]), Completion("hi")),
        (
            body("hi", reasoning="so", reasoning_content="so"),
            Completion("hi", reasoning="so"),
        ),
        ({"choices": [*body("one")["choices"], *body("two")["choices"]]}, Completion("one")),
    ],
)
def test_an_answer(data, answer):
    assert read_answer(data, HERE) == answer


ENDINGS = {
    "stop": "STOP stop_sequence end_turn EndTurn tool_use toolUse TOOL_CALL function_call COMPLETE completed eos "
    "eos_token endoftext end_of_turn eosFound stop_words end_id FINISH_REASON_STOP FinishReason.STOP done",
    "cut_off": "length MAX_TOKENS max-tokens MAX_OUTPUT maxTokens model_length token_limit truncated incomplete "
    "RECITATION model_context_window_exceeded user_stopped "
    "malformed_function_call not_finished max_words other FINISH_REASON_UNSPECIFIED in_progress cut_off 2",
    "filtered": "content_filter ContentFiltered SAFETY guardrail_intervened PROHIBITED_CONTENT filtered",
    "refusal": "refusal refused",
    "failed": "error ERROR abort aborted timeout cancelled FAILED insufficient_system_resource finish_reason_error",
}
WAYS = [(word, finish) for finish, words in ENDINGS.items() for word in words.split()]
OTHER_WAYS = [
    *((reason, "stop") for reason in (None, "", ["stop"], 1)),
    *((reason, "cut_off") for reason in (2, True)),
]


@pytest.mark.parametrize(("reason", "finish"), [*WAYS, *OTHER_WAYS])
def test_only_an_ending_that_is_known_as_whole_is_one(reason, finish):
    assert finish_of(reason) == finish


UNKNOWN = [
    "RECITATION",
    "user_stopped",
    "malformed_function_call",
    "not_finished",
    "other",
    "in_progress",
    "2",
]


@pytest.mark.parametrize("reason", ENDINGS["cut_off"].split())
def test_only_the_word_of_an_unknown_ending_is_kept(reason):
    quoted = reason if reason in {*UNKNOWN, "FINISH_REASON_UNSPECIFIED"} else None
    assert read_answer(body("hi", reason), HERE).finish_reason == quoted


@pytest.mark.parametrize("content", ["hi", "", None])
def test_an_answer_that_ends_in_an_error_is_a_failed_call(content):
    with pytest.raises(ModelError, match="ended the answer with an error") as caught:
        read_answer(body(content, "error"), HERE)
    assert (caught.value.retryable, caught.value.kind, caught.value.fatal) == (True, "other", False)
    assert "error" in caught.value.evidence


NO_COUNTS = {
    "prompt_tokens": "7",
    "completion_tokens": -1,
    "prompt_tokens_details": {"cached_tokens": True},
}


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2}, (7, 2, None, None)),
        (
            {
                "prompt_tokens": 7,
                "completion_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            (7, 0, 4, None),
        ),
        ({"prompt_tokens": 7, "prompt_tokens_details": None}, (7, None, None, None)),
        (
            {"prompt_tokens": 7, "prompt_tokens_details": {"cache_write_tokens": 5}},
            (7, None, None, 5),
        ),
        *((usage, (None,) * 4) for usage in (NO_COUNTS, [1], {})),
    ],
)
def test_tokens(usage, counts):
    answer = read_answer(body(usage=usage), HERE)
    assert (
        answer.input_tokens,
        answer.output_tokens,
        answer.cached_input_tokens,
        answer.cache_write_tokens,
    ) == counts


NO_ANSWERS = [{}, {"choices": []}, {"choices": None}, {"choices": {"0": 1}}, {"choices": ["hi"]}]
NO_ANSWERS += [
    {"choices": [{"text": "hi"}]},
    body(1),
    body([{"type": "image_url"}]),
    body({"a": 1}),
    [body()],
    None,
    3,
]


@pytest.mark.parametrize("data", NO_ANSWERS)
def test_a_body_that_is_no_chat_completion(data):
    with pytest.raises(ModelError, match=r"127.0.0.1:8000: .*not a chat completion") as caught:
        read_answer(data, HERE)
    assert caught.value.evidence.startswith(json.dumps(data)[:50])
    # a server that knows of choices is none of another kind
    assert ("base_url" in caught.value.cure) == ("choices" not in object_of(data))
    # content of another kind stays, while a server may give no choice only once
    is_final = isinstance(data, dict) and '"content"' in json.dumps(data)
    assert caught.value.retryable is not is_final
    assert (caught.value.fatal, caught.value.kind) == (False, "unreadable")


@pytest.mark.parametrize(
    ("error_body", "sentence", "retryable"),
    [
        *(
            (error_body, "HTTP 200", True)
            for error_body in (
                {"message": "overloaded"},
                {"code": 502, "message": "overloaded"},
                "overloaded",
                {"code": "overloaded"},
            )
        ),
        ({"code": "insufficient_quota", "message": "overloaded"}, "quota", False),
    ],
)
def test_an_error_in_an_answer_of_http_200_is_that_error(error_body, sentence, retryable):
    failed = body("")
    failed["choices"][0]["error"] = error_body
    for data in ({"error": error_body}, {**body("hi"), "error": error_body}, failed):
        with pytest.raises(ModelError, match="overloaded") as caught:
            read_answer(data, HERE)
        assert (caught.value.retryable, sentence in caught.value.what) == (retryable, True)
    assert read_answer({**body("hi"), "error": None}, HERE).text == "hi"


def test_an_answer_above_20_mb_is_broken(failing, ask, build, server, monkeypatch):
    monkeypatch.setattr("pytest_ftgate.models.openai_api.model.MOST_BYTES", 1_000)
    for reply in (Reply("x" * 1_000), Reply(body="x" * 1_001, status=500)):
        error = failing(reply)
        assert ("broken" in error.what, error.kind, error.retryable) == (True, "unreadable", False)
    assert ask(build(base_url=server.url)).text == "hello"


SAME = [
    ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ("openai/gpt-4o", "gpt-4o-2024-08-06"),
    ("hosted_vllm/meta-llama/Llama-3", "meta-llama/Llama-3"),
    ("claude-sonnet-4", "claude-sonnet-4-20250514"),
    ("mistral-large-latest", "mistral-large-2407"),
    ("gemini-2.0-flash", "models/gemini-2.0-flash-001"),
    ("ft:gpt-4.1-mini:acme::abc", "ft:gpt-4.1-mini-2025-04-14:acme::abc"),
    ("llama3.2", "llama3.2:latest"),
    ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1"),
    ("models/ft.gguf", "/srv/models/ft.gguf"),
    ("Qwen3-0.6B", "Qwen3-0.6B-Q8_0.gguf"),
    ("TheBloke/Llama-2-7B-Chat-GGUF", r"C:\models\llama-2-7b-chat.Q2_K.gguf"),
    ("/data/my-lora/", "my-lora"),
]

OTHER = [
    ("ft:gpt-4.1-mini:acme::abc", "gpt-4.1-mini-2025-04-14"),
    ("ft:gpt-4.1-mini:acme::abc", "ft:gpt-4.1-mini:acme::abc:ckpt-step-9"),
    ("gpt-4.1", "gpt-4.1-mini"),
    ("gpt-4.1-mini", "gpt-4.1"),
    ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
    ("llama3:8b", "llama3:70b"),
    ("qwen:my-lora", "qwen"),
    ("my-ft", "my-ft-1000"),
    ("ft-Q4_K_M", "ft-Q8_0"),
    ("my-ft", "llama-3"),
]


@pytest.mark.parametrize(
    ("name_asked", "served", "same"), [(*a, True) for a in SAME] + [(*b, False) for b in OTHER]
)
def test_the_model_that_an_answer_names(name_asked, served, same):
    assert is_same(name_asked, served) is same
    data = {**body("hi"), "model": served}
    assert read_answer(data, replace(HERE, model="other", served_as=(served,))) == Completion("hi")
    with nullcontext() if same else pytest.raises(ModelError, match="was asked"):
        assert read_answer(data, replace(HERE, model=name_asked)) == Completion("hi")


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


@pytest.mark.parametrize(
    ("reply", "evidence"),
    [
        (Reply(body='{"choices": [{"mess'), '{"choices": [{"mess'),
        (Reply(body=b'{"a": "\xff"}'), '{"a": "\ufffd"}'),
        (Reply(body="data: {}\n\n", headers={"Content-Type": "text/event-stream"}), "data: {}"),
        (Reply(body=""), "empty"),
        # its beginning, on one line
        (Reply(body="<html>\n\x1b[31m" + "x" * 500), f"<html>  [31m{'x' * 100}"),
    ],
)
def test_a_body_that_is_no_json(failing, reply, evidence):
    error = failing(reply)
    assert error.retryable
    assert ("JSON" in error.what, "/v1" in error.cure, evidence in error.evidence) == (
        True,
        True,
        True,
    )
    assert len(error.evidence) < 400


@pytest.mark.parametrize("text", ["[" * 200_000, '{"choices":' * 100_000, '{"error":' * 100_000])
def test_a_body_that_is_nested_too_deeply(failing, text):
    error = failing(Reply(body=text))
    assert ("not JSON" in error.what, error.retryable) == (True, True)
    assert str(error.where).startswith("127.0.0.1")
    assert "HTTP 500" in failing(Reply(body=text, status=500)).what


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "cause", "hint"),
    [
        (error(401, "invalid_api_key"), "valid key", "set MY_KEY"),
        (error(404, "model_not_found"), "'m'", "base_url"),
        *((reply, "quota", "quota") for reply in (error(429, "insufficient_quota"), error(402))),
    ],
)
def test_a_refusal_that_every_call_would_meet_ends_the_run(
    failing, server, monkeypatch, reply, cause, hint
):
    monkeypatch.setenv("MY_KEY", "sk-mine-1234")
    error = failing(reply, api_key_env="MY_KEY")
    assert error.what.startswith(f"HTTP {reply.status}: ")
    assert str(error.where) == f"127.0.0.1:{server.port}"
    assert cause in error.what
    assert hint in error.cure
    assert (error.fatal, error.retryable, error.unpaid) == (True, False, True)
    assert "Run again" not in error.next_step


REFUSALS = [error(400, "invalid_value"), error(400, "context_length_exceeded")]
REFUSALS += [error(403), error(413), error(422)]


@pytest.mark.parametrize("reply", REFUSALS)
def test_a_refusal_that_may_be_about_one_example_fails_that_example(failing, reply):
    error = failing(reply)
    assert (error.kind, error.fatal, error.retryable, error.unpaid) == (
        "refused",
        False,
        False,
        True,
    )


def test_an_endpoint_that_asks_for_a_key_where_none_is_named(failing):
    found = failing(error(401, message="who are you?"))
    assert "who are you?" in found.evidence
    assert "api_key_env" in found.cure
    assert found.fatal


@pytest.mark.parametrize("status", [408, 409, 425, 429, 499, 500, 502, 503, 529])
def test_a_refusal_that_may_pass(failing, status):
    found = failing(error(status, retry_after="7"))
    assert (str(status) in found.what, found.evidence) == (True, "no")
    assert failing(Reply(status=status, body="<html><p>Down</html>")).evidence == "Down"
    assert (found.fatal, found.retryable, found.retry_after_s) == (False, True, 7.0)
    assert found.unpaid == (status in (409, 425, 429, 503))
    assert found.kind == ("busy" if status in (429, 503) else "other")


@pytest.mark.parametrize("status", [600, 999])
def test_a_status_beyond_those_of_http_is_named(failing, status):
    error = failing(Reply("hi", status=status))
    assert (f"HTTP {status}" in error.what, error.retryable) == (True, True)


PLACES = [
    ("https://elsewhere.example:8443/v1?key=x", "to https://elsewhere.example:8443/v1?key=***"),
    ("/v2/chat", "to /v2/chat"),
    ("http://[::x", "to http://[::x"),
    ("https://me:hidden@other.example/", "to https://***@other.example/"),
    (None, "to another URL"),
]


@pytest.mark.parametrize(("place", "sentence"), PLACES)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_names_the_host(
    failing, server, backend, status, place, sentence
):
    error = failing(Reply(status=status, headers={} if place is None else {"Location": place}))
    if place == "http://[::x" and "dropped" in error.what:
        return  # an earlier httpx gives up on such a place by itself

    assert error.what.startswith(f"HTTP {status}: ")
    assert str(error.where) == f"127.0.0.1:{server.port}"
    assert sentence in error.what
    assert "hidden" not in str(error)
    assert (error.fatal, error.retryable, error.unpaid) == (True, False, True)
    assert "base_url" in error.cure
    assert len(server.requests) == 1


def test_prompts_go_to_no_host_but_the_one_that_is_named(failing):
    with LoopbackServer() as second_server:
        error = failing(
            Reply(status=307, headers={"Location": f"{second_server.url}/chat/completions"})
        )
        assert f"127.0.0.1:{second_server.port}" in error.what
        assert second_server.requests == []


# --- Retry-After ---------------------------------------------------------------------------------------------

NOW = 1_700_000_000.0


AFTER = {"3": 3.0, "0.5": 0.5, **dict.fromkeys(("soon", "", "nan", "inf", "-3"))}
AFTER |= {"99999999999": 1e9, "9" * 400: 1e9}
AFTER |= {formatdate(NOW + 20, usegmt=True): 20.0, formatdate(NOW - 20, usegmt=True): 0.0}
HEADERS = [({"retry-after": value}, seconds) for value, seconds in AFTER.items()]


@pytest.mark.parametrize(("headers", "seconds"), [*HEADERS, ({}, None)])
def test_retry_after(headers, seconds):
    assert retry_after_s(headers, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_a_wait_or_none(text):
    wait = retry_after_s({"retry-after": text}, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("base_url", "host_shown"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("http://me:secret@host:80/v1?key=1", "host:80"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_an_endpoint_is_called_by_its_host(base_url, host_shown):
    assert Endpoint(base_url, "m").host == host_shown
