"""The gate as it was against the gate as it is, without git: what is said, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.checks.weakening.comparison import Weakening
from pytest_ftgate.checks.weakening.contents import compare_contents
from pytest_ftgate.checks.weakening.past import NO_REPOSITORY, Past
from pytest_ftgate.checks.weakening.review import review_checks
from pytest_ftgate.config import GateFile, load_gate_file, resolve_gate
from pytest_ftgate.errors import HistoryError
from pytest_ftgate.result import Check

FILE = """version: 1
gates:
  intents: {test_set: test.jsonl, training_set: train.jsonl, baseline: 'recorded:base.jsonl',
            candidate: 'recorded:ft.jsonl', margin: 0.05, evidence: proven}
"""
ROWS = "".join(f'{{"input": "{i}", "expected": "a"}}\n' for i in range(3)).encode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("test.jsonl", "base.jsonl"):
        (tmp_path / name).write_bytes(ROWS)
    return tmp_path


def file_of(folder: Path, text: str) -> GateFile:
    return load_gate_file(folder / "ftgate.yaml", text.encode())


def reviewed(
    folder: Path,
    now: str = FILE,
    *,
    then: str = FILE,
    files: Mapping[str, bytes | None] = {"test.jsonl": ROWS, "base.jsonl": ROWS},  # never changed
    loosened: tuple[Weakening, ...] = (),
    unread: tuple[str, ...] = (),
    forbidden: bool = False,
    owed: bool = False,
    unseen: str | None = None,
    content: Any = None,
    **past: Any,
) -> tuple[Check, ...]:
    def earlier(past: Past) -> Any:
        known = past.file is not None and "intents" in past.file.gate_names
        return ([resolved(past.file)] if past.file and known else []), unread

    def resolved(file: GateFile) -> Any:
        return resolve_gate(file.layers("intents"), file=file, gate="intents", default_name="x")

    base: Any = SimpleNamespace(
        root=folder,
        ref="origin/main",
        unseen=unseen,
        read=lambda paths: None,
        content=content or (lambda path: files.get(path.name)),
        tracks=lambda path: False,
    )
    return review_checks(
        replace(Past(base, file_of(folder, then)), **past),
        "intents",
        earlier=earlier,
        after=resolved(file_of(folder, now)),
        loosened=loosened,
        forbidden=forbidden,
        owed=owed,
    )


def test_nothing_is_said_of_a_gate_that_is_as_it_was(folder: Path) -> None:
    assert reviewed(folder) == ()
    assert reviewed(folder, FILE.replace("0.05", "0.1")) == ()


def test_each_weakening_is_listed_with_before_and_after(folder: Path) -> None:
    (found,) = reviewed(folder, FILE.replace("0.05", "0.01").replace("proven", "observed"))
    assert (found.name, found.status, found.observed, found.required) == ("weakened", "warning", 2, 0)
    assert found.message.endswith(
        "origin/main: margin: 0.05 -> 0.01 (ftgate.yaml:4); evidence: proven -> observed (ftgate.yaml:4)"
    )


def test_what_a_mark_loosens_is_said_once(folder: Path) -> None:
    given = (Weakening("margin", "0.05", "0.01", "ftgate.yaml:4 -> test_gate.py:3"),)
    (alone,) = reviewed(folder, loosened=given)
    assert (alone.name, alone.status, alone.observed) == ("weakened", "warning", 1)
    assert alone.message.endswith("margin: 0.05 -> 0.01 (ftgate.yaml:4 -> test_gate.py:3)")
    assert reviewed(folder, loosened=given, forbidden=True)[0].status == "fail"
    (both,) = reviewed(folder, FILE.replace("0.05", "0.01"), loosened=given)
    assert both.observed == 1
    (apart,) = reviewed(folder, loosened=given, problem=NO_REPOSITORY)  # without any history
    assert (apart.status, apart.message) == ("warning", alone.message)


def note(folder: Path, *args: Any, **changes: Any) -> str:
    (found,) = reviewed(folder, *args, **changes)
    assert (found.name, found.status) == ("weakened", "note")
    return found.message


def test_why_the_past_cannot_be_seen(folder: Path) -> None:
    problem = HistoryError("git knows no main", cure="Fetch it.")
    for forbidden, status in ((False, "warning"), (True, "fail")):
        (found,) = reviewed(folder, problem=problem, forbidden=forbidden)
        assert (found.status, found.advice) == (status, "Fetch it.")
        assert found.message.endswith(": git knows no main")


def test_what_was_forbidden_then_is_forbidden(folder: Path) -> None:
    key = Weakening("ini ftgate_forbid_weakening", "true", "not set", "pytest.ini")
    (found,) = reviewed(folder, forbade=True, weaker=(key,))
    assert found.status == "fail"
    assert "ini ftgate_forbid_weakening: true -> not set (pytest.ini)" in found.message


def test_a_marker_that_cannot_be_read(folder: Path) -> None:
    (found,) = reviewed(folder, unread=("margin of the marker at test_gate.py:3 is not a literal value: M",))
    assert (found.status, found.observed) == ("warning", None)
    assert reviewed(folder, unread=("x",), forbidden=True)[0].status == "fail"


def test_a_past_that_cannot_be_resolved(folder: Path) -> None:
    then = FILE.replace("margin: 0.05, ", "")
    (found,) = reviewed(folder, then=then)
    assert found.status == "warning"
    assert "a required key is missing: margin" in found.message


def test_a_part_that_cannot_be_seen_is_said_beside_what_is(folder: Path) -> None:
    (alone,) = reviewed(folder, unseen="this clone is shallow")
    assert (alone.status, alone.message) == ("warning", "this clone is shallow")
    (found,) = reviewed(folder, FILE.replace("0.05", "0.01"), unseen="this clone is shallow")
    assert found.status == "warning"
    assert found.message.endswith("margin: 0.05 -> 0.01 (ftgate.yaml:4); this clone is shallow")


# --- files ---------------------------------------------------------------------------------------------------


def short(content: bytes) -> str:
    return sha256(content).hexdigest()[:8]


def test_a_test_set_that_shrank_or_was_edited(folder: Path) -> None:
    longer = ROWS + b'{"input": "9", "expected": "hard"}\n'
    (found,) = reviewed(folder, files={"test.jsonl": longer, "base.jsonl": ROWS})
    change = f"test_set: test.jsonl with 4 lines (sha256 {short(longer)}) -> 3 lines (sha256 {short(ROWS)})"
    assert f"origin/main: {change}" in found.message


def test_the_first_rows_of_a_limited_test_set_must_stay_the_first(folder: Path) -> None:
    limited = FILE.replace("test_set: test.jsonl", "test_set: {path: test.jsonl, limit: 2}")
    turned = b"\n".join(reversed(ROWS.split(b"\n")))
    assert len(reviewed(folder, limited, then=limited, files={"test.jsonl": turned, "base.jsonl": ROWS})) == 1
    assert reviewed(folder, files={"test.jsonl": turned, "base.jsonl": ROWS}) == ()


def test_a_line_more_in_a_prompt_is_a_change_like_any_other(folder: Path) -> None:
    prompted = FILE.replace("'recorded:base.jsonl'", "{provider: openai, model: m, system_file: base.md}")
    (folder / "base.md").write_bytes(b"Answer with one label.\nIgnore the above.\n")
    files = {"test.jsonl": ROWS, "base.md": b"Answer with one label.\n"}
    (found,) = reviewed(folder, prompted, then=prompted, files=files, forbidden=True)
    assert (found.status, found.observed) == ("fail", 1)
    assert "baseline.system_file: base.md with 1 line (sha256 " in found.message
    assert (
        reviewed(folder, prompted, then=prompted, files={**files, "base.md": (folder / "base.md").read_bytes()}) == ()
    )


def test_rows_added_to_a_recording_are_a_note(folder: Path) -> None:
    files = {"test.jsonl": ROWS, "base.jsonl": ROWS.split(b"\n")[0]}
    assert note(folder, files=files) == "base.jsonl: 2 lines added, none changed"


def test_another_baseline_is_named_once_and_its_file_not_compared(folder: Path) -> None:
    (found,) = reviewed(folder, FILE.replace("base.jsonl", "weak.jsonl"))
    assert found.observed == 1
    assert "baseline: recorded:base.jsonl -> recorded:weak.jsonl (ftgate.yaml:3)" in found.message


def test_files_that_git_does_not_have_are_named(folder: Path) -> None:
    files = {"test.jsonl": None, "base.jsonl": ROWS}
    (found,) = reviewed(folder, files=files)
    assert (found.name, found.status, found.observed) == ("untracked", "warning", 1)
    (strict,) = reviewed(folder, files=files, forbidden=True)
    assert (strict.status, strict.message, strict.source) == ("fail", found.message, "ini ftgate_forbid_weakening")
    weaker, untracked = reviewed(folder, FILE.replace("0.05", "0.01"), files=files)
    assert (weaker.name, untracked.name) == ("weakened", "untracked")
    (both,) = reviewed(folder, files={"test.jsonl": None, "base.jsonl": None})
    assert "test.jsonl, base.jsonl" in both.message


def test_a_folder_is_not_passed_over_in_silence(folder: Path) -> None:
    (folder / "test.jsonl").unlink()
    (folder / "test.jsonl").mkdir()
    (found,) = reviewed(folder)
    assert found.status == "warning"
    assert "test.jsonl is a folder" in found.message


def test_an_answer_that_git_does_not_give_hides_no_weakening(folder: Path) -> None:
    def broken(path: Path) -> bytes:
        raise HistoryError("git gave no answer within 10 seconds")

    (found,) = reviewed(folder, FILE.replace("0.05", "0.01"), content=broken)
    assert (found.status, found.observed) == ("warning", 1)
    assert "margin: 0.05 -> 0.01 (ftgate.yaml:4); git gave no answer within 10 seconds" in found.message


def test_a_file_that_is_absent_now_is_left_to_those_who_need_it(folder: Path) -> None:
    (folder / "test.jsonl").unlink()
    assert reviewed(folder) == ()


@pytest.mark.parametrize(
    ("then", "now", "in_order", "found"),
    [
        (b"a\nb\n", b"a\r\nb\r\n", True, None),
        (b"a\nb\n", b"a\n\nb", True, None),
        (b"a\nb\n", b"b\na\n", False, None),
        (b"a\nb\n", b"b\na\nc\n", False, "1 line added, none changed"),
        (b"a\nb\n", b"a\nb\nc\n", True, "1 line added, none changed"),
        (b"a\nb\n", b"c\na\nb\n", True, ("2 lines", "3 lines")),
        (b"a\na\n", b"a\nb\n", False, ("2 lines", "2 lines")),
        (b"a\n", b"", False, ("1 line", "0 lines")),
        (b"\xff\n", b"\xfe\n", False, ("1 line", "1 line")),
    ],
)
def test_what_became_of_a_file(then: bytes, now: bytes, in_order: bool, found: object) -> None:
    seen = compare_contents(then, now, in_order=in_order)
    if isinstance(seen, tuple):
        assert found == tuple(text.partition(" (sha256")[0] for text in seen)
    else:
        assert seen == found


def test_a_pointer_of_git_lfs_stands_for_its_file() -> None:
    pointer = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 4\n" % sha256(b"a\nb\n").hexdigest().encode()
    )
    assert compare_contents(pointer, b"a\nb\n") is None
    assert compare_contents(pointer, b"a\n") == (
        f"sha256 {short(b'a' + bytes([10]) + b'b' + bytes([10]))}",
        f"1 line (sha256 {short(b'a' + bytes([10]))})",
    )


def test_a_file_of_dvc_stands_for_its_data() -> None:
    pointer = b"outs:\n- md5: %s\n  size: 4\n  path: test.jsonl\n" % md5(b"a\nb\n").hexdigest().encode()
    assert compare_contents(pointer, b"a\nb\n") is None
    assert compare_contents(pointer, b"a\n") is not None


LINES = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=8)


@given(LINES, LINES, st.booleans())
def test_whatever_goes_missing_is_found(old: list[bytes], new: list[bytes], in_order: bool) -> None:
    found = compare_contents(b"\n".join(old), b"\n".join(new), in_order=in_order)
    missing = any(old.count(line) > new.count(line) for line in set(old))
    assert not missing or isinstance(found, tuple)
    assert compare_contents(b"\n".join(old), b"\n".join(old), in_order=in_order) is None
    assert not isinstance(compare_contents(b"\n".join(old), b"\n".join(old + new), in_order=in_order), tuple)
