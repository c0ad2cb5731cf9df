"""Failures that no retry cures: when a run ends early, what it keeps, and what the user is told to do."""

from collections.abc import Sequence
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer
from gate_project import check, ends, mentions, statuses
from loopback import Reply, error

FEW = range(1, 16 + 5)  # calls of a model, of which 16 are made at once where the gate does not say


def asked(http: EndpointProject, model: str) -> int:
    return sum(body["model"] == model for body in http.server.bodies)


REFUSED = {"error": {"message": "Unsupported value", "param": "temperature", "code": "bad_value"}}


def candidate_gets(http: EndpointProject, reply: Reply) -> None:
    http.server.answer = lambda body: reply if body["model"] == "ft" else answer(body)


# --- what the user is told -----------------------------------------------------------------------------------

PERMANENT = [  # reply to the candidate, its keys, what is said, how many calls there may be
    (error(401, "invalid_api_key"), {}, ["401", "Set OPENAI_API_KEY"], FEW),
    (error(404), {}, ["404", "/v1/chat/completions", "'ft'", "base_url", "ftgate.yaml:3"], FEW),
    (error(429, "insufficient_quota"), {}, ["429", "quota"], FEW),
    (Reply(status=400, body=REFUSED), {}, ["400", "param temperature"], FEW),
    *((Reply(body={"choices": choices}), {"concurrency": 1}, [said], [5]) for choices, said in (
        *(([], "not a chat completion"), ([{"message": {"content": {"a": 1}}}], "not a chat completion")),
        ([{"message": {"content": [{"type": "image_url"}]}}], "image_url"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "keys", "said", "calls"), PERMANENT)
def test_what_no_call_survives_ends_the_run_and_is_not_to_be_repeated(
    http: EndpointProject,
    monkeypatch: pytest.MonkeyPatch,
    reply: Reply,
    keys: dict[str, Any],
    said: list[str],
    calls: Sequence[int],
) -> None:
    candidate_gets(http, reply)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine-1234")
    tuned = http.model("ft", api_key_env="OPENAI_API_KEY", retries=5, **keys)
    http.file("ftgate.yaml", f"version: 1\nmodels:\n  tuned: {tuned}\n")
    found = check(ends(http.judge(candidate="tuned"), "error"), "candidate_answers")
    mentions(found, http.server.url.removeprefix("http://").removesuffix("/v1"), f"{N} of {N}", *said)
    assert found["advice"]
    assert "Run again" not in found["advice"]
    assert asked(http, "ft") in calls


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
