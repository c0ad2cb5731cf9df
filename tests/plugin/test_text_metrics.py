"""Gates on free text, end to end: graded metrics, and a library that is not installed."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest
from gate_project import Project, check, mentions, passed, stopped

N = 80
WORDS = ("send", "the", "invoice", "again", "to", "our", "office", "in", "Rome", "because", "it", "never", "came")


def sentence(index: int) -> str:
    return " ".join(random.Random(index).sample(WORDS, 8)) + f" {index}"


def garbled(index: int) -> str:
    """Replace half of the words."""
    return " ".join(word if i % 2 else "indeed" for i, word in enumerate(sentence(index).split()))


Answer = Callable[[int], str | None]


@pytest.fixture
def texts(project: Project) -> Project:
    """80 sentences are expected; the baseline garbles 60 of them, the candidate 10."""
    project.test_set(N, input="sentence {}".format, expected=sentence, lang=lambda i: "ab"[i % 2])
    project.training_set(0, [{"input": f"training {i}", "expected": sentence(1000 + i)} for i in range(200)])
    answers(project, "base.jsonl", lambda i: garbled(i) if i < 60 else sentence(i))
    answers(project, "ft.jsonl", lambda i: garbled(i) if i >= 70 else sentence(i))
    return project


def answers(project: Project, name: str, answer: Answer) -> None:
    project.predictions(name, N, output=answer)


@pytest.mark.parametrize("metric", ["token_f1", "rouge_l", "edit_similarity"])
def test_a_gate_decides_by_it(texts: Project, metric: str) -> None:
    gate = passed(texts.judge(metric=metric, evidence="proven"))
    assert gate["baseline"]["value"] < gate["candidate"]["value"] < 1
    assert 0.05 < gate["lower_bound"] < gate["gain"]
    assert (gate["wins"], gate["losses"]) == (60, 10)
    assert "Gaffke" in gate["method"]


def test_case_that_decides_is_called_out(texts: Project) -> None:
    answers(texts, "base.jsonl", lambda i: sentence(i).upper())
    assert check(texts.judge(metric="token_f1"), "formatting_gain")["observed"] < 0


@pytest.mark.parametrize("metric", ["rouge_l", "edit_similarity"])
def test_an_extra_that_is_absent_is_named_before_any_call(
    texts: Project, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "rapidfuzz"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    passed(texts.judge(metric="token_f1"))  # which needs nothing
    told = f"test_gate.py:4: metric: the metric {metric} needs rapidfuzz, which is not installed"
    mentions(stopped(texts.judge(metric=metric)), told, 'pip install "pytest-ftgate[text]"')
