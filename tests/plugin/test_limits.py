"""How fast a gate asks, how long it may take, when a run ends early, and latencies that its haste does not distort."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import (
    check,
    ends,
    label,
    mentions,
    passed,
    statuses,
    stopped,
    write_jsonl,
)
from loopback import Reply, error

from pytest_ftgate.runs import asking


def test_a_gate_that_takes_too_long_is_in_error_and_keeps_what_has_arrived(
    http: EndpointProject,
) -> None:
    never = threading.Event()
    http.server.answer = lambda body: Reply(
        answer(body), until=never if index_of(body) >= 40 else None
    )
    gate = http.judge(timeout_s=1.5, stored=True)
    mentions(stopped(gate, called=True), "timeout_s 1.5 (marker)")
    answered = gate["baseline"]["n_scored"]
    assert answered <= 40  # how many is up to the machine's speed
    http.forget()
    http.server.answer = answer
    gate = passed(http.judge(timeout_s=1.5, stored=True))
    assert gate["baseline"]["n_stored"] == answered
    assert (
        len(http.server.bodies)
        == 2 * N - gate["baseline"]["n_stored"] - gate["candidate"]["n_stored"]
    )


# --- latencies from a sample ---------------------------------------------------------------------------------

BOUND = {"latency_p50_s": {"max": 60}}


def test_a_sample_is_taken_by_itself_and_kept(http: EndpointProject) -> None:
    keys = {"candidate": http.model("ft", latency_sample=10), "thresholds": BOUND, "stored": True}
    at_once = []
    http.server.answer = lambda body: (at_once.append(http.server.in_flight), answer(body))[1]
    gate = passed(http.judge(**keys))
    calls = [(body["model"], index_of(body)) for body in http.server.bodies]
    assert sorted(calls[:10]) == [("ft", i) for i in range(10)]  # the sample, before all else
    assert max(at_once[:10]) == 1
    assert len(calls) == 10 + 2 * N
    mentions(check(gate, "candidate_answers"), "all 60")
    assert [statuses(gate)[name] for name in ("candidate_answers", "thresholds.latency_p50_s")] == [
        "pass"
    ] * 2
    assert gate["candidate"]["n_expected"] == N
    http.forget()
    second_gate = passed(http.judge(**keys, offline=True))
    assert second_gate["candidate"]["latency_p50_s"] == gate["candidate"]["latency_p50_s"]
    assert not http.server.requests


def test_the_money_of_a_sample_is_limited_too(http: EndpointProject) -> None:
    """Each answer costs $0.02: the limit ends the run within the sample, before the run over the test set."""
    price = {"input_per_1m": 1_000, "output_per_1m": 5_000}
    keys = {"price": price, "params": {"max_tokens": 3}}
    http.gate_test(
        baseline=http.model("base", **keys), candidate=http.model("ft", **keys, latency_sample=50)
    )
    gate = ends(http.gate("--ftgate-max-cost=0.2"), "error")
    mentions(check(gate, "candidate_answers"), "--ftgate-max-cost")
    assert {body["model"] for body in http.server.bodies} == {"ft"}
    assert len(http.server.bodies) <= 10
    http.forget()
    assert http.gate("--ftgate-max-cost=20")["verdict"] == "pass"
    assert len(http.server.bodies) >= 50 + 2 * N - 10  # what was paid for is not asked again


def test_a_bound_without_a_sample_is_warned_about(http: EndpointProject) -> None:
    gate = passed(http.judge(thresholds=BOUND))
    finding = check(gate, "thresholds.latency_p50_s")
    assert finding["status"] == "warning"
    mentions(finding, "candidate ft", "latency_sample")


def test_a_sample_with_a_gap_is_an_error(http: EndpointProject) -> None:
    http.server.answer = lambda body: error(500) if index_of(body) == 3 else answer(body)
    gate = ends(
        http.judge(candidate=http.model("ft", latency_sample=10), missing_answers="wrong"), "error"
    )
    mentions(check(gate, "candidate_answers"), "1 of 10")


def test_recordings_carry_the_sample(http: EndpointProject) -> None:
    """Without a key and without the store: the gate is judged on what was recorded, its latencies too."""
    http.gates(candidate=http.model("ft", latency_sample=10), thresholds=BOUND)
    gate = http.gate("--ftgate-report=recordings:recordings")
    http.ini["ftgate_recordings"] = "recordings"
    http.forget()
    second_gate = passed(http.judge("support", offline=True))
    assert second_gate["candidate"]["latency_p50_s"] == gate["candidate"]["latency_p50_s"]
    assert not http.server.requests


# --- latencies of what is missing ----------------------------------------------------------------------------


def test_an_answer_that_never_came_took_as_long_as_it_was_waited_for(http: EndpointProject) -> None:
    """Else the slowest calls made a model faster: those that ran into the time limit."""
    http.server.answer = lambda body: (
        Reply(hang=True) if index_of(body) in (5, 6, 7, 8) else answer(body)
    )
    recorded = "recorded:base.jsonl"
    late = http.model("ft", timeout_s=3)  # long beside an answer, also on a loaded machine
    bound = {"latency_p95_s": {"max": 2.9}}
    gate = http.judge(baseline=recorded, candidate=late, missing_answers="wrong", thresholds=bound)
    finding = check(gate, "thresholds.latency_p95_s")
    assert (finding["status"], gate["candidate"]["n_errors"]) == ("fail", 4)
    assert gate["candidate"]["latency_p95_s"] >= 3 > gate["candidate"]["latency_p50_s"]


def test_without_a_time_limit_nobody_knows_how_long_a_missing_answer_took(
    http: EndpointProject,
) -> None:
    http.predictions("ft.jsonl", 59, output=label, latency_s=0.1)
    keys = {
        "baseline": "recorded:base.jsonl",
        "candidate": "recorded:ft.jsonl",
        "missing_answers": "wrong",
    }
    gate = http.judge(**keys, thresholds=BOUND)
    assert (gate["verdict"], gate["candidate"]["latency_p95_s"]) == ("error", None)
    assert "1 of 60" in gate["candidate"]["latency_unknown"][0]
    finding = check(gate, "thresholds.latency_p50_s")
    assert (finding["observed"], finding["required"]) == (None, 60)
    mentions(finding, "1 of 60", "latency_s")


@pytest.mark.parametrize(
    ("n", "latency_s", "verdict", "words"),
    [
        (80, lambda i: 0.5, "pass", []),
        (58, lambda i: 0.5, "inconclusive", ["there are 58", "59 latencies"]),
        (80, lambda i: 2.0 if i < 3 else 0.5, "inconclusive", ["77 of 80", "order statistic"]),
        (80, lambda i: 2.0 if i < 8 else 0.5, "fail", ["limit 1 s"]),
        # a bound does not rest on a few rows
        (60, lambda i: None if i else 0.1, "error", ["59 of 60"]),
    ],
)
def test_enough_latencies_must_be_within_the_limit_of_p95(
    http: EndpointProject, n: int, latency_s: Any, verdict: str, words: list[str]
) -> None:
    http.test_set(n)
    http.predictions("base.jsonl", n, wrong_at=range(n // 2), latency_s=0.5)
    http.predictions("ft.jsonl", n, latency_s=latency_s)
    recorded = {"baseline": "recorded:base.jsonl", "candidate": "recorded:ft.jsonl"}
    gate = ends(http.judge(**recorded, thresholds={"latency_p95_s": {"max": 1}}), verdict)
    mentions(check(gate, "thresholds.latency_p95_s"), *words)


@pytest.mark.parametrize(
    ("n", "verdict", "words"),
    [(58, "inconclusive", ["there are 58", "59 latencies"]), (59, "pass", [])],
)
def test_the_repeats_of_an_example_are_one_latency(
    http: EndpointProject, n: int, verdict: str, words: list[str]
) -> None:
    """Of five answers to an example two are slow: its median is within the limit."""
    http.test_set(n)
    http.predictions("base.jsonl", n, wrong_at=range(n // 2), latency_s=0.5, repeats=5)
    rows = [
        {
            "id": f"t{i}",
            "output": label(i),
            "repeat": repeat,
            "latency_s": 2.0 if repeat < 2 else 0.5,
        }
        for i in range(n)
        for repeat in range(5)
    ]
    write_jsonl(http.path / "ft.jsonl", rows)
    recorded = {"baseline": "recorded:base.jsonl", "candidate": "recorded:ft.jsonl"}
    gate = ends(
        http.judge(**recorded, repeats=5, thresholds={"latency_p95_s": {"max": 1}}), verdict
    )
    finding = check(gate, "thresholds.latency_p95_s")
    mentions(finding, *words)
    if verdict == "pass":
        assert (finding["observed"], gate["candidate"]["latency_p50_s"]) == (0.5, 0.5)


def test_a_model_that_only_hangs_is_wrong_where_missing_answers_are(http: EndpointProject) -> None:
    """It has stopped the asking by not answering, which is no excuse."""
    http.file("stuck.py", "import threading\n\n\ndef model(text):\n    threading.Event().wait()\n")
    stuck = {
        "provider": "python",
        "target": "stuck:model",
        "timeout_s": 0.1,
        "retries": 0,
        "concurrency": 1,
    }
    gate = http.judge(
        baseline="recorded:base.jsonl", candidate=stuck, missing_answers="wrong", thresholds=BOUND
    )
    assert (gate["verdict"], gate["candidate"]["value"], gate["candidate"]["latency_p50_s"]) == (
        "fail",
        0.0,
        0.1,
    )
    assert check(gate, "candidate_answers")["status"] == "warning"


# --- failures that no retry cures ---------------------------------------------------------------------------

FEW = range(1, 16 + 5)  # calls of a model, of which 16 are made at once where the gate does not say
REFUSED = {"error": {"message": "Unsupported value", "param": "temperature", "code": "bad_value"}}


def asked(http: EndpointProject, model: str) -> int:
    return sum(body["model"] == model for body in http.server.bodies)


@pytest.mark.parametrize(
    ("reply", "keys", "fragments", "calls"),
    [
        (error(401, "invalid_api_key"), {}, ["401", "Set OPENAI_API_KEY"], FEW),
        (error(404), {}, ["404", "'ft'", "base_url", "ftgate.yaml:3"], FEW),
        (error(429, "insufficient_quota"), {}, ["429", "quota"], FEW),
        (Reply(status=400, body=REFUSED), {}, ["400", "Unsupported value"], FEW),
        (
            Reply(body={"choices": [{"message": {"content": 1}}]}),
            {"concurrency": 1},
            ["not a chat completion"],
            [5],
        ),
    ],
)
def test_what_no_call_survives_ends_the_run_and_is_not_to_be_repeated(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch, reply: Reply, keys: dict[str, Any], fragments: list[str],
    calls: Sequence[int],
) -> None:  # fmt: skip
    """The other model, which it stopped, is no second error."""
    http.server.answer = lambda body: reply if body["model"] == "ft" else answer(body)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine-1234")
    tuned = http.model("ft", api_key_env="OPENAI_API_KEY", retries=5, **keys)
    http.file("ftgate.yaml", f"version: 1\nmodels:\n  tuned: {tuned}\n")
    gate = ends(http.judge(candidate="tuned"), "error")
    finding = check(gate, "candidate_answers")
    mentions(
        finding,
        http.server.url.removeprefix("http://").removesuffix("/v1"),
        f"{N} of {N}",
        *fragments,
    )
    assert "Run again" not in (finding["cure"] or "Run again")
    assert asked(http, "ft") in calls
    assert statuses(gate)["baseline_answers"] == "note" or calls is not FEW


def test_two_models_that_are_refused_name_their_own_rows(http: EndpointProject) -> None:
    missed = {"base": 3, "ft": 7}
    http.server.answer = lambda body: (
        error(400) if index_of(body) == missed[body["model"]] else answer(body)
    )
    gate = ends(http.judge(), "error")
    mentions(check(gate, "baseline_answers"), "1 of 60", "test.jsonl:4")
    mentions(check(gate, "candidate_answers"), "1 of 60", "test.jsonl:8")
    assert statuses(gate)["candidate_answers"] == "error"


def test_a_model_that_stops_the_run_and_is_forgiven_leaves_the_other_an_error(
    http: EndpointProject,
) -> None:
    http.server.answer = lambda body: Reply(answer(body), delay_s=0.2)
    candidate = {"provider": "python", "target": "hangs:model", "timeout_s": 0.01}
    http.file("hangs.py", "import threading\ndef model(text): threading.Event().wait()\n")
    gate = ends(
        http.judge(
            baseline=http.model("base", concurrency=1), candidate=candidate, missing_answers="wrong"
        ),
        "error",
    )
    assert statuses(gate)["baseline_answers"] == "error"


def test_a_rate_limit_of_an_hour_stops_the_run_with_everything_stored(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LONGEST_WAIT_S", 0.5)
    reply = error(429, retry_after="3600")

    def limited(body: dict[str, Any]) -> str | Reply:
        return answer(body) if body["model"] == "base" or asked(http, "ft") <= 20 else reply

    http.server.answer = limited
    one_by_one = http.model("ft", concurrency=1, retries=5)
    gate = http.judge(stored=True, candidate=one_by_one)
    finding = check(gate, "candidate_answers")
    mentions(finding, "429", "no call was answered for")
    n = gate["candidate"]["n_scored"]
    assert n >= 20
    http.forget()
    http.server.answer = answer
    assert http.judge(stored=True, candidate=one_by_one)["verdict"] == "pass"
    assert asked(http, "ft") == N - n
