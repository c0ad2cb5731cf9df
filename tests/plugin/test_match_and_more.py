"""Equal but cheaper, with all else that a gate may ask: alternatives, guards and slices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import Project, check, checks, label, mentions, passed, statuses, stopped, wrong
from loopback import Reply
from test_match import LARGE, RECORDED_USAGE, SMALL, WRONG_LARGE, WRONG_SMALL, N, model

MUCH_WORSE = range(240, 300)
MATCH: dict[str, Any] = {"margin": ..., "max_drop": 0.03, "cheaper_by": 6}


@pytest.fixture
def recorded(project: Project) -> Project:
    """Return a large model and a tuned one that matches it, recorded."""
    project.test_set(N, lang=lambda i: "de" if i < 60 else "en")
    project.predictions("base.jsonl", N, WRONG_LARGE, usage=RECORDED_USAGE)
    project.predictions("ft.jsonl", N, WRONG_SMALL, usage=RECORDED_USAGE)
    project.keys |= {"baseline": model("base.jsonl", price=LARGE), "candidate": model("ft.jsonl", price=SMALL), **MATCH}
    return project


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    http.test_set(N)
    http.keys |= MATCH
    return http


# --- alternatives --------------------------------------------------------------------------------------------

PROMPT, FEW_SHOT, TUNED = 2, 10, 0


def made(project: EndpointProject, prompt: Iterable[int], *, price: float = 1.0, **changes: Any) -> dict[str, Any]:
    """Judge a gate on prompt and few-shot, told apart by the number of their messages; the prompt misses these."""
    wrong_at = {PROMPT: set(prompt), FEW_SHOT: set(range(90, 100)), TUNED: set(range(91, 100))}

    def answer(body: dict[str, Any]) -> Reply:
        index, count = index_of(body), TUNED if body["model"] == "ft" else len(body["messages"])
        tokens = {"prompt_tokens": 100 * (count or 1), "completion_tokens": 20}
        return Reply(wrong(index) if index in wrong_at[count] else label(index), usage=tokens)

    project.test_set(100)
    project.server.answer = answer
    base = project.model("base", system="Answer with one label.", price={"input_per_1m": 1.0, "output_per_1m": 0.0})
    baselines = {"prompt": base, "few_shot": {**base, "few_shot": 4}}
    candidate = project.model("ft", price={"input_per_1m": price, "output_per_1m": 0.0})
    return passed(project.judge(baseline=..., baselines=baselines, candidate=candidate, max_drop=0.05, **changes))


def test_no_gain_over_alternatives_is_weighed(http: EndpointProject) -> None:
    gate = made(http, range(66, 100))
    assert gate["baseline"]["name"] == "few_shot"
    assert check(gate, "cheaper_by")["observed"] == 10.0
    assert len(checks(gate, "max_drop")) == 2
    assert not {"alternatives", "margin", "rival"} & statuses(gate).keys()


@pytest.mark.parametrize(
    ("price", "missed", "rival"),
    [(2.0, range(85, 100), True), (1.9, range(85, 100), False), (2.0, range(84, 100), False)],
)
def test_another_baseline_that_would_do_as_well_is_called_a_rival(
    http: EndpointProject, price: float, missed: range, rival: bool
) -> None:
    """The prompt alone is 5 points worse than few-shot, which is allowed, and costs what the candidate does."""
    found = checks(made(http, missed, price=price, cheaper_by=5), "rival")
    assert [one["status"] for one in found] == ["warning"] * rival
    for one in found:
        mentions(one, "prompt", "few_shot", "5.0")


# --- guards and slices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("missed", "verdict"), [((), "pass"), (range(50), "fail")])
def test_what_matches_must_still_keep_what_the_guards_hold(recorded: Project, missed: Any, verdict: str) -> None:
    recorded.test_set(200, "general.jsonl", prefix="g", input="general {}".format)
    recorded.predictions("base.jsonl", 200, prefix="g", add=True, usage=RECORDED_USAGE)
    recorded.predictions("ft.jsonl", 200, missed, prefix="g", add=True, usage=RECORDED_USAGE)
    gate = recorded.judge(guards={"general": {"test_set": "general.jsonl", "max_drop": 0.05}})
    assert gate["verdict"] == verdict, gate["checks"]
    assert (check(gate, "max_drop")["status"], gate["guards"][0]["verdict"]) == ("pass", verdict)
    # The guards' answers are no part of what a call costs.
    assert check(gate, "cheaper_by")["observed"] == 6.0
    assert gate["baseline"]["cost_usd"] == pytest.approx(N * 0.001944)


def test_a_slice_that_lost_fails_although_the_whole_matches(recorded: Project) -> None:
    """Twelve of 60 German answers are lost, and as many English ones won."""
    recorded.predictions("ft.jsonl", N, (*range(12), *range(282, 300)), usage=RECORDED_USAGE)
    gate = recorded.judge(max_drop=0.05, slices={"fields": ["lang"], "max_drop": 0.03})
    assert stopped(gate, "fail", called=True)["name"] == "slices"
    assert check(gate, "max_drop")["status"] == "pass"
    assert {one["value"]: one["verdict"] for one in gate["slices"]} == {"de": "fail", "en": "pass"}
