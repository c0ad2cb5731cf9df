"""Near copies: what is one and what is not, and that the search finds what a comparison of all pairs would."""

import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_ftgate.checks.audit.content import Wording, differing, resemblance, shingles, words_of
from pytest_ftgate.checks.audit.near import NEAR, SHORTEST, near_copies
from pytest_ftgate.checks.audit.near import WORDS as LEAST_WORDS
from pytest_ftgate.data import normalized_input

PARCEL = "Where is the parcel that I ordered last week?"


def wordings(rows):
    pairs = [(row, "label") if isinstance(row, str) else row for row in rows]
    return [Wording.of(normalized_input(text), output) for text, output in pairs]


def words(text):
    return words_of(normalized_input(text))


def within(*rows):
    return tuple(near_copies(wordings(rows), [])[0])


LOUDER = "increase the volume of the radio in the living room"
QUIETER = LOUDER.replace("in", "de", 1)
ANSWER = "It left our house on Monday and should be with you soon."
ORDER = "What is the status of my order number {}?"
COPIES = [
    *((PARCEL, PARCEL.lower().removesuffix("?")), (PARCEL, "Where is the parcel, that I ordered last week?!")),
    *((PARCEL, PARCEL.replace(*change)) for change in (("ordered", "ordred"), ("the", "the big"), ("that ", ""))),
    *((PARCEL, f"Please: {PARCEL.lower()}"), (PARCEL, PARCEL.replace("?", ", please?"))),
    (PARCEL, "Last week I ordered: where is the parcel that I ordered last week?"),
    (ORDER.format(7), ORDER.format(7).replace("status", "statuss")),
    *(("lights on", "Lights on!"), ("lights on", "lights, on.")),  # short texts, of which the words are equal
    *(((LOUDER, "up"), (QUIETER, "up")), ((LOUDER, ANSWER), (QUIETER, ANSWER.replace("soon", "very soon")))),
    ((PARCEL, "up"), (f"{PARCEL}!", "down")),
    (
        "请问我上个星期在你们网上商店订购的那个蓝色大包裹现在到底在哪里",
        "请问我上个星期在你们网上商店订购的那个蓝色大包裹现在在哪里",
    ),
    ("พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหน", "พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหนคะ"),
    ("Donaudampfschifffahrtsgesellschaftskapitän gesucht", "Donaudampfschiffahrtsgesellschaftskapitän gesucht"),
    (
        "a text with half of an emoji \ud83d in the middle of it",
        "a text with half of an emoji \ud83d in the middle of it too",
    ),
]
OTHERS = [
    (PARCEL, "Where is the shop that I visited last year?"),
    (PARCEL, "Why was the parcel sent back to the shop last week?"),
    (PARCEL, "I ordered a parcel, where is it?"),
    ("请问我上个星期订购的包裹现在在哪里可以查到呢谢谢", "我想退回昨天收到的那件衣服请问应该怎么办理手续"),
    ("turn on the light", "turn off the light"),
    *(("lights on", "lights off"), ("lights on", "lights on please"), ("pause radio", "unpause radio")),
    ("turn on the kitchen light", "turn on the bedroom light"),
    ("make the hallway lamp a bit brighter", "make the bedroom lamp a bit brighter"),
    ("set a timer for two minutes", "set a timer for ten minutes"),
    *(("great :)", "great :("), ("2 + 2", "2 - 2"), ("?!", "..."), ("", "")),
    (ORDER.format(7), ORDER.format(8)),  # numbers are content
    *(
        ((LOUDER, "up"), (QUIETER, "down")),
        ((LOUDER, ANSWER), (QUIETER, "We cannot find it anywhere, sorry for that.")),
    ),
]


@pytest.mark.parametrize(
    ("one", "other", "near"), [*((*pair, True) for pair in COPIES), *((*pair, False) for pair in OTHERS)]
)
def test_what_is_near_and_what_is_not(one, other, near):
    assert within(one, "How do I return a lamp?", other) == ((2, 0),) * near
    assert near_copies(wordings([other]), wordings([one]))[1] == [(0, 0)] * near


def test_a_chain_keeps_what_is_near_to_no_kept_row():
    """A copy of a copy is one only if it is near to a row that is kept."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    other = ["altered", "modified"]
    chain = [" ".join(other[:done] + words[done:]) for done in (0, 1, 2)]
    assert within(chain[0], chain[1]) == ((1, 0),)
    assert within(chain[1], chain[2]) == ((1, 0),)
    assert within(*chain) == ((1, 0),)


def test_a_test_row_names_all_training_rows_it_is_near_to_also_of_the_same_words_with_its_answer():
    near = [PARCEL.replace(*one) for one in (("week", "weeks"), ("week", "weeks!"), ("is", "iss"), ("", ""))]
    training = ["something else altogether here", *near]
    assert near_copies(wordings(training), wordings([PARCEL]))[1] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    training = list(zip(near[:2], ("up", "down"), strict=True))
    assert near_copies(wordings(training), wordings([(PARCEL, "down")]))[1] == [(0, 1)]


def test_there_are_no_more_pairs_than_rows():
    across = near_copies(wordings([PARCEL] * 50), wordings([f"{PARCEL}{'!' * i}" for i in range(50)]))[1]
    assert len(across) == 99
    assert [{pair[side] for pair in across} for side in (0, 1)] == [set(range(50))] * 2


WORDS = ["where", "is", "the", "parcel", "invoice", "ordered", "yesterday", "number", "7", "8"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)


@settings(suppress_health_check=[HealthCheck.too_slow])
@example([], [PARCEL.lower(), PARCEL.lower().replace("week", "weeks")])
@given(st.lists(SENTENCES, max_size=25), st.lists(SENTENCES, max_size=5))
def test_the_search_finds_what_comparing_all_pairs_finds(training, test):
    within, across, _ = near_copies(wordings(training), wordings(test))
    kept = []
    expected = []
    for row, text in enumerate(training):
        near = next((one for one in kept if brute_force_near(training[one], text)), None)
        expected += [] if near is None else [row]
        kept += [row] if near is None else []
    assert [row for row, _ in within] == expected
    assert all(brute_force_near(training[row], training[first]) for row, first in within)
    near = {(i, j) for i, text in enumerate(test) for j, one in enumerate(training) if brute_force_near(one, text)}
    assert set(across) <= near
    assert [{pair[side] for pair in across} for side in (0, 1)] == [{pair[side] for pair in near} for side in (0, 1)]


def brute_force_near(one, other):
    if words(one) == words(other):
        return True
    numbers = [sorted(word for word in text.split() if word.isdigit()) for text in (one, other)]
    long = min(len(words(one)), len(words(other))) >= SHORTEST
    return long and numbers[0] == numbers[1] and resemblance(shingles(words(one)), shingles(words(other))) >= NEAR


def test_of_many_pairs_at_the_threshold_none_is_missed():
    """With a fixed seed on both sides: 1,000 sentences with a word changed, of which those that are near are found."""
    rng = random.Random(3)
    vocabulary = ["".join(rng.choices("abcdefghij", k=rng.randint(3, 8))) for _ in range(500)]
    originals = [rng.choices(vocabulary, k=rng.randint(7, 16)) for _ in range(1000)]
    copies = [[*words[:3], rng.choice(vocabulary), *words[4:]] for words in originals]
    training, test = ([" ".join(words) for words in rows] for rows in (originals, copies))
    near = {row for row in range(1000) if brute_force_near(training[row], test[row])}
    assert 300 < len(near) < 900
    found = {row for row, _ in near_copies(wordings(training), wordings(test))[1]}
    assert near <= found
    assert all(len(originals[row]) >= LEAST_WORDS for row in found - near)
    assert len(found) > 0.95 * len(near | {row for row in range(1000) if len(originals[row]) >= LEAST_WORDS})


def test_a_word_that_thousands_share_does_not_stop_the_search():
    rows = [
        f"{'the very same beginning of all these sentences ' * 3}{chr(97 + i // 26)}{chr(97 + i % 26)}"
        for i in range(250)
    ]
    assert [row for row, _ in within(*rows)] == list(range(1, 250))


TASK = "Classify the following message of a customer into one of the labels. "


def test_an_excerpt_shows_where_texts_differ_and_skips_what_they_share():
    for word in ("word ", "字"):
        one, other = differing(f"{word * 60}parcel {word * 60}", f"{word * 60}invoice {word * 60}")
        assert ("parcel" in one, "invoice" in other) == (True, True)
    days = [f"{TASK}It came on {day}" for day in ("Monday", "Tuesday")]
    assert differing(*days) == ("...came on monday", "...came on tuesday")
    assert differing("Where is it?", "where is it") == ("where is it?", "where is it")
    chats = [({"role": "system", "content": TASK}, {"role": "user", "content": text}) for text in ("one", "two")]
    assert not any("classify" in text for text in differing(*chats))
