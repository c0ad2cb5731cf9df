"""Errors that say what is wrong, where, the evidence and the cure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pytest_ftgate.secrets import redacted
from pytest_ftgate.text import one_line, printable

MOST_LISTED = 10
"""Problems of one configuration that are listed; of more only the number is given."""

_MOST_LINES = MOST_LISTED + 2  # of an evidence or a cure


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return the path relative to the working folder if it is inside, else the absolute path."""
    absolute = Path(os.path.abspath(path))
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return absolute.as_posix()


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a user's files: ``file:line: key``. Every part is optional."""

    path: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = self.path or ""
        if place and self.line is not None:
            place = f"{place}:{self.line}"
        return ": ".join(filter(None, (place, self.key)))


def _first_lines(text: str | None) -> str:
    """Return the first lines of a text, each safe to print."""
    lines = (text or "").split("\n", _MOST_LINES)[:_MOST_LINES]
    return "\n".join(printable(line.strip()) for line in lines)


class FtgateError(Exception):
    """Base of all errors of this package.

    The first line of the text is complete; evidence and cure follow it.

    The text may quote untrusted input: keys of usual forms and control characters are replaced, and
    long lines are cut.

    Args:
        what: what is wrong, as one sentence without a final full stop.
        where: the file, line and key where the problem is.
        evidence: what was found, if ``what`` does not say it.
        cure: what to do about it.
    """

    _several: tuple[FtgateError, ...] = ()

    def __init__(
        self,
        what: str,
        *,
        where: Where | None = None,
        evidence: str | None = None,
        cure: str | None = None,
    ) -> None:
        self.what = what = redacted(what)
        self.where = where
        self.evidence = redacted(evidence) if evidence else evidence
        self.cure = cure
        super().__init__(what)

    @property
    def problems(self) -> tuple[FtgateError, ...]:
        """Return the problems that the error reports: itself, unless it reports several."""
        return self._several or (self,)

    @property
    def headline(self) -> str:
        """Return the first line of the text."""
        return str(self).partition("\n")[0]

    @property
    def evidence_shown(self) -> str:
        """Return the first lines of the evidence, safe to print."""
        return _first_lines(self.evidence)

    @property
    def cure_shown(self) -> str:
        """Return the first lines of the cure, safe to print."""
        return _first_lines(self.cure)

    def parts(self, **changed: Any) -> dict[str, Any]:
        """Return the keyword arguments, without ``what``, that make an error with these changes."""
        arguments = {**vars(self), **changed}
        arguments.pop("what", None)
        arguments.pop("_several", None)
        return arguments

    def __str__(self) -> str:
        place = str(self.where or "")
        lines = [printable(f"{place}: {self.what}" if place else self.what)]
        for line in (*self.evidence_shown.splitlines(), *self.cure_shown.splitlines()):
            lines.append(f"  {line}")
        return "\n".join(lines)


class ConfigError(FtgateError):
    """The configuration of a gate is invalid: the gate file, a marker, a fixture or an option."""


def combined(problems: Sequence[FtgateError]) -> FtgateError:
    """Return one error that reports all problems, of which there is at least one.

    The text begins with the first and lists the others. ``problems`` has each as an error; after
    `MOST_LISTED` of them, one that counts the rest.
    """
    first = problems[0]
    if len(problems) == 1:
        return first

    # The first has all its lines, each of the others one.
    listed = list(problems[:MOST_LISTED])
    n_more = len(problems) - MOST_LISTED
    if n_more > 0:
        listed.append(ConfigError(f"and {n_more:,} more"))
    lines = list(filter(None, (first.evidence, first.cure)))
    lines += [one_line(str(problem)) for problem in listed[1:]]
    error = ConfigError(first.what, where=first.where, evidence="\n".join(lines))
    error._several = tuple(listed)
    return error


class DataError(FtgateError):
    """A data file or an iterable of examples cannot be read."""


def located(error: DataError, place: Where) -> DataError:
    """Return the error with a file and line that the code that raised it does not know."""
    key = error.where.key if error.where is not None else None
    return DataError(error.what, **error.parts(where=replace(place, key=key)))


class StoreError(FtgateError):
    """Predictions cannot be stored or read back."""


FailureKind = Literal[
    "busy", "unreachable", "timeout", "refused", "unreadable", "offline", "stopped", "other"
]


class ModelError(FtgateError):
    """A model gave no answer.

    Args:
        retryable: the same call may succeed later.
        retry_after_s: how many seconds the endpoint asked to wait.
        kind: ``busy``: the endpoint has too many calls; ``unreachable``: there was no connection;
            ``timeout``: there was no answer in time; ``refused``: the endpoint rejects this
            request, and would again; ``unreadable``: it answered with something that is not an
            answer of the model, and would again; ``offline``: the call was forbidden by
            ``--ftgate-offline``; ``stopped``: the call was not made, because another model ended
            the run; ``other``.
        fatal: no other call can succeed either (a wrong key, an unknown model): the run stops at
            once.
        unpaid: the call cannot have cost anything: it was not sent, or was rejected.
        attempts: how often the call was made.
    """

    def __init__(
        self,
        what: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        kind: FailureKind = "other",
        fatal: bool = False,
        unpaid: bool = False,
        attempts: int = 1,
        **parts: Any,
    ) -> None:
        super().__init__(what, **parts)

        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.kind: FailureKind = kind
        self.fatal = fatal
        self.unpaid = unpaid
        self.attempts = attempts

    @property
    def cause(self) -> str:
        """Return what is wrong and the evidence in one line, without the cure."""
        headline = self.headline.removesuffix(".")
        if not self.evidence:
            return headline
        return f"{headline}; {one_line(printable(self.evidence)).removesuffix('.')}"

    @property
    def next_step(self) -> str | None:
        """Return the cure. Only a failure that may pass also says to run again."""
        sentences = []
        if self.cure:
            text = f"{one_line(self.cure).removesuffix('.')}."
            if text.partition(" ")[0].isalpha():  # not a key such as base_url
                text = text[:1].upper() + text[1:]
            sentences.append(text)
        if self.retryable:
            sentence = "Run again: stored answers are reused, only missing ones are asked for."
            sentences.append(sentence)
        return " ".join(sentences) or None


@dataclass(frozen=True)
class MissingKey:
    """An environment variable without a key for an endpoint.

    Attributes:
        flaw: such as ``is not set``.
        user: the model that needs it, and where the gate names that.
    """

    variable: str
    flaw: str
    host: str
    user: str


class MissingKeysError(ModelError):
    """The environment lacks keys, each of which one or several models need."""

    def __init__(self, keys: Sequence[MissingKey]) -> None:
        self.keys = tuple(keys)
        users: dict[str, list[str]] = {}
        exports = []
        hosts = []
        for key in keys:
            users.setdefault(f"{key.variable} {key.flaw}", []).append(key.user)
            exports.append(f"{key.variable}=...")
            hosts.append(key.host)

        facts = []
        for fact, names in users.items():
            facts.append(f"{fact} ({', '.join(dict.fromkeys(names))})")
        cure = f"Set a key for {' and '.join(dict.fromkeys(hosts))}: export "
        cure += f"{' '.join(dict.fromkeys(exports))}, or name another variable with api_key_env. "
        cure += "Stored and recorded answers need no key: --ftgate-offline."
        super().__init__(", ".join(facts), fatal=True, cure=cure)

    def parts(self, **changed: Any) -> dict[str, Any]:
        """Return the keyword arguments that make a :class:`ModelError` of it."""
        arguments = super().parts(**changed)
        arguments.pop("keys", None)
        return arguments


class MetricError(FtgateError):
    """A metric has no usable value.

    It is undefined for these answers, or failed at the answer to one ``example``.
    """

    def __init__(self, what: str, *, example: int | None = None, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.example = example


class HistoryError(FtgateError):
    """Git cannot tell what a file contained where this change began."""


class NoHistoryError(HistoryError):
    """There is no history yet, or none here, which is a problem only where it is required."""
