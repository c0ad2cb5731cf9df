"""A stand-in for a base language model that knows only its prompt.

It finds the example most similar to the command and replaces the values in its answer by the words
at the same place in the command. Values listed in the prompt, such as rooms, are found anywhere. If
no example is similar, it adds chatter to its answer, as chat models do. A better prompt makes it
better.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

UNSURE = 0.35  # similarity to the nearest example below which it adds chatter
MOST_WORDS = 4  # in the value of one slot

Message = dict[str, str]


class BaseModel:
    """Answer commands, given a system message and examples (user, assistant, user, ...)."""

    def __init__(self, prompt: Sequence[Message]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        system, *turns = [message["content"] for message in prompt]
        self._listed = listed_values(system)
        self._shown = [
            (text, json.loads(answer)) for text, answer in zip(turns[::2], turns[1::2], strict=True)
        ]
        # Without idf: a prompt is too short to estimate how rare an n-gram is.
        self._letters = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 4),
            sublinear_tf=True,
            use_idf=False,
            preprocessor=without_numbers,
        )
        self._known = self._letters.fit_transform([text for text, _answer in self._shown])

    def __call__(self, command: str) -> str:
        similarity = (self._letters.transform([command]) @ self._known.T).toarray()[0]
        text, example = self._shown[int(similarity.argmax())]
        slots = {
            slot: self._filled(value, text, command) for slot, value in example["slots"].items()
        }
        slots |= {slot: self._named(slot, command) for slot in self._listed}
        slots = {slot: value for slot, value in sorted(slots.items()) if value is not None}
        answer = json.dumps({"intent": example["intent"], "slots": slots})
        return (
            answer
            if similarity.max() >= UNSURE
            else f"I am not sure, but perhaps this is meant:\n{answer}"
        )

    @staticmethod
    def _filled(value: Any, text: str, command: str) -> Any:
        """Return the example's value, the words at its place in the command, or None."""
        words, command_words = text.split(), command.split()
        place = find(str(value).split(), words)
        if place is None:
            return value
        start, end = counterpart(place, words, command_words)
        filled = " ".join(command_words[start:end])
        if not isinstance(value, str):
            number = re.search(r"\d+(\.\d+)?", filled)
            return json.loads(number[0]) if number else None
        return value if end - start > MOST_WORDS else filled or None

    def _named(self, slot: str, command: str) -> str | None:
        """Return the longest value that the prompt lists for this slot and the command holds."""
        named = [
            value
            for value in self._listed[slot]
            if find(value.split(), command.split()) is not None
        ]
        return max(named, key=len, default=None)


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", text.casefold())


def listed_values(system: str) -> dict[str, list[str]]:
    """Return the slot values that a system message lists: ``- area, one of: kitchen, garage``."""
    lines = re.findall(r"^- (\w+), one of: (.+)$", system, re.MULTILINE)
    return {slot: values.split(", ") for slot, values in lines}


def find(some: Sequence[str], words: Sequence[str]) -> tuple[int, int] | None:
    """Return start and end of the first place where these words occur in sequence, or None."""
    for start in range(len(words) - len(some) + 1):
        if words[start : start + len(some)] == some:
            return start, start + len(some)
    return None


def counterpart(
    place: tuple[int, int], words: Sequence[str], command_words: Sequence[str]
) -> tuple[int, int]:
    """Return the place in the other sentence that has the same neighbours."""
    start, end = 0, len(command_words)
    for block in SequenceMatcher(None, words, command_words, autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            if block.a + offset < place[0]:
                start = block.b + offset + 1
            elif block.a + offset >= place[1]:
                end = min(end, block.b + offset)
    return start, end
