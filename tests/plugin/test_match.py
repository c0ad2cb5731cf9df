"""Equal but cheaper: a small tuned model in place of a large prompted one, and all that is not that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject, index_of
from gate_project import Project, block, check, checks, ends, label, mentions, passed, statuses, stopped, wrong
from loopback import Reply

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
MATCH: dict[str, Any] = {"margin": ..., "max_drop": 0.02, "cheaper_by": 6}


def matched(project: Project) -> None:
    del project.keys["margin"]
    project.keys |= {key: value for key, value in MATCH.items() if value is not ...}
    project.test_set(N)


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    """Return a large prompted model and a small tuned one behind one server."""
    matched(http)
    missed = {"gpt-large": set(WRONG_LARGE), "ft:mini": set(WRONG_SMALL)}

    def answer(body: dict[str, Any]) -> Reply:
        index = index_of(body)
        return Reply(wrong(index) if index in missed[body["model"]] else label(index), usage=USAGE)

    http.server.answer = answer
    large = http.model("gpt-large", system="Answer with one label.", price=LARGE)
    http.keys |= {"baseline": large, "candidate": http.model("ft:mini", price=SMALL)}
    return http


def answers(project: Project, name: str, wrong_at: Iterable[int] = (), **fields: Any) -> None:
    fields = {"usage": RECORDED_USAGE, **fields}
    project.predictions(name, N, wrong_at, **{key: value for key, value in fields.items() if value is not ...})


def model(name: str, **options: Any) -> dict[str, Any]:
    return {"provider": "recorded", "path": name, **options}


@pytest.fixture
def recorded(project: Project) -> Project:
    """Return the same two models, recorded; the tuned one is twice as fast."""
    matched(project)
    answers(project, "base.jsonl", WRONG_LARGE, latency_s=1.0)
    answers(project, "ft.jsonl", WRONG_SMALL, latency_s=0.5)
    project.keys |= {"baseline": model("base.jsonl", price=LARGE), "candidate": model("ft.jsonl", price=SMALL)}
    return project


# --- the classic win -----------------------------------------------------------------------------------------


def test_a_small_tuned_model_replaces_a_large_prompted_one(http: EndpointProject) -> None:
    gate = http.judge()
    assert (gate["verdict"], gate["margin"], gate["max_drop"]) == ("pass", None, 0.02)
    assert (gate["margin"], gate["margin_proven"], gate["evidence"]) == (None, None, "proven")
    drop = check(gate, "max_drop")
    assert (drop["status"], drop["required"], drop["source"]) == ("pass", -0.02, "marker")
    assert drop["observed"] == gate["lower_bound"] == pytest.approx(-0.017, abs=1e-3)
    mentions(drop, "-0.3", "95 %", "1.7")
    cheaper = check(gate, "cheaper_by")
    assert (cheaper["status"], cheaper["observed"], cheaper["required"]) == ("pass", 6.0, 6.0)
    mentions(cheaper, "$1.94", "$0.324", "1,000")
    assert gate["baseline"]["cost_usd"] == pytest.approx(N * 0.001944)
    assert not {"margin", "evidence", "circular", "identical_outputs"} & statuses(gate).keys()
    assert [line for line in block(gate) if "-0.3" in line and "1 fixed" in line]


def test_five_point_nine_times_is_not_six(recorded: Project) -> None:
    dearer = {key: value * 6 / 5.9 for key, value in SMALL.items()}
    found = stopped(recorded.judge(candidate=model("ft.jsonl", price=dearer)), "fail", called=True)
    assert (found["name"], found["observed"], found["required"]) == ("cheaper_by", pytest.approx(5.9), 6)
    mentions(found, "5.9", "$1.94")
    dear = recorded.judge(candidate=model("ft.jsonl", price=LARGE))
    assert (dear["verdict"], "rival" in statuses(dear)) == ("fail", False)  # the baseline is no rival of itself


@pytest.mark.parametrize(
    ("wrong_at", "verdict", "gain"),
    [
        ((), "pass", 30),  # better, and cheaper
        (UNPROVEN, "inconclusive", -3),  # small by luck
        (range(264, 300), "inconclusive", -6),  # two points exactly, which no float is
        (range(263, 300), "fail", -7),
    ],
)
def test_how_large_the_drop_may_be(recorded: Project, wrong_at: Any, verdict: str, gain: int) -> None:
    answers(recorded, "ft.jsonl", wrong_at)
    gate = recorded.judge()
    found = check(gate, "max_drop")
    assert (gate["verdict"], found["status"], round(N * gate["gain"])) == (verdict, verdict, gain)
    assert found["observed"] == (gate["gain"] if verdict == "fail" else gate["lower_bound"])
    assert (found["advice"] is None) is (verdict == "pass")
    mentions(found, f"{100 * gain / N:+.1f}", f"{abs(100 * found['observed']):.1f}")
    if wrong_at == UNPROVEN:
        mentions(found, f"{gate['examples_needed']:,}", f"{gate['examples_needed'] - N:,}")


# --- before any call -----------------------------------------------------------------------------------------


def test_too_few_examples_to_prove_it_are_seen_before_any_call(http: EndpointProject) -> None:
    http.test_set(148)
    found = stopped(http.judge(), "inconclusive")
    assert (found["name"], found["observed"], found["required"]) == ("reach", 148, 149)
    mentions(found, "95 %", "148", "149", "max_drop")
    assert http.server.requests == []
    http.test_set(149)
    http.server.answer = lambda body: Reply(label(index_of(body)), usage=USAGE)
    gate = http.judge()
    assert (gate["verdict"], check(gate, "reach")["required"]) == ("pass", 149)


# The chance of n examples without a loss is at most (1 - max_drop) ** n where the real drop is larger:
# 0.95 ** 58 = 0.0510, 0.95 ** 59 = 0.0485; 0.97 ** 99 = 0.0490; 0.98 ** 149 = 0.0493; 0.99 ** 299 = 0.0495.
@pytest.mark.parametrize(
    ("max_drop", "confidence", "needed"), [(0.05, 0.95, 59), (0.03, 0.95, 99), (0.01, 0.95, 299), (0.05, 0.9, 45)]
)
def test_what_is_foreseen_is_what_decides_in_the_end(
    recorded: Project, max_drop: float, confidence: float, needed: int
) -> None:
    answers(recorded, "base.jsonl", range(4), latency_s=1.0)
    answers(recorded, "ft.jsonl", range(4))  # without a difference
    for n, verdict in ((needed, "pass"), (needed - 1, "inconclusive")):
        recorded.test_set(n)
        gate = recorded.judge(max_drop=max_drop, confidence=confidence, min_test_examples=1)
        assert (gate["verdict"], gate["models_called"]) == (verdict, n == needed), gate["checks"]
        assert (check(gate, "reach")["observed"], check(gate, "reach")["required"]) == (n, needed)


def test_of_repeats_as_many_are_needed(recorded: Project) -> None:
    recorded.test_set(148)
    assert stopped(recorded.judge(repeats=3), "inconclusive")["required"] == 149


def test_a_drop_too_small_to_be_proven_is_said(recorded: Project) -> None:
    found = stopped(recorded.judge(max_drop=1e-9), "inconclusive")
    assert (found["name"], found["required"]) == ("reach", None)
    mentions(found, "100,000")


def test_an_unknown_price_costs_no_call(http: EndpointProject) -> None:
    found = stopped(http.judge(candidate=http.model("ft:mini")))
    assert (found["name"], http.server.requests) == ("cheaper_by", [])
    mentions(found, "ft:mini", "{input_per_1m, output_per_1m}")


def test_of_several_baselines_one_with_a_price_may_be_the_best(recorded: Project) -> None:
    baselines = {"large": model("base.jsonl", price=LARGE), "free": model("weak.jsonl")}
    answers(recorded, "weak.jsonl", range(100))
    gate = passed(recorded.judge(baseline=..., baselines=baselines))
    assert [one["status"] for one in checks(gate, "max_drop")] == ["pass", "pass"]
    answers(recorded, "weak.jsonl", range(280, 300))  # now the one without a price is the best
    gate = ends(recorded.judge(baseline=..., baselines=baselines), "error")
    mentions(check(gate, "cheaper_by"), "free")


def test_a_candidate_must_match_every_baseline(recorded: Project) -> None:
    answers(recorded, "better.jsonl", range(290, 300))
    baselines = {"large": model("base.jsonl", price=LARGE), "better": model("better.jsonl", price=LARGE)}
    gate = recorded.judge(baseline=..., baselines=baselines)
    assert sorted(one["status"] for one in checks(gate, "max_drop")) == ["fail", "pass"]
    assert gate["verdict"] == "fail"


# --- what costs and times are not known ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "price", "called", "parts"),
    [
        (None, SMALL, True, ["ft.jsonl", "300 of 300"]),
        (RECORDED_USAGE, {"input_per_1m": 0, "output_per_1m": 0}, False, ["ft.jsonl"]),
        ({"input_tokens": 1000, "output_tokens": 0}, {"input_per_1m": 0, "output_per_1m": 1}, True, ["ft.jsonl"]),
    ],
    ids=["no usage", "a price of nothing", "answers that cost nothing"],
)
def test_where_costs_are_no_numbers_there_is_no_factor(
    recorded: Project, usage: Any, price: Any, called: bool, parts: list[str]
) -> None:
    answers(recorded, "ft.jsonl", WRONG_SMALL, usage=usage or ...)
    found = stopped(recorded.judge(candidate=model("ft.jsonl", price=price)), called=called)
    assert (found["name"], found["observed"], found["required"]) == ("cheaper_by", None, 6)
    mentions(found, *parts)


def test_hosting_by_the_month_is_said_to_come_on_top(recorded: Project) -> None:
    mentions(check(recorded.judge(economics={"hosting_usd_per_month": 250}), "cheaper_by"), "$250")


def test_faster_is_as_good_as_cheaper_and_latencies_of_recordings_are_warned_of(recorded: Project) -> None:
    gate = recorded.judge(cheaper_by=..., faster_by=2, candidate="recorded:ft.jsonl", baseline="recorded:base.jsonl")
    found = check(gate, "faster_by")
    assert (gate["verdict"], found["status"], found["observed"]) == ("pass", "pass", 2)
    mentions(found, "1.0 s", "500 ms")
    samples = checks(gate, "latency_sample")
    mentions(samples[0], "base.jsonl")
    mentions(samples[1], "ft.jsonl")
    assert stopped(recorded.judge(cheaper_by=..., faster_by=2.001), "fail", called=True)["name"] == "faster_by"
    gate = recorded.judge(cheaper_by=5, faster_by=3)  # both are held
    assert (gate["verdict"], statuses(gate)["cheaper_by"], statuses(gate)["faster_by"]) == ("fail", "pass", "fail")


@pytest.mark.parametrize("known", [0, 1])
def test_without_latencies_of_all_answers_how_much_faster_is_an_error(recorded: Project, known: int) -> None:
    """One fast row of 300 makes no fast model."""
    rows = {"latency_s": lambda i: 0.01 if i < known else None}
    answers(recorded, "ft.jsonl", WRONG_SMALL, **rows)
    found = stopped(recorded.judge(cheaper_by=..., faster_by=2), called=True)
    assert (found["name"], found["observed"]) == ("faster_by", None)
    mentions(found, "ft.jsonl", f"{N - known} of 300")


def test_unlike_samples_are_not_compared_and_nothing_is_asked(http: EndpointProject) -> None:
    models = {
        "baseline": http.model("gpt-large", price=LARGE, system="Answer.", latency_sample=40),
        "candidate": http.model("ft:mini", price=SMALL, latency_sample=50),
    }
    found = stopped(http.judge(**models, faster_by=2))
    assert (found["name"], http.server.requests) == ("faster_by", [])
    mentions(found, "gpt-large", "ft:mini", "40", "50")
    assert http.judge(**models)["verdict"] == "pass"  # nothing rests on them


def test_a_latency_sample_is_what_counts(http: EndpointProject) -> None:
    """Of the sample's answers, which are asked for one at a time, and of no other."""
    sampled = {"latency_sample": 5}
    gate = http.judge(
        baseline=http.model("gpt-large", price=LARGE, system="Answer.", **sampled),
        candidate=http.model("ft:mini", price=SMALL, **sampled),
        faster_by=1.0001,
    )
    assert "latency_sample" not in statuses(gate)
    assert {"baseline_latency", "candidate_latency", "faster_by"} <= statuses(gate).keys()
    ratio = gate["baseline"]["latency_p50_s"] / gate["candidate"]["latency_p50_s"]
    assert check(gate, "faster_by")["observed"] == pytest.approx(ratio)


# --- circular labels and identical answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "n", "metric", "circular"),
    [
        ((), N, "accuracy", True),
        ((), N, "exact_match", True),
        ((5,), N, "accuracy", False),
        ((), 50, "accuracy", True),
        ((), 49, "accuracy", False),
    ],
)
def test_labels_that_are_the_large_models_own_outputs_are_called_circular(
    recorded: Project, missed: Any, n: int, metric: str, circular: bool
) -> None:
    recorded.test_set(n)
    answers(recorded, "base.jsonl", missed)
    answers(recorded, "ft.jsonl", [7])
    gate = passed(recorded.judge(metric=metric, max_drop=0.2, min_test_examples=9))
    assert [(one["status"], one["observed"]) for one in checks(gate, "circular")] == [("warning", n)] * circular


@pytest.mark.parametrize(("mistakes", "status"), [(0, "warning"), (4, "warning"), (5, "fail"), (30, "fail")])
def test_how_many_mistakes_two_models_may_share(recorded: Project, mistakes: int, status: str) -> None:
    answers(recorded, "base.jsonl", range(mistakes), latency_s=1.0)
    answers(recorded, "ft.jsonl", range(mistakes), latency_s=0.5)  # else the two files, and so the models, were one
    gate = recorded.judge()
    found = check(gate, "identical_outputs")
    assert (gate["verdict"], found["status"], found["observed"]) == ("fail" if mistakes > 4 else "pass", status, N)


# --- other metrics -------------------------------------------------------------------------------------------


def test_macro_f1_is_matched(recorded: Project) -> None:
    gate = passed(recorded.judge(metric="f1_macro", max_drop=0.05))
    assert "reach" not in statuses(gate)  # how many examples do is not foreseen for a metric of the whole set
    answers(recorded, "base.jsonl", latency_s=1.0)
    answers(recorded, "ft.jsonl", latency_s=0.5)
    gate = recorded.judge(metric="f1_macro")  # where no answer differs
    assert (gate["verdict"], check(gate, "max_drop")["status"]) == ("pass", "pass")
    assert -0.02 < gate["lower_bound"] < 0


METRIC = """
from pytest_ftgate import metric

@metric(low=0, high=100, greater_is_better=False)
def mistakes(expected, answer): return 0.0 if answer == expected else 100.0

def pytest_ftgate_metrics(): return {"mistakes": mistakes}
"""


@pytest.mark.parametrize(("missed", "verdict"), [(WRONG_SMALL, "pass"), (UNPROVEN, "inconclusive")])
def test_where_lower_is_better_worse_is_higher(recorded: Project, missed: tuple[int, ...], verdict: str) -> None:
    recorded.file("conftest.py", METRIC)
    answers(recorded, "ft.jsonl", missed)
    gate = recorded.judge(metric="mistakes", max_drop=2.5)
    assert gate["verdict"] == verdict, gate["checks"]
    assert (check(gate, "max_drop")["required"], gate["gain"] < 0) == (-2.5, True)
    recorded.test_set(118)  # 2.5 of 100 are as many examples as 2.5 points
    assert stopped(recorded.judge(metric="mistakes", max_drop=2.5), "inconclusive")["required"] == 119


def test_grouped_examples_are_matched_by_groups(recorded: Project) -> None:
    recorded.test_set(N, group=lambda i: f"g{i // 2}")
    gate = recorded.judge(max_drop=0.05)
    assert (gate["verdict"], gate["note"]) == ("pass", "150 groups")
    assert "reach" not in statuses(gate)


# --- the gate file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"margin": 0.05}, ["margin 0.05", "max_drop 0.02", "marker"]),
        ({"max_drop": ...}, ["margin", "max_drop"]),
        ({"cheaper_by": ...}, ["max_drop 0.02", "marker", "cheaper_by", "faster_by"]),
        ({"evidence": "observed"}, ["evidence observed", "max_drop 0.02", "marker"]),
        ({"max_drop": 2}, ["max_drop 2", "marker", "accuracy", "0 and 1"]),
        ({"max_drop": 0}, ["max_drop", "above 0"]),
        ({"cheaper_by": 1}, ["cheaper_by", "above 1"]),
    ],
    ids=str,
)
def test_keys_that_contradict_each_other(recorded: Project, changes: dict[str, Any], parts: list[str]) -> None:
    mentions(stopped(recorded.judge(**changes)), *parts)


def in_file(project: Project, **keys: Any) -> None:
    written = {key: value for key, value in {**project.keys, **keys}.items() if value is not ...}
    project.gate_file(yaml.safe_dump({"version": 1, "gates": {"g": written}}, sort_keys=False))


def test_a_mark_may_not_turn_a_gate_that_must_win_into_one_that_must_match(project: Project) -> None:
    in_file(project)
    found = stopped(project.judge("g", max_drop=0.5, cheaper_by=2))
    mentions(found, "margin 0.05", "ftgate.yaml:8", "max_drop 0.5", "marker")


def test_a_mark_that_allows_more_is_said_to_loosen_the_gate(recorded: Project) -> None:
    in_file(recorded)
    gate = recorded.judge("g", max_drop=0.1, cheaper_by=2)
    assert gate["loosened"] == ["max_drop: 0.02 -> 0.1", "cheaper_by: 6 -> 2"]
    assert check(gate, "max_drop")["source"] == "marker"


# --- a hypothesis --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "reached"), [(0.9, False), (0.89, True), (0.88, True), (0.95, False)])
def test_to_stay_equal_or_nearly_is_what_such_a_gate_expects(recorded: Project, to: float, reached: bool) -> None:
    """The baseline is at 90 %, the candidate at 89.7 %, and two points are allowed."""
    gate = recorded.judge(hypothesis={"from": 0.9, "to": to, "because": "the task is easy"})
    assert (gate["verdict"], statuses(gate)["hypothesis"]) == ("pass", "pass" if reached else "warning")
    if to == 0.9:
        assert gate["hypothesis"] == "accuracy stays at 0.9, because the task is easy"


def test_a_drop_beyond_what_the_gate_allows_contradicts_it(recorded: Project) -> None:
    found = stopped(recorded.judge(hypothesis={"from": 0.9, "to": 0.879}))
    mentions(found, "hypothesis", "0.879", "max_drop 0.02", "marker", "2.1")


@pytest.mark.parametrize(("to", "verdict"), [(25, "pass"), (26, "error")])
def test_a_drop_where_lower_is_better(recorded: Project, to: float, verdict: str) -> None:
    recorded.file("conftest.py", METRIC)
    gate = recorded.judge(metric="mistakes", max_drop=15, hypothesis={"from": 10, "to": to})
    assert gate["verdict"] == verdict
