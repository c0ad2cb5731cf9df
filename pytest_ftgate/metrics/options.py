"""The options of a metric: their names and types, normalization, and the time limit of patterns."""

import re
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from pytest_ftgate.config import MetricSpec, forms
from pytest_ftgate.config.metric_options import OPTIONS
from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.errors import ConfigError, MetricError
from pytest_ftgate.text import EXCERPT, excerpt, got, listed, nearest, printable

# --- normalization of texts before they are compared ----------------------------------------------

# Characters that have a meaning at the edge of a text: "C#", "5%", "-1", "@ana".
_MEANT = frozenset("#%‰&@/\\-")


def _is_edge(character: str) -> bool:
    if character in _MEANT:
        return False
    return (
        character.isspace() or character == "`" or unicodedata.category(character).startswith("P")
    )


def _punctuation(text: str) -> str:
    edges = "".join(filter(_is_edge, set(text)))
    # nothing but punctuation stays
    return text.strip(edges) or text


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
    - ``punctuation``: strip punctuation, quotation marks, brackets and backticks around the text.
      Those inside it stay, and so do ``# % & @ / \\ -`` everywhere, and a text of nothing but
      punctuation.
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
OF_PUNCTUATED_LABELS = OF_LABELS - {"punctuation"}
"""The same for labels that only punctuation tells apart."""


_FENCE_LANGUAGE = re.compile(r"[\w+.-]*[ \t\r]*")


def without_fence(answer: str) -> str:
    """Return the content of an answer that is one Markdown fence, else all of it, stripped."""
    text = answer.strip()
    fence = text[:3]
    if fence not in ("```", "~~~") or not text.endswith(fence):
        return text

    language, line_break, body = text.removeprefix(fence).partition("\n")
    content = body.removesuffix(fence)
    if not line_break or not _FENCE_LANGUAGE.fullmatch(language) or fence in content:
        return text
    return content.strip()


def did_you_mean(word: str, names: Collection[str]) -> str:
    """Return the cure for an unknown name: the nearest valid name, or all valid names."""
    near = nearest(word, names)
    if near is None:
        return f"Valid names: {listed(names, at_most=40)}."
    return f"Did you mean {near!r}?"


@dataclass(frozen=True)
class Options:
    """One metric's written options.

    Every method that reads one raises :class:`ConfigError` with its place and key.

    Attributes:
        expected: the distinct expected outputs of the test set as texts.
        known: those of the training set: wrong as an answer, but not malformed.
        examples: those of the test set.
    """

    spec: MetricSpec
    expected: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    examples: Sequence[Example] = ()

    @property
    def metric(self) -> str:
        return self.spec.name

    def error(
        self,
        what: str,
        *,
        key: str | None = None,
        evidence: str | None = None,
        cure: str | None = None,
    ) -> ConfigError:
        return ConfigError(what, where=self.spec.source.where(key), evidence=evidence, cure=cure)

    def allow(self, *keys: str) -> None:
        """Raise an error for an option that the metric does not have."""
        for key in self.spec.options:
            if key not in keys:
                problem = f"{self.metric} has no option {key!r}"
                raise self.error(problem, key=key, cure=did_you_mean(key, keys))

    def normalization(self, otherwise: Collection[str] = ()) -> Normalization:
        """Return the steps of ``normalize``; where it is absent, those of ``otherwise``."""
        return self.steps(self.spec.options.get("normalize", list(otherwise)))

    def steps(self, value: Any) -> Normalization:
        """Return the steps that a value of ``normalize`` names; it may be a name or a list."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(name in STEPS for name in names):
            raise self.wrong("normalize", value, f"one of {', '.join(STEPS)}, or a list of them")
        return Normalization(frozenset(names))

    def pattern(self) -> re.Pattern[str] | None:
        text = self.text("pattern")
        if text is None:
            return None
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            cure = (
                "Use the syntax of Python's re module; "
                "in YAML, put it in single quotes to keep backslashes."
            )
            raise self.error(
                f"not a valid regular expression: {error}",
                key="pattern",
                evidence=text,
                cure=cure,
            ) from error

    def json_field(self) -> tuple[str, ...]:
        text = self.text("json_field")
        return () if text is None else tuple(text.split("."))

    def label(self, key: str) -> str | None:
        """Return one label as text, as it is in the data: ``1`` is "1", ``true`` is "true"."""
        value = self.read(key, _is_label, "a label")
        return None if value is None else expected_text(value)

    def labels(self, key: str, noun: str = "labels") -> tuple[str, ...] | None:
        labels = self.read(key, _are_labels, f"a list of {noun}")
        return None if labels is None else tuple(map(expected_text, labels))

    def flag(self, key: str) -> bool:
        return bool(self.read(key, lambda value: isinstance(value, bool), "true or false"))

    def read(self, key: str, fits: Callable[[Any], Any], expected: str) -> Any:
        """Return an option's value, which must fit; None if it is absent.

        ``expected`` describes in messages what fits.
        """
        if key not in self.spec.options:
            return None
        value = self.spec.options[key]
        if not fits(value):
            raise self.wrong(key, value, expected, fits)
        return value

    def text(self, key: str) -> str | None:
        text: str | None = self.read(key, lambda value: isinstance(value, str) and value, "text")
        return text

    def choice(self, key: str, names: Sequence[str]) -> str:
        """Return an option that must be one of the names; the first is the default."""
        chosen: str = self.read(key, names.__contains__, f"one of {', '.join(names)}") or names[0]
        return chosen

    def count(self, key: str) -> int | None:
        count: int | None = self.read(key, _is_count, "a whole number above 0")
        return count

    def wrong(
        self, key: str, value: Any, expected: str, fits: Callable[[Any], Any] = lambda _: False
    ) -> ConfigError:
        """Return the error of an option's value, with the form to paste.

        The form has the first meaning of the value that ``fits``, else the option's example.
        """
        in_python = self.spec.source.kind in ("marker", "fixture")
        intro = "for example"
        meant = OPTIONS[key].example
        for meaning in filter(fits, forms.meanings(value)):
            intro = "write"
            meant = meaning
            break
        form = forms.form(key, meant, in_python=in_python, is_keyword=False)
        found = got(value, ())
        if isinstance(value, list | tuple | Mapping):
            found = f"got {excerpt(repr(value))}"
        return self.error(f"must be {expected}, {found}: {intro} {form}", key=key)


def is_number(value: Any) -> bool:
    """Return whether a value is an integer or a float, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    return is_number(value) and abs(value) <= sys.float_info.max


def _is_count(value: Any) -> bool:
    return is_number(value) and isinstance(value, int) and value > 0


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _are_labels(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_label, value))


def needed(options: Options, library: str, *, key: str | None = None) -> None:
    """Refuse a metric, or its option ``key``, whose optional library is not installed."""
    try:
        import_module(library)
    except ImportError as error:
        raise options.error(
            f"{key or options.metric} needs {library}, which is not installed",
            key=key,
            evidence=str(error),
            cure=f"pip install {library}",
        ) from error


# --- a time limit for matching one answer ---------------------------------------------------------
# A pattern can backtrack for years, and a CI job must not hang.

LIMIT_S = 30.0
"""CPU seconds of this process: a busy machine does not change the verdict."""

_T = TypeVar("_T")


class _OutOfTimeError(BaseException):
    """Not an ``Exception``, so that the code that runs does not catch it."""


def within_limit(subject: str, work: Callable[[], _T], text: str) -> _T:
    """Return ``work()``; raise :class:`MetricError` after :data:`LIMIT_S`.

    ``subject`` and ``text`` are for the message.

    Python's regular expressions check for signals while they search, so a timer can end them. It is
    the virtual timer, which test runners and timeout plugins do not use. There is no limit where
    signals are not available: outside the main thread, and on Windows.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        return work()

    handler = signal.signal(signal.SIGVTALRM, _out_of_time)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        return work()
    except _OutOfTimeError:
        cure = "Avoid nested repetition such as (a+)+, which can match the same text in many ways."
        raise MetricError(
            f"{subject} did not finish within {LIMIT_S:g} s on one answer",
            evidence=f"The answer: {printable(text, EXCERPT)!r}",
            cure=cure,
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)


def _out_of_time(*_: object) -> None:
    raise _OutOfTimeError
