"""Answers that a model judges, with Python functions as judges."""

from __future__ import annotations

import pytest
from judge_project import PythonJudged


@pytest.fixture
def judged(pytester: pytest.Pytester) -> PythonJudged:
    return PythonJudged(pytester)


def test_a_rubric_grades_every_answer_in_its_own_unit(judged: PythonJudged) -> None:
    judged.judged_by()
    gate = judged.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["metric_range"] == [1, 5]
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (3.0, 4.5)
    assert gate["gain"] == 1.5
    (judge,) = gate["judges"]
    assert (judge["metric"], judge["judge"], judge["model"]) == ("rubric", "honest", "python:judges:honest")
    assert judge["n_questions"] == 120 - 10  # on ten examples both models answer alike
    assert judge["pairs"] == []


def test_preference_asks_both_orders_and_tells_the_win_rate(judged: PythonJudged) -> None:
    judged.judged_by(name="preference")
    gate = judged.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.5, 0.75)
    assert gate["gain"] == 0.25
    assert 0 < gate["lower_bound"] < 0.25
    (judge,) = gate["judges"]
    assert judge["n_questions"] == 2 * 50
    assert judge["pairs"] == [
        {
            "baseline": "baseline",
            "n": 60,
            "wins": 40,
            "ties": 10,
            "losses": 10,
            "disagreements": 0,
            "first_preferred": 0,
        }
    ]
    assert (gate["wins"], gate["losses"]) == (40, 10)
