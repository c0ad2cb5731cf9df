"""What git knows, asked of real repositories."""

import shutil
import subprocess
from unittest.mock import Mock

import pytest
from gate_project import git

from pytest_ftgate.errors import HistoryError, NoHistoryError
from pytest_ftgate.git import REQUESTS, find_base, git_lines

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


def commit(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"{name}: {text}")


@pytest.fixture
def repo(tmp_path):
    """``main`` with two commits, and ``work`` checked out at the second."""
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "f.txt", "one")
    commit(folder, "sub/g.txt", "g")
    git(folder, "checkout", "-q", "-b", "work")
    return folder


def problem(folder, ref=None):
    with pytest.raises(HistoryError) as caught:
        find_base(folder, ref)
    return str(caught.value)


def test_the_base_is_where_the_branches_parted(repo):
    began = git(repo, "rev-parse", "HEAD")
    commit(repo, "f.txt", "two")
    git(repo, "checkout", "-q", "main")
    commit(repo, "f.txt", "meanwhile")
    git(repo, "checkout", "-q", "work")
    base = find_base(repo)
    assert (base.ref, base.name, base.commit) == ("refs/heads/main", "main", began)
    assert base.content(repo / "f.txt") == b"one"
    assert base.files == {str(repo / "f.txt"), str(repo / "sub/g.txt")}


def test_files_come_as_they_were_from_any_folder_of_the_repository(repo):
    (repo / "link.txt").symlink_to("sub/g.txt")
    (repo / "linked").symlink_to("sub")
    (repo / "raw.bin").write_bytes(b"\xff\x00\r\n")
    (repo / ".gitattributes").write_text("raw.bin -text\n")
    commit(repo, "dätä [1] *.txt", "special")
    git(repo, "branch", "-q", "-f", "main", "work")
    base = find_base(repo / "sub")
    (repo.parent / "outside.txt").write_text("x")
    contents = {
        "f.txt": b"one",
        "sub/g.txt": b"g",
        "raw.bin": b"\xff\x00\r\n",
        "dätä [1] *.txt": b"special",
    }
    contents["link.txt"] = b"g"  # links are followed as they were
    assert base.content(repo / "linked/g.txt") == b"g"
    no_files = ("absent.txt", "sub", "no/such/folder.txt", "../outside.txt", "[f].txt", "*")
    assert {
        name: base.content(repo / name) for name in (*contents, *no_files)
    } == contents | dict.fromkeys(no_files)
    assert [name for name in (*contents, *no_files) if base.tracks(repo / name)] == [
        *contents,
        "sub",
    ]


@pytest.mark.parametrize(
    "target", ["loop.txt", "../outside.txt", "absent.txt", "f.txt, without its object"]
)
def test_what_git_does_not_have_cannot_be_compared(repo, target):
    (repo.parent / "outside.txt").write_text("x")
    (repo / "loop.txt").symlink_to(target.partition(",")[0])
    commit(repo, "x.txt", "x")
    git(repo, "branch", "-q", "-f", "main", "work")
    base = find_base(repo)
    assert base.tracks(repo / "loop.txt") is target.startswith(("loop", "f"))
    if target.startswith("f"):
        blob = git(repo, "rev-parse", "HEAD:f.txt")
        (repo / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(
        HistoryError, match=r"\.txt: its object is missing, or it was a link to a file"
    ):
        base.content(repo / ("f.txt" if target.startswith("f") else "loop.txt"))


NAMED = ("develop", "refs/heads/develop", "origin/develop", "refs/remotes/origin/develop")


def test_a_named_branch_goes_by_its_full_name_that_of_the_origin_first(repo):
    git(repo, "branch", "-q", "develop", "HEAD")
    for place in ("develop", "origin/develop", "origin/main", "main"):  # each is a tag, too
        git(repo, "tag", place, "HEAD")
    assert find_base(repo, "develop").ref == "refs/heads/develop"
    for name in ("develop", "main"):
        git(repo, "update-ref", f"refs/remotes/origin/{name}", "HEAD~1")
    assert {find_base(repo, name).ref for name in NAMED} == {"refs/remotes/origin/develop"}
    base = find_base(repo)
    assert (base.ref, base.commit) == ("refs/remotes/origin/main", git(repo, "rev-parse", "HEAD~1"))


@pytest.mark.parametrize(
    "ref", ["no-such-branch", "--upload-pack=touch x", "-h", "main..work", "HEAD", "HEAD~1", "v1"]
)
def test_a_named_branch_that_does_not_exist(repo, ref):
    git(repo, "tag", "v1")
    assert f"git has no branch {ref}" in problem(repo, ref)


def test_what_is_checked_out_is_a_base_only_where_it_is_a_default_branch(repo):
    git(repo, "checkout", "-q", "main")
    assert (find_base(repo).name, find_base(repo).commit) == (
        "main",
        git(repo, "rev-parse", "HEAD"),
    )
    git(repo, "branch", "-q", "master", "HEAD~1")
    assert find_base(repo).name == "master"
    git(repo, "branch", "-q", "-m", "trunk")
    git(repo, "branch", "-q", "-D", "work", "master")
    fragments = (
        "refs/remotes/origin/HEAD",
        "master",
        "git remote set-head origin --auto",
        "ftgate_base_ref",
    )
    assert [fragment for fragment in fragments if fragment not in problem(repo)] == []


@pytest.mark.parametrize("variable", REQUESTS)
def test_the_base_of_a_request_is_that_of_its_ci(repo, monkeypatch, variable):
    git(repo, "update-ref", "refs/remotes/origin/release", "HEAD~1")
    monkeypatch.setenv(
        variable,
        "release" if variable != "SYSTEM_PULLREQUEST_TARGETBRANCH" else "refs/heads/release",
    )
    assert find_base(repo).name == "origin/release"
    assert find_base(repo, "main").name == "origin/release"  # whatever the ini file says
    git(repo, "update-ref", "refs/remotes/origin/release", "HEAD")
    assert "the merge base with origin/release is HEAD" in problem(repo)


def test_a_repository_below_another_one_is_compared_with_its_own_past(repo):
    (repo / "sub/deep").mkdir()
    (repo / "linked").symlink_to("sub/deep")
    # a link within the repository
    assert find_base(repo / "linked").content(repo / "f.txt") == b"one"
    git(repo / "sub", "init", "-q", "-b", "main")
    commit(repo / "sub", "g.txt", "its own")
    assert "linked is a link to a folder of another place" in problem(repo / "linked")
    assert find_base(repo / "sub").content(repo / "sub/g.txt") == b"its own"


def test_files_are_compared_as_git_compares_them(repo):
    """Line endings that git converts do not count; nor does a time of change."""
    (repo / "link.txt").symlink_to("sub/g.txt")
    (repo / "linked").symlink_to("sub")
    commit(repo, "p.md", "a\nb\n")
    git(repo, "branch", "-q", "-f", "main", "work")
    base = find_base(repo)
    git(repo, "config", "core.autocrlf", "true")
    (repo / "p.md").write_bytes(b"a\r\nb\r\n")
    (repo / "f.txt").write_text("one")
    names = ("p.md", "f.txt", "sub/g.txt", "link.txt", "linked/g.txt")
    assert [name for name in names if base.changed(repo / name)] == []
    (repo / "p.md").write_bytes(b"a\r\nc\r\n")
    (repo / "sub/g.txt").write_text("other")
    assert [name for name in names if base.changed(repo / name)] == [
        "p.md",
        "sub/g.txt",
        "link.txt",
        "linked/g.txt",
    ]
    (repo.parent / "outside.txt").write_text("x")
    with pytest.raises(HistoryError, match="outside"):
        base.changed(repo.parent / "outside.txt")


def test_where_git_refuses_a_checkout_its_own_cure_is_given(repo, monkeypatch):
    """As in the container of a job, where the checkout belongs to another user."""
    complaint = (
        f"fatal: detected dubious ownership in repository at '{repo}'\nTo add an exception for this directory, call:\n"
        f"\n\tgit config --global --add safe.directory {repo}\n"
    )
    run = Mock(return_value=subprocess.CompletedProcess([], 128, b"", complaint.encode()))
    monkeypatch.setattr(subprocess, "run", run)
    text = problem(repo)
    assert "detected dubious ownership in repository" in text
    assert f"git config --global --add safe.directory {repo}" in text


def test_a_history_that_is_cut_off_or_absent_disturbs_nobody_who_tries_it_out(repo, tmp_path):
    git(repo, "checkout", "-q", "main")
    commit(repo, "f.txt", "three")
    for name, options in {
        "work": ("--branch", "work"),
        "main": (),
        "both": ("--no-single-branch",),
    }.items():
        git(tmp_path, "clone", "-q", "--depth", "1", *options, repo.as_uri(), name)
        assert "this clone is shallow\n  Fetch the whole history: fetch-depth: 0" in problem(
            tmp_path / name
        )
        with pytest.raises(NoHistoryError) as caught:
            find_base(tmp_path / name, in_ci=False)
        assert caught.value.cure == "Run git fetch --unshallow."
    git(tmp_path, "clone", "-q", repo.as_uri(), "whole")
    assert find_base(tmp_path / "whole").name == "origin/HEAD"
    git(tmp_path, "init", "-q", "empty")
    for folder in (tmp_path, tmp_path / "empty"):
        with pytest.raises(NoHistoryError):
            find_base(folder)
    git(repo, "checkout", "-q", "--orphan", "other")
    commit(repo, "f.txt", "other")
    assert problem(repo).startswith("HEAD and main have no common ancestor")


def test_the_variables_of_a_hook_do_not_lead_elsewhere(repo, monkeypatch):
    git(repo.parent, "init", "-q", "-b", "main", "other")
    monkeypatch.setenv("GIT_DIR", str(repo.parent / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo.parent / "other/index"))
    assert find_base(repo).content(repo / "f.txt") == b"one"
    assert git_lines(repo, "ls-files", "-z", "--", "f.txt") == ["f.txt"]


def test_git_is_not_waited_for_without_end(repo, monkeypatch):
    timeout = Mock(side_effect=subprocess.TimeoutExpired("git", 10))
    monkeypatch.setattr(subprocess, "run", timeout)
    assert problem(repo) == "git did not answer within 10 s"
    options = timeout.call_args.kwargs
    assert (options["timeout"], options["input"], options["env"]["GIT_TERMINAL_PROMPT"]) == (
        10,
        b"",
        "0",
    )
