"""Custom metrics: a function that scores one example, with a declared range and direction."""

import inspect
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError, MetricError
from pytest_ftgate.guarded import told
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, by_example
from pytest_ftgate.text import FARTHEST, excerpt, kind_of

ScoreExample: TypeAlias = Callable[[Any, str], float]

_DECLARE = "Decorate it with @pytest_ftgate.metric(low=0, high=1, greater_is_better=True)."
_FIX = "Fix the metric's function."
_ROUNDING = 1e-9  # relative to the range: rounding may put a mean this far outside it


@dataclass(frozen=True)
class CustomMetric:
    """A custom metric, as the hook ``pytest_ftgate_metrics`` returns it or a marker contains it.

    Custom metrics score single examples: the confidence bound of a set-level metric would need a
    resampling formula.

    Attributes:
        name: the metric's name; in the hook's mapping, the key is the name.
        score: called with the expected output (text or a JSON value) and the unchanged answer;
            returns a number.
        low, high: the range of the number. A missing answer gets the worst end.
        right_wrong: the number is either 1 (right) or 0 (wrong).
        whole_example: ``score`` is called with the whole :class:`~pytest_ftgate.Example` in place
            of its expected output, which the test set need not have.

    Raise :class:`ConfigError` if the range, the direction or the function is invalid.
    """

    name: str
    score: ScoreExample
    low: float
    high: float
    greater_is_better: bool
    right_wrong: bool = False
    whole_example: bool = False

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise ConfigError(f"the metric {self.name} {problem}", cure=_DECLARE)

    def __call__(self, expected: Any, answer: str) -> float:
        """Call the decorated function, so that it can be tested."""
        return self.score(expected, answer)


def _problem(metric: CustomMetric) -> str | None:
    """Return what is wrong with a declaration, as the end of a sentence; None if it is valid."""
    low = metric.low
    high = metric.high
    greater = metric.greater_is_better
    if not callable(metric.score):
        return f"needs a function as score, got {kind_of(metric.score)}"
    if inspect.iscoroutinefunction(metric.score):
        return "is async, and a metric must be a plain function"
    if not _is_end(low) or not _is_end(high) or low >= high:
        limits = f"between {-FARTHEST:g} and {FARTHEST:g}"
        return f"needs a range with low < high {limits}, got low={low!r} and high={high!r}"
    if not isinstance(greater, bool):
        return f"needs greater_is_better=True or False, got {greater!r}"
    if metric.right_wrong and (low, high, greater) != (0, 1, True):
        return "is right_wrong, which needs low=0, high=1 and greater_is_better=True"
    return None


def _is_end(value: Any) -> bool:
    """Return whether a value may be an end of a range."""
    is_number = isinstance(value, Real)
    return is_number and abs(value) <= FARTHEST


def metric(
    *,
    low: float,
    high: float,
    greater_is_better: bool,
    right_wrong: bool = False,
    whole_example: bool = False,
    name: str | None = None,
) -> Callable[[ScoreExample], CustomMetric]:
    """Turn a function ``(expected, answer) -> float`` into a metric.

    The arguments are those of :class:`CustomMetric`::

        @metric(low=0, high=1, greater_is_better=True)
        def brevity(expected, answer):
            return 1.0 if len(answer) <= 80 else 0.0
    """

    def declare(function: ScoreExample) -> CustomMetric:
        return CustomMetric(
            name=name or str(getattr(function, "__name__", type(function).__name__)),
            score=function,
            low=low,
            high=high,
            greater_is_better=greater_is_better,
            right_wrong=right_wrong,
            whole_example=whole_example,
        )

    return declare


class ExampleMetric(Metric):
    """A custom metric with the name that the gate uses."""

    def __init__(self, name: str, declared: CustomMetric, examples: Sequence[Example] = ()) -> None:
        self.name = name
        self.declared = declared
        self.compares = not declared.whole_example
        self.kind = "right_wrong" if declared.right_wrong else "graded"
        self.low = float(declared.low)
        self.high = float(declared.high)
        self.greater_is_better = declared.greater_is_better
        self._examples = examples

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        subjects = self._examples if self.declared.whole_example else expected
        return by_example(self, subjects, answers, self._score)

    def _score(self, subject: Any, answer: str | None) -> float:
        if answer is None:
            return self.worst

        try:
            # other metrics get the subject, too
            value = self.declared.score(deepcopy(subject), answer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # pytest.skip() and sys.exit() too: they must not take the gate out of the run
            problem = f"the metric {self.name} raised {told(error)}"
            raise MetricError(problem, cure=_FIX) from error
        return self._checked(value)

    def _checked(self, value: Any) -> float:
        """Return the number that the function returned.

        Raise :class:`MetricError` if it breaks the declaration.
        """
        # numpy would convert the bounds to a narrow type
        number: Any = value.item() if isinstance(value, np.generic) else value
        if not isinstance(number, Real):
            number = math.nan
        # a mean of numbers within the range may be rounded to a number outside
        slack = _ROUNDING * (self.high - self.low)
        fits = self.low - slack <= number <= self.high + slack
        required = f"a number from {self.low:g} to {self.high:g}"
        if self.kind == "right_wrong":
            fits = number in (0, 1)
            required = "1 (right) or 0 (wrong)"
        if fits:
            return min(max(float(number), self.low), self.high)

        shown = excerpt(repr(value))
        problem = f"the metric {self.name} returned {shown} instead of {required}"
        raise MetricError(problem, cure=_FIX)


def build_custom(options: Options, declared: Any) -> ExampleMetric:
    """Build the custom metric of a hook or a marker."""
    options.allow("function")
    if not isinstance(declared, CustomMetric):
        problem = f"the metric {options.metric} does not declare its range and direction"
        raise options.error(problem, cure=_DECLARE)
    return ExampleMetric(options.metric, declared, options.examples)
