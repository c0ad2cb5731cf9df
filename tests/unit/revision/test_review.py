"""The gate as it was against the gate as it is, without git: what is said, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftgate.checks.weakening.comparison import Weakening
from pytest_ftgate.checks.weakening.past import NO_REPOSITORY, Past
from pytest_ftgate.checks.weakening.review import review_checks
from pytest_ftgate.config import GateFile, GateKeys, load_gate_file, resolve_gate
from pytest_ftgate.errors import HistoryError
from pytest_ftgate.result import Check

FILE = """version: 1
gates:
  intents: {test_set: test.jsonl, training_set: train.jsonl, baseline: 'recorded:base.jsonl',
            candidate: 'recorded:ft.jsonl', margin: 0.05, evidence: proven}
"""
ROWS = [f'{{"id": "t{i}", "input": "question {i}", "expected": "a"}}\n' for i in range(5)]
WEAKER = FILE.replace("0.05", "0.01")
TOLD = "margin: 0.05 -> 0.01 (ftgate.yaml:4)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.jsonl").write_text("".join(ROWS))
    return tmp_path


def reviewed(
    folder: Path,
    now: str = FILE,
    *,
    then: str = FILE,
    rows: str | None = "".join(ROWS),
    more: Mapping[str, bytes] = {},  # never changed
    unseen: str | None = None,
    tracked: bool = False,
    content: Any = None,
    loosened: tuple[Weakening, ...] = (),
    forbidden: bool = False,
    **past: Any,
) -> tuple[Check, ...]:
    """Review the gate whose file was ``then``, and whose test set had these ``rows``."""

    def file_of(text: str) -> GateFile:
        return load_gate_file(folder / "ftgate.yaml", text.encode())

    def in_file(file: GateFile) -> GateKeys:
        return resolve_gate(file.layers("intents"), file=file, gate="intents", default_name="x")

    files = {**({} if rows is None else {"test.jsonl": rows.encode()}), **more}
    base: Any = SimpleNamespace(
        ref="origin/main",
        unseen=unseen,
        content=content or (lambda path: files.get(path.name)),
        tracks=lambda path: tracked,
    )
    before = replace(Past(base, file_of(then)), **past)
    return review_checks(before, "intents", in_file=in_file, now=file_of(now), loosened=loosened, forbidden=forbidden)


def told(folder: Path, status: str, *parts: str, name: str = "weakened", **changes: Any) -> Check:
    """See that there is one check with this status and these parts; one that warns fails where it is forbidden."""
    (found,) = reviewed(folder, **changes)
    assert (found.name, found.status) == (name, status)
    assert not [part for part in parts if part not in found.message], found.message
    (forbidden,) = reviewed(folder, forbidden=True, **changes)
    assert (forbidden.status, forbidden.message) == ("fail" if status == "warning" else status, found.message)
    return found


def test_nothing_is_said_of_a_gate_that_is_as_it_was(folder: Path) -> None:
    assert reviewed(folder) == ()
    assert reviewed(folder, FILE.replace("0.05", "0.1")) == ()


GIVEN = (Weakening("margin", "0.05", "0.01", "ftgate.yaml:4 -> test_gate.py:3"),)
LOST = HistoryError("git knows no main", cure="Fetch it.")
FORBADE = Weakening("ini ftgate_forbid_weakening", "true", "not set", "pytest.ini")
CASES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "two keys": (
        {"now": WEAKER.replace("proven", "observed")},
        "warning",
        (f"origin/main: {TOLD}; evidence: proven -> observed (ftgate.yaml:4)",),
    ),
    "another baseline": (
        {"now": FILE.replace("base.jsonl", "weak.jsonl")},
        "warning",
        ("baseline: recorded:base.jsonl -> recorded:weak.jsonl (ftgate.yaml:3)",),
    ),
    "a marker": ({"loosened": GIVEN}, "warning", (f"{GIVEN[0]} ({GIVEN[0].where})",)),
    "no past": ({"problem": LOST}, "warning", (": git knows no main",)),
    "a past that cannot be resolved": (
        {"then": FILE.replace("margin: 0.05, ", "")},
        "warning",
        ("a required key is missing: margin",),
    ),
    "a shallow clone": ({"unseen": "this is shallow"}, "warning", ("this is shallow",)),
    "a shallow clone and a weaker gate": ({"unseen": "this is shallow", "now": WEAKER}, "warning", (TOLD, "shallow")),
    "a new gate": ({"then": FILE.replace("intents", "other")}, "note", ("intents", "origin/main")),
    "a new test set": ({"rows": None, "tracked": True}, "note", ("test.jsonl is new",)),
}


@pytest.mark.parametrize(("changes", "status", "parts"), CASES.values(), ids=CASES)
def test_what_is_told(folder: Path, changes: dict[str, Any], status: str, parts: tuple[str, ...]) -> None:
    found = told(folder, status, *parts, **changes)
    if "problem" in changes:
        assert found.advice == "Fetch it."


def test_a_marker_is_told_where_there_is_no_history(folder: Path) -> None:
    (found,) = reviewed(folder, loosened=GIVEN, problem=NO_REPOSITORY)
    assert (found.status, found.message.partition(": ")[2]) == ("warning", f"{GIVEN[0]} ({GIVEN[0].where})")


def test_what_was_forbidden_then_is_forbidden(folder: Path) -> None:
    (found,) = reviewed(folder, forbade=True, weaker=(FORBADE,))
    assert found.status == "fail"
    assert f"{FORBADE} (pytest.ini)" in found.message


# --- test sets -----------------------------------------------------------------------------------------------


def pointer(kind: str, content: str) -> bytes:
    if kind == "dvc":
        return b"outs:\n- md5: %s\n  path: test.jsonl\n" % md5(content.encode()).hexdigest().encode()
    oid = sha256(content.encode()).hexdigest().encode()
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 4\n" % oid


HARD = '{"id": "h", "input": "a hard one", "expected": "b"}\n'
TEST_SETS: dict[str, tuple[str | None, str | None, tuple[str, ...]]] = {
    "the same in another order and layout": ("".join(reversed(ROWS)).replace(": ", ":") + "\n", None, ()),
    "one was removed": ("".join([*ROWS, HARD]), "warning", ("test_set: 6 examples of test.jsonl -> 1 removed (h)",)),
    "one was relabelled": (
        "".join(ROWS).replace('3", "expected": "a"', '3", "expected": "b"'),
        "warning",
        ("1 relabelled (t3)",),
    ),
    "all were": ("".join(ROWS).replace('"a"', '"b"'), "warning", ("5 relabelled (t0, t1, t2, ...)",)),
    "an input has changed": ("".join(ROWS).replace("question 2", "why 2"), "warning", ("1 removed (t2)",)),
    "two were added": ("".join(ROWS[:3]), "note", ("test.jsonl: 2 examples added",)),
    "it cannot be read": ("{", "warning", ("test.jsonl at origin/main cannot be read",)),
}


@pytest.mark.parametrize(("rows", "status", "parts"), TEST_SETS.values(), ids=TEST_SETS)
def test_a_test_set_is_compared_by_its_examples(
    folder: Path, rows: str, status: str | None, parts: tuple[str, ...]
) -> None:
    if status is None:
        assert reviewed(folder, rows=rows) == ()
    else:
        told(folder, status, *parts, rows=rows)


def test_the_first_rows_of_a_limited_test_set_must_stay(folder: Path) -> None:
    limited = FILE.replace("test_set: test.jsonl", "test_set: {path: test.jsonl, limit: 2}")
    turned = "".join(reversed(ROWS))
    told(folder, "warning", "2 removed (t4, t3)", now=limited, then=limited, rows=turned)


@pytest.mark.parametrize("kind", ["lfs", "dvc"])
def test_a_pointer_stands_for_its_file(folder: Path, kind: str) -> None:
    for content, same in (("".join(ROWS), True), (HARD, False)):
        written = pointer(kind, content)
        files: dict[str, Any] = {"rows": None, "more": {"test.jsonl.dvc": written}}
        if kind == "lfs":
            files = {"rows": written.decode()}
        if same:
            assert reviewed(folder, **files) == ()
        else:
            told(folder, "warning", "test.jsonl has changed", **files)


def test_a_test_set_that_git_does_not_have_is_named(folder: Path) -> None:
    told(folder, "warning", "test.jsonl", name="untracked", rows=None)
    weaker, untracked = reviewed(folder, WEAKER, rows=None)
    assert (weaker.name, untracked.name) == ("weakened", "untracked")


def test_an_answer_that_git_does_not_give_hides_no_weakening(folder: Path) -> None:
    def broken(path: Path) -> bytes:
        raise HistoryError("git gave no answer within 10 seconds")

    told(folder, "warning", TOLD, "git gave no answer", now=WEAKER, content=broken)


def test_a_file_that_is_absent_now_is_left_to_those_who_need_it(folder: Path) -> None:
    (folder / "test.jsonl").unlink()
    assert reviewed(folder) == ()
