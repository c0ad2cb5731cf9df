"""The training examples nearest to an input: known by hand, in order, none twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from pytest_ftgate.data import Example, examples_from
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models.prompt import Neighbours, build_prompt

ROWS = [
    ("my parcel never arrived", "shipping"),
    ("refund the double charge", "refund"),
    ("where is my parcel", "shipping"),
    ("send me the invoice", "invoice"),
    ("the parcel arrived broken", "shipping"),
]
ASKED = "my parcel has not arrived"


def asked(given):
    return Example("e", given, "x")


def data(*inputs):
    return examples_from(
        [(question, f"answer {i}") for i, question in enumerate(inputs)], origin="t"
    )


def near(neighbours, given):
    return [example.input for example in neighbours.of(asked(given))]


def test_the_template_applies_to_them_as_to_the_input_and_of_equals_the_earlier_row_is_nearer(spec):
    prompt = build_prompt(spec(retrieval=1, template="Q: {input}"), examples_from(ROWS, origin="t"))
    assert [message["content"] for message in prompt.messages(asked(ASKED))] == [
        f"Q: {ROWS[0][0]}",
        "shipping",
        f"Q: {ASKED}",
    ]
    equal = data("one one", "two two", "three three").examples
    assert near(Neighbours(equal, 2), "999") == ["two two", "one one"]


def test_fixed_examples_stand_first_and_are_not_retrieved_again(spec):
    training = examples_from(ROWS, origin="t")
    fixed = build_prompt(spec(few_shot=2), training).messages(asked(ASKED))[:-1]
    both = build_prompt(spec(few_shot=2, retrieval=3), training).messages(asked(ASKED))
    assert both[:4] == fixed
    inputs = [one["content"] for one in both if one["role"] == "user"]
    assert sorted(inputs) == sorted([*(text for text, _ in ROWS), ASKED])


def test_blank_and_repeated_examples_are_not_shown(spec):
    rows = [
        ("a parcel", ""),
        (" ", "x"),
        ("A  PARCEL", "first"),
        ("a parcel", "second"),
        ("an invoice", "third"),
    ]
    prompt = build_prompt(spec(retrieval=2), examples_from(rows, origin="t"))
    assert [message["content"] for message in prompt.messages(asked("a parcel"))][1::2] == [
        "third",
        "first",
    ]


@pytest.mark.parametrize(("few_shot", "k", "n"), [(None, 6, 5), (2, 4, 3)])
def test_too_few_examples(spec, few_shot, k, n):
    with pytest.raises(
        ConfigError, match=rf"ftgate.yaml:7: retrieval: .*{k} usable.* {n}\n  training set: t\n"
    ):
        build_prompt(spec(few_shot=few_shot, retrieval=k), examples_from(ROWS, origin="t"))


def picture(url, *texts):
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        *({"type": "text", "text": text} for text in texts),
    ]
    return ({"role": "user", "content": parts},)


def test_messages_are_compared_by_their_text_without_instructions():
    system = {"role": "system", "content": "where is my parcel"}
    pool = data(
        (system, {"role": "user", "content": "the invoice"}),
        picture("parcel", "a refund"),
        "my parcel",
    ).examples
    assert Neighbours(pool, 1).of(asked("where is the parcel")) == (pool[2],)
    assert Neighbours(pool, 1).of(asked((system, {"role": "user", "content": "an invoice"}))) == (
        pool[0],
    )
    assert Neighbours(pool, 1).of(asked(picture("my", "refund it"))) == (pool[1],)


WORDS = st.lists(
    st.sampled_from(["parcel", "refund", "invoice", "late", "broken", "ß", "İ", "12", ","]),
    min_size=1,
    max_size=6,
)
TEXTS = st.lists(WORDS.map(" ".join), min_size=1, max_size=12, unique=True)


@given(TEXTS, TEXTS, st.data())
def test_never_one_twice_and_as_scikit_learn_ranks_them(pool, asking, drawn):
    k = drawn.draw(st.integers(1, len(pool)))
    neighbours = Neighbours(data(*pool).examples, k)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit(pool)
    scores = cosine_similarity(vectorizer.transform(asking), vectorizer.transform(pool)).round(9)
    for text, line in zip(asking, scores, strict=True):
        rows = sorted(range(len(pool)), key=lambda row: (-line[row], row))[:k]
        found = near(neighbours, text)
        assert found == [pool[row] for row in reversed(rows)]
        assert len(set(found)) == k
