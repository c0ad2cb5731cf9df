"""Builds data/train.jsonl and data/test.jsonl: English voice commands, each with the intent that it means.

The sentence templates and their labels are those that Home Assistant ships (``home-assistant-intents``); ``hassil``
parses them. A template stands for many sentences: ``<turn> on [<the>] {area} <light>``. Its rules and optional words
come with it; the names of rooms, devices and songs, which differ from home to home, are below.

Sentences of one template look alike, so the two sets are split by template, never by sentence: a template that differs
only in its slots (another unit of time, a floor instead of a room) counts as the same one. It is also the ``group`` of
each row, so that a gate does not mistake many sentences of one template for as many independent observations.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hassil import expression
from hassil.intents import IntentData, Intents, RangeSlotList, SlotList, TextSlotList
from home_assistant_intents import get_intents

FOLDER = Path(__file__).parent / "data"
SEED = "voice commands"
MIN_TEMPLATES = 4  # per intent: fewer cannot be split and still teach anything
TEST_SHARE = 1 / 3  # of each intent's templates
TRAIN_CAP, TEST_CAP = 32, 12  # sentences per intent
TEST_PER_TEMPLATE = 3  # many small groups tell more than few large ones

NOT_LEARNABLE = {"HassRespond"}  # five fixed answers to five unrelated questions: none says anything about the others

HOME = {
    "area": "kitchen|living room|bedroom|bathroom|garage|office|hallway|dining room|nursery|patio|laundry room|attic",
    "floor": "ground floor|first floor|second floor|basement|upstairs|downstairs",
    "message": "dinner is ready|the guests are here|the school bus leaves soon|we are going out",
    "zone": "home|work|school|gym",
    "search_query": "some jazz|Radiohead|Abbey Road|the morning news|Bohemian Rhapsody|Chopin nocturnes|The Office",
    "timer_name": "pizza|laundry|homework|egg|workout|tea|bread",
    "timer_command": "turn off the oven|open the curtains|lock the door|pause the music|turn on the sprinklers",
    "shopping_list_item": "milk|two lemons|oat flakes|washing powder|coffee beans",
    "todo_list_item": "call the plumber|water the plants|book the dentist|renew the passport",
}

NAMES = {
    "binary_sensor": "back door sensor|motion detector|pantry window",
    "button": "doorbell|restart router",
    "input_button": "doorbell|restart router",
    "climate": "thermostat|heat pump|air conditioner|radiator",
    "cover": "left blind|roller shutter|skylight shade|garage door",
    "fan": "ceiling fan|tower fan|extractor fan",
    "input_boolean": "guest mode|vacation mode",
    "lawn_mower": "robot mower|grass cutter",
    "light": "reading lamp|chandelier|desk lamp|spotlight|night light",
    "lock": "front door|back door|cellar door",
    "media_player": "television|speaker|stereo|soundbar|radio",
    "person": "Anna|Miguel|Grandma|Tom",
    "scene": "movie night|party|sunset|romantic dinner",
    "script": "good morning|bedtime routine",
    "sensor": "outdoor humidity|power meter|rain gauge",
    "switch": "coffee machine|heater|fountain|printer",
    "todo": "groceries|chores|weekend|garden",
    "vacuum": "robot vacuum|dust buster|Rosie",
    "valve": "garden valve|water main|sprinkler valve",
    "weather": "London|New York|Amsterdam",
}

Rules = Mapping[str, expression.Sentence]
Row = dict[str, str]


@dataclass(frozen=True)
class Template:
    """One sentence template with all that is needed to say it."""

    family: str
    expression: expression.Expression
    lists: Mapping[str, SlotList]
    rules: Rules


def normalized(text: str) -> str:
    """Two inputs are the same when they are equal after this."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def family_of(text: str) -> str:
    """The template without its slots: what is left is what a model could recognise again."""
    text = re.sub(r"\{[^}]*\}", "{}", text.replace("{floor} [floor]", "{}"))
    text = re.sub(r"\b(hour|minute|second)\b", "unit", text)
    return re.sub(r"(\{\}\( \|-\)unit\[s\]( \[and\] )?)+", "{duration}", text)


def strings(values: str) -> TextSlotList:
    return TextSlotList.from_strings(values.split("|"), allow_template=False)


def names_of(block: IntentData) -> TextSlotList:
    """Devices of the kinds that the block is about: nobody asks to unlock the television."""
    domains = block.requires_context.get("domain", [])
    wanted = [domains] if isinstance(domains, str) else domains
    return strings("|".join(NAMES[domain] for domain in wanted) or "thing")


def templates() -> dict[str, list[Template]]:
    """All English templates by intent, in the package's order."""
    intents = Intents.from_dict(get_intents("en") or {})
    home = {name: strings(values) for name, values in HOME.items()}
    found: dict[str, list[Template]] = {}
    for name, intent in intents.intents.items():
        found[name] = [
            Template(
                family_of(sentence.text or ""),
                sentence.expression,
                {**intents.slot_lists, **home, **block.slot_lists, "name": names_of(block)},
                {**intents.expansion_rules, **block.expansion_rules},
            )
            for block in intent.data
            for sentence in block.sentences
        ]
    return found


def say(template: Template, rng: random.Random) -> str:
    """One random sentence of the template. Drawn, not listed: some templates stand for millions."""

    def words(part: expression.Expression) -> str:
        if isinstance(part, expression.TextChunk):
            return part.original_text
        if isinstance(part, expression.Alternative):
            return words(rng.choice(part.items))
        if isinstance(part, expression.Permutation):
            return "".join(words(item) for item in rng.sample(part.items, len(part.items)))
        if isinstance(part, expression.Group):
            return "".join(words(item) for item in part.items)
        if isinstance(part, expression.RuleReference):
            return words(template.rules[part.rule_name].expression)
        if isinstance(part, expression.ListReference):
            return value(template.lists[part.list_name])
        raise TypeError(f"unknown part of a template: {part!r}")

    def value(slots: SlotList) -> str:
        if isinstance(slots, TextSlotList):
            return words(rng.choice(slots.values).text_in)
        if isinstance(slots, RangeSlotList):
            return f"{rng.choice(list(slots.get_numbers())):g}"
        raise TypeError(f"no values for {slots!r}: add them to HOME")

    return " ".join(words(template.expression).split())


def split(families: Sequence[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """The families for training and those for the test, in random order; at least two of each."""
    shuffled = rng.sample(families, len(families))
    n_test = max(2, round(len(families) * TEST_SHARE))
    return shuffled[n_test:], shuffled[:n_test]


def draw(pool: Sequence[list[Template]], cap: int, per_family: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Up to ``cap`` distinct (family, sentence), every family in its turn, so that none crowds out the others."""
    seen: set[str] = set()
    for _turn in range(per_family):
        for family in pool:
            template = rng.choice(family)
            sentence = say(template, rng)
            if normalized(sentence) not in seen and len(seen) < cap:
                seen.add(normalized(sentence))
                yield template.family, sentence


def sentences() -> Iterator[tuple[str, str, str, str]]:
    """(set, intent, family, sentence), still with the sentences that more than one intent or set could claim."""
    for intent, found in templates().items():
        families: dict[str, list[Template]] = defaultdict(list)
        for template in found:
            families[template.family].append(template)
        if len(families) < MIN_TEMPLATES or intent in NOT_LEARNABLE:
            continue
        rng = random.Random(f"{SEED}: {intent}")
        train, test = split(list(families), rng)
        for part, chosen, cap, turns in (("train", train, TRAIN_CAP, TRAIN_CAP), ("test", test, TEST_CAP, TEST_PER_TEMPLATE)):
            for family, sentence in draw([families[key] for key in chosen], cap, turns, rng):
                yield part, intent, family, sentence
