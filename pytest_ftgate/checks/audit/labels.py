"""Compare the labels of the training and the test set, and measure the label imbalance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pytest_ftgate.data.strict_json import parse_json

HARDLY = 5
"""A label of the test set with fewer training rows than this is reported."""

_ROWS_PER_LABEL = 5


@dataclass(frozen=True)
class Labels:
    """The labels of both sets; all empty if the outputs do not look like labels.

    Attributes:
        only_in_test: labels without a training row, sorted.
        rare: labels of the test set with fewer than ``HARDLY`` training rows, with their number; rarest first.
        counts: training rows by label, most frequent first; also empty if few labels repeat.
    """

    only_in_test: tuple[str, ...] = ()
    rare: Mapping[str, int] | None = None
    counts: Mapping[str, int] | None = None

    @property
    def imbalance(self) -> float | None:
        """Return the rows of the most frequent label divided by those of the rarest; None without labels."""
        counts = list((self.counts or {}).values())
        return counts[0] / counts[-1] if counts else None


def compare_labels(training: Sequence[str], test: Sequence[str]) -> Labels:
    """Compare the labels of both sets.

    Blank outputs are not labels, and neither are JSON objects and lists, such as tool calls; where these are most of
    the outputs, the others are no labels either. Otherwise they are labels if both sets together have at most two
    distinct ones, or at most half as many as rows: free text rarely repeats. Labels are counted if the training set has
    at most two, or ``_ROWS_PER_LABEL`` rows for each on average.

    Outputs are stripped texts.
    """
    plain = cache(lambda output: bool(output) and not _is_structured(output))
    filled = sum(map(bool, training)) + sum(map(bool, test))
    training, test = ([output for output in outputs if plain(output)] for outputs in (training, test))
    counts, in_test = Counter(training), set(test)
    if 2 * (len(training) + len(test)) < filled:
        return Labels()
    if len(counts.keys() | in_test) > max(2, (len(test) + len(training)) // 2):
        return Labels()
    only_in_test = tuple(sorted(in_test - counts.keys()))
    if len(counts) > max(2, len(training) // _ROWS_PER_LABEL):
        return Labels(only_in_test)
    rare = sorted((counts[label], label) for label in in_test & counts.keys() if counts[label] < HARDLY)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Labels(only_in_test, {label: count for count, label in rare}, dict(ordered))


def _is_structured(output: str) -> bool:
    """Return whether the output is a JSON object or a list of them, as in extraction and tool calls."""
    if not output.startswith(("{", "[")):
        return False
    try:
        value = parse_json(output)
    except ValueError:
        return False
    return isinstance(value, dict) or all(isinstance(part, dict) for part in value)
