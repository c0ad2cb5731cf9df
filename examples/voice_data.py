"""Build the data of two examples from English voice commands: ``python voice_data.py``.

``voice_commands/data`` has the intent of each command, ``extraction/data`` its slot values, too.

The sentence templates come from Home Assistant (``home-assistant-intents``) and are parsed by
``hassil``. One template, such as ``<brightness> [<of>] {area} <to> {brightness}``, generates many
sentences and knows the value of each slot. Rooms, devices and songs are defined below.

Sentences from one template are similar, so the sets are split by template, not by sentence.
Templates that differ only in their slots (another unit of time, a floor instead of a room) count as
one. The template is also the ``group`` of each row, so that the gate does not treat its sentences
as independent.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hassil import expression
from hassil.intents import IntentData, Intents, RangeSlotList, SlotList, TextSlotList
from home_assistant_intents import get_intents

HERE = Path(__file__).parent
MIN_TEMPLATES = 4  # per intent; fewer cannot be split into training and test
TEST_SHARE = 1 / 3  # of each intent's templates
TRAIN_CAP, TEST_CAP = 32, 12  # sentences per intent
TEST_TURNS = 3  # sentences per template: many small groups are more informative than few large ones
ALIKE = 0.7  # share of common 4-letter pieces above which two sentences are near duplicates

NOT_LEARNABLE = {"HassRespond"}  # five fixed answers to unrelated questions: nothing to generalise

HOME = {
    "area": (
        "kitchen|living room|bedroom|bathroom|garage|office|hallway|dining room|nursery|patio|attic"
    ),
    "floor": "ground floor|first floor|second floor|basement|upstairs|downstairs",
    "message": "dinner is ready|the guests are here|the school bus leaves soon|we are going out",
    "zone": "home|work|school|gym",
    "search_query": (
        "some jazz|Radiohead|Abbey Road|the morning news|Bohemian Rhapsody|Chopin nocturnes"
    ),
    "timer_name": "pizza|laundry|homework|egg|workout|tea|bread",
    "timer_command": "turn off the oven|open the curtains|lock the door|pause the music",
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

# everything else is "home"
SUBJECTS = {"timers": "Timer", "media": "Media|Volume", "climate": "Climate|Weather|Fan"}

Row = dict[str, Any]
Slots = dict[str, str | int | float]
RowOf = Callable[["Template", str, Slots], Row]
"""Return the row of a template's sentence and its slots, without an id."""


@dataclass(frozen=True)
class Template:
    """A sentence template with everything needed to generate sentences from it."""

    intent: str
    family: str
    sentence: expression.Sentence
    lists: Mapping[str, SlotList]
    rules: Mapping[str, expression.Sentence]
    slots: Mapping[str, Any]  # implied by the template: "the lights" has the domain light


def normalized(text: str) -> str:
    """Return the text in the form in which two inputs are compared."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def family_of(text: str) -> str:
    """Return the template without its slots: the part that a model could recognize again."""
    text = re.sub(r"\{[^}]*\}", "{}", text.replace("{floor} [floor]", "{}"))
    text = re.sub(r"\b(hour|minute|second)\b", "unit", text)
    return re.sub(r"(\{\}\( \|-\)unit\[s\]( \[and\] )?)+", "{duration}", text)


def subject(intent: str) -> str:
    """Return the slice of the test set to which the intent belongs."""
    return next((name for name, words in SUBJECTS.items() if re.search(words, intent)), "home")


def strings(values: str) -> TextSlotList:
    return TextSlotList.from_strings(values.split("|"), allow_template=False)


def names_in(block: IntentData) -> dict[str, SlotList]:
    """Return the device names that fit the block, so that nobody unlocks the television."""
    domains = block.requires_context.get("domain", [])
    names = [domains] if isinstance(domains, str) else domains
    return {"name": strings("|".join(NAMES[domain] for domain in names))} if names else {}


def templates() -> Iterator[Template]:
    """Yield all English templates, in the package's order."""
    intents = Intents.from_dict(get_intents("en") or {})
    home = {name: strings(values) for name, values in HOME.items()}
    for intent in intents.intents.values():
        for block in intent.data:
            lists = {**intents.slot_lists, **home, **block.slot_lists, **names_in(block)}
            rules = {**intents.expansion_rules, **block.expansion_rules}
            for sentence in block.sentences:
                family = family_of(sentence.text or "")
                yield Template(intent.name, family, sentence, lists, rules, block.slots)


def say(template: Template, rng: random.Random) -> tuple[str, Slots]:
    """Return a random sentence of the template and its slots.

    Some templates have millions, so they are not listed.
    """
    slots: Slots = dict(template.slots)

    def words(expr: expression.Expression) -> str:
        if isinstance(expr, expression.TextChunk):
            return expr.original_text
        if isinstance(expr, expression.Alternative):
            return words(rng.choice(expr.items))
        if isinstance(expr, expression.Permutation):
            return "".join(words(item) for item in rng.sample(expr.items, len(expr.items)))
        if isinstance(expr, expression.Group):
            return "".join(words(item) for item in expr.items)
        if isinstance(expr, expression.RuleReference):
            return words(template.rules[expr.rule_name].expression)
        if isinstance(expr, expression.ListReference):
            spoken, slots[expr.slot_name] = value(template.lists[expr.list_name])
            return spoken
        raise TypeError(f"unknown part of a template: {expr!r}")

    def value(slot_list: SlotList) -> tuple[str, str | int | float]:
        """Return the spoken text and its value: "max" is a brightness of 100."""
        if isinstance(slot_list, TextSlotList):
            chosen = rng.choice(slot_list.values)
            return words(chosen.text_in), chosen.value_out
        if isinstance(slot_list, RangeSlotList):
            number = rng.choice(list(slot_list.get_numbers()))
            meant = number * (slot_list.multiplier or 1)
            return f"{number:g}", int(meant) if meant == int(meant) else meant
        raise TypeError(f"no values for {slot_list!r}: add them to HOME")

    return " ".join(words(template.sentence.expression).split()), slots


def split(families: Sequence[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """Return the families for training and for testing, in random order, at least two of each."""
    shuffled = rng.sample(families, len(families))
    n_test = max(2, round(len(families) * TEST_SHARE))
    return shuffled[n_test:], shuffled[:n_test]


def pieces(text: str) -> set[str]:
    """Return all runs of four letters, without punctuation."""
    text = re.sub(r"[^\w\s]", "", text)
    return {text[start : start + 4] for start in range(max(1, len(text) - 3))}


def alike(first_text: str, second_text: str) -> bool:
    """Return whether two sentences are near duplicates."""
    shared, all_ = (
        pieces(first_text) & pieces(second_text),
        pieces(first_text) | pieces(second_text),
    )
    return len(shared) >= ALIKE * len(all_)


def intent_row(template: Template, sentence: str, _: Slots) -> Row:
    return {"input": sentence, "expected": template.intent, "group": template.family}


def slots_row(template: Template, sentence: str, slots: Slots) -> Row:
    return {
        "input": sentence,
        "expected": {"intent": template.intent, "slots": dict(sorted(slots.items()))},
        "about": subject(template.intent),
        "group": template.family,
    }


def draw(
    pool: Sequence[list[Template]], cap: int, turns: int, row_of: RowOf, rng: random.Random
) -> Iterator[Row]:
    """Yield up to ``cap`` rows without near duplicates, one of each family per turn."""
    taken: list[str] = []
    for _turn in range(turns):
        for family in pool:
            template = rng.choice(family)
            sentence, slots = say(template, rng)
            if len(taken) < cap and not any(
                alike(normalized(sentence), sentence_text) for sentence_text in taken
            ):
                taken.append(normalized(sentence))
                yield row_of(template, sentence, slots)


def rows_of(
    families: Mapping[str, list[Template]], row_of: RowOf, rng: random.Random
) -> tuple[list[Row], list[Row]]:
    """Return the training and test rows of one intent."""
    for_training, for_test = split(list(families), rng)
    train = draw([families[key] for key in for_training], TRAIN_CAP, TRAIN_CAP, row_of, rng)
    test = draw([families[key] for key in for_test], TEST_CAP, TEST_TURNS, row_of, rng)
    return list(train), list(test)


def usable_families() -> dict[str, dict[str, list[Template]]]:
    """Return the templates of each intent that can be learned and split, by family."""
    usable: dict[str, dict[str, list[Template]]] = defaultdict(lambda: defaultdict(list))
    for template in templates():
        usable[template.intent][template.family].append(template)
    return {
        intent: families
        for intent, families in usable.items()
        if len(families) >= MIN_TEMPLATES and intent not in NOT_LEARNABLE
    }


def without_doubtful(*sets: Sequence[Row]) -> tuple[list[Row], ...]:
    """Return the sets without sentences that occur twice: they are ambiguous, or would leak."""
    times = Counter(normalized(row["input"]) for rows in sets for row in rows)
    return tuple([row for row in rows if times[normalized(row["input"])] == 1] for rows in sets)


def examples(seed: str, row_of: RowOf) -> tuple[list[Row], list[Row]]:
    """Return the training and the test set, which are the same on every machine."""
    train: list[Row] = []
    test: list[Row] = []
    for intent, families in usable_families().items():
        train_rows, test_rows = rows_of(families, row_of, random.Random(f"{seed}: {intent}"))
        train += train_rows
        test += test_rows
    train, test = without_doubtful(train, test)
    random.Random(seed).shuffle(train)  # so that the first rows are a random sample
    return numbered("train", train), numbered("test", test)


def numbered(prefix: str, rows: Iterable[Row]) -> list[Row]:
    return [{"id": f"{prefix}-{number:04}", **row} for number, row in enumerate(rows, start=1)]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write JSONL."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="\n")


def build(folder: Path, seed: str, row_of: RowOf) -> None:
    """Write ``train.jsonl`` and ``test.jsonl`` into the folder, in less than a second."""
    train, test = examples(seed, row_of)
    write(folder / "train.jsonl", train)
    write(folder / "test.jsonl", test)


if __name__ == "__main__":
    build(HERE / "voice_commands" / "data", "voice commands", intent_row)
    build(HERE / "extraction" / "data", "extraction", slots_row)
