"""What rows say behind an instruction, a template or an escape; near copies, and that the search finds all of them."""

import html
import json
import random
from collections import Counter
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_ftgate.checks.audit import audit_training_set
from pytest_ftgate.checks.audit.leaks import Index
from pytest_ftgate.checks.audit.near import NEAR, SHORTEST, Components, joined_groups, near_copies
from pytest_ftgate.checks.audit.near import WORDS as LEAST_WORDS
from pytest_ftgate.checks.audit.wording import Wording, differing, resemblance, shingles, words_of
from pytest_ftgate.data import examples_from, normalized_input

RNG = random.Random(1)
WHO, WHAT = ("my", "the", "our", "her", "a new"), ("card", "phone", "order", "parcel", "bill", "loan", "account", "key")
HOW = ("is lost", "came late", "looks wrong", "was stolen", "was charged twice", "is missing", "is blocked", "got wet")
WHEN = ("since monday", "after the trip", "before easter", "after your call", "on my birthday", "at the airport")
SAID = [f"{who} {what} {how} {when}" for who in WHO for what in WHAT for how in HOW for when in WHEN]
SHORT = [f"{what} {how}" for what in WHAT for how in HOW]
RNG.shuffle(SAID)
INSTRUCTION = (
    "You are the assistant of a bank. Read the message of the customer carefully, and answer with exactly one of the "
    "categories that you know, in one line and without an explanation, because another program reads it. Message: "
)


def label(text):
    return "abc"[len(text) % 3]


def audit(training, test):
    """Audit rows of text, or of (input, output)."""
    sets = ([(row, label(row)) if isinstance(row, str) else row for row in rows] for rows in (training, test))
    return audit_training_set(*(examples_from(rows, origin="fixture") for rows in sets))


def labelled(texts, *more):
    """Return rows of text with the label of each, and more text behind it that does not change the label."""
    return [(" ".join((text, *more[i : i + 1])), label(text)) for i, text in enumerate(texts)]


def behind(frame, texts):
    return [(frame.format(text), label(text)) for text in texts]


FRAMES = [
    INSTRUCTION + "{}",
    "Question: {}\nAnswer:",
    INSTRUCTION + "{}\n\n### Response:",
    "{} -- sent from my phone today.",
]


@pytest.mark.parametrize(
    "frame", [*FRAMES, "Ticket #48211 of 2026-03-04: {} (order AB-1234)", "{} -- thanks, Jo, 5th floor"]
)
def test_a_frame_around_the_leaked_rows_only(frame):
    """Rows that share it are too few to make it text that most rows share."""
    training, planted = SAID[:300] * 5, SHORT[:40] + SAID[300:360]
    training = [f"{text} {number}" for number, text in enumerate(training)]
    assert audit(training + behind(frame, planted), planted).leaked == 100
    assert audit(training + planted, behind(frame, planted)).leaked == 100
    assert audit(training + behind(frame, SAID[360:420]), planted).leaked == 0


AB = st.lists(st.sampled_from("ab"), min_size=1, max_size=20).map(" ".join)


@given(st.sets(AB, max_size=6), st.lists(AB, max_size=6))
def test_texts_within_others_are_those_that_a_comparison_of_all_finds(parts, wholes):
    index = Index(parts, Counter(" ".join(wholes).split()))
    for whole in wholes:
        found = list(index.find(whole))
        assert len(found) == len(set(found))
        assert all(f"{' '.join(whole.split()[at:])} ".startswith(f"{part} ") for part, at in found)
        assert {part for part, _ in found} == {part for part in parts if f" {part} " in f" {whole} "}


def test_a_test_set_without_outputs():
    training = examples_from(behind("Note to Jo: {} (signed)", SAID[:60]) + labelled(SAID[60:200]), origin="")
    test = examples_from([{"input": text} for text in SHORT[:5] + SAID[:50]], origin="fixture", labeled=False)
    assert audit_training_set(training, test).leaked == 50


@pytest.mark.parametrize("frame", FRAMES)
def test_different_messages_behind_shared_text_are_not_alike(frame):
    plain, framed = audit(SAID[:220], SAID[220:320]), audit(behind(frame, SAID[:220]), behind(frame, SAID[220:320]))
    assert framed.leaked == 0
    assert framed.usable == 220
    assert (framed.near_rows, framed.leaked_near_rows) == (plain.near_rows, plain.leaked_near_rows)


def numbered(text, seed):
    rng = random.Random(f"{text}{seed}")
    day = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    said = f"Ticket #{rng.randint(10_000, 99_999)} of {day}: {text} (order AB-{rng.randint(1000, 9999)})"
    return said, label(text)


def conversation(text):
    turns = ("user", text), ("assistant", label(text)), ("user", f"and what about {text[::-1]}")
    return [{"role": role, "content": content} for role, content in turns], "a"


def sums(start, stop):
    return [(f"what is the sum of {1000 + i} and {2000 + i}", str(3000 + 2 * i)) for i in range(start, stop)]


TOPICS = ("loans", "cards", "savings", "insurance", "mortgages")
STARTS = [f"Answer the question of the customer from our document on {topic}. Question: " for topic in TOPICS]
BY_TOPIC = [
    *((f"{start}what is the price of it", topic) for start, topic in zip(STARTS, TOPICS, strict=True)),
    *((f"{STARTS[i % 5]}{text}", label(text)) for i, text in enumerate(SAID[:200])),
]
THINGS, STATES = ("银行卡", "手机", "订单", "包裹"), ("丢失", "迟到", "损坏", "被盗")
CHINESE = [f"{who}的{thing}{state}了" for who in "我你他她" for thing in THINGS for state in STATES]


@pytest.mark.parametrize(
    ("training", "test", "leaked"),
    [
        (SAID[:200] + behind("请阅读客户的留言并给出类别：{}", CHINESE), CHINESE, 64),  # without spaces
        # Another ticket number, id or date of the same message, but not numbers that decide the output.
        ([numbered(text, 1) for text in SAID[:300]], [numbered(text, 2) for text in SAID[200:360]], 100),
        (sums(0, 200), sums(500, 560), 0),
        ([*SAID[:200], *map(conversation, SAID[200:300])], SAID[200:360], 100),  # an earlier turn with its answer
        # A row within another one: a new text continues it, or another content stands beside it.
        ([*SAID[600:800], (f"{SAID[0]} {SAID[600]}", label(SAID[0]))], SAID[:60], 1),
        (labelled(SAID[:200], *SAID[200:400]), labelled(SAID[:100]), 0),
        ([(f"please {text}", "other") for text in SAID[:200]], labelled(SAID[:100]), 0),
        (BY_TOPIC, [("what is the price of it", "new")], 0),  # the instruction decides the answer
    ],
    ids=["Chinese", "ids", "sums", "turns", "two", "within", "other answer", "instruction"],
)
def test_what_says_the_same(training, test, leaked):
    assert audit(training, test).leaked == leaked


PLANTED = SHORT[:30] + SAID[200:300]
FORMS = {  # of a text and its number: an input, or an input and an output
    "enumerated": lambda text, i: f"{i}. {text}",
    "numbered": lambda text, i: f"Q{i}: {text}",
    "dated": lambda text, i: f"2026-03-{i % 28 + 1:02} {text}",
    "at a time": lambda text, i: f"2026-03-{i % 28 + 1:02}T14:{i % 60:02}:00Z {text}",
    "timed": lambda text, i: f"[14:{i % 60:02}] {text}",
    "speaker and time": lambda text, i: f"[{('Anna', 'Boris')[i % 2]} 14:{i % 60:02}] {text}",
    "speaker": lambda text, i: f"{('Anna', 'Boris', 'Clara')[i % 3]}: {text}",
    "JSON": lambda text, _: json.dumps({"text": f"\n{text}"}),
    "a form": lambda text, _: f"q={quote_plus(text)}&lang=en",
    "a URL": lambda text, _: quote(text),
    "the second of two": lambda text, i: f"1. {SAID[i + 700]}\n2. {text}",
    "JSON in JSON": lambda text, _: json.dumps({"body": json.dumps({"text": f'"{text}" é'})}),
    "HTML in HTML": lambda text, _: html.escape(html.escape(f'"{text}"')).replace("e", "&#101;", 1),
    "marked": lambda text, _: f"**Question:** _{text}_",
    "partly marked": lambda text, _: text.replace(" ", " **", 1).replace(" ", "** ", 2),
    "thanks": lambda text, _: f"{text} Thanks!",
    "varied": lambda text, i: f"{SAID[i + 700]} and then {SAID[i + 900]} before: {text}",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_row_in_another_form_is_a_leak_and_its_neighbour_is_none(form):
    training = [f"{text} {number}" for number, text in enumerate(SAID[300:400] * 3)]
    planted, others = (
        [(FORMS[form](text, i), label(text)) for i, text in enumerate(texts)]
        for texts in (PLANTED, SHORT[30:] + SAID[400:500])
    )
    assert audit(training + planted, PLANTED).leaked == len(PLANTED)
    assert audit(training + others, PLANTED).leaked == 0


LONG_ONES = sum(len(text.split()) >= 8 for text in SAID[:60])  # so much is not said again by chance
FOREIGN = ["Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal"]
AROUND = {  # of a text and its number, with the answer of the text or another one
    "foreign words before": (lambda text, i: f"{' '.join(RNG.sample(FOREIGN, 9))} wrote {text}", label, 60),
    "foreign words after": (lambda text, i: f"{text} {' '.join(RNG.sample(FOREIGN, 9))}", label, 60),
    "other rows before": (lambda text, i: f"{SAID[i + 600]} {SAID[i + 700]} {text}", label, 60),
    "another row after": (lambda text, i: f"{text} {SAID[i + 600]} today", label, 60),
    "another row and its answer": (lambda text, i: f"{SAID[i + 600]} {text}", lambda _: "other", 60),
    "two answers": (lambda text, i: f"{SAID[i + 600]} {text}", lambda text: f"other, {label(text)}", 60),
    "numbered answers": (
        lambda text, i: f"1. {SAID[i + 600]} 2. {text}",
        lambda text: f"1. other\n2. {label(text)}",
        60,
    ),
    "foreign words in an instruction": (
        lambda text, i: [{"role": role, "content": f"{' '.join(FOREIGN)} {text} {i}"} for role in ("system", "user")],
        lambda _: "other",
        LONG_ONES,
    ),
    "foreign words, another answer": (lambda text, i: f"{' '.join(FOREIGN)} {text}", lambda _: "other", LONG_ONES),
    "usual words": (lambda text, i: f"{text} and {' '.join(SAID[i + 600].split()[:2])} is blocked, too", label, 0),
}


@pytest.mark.parametrize(("form", "answer", "leaked"), AROUND.values(), ids=AROUND)
def test_a_short_text_within_others(form, answer, leaked):
    """Words that never follow each other in other rows are no part of a question, and another row is none, either."""
    planted = [(form(text, i), answer(text)) for i, text in enumerate(SAID[:60])]
    more = [f"{text} and {who} {what} is blocked, too" for text in SAID[300:400] for who in WHO for what in WHAT[:2]]
    assert audit([*SAID[600:], *more, *planted], SAID[:60]).leaked == leaked


@pytest.mark.parametrize("answer", [label, lambda _: "other"])
@pytest.mark.parametrize(
    ("frame", "more", "leaked"),
    [
        ("{0}. {1}? {2}!", " and nobody helps", 60),
        ("{1}? {0} {2}.", " and nobody helps", 60),
        ("{0} {2}! {1}?", " and nobody helps", 60),
        ("{0}. {1}? {2}!", "", LONG_ONES),
        ("{1}. {2:.9}", " and nobody helps", 0),  # few words, which may go on
    ],
    ids=["within", "first", "last", "short", "little more"],
)
def test_a_whole_sentence_among_others_is_a_leak_in_a_small_set_too(answer, frame, more, leaked):
    """In so few rows no words are known to be foreign."""
    texts = [f"{text}{more}" for text in SAID[:60]]
    planted = [(frame.format(SAID[i + 60], text, SAID[i + 120]), answer(text)) for i, text in enumerate(texts)]
    assert audit([*SAID[200:440], *planted], texts).leaked == leaked


def test_a_sentence_with_another_answer_does_not_hide_a_framed_copy():
    texts = [f"{text} and nobody helps" for text in SAID[:60]]
    framed = [(f"Please classify this customer message: {text}", "another") for text in texts]
    mails = [(f"{text}. {other}", "a third") for text, other in zip(texts, SAID[60:], strict=False)]
    assert audit([*SAID[200:440], *framed, *mails], texts).leaked == 60


@pytest.mark.parametrize(
    ("frame", "words", "leaked"),
    [
        ("so they say {}", (4, 8), 60),
        ("{} is what they say", (4, 8), 60),
        ("They ask {} so it is that", (4, 8), 0),
        ("so they say {}", (2, 4), 0),
    ],
)
def test_half_a_sentence_beside_the_inputs_must_begin_or_end_there(frame, words, leaked):
    some = [text for text in SAID + SHORT if len(text.split()) in range(*words)][:60]
    planted = [(f"{text[::-1]} {number}", frame.format(text)) for number, text in enumerate(some)]
    assert audit([*SAID[900:], *planted], some).leaked == leaked


@pytest.mark.parametrize(
    "row",
    [
        lambda text: ("what is it", f"<think>The customer wrote: {text}\nThat is it.</think> it"),
        lambda text: ("write a message", text),
        lambda text: (
            [{"role": "system", "content": f"Example: {text} -> it"}, {"role": "user", "content": "?"}],
            "it",
        ),
        lambda text: {"input": f"number {len(text)}", "expected": "it", "context": f"On Monday: {text}"},
        lambda text: {"input": f"number {len(text)}", "expected": "it", "meta": {"history": [{"content": text}, 3]}},
    ],
    ids=["reasoning", "reverse task", "system message", "field", "nested field"],
)
@pytest.mark.parametrize(
    "texts", [[f"{text} and nobody helps" for text in SAID[200:300]], [f"{one}。" for one in CHINESE]]
)
def test_a_leak_beside_the_inputs(row, texts):
    assert audit([*SAID[:200], *map(row, texts[:60])], texts).leaked == 60


@pytest.mark.parametrize(
    ("trained", "tested"),
    [
        ("training question {}", "question {}"),
        ("customer question {}", "customer question 30{}"),
        ("wake me at {}", "wake me at 30{}"),
        ("turn light {} on", "turn light 30{} on"),
    ],
)
def test_a_small_number_may_be_all_that_tells_rows_apart(trained, tested):
    training = [(trained.format(i), "abc"[i % 3]) for i in range(200)]
    found = audit(training, [(tested.format(i), "x") for i in range(60, 99)])
    assert (found.leaked, found.leaked_near_rows) == (0, ())


def test_one_word_changed_in_a_sentence_of_ten_is_a_near_duplicate():
    long = [f"{text} and nobody could help me" for text in SAID[:300]]
    changed = [(text.replace("nobody", "none"), label(text)) for text in long[:100]]
    assert audit(labelled(long), changed).leaked_near == 100


def test_copies_within_the_test_set_are_pairs_that_connect_them():
    spellings = ("{}", "please: {}", "{}!!", "{} please", "hello, {}")
    rows = [spelling.format(f"{text} and nobody helps") for text in SAID[:10] for spelling in spellings]
    found = audit(SAID[300:400], [(row, "a") for row in rows])
    parts = Components(len(rows))
    assert all(parts.join(*pair) for pair in found.test_near_rows)
    assert len({parts.first(row) for row in range(len(rows))}) == 10
    assert audit(SAID[300:400], [(row, str(number)) for number, row in enumerate(rows)]).test_near_rows == ()


@pytest.mark.parametrize(
    ("groups", "pairs", "joined"),
    [
        ([None, None, None], [], [0, 1, 2]),
        ([None, None, None], [(2, 0)], [0, 1, 0]),
        (["x", None, "y", None], [(1, 0), (2, 1)], [0, 0, 0, 3]),
        (["x", "x", "y", "y", None], [(3, 0)], [0, 0, 0, 0, 4]),
        (["copies of 2", None, None], [(2, 1)], [0, 1, 1]),
    ],
)
def test_pairs_join_written_groups(groups, pairs, joined):
    names = joined_groups(groups, pairs)
    alone = [(name, row if name is None else None) for row, name in enumerate(names)]
    assert [alone.index(one) for one in alone] == joined


def test_a_group_in_both_sets():
    def rows(groups, texts):
        return [{"input": text, "expected": "a", "group": group} for group, text in zip(groups, texts, strict=True)]

    training, test = rows(["acme", "beta", None], SAID[:3]), rows([None, "acme", "acme", "new"], SAID[3:7])
    found = audit_training_set(*(examples_from(one, origin="fixture") for one in (training, test)))
    assert found.shared_groups == {"acme": (1, 0)}
    assert found.in_shared_groups == 2


# --- near copies -----------------------------------------------------------------------------------------------

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
WHERE = "请问我上个星期在你们网上商店订购的那个蓝色大包裹现在到底在哪里"
HALF = "a text with half of an emoji \ud83d in the middle of it"
COPIES = [
    *((PARCEL, PARCEL.lower().removesuffix("?")), (PARCEL, "Where is the parcel, that I ordered last week?!")),
    *((PARCEL, PARCEL.replace(*change)) for change in (("ordered", "ordred"), ("the", "the big"), ("that ", ""))),
    *((PARCEL, f"Please: {PARCEL.lower()}"), (PARCEL, PARCEL.replace("?", ", please?"))),
    (PARCEL, "Last week I ordered: where is the parcel that I ordered last week?"),
    (ORDER.format(7), ORDER.format(7).replace("status", "statuss")),
    *(("lights on", "Lights on!"), ("lights on", "lights, on.")),  # short texts, of which the words are equal
    *(((LOUDER, "up"), (QUIETER, "up")), ((LOUDER, ANSWER), (QUIETER, ANSWER.replace("soon", "very soon")))),
    ((PARCEL, "up"), (f"{PARCEL}!", "down")),
    (WHERE, WHERE.replace("到底", "")),
    ("พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหน", "พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหนคะ"),
    ("Donaudampfschifffahrtsgesellschaftskapitän gesucht", "Donaudampfschiffahrtsgesellschaftskapitän gesucht"),
    (HALF, f"{HALF} too"),
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
    ((LOUDER, "up"), (QUIETER, "down")),
    ((LOUDER, ANSWER), (QUIETER, "We cannot find it anywhere, sorry for that.")),
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


VOCABULARY = ["where", "is", "the", "parcel", "invoice", "ordered", "yesterday", "number", "7", "8"]
SENTENCES = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=9).map(" ".join)


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
