"""Find test inputs that stand within texts of the training set: inputs, earlier turns, instructions and outputs.

Source: A. Broder, On the resemblance and containment of documents (1997).
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from pytest_ftgate.checks.audit import wording
from pytest_ftgate.data import INSTRUCTIONS, DataSet, normalized_input, texts_in

_RUN = wording.LONG_WORDS
_SHORTEST = wording.LONG_SIGNS
"""Characters of the shortest text in which a long one can stand."""
_SAMPLE = 2_000
"""Texts, about, from which is told how frequent words are."""


class Index:
    """Find which of some texts stand as whole words within others, in time linear in the words of both.

    Each is looked for by the run of words around its rarest word. Words are separated by single
    spaces.
    """

    def __init__(self, parts: Iterable[str], counts: Counter[str]) -> None:
        """Index these parts.

        ``counts`` says how frequent words are in the texts that will be searched.
        """
        self._runs: dict[tuple[int | str, ...], list[tuple[int, list[str], str]]] = defaultdict(
            list
        )
        self._anchors: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for part in parts:
            words = part.split(" ")
            frequencies = [counts[word] for word in words]
            rarest = frequencies.index(min(frequencies))
            first = max(0, min(rarest - _RUN // 2, len(words) - _RUN))
            run = words[first : first + _RUN]
            self._anchors[words[rarest]].add((rarest - first, len(run)))
            self._runs[(rarest - first, len(run), *run)].append((first, words, part))

    def find(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield each part that stands within the text, and the number of words before it."""
        words = text.split(" ")
        anchors = self._anchors
        if anchors.keys().isdisjoint(words):
            return
        for at, word in enumerate(words):
            for before, size in anchors.get(word, ()):
                start = at - before
                run = words[start : start + size] if start >= 0 else []
                for first, part, joined in self._runs.get((before, size, *run), ()):
                    begin = start - first
                    if begin >= 0 and words[begin : begin + len(part)] == part:
                        yield joined, begin


def find_leaks(
    training: DataSet,
    trained: Sequence[wording.Text],
    outputs: Sequence[str],
    tested: Sequence[wording.Text],
    answers: Sequence[str],
) -> set[tuple[int, int]]:
    """Return the test rows that leaked, each with training rows that hold it.

    A test input has leaked if it is equal to a training input, both without their templates, or if
    it is long and all of its words stand in a row in one text of a training row. A word with a
    digit is equal to another one if the outputs are equal: in a template, and in a long input.

    Args:
        training: the training set, for the texts beside its inputs.
        trained, tested: the inputs of both sets.
        outputs, answers: the expected outputs of both sets, as stripped text.
    """
    keys = []
    for text, answer in zip(tested, answers, strict=True):
        long = [text.words] if text.is_long else []
        keys.append([*_keys(text, answer), *long])
    wanted = {key for row_keys in keys for key in row_keys}

    holders: dict[Hashable, list[int]] = defaultdict(list)
    for row, key in _equal(trained, outputs):
        if key in wanted:
            holders[key].append(row)

    forms = {text.form for text in tested if text.is_long}
    if forms:
        texts = [*_inputs(trained), *_texts_beside(training, outputs)]
        for row, key in _find(forms, texts, outputs):
            if key in wanted and row not in holders[key][-1:]:
                holders[key].append(row)
    return set(_pairs(keys, holders))


def _pairs(
    keys: Sequence[Sequence[Hashable]], holders: dict[Hashable, list[int]]
) -> Iterator[tuple[int, int]]:
    """Yield each test row with training rows that hold one of its keys.

    All holders of a key are named once, then only the first of them. So the pairs name every row of
    both sets that is concerned, but there are no more of them than keys and holders.
    """
    for test_row, row_keys in enumerate(keys):
        for key in row_keys:
            if key in holders:
                for row in holders[key]:
                    yield test_row, row
                del holders[key][1:]


def copies_but_for_digits(
    texts: Sequence[wording.Text], outputs: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Yield each row that is long and equal to an earlier one but for words with a digit, with that row."""
    first_with: dict[Hashable, int] = {}
    for row, (text, output) in enumerate(zip(texts, outputs, strict=True)):
        if output and text.form != text.words:
            first = first_with.setdefault((text.form, output), row)
            if first != row:
                yield row, first


def _equal(
    trained: Sequence[wording.Text], outputs: Sequence[str]
) -> Iterator[tuple[int, Hashable]]:
    """Yield the training rows with the keys of equal test rows."""
    for row, (text, output) in enumerate(zip(trained, outputs, strict=True)):
        for key in _keys(text, output):
            yield row, key


def _keys(text: wording.Text, output: str) -> Iterator[Hashable]:
    """Yield what equal rows share: the exact words; or the output, and words whose digits may differ."""
    if text.words:
        yield text.exact
        if output:
            yield text.form, output


def _find(
    forms: Iterable[str], texts: Sequence[tuple[int, str, str]], outputs: Sequence[str]
) -> Iterator[tuple[int, Hashable]]:
    """Yield the training rows with a text in which one of these forms stands, with the keys of that."""
    counts: Counter[str] = Counter()
    for _, _, form in texts[:: 1 + len(texts) // _SAMPLE]:
        counts.update(form.split(" "))
    index = Index(forms, counts)

    for row, words, text in texts:
        for form, start in index.find(text):
            size = form.count(" ") + 1
            yield row, " ".join(words.split(" ")[start : start + size])
            yield row, (form, outputs[row])


def _inputs(trained: Sequence[wording.Text]) -> Iterator[tuple[int, str, str]]:
    """Yield the rows of inputs that may hold a long one, with their words, and these without numbers."""
    for row, text in enumerate(trained):
        if len(text.whole) >= _SHORTEST:
            yield row, text.whole, text.masked


def _texts_beside(training: DataSet, outputs: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the same of instructions, outputs and further fields; equal texts only once."""
    seen: set[str] = set()
    for row, (example, output) in enumerate(zip(training, outputs, strict=True)):
        texts = [output, *texts_in(example.fields)]
        if not isinstance(example.input, str):
            for message in example.input:
                if message["role"] in INSTRUCTIONS:
                    texts.append(str(message["content"]))

        for text in texts:
            if len(text) >= _SHORTEST and text not in seen:
                seen.add(text)
                words = wording.words_of(wording.unescaped(normalized_input(text)))
                yield row, words, wording.masked(words)
