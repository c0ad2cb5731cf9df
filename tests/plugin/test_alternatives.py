"""Prompt, few-shot and retrieval made by the gate from one base model, and a candidate shown without its own prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, index_of
from gate_project import Project, check, label, refused, statuses, wrong
from loopback import LoopbackServer, Reply, error

SYSTEM = "Answer with one label."
WAYS = [{"few_shot": {"k": 4}}, {"retrieval": {"k": 2}}]
N_MESSAGES = {"prompt": 2, "few_shot": 2 + 2 * 4, "retrieval": 2 + 2 * 2}


@pytest.fixture
def endpoints(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    return EndpointProject(pytester, server)


def kind(body: dict[str, Any]) -> str:
    """The alternative that a request belongs to, by the number of its messages."""
    if body["model"] == "ft":
        return "candidate" if any(one["role"] == "system" for one in body["messages"]) else "bare"
    return {count: name for name, count in N_MESSAGES.items()}[len(body["messages"])]


def made(project: EndpointProject, missed: dict[str, Iterable[int]], **changes: Any) -> None:
    """A gate on alternatives, each of which is wrong on the examples of ``missed``."""
    wrong_at = {"candidate": {0, 1, 58, 59}, "bare": set(range(30)), **{name: set(at) for name, at in missed.items()}}

    def answer(body: dict[str, Any]) -> str:
        index = index_of(body)
        return wrong(index) if index in wrong_at[kind(body)] else label(index)

    project.server.answer = answer
    base = project.model("base", system=SYSTEM)
    keys = {
        "baselines": {"base": base, "alternatives": ["prompt", *WAYS]},
        "candidate": project.model("ft", system="x"),
    }
    project.gate_test(baseline=..., **{**keys, **changes})


def turns(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in body["messages"]]


PROMPT, FEW_SHOT, RETRIEVAL = range(40, 60), range(45, 60), range(46, 60)
ALL = {"prompt": PROMPT, "few_shot": FEW_SHOT, "retrieval": RETRIEVAL}


def test_every_alternative_is_sent_what_it_says(endpoints: EndpointProject) -> None:
    made(endpoints, ALL)
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert list(gate["baselines"]) == ["prompt", "few_shot", "retrieval"]
    sent = {name: [] for name in (*ALL, "candidate", "bare")}  # type: ignore[var-annotated]
    for body in endpoints.server.bodies:
        sent[kind(body)].append(turns(body))
    assert {name: len(bodies) for name, bodies in sent.items()} == dict.fromkeys(sent, N)
    assert all(one[0] == ("system", SYSTEM) for name in ALL for one in sent[name])
    assert all(one == [("system", SYSTEM), ("user", one[-1][1])] for one in sent["prompt"])
    few_shot = {tuple(one[1:-1]) for one in sent["few_shot"]}
    assert len(few_shot) == 1
    assert [role for role, _ in next(iter(few_shot))] == ["user", "assistant"] * 4
    training = {f"training question {i}": label(i) for i in range(200)}
    for one in sent["retrieval"]:
        number = int(one[-1][1].rpartition(" ")[2])
        assert one[-3:-1] == [("user", f"training question {number}"), ("assistant", label(number))]
        assert training[one[1][1]] == one[2][1]
        assert one[1] != one[3]
    assert all(len(one) == 1 for one in sent["bare"])


def test_the_table_shows_all_of_them_with_the_gain_over_each(endpoints: EndpointProject) -> None:
    made(endpoints, ALL)
    gate = endpoints.gate()
    assert {name: round(60 * one["gain"]) for name, one in gate["gains"].items()} == {
        "prompt": 16,
        "few_shot": 11,
        "retrieval": 10,
    }
    assert gate["gain"] == gate["gains"]["retrieval"]["gain"]
    assert gate["lower_bound"] == gate["gains"]["retrieval"]["lower_bound"]
    assert gate["baseline"]["name"] == "base retrieval 2"
    endpoints.result.stdout.re_match_lines(
        [
            r"\s+model +accuracy +gain +answered.*",
            r"prompt +base prompt +66\.7 % +\+26\.7 .*",
            r"few_shot +base few_shot 4 +75\.0 % +\+18\.3 .*",
            r"retrieval +base retrieval 2 +76\.7 % +\+16\.7 .*",
            r"candidate +ft +93\.3 % +- .*",
            r"bare +ft bare +50\.0 % +- .*",
            r"gain over base retrieval 2: \+16\.7 points.*",
        ]
    )


def test_beating_the_prompt_is_not_enough(endpoints: EndpointProject) -> None:
    made(endpoints, {**ALL, "retrieval": (58, 59)})
    assert refused(endpoints, "fail", called=True) == "gain over baseline retrieval -3.3 points, asked for +5 points"
    gate = endpoints.gate()
    assert [(one["status"], one["message"]) for one in gate["checks"] if one["name"] == "margin"] == [
        ("pass", "gain over baseline prompt +26.7 points, asked for +5 points"),
        ("pass", "gain over baseline few_shot +18.3 points, asked for +5 points"),
        ("fail", "gain over baseline retrieval -3.3 points, asked for +5 points"),
    ]
    assert check(gate, "alternative_closes_gap")["message"] == (
        "retrieval of 2 examples closes all of the gap between the prompt and the candidate: it may be enough"
    )
    assert (gate["advice"][0]["action"], gate["advice"][0]["fact"]) == (
        "better_prompt",
        check(gate, "alternative_closes_gap")["message"],
    )
    keep = "Keep the prompt with the 2 examples before each question that are most like it, unless what is left of "
    assert gate["advice"][0]["text"].startswith(keep)
    endpoints.result.stdout.fnmatch_lines(["what to do, in this order:", f"  1. better prompt: {keep}*"])


# Between the prompt's 40 and the candidate's 56 of 60 lie 16; 80 % of them are 12.8.
@pytest.mark.parametrize(("few_shot", "said"), [(52, False), (53, True)])
def test_few_shot_that_closes_most_of_the_gap(endpoints: EndpointProject, few_shot: int, said: bool) -> None:
    made(endpoints, {**ALL, "few_shot": range(few_shot, 60)}, margin=0.04, evidence="observed")
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert ("alternative_closes_gap" in statuses(gate)) is said
    if said:
        found = check(gate, "alternative_closes_gap")
        assert (found["status"], found["observed"], found["required"]) == ("warning", pytest.approx(13 / 16), 0.8)
        assert found["message"] == (
            "few-shot with 4 examples closes 81 % of the gap between the prompt and the candidate: it may be enough"
        )
        assert found["advice"].startswith("Keep the prompt with 4 examples in it, unless ")
        endpoints.result.stdout.fnmatch_lines(["*warning alternative_closes_gap: few-shot with 4 examples*81 %*"])


def test_exactly_80_percent_is_most(endpoints: EndpointProject) -> None:
    wrong_at = {"prompt": range(46, 60), "few_shot": range(54, 60), "candidate": (0, 1, 2, 3)}
    made(endpoints, {**ALL, **wrong_at}, margin=0.01, evidence="observed")
    gate = endpoints.gate()
    assert check(gate, "alternative_closes_gap")["observed"] == 0.8
    assert "closes 80 % of the gap" in check(gate, "alternative_closes_gap")["message"]


def test_without_a_gap_there_is_nothing_to_close(endpoints: EndpointProject) -> None:
    made(endpoints, {**ALL, "prompt": (58, 59)})
    gate = endpoints.gate()
    assert gate["verdict"] == "fail"
    assert "alternative_closes_gap" not in statuses(gate)


def test_base_alone_stands_for_all_three_with_eight_examples(endpoints: EndpointProject) -> None:
    base = endpoints.model("base", system=SYSTEM, few_shot={"k": 3})
    endpoints.gate_test(baseline=..., baselines={"base": base})
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert list(gate["baselines"]) == ["prompt", "few_shot", "retrieval"]
    counts = Counter(len(body["messages"]) for body in endpoints.server.bodies if body["model"] == "base")
    assert counts == {2: N, 18: 2 * N}


def test_two_of_one_kind_are_told_apart_and_models_may_stand_beside(endpoints: EndpointProject) -> None:
    alternatives = [{"few_shot": {"k": 1}}, "prompt", {"few_shot": {"k": 2}}]
    further = {"large": endpoints.model("base", few_shot={"k": 5})}
    baselines = {"base": endpoints.model("base", retrieval={"k": 1}), "alternatives": alternatives, **further}
    endpoints.gate_test(baseline=..., baselines=baselines)
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert list(gate["baselines"]) == ["few_shot_1", "prompt", "few_shot_2", "large"]
    assert Counter(len(one["messages"]) for one in endpoints.server.bodies if one["model"] == "base") == {
        1: N,
        3: N,
        5: N,
        11: N,
    }


def test_in_a_gate_file_a_line_is_named(endpoints: EndpointProject) -> None:
    endpoints.training_set(7)
    endpoints.gates(
        baseline=None, baselines={"base": endpoints.model("base"), "alternatives": [{"retrieval": {"k": 8}}]}
    )
    text = (endpoints.path / "gates/ftgate.yaml").read_text().replace("    baseline: null\n", "")
    endpoints.file("gates/ftgate.yaml", text.replace("    baseline: null\n", ""))
    line = 1 + next(i for i, one in enumerate(text.splitlines()) if "- retrieval:" in one)
    assert refused(endpoints) == (
        f"gates/ftgate.yaml:{line}: retrieval: retrieval asks for 8 examples, "
        "and the training set has 7 that are usable"
    )


@pytest.mark.parametrize(
    ("baselines", "message"),
    [
        (
            {"base": "recorded:base.jsonl", "alternatives": ["prompt"]},
            "baselines.base: alternatives are made from a model with provider openai, and base is recorded:base.jsonl",
        ),
        ({"base": "recorded:base.jsonl"}, "baselines.base: alternatives are made from a model with provider openai"),
        ({"base": "openai:m", "alternatives": []}, "baselines.alternatives: must not be empty"),
        ({"alternatives": ["prompt"]}, "baselines.base: this key is missing"),
        ({"base": "openai:m", "alternatives": ["few_shot"]}, "says not how many examples: write {few_shot: {k: 8}}"),
        ({"base": "openai:m", "alternatives": ["promt"]}, "must be one of prompt, {few_shot: {k: 8}}, {retrieval"),
        ({"base": "openai:m", "alternatives": [{}]}, "must be one of prompt, {few_shot: {k: 8}}, {retrieval: {k: 8}}"),
        (
            {"base": "openai:m", "alternatives": [{"few_shot": {"k": 1}, "retrieval": {"k": 1}}]},
            "baselines.alternatives[0]: must be one of",
        ),
        ({"base": "openai:m", "alternatives": [{"retrieval": {"k": 0}}]}, "retrieval.k: must be at least 1, got 0"),
        ({"base": "openai:m", "alternatives": ["prompt", "prompt"]}, "this alternative is given twice"),
        ({"base": "openai:m", "alternatives": ["prompt"], "prompt": "openai:n"}, "an alternative goes by this name"),
        ({"base": "openai:m", "alternatives": ["prompt"], "candidate": "openai:n"}, "must not be called candidate"),
        (
            {"base": "openai:m", "alternatives": ["prompt"], "x": "nonsense"},
            "baselines.x: 'nonsense' is no known model",
        ),
    ],
)
def test_what_cannot_be_meant(project: Project, baselines: dict[str, Any], message: str) -> None:
    project.gate_test(baseline=..., baselines=baselines)
    assert message in refused(project)


def test_models_by_name_may_still_be_called_base(project: Project) -> None:
    project.gate_test(baseline=..., baselines={"base": "recorded:base.jsonl", "other": "recorded:base.jsonl"})
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert list(gate["baselines"]) == ["base", "other"]


def test_an_alternative_that_was_taken_out_is_a_weakening(endpoints: EndpointProject) -> None:
    endpoints.gates(baselines={"base": endpoints.model("base"), "alternatives": ["prompt", *WAYS]})
    text = (endpoints.path / "gates/ftgate.yaml").read_text()
    start = text.index("    baseline:\n")
    endpoints.file("gates/ftgate.yaml", text[:start] + text[text.index("    baselines:\n") :])
    mark = (
        f"@pytest.mark.ftgate('support', baselines={{'base': {endpoints.model('base')!r}, 'alternatives': ['prompt']}})"
    )
    endpoints.file("test_gate.py", f"import pytest\n\n\n{mark}\ndef test_gate():\n    pass\n")
    gate = endpoints.gate()
    assert gate["loosened"] == [
        "baselines.few_shot: openai:base -> removed",
        "baselines.retrieval: openai:base -> removed",
    ]


# --- the bare candidate --------------------------------------------------------------------------------------


def test_a_candidate_with_a_prompt_is_also_shown_bare(endpoints: EndpointProject) -> None:
    made(endpoints, ALL)
    gate = endpoints.gate("--ftgate-report=recordings:kept")
    assert (gate["bare"]["value"], gate["bare"]["name"], gate["bare"]["n_scored"]) == (0.5, "ft bare", N)
    assert check(gate, "bare") == {
        "name": "bare",
        "status": "note",
        "observed": 0.5,
        "required": None,
        "source": None,
        "message": "without system the candidate scores accuracy 50.0 %: it brings +43.3 points",
        "advice": None,
    }
    (kept,) = (endpoints.path / "kept").glob("*.candidate_bare.jsonl")
    assert len(kept.read_text().splitlines()) == N


def test_all_of_its_dress_is_taken_off(endpoints: EndpointProject) -> None:
    candidate = endpoints.model("ft", few_shot={"k": 2}, retrieval={"k": 2}, template="Q {input}", params={"seed": 1})
    endpoints.gate_test(candidate=candidate)
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    bodies = [body for body in endpoints.server.bodies if body["model"] == "ft"]
    assert Counter(len(body["messages"]) for body in bodies) == {9: N, 1: N}
    assert {body["messages"][-1]["content"][:2] for body in bodies if len(body["messages"]) == 1} == {"cu"}
    assert all(body["seed"] == 1 for body in bodies)
    found = check(gate, "bare")
    assert found["message"] == (
        "without few_shot and retrieval and template the candidate scores accuracy 93.3 %: they bring +0.0 points"
    )
    assert found["advice"] == "Leave it out, then: the fine-tune is as good without, and cheaper."


def test_a_candidate_without_a_prompt_is_asked_once(endpoints: EndpointProject) -> None:
    endpoints.gate_test()
    gate = endpoints.gate()
    assert gate["bare"] is None
    assert "bare" not in statuses(gate)
    assert len(endpoints.server.bodies) == 2 * N


@pytest.mark.parametrize("fault", [Reply(status=500, body="no"), error(400, "context_length_exceeded"), error(401)])
def test_a_bare_model_that_fails_is_no_more_than_a_note(endpoints: EndpointProject, fault: Reply) -> None:
    made(endpoints, ALL)
    answer = endpoints.server.answer
    endpoints.server.answer = lambda body: fault if kind(body) == "bare" and index_of(body) > 9 else answer(body)
    gate = endpoints.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert check(gate, "bare")["status"] == "note"
    assert check(gate, "bare")["message"].startswith("the bare candidate could not be scored: ")
    assert gate["bare"]["value"] is None
    assert gate["bare"]["n_errors"] >= 1
    endpoints.result.stdout.re_match_lines([r"bare +ft bare .*"])


def test_nothing_is_shown_bare_where_the_gate_is_in_error(endpoints: EndpointProject) -> None:
    made(endpoints, ALL)
    answer = endpoints.server.answer
    endpoints.server.answer = lambda body: error(400) if kind(body) == "retrieval" else answer(body)
    gate = endpoints.gate()
    assert gate["verdict"] == "error"
    assert gate["bare"] is None
    assert not [body for body in endpoints.server.bodies if kind(body) == "bare"]


def test_a_stored_bare_model_is_not_asked_again(endpoints: EndpointProject) -> None:
    made(endpoints, ALL)
    first = endpoints.gate()
    endpoints.forget()
    again = endpoints.gate("--ftgate-offline")
    assert endpoints.server.bodies == []
    assert again["bare"]["value"] == first["bare"]["value"]
    assert again["verdict"] == "pass"
