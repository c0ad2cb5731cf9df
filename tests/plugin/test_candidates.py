"""Several candidates, smallest first: the first that passes is chosen, and the choice is allowed for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, index_of
from gate_project import OWN, Project, block, check, ends, label, mentions, passed, statuses, stopped, wrong
from loopback import Reply

GOOD, WORSE, THIN = (0, 1, 58, 59), range(39, 60), range(48, 60)


def chosen_from(project: Project, small: Any, large: Any, **changes: Any) -> dict[str, Any]:
    """Judge two recorded candidates that are wrong on these examples; the baseline is on 20 of 60."""
    project.predictions("small.jsonl", 60, wrong_at=small)
    project.predictions("large.jsonl", 60, wrong_at=large)
    candidates = {"small": "recorded:small.jsonl", "large": "recorded:large.jsonl"}
    return project.judge(candidate=..., candidates=candidates, **changes)


def asked_of(project: EndpointProject, missed: dict[str, Any]) -> None:
    def answer(body: dict[str, Any]) -> str:
        index = index_of(body)
        return wrong(index) if index in missed[body["model"]] else label(index)

    project.server.answer = answer
    project.keys |= {"candidate": ..., "candidates": {name: project.model(name) for name in missed if name != "base"}}


def n_asked(project: EndpointProject) -> dict[str, int]:
    return Counter(body["model"] for body in project.server.bodies)


def verdicts(gate: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one["verdict"] for one in gate["candidates"]}


def test_the_first_that_passes_is_chosen_and_no_further_one_is_asked(http: EndpointProject) -> None:
    asked_of(http, {"base": range(40, 60), "small": GOOD, "large": ()})
    gate = passed(http.judge())
    assert gate["candidate"]["name"] == "small"
    assert verdicts(gate) == {"small": "pass", "large": None}
    assert n_asked(http) == {"base": N, "small": N}
    found = check(gate, "candidates")
    assert (found["status"], found["source"]) == ("note", "marker")
    mentions(found, "small", "large")
    assert [line for line in block(gate, verbose=True) if line.startswith("candidate large (openai:large): ")]


def test_the_second_is_chosen_where_the_first_falls_short(http: EndpointProject) -> None:
    asked_of(http, {"base": range(40, 60), "small": WORSE, "large": GOOD})
    http.gate_test()
    gate = passed(http.gate("--ftgate-report=recordings:kept"))
    assert (gate["candidate"]["name"], gate["candidate"]["value"]) == ("large", pytest.approx(56 / 60))
    first, second = gate["candidates"]
    assert (first["verdict"], first["value"], first["gain"]) == ("fail", 39 / 60, pytest.approx(-1 / 60))
    assert (second["verdict"], second["lower_bound"]) == ("pass", gate["lower_bound"])
    assert n_asked(http) == {"base": N, "small": N, "large": N}  # the baseline is asked once for both
    (kept,) = (http.path / "kept").glob("*.candidate_small.jsonl")
    assert len(kept.read_text().splitlines()) == N


def test_the_choice_is_allowed_for(project: Project) -> None:
    """Six fixed and one broken: 95 % sure for one candidate, and not 97.5 % for one of two."""
    base, small = range(20), (*range(6, 20), 30)
    project.predictions("base.jsonl", 60, wrong_at=base)
    project.predictions("small.jsonl", 60, wrong_at=small)
    alone = project.judge(candidate="recorded:small.jsonl")
    assert (alone["verdict"], alone["confidence"], alone["candidates"]) == ("pass", 0.95, [])
    assert 0.025 < alone["p_value"] < 0.05
    gate = ends(chosen_from(project, small, WORSE), "inconclusive")
    assert gate["confidence"] == pytest.approx(0.975)
    assert gate["p_value"] == pytest.approx(alone["p_value"])
    assert gate["lower_bound"] <= 0 < alone["lower_bound"]
    mentions(check(gate, "choice"), "2", "95 %", "97.5 %")
    assert [line for line in block(gate, verbose=True) if "97.5 % each, 95 % together" in line]


@pytest.mark.parametrize(
    ("small", "large", "shown"),
    [(WORSE, THIN, "large"), (THIN, WORSE, "small"), (WORSE, range(40, 60), "small"), (THIN, THIN, "small")],
)
def test_where_none_passes_the_nearest_is_shown(project: Project, small: Any, large: Any, shown: str) -> None:
    gate = chosen_from(project, small, large, margin=0.1, confidence=0.9999)
    assert gate["verdict"] == ("inconclusive" if THIN in (small, large) else "fail")
    assert gate["candidate"]["name"] == shown
    mentions(check(gate, "candidates"), shown)
    assert all(one["verdict"] in ("fail", "inconclusive") for one in gate["candidates"])


def test_an_error_ends_the_choice(http: EndpointProject) -> None:
    asked_of(http, {"base": range(40, 60), "small": (), "large": GOOD})
    answer = http.server.answer
    broken = Reply(status=500, body="no")
    http.server.answer = lambda body: broken if (body["model"], index_of(body)) == ("small", 7) else answer(body)
    gate = http.judge()
    mentions(stopped(gate, called=True), "small", "1 of 60", "test.jsonl:8")
    assert verdicts(gate) == {"small": "error", "large": None}
    assert "large" not in n_asked(http)
    mentions(check(gate, "candidates"), "small")


def test_an_error_that_is_seen_before_any_call_costs_nothing(http: EndpointProject) -> None:
    asked_of(http, {"base": range(40, 60), "small": GOOD, "large": GOOD})
    candidates = {"small": http.model("small"), "large": http.model("large", system_file="absent.md")}
    mentions(stopped(http.judge(candidates=candidates)), "absent.md")
    found = stopped(http.judge(min_training_examples=201), "fail")
    assert (found["observed"], found["required"]) == (200, 201)
    assert http.server.bodies == []


def test_a_candidate_that_fails_for_free_is_passed_over(http: EndpointProject) -> None:
    asked_of(http, {"base": range(40, 60), "large": GOOD})
    candidates = {"small": http.model("base"), "large": http.model("large")}
    gate = passed(http.judge(candidates=candidates))
    assert verdicts(gate) == {"small": "fail", "large": "pass"}
    assert gate["candidate"]["name"] == "large"


def test_recordings_hold_all_that_was_asked_of_those_that_fell_short(http: EndpointProject) -> None:
    """One falls short by its guard alone: without its answers there CI could not come to the same choice."""
    http.test_set(100, "general.jsonl", prefix="g", input="general question {}".format)

    def answer(body: dict[str, Any]) -> str:
        index, guarded = index_of(body), "general" in body["messages"][-1]["content"]
        if guarded:
            return wrong(index) if body["model"] == "small" and index < 50 else label(index)
        return wrong(index) if index in (range(40, 60) if body["model"] == "base" else GOOD) else label(index)

    http.server.answer = answer
    candidates = {name: http.model(name) for name in ("small", "large")}
    guards = {"general": {"test_set": "general.jsonl", "max_drop": 0.04}}
    http.gate_test(candidate=..., candidates=candidates, guards=guards)
    assert verdicts(http.gate("--ftgate-report=recordings:kept")) == {"small": "fail", "large": "pass"}
    http.forget()
    http.ini["ftgate_recordings"] = "kept"
    gate = http.judge(candidate=..., candidates=candidates, guards=guards, offline=True)
    assert (gate["verdict"], verdicts(gate)) == ("pass", {"small": "fail", "large": "pass"})
    assert http.server.bodies == []


def test_evidence_observed_allows_for_no_choice_and_says_so(project: Project) -> None:
    gate = chosen_from(project, WORSE, GOOD, evidence="observed")
    assert (gate["verdict"], statuses(gate)["choice"]) == ("pass", "warning")


def test_one_of_one_is_no_choice(project: Project) -> None:
    gate = project.judge(candidate=..., candidates={"only": "recorded:ft.jsonl"})
    assert (gate["verdict"], gate["confidence"], verdicts(gate)) == ("pass", 0.95, {"only": "pass"})
    assert "choice" not in statuses(gate)


# --- where they are written ----------------------------------------------------------------------------------


SEVERAL = "candidates: {small: 'recorded:small.jsonl', ft: 'recorded:ft.jsonl'}"


@pytest.fixture
def filed(project: Project) -> Project:
    """With the candidates of a gate file."""
    project.predictions("small.jsonl", 60, wrong_at=WORSE)
    project.filed()
    project.gate_file((project.path / "ftgate.yaml").read_text().replace("candidate: 'recorded:ft.jsonl'", SEVERAL))
    return project


def test_in_a_gate_file(filed: Project) -> None:
    gate = filed.judge("support")
    assert verdicts(gate) == {"small": "fail", "ft": "pass"}
    assert check(gate, "candidates")["source"] == "ftgate.yaml:3"
    many = filed.judge("support", candidates=dict.fromkeys("abc", "recorded:ft.jsonl"))
    assert (many["verdict"], many["loosened"]) == ("pass", [])  # more candidates are no weakening


def test_a_mark_with_one_candidate_replaces_them_and_asks_for_less(filed: Project) -> None:
    gate = filed.judge("support", candidate="recorded:ft.jsonl")
    assert (gate["verdict"], gate["candidates"], gate["confidence"]) == ("pass", [], 0.95)
    (told,) = gate["loosened"]
    assert told.startswith("candidates: 2 ")


RIGHT = f"import pytest\n{OWN}\n@pytest.fixture\ndef ftgate_candidate(): return good\n"


def test_a_fixture_replaces_those_of_the_file(filed: Project) -> None:
    """And a mark with candidates is nearer."""
    filed.file("conftest.py", RIGHT)
    gate = passed(filed.gate())
    assert (gate["candidates"], gate["candidate"]["value"]) == ([], 1.0)
    filed.marked("'support', candidates={'a': 'recorded:small.jsonl', 'b': 'recorded:ft.jsonl'}")
    assert verdicts(filed.gate()) == {"a": "fail", "b": "pass"}


def test_the_fixture_cannot_say_which_is_chosen(filed: Project) -> None:
    filed.marked(body="def test_gate(ftgate_candidate): pass")
    result = filed.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*candidates*"])


def test_over_xdist_the_facts_arrive_whole(filed: Project) -> None:
    gate = filed.gate("-pxdist", "-n1", apart=True)
    assert verdicts(gate) == {"small": "fail", "ft": "pass"}
    assert gate["gains"]["baseline"]["gain"] == gate["gain"]
