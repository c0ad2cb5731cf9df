"""The cosine of vectors by a function of the user's, and what that function may not return."""

import math
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.embedding import BATCH

NAME = "embedding_similarity"
VECTORS = {"north": [0, 2], "east": [3, 0], "south": [0, -1], "northeast": [1, 1]}


def compass(texts):
    return [VECTORS[text] for text in texts]


def score(build, expected, answers, embed=compass, **options):
    return build(NAME, tuple(expected), embed=embed, **options).score(expected, [answers])


def broken(build, embed, expected=("a", "b"), answers=("c", "d")):
    with pytest.raises(MetricError) as caught:
        score(build, list(expected), list(answers), embed)
    text = str(caught.value)
    assert text.endswith("a list of texts and returns a list of as many vectors, all of one length, of finite numbers.")
    return text.splitlines()[0]


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


def test_numpy_arrays_will_do(build):
    import numpy as np

    def embed(texts):
        return np.array(compass(texts), dtype=np.float32)

    assert score(build, ["north"], ["northeast"], embed).value == pytest.approx(math.sqrt(0.5))


def test_the_function_is_found_by_its_name(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "my_vectors", types.SimpleNamespace(compass=compass))
    assert score(build, ["north"], ["north"], "python:my_vectors:compass").value == pytest.approx(1)


def test_normalize_counts(build):
    assert score(build, ["north"], ["NORTH"], normalize="case").value == pytest.approx(1)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_size_of_a_vector_does_not_count(build, size):
    def embed(texts):
        return [[size * x for x in VECTORS[text]] for text in texts]

    assert score(build, ["north"], ["northeast"], embed).value == pytest.approx(math.sqrt(0.5))


vectors = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).filter(lambda vector: any(vector))


@settings(deadline=None)
@given(vectors, vectors)
def test_range_identity_and_symmetry(build, one, other):
    def embed(texts):
        return [{"one": one, "other": other}[text] for text in texts]

    there, back = (score(build, [a], [b], embed).value for a, b in (("one", "other"), ("other", "one")))
    assert there == back
    assert -1 <= there <= 1
    assert score(build, ["one"], ["one"], embed).value == pytest.approx(1)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ([[1, 2]], "returned the shape (1, 2) for 4 texts"),
        ([[1, 2]] * 5, "returned the shape (5, 2) for 4 texts"),
        ([1, 2, 3, 4], "returned the shape (4,) for 4 texts"),
        ([[]] * 4, "returned the shape (4, 0) for 4 texts"),
        (None, "returned the shape () for 4 texts"),
        ([[1], [2, 3], [4], [5]], "returned a list that is no list of vectors of one length"),
        ("abcd", "returned text that is no list of vectors of one length"),
        ([[1, math.nan]] * 4, "returned a vector with a number that is not finite"),
        ([[1, math.inf]] * 4, "returned a vector with a number that is not finite"),
        ([[1, 2]] * 3 + [[0, 0]], "returned a vector of nothing but zeros, which has no direction"),
    ],
)
def test_what_is_no_list_of_vectors_is_an_error(build, returned, said):
    assert broken(build, lambda texts: returned).endswith(f"the embed of {NAME}, {said}")


def test_a_length_that_changes_from_batch_to_batch_is_an_error(build):
    texts = [str(i) for i in range(BATCH)]
    said = broken(build, lambda given: [[1.0] * len(given)] * len(given), texts, [*texts[:-1], "x"])
    assert said.endswith(f"returned vectors of {BATCH} numbers, and then of 1")


@pytest.mark.parametrize("raised", [ValueError("no GPU"), SystemExit(3)])
def test_what_it_raises_is_an_error_with_its_place(build, raised):
    def embed(texts):
        raise raised

    with pytest.raises(MetricError) as caught:
        score(build, ["a"], ["b"], embed)
    text = str(caught.value)
    assert f"raised {type(raised).__name__}" in text
    assert "test_embedding_similarity.py:" in text


def test_ctrl_c_goes_through(build):
    def embed(texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(build, ["a"], ["b"], embed)


async def later(texts):
    return [[1.0]] * len(texts)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "embed: embedding_similarity needs embed, the function that turns texts into vectors"),
        ({"embed": "my:function"}, "embed: embed is 'my:function'"),
        ({"embed": 3}, "embed: embed is a number"),
        ({"embed": "python:no_such_module:f"}, "embed: there is no module 'no_such_module'"),
        ({"embed": "python:json:no_such"}, "embed: 'json:no_such': there is no 'no_such' in json"),
        ({"embed": later}, "embed: later is async"),
        ({"embed": compass, "model": "x"}, "model: embedding_similarity has no option 'model'"),
    ],
)
def test_an_option_that_is_wrong_is_refused(refusal, options, said):
    assert refusal(NAME, **options).startswith(f"ftgate.yaml:14: {said}")
