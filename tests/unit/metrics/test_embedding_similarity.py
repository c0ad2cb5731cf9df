"""The cosine of vectors by a function of the user's, and what that function may not return."""

import math
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.metrics.embedding import BATCH

NAME = "embedding_similarity"
VECTORS = {"north": [0, 2], "east": [3, 0], "south": [0, -1], "northeast": [1, 1]}


def compass(texts):
    return [VECTORS[text] for text in texts]


def score(build, expected, answers, embed=compass, **options):
    return build(NAME, tuple(expected), embed=embed, **options).score(expected, [answers])


def test_known_angles(build):
    scored = score(build, ["north", "north", "north", "north"], ["north", "east", "south", "northeast"])
    assert scored.per_example == pytest.approx([1, 0, -1, math.sqrt(0.5)])
    assert scored.metric.kind == "graded"
    assert (scored.metric.low, scored.metric.high, scored.metric.greater_is_better) == (-1, 1, True)


def test_no_answer_is_the_worst(build):
    assert score(build, ["north", "north"], [None, " "]).per_example.tolist() == [-1, -1]


def test_each_text_is_embedded_once_in_batches(build):
    calls = []

    def embed(texts):
        calls.append(list(texts))
        return [[len(text), 1.0] for text in texts]

    expected = [f"expected {i}" for i in range(BATCH)]
    metric = build(NAME, tuple(expected), embed=embed)
    answers = [[" expected 0 "] * BATCH, ["other"] * BATCH]
    first = metric.score(expected, answers)
    assert [len(call) for call in calls] == [BATCH, 1]
    assert metric.score(expected, answers[:1]).value > 0
    assert metric.score(expected, answers).value == first.value
    assert len(calls) == 2


def test_the_function_is_found_by_its_name(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "my_vectors", types.SimpleNamespace(compass=compass))
    assert score(build, ["north"], ["north"], "python:my_vectors:compass").value == pytest.approx(1)


@pytest.mark.parametrize("size", [1e-200, 1, 1e200])
def test_neither_the_size_nor_the_type_of_a_vector_counts(build, size):
    def embed(texts):
        vectors = [[size * x for x in VECTORS[text]] for text in texts]
        return np.array(vectors, dtype=np.float32) if size == 1 else vectors

    value = score(build, ["north"], ["NORTHEAST"], embed, normalize="case").value
    assert value == pytest.approx(math.sqrt(0.5))


vectors = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).filter(lambda vector: any(vector))


@given(vectors, vectors)
def test_range_identity_and_symmetry(build, one, other):
    def embed(texts):
        return [{"one": one, "other": other}[text] for text in texts]

    there, back = (score(build, [a], [b], embed).value for a, b in (("one", "other"), ("other", "one")))
    assert there == back
    assert -1 <= there <= 1
    assert score(build, ["one"], ["one"], embed).value == pytest.approx(1)


def test_ctrl_c_goes_through(build):
    def embed(texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(build, ["a"], ["b"], embed)


RETURNED = [[[1, 2]], [[1, 2]] * 5, [1, 2, 3, 4], [[]] * 4, None, [[1], [2, 3], [4], [5]], "abcd"]
RETURNED += [[[1, math.nan]] * 4, [[1, math.inf]] * 4, [[1, 2]] * 3 + [[0, 0]]]


@pytest.mark.parametrize("returned", RETURNED, ids=str)
def test_what_is_no_list_of_vectors_is_an_error(build, failure, returned):
    error = failure(build(NAME, ("a", "b"), embed=lambda texts: returned), "ab", "cd")
    assert NAME in error.what


def test_a_length_that_changes_from_batch_to_batch_is_an_error(build, failure):
    texts = [str(i) for i in range(BATCH)]
    metric = build(NAME, tuple(texts), embed=lambda given: [[1.0] * len(given)] * len(given))
    assert str(BATCH) in failure(metric, texts, [*texts[:-1], "x"]).what


@pytest.mark.parametrize("raised", [ValueError("no GPU"), SystemExit(3)])
def test_what_it_raises_is_an_error_with_its_place(build, failure, raised):
    def embed(texts):
        raise raised

    error = failure(build(NAME, ("a",), embed=embed), "a", "b")
    assert type(raised).__name__ in str(error)
    assert "test_embedding_similarity.py:" in str(error)
