"""Find near duplicates: rows with similar inputs and outputs, and the same numbers.

One-permutation hashing with banding finds candidate pairs, which are then checked by their exact
resemblance. So no pair below the threshold is reported, about one in 500 pairs at the threshold is
missed, and fewer above it: one in 4,000 at 0.8. The time is linear in the characters of the rows.

Sources: A. Broder, On the resemblance and containment of documents (1997); P. Indyk & R. Motwani,
Approximate nearest neighbors (1998); P. Li, A. Owen & C.-H. Zhang, One permutation hashing (2012);
A. Shrivastava, Optimal densification for fast and accurate minwise hashing (2017).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.checks.audit import leaks, wording
from pytest_ftgate.data import DataSet, expected_text, normalized_input

NEAR = 0.75
"""Lowest resemblance of near duplicates, from 0 to 1; how it was chosen: docs/data.md."""
_BINS = 64
_BANDS, _BINS_PER_BAND = 24, 4
_LIKELY = 0.45  # share of equal hashes: 3 standard errors of the hashes of a short text below NEAR
_PAIRS_PER_TEXT = 8  # and band; of texts with thousands of candidates only some are compared
_AT_ONCE = 500_000  # pairs, or characters: few enough for memory
_SEED = 20_261_124
_NO_HASH = np.uint32(np.iinfo(np.uint32).max)
_DIGIT = re.compile(r"\d")


class Row(NamedTuple):
    """A row as it is compared: the words of its input and of its output, and the numbers in both."""

    words: str
    output: str
    numbers: str

    @classmethod
    def of(cls, words: str, output: str) -> "Row":
        """Return the form of a row with these words in its input, and this output."""
        output_words = _output_words(output)
        numbers = [*_numbers(words), *_numbers(output_words)]
        return cls(words, output_words, " ".join(sorted(numbers)))


def rows_of(texts: Sequence[wording.Text], outputs: Sequence[str]) -> list[Row]:
    """Return the rows with these inputs and outputs."""
    return [Row.of(text.words, output) for text, output in zip(texts, outputs, strict=True)]


@lru_cache(maxsize=10_000)
def _output_words(output: str) -> str:
    return wording.words_of(normalized_input(output))


def _numbers(words: str) -> list[str]:
    if not _DIGIT.search(words):
        return []
    return [word for word in words.split(" ") if _DIGIT.search(word)]


class Components:
    """Sets of connected items 0..n-1, which grow by :meth:`join`.

    Source: R. Tarjan, Efficiency of a good but not linear set union algorithm, Journal of the ACM
    22 (1975) 215-225.
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

    def join(self, item: int, other_item: int) -> bool:
        """Connect two items, and return whether they were apart."""
        first = self.first(item)
        second = self.first(other_item)
        self._parents[max(first, second)] = min(first, second)
        return first != second


Pairs = list[tuple[int, int]]


def near_copies(training: Sequence[Row], test: Sequence[Row]) -> tuple[Pairs, Pairs, Pairs]:
    """Find near duplicates within a training set, across both sets, and within a test set, as positions.

    Two rows are near duplicates if their numbers are equal, and the resemblance of their inputs and
    that of their outputs reach ``NEAR``.

    Within a set the pairs are (row, earlier row that is kept), across them (test row, training
    row): these name all such rows of both sets, but not all pairs of them: there are no more pairs
    than rows. Pairs of a test set connect all such rows.
    """
    trained = _rows_by_text(training)
    tested = _rows_by_text(test)
    texts = [*trained, *tested]
    rows = [*trained.values(), *tested.values()]

    within = dict(_repeats(trained.values()))
    across = _Across()
    in_test = list(_repeats(tested.values()))
    parts = Components(len(test))
    for pair in in_test:
        parts.join(*pair)

    is_near = _nearness(texts)
    for first, second in _candidates(texts):
        row, earlier = rows[second][0], rows[first][0]
        if second < len(trained):
            if row not in within and earlier not in within and is_near(first, second):
                within[row] = earlier
        elif first < len(trained):
            if not across.names(rows[second], rows[first]) and is_near(first, second):
                across.add(rows[second], rows[first])
        elif parts.first(earlier) != parts.first(row) and is_near(first, second):
            parts.join(earlier, row)
            in_test.append((row, earlier))
    return sorted(within.items()), sorted(across.pairs), sorted(in_test)


def _rows_by_text(rows: Sequence[Row]) -> dict[Row, list[int]]:
    """Return the positions of equal rows that have words, in order."""
    positions: dict[Row, list[int]] = {}
    for position, row in enumerate(rows):
        if row.words:
            positions.setdefault(row, []).append(position)
    return positions


def _repeats(copies: Iterable[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Yield each position but the first of equal rows, with the first."""
    for first, *others in copies:
        for position in others:
            yield position, first


class _Across:
    """Pairs of test rows and training rows that name each row of equal ones, but not each pair of them."""

    def __init__(self) -> None:
        self.pairs: set[tuple[int, int]] = set()
        self._test: set[int] = set()
        self._training: set[int] = set()

    def names(self, tests: Sequence[int], trainings: Sequence[int]) -> bool:
        """Return whether the rows of both sets are named already."""
        return tests[0] in self._test and trainings[0] in self._training

    def add(self, tests: Sequence[int], trainings: Sequence[int]) -> None:
        """Name rows of both sets, the equal ones of each."""
        if trainings[0] not in self._training:
            self.pairs.update((tests[0], row) for row in trainings)
        if tests[0] not in self._test:
            self.pairs.update((row, trainings[0]) for row in tests)
        self._test.add(tests[0])
        self._training.add(trainings[0])


def _nearness(texts: Sequence[Row]) -> Callable[[int, int], bool]:
    """Return whether texts at two positions are near duplicates."""
    shingles = lru_cache(maxsize=256)(wording.shingles)

    def are_similar(first: str, second: str) -> bool:
        return first == second or wording.resemblance(shingles(first), shingles(second)) >= NEAR

    def is_near(position: int, other_position: int) -> bool:
        first = texts[position]
        second = texts[other_position]
        if first.numbers != second.numbers:
            return False
        return are_similar(first.output, second.output) and are_similar(first.words, second.words)

    return is_near


def _candidates(texts: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield pairs of positions that may be near duplicates, lower first, ordered by the second and then the first."""
    if len(texts) < 2:
        return
    keys, hashes = _signatures(texts)
    random = np.random.default_rng(_SEED)
    likely = [_likely(pairs, hashes) for band in keys for pairs in _sharing(band, random)]
    if not likely:
        return

    pairs = np.sort(np.concatenate(likely))  # np.unique would import numpy.ma, which takes 15 ms
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    for start in range(0, len(pairs), _AT_ONCE):
        for pair in pairs[start : start + _AT_ONCE].tolist():
            yield pair % len(texts), pair // len(texts)


def _signatures(texts: Sequence[Row]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Return the key of each band and text, ``(bands, n)``, and the last bytes of the least hashes, ``(n, bins)``."""
    random = np.random.default_rng(_SEED)
    bands = [random.choice(_BINS, _BINS_PER_BAND, replace=False) for _ in range(_BANDS)]
    keys = np.empty((_BANDS, len(texts)), np.uint64)
    keys[:] = [crc32(row.numbers.encode("utf-8", "surrogatepass")) for row in texts]
    hashes = np.empty((len(texts), _BINS), np.uint8)
    for start, stop in _portions([row.words for row in texts]):
        least = _least_hashes([row.words for row in texts[start:stop]])
        hashes[start:stop] = least & np.uint32(255)
        for key, bins in zip(keys[:, start:stop], bands, strict=True):
            for number in bins:
                key *= np.uint64(0x9E3779B97F4A7C15)
                key ^= least[:, number]
    return keys, hashes


def _portions(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the first and last position of runs of texts that fit into memory."""
    start = 0
    count = 0
    for stop, text in enumerate(texts):
        if count > _AT_ONCE:
            yield start, stop
            start = stop
            count = 0
        count += len(text)
    yield start, len(texts)


def _least_hashes(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Return the least hash of the shingles of each text in each bin, ``(n, bins)``.

    The hash of a shingle decides its bin, so that each shingle is hashed once. An empty bin borrows
    from another one, the same for all texts in which that one has a hash.
    """
    hashes, owners = _shingle_hashes([text.ljust(wording.SHINGLE) for text in texts])
    bins = owners * _BINS + (hashes.astype(np.int64) * _BINS >> 32)
    least = np.full(len(texts) * _BINS, _NO_HASH)
    np.minimum.at(least, bins, hashes)
    full = least != _NO_HASH

    random = np.random.default_rng(_SEED)
    empty = np.flatnonzero(~full)
    numbers = empty % _BINS
    while len(empty):
        lenders = empty - numbers + random.permutation(_BINS)[numbers]
        lent = full.take(lenders)
        least[empty[lent]] = least.take(lenders[lent])
        empty = empty[~lent]
        numbers = numbers[~lent]
    return least.reshape(-1, _BINS)


def _shingle_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the hash of each shingle of the texts, and the position of its text."""
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.array([len(text) for text in texts])
    hashes = np.zeros(len(characters) - wording.SHINGLE + 1, np.uint32)
    for place, factor in enumerate((0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1)):
        hashes += characters[place : len(hashes) + place] * np.uint32(factor)
    for shift, factor in ((15, 0x2C1B3C6D), (13, 0x297A2D39), (16, 1)):
        hashes ^= hashes >> np.uint32(shift)
        hashes *= np.uint32(factor)

    inside = np.ones(len(hashes), bool)
    ends = np.cumsum(counts)[:-1]
    for last in range(1, wording.SHINGLE):
        inside[ends - last] = False  # these would include characters of the next text
    owners = np.repeat(np.arange(len(texts)), counts - wording.SHINGLE + 1)
    return hashes[inside], owners


def _sharing(keys: NDArray[np.uint64], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs with equal keys, as ``second * n + first``.

    If thousands of texts share a key, each is paired with the first of them and with some others,
    by chance.
    """
    n = len(keys)
    # of a position, which take the place of the last bits of its key
    bits = np.uint64(n.bit_length())
    ordered = np.sort(keys >> bits << bits | np.arange(n, dtype=np.uint64))
    order = (ordered & (np.uint64(1) << bits) - np.uint64(1)).astype(np.int64)
    shared = np.diff(ordered >> bits) == 0
    if not shared.any():
        return
    new = np.concatenate([[True], ~shared])
    firsts = order[np.maximum.accumulate(np.where(new, np.arange(n), 0))]
    yield (order * n + firsts)[~new]

    (several,) = np.nonzero(np.concatenate([shared, [False]]) | ~new)
    order = random.permutation(order[several])
    order = order[np.argsort(keys[order], kind="stable")]
    ordered = keys[order]
    count = 0
    for distance in range(1, len(order)):
        equal = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        count += len(equal)
        if not len(equal):
            return
        later = order[equal + distance]
        earlier = order[equal]
        yield np.maximum(later, earlier) * n + np.minimum(later, earlier)
        if count > _PAIRS_PER_TEXT * n:
            return


def _likely(pairs: NDArray[np.int64], hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the pairs with enough equal hashes to compute their exact resemblance."""
    n = len(hashes)
    likely = [pairs[:0]]
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        agreeing = np.count_nonzero(hashes[some % n] == hashes[some // n], axis=1)
        likely.append(some[agreeing >= _LIKELY * _BINS])
    return np.concatenate(likely)


# --- groups of near duplicates, which count as one piece of evidence
# ----------------------------------------------


def grouped(test: DataSet, pairs: Iterable[tuple[int, int]]) -> DataSet:
    """Return a test set in which the examples of each pair, and all of their groups, have the same group."""
    names = joined_groups(test.groups, pairs)
    examples = (replace(example, group=name) for example, name in zip(test, names, strict=True))
    return replace(test, examples=tuple(examples))


def grouped_by_content(test: DataSet) -> DataSet:
    """Return a test set in which examples that are near duplicates of each other have the same group."""
    texts = wording.texts_of([wording.plain_text(example.input) for example in test])
    outputs = [expected_text(example.expected).strip() for example in test]
    _, _, near = near_copies([], rows_of(texts, outputs))
    pairs = [*near, *leaks.copies_but_for_digits(texts, outputs)]
    return grouped(test, pairs) if pairs else test


def joined_groups(
    groups: Sequence[str | None], pairs: Iterable[tuple[int, int]]
) -> list[str | None]:
    """Return the group of each example after the groups of the two examples of each pair became one.

    It has the name of the first written group in it, else ``copies of N`` for its first example,
    counted from 1.
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
