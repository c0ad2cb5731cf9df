"""A baseline that is no straw man: each way to make one, and the same project green without it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import (
    LABELS,
    Project,
    because,
    check,
    checks,
    ends,
    label,
    mentions,
    passed,
    statuses,
    stopped,
)

from pytest_ftgate import metric

own = metric(low=0, high=1, greater_is_better=True)
CLOSENESS = own(lambda expected, answer: float(expected[0] == answer[0]))
HEDGED = own(lambda expected, answer: 0.5 if answer == "maybe" else float(expected == answer))


def says(project: Project, name: str, output: str | Callable[[int], str]) -> None:
    project.predictions(name, 60, output=output)


# --- the baseline against the best constant answer -----------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "level", "status"),
    [
        (40, None, "pass"),
        (40, "warn", "pass"),
        (30, None, "pass"),
        (21, None, "fail"),  # a third of the answers fits random rows, too
        (20, None, "fail"),
        (0, None, "fail"),
        (20, "warn", "warning"),
    ],
)
def test_the_baseline_is_held_against_the_constant_answer(
    project: Project, right: int, level: str | None, status: str
) -> None:
    project.predictions("base.jsonl", 60, wrong_at=range(right, 60))
    gate = project.judge(checks={"weak_baseline": level} if level else {})
    finding = check(gate, "weak_baseline")
    assert (finding["status"], finding["observed"], finding["required"]) == (
        status,
        right / 60,
        20 / 60,
    )
    ends(gate, "fail" if status == "fail" else "pass")
    assert "degenerate_candidate" not in statuses(gate)
    mentions(finding, "base.jsonl", "'refund'", "33.3 %")
    if status == "warning":
        assert finding["source"] == "marker"


@pytest.mark.parametrize(
    ("metric", "answer"),
    [
        *(
            (metric, "refund")
            for metric in ("f1_macro", "matthews_corrcoef", "exact_match", CLOSENESS)
        ),
        (HEDGED, "maybe"),  # one answer to everything is weak however well it scores
    ],
)
def test_whatever_metric_decides(project: Project, metric: Any, answer: str) -> None:
    assert project.judge(metric=metric)["verdict"] == "pass"
    says(project, "base.jsonl", answer)
    finding = check(ends(project.judge(metric=metric), "fail"), "weak_baseline")
    assert (finding["status"], finding["observed"] - finding["required"]) == (
        "fail",
        0.5 - 20 / 60 if answer == "maybe" else 0,
    )
    mentions(finding, f"'{answer}'")


@pytest.mark.parametrize("always", [60, 30])
def test_where_one_output_is_expected_everywhere_nothing_beats_saying_it(
    project: Project, always: int
) -> None:
    """Saying it is perfect: such a gate fails, and a reason lets it pass with the warning. A long answer is cut."""
    project.test_set(60, expected="no" * 99)
    says(project, "base.jsonl", "refund")
    says(project, "ft.jsonl", lambda i: "no" * 99 if i < always else "refund")
    finding = check(project.judge(), "weak_baseline")
    assert (finding["status"], "no" * 31 in finding["message"]) == ("fail", False)
    assert (
        statuses(passed(project.judge(checks={"weak_baseline": "warn"})))["weak_baseline"]
        == "warning"
    )


def test_a_metric_by_which_a_constant_is_perfect_condemns_no_candidate(project: Project) -> None:
    short = own(lambda expected, answer: float(len(answer) < 9))
    says(project, "base.jsonl", lambda i: label(i) if i < 40 else "something longer")
    finding = check(project.judge(metric=short), "weak_baseline")
    assert finding["status"] == "fail"
    says(project, "ft.jsonl", lambda i: label(i) if i else "something longer")
    gate = passed(project.judge(metric=short, checks={"weak_baseline": "warn"}))
    assert "degenerate_candidate" not in statuses(gate)


# --- the candidate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "answer", "value"), [("accuracy", "refund", 20 / 60), (HEDGED, "maybe", 0.5)]
)
def test_a_candidate_that_answers_one_label_throughout(
    project: Project, metric: Any, answer: str, value: float
) -> None:
    """It is refused however well it scores, and though it beats a baseline that is always wrong."""
    keys = {"metric": metric, "checks": {"weak_baseline": "warn"}}
    says(project, "base.jsonl", lambda i: LABELS[(i + 1) % 3])
    passed(project.judge(**keys))
    says(project, "ft.jsonl", answer)
    gate = ends(project.judge(**keys), "fail")
    finding = check(gate, "degenerate_candidate")
    assert (finding["status"], finding["observed"], finding["required"]) == ("fail", value, 20 / 60)
    assert statuses(gate)["margin"] == "pass"
    mentions(finding, "ft.jsonl", f"'{answer}'")


@pytest.mark.parametrize(("right", "verdict"), [(19, "fail"), (20, "fail"), (21, "pass")])
def test_a_weak_baseline_does_not_excuse_a_weak_candidate(
    project: Project, right: int, verdict: str
) -> None:
    project.predictions("base.jsonl", 60, wrong_at=range(60))
    project.predictions("ft.jsonl", 60, wrong_at=range(right, 60))
    gate = project.judge(checks={"weak_baseline": "warn"})
    assert (gate["verdict"], statuses(gate)["margin"]) == (verdict, "pass")
    findings = checks(gate, "degenerate_candidate")
    assert [(check["status"], check["observed"]) for check in findings] == [
        ("fail", right / 60)
    ] * (verdict == "fail")
    # there the baseline is what is wrong
    assert "degenerate_candidate" not in statuses(project.judge())


# --- before any call -----------------------------------------------------------------------------------------

ENDPOINT = {"provider": "openai", "model": "mini", "base_url": "http://127.0.0.1:9/v1"}
TUNED = {**ENDPOINT, "model": "ft:mini:acme::1"}
PROMPTED = {
    **ENDPOINT,
    "system": "Answer with one label.",
    "params": {"temperature": 0, "max_tokens": 9},
}
OTHER_PLACE = {"base_url": "http://localhost:1/v1"}


def free(project: Project, baseline: Any, candidate: Any = TUNED, **changes: Any) -> dict[str, Any]:
    """Too little is taught, so that nothing is asked of the endpoint, which does not exist."""
    project.training_set(10)
    gate = project.judge(baseline=baseline, candidate=candidate, **changes)
    assert gate["models_called"] is False
    return gate


@pytest.mark.parametrize(
    ("baseline", "called_out"),
    [
        (ENDPOINT, True),
        ({**ENDPOINT, "system": "Answer."}, False),
        ({**ENDPOINT, "system_file": "p.md"}, False),
        ({**ENDPOINT, "few_shot": 2}, False),
        ({**ENDPOINT, "template": "Label: {input}"}, False),
        ("recorded:base.jsonl", False),  # it does not show its prompt
    ],
)
def test_an_endpoint_without_a_prompt_is_called_out(
    project: Project, baseline: Any, called_out: bool
) -> None:
    project.file("p.md", "Answer.")
    findings = checks(free(project, baseline), "baseline_prompt")
    assert [(check["status"], check["source"]) for check in findings] == [
        ("warning", "marker")
    ] * called_out


@pytest.mark.parametrize(
    ("role", "called_out"), [("system", False), ("developer", False), ("user", True)]
)
def test_a_prompt_may_stand_in_the_data(project: Project, role: str, called_out: bool) -> None:
    turns = [{"role": role, "content": "Answer."}]
    project.test_set(60, input=lambda i: [*turns, {"role": "user", "content": f"question {i}"}])
    assert ("baseline_prompt" in statuses(free(project, ENDPOINT))) is called_out


def test_each_of_several_baselines_is_looked_at(project: Project) -> None:
    several = {"bare": ENDPOINT, "good": PROMPTED, "nano": {**ENDPOINT, "model": "nano"}}
    mentions(
        check(free(project, ..., baselines=several), "baseline_prompt"),
        "baseline bare",
        "baseline nano",
    )


LONG = {
    **ENDPOINT,
    "system": "Route the message of a customer of our shop. Answer with one label, in lower case.",
}
TRAINED = "You label messages of customers with one label."
SHOTS = {**PROMPTED, "few_shot": 2}
JSON = {"type": "json_object"}
SEARCH = {"search_context_size": "high"}
SEARCH_TOOLS = [
    {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
]


def sends(**keys: Any) -> dict[str, Any]:
    """Return the prompted model with more request parameters; one that is ``None`` is left out."""
    params = {"temperature": 0, **keys}
    return {
        **PROMPTED,
        "params": {name: value for name, value in params.items() if value is not None},
    }


@pytest.mark.parametrize(
    ("baseline", "candidate", "fragments"),
    [
        (PROMPTED, SHOTS, ["2 examples", "baseline: 0"]),
        (SHOTS, {**PROMPTED, "few_shot": 3}, ["3 examples", "baseline: 2"]),
        (PROMPTED, {**PROMPTED, "retrieval": 1}, ["each input"]),
        ({**PROMPTED, "few_shot": 8}, {**PROMPTED, "retrieval": 1}, ["each input"]),
        (ENDPOINT, {**ENDPOINT, "system": LONG["system"]}, ["characters", "baseline: 19"]),
        (
            ENDPOINT,
            {**ENDPOINT, "template": f"{LONG['system']} {{input}}"},
            ["characters", "baseline: 19"],
        ),
        (PROMPTED, {**PROMPTED, "template": "{area} {input}"}, ["area"]),
        (
            {**PROMPTED, "template": "{area} {input}"},
            {**PROMPTED, "template": "{area} {lang} {input}"},
            ["lang"],
        ),
        (sends(), sends(tools=SEARCH_TOOLS), ["tools"]),
        (sends(), sends(web_search_options=SEARCH), ["web_search_options", "not set"]),
        (sends(), sends(extra_body={"guided_choice": ["a", "b"]}), ["guided_choice"]),
        (sends(), sends(response_format=JSON), ["response_format", "json_object", "not set"]),
        (
            sends(reasoning_effort="none"),
            sends(reasoning_effort="high"),
            ["reasoning_effort: high (baseline: none)"],
        ),
        (sends(temperature=2), sends(), ["temperature: 0 (baseline: 2)"]),
        (sends(), sends(chat_template_kwargs={"enable_thinking": True}), ["enable_thinking"]),
        (sends(max_tokens=5), sends(max_tokens=50), ["50", "5"]),
        (sends(max_tokens=5), sends(), ["no limit", "5"]),
        (sends(max_tokens=5), sends(max_completion_tokens=6), ["6", "5"]),
    ],
)
def test_a_candidate_that_is_given_more_is_refused_and_one_that_is_given_as_much_is_not(
    project: Project, baseline: dict[str, Any], candidate: dict[str, Any], fragments: list[str]
) -> None:
    project.test_set(
        60, area=lambda i: f"zone{i % 7}x{i}", lang=lambda i: ("de", "en", "fr")[i // 20]
    )
    few = [
        {"input": f"training question {i}", "expected": label(i), "area": "none", "lang": "de"}
        for i in range(10)
    ]
    tuned = {**candidate, "model": "ft:mini:acme::1"}
    project.training_set(0, few)
    gate = project.judge(baseline=baseline, candidate=tuned)
    because(gate, "fail", "baseline_prompt", "checks: {baseline_prompt: warn}", *fragments)
    gate = project.judge(baseline=baseline, candidate=tuned, checks={"baseline_prompt": "warn"})
    assert statuses(gate)["baseline_prompt"] == "warning"
    assert "baseline_prompt" not in statuses(project.judge(baseline=candidate, candidate=tuned))
    gate = project.judge(baseline=..., baselines={"a": baseline, "b": candidate}, candidate=tuned)
    assert "baseline_prompt" not in [
        name for name, status in statuses(gate).items() if status == "fail"
    ]


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        (
            LONG,
            {
                **TUNED,
                "system": f"{LONG['system']} Label the message with one label of ours, please.",
            },
        ),
        (LONG, {**TUNED, "system": "Label it."}),
        ({**ENDPOINT, "template": f"{LONG['system']} {{input}}"}, {**TUNED, "system": TRAINED}),
        ({**ENDPOINT, "few_shot": 16}, {**TUNED, "system": TRAINED}),
        (sends(), {**sends(seed=7, user="ci", metadata={"run": "1"}), "model": TUNED["model"]}),
        (LONG, TUNED),
        (SHOTS, {**PROMPTED, **TUNED}),
        ({**ENDPOINT, "retrieval": 3, "few_shot": 2}, {**TUNED, "retrieval": 3}),
        ({**ENDPOINT, "retrieval": 8}, {**TUNED, "few_shot": 8}),
        (PROMPTED, {**PROMPTED, **TUNED, "template": "Message: {input}"}),
        (sends(lora=[{"id": 0, "scale": 0}]), sends(lora=[{"id": 0, "scale": 1}])),
        (sends(stop="\n", seed=7, max_tokens=5), {**sends(max_tokens=4), "model": TUNED["model"]}),
        (sends(max_tokens=1), "recorded:ft.jsonl"),
        ("recorded:base.jsonl", SHOTS),
        (PROMPTED, "recorded:ft.jsonl"),
        (lambda text: "refund", {**TUNED, "few_shot": 2}),
    ],
)
def test_as_much_less_and_unknown_prompts_are_no_more(
    project: Project, baseline: Any, candidate: Any
) -> None:
    assert "baseline_prompt" not in statuses(free(project, baseline, candidate))


@pytest.mark.parametrize(("n_calls", "is_more"), [(0, True), (1, False)])
def test_earlier_tool_calls_are_sent_to_both(project: Project, n_calls: int, is_more: bool) -> None:
    arguments = json.dumps({"order": "number 17 of the customer from Hamburg"})
    function = {"name": "find_order", "arguments": arguments}
    call = {"id": "c1", "type": "function", "function": function}
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
    ]
    question = {"role": "user", "content": "where is it"}
    project.test_set(
        60, input=lambda i: [question, *turns * n_calls, {**question, "content": f"{i}"}]
    )
    candidate = {**TUNED, "system": "Answer with one label of our shop."}
    gate = free(project, {**ENDPOINT, "system": "Label"}, candidate)
    assert ("baseline_prompt" in statuses(gate)) is is_more


def test_a_champion_need_not_be_given_as_much(project: Project) -> None:
    champion = {"model": {**TUNED, "model": "ft:mini:acme::0"}, "max_drop": 0.02}
    keys = {
        "baselines": {"prompt": PROMPTED, "champion": champion},
        "candidate": {**PROMPTED, **TUNED},
    }
    assert "baseline_prompt" not in statuses(free(project, ..., **keys))


def test_the_best_baseline_must_be_given_as_much(http: EndpointProject) -> None:
    """A weak model with a long prompt beside a good one without is known as such when both have answered."""
    right, shots = {"weak": 30, "good": 40, "tuned": 60}, {"system": "Label.", "few_shot": 2}
    http.server.answer = lambda body: label(
        index_of(body) + (index_of(body) >= right[body["model"]])
    )
    baselines = {"good": http.model("good", system="Label."), "weak": http.model("weak", **shots)}
    keys = {"baseline": ..., "candidate": http.model("tuned", **shots)}
    gate = http.judge(baselines=baselines, **keys)
    assert gate["models_called"]
    because(gate, "fail", "baseline_prompt", "baseline good", "examples")
    passed(http.judge(baselines={**baselines, "good": http.model("good", **shots)}, **keys))


def shout(text: str) -> str:
    raise AssertionError("the model must not be called")


@pytest.mark.parametrize(
    ("candidate", "is_same"),
    [
        (
            {
                "name": "our tuned one",
                "concurrency": 1,
                "timeout_s": 5,
                "price": {"input_per_1m": 1},
            },
            True,
        ),
        ({"model": "ft:mini:acme::1"}, False),
        ({"system": "Answer."}, False),
        ({"params": {"temperature": 0}}, False),
        ({"few_shot": 1}, False),
        (OTHER_PLACE, False),
        ({"revision": "2"}, False),
    ],
    ids=str,
)
def test_whatever_can_change_an_answer_makes_another_model(
    project: Project, candidate: dict[str, Any], is_same: bool
) -> None:
    gate = free(project, ENDPOINT, {**ENDPOINT, **candidate})
    assert [check["status"] for check in checks(gate, "identical_outputs")] == ["fail"] * is_same


def test_one_model_under_two_names_is_never_called(project: Project) -> None:
    project.file("one.py", "def model(text): raise SystemExit('the model must not be called')\n")
    named = {"provider": "python", "target": "one:model", "name": "tuned"}
    assert (
        stopped(project.judge(baseline="python:one:model", candidate=named), "fail")["name"]
        == "identical_outputs"
    )
    assert (
        stopped(project.judge(baseline=shout, candidate=shout), "fail")["name"]
        == "identical_outputs"
    )
    assert "identical_outputs" not in statuses(free(project, shout, lambda text: shout(text)))
    gate = free(project, ..., {**ENDPOINT, "name": "tuned"}, baselines={"a": TUNED, "b": ENDPOINT})
    mentions(check(gate, "identical_outputs"), "baseline b")
