"""What rows say behind an instruction, a template or an escape; near copies, and that the search finds all of them."""

import html
import json
import random
from collections import Counter
from runpy import run_path
from urllib.parse import quote, quote_plus

import pytest
from doc_pages import ROOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_ftgate.checks.audit import audit_training_set
from pytest_ftgate.checks.audit.leaks import Index
from pytest_ftgate.checks.audit.near import NEAR, Components, Row, joined_groups, near_copies
from pytest_ftgate.checks.audit.wording import (
    all_words_of,
    masked,
    resemblance,
    shingles,
    texts_of,
    words_of,
)
from pytest_ftgate.data import examples_from, normalized_input

RNG = random.Random(1)
WHO, WHAT = (
    ("my", "the", "our", "her", "a new"),
    ("card", "phone", "order", "parcel", "bill", "loan", "account", "key"),
)
HOW = (
    "is lost",
    "came late",
    "looks wrong",
    "was stolen",
    "was charged twice",
    "is missing",
    "is blocked",
    "got wet",
)
WHEN = (
    "since monday",
    "after the trip",
    "before easter",
    "after your call",
    "on my birthday",
    "at the airport",
)
SAID = [
    f"{who} {what} {how} {when}" for who in WHO for what in WHAT for how in HOW for when in WHEN
]
SHORT = [f"{topic} {how}" for topic in WHAT for how in HOW]
RNG.shuffle(SAID)
INSTRUCTION = (
    "You are the assistant of a bank. Read the message of the customer carefully, and answer with exactly one of the "
    "categories that you know, in one line and without an explanation, because another program reads it. Message: "
)


MORE = (
    "and nobody helps me",
    "so please call me back",
    "what can i do now",
    "although it was paid",
)
LONG = [f"{text} {MORE[i % 4]}" for i, text in enumerate(SAID)]  # ten words or more


def label(text):
    return "abc"[len(text) % 3]


def audit(training, test):
    """Audit rows of text, or of (input, output)."""
    sets = (
        [(row, label(row)) if isinstance(row, str) else row for row in rows]
        for rows in (training, test)
    )
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
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
    "classify {}",
    "{} label",
    "```text\n{}\n``` What is it?",
]


def words_between(least, largest):
    return st.lists(st.sampled_from("ab"), min_size=least, max_size=largest).map(" ".join)


@given(st.sets(words_between(8, 12), max_size=6), st.lists(words_between(1, 40), max_size=6))
def test_texts_within_others_are_those_that_a_comparison_of_all_finds(texts, wholes):
    index = Index(texts, Counter(" ".join(wholes).split()))
    for whole in wholes:
        pairs_found = list(index.find(whole))
        assert len(pairs_found) == len(set(pairs_found))
        assert all(
            f"{' '.join(whole.split()[at:])} ".startswith(f"{text} ") for text, at in pairs_found
        )
        assert {text for text, _ in pairs_found} == {
            text for text in texts if f" {text} " in f" {whole} "
        }


def test_a_test_set_without_outputs():
    training = examples_from(
        behind("Note to Jo: {} (signed)", LONG[:60]) + labelled(SAID[60:200]), origin=""
    )
    test = examples_from(
        [{"input": text} for text in SHORT[:5] + LONG[:50]], origin="fixture", labeled=False
    )
    assert audit_training_set(training, test).leaked == 50


NUMBERED = {
    "customer": "Customer {n} says {text}",
    "number and language": "{n} {text} en",
    "YAML": "id: {n}\ntext: {text}\nlang: en",
    "ticket": "Ticket #{n} of 2026-03-{day}: {text} (order AB-{n})",
}


@pytest.mark.parametrize(
    "frame", [*FRAMES, *NUMBERED.values()], ids=[*map(str, range(len(FRAMES))), *NUMBERED]
)
def test_a_template_around_nine_in_ten_rows_hides_nothing(frame):
    """Of either set, and of short inputs too."""
    texts = SHORT[:40] + SAID[:260]

    def framed(some):
        return [
            (frame.format(text, text=text, n=417 + i, day=10 + i % 9), label(text))
            for i, text in enumerate(some)
        ]

    assert audit(framed(texts), texts[:100]).leaked == 100
    assert audit(texts, framed(texts[:100])).leaked == 100
    assert audit(framed(texts), framed(texts[:100])[::-1]).leaked == 100
    plain = audit(texts, SHORT[40:60] + SAID[300:360])
    apart = audit(framed(texts), SHORT[40:60] + SAID[300:360])
    assert (apart.leaked, apart.leaked_near_rows) == (plain.leaked, plain.leaked_near_rows)
    assert plain.leaked == 0


@pytest.mark.parametrize(("framed", "leaked"), [(90, 10), (89, 0)])
def test_fewer_than_nine_in_ten_rows_have_no_template(framed, leaked):
    training = behind("Question: {}\nAnswer:", SHORT[:10] + SAID[: framed - 10]) + labelled(
        SAID[framed:100]
    )
    assert audit(training, labelled(SHORT[:10])).leaked == leaked


@pytest.mark.parametrize("frame", FRAMES)
def test_different_messages_behind_shared_text_are_not_alike(frame):
    plain, framed = (
        audit(SAID[:220], SAID[220:320]),
        audit(behind(frame, SAID[:220]), behind(frame, SAID[220:320])),
    )
    assert framed.leaked == 0
    assert framed.usable == 220
    assert (framed.near_rows, framed.leaked_near_rows) == (plain.near_rows, plain.leaked_near_rows)


def numbered(text, seed):
    rng = random.Random(f"{text}{seed}")
    day = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    message = f"Ticket #{rng.randint(10_000, 99_999)} of {day}: {text} (order AB-{rng.randint(1000, 9999)})"
    return message, label(text)


def conversation(text):
    turns = ("user", text), ("assistant", label(text)), ("user", f"and what about {text[::-1]}")
    return [{"role": role, "content": content} for role, content in turns], "a"


def sums(start, stop):
    return [
        (f"what is the sum of {1000 + i} and {2000 + i}", str(3000 + 2 * i))
        for i in range(start, stop)
    ]


LONG_ONES = sum(len(text.split()) >= 8 for text in SAID[:100])
TOPICS = ("loans", "cards", "savings", "insurance", "mortgages")
STARTS = [
    f"Answer the question of the customer from our document on {topic}. Question: "
    for topic in TOPICS
]
BY_TOPIC = [
    *(
        (f"{start}what is the price of it", topic)
        for start, topic in zip(STARTS, TOPICS, strict=True)
    ),
    *((f"{STARTS[i % 5]}{text}", label(text)) for i, text in enumerate(SAID[:200])),
]
THINGS, STATES = ("银行卡", "手机", "订单", "包裹"), ("丢失", "迟到", "损坏", "被盗")
DAYS = ("星期一", "星期二", "星期三")
CHINESE = [
    f"{who}的{noun}{day}{end[0]}{state}{end[1:]}"
    for who in "我你他"
    for noun in THINGS
    for state, end in zip(
        STATES,
        ("又了怎么办好呢", "就请问能退款吗", "还没有人来帮忙", "可我已经付钱了"),
        strict=True,
    )
    for day in DAYS
]
THAI = "พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหน"
HINDI = "मेरा पार्सल कहाँ है जो मैंने पिछले हफ्ते मंगवाया था"


@pytest.mark.parametrize(
    ("training", "test", "leaked"),
    [
        (
            SAID[:200] + behind("请阅读客户的留言并给出类别：{}", CHINESE[:60]),
            CHINESE[:60],
            60,
        ),  # without spaces
        (
            SAID[:200] + behind("请阅读客户的留言并给出类别：{}", ["包裹在哪里"]),
            ["包裹在哪里"],
            0,
        ),  # five signs
        (SAID[:20] + behind("คำถาม {} ขอบคุณ", [THAI]), [THAI], 1),
        (SAID[:20] + behind("प्रश्न {} धन्यवाद", [HINDI]), [HINDI], 1),
        # four words
        (SAID[:20] + behind("प्रश्न {} धन्यवाद", [HINDI]), [HINDI.split(" जो")[0]], 0),
        # Words with a digit are equal if the outputs are.
        (
            [numbered(text, 1) for text in SAID[:300]],
            [numbered(text, 2) for text in SAID[200:360]],
            100,
        ),
        ([*SAID[:99], numbered(SAID[600], 1)], [numbered(SAID[600], 2)], 1),
        ([*SAID[:99], (numbered(SAID[600], 1)[0], "another")], [numbered(SAID[600], 2)], 0),
        ([*SAID[:99], (numbered(SAID[600], 1)[0], "another")], [numbered(SAID[600], 1)], 1),
        (sums(0, 200), sums(500, 560), 0),
        # an earlier turn with its answer
        ([*SAID[:200], *map(conversation, LONG[200:300])], LONG[200:360], 100),
        # too short in a row of its own
        ([*SAID[:200], *map(conversation, SHORT[:60])], SHORT[:60], 0),
        # a row within another one
        ([*SAID[600:800], (f"{LONG[0]} {SAID[600]}", label(SAID[0]))], LONG[:60], 1),
        ([*SAID[600:800], (f"{SAID[600]} {LONG[0]}", "another")], LONG[:60], 1),
        ([*SAID[600:800], " ".join(LONG[0].split()[:-1])], LONG[:60], 0),  # not all of its words
        # those of eight words
        (labelled(SAID[:200], *SAID[200:400]), labelled(SAID[:100]), LONG_ONES),
        (BY_TOPIC, [("what is the price of it", "new")], 0),  # six words
        # symbols are no punctuation
        ([*SAID[:99], "no parking > 3 cars"], ["no parking < 3 cars"], 0),
        # no word at all
        ([*SAID[:99], ". . . . . . . . <b> . . ."], [". . . . . . . . <b> . . .", "! ! ! !"], 1),
        ([*SAID[:99], ("lights: ON!", "x")], [("Lights, on", "y")], 1),
    ],
    ids=range(20),
)
def test_what_says_the_same(training, test, leaked):
    assert audit(training, test).leaked == leaked


def test_inputs_of_tags_alone_say_what_their_tags_do():
    """As in rows about HTML: they are no copies of each other, and a leaked one is found."""
    tags = [f'<img alt="{text}"/>' for text in SAID[:60]]
    found = audit(tags[:40], tags[39:])
    assert (found.usable, found.leaked, found.leaked_near) == (40, 1, 0)
    assert (found.near_rows, found.test_near_rows) == ((), ())


PLANTED = LONG[200:260]
CHAT = [{"role": "system", "content": "{}"}, {"role": "user", "content": "so what"}]
FORMS = {  # of a text and its number: an input, a row of an input and an output, or a mapping
    "enumerated": lambda text, i: f"{i}. {text}",
    "numbered": lambda text, i: f"Q{i}: {text}",
    "dated": lambda text, i: f"2026-03-{i % 28 + 1:02} {text}",
    "at a time": lambda text, i: f"2026-03-{i % 28 + 1:02}T14:{i % 60:02}:00Z {text}",
    "speaker and time": lambda text, i: f"[{('Anna', 'Boris')[i % 2]} 14:{i % 60:02}] {text}",
    "customer": lambda text, i: f"Customer {i} says {text}",
    "ChatML": lambda text, _: FRAMES[4].format(text),
    "Gemma": lambda text, _: FRAMES[5].format(text),
    "Llama 3": lambda text, _: FRAMES[6].format(text),
    "SQL": lambda text, i: f"INSERT INTO questions VALUES ({i}, '{text}', '{label(text)}');",
    "YAML": lambda text, i: f"id: {i}\ntext: {text}\nlang: en",
    "JSON": lambda text, _: json.dumps({"text": f"\n{text}"}),
    "JSON in JSON": lambda text, _: json.dumps({"body": json.dumps({"text": f'"{text}" é'})}),
    "a form": lambda text, _: f"q={quote_plus(text)}&lang=en",
    "a URL": lambda text, _: quote(text),
    "a slug": lambda text, _: text.replace(" ", "-"),
    "underscores": lambda text, _: text.replace(" ", "_"),
    "HTML in HTML": lambda text, _: html.escape(html.escape(f'"{text}"')).replace("e", "&#101;", 1),
    "HTML tags": lambda text, _: "".join(f"<b>{word}</b> " for word in text.split()),
    "HTML with attributes": lambda text, _: f'<p class="x">{text.replace(" ", "<br/>", 2)}</p>',
    "escaped HTML tags": lambda text, _: html.escape(f"<p><em>{text}</em></p>"),
    "marked": lambda text, _: f"**Question:** _{text}_",
    "partly marked": lambda text, _: text.replace(" ", " **", 1).replace(" ", "** ", 2),
    "fence": lambda text, _: f"Look at this: ```text {text} ``` What is it?",
    "letter": lambda text, i: f"Hi Anna, {text} Cheers {i}",
    "the second of two": lambda text, i: f"1. {SAID[i + 700]}\n2. {text}",
    "sentences": lambda text, i: (f"{SAID[i + 700]}. {text}? {SAID[i + 300]}!", "another"),
    "reasoning": lambda text, i: (
        f"what is it {i}",
        f"<think>They wrote: {text}\nThat is it.</think> it",
    ),
    "within a sentence": lambda text, i: (f"what is it {i}", f"They ask {text} so it is that"),
    "reverse task": lambda text, i: (f"write message {i}", text),
    "system message": lambda text, i: (
        [{**CHAT[0], "content": f"Example: {text} -> it"}, CHAT[1]],
        "it",
    ),
    "field": lambda text, i: {
        "input": f"number {i}",
        "expected": "it",
        "context": f"On Monday: {text}",
    },
    "nested field": lambda text, i: {
        "input": f"number {i}",
        "expected": "it",
        "meta": {"h": [{"c": text}, 3]},
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_a_long_row_in_a_dress_is_a_leak_and_its_neighbour_is_none(form):
    def dressed(texts):
        rows = [FORMS[form](text, i) for i, text in enumerate(texts)]
        return [
            (row, label(text)) if isinstance(row, str) else row
            for row, text in zip(rows, texts, strict=True)
        ]

    training = [f"{text} {number}" for number, text in enumerate(SAID[300:400] * 3)]
    assert audit(training + dressed(PLANTED), PLANTED).leaked == len(PLANTED)
    assert audit(training + dressed(LONG[400:460]), PLANTED).leaked == 0


def test_chinese_beside_the_inputs():
    for form in ("reasoning", "reverse task", "field", "sentences"):
        planted = [FORMS[form](text, i) for i, text in enumerate(CHINESE[:60])]
        assert audit([*SAID[:200], *planted], CHINESE[:60]).leaked == 60


NUMBERS = [
    "Example {n}: {text}",
    "{text} #{n}",
    "{text} (variant {n})",
    "[{n}/4] {text}",
    "{n}. {text}",
    "{text} v{n}",
]


@pytest.mark.parametrize("form", NUMBERS)
@pytest.mark.parametrize("plain", [True, False])
def test_rows_that_differ_in_a_number_at_an_end_are_one_usable_row(form, plain):
    rows = labelled(SAID[:60]) if plain else []
    for number in range(2, 5):
        rows += [(form.format(text=text, n=number), label(text)) for text in SAID[:60]]
    audit_result = audit(rows, SAID[300:360])
    assert (audit_result.usable, audit_result.conflicts) == (60, 0)


@pytest.mark.parametrize(
    ("rows", "usable"),
    [
        # a number that nothing sets off
        ([(f"training question {i}", "x") for i in range(50)], 50),
        ([(f"{i}:30 call mum", "x") for i in range(10, 20)], 10),
        ([(f"{i}. what is it", str(i)) for i in range(50)], 50),  # with other outputs
        (sums(0, 50), 50),
        (
            [(f"please cancel order number {i} today", "x") for i in range(50)] + [("pay it", "y")],
            51,
        ),
        (
            [(f"please {('cancel', 'pay')[i % 2]} order number {i} today", "x") for i in range(50)],
            50,
        ),
        ([(f"#{i}", "x") for i in range(50)], 50),
    ],
)
def test_a_number_that_may_be_content_counts(rows, usable):
    audit_result = audit(rows, SAID[300:360])
    assert (audit_result.usable, audit_result.conflicts) == (usable, 0)


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
    audit_result = audit(training, [(tested.format(i), "x") for i in range(60, 99)])
    assert (audit_result.leaked, audit_result.leaked_near_rows) == (0, ())


def test_copies_within_the_test_set_are_pairs_that_connect_them():
    spellings = ("{}", "please: {}", "{}!!", "{} please", "hello, {}")
    rows = [
        spelling.format(f"{text} and nobody helps") for text in SAID[:10] for spelling in spellings
    ]
    audit_result = audit(SAID[300:400], [(row, "a") for row in rows])
    components = Components(len(rows))
    for pair in audit_result.test_near_rows:
        components.join(*pair)
    assert len({components.first(row) for row in range(len(rows))}) == 10
    assert len(audit_result.test_near_rows) == len(rows) - 10  # no pair more than that takes
    assert (
        audit(SAID[300:400], [(row, str(number)) for number, row in enumerate(rows)]).test_near_rows
        == ()
    )


@pytest.mark.parametrize(
    ("groups", "pairs", "joined"),
    [
        ([None, None, None], [], [0, 1, 2]),
        ([None, None, None], [(2, 0)], [0, 1, 0]),
        (["x", None, "y", None], [(1, 0), (2, 1), (3, 1)], [0, 1, 2, 1]),
        (["x", "x", "y", "y", None], [(3, 0)], [0, 0, 2, 2, 4]),
    ],
)
def test_pairs_join_rows_without_a_group(groups, pairs, joined):
    names = joined_groups(groups, pairs)
    alone = [(name, row if name is None else None) for row, name in enumerate(names)]
    assert [alone.index(row) for row in alone] == joined


def test_a_group_in_both_sets():
    def rows(groups, texts):
        return [
            {"input": text, "expected": "a", "group": group}
            for group, text in zip(groups, texts, strict=True)
        ]

    training, test = (
        rows(["acme", "beta", None], SAID[:3]),
        rows([None, "acme", "acme", "new"], SAID[3:7]),
    )
    audit_result = audit_training_set(
        *(examples_from(one, origin="fixture") for one in (training, test))
    )
    assert audit_result.shared_groups == {"acme": 1}


# --- near copies -----------------------------------------------------------------------------------------------

PARCEL = "Where is the parcel that I ordered last week?"


def wordings(rows):
    pairs = [(row, "label") if isinstance(row, str) else row for row in rows]
    return [
        Row.of(texts_of([all_words_of(normalized_input(text))], masked)[0], output)
        for text, output in pairs
    ]


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
    *(
        (PARCEL, PARCEL.lower().removesuffix("?")),
        (PARCEL, "Where is the parcel, that I ordered last week?!"),
    ),
    *(
        (PARCEL, PARCEL.replace(*change))
        for change in (("ordered", "ordred"), ("the", "the big"), ("that ", ""))
    ),
    *((PARCEL, f"Please: {PARCEL.lower()}"), (PARCEL, PARCEL.replace("?", ", please?"))),
    (PARCEL, "Last week I ordered: where is the parcel that I ordered last week?"),
    (ORDER.format(7), ORDER.format(7).replace("status", "statuss")),
    # short texts, of which the words are equal
    *(("lights on", "Lights on!"), ("lights on", "lights, on.")),
    *(
        ((LOUDER, "up"), (QUIETER, "up")),
        ((LOUDER, ANSWER), (QUIETER, ANSWER.replace("soon", "very soon"))),
    ),
    (WHERE, WHERE.replace("到底", "")),
    ("พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหน", "พัสดุที่ฉันสั่งซื้อเมื่อสัปดาห์ที่แล้วอยู่ที่ไหนคะ"),
    (
        "Donaudampfschifffahrtsgesellschaftskapitän gesucht",
        "Donaudampfschiffahrtsgesellschaftskapitän gesucht",
    ),
    (HALF, f"{HALF} too"),
]
OTHERS = [
    (PARCEL, "Where is the shop that I visited last year?"),
    (PARCEL, "Why was the parcel sent back to the shop last week?"),
    (PARCEL, "I ordered a parcel, where is it?"),
    (
        "请问我上个星期订购的包裹现在在哪里可以查到呢谢谢",
        "我想退回昨天收到的那件衣服请问应该怎么办理手续",
    ),
    ("turn on the light", "turn off the light"),
    *(("lights on", "lights off"), ("lights on", "lights on please"), ("like it", "dislike it")),
    ((PARCEL, "up"), (f"{PARCEL}!", "down")),
    ((LOUDER, "level 7 of the volume"), (QUIETER, "level 8 of the volume")),
    ("turn on the kitchen light", "turn on the bedroom light"),
    ("make the hallway lamp a bit brighter", "make the bedroom lamp a bit brighter"),
    ("set a timer for two minutes", "set a timer for ten minutes"),
    *(("great :)", "great :("), ("2 + 2", "2 - 2"), ("?!", "...")),
    (ORDER.format(7), ORDER.format(8)),  # numbers are content
    ((LOUDER, "up"), (QUIETER, "down")),
    ((LOUDER, ANSWER), (QUIETER, "We cannot find it anywhere, sorry for that.")),
]


@pytest.mark.parametrize(
    ("first_text", "second_text", "near"),
    [*((*pair, True) for pair in COPIES), *((*pair, False) for pair in OTHERS)],
)
def test_what_is_near_and_what_is_not(first_text, second_text, near):
    assert within(first_text, "How do I return a lamp?", second_text) == ((2, 0),) * near
    assert near_copies(wordings([second_text]), wordings([first_text]))[1] == [(0, 0)] * near


def test_a_chain_keeps_what_is_near_to_no_kept_row():
    """A copy of a copy is one only if it is near to a row that is kept."""
    words = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ]
    changes = ["altered", "modified"]
    chain = [" ".join(changes[:done] + words[done:]) for done in (0, 1, 2)]
    assert within(chain[0], chain[1]) == ((1, 0),)
    assert within(chain[1], chain[2]) == ((1, 0),)
    assert within(*chain) == ((1, 0),)


def test_a_test_row_names_all_training_rows_it_is_near_to_also_of_the_same_words_with_its_answer():
    near = [
        PARCEL.replace(*pair)
        for pair in (("week", "weeks"), ("week", "weeks!"), ("is", "iss"), ("", ""))
    ]
    training = ["something else altogether here", *near]
    assert near_copies(wordings(training), wordings([PARCEL]))[1] == [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
    ]
    training = list(zip(near[:2], ("up", "down"), strict=True))
    assert near_copies(wordings(training), wordings([(PARCEL, "down")]))[1] == [(0, 1)]


def test_there_are_no_more_pairs_than_rows():
    across = near_copies(
        wordings([PARCEL] * 50), wordings([f"{PARCEL}{'!' * i}" for i in range(50)])
    )[1]
    assert len(across) == 99
    assert [{pair[side] for pair in across} for side in (0, 1)] == [set(range(50))] * 2


VOCABULARY = ["where", "is", "the", "parcel", "invoice", "ordered", "yesterday", "number", "7", "8"]
SENTENCES = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=9).map(" ".join)


@settings(suppress_health_check=[HealthCheck.too_slow])
@example([], [PARCEL.lower(), PARCEL.lower().replace("week", "weeks")])
@given(st.lists(SENTENCES, max_size=25), st.lists(SENTENCES, max_size=5))
def test_the_search_finds_what_comparing_all_pairs_finds(training, test):
    within, across, _ = near_copies(wordings(training), wordings(test))
    representatives = []
    expected = []
    for row, text in enumerate(training):
        near = next(
            (
                representative
                for representative in representatives
                if brute_force_near(training[representative], text)
            ),
            None,
        )
        expected += [] if near is None else [row]
        representatives += [row] if near is None else []
    assert [row for row, _ in within] == expected
    assert all(brute_force_near(training[row], training[first]) for row, first in within)
    near = {
        (i, j)
        for i, text in enumerate(test)
        for j, text_of_row in enumerate(training)
        if brute_force_near(text_of_row, text)
    }
    assert set(across) <= near
    assert [{pair[side] for pair in across} for side in (0, 1)] == [
        {pair[side] for pair in near} for side in (0, 1)
    ]


def brute_force_near(first_text, second_text):
    numbers = [
        sorted(word for word in text.split() if word.isdigit())
        for text in (first_text, second_text)
    ]
    return (
        numbers[0] == numbers[1]
        and resemblance(shingles(words(first_text)), shingles(words(second_text))) >= NEAR
    )


def test_of_many_pairs_at_the_threshold_none_is_missed():
    """With a fixed seed on both sides: 1,000 sentences with a word changed, of which those that are near are found."""
    rng = random.Random(3)
    vocabulary = []
    for _ in range(500):
        letters = rng.choices("abcdefghij", k=rng.randint(3, 8))
        vocabulary.append("".join(letters))

    originals = [rng.choices(vocabulary, k=rng.randint(3, 16)) for _ in range(1000)]
    training = []
    test = []
    for original in originals:
        changed = [*original[:2], rng.choice(vocabulary), *original[3:]]
        training.append(" ".join(original))
        test.append(" ".join(changed))

    near = {row for row in range(1000) if brute_force_near(training[row], test[row])}
    assert 300 < len(near) < 900

    across = near_copies(wordings(training), wordings(test))[1]
    assert {row for row, _ in across} == near


def test_a_word_that_thousands_share_does_not_stop_the_search():
    rows = [
        f"{'the very same beginning of all these sentences ' * 3}{chr(97 + i // 26)}{chr(97 + i % 26)}"
        for i in range(250)
    ]
    assert [row for row, _ in within(*rows)] == list(range(1, 250))


# --- numbers that tell outputs apart --------------------------------------------------------------

BENCHMARK = run_path(str(ROOT / "benchmarks" / "leaks.py"))


@pytest.mark.parametrize("kind", BENCHMARK["MADE_UP"])
def test_numbers_that_tell_outputs_apart_count(kind):
    """Nothing is a copy, and what is one is still found."""
    training, test = BENCHMARK["MADE_UP"][kind](None)
    clean = audit(training, test)
    assert (clean.leaked, clean.leaked_near, len(clean.test_near_rows)) == (0, 0, 0)
    assert (clean.usable, clean.distinct) == (800, 800)
    copies = [(text.upper(), output) for text, output in test[:20]]
    assert audit(training + copies, test).leaked == 20


def test_pairs_of_a_frequent_text_do_not_outweigh_all_other_rows():
    """Rows of a small table, of which one has the rare label, beside another row with the same words."""
    frequent = [(f"age {age} works in sales and is married now", "no") for age in range(20, 40)]
    others = []
    for job in (
        "farming",
        "repair",
        "tech",
        "clerical",
        "transport",
        "protective",
        "service",
        "care",
        "craft",
    ):
        others += [(f"age {age} works in {job} and is married now", "no") for age in (41, 52)]
    training = [*frequent, *others, ("age 33 works in science and is married now", "yes")]
    test = [
        ("age 60 works in science and is married now", "no"),
        ("age 44 works in sales and is married now", "no"),
    ]
    assert audit(training, test).leaked == 0


@pytest.mark.parametrize("dress", ["{}. {}", "Customer {} says {}", "Ticket #{}: {} (order AB-{})"])
def test_a_template_with_a_number_is_no_part_of_a_row_where_numbers_count(dress):
    """Short rows of a test set that lacks the template, in a set of which two rows differ in a number alone."""
    rows = [("use version 4", "benutze vier"), ("use version 5", "benutze sechs")]
    for number in range(40):
        text = f"{WHO[number % len(WHO)]} {WHAT[number // 8]} {chr(97 + number % 20)}"
        rows.append((text, text[::-1]))
    training = []
    for number, (text, output) in enumerate(rows, 10):
        training.append(
            (
                dress.replace("{}", str(number), 1)
                .replace("{}", text, 1)
                .replace("{}", str(number)),
                output,
            )
        )
    assert audit(training, rows[:5]).leaked == 5


def test_the_benchmark_counts_both_errors(capsys):
    """Without the words that all readings begin with they are too short to be found inside a ticket or ChatML."""
    BENCHMARK["main"](["--quick", "--data", "sensor"])
    *_, missed, reported = capsys.readouterr().out.splitlines()
    assert missed.split()[-3:] == ["180", "of", "360"]
    assert reported.split()[-3:] == ["0", "of", "340"]
