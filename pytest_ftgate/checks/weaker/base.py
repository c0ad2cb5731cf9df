"""Read files as they were at the merge base of this change and its target branch."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_ftgate.errors import HistoryError
from pytest_ftgate.git import git, git_lines, in_repository

BASE_REFS = [f"refs/{one}" for one in ("remotes/origin/HEAD", "remotes/origin/main", "remotes/origin/master")]
BASE_REFS += ["refs/heads/main", "refs/heads/master"]
"""Branches to compare with by default, by their full names: a tag with such a name is another ref."""

REQUESTS = (
    "GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "BITBUCKET_PR_DESTINATION_BRANCH", "CHANGE_TARGET",
    "SYSTEM_PULLREQUEST_TARGETBRANCH", "BUILDKITE_PULL_REQUEST_BASE_BRANCH", "CIRRUS_BASE_BRANCH",
    "CODEBUILD_WEBHOOK_BASE_REF",
)  # fmt: skip
"""Variables in which a CI system names the target branch of a pull or merge request."""

_FETCH = "Fetch the whole history: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 for GitLab."


class HiddenHistoryError(HistoryError):
    """The change took the project out of the repository that has its past."""


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
    def files(self) -> frozenset[str]:
        """Return the absolute paths of all files of the commit; not of submodules."""
        listed = os.fsdecode(git(self.root, "ls-tree", "-r", "-z", "--full-tree", self.commit))
        names = (name for entry in listed.split("\0") for kind, _, name in [entry.partition("\t")] if " blob " in kind)
        return frozenset(os.path.join(self.root, os.path.normpath(name)) for name in names)

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a file at that commit, behind links within git; None if it does not exist there.

        Raises:
            HistoryError: git fails, a link leads out of git, or the object of the file is missing.
        """
        name = Path(os.path.relpath(path, self.root)).as_posix()
        if name.startswith("../"):
            return None
        asked = os.fsencode(f"{self.commit}:{name}\n")
        head, _, rest = git(self.root, "cat-file", "--batch", "--follow-symlinks", given=asked).partition(b"\n")
        if found := re.fullmatch(rb"[0-9a-f]+ blob (\d+)", head):
            return rest[: int(found[1])]
        if os.fspath(path) in self.files or re.match(rb"(symlink|dangling|loop) \d+$", head):
            raise HistoryError(f"{name}: its object is missing, or it was a link to a file that git does not have")
        return None

    def tracks(self, path: Path) -> bool:
        """Return whether git has a file in its index, and behind links their target: not that of a submodule."""
        paths = (os.path.abspath(path), os.path.realpath(path))
        return bool(git(self.root, "ls-files", "--error-unmatch", "--", *paths, may_fail=True))


def find_base(folder: Path, ref: str | None = None, *, in_ci: bool = True) -> Base | None:
    """Return the merge base; None without a history: no repository, none with a commit, or locally a shallow clone.

    Outside of pull and merge requests ``ref`` is the target branch, by default the first of :data:`BASE_REFS` that
    exists. With ``in_ci`` a shallow clone is to be mended.

    Raises:
        HistoryError: git is not installed, or the repository has no merge base, or one that hides the change.
    """
    if not in_repository(folder):
        return None
    is_shallow, up = os.fsdecode(git(folder, "rev-parse", "--is-shallow-repository", "--show-cdup")).split("\n")[:2]
    head = "".join(git_lines(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"))
    if not head or (is_shallow == "true" and not in_ci):
        return None
    if is_shallow == "true":
        raise HistoryError("this clone is shallow", cure=_FETCH)
    request = next(filter(None, map(os.environ.get, REQUESTS)), None)
    ref = request or ref
    bare = re.sub(r"^refs/(remotes|heads)/", "", ref or "")
    names = [f"refs/{place}/{bare}" for place in ("remotes", "remotes/origin", "heads")] if ref else BASE_REFS
    existing = git_lines(folder, "for-each-ref", "--format=%(refname)", *names)
    named = next((name for name in names if name in existing), None)
    if named is None:
        what = f"git has no branch {ref or 'to compare with'}; tried {', '.join(names)}"
        raise HistoryError(what, cure=f"{_FETCH} Or name the target branch with ini ftgate_base_ref.")
    base = Base(Path(os.path.abspath(folder / up)), named, "".join(git_lines(folder, "merge-base", head, named)))
    if not base.commit:
        raise HistoryError(f"HEAD and {base.name} have no common ancestor in git", cure=_FETCH)
    if request and base.commit == head:
        raise HistoryError(f"the merge base with {base.name} is HEAD, so nothing of the request is seen", cure=_FETCH)
    past = None
    with suppress(HistoryError):  # a repository that cannot be compared, perhaps that of a home folder
        past = find_base(base.root.parent, ref)
    if past is not None and any(one.startswith(f"{base.root}{os.sep}") for one in past.files):
        what = f"{base.root.name} is a repository of its own, and was a folder of {past.root.name} at {past.name}"
        raise HiddenHistoryError(what, cure="Make it a folder of that repository again.")
    return base
