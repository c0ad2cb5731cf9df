"""Ask the local git repository; nothing is fetched."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.errors import HistoryError

_TIMEOUT_S = 10


def git(folder: Path, *args: str, given: bytes | None = None, may_fail: bool = False) -> bytes:
    """Run git and return its output; nothing where it fails and may. ``given`` is its input.

    Variables such as ``GIT_DIR``, which hooks and rebases set, are removed, since they may name another repository.
    Replaced objects and the file system monitor are disabled.

    Raises:
        HistoryError: git fails, cannot be run, or takes too long.
    """
    options = ["--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "--literal-pathspecs"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZYFETCH": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and no argument can be taken for an option
            ["git", *options, *args],  # noqa: S607  # the user's own git
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL if given is None else None,
            input=given,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HistoryError(f"git did not answer within {_TIMEOUT_S} s") from None
    except OSError as error:
        cure = "Install git where the tests run."
        raise HistoryError(f"git cannot be run: {error.strerror or error}", cure=cure) from None
    if done.returncode and not may_fail:
        complaint = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("fatal: ")
        raise HistoryError(f"git cannot read this repository: {complaint}")
    return b"" if done.returncode else done.stdout


def git_line(folder: Path, *args: str) -> str:
    """Return the output of git, which is one line; empty where it fails."""
    return os.fsdecode(git(folder, *args, may_fail=True)).strip()


def git_paths(folder: Path, *args: str) -> list[str]:
    """Return the paths that git lists with ``-z``; none where it fails."""
    return os.fsdecode(git(folder, *args, may_fail=True)).split("\0")[:-1]


def in_repository(folder: Path) -> bool:
    """Return whether a folder is in a working tree, without asking git."""
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))


@dataclass(frozen=True)
class Head:
    """What is checked out.

    Attributes:
        commit: in hex.
        branch: its short name; empty where HEAD is detached.
        changed: files that git tracks differ from the commit.
    """

    commit: str
    branch: str
    changed: bool


def find_head(folder: Path) -> Head | None:
    """Return what is checked out there; None where git does not say."""
    try:
        commit = git_line(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        branch = git_line(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
        return Head(commit, branch, bool(git_paths(folder, "diff", "-z", "--name-only", "HEAD"))) if commit else None
    except HistoryError:
        return None


def tracked(path: Path) -> list[str]:
    """Return the files in git's index at a path or below it; none where git does not say."""
    try:
        return git_paths(path.parent, "ls-files", "-z", "--", path.name)
    except HistoryError:
        return []
