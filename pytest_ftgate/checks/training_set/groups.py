"""Join test examples that are near duplicates of each other into groups, which count as one piece of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_ftgate.checks.training_set.content import contents, copies_but_for_ids
from pytest_ftgate.checks.training_set.near import Components, near_copies
from pytest_ftgate.checks.training_set.wording import Wording
from pytest_ftgate.data import DataSet, expected_text


def grouped(test: DataSet, pairs: Iterable[tuple[int, int]]) -> DataSet:
    """Return a test set in which the examples of each pair, and all of their groups, have the same group."""
    names = joined_groups(test.groups, pairs)
    examples = (replace(example, group=name) for example, name in zip(test, names, strict=True))
    return replace(test, examples=tuple(examples))


def grouped_by_content(test: DataSet) -> DataSet:
    """Return a test set in which examples that are near duplicates of each other have the same group."""
    said = [similar for _, similar in contents(test)]
    outputs = [expected_text(one.expected).strip() for one in test]
    pairs = (*near_copies([], list(map(Wording.of, said, outputs))).in_test, *copies_but_for_ids(said, outputs))
    return grouped(test, pairs) if pairs else test


def joined_groups(groups: Sequence[str | None], pairs: Iterable[tuple[int, int]]) -> list[str | None]:
    """Return the group of each example after the groups of the two examples of each pair became one.

    It has the name of the first written group in it, else ``copies of N`` for its first example, counted from 1.
    """
    parts, first_of = Components(len(groups)), dict[str, int]()
    for row, name in enumerate(groups):
        if name is not None:
            parts.join(first_of.setdefault(name, row), row)
    joined = {row for pair in pairs if parts.join(*pair) for row in pair}
    names: dict[int, str] = {}
    for name, row in first_of.items():
        names.setdefault(parts.first(row), name)
    for row in joined:
        name = f"copies of {parts.first(row) + 1}"
        while name in first_of:
            name += "'"
        names.setdefault(parts.first(row), name)
    return [names.get(parts.first(row)) for row in range(len(groups))]
