"""Which fields reveal the expected output, and which merely go with it or have it somewhere in them."""

from uuid import uuid4

import pytest

from pytest_ftgate.checks.prompt_leak import held_inputs, revealing_rows
from pytest_ftgate.data import canonical_json

LABELS = [("refund", "invoice", "shipping")[number % 3] for number in range(120)]
RARE = ["no"] * 114 + ["yes"] * 6
PATHS = (
    "images/{}/{}.png",
    "{}/x/{}",
    "s3://bucket/{1}/{0}-green.jpg",
    "{}_{}.wav",
    "C:\\data\\{}\\{}",
)
RECORDS = ("id={1};label={0};v=2", '{{"label": "{}", "id": "{}"}}')
SPANS = [f"{city} {number}" for number in range(30) for city in ("Berlin", "Paris", "Rome", "Oslo")]


def but_one(values):
    return [*values[:7], "another", *values[8:]]


@pytest.mark.parametrize("expected", [LABELS, RARE, SPANS], ids=["labels", "a rare label", "texts"])
@pytest.mark.parametrize(
    "form",
    [
        lambda label: label,
        lambda label: f" {label.upper()} ",
        lambda label: f"category={label}",
        lambda label: f"The answer is: {label}.",
        lambda label: {"label": label},
        lambda label: {"meta": [{"label": f"<{label}>"}], "id": id(label) % 1000},
        *(lambda label, form=form: form.format(label, uuid4().hex) for form in (*PATHS, *RECORDS)),
    ],
)
def test_a_field_that_is_the_answer(expected, form):
    values = [form(label) for label in expected]
    assert revealing_rows(values, expected) == [*range(120)]
    assert revealing_rows(but_one(values), expected) == [*range(7), *range(8, 120)]


@pytest.mark.parametrize("expected", [LABELS, RARE], ids=["labels", "a rare label"])
@pytest.mark.parametrize(
    "code",
    [len, lambda label: f"queue {ord(label[0])}", lambda label: {"id": len(label), "name": None}],
    ids=["a number", "a name", "in an object"],
)
def test_a_field_that_is_a_code_of_the_answer(expected, code):
    values = [code(label) for label in expected]
    assert revealing_rows(values, expected) == [*range(120)]
    assert revealing_rows(but_one(values), expected) == []


JSON = [{"label": label, "number": number} for number, label in enumerate(LABELS)]
BOXES = [f"I would like to order {number} boxes" for number in range(120)]
TELLS = {  # values of a field, and expected outputs
    "JSON": ([{"number": number, "label": label} for number, label in enumerate(LABELS)], JSON),
    "JSON in a sentence": (
        [f"the correct output for this row is {canonical_json(label)}" for label in JSON],
        JSON,
    ),
    "sentences that share words": ([f"gold answer: {box}" for box in BOXES], BOXES),
    "words in another order": (
        [(f"it is {box} now", f"now {box} it is")["9" in box] for box in BOXES],
        BOXES,
    ),
    "outputs that share a word": (
        [f"it is {label} ok" for label in LABELS],
        [f"{label} ok" for label in LABELS],
    ),
    "the other one of two": (
        [1 - number % 2 for number in range(120)],
        [str(number % 2) for number in range(120)],
    ),
    "digits backwards": (
        [9 - number % 10 for number in range(120)],
        [number % 10 for number in range(120)],
    ),
}


@pytest.mark.parametrize(("values", "expected"), TELLS.values(), ids=TELLS)
def test_a_field_that_tells_the_answer(values, expected):
    assert revealing_rows(values, expected) == [*range(len(expected))]


GOES_WITH = {  # values of a field, and expected outputs
    "another label": (["en", "de"] * 60, LABELS),
    "ids": (list(range(120)), LABELS),
    "documents with one label each": (
        [number // 3 for number in range(120)],
        (["refund"] * 3 + ["other"] * 3) * 20,
    ),
    "a rare language beside a rare label": (
        ["en" if number % 20 else "fr" for number in range(120)],
        RARE,
    ),
    "all labels": (["refund, invoice, shipping"] * 120, LABELS),
    "the most frequent one": (["no"] * 120, RARE),
    "half of the rare ones": (["no"] * 117 + ["yes"] * 3, RARE),
    "only one example": (["refund"], ["refund"]),
    "only one": (["no"] * 120, ["no"] * 120),
    "a category that goes with it": (
        [label if number % 5 else "refund" for number, label in enumerate(LABELS)],
        LABELS,
    ),
    "in varied words": (
        [f"{n} {label}s" if n % 2 else f"a lost {label} of {n}" for n, label in enumerate(LABELS)],
        LABELS,
    ),
    "yes and no in texts": (
        [f"customer {n} says there is no reason to, {label}" for n, label in enumerate(RARE)],
        RARE,
    ),
    "options": ([f"A refund {n} B invoice C shipping" for n in range(120)], LABELS),
    "ids of free text": (list(range(120)), SPANS),
    "a product with one label each": ([f"item {number % 12}" for number in range(120)], LABELS),
    "paths without it": ([f"a/{n % 7}/{uuid4().hex}.png" for n in range(120)], LABELS),
    "paths of a language": (
        [f"{'en' if n % 20 else 'fr'}/{uuid4().hex}.png" for n in range(120)],
        RARE,
    ),
    "absent": ([None] * 120, LABELS),
    "absent from a quarter": ([None] * 30 + LABELS[30:], LABELS),
    "no expected output": (LABELS, [""] * 120),
    "lists": ([{"tags": ["a", 1, None]}] * 120, LABELS),
}


@pytest.mark.parametrize(("values", "expected"), GOES_WITH.values(), ids=GOES_WITH)
def test_a_field_that_only_goes_with_the_answer(values, expected):
    assert revealing_rows(values, expected) == []


SHORT = [
    f"{verb} {noun}"
    for verb in ("play", "stop", "find")
    for noun in ("jazz", "the bus", "a lamp", "Anna", "it")
]
SHORT += [f"{text} now" for text in SHORT if len(text) < 10]


@pytest.mark.parametrize(
    ("texts", "inputs", "n_held"),
    [
        (SHORT[:15], SHORT, 15),
        (SHORT[:7], SHORT, 0),
        (SHORT[:5], SHORT[:10], 5),
        ([*SHORT[:7], BOXES[0]], [*SHORT, BOXES[0]], 1),
        (
            [BOXES[1]],
            [[{"role": "system", "content": "x"}, {"role": "user", "content": BOXES[1]}]],
            1,
        ),
        (["order 7 boxes"], [*BOXES, "7 boxes now"], 0),
        (["play"], ["play", *BOXES], 1),
    ],
    ids=[
        "more than half",
        "fewer",
        "half of few",
        "a long one",
        "a conversation",
        "words of others",
        "the only one",
    ],
)
def test_a_prompt_holds_inputs_of_five_words_or_half_of_the_shorter_ones(texts, inputs, n_held):
    assert (
        len(held_inputs("Such as:\n" + "\n".join(f"- *{text}* -> it" for text in texts), inputs))
        == n_held
    )
