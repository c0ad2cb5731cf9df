"""Outputs that are labels: which set has which, how many of each, and how far they are out of balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from pytest_ftgate.data.strict_json import parse_json

HARDLY = 5
"""Fewer training examples than this of a label that the test set has are called out."""

_ROWS_PER_LABEL = 5
_LOOKED_AT = 20


@dataclass(frozen=True)
class Labels:
    """The labels of both sets; all empty where outputs do not look like labels.

    Args:
        only_in_test, only_in_training: sorted.
        rare: labels of the test set with fewer than ``HARDLY`` training rows, and how many; rarest first.
        counts: training rows by label, most frequent first; empty too where hardly any label repeats.
    """

    only_in_test: tuple[str, ...] = ()
    only_in_training: tuple[str, ...] = ()
    rare: Mapping[str, int] | None = None
    counts: Mapping[str, int] | None = None

    @property
    def imbalance(self) -> float | None:
        """The imbalance ratio: rows of the most frequent label by rows of the rarest; None without labels."""
        counts = list((self.counts or {}).values())
        return counts[0] / counts[-1] if counts else None


def compare_labels(training: Sequence[str], test: Sequence[str]) -> Labels:
    """Compare the outputs of both sets; blank ones are no label, and a test set of blank ones alone says nothing.

    JSON objects and lists are no labels, however often they repeat (the first outputs tell). Others look like labels
    where both sets together have at most two distinct ones, or at most half as many as they have rows: free text hardly
    repeats itself. They are counted where the training set has ``_ROWS_PER_LABEL`` rows for each on average, or two
    labels.
    """
    counts = Counter(output for output in training if output)
    in_test = {output for output in test if output}
    looked_at = list(islice(counts or in_test, _LOOKED_AT))
    if looked_at and all(map(_is_structured, looked_at)):
        return Labels()
    if len(counts.keys() | in_test) > max(2, (len(test) + len(training)) // 2):
        return Labels()
    untested = counts.keys() - in_test if in_test else ()
    only_in_test, only_in_training = tuple(sorted(in_test - counts.keys())), tuple(sorted(untested))
    if len(counts) > max(2, len(training) // _ROWS_PER_LABEL):
        return Labels(only_in_test, only_in_training)
    rare = sorted((counts[label], label) for label in in_test & counts.keys() if counts[label] < HARDLY)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Labels(only_in_test, only_in_training, {label: count for count, label in rare}, dict(ordered))


def _is_structured(output: str) -> bool:
    """Return whether it is a JSON object or list, as in extraction."""
    if not output.startswith(("{", "[")):
        return False
    try:
        parse_json(output)
    except ValueError:
        return False
    return True
