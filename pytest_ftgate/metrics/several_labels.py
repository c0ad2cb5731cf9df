"""Several labels for one example: the expected output and the answer are lists of labels, whose order is ignored."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.normalization import FULL, Normalization
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Kind, Metric, Scored, by_example
from pytest_ftgate.text import excerpt

NAMES = ("labels_f1", "labels_exact")
SEPARATOR = ","


@dataclass(frozen=True)
class SeveralLabels(Metric):
    """``labels_f1``, the F1 of the labels of each example, averaged over examples; ``labels_exact``: all are right.

    A list of labels is JSON (``["a", "b"]``), or text with a label in each part. No label at all is written ``[]``.
    """

    name: str
    kind: Kind
    separator: str = SEPARATOR
    normalization: Normalization = field(default=FULL)

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        return by_example(self, [self._wanted(one, i) for i, one in enumerate(expected)], answers, self._score)

    def answers_read(self, answers: Iterable[str | None]) -> list[str | None]:
        """Return the labels of each answer, sorted, as a JSON list; None if there is no list in it."""
        read = (None if answer is None else self.labels(answer) for answer in answers)
        return [None if one is None else json.dumps(sorted(one), ensure_ascii=False) for one in read]

    def labels(self, value: Any) -> frozenset[str] | None:
        """Return the labels in an answer or expected output; None if it is blank or no list of labels."""
        if isinstance(value, str):
            text = value.strip()
            if not text:
                return None
            try:
                value = parse_json(text) if text.startswith(("[", "{")) else text.split(self.separator)
            except ValueError:
                value = text.split(self.separator)
        if not isinstance(value, list) or any(isinstance(one, dict | list) or one is None for one in value):
            return None
        return frozenset(filter(None, (self.normalization(expected_text(one).strip()) for one in value)))

    def _wanted(self, value: Any, index: int) -> frozenset[str]:
        found = self.labels(value)
        if found is None:
            raise MetricError(f"{self.name} compares lists of labels: test_set[{index}] expects {excerpt(str(value))}")
        return found

    def _score(self, wanted: frozenset[str], answer: str | None) -> float:
        found = None if answer is None else self.labels(answer)
        if found is None:
            return 0.0
        if self.kind == "right_wrong" or not wanted | found:
            return float(found == wanted)
        return 2 * len(wanted & found) / (len(wanted) + len(found))


def build(options: Options) -> SeveralLabels:
    options.allow("separator", "normalize")
    name, normalize = options.metric, "normalize" in options.spec.options
    kind: Kind = "graded" if name == "labels_f1" else "right_wrong"
    normalization = options.normalization() if normalize else FULL
    metric = SeveralLabels(name, kind, options.text("separator") or SEPARATOR, normalization)
    for text in options.expected:
        if metric.labels(text) is None:
            what = f"{name} compares lists of labels, and the test set expects {excerpt(text)!r}"
            cure = 'Write a list such as ["billing", "refund"] as the expected output; no label at all is [].'
            raise options.error(what, cure=cure)
    return metric
