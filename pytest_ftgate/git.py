"""Ask the local git repository what it has, now and at the merge base; nothing is fetched."""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_ftgate.errors import HistoryError, NoHistoryError

_TIMEOUT_S = 10
_QUIETLY = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZYFETCH": "1",
    "LC_ALL": "C",
}
_COMMAND = ("git", "--no-pager", "-c", "core.fsmonitor=false", "--literal-pathspecs")

_DEFAULTS = (
    "remotes/origin/HEAD",
    "remotes/origin/main",
    "remotes/origin/master",
    "heads/main",
    "heads/master",
)
"""Branches to compare with by default; a tag with such a name is another ref."""

REQUESTS = (
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "CHANGE_TARGET",
    "SYSTEM_PULLREQUEST_TARGETBRANCH",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
    "CIRRUS_BASE_BRANCH",
    "CODEBUILD_WEBHOOK_BASE_REF",
)
"""Variables in which a CI system names the target branch of a pull or merge request."""

SET_HEAD = "git remote set-head origin --auto"
"""The command with which a clone learns what origin's default branch is."""

_INIT = "Run git init, and commit the project, or run the gate in a clone with the history."
_FETCH = "Fetch the whole history: fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 for GitLab."


def git(folder: Path, *args: str, stdin: bytes = b"", may_fail: bool = False) -> bytes:
    """Run git and return its output; nothing if it fails and ``may_fail`` is set.

    Variables such as ``GIT_DIR``, which hooks and rebases set, may name another repository.

    Raises:
        HistoryError: git fails, cannot be run, or takes too long.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    try:
        done = subprocess.run(  # noqa: S603  # no shell, and no argument is taken for an option
            [*_COMMAND, *args],
            cwd=folder,
            env=environment | _QUIETLY,
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise HistoryError(f"git did not answer within {_TIMEOUT_S} s") from None
    except OSError as error:
        fix = "Install git where the tests run."
        raise HistoryError(f"git cannot be run: {error.strerror or error}", cure=fix) from None

    if done.returncode == 0:
        return done.stdout
    if may_fail:
        return b""
    raise _refusal(done)


def git_lines(folder: Path, *args: str) -> list[str]:
    """Return the lines that git prints, or with ``-z`` the paths; none if it fails."""
    separator = "\0" if "-z" in args else "\n"
    return os.fsdecode(git(folder, *args, may_fail=True)).split(separator)[:-1]


def _refusal(done: subprocess.CompletedProcess[bytes]) -> HistoryError:
    """Return the error of a command that failed, with the command that git itself recommends."""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it gives no reason"]
    commands = [line.strip() for line in lines[1:] if line.strip().startswith("git ")]
    fix = f"Run {commands[0]}" if commands else None
    complaint = lines[0].removeprefix("fatal: ")
    return HistoryError(f"git cannot read this repository: {complaint}", cure=fix)


def top_folder(folder: Path) -> Path | None:
    """Return the top folder of a folder's working tree, without asking git; None outside of one.

    A submodule and a nested repository have one of their own.
    """
    for parent in (folder, *folder.parents):
        if (parent / ".git").exists():
            return parent
    return None


@dataclass(frozen=True)
class Base:
    """The commit at which this change left its target branch.

    Attributes:
        root: the top folder of the working tree.
        ref: the full name of the target branch.
        commit: the merge base.
    """

    root: Path
    ref: str
    commit: str

    @property
    def name(self) -> str:
        """Return the target branch as people call it: ``origin/main``."""
        return _bare(self.ref)

    @cached_property
    def files(self) -> frozenset[str]:
        """Return the absolute paths of all files and links of the commit; not of submodules."""
        listed = git(self.root, "ls-tree", "-r", "-z", "--full-tree", self.commit)
        paths = []
        for entry in os.fsdecode(listed).split("\0")[:-1]:
            facts, _, name = entry.partition("\t")
            if " blob " in facts:
                paths.append(os.path.join(self.root, os.path.normpath(name)))
        return frozenset(paths)

    @cached_property
    def refs(self) -> tuple[str, ...]:
        """Return the full names of the target branch: its ref, and what that stands for."""
        return (self.ref, *git_lines(self.root, "symbolic-ref", "--quiet", self.ref))

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a file at that commit, behind links within git; None without it.

        Raises:
            HistoryError: git fails, a link leads out of git, or the file's object is missing.
        """
        if self.files.isdisjoint(map(str, (path, *path.parents))):
            return None  # neither it nor a folder above is a file or a link
        name = path.relative_to(self.root).as_posix()
        question = os.fsencode(f"{self.commit}:{name}\n")
        answer = git(self.root, "cat-file", "--batch", "--follow-symlinks", stdin=question)
        head, _, content = answer.partition(b"\n")
        if re.fullmatch(rb"[0-9a-f]+ blob \d+", head):
            return content.removesuffix(b"\n")

        # Behind a link to a folder there may be another folder, or nothing.
        is_broken_link = re.match(rb"(symlink|dangling|loop) \d+$", head)
        if not is_broken_link and os.fspath(path) not in self.files:
            return None
        text = "its object is missing, or it was a link to a file that git does not have"
        raise HistoryError(f"{name}: {text}")

    def holds(self, old: Path, new: Path) -> bool:
        """Return whether a file has the content that another path had at that commit.

        Line endings and other filters do not count, as git compares them.
        """
        if not new.is_file() or not new.is_relative_to(self.root):
            return False
        if os.fspath(old) not in self.files:
            return False
        name_then = old.relative_to(self.root).as_posix()
        name = new.relative_to(self.root).as_posix()
        before = git(self.root, "rev-parse", f"{self.commit}:{name_then}").strip()
        return before == git(self.root, "hash-object", f"--path={name}", "--", name).strip()

    def changed(self, path: Path) -> bool:
        """Return whether a file differs from the commit as git compares it, or its link's target.

        Line endings and other filters do not count. Raises :class:`HistoryError` if git fails.
        """
        paths = (os.path.abspath(path), os.path.realpath(path))
        options = ("--name-only", "--no-ext-diff")
        return bool(git(self.root, "diff", *options, self.commit, "--", *paths))

    def tracks(self, path: Path) -> bool:
        """Return whether git has a file in its index, and behind links their target."""
        paths = (os.path.abspath(path), os.path.realpath(path))
        return bool(git(self.root, "ls-files", "--error-unmatch", "--", *paths, may_fail=True))


def find_base(folder: Path, ref: str | None = None, *, in_ci: bool = True) -> Base:
    """Return the merge base.

    Args:
        folder: a folder of the working tree.
        ref: the target branch outside of pull and merge requests; by default the first of the
            usual ones that exists, that of HEAD last.
        in_ci: whether a history is owed, so that a shallow clone has to be mended.

    Raises:
        NoHistoryError: there is no repository, no commit, or locally a shallow clone.
        HistoryError: git is not installed, or the repository has no merge base with that branch.
    """
    if top_folder(folder) is None:
        raise NoHistoryError("the project is in no git repository", cure=_INIT)
    printed = os.fsdecode(git(folder, "rev-parse", "--is-shallow-repository", "--show-toplevel"))
    shallow, _, top = printed.removesuffix("\n").partition("\n")
    head = "".join(git_lines(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"))
    if not head:
        raise NoHistoryError("the git repository has no commit", cure="Commit the project.")
    if shallow == "true":
        if not in_ci:
            raise NoHistoryError("this clone is shallow", cure="Run git fetch --unshallow.")
        raise HistoryError("this clone is shallow", cure=_FETCH)

    # A CI job of a pull request knows its target branch better than any setting.
    request = next(filter(None, map(os.environ.get, REQUESTS)), None)
    base_ref = find_branch(folder, request or ref)
    commit = "".join(git_lines(folder, "merge-base", head, base_ref))
    base = Base(_as_above(folder, top), base_ref, commit)
    if not commit:
        raise HistoryError(f"HEAD and {base.name} have no common ancestor in git", cure=_FETCH)
    if request and commit == head:
        text = f"the merge base with {base.name} is HEAD, so nothing of the request is seen"
        raise HistoryError(text, cure=_unseen_request_cure(folder, base))
    return base


def _unseen_request_cure(folder: Path, base: Base) -> str:
    """Return what to do where HEAD has nothing that its target branch does not have."""
    if git_lines(folder, "rev-parse", "--show-superproject-working-tree"):
        return (
            f"{base.root.name} is a submodule, and the request is one of the repository above it: "
            "judge the gate in the submodule's own repository."
        )
    return (
        f"If the request was merged, there is nothing left to compare: judge {base.name} itself. "
        f"If not, check out the commit of the request in place of {base.name}."
    )


def _as_above(folder: Path, top: str) -> Path:
    """Return the top folder as it is spelled above ``folder``; git has resolved its links."""
    for parent in (folder, *folder.parents):
        if os.path.samefile(parent, top):
            return parent
    fix = "Start pytest in the folder that is in git."
    raise HistoryError(f"{folder.name} is a link to a folder of another place", cure=fix)


def find_branch(folder: Path, ref: str | None) -> str:
    """Return the full name of a branch, origin's first; without ``ref`` that of a usual one.

    Raises:
        HistoryError: git has none of them.
    """
    names = [f"refs/{branch}" for branch in _DEFAULTS]
    if ref:
        places = ("remotes", "remotes/origin", "heads")
        names = [f"refs/{place}/{_bare(ref)}" for place in places]
    lines = git_lines(folder, "for-each-ref", "--format=%(HEAD)%(refname)", *names)
    for mark in " *":  # the branch that is checked out is marked; it is the last choice
        for name in names:
            if f"{mark}{name}" in lines:
                return name

    text = f"git has no branch {ref or 'to compare with'}; tried {', '.join(names)}"
    fix = f"{_FETCH} Or run {SET_HEAD}, or name the target branch with ini ftgate_base_ref."
    raise HistoryError(text, cure=fix)


def _bare(ref: str) -> str:
    """Return the name of a branch without the folder of its ref."""
    return re.sub(r"^refs/(remotes|heads)/", "", ref)
