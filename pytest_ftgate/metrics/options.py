"""The options that a gate gives a metric: which are there, and of what type."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.data.wording import kind_of, listed, nearest
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics.normalization import STEPS, Normalization

if TYPE_CHECKING:
    from pytest_ftgate.config import MetricSpec

_OF_OTHER_METRICS = ("normalize", "pattern", "json_field", "labels", "pos_label")  # meant as it is written


def did_you_mean(word: str, names: Collection[str]) -> str:
    """The cure for a name that does not exist: the nearest one, or all there are."""
    near = nearest(word, names)
    return f"Did you mean {near!r}?" if near is not None else f"There are: {listed(names, at_most=40)}."


@dataclass(frozen=True)
class Options:
    """What is written for one metric; every reader below raises :class:`ConfigError` naming place and key."""

    spec: MetricSpec

    @property
    def metric(self) -> str:
        return self.spec.name

    def error(self, what: str, *, key: str | None = None, evidence: str | None = None, cure: str) -> ConfigError:
        return ConfigError(what, where=self.spec.source.where(key), evidence=evidence, cure=cure)

    def allow(self, *keys: str) -> None:
        """Refuse every option that the metric does not have."""
        for key in self.spec.options:
            if key not in keys:
                near = None if key in _OF_OTHER_METRICS else nearest(key, keys)
                cure = f"Did you mean {near!r}?" if near is not None else f"It has: {listed(keys)}."
                raise self.error(f"{self.metric} has no option {key!r}", key=key, cure=cure)

    def normalization(self) -> Normalization:
        value = self.spec.options.get("normalize", ())
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise self.wrong_type("normalize", value, f"one of {', '.join(STEPS)}, or a list of them")
        for name in names:
            if name not in STEPS:
                cure = did_you_mean(name, STEPS)
                raise self.error(f"normalize does not know {name!r}", key="normalize", cure=cure)
        return Normalization(frozenset(names))

    def pattern(self) -> re.Pattern[str] | None:
        text = self._text("pattern")
        if text is None:
            return None
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.error(
                f"pattern is no regular expression: {error}",
                key="pattern",
                evidence=text,
                cure="Write it in the syntax of Python's re; in YAML, single quotes keep backslashes.",
            ) from error

    def json_field(self) -> tuple[str, ...]:
        text = self._text("json_field")
        parts = tuple(text.split(".")) if text is not None else ()
        if not all(part.strip() for part in parts):
            raise self.error(
                f"json_field {text!r} has an empty part",
                key="json_field",
                cure="Write the names on the way with dots between them, as in result.label.",
            )
        return parts

    def label(self, key: str) -> str | None:
        """One label, as the text it has in the data: ``1`` is "1", ``true`` is "true"."""
        return self._label(key, self.spec.options[key]) if key in self.spec.options else None

    def labels(self, key: str, of: str = "labels") -> tuple[str, ...] | None:
        if key not in self.spec.options:
            return None
        value = self.spec.options[key]
        if not isinstance(value, list | tuple) or not value:
            raise self.wrong_type(key, value, f"a list of {of}")
        return tuple(self._label(key, part) for part in value)

    def flag(self, key: str) -> bool:
        value = self.spec.options.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong_type(key, value, "true or false")
        return value

    def text(self, key: str) -> str | None:
        return self._text(key)

    def count(self, key: str) -> int | None:
        """A whole number above 0."""
        value = self.spec.options.get(key)
        if key in self.spec.options and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            found = f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)
            raise self.error(f"{key} is {found}", key=key, cure="Write a whole number above 0.")
        return value

    def _label(self, key: str, value: Any) -> str:
        if not isinstance(value, str | int | float):
            raise self.wrong_type(key, value, "a label")
        return expected_text(value)

    def _text(self, key: str) -> str | None:
        value = self.spec.options.get(key)
        if key in self.spec.options and not (isinstance(value, str) and value):
            raise self.wrong_type(key, value, "text")
        return value

    def wrong_type(self, key: str, value: Any, wanted: str) -> ConfigError:
        found = "empty" if value in ("", [], ()) else kind_of(value)
        return self.error(f"{key} is {found}", key=key, cure=f"Write {wanted}.")
