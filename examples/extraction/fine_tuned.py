"""The fine-tuned model: classifiers that predict the intent and the slots of a command.

Most values occur literally in the command ("kitchen", 40): a classifier predicts for each word
which slot it fills, if any. Others do not ("the lights" has the domain light, "max" is a brightness
of 100): for each such slot a second classifier chooses one of the values seen in training, or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

NONE = ""  # tag of a word that fills no slot; choice of no value
MINUS = "-"  # prefix of a tag: the number is negative, as in "volume down by 10"

Row = Mapping[str, Any]
Slots = Mapping[str, Any]


class FineTuned:
    """Answer a command with JSON.

    Args:
        rows: mappings with ``input`` and ``expected``.
        words_without_slot: also learn from words that fill no slot; otherwise it invents a slot for
            every word.
    """

    def __init__(self, rows: Sequence[Row], *, words_without_slot: bool = True) -> None:
        commands, answers = [row["input"] for row in rows], [row["expected"] for row in rows]
        intents, slots = (
            [answer["intent"] for answer in answers],
            [answer["slots"] for answer in answers],
        )
        tags = [
            tags_of(command, its_slots) for command, its_slots in zip(commands, slots, strict=True)
        ]
        self._intent = of_text().fit(commands, intents)
        features = [
            pair
            for command, intent, its_tags in zip(commands, intents, tags, strict=True)
            for pair in zip(features_of(command, intent), its_tags, strict=True)
            if words_without_slot or pair[1] != NONE
        ]
        self._tag = of_words().fit(*zip(*features, strict=True))
        self._letters = letters()
        hints = self._letters.fit_transform(
            [hint(*pair) for pair in zip(commands, intents, strict=True)]
        )
        self._choose = {}
        for slot in sorted({slot for its_slots in slots for slot in its_slots}):
            choices = [
                choice(slot, its_slots, its_tags)
                for its_slots, its_tags in zip(slots, tags, strict=True)
            ]
            if len(set(choices)) > 1:
                self._choose[slot] = classifier(3).fit(hints, choices)

    def __call__(self, command: str) -> str:
        intent = str(self._intent.predict([command])[0])
        hints = self._letters.transform([hint(command, intent)])
        chosen = {slot: str(model.predict(hints)[0]) for slot, model in self._choose.items()}
        slots = {slot: json.loads(value) for slot, value in chosen.items() if value != NONE}
        slots |= read(
            command, [str(tag) for tag in self._tag.predict(features_of(command, intent))]
        )
        return json.dumps({"intent": intent, "slots": dict(sorted(slots.items()))})


def letters() -> Any:
    """Return a vectorizer of character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, preprocessor=without_numbers
    )


def classifier(c: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=c, random_state=0)


def of_text() -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(letters(), classifier(3))


def of_words() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(CountVectorizer(analyzer=list), classifier(0.5))


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", text.casefold())


def words_of(command: str) -> list[re.Match[str]]:
    """Return words, numbers and punctuation marks with their positions."""
    return list(re.finditer(r"\d+(\.\d+)?|[^\W\d]+|[^\w\s]", command))


def features_of(command: str, intent: str) -> list[list[str]]:
    """Return the features of each word: itself, its neighbours, the intent."""
    words = ["<<", "<", *(without_numbers(word[0]) for word in words_of(command)), ">", ">>"]
    return [
        [
            f"is {words[i]}",
            f"ends {words[i][-3:]}",
            f"after {words[i - 1]}",
            f"before {words[i + 1]}",
            f"after {words[i - 2]} {words[i - 1]}",
            f"before {words[i + 1]} {words[i + 2]}",
            f"is {words[i - 1]} {words[i]}",
            f"is {words[i]} {words[i + 1]}",
            f"for {intent}",
            f"is {words[i]} for {intent}",
        ]
        for i in range(2, len(words) - 2)
    ]


def hint(command: str, intent: str) -> str:
    return f"{command} {intent}"


def tags_of(command: str, slots: Slots) -> list[str]:
    """Return for each word the slot that it fills, by the first occurrence of the slot's value."""
    words = [word[0] for word in words_of(command)]
    tags = [NONE] * len(words)
    for slot, value in slots.items():
        for tag, text in ((slot, str(value)), (MINUS + slot, str(value).removeprefix("-"))):
            place = free_place([word[0] for word in words_of(text)], words, tags)
            if place is not None:
                tags[place] = [tag] * (place.stop - place.start)
                break
    return tags


def free_place(some: Sequence[str], words: Sequence[str], tags: Sequence[str]) -> slice | None:
    """Return the first place where these words occur in sequence and fill no slot yet, or None."""
    for start in range(len(words) - len(some) + 1):
        place = slice(start, start + len(some))
        if words[place] == some and not any(tags[place]):
            return place
    return None


def choice(slot: str, slots: Slots, tags: Sequence[str]) -> str:
    """Return the slot's value as JSON if it does not occur in the command."""
    spoken = slot in tags or MINUS + slot in tags
    return NONE if spoken or slot not in slots else json.dumps(slots[slot])


def read(command: str, tags: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield slot and value of each run of words with the same tag."""
    for tag, run in groupby(zip(words_of(command), tags, strict=True), key=lambda pair: pair[1]):
        words = [word for word, _tag in run]
        if tag != NONE:
            text = command[words[0].start() : words[-1].end()]
            number = re.fullmatch(r"\d+(\.\d+)?", text)
            sign = -1 if tag.startswith(MINUS) else 1
            yield tag.removeprefix(MINUS), sign * json.loads(text) if number else text
