"""Find near duplicates: rows with similar text, the same numbers and the same answer.

MinHash with banding finds candidate pairs, which are then checked by their exact resemblance. So no pair below the
threshold is reported, about one in 10,000 pairs at the threshold is missed, and fewer above it. The time is linear in
the characters of the rows.

Sources: A. Broder, On the resemblance and containment of documents (1997); P. Indyk & R. Motwani, Approximate nearest
neighbors (1998).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.checks.audit import leaks, wording
from pytest_ftgate.data import DataSet, expected_text, normalized_input

NEAR = 0.75
"""Lowest resemblance of near duplicates, from 0 to 1; how it was chosen: docs/data.md."""
SHORTEST = 20
"""Characters. One letter can change the meaning of a shorter text, so its words must be equal."""
WORDS = 10
"""Words of texts that may differ in one of them."""
_BANDS, _ROWS_PER_BAND = 24, 4
_LIKELY = 0.45  # share of equal hashes; 3 standard errors of 96 hashes below the resemblance where one word differs
_LONG, _LIKELY_LONG = 2_000, 0.62  # characters of texts that one word hardly changes: 3 standard errors below NEAR
_KEPT = 4_000_000  # characters of texts whose shingles are kept
_PAIRS_PER_TEXT = 8  # and band; of texts with thousands of candidates only some are compared
_AT_ONCE = 100_000
_CHARACTERS_AT_ONCE = 2_000_000
_SEED = 20_261_124


class Components:
    """Sets of connected items 0..n-1, which grow by :meth:`join`.

    Source: R. Tarjan, Efficiency of a good but not linear set union algorithm, Journal of the ACM 22 (1975) 215-225.
    """

    def __init__(self, n: int) -> None:
        self._parents = list(range(n))

    def first(self, item: int) -> int:
        """Return the lowest item that is connected with this one."""
        parents = self._parents
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    def join(self, one: int, other: int) -> bool:
        """Connect two items, and return whether they were apart."""
        low, high = sorted((self.first(one), self.first(other)))
        self._parents[high] = low
        return low != high


def near_copies(
    training: Sequence[wording.Wording], test: Sequence[wording.Wording]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Find near duplicates within a training set, across both sets, and within a test set, as positions.

    Two rows are near duplicates if their words are equal. If both have at least ``SHORTEST`` characters, it is enough
    that the resemblance of their words reaches ``NEAR`` or only one of at least ``WORDS`` words differs, their numbers
    are equal and their outputs are similar.

    Within a set the pairs are (row, earlier row that is kept), across them (test row, training row): these name all
    such rows of both sets, but not all pairs of them: there are no more pairs than rows. Pairs of a test set connect
    all such rows.
    """
    first_with: dict[str, int] = {}
    firsts = [(row, first_with.setdefault(text.words, row)) for row, text in enumerate(training) if text.words]
    within = {row: first for row, first in firsts if row != first}
    kept: dict[int, list[int]] = {}  # the first row with some words and output, with all such rows
    first_like: dict[tuple[str, str], int] = {}
    for row, text in enumerate(training):
        if len(text.words) >= SHORTEST:
            kept.setdefault(first_like.setdefault((text.words, text.output), row), []).append(row)
    rows, tested = list(kept), [row for row, one in enumerate(test) if len(one.words) >= SHORTEST]
    across = set(leaks.sharing(enumerate(one.words for one in training), [one.words for one in test]))
    named_in_test, named = {row for row, _ in across}, {row for _, row in across}
    parts, first_in_test = Components(len(test)), dict[tuple[str, str], int]()
    pairs = ((row, first_in_test.setdefault((one.words, _answer(one.output)), row)) for row, one in enumerate(test))
    in_test = [(row, first) for row, first in pairs if test[row].words and parts.join(row, first)]
    texts = [training[row] for row in rows] + [test[row] for row in tested]
    is_near = _nearness(texts)
    for one, other in _candidates(texts):
        if other < len(rows):
            if rows[one] not in within and rows[other] not in within and is_near(one, other):
                within[rows[other]] = rows[one]
        elif one < len(rows):
            row, first = tested[other - len(rows)], rows[one]
            if (row not in named_in_test or first not in named) and is_near(one, other):
                across.update((row, copy) for copy in ([first] if first in named else kept[first]))
                named_in_test.add(row)
                named.update(kept[first])
        else:
            first, row = tested[one - len(rows)], tested[other - len(rows)]
            if parts.first(first) != parts.first(row) and is_near(one, other):
                parts.join(first, row)
                in_test.append((row, first))
    return sorted(within.items()), sorted(across), sorted(in_test)


def _nearness(texts: Sequence[wording.Wording]) -> Callable[[int, int], bool]:
    """Return whether texts at two positions are near duplicates; shingles are kept while memory allows it."""
    kept = max(8, min(10_000, _KEPT // max((len(one.words) for one in texts), default=1)))
    of = lru_cache(maxsize=kept)(lambda index: wording.shingles(texts[index].words))
    said = lru_cache(maxsize=10_000)(wording.shingles)

    def is_near(one: int, other: int) -> bool:
        first, second = texts[one], texts[other]
        answers = _answer(first.output), _answer(second.output)
        long = min(map(len, answers)) >= SHORTEST
        alike = answers[0] == answers[1] or (long and wording.resemblance(*map(said, answers)) >= NEAR)
        if first.numbers != second.numbers or not alike:
            return False
        words, others = first.words.split(), second.words.split()
        by_one_word = len(words) == len(others) >= WORDS and sum(map(str.__ne__, words, others)) == 1
        return by_one_word or wording.resemblance(of(one), of(other)) >= NEAR

    return is_near


@lru_cache(maxsize=10_000)
def _answer(output: str) -> str:
    return wording.words_of(normalized_input(output))


def _candidates(texts: Sequence[wording.Wording]) -> Iterator[tuple[int, int]]:
    """Yield pairs of positions that may be near duplicates, lower first, ordered by the second and then the first."""
    if len(texts) < 2:
        return
    keys, hashes = _signatures(texts)
    random = np.random.default_rng(_SEED)
    likely = np.where([len(one.words) > _LONG for one in texts], _LIKELY_LONG, _LIKELY) * hashes.shape[1]
    found = [_likely(pairs, hashes, likely) for band in range(_BANDS) for pairs in _sharing(keys[band], random)]
    if found:
        pairs = np.sort(np.concatenate(found))  # np.unique would import numpy.ma, which takes 15 ms
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        for start in range(0, len(pairs), _AT_ONCE):
            for pair in pairs[start : start + _AT_ONCE].tolist():
                yield pair % len(texts), pair // len(texts)


def _signatures(texts: Sequence[wording.Wording]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Return the key of each band and text, ``(bands, n)``, and the last bytes of the minimal hashes, ``(n, m)``."""
    random = np.random.default_rng(_SEED)
    factors = random.integers(0, 2**31, _BANDS * _ROWS_PER_BAND, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    offsets = random.integers(0, 2**32, len(factors), dtype=np.uint32)
    keys = np.empty((_BANDS, len(texts)), np.uint64)
    # What near duplicates have in common: their numbers, and a short output.
    both = ((one.numbers, _answer(one.output)) for one in texts)
    common = (f"{numbers}\n{answer if len(answer) < SHORTEST else ''}" for numbers, answer in both)
    keys[:] = np.fromiter((crc32(one.encode("utf-8", "surrogatepass")) for one in common), np.uint64, len(texts))
    hashes = np.empty((len(texts), len(factors)), np.uint8)
    for start, stop in _portions([one.words for one in texts]):
        codes, starts = _shingle_codes([texts[index].words for index in range(start, stop)])
        for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            least = np.minimum.reduceat(_mixed(codes * factor + offset), starts)
            hashes[start:stop, number] = least & np.uint32(255)
            band = keys[number // _ROWS_PER_BAND, start:stop]
            band *= np.uint64(0x9E3779B97F4A7C15)
            band ^= least
    return keys, hashes


def _portions(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the first and last position of runs of texts that fit into memory."""
    start, count = 0, 0
    for stop, text in enumerate(texts):
        if count > _CHARACTERS_AT_ONCE:
            yield start, stop
            start, count = stop, 0
        count += len(text)
    yield start, len(texts)


def _shingle_codes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], Any]:
    """Return the hashes of the shingles of all texts, and the index of the first one of each text."""
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.fromiter(map(len, texts), np.int64, len(texts))
    codes = np.zeros(len(characters) - wording.SHINGLE + 1, np.uint32)
    for place, factor in enumerate((0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1)):
        codes += characters[place : len(codes) + place] * np.uint32(factor)
    ends = np.cumsum(counts)
    inside = np.ones(len(codes), bool)
    for last in range(1, wording.SHINGLE):
        inside[ends[:-1] - last] = False  # these would include characters of the next text
    codes, starts = _mixed(codes[inside]), np.concatenate([[0], np.cumsum(counts - wording.SHINGLE + 1)[:-1]])
    if len(codes) < _LONG * len(texts):
        return codes, starts
    distinct = [np.unique(codes[start:stop]) for start, stop in pairwise([*starts, len(codes)])]
    return np.concatenate(distinct), np.concatenate([[0], np.cumsum(list(map(len, distinct)))[:-1]])


def _mixed(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mix the bits of each code in place, and return the array."""
    codes ^= codes >> np.uint32(15)
    codes *= np.uint32(0x2C1B3C6D)
    codes ^= codes >> np.uint32(13)
    return codes


def _sharing(keys: NDArray[np.uint64], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs with equal keys, as ``second * n + first``.

    If thousands of texts share a key, each is paired with the first of them and with some others, by chance.
    """
    n = len(keys)
    order = np.argsort(keys, kind="stable")
    shared = keys[order[1:]] == keys[order[:-1]]
    new = np.concatenate([[True], ~shared])
    firsts = order[np.maximum.accumulate(np.where(new, np.arange(n), 0))]
    yield (order * n + firsts)[~new]
    (several,) = np.nonzero(np.concatenate([shared, [False]]) | ~new)
    order = random.permutation(order[several])
    order = order[np.argsort(keys[order], kind="stable")]
    ordered, count = keys[order], 0
    for distance in range(1, len(order)):
        equal = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        count += len(equal)
        if not len(equal):
            return
        one, other = order[equal + distance], order[equal]
        yield np.maximum(one, other) * n + np.minimum(one, other)
        if count > _PAIRS_PER_TEXT * n:
            return


def _likely(pairs: NDArray[np.int64], hashes: NDArray[np.uint8], least: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the pairs with enough equal hashes, the ``least`` of either text, to compute their exact resemblance."""
    n, kept = len(hashes), []
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        agree = np.count_nonzero(hashes[some % n] == hashes[some // n], axis=1)
        kept.append(some[agree >= np.minimum(least[some % n], least[some // n])])
    return np.concatenate(kept) if kept else pairs


# --- groups of near duplicates, which count as one piece of evidence ----------------------------------------------


def grouped(test: DataSet, pairs: Iterable[tuple[int, int]]) -> DataSet:
    """Return a test set in which the examples of each pair, and all of their groups, have the same group."""
    names = joined_groups(test.groups, pairs)
    examples = (replace(example, group=name) for example, name in zip(test, names, strict=True))
    return replace(test, examples=tuple(examples))


def grouped_by_content(test: DataSet) -> DataSet:
    """Return a test set in which examples that are near duplicates of each other have the same group."""
    said = [similar for _, similar in wording.contents([wording.plain_text(one.input) for one in test])]
    outputs = [expected_text(one.expected).strip() for one in test]
    pairs = (
        *near_copies([], list(map(wording.Wording.of, said, outputs)))[2],
        *leaks.copies_but_for_ids(said, outputs),
    )
    return grouped(test, pairs) if pairs else test


def joined_groups(groups: Sequence[str | None], pairs: Iterable[tuple[int, int]]) -> list[str | None]:
    """Return the group of each example after the groups of the two examples of each pair became one.

    It has the name of the first written group in it, else ``copies of N`` for its first example, counted from 1.
    """
    parts, first_of = Components(len(groups)), dict[str, int]()
    for row, name in enumerate(groups):
        if name is not None:
            parts.join(first_of.setdefault(name, row), row)
    joined = {row for pair in pairs if parts.join(*pair) for row in pair}
    names: dict[int, str] = {}
    for name, row in first_of.items():
        names.setdefault(parts.first(row), name)
    for row in joined:
        name = f"copies of {parts.first(row) + 1}"
        while name in first_of:
            name += "'"
        names.setdefault(parts.first(row), name)
    return [names.get(parts.first(row)) for row in range(len(groups))]
