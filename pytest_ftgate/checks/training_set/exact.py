"""Inputs that are the same: repeats and contradictions in a set, and what of a test set is in a training set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from pytest_ftgate.data import DataSet, Input, expected_text, is_blank, normalized_input, visible, without_instructions
from pytest_ftgate.errors import DataError
from pytest_ftgate.text import excerpt


@dataclass(frozen=True)
class ExactCounts:
    """Rows by what their inputs share. Rows are numbered from 0, as the examples are.

    Args:
        usable_rows: rows whose input and output are both non-blank, and whose input no earlier such row has.
        repeats: further such rows, as (row, first row with its input).
        conflicts: those of the repeats whose output differs from that of the first row.
        leaked: rows of the test set whose input is one of the training set, as (row, first training row).
        compared, compared_in_test: of each row, the input as far as it tells rows apart.
    """

    usable_rows: tuple[int, ...]
    repeats: tuple[tuple[int, int], ...]
    conflicts: tuple[tuple[int, int], ...]
    leaked: tuple[tuple[int, int], ...]
    compared: tuple[Input, ...]
    compared_in_test: tuple[Input, ...]


def count_exact(training: DataSet, test: DataSet, outputs: Sequence[str]) -> ExactCounts:
    """Count usable rows, repeats, contradictions and leaks.

    Two inputs are the same when their normalised forms are equal. A system prompt is no disguise: with it, without
    it or with another one, a question stays the same input. Only where the training set itself answers a question
    differently under different instructions (as when these hold the document that is asked about) do they count.

    Args:
        training, test: the sets.
        outputs: the training set's outputs as stripped text.
    """
    keys = [_InputKey.of(example.input) for example in training]
    told_apart = _told_apart_by_instructions(keys, outputs)
    digests = [key.compared(told_apart) for key in keys]
    blank = [is_blank(example.input) for example in training]
    filled = [row for row, output in enumerate(outputs) if visible(output) and not blank[row]]
    repeats = _repeats((row, digests[row]) for row in filled)
    repeated = {row for row, _ in repeats}
    test_keys = [_InputKey.of(example.input) for example in test]
    return ExactCounts(
        usable_rows=tuple(row for row in filled if row not in repeated),
        repeats=tuple(repeats),
        conflicts=tuple((row, first) for row, first in repeats if outputs[row] != outputs[first]),
        leaked=_leaked(blank, digests, [key.compared(told_apart) for key in test_keys]),
        compared=_compared(training, keys, told_apart),
        compared_in_test=_compared(test, test_keys, told_apart),
    )


def leaked_rows(training: DataSet, test: DataSet) -> tuple[tuple[int, int], ...]:
    """Return :attr:`ExactCounts.leaked` without a whole audit."""
    return count_exact(training, test, outputs_of(training)).leaked


def outputs_of(data: DataSet) -> list[str]:
    """Return the outputs as they are compared: as stripped text."""
    return [expected_text(example.expected).strip() for example in data]


def check_test_set(test: DataSet) -> None:
    """Refuse a test set with a blank input, or with one input twice: it would count twice.

    Raises:
        DataError: names the row, or both rows and their ids.
    """
    for row, example in enumerate(test):
        if is_blank(example.input):
            raise DataError(
                "the input is blank",
                where=test.where(row),
                evidence=f"its expected output: {excerpt(expected_text(example.expected))}",
                cure="remove the row, or write its input",
            )
    repeats = _repeats((row, _InputKey.of(example.input).whole) for row, example in enumerate(test))
    if repeats:
        raise _repeated_input(test, repeats)


def _repeated_input(test: DataSet, repeats: list[tuple[int, int]]) -> DataError:
    row, first = repeats[0]
    given, earlier = test.examples[row].id, test.examples[first].id
    ids = f' (ids "{given}" and "{earlier}")' if given != earlier else ""
    total = f"; {len(repeats)} rows repeat an input in all" if len(repeats) > 1 else ""
    return DataError(
        f"the input is the same as that of {test.row_name(first)}{ids}",
        where=test.where(row),
        evidence=f"it is: {excerpt(normalized_input(test.examples[row].input).strip())}{total}",
        cure="keep one of the rows; case, width and white space do not tell inputs apart",
    )


@dataclass(frozen=True, slots=True)
class _InputKey:
    """Digests that stand for a normalised input: of the whole, and of what remains without instructions."""

    whole: bytes
    spoken: bytes

    @classmethod
    def of(cls, given: Input) -> _InputKey:
        whole = _digest(given)
        spoken = without_instructions(given)
        return cls(whole, whole if spoken is given else _digest(spoken))

    def compared(self, told_apart: Set[bytes]) -> bytes:
        """Return the digest that equal inputs share, given what only instructions tell apart."""
        return self.whole if self.spoken in told_apart else self.spoken


def _digest(given: Input) -> bytes:
    return hashlib.blake2b(normalized_input(given).encode(), digest_size=16).digest()


def _repeats(rows: Iterable[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Return each row whose key an earlier row has, with the first row that has it."""
    first_with: dict[bytes, int] = {}
    pairs = ((row, first_with.setdefault(key, row)) for row, key in rows)
    return [(row, first) for row, first in pairs if row != first]


def _leaked(
    blank: Sequence[bool], digests: Sequence[bytes], test_digests: Sequence[bytes]
) -> tuple[tuple[int, int], ...]:
    first_with: dict[bytes, int] = {}
    for row, digest in enumerate(digests):
        if not blank[row]:
            first_with.setdefault(digest, row)
    return tuple((row, first_with[digest]) for row, digest in enumerate(test_digests) if digest in first_with)


def _told_apart_by_instructions(keys: Sequence[_InputKey], outputs: Sequence[str]) -> set[bytes]:
    """Return what is asked several times in the training set, under other instructions and with another output."""
    first_with: dict[bytes, int] = {}
    other_instructions, other_output = set(), set()
    for row, key in enumerate(keys):
        if key.spoken != key.whole:
            first = first_with.setdefault(key.spoken, row)
            if keys[first].whole != key.whole:
                other_instructions.add(key.spoken)
            if outputs[row] != outputs[first]:
                other_output.add(key.spoken)
    return other_instructions & other_output


def _compared(data: DataSet, keys: Sequence[_InputKey], told_apart: Set[bytes]) -> tuple[Input, ...]:
    return tuple(
        example.input if key.spoken in told_apart else without_instructions(example.input)
        for example, key in zip(data, keys, strict=True)
    )
