"""Ask the local git repository; nothing is fetched."""

import os
import subprocess
from pathlib import Path

from pytest_ftgate.errors import HistoryError

_TIMEOUT_S = 10
_QUIETLY = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZYFETCH": "1", "LC_ALL": "C"}


def git(folder: Path, *args: str, given: bytes = b"", may_fail: bool = False) -> bytes:
    """Run git and return its output; nothing where it fails and may. ``given`` is its input.

    Variables such as ``GIT_DIR``, which hooks and rebases set, are removed, since they may name another repository.
    Replaced objects and the file system monitor are disabled.

    Raises:
        HistoryError: git fails, cannot be run, or takes too long.
    """
    command = ["git", "--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "--literal-pathspecs", *args]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _QUIETLY
    try:  # no shell, and no argument can be taken for an option
        done = subprocess.run(command, cwd=folder, env=own, input=given, capture_output=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise HistoryError(f"git did not answer within {_TIMEOUT_S} s") from None
    except OSError as error:
        cure = "Install git where the tests run."
        raise HistoryError(f"git cannot be run: {error.strerror or error}", cure=cure) from None
    if done.returncode and not may_fail:
        complaint = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("fatal: ")
        raise HistoryError(f"git cannot read this repository: {complaint}")
    return b"" if done.returncode else done.stdout


def git_lines(folder: Path, *args: str) -> list[str]:
    """Return the lines that git prints, or with ``-z`` the paths; none where it fails."""
    return os.fsdecode(git(folder, *args, may_fail=True)).split("\0" if "-z" in args else "\n")[:-1]


def in_repository(folder: Path) -> bool:
    """Return whether a folder is in a working tree, without asking git."""
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))
