"""Find texts that stand whole within other texts, in time linear in the characters of both.

Each text is looked for at the rarest of its runs of characters, and compared there by rolling hash, then exactly.

Source: R. Karp & M. Rabin, Efficient randomized pattern-matching algorithms, IBM Journal of Research and Development 31
(1987) 249-260. Containment: A. Broder, On the resemblance and containment of documents (1997).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RUN = 12
"""Characters of a run; shorter texts are not looked for."""

_COMMON = 1_000
"""A text whose rarest run is in more places than this is a phrase, which is not looked for."""

_BASE, _MOST_TABLE_BITS, _PLACES_PER_CHARACTER = 0x9E3779B97F4A7C15, 22, 8
_CHARACTERS_AT_ONCE = 2_000_000


class Contained(NamedTuple):
    """A text within another: the positions of both, and the words before and after it."""

    part: int
    whole: int
    before: str
    after: str


def contained(parts: Sequence[str], wholes: Sequence[str]) -> Iterator[Contained]:
    """Yield where a text of ``parts`` stands as whole words within a longer text of ``wholes``.

    Words are separated by single spaces.
    """
    chosen = [row for row, part in enumerate(parts) if len(part) + 2 >= _RUN]
    for first, last in portions([parts[row] for row in chosen]):
        rows = chosen[first:last]
        needles = _Hashed.of([parts[row] for row in rows])
        for number, whole, start in _places(needles, wholes):
            part = parts[rows[number]]
            text = wholes[whole]
            if len(text) > len(part) and f" {text} ".startswith(f" {part} ", start):
                before, after = text[: max(start - 1, 0)], text[start + len(part) + 1 :]
                yield Contained(rows[number], whole, before, after)


def portions(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the first and last position of runs of texts that fit into memory."""
    start, count = 0, 0
    for stop, text in enumerate(texts):
        if count > _CHARACTERS_AT_ONCE:
            yield start, stop
            start, count = stop, 0
        count += len(text)
    if start < len(texts):
        yield start, len(texts)


class _Hashed(NamedTuple):
    """Texts with their first places, the weighted sums of characters up to each place, and inverse powers of it."""

    starts: NDArray[np.int64]
    sums: NDArray[np.uint64]
    inverse: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Hashed:
        import numpy as np

        text = "".join(f" {one} " for one in texts)
        characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        powers = np.full(len(characters) + 1, _BASE, np.uint64)
        inverse = np.full(len(characters) + 1, pow(_BASE, -1, 2**64), np.uint64)
        powers[0] = inverse[0] = 1
        np.cumprod(powers, out=powers)
        np.cumprod(inverse, out=inverse)
        powers[:-1] *= characters
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(powers[:-1])])
        lengths = np.fromiter((len(one) + 2 for one in texts), np.int64, len(texts))
        return cls(np.concatenate([[0], np.cumsum(lengths)]), sums, inverse)

    def hashes(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the hash of the text of this length at each start."""
        found: NDArray[np.uint64] = (self.sums[starts + lengths] - self.sums[starts]) * self.inverse[starts]
        return found

    def runs(self) -> NDArray[np.uint64]:
        """Return the hash of the run at each place; those at the end of a text cross into the next one."""
        n = max(len(self.sums) - _RUN, 0)
        found: NDArray[np.uint64] = (self.sums[_RUN:] - self.sums[:n]) * self.inverse[:n]
        return found


def _places(needles: _Hashed, wholes: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Yield the number of a needle, and the text and place in it where it probably stands."""
    import numpy as np

    bits = min((_PLACES_PER_CHARACTER * sum(map(len, wholes))).bit_length() + 1, _MOST_TABLE_BITS)
    shift = np.uint64(64 - bits)
    lengths = np.diff(needles.starts)
    runs = needles.runs()
    inside = np.repeat(needles.starts[1:], lengths)[: len(runs)] - np.arange(len(runs)) >= _RUN
    (places,) = np.nonzero(inside)
    runs = runs[places]
    counts = np.zeros(2**bits, np.int64)
    for first, last in portions(wholes):
        counts += np.bincount((_Hashed.of(wholes[first:last]).runs() >> shift).astype(np.int64), minlength=len(counts))
    numbers = np.searchsorted(needles.starts, places, side="right") - 1
    rarity = counts[runs >> shift]
    order = np.lexsort((rarity, numbers))
    order = order[np.diff(numbers[order], prepend=-1) > 0]
    order = order[(rarity[order] > 0) & (rarity[order] <= _COMMON)]
    order = order[np.argsort(runs[order], kind="stable")]
    anchors, owners, offsets = runs[order], numbers[order], places[order] - needles.starts[numbers[order]]
    wanted = needles.hashes(needles.starts[owners], lengths[owners])
    marked = np.zeros(len(counts), bool)
    marked[anchors >> shift] = True
    for first, last in portions(wholes):
        texts = _Hashed.of(wholes[first:last])
        found = texts.runs()
        (at,) = np.nonzero(marked[found >> shift])
        low, high = (np.searchsorted(anchors, found[at], side=side) for side in ("left", "right"))
        each = np.repeat(np.arange(len(at)), high - low)
        which = np.arange(len(each)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[each]
        starts = at[each] - offsets[which]
        possible = (starts >= 0) & (starts + lengths[owners[which]] < len(texts.sums))
        which, starts = which[possible], starts[possible]
        equal = texts.hashes(starts, lengths[owners[which]]) == wanted[which]
        which, starts = which[equal], starts[equal]
        rows = np.searchsorted(texts.starts, starts, side="right") - 1
        yield from zip(
            owners[which].tolist(), (rows + first).tolist(), (starts - texts.starts[rows]).tolist(), strict=True
        )
