"""What the training set is worth: usable examples, contradictions, and what of the test set is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from pytest_ftgate.data import (
    DataSet,
    Example,
    Input,
    expected_text,
    is_blank,
    normalized_input,
    visible,
    without_instructions,
)
from pytest_ftgate.data.wording import excerpt
from pytest_ftgate.errors import DataError


@dataclass(frozen=True)
class TrainingAudit:
    """What was counted in a training set. Rows are numbered from 0, as the examples are.

    Two inputs are the same when their normalised forms are equal. A system prompt is no disguise: with it, without
    it or with another one, a question stays the same input. Only where the training set itself answers a question
    differently under different instructions (as when these hold the document that is asked about) do they count.

    Args:
        path, sha256: of the training set.
        rows: all of them.
        usable: distinct inputs of the rows whose input and output are both non-blank.
        duplicates: further such rows, whose input an earlier one has.
        conflicts: those of the duplicates whose output differs from that of the first row with their input.
        leaked: examples of the test set whose input is an input of the training set, usable or not.
        leaked_rows: each of those, as (row of the test set, first row of the training set with its input).
        conflict_rows: each conflict, as (row, first row with its input).
        labels_only_in_test, labels_only_in_training: sorted; empty where outputs do not look like labels.
    """

    path: str | None
    sha256: str
    rows: int
    usable: int
    duplicates: int
    conflicts: int
    leaked: int
    leaked_rows: tuple[tuple[int, int], ...]
    conflict_rows: tuple[tuple[int, int], ...]
    labels_only_in_test: tuple[str, ...]
    labels_only_in_training: tuple[str, ...]


def audit_training_set(training: DataSet, test: DataSet) -> TrainingAudit:
    """Count what a training set is worth for a test set. Takes time proportional to the rows of both."""
    keys = [_InputKey.of(example.input) for example in training]
    told_apart = _told_apart_by_instructions(training, keys)
    digests = [key.compared(told_apart) for key in keys]
    usable_rows = [row for row, example in enumerate(training) if _is_usable(example)]
    repeats = _repeats((row, digests[row]) for row in usable_rows)
    conflict_rows = tuple((row, first) for row, first in repeats if _outputs_differ(training, row, first))
    leaked_rows = _leaked_rows(
        training, digests, [_InputKey.of(example.input).compared(told_apart) for example in test]
    )
    only_in_test, only_in_training = _labels_in_one_only(test, training)
    return TrainingAudit(
        path=training.path,
        sha256=training.sha256,
        rows=len(training),
        usable=len(usable_rows) - len(repeats),
        duplicates=len(repeats),
        conflicts=len(conflict_rows),
        leaked=len(leaked_rows),
        leaked_rows=leaked_rows,
        conflict_rows=conflict_rows,
        labels_only_in_test=only_in_test,
        labels_only_in_training=only_in_training,
    )


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
    ids = f'"{test.examples[row].id}" and "{test.examples[first].id}"'
    total = f"; {len(repeats)} rows repeat an input in all" if len(repeats) > 1 else ""
    return DataError(
        f"the input is the same as that of {test.row_name(first)} (ids {ids})",
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
        """The digest that equal inputs share, given what only instructions tell apart."""
        return self.whole if self.spoken in told_apart else self.spoken


def _digest(given: Input) -> bytes:
    return hashlib.blake2b(normalized_input(given).encode(), digest_size=16).digest()


def _is_usable(example: Example) -> bool:
    return not is_blank(example.input) and visible(_output(example)) != ""


def _repeats(rows: Iterable[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Each row whose key an earlier row has, with the first row that has it."""
    first_with: dict[bytes, int] = {}
    pairs = ((row, first_with.setdefault(key, row)) for row, key in rows)
    return [(row, first) for row, first in pairs if row != first]


def _outputs_differ(data: DataSet, one: int, other: int) -> bool:
    return _output(data.examples[one]) != _output(data.examples[other])


def _output(example: Example) -> str:
    return expected_text(example.expected).strip()


def _leaked_rows(
    training: DataSet, training_digests: Sequence[bytes], test_digests: Sequence[bytes]
) -> tuple[tuple[int, int], ...]:
    first_with: dict[bytes, int] = {}
    for row, (example, digest) in enumerate(zip(training, training_digests, strict=True)):
        if not is_blank(example.input):
            first_with.setdefault(digest, row)
    return tuple((row, first_with[digest]) for row, digest in enumerate(test_digests) if digest in first_with)


def _told_apart_by_instructions(training: DataSet, keys: Sequence[_InputKey]) -> set[bytes]:
    """What is asked several times in the training set, under other instructions and with another output."""
    first_with: dict[bytes, int] = {}
    other_instructions, other_output = set(), set()
    for row, key in enumerate(keys):
        if key.spoken != key.whole:
            first = first_with.setdefault(key.spoken, row)
            if keys[first].whole != key.whole:
                other_instructions.add(key.spoken)
            if _outputs_differ(training, row, first):
                other_output.add(key.spoken)
    return other_instructions & other_output


def _labels_in_one_only(test: DataSet, training: DataSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of the test set alone, and those of the training set alone.

    Outputs look like labels where both sets together have at most two distinct ones, or at most half as
    many as they have rows: free text hardly repeats itself.
    """
    in_test = {_output(example) for example in test} - {""}
    in_training = {_output(example) for example in training} - {""}
    if len(in_test | in_training) > max(2, (len(test) + len(training)) // 2):
        return (), ()
    return tuple(sorted(in_test - in_training)), tuple(sorted(in_training - in_test))
