"""What can go wrong, said once and well: what, where, the evidence, the cure."""

from __future__ import annotations

import dataclasses
import inspect
import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pluggy

from pytest_ftgate.text import excerpt, printable


def located(error: DataError, place: Where) -> DataError:
    """Return the same error at a place: the file and line that the code which found it does not know."""
    key = error.where.key if error.where is not None else None
    return DataError(error.what, **error.parts(where=dataclasses.replace(place, key=key)))


_MOST_LINES = 10


def shown_path(path: str | os.PathLike[str]) -> str:
    """The path as a user knows it: relative to the working folder where it lies inside, else absolute."""
    absolute = Path(os.path.abspath(path))
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return absolute.as_posix()


@dataclass(frozen=True, slots=True)
class Where:
    """A place that a user can open: ``file:line: key``. Every part may be absent."""

    path: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = self.path or ""
        if place and self.line is not None:
            place = f"{place}:{self.line}"
        return ": ".join(part for part in (place, self.key) if part)


class FtgateError(Exception):
    """Base of all errors of this package. The first line of the text stands alone; evidence and cure follow.

    What it quotes may come from anywhere: the text is harmless to print, and each of its lines has a limit.

    Args:
        what: what is wrong, one sentence without a final stop.
        where: the file, line and key it is wrong in.
        evidence: what was found, where ``what`` does not say it.
        cure: what to do about it.
    """

    def __init__(
        self, what: str, *, where: Where | None = None, evidence: str | None = None, cure: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.evidence = evidence
        self.cure = cure
        super().__init__(what)

    @property
    def headline(self) -> str:
        """Return the first line of the text."""
        return str(self).split("\n", 1)[0]

    @property
    def rest(self) -> str:
        """Return what follows the first line: the evidence, and the cure."""
        return str(self).partition("\n")[2]

    def parts(self, **changed: Any) -> dict[str, Any]:
        """Return all that the error was made of but ``what``, with these changes: the arguments of one like it."""
        return {**{name: value for name, value in vars(self).items() if name != "what"}, **changed}

    def __str__(self) -> str:
        place = str(self.where) if self.where is not None else ""
        head = f"{place}: {self.what}" if place else self.what
        texts = (text.split("\n", _MOST_LINES)[:_MOST_LINES] for text in (self.evidence, self.cure) if text)
        return "\n".join([printable(head), *(f"  {printable(line.strip())}" for lines in texts for line in lines)])


class ConfigError(FtgateError):
    """The gate, its marker or an option does not say something that can be judged."""


class DataError(FtgateError):
    """A data file or an iterable of examples cannot be read as asked."""


class StoreError(FtgateError):
    """Predictions cannot be kept or read back."""


Trouble = Literal["busy", "unreachable", "other"]


class ModelError(FtgateError):
    """A model gave no answer.

    Args:
        retryable: the same call may succeed later.
        retry_after_s: how many seconds the endpoint asked to wait.
        trouble: of what kind it is, as far as that matters to how the call is tried again. ``busy``: it was one too
            many for the endpoint; ``unreachable``: there was no connection; ``other``.
        fatal: no other call can succeed either (a wrong key, an unknown model): the run stops at once.
        unpaid: the call has surely cost nothing: it never left, or was turned away.
    """

    def __init__(
        self,
        what: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        trouble: Trouble = "other",
        fatal: bool = False,
        unpaid: bool = False,
        **parts: Any,
    ) -> None:
        super().__init__(what, **parts)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.trouble: Trouble = trouble
        self.fatal = fatal
        self.unpaid = unpaid


class Interrupted(KeyboardInterrupt):  # it is no error
    """Ctrl-C while models were asked.

    Args:
        abandoned: names of the models with calls that could not be cancelled.
        kept: answers that the next run finds in the store, and how many the run was for.
    """

    def __init__(self, abandoned: tuple[str, ...] = (), *, kept: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.abandoned = abandoned
        self.kept = kept


class MetricError(FtgateError):
    """A metric has no value that could be judged: it is undefined for these answers, or broke its own promise.

    Args:
        example: the index of the example whose score is at fault, where it is one.
    """

    def __init__(self, what: str, *, example: int | None = None, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.example = example


class HistoryError(FtgateError):
    """Git does not tell what a file was where this change began."""


_T = TypeVar("_T")

_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)

_LONGEST = 200  # of an exception's text, in characters

_PASSED_THROUGH = tuple(os.path.join(os.path.dirname(file), "") for file in (__file__, pluggy.__file__))


def guarded(called: str, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
    """Call somebody else's function, which messages call ``called``, and let nothing out but what it returns.

    Raises:
        ConfigError: it raised. ``pytest.skip()`` and ``sys.exit()`` do too: nothing may excuse a gate from judgement.
    """
    try:
        return function(*args, **kwargs)
    except (FtgateError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ConfigError(f"{called} raised {type(error).__name__}", evidence=told(error)) from error


def may_pass(error: BaseException) -> bool:
    """Whether it speaks of a connection or a time-out, so that the same call may succeed later."""
    import asyncio

    return isinstance(error, OSError | asyncio.TimeoutError) and not isinstance(error, _LASTING)


def is_cancelled_from_outside() -> bool:
    """Whether somebody cancelled this task; Python 3.10 cannot tell, and takes every cancellation for that."""
    import asyncio

    task = asyncio.current_task()
    cancelling: Callable[[], int] | None = getattr(task, "cancelling", None)
    return cancelling is None or cancelling() > 0


def told(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """The exception in one line, and the last line of code that it passed in the file whose fault it is.

    That is the file of ``function``; where absent, or none of its lines was passed, the first file that is not ours.
    """
    text = excerpt("".join(traceback.format_exception_only(type(error), error)), width=_LONGEST)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_PASSED_THROUGH)]
    if not frames:
        return text
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    files = {frame.filename for frame in frames}
    file = code.co_filename if code is not None and code.co_filename in files else frames[0].filename
    frame = next(frame for frame in reversed(frames) if frame.filename == file)
    return f"{text} ({shown_path(frame.filename)}:{frame.lineno})"


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8 to a file; its folder is made. Raises :class:`OSError`, the file then being as it was."""
    path = path.resolve()  # what a link leads to
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        draft.replace(path)  # does nothing where a device or a pipe is written to directly
    except BaseException:
        if draft != path:
            draft.unlink(missing_ok=True)
        raise
