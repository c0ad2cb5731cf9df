"""``agreement``: the artifact that ships gives the answers of the one that was judged."""

import json

import pytest
from endpoint_project import EndpointProject
from gate_project import (
    Project,
    check,
    ends,
    label,
    passed,
    read_jsonl,
    recorded,
    stopped,
    write_jsonl,
    wrong,
)

N = 200
COPY = {"with": "baseline", "min": 0.98}


@pytest.fixture
def shipped(project: Project) -> Project:
    """Return a gate that asks for agreement alone, of 200 examples, with equal answers of both artifacts."""
    project.test_set(N)
    answers(project, "base.jsonl", {})
    answers(project, "ft.jsonl", {})
    project.keys.update(margin=..., agreement=COPY)
    return project


def answers(project: Project, name: str, outputs: dict) -> None:
    """Record answers of which every tenth is wrong, but for ``other`` ones by the number of their example."""
    usual = {i: wrong(i) if i % 10 == 0 else label(i) for i in range(N)}
    write_jsonl(
        project.path / name,
        ({"id": f"t{i}", "output": output} for i, output in {**usual, **outputs}.items()),
    )


def test_an_exact_copy_passes_without_a_margin(shipped: Project) -> None:
    gate = passed(shipped.judge())
    facts = gate["agreement"]
    assert (facts["baseline"], facts["min"], facts["share"], facts["n"]) == ("baseline", 0.98, 1, N)
    assert (facts["lower_bound"], facts["n_different"]) == (pytest.approx(0.9851, abs=1e-4), 0)
    assert (gate["gain"], gate["margin"], gate["max_drop"]) == (None, None, None)


@pytest.mark.parametrize(("role", "baseline"), [
    ("baseline", "baseline: 'recorded:base.jsonl'"),
    ("adapter", "baselines: {adapter: 'recorded:base.jsonl'}"),
])  # fmt: skip
def test_a_gate_of_the_file_needs_no_margin_either(
    shipped: Project, role: str, baseline: str
) -> None:
    keys = f"test_set: test.jsonl, training_set: train.jsonl, candidate: 'recorded:ft.jsonl', {baseline}"
    agreement = f"agreement: {{with: {role}, min: 0.98}}"
    shipped.gate_file(f"version: 1\ngates: {{served: {{{keys}, {agreement}}}}}\n")
    shipped.marked("'served'")
    gate = passed(shipped.gate())
    assert gate["agreement"]["share"] == 1


@pytest.mark.parametrize(
    ("changed", "verdict"), [(0, "pass"), (1, "inconclusive"), (4, "inconclusive"), (5, "fail")]
)
def test_the_lower_bound_must_reach_the_share(shipped: Project, changed: int, verdict: str) -> None:
    answers(shipped, "ft.jsonl", {i: wrong(i) for i in range(1, 1 + changed)})
    gate = shipped.judge()
    assert gate["verdict"] == verdict
    finding = check(gate, "agreement")
    assert (finding["status"], finding["required"]) == (verdict, 0.98)
    assert finding["message"].endswith(" % with the baseline, needs 98 %")
    assert "agreement" not in finding["message"]  # which is the name of the check
    assert gate["agreement"]["n_different"] == changed


def test_a_changed_answer_counts_also_where_it_is_right(shipped: Project) -> None:
    # ten wrong answers become right
    answers(shipped, "ft.jsonl", {i: label(i) for i in range(0, 100, 10)})
    gate = ends(shipped.judge(), "fail")
    assert gate["agreement"]["share"] == 0.95


def test_those_that_were_right_are_shown_first(shipped: Project) -> None:
    answers(shipped, "ft.jsonl", {0: "other", 10: label(10), 21: "other", 22: "other"})
    gate = shipped.judge()
    rows = [
        (flip["id"], flip["baseline"], flip["candidate"]) for flip in gate["agreement"]["different"]
    ]
    assert rows[:2] == [("t21", label(21), "other"), ("t22", label(22), "other")]
    assert rows[-1][0] == "t10"


def test_too_few_examples_are_told_before_any_call(shipped: Project) -> None:
    shipped.test_set(148)
    finding = stopped(shipped.judge(), "inconclusive")
    assert (finding["name"], finding["required"]) == ("min_fixed", 0.98)
    assert "149" in finding["cure"]


@pytest.mark.parametrize(("metric", "expected", "old", "new"), [
    ("accuracy", "refund", "Refund.", "refund"),
    ({"name": "within", "tolerance": 0}, 3, "3", "3.0"),
    ("exact_match", {"a": 1, "b": 2}, '{"a": 1, "b": 2}', '{"b":2,"a":1}'),
    ("field_f1", {"a": 1, "b": 2}, '{"a": 1}', '{ "a": 1 }'),
    ("field_f1", {"a": 1, "b": 2}, '{"a": 1}', '{"a": 1.0}'),
    ("field_f1", {"a": 1, "b": 2}, '{"a": 1}', '```json\n{"a": 1}\n```'),
    ({"name": "exact_match", "normalize": ["case"]}, "refund", "refund", "REFUND"),
    ("exact_match", "refund", "refund", "```\nrefund\n```"),
    ("tool_call_exact", [{"name": "f", "arguments": {"a": 1}}], '[{"name": "f", "arguments": {"a": 1}}]',
     '[{"name": "f", "arguments": {"a": 1.0}}]'),
])  # fmt: skip
def test_answers_are_the_same_as_the_metric_reads_them(
    shipped: Project, metric, expected, old, new
) -> None:
    shipped.test_set(
        N, expected=lambda i: expected if i else "other" if metric == "accuracy" else expected
    )
    for name, output in (("base.jsonl", old), ("ft.jsonl", new)):
        write_jsonl(shipped.path / name, ({"id": f"t{i}", "output": output} for i in range(N)))
    gate = shipped.judge(metric=metric, checks={"weak_baseline": "ignore"})
    assert check(gate, "agreement")["status"] == "pass"


def test_an_answer_without_the_part_that_is_read_is_another_answer(shipped: Project) -> None:
    for name, missing in (("base.jsonl", range(0)), ("ft.jsonl", range(20))):
        answers(shipped, name, {i: f"Answer: {label(i)}" for i in range(N) if i not in missing})
    gate = shipped.judge(metric={"name": "accuracy", "pattern": "Answer: (.*)"})
    assert (gate["agreement"]["share"], gate["verdict"]) == (0.9, "fail")


def row(number: int, output: str | None, **fields) -> dict:
    return {"id": f"t{number}", "output": output, **fields}


@pytest.mark.parametrize(("old", "new", "share"), [
    (row(1, ""), row(1, None), 0.995),
    (row(1, "ref", finish_reason="length"), row(1, "inv", finish_reason="length"), 0.995),
    (row(1, "ref", finish_reason="length"), row(1, "ref", finish_reason="length"), 1),
    (row(1, '{"a": true}'), row(1, '{"a": 1}'), 0.995),
])  # fmt: skip
def test_what_cannot_be_scored_is_compared_as_written(
    shipped: Project, old: dict, new: dict, share: float
) -> None:
    for name, changed in (("base.jsonl", old), ("ft.jsonl", new)):
        rows = read_jsonl(shipped.path / name)
        write_jsonl(
            shipped.path / name, [changed if row["id"] == changed["id"] else row for row in rows]
        )
    gate = shipped.judge(missing_answers="wrong")
    assert gate["agreement"]["share"] == share


def test_a_hypothesis_needs_no_margin_beside_an_agreement(shipped: Project) -> None:
    gate = passed(shipped.judge(hypothesis={"from": 0.9, "to": 0.9}))
    assert check(gate, "hypothesis")["status"] == "pass"


def test_attempts_are_counted_without_a_gain(shipped: Project) -> None:
    keys = {"agreement": {"with": "baseline", "min": 0.8}, "max_attempts": 1}
    passed(shipped.judge(**keys))
    (line,) = read_jsonl(shipped.path / "ftgate-attempts.jsonl")
    assert (line["gain"], line["verdict"]) == (None, "pass")
    answers(shipped, "ft.jsonl", {1: wrong(1)})
    finding = check(ends(shipped.judge(**keys), "fail"), "max_attempts")
    assert (finding["observed"], finding["required"]) == (2, 1)


def test_a_margin_over_the_prompt_and_a_copy_of_the_adapter(shipped: Project) -> None:
    answers(shipped, "prompt.jsonl", {i: wrong(i) for i in range(0, N, 3)})
    baselines = {"prompt": recorded("prompt.jsonl"), "adapter": recorded("base.jsonl")}
    keys = {
        "baseline": ...,
        "baselines": baselines,
        "agreement": {"with": "adapter", "min": 0.98},
        "margin": 0.05,
    }
    gate = passed(shipped.judge(**keys))
    assert gate["baseline"]["name"] == "prompt"
    assert list(gate["gains"]) == ["prompt"]
    assert check(gate, "agreement")["observed"] > 0.98
    # better than the adapter, and no copy
    answers(shipped, "ft.jsonl", {i: label(i) for i in range(N)})
    assert check(ends(shipped.judge(**keys), "fail"), "agreement")["status"] == "fail"


@pytest.mark.parametrize(("keys", "words"), [
    ({"agreement": {"with": "adapter", "min": 0.98}, "margin": 0.05}, "'adapter'"),
    ({"agreement": {"with": "baseline", "min": 98}}, "must be below 1"),
    ({"agreement": {"with": "baseline"}}, "min"),
    ({"margin": 0.05}, "remove margin"),
    ({"stage": "ready", "candidate": ..., "agreement": COPY}, "stage"),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(shipped: Project, keys, words) -> None:
    finding = stopped(shipped.judge(**keys))
    assert words in json.dumps(finding)


def test_the_same_file_as_both_artifacts_is_a_mistake(shipped: Project) -> None:
    failed = stopped(shipped.judge(candidate="recorded:base.jsonl"), "fail")
    assert failed["name"] == "identical_outputs"


@pytest.mark.parametrize("keys", [
    {"baseline": ..., "baselines": {"prompt": recorded("prompt.jsonl"),
                                    "adapter": {"model": recorded("base.jsonl"), "max_drop": 0.02}},
     "agreement": ..., "margin": 0.05},
])  # fmt: skip
def test_equal_recordings_are_what_a_champion_with_max_drop_asks_for(
    shipped: Project, keys: dict
) -> None:
    answers(shipped, "prompt.jsonl", {i: wrong(i) for i in range(0, N, 3)})
    passed(shipped.judge(**keys))


def test_equal_recordings_prove_no_gain(shipped: Project) -> None:
    failed = stopped(shipped.judge(agreement=..., margin=0.05), "fail", called=True)
    assert failed["name"] == "identical_outputs"


@pytest.mark.parametrize(("n_groups", "verdict"), [(200, "pass"), (40, "inconclusive")])
def test_groups_count_once(shipped: Project, n_groups: int, verdict: str) -> None:
    """Forty groups that agree cannot exclude that a fourteenth of all groups differs."""
    shipped.test_set(N, group=lambda i: f"g{i % n_groups}")
    gate = shipped.judge()
    assert gate["verdict"] == verdict
    if verdict != "pass":
        assert check(gate, "min_fixed")["observed"] == pytest.approx(0.05 ** (1 / 40), abs=1e-4)


def test_the_repeat_that_differs_is_shown(shipped: Project) -> None:
    for name in ("base.jsonl", "ft.jsonl"):
        rows = []
        for repeat in range(3):
            for i in range(N):
                differs = (i, repeat, name) == (7, 2, "ft.jsonl")
                rows.append(
                    {"id": f"t{i}", "output": "other" if differs else label(i), "repeat": repeat}
                )
        write_jsonl(shipped.path / name, rows)
    gate = shipped.judge(repeats=3)
    (flip,) = gate["agreement"]["different"]
    assert (flip["id"], flip["baseline"], flip["candidate"]) == ("t7", label(7), "other")
    assert gate["agreement"]["share"] == pytest.approx(1 - 1 / 600)


def test_limited_attempts_show_no_example_that_counts(shipped: Project) -> None:
    shipped.test_set(2 * N)
    for name, output in (("base.jsonl", "a"), ("ft.jsonl", "b")):
        rows = [{"id": f"t{i}", "output": output if i % 9 == 1 else label(i)} for i in range(2 * N)]
        write_jsonl(shipped.path / name, rows)
    gate = ends(shipped.judge(max_attempts=2), "fail")
    assert gate["agreement"]["n_different"] > 20
    assert gate["agreement"]["different"] == []


def test_an_agreement_asks_for_no_prompt_and_no_equal_terms(http: EndpointProject) -> None:
    """A merged model may be served under another name, and with its own system message."""
    http.keys.update(margin=..., agreement={"with": "baseline", "min": 0.5})
    long = http.model("merged", system="Answer with one label, as you have learned it. " * 3)
    gate = http.judge(baseline=http.model("ft:adapter", system=...), candidate=long)
    assert {"baseline_prompt", "models"}.isdisjoint(check["name"] for check in gate["checks"])
