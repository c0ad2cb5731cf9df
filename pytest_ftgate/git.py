"""Ask the local git repository what it has, now and at the merge base with the target branch; nothing is fetched."""

import os
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_ftgate.errors import HiddenHistoryError, HistoryError

_TIMEOUT_S = 10
_QUIETLY = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZYFETCH": "1", "LC_ALL": "C"}


def git(folder: Path, *args: str, given: bytes = b"", may_fail: bool = False) -> bytes:
    """Run git and return its output; nothing where it fails and may. ``given`` is its input.

    Variables such as ``GIT_DIR``, which hooks and rebases set, are removed, since they may name another repository.
    Replaced objects and the file system monitor are disabled. Raises :class:`HistoryError` if git fails, cannot be run,
    or takes too long.
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


_DEFAULTS = ("remotes/origin/HEAD", "remotes/origin/main", "remotes/origin/master", "heads/main", "heads/master")
"""Branches to compare with by default, by their full names: a tag with such a name is another ref."""
REQUESTS = (
    "GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "BITBUCKET_PR_DESTINATION_BRANCH", "CHANGE_TARGET",
    "SYSTEM_PULLREQUEST_TARGETBRANCH", "BUILDKITE_PULL_REQUEST_BASE_BRANCH", "CIRRUS_BASE_BRANCH",
    "CODEBUILD_WEBHOOK_BASE_REF",
)  # fmt: skip
"""Variables in which a CI system names the target branch of a pull or merge request."""
_FETCH = "Fetch the whole history: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 for GitLab."


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
        """Return the absolute paths of all files and links of the commit; not of submodules."""
        listed = os.fsdecode(git(self.root, "ls-tree", "-r", "-z", "--full-tree", self.commit))
        names = (name for entry in listed.split("\0") for kind, _, name in [entry.partition("\t")] if " blob " in kind)
        return frozenset(os.path.join(self.root, os.path.normpath(name)) for name in names)

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a file at that commit, behind links within git; None if it does not exist there.

        Raises :class:`HistoryError` if git fails, a link leads out of git, or the object of the file is missing.
        """
        if self.files.isdisjoint(map(str, (path, *path.parents))):  # none of them is a file or a link
            return None
        name = path.relative_to(self.root).as_posix()
        if "\n" in name:
            raise HistoryError(f"git cannot be asked for a file with a line break in its name: {name!r}")
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

    Outside of pull and merge requests ``ref`` is the target branch, by default the first of the usual ones that
    exists, that of HEAD last. With ``in_ci`` a shallow clone is to be mended. Raises :class:`HistoryError` if git is
    not installed, or the repository has no merge base, or one that hides the change.
    """
    if not in_repository(folder):
        return None
    told = os.fsdecode(git(folder, "rev-parse", "--is-shallow-repository", "--show-toplevel"))
    shallow, _, top = told.removesuffix("\n").partition("\n")
    head = "".join(git_lines(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"))
    if not head or (shallow == "true" and not in_ci):
        return None
    if shallow == "true":
        raise HistoryError("this clone is shallow", cure=_FETCH)
    root = next((one for one in (folder, *folder.parents) if os.path.samefile(one, top)), None)
    if root is None:
        raise HiddenHistoryError(f"{folder.name} is a link to another repository", cure="Make it a folder again.")
    ref = (request := next(filter(None, map(os.environ.get, REQUESTS)), None)) or ref
    bare = re.sub(r"^refs/(remotes|heads)/", "", ref or "")
    ends = [f"{place}/{bare}" for place in ("remotes", "remotes/origin", "heads")] if ref else _DEFAULTS
    names = [f"refs/{one}" for one in ends]
    found = git_lines(folder, "for-each-ref", "--format=%(HEAD)%(refname)", *names)  # " refs/...", or "*refs/..."
    named = next((one for mark in " *" for one in names if f"{mark}{one}" in found), None)
    if named is None:
        what = f"git has no branch {ref or 'to compare with'}; tried {', '.join(names)}"
        raise HistoryError(what, cure=f"{_FETCH} Or name the target branch with ini ftgate_base_ref.")
    base = Base(root, named, "".join(git_lines(folder, "merge-base", head, named)))
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
