"""Read files as they were at the merge base of this change and its target branch."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_ftgate.errors import HistoryError
from pytest_ftgate.git import git, git_line, git_paths, in_repository

BASE_REFS = (
    *(f"refs/remotes/origin/{name}" for name in ("HEAD", "main", "master")),
    "refs/heads/main",
    "refs/heads/master",
)
"""Branches to compare with by default, by their full names: a tag with such a name is another ref."""

REQUESTS = (
    "GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "BITBUCKET_PR_DESTINATION_BRANCH", "CHANGE_TARGET",
    "SYSTEM_PULLREQUEST_TARGETBRANCH", "BUILDKITE_PULL_REQUEST_BASE_BRANCH", "CIRRUS_BASE_BRANCH",
    "CODEBUILD_WEBHOOK_BASE_REF",
)  # fmt: skip
"""Variables in which a CI system names the target branch of a pull or merge request."""

_DEEPEN = "Fetch the whole history: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 for GitLab."
_FETCH = "Fetch the target branch (fetch-depth: 0 for actions/checkout), or name it with ini ftgate_base_ref."
_REFETCH = "Clone with all objects: without --filter, and with fetch-depth: 0 for actions/checkout."


class HiddenHistoryError(HistoryError):
    """The change took the project out of the repository that has its past."""


class ShallowHistoryError(HistoryError):
    """The clone has only the newest commits."""


@dataclass(frozen=True)
class Base:
    """The commit at which this change left its target branch: ``root`` is the top folder of the working tree."""

    root: Path
    ref: str
    commit: str

    @property
    def name(self) -> str:
        """Return the target branch as people call it: ``origin/main``."""
        return re.sub(r"^refs/(remotes|heads)/", "", self.ref)

    @cached_property
    def _files(self) -> frozenset[str]:
        """Return the names of all files of the commit, as git has them; not of submodules."""
        listed = git_paths(self.root, "ls-tree", "-rz", "--full-tree", self.commit)
        return frozenset(name for entry in listed for kind, _, name in [entry.partition("\t")] if " blob " in kind)

    def existing(self, paths: Iterable[Path]) -> list[Path]:
        """Return the paths of files that the commit has."""
        return [path for path in paths if self._name(path) in self._files]

    def named(self, name: str, folder: Path) -> list[Path]:
        """Return the files of a name that the commit has in a folder or below."""
        found = (self.root / one for one in self._files if os.path.basename(one) == name)
        return sorted(path for path in found if path.is_relative_to(folder))

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a file at that commit, behind links within git; None if it does not exist there.

        Raises:
            HistoryError: git fails, a link leads out of git, or the object of the file is missing.
        """
        name = self._name(path)
        if name is None:
            return None
        asked = os.fsencode(f"{self.commit}:{name}\n")
        head, _, rest = git(self.root, "cat-file", "--batch", "--follow-symlinks", given=asked).partition(b"\n")
        words = head.split(b" ")
        if words[0] in (b"symlink", b"dangling", b"loop"):
            raise HistoryError(f"{name} was a link to a file that git does not have")
        if not head.endswith((b" missing", b" ambiguous")):
            return rest[: int(words[-1])] if words[1] == b"blob" else None
        if name in self._files:
            raise HistoryError(f"git cannot read the earlier version of {name}: its object is missing", cure=_REFETCH)
        return None

    def tracks(self, path: Path) -> bool:
        """Return whether git has a file in its index, and behind links their target: not that of a submodule."""
        names = {self._name(path), self._name(Path(os.path.realpath(path)), Path(os.path.realpath(self.root)))}
        return all(name is not None and git_paths(self.root, "ls-files", "-z", "--", name) for name in names)

    def _name(self, path: Path, root: Path | None = None) -> str | None:
        """Return a path as git names it; None if it is not in the working tree."""
        try:
            relative = Path(os.path.relpath(path, root or self.root)).as_posix()
        except ValueError:  # on another drive
            return None
        if "\n" in relative:
            raise HistoryError(f"git cannot be asked for a file with a line break in its name: {relative!r}")
        return None if relative == ".." or relative.startswith("../") else relative


def requested() -> str | None:
    """Return the target branch of the pull or merge request that this CI job tests; None elsewhere."""
    return next(filter(None, map(os.environ.get, REQUESTS)), None)


def find_base(folder: Path, ref: str | None = None) -> Base | None:
    """Return the merge base; None where there is no history: no repository, or none with a commit.

    Args:
        folder: where the gate file or the test is.
        ref: the target branch outside of pull and merge requests; None: the first of :data:`BASE_REFS` that exists
            and is not checked out. What is checked out itself is compared with what is not committed.

    Raises:
        HistoryError: git is not installed, or the repository has no merge base, or one that hides the change.
    """
    if not in_repository(folder):
        return None
    is_shallow, up = os.fsdecode(git(folder, "rev-parse", "--is-shallow-repository", "--show-cdup")).split("\n")[:2]
    head = git_line(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        return None
    if is_shallow == "true":
        raise ShallowHistoryError("this clone is shallow", cure=_DEEPEN)
    target = requested()
    named = _full_name(folder, target or ref)
    base = Base(Path(os.path.abspath(folder / up)), named, git_line(folder, "merge-base", head, named))
    if not base.commit:
        raise HistoryError(f"HEAD and {base.name} have no common ancestor in git", cure=_FETCH)
    if target and base.commit == head:
        raise HistoryError(f"the merge base with {base.name} is HEAD, so nothing of the request is seen", cure=_FETCH)
    outer = next((parent for parent in base.root.parents if (parent / ".git").exists()), None)
    past = None
    with suppress(HistoryError):  # a repository that cannot be compared, perhaps that of a home folder
        past = find_base(outer, ref) if outer is not None else None
    if past is not None and any((past.root / one).is_relative_to(base.root) for one in past._files):
        what = f"{base.root.name} is a repository of its own, and was a folder of {past.root.name} at {past.name}"
        raise HiddenHistoryError(what, cure="Make it a folder of that repository again.")
    return base


def _full_name(folder: Path, ref: str | None) -> str:
    """Return the full name of the branch to compare with, or the whole hash of a commit."""
    if ref is not None and re.fullmatch(r"[0-9a-f]{40,64}", ref):
        return ref
    bare = (ref or "").removeprefix("refs/heads/")
    names = tuple(f"refs/{place}/{bare}" for place in ("remotes", "remotes/origin", "heads")) if ref else BASE_REFS
    if bare.startswith("refs/remotes/"):
        names = (bare,)
    existing = git_line(folder, "for-each-ref", "--format=%(refname)", *names).splitlines()
    here = git_line(folder, "symbolic-ref", "--quiet", "HEAD") if ref is None else None
    known = sorted((name for name in names if name in existing), key=lambda name: name == here)
    if not known:
        what = f"no branch {ref}" if ref is not None else "no branch to compare with"
        raise HistoryError(f"git has {what}; tried {', '.join(names)}", cure=_FETCH)
    return known[0]
