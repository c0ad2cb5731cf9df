"""Calls into code that is not ours, such as hooks and metrics: what it raises becomes one of our errors."""

from __future__ import annotations

import asyncio
import inspect
import os
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import pluggy

from pytest_ftgate.data.wording import excerpt
from pytest_ftgate.errors import ConfigError, FtgateError, shown_path

_T = TypeVar("_T")

_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_LONGEST = 200  # of an exception's text, in characters
_PASSED_THROUGH = tuple(os.path.join(os.path.dirname(file), "") for file in (__file__, pluggy.__file__))


def guarded(called: str, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
    """Call it, and let nothing out but what it returns.

    Args:
        called: what messages call the function: ``the hook pytest_ftgate_model``.
        function: somebody else's, or one of ours around it.

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
    return isinstance(error, OSError | asyncio.TimeoutError) and not isinstance(error, _LASTING)


def is_cancelled_from_outside() -> bool:
    """Whether somebody cancelled this task; Python 3.10 cannot tell, and takes every cancellation for that."""
    task = asyncio.current_task()
    cancelling: Callable[[], int] | None = getattr(task, "cancelling", None)
    return cancelling is None or cancelling() > 0


def told(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """The exception in one line, and the last line of code that it passed in the file whose fault it is.

    Args:
        error: as it was caught.
        function: whose file that is; where absent, or none of its lines was passed, the first file that is not ours.
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
