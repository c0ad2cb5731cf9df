"""A test set against its version at the merge base, without git: what is said of its examples."""

from __future__ import annotations

from hashlib import md5, sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftgate.checks.weaker.examples import compared_examples
from pytest_ftgate.checks.weaker.gates import as_written
from pytest_ftgate.config import load_gate_file
from pytest_ftgate.errors import HistoryError

FILE = """version: 1
gates:
  intents: {test_set: test.jsonl, training_set: train.jsonl, baseline: 'recorded:base.jsonl',
            candidate: 'recorded:ft.jsonl', margin: 0.05}
"""
ROWS = [f'{{"id": "t{i}", "input": "question {i}", "expected": "a"}}\n' for i in range(5)]


def told(
    folder: Path,
    then: str | None,
    *,
    now: str = "".join(ROWS),
    more: str = "",
    name: str = "test.jsonl",
    limit: str = "",
    **files: bytes,
) -> list[tuple[str, str, str]]:
    """Return what is said of a test set that was ``then``, in a gate with more keys."""
    (folder / name).write_text(now)
    kept = {**({} if then is None else {name: then.encode()}), **files}
    base: Any = SimpleNamespace(name="main", content=lambda path: kept.get(path.name), tracks=lambda path: True)
    text = FILE.replace("0.05", f"0.05{more}").replace("test.jsonl", f"{{path: {name}{limit}}}")
    gate = as_written(load_gate_file(folder / "ftgate.yaml", text.encode()), "intents")
    return list(compared_examples(gate, gate, base))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


HARD = '{"id": "h", "input": "a hard one", "expected": "b"}\n'
SLICED = "".join(ROWS).replace("}", ', "lang": "de", "note": "x"}')
PRETTY = '[\n {"id": "x", "input": "a",\n  "expected": "1"},\n {"id": "y", "input": "b",\n  "expected": "2"}\n]'
CASES: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "the same in another order and layout": ("".join(reversed(ROWS)).replace(": ", ":") + "\n", {}, ""),
    "removed": ("".join([*ROWS, HARD]), {}, "weaker: 6 examples of test.jsonl -> 1 removed (h)"),
    "relabelled": ("".join(ROWS).replace('3", "expected": "a"', '3", "expected": "b"'), {}, "1 relabelled (t3)"),
    "all relabelled": ("".join(ROWS).replace('"a"', '"b"'), {}, "5 relabelled (t0, t1, t2, ...)"),
    "another input": ("".join(ROWS).replace("question 2", "why 2"), {}, "1 with another input (t2)"),
    "added": ("".join(ROWS[:3]), {}, "note: test.jsonl: 2 examples added"),
    "new": (None, {}, "note: test.jsonl is new"),
    "unreadable": ("{", {}, "unread: test.jsonl at main cannot be read"),
    "another slice": (SLICED, {"now": SLICED.replace("de", "en", 1), "more": ", slices: [lang]"}, "1 relabelled (t0)"),
    "another field": (SLICED, {"now": SLICED.replace('"x"', '"y"'), "more": ", slices: [lang]"}, ""),
    "a group that is gone": (SLICED.replace("lang", "group"), {}, "5 relabelled"),
    "labels exchanged in indented JSON": (
        PRETTY, {"name": "t.json", "now": PRETTY.replace("1", "0").replace("2", "1").replace("0", "2")},
        "2 examples of t.json -> 2 relabelled (x, y)",
    ),
    "rows quoted away": (
        "id,input,expected\n1,a,x\n2,b,x\n3,c,x\n",
        {"name": "t.csv", "now": 'id,input,expected\n1,a,x\n2,"b,x\n3,c",x\n'},
        "1 with another input (2), 1 removed (3)",
    ),
    "the first rows": ("".join(reversed(ROWS)), {"limit": ", limit: 2"}, "2 removed (t4, t3)"),
}  # fmt: skip


@pytest.mark.parametrize(("then", "now", "text"), CASES.values(), ids=CASES)
def test_a_test_set_is_compared_by_its_examples(folder: Path, then: str | None, now: dict[str, Any], text: str) -> None:
    found = [f"{kind}: {text}" for kind, _, text in told(folder, then, **now)]
    assert len(found) == bool(text)
    assert text in "".join(found)


def test_the_test_set_of_a_guard_is_compared_too(folder: Path) -> None:
    found = told(folder, "".join([*ROWS, HARD]), more=", guards: {hard: {test_set: test.jsonl, max_drop: 0.1}}")
    assert [key for _, key, _ in found] == ["test_set", "guards.hard.test_set"]


@pytest.mark.parametrize("kind", ["lfs", "dvc"])
def test_a_pointer_stands_for_its_file(folder: Path, kind: str) -> None:
    for content, same in (("".join(ROWS), True), (HARD, False)):
        written = pointer(kind, content)
        files = {"then": written.decode()} if kind == "lfs" else {"then": None, "test.jsonl.dvc": written}
        assert [one[0] for one in told(folder, **files)] == ([] if same else ["unread"])  # type: ignore[arg-type]


def pointer(kind: str, content: str) -> bytes:
    if kind == "dvc":
        return b"outs:\n- md5: %s\n  path: test.jsonl\n" % md5(content.encode()).hexdigest().encode()
    oid = sha256(content.encode()).hexdigest().encode()
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 4\n" % oid


def test_an_answer_that_git_does_not_give_is_said(folder: Path) -> None:
    def broken(path: Path) -> bytes:
        raise HistoryError("git gave no answer within 10 seconds")

    (folder / "test.jsonl").write_text("".join(ROWS))
    gate = as_written(load_gate_file(folder / "ftgate.yaml", FILE.encode()), "intents")
    base: Any = SimpleNamespace(name="main", content=broken)
    assert list(compared_examples(gate, gate, base)) == [("unread", "test_set", "git gave no answer within 10 seconds")]
    (folder / "test.jsonl").unlink()  # what is absent is left to those who need it
    assert list(compared_examples(gate, gate, base)) == []
