"""Find test inputs that stand within texts of the training set: inputs, turns, and outputs.

Source: A. Broder, On the resemblance and containment of documents (1997).
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from pytest_ftgate.checks.audit import wording
from pytest_ftgate.data import INSTRUCTIONS, DataSet, normalized_input, texts_in

_RUN = wording.LONG_WORDS
_SHORTEST = wording.LONG_SIGNS
"""Characters of the shortest text in which a long one can stand."""


class Index:
    """Find which of some long texts stand as whole words within others, in linear time.

    Each is looked for by the run of words around its rarest word. Words are separated by single
    spaces.
    """

    def __init__(self, texts: Iterable[str], counts: Counter[str]) -> None:
        """Index these texts; ``counts`` says how frequent words are where they are looked for."""
        self._offsets: dict[str, list[int]] = defaultdict(list)
        self._texts: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
        for text in texts:
            words = text.split(" ")
            # a common word would be looked up in nearly every text
            rarest = min(words, key=counts.__getitem__)
            position = words.index(rarest)
            # the word is in the middle of the run, unless the text begins or ends before
            start = max(0, min(position - _RUN // 2, len(words) - _RUN))
            run = " ".join(words[start : start + _RUN])
            offset = position - start
            if offset not in self._offsets[rarest]:
                self._offsets[rarest].append(offset)
            self._texts[offset, run].append((start, text))

    def find(self, holder: str) -> Iterator[tuple[str, int]]:
        """Yield each text that stands within another one, and the number of words before it."""
        words = holder.split(" ")
        # most texts hold none of the rare words
        if self._offsets.keys().isdisjoint(words):
            return
        for position, word in enumerate(words):
            for offset in self._offsets.get(word, ()):
                run = " ".join(words[max(position - offset, 0) : position - offset + _RUN])
                for start, text in self._texts.get((offset, run), ()):
                    first = position - offset - start
                    text_words = text.split(" ")
                    if first >= 0 and words[first : first + len(text_words)] == text_words:
                        yield text, first


def find_leaks(
    training: DataSet,
    trained: Sequence[wording.Text],
    bare: Sequence[wording.Text],
    outputs: Sequence[str],
    tested: Sequence[wording.Text],
    answers: Sequence[str | None],
    mask: wording.Mask,
) -> set[tuple[int, int]]:
    """Return the test rows that leaked, each with training rows that hold it.

    A test input has leaked if it is equal to a training input, with or without their templates, or
    if it is long and all of its words follow each other in one text of a training row. Where
    numbers do not count, a word with a digit is equal to another one if the outputs are equal: in a
    template, and in a long input.

    Args:
        training: the training set, for the texts beside its inputs.
        trained, tested: the inputs of both sets.
        bare: those of the training set without a template in which each row has another number.
        outputs, answers: the expected outputs of both sets, as stripped text.
        mask: whether numbers count.
    """
    keys: set[Hashable] = set()
    for text, answer in zip(tested, answers, strict=True):
        keys.update(_test_keys(text, answer))

    holders: dict[Hashable, list[int]] = defaultdict(list)
    for row, (text, bare_text, output) in enumerate(zip(trained, bare, outputs, strict=True)):
        for key in _keys(text, output):
            if key in keys:
                holders[key].append(row)
        # a test input that has the number, too, is another key
        bare_key = bare_text.words, output
        if bare_text.words != text.words and bare_key in keys:
            holders[bare_key].append(row)

    forms = {text.form for text in tested if text.is_long}

    if forms:
        texts = [*_inputs(trained), *_texts_beside(training, outputs, mask)]
        for row, key in _find(forms, texts, outputs):
            # a row that holds a text twice is named once
            if key in keys and row not in holders[key][-1:]:
                holders[key].append(row)
    return set(_pairs(tested, answers, holders))


def _pairs(
    tested: Sequence[wording.Text],
    answers: Sequence[str | None],
    holders: Mapping[Hashable, list[int]],
) -> Iterator[tuple[int, int]]:
    """Yield each test row with training rows that hold one of its keys.

    All holders of a key are named once, then only the first of them. So the pairs name every row of
    both sets that is concerned, but there are no more of them than keys and holders.
    """
    for test_row, (text, answer) in enumerate(zip(tested, answers, strict=True)):
        for key in _test_keys(text, answer):
            rows = holders.get(key, [])
            for row in rows:
                yield test_row, row
            # with the first holder each further test row is named, too
            del rows[1:]


def copies_but_for_digits(
    texts: Sequence[wording.Text], outputs: Sequence[str | None]
) -> Iterator[tuple[int, int]]:
    """Yield each long row that equals an earlier one but for words with a digit, with that row.

    An output that is not known may be that of any of these rows.
    """
    rows = list(zip(texts, outputs, strict=True))
    open_forms = {text.form for text, output in rows if output is None}
    first_with: dict[Hashable, int] = {}
    for row, (text, output) in enumerate(rows):
        if output == "" or text.form == text.words:
            continue
        key = (text.form, None if text.form in open_forms else output)
        first = first_with.setdefault(key, row)
        if first != row:
            yield row, first


def _keys(text: wording.Text, output: str | None) -> Iterator[Hashable]:
    """Yield what equal rows share: the exact words; or the output and words without digits."""
    if text.words:
        yield text.exact
        # A copy of a row also equals it where only one of the two sets has its template.
        if text.whole != text.exact:
            yield text.whole
        if output:
            yield text.form, output


def _test_keys(text: wording.Text, answer: str | None) -> Iterator[Hashable]:
    """Yield the same of a test row, and the words of a long one, which may stand within a text."""
    yield from _keys(text, answer)
    if text.is_long:
        yield text.words


def _find(
    forms: Iterable[str], texts: Sequence[tuple[int, str, str]], outputs: Sequence[str]
) -> Iterator[tuple[int, Hashable]]:
    """Yield the training rows with a text that holds one of these forms, with the keys of that."""
    counts: Counter[str] = Counter()
    for _, _, form in texts[:: 1 + len(texts) // wording.SAMPLE]:
        counts.update(form.split(" "))
    index = Index(forms, counts)

    for row, words, text in texts:
        for form, start in index.find(text):
            size = form.count(" ") + 1
            yield row, " ".join(words.split(" ")[start : start + size])
            yield row, (form, outputs[row])


def _inputs(trained: Sequence[wording.Text]) -> Iterator[tuple[int, str, str]]:
    """Yield the rows of inputs that may hold a long one, with their words, also masked."""
    for row, text in enumerate(trained):
        if len(text.whole) >= _SHORTEST:
            yield row, text.whole, text.masked


def _texts_beside(
    training: DataSet, outputs: Sequence[str], mask: wording.Mask
) -> Iterator[tuple[int, str, str]]:
    """Yield the same of instructions, outputs and further fields; equal texts only once."""
    distinct: set[str] = set()
    for row, (example, output) in enumerate(zip(training, outputs, strict=True)):
        texts = [output, *texts_in(example.fields)]
        if not isinstance(example.input, str):
            for message in example.input:
                if message["role"] in INSTRUCTIONS:
                    texts.append(str(message["content"]))

        for text in texts:
            if len(text) >= _SHORTEST and text not in distinct:
                distinct.add(text)
                words = wording.words_of(wording.unescaped(normalized_input(text)))
                yield row, words, mask(words)
