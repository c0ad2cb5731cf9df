"""Find test inputs that stand within texts of the training set: inputs, earlier turns, instructions and outputs.

Each test input is looked for by the run of words around its rarest word, in time linear in the words of both sets.

Source: A. Broder, On the resemblance and containment of documents (1997).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice, pairwise
from typing import NamedTuple, TypeVar

from pytest_ftgate.checks.audit import wording
from pytest_ftgate.data import INSTRUCTIONS, DataSet, expected_text, normalized_input, texts_in

K = TypeVar("K", bound=Hashable)

_RUN, _RUN_OF_SIGNS = 8, 20
"""Words by which a text is looked for, which are not the same by chance; and signs of a script without spaces."""
_HALF = 0.4
"""The weight of a text that has leaked where it begins or ends an output, such as four words."""
_FEW, _TWO = 2, 10
"""Words of a text that is told apart from text around it, and of a text in which another content is beside it."""
_SHARED = 10
"""The fewest different texts that must stand before or after a text before it counts as a frame."""
_NEXT, _NEAR = 6, 400
"""Words next to a text by which a frame or a sentence is known, and characters in which other content is looked for."""
_LONG_OUTPUT = 1_000
"""Characters of an output that is no list of answers."""
_FEWEST, _SAMPLE = 1_000, 20_000
"""Rows by which it is judged whether words usually follow each other."""
_FOREIGN = 0.65
"""The share of words around a text that never follow each other elsewhere, from which they belong to no row."""
_STOPS = ".?!。"
_INNER = re.compile(rf"[ ,;'’*_`~…、{_STOPS}]*")
"""What may stand between two words of one text."""
_APART = re.compile(r"(?:[\W_]|\d+(?:[^\w\s]\d+)+(?!\w))*")
"""What is between a content and the next word: signs, dates and times."""
_ITEM, _NUMBERING = re.compile(r" ?\.\d{1,3}(?!\S)"), re.compile(r"[\d.):*\s-]*")
_SIGN = re.compile(rf"[{wording.SIGNS}]")
_DIGITS, _LISTED = re.compile(r"\d+"), re.compile(r"[,;|\n]")
_ANSWER = re.compile(r"[^\w\n]*\nassistant\t([^\n]*)")


class Index:
    """Find which of some texts stand as whole words within others. Words are separated by single spaces."""

    def __init__(self, parts: Iterable[str], counts: Counter[str]) -> None:
        """Index these parts. ``counts`` says how frequent words are in the texts that will be searched."""
        self._runs: dict[tuple[int | str, ...], list[tuple[int, list[str], str]]] = defaultdict(list)
        self._anchors: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for part in parts:
            words = part.split(" ")
            rarest = min(range(len(words)), key=lambda at: counts[words[at]])
            first = max(0, min(rarest - _RUN // 2, len(words) - _RUN))
            run = words[first : first + _RUN]
            self._anchors[words[rarest]].add((rarest - first, len(run)))
            self._runs[(rarest - first, len(run), *run)].append((first, words, part))

    def find(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield each part that stands within the text, and the number of words before it."""
        words, anchors = text.split(" "), self._anchors
        for at, word in enumerate(words):
            for before, size in anchors.get(word, ()):
                start = at - before
                run = words[start : start + size] if start >= 0 else []
                for first, part, said in self._runs.get((before, size, *run), ()):
                    if start >= first and words[start - first : start - first + len(part)] == part:
                        yield said, start - first


class _Side(NamedTuple):
    """What is next to a content on one side of it.

    Attributes:
        words: the next words, empty if the content ends here: at the end of the text, a delimiter, a number or a date.
        stops: a sign between them ends a sentence.
        content: the answer to another content that is next to it; None if there is none.
        pairs: the words that follow each other from the content on, in pairs.
    """

    words: str = ""
    stops: bool = False
    content: str | None = None
    pairs: Sequence[tuple[str, str]] = ()


class _Hit(NamedTuple):
    """A text of a training row with a test content.

    Attributes:
        answer: that of the row; None where it is not known which answer belongs to the content.
        size: the words of the text.
    """

    row: int
    text: str
    answer: str | None
    sides: tuple[_Side, ...] = ()
    size: int = 0


def leaks(
    training: DataSet, test: DataSet, said: Sequence[str], outputs: Sequence[str], tested: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Yield test rows with the training rows that hold what they say. All such rows of both sets are named.

    A content has leaked where it stands by itself in a text of a training row: it is the whole text, or what is next to
    it is a delimiter, a number, another content, text that stands next to others too, another sentence, or words that
    do not follow elsewhere. Outside of the inputs it must have eight words, or four at an end of the text; within them
    it must have eight, another content beside it or an equal output. Ids, long numbers and dates may differ if the
    outputs are equal. What the training set answers differently is decided by the text around it, so it is a leak only
    with an equal output.

    ``said`` and ``tested`` are the contents of both sets, ``outputs`` the stripped outputs of the training set.
    """
    wholes = [wording.words_of(wording.masked(content)) for content in said]
    given = list(map(normalized_input, outputs))
    parts: dict[str, list[int]] = defaultdict(list)
    for row, content in enumerate(tested):
        if wording.says(content, 1):
            parts[wording.words_of(wording.masked(content))].append(row)
    index = Index(parts, Counter(word for whole in wholes for word in whole.split(" ")))
    answers = [normalized_input(expected_text(example.expected)) for example in test]
    expects = {part: {answers[row] for row in rows} for part, rows in parts.items()}
    certain = {part for part in parts if _weight(part) >= 1}
    contents = {part: answers[rows[0]] for part, rows in parts.items()} | dict(zip(wholes, outputs, strict=True))
    hits: dict[str, list[_Hit]] = defaultdict(list)
    holding = set[int]()
    for row, whole in enumerate(wholes):
        for part, at in index.find(whole):
            if part == whole:
                hits[part].append(_Hit(row, said[row], given[row]))
                continue
            if wording.says(part, _FEW):
                holding.add(row)
            sides, turn, answered = _sides(said[row], at, part, contents)
            equal = expects[part] & _answers(outputs[row])
            answer: str | None = min(equal, default=given[row])
            if turn and answered is not None:
                answer = answered
            elif part not in certain and (turn or not (equal or "" in expects[part])):
                if turn or all(side.content is None for side in sides):
                    continue
                answer = None
            hits[part].append(_Hit(row, said[row], answer, sides, whole.count(" ") + 1))
    for row, text in _beside(training, outputs):
        whole = wording.words_of(wording.masked(text))
        for part, at in index.find(whole):
            if part in certain or wording.says(part, _FEW):
                sides, *_ = _sides(text, at, part, contents)
                alone = part in certain or (_weight(part) >= _HALF and not all(side.words for side in sides))
                hits[part].append(_Hit(row, text, None, () if alone else sides, whole.count(" ") + 1))
    others = (one for row, one in enumerate(wholes) if row not in holding)
    around = _Around(hits, islice(others, _SAMPLE if hits else 0))
    for part, rows in parts.items():
        found = [hit for hit in hits.get(part, ()) if around.ends(part, hit, expects[part])]
        sure = [hit for hit in found if around.ends(part, hit, expects[part], sentences=False)] or found
        decided = wording.says(part, wording.SUBSTANTIAL) and len({hit.answer for hit in sure} - {None}) == 1
        named = set[int]()
        for asked in rows:
            content, answer = tested[asked], answers[asked]
            leaked = [
                hit.row
                for hit in found
                if (decided or not answer or hit.answer in (None, answer)) and _is_said(hit, part, content, answer)
            ]
            yield from ((asked, row) for row in leaked if row not in named or row == leaked[0])
            named.update(leaked)


def _is_said(hit: _Hit, part: str, content: str, answer: str) -> bool:
    """Return whether a text says a content with the same ids; with other ones if its answer is the same."""
    if wording.MASK in part and f" {wording.words_of(content)} " not in f" {wording.words_of(hit.text)} ":
        return hit.answer == answer != "" and wording.says(part, wording.SUBSTANTIAL_MASKED)
    return True


def _weight(part: str) -> float:
    """Return how certain it is by the number of its words that another text with them is the same; 1 is certain."""
    words = [word for word in part.split(" ") if word[0].isalnum()]
    signs = sum(map(bool, map(_SIGN.match, words)))
    return (len(words) - signs) / _RUN + signs / _RUN_OF_SIGNS


def _answers(output: str) -> set[str]:
    """Return an output, and the answers that it lists."""
    listed = _LISTED.split(output) if len(output) < _LONG_OUTPUT else ()
    return {normalized_input(output), *(normalized_input(_NUMBERING.sub("", one, count=1)) for one in listed)}


class _Around:
    """Tell by the texts around many contents, and by those without any, where a content ends."""

    def __init__(self, hits: Mapping[str, Sequence[_Hit]], others: Iterable[str]) -> None:
        beside: dict[tuple[int, str], set[str]] = defaultdict(set)
        for part, found in hits.items():
            for number, side in ((number, side) for hit in found for number, side in enumerate(hit.sides)):
                marked = side.words.startswith(wording.MARKS) or side.words.endswith(wording.MARKS)
                if marked or side.stops or wording.is_long(side.words):
                    beside[number, side.words].add(part)
        # The sides of contents, 0 or 1, with what many of them have there: a text with a mark, or a long one.
        self._frames = {side for side, some in beside.items() if len(some) >= _SHARED}
        texts = [text.split(" ") for text in others]
        self._texts, self._pairs = len(texts), Counter(pair for words in texts for pair in pairwise(words))
        self._first, self._last = (Counter(words[at] for words in texts) for at in (0, -1))

    def ends(self, part: str, hit: _Hit, expected: Set[str], *, sentences: bool = True) -> bool:
        """Return whether a content with these words does not continue in the text around it.

        ``expected`` are its answers; with ``sentences`` it may be one sentence among others. Words around it are
        foreign if most never follow each other elsewhere; of a long content also if the first two do so more rarely
        than they would in texts that are joined at random.
        """
        words = part.count(" ") + 1
        sentence = sentences and words >= _RUN and hit.size - words >= _NEXT
        foreign = hit.size - words >= _RUN and hit.answer is not None and wording.says(part, _FEW)
        for number, side in enumerate(hit.sides):
            ends = not side.words or (number, side.words) in self._frames or (side.stops and sentence)
            if side.content is not None:
                other = wording.says(part, wording.SUBSTANTIAL) and normalized_input(side.content) not in expected
                ends = ends or other or hit.size >= _TWO
            if not ends and foreign and self._texts >= _FEWEST:
                last, first = side.pairs[0]
                apart = self._last[last] * self._first[first] >= self._pairs[last, first] * self._texts
                never = sum(one not in self._pairs for one in side.pairs)
                ends = (words >= _RUN and apart) or never >= _FOREIGN * len(side.pairs)
            if not ends:
                return False
        return True


def _sides(
    text: str, first: int, part: str, contents: Mapping[str, str]
) -> tuple[tuple[_Side, _Side], bool, str | None]:
    """Return what is around a part of a text, which begins with its word of this number.

    Also whether the part begins a turn of the user, and the answer to that turn.
    """
    text, words = wording.masked(text), part.split(" ")
    spans = [match.span() for match in islice(wording.TOKEN.finditer(text), first, first + len(words))]
    before, after = text[: spans[0][0]], text[spans[-1][1] :]
    answered = _ANSWER.match(after)
    sides = _side(before[::-1], words[0], contents, before=True), _side(after, words[-1], contents, before=False)
    return sides, before.endswith("\nuser\t"), answered and answered[1]


def _side(near: str, word: str, contents: Mapping[str, str], *, before: bool) -> _Side:
    """Return what is next to a content in the text on one side of it; the text before it is given backwards.

    ``word`` is the last one of the content on this side.
    """
    gap = _APART.match(near)[0]  # type: ignore[index]  # it matches nothing, too
    far = near[len(gap) :]
    item = before and _ITEM.match(near)
    if item or not _INNER.fullmatch(gap) or (not any(map(str.isalpha, far)) and (gap.strip() or not far)):
        return _Side()
    beside = far[:_NEAR][::-1] if before else far[:_NEAR]
    words, tokens = _DIGITS.sub(wording.MASK, beside).split(" "), wording.TOKEN.findall(beside)
    runs = (" ".join(tokens[-size:] if before else tokens[:size]) for size in range(1, len(tokens) + 1))
    whole = len(tokens) if len(far) <= _NEAR else 0
    content = (
        contents[one]
        for size, one in enumerate(runs, 1)
        if one in contents and (size == whole or wording.says(one, wording.SUBSTANTIAL))
    )
    pairs = list(pairwise([*tokens[-_RUN:], word] if before else [word, *tokens[:_RUN]]))
    shown, stops = " ".join(words[-_NEXT:] if before else words[:_NEXT]), any(sign in gap for sign in _STOPS)
    return _Side(shown, stops, next(content, None), pairs[::-1] if before else pairs)


def _beside(training: DataSet, outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the normalised texts beside the inputs of rows: instructions, outputs and other fields."""
    seen = set[str]()
    for row, (example, output) in enumerate(zip(training, outputs, strict=True)):
        texts = [output, *texts_in(example.fields)]
        if not isinstance(example.input, str):
            texts += [str(one["content"]) for one in example.input if one["role"] in INSTRUCTIONS]
        for text in texts:
            if ("_" not in text or " " in text) and text not in seen:
                seen.add(text)
                yield row, wording.unescaped("\n".join(map(normalized_input, text.splitlines())))


def copies_but_for_ids(said: Sequence[str], outputs: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield rows that say the same as an earlier one with an equal output, but for ids, long numbers and dates."""
    first_with: dict[tuple[str, str], int] = {}
    for row, (content, output) in enumerate(zip(said, outputs, strict=True)):
        form = wording.masked(content)
        if form != content and output and wording.says(form, wording.SUBSTANTIAL_MASKED):
            first = first_with.setdefault((form, output), row)
            if first != row:
                yield row, first


def sharing(training: Iterable[tuple[int, K]], test: Sequence[K]) -> Iterator[tuple[int, int]]:
    """Yield the test rows whose key a training row has, given as (row, key), with that row; an empty key is none.

    All rows of a key are named once, then only the first of them. So the pairs of test and training rows name every row
    of both sets, but there are no more of them than rows.
    """
    rows: dict[K, list[int]] = {key: [] for key in test if key}
    for row, key in training:
        if key in rows:
            rows[key].append(row)
    for row, key in enumerate(test):
        named = rows.get(key, [])
        yield from ((row, same) for same in named)
        del named[1:]
