"""Find near duplicates: rows with similar inputs and outputs, and the same numbers in order.

One-permutation hashing with banding finds candidate pairs, which are then checked by their exact
resemblance. So no pair below the threshold is reported, about one in 500 pairs at the threshold is
missed, and fewer above it: one in 4,000 at 0.8. The time is linear in the characters of the rows.

Sources: A. Broder, On the resemblance and containment of documents (1997); P. Indyk & R. Motwani,
Approximate nearest neighbors (1998); P. Li, A. Owen & C.-H. Zhang, One permutation hashing (2012);
A. Shrivastava, Optimal densification for fast and accurate minwise hashing (2017).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.checks.audit import leaks, wording
from pytest_ftgate.data import DataSet, normalized_input
from pytest_ftgate.data.turns import groups_of_turns

NEAR = 0.75
"""Lowest resemblance of near duplicates, from 0 to 1; how it was chosen: docs/data.md."""
_BINS = 64
_BANDS, _BINS_PER_BAND = 24, 4
_LIKELY = 0.45  # share of equal hashes: 3 standard errors of the hashes of a short text below NEAR
_PAIRS_PER_TEXT = 8  # and band; of texts with thousands of candidates only some are compared
_AT_ONCE = 100_000  # pairs, or characters: few enough for memory
_KEPT = 20_000_000  # shingles that wait for the next comparison
_SEED = 20_261_124
_NO_HASH = np.uint32(np.iinfo(np.uint32).max)
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)


class Row(NamedTuple):
    """A row as it is compared: the words of input and output, and the numbers in both.

    The output is None where it is not known: it may be that of any other row.
    """

    words: str
    output: str | None
    numbers: str
    output_numbers: str

    @classmethod
    def of(cls, text: wording.Text, output: str | None) -> "Row":
        """Return the form of a row with this input and this output."""
        numbers = " ".join(wording.numbers_in(text.words))
        if output is None:
            return cls(text.words, None, numbers, "")
        output_words, output_numbers = _words_and_numbers(output)
        return cls(text.words, output_words, numbers, " ".join(output_numbers))


def rows_of(texts: Sequence[wording.Text], outputs: Sequence[str | None]) -> list[Row]:
    """Return the rows with these inputs and outputs."""
    return [Row.of(text, output) for text, output in zip(texts, outputs, strict=True)]


@lru_cache(maxsize=10_000)
def _words_and_numbers(output: str) -> tuple[str, Sequence[str]]:
    words = wording.words_of(normalized_input(output))
    return words, wording.numbers_in(words)


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

    def join(self, item: int, other_item: int) -> None:
        """Connect two items."""
        first = self.first(item)
        second = self.first(other_item)
        self._parents[max(first, second)] = min(first, second)


Pairs = list[tuple[int, int]]


def near_copies(training: Sequence[Row], test: Sequence[Row]) -> tuple[Pairs, Pairs, Pairs]:
    """Find near duplicates within a training set, across both sets, and within a test set.

    Two rows are near duplicates if they have the same numbers in the same order, and the
    resemblance of their inputs and that of their outputs reach ``NEAR``. An output that is not
    known makes no row a copy of a training row, but may be that of any other test row.

    Rows are named by their positions. Within a set the pairs are (row, earlier row that is kept),
    across them (test row, training row): these name all such rows of both sets, but not all pairs
    of them: there are no more pairs than rows. Pairs of a test set connect all such rows.
    """
    rows = [*training, *test]
    n_trained = len(training)
    within: dict[int, int] = {}
    across: Pairs = []
    named: set[int] = set()
    in_test: Pairs = []
    components = Components(len(rows))
    is_near = _Comparison(rows).is_near
    for earlier, row in _candidates(rows):
        if row < n_trained:
            # a row that is left out is no reason to leave another one out
            is_new = row not in within and earlier not in within
            if is_new and is_near(earlier, row):
                within[row] = earlier
        elif earlier < n_trained:
            # the pairs name every row, and need not name it twice
            is_new = row not in named or earlier not in named
            is_new = is_new and rows[row].output is not None
            if is_new and is_near(earlier, row):
                across.append((row - n_trained, earlier))
                named.update((earlier, row))
        else:
            # what is connected already needs no further pair
            is_new = components.first(earlier) != components.first(row)
            if is_new and is_near(earlier, row):
                components.join(earlier, row)
                in_test.append((row - n_trained, earlier - n_trained))
    return sorted(within.items()), sorted(across), sorted(in_test)


class _Comparison:
    """The exact comparison of rows at two positions."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        longest = max((len(row.words) for row in rows), default=0)
        # eight bytes each, and at least those of two texts
        self._shingles = lru_cache(maxsize=2 + _KEPT // (longest + 1))(_distinct_shingles)

    def is_near(self, position: int, other_position: int) -> bool:
        """Return whether rows are near duplicates."""
        row = self._rows[position]
        other_row = self._rows[other_position]
        if row.numbers != other_row.numbers:
            return False
        if row.output is not None and other_row.output is not None:
            if row.output_numbers != other_row.output_numbers:
                return False
            if not self._is_similar(row.output, other_row.output):
                return False
        return self._is_similar(row.words, other_row.words)

    def _is_similar(self, text: str, other_text: str) -> bool:
        if text == other_text:
            return True
        shingles = self._shingles(text)
        return _resemblance(shingles, self._shingles(other_text)) >= NEAR


def _distinct_shingles(text: str) -> NDArray[np.uint64]:
    """Return the distinct shingles of a text in order, each as a hash of 64 bits.

    So many bits tell all shingles of two texts apart, but once in billions of pairs of long texts.
    Shingles cross words, as some scripts need.
    """
    padded = text.ljust(wording.SHINGLE)
    characters = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32)
    hashes = np.zeros(len(characters) - wording.SHINGLE + 1, np.uint64)
    for place, factor in enumerate(_FACTORS):
        hashes += characters[place : len(hashes) + place] * np.uint64(factor)

    hashes.sort()
    is_first = np.ones(len(hashes), bool)
    is_first[1:] = hashes[1:] != hashes[:-1]
    return hashes[is_first]


def _resemblance(shingles: NDArray[np.uint64], others: NDArray[np.uint64]) -> float:
    """Return the share of common shingles, from 0 to 1: Broder's resemblance, or Jaccard index."""
    both = np.concatenate((shingles, others))
    # the stable sort merges two runs that are in order
    both.sort(kind="stable")
    shared = np.count_nonzero(both[1:] == both[:-1])
    return float(shared / (len(both) - shared))


def _candidates(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield pairs of positions of possible near duplicates: lower first, ordered by the second."""
    # the arrays below need at least one pair
    if len(rows) < 2:
        return

    keys, hashes = _signatures(rows)
    random = np.random.default_rng(_SEED)
    likely = []
    for band in keys:
        for pairs in _sharing(band, random):
            likely.append(_likely(pairs, hashes))
    if not likely:
        return

    # np.unique hashes the pairs, which takes several times as long
    pairs = np.sort(np.concatenate(likely))
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    for start in range(0, len(pairs), _AT_ONCE):
        for pair in pairs[start : start + _AT_ONCE].tolist():
            yield pair % len(rows), pair // len(rows)


def _signatures(rows: Sequence[Row]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the key of each band and row, ``(bands, n)``, and the last bytes of the least hashes.

    The hashes have the shape ``(n, bins)``.
    """
    random = np.random.default_rng(_SEED)
    bands = [random.choice(_BINS, _BINS_PER_BAND, replace=False) for _ in range(_BANDS)]
    keys = np.empty((_BANDS, len(rows)), np.uint32)
    hashes = np.empty((len(rows), _BINS), np.uint8)
    for start, stop in _portions(rows):
        portion = rows[start:stop]
        least = _least_hashes([row.words for row in portion])
        # a byte of each is enough to estimate the resemblance
        hashes[start:stop] = least & np.uint32(255)
        # rows with other numbers are no near duplicates, so that their keys differ, too
        keys[:, start:stop] = [
            crc32(row.numbers.encode("utf-8", "surrogatepass")) for row in portion
        ]
        for key, bins in zip(keys[:, start:stop], bands, strict=True):
            for number in bins:
                key *= np.uint32(0x9E3779B1)
                key ^= least[:, number]
    return keys, hashes


def _portions(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield the first and last position of runs of rows that fit into memory."""
    start = 0
    count = 0
    for stop, row in enumerate(rows):
        if count > _AT_ONCE:
            yield start, stop
            start = stop
            count = 0
        count += len(row.words)
    yield start, len(rows)


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
        # the order of lenders is the same for all texts, so that equal texts lend alike
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
    # these steps make all bits depend on all characters
    for shift, factor in ((15, 0x2C1B3C6D), (13, 0x297A2D39), (16, 1)):
        hashes ^= hashes >> np.uint32(shift)
        hashes *= np.uint32(factor)

    inside = np.ones(len(hashes), bool)
    ends = np.cumsum(counts)[:-1]
    for last in range(1, wording.SHINGLE):
        inside[ends - last] = False  # these would include characters of the next text
    owners = np.repeat(np.arange(len(texts)), counts - wording.SHINGLE + 1)
    return hashes[inside], owners


def _sharing(keys: NDArray[np.uint32], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs with equal keys, as ``second * n + first``.

    If thousands of rows share a key, each is paired with the first of them and with some others, by
    chance.
    """
    n = len(keys)
    order = np.argsort(keys, kind="stable")
    is_repeat = np.diff(keys[order], prepend=0) == 0
    is_repeat[0] = False
    if not is_repeat.any():
        return

    firsts = order[np.maximum.accumulate(np.where(is_repeat, 0, np.arange(n)))]
    yield (order * n + firsts)[is_repeat]

    is_shared = is_repeat.copy()
    is_shared[:-1] |= is_repeat[1:]
    # neighbours by chance, so that no text is always compared with the same ones
    order = random.permutation(order[is_shared])
    order = order[np.argsort(keys[order], kind="stable")]
    ordered_keys = keys[order]
    count = 0
    for distance in range(1, len(order)):
        equal = np.flatnonzero(ordered_keys[distance:] == ordered_keys[:-distance])
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


# --- groups of near duplicates, which count as one piece of evidence ------------------------------


def grouped(test: DataSet, pairs: Sequence[tuple[int, int]]) -> DataSet:
    """Return a test set in which the examples of each pair without a group are one group.

    ``pairs`` name the later example first.
    """
    if test.by_turn:
        names = groups_of_turns(test, pairs)
    elif pairs:
        names = joined_groups(test.groups, pairs)
    else:
        return test
    examples = (replace(example, group=name) for example, name in zip(test, names, strict=True))
    return replace(test, examples=tuple(examples))


def grouped_by_content(test: DataSet) -> DataSet:
    """Return a test set in which examples that are near duplicates of each other have one group."""
    words = [wording.all_words_of(wording.plain_text(example.input)) for example in test]
    outputs = wording.known_outputs_of(test)
    texts = wording.texts_of(words, wording.mask_for(words, outputs))
    _, _, near = near_copies([], rows_of(texts, outputs))
    pairs = [*near, *leaks.copies_but_for_digits(texts, outputs)]
    return grouped(test, pairs)


def joined_groups(
    groups: Sequence[str | None], pairs: Iterable[tuple[int, int]]
) -> list[str | None]:
    """Return the group of each example, where pairs of examples without a group become one.

    A written group decides. The others are called ``copies of N`` for their first example, counted
    from 1.
    """
    components = Components(len(groups))
    joined: set[int] = set()
    for pair in pairs:
        if all(groups[row] is None for row in pair):
            components.join(*pair)
            joined.update(pair)

    names = list(groups)
    for row in joined:
        names[row] = f"copies of {components.first(row) + 1}"
    return names
