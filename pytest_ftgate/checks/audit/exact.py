"""Find exact duplicates: repeated and contradictory rows, and test inputs that are in the training set."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from pytest_ftgate.checks.audit.content import contents, excerpt_from, plain_text, shared_start
from pytest_ftgate.checks.audit.leaks import leaks, sharing
from pytest_ftgate.data import DataSet, Input, expected_text, is_blank, normalized_input, visible, without_instructions
from pytest_ftgate.errors import DataError, raise_together
from pytest_ftgate.text import excerpt


@dataclass(frozen=True)
class ExactCounts:
    """Rows with equal inputs. Rows are indices of examples, from 0.

    Attributes:
        usable_rows: rows with non-blank input and output, whose input no earlier such row has.
        repeats: further rows with non-blank input and output, as (row, first row with this input).
        conflicts: repeats whose output differs from that of the first row.
        leaked: test rows whose input is in the training set, as (test row, training row); all rows of both are named.
        compared, compared_in_test: the input of each row as it is compared: what it says, see :mod:`.content`.
    """

    usable_rows: tuple[int, ...]
    repeats: tuple[tuple[int, int], ...]
    conflicts: tuple[tuple[int, int], ...]
    leaked: tuple[tuple[int, int], ...]
    compared: tuple[str, ...]
    compared_in_test: tuple[str, ...]


def count_exact(training: DataSet, test: DataSet, outputs: Sequence[str]) -> ExactCounts:
    """Find usable rows, repeats, contradictions and leaks.

    Two inputs are the same if their normalised forms are equal. System and developer messages are left out, so that
    another system prompt does not hide a leak. They are compared only for questions that the training set answers
    differently under different instructions, as when these hold the document that the question is about.

    ``outputs`` are those of the training set as stripped text.
    """
    keys = [_InputKey.of(example.input) for example in training]
    instructed = _distinguished_by_instructions(keys, outputs)
    digests = [key.compared(instructed) for key in keys]
    blank = [is_blank(example.input) for example in training]
    filled = [row for row, output in enumerate(outputs) if visible(output) and not blank[row]]
    repeats = _repeats((row, digests[row]) for row in filled)
    repeated = {row for row, _ in repeats}
    test_keys = [_InputKey.of(example.input) for example in test]
    said, tested = (_compared(data, kind, instructed) for data, kind in ((training, keys), (test, test_keys)))
    leaked = set(leaks(training, test, [one for one, _ in said], outputs, [one for one, _ in tested]))
    asked = ((row, digest) for row, digest in enumerate(digests) if not blank[row])
    leaked.update(sharing(asked, [key.compared(instructed) for key in test_keys]))
    return ExactCounts(
        usable_rows=tuple(row for row in filled if row not in repeated),
        repeats=tuple(repeats),
        conflicts=tuple((row, first) for row, first in repeats if outputs[row] != outputs[first]),
        leaked=tuple(sorted(leaked)),
        compared=tuple(one for _, one in said),
        compared_in_test=tuple(one for _, one in tested),
    )


def leaked_rows(training: DataSet, test: DataSet) -> tuple[tuple[int, int], ...]:
    """Return the test rows whose input is in the training set, each with the first such training row."""
    leaked = count_exact(training, test, outputs_of(training)).leaked
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
            yield DataError(
                "the input is blank",
                where=test.where(row),
                evidence=f"expected output: {excerpt(expected_text(example.expected))}",
                cure="remove the row, or write its input",
            )


def _repeated_inputs(test: DataSet) -> Iterator[DataError]:
    repeats = _repeats((row, _InputKey.of(example.input).whole) for row, example in enumerate(test))
    texts = [normalized_input(example.input).strip() for example in test] if repeats else []
    start = shared_start(texts) if repeats else 0
    for row, first in repeats:
        ids = [f'"{excerpt(one.id)}"' for one in (test.examples[row], test.examples[first]) if one.has_own_id]
        yield DataError(
            f"the input is the same as on {test.row_name(first)}" + (f" (ids {' and '.join(ids)})" if ids else ""),
            where=test.where(row),
            evidence=f"input: {excerpt_from(texts[row], start)}",
            cure="keep one of the rows; case, width and white space are ignored in this comparison",
        )


@dataclass(frozen=True, slots=True)
class _InputKey:
    """Digests of a normalised input, with (``whole``) and without (``turns``) its instructions."""

    whole: bytes
    turns: bytes

    @classmethod
    def of(cls, given: Input) -> "_InputKey":
        whole = _digest(given)
        turns = without_instructions(given)
        return cls(whole, whole if turns is given else _digest(turns))

    def compared(self, instructed: Set[bytes]) -> bytes:
        """Return the digest to compare; ``instructed`` has the inputs whose instructions count."""
        return self.whole if self.turns in instructed else self.turns


def _digest(given: Input) -> bytes:
    return hashlib.blake2b(normalized_input(given).encode(), digest_size=16).digest()


def _repeats(rows: Iterable[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Return each row with the key of an earlier row, as (row, first row)."""
    first_with: dict[bytes, int] = {}
    pairs = ((row, first_with.setdefault(key, row)) for row, key in rows)
    return [(row, first) for row, first in pairs if row != first]


def _distinguished_by_instructions(keys: Sequence[_InputKey], outputs: Sequence[str]) -> set[bytes]:
    """Return the questions that the training set answers differently under different instructions."""
    first_with: dict[bytes, int] = {}
    other_instructions, other_output = set(), set()
    for row, key in enumerate(keys):
        if key.turns != key.whole:
            first = first_with.setdefault(key.turns, row)
            if keys[first].whole != key.whole:
                other_instructions.add(key.turns)
            if outputs[row] != outputs[first]:
                other_output.add(key.turns)
    return other_instructions & other_output


def _compared(data: DataSet, keys: Sequence[_InputKey], instructed: Set[bytes]) -> list[tuple[str, str]]:
    """Return what each row says, for equal and for similar rows; with its instructions if these count."""
    texts = [plain_text(example.input) for example in data]
    return [
        (normalized_input(example.input),) * 2 if key.turns in instructed else content
        for example, key, content in zip(data, keys, contents(texts), strict=True)
    ]
