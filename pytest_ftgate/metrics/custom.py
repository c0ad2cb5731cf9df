"""Custom metrics: a function that scores one example, with a declared range and direction."""

import inspect
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate import errors, text
from pytest_ftgate.data import Example
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, by_example

ScoreExample: TypeAlias = Callable[[Any, str], float]

_DECLARE = "Decorate it with @pytest_ftgate.metric(low=0, high=1, greater_is_better=True)."
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
            raise errors.ConfigError(f"the metric {self.name} {problem}", cure=_DECLARE)

    def __call__(self, expected: Any, answer: str) -> float:
        """Call the decorated function, so that it can be tested."""
        return self.score(expected, answer)


def _problem(metric: CustomMetric) -> str | None:
    """Return what is wrong with a declaration, as the end of a sentence; None if it is valid."""
    low, high, greater = metric.low, metric.high, metric.greater_is_better
    ends = all(
        isinstance(end, Real) and not isinstance(end, bool) and math.isfinite(end)
        for end in (low, high)
    )
    if not callable(metric.score):
        return f"needs a function as score, got {text.kind_of(metric.score)}"
    if inspect.iscoroutinefunction(metric.score):
        return "is async, and a metric must be a plain function"
    if not ends or low >= high or max(abs(low), abs(high)) > text.FARTHEST:
        most = f"between {-text.FARTHEST:g} and {text.FARTHEST:g}"
        return f"needs a range with low < high {most}, got low={low!r} and high={high!r}"
    if not isinstance(greater, bool):
        return f"needs greater_is_better=True or False, got {greater!r}"
    if metric.right_wrong and (low, high, greater) != (0, 1, True):
        return "is right_wrong, which needs low=0, high=1 and greater_is_better=True"
    return None


def metric(
    *,
    low: float,
    high: float,
    greater_is_better: bool,
    right_wrong: bool = False,
    whole_example: bool = False,
    name: str | None = None,
) -> Callable[[ScoreExample], CustomMetric]:
    """Turn a function ``(expected, answer) -> float`` into a metric; see :class:`CustomMetric` for the arguments.

    ::

        @metric(low=0, high=1, greater_is_better=True)
        def brevity(expected, answer):
            return 1.0 if len(answer) <= 80 else 0.0
    """

    def declare(function: ScoreExample) -> CustomMetric:
        called = (
            name
            if name is not None
            else str(getattr(function, "__name__", type(function).__name__))
        )
        return CustomMetric(
            called, function, low, high, greater_is_better, right_wrong, whole_example
        )

    return declare


class ExampleMetric(Metric):
    """A custom metric with the name that the gate uses."""

    def __init__(self, name: str, declared: CustomMetric, examples: Sequence[Example] = ()) -> None:
        self.name, self.declared, self._examples = name, declared, examples
        self.compares = not declared.whole_example
        self.kind = "right_wrong" if declared.right_wrong else "graded"
        self.low, self.high = float(declared.low), float(declared.high)
        self.greater_is_better = declared.greater_is_better

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        given = self._examples if self.declared.whole_example else expected
        return by_example(self, list(enumerate(given)), answers, self._score)

    def _score(self, place: tuple[int, Any], answer: str | None) -> float:
        index, given = place
        if answer is None:
            return self.worst
        try:
            value = self.declared.score(deepcopy(given), answer)  # other metrics are given it, too
        except KeyboardInterrupt:
            raise
        except (
            BaseException
        ) as error:  # pytest.skip() and sys.exit() too: they must not take the gate out of the run
            what = f"the metric {self.name} raised {type(error).__name__} for test_set[{index}]"
            raise errors.MetricError(
                what, evidence=errors.told(error), cure="Fix the metric's function."
            ) from error
        return self._checked(index, value)

    def _checked(self, index: int, value: Any) -> float:
        """Return the number that the function returned.

        Raise :class:`MetricError` if it breaks the declaration.
        """
        slack, wanted = (
            _ROUNDING * (self.high - self.low),
            f"a number from {self.low:g} to {self.high:g}",
        )
        number: Any = value if isinstance(value, Real) else math.nan
        # numpy would convert the bounds to a narrow type
        if isinstance(value, float | np.floating | np.bool_):
            number = float(value)
        fits = self.low - slack <= number <= self.high + slack
        if self.kind == "right_wrong":
            wanted, fits = "1 (right) or 0 (wrong)", fits and number in (0, 1)
        if fits:
            return min(max(float(number), self.low), self.high)
        shown = (
            text.shortened(repr(value), text.EXCERPT)
            if isinstance(value, Real | None)
            else text.kind_of(value)
        )
        what = f"the metric {self.name} returned {shown} instead of {wanted} for test_set[{index}]"
        raise errors.MetricError(what, cure="Fix the metric's function.")


def build_custom(options: Options, declared: Any) -> ExampleMetric:
    """Build the custom metric of a hook or a marker."""
    options.allow("function")
    if not isinstance(declared, CustomMetric):
        what = (
            "does not declare its range and direction"
            if callable(declared)
            else f"is {text.kind_of(declared)}"
        )
        raise options.error(f"the metric {options.metric} {what}", cure=_DECLARE)
    return ExampleMetric(options.metric, declared, options.examples)
