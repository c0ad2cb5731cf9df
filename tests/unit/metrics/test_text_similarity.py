"""Graded text metrics: known answers, properties, and agreement with implementations that are not ours."""

import random
import string
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.metrics.text import words

NAMES = ("token_f1", "rouge_l", "edit_similarity")
WORDS = ("the", "a", "cat", "sat", "on", "mat", "12", "3.5", "don't", "e-mail", "U.S.", "(yes)", "no,", "maybe;", "x_y")
texts = st.text(min_size=1, max_size=40).filter(lambda text: text.strip())


def value(build, name, expected, answer, **options):
    return build(name, ("four words are there",), **options).score([expected], [[answer]]).value


def sentences(seed, n, vocabulary=WORDS):
    draw = random.Random(seed)
    for _ in range(n):
        expected = draw.choices(vocabulary, k=draw.randint(1, 30))
        answer = [word for word in expected if draw.random() < 0.7] + draw.choices(vocabulary, k=draw.randint(0, 8))
        draw.shuffle(answer)
        yield " ".join(expected), " ".join(answer) or "nothing"


@pytest.mark.parametrize(
    ("name", "expected", "answer", "right"),
    [
        ("token_f1", "a b c d", "a b x", 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("token_f1", "a a b", "a b b", 2 / 3),
        ("token_f1", "Yes", "yes", 0),
        ("token_f1", "yes  no", "no\n yes", 1),
        ("rouge_l", "police killed the gunman", "police kill the gunman", 0.75),  # Lin (2004), section 3
        ("rouge_l", "police killed the gunman", "the gunman kill police", 0.5),
        ("rouge_l", "Yes, it is.", "yes it IS", 1),
        ("rouge_l", "Straße über Öl", "strasse über öl", 2 / 3),
        ("rouge_l", "今日は晴れ", "今日は雨", 2 * 3 / 9),
        ("rouge_l", "нет войне", "нет", 2 / 3),
        ("rouge_l", "👍", "👍", 1),
        ("rouge_l", "👍", "👎", 0),
        ("edit_similarity", "kitten", "sitting", 1 - 3 / 7),
        ("edit_similarity", "ab", "ba", 0),
        ("edit_similarity", "日本", "日本語", 2 / 3),
    ],
)
def test_known_answers(build, name, expected, answer, right):
    assert value(build, name, expected, answer) == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", [None, "", " \n\t", "\u2003"])
def test_no_answer_is_the_worst(build, name, answer):
    scored = build(name).score(["some words", "more"], [["some words", "more"], [answer, "more"]])
    assert scored.per_example.tolist() == [0.5, 1.0]
    assert scored.value == 0.75


@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_no_text_are_compared_as_a_model_writes_them(build, name):
    expected = [1, True, None, [1, 2], {"a": "b"}, 0.5]
    answers = ["1", "true", "null", "[1,2]", '{"a":"b"}', "0.5"]
    assert build(name).score(expected, [answers]).value == 1


@pytest.mark.parametrize("name", NAMES)
def test_normalize_makes_texts_equal(build, name):
    assert value(build, name, "Ａ Cat!", '"a  cat"') < 1 or name == "rouge_l"
    assert value(build, name, "Ａ Cat!", '"a  cat"', normalize=["unicode", "case", "whitespace", "punctuation"]) == 1


@pytest.mark.parametrize("name", NAMES)
@given(expected=texts, answer=texts)
def test_every_value_is_in_range_identity_is_one_and_what_has_no_direction_is_symmetric(build, name, expected, answer):
    found = value(build, name, expected, answer)
    assert 0 <= found <= 1
    assert value(build, name, expected, expected) == 1
    assert found == value(build, name, answer, expected)


# --- against others ------------------------------------------------------------------------------------------


def squad_f1(prediction, ground_truth):
    """As in SQuAD's evaluate-v1.1.py, after its normalization."""
    prediction_tokens, ground_truth_tokens = prediction.split(), ground_truth.split()
    num_same = sum((Counter(prediction_tokens) & Counter(ground_truth_tokens)).values())
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(prediction_tokens), 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def largest_difference(build, name, other, pairs):
    ours = build(name)
    return max(abs(ours.score([e], [[a]]).value - other(e, a)) for e, a in pairs)


def test_token_f1_is_that_of_squad(build):
    assert largest_difference(build, "token_f1", lambda e, a: squad_f1(a, e), sentences(1, 200)) < 1e-12


def test_rouge_l_is_that_of_rouge_score_on_ascii(build):
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    pairs = list(sentences(2, 100))
    draw = random.Random(3)
    pairs += [tuple("x" + "".join(draw.choices(string.printable, k=60)) for _ in range(2)) for _ in range(100)]
    assert largest_difference(build, "rouge_l", lambda e, a: scorer.score(e, a)["rougeL"].fmeasure, pairs) < 1e-12


# --- words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't go_there 3.5%", ["don", "t", "go", "there", "3", "5"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("été", ["été"]),
        (unicodedata.normalize("NFD", "été"), ["été"]),
        ("東京Tower2号", ["東", "京", "tower2", "号"]),
        ("ภาษา", list("ภาษา")),
        ("ที่", ["ที่"]),
        ("한국어 말", ["한국어", "말"]),
        ("—", ["—"]),
    ],
)
def test_words_in_any_script(text, found):
    assert words(text) == found


@given(st.text(alphabet=string.printable, max_size=60))
def test_words_of_ascii_are_the_same_by_the_rule_for_all_scripts(text):
    by_rule = words(text + " é")
    assert by_rule[-1] == "é"
    assert (by_rule[:-1] or [text.lower().strip()]) == words(text)


# --- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_enormous_answer_is_the_worst_unread(build, name):
    huge = "right words " * 100_000
    metric = build(name, ("four words are there",))
    assert metric.score(["right words right words"], [[huge]]).value == 0
    assert metric.score(["right words right words"], [[huge[:90_000]]]).value > 0
    assert value(build, name, huge[:30_000], huge[:30_000]) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_unpaired_surrogates_do_no_harm(build, name):
    assert 0 <= value(build, name, "a \ud800 b", "a \udfff b") <= 1
