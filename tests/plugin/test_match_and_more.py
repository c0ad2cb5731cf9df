"""Equal but cheaper, with all else that a gate may ask: candidates, alternatives, guards, slices, a bare run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import Project, check, label, refused, statuses, write_jsonl, wrong
from loopback import LoopbackServer, Reply

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

N = 300
LARGE = {"input_per_1m": 1.8, "output_per_1m": 7.2}
SMALL = {"input_per_1m": 0.3, "output_per_1m": 1.2}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 20}
RECORDED_USAGE = {"input_tokens": 1000, "output_tokens": 20}
WRONG_LARGE = range(270, 300)
WRONG_SMALL = (0, 1, *range(270, 299))
MUCH_WORSE = range(240, 300)
MATCH: dict[str, Any] = {"margin": ..., "objective": "match", "max_drop": 0.03, "cheaper_by": 6}


def answers(project: Project, name: str, wrong_at: Iterable[int], *, n: int = N, prefix: str = "t") -> None:
    """Add what a recorded model says to n examples."""
    missed = set(wrong_at)
    with (project.path / name).open("a", encoding="utf-8") as out:
        for i in range(n):
            row = {"id": f"{prefix}{i}", "output": wrong(i) if i in missed else label(i), "usage": RECORDED_USAGE}
            out.write(json.dumps(row) + "\n")


def recording(name: str, price: dict[str, float]) -> dict[str, Any]:
    return {"provider": "recorded", "path": name, "price": price}


@pytest.fixture
def recorded(project: Project) -> Project:
    """A large model and a tuned one that matches it, recorded."""
    rows = [
        {"id": f"t{i}", "input": f"q {i}", "expected": label(i), "lang": "de" if i < 60 else "en"} for i in range(N)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    for name in ("base.jsonl", "ft.jsonl"):
        (project.path / name).unlink()
    answers(project, "base.jsonl", WRONG_LARGE)
    answers(project, "ft.jsonl", WRONG_SMALL)
    project.keys |= {"baseline": recording("base.jsonl", LARGE), "candidate": recording("ft.jsonl", SMALL), **MATCH}
    return project


@pytest.fixture
def http(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    project = EndpointProject(pytester, server)
    project.test_set(N)
    return project


# --- several candidates --------------------------------------------------------------------------------------


def test_the_smallest_that_matches_is_chosen_at_a_confidence_that_allows_for_it(recorded: Project) -> None:
    answers(recorded, "nano.jsonl", MUCH_WORSE)
    nano = recording("nano.jsonl", {"input_per_1m": 0.1, "output_per_1m": 0.4})
    recorded.gate_test(candidate=..., candidates={"nano": nano, "mini": recording("ft.jsonl", SMALL)})
    gate = recorded.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert {one["name"]: one["verdict"] for one in gate["candidates"]} == {"nano": "fail", "mini": "pass"}
    assert (gate["objective"], gate["evidence"], gate["confidence"]) == ("match", "proven", 0.975)
    assert "97.5 % sure of at most" in check(gate, "max_drop")["message"]
    recorded.result.stdout.fnmatch_lines(["candidate mini (*): pass, accuracy *, gain -*, 97.5 % sure of at most *"])
    assert check(gate, "cheaper_by")["observed"] == 6.0


def test_one_that_matches_and_is_not_cheap_enough_is_passed_over(recorded: Project) -> None:
    dear, cheap = recording("ft.jsonl", LARGE), recording("ft.jsonl", SMALL)
    recorded.gate_test(candidate=..., candidates={"dear": dear, "cheap": cheap})
    gate = recorded.gate()
    assert {one["name"]: one["verdict"] for one in gate["candidates"]} == {"dear": "fail", "cheap": "pass"}
    assert (gate["verdict"], gate["candidate"]["cost_usd"]) == ("pass", pytest.approx(N * 0.000324))


def test_the_examples_that_a_choice_needs_are_counted_before_any_call(http: EndpointProject) -> None:
    """149 rule out a drop of 2 points at 95 %; two candidates are judged at 97.5 %, which takes 184."""
    http.test_set(183)
    small = {name: http.model(name, price=SMALL) for name in ("ft:nano", "ft:mini")}
    candidates = {name.removeprefix("ft:"): one for name, one in small.items()}
    baseline = http.model("gpt-large", system="Answer.", price=LARGE)
    http.gate_test(baseline=baseline, candidate=..., candidates=candidates, **{**MATCH, "max_drop": 0.02})
    gate = http.gate()
    assert gate["verdict"] == "inconclusive"
    assert check(gate, "reach")["required"] == 184
    assert check(gate, "reach")["message"].startswith("to be 97.5 % sure")
    assert http.server.bodies == []


# --- alternatives, and a bare candidate ----------------------------------------------------------------------


def made(project: EndpointProject, missed: dict[int, Iterable[int]], **changes: Any) -> None:
    """A gate on prompt and few-shot, told apart by the number of their messages, each wrong on these examples."""
    wrong_at = {count: set(at) for count, at in missed.items()}

    def answer(body: dict[str, Any]) -> Reply:
        index, count = index_of(body), 0 if body["model"] == "ft" else len(body["messages"])
        tokens = {"prompt_tokens": 100 * (count or 1), "completion_tokens": 20}
        return Reply(wrong(index) if index in wrong_at[count] else label(index), usage=tokens)

    project.server.answer = answer
    base = project.model("base", system="Answer with one label.", price={"input_per_1m": 1.0, "output_per_1m": 0.0})
    keys: dict[str, Any] = {
        "baseline": ...,
        "baselines": {"base": base, "alternatives": ["prompt", {"few_shot": {"k": 4}}]},
        "candidate": project.model("ft", price={"input_per_1m": 1.0, "output_per_1m": 0.0}),
        **MATCH,
    }
    project.gate_test(**{**keys, **changes})


PROMPT, FEW_SHOT, TUNED = 2, 10, 0


def test_no_gain_over_alternatives_is_weighed(http: EndpointProject) -> None:
    made(http, {PROMPT: range(200, 300), FEW_SHOT: WRONG_LARGE, TUNED: WRONG_SMALL})
    gate = http.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["baseline"]["name"] == "base few_shot 4"
    assert check(gate, "cheaper_by")["observed"] == 10.0
    assert [one["name"] for one in gate["checks"] if one["name"] == "max_drop"] == ["max_drop"] * 2
    assert not {"alternative_closes_gap", "margin", "rival"} & statuses(gate).keys()


def test_another_baseline_that_would_do_as_well_is_called_a_rival(http: EndpointProject) -> None:
    """The prompt alone is 3 points worse than few-shot, which is allowed, and costs what the candidate does."""
    candidate = http.model("ft", price={"input_per_1m": 2.0, "output_per_1m": 0.0})
    missed = {PROMPT: range(261, 300), FEW_SHOT: WRONG_LARGE, TUNED: WRONG_SMALL}
    made(http, missed, candidate=candidate, cheaper_by=5)
    gate = http.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    rival = check(gate, "rival")
    assert rival["status"] == "warning"
    assert rival["message"] == (
        "baseline prompt (base prompt) is worse than baseline few_shot by 3.0 points, and no dearer than the "
        "candidate: it may be enough without a fine-tune"
    )


@pytest.mark.parametrize(("price", "missed"), [(1.9, range(261, 300)), (2.0, range(260, 300))])
def test_one_that_is_dearer_or_worse_is_no_rival(http: EndpointProject, price: float, missed: range) -> None:
    candidate = http.model("ft", price={"input_per_1m": price, "output_per_1m": 0.0})
    made(http, {PROMPT: missed, FEW_SHOT: WRONG_LARGE, TUNED: WRONG_SMALL}, candidate=candidate, cheaper_by=5)
    gate = http.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert "rival" not in statuses(gate)


def test_a_bare_candidate_decides_neither_drop_nor_cost(http: EndpointProject) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        bare = body["model"] == "ft" and len(body["messages"]) == 1
        missed = {"base": WRONG_LARGE, "ft": MUCH_WORSE if bare else WRONG_SMALL}[body["model"]]
        index = index_of(body)
        tokens = {"prompt_tokens": 9000, "completion_tokens": 20} if bare else USAGE
        return Reply(wrong(index) if index in missed else label(index), usage=tokens)

    http.server.answer = answer
    baseline = http.model("base", system="Answer with one label.", price=LARGE)
    candidate = http.model("ft", system="Label.", price=SMALL)
    http.gate_test(baseline=baseline, candidate=candidate, economics={"calls_per_month": 1000}, **MATCH)
    gate = http.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["bare"]["value"] == 240 / N
    assert check(gate, "cheaper_by")["observed"] == 6.0
    assert gate["economics"]["candidate_usd_per_1000_calls"] == pytest.approx(0.324)
    assert Counter(body["model"] for body in http.server.bodies) == {"base": N, "ft": 2 * N}


# --- guards and slices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("missed", "verdict"), [((), "pass"), (range(50), "fail")])
def test_what_matches_must_still_keep_what_the_guards_hold(recorded: Project, missed: Any, verdict: str) -> None:
    rows = [{"id": f"g{i}", "input": f"general {i}", "expected": label(i)} for i in range(200)]
    write_jsonl(recorded.path / "general.jsonl", rows)
    answers(recorded, "base.jsonl", (), n=200, prefix="g")
    answers(recorded, "ft.jsonl", missed, n=200, prefix="g")
    recorded.gate_test(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.05}})
    gate = recorded.gate()
    assert gate["verdict"] == verdict, gate["checks"]
    assert (check(gate, "max_drop")["status"], gate["guards"][0]["verdict"]) == ("pass", verdict)
    # The guards' answers are no part of what a call costs.
    assert check(gate, "cheaper_by")["observed"] == 6.0
    assert gate["baseline"]["cost_usd"] == pytest.approx(N * 0.001944)


def test_a_slice_that_lost_fails_although_the_whole_matches(recorded: Project) -> None:
    """Twelve of 60 German answers are lost, and as many English ones won."""
    (recorded.path / "ft.jsonl").unlink()
    answers(recorded, "ft.jsonl", (*range(12), *range(282, 300)))
    recorded.gate_test(max_drop=0.05, slices={"fields": ["lang"], "max_drop": 0.03})
    told = refused(recorded, "fail", called=True)
    gate = recorded.gate()
    assert check(gate, "max_drop")["status"] == "pass"
    assert {one["value"]: one["verdict"] for one in gate["slices"]} == {"de": "fail", "en": "pass"}
    assert "lang" in told
