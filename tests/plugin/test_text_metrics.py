"""Gates on free text, end to end: graded metrics, corpus BLEU, and libraries that are not installed."""

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


def answers(project: Project, name: str, answer: Answer, repeats: int = 1) -> None:
    for repeat in range(repeats):
        more = {"repeat": repeat} if repeats > 1 else {}
        project.predictions(name, N, output=answer, add=repeat > 0, **more)


@pytest.mark.parametrize("metric", ["token_f1", "rouge_l", "chrf", "edit_similarity", "bleu"])
def test_a_gate_decides_by_it(texts: Project, metric: str) -> None:
    gate = passed(texts.judge(metric=metric, evidence="proven"))
    assert gate["baseline"]["value"] < gate["candidate"]["value"] < 1
    assert 0.05 < gate["lower_bound"] < gate["gain"]
    assert (gate["wins"], gate["losses"]) == (60, 10)
    assert ("jackknife" if metric == "bleu" else "Gaffke") in gate["method"]


@pytest.mark.parametrize("metric", ["rouge_l", "bleu"])
def test_a_candidate_that_is_no_better_fails(texts: Project, metric: str) -> None:
    answers(texts, "ft.jsonl", lambda i: garbled(i) if i < 58 else sentence(i))
    assert texts.judge(metric=metric)["verdict"] == "fail"


def test_a_missing_answer_of_the_candidate_counts_as_the_worst(texts: Project) -> None:
    texts.predictions("ft.jsonl", 78, output=sentence)
    gate = passed(texts.judge(metric="rouge_l", missing_answers="wrong", require=[{"metric": "bleu", "min": 0.1}]))
    assert gate["candidate"]["value"] == pytest.approx(78 / 80)
    assert gate["candidate"]["metrics"]["bleu"] < 0.975


def test_bleu_takes_repeats_slices_guards_and_groups(texts: Project) -> None:
    answers(texts, "base.jsonl", lambda i: garbled(i) if i < 60 else sentence(i), repeats=2)
    answers(texts, "ft.jsonl", lambda i: garbled(i) if i >= 70 else sentence(i), repeats=2)
    grouped = {"lang": lambda i: "ab"[i % 2], "group": lambda i: f"g{i // 2}"}
    texts.test_set(N, input="sentence {}".format, expected=sentence, **grouped)
    gate = passed(texts.judge(metric="bleu", repeats=2, slices={"fields": ["lang"]}))
    assert "delete-a-group" in gate["method"]
    assert [one["candidate"] > one["baseline"] for one in gate["slices"]] == [True, True]


def test_bleu_guards_what_must_not_be_lost(texts: Project) -> None:
    texts.test_set(100, "guard.jsonl", prefix="g", input="guarded {}".format, expected=lambda i: sentence(500 + i))
    for name, lost in (("base.jsonl", 0), ("ft.jsonl", 2)):
        said = lambda i, lost=lost: (garbled if i < lost else sentence)(500 + i)  # noqa: E731
        texts.predictions(name, 100, prefix="g", add=True, output=said)
    for max_drop, verdict in ((0.3, "pass"), (0.03, "inconclusive")):
        guard = {"test_set": "guard.jsonl", "metric": "bleu", "max_drop": max_drop}
        gate = texts.judge(metric="bleu", guards={"general": guard})
        assert (gate["guards"][0]["verdict"], gate["verdict"]) == (verdict, verdict), gate["guards"]


def test_before_training_bleu_says_what_the_test_set_could_prove(texts: Project) -> None:
    gate = passed(
        texts.judge(metric="bleu", stage="ready", candidate=..., hypothesis={"from": 0.3, "to": 0.6, "because": "x"})
    )
    mentions(check(gate, "power"), "30 points", "hypothesis")


def test_case_that_decides_is_called_out(texts: Project) -> None:
    answers(texts, "base.jsonl", lambda i: sentence(i).upper())
    assert "case and punctuation" in check(texts.judge(metric="token_f1"), "normalization")["message"]


@pytest.mark.parametrize(("metric", "library"), [("rouge_l", "rapidfuzz"), ("bleu", "sacrebleu")])
def test_an_extra_that_is_not_installed_is_said_before_any_call(
    texts: Project, monkeypatch: pytest.MonkeyPatch, metric: str, library: str
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    told = f"test_gate.py:4: metric: the metric {metric} needs {library}, which is not installed"
    mentions(stopped(texts.judge(metric=metric)), told, 'pip install "pytest-ftgate[text]"')


def test_vectors_of_a_function_of_ones_own(texts: Project) -> None:
    texts.file(
        "my_vectors.py",
        f"WORDS = {WORDS!r}\n\n\ndef embed(texts):\n"
        "    return [[text.split().count(word) + 0.01 for word in WORDS] for text in texts]\n"
        "def zeros(texts):\n    return [[0.0, 0.0] for text in texts]\n",
    )
    metric = {"name": "embedding_similarity", "embed": "python:my_vectors:embed"}
    gate = passed(texts.judge(metric=metric, margin=0, require=[{"metric": "embedding_similarity", "min": 0.8}]))
    assert 0.8 < gate["candidate"]["value"] <= 1
    mentions(stopped(texts.judge(metric={**metric, "embed": "python:my_vectors:zeros"}), called=True), "zero vector")
