"""Preferences of people, from a file."""

from collections.abc import Sequence
from typing import Any

import pytest
from gate_project import check, ends, mentions, passed, stopped, write_jsonl
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


def test_people_may_judge_answers_to_which_none_is_expected(judged: Rated) -> None:
    write_jsonl(judged.path / "test.jsonl", [{"id": f"t{i}", "input": task(i)} for i in range(N)])
    passed(rated(judged, words(40, 10)))


# 25 prefer the candidate twice, 15 the baseline twice, and 20 are in dispute: means of 1, 0 and a half
TWICE = [[WIN] * 35 + [LOSS] * 25, [WIN] * 25 + [LOSS] * 10 + [WIN] * 10 + [LOSS] * 15]


@pytest.mark.parametrize(
    ("ratings", "verdict", "value", "method"),
    [
        ([words(40, 10)], "pass", 0.75, "exact"),
        ([words(20, 30)], "fail", 0.5 - 5 / N, "exact"),
        (TWICE, "inconclusive", 35 / N, "exact"),
        (
            [[WIN if (i + r) % 4 else LOSS for i in range(N)] for r in range(3)],
            "pass",
            0.75,
            "Gaffke",
        ),
    ],
    ids=["one rater", "the baseline is preferred", "two raters", "three raters"],
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
    assert (gate["gain"], check(gate, "evidence")["status"]) == (pytest.approx(2.5 / N), "warning")


@pytest.mark.parametrize(
    ("raters", "likes", "verdict", "text"),
    [
        (3, 3, "pass", "3 raters in prefs.csv: the bound assumes"),
        (12, 12, "inconclusive", "12 raters (15 required)"),
        (20, 20, "pass", "with the 20 raters as the observations"),
        (20, 14, "inconclusive", "could be chance"),
    ],
)
def test_with_one_rating_a_pair_raters_are_groups_and_the_observations(
    judged: Rated, raters: int, likes: int, verdict: str, text: str
) -> None:
    """Who likes the style of one model votes for it again and again; of few raters this is only said.

    Where one of five always prefers the baseline, ten raters would show a gain in 8 % of test sets.
    """
    rows = [f"t{i},{WIN if i % raters < likes else LOSS},r{i % raters}" for i in range(N)]
    gate = ends(by_rows(judged, *rows), verdict)
    assert text in str(gate["checks"])


def everyone(raters: int, likes: int) -> list[str]:
    """All rate all pairs: ``likes`` of the raters prefer the candidate in all of them, the others in every third."""
    return [
        f"t{i},{WIN if r < likes or i % 3 == 0 else LOSS},r{r}"
        for i in range(N)
        for r in range(raters)
    ]


@pytest.mark.parametrize(
    ("raters", "likes", "verdict", "warns"),
    [
        (3, 3, "pass", True),
        (9, 9, "pass", True),
        (12, 12, "pass", False),
        (12, 6, "inconclusive", False),
    ],
)
def test_raters_who_rate_every_pair_are_the_observations(
    judged: Rated, raters: int, likes: int, verdict: str, warns: bool
) -> None:
    """Few are warned of in every design; of enough raters the gain must not be the taste of some."""
    gate = ends(by_rows(judged, *everyone(raters, likes)), verdict)
    finding = check(gate, "evidence")
    assert (finding["status"] == "warning", f"{raters} raters in" in finding["message"]) == (
        warns,
        warns,
    )
    assert "count as" not in finding["message"]
    if verdict == "inconclusive":
        mentions(finding, "12 raters", "p = ")


def test_raters_count_by_how_much_they_rate(judged: Rated) -> None:
    """One of twelve rates three pairs in five."""
    rows = [f"t{i},{WIN if i < 45 else LOSS},r{i % 11 if i % 5 < 2 else 11}" for i in range(N)]
    finding = check(passed(by_rows(judged, *rows)), "evidence")
    assert (finding["status"], finding["observed"], finding["required"]) == ("warning", 2, 10)
    assert ", who count as 2: " in finding["message"]
    mentions(finding, "12 raters")


def test_a_missing_answer_is_preferred_by_nobody(judged: Rated) -> None:
    judged.predictions("ft.jsonl", N, output=lambda i: judged.answer_of("ft", i) if i else None)
    gate = rated(judged, words(N, 0), missing_answers="wrong")
    assert gate["candidate"]["value"] == pytest.approx((N - 1) / N)
    finding = check(gate, "evidence")
    assert (finding["observed"], finding["message"].startswith("1 rater in prefs.csv")) == (1, True)


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
