"""Errors that say what is wrong, where, the evidence and the cure; and calls into code that is not ours."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import pluggy

from pytest_ftgate.text import LONGEST, excerpt, one_line, printable

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


_SECRETS = re.compile(
    r"""\bsk-[\w*.-]{3,}
    | \b(?:gsk_|hf_|gh[opsu]_|github_pat_|glpat-|xox[abp]-|AIza|ya29\.)[\w*.-]{16,}
    | (?<=\bBearer\s) [^\s"',;)]+
    | (?<=://) [^\s/@:]* : [^\s/@]+ (?=@)
    | (?P<name>[?&][\w.-]*?(?:key|token|secret|password|signature|credential|sig|code)=) [^\s&"'#)]+
    | (?P<field>\b(?:x-)?(?:api[-_]?key|(?:access|auth)[-_]?token|client[-_]?secret|password)["']?(?:=|:\s?["'])["']?)
      [^\s"',;)}]{4,}""",
    re.IGNORECASE | re.VERBOSE,
)


def redacted(text: str) -> str:
    """Return the text with ``***`` in place of keys of usual forms, and of secrets in URLs and headers.

    Of a very long text only the start is kept; what is shown of it is much shorter.
    """
    return _SECRETS.sub(_without_secret, text[: 10 * LONGEST])


def _without_secret(match: re.Match[str]) -> str:
    name: str = match["name"] or match["field"] or ""
    return f"{name}***"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a user's files: ``file:line: key``. Every part is optional."""

    path: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.path and self.line is not None else self.path
        return ": ".join(part for part in (place, self.key) if part)


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
        """Return the keyword arguments that make a similar error, with these changes; ``what`` is not among them."""
        return {
            **{
                name: value
                for name, value in vars(self).items()
                if name not in ("what", "_several")
            },
            **changed,
        }

    def __str__(self) -> str:
        head = f"{place}: {self.what}" if (place := str(self.where or "")) else self.what
        lines = [*self.evidence_shown.splitlines(), *self.cure_shown.splitlines()]
        return "\n".join([printable(head), *(f"  {line}" for line in lines)])


class ConfigError(FtgateError):
    """The configuration of a gate is invalid: the gate file, a marker, a fixture or an option."""


class MissingKeysError(ConfigError):
    """A gate lacks required ``keys``."""

    def __init__(self, what: str, *, keys: Sequence[str], **parts: Any) -> None:
        super().__init__(what, **parts)
        self.keys = keys


def combined(problems: Sequence[FtgateError]) -> FtgateError:
    """Return one error that reports all problems, of which there is at least one.

    The text begins with the first and lists the others. ``problems`` has each as an error; after
    `MOST_LISTED` of them, one that counts the rest.
    """
    first, more = problems[0], len(problems) - MOST_LISTED
    if len(problems) == 1:
        return first
    listed = (*problems[:MOST_LISTED], *([ConfigError(f"and {more:,} more")] if more > 0 else []))
    lines = [first.evidence or "", first.cure or "", *(one_line(str(one)) for one in listed[1:])]
    error = ConfigError(first.what, where=first.where, evidence="\n".join(filter(None, lines)))
    error._several = listed
    return error


class DataError(FtgateError):
    """A data file or an iterable of examples cannot be read."""


def located(error: DataError, place: Where) -> DataError:
    """Return the error with the file and line of ``place``, which the code that raised it does not know."""
    key = error.where.key if error.where is not None else None
    return DataError(error.what, **error.parts(where=replace(place, key=key)))


class StoreError(FtgateError):
    """Predictions cannot be stored or read back."""


RAISED_CURE = "fix the exception: it is not scored as a wrong answer"

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
        self.retryable, self.retry_after_s = retryable, retry_after_s
        self.kind: FailureKind = kind
        self.fatal, self.unpaid, self.attempts = fatal, unpaid, attempts

    @property
    def cause(self) -> str:
        """Return what is wrong and the evidence in one line, without the cure."""
        evidence = one_line(printable(self.evidence)) if self.evidence else ""
        return "; ".join(part.removesuffix(".") for part in (self.headline, evidence) if part)

    @property
    def advice(self) -> str | None:
        """Return the cure. Only a failure that may pass also says to run again."""
        again = (
            "Run again: stored answers are reused, only missing ones are asked for."
            if self.retryable
            else None
        )
        cure = f"{one_line(self.cure).removesuffix('.')}." if self.cure else ""
        if cure.partition(" ")[0].isalpha():  # not a key such as base_url
            cure = cure[:1].upper() + cure[1:]
        return " ".join(filter(None, (cure, again))) or None


class Interrupted(KeyboardInterrupt):  # not an error
    """Ctrl-C while models were called, of which the ``abandoned`` ones had calls that could not be cancelled.

    ``kept`` are the answers that the next run finds in the store, and how many the run was for.
    """

    def __init__(self, abandoned: tuple[str, ...] = (), *, kept: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.abandoned, self.kept = abandoned, kept


class MetricError(FtgateError):
    """A metric has no usable value: it is undefined for these answers, or failed at the answer to one ``example``.

    ``unsuited``: what the example expects does not suit the metric, whatever is answered.
    """

    def __init__(
        self, what: str, *, example: int | None = None, unsuited: bool = False, **parts: Any
    ) -> None:
        super().__init__(what, **parts)
        self.example, self.unsuited = example, unsuited


class HistoryError(FtgateError):
    """Git cannot tell what a file contained where this change began."""


_T = TypeVar("_T")

_LASTING = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    FileExistsError,
)

_LONGEST = 200  # of an exception's text, in characters

_PASSED_THROUGH = tuple(
    os.path.join(os.path.dirname(file), "") for file in (__file__, pluggy.__file__)
)


def guarded(called: str, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
    """Call a function that is not ours and return its value; messages name it ``called``.

    Raises:
        ConfigError: the function raised anything. ``pytest.skip()`` and ``sys.exit()`` count too,
            because they would otherwise take the gate out of the run.
    """
    try:
        return function(*args, **kwargs)
    except (FtgateError, KeyboardInterrupt):
        raise
    except BaseException as error:
        cure = f"Fix the exception in {called}."
        raise ConfigError(
            f"{called} raised {type(error).__name__}", evidence=told(error), cure=cure
        ) from error


def may_pass(error: BaseException) -> bool:
    """Return whether the error is about a connection or a timeout, so that the same call may succeed later."""
    import asyncio

    return isinstance(error, OSError | asyncio.TimeoutError) and not isinstance(error, _LASTING)


def is_cancelled_from_outside() -> bool:
    """Return whether this task was cancelled by other code; always true on Python 3.10, which cannot tell."""
    import asyncio

    task = asyncio.current_task()
    cancelling: Callable[[], int] | None = getattr(task, "cancelling", None)
    return cancelling is None or cancelling() > 0


def told(error: BaseException) -> str:
    """Return the exception on one line, with the line that raised it in the first file that is not of pytest-ftgate."""
    text = excerpt(
        redacted("".join(traceback.format_exception_only(type(error), error))), width=_LONGEST
    )
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not f.filename.startswith(_PASSED_THROUGH)
    ]
    last = next((one for one in reversed(frames) if one.filename == frames[0].filename), None)
    return f"{text} ({shown_path(last.filename)}:{last.lineno})" if last else text


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8 to a file, creating its folder; on :class:`OSError` the file is left unchanged."""
    path = path.resolve()  # the target of a symbolic link
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = (
        path
        if path.exists() and not path.is_file()
        else path.with_name(f".{path.name}.{os.getpid()}")
    )
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        draft.replace(path)  # does nothing for a device or a pipe, which is written to directly
    except BaseException:
        if draft != path:
            draft.unlink(missing_ok=True)
        raise


# --- the errors of all rows of a file, raised as one error
# ---------------------------------------------------


_NAMED = 3
"""Errors that are named besides the first; further ones are only counted."""


def without_faults(rows: Iterable[_T | DataError]) -> Iterator[_T]:
    """Yield the rows up to the first error; then read the rest and raise one error for all of them."""
    rows = iter(rows)
    for row in rows:
        if isinstance(row, DataError):
            raise_together(chain([row], _errors_in(rows)))
        else:
            yield row


def _errors_in(rows: Iterator[_T | DataError]) -> Iterator[DataError]:
    try:
        yield from (row for row in rows if isinstance(row, DataError))
    except DataError as error:  # the rest of the file cannot be read
        yield error


def raise_together(errors: Iterable[DataError]) -> None:
    """Raise the first error, if there is one; its evidence names the next few and counts the others."""
    errors = iter(errors)
    if (first := next(errors, None)) is None:
        return
    others = [
        f"{one.where}" + (f" ({one.what})" if one.what != first.what else "")
        for one in islice(errors, _NAMED)
    ]
    rest = sum(1 for _ in errors)
    also = (
        f"also wrong: {', '.join(others)}{f' and {rest:,} more' if rest else ''}"
        if others
        else None
    )
    raise DataError(
        first.what, **first.parts(evidence="\n".join(filter(None, (first.evidence, also))) or None)
    )
