"""Graded text metrics: known answers, properties, and agreement with implementations that are not ours."""

import random
import string
import unicodedata
from collections import Counter

import pytest
from building import build
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.metrics.text import words

WORDS = (
    "the",
    "a",
    "cat",
    "sat",
    "on",
    "mat",
    "12",
    "3.5",
    "don't",
    "e-mail",
    "U.S.",
    "(yes)",
    "no,",
    "maybe;",
    "x_y",
)
texts = st.text(min_size=1, max_size=40).filter(lambda text: text.strip())


@pytest.fixture(scope="session", params=["token_f1", "rouge_l", "edit_similarity"])
def name(request):
    return request.param


def value(name, expected, answer, **options):
    return build(name, ("four words are there",), **options).score([expected], [[answer]]).value


KNOWN = {
    "token_f1": [
        ("a b c d", "a b x", 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("a a b", "a b b", 2 / 3),
        ("Yes", "yes", 0),
        ("yes  no", "no\n yes", 1),
    ],
    "rouge_l": [
        ("police killed the gunman", "police kill the gunman", 0.75),  # Lin (2004), section 3
        ("police killed the gunman", "the gunman kill police", 0.5),
        ("Yes, it is.", "yes it IS", 1),
        ("Straße über Öl", "strasse über öl", 2 / 3),
        ("今日は晴れ", "今日は雨", 2 * 3 / 9),
        ("нет войне", "нет", 2 / 3),
        ("👍", "👍", 1),
        ("👍", "👎", 0),
    ],
    "edit_similarity": [
        ("kitten", "sitting", 1 - 3 / 7),
        ("ab", "ba", 0),
        ("日本", "日本語", 2 / 3),
    ],
}


def test_known_answers(name):
    values_found = [value(name, expected, answer) for expected, answer, _ in KNOWN[name]]
    assert values_found == pytest.approx([right for *_, right in KNOWN[name]], abs=1e-12)


def test_no_answer_is_the_worst_and_repeats_are_averaged(name):
    for answer in (None, "", " \n\t", "\u2003"):
        scored = build(name).score(
            ["some words", "more"], [["some words", "more"], [answer, "more"]]
        )
        assert (scored.per_example.tolist(), scored.value) == ([0.5, 1.0], 0.75)


def test_values_that_are_no_text_are_compared_as_a_model_writes_them(name):
    expected = [1, True, None, [1, 2], {"a": "b"}, 0.5]
    answers = ["1", "true", "null", "[1,2]", '{"a":"b"}', "0.5"]
    assert build(name).score(expected, [answers]).value == 1
    assert (
        value(
            name, "Ａ Cat!", '"a  cat"', normalize=["unicode", "case", "whitespace", "punctuation"]
        )
        == 1
    )


@given(expected=texts, answer=texts)
def test_every_value_is_in_range_identity_is_one_and_what_has_no_direction_is_symmetric(
    name, expected, answer
):
    value_found = value(name, expected, answer)
    assert 0 <= value_found <= 1
    assert value(name, expected, expected) == 1
    assert value_found == value(name, answer, expected)


def squad_f1(expected, answer):
    """As in SQuAD's evaluate-v1.1.py, after its normalization."""
    common = (Counter(answer.split()) & Counter(expected.split())).total()
    precision, recall = common / len(answer.split()), common / len(expected.split())
    return 2 * precision * recall / (precision + recall) if common else 0


def sentences(seed):
    draw = random.Random(seed)
    for _ in range(150):
        expected = draw.choices(WORDS, k=draw.randint(1, 30))
        answer = [word for word in expected if draw.random() < 0.7] + draw.choices(
            WORDS, k=draw.randint(0, 8)
        )
        draw.shuffle(answer)
        yield " ".join(expected), " ".join(answer) or "nothing"
        yield tuple("x" + "".join(draw.choices(string.printable, k=60)) for _ in range(2))


def test_values_are_those_of_squad_and_rouge_score(name):
    from rapidfuzz.distance import Levenshtein
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    metrics = {
        "token_f1": squad_f1,
        "rouge_l": lambda expected, answer: scorer.score(expected, answer)["rougeL"].fmeasure,
        "edit_similarity": lambda *pair: 1 - Levenshtein.distance(*pair) / max(map(len, pair)),
    }[name]
    ours = build(name)
    for pair in sentences(2):
        expected, answer = map(str.strip, pair)
        assert ours.score([expected], [[answer]]).value == pytest.approx(
            metrics(expected, answer), abs=1e-12
        )


def test_an_enormous_answer_is_the_worst_unread_and_half_a_character_does_no_harm(name):
    huge = "right words " * 100_000
    metric = build(name, ("four words are there",))
    assert metric.score(["right words right words"], [[huge]]).value == 0
    assert metric.score(["right words right words"], [[huge[:90_000]]]).value > 0
    assert value(name, huge[:30_000], huge[:30_000]) == pytest.approx(1)
    assert 0 <= value(name, "a \ud800 b", "a \udfff b") <= 1


SPLIT = [
    ("Don't go_there 3.5%", ["don", "t", "go", "there", "3", "5"]),
    ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
    ("été", ["été"]),
    (unicodedata.normalize("NFD", "été"), ["été"]),
    ("東京Tower2号", ["東", "京", "tower2", "号"]),
    ("ภาษา", list("ภาษา")),
    ("ที่", list("ที่")),
    ("한국어 말", ["한국어", "말"]),
    ("—", ["—"]),
]


@given(text=st.text(alphabet=string.printable, max_size=60))
def test_words_in_any_script_and_those_of_ascii_by_the_rule_for_all_scripts(text):
    assert [(text, words(text)) for text, _ in SPLIT] == SPLIT
    by_rule = words(text + " é")
    assert by_rule[-1] == "é"
    assert (by_rule[:-1] or [text.lower().strip()]) == words(text)
