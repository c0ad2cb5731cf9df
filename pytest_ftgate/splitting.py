"""Split examples into a training and a test set, and take out what two sets share."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Literal, TypeVar, overload

from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set
from pytest_ftgate.checks.audit.near import Components
from pytest_ftgate.checks.audit.wording import outputs_of
from pytest_ftgate.data import DataSet, canonical_json, examples_from, is_blank, normalized_input
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, plural

Rows = TypeVar("Rows")
Side = Literal["test", "training"]

_TEST_SHARE = 5  # one row in so many is a test row, if no number is given
_HALVES = 0.4, 0.6
"""Least and greatest share of a half."""


# --- Python objects -------------------------------------------------------------------------------


def split(rows: Rows, group: str | None = None, test: int | None = None) -> tuple[Rows, Rows]:
    """Return a training set and a test set made of these rows, each of the kind that was given.

    No group, copy or near copy is in both, labels are in proportion, and the same rows are split in
    the same way, whatever their order. Where the test set would repeat a row, it has it once.

    Args:
        rows: a list or a tuple of rows, a frame of pandas or polars, or a ``datasets.Dataset``.
        group: the column of the group, such as a customer or a document, if it is not ``group``.
        test: how many rows to test on, about; a fifth by default.

    Raises:
        DataError: a row cannot be read, or most rows are copies of each other.
    """
    fields = {} if group is None else {"group": group}
    rows = _kept_whole(rows)
    data = _read(rows, "rows", fields)
    trained, tested = split_rows(data, test)
    return _taken(rows, trained), _taken(rows, tested)


@overload
def dedupe(test: Rows, training: object, source: Literal["test"] = ...) -> Rows: ...
@overload
def dedupe(test: object, training: Rows, source: Literal["training"]) -> Rows: ...
def dedupe(test: Any, training: Any, source: Side = "test") -> Any:
    """Return one of two sets without what the other holds, and without its own repeats.

    Args:
        test, training: lists or tuples of rows, frames of pandas or polars, or datasets.
        source: the set that is returned, of the kind that was given: ``test`` or ``training``.

    Raises:
        DataError: a row cannot be read, or none would remain.
    """
    if source not in ("test", "training"):
        raise ValueError(f'source must be "test" or "training", got {source!r}')
    test = _kept_whole(test)
    training = _kept_whole(training)
    test_set = _read(test, "test", {})
    training_set = _read(training, "training", {})

    removed = shared_rows(test_set, training_set, source)
    rows = test if source == "test" else training
    size = len(test_set if source == "test" else training_set)
    return _taken(rows, [row for row in range(size) if row not in removed])


def _kept_whole(rows: Any) -> Any:
    """Return rows that can be read twice."""
    return rows if hasattr(rows, "__len__") else list(rows)


def _read(rows: Any, name: str, fields: Mapping[str, str]) -> DataSet:
    """Read rows of which each must be an example, because they are taken by their numbers."""
    data = examples_from(rows, origin=name, name=name, fields=fields)
    if data.left_out:
        message = "some rows hold no output to learn, and belong to neither set"
        fix = "Take them out first."
        raise DataError(message, where=Where(name), evidence=data.told_left_out, cure=fix)
    return data


def _taken(rows: Any, wanted: list[int]) -> Any:
    """Return the rows with these numbers, in the kind of object that holds them."""
    # pandas
    if hasattr(rows, "iloc"):
        return rows.iloc[wanted]
    # datasets; a frame of polars selects columns by this name
    if hasattr(rows, "select") and hasattr(rows, "features"):
        return rows.select(wanted)
    # polars and NumPy
    if not isinstance(rows, list | tuple):
        return rows[wanted]
    taken = [rows[row] for row in wanted]
    return tuple(taken) if isinstance(rows, tuple) else taken


# --- rows of data sets ----------------------------------------------------------------------------


def split_rows(data: DataSet, wanted: int | None = None) -> tuple[list[int], list[int]]:
    """Return the rows to train on, and those to test on.

    The audit of the gate is asked whether the two sets share anything; what it finds is joined,
    and the rows are chosen again.

    Args:
        data: all examples.
        wanted: about how many test rows; a fifth by default.

    Raises:
        DataError: so many rows cannot be chosen, or over half of the rows are copies of each other.
    """
    if wanted is None:
        wanted = max(1, len(data) // _TEST_SHARE)
    if not 1 <= wanted < len(data):
        message = f"cannot take {plural(wanted, 'test row')} of {plural(len(data), 'row')}"
        raise DataError(message, where=Where(data.origin))

    untestable = _untestable(data)
    components = _groups(data)
    itself = audit_training_set(data, data)
    _join(components, (*itself.leaked_rows, *itself.test_near_rows))
    while True:
        _check_largest(data, components)
        chosen = _chosen(data, components, wanted, untestable)
        trained = sorted({*range(len(data))} - {*chosen})
        # a test set has each input once
        tested = sorted({*chosen} - _repeats(data))
        if not tested:
            message = f"no {plural(wanted, 'row')} can be taken without a copy of them"
            raise DataError(message, where=Where(data.origin))

        audit = audit_training_set(_part(data, trained), _part(data, tested))
        shared = (*audit.leaked_rows, *audit.leaked_near_rows)
        if not shared:
            return trained, tested
        _join(components, [(tested[row], trained[other]) for row, other in shared])


def _untestable(data: DataSet) -> set[int]:
    """Return the rows that a test set must not have: with a blank input, or two different outputs.

    Which of two outputs is right is for a person to decide.
    """
    outputs = outputs_of(data)
    first_with: dict[str, int] = {}
    rows: set[int] = set()
    for row, example in enumerate(data):
        first = first_with.setdefault(normalized_input(example.input).strip(), row)
        if outputs[first] != outputs[row]:
            rows.update((first, row))
        if is_blank(example.input):
            rows.add(row)
    return rows


def half_rows(training: DataSet) -> list[int]:
    """Return about half of the rows of a training set: whole groups, labels in proportion.

    Raises:
        DataError: its groups allow no such half.
    """
    chosen = _chosen(training, _groups(training), len(training) // 2, set())
    share = len(chosen) / len(training)
    if not _HALVES[0] <= share <= _HALVES[1]:
        sizes = Counter(training.groups)
        del sizes[None]
        evidence = ""
        if sizes:
            group, size = sizes.most_common(1)[0]
            evidence = f"The largest group, {excerpt(str(group))}, has {plural(size, 'row')}."
        message = f"no half: {len(chosen):,} of {plural(len(training), 'row')} come nearest"
        fix = "Give smaller groups, or more rows."
        raise DataError(message, where=Where(training.origin), evidence=evidence, cure=fix)
    return chosen


def shared_rows(test: DataSet, training: DataSet, source: Side) -> set[int]:
    """Return the rows of one set to remove: repeats, and copies and near copies of the other's.

    A repeat with another output stays: which of the two is right is for a person to decide.

    Raises:
        DataError: no row would remain.
    """
    is_test = source == "test"
    data = test if is_test else training
    audit = audit_training_set(training, test)
    removed = _repeats(test) if is_test else _repeats_trained(audit)
    kept = list(range(len(data)))
    # without some rows others may be compared in another way
    while True:
        shared = {*audit.leaked_rows, *audit.leaked_near_rows}
        removed.update(kept[pair[0] if is_test else pair[1]] for pair in shared)
        kept = [row for row in range(len(data)) if row not in removed]
        if not kept:
            other = training if is_test else test
            message = f"no row would remain: {other.origin} holds all of them"
            raise DataError(message, where=Where(data.origin))
        if not shared:
            return removed
        rest = _part(data, kept)
        audit = audit_training_set(*((training, rest) if is_test else (rest, test)))


def _repeats(test: DataSet) -> set[int]:
    """Return the rows with the input and the output of an earlier row."""
    outputs = outputs_of(test)
    first_with: dict[tuple[str, str], int] = {}
    repeats = set()
    for row, example in enumerate(test):
        key = normalized_input(example.input).strip(), outputs[row]
        if first_with.setdefault(key, row) != row:
            repeats.add(row)
    return repeats


def _repeats_trained(audit: TrainingAudit) -> set[int]:
    """Return the rows that repeat an earlier one, or nearly."""
    repeats = {*audit.repeats} - {*audit.conflict_rows}
    return {row for row, _ in (*repeats, *audit.near_rows)}


def _part(data: DataSet, rows: Iterable[int]) -> DataSet:
    return replace(data, examples=tuple(data.examples[row] for row in rows))


# --- what stays together --------------------------------------------------------------------------


def _groups(data: DataSet) -> Components:
    """Return components of the rows that have the same group."""
    components = Components(len(data))
    first_with: dict[str, int] = {}
    for row, group in enumerate(data.groups):
        if group is not None:
            components.join(first_with.setdefault(group, row), row)
    return components


def _join(components: Components, pairs: Iterable[tuple[int, int]]) -> None:
    for row, other_row in pairs:
        components.join(row, other_row)


def _members(components: Components, n: int) -> list[list[int]]:
    """Return the rows of each component."""
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(n):
        members[components.first(row)].append(row)
    return list(members.values())


def _check_largest(data: DataSet, components: Components) -> None:
    """Raise :class:`DataError` where one component has over half of the rows."""
    largest = max(_members(components, len(data)), key=len)
    if 2 * len(largest) <= len(data):
        return

    message = f"{len(largest):,} of {plural(len(data), 'row')} belong together: "
    message += "they have one group, or each is a copy or a near copy of another"
    inputs = [excerpt(normalized_input(data.examples[row].input)) for row in largest[:2]]
    evidence = f"{data.row_name(largest[0])}: {inputs[0]}; {data.row_name(largest[1])}: {inputs[1]}"
    fix = "Collect inputs that differ by more than a few words or numbers, or write a test set "
    fix += "from another source."
    raise DataError(message, where=Where(data.origin), evidence=evidence, cure=fix)


def _chosen(data: DataSet, components: Components, wanted: int, excluded: Set[int]) -> list[int]:
    """Return about so many rows: whole components without excluded rows, of each label its share.

    This is systematic sampling of the components, sorted by label: a component is taken where less
    than its half is missing to the share of the rows that were passed. Within a label the order is
    that of a hash, largest components first, because smaller ones fill up what they leave.

    Source: W. G. Cochran, Sampling Techniques (1977), chapter 8.
    """
    keys = [_hash(example.input, example.expected) for example in data]
    outputs = outputs_of(data)
    frequency = Counter(outputs)

    def order(rows: Collection[int]) -> tuple[str, int, Sequence[Hashable]]:
        # the smallest one first, so that the order of the rows does not matter
        label, n = min(Counter(outputs[row] for row in rows).items(), key=_frequent)
        return (label if frequency[label] > n else ""), -len(rows), sorted(keys[i] for i in rows)

    chosen: list[int] = []
    n_passed = 0
    for rows in sorted(_members(components, len(data)), key=order):
        n_passed += len(rows)
        due = n_passed * wanted / len(data)
        if len(chosen) + len(rows) / 2 <= due and excluded.isdisjoint(rows):
            chosen += rows
    return sorted(chosen)


def _frequent(item: tuple[str, int]) -> tuple[int, str]:
    label, count = item
    return -count, label


def _hash(*values: Any) -> str:
    return hashlib.sha256(canonical_json(values).encode(errors="backslashreplace")).hexdigest()
