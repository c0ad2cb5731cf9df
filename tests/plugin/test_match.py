"""Equal but cheaper, end to end: a small tuned model in place of a large prompted one, and all that is not that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import Project, check, label, refused, statuses, write_jsonl, wrong
from loopback import LoopbackServer, Reply

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

N = 300
# The large model answers 1,000 tokens of prompt with 20: 1000 * 1.8 + 20 * 7.2 = 1944 per million calls' dollar,
# $0.001944 a call. The tuned one needs the same tokens at a sixth of the price: $0.000324 a call.
LARGE = {"input_per_1m": 1.8, "output_per_1m": 7.2}
SMALL = {"input_per_1m": 0.3, "output_per_1m": 1.2}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 20}
RECORDED_USAGE = {"input_tokens": 1000, "output_tokens": 20}
WRONG_LARGE = range(270, 300)
# One answer better (299) and two worse (0, 1): with 300 examples worse by at most 1.71 points, at 95 %.
WRONG_SMALL = (0, 1, *range(270, 299))
# Three better and six worse: measured -1 point, but only sure of at most 3.03.
UNPROVEN = (*range(6), *range(270, 297))
MATCH: dict[str, Any] = {"margin": ..., "objective": "match", "max_drop": 0.02, "cheaper_by": 6}


@pytest.fixture
def http(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    """A large prompted model and a small tuned one behind one server."""
    project = EndpointProject(pytester, server)
    project.test_set(N)
    missed = {"gpt-large": set(WRONG_LARGE), "ft:mini": set(WRONG_SMALL)}

    def answer(body: dict[str, Any]) -> Reply:
        index = index_of(body)
        return Reply(wrong(index) if index in missed[body["model"]] else label(index), usage=USAGE)

    server.answer = answer
    large = project.model("gpt-large", system="Answer with one label.", price=LARGE)
    project.keys |= {"baseline": large, "candidate": project.model("ft:mini", price=SMALL), **MATCH}
    return project


def answers(
    project: Project,
    name: str,
    wrong_at: Iterable[int] = (),
    *,
    n: int = N,
    usage: dict[str, int] | None = RECORDED_USAGE,
    latency_s: float | None = None,
) -> None:
    missed = set(wrong_at)
    more: dict[str, Any] = {"usage": usage} if usage else {}
    more |= {} if latency_s is None else {"latency_s": latency_s}
    write_jsonl(
        project.path / name,
        ({"id": f"t{i}", "output": wrong(i) if i in missed else label(i), **more} for i in range(n)),
    )


def model(name: str, **options: Any) -> dict[str, Any]:
    return {"provider": "recorded", "path": name, **options}


@pytest.fixture
def recorded(project: Project) -> Project:
    """The same two models, recorded; the tuned one is twice as fast."""
    project.test_set(N)
    answers(project, "base.jsonl", WRONG_LARGE, latency_s=1.0)
    answers(project, "ft.jsonl", WRONG_SMALL, latency_s=0.5)
    project.keys |= {"baseline": model("base.jsonl", price=LARGE), "candidate": model("ft.jsonl", price=SMALL), **MATCH}
    return project


# --- the classic win -----------------------------------------------------------------------------------------


def test_a_small_tuned_model_replaces_a_large_prompted_one(http: EndpointProject) -> None:
    http.gate_test()
    gate = http.gate()
    http.result.assert_outcomes(passed=1)
    assert (gate["verdict"], gate["objective"], gate["max_drop"]) == ("pass", "match", 0.02)
    assert (gate["margin"], gate["margin_proven"], gate["evidence"]) == (None, None, "proven")
    drop = check(gate, "max_drop")
    assert (drop["status"], drop["required"], drop["source"]) == ("pass", -0.02, "marker")
    assert drop["message"] == (
        "measured -0.3 points against the baseline; may be worse by at most 2 points; 95 % sure of at most 1.7 points"
    )
    cheaper = check(gate, "cheaper_by")
    assert (cheaper["status"], cheaper["observed"], cheaper["required"]) == ("pass", 6.0, 6.0)
    assert cheaper["message"] == "6 times cheaper ($1.94 against $0.3240 for 1,000 calls), asked for 6"
    assert gate["baseline"]["cost_usd"] == pytest.approx(N * 0.001944)
    assert not {"margin", "evidence", "circular", "identical_outputs"} & statuses(gate).keys()
    http.result.stdout.fnmatch_lines(
        [
            "gain: -0.3 points accuracy (1 fixed, 2 broken of 300 examples)",
            "it may be worse by at most 2 points; we can be 95 % sure of at most 1.7 points",
        ]
    )


def test_five_point_nine_times_is_not_six(recorded: Project) -> None:
    dearer = {key: value * 6 / 5.9 for key, value in SMALL.items()}
    recorded.gate_test(candidate=model("ft.jsonl", price=dearer))
    assert refused(recorded, "fail", called=True) == (
        "5.9 times cheaper ($1.94 against $0.3295 for 1,000 calls), asked for 6"
    )


def test_a_drop_that_is_small_by_luck_is_inconclusive(recorded: Project) -> None:
    answers(recorded, "ft.jsonl", UNPROVEN)
    recorded.gate_test()
    assert refused(recorded, "inconclusive", called=True) == (
        "measured -1.0 points against the baseline; may be worse by at most 2 points; "
        "95 % sure of at most 3.0 points, which is not enough"
    )
    assert "2,059 test examples in all (1,759 more)" in recorded.result.stdout.str()


def test_a_drop_that_is_seen_fails(recorded: Project) -> None:
    answers(recorded, "ft.jsonl", range(263, 300))  # seven worse, none better: 2.3 points
    recorded.gate_test()
    assert refused(recorded, "fail", called=True).startswith("measured -2.3 points against the baseline; may be worse")


def test_the_allowed_drop_itself_is_no_failure(recorded: Project) -> None:
    """Six of 300 are two points exactly, which no float is."""
    answers(recorded, "ft.jsonl", range(264, 300))
    recorded.gate_test()
    assert refused(recorded, "inconclusive", called=True).startswith("measured -2.0 points")


def test_a_candidate_that_is_better_and_cheaper(recorded: Project) -> None:
    answers(recorded, "ft.jsonl")
    recorded.gate_test()
    gate = recorded.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "max_drop")["message"].endswith("95 % sure that it is better by at least 7.3 points")


# --- before any call -----------------------------------------------------------------------------------------


def test_too_few_examples_to_prove_it_are_seen_before_any_call(http: EndpointProject) -> None:
    http.test_set(148)
    http.gate_test()
    gate = http.gate()
    assert (gate["verdict"], gate["models_called"]) == ("inconclusive", False)
    reach = check(gate, "reach")
    assert reach["message"] == (
        "to be 95 % sure that a candidate which loses no answer is worse by at most 2 points, "
        "149 examples are needed, and there are 148"
    )
    assert reach["advice"].startswith("Label 1 more test example, or allow more with max_drop.")
    assert http.server.requests == []
    http.test_set(149)
    http.server.answer = lambda body: Reply(label(index_of(body)), usage=USAGE)
    assert http.gate()["verdict"] == "pass"


def test_an_unknown_price_costs_no_call(http: EndpointProject) -> None:
    http.gate_test(candidate=http.model("ft:mini"))
    gate = http.gate()
    assert (gate["verdict"], gate["models_called"], http.server.requests) == ("error", False, [])
    found = check(gate, "cheaper_by")
    assert found["message"].startswith(
        "how much cheaper a call is cannot be known: candidate ft:mini: no price in the gate"
    )
    assert found["advice"].startswith("Give the model a price: {input_per_1m, output_per_1m}")


def test_of_several_baselines_one_with_a_price_may_be_the_best(recorded: Project) -> None:
    baselines = {"large": model("base.jsonl", price=LARGE), "free": model("weak.jsonl")}
    answers(recorded, "weak.jsonl", range(100))
    recorded.gate_test(baseline=..., baselines=baselines)
    gate = recorded.gate()
    assert gate["verdict"] == "pass"
    assert [item["status"] for item in gate["checks"] if item["name"] == "max_drop"] == ["pass", "pass"]
    answers(recorded, "weak.jsonl", range(280, 300))  # now the one without a price is the best
    gate = recorded.gate()
    assert gate["verdict"] == "error"
    assert check(gate, "cheaper_by")["message"].endswith("baseline weak.jsonl: no price in the gate")


def test_a_candidate_must_match_every_baseline(recorded: Project) -> None:
    answers(recorded, "better.jsonl", range(290, 300))
    baselines = {"large": model("base.jsonl", price=LARGE), "better": model("better.jsonl", price=LARGE)}
    recorded.gate_test(baseline=..., baselines=baselines)
    gate = recorded.gate()
    assert sorted(item["status"] for item in gate["checks"] if item["name"] == "max_drop") == ["fail", "pass"]
    assert gate["verdict"] == "fail"


# --- what costs and times are not known ----------------------------------------------------------------------


def test_an_answer_without_usage_leaves_the_factor_unknown(recorded: Project) -> None:
    answers(recorded, "ft.jsonl", WRONG_SMALL, usage=None)
    recorded.gate_test()
    assert refused(recorded, called=True) == (
        "how much cheaper a call is cannot be known: candidate ft.jsonl: 300 of 300 answers have no usable token counts"
    )


def test_a_price_of_nothing_is_no_factor(recorded: Project) -> None:
    recorded.gate_test(candidate=model("ft.jsonl", price={"input_per_1m": 0, "output_per_1m": 0}))
    assert "one of candidate ft.jsonl costs nothing by its price" in refused(recorded)


def test_answers_that_cost_nothing_are_no_factor_either(recorded: Project) -> None:
    answers(recorded, "ft.jsonl", WRONG_SMALL, usage={"input_tokens": 1000, "output_tokens": 0})
    recorded.gate_test(candidate=model("ft.jsonl", price={"input_per_1m": 0, "output_per_1m": 1}))
    assert "one of candidate ft.jsonl costs nothing by its price" in refused(recorded, called=True)


def test_hosting_by_the_month_is_said_to_come_on_top(recorded: Project) -> None:
    recorded.gate_test(economics={"hosting_usd_per_month": 250})
    assert "; hosting, $250 a month, is not in it)" in check(recorded.gate(), "cheaper_by")["message"]


def test_faster_is_as_good_as_cheaper_and_latencies_of_recordings_are_warned_of(recorded: Project) -> None:
    recorded.gate_test(cheaper_by=..., faster_by=2, candidate="recorded:ft.jsonl", baseline="recorded:base.jsonl")
    gate = recorded.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "faster_by")["message"] == (
        "2 times faster (half of the answers within 1.0 s against 500 ms), asked for 2"
    )
    told = [item["message"] for item in gate["checks"] if item["name"] == "latency_sample"]
    assert [text.partition(" of ")[2].partition(" is ")[0] for text in told] == [
        "baseline base.jsonl",
        "candidate ft.jsonl",
    ]
    recorded.gate_test(cheaper_by=..., faster_by=2.001)
    assert refused(recorded, "fail", called=True).startswith("2 times faster")


def test_both_are_held(recorded: Project) -> None:
    recorded.gate_test(cheaper_by=5, faster_by=3)
    gate = recorded.gate()
    assert (check(gate, "cheaper_by")["status"], check(gate, "faster_by")["status"]) == ("pass", "fail")
    assert gate["verdict"] == "fail"


def test_without_latencies_how_much_faster_is_an_error(recorded: Project) -> None:
    answers(recorded, "ft.jsonl", WRONG_SMALL)
    recorded.gate_test(cheaper_by=..., faster_by=2)
    assert refused(recorded, called=True) == (
        "how much faster it is cannot be known: there is no latency of candidate ft.jsonl "
        "(300 of 300 answers have no latency)"
    )


def test_latencies_of_a_part_of_the_answers_are_none(recorded: Project) -> None:
    """One fast row of 300 makes no fast model."""
    answers(recorded, "ft.jsonl", WRONG_SMALL)
    first, *rest = (recorded.path / "ft.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{**json.loads(first), "latency_s": 0.01}, *map(json.loads, rest)]
    write_jsonl(recorded.path / "ft.jsonl", rows)
    recorded.gate_test(cheaper_by=..., faster_by=2)
    assert "candidate ft.jsonl (299 of 300 answers have no latency)" in refused(recorded, called=True)


@pytest.mark.parametrize("other", [{"concurrency": 32}, {"examples": 40}])
def test_unlike_samples_are_not_compared_and_nothing_is_asked(http: EndpointProject, other: dict[str, int]) -> None:
    http.gate_test(
        baseline=http.model("gpt-large", price=LARGE, system="Answer.", latency=other),
        candidate=http.model("ft:mini", price=SMALL, latency={}),
        faster_by=2,
    )
    assert refused(http) == (
        "latencies of unlike samples cannot be compared: baseline gpt-large: "
        f"{other.get('concurrency', 1)} call{'s' if 'concurrency' in other else ''} at a time, "
        f"{other.get('examples', 50)} examples; candidate ft:mini: 1 call at a time, 50 examples"
    )
    assert not http.server.requests
    http.gate_test(
        baseline=http.model("gpt-large", price=LARGE, system="Answer.", latency=other),
        candidate=http.model("ft:mini", price=SMALL, latency={}),
    )
    assert http.gate()["verdict"] == "pass"  # nothing rests on them


def test_a_batch_tells_no_latency_and_is_not_sent(http: EndpointProject) -> None:
    http.gate_test(candidate=http.model("ft:mini", price=SMALL, mode="batch"), cheaper_by=..., faster_by=2)
    gate = http.gate()
    assert (gate["verdict"], gate["models_called"], http.server.requests) == ("error", False, [])
    assert any("mode: batch tells no latency" in item["message"] for item in gate["checks"])


def test_a_latency_sample_is_what_counts(http: EndpointProject) -> None:
    """Of the sample's answers, which are asked for one at a time, and of no other."""
    sampled = {"latency": {"concurrency": 1, "examples": 5}}
    http.gate_test(
        baseline=http.model("gpt-large", price=LARGE, system="Answer.", **sampled),
        candidate=http.model("ft:mini", price=SMALL, **sampled),
        faster_by=1.0001,
    )
    gate = http.gate()
    assert "latency_sample" not in statuses(gate)
    assert {"baseline_latency", "candidate_latency", "faster_by"} <= statuses(gate).keys()
    ratio = gate["baseline"]["latency_p50_s"] / gate["candidate"]["latency_p50_s"]
    assert check(gate, "faster_by")["observed"] == pytest.approx(ratio)


# --- circular labels and identical answers -------------------------------------------------------------------


def test_labels_that_are_the_large_models_own_outputs_are_called_circular(recorded: Project) -> None:
    answers(recorded, "base.jsonl")
    answers(recorded, "ft.jsonl", [7])
    recorded.gate_test()
    gate = recorded.gate()
    circular = check(gate, "circular")
    assert (gate["verdict"], circular["status"], circular["observed"]) == ("pass", "warning", N)
    assert circular["message"].startswith(
        "baseline base.jsonl is right on all 300 examples: the labels look like its own outputs; this test is circular"
    )
    recorded.result.stdout.fnmatch_lines(["*warning circular: *", "*Have people check the labels of the test set*"])


def test_one_wrong_answer_of_the_baseline_is_not_circular(recorded: Project) -> None:
    answers(recorded, "base.jsonl", [5])
    answers(recorded, "ft.jsonl", [7])
    recorded.gate_test()
    assert "circular" not in statuses(recorded.gate())


def test_free_text_that_is_copied_is_circular_too(recorded: Project) -> None:
    answers(recorded, "base.jsonl")
    answers(recorded, "ft.jsonl", [7])
    recorded.gate_test(metric="exact_match")
    assert statuses(recorded.gate())["circular"] == "warning"


def test_two_models_that_are_right_everywhere_are_equal(recorded: Project) -> None:
    answers(recorded, "base.jsonl", latency_s=1.0)
    answers(recorded, "ft.jsonl", latency_s=0.5)  # else the two files, and so the two models, were one
    recorded.gate_test()
    gate = recorded.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "identical_outputs")["status"] == "warning"


def test_two_models_that_make_the_same_mistakes_are_one(recorded: Project) -> None:
    answers(recorded, "ft.jsonl", WRONG_LARGE)
    recorded.gate_test()
    assert refused(recorded, "fail", called=True) == (
        "the candidate gave the same 300 answers as the baseline, word for word, "
        "and so the same 30 mistakes: this is one model under two names"
    )


def test_one_model_under_two_names_is_never_called(http: EndpointProject) -> None:
    one = http.model("ft:mini", price=SMALL)
    http.gate_test(baseline={**one, "name": "large"}, candidate=one)
    gate = http.gate()
    assert (gate["verdict"], gate["models_called"]) == ("fail", False)
    assert check(gate, "same_model")["status"] == "fail"


# --- other metrics -------------------------------------------------------------------------------------------


def test_macro_f1_is_matched(recorded: Project) -> None:
    recorded.gate_test(metric="f1_macro", max_drop=0.05)
    gate = recorded.gate()
    assert gate["verdict"] == "pass"
    assert "reach" not in statuses(gate)  # how many examples do is not foreseen for a metric of the whole set


def test_macro_f1_is_matched_where_no_answer_differs(recorded: Project) -> None:
    answers(recorded, "base.jsonl", latency_s=1.0)
    answers(recorded, "ft.jsonl", latency_s=0.5)  # else the two files, and so the two models, were one
    recorded.gate_test(metric="f1_macro")
    gate = recorded.gate()
    assert (gate["verdict"], check(gate, "max_drop")["status"]) == ("pass", "pass")
    assert -0.02 < gate["lower_bound"] < 0


METRIC = """
from pytest_ftgate import metric


@metric(low=0, high=100, greater_is_better=False)
def mistakes(expected, answer):
    return 0.0 if answer == expected else 100.0


def pytest_ftgate_metrics():
    return {"mistakes": mistakes}
"""


@pytest.mark.parametrize(("missed", "verdict"), [(WRONG_SMALL, "pass"), (UNPROVEN, "inconclusive")])
def test_where_lower_is_better_worse_is_higher(recorded: Project, missed: tuple[int, ...], verdict: str) -> None:
    recorded.file("conftest.py", METRIC)
    answers(recorded, "ft.jsonl", missed)
    recorded.gate_test(metric="mistakes", max_drop=2.5)
    gate = recorded.gate()
    assert gate["verdict"] == verdict, gate["checks"]
    assert check(gate, "max_drop")["message"].startswith("measured -")
    assert "may be worse by at most 2.5;" in check(gate, "max_drop")["message"]


def test_grouped_examples_are_matched_by_groups(recorded: Project) -> None:
    rows = ({"id": f"t{i}", "input": f"q {i}", "expected": label(i), "group": f"g{i // 2}"} for i in range(N))
    write_jsonl(recorded.path / "test.jsonl", rows)
    recorded.gate_test(max_drop=0.05)
    gate = recorded.gate()
    assert gate["verdict"] == "pass"
    assert gate["note"] == "150 groups"
    assert "reach" not in statuses(gate)


# --- the gate file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0.05}, "margin 0.05 (marker) contradicts objective: match (marker): nothing has to be gained"),
        ({"max_drop": ...}, "objective: match (marker) needs max_drop: how much worse the candidate may be"),
        ({"cheaper_by": ...}, "objective: match (marker) needs cheaper_by or faster_by"),
        ({"evidence": "observed"}, "evidence observed (marker) contradicts objective: match (marker), which is always"),
        ({"max_drop": 2}, "max_drop 2 (marker) is impossible: accuracy lies between 0 and 1"),
        ({"max_drop": 0}, "must be above 0: that two models are exactly equal cannot be proven"),
        ({"cheaper_by": 1}, "must be above 1, got 1"),
    ],
    ids=str,
)
def test_keys_that_contradict_each_other(recorded: Project, changes: dict[str, Any], message: str) -> None:
    recorded.gate_test(**changes)
    assert message in refused(recorded)


def test_a_mark_may_not_turn_a_gate_that_must_win_into_one_that_must_match(recorded: Project) -> None:
    recorded.gate_file(
        "version: 1\ngates:\n  g:\n    test_set: test.jsonl\n    training_set: train.jsonl\n"
        "    baseline: recorded:base.jsonl\n    candidate: recorded:ft.jsonl\n    margin: 0.05\n"
    )
    recorded.file(
        "test_gate.py",
        "import pytest\n@pytest.mark.ftgate('g', objective='match', max_drop=0.5, cheaper_by=2)\n"
        "def test_gate(): pass\n",
    )
    assert "margin 0.05 (ftgate.yaml:8) contradicts objective: match (marker)" in refused(recorded)


def test_a_mark_that_allows_more_is_said_to_loosen_the_gate(recorded: Project) -> None:
    recorded.gate_file(
        "version: 1\ngates:\n  g:\n    test_set: test.jsonl\n    training_set: train.jsonl\n"
        "    baseline: {provider: recorded, path: base.jsonl, price: {input_per_1m: 1.8, output_per_1m: 7.2}}\n"
        "    candidate: {provider: recorded, path: ft.jsonl, price: {input_per_1m: 0.3, output_per_1m: 1.2}}\n"
        "    objective: match\n    max_drop: 0.02\n    cheaper_by: 6\n"
    )
    recorded.file(
        "test_gate.py", "import pytest\n@pytest.mark.ftgate('g', max_drop=0.1, cheaper_by=2)\ndef test_gate(): pass\n"
    )
    gate = recorded.gate()
    assert gate["loosened"] == ["max_drop: 0.02 -> 0.1", "cheaper_by: 6 -> 2"]
    assert check(gate, "max_drop")["source"] == "marker"


# --- a hypothesis --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "reached"), [(0.9, False), (0.89, True), (0.88, True), (0.95, False)])
def test_to_stay_equal_or_nearly_is_what_such_a_gate_expects(recorded: Project, to: float, reached: bool) -> None:
    """The baseline is at 90 %, the candidate at 89.7 %, and two points are allowed."""
    recorded.gate_test(hypothesis={"from": 0.9, "to": to})
    gate = recorded.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert check(gate, "hypothesis_from")["status"] == "pass"
    assert check(gate, "hypothesis_to")["status"] == ("pass" if reached else "note")


def test_a_hypothesis_that_nothing_changes_reads_like_one(recorded: Project) -> None:
    recorded.gate_test(hypothesis={"from": 0.9, "to": 0.9, "because": "the task is easy"})
    assert recorded.gate()["hypothesis"] == "accuracy stays at 0.9, because the task is easy"


def test_a_drop_beyond_what_the_gate_allows_contradicts_it(recorded: Project) -> None:
    recorded.gate_test(hypothesis={"from": 0.9, "to": 0.879})
    assert refused(recorded) == (
        "hypothesis: from 0.9 to 0.879 (marker) contradicts max_drop 0.02 (marker): "
        "it expects accuracy to be worse by 2.1 points, and the gate allows 2 points"
    )


def test_of_another_metric_the_drop_that_is_allowed_says_nothing(recorded: Project) -> None:
    recorded.gate_test(hypothesis={"metric": "f1_macro", "from": 0.9, "to": 0.8})
    assert recorded.gate()["verdict"] == "pass"


def test_a_baseline_that_is_better_than_was_said_is_harder_to_match(recorded: Project) -> None:
    recorded.gate_test(hypothesis={"from": 0.7, "to": 0.7})
    found = check(recorded.gate(), "hypothesis_from")
    assert found["status"] == "fail"
    assert found["message"].endswith("there is more to match than thought")


@pytest.mark.parametrize(("to", "verdict"), [(2.5, "pass"), (2.6, "error")])
def test_a_drop_where_lower_is_better(recorded: Project, to: float, verdict: str) -> None:
    recorded.file(
        "conftest.py",
        "import pytest_ftgate\n"
        "def pytest_ftgate_metrics(): return {'mistakes': pytest_ftgate.metric(\n"
        "    low=0, high=10, greater_is_better=False)(lambda expected, answer: 0.0 if expected == answer else 10.0)}\n",
    )
    recorded.gate_test(metric="mistakes", max_drop=1.5, hypothesis={"from": 1, "to": to})
    assert recorded.gate()["verdict"] == verdict
