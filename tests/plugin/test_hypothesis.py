"""A hypothesis in numbers: the baseline must agree with it, and what was reached is reported."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, check, statuses, write_jsonl

CLOSENESS = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'distance': pytest_ftgate.metric(\n"
    "    low=0, high=10, greater_is_better=False)(lambda expected, answer: 0.0 if expected == answer else 5.0)}\n"
)
# The project's baseline is right on 40 of 60 (53.3 % to 78.3 % at 95 %), its candidate on 56 of 60.


def believed(project: Project, verdict: str = "pass", /, **hypothesis: Any) -> dict[str, Any]:
    project.gate_test(hypothesis=hypothesis)
    gate = project.gate()
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


def impossible(project: Project, **hypothesis: Any) -> str:
    gate = believed(project, "error", **hypothesis)
    assert gate["models_called"] is False
    found = check(gate, "configuration")
    return f"{found['message']} {found['advice'] or ''}"


def test_a_baseline_that_is_where_it_was_said_to_be(project: Project) -> None:
    gate = believed(project, **{"from": 0.7, "to": 0.9})
    found = check(gate, "hypothesis_from")
    assert (found["status"], found["observed"], found["required"]) == ("pass", 40 / 60, 0.7)
    assert found["message"] == (
        "the hypothesis says that accuracy of the baseline is 70.0 %, measured 66.7 % (53.3 % to 78.3 %)"
    )
    assert gate["hypothesis"] == "accuracy goes from 0.7 to 0.9"
    project.result.stdout.fnmatch_lines(["hypothesis: accuracy goes from 0.7 to 0.9"])


def test_a_baseline_that_is_better_than_was_said_fails(project: Project) -> None:
    gate = believed(project, "fail", **{"from": 0.5, "to": 0.9})
    found = check(gate, "hypothesis_from")
    assert (found["status"], found["source"]) == ("fail", "marker")
    assert found["message"].endswith("(53.3 % to 78.3 %): the room for improvement is smaller than thought")
    assert statuses(gate)["margin"] == "pass"  # the gain alone would do
    project.result.assert_outcomes(failed=1)


def test_a_baseline_that_is_worse_than_was_said_fails(project: Project) -> None:
    found = check(believed(project, "fail", **{"from": 0.8, "to": 0.9}), "hypothesis_from")
    assert found["message"].endswith("the baseline is weaker than thought")
    assert "asked as it was" in found["advice"]


@pytest.mark.parametrize(("said", "verdict"), [(0.534, "pass"), (0.532, "fail"), (0.782, "pass"), (0.784, "fail")])
def test_the_ends_of_the_interval_decide(project: Project, said: float, verdict: str) -> None:
    believed(project, verdict, **{"from": said, "to": 0.9})


def test_a_higher_confidence_allows_for_more(project: Project) -> None:
    project.gate_test(hypothesis={"from": 0.52, "to": 0.9}, confidence=0.99)
    assert check(project.gate(), "hypothesis_from")["status"] == "pass"


@pytest.mark.parametrize(("to", "status"), [(0.93, "pass"), (56 / 60, "pass"), (0.94, "note"), (1, "note")])
def test_whether_it_came_true_is_reported_and_decides_nothing(project: Project, to: float, status: str) -> None:
    found = check(believed(project, **{"from": 0.7, "to": to}), "hypothesis_to")
    assert (found["status"], found["observed"], found["required"]) == (status, 56 / 60, to)
    assert found["message"].endswith(": not reached" if status == "note" else "93.3 %: reached")


def test_another_metric_than_the_deciding_one_is_shown(project: Project) -> None:
    gate = believed(project, **{"metric": "f1_macro", "from": 0.7, "to": 0.9, "because": "labels drift"})
    assert gate["metric"] == "accuracy"
    assert check(gate, "hypothesis_from")["observed"] == gate["baseline"]["metrics"]["f1_macro"]
    assert check(gate, "hypothesis_to")["observed"] == gate["candidate"]["metrics"]["f1_macro"]
    assert gate["hypothesis"] == "f1_macro goes from 0.7 to 0.9, because labels drift"


def test_a_set_level_metric_that_is_elsewhere_fails(project: Project) -> None:
    gate = believed(project, "fail", **{"metric": "f1_macro", "from": 0.4, "to": 0.9})
    assert "f1_macro of the baseline is 40.0 %" in check(gate, "hypothesis_from")["message"]


def test_repeated_answers(project: Project) -> None:
    for name, wrong_at in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1, 58, 59))):
        project.predictions(name, 60, wrong_at=wrong_at)
        rows = (project.path / name).read_text(encoding="utf-8")
        again = rows.replace('{"id"', '{"repeat": 1, "id"')
        project.file(name, rows + again)
    project.gate_test(hypothesis={"from": 0.7, "to": 0.9}, repeats=2)
    assert check(project.gate(), "hypothesis_from")["status"] == "pass"
    project.gate_test(hypothesis={"from": 0.4, "to": 0.9}, repeats=2)
    assert check(project.gate(), "hypothesis_from")["status"] == "fail"


def test_where_lower_is_better(project: Project) -> None:
    project.file("conftest.py", CLOSENESS)
    gate = believed(project, **{"metric": "distance", "from": 1.5, "to": 0.5})
    assert statuses(gate)["hypothesis_from"] == statuses(gate)["hypothesis_to"] == "pass"
    gate = believed(project, "fail", **{"metric": "distance", "from": 4, "to": 0.1})
    assert check(gate, "hypothesis_from")["message"].endswith("the room for improvement is smaller than thought")
    assert statuses(gate)["hypothesis_to"] == "note"
    assert "of distance lower is better Are from and to swapped?" in impossible(
        project, **{"metric": "distance", "from": 0.5, "to": 1.5}
    )


def test_groups_too_few_to_tell_are_inconclusive(project: Project) -> None:
    rows = [
        {
            "id": f"t{i}",
            "input": f"customer question {i}",
            "expected": ("refund", "invoice", "shipping")[i % 3],
            "group": f"g{i % 3}",
        }
        for i in range(60)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    project.gate_test(hypothesis={"from": 0.7, "to": 0.9}, evidence="observed")
    gate = project.gate()
    assert gate["verdict"] == "inconclusive"
    assert "cannot be told: too few groups: 3" in check(gate, "hypothesis_from")["message"]
    project.gate_test(hypothesis={"from": 40 / 60, "to": 0.9}, evidence="observed")
    assert project.gate()["verdict"] == "pass"


def test_the_best_of_several_baselines_is_meant(project: Project) -> None:
    project.predictions("weak.jsonl", 60, wrong_at=range(30, 60))
    keys = {"baseline": ..., "baselines": {"weak": "recorded:weak.jsonl", "good": "recorded:base.jsonl"}}
    project.gate_test(hypothesis={"from": 0.7, "to": 0.9}, **keys)
    assert "of baseline good is 70.0 %" in check(project.gate(), "hypothesis_from")["message"]


IMPOSSIBLE = [
    (
        {"from": 85, "to": 95},
        "hypothesis.from 85 (marker) is impossible: accuracy lies between 0 and 1 Did you mean 0.85?",
    ),
    (
        {"from": 0.85, "to": 95},
        "hypothesis.to 95 (marker) is impossible: accuracy lies between 0 and 1 Did you mean 0.95?",
    ),
    ({"from": -0.1, "to": 0.5}, "hypothesis.from -0.1 (marker) is impossible"),
    ({"from": 0.9, "to": 0.8}, "hypothesis: from 0.9 to 0.8 (marker) is no improvement: of accuracy higher is better"),
    ({"from": 0.9, "to": 0.9}, "hypothesis: from and to are both 0.9 (marker): nothing is expected to change"),
    ({"metric": "acuracy", "from": 0.8, "to": 0.9}, "there is no metric 'acuracy'"),
    (
        {"metric": "latency_p95_s", "from": 3, "to": 1},
        "is about a metric of quality, and latency_p95_s is none (marker)",
    ),
]


@pytest.mark.parametrize(("hypothesis", "message"), IMPOSSIBLE, ids=[message for _, message in IMPOSSIBLE])
def test_what_cannot_be_meant_is_an_error_before_any_call(
    project: Project, hypothesis: dict[str, Any], message: str
) -> None:
    assert message in impossible(project, **hypothesis)


def test_required_and_absent_fails_before_any_call(project: Project) -> None:
    project.gate_test(require_hypothesis=True)
    gate = project.gate()
    assert (gate["verdict"], gate["models_called"]) == ("fail", False)
    assert check(gate, "require_hypothesis")["message"] == (
        "the gate has no hypothesis, and require_hypothesis asks for one"
    )


@pytest.mark.parametrize("hypothesis", ["it gets better", {"from": 0.7, "to": 0.9}], ids=["sentence", "numbers"])
def test_required_and_there_passes(project: Project, hypothesis: object) -> None:
    project.gate_test(require_hypothesis=True, hypothesis=hypothesis)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "require_hypothesis")["status"] == "pass"


def test_a_sentence_is_printed_and_decides_nothing(project: Project) -> None:
    project.gate_test(hypothesis="accuracy rises from 0.1 to 0.99")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["hypothesis"] == "accuracy rises from 0.1 to 0.99"
    assert not {name for name in statuses(gate) if name.startswith("hypothesis")}


def test_not_required_is_the_default(project: Project) -> None:
    project.gate_test()
    gate = project.gate()
    assert (gate["verdict"], gate["hypothesis"]) == ("pass", None)
    assert "require_hypothesis" not in statuses(gate)
