"""Preferences of people, from a file."""

from collections.abc import Sequence
from typing import Any

import pytest
from gate_project import check, checks, ends, mentions, passed, stopped, write_jsonl
from judge_project import N, PythonJudged, task

WIN, LOSS, TIE = "candidate", "baseline", "tie"


class Rated(PythonJudged):
    """The models never say the same, so that there is something to prefer."""

    def answer_of(self, model: str, index: int) -> str:
        return f"{super().answer_of(model, index)} ({model})"


@pytest.fixture
def judged(pytester: pytest.Pytester) -> Rated:
    return Rated(pytester)


def words(wins: int, losses: int) -> list[str]:
    return [WIN] * wins + [LOSS] * losses + [TIE] * (N - wins - losses)


def rated(judged: Rated, *raters: Sequence[str], **gate: Any) -> dict[str, Any]:
    rows = [f"t{i},{word},r{r}" for r, rater in enumerate(raters) for i, word in enumerate(rater)]
    return by_rows(judged, *rows, **gate)


def by_rows(judged: Rated, *rows: str, **gate: Any) -> dict[str, Any]:
    judged.file("prefs.csv", "\n".join(["id,preferred,rater", *rows, ""]))
    return judged.judge(metric={"name": "human_preference", "path": "prefs.csv"}, **gate)


def dealt(raters: int, likes: int) -> list[str]:
    """Return one rating a pair: ``likes`` of the raters always prefer the candidate, the others never."""
    return [f"t{i},{WIN if i % raters < likes else LOSS},r{i % raters}" for i in range(N)]


def everyone(raters: int, likes: int) -> list[str]:
    """Return ratings of all pairs by all: ``likes`` of the raters prefer the candidate, the others in every third."""
    return [
        f"t{i},{WIN if r < likes or i % 3 == 0 else LOSS},r{r}"
        for i in range(N)
        for r in range(raters)
    ]


def test_people_may_judge_answers_to_which_none_is_expected(judged: Rated) -> None:
    write_jsonl(judged.path / "test.jsonl", [{"id": f"t{i}", "input": task(i)} for i in range(N)])
    passed(by_rows(judged, *dealt(20, 20)))


# 25 prefer the candidate twice, 15 the baseline twice, and 20 are in dispute: means of 1, 0 and a half
TWICE = [[WIN] * 35 + [LOSS] * 25, [WIN] * 25 + [LOSS] * 10 + [WIN] * 10 + [LOSS] * 15]


@pytest.mark.parametrize(
    ("ratings", "verdict", "value", "method"),
    [
        ([words(40, 10)], "inconclusive", 0.75, "exact"),
        ([words(20, 30)], "fail", 0.5 - 5 / N, "exact"),
        (TWICE, "inconclusive", 35 / N, "exact"),
        (
            [[WIN if (i + r) % 4 else LOSS for i in range(N)] for r in range(5)],
            "pass",
            0.75,
            "Gaffke",
        ),
    ],
    ids=["one rater", "the baseline is preferred", "two raters", "five raters"],
)
def test_the_value_is_the_mean_over_raters(
    judged: Rated, ratings: Any, verdict: str, value: float, method: str
) -> None:
    gate = ends(rated(judged, *ratings), verdict)
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.5, pytest.approx(value))
    assert gate["method"].startswith(method)
    mentions(check(gate, "evidence"), "not verified")


def test_there_is_nothing_to_prefer_between_equal_outputs(judged: Rated) -> None:
    judged.predictions(
        "ft.jsonl", N, output=lambda i: judged.answer_of("ft" if i < 5 else "base", i)
    )
    gate = ends(rated(judged, words(N, 0)), "fail")
    assert gate["gain"] == pytest.approx(2.5 / N)


AGREED = [  # raters who all prefer the candidate
    (1, "inconclusive", "0.5"),
    (4, "inconclusive", "0.062"),
    (5, "pass", "0.031"),
    (9, "pass", "0.002"),
    (12, "pass", "0.00024"),
    (14, "pass", "6.1e-05"),
    (15, "pass", "3.1e-05"),
]


@pytest.mark.parametrize(
    ("design", "raters", "likes", "verdict", "p_value"),
    [
        *((dealt, raters, raters, *row) for raters, *row in AGREED),
        *((everyone, raters, raters, *row) for raters, *row in AGREED),
        (dealt, 20, 14, "inconclusive", "0.058"),
        (everyone, 12, 6, "inconclusive", "0.0"),
    ],
)
def test_the_gain_must_be_significant_with_raters_as_the_observations(
    judged: Rated, design: Any, raters: int, likes: int, verdict: str, p_value: str
) -> None:
    """Who likes the style of one model votes for it again and again, however many pairs there are."""
    gate = ends(by_rows(judged, *design(raters, likes)), verdict)
    mentions(check(gate, "evidence"), f"{raters} rater", f"p = {p_value}")
    assert ("column rater" in (check(gate, "evidence")["cure"] or "")) is (raters < 5)
    warnings = checks(gate, "few_raters")
    assert [warning["status"] for warning in warnings] == ["warning"] * (raters < 15)
    for warning in warnings:
        assert (warning["observed"], warning["required"]) == (raters, 15)
        assert ("never be significant at 95 %" in warning["message"]) is (raters < 5)


def test_what_few_raters_do_is_the_gate_s_to_say(judged: Rated) -> None:
    for level, verdict in (("fail", "fail"), ("ignore", "pass")):
        ends(by_rows(judged, *dealt(5, 5), checks={"few_raters": level}), verdict)


def test_a_missing_answer_is_preferred_by_nobody(judged: Rated) -> None:
    judged.predictions("ft.jsonl", N, output=lambda i: judged.answer_of("ft", i) if i else None)
    gate = rated(judged, words(N, 0), missing_answers="wrong")
    assert gate["candidate"]["value"] == pytest.approx((N - 1) / N)


ALL = [f"t{i},{word}," for i, word in enumerate(words(40, 10))]
TWO = {"baseline": ..., "baselines": {"x": "recorded:base.jsonl", "y": "recorded:base.jsonl"}}


@pytest.mark.parametrize(
    ("rows", "gate", "text"),
    [
        ([*ALL, "t99,tie,"], {}, "prefs.csv:62: id: no test example has the id"),
        (
            [*ALL, "t0,tie,"],
            {},
            "prefs.csv:62: this example was rated by the same rater before, in prefs.csv:2",
        ),
        (
            [*ALL, "t0,tie,anna", "t0,tie,Anna "],
            {},
            "prefs.csv:63: this example was rated by the same rater before, in prefs.csv:62",
        ),
        (
            [*ALL, "t0,better,r2"],
            {},
            'prefs.csv:62: preferred: must be candidate, baseline or tie, got "better"',
        ),
        ([*ALL, "t0,,r2"], {}, "prefs.csv:62: preferred: must be candidate, baseline or tie"),
        ([*ALL, "t0,tie"], {}, "prefs.csv:62: the row has 2 cells, and the header 3"),
        (ALL[:1], {}, 'prefs.csv: 59 of 60 test examples have no preference, the first is "t1"'),
        (ALL, {"repeats": 2}, "human_preference compares one answer each"),
        (ALL, TWO, "human_preference compares one answer each"),
    ],
)
def test_a_file_that_cannot_be_used(judged: Rated, rows: list[str], gate: Any, text: str) -> None:
    mentions(stopped(by_rows(judged, *rows, **gate)), text)
