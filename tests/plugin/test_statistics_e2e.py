"""How sure a gain is, from files to verdict: standards of evidence, groups, graded and set-level metrics, baselines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import pytest
from gate_project import LABELS, Project, check, label, refused, statuses, write_jsonl, wrong
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score, matthews_corrcoef, recall_score


def models(project: Project, n: int, *, base: Iterable[int], ft: Iterable[int]) -> None:
    """Test set and recordings of ``n`` examples, of which the models have these wrong."""
    project.test_set(n)
    project.predictions("base.jsonl", n, wrong_at=base)
    project.predictions("ft.jsonl", n, wrong_at=ft)


# --- standards of evidence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "base", "ft"), [(100, 20, 15), (60, 12, 9), (20, 4, 3)])
def test_085_against_080_reaches_a_margin_of_005(project: Project, n: int, base: int, ft: int) -> None:
    assert ft == 0.15 * n
    assert base == 0.2 * n
    models(project, n, base=range(base), ft=range(ft))
    project.gate_test(evidence="observed", min_test_examples=n)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.8, 0.85)
    assert check(gate, "margin")["message"] == "gain over the baseline +5.0 points, asked for +5 points"


@pytest.mark.parametrize("n", [100, 60])
def test_a_hair_more_is_asked_for_and_not_reached(project: Project, n: int) -> None:
    models(project, n, base=range(n // 5), ft=range(3 * n // 20))
    project.gate_test(evidence="observed", margin=0.0500000001)
    assert refused(project, "fail", called=True).startswith("gain over the baseline +5.0 points, asked for")


def test_the_same_gain_meets_one_standard_after_the_other(project: Project) -> None:
    """Three examples more: seen. Six: above zero for sure. Twenty: the margin for sure."""
    verdicts = {}
    for fixed in (3, 6, 20):
        models(project, 60, base=range(25), ft=range(25 - fixed))
        for evidence in ("observed", "significant", "proven"):
            project.gate_test(evidence=evidence)
            verdicts[fixed, evidence] = project.gate()["verdict"]
    assert verdicts == {
        (3, "observed"): "pass",
        (3, "significant"): "inconclusive",
        (3, "proven"): "inconclusive",
        (6, "observed"): "pass",
        (6, "significant"): "pass",
        (6, "proven"): "inconclusive",
        (20, "observed"): "pass",
        (20, "significant"): "pass",
        (20, "proven"): "pass",
    }


@pytest.mark.parametrize("evidence", ["observed", "significant", "proven"])
def test_no_standard_passes_a_gain_below_the_margin(project: Project, evidence: str) -> None:
    project.gate_test(evidence=evidence, margin=0.27)
    assert refused(project, "fail", called=True) == "gain over the baseline +26.7 points, asked for +27 points"


def test_inconclusive_says_how_many_examples_would_do(project: Project) -> None:
    models(project, 60, base=range(25), ft=range(22))
    project.gate_test()
    message = refused(project, "inconclusive", called=True)
    gate = json.loads((project.path / "report.json").read_text(encoding="utf-8"))["gates"][0]
    assert re.fullmatch(
        r"measured \+5\.0 points; 95 % sure of at least -\d+\.\d points: the real gain may be zero or a loss", message
    )
    needed = gate["examples_needed"]
    assert needed > 60
    assert check(gate, "evidence")["advice"] == (
        f"If the gain is really what was seen, about {needed} test examples in all ({needed - 60} more) would "
        "settle it, 4 times out of 5."
    )
    project.result.stdout.fnmatch_lines([f"*about {needed} test examples in all ({needed - 60} more)*"])


@pytest.mark.parametrize("margin", [0, 0.01, 0.1, 0.15, 0.16, 0.17, 0.18, 0.2, 0.26])
def test_a_margin_that_is_not_proven_is_said_to_be_just_then(project: Project, margin: float) -> None:
    project.gate_test(margin=margin)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    lower, message = gate["lower_bound"], check(gate, "evidence")["message"]
    sure = f"95 % sure of at least +{100 * lower:.1f} points"
    assert 0.15 < lower < 0.18
    if lower < margin:
        assert message == f"measured +26.7 points; {sure}; the margin of {100 * margin:g} points itself is not proven"
    else:
        assert message == sure
    assert gate["margin_proven"] is (lower >= margin)


def test_margin_0_asks_for_more_than_0(project: Project) -> None:
    models(project, 60, base=range(20), ft=range(40, 60))
    project.gate_test(margin=0, evidence="observed")
    assert refused(project, "fail", called=True) == "gain over the baseline +0.0 points, asked for more than 0"
    models(project, 60, base=range(20), ft=range(41, 60))
    assert project.gate()["verdict"] == "pass"


def test_more_confidence_asks_for_more(project: Project) -> None:
    models(project, 60, base=range(25), ft=range(20))
    lower = []
    for confidence, verdict in ((0.9, "pass"), (0.95, "pass"), (0.99, "inconclusive")):
        project.gate_test(confidence=confidence)
        gate = project.gate()
        assert gate["verdict"] == verdict
        assert f"{100 * confidence:g} % sure of at least" in check(gate, "evidence")["message"]
        lower.append(gate["lower_bound"])
    assert lower == sorted(lower, reverse=True)


def test_too_few_examples_for_any_result_are_told_before_a_call(project: Project) -> None:
    models(project, 3, base=range(3), ft=())
    project.gate_test(min_test_examples=3)
    assert refused(project, "inconclusive") == (
        "no result on 3 examples could meet this gate, not even one that fixes every one"
    )


# --- groups --------------------------------------------------------------------------------------------------


def grouped(project: Project, n: int, group_of: Callable[[int], Any]) -> None:
    rows = [
        {"id": f"t{i}", "input": f"customer question {i}", "expected": label(i), "group": group_of(i)} for i in range(n)
    ]
    write_jsonl(project.path / "test.jsonl", rows)


@pytest.mark.parametrize("groups", [1, 9])
def test_too_few_groups_are_inconclusive_before_any_call(project: Project, groups: int) -> None:
    grouped(project, 60, lambda i: f"customer {i % groups}")
    project.gate_test()
    said = f"{groups} group{'s' * (groups > 1)} of test examples, 10 needed to judge a gain"
    assert refused(project, "inconclusive") == said


def test_groups_of_which_a_few_hold_nearly_all_examples_are_inconclusive_before_any_call(project: Project) -> None:
    """Two long conversations and ten single questions say no more of the next conversation than two do."""
    grouped(project, 60, lambda i: f"customer {i % 2}" if i < 50 else None)
    project.gate_test()
    said = "12 groups of test examples, of such different sizes that they count as 3, 10 needed to judge a gain"
    assert refused(project, "inconclusive") == said


def test_observed_needs_no_groups(project: Project) -> None:
    grouped(project, 60, lambda i: i % 3)
    project.gate_test(evidence="observed")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert (gate["lower_bound"], gate["margin_proven"]) == (None, False)
    assert check(gate, "evidence")["message"] == (
        "how large the real gain over the baseline is cannot be told: too few groups: 3, 10 are needed"
    )


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_enough_groups_are_judged_as_groups(project: Project, metric: str) -> None:
    project.gate_test(metric=metric)
    alone = project.gate()
    grouped(project, 60, lambda i: f"customer {i % 12}")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert "group" in gate["method"]
    assert "group" not in alone["method"]
    assert gate["note"] == "12 groups"
    assert gate["gain"] == pytest.approx(alone["gain"])


def test_a_win_in_one_group_alone_is_no_win(project: Project) -> None:
    """All 18 fixed answers belong to 2 of 20 customers: there is no telling what the next customer gets."""
    grouped(project, 60, lambda i: f"customer {i // 10 if i >= 40 else 100 + i % 18}")
    project.gate_test()
    assert refused(project, "inconclusive", called=True).startswith("measured +26.7 points; 95 % sure of at least -")


def test_examples_of_no_group_stand_alone(project: Project) -> None:
    project.gate_test()
    alone = project.gate()
    grouped(project, 60, lambda i: None)
    gate = project.gate()
    assert (gate["method"], gate["lower_bound"]) == (alone["method"], alone["lower_bound"])


# --- metrics of one's own, and of the whole set --------------------------------------------------------------

OWN = """from itertools import zip_longest
from pytest_ftgate import metric

@metric(low=0, high=1, greater_is_better=True)
def overlap(expected, answer):
    return len(set(expected) & set(answer)) / len(set(expected) | set(answer))

@metric(low=0, high=8, greater_is_better=False)
def distance(expected, answer):
    return sum(a != b for a, b in zip_longest(expected, answer))

def pytest_ftgate_metrics(): return {"overlap": overlap, "distance": distance}
"""


def overlap(expected: str, answer: str) -> float:
    return len(set(expected) & set(answer)) / len(set(expected) | set(answer))


def distance(expected: str, answer: str) -> float:
    return sum(a != b for a, b in zip_longest(expected, answer))


def mean(score: Callable[[str, str], float], wrong_at: Iterable[int], n: int = 60) -> float:
    missed = set(wrong_at)
    return sum(score(label(i), wrong(i) if i in missed else label(i)) for i in range(n)) / n


def test_a_graded_metric_is_judged_by_its_own_unit(project: Project) -> None:
    project.file("conftest.py", OWN)
    project.gate_test(metric="overlap", margin=0.1)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["baseline"]["value"] == pytest.approx(mean(overlap, range(40, 60)))
    assert gate["candidate"]["value"] == pytest.approx(mean(overlap, (0, 1, 58, 59)))
    assert gate["gain"] == pytest.approx(gate["candidate"]["value"] - gate["baseline"]["value"])
    assert 0 < gate["lower_bound"] < gate["gain"] < gate["upper_bound"]
    assert "Gaffke" in gate["method"]
    assert (gate["wins"], gate["losses"]) == (18, 2)


def test_where_lower_is_better_the_sign_is_turned(project: Project) -> None:
    project.file("conftest.py", OWN)
    project.gate_test(metric="distance", margin=0.5)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["baseline"]["value"] == pytest.approx(mean(distance, range(40, 60)))
    assert gate["candidate"]["value"] == pytest.approx(mean(distance, (0, 1, 58, 59)))
    assert gate["gain"] == pytest.approx(gate["baseline"]["value"] - gate["candidate"]["value"])
    assert gate["gain"] > 0
    assert (gate["wins"], gate["losses"]) == (18, 2)
    assert check(gate, "margin")["message"] == f"gain over the baseline +{gate['gain']:.3f}, asked for +0.5"
    project.gate_test(metric="distance", margin=0.5, baseline="recorded:ft.jsonl", candidate="recorded:base.jsonl")
    assert refused(project, "fail", called=True).startswith("gain over the baseline -")


def test_a_margin_is_held_against_the_range(project: Project) -> None:
    project.file("conftest.py", OWN)
    project.gate_test(metric="distance", margin=7.9)
    assert refused(project, "fail", called=True).endswith("asked for +7.9")
    project.gate_test(metric="distance", margin=8)
    assert refused(project) == "test_gate.py:4: margin 8 (marker) is impossible: distance lies between 0 and 8"


SKLEARN: dict[str, Callable[[list[str], list[str]], float]] = {
    "f1_macro": lambda gold, said: f1_score(gold, said, labels=LABELS, average="macro", zero_division=0),
    "f1_micro": lambda gold, said: f1_score(gold, said, labels=LABELS, average="micro", zero_division=0),
    "recall_macro": lambda gold, said: recall_score(gold, said, labels=LABELS, average="macro", zero_division=0),
    "matthews_corrcoef": matthews_corrcoef,
    "cohen_kappa": cohen_kappa_score,
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("metric", [*SKLEARN, "balanced_accuracy"])
def test_the_value_is_scikit_learns(project: Project, metric: str) -> None:
    """Unbalanced errors, and answers that are no label at all."""
    said = {
        "base.jsonl": [
            "no idea" if i % 11 == 0 else wrong(i) if i % 3 == 0 and i > 20 else label(i) for i in range(60)
        ],
        "ft.jsonl": ["Refund!" if i == 7 else wrong(i) if i % 29 == 0 else label(i) for i in range(60)],
    }
    for name, answers in said.items():
        write_jsonl(project.path / name, [{"id": f"t{i}", "output": text} for i, text in enumerate(answers)])
    project.gate_test(metric=metric)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    gold = [label(i) for i in range(60)]
    score = SKLEARN.get(metric, balanced_accuracy_score)
    assert gate["baseline"]["value"] == pytest.approx(score(gold, said["base.jsonl"]), abs=1e-12)
    assert gate["candidate"]["value"] == pytest.approx(score(gold, said["ft.jsonl"]), abs=1e-12)
    assert gate["candidate"]["metrics"]["accuracy"] == sum(map(str.__eq__, gold, said["ft.jsonl"])) / 60
    assert (gate["baseline"]["n_unknown"], gate["candidate"]["n_unknown"]) == (6, 1)
    assert gate["lower_bound"] < gate["gain"] < gate["upper_bound"]


def test_a_set_level_metric_says_the_same_as_accuracy_where_they_are_the_same(project: Project) -> None:
    project.gate_test(metric="f1_micro")
    gate = project.gate()
    assert gate["gain"] == pytest.approx(16 / 60)
    assert 0.1 < gate["lower_bound"] < 0.2


# --- repeats -------------------------------------------------------------------------------------------------


def test_repeats_make_one_example_of_two_answers(project: Project) -> None:
    """Twice the answers, all the same, are no more evidence than once."""
    project.gate_test()
    once = project.gate()
    for name in ("base.jsonl", "ft.jsonl"):
        rows = [json.loads(line) for line in (project.path / name).read_text(encoding="utf-8").splitlines()]
        twice = [{**row, "repeat": repeat} for row in rows for repeat in (0, 1)]
        write_jsonl(project.path / name, twice)
    project.gate_test(repeats=2)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert (gate["n"], gate["candidate"]["n_expected"]) == (60, 120)
    assert gate["gain"] == pytest.approx(once["gain"])
    assert gate["lower_bound"] <= once["lower_bound"] + 0.01


# --- several baselines ---------------------------------------------------------------------------------------


def test_the_best_baseline_is_the_one_to_beat(project: Project) -> None:
    project.predictions("few.jsonl", 60, wrong_at=range(45, 60))
    project.gate_test(baseline=..., baselines={"prompt": "recorded:base.jsonl", "few-shot": "recorded:few.jsonl"})
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["baseline"] == gate["baselines"]["few-shot"]
    assert gate["gain"] == pytest.approx(11 / 60)
    assert [one["message"] for one in gate["checks"] if one["name"] == "margin"] == [
        "gain over baseline prompt +26.7 points, asked for +5 points",
        "gain over baseline few-shot +18.3 points, asked for +5 points",
    ]


@pytest.mark.parametrize(
    ("few", "verdict"), [(range(52, 60), "inconclusive"), (range(56, 60), "fail"), (range(53, 54), "fail")]
)
def test_one_baseline_that_is_not_beaten_is_enough(project: Project, few: range, verdict: str) -> None:
    project.predictions("few.jsonl", 60, wrong_at=few)
    project.gate_test(baseline=..., baselines={"prompt": "recorded:base.jsonl", "few-shot": "recorded:few.jsonl"})
    message = refused(project, verdict, called=True)
    if verdict == "fail":
        assert message.startswith("gain over baseline few-shot")


def test_where_lower_is_better_the_lowest_baseline_is_the_best(project: Project) -> None:
    project.file("conftest.py", OWN)
    project.predictions("few.jsonl", 60, wrong_at=range(45, 60))
    baselines = {"few-shot": "recorded:few.jsonl", "prompt": "recorded:base.jsonl"}
    project.gate_test(baseline=..., baselines=baselines, metric="distance", margin=0.5)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["baseline"] == gate["baselines"]["few-shot"]
    assert gate["baselines"]["few-shot"]["value"] < gate["baselines"]["prompt"]["value"]


# --- counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.1, 0.15, 0.1166, 0.1167])
@pytest.mark.parametrize("fixed", [5, 6, 7, 8, 9])
def test_a_gain_is_compared_as_a_fraction(project: Project, margin: float, fixed: int) -> None:
    models(project, 60, base=range(20), ft=range(20 - fixed))
    project.gate_test(margin=margin, evidence="observed")
    verdict = project.gate()["verdict"]
    assert verdict == ("pass" if Fraction(fixed, 60) >= Fraction(str(margin)) else "fail")


def test_every_number_of_the_block_is_in_the_report(project: Project) -> None:
    project.gate_test()
    gate = project.gate("-v")
    text = project.result.stdout.str()
    assert statuses(gate)["evidence"] == "pass"
    said = re.search(r"we can be 95 % sure that the real gain is at least \+([0-9.]+) points", text)
    assert said is not None
    assert float(said[1]) == round(100 * gate["lower_bound"], 1)
    assert f"at most +{100 * gate['upper_bound']:.1f} points" in text
    assert gate["method"] in text


def test_of_several_baselines_the_best_by_a_metric_of_which_less_is_better_is_bound(project: Project) -> None:
    project.file(
        "conftest.py",
        "from pytest_ftgate import metric\n"
        "@metric(low=0, high=1, greater_is_better=False)\n"
        "def miss(expected, answer): return 0.0 if answer == expected else 1.0\n"
        "def pytest_ftgate_metrics(): return {'miss': miss}\n",
    )
    project.predictions("worse.jsonl", 60, wrong_at=range(30, 60))
    project.gate_test(
        baseline=...,
        baselines={"prompt": "recorded:base.jsonl", "zero_shot": "recorded:worse.jsonl"},
        metric="miss",
        require=[{"metric": "miss", "max": 0.4, "of": "baseline"}],
    )
    gate = project.gate()
    assert gate["baseline"]["value"] == pytest.approx(20 / 60)
    assert check(gate, "require.baseline.miss")["observed"] == pytest.approx(20 / 60)
    assert gate["verdict"] == "pass"
