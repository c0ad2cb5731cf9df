"""Write train.jsonl: 240 conversations in the house style, generated from hand-written parts.

Real training data would be good replies by your own staff. Copy the last step, which leaves out
near duplicates of earlier questions.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

PATH = Path(__file__).parent / "train.jsonl"
N = 240
ALIKE = 0.65  # share of common 4-letter pieces above which two questions are near duplicates

# Questions, and replies in the house style: the answer first, no apology, one next step.
TOPICS: list[tuple[list[str], list[str]]] = [
    (
        [
            "where is {order}?",
            "I still wait for {order}. Any news?",
            "{order} should have been here on {day}",
        ],
        [
            "On the road, with you on {day2}. The link in your mail shows the van.",
            "It left {city} this morning. Expect it on {day2}.",
        ],
    ),
    (
        [
            "Does the {wear} come in {colour}?",
            "is there a {colour} {wear}",
            "I would love the {wear}, but in {colour}",
        ],
        [
            "Yes, {colour} and black. Pick it under Colour.",
            "Not this year: {colour} is sold out. Press Remind me for the next batch.",
        ],
    ),
    (
        [
            "How much does the {gear} weigh?",
            "weight of your {gear}? counting grams for {trip}",
            "Is the {gear} under {grams} grams?",
        ],
        [
            "{grams} grams, weighed in size M.",
            "{grams} grams with everything, {less} if you leave the bag at home.",
        ],
    ),
    (
        [
            "Can I send the {gear} back after {trip}?",
            "I used my {gear} once. Return possible?",
            "return a {gear}, how?",
        ],
        [
            "Yes, clean and within 100 days. The label is in your account.",
            "Yes. Print the label, drop it at any post office, money in five days.",
        ],
    ),
    (
        [
            "The {part} of my {gear} is broken",
            "{part} gave up on {trip}. It is a {gear}.",
            "My {gear} needs a new {part}",
        ],
        [
            "Free repair, for life: pack it clean, the label is in your mail.",
            "A new {part} ships on {day2}, no return needed. Fit it with the key in the bag.",
        ],
    ),
    (
        [
            "What size {wear} for {height} cm?",
            "between two sizes with the {wear}, I am {height} tall",
            "{height} cm and slim: which {wear}?",
        ],
        ["Take {size}. Exchange is free.", "{size}, and one larger over a thick layer."],
    ),
    (
        [
            "How do I clean a {wear}?",
            "mud all over my {wear} after {trip}",
            "May the {wear} go into the washing machine?",
        ],
        [
            "By hand, 30 degrees, no softener. Dry it in the shade.",
            "Brush when dry, then lukewarm water. The machine kills the coating.",
        ],
    ),
    (
        [
            "Is the {wear} in stock in {city}?",
            "Could I try the {wear} on in {city} on {day}?",
            "{city} store: do you have a {wear} left?",
        ],
        [
            "Two left in {city}. We keep one for you until {day2}.",
            "Not in {city}. Order it there for free, it arrives on {day2}.",
        ],
    ),
    (
        [
            "Would the {gear} be enough for {trip}?",
            "planning {trip} and thinking about a {gear}",
            "{trip} in {month}: {gear} or something warmer?",
        ],
        [
            "In {month} yes, with a warm layer below. Later take the winter model.",
            "Yes. Add a rain cover and you are done.",
        ],
    ),
    (
        [
            "I got a {gear} that I did not order",
            "wrong parcel: a {gear} in place of mine",
            "There was a {gear} in my box. Not mine!",
        ],
        [
            "Our mistake. The right one ships on {day2}, keep this one until the van comes.",
            "Keep it closed, we fetch it on {day2}. Yours is on its way.",
        ],
    ),
    (
        [
            "Can I cancel {order}?",
            "please stop {order}, I found it cheaper",
            "changed my mind about {order}",
        ],
        [
            "Done, and the money is back by {day2}.",
            "Too late, it left {city}. Refuse it at the door and we refund everything.",
        ],
    ),
    (
        [
            "What is the {wear} made of?",
            "is there leather in the {wear}",
            "Vegan, the {wear}? Asking for my sister",
        ],
        [
            "Recycled nylon, nothing of animals. The label lists each layer.",
            "{material}. Where it was made stands under Where from.",
        ],
    ),
    (
        [
            "Do you repair a {gear} of {years} years?",
            "My {gear} is {years} years old and still loved, but the {part} is gone",
            "worth mending a {gear} from {years} years ago?",
        ],
        [
            "Yes, from 15 euros. Send it to {city}, with a note where it hurts.",
            "Yes. {part}s we have for twenty years. Book a slot in {city}.",
        ],
    ),
    (
        [
            "How long is the guarantee on a {gear}?",
            "guarantee {gear}: does it cover the {part}?",
            "bought a {gear} in {month}, what is covered?",
        ],
        [
            "Five years, the {part} included. The receipt is enough.",
            "Five years. Wear from {trip} is no fault, a seam that opens is.",
        ],
    ),
    (
        [
            "Can I pick {order} up in {city}?",
            "please deliver {order} to the {city} store",
            "nobody home on {day}: can {order} go to {city}?",
        ],
        [
            "Yes. Choose {city} under Delivery before we pack.",
            "Yes, from {day2} on. Bring the code from your mail.",
        ],
    ),
    (
        [
            "my {wear} smells after {trip}",
            "How do I get the smell of smoke out of a {wear}?",
            "{wear}, forgotten wet in a bag for {years} weeks. Help!",
        ],
        [
            "A cup of vinegar in ten litres of water, an hour, then air. Not the dryer.",
            "Hang it out for two nights. Still bad: enzyme wash, from us or any sports shop.",
        ],
    ),
    (
        [
            "Do you give a discount to {group}?",
            "{group} here: is there a special price on the {gear}?",
            "I am with {group}. What do we pay for {years} pieces?",
        ],
        [
            "Ten percent with proof. Send it once, it stays in your account.",
            "From ten pieces twelve percent. Write to clubs@fernweg.example.",
        ],
    ),
    (
        [
            "the app shows {order} as lost",
            "{order}: tracking has not moved since {day}",
            "courier claims that {order} was handed over. It was not.",
        ],
        [
            "We send it again on {day2}. If the first one turns up, refuse it.",
            "The van was full in {city}. New day: {day2}, before noon.",
        ],
    ),
]

FILLERS: dict[str, list[str]] = {
    "wear": [
        "Gale jacket",
        "Tarn down jacket",
        "Bracken fleece",
        "Fjell shirt",
        "Ymir parka",
        "Scree rain skirt",
        "Vidda vest",
        "Merle base layer",
        "Harrier wind shell",
        "Juniper cardigan",
    ],
    "gear": [
        "Moss tent",
        "Skar pack",
        "Lynx stove",
        "Ode headlamp",
        "Plume mat",
        "Birk knife",
        "Alder hammock",
        "Kestrel drybag",
        "Rill water filter",
        "Vidda sleeping bag",
        "Ermine rope bag",
        "Osprey trolley",
    ],
    "order": [
        "my order 7{n}",
        "parcel 5{n}",
        "order no. 9{n}",
        "the exchange for 4{n}",
        "my replacement {part}",
        "the second half of order 6{n}",
    ],
    "colour": ["moss green", "rust", "sand", "ice blue", "plum", "signal orange", "slate"],
    "city": ["Graz", "Bern", "Innsbruck", "Munich", "Trento", "Ljubljana", "Chur", "Salzburg"],
    "trip": [
        "a week in Lapland",
        "the Via Alpina",
        "two nights on Corsica",
        "a school trip",
        "bikepacking in Georgia",
        "one rainy Sunday",
        "kayaking in Croatia",
        "a winter on a sailing boat",
        "the Tour du Mont Blanc",
    ],
    "part": ["buckle", "strap", "clip", "toggle", "seam", "label", "handle", "cord", "cover"],
    "day": ["Monday", "Tuesday", "last week", "the 3rd"],
    "day2": ["Wednesday", "Thursday", "Friday", "Saturday"],
    "month": ["March", "May", "September", "November"],
    "size": ["S", "M", "L", "M long", "L short"],
    "material": [
        "Merino from Biella and a thread of nylon",
        "Waxed cotton",
        "Recycled polyester",
        "Hemp",
    ],
    "group": [
        "mountain rescue",
        "a scout group",
        "students",
        "a kindergarten",
        "ski teachers",
        "a mountain hut",
    ],
}


def filled(template: str, chosen: dict[str, str]) -> str:
    """Return the template with its placeholders filled, also those within their values."""
    while "{" in template:
        template = template.format_map(chosen)
    template = re.sub(r"\b([Aa]) (?=[AEIOU])", r"\1n ", template)
    return template[0].upper() + template[1:]


def choice_of(rng: random.Random) -> dict[str, str]:
    grams = rng.randrange(120, 1900, 10)
    numbers = {
        "n": rng.randrange(1000, 9999),
        "grams": grams,
        "less": grams - rng.randrange(10, 90, 10),
    }
    numbers |= {"height": rng.randrange(152, 204), "years": rng.randrange(2, 19)}
    return {name: rng.choice(values) for name, values in FILLERS.items()} | {
        k: str(v) for k, v in numbers.items()
    }


def pieces(text: str) -> set[str]:
    """Return all runs of four letters, ignoring numbers and punctuation."""
    text = re.sub(r"[^a-z ]", "", text.casefold())
    return {text[start : start + 4] for start in range(max(1, len(text) - 3))}


def conversations() -> Iterator[tuple[str, str]]:
    """Yield questions and replies without end: topics in turn, with random wordings and values."""
    rng = random.Random("the style of the house")
    while True:
        for questions, replies in TOPICS:
            chosen = choice_of(rng)
            yield filled(rng.choice(questions), chosen), filled(rng.choice(replies), chosen)


def rows() -> list[dict[str, object]]:
    """Return the training set in the chat format for fine-tuning."""
    chosen: list[tuple[set[str], str, str]] = []
    for question, reply in conversations():
        its = pieces(question)
        if all(
            len(its & words_of_row) < ALIKE * len(its | words_of_row)
            for words_of_row, _question, _reply in chosen
        ):
            chosen.append((its, question, reply))
        if len(chosen) == N:
            break
    return [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": reply},
            ]
        }
        for _pieces, question, reply in chosen
    ]


def text() -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8", newline="\n")
