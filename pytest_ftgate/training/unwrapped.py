"""Test inputs that stand in the training set within something: a prompt, a conversation, behind a row's number.

Of what nine in ten training inputs begin and end with, nothing tells them apart; likewise of the test set. A question
that is only contained in another one ("turn on the light", "turn on the light in the kitchen") is another question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from pytest_ftgate.data import Input
from pytest_ftgate.training.near import same_answer
from pytest_ftgate.training.views import View, views
from pytest_ftgate.training.wrapping import Wrapping


def unwrapped_leaks(
    training: Iterable[tuple[int, Input, str]],
    test: Sequence[tuple[Input, str]],
    wrapping: Wrapping,
    known: Set[int],
) -> dict[int, int]:
    """Rows of the test set with the same question and answer within a training row, and the first such row.

    Args:
        training: row, input and output of those rows that have both.
        test: input and output of all rows.
        wrapping: what stands around the inputs of the sets.
        known: rows of the test set that leak as they stand.
    """
    asked: dict[str, list[tuple[int, View]]] = {}
    for row, (given, output) in enumerate(test):
        for view in views(given, output, wrapping) if row not in known else ():
            asked.setdefault(view.text, []).append((row, view))
    longest = longest_of(given for given, _ in test)
    found: dict[int, int] = {}
    for row, given, output in training:
        for view in views(given, output, wrapping, longest=longest):
            for test_row, other in asked.get(view.text, ()):
                if test_row not in found and _is_same(view, other):
                    found[test_row] = row
    return found


def longest_of(inputs: Iterable[Input]) -> int:
    """The messages of the longest input."""
    return max((1 if isinstance(given, str) else len(given) for given in inputs), default=0)


def _is_same(one: View, other: View) -> bool:
    both_renumbered = one.renumbered and other.renumbered
    return not both_renumbered and one.around.fits(other.around) and same_answer(one.output, other.output)
