"""``candidate_half``: what the last doubling of the training set brought, and whether another one will do."""

import time
from typing import Any

import pytest
from gate_project import (
    LARGE,
    USAGE,
    Project,
    because,
    check,
    checks,
    ends,
    label,
    mentions,
    passed,
    read_jsonl,
    recorded,
    stopped,
    write_jsonl,
)

from pytest_ftgate import GateResult, judge

N = 200
FAILS = 64
"""Wrong answers of a candidate with 68 %, where 75 % are required."""
ECONOMICS = {"data_cost_usd": 600, "calls_per_month": 1000, "training_cost_usd": 40}


@pytest.fixture
def project(project: Project) -> Project:
    """Return a gate whose baseline has 70 %, and a half of the training set with its model."""
    project.test_set(N)
    project.predictions("base.jsonl", N, wrong_at=range(60))
    write_jsonl(project.path / "half.jsonl", read_jsonl(project.path / "train.jsonl")[:100])
    project.keys["candidate_half"] = {
        "model": "recorded:half_answers.jsonl",
        "training_set": "half.jsonl",
    }
    models(project, FAILS, 100)
    return project


def models(project: Project, wrong: int, wrong_half: int) -> None:
    """Record the answers of the candidate and of the half, with so many wrong ones."""
    project.predictions("ft.jsonl", N, wrong_at=range(wrong))
    project.predictions("half_answers.jsonl", N, wrong_at=range(wrong_half))


@pytest.mark.parametrize(
    ("wrong", "wrong_half", "answer", "missing"),
    [
        (FAILS, 104, "yes", 0.07),  # a lower bound of 15.5 points
        (FAILS, 90, "cannot tell", 0.07),
        (FAILS, 70, "no", 0.07),  # an upper bound of 5.9 points
        (FAILS, 50, "no", 0.07),
        (60, 60, "no", 0.05),
        (40, 60, None, None),  # the gate passes
    ],
)
def test_the_last_doubling_answers_whether_another_one_will_do(
    project: Project, wrong: int, wrong_half: int, answer: str | None, missing: float | None
) -> None:
    models(project, wrong, wrong_half)
    gate = ends(project.judge(), "pass" if answer is None else "fail")
    facts = gate["more_data"]
    assert facts["gain"] == pytest.approx((wrong_half - wrong) / N)
    assert facts["lower_bound"] < facts["gain"] < facts["upper_bound"]
    assert (facts["answer"], facts["missing"]) == (answer, missing)
    assert (facts["half_rows"], facts["rows"]) == (100, 200)
    assert check(gate, "more_data")["status"] == "note"
    without = project.judge(candidate_half=...)
    assert (without["verdict"], without["more_data"]) == (gate["verdict"], None)


SENTENCE = "the last doubling (100 to 200 rows) brought +10.0 points (95 % bounds "


def test_every_report_says_what_the_last_doubling_brought(project: Project) -> None:
    models(project, 40, 60)
    project.gate_test()
    formats = {"html": "report.html", "markdown": "report.md", "card": "card.md"}
    options = [f"--ftgate-report={name}:{path}" for name, path in formats.items()]
    result = project.run(*options)
    assert SENTENCE in " ".join(result.stdout.str().split())
    for path in formats.values():
        text = (project.path / path).read_text(encoding="utf-8")
        assert SENTENCE in text.replace("&#40;", "(")
    page = (project.path / "report.html").read_text(encoding="utf-8")
    assert (page.count('class="plot"'), page.count("nothing is missing")) == (2, 2)


def test_the_cure_says_what_was_brought_what_is_missing_and_what_another_doubling_costs(
    project: Project,
) -> None:
    models(project, FAILS, 104)
    gate = project.judge(economics=ECONOMICS)
    # 600 dollars for at most 20 points
    parts = ("+20.0 points", "7.0 points", "200 rows", "$600", "$30.00 a point")
    mentions(check(gate, "margin"), *parts)
    assert "half of" not in check(gate, "margin")["cure"]


def test_a_missed_threshold_is_told_what_the_half_showed(project: Project) -> None:
    models(project, 40, 60)
    gate = ends(project.judge(thresholds={"accuracy": {"min": 0.9}}), "fail")
    mentions(check(gate, "thresholds.accuracy"), "100 to 200 rows", "+10.0 points")
    assert "candidate_half" not in check(gate, "thresholds.accuracy")["cure"]


def test_keep_the_baseline_is_said_only_where_the_margin_is_out_of_reach(project: Project) -> None:
    answers = range(20, 20 + FAILS)  # 20 fixed and 24 broken: an upper bound of 3.7 points
    project.predictions("ft.jsonl", N, wrong_at=answers)
    project.predictions("half_answers.jsonl", N, wrong_at=answers)
    for margin, is_said in ((0.03, False), (0.1, True)):
        gate = project.judge(margin=margin)
        assert gate["more_data"]["answer"] == "no"
        assert ("eep the baseline" in check(gate, "margin")["cure"]) == is_said


def test_a_drop_must_be_made_up(project: Project) -> None:
    price = {"price": LARGE, "name": "m"}
    keys: dict[str, Any] = {
        "margin": ...,
        "max_drop": 0.02,
        "faster_by": 2,
        "baseline": recorded("base.jsonl", **price),
    }
    models(project, 80, 120)
    gate = ends(project.judge(**keys), "error")  # no latencies
    assert (gate["more_data"]["missing"], gate["more_data"]["answer"]) == (0.08, "cannot tell")


def test_of_several_baselines_the_one_that_asks_for_most_counts(project: Project) -> None:
    project.predictions("live.jsonl", N, wrong_at=range(50))
    project.keys.pop("baseline")
    baselines = {"prompt": "recorded:base.jsonl", "live": "recorded:live.jsonl"}
    assert project.judge(baselines=baselines)["more_data"]["missing"] == 0.12


def test_the_half_may_be_given_as_lists(project: Project) -> None:
    rows = read_jsonl(project.path / "test.jsonl")
    training = read_jsonl(project.path / "train.jsonl")
    right = [row["expected"] for row in rows]

    def answers(n_wrong: int) -> list[str]:
        return [label(i + 1) if i < n_wrong else right[i] for i in range(N)]

    result = judge(
        test_set=rows,
        training_set=training,
        baseline=answers(60),
        candidate=answers(FAILS),
        candidate_half={"model": answers(104), "training_set": training[:100]},
        margin=0.05,
    )
    assert isinstance(result, GateResult)
    assert result.more_data is not None
    assert result.more_data.answer == "yes"


# --- it decides nothing ---------------------------------------------------------------------------


def test_missing_answers_of_the_half_are_named_and_decide_nothing(project: Project) -> None:
    project.predictions("half_answers.jsonl", N - 3, wrong_at=range(100))
    gate = ends(project.judge(), "fail")
    assert gate["more_data"] is None
    mentions(check(gate, "more_data"), "3 of 200")
    mentions(because(gate, "fail", "margin"), "3 of 200")
    models(project, 40, 60)
    project.predictions("half_answers.jsonl", N - 3)
    mentions(check(passed(project.judge()), "more_data"), "3 of 200")


COUNTED = """
CALLS = []
def half(text):
    CALLS.append(text)
    return good(text) if int(text.split()[-1]) % 2 else "none"
def failing(text): raise ValueError("no weights")
"""


@pytest.mark.parametrize(("wrong", "calls"), [(40, 0), (FAILS, N)])
def test_the_half_is_asked_only_where_the_gain_is_too_small(
    project: Project, wrong: int, calls: int
) -> None:
    project.own(COUNTED)
    models(project, wrong, 0)
    count = "import own, pathlib\ndef pytest_ftgate_checks(gate):\n"
    count += "    pathlib.Path('calls.txt').write_text(str(len(own.CALLS)))\n    return []\n"
    project.file("conftest.py", count)
    half = {"model": "python:own:half", "training_set": "half.jsonl"}
    gate = project.judge(candidate_half=half)
    assert int((project.path / "calls.txt").read_text()) == calls
    assert (gate["more_data"] is not None) == bool(calls)
    assert bool(checks(gate, "more_data")) == bool(calls)


def test_a_half_that_fails_leaves_the_verdict(project: Project) -> None:
    project.own(COUNTED)
    half = {"model": "python:own:failing", "training_set": "half.jsonl"}
    gate = ends(project.judge(candidate_half=half), "fail")
    mentions(check(gate, "more_data"), "200 of 200", "no weights")


def test_its_answers_are_no_attempt_and_have_no_age_but_cost(project: Project) -> None:
    priced = {"price": LARGE}
    project.predictions("half_answers.jsonl", N, wrong_at=range(100), usage=USAGE)
    keys: dict[str, Any] = {
        "economics": ECONOMICS,
        "baseline": recorded("base.jsonl", **priced),
        "candidate": recorded("ft.jsonl", **priced),
        "candidate_half": {
            "model": recorded("half_answers.jsonl", **priced),
            "training_set": "half.jsonl",
        },
    }
    for name, n_wrong in (("base.jsonl", 60), ("ft.jsonl", FAILS)):
        dated = time.time() - 86_400
        project.predictions(name, N, wrong_at=range(n_wrong), usage=USAGE, created_at=dated)
    gate = project.judge(max_age_days=3650, **keys)
    assert check(gate, "max_age_days")["status"] == "pass"
    assert gate["economics"]["evaluation_cost_usd"] == pytest.approx(3 * N * 0.001944)

    project.judge(max_attempts=2, **keys)
    project.predictions("half_answers.jsonl", N, wrong_at=range(90), usage=USAGE)
    project.judge(max_attempts=2, **keys)
    assert len(read_jsonl(project.path / "ftgate-attempts.jsonl")) == 1


# --- what is refused before any call --------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([0, 200, *range(1, 100)], ("half.jsonl:2", "train.jsonl", "training question 200")),
        (range(79), ("79 of 200", "39.5 %", "test_gate.py:4")),
        (range(121), ("121 of 200", "60.5 %")),
        ([*range(79), *range(79)], ("79 of 200",)),  # rows that repeat count once
    ],
)
def test_a_half_has_40_to_60_percent_of_the_rows_of_the_training_set(
    project: Project, rows: Any, parts: tuple[str, ...]
) -> None:
    half = [{"input": f"training question {i}", "expected": label(i)} for i in rows]
    write_jsonl(project.path / "half.jsonl", half)
    mentions(stopped(project.judge()), "candidate_half" if len(parts) > 3 else "half", *parts)


def test_a_row_with_another_output_is_not_of_the_training_set(project: Project) -> None:
    rows = read_jsonl(project.path / "half.jsonl")
    write_jsonl(project.path / "half.jsonl", [*rows[:-1], {**rows[-1], "expected": "invoiced"}])
    mentions(stopped(project.judge()), "half.jsonl:100", "invoiced")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"stage": "ready", "candidate": ...}, ("candidate_half", "ready")),
        ({"margin": ..., "agreement": {"with": "baseline", "min": 0.9}}, ("candidate_half", "agreement")),
        ({"candidate": "recorded:half_answers.jsonl"}, ("candidate_half", "recorded:half_answers.jsonl")),
        ({"candidate_half": {"model": ["refund", "invoice"], "training_set": "half.jsonl"}},
         ("2 answers", "200")),
        ({"candidate_half": {"model": "recorded:half_answers.jsonl"}}, ("candidate_half.training_set",)),
        ({"metric": {"name": "human_preference", "path": "raters.csv"}}, ("candidate_half", "human_preference")),
    ],
)  # fmt: skip
def test_a_half_that_cannot_be_compared_is_refused(
    project: Project, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    project.file(
        "raters.csv",
        "id,preferred,rater\n" + "".join(f"t{i},candidate,r{i % 20}\n" for i in range(N)),
    )
    mentions(stopped(project.judge(**changes)), *parts)
