"""Bad disks, odd clocks, many processes: said in words, nothing lost, nothing asked twice, nothing green by luck."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, check

from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.runs.database import SCHEMA_VERSION
from pytest_ftgate.runs.store import Store

STORE = ".ftgate/predictions.sqlite3"
OFF = "run with --ftgate-cache=off"
DELETE = f"Delete the file (its predictions are then asked for again), or {OFF}."
WRITABLE = f"Make the folder writable, or {OFF}."

MODEL = """
import os

LABELS = ("refund", "invoice", "shipping")


def model(text):
    n = int(text.split()[-1])
    with open(os.path.join({folder!r}, "asked"), "a") as file:
        file.write(f"{{n}}\\n")
    return LABELS[n % 3] {more}
"""


@pytest.fixture
def stored(project: Project) -> Project:
    """A gate whose candidate's answers are kept on disk; each call leaves a line in the file ``asked``."""
    model(project)
    project.keys["candidate"] = {"provider": "python", "target": "tuned:model", "cache_key": "1"}
    project.gate_test()
    return project


def model(project: Project, more: str = "") -> None:
    project.file("tuned.py", MODEL.format(folder=str(project.path), more=more))
    project.file("pytest.ini", "[pytest]\npythonpath = .\n")


def asked(project: Project) -> Counter[int]:
    path = project.path / "asked"
    found = Counter(map(int, path.read_text(encoding="utf-8").split())) if path.exists() else Counter()
    path.unlink(missing_ok=True)
    return found


def refused(project: Project, message: str, advice: str, *args: str, apart: bool = False) -> None:
    """The gate is in error with these words; without the store it is green."""
    gate = project.gate(*args, apart=apart)
    assert (gate["verdict"], project.result.ret) == ("error", 1)
    found = check(gate, "configuration")
    assert message in found["message"]
    assert advice in found["advice"]
    project.result.assert_outcomes(errors=1)
    for line in (*project.result.outlines, *project.result.errlines):
        assert "Traceback" not in line
        assert "sqlite3." not in line
    assert project.gate("--ftgate-cache=off", apart=apart)["verdict"] == "pass"


# --- the place where predictions are kept --------------------------------------------------------------------


def test_a_file_in_place_of_the_folder(stored: Project) -> None:
    stored.file(".ftgate", "")
    refused(stored, ".ftgate/predictions.sqlite3: predictions cannot be stored here", WRITABLE)


def test_a_folder_in_place_of_the_file(stored: Project) -> None:
    (stored.path / STORE).mkdir(parents=True)
    refused(stored, ".ftgate/predictions.sqlite3: predictions cannot be stored here", WRITABLE)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs a folder in which nobody can write")
def test_a_folder_in_which_nobody_can_write(stored: Project) -> None:
    stored.file("pytest.ini", "[pytest]\npythonpath = .\nftgate_state = /proc/self\n")
    refused(stored, "/proc/self/predictions.sqlite3: predictions cannot be stored here", WRITABLE)
    assert not asked(stored) - Counter(range(60)), "no call is made whose answer cannot be kept"


def test_what_was_stored_can_be_read_where_nobody_can_write(stored: Project) -> None:
    """Where all answers are there already, nothing has to be written."""
    assert stored.gate()["verdict"] == "pass"
    (stored.path / "asked").unlink()
    stored.file(
        "conftest.py",
        "import pathlib, sqlite3\nconnect = sqlite3.connect\n"
        "def read_only(name, **options): return connect(name.replace('mode=rwc', 'mode=ro'), **options)\n"
        "sqlite3.connect = read_only\n"
        "def pytest_unconfigure(): sqlite3.connect = connect\n",
    )
    gate = stored.gate()
    assert (gate["verdict"], gate["candidate"]["n_stored"]) == ("pass", 60)
    assert not asked(stored)
    stored.test_set(61)
    stored.predictions("base.jsonl", 61, wrong_at=range(40, 61))
    assert "predictions cannot be stored here" in check(stored.gate(), "configuration")["message"]


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\x00" + b"\xff" * 5000, os.urandom(5000)], ids=["empty", "header", "noise"]
)
def test_a_store_of_noise(stored: Project, content: bytes) -> None:
    """An empty file is a new store; any other that is none is never written to."""
    path = stored.path / STORE
    path.parent.mkdir()
    path.write_bytes(content)
    if not content:
        assert stored.gate()["verdict"] == "pass"
        return
    refused(stored, f"{STORE}: this is not a sound file of stored predictions", DELETE)
    assert path.read_bytes() == content


def test_a_damaged_store(stored: Project) -> None:
    """Pages in the middle are gone: no answer is made up, and none is taken for another."""
    assert stored.gate()["verdict"] == "pass"
    with sqlite3.connect(stored.path / STORE) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray((stored.path / STORE).read_bytes())
    content[4096 : len(content)] = b"\xa5" * (len(content) - 4096)
    for beside in stored.path.glob(STORE + "-*"):
        beside.unlink()
    (stored.path / STORE).write_bytes(content)
    refused(stored, f"{STORE}: this is not a sound file of stored predictions", DELETE)


def test_somebody_elses_database(stored: Project) -> None:
    (stored.path / ".ftgate").mkdir()
    with sqlite3.connect(stored.path / STORE) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    before = (stored.path / STORE).read_bytes()
    refused(stored, f"{STORE}: this is not a sound file of stored predictions", DELETE)
    assert (stored.path / STORE).read_bytes() == before


def test_a_store_from_a_newer_version(stored: Project) -> None:
    assert stored.gate()["verdict"] == "pass"
    with sqlite3.connect(stored.path / STORE) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(SCHEMA_VERSION + 1),))
    connection.close()
    refused(stored, "the stored predictions were written by a newer pytest-ftgate", "Update pytest-ftgate, delete")


def test_an_answer_that_was_tampered_with(stored: Project) -> None:
    """What is no answer as this version writes it is refused, not scored."""
    assert stored.gate()["verdict"] == "pass"
    with sqlite3.connect(stored.path / STORE) as connection:
        connection.execute("UPDATE predictions SET value = '{\"text\": 1}' WHERE rowid = 7")
    connection.close()
    refused(stored, f"{STORE}: this is not a sound file of stored predictions", DELETE)


# --- a disk that is full -------------------------------------------------------------------------------------

FULL = """
import resource, signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
def test_a_disk_that_fills_up_while_models_answer(stored: Project) -> None:
    """What was kept before stays kept, and is not asked for again once there is room."""
    model(stored, "+ ' ' * 50_000")
    stored.file("conftest.py", FULL.format(size=1_000_000))
    refused(stored, f"{STORE}: ", OFF, apart=True)
    first = asked(stored) - Counter(range(60))  # what --ftgate-cache=off asked for does not count
    assert 0 < len(first) < 60
    (stored.path / "conftest.py").unlink()
    gate = stored.gate(apart=True)
    assert gate["verdict"] == "pass"
    again = asked(stored)
    assert set(again.values()) == {1}
    assert 0 < gate["candidate"]["n_stored"] == 60 - len(again)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
@pytest.mark.parametrize("form", ["json:report/report.json", "recordings:report"])
def test_a_report_that_finds_no_room(project: Project, form: str) -> None:
    """A report that is cut off is none: the session is red, and no torn file takes the place of a whole one."""
    project.gate_test()
    assert project.run(f"--ftgate-report={form}").ret == 0
    whole = {path: path.read_bytes() for path in (project.path / "report").iterdir()}
    project.file("conftest.py", FULL.format(size=1_000))
    result = project.run_apart("-p", "no:cacheprovider", "-qq", f"--ftgate-report={form}")
    assert result.ret == 1
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert {path: path.read_bytes() for path in whole} == whole


# --- a clock that jumps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reuse", "refresh"])
def test_a_clock_that_is_set_back(stored: Project, mode: str) -> None:
    """An answer of this session is not an old one because the clock says so: two gates ask once."""
    stored.file(
        "conftest.py",
        "import itertools, time\nnow, real = itertools.count(), time.time\n"
        "time.time = lambda: real() - 3600 * next(now)\n"
        "def pytest_unconfigure(): time.time = real\n",
    )
    stored.gate_test("@pytest.mark.parametrize('x', range(3))\ndef test_gate(x): pass\n")
    report = stored.report(f"--ftgate-cache={mode}")
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"] * 3
    assert asked(stored) == Counter(range(60))
    (stored.path / "conftest.py").unlink()
    gate = stored.report("--ftgate-cache=reuse")["gates"][0]
    assert gate["candidate"]["n_stored"] == 60
    assert gate["candidate"]["oldest_age_s"] >= 0
    assert not asked(stored)


def test_answers_from_the_future(stored: Project) -> None:
    """Stored under a clock that was ahead: they are there, and no age is negative."""
    assert stored.gate()["verdict"] == "pass"
    asked(stored)
    with sqlite3.connect(stored.path / STORE) as connection:
        connection.execute("UPDATE predictions SET created_at = created_at + 1e6")
    connection.close()
    gate = stored.gate()
    assert (gate["candidate"]["n_stored"], gate["candidate"]["oldest_age_s"]) == (60, 0.0)
    assert not asked(stored)


# --- many processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dist", ["load", "loadscope", "worksteal"])
def test_workers_share_what_is_asked(stored: Project, dist: str) -> None:
    """Eight gates on four workers ask for each answer once, and all are heard."""
    pytest.importorskip("xdist")
    for name in ("test_b.py", "test_c.py", "test_d.py", "test_gate.py"):
        body = "@pytest.mark.parametrize('x', range(2))\ndef test_gate(x): pass\n"
        stored.gate_test(body).rename(stored.path / name)
    report = stored.report("-n4", f"--dist={dist}", apart=True)
    assert stored.result.ret == 0
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"] * 8
    assert asked(stored) == Counter(range(60))


def test_a_worker_that_is_killed_loses_nothing(stored: Project) -> None:
    """Another worker goes on where it was, and the crash stays red."""
    pytest.importorskip("xdist")
    model(stored, "if n != 30 or os.path.exists('crashed') else os._exit(open('crashed', 'w').close() or 1)")
    stored.file("test_z.py", stored.gate_test().read_text(encoding="utf-8"))
    report = stored.report("-n2", apart=True)
    assert stored.result.ret == 1
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"]
    assert asked(stored) == Counter([*range(60), 30])


def test_a_lease_that_nobody_will_give_back(stored: Project) -> None:
    """The process that held it has ended: its questions are asked at once, by the next who wants them."""
    keys = [one["key"] for one in _recorded(stored)]
    asked(stored)
    (stored.path / STORE).unlink()
    path, ended = stored.path / STORE, 2**22 + 1  # beyond the largest process id of Linux
    store = Store(path)
    store.claim(keys, "gone", 3600)
    store.put([Prediction(keys[0], Completion("refund"), None, 1.0)])
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE leases SET pid = ?", (ended,))
    connection.close()
    gate = stored.gate()
    assert (gate["verdict"], gate["candidate"]["n_stored"]) == ("pass", 1)
    assert asked(stored) == Counter(range(1, 60))


def _recorded(project: Project) -> list[dict[str, Any]]:
    """The candidate's recordings, which carry the keys."""
    project.run("--ftgate-report=recordings:recordings")
    (path,) = (path for path in Path(project.path, "recordings").iterdir() if path.name.endswith("candidate.jsonl"))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- the data changes under us -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"), [("test.jsonl", "test_set"), ("train.jsonl", "training_set"), ("base.jsonl", "baseline")]
)
def test_files_that_cannot_be_read(project: Project, name: str, key: str) -> None:
    project.gate_test()
    assert project.gate()["verdict"] == "pass"
    (project.path / name).unlink()
    gate = project.gate()
    assert gate["verdict"] == "error"
    assert check(gate, "configuration")["message"] == f"test_gate.py:4: {key}: {name}: no such file"
    (project.path / name).mkdir()
    assert check(project.gate(), "configuration")["message"] == f"test_gate.py:4: {key}: {name}: is a folder"


def test_a_file_that_changed_within_a_session_is_read_again(project: Project) -> None:
    """No gate of the session is green on examples that are not in the file any more."""
    project.file(
        "conftest.py",
        "import pytest\n@pytest.fixture(autouse=True)\ndef spoil(request):\n"
        "    yield\n    (request.path.parent / 'test.jsonl').write_text('')\n",
    )
    project.gate_test("@pytest.mark.parametrize('x', range(2))\ndef test_gate(x): pass\n")
    assert [gate["verdict"] for gate in project.report()["gates"]] == ["pass", "error"]
    assert project.report()["gates"][0]["verdict"] == "error"
