"""Find exact duplicates: repeated and contradictory rows, and test inputs that are in the training set."""

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from pytest_ftgate.checks.audit.content import contents, excerpt_from, plain_text, shared_start
from pytest_ftgate.checks.audit.leaks import leaks, sharing
from pytest_ftgate.data import DataSet, Input, expected_text, is_blank, normalized_input, visible, without_instructions
from pytest_ftgate.errors import DataError, raise_together
from pytest_ftgate.text import excerpt

Pairs = tuple[tuple[int, int], ...]


class Exact(NamedTuple):
    """Rows with equal inputs. Rows are indices of examples, from 0.

    Attributes:
        repeats: rows with non-blank input and output whose input an earlier such row has, as (row, first row with it).
        usable: all other rows with non-blank input and output.
        leaked: test rows whose input is in the training set, as (test row, training row); all rows of both are named.
        said, tested: the inputs of both sets as they are compared for similar rows: what they say, see :mod:`.content`.
    """

    repeats: Pairs
    usable: tuple[int, ...]
    leaked: Pairs
    said: list[str]
    tested: list[str]


def compare_exactly(training: DataSet, test: DataSet, outputs: Sequence[str]) -> Exact:
    """Find usable rows, repeats and leaks. ``outputs`` are those of the training set as stripped text.

    Two inputs are the same if their normalised forms are equal. System and developer messages are left out, so that
    another system prompt does not hide a leak. They are compared only for questions that the training set answers
    differently under different instructions, as when these hold the document that the question is about.
    """
    keys, test_keys = ([_keys(example.input) for example in data] for data in (training, test))
    first, ways, answers = dict[bytes, tuple[bytes, str]](), set[bytes](), set[bytes]()
    for (whole, turns), output in zip(keys, outputs, strict=True):
        if whole != turns:
            way, answer = first.setdefault(turns, (whole, output))
            ways.update([turns] * (way != whole))
            answers.update([turns] * (answer != output))
    instructed = ways & answers
    digests, test_digests = (
        [whole if turns in instructed else turns for whole, turns in some] for some in (keys, test_keys)
    )
    asked = [(row, digests[row]) for row, example in enumerate(training) if not is_blank(example.input)]
    filled = [(row, digest) for row, digest in asked if visible(outputs[row])]
    repeats = _repeats(filled)
    said, tested = (_said(data, some, instructed) for data, some in ((training, keys), (test, test_keys)))
    leaked = set(leaks(training, test, [one for one, _ in said], outputs, [one for one, _ in tested]))
    leaked.update(sharing(asked, test_digests))
    usable = {row for row, _ in filled} - {row for row, _ in repeats}
    similar = [[one for _, one in some] for some in (said, tested)]
    return Exact(tuple(repeats), tuple(sorted(usable)), tuple(sorted(leaked)), *similar)


def leaked_rows(training: DataSet, test: DataSet) -> Pairs:
    """Return the test rows whose input is in the training set, each with the first such training row."""
    leaked = compare_exactly(training, test, outputs_of(training)).leaked
    return tuple(sorted(dict(reversed(leaked)).items()))


def outputs_of(data: DataSet) -> list[str]:
    """Return the expected outputs as stripped text, the form in which they are compared."""
    return [expected_text(example.expected).strip() for example in data]


def check_test_set(test: DataSet) -> None:
    """Raise :class:`DataError` for a test set with blank or repeated inputs; a repeated one would count twice."""
    raise_together(_blank_inputs(test))
    raise_together(_repeated_inputs(test))


def _blank_inputs(test: DataSet) -> Iterator[DataError]:
    for row, example in enumerate(test):
        if is_blank(example.input):
            evidence = f"expected output: {excerpt(expected_text(example.expected))}"
            cure = "remove the row, or write its input"
            yield DataError("the input is blank", where=test.where(row), evidence=evidence, cure=cure)


def _repeated_inputs(test: DataSet) -> Iterator[DataError]:
    texts = [normalized_input(example.input).strip() for example in test]
    repeats = _repeats(enumerate(texts))
    start = shared_start(texts) if repeats else 0
    for row, first in repeats:
        ids = [f'"{excerpt(one.id)}"' for one in (test.examples[row], test.examples[first]) if one.has_own_id]
        yield DataError(
            f"the input is the same as on {test.row_name(first)}" + (f" (ids {' and '.join(ids)})" if ids else ""),
            where=test.where(row),
            evidence=f"input: {excerpt_from(texts[row], start)}",
            cure="keep one of the rows; case, width and white space are ignored in this comparison",
        )


def _keys(given: Input) -> tuple[bytes, bytes]:
    """Return the digests of a normalised input, with and without its instructions."""
    turns = without_instructions(given)
    whole, *rest = (
        hashlib.blake2b(normalized_input(one).encode(), digest_size=16).digest()
        for one in ((given,) if turns is given else (given, turns))
    )
    return whole, rest[0] if rest else whole


def _repeats(rows: Iterable[tuple[int, Hashable]]) -> list[tuple[int, int]]:
    """Return each row with the key of an earlier row, as (row, first row)."""
    first_with: dict[Hashable, int] = {}
    pairs = ((row, first_with.setdefault(key, row)) for row, key in rows)
    return [(row, first) for row, first in pairs if row != first]


def _said(data: DataSet, keys: Sequence[tuple[bytes, bytes]], instructed: Set[bytes]) -> list[tuple[str, str]]:
    """Return what each row says, for equal and for similar rows; with its instructions if these count."""
    said = contents([plain_text(example.input) for example in data])
    return [
        (normalized_input(example.input),) * 2 if turns in instructed else content
        for example, (_, turns), content in zip(data, keys, said, strict=True)
    ]
