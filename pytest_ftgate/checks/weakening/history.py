"""Read files as they were at the merge base, from the local git repository; nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ftgate.errors import HistoryError

BASE_REFS = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""Branches to compare with by default; the first that exists is used."""

_TIMEOUT_S = 10
_LINK = "120000"
FETCH = "This clone is shallow: fetch its history (git fetch --unshallow, or fetch-depth: 0 for actions/checkout)."
_CORRECT = "Correct the name, or fetch the branch (git fetch origin, or fetch-depth: 0 for actions/checkout)."
_NAME = (
    "Fetch the target branch (git fetch origin, or fetch-depth: 0 for actions/checkout), or set the ini option "
    "ftgate_base_ref to its name."
)
_REFETCH = "Clone with all objects: without --filter, and with fetch-depth: 0 for actions/checkout."
_INSTALL = "Install git where the tests run."


@dataclass(frozen=True)
class Base:
    """The commit at which this change left its target branch.

    Attributes:
        root: the top folder of the working tree.
        ref: the name of the target branch.
        commit: the merge base of HEAD and ``ref``, in hex.
        is_head: the merge base is HEAD, so only uncommitted changes are compared.
        shallow: the repository is a shallow clone.
    """

    root: Path
    ref: str
    commit: str
    is_head: bool
    shallow: bool
    _read: dict[str, bytes | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def unseen(self) -> str | None:
        """Return why a part of the change cannot be seen; None if all of it can."""
        if not (self.is_head and self.shallow):
            return None
        return f"this clone is shallow and {self.ref} is HEAD, so only uncommitted changes were compared"

    def read(self, paths: Iterable[Path]) -> None:
        """Read files into memory, all with one call of git.

        Raises:
            HistoryError: git fails, or the object of a file of the commit is missing.
        """
        names = [name for name in dict.fromkeys(map(self._name, paths)) if name is not None and name not in self._read]
        if not names:
            return
        found = dict(zip(names, self._blobs([f"{self.commit}:{name}" for name in names]), strict=True))
        self._refuse_lost([name for name, content in found.items() if content is None])
        self._read.update(found)

    def _refuse_lost(self, names: Sequence[str]) -> None:
        """Raise :class:`HistoryError` if one of these is in the commit, so that only its object is missing."""
        if not names:
            return
        listed = _git(self.root, "ls-tree", "-z", "--full-tree", self.commit, "--", *names)
        entries = (entry.partition("\t") for entry in listed.parts)
        lost = [name for facts, _, name in entries if " blob " in facts and not facts.startswith(_LINK)]
        if listed.code or lost:
            what = f"git cannot read the earlier version of {(lost or names)[0]}: its object is missing"
            raise HistoryError(what, cure=_REFETCH)

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a file at that commit, behind its links; None if it does not exist there.

        Raises:
            HistoryError: git fails, or the file has a name that git cannot be asked for.
        """
        name = self._name(path)
        if name is None:
            return None
        self.read([path])
        return self._read[name]

    def tracks(self, path: Path) -> bool:
        """Return whether the repository has a file in its index: not one of a submodule."""
        name = self._name(path)
        return name is not None and bool(_git(self.root, "ls-files", "-z", "--", name).parts)

    def _name(self, path: Path) -> str | None:
        """Return a path as git names it; None if it is not in the working tree."""
        try:
            relative = Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # on another drive
            return None
        if "\n" in relative:
            raise HistoryError(f"git cannot be asked for a file with a line break in its name: {relative!r}")
        return None if relative == ".." or relative.startswith("../") else relative

    def _blobs(self, specs: list[str]) -> Iterator[bytes | None]:
        """Yield the bytes of files, in memory at once; None for one that is absent, or that is no file."""
        asked = os.fsencode("".join(f"{spec}\n" for spec in specs))
        found = _git(self.root, "cat-file", "--batch", "--follow-symlinks", given=asked)
        if found.code:
            raise HistoryError(f"git cannot read earlier versions of files: {found.complaint}")
        rest = found.out
        for _ in specs:
            head, _, rest = rest.partition(b"\n")
            words = head.split(b" ")
            if head.endswith((b" missing", b" ambiguous")):
                yield None
                continue
            size = int(words[-1])
            yield rest[:size] if words[0] not in _NO_FILE and words[1] == b"blob" else None
            rest = rest[size + 1 :]


_NO_FILE = (b"symlink", b"dangling", b"loop", b"notdir")
"""What git says of a link that leads to no file of the commit."""


def find_base(folder: Path, ref: str | None) -> Base | None:
    """Return the merge base; None where there is no history: no repository, or none with a commit.

    Args:
        folder: where the gate file or the test is.
        ref: the target branch; None: the first of :data:`BASE_REFS` that exists and is not checked out.

    Raises:
        HistoryError: git is not installed, or the repository has no merge base.
    """
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None
    if shutil.which("git") is None:
        raise HistoryError("git is not installed, so the earlier version cannot be read", cure=_INSTALL)
    state = _git(folder, "rev-parse", "--is-shallow-repository", "--show-cdup")
    if state.code:
        raise HistoryError(f"git cannot read this repository: {state.complaint}")
    is_shallow, up = os.fsdecode(state.out).split("\n")[:2]
    shallow, top = is_shallow == "true", os.path.abspath(folder / up)
    commits = _commits(folder, ("HEAD", *((ref,) if ref is not None else BASE_REFS)))
    head = commits.get("HEAD")
    if head is None:
        return None
    named = _named(folder, ref, commits, shallow=shallow)
    commit = _git(folder, "merge-base", head, commits[named]).line
    if not commit:
        raise HistoryError(f"HEAD and {named} have no common ancestor in git", cure=FETCH if shallow else _NAME)
    return Base(Path(top), named, commit, commit == head, shallow)


def _commits(folder: Path, refs: tuple[str, ...]) -> dict[str, str]:
    """Return the commits of those refs that exist."""
    known = [ref for ref in refs if "\n" not in ref]
    asked = os.fsencode("".join(f"{ref}^{{commit}}\n" for ref in known))
    found = _git(folder, "cat-file", "--batch-check", given=asked)
    if found.code:
        raise HistoryError(f"git cannot read this repository: {found.complaint}")
    answers = (line.split() for line in found.out.splitlines())
    return {
        ref: words[0].decode("ascii")
        for ref, words in zip(known, answers, strict=False)
        if len(words) == 3 and words[1] == b"commit"
    }


def _named(folder: Path, ref: str | None, commits: dict[str, str], *, shallow: bool) -> str:
    """Return the ref to compare with. A default branch that is checked out is compared with itself: what is new is
    not committed."""
    if ref is not None:
        if ref not in commits:
            raise HistoryError(f"git has no ref {ref} (ini ftgate_base_ref)", cure=FETCH if shallow else _CORRECT)
        return ref
    here = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD").line
    others = [name for name in BASE_REFS if name in commits and name != here]
    if others or here in commits:
        return others[0] if others else here
    raise HistoryError(
        f"git has no ref to compare with besides HEAD; tried {', '.join(BASE_REFS)}", cure=FETCH if shallow else _NAME
    )


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


def tracked(path: Path) -> list[str]:
    """Return the files in git's index at a path or below it; none where git does not say."""
    try:
        return _git(path.parent, "ls-files", "-z", "--", path.name).parts
    except HistoryError:
        return []


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
    def parts(self) -> list[str]:
        """Return the output, whose parts end with NUL; none if git failed."""
        return [] if self.code else os.fsdecode(self.out).split("\0")[:-1]

    @property
    def complaint(self) -> str:
        """Return the first line of the error output."""
        return self.err.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("fatal: ")


def _git(folder: Path, *args: str, given: bytes | None = None) -> _Answer:
    """Run git and return its output; ``given`` is its input.

    Variables such as ``GIT_DIR``, which hooks and rebases set, are removed, since they may name another repository.
    Replaced objects and the file system monitor are disabled.

    Raises:
        HistoryError: git cannot be run, or takes too long.
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
        raise HistoryError(f"git cannot be run: {error.strerror or error}") from None
    return _Answer(done.returncode, done.stdout, done.stderr)
