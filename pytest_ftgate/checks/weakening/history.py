"""Read files as they were at the merge base, from the local git repository; nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.errors import HistoryError

BASE_REFS = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""Branches to compare with by default; the first that exists is used."""

_TIMEOUT_S = 10
_LINK = "120000"
_LINKS_FOLLOWED = 8
_FETCH = "This clone is shallow: fetch its history (git fetch --unshallow, or fetch-depth: 0 for actions/checkout)."
_CORRECT = "Correct the name, or fetch the branch."
_NAME = "Set the ini option ftgate_base_ref to the branch that changes are merged into."


@dataclass(frozen=True)
class Base:
    """The commit at which this change left its target branch.

    Attributes:
        folder: inside the working tree.
        ref: the name of the target branch.
        commit: the merge base of HEAD and ``ref``, in hex.
        is_head: the merge base is HEAD, so only uncommitted changes are compared.
        shallow: the repository is a shallow clone.
    """

    folder: Path
    ref: str
    commit: str
    is_head: bool
    shallow: bool

    @property
    def unseen(self) -> str | None:
        """Return why a part of the change cannot be seen; None if all of it can."""
        if not (self.is_head and self.shallow):
            return None
        return (
            f"this clone is shallow and {self.ref} is HEAD, so only uncommitted changes were compared "
            "(git fetch --unshallow, or fetch-depth: 0 for actions/checkout)"
        )

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a file at that commit; None if it does not exist there.

        Raises:
            HistoryError: git fails.
        """
        for _ in range(_LINKS_FOLLOWED):
            mode, blob = self._entry(path)
            if not blob:
                return None
            found = _git(self.folder, "cat-file", "blob", blob)
            if found.code:
                raise HistoryError(f"git cannot read the earlier version of {path.name}: {found.complaint}")
            if mode != _LINK:
                return found.out
            path = path.parent / os.fsdecode(found.out)
        return None

    def _entry(self, path: Path) -> tuple[str, str]:
        """Return the mode and the object of a file; empty if it is not a file of the repository."""
        try:
            relative = Path(os.path.relpath(path, self.folder)).as_posix()
        except ValueError:  # on another drive
            return "", ""
        listed = _git(self.folder, "ls-tree", "-z", self.commit, "--", relative)
        if listed.code and "outside repository" not in listed.complaint:
            raise HistoryError(f"git cannot list {path.name}: {listed.complaint}")
        entry = listed.out.partition(b"\t")[0].decode("ascii", "replace").split()
        return (entry[0], entry[2]) if len(entry) == 3 and entry[1] == "blob" else ("", "")


def find_base(folder: Path, ref: str | None) -> Base | None:
    """Return the merge base; None without git or a repository.

    Args:
        folder: where the gate file is.
        ref: the target branch; None: the first of :data:`BASE_REFS` that exists and is not checked out.

    Raises:
        HistoryError: the repository has no merge base.
    """
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)) or shutil.which("git") is None:
        return None
    head = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head.code:
        raise HistoryError(f"git has no commit to compare with: {head.complaint or 'HEAD does not exist'}")
    shallow = _git(folder, "rev-parse", "--is-shallow-repository").line == "true"
    named = _named(folder, ref, shallow=shallow)
    commit = _git(folder, "merge-base", "HEAD", named).line
    if not commit:
        raise HistoryError(f"HEAD and {named} have no common ancestor in git", cure=_FETCH if shallow else _NAME)
    return Base(folder, named, commit, commit == head.line, shallow)


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
        commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").line
        branch = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD").line
        return Head(commit, branch, _git(folder, "diff", "--quiet", "HEAD").code == 1) if commit else None
    except HistoryError:
        return None


def is_tracked(path: Path) -> bool:
    """Return whether the file is in git's index; True if git fails, to be on the safe side."""
    try:
        listed = _git(path.parent, "ls-files", "-z", "--", path.name)
    except HistoryError:
        return True
    return listed.code != 0 or bool(listed.out)


def _named(folder: Path, ref: str | None, *, shallow: bool) -> str:
    if ref is not None:
        if ref.startswith("-") or not _exists(folder, ref):
            raise HistoryError(f"git has no ref {ref} (ini ftgate_base_ref)", cure=_FETCH if shallow else _CORRECT)
        return ref
    here = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD").line
    for name in BASE_REFS:
        if name != here and _exists(folder, name):
            return name
    raise HistoryError(
        f"git has no ref to compare with besides HEAD; tried {', '.join(BASE_REFS)}", cure=_FETCH if shallow else _NAME
    )


def _exists(folder: Path, ref: str) -> bool:
    return _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").code == 0


@dataclass(frozen=True)
class _Answer:
    code: int
    out: bytes
    err: bytes

    @property
    def line(self) -> str:
        """Return the output, which is one line; empty if git failed."""
        return "" if self.code else self.out.decode("utf-8", "replace").strip()

    @property
    def complaint(self) -> str:
        """Return the first line of the error output."""
        return self.err.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("fatal: ")


def _git(folder: Path, *args: str) -> _Answer:
    """Run git and return its output.

    Variables such as ``GIT_DIR``, which hooks and rebases set, are removed, since they may name another repository.
    Replaced objects and the file system monitor are disabled.

    Raises:
        HistoryError: git cannot be run, or takes too long.
    """
    options = ("--no-pager", "--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and no argument can be taken for an option
            ["git", *options, *args],  # noqa: S607  # the user's own git
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HistoryError(f"git did not answer within {_TIMEOUT_S} s") from None
    except OSError as error:
        raise HistoryError(f"git cannot be run: {error.strerror or error}") from None
    return _Answer(done.returncode, done.stdout, done.stderr)
