"""A baseline that is no straw man: each way to make one, and the same project green without it."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import LABELS, Project, check, label, statuses, write_jsonl

QUALITY = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'closeness': pytest_ftgate.metric(\n"
    "    low=0, high=1, greater_is_better=True)(lambda expected, answer: float(expected[0] == answer[0]))}\n"
)


def answers(project: Project, name: str, texts: list[str]) -> None:
    write_jsonl(project.path / name, ({"id": f"t{i}", "output": text} for i, text in enumerate(texts)))


def weak(project: Project) -> None:
    """A baseline that is right on 20 of 60: as good as one label throughout."""
    project.predictions("base.jsonl", 60, wrong_at=range(20, 60))


def test_a_real_baseline_is_held_against_the_constant_answer(project: Project) -> None:
    project.gate_test()
    gate = project.gate()
    assert gate["verdict"] == "pass"
    found = check(gate, "weak_baseline")
    assert (found["status"], found["observed"], found["required"]) == ("pass", 40 / 60, 20 / 60)
    assert "degenerate_candidate" not in statuses(gate)


def test_a_baseline_no_better_than_the_most_frequent_label_fails(project: Project) -> None:
    weak(project)
    project.gate_test()
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    assert gate["verdict"] == "fail"
    found = check(gate, "weak_baseline")
    assert (found["observed"], found["required"]) == (20 / 60, 20 / 60)
    assert found["message"] == (
        "baseline base.jsonl: accuracy 33.3 % is no better than a constant answer: 'refund' to everything scores 33.3 %"
    )
    project.result.stdout.fnmatch_lines(["*advice: Write a real prompt: *allow_weak_baseline*"])


def test_one_right_answer_more_than_the_constant_is_enough(project: Project) -> None:
    project.predictions("base.jsonl", 60, wrong_at=range(21, 60))
    project.gate_test()
    assert project.gate()["verdict"] == "pass"


def test_a_reason_lets_it_pass_and_is_printed(project: Project) -> None:
    weak(project)
    project.gate_test(allow_weak_baseline="no prompt fits in its context")
    gate = project.gate()
    project.result.assert_outcomes(passed=1)
    assert check(gate, "weak_baseline")["status"] == "warning"
    assert check(gate, "weak_baseline")["source"] == "marker"
    project.result.stdout.fnmatch_lines(["*warning weak_baseline: *(allowed: no prompt fits in its context)*"])


@pytest.mark.parametrize("reason", ["", "  ", True])
def test_a_reason_must_be_given(project: Project, reason: Any) -> None:
    weak(project)
    project.gate_test(allow_weak_baseline=reason)
    gate = project.gate()
    assert gate["verdict"] == "error"
    assert check(gate, "configuration")["message"].startswith("test_gate.py:4: allow_weak_baseline: must")


def test_a_mark_that_allows_it_against_the_file_meets_no_obligation(project: Project) -> None:
    weak(project)
    project.gate_file(
        "version: 1\ngates:\n  support: {test_set: test.jsonl, training_set: train.jsonl, margin: 0.05, "
        "baseline: 'recorded:base.jsonl', candidate: 'recorded:ft.jsonl'}\n"
    )
    project.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    project.file(
        "test_gate.py",
        "import pytest\n@pytest.mark.ftgate('support', allow_weak_baseline='why not')\ndef test_gate(): pass\n",
    )
    (unjudged,) = project.report()["unjudged"]
    assert unjudged["reason"].endswith("allow_weak_baseline: not allowed -> why not")
    assert project.result.ret == 1


@pytest.mark.parametrize("metric", ["f1_macro", "matthews_corrcoef", "exact_match", "closeness"])
def test_whatever_metric_decides(project: Project, metric: str) -> None:
    project.file("conftest.py", QUALITY)
    project.gate_test(metric=metric)
    assert project.gate()["verdict"] == "pass"
    answers(project, "base.jsonl", ["refund"] * 60)
    gate = project.gate()
    assert (gate["verdict"], check(gate, "weak_baseline")["status"]) == ("fail", "fail")
    assert check(gate, "weak_baseline")["observed"] == check(gate, "weak_baseline")["required"]


def test_labels_inside_json_answers_hide_no_weak_baseline(project: Project) -> None:
    metric = {"name": "accuracy", "json_field": "label"}
    answers(project, "ft.jsonl", [f'{{"label": "{label(i)}"}}' for i in range(60)])
    answers(project, "base.jsonl", [f'{{"label": "{label(i) if i < 40 else "x"}"}}' for i in range(60)])
    project.gate_test(metric=metric)
    assert project.gate()["verdict"] == "pass"
    answers(project, "base.jsonl", ['{"label": "refund"}'] * 60)
    assert statuses(project.gate())["weak_baseline"] == "fail"


def test_each_of_several_baselines_must_be_real(project: Project) -> None:
    project.predictions("strong.jsonl", 60, wrong_at=range(45, 60))
    both = {"prompt": "recorded:base.jsonl", "few": "recorded:strong.jsonl"}
    project.gate_test(baseline=..., baselines=both)
    assert project.gate()["verdict"] == "pass"
    weak(project)
    gate = project.gate()
    assert gate["verdict"] == "fail"
    found = [item for item in gate["checks"] if item["name"] == "weak_baseline"]
    assert [item["status"] for item in found] == ["fail", "pass"]
    assert found[0]["message"].startswith("baseline prompt: accuracy 33.3 %")


# --- the candidate -------------------------------------------------------------------------------------------


def test_a_candidate_that_answers_one_label_throughout(project: Project) -> None:
    answers(project, "base.jsonl", [LABELS[(i + 1) % 3] for i in range(60)])
    project.gate_test(allow_weak_baseline="a stub")
    assert project.gate()["verdict"] == "pass"
    answers(project, "ft.jsonl", ["refund"] * 60)
    gate = project.gate()
    assert check(gate, "margin")["status"] == "pass"
    assert gate["verdict"] == "fail"
    assert check(gate, "degenerate_candidate")["message"] == (
        "candidate ft.jsonl answers 'refund' throughout, and the test set expects 3 different outputs"
    )


def test_a_candidate_worse_than_a_constant_answer(project: Project) -> None:
    project.predictions("base.jsonl", 60, wrong_at=range(60))
    project.gate_test(allow_weak_baseline="a stub")
    project.predictions("ft.jsonl", 60, wrong_at=range(19, 60))
    gate = project.gate()
    assert check(gate, "margin")["status"] == "pass"
    assert check(gate, "degenerate_candidate")["status"] == "fail"
    project.predictions("ft.jsonl", 60, wrong_at=range(21, 60))
    assert project.gate()["verdict"] == "pass"


# --- before any call -----------------------------------------------------------------------------------------


ENDPOINT = {"provider": "openai", "model": "mini", "base_url": "http://127.0.0.1:9/v1"}
TUNED = {**ENDPOINT, "model": "ft:mini:acme::1"}
PROMPTED = {**ENDPOINT, "system": "Answer with one label.", "params": {"temperature": 0, "max_tokens": 9}}


def free_checks(project: Project, baseline: dict[str, Any], candidate: dict[str, Any]) -> dict[str, Any]:
    """Too little is taught, so that nothing is asked of the endpoint, which does not exist."""
    project.training_set(10)
    project.gate_test(baseline=baseline, candidate=candidate)
    gate = project.gate()
    assert gate["models_called"] is False
    return gate


def test_a_good_prompt_and_equal_parameters_are_not_called_out(project: Project) -> None:
    gate = free_checks(project, PROMPTED, {**TUNED, "params": PROMPTED["params"]})
    assert not {"baseline_prompt", "baseline_params", "same_model", "swapped"} & statuses(gate).keys()


def test_an_endpoint_without_a_prompt_is_called_out(project: Project) -> None:
    gate = free_checks(project, ENDPOINT, TUNED)
    assert statuses(gate)["baseline_prompt"] == "warning"
    project.result.stdout.fnmatch_lines(["*warning baseline_prompt: baseline mini has no prompt: *(marker)"])


def test_weaker_parameters_are_called_out(project: Project) -> None:
    gate = free_checks(project, {**PROMPTED, "params": {"max_tokens": 1, "temperature": 1}}, TUNED)
    assert check(gate, "baseline_params")["message"].endswith("max_tokens: 1 against no limit")


def test_swapped_models_are_called_out(project: Project) -> None:
    assert statuses(free_checks(project, {**TUNED, "system": "Answer."}, ENDPOINT))["swapped"] == "warning"


def test_one_model_under_two_names_is_never_called(project: Project) -> None:
    project.file(
        "one.py",
        "def model(text): raise SystemExit('the model must not be called')\n"
        f"def tuned(text): return {LABELS!r}[int(text.split()[-1]) % 3]\n"
        f"def prompted(text): return tuned(text) if int(text.split()[-1]) < 40 else 'refund'\n",
    )
    project.pytester.syspathinsert()
    project.gate_test(baseline="python:one:prompted", candidate="python:one:tuned")
    assert project.gate()["verdict"] == "pass"
    named = {"provider": "python", "target": "one:model", "name": "tuned"}
    project.gate_test(baseline="python:one:model", candidate=named)
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    assert (gate["verdict"], gate["models_called"]) == ("fail", False)
    assert check(gate, "same_model")["message"] == "baseline and candidate are the same model with the same prompt"


def test_a_template_that_no_example_can_fill_is_an_error_before_any_call(project: Project) -> None:
    baseline = {**ENDPOINT, "template": "Label: {inptu}"}
    project.gate_test(baseline=baseline, candidate=TUNED)
    gate = project.gate()
    assert (gate["verdict"], gate["models_called"]) == ("error", False)
    assert "the template names neither {input}" in check(gate, "configuration")["message"]


def test_where_one_output_is_expected_everywhere_nothing_beats_saying_it(project: Project) -> None:
    """Saying it is perfect: such a gate fails, and a reason lets it pass with the warning."""
    write_jsonl(project.path / "test.jsonl", ({"id": f"t{i}", "input": f"q {i}", "expected": "no"} for i in range(60)))
    answers(project, "base.jsonl", ["none"] * 60)
    answers(project, "ft.jsonl", ["no"] * 30 + ["none"] * 30)
    project.gate_test()
    gate = project.gate()
    assert check(gate, "weak_baseline")["status"] == "fail"
    project.gate_test(allow_weak_baseline="all of these must be refused")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "weak_baseline")["status"] == "warning"


def test_each_of_several_baselines_goes_by_the_name_that_the_gate_gives_it(project: Project) -> None:
    """Which is its role, too: nothing is called twice."""
    project.predictions("strong.jsonl", 60, wrong_at=range(45, 60))
    called = {"provider": "recorded", "path": "base.jsonl", "name": "mini"}
    project.gate_test(baseline=..., baselines={"one": "recorded:strong.jsonl", "two": called})
    gate = project.gate()
    names = {role: model["name"] for role, model in gate["baselines"].items()}
    assert (gate["baseline"]["name"], names) == ("one", {"one": "one", "two": "mini"})
    project.result.stdout.fnmatch_lines(["one        recorded:strong.jsonl *", "two        mini *"])
    project.result.stdout.fnmatch_lines(["gain over one: *"])
    notes = [item["message"].partition(": the")[0] for item in gate["checks"] if item["name"].endswith("_recording")]
    assert notes == ["baseline one", "baseline two (mini)", "candidate ft.jsonl"]
