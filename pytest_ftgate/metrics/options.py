"""The options of a metric: their names and types, normalization, and the time limit of patterns."""

import math
import re
import signal
import threading
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from pytest_ftgate.config import MetricSpec
from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.errors import ConfigError, MetricError, combined
from pytest_ftgate.text import EXCERPT, kind_of, listed, nearest, printable

# --- normalization of texts before they are compared
# -----------------------------------------------------------------

# Characters that have a meaning at the edge of a text: "C#", "5%", "-1", "@ana".
_MEANT = frozenset("#%‰&@/\\-")


def _is_edge(character: str) -> bool:
    if character in _MEANT:
        return False
    return (
        character.isspace() or character == "`" or unicodedata.category(character).startswith("P")
    )


def _punctuation(text: str) -> str:
    start = next((i for i, character in enumerate(text) if not _is_edge(character)), None)
    end = next((i for i in range(len(text), 0, -1) if not _is_edge(text[i - 1])), None)
    return text[start:end]


_STEPS: Mapping[str, Callable[[str], str]] = {
    "unicode": partial(unicodedata.normalize, "NFKC"),
    "case": str.casefold,
    "whitespace": lambda text: " ".join(text.split()),
    "punctuation": _punctuation,
}
STEPS = tuple(_STEPS)
"""The names of all steps, in the order in which they run."""


@dataclass(frozen=True)
class Normalization:
    """Steps that remove differences which do not count.

    - ``unicode``: apply NFKC, so that a full-width letter equals the plain one;
    - ``case``: apply Unicode case folding;
    - ``whitespace``: replace each run of white space by one space;
    - ``punctuation``: strip punctuation, quotation marks, brackets and backticks around the text. Those inside it stay,
      and so do ``# % & @ / \\ -`` everywhere, and a text of nothing but punctuation.
    """

    steps: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        for name, step in _STEPS.items():
            if name in self.steps:
                text = step(text)
        return text


AS_WRITTEN = Normalization()
FULL = Normalization(frozenset(STEPS))
OF_LABELS = FULL.steps - {"unicode"}
"""The steps of metrics of labels where the gate names none."""


_FENCE_LANGUAGE = re.compile(r"[\w+.-]*[ \t\r]*")


def without_fence(answer: str) -> str:
    """Return the content of an answer that is a single Markdown code fence, else all of it, stripped."""
    text = answer.strip()
    fence = text[:3]
    if fence not in ("```", "~~~") or not text.endswith(fence):
        return text
    head, line_break, rest = text.removeprefix(fence).partition("\n")
    inner = rest.removesuffix(fence)
    if not line_break or not _FENCE_LANGUAGE.fullmatch(head) or fence in inner:
        return text
    return inner.strip()


def did_you_mean(word: str, names: Collection[str]) -> str:
    """Return the cure for an unknown name: the nearest valid name, or all valid names."""
    return suggested(word, names, f"Valid names: {listed(names, at_most=40)}.")


def suggested(word: str, names: Collection[str], otherwise: str) -> str:
    """Return the question whether the nearest valid name is meant; where none is near, ``otherwise``."""
    near = nearest(word, names)
    return otherwise if near is None else f"Did you mean {near!r}?"


@dataclass(frozen=True)
class Options:
    """One metric's written options; every method that reads one raises :class:`ConfigError` with place and key.

    ``expected`` are the distinct expected outputs of the test set as texts; ``known`` are those of
    the training set: wrong as an answer, but not malformed. ``examples`` are those of the test set.
    """

    spec: MetricSpec
    expected: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    examples: Sequence[Example] = ()

    @property
    def metric(self) -> str:
        return self.spec.name

    def error(
        self, what: str, *, key: str | None = None, evidence: str | None = None, cure: str
    ) -> ConfigError:
        return ConfigError(what, where=self.spec.source.where(key), evidence=evidence, cure=cure)

    def allow(self, *keys: str) -> None:
        """Raise one error for all options that the metric does not have."""
        unknown = [key for key in self.spec.options if key not in keys]
        if unknown:
            what, cure = f"{self.metric} has no option", f"Its options are: {listed(keys)}."
            # pos_label is no misspelt "labels"
            cures = {
                key: suggested(key, () if key == "pos_label" else keys, cure) for key in unknown
            }
            raise combined(
                [self.error(f"{what} {key!r}", key=key, cure=cures[key]) for key in unknown]
            )

    def normalization(self, otherwise: Collection[str] = ()) -> Normalization:
        """Return the steps of ``normalize``; where it is absent, those of ``otherwise``."""
        return Normalization(
            frozenset(self.steps(self.spec.options.get("normalize", tuple(otherwise)), STEPS))
        )

    def steps(self, value: Any, known: Sequence[str], otherwise: str = "") -> tuple[str, ...]:
        """Return the names in ``normalize``, one or a list; ``otherwise`` describes what else it may be."""
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            a_list = "a list of them" if otherwise else "or a list of them"
            raise self.wrong_type(
                "normalize", value, f"one of {', '.join(known)}, {a_list}{otherwise}"
            )
        for name in names:
            if name not in known:
                raise self.error(
                    f"unknown step {name!r} in normalize",
                    key="normalize",
                    cure=did_you_mean(name, known),
                )
        return tuple(names)

    def pattern(self) -> re.Pattern[str] | None:
        text = self.text("pattern")
        try:
            return None if text is None else re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            what = f"pattern is not a valid regular expression: {error}"
            cure = "Use the syntax of Python's re module; in YAML, put it in single quotes to keep backslashes."
            raise self.error(what, key="pattern", evidence=text, cure=cure) from error

    def json_field(self) -> tuple[str, ...]:
        text = self.text("json_field")
        parts = tuple(text.split(".")) if text is not None else ()
        if not all(part.strip() for part in parts):
            cure = "Separate the names with dots, for example result.label."
            raise self.error(f"json_field {text!r} has an empty part", key="json_field", cure=cure)
        return parts

    def label(self, key: str) -> str | None:
        """Return one label as text, as it is in the data: ``1`` is "1", ``true`` is "true"."""
        value = self.read(key, lambda value: isinstance(value, str | int | float), "a label")
        return None if value is None else expected_text(value)

    def labels(self, key: str, of: str = "labels") -> tuple[str, ...] | None:
        value = self.read(
            key, lambda value: isinstance(value, list | tuple) and value, f"a list of {of}"
        )
        for part in value or ():
            if not isinstance(part, str | int | float):
                raise self.wrong_type(key, part, "a label")
        return None if value is None else tuple(map(expected_text, value))

    def flag(self, key: str) -> bool:
        return bool(self.read(key, lambda value: isinstance(value, bool), "true or false"))

    def read(self, key: str, fits: Callable[[Any], Any], wanted: str, default: Any = None) -> Any:
        """Return an option's value, which must fit, and is ``wanted`` in messages; ``default`` if it is absent."""
        if key not in self.spec.options:
            return default
        value = self.spec.options[key]
        if not fits(value):
            raise self.wrong_type(key, value, wanted)
        return value

    def text(self, key: str) -> str | None:
        found: str | None = self.read(key, lambda value: isinstance(value, str) and value, "text")
        return found

    def choice(self, key: str, known: Sequence[str]) -> str:
        """Return an option that must be one of the known names, of which the first is the default."""
        value: str = self.read(
            key, lambda value: isinstance(value, str), f"one of {', '.join(known)}", known[0]
        )
        if value not in known:
            raise self.error(
                f"unknown value {value!r} of {key}", key=key, cure=did_you_mean(value, known)
            )
        return value

    def number(self, key: str) -> float:
        """Return a finite number; the option must be there."""
        number: float = self.read(
            key, lambda value: is_number(value) and math.isfinite(value), "a finite number"
        )
        return number

    def count(self, key: str) -> int | None:
        found: int | None = self.read(
            key,
            lambda value: is_number(value) and isinstance(value, int) and value > 0,
            "a whole number above 0",
        )
        return found

    def wrong_type(self, key: str, value: Any, wanted: str) -> ConfigError:
        found = (
            "empty" if value in ("", [], ()) else f"{value}" if is_number(value) else kind_of(value)
        )
        return self.error(f"{key} is {found}", key=key, cure=f"Write {wanted}.")


def is_number(value: Any) -> bool:
    """Return whether a value is an integer or a float, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def needed(options: Options, module: str, *, key: str | None = None) -> Any:
    """Return a module of an optional library that a metric, or its option ``key``, needs."""
    library = module.partition(".")[0]
    try:
        import_module(library)
        return import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == library
        state = "is not installed" if absent else "cannot be imported"
        what = f"{key or f'the metric {options.metric}'} needs {library}, which {state}"
        raise options.error(
            what, key=key, evidence=str(error), cure=f"pip install {library}"
        ) from error


# --- a time limit for matching one answer: a pattern can backtrack for years, and a CI job must not
# hang -------------

LIMIT_S = 30.0
"""CPU seconds of this process; waiting does not count, so a busy machine does not change the verdict."""

_T = TypeVar("_T")


class _OutOfTimeError(BaseException):
    """Not an ``Exception``, so that the code that runs does not catch it."""


def within_limit(what: str, work: Callable[[], _T], text: str) -> _T:
    """Return ``work()``; raise :class:`MetricError` after :data:`LIMIT_S`.

    ``what`` and ``text`` are for the message.

    Python's regular expressions check for signals while they search, so a timer can end them. It is
    the virtual timer, which test runners and timeout plugins do not use. There is no limit where
    signals are not available: outside the main thread, on Windows, or if other code uses the timer.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_VIRTUAL)[0] != 0
        # a handler that Python did not set cannot be restored
        or signal.getsignal(signal.SIGVTALRM) is None
    ):
        return work()
    before = signal.signal(signal.SIGVTALRM, _out_of_time)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        return work()
    except _OutOfTimeError:
        late, evidence = (
            f"{what} did not finish within {LIMIT_S:g} s on one answer",
            printable(text, EXCERPT),
        )
        cure = "Avoid nested repetition such as (a+)+, which can match the same text in many ways."
        raise MetricError(late, evidence=f"The answer: {evidence!r}", cure=cure) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _out_of_time(*_: object) -> None:
    raise _OutOfTimeError
