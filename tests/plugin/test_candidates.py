"""Several candidates, smallest first: the first that passes is chosen, and the choice is allowed for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, index_of
from gate_project import Project, check, label, refused, statuses, write_jsonl, wrong
from loopback import LoopbackServer, Reply

GOOD, WORSE, THIN = (0, 1, 58, 59), range(39, 60), range(48, 60)


@pytest.fixture
def endpoints(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    return EndpointProject(pytester, server)


def chosen_from(project: Project, small: Any, large: Any, **changes: Any) -> None:
    """A gate on two recorded candidates that are wrong on these examples; the baseline on 20 of 60."""
    project.predictions("small.jsonl", 60, wrong_at=small)
    project.predictions("large.jsonl", 60, wrong_at=large)
    candidates = {"small": "recorded:small.jsonl", "large": "recorded:large.jsonl"}
    project.gate_test(candidate=..., candidates=candidates, **changes)


def asked_of(project: EndpointProject, missed: dict[str, Any], **changes: Any) -> None:
    def answer(body: dict[str, Any]) -> str:
        index = index_of(body)
        return wrong(index) if index in missed[body["model"]] else label(index)

    project.server.answer = answer
    candidates = {name: project.model(name) for name in missed if name != "base"}
    project.gate_test(candidate=..., candidates=candidates, **changes)


def verdicts(gate: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one["verdict"] for one in gate["candidates"]}


def test_the_first_that_passes_is_chosen_and_no_further_one_is_asked(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "small": GOOD, "large": ()})
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["candidate"]["name"] == "small"
    assert verdicts(gate) == {"small": "pass", "large": None}
    assert Counter(body["model"] for body in endpoints.server.bodies) == {"base": N, "small": N}
    found = check(gate, "candidates")
    assert found["message"] == "small is the first that is good enough (small pass; not asked: large)"
    assert (found["status"], found["source"]) == ("note", "marker")
    endpoints.result.stdout.fnmatch_lines(["candidate large (openai:large): not asked"])


def test_the_second_is_chosen_where_the_first_falls_short(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "small": WORSE, "large": GOOD})
    gate = endpoints.gate("--ftgate-report=recordings:kept")
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["candidate"]["name"], gate["candidate"]["value"]) == ("large", pytest.approx(56 / 60))
    assert verdicts(gate) == {"small": "fail", "large": "pass"}
    first, second = gate["candidates"]
    assert first == {
        "name": "small",
        "model": "openai:small",
        "verdict": "fail",
        "value": 39 / 60,
        "gain": pytest.approx(-1 / 60),
        "lower_bound": first["lower_bound"],
        "cost_usd": None,
    }
    assert second["lower_bound"] == gate["lower_bound"]
    # The baseline is asked once for both.
    assert Counter(body["model"] for body in endpoints.server.bodies) == {"base": N, "small": N, "large": N}
    names = sorted(path.name for path in (endpoints.path / "kept").iterdir())
    assert [name.split(".")[-2] for name in names] == ["baseline", "candidate_large", "candidate_small", "green"]
    (kept,) = (endpoints.path / "kept").glob("*.candidate_small.jsonl")
    assert len(kept.read_text().splitlines()) == N
    endpoints.result.stdout.fnmatch_lines(["candidate small (openai:small): fail, accuracy 65.0 %, gain -1.7 *"])


def test_the_choice_is_allowed_for(project: Project) -> None:
    """Six fixed and one broken: 95 % sure for one candidate, and not 97.5 % for one of two."""
    base, small = range(20), (*range(6, 20), 30)
    project.predictions("base.jsonl", 60, wrong_at=base)
    project.predictions("small.jsonl", 60, wrong_at=small)
    project.gate_test(candidate="recorded:small.jsonl")
    alone = project.gate()
    assert (alone["verdict"], alone["confidence"], alone["candidates"]) == ("pass", 0.95, [])
    assert 0.025 < alone["p_value"] < 0.05
    chosen_from(project, small, WORSE)
    gate = project.gate("-v")
    assert gate["verdict"] == "inconclusive"
    assert gate["confidence"] == pytest.approx(0.975)
    assert gate["p_value"] == pytest.approx(alone["p_value"])
    assert gate["lower_bound"] <= 0 < alone["lower_bound"]
    assert check(gate, "choice")["message"] == (
        "the first of 2 candidates that passes is chosen: to be 95 % sure of it, each is judged at 97.5 %"
    )
    project.result.stdout.fnmatch_lines(["we can be 97.5 % sure that the real gain is at least*"])


@pytest.mark.parametrize(
    ("small", "large", "shown"),
    [(WORSE, THIN, "large"), (THIN, WORSE, "small"), (WORSE, range(40, 60), "small"), (THIN, THIN, "small")],
)
def test_where_none_passes_the_nearest_is_shown(project: Project, small: Any, large: Any, shown: str) -> None:
    chosen_from(project, small, large, margin=0.1, confidence=0.9999)
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    assert gate["verdict"] == ("inconclusive" if THIN in (small, large) else "fail")
    assert gate["candidate"]["name"] == shown
    assert check(gate, "candidates")["message"].startswith(
        f"none is good enough; shown is {shown}, which came nearest ("
    )
    assert all(one["verdict"] in ("fail", "inconclusive") for one in gate["candidates"])


def test_an_error_ends_the_choice(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "small": (), "large": GOOD})
    answer = endpoints.server.answer
    broken = Reply(status=500, body="no")
    endpoints.server.answer = lambda body: broken if (body["model"], index_of(body)) == ("small", 7) else answer(body)
    message = refused(endpoints, called=True)
    assert message.startswith("candidate small: 1 of 60 answers missing (t7)")
    gate = endpoints.gate()
    assert verdicts(gate) == {"small": "error", "large": None}
    assert "large" not in {body["model"] for body in endpoints.server.bodies}
    assert check(gate, "candidates")["message"].startswith("small could not be judged, which ends the choice")


def test_an_error_that_is_seen_before_any_call_costs_nothing(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "small": GOOD, "large": GOOD})
    candidates = {"small": endpoints.model("small"), "large": endpoints.model("large", system_file="absent.md")}
    endpoints.gate_test(candidate=..., candidates=candidates)
    assert "no such file" in refused(endpoints)
    assert endpoints.server.bodies == []


def test_a_candidate_that_fails_for_free_is_passed_over(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "large": GOOD})
    candidates = {"small": endpoints.model("base"), "large": endpoints.model("large")}
    endpoints.gate_test(candidate=..., candidates=candidates)
    gate = endpoints.gate()
    assert gate["verdict"] == "pass"
    assert verdicts(gate) == {"small": "fail", "large": "pass"}
    assert gate["candidate"]["name"] == "large"


def test_what_fails_for_all_is_said_before_any_call(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "small": GOOD, "large": GOOD}, min_training_examples=201)
    assert refused(endpoints, "fail") == "200 usable training examples, 201 needed"
    assert endpoints.server.bodies == []


def test_each_that_is_asked_is_also_run_without_its_prompt(endpoints: EndpointProject) -> None:
    asked_of(endpoints, {"base": range(40, 60), "small": WORSE, "large": GOOD})
    candidates = {name: endpoints.model(name, system="One label.") for name in ("small", "large")}
    endpoints.gate_test(candidate=..., candidates=candidates, ablate_prompt=True)
    gate = endpoints.gate("--ftgate-report=recordings:kept")
    assert gate["bare"]["name"] == "large bare"
    assert Counter(body["model"] for body in endpoints.server.bodies) == {"base": N, "small": 2 * N, "large": 2 * N}
    assert [path.name.split(".")[-2] for path in sorted((endpoints.path / "kept").iterdir())] == [
        "baseline",
        "candidate_bare_large",
        "candidate_bare_small",
        "candidate_large",
        "candidate_small",
        "green",
    ]


def test_recordings_hold_all_that_was_asked_of_those_that_fell_short(endpoints: EndpointProject) -> None:
    """One falls short by its guard alone: without its answers there CI could not come to the same choice."""
    rows = [{"id": f"g{i}", "input": f"general question {i}", "expected": label(i)} for i in range(100)]
    write_jsonl(endpoints.path / "general.jsonl", rows)

    def answer(body: dict[str, Any]) -> str:
        index, guarded = index_of(body), "general" in body["messages"][-1]["content"]
        if guarded:
            return wrong(index) if body["model"] == "small" and index < 50 else label(index)
        return wrong(index) if index in (range(40, 60) if body["model"] == "base" else GOOD) else label(index)

    endpoints.server.answer = answer
    candidates = {name: endpoints.model(name) for name in ("small", "large")}
    guards = {"general": {"test_set": "general.jsonl", "max_drop": 0.04}}
    endpoints.gate_test(candidate=..., candidates=candidates, guards=guards)
    assert verdicts(endpoints.gate("--ftgate-report=recordings:kept")) == {"small": "fail", "large": "pass"}
    endpoints.forget()
    endpoints.pytester.makeini("[pytest]\nftgate_recordings = kept\nftgate_state = other\n")
    gate = endpoints.gate("--ftgate-offline")
    assert verdicts(gate) == {"small": "fail", "large": "pass"}, gate["checks"]
    assert gate["verdict"] == "pass"
    assert endpoints.server.bodies == []


def test_evidence_observed_allows_for_no_choice_and_says_so(project: Project) -> None:
    chosen_from(project, WORSE, GOOD, evidence="observed")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "choice")["status"] == "warning"


def test_one_of_one_is_no_choice(project: Project) -> None:
    project.gate_test(candidate=..., candidates={"only": "recorded:ft.jsonl"})
    gate = project.gate()
    assert (gate["verdict"], gate["confidence"]) == ("pass", 0.95)
    assert "choice" not in statuses(gate)
    assert verdicts(gate) == {"only": "pass"}


# --- where they are written ----------------------------------------------------------------------------------


FILE = (
    "version: 1\ngates:\n  support:\n    test_set: test.jsonl\n    training_set: train.jsonl\n    margin: 0.05\n"
    "    baseline: recorded:base.jsonl\n    candidates:\n      small: recorded:small.jsonl\n"
    "      ft: recorded:ft.jsonl\n"
)


def in_file(project: Project, test: str, conftest: str = "") -> dict[str, Any]:
    """Judge the candidates of a gate file in this test."""
    write(project, test, conftest)
    return project.gate()


def write(project: Project, test: str, conftest: str = "") -> None:
    project.predictions("small.jsonl", 60, wrong_at=WORSE)
    project.gate_file(FILE)
    if conftest:
        project.file("conftest.py", conftest)
    project.file("test_gate.py", f"import pytest\n\n\n{test}")


def test_in_a_gate_file(project: Project) -> None:
    gate = in_file(
        project, "@pytest.mark.ftgate('support')\ndef test_gate(ftgate):\n    assert len(ftgate.candidates) == 2\n"
    )
    project.result.assert_outcomes(passed=1)
    assert verdicts(gate) == {"small": "fail", "ft": "pass"}
    assert check(gate, "candidates")["source"] == "ftgate.yaml:8"


def test_a_mark_with_one_candidate_replaces_them(project: Project) -> None:
    gate = in_file(project, "@pytest.mark.ftgate('support', candidate='recorded:ft.jsonl')\ndef test_gate(): pass\n")
    assert gate["verdict"] == "pass"
    assert (gate["candidates"], gate["confidence"]) == ([], 0.95)


RIGHT = (
    "import pytest\n\n\n@pytest.fixture\ndef ftgate_candidate():\n"
    "    labels = ('refund', 'invoice', 'shipping')\n    return lambda text: labels[int(text.split()[-1]) % 3]\n"
)


def test_a_mark_with_fewer_candidates_asks_for_less_than_the_file(project: Project) -> None:
    gate = in_file(
        project,
        "@pytest.mark.ftgate('support', candidate='recorded:ft.jsonl')\ndef test_gate(ftgate):\n"
        "    assert ftgate.loosened == (\n"
        "        'candidates: 2 of which each is judged at 97.5 % -> 1 that is judged at 95 %',)\n",
    )
    assert gate["verdict"] == "pass"
    project.result.assert_outcomes(passed=1)


def test_a_fixture_replaces_those_of_the_file(project: Project) -> None:
    gate = in_file(project, "@pytest.mark.ftgate('support')\ndef test_gate(): pass\n", RIGHT)
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["candidates"], gate["candidate"]["value"]) == ([], 1.0)


def test_a_mark_with_candidates_is_nearer_than_a_fixture(project: Project) -> None:
    mark = "@pytest.mark.ftgate('support', candidates={'a': 'recorded:small.jsonl', 'b': 'recorded:ft.jsonl'})"
    gate = in_file(project, f"{mark}\ndef test_gate(): pass\n", RIGHT)
    assert verdicts(gate) == {"a": "fail", "b": "pass"}


def test_the_fixture_cannot_say_which_is_chosen(project: Project) -> None:
    write(project, "@pytest.mark.ftgate('support')\ndef test_gate(ftgate_candidate): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*cannot say which of the candidates is chosen*"])


def test_more_candidates_are_no_weakening(project: Project) -> None:
    mark = "@pytest.mark.ftgate('support', candidates={n: 'recorded:ft.jsonl' for n in 'abc'})"
    gate = in_file(project, f"{mark}\ndef test_gate(): pass\n")
    assert gate["verdict"] == "pass"
    assert gate["loosened"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": {"a": "recorded:ft.jsonl"}}, "candidates: candidate and candidates are both given: keep one"),
        ({"candidate": ..., "candidates": {}}, "candidates: must not be empty"),
        ({"candidate": ..., "candidates": "recorded:ft.jsonl"}, "candidates: must be a mapping of names to models"),
        ({"candidate": ..., "candidates": {" ": "recorded:ft.jsonl"}}, "a name must not be blank"),
        ({"candidate": ..., "candidates": {"a": "recorded:../../x.jsonl"}}, "is outside of the project"),
    ],
)
def test_what_cannot_be_meant(project: Project, changes: dict[str, Any], message: str) -> None:
    project.gate_test(**changes)
    assert message in refused(project)


def test_over_xdist_the_facts_arrive_whole(project: Project) -> None:
    pytest.importorskip("xdist")
    chosen_from(project, WORSE, GOOD)
    gate = project.gate("-pxdist", "-n1", apart=True)
    assert verdicts(gate) == {"small": "fail", "large": "pass"}
    assert gate["gains"]["baseline"]["gain"] == gate["gain"]


def test_a_callable_candidate_is_asked_only_if_its_turn_comes(project: Project) -> None:
    write_jsonl(project.path / "asked.jsonl", [])
    body = "def slow(text):\n    open('asked.txt', 'a').write(text)\n    return 'refund'\n"
    project.file("models.py", body)
    candidates = {"ft": "recorded:ft.jsonl", "slow": "python:models:slow"}
    project.gate_test(candidate=..., candidates=candidates)
    assert project.gate()["verdict"] == "pass"
    assert not (project.path / "asked.txt").exists()


def test_a_candidate_goes_by_the_name_that_the_gate_gives_it(project: Project) -> None:
    chosen_from(project, (0, 1, 58, 59), (0, 1, 58, 59))
    gate = project.gate()
    assert (gate["candidate"]["name"], gate["candidate"]["model"]) == ("small", "recorded:small.jsonl")
    project.result.stdout.fnmatch_lines(["candidate  small *", "*candidate small: the recorded predictions are*"])
