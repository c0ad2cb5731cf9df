"""Metrics of one's own: a function of one example that states its range and direction."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from pytest_ftgate.errors import ConfigError, MetricError, told
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, by_example
from pytest_ftgate.text import FARTHEST, kind_of

ScoreExample: TypeAlias = Callable[[Any, str], float]

_DECLARE = "Decorate it with @pytest_ftgate.metric(low=0, high=1, greater_is_better=True)."
_ROUNDING = 1e-9  # relative to the range: a mean may lie this much outside by rounding alone


@dataclass(frozen=True)
class CustomMetric:
    """A metric of one's own, as the hook ``pytest_ftgate_metrics`` returns it or a marker holds it.

    Metrics of a whole set are not taken from outside: their confidence bound needs a formula for resampling.

    Attributes:
        name: what it is called; in the hook's mapping the key counts.
        score: called with what an example expects (text or a JSON value) and the answer as it came; returns a number.
        low, high: the range of the number, of which it is never outside. An example without an answer has the worst.
        description: a sentence for reports.
        right_wrong: the number is 1 for right and 0 for wrong, nothing else.

    Raises:
        ConfigError: the range, the direction or the function cannot be used.
    """

    name: str
    score: ScoreExample
    low: float
    high: float
    greater_is_better: bool
    description: str = ""
    right_wrong: bool = False

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise ConfigError(f"the metric {self.name} {problem}", cure=_DECLARE)

    def __call__(self, expected: Any, answer: str) -> float:
        """Return the decorated function itself, so that it can be tested as one."""
        return self.score(expected, answer)


def _problem(metric: CustomMetric) -> str | None:
    """Return what is wrong with a declaration, as the rest of a sentence."""
    if not callable(metric.score):
        return f"has no function to score with, but {kind_of(metric.score)}"
    if inspect.iscoroutinefunction(metric.score):
        return "is async: a metric must be a plain function"
    if not (_is_number(metric.low) and _is_number(metric.high) and metric.low < metric.high):
        return f"has no range: low is {metric.low!r} and high is {metric.high!r}"
    if max(abs(metric.low), abs(metric.high)) > FARTHEST:
        return f"has a range that goes farther than {FARTHEST:g} from 0"
    if not isinstance(metric.greater_is_better, bool):
        return f"has no direction: greater_is_better is {metric.greater_is_better!r}"
    if metric.right_wrong and (metric.low, metric.high, metric.greater_is_better) != (0, 1, True):
        return "is right_wrong, so it must go from low=0 to high=1 with greater_is_better=True"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def metric(
    *, low: float, high: float, greater_is_better: bool, right_wrong: bool = False, name: str | None = None
) -> Callable[[ScoreExample], CustomMetric]:
    """Make a metric of a function ``(expected, answer) -> float``; for the arguments see :class:`CustomMetric`.

    ::

        @metric(low=0, high=1, greater_is_better=True)
        def brevity(expected, answer):
            return 1.0 if len(answer) <= 80 else 0.0
    """

    def declare(function: ScoreExample) -> CustomMetric:
        called = name if name is not None else str(getattr(function, "__name__", type(function).__name__))
        description = (inspect.getdoc(function) or "").partition("\n")[0]
        return CustomMetric(called, function, low, high, greater_is_better, description, right_wrong)

    return declare


class ExampleMetric(Metric):
    """A custom metric under the name that a gate calls it."""

    def __init__(self, name: str, declared: CustomMetric) -> None:
        self.name, self.declared = name, declared
        self.kind = "right_wrong" if declared.right_wrong else "graded"
        self.low, self.high = float(declared.low), float(declared.high)
        self.greater_is_better = declared.greater_is_better

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        return by_example(self, list(enumerate(expected)), answers, self._score)

    def _score(self, place: tuple[int, Any], answer: str | None) -> float:
        index, expected = place
        if answer is None:
            return self.low if self.greater_is_better else self.high
        try:
            value = self.declared.score(expected, answer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pytest.skip() and sys.exit() too: nothing may excuse a gate from judgement
            what = f"the metric {self.name} raised {type(error).__name__} for test_set[{index}]"
            evidence = told(error, self.declared.score)
            raise MetricError(what, example=index, evidence=evidence, cure="Mend the metric's function.") from error
        return self._checked(index, value)

    def _checked(self, index: int, value: Any) -> float:
        import numpy as np

        numeric = isinstance(value, Real | np.bool_)
        if not numeric:
            raise self._broken(index, f"{kind_of(value)} where a number is needed")
        try:
            number = float(value)
        except OverflowError:  # a whole number or fraction beyond all floats
            number = math.inf if value > 0 else -math.inf
        slack = _ROUNDING * (self.high - self.low)
        if not self.low - slack <= number <= self.high + slack:
            raise self._broken(index, f"{number!r}, which is not between {self.low:g} and {self.high:g}")
        if self.kind == "right_wrong" and number not in (0, 1):
            raise self._broken(index, f"{number!r} where right is 1 and wrong is 0")
        return min(max(number, self.low), self.high)

    def _broken(self, index: int, returned: str) -> MetricError:
        what = f"the metric {self.name} returned {returned}, for test_set[{index}]"
        return MetricError(what, example=index, cure="Mend the metric's function, or state its range as it is.")


def build(options: Options, declared: Any) -> ExampleMetric:
    """Build the metric that a hook or a marker gives under the options' name."""
    for key in options.spec.options:
        if key != "function":
            raise options.error(f"{options.metric} has no option {key!r}", key=key, cure="One's own metrics have none.")
    if not isinstance(declared, CustomMetric):
        what = "does not state its range and direction" if callable(declared) else f"is {kind_of(declared)}"
        raise options.error(f"the metric {options.metric} {what}", cure=_DECLARE)
    return ExampleMetric(options.metric, declared)
