"""Failures that no retry cures: when a run ends early, what it keeps, and what the user is told to do."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import check, ends, mentions, passed, statuses
from loopback import Reply, error

CONCURRENCY = 16  # of each model, where the gate does not say


def asked(http: EndpointProject, model: str) -> int:
    return sum(body["model"] == model for body in http.server.bodies)


def refused_parameter() -> Reply:
    told = {
        "message": "Unsupported value",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "bad_value",
    }
    return Reply(status=400, body={"error": told})


def candidate_gets(http: EndpointProject, reply: Reply) -> None:
    http.server.answer = lambda body: reply if body["model"] == "ft" else answer(body)


# --- what the user is told -----------------------------------------------------------------------------------

PERMANENT = {
    "401": (error(401, "invalid_api_key"), "OPENAI_API_KEY"),
    "404": (error(404, "model_not_found"), "base_url"),
    "quota": (error(429, "insufficient_quota"), "quota"),
    "400": (refused_parameter(), "'temperature'"),
}


@pytest.mark.parametrize("case", PERMANENT)
def test_a_permanent_refusal_ends_the_run_and_names_its_cure(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    reply, cure = PERMANENT[case]
    candidate_gets(http, reply)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine-1234")
    gate = ends(http.judge(candidate=http.model("ft", api_key_env="OPENAI_API_KEY", retries=5)), "error")
    found = check(gate, "candidate_answers")
    mentions(found, str(reply.status), http.server.url.removesuffix("/v1"), cure, f"{N} of {N}")
    assert cure in found["advice"]
    assert "Run again" not in str(gate)
    assert asked(http, "ft") <= CONCURRENCY + 4


def test_an_unknown_model_or_path_names_the_whole_url_and_the_line_of_the_gate_file(http: EndpointProject) -> None:
    candidate_gets(http, error(404))
    http.file("ftgate.yaml", f"version: 1\nmodels:\n  tuned: {http.model('ft')}\n")
    found = check(http.judge(candidate="tuned"), "candidate_answers")
    mentions(found, "ftgate.yaml:3", f"{http.server.url}/chat/completions", "'ft'", f"{N} of {N}")


def test_the_model_that_was_stopped_is_no_second_error(http: EndpointProject) -> None:
    candidate_gets(http, error(401))
    gate = http.judge()
    assert gate["baseline"]["n_errors"] > 0
    assert statuses(gate)["candidate_answers"] == "error"
    assert statuses(gate)["baseline_answers"] == "note"


def test_a_model_that_stops_the_run_and_is_forgiven_leaves_the_other_an_error(http: EndpointProject) -> None:
    http.server.answer = lambda body: Reply(answer(body), delay_s=0.2)
    candidate = {"provider": "python", "target": "hangs:model", "timeout_s": 0.01}
    http.file("hangs.py", "import threading\ndef model(text): threading.Event().wait()\n")
    gate = ends(
        http.judge(baseline=http.model("base", concurrency=1), candidate=candidate, missing_answers="wrong"), "error"
    )
    assert statuses(gate)["baseline_answers"] == "error"


def test_a_failure_that_may_pass_is_asked_for_again(http: EndpointProject) -> None:
    candidate_gets(http, error(500))
    assert "Run again" in check(http.judge(), "candidate_answers")["advice"]


@pytest.mark.parametrize(
    ("body", "parts"), [("return None", ("None", "str")), ("return 1 / 0", ("ZeroDivisionError", "broken.py:2"))]
)
def test_a_function_that_is_broken_is_to_be_fixed(http: EndpointProject, body: str, parts: tuple[str, ...]) -> None:
    http.file("broken.py", f"def model(text):\n    {body}\n")
    found = check(http.judge(candidate="python:broken:model"), "candidate_answers")
    mentions(found, *parts)
    assert found["advice"]
    assert "Run again" not in found["advice"]


# --- when a run ends early -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 422])
def test_one_refused_example_is_its_own_failure(http: EndpointProject, status: int) -> None:
    def refuses_one(body: dict[str, Any]) -> str | Reply:
        return error(status, "flagged") if (body["model"], index_of(body)) == ("ft", 7) else answer(body)

    http.server.answer = refuses_one
    gate = passed(http.judge(missing_answers="wrong"))
    assert (gate["candidate"]["n_scored"], gate["candidate"]["n_errors"]) == (N - 1, 1)
    mentions(check(gate, "candidate_answers"), "test.jsonl:8", str(status))


@pytest.mark.parametrize("content", [{"text": "refund"}, [{"type": "image_url"}], None])
def test_answers_that_cannot_be_read_end_the_run_unrepeated(http: EndpointProject, content: Any) -> None:
    body = {"choices": []} if content is None else {"choices": [{"message": {"content": content}}]}
    candidate_gets(http, Reply(body=body))
    gate = http.judge(candidate=http.model("ft", retries=5, concurrency=1))
    found = check(gate, "candidate_answers")
    mentions(found, "not a chat completion", f"{N} of {N}")
    assert "Run again" not in found["advice"]
    assert asked(http, "ft") == 5


def test_one_answer_that_cannot_be_read_is_its_own_failure(http: EndpointProject) -> None:
    odd = Reply(body={"choices": []})
    http.server.answer = lambda body: odd if (body["model"], index_of(body)) == ("ft", 0) else answer(body)
    gate = http.judge(candidate=http.model("ft", retries=5))
    assert (gate["candidate"]["n_scored"], asked(http, "ft")) == (N - 1, N)


def test_a_body_that_breaks_off_is_asked_for_again(http: EndpointProject) -> None:
    broken = iter([Reply("refund", cut_at=20), Reply(body='{"choices": [{"mess')])
    http.server.answer = lambda body: next(broken, answer(body)) if body["model"] == "ft" else answer(body)
    assert http.judge(candidate=http.model("ft", retries=1))["verdict"] == "pass"


def test_a_refused_connection_ends_the_run_after_the_first_questions(http: EndpointProject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gone = {**http.model("ft", retries=1, concurrency=1), "base_url": f"http://127.0.0.1:{port}/v1"}
    gate = http.judge(baseline="recorded:base.jsonl", candidate=gone)
    found = check(gate, "candidate_answers")
    mentions(found, str(port), "base_url", f"{N} of {N}")
    assert statuses(gate)["candidate_answers"] == "error"


@pytest.mark.parametrize(
    "reply",
    [
        error(429, retry_after="3600"),
        Reply("refund", headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h0m0s"}),
    ],
)
def test_a_rate_limit_of_an_hour_stops_the_run_with_everything_stored(http: EndpointProject, reply: Reply) -> None:
    def limited(body: dict[str, Any]) -> str | Reply:
        return answer(body) if body["model"] == "base" or asked(http, "ft") <= 20 else reply

    http.server.answer = limited
    one_by_one = http.model("ft", concurrency=1, retries=5)
    gate = http.judge(stored=True, candidate=one_by_one)
    found = check(gate, "candidate_answers")
    mentions(found, "1 hour", "timeout_s: ", "stored")
    n = gate["candidate"]["n_scored"]
    assert n >= 20
    http.forget()
    http.server.answer = answer
    assert http.judge(stored=True, candidate=one_by_one)["verdict"] == "pass"
    assert asked(http, "ft") == N - n


def test_the_limit_on_costs_holds_during_latency_samples(http: EndpointProject) -> None:
    """A call costs $0.002; both samples alone would cost $0.08."""
    priced = {"price": {"input_per_1m": 1.0, "output_per_1m": 50.0}, "params": {"max_tokens": 20}}
    usage = {"prompt_tokens": 1000, "completion_tokens": 20}
    http.server.answer = lambda body: Reply(answer(body), usage=usage)
    sampled = {**priced, "latency_sample": 20}
    http.gate_test(baseline=http.model("base", **sampled), candidate=http.model("ft", **sampled))
    ends(http.gate("--ftgate-max-cost=0.03"), "error")
    assert 0.02 < 0.002 * len(http.server.bodies) <= 0.03
