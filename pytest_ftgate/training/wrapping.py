"""What stands around the inputs of a set: the words of a prompt before and after them, and numbers of rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_ftgate.data import Input, normalized_input
from pytest_ftgate.training.around import BARE, Around
from pytest_ftgate.training.wording import SIGNS, words_of

FEWEST = 20
"""Distinct inputs. Of fewer, what they have in common says nothing."""

_TENTHS = 9
_LOOKED_AT = 10_000
_NUMBER = re.compile(r"(?:#\d{1,7}[.):]?|\(\d{1,7}\)|\[\d{1,7}\]|\d{1,7}[.):])\s+(?=\S)")
_FEW = 12
_PIECE = re.compile(rf"[^\W{SIGNS}]+|\S")
_BROKEN_WORD = re.compile(rf"[^\W{SIGNS}]+\Z")


@dataclass(frozen=True)
class Wrapping:
    """What nine in ten of the distinct inputs of a set begin or end with, at the bounds of words.

    Args:
        beginnings, ends: of all sets that were looked at, in the form in which inputs are compared, and what is left
            of each without some of its outer words; longest first.
        whole: those that are no part of another.
        numbered: whether the rows of a set have numbers in front.
    """

    beginnings: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset()
    numbered: bool = False

    @classmethod
    def of(cls, *sets: Sequence[Input]) -> Wrapping:
        """What each of the sets has in common: in the first turns of the user, and in the last ones."""
        groups = [texts for inputs in sets for texts in _asked(inputs) if len(texts) >= FEWEST]
        numbered = any(_most(sum(map(_has_number, texts)), len(texts)) for texts in groups)
        if numbered:
            groups = [{without_number(text) for text in texts} for texts in groups]
        groups = [texts for texts in groups if len(texts) >= FEWEST]
        beginnings = {text for texts in groups for text in _beginnings(texts)}
        mirrored = {text for texts in groups for text in _beginnings(one[::-1] for one in texts)}
        ends = {text[::-1] for text in mirrored}
        return cls(
            _longest_first(part for text in beginnings for part in _parts(text)),
            _longest_first(part[::-1] for text in mirrored for part in _parts(text)),
            frozenset(beginnings | ends),
            numbered,
        )

    def __bool__(self) -> bool:
        return bool(self.beginnings or self.ends or self.numbered)

    def unwrap(self, text: str) -> tuple[str, Around]:
        """A text as inputs are compared, without what stands around it; as it is where nothing would be left."""
        rest = without_number(text) if self.numbered else text
        before = after = ""
        if rest.startswith(self.beginnings):
            before = next(one for one in self.beginnings if rest.startswith(one))
            rest = rest[len(before) :].strip()
            rest = without_number(rest) if self.numbered else rest
        if rest.endswith(self.ends):
            after = next(one for one in self.ends if rest.endswith(one))
            rest = rest[: len(rest) - len(after)].strip()
        if not rest:
            return text, BARE
        return rest, self._around(before, after) if before or after else BARE

    @lru_cache(maxsize=1_000)  # noqa: B019 - a wrapping lives as long as the audit
    def _around(self, before: str, after: str) -> Around:
        return Around(words_of(before), words_of(after), before in self.whole, after in self.whole)


def without_number(text: str) -> str:
    """A text without the number of a row in front: ``1. ``, ``2) ``, ``#3 ``, ``(4) ``."""
    return _NUMBER.sub("", text, count=1) if _has_number(text) else text


def _has_number(text: str) -> bool:
    return _NUMBER.match(text) is not None


def user_turns(given: Input) -> list[str]:
    """What the user says, turn by turn, as inputs are compared."""
    if isinstance(given, str):
        return [normalized_input(given)]
    return [normalized_input((message,)) for message in given if message["role"] == "user"]


def _asked(inputs: Sequence[Input]) -> Iterator[set[str]]:
    """The distinct first turns of an even sample of the inputs, and the last ones where these are others."""
    sample = inputs[:: -(-len(inputs) // _LOOKED_AT) or 1]
    turns = [turns for given in sample if (turns := user_turns(given))]
    first, last = ({one[place] for one in turns} for place in (0, -1))
    yield first
    if last != first:
        yield last


def _most(count: int, of: int) -> bool:
    return 10 * count >= _TENTHS * of


def _beginnings(texts: Iterable[str]) -> set[str]:
    """The longest beginning that nine in ten of the texts share, and the parts of it after which others go on."""
    ordered = sorted(texts)
    needed = -(-_TENTHS * len(ordered) // 10)
    longest = ""
    for one, other in zip(ordered, ordered[needed - 1 :], strict=False):  # those that share one stand together
        if one[: len(longest) + 1] == other[: len(longest) + 1]:
            longest = _shared(one, other)
    longest = _whole_words(longest)
    others = Counter(_whole_words(_shared(text, longest)) for text in ordered if not text.startswith(longest))
    return {longest, *(part for part, _ in others.most_common(_FEW))} - {""}


def _shared(one: str, other: str) -> str:
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))]


def _whole_words(text: str) -> str:
    return _BROKEN_WORD.sub("", text)


def _parts(beginning: str) -> Iterator[str]:
    """The beginning, and what is left of it without its first words; of a long one the last few words alone."""
    starts = [found.start() for found in _PIECE.finditer(beginning)]
    yield beginning
    yield from (beginning[start:] for start in starts[1:][-_FEW:])


def _longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text.strip()}, key=lambda text: (-len(text), text)))
