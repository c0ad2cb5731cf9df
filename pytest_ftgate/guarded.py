"""Call code that is not ours, and say what it raised."""

import os
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import pluggy

from pytest_ftgate.errors import ConfigError, FtgateError, shown_path
from pytest_ftgate.secrets import redacted
from pytest_ftgate.text import excerpt

RAISED_CURE = "fix the exception: it is not scored as a wrong answer"

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
        fix = f"Fix the exception in {called}."
        raise ConfigError(f"{called} raised {told(error)}", cure=fix) from error


def may_pass(error: BaseException) -> bool:
    """Return whether the same call may succeed later: the error is of a connection or a timeout."""
    import asyncio

    return isinstance(error, OSError | asyncio.TimeoutError) and not isinstance(error, _LASTING)


def is_cancelled_from_outside() -> bool:
    """Return whether other code cancelled this task; always true on Python 3.10."""
    import asyncio

    task = asyncio.current_task()
    cancelling: Callable[[], int] | None = getattr(task, "cancelling", None)
    return cancelling is None or cancelling() > 0


def told(error: BaseException) -> str:
    """Return the exception on one line.

    It ends with the line that raised it in the first file that is not of pytest-ftgate.
    """
    # The message may hold a key, as that of an HTTP client does.
    formatted = "".join(traceback.format_exception_only(type(error), error))
    text = excerpt(redacted(formatted), width=_LONGEST)
    frames = []
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(_PASSED_THROUGH):
            frames.append(frame)
    if not frames:
        return text

    in_file = [frame for frame in frames if frame.filename == frames[0].filename]
    return f"{text} ({shown_path(in_file[-1].filename)}:{in_file[-1].lineno})"
