"""Bad disks, odd clocks, many processes: said in words, nothing lost, nothing asked twice, nothing green by luck."""

import itertools
import os
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project, mentions, passed, stopped

from pytest_ftgate.runs import store

STORE = ".ftgate/predictions.sqlite3"
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
    """Return a gate whose candidate's answers are kept on disk; each call leaves a line in the file ``asked``."""
    model(project)
    project.keys["candidate"] = {"provider": "python", "target": "tuned:model", "revision": "1"}
    project.gate_test()
    return project


def model(project: Project, code: str = "") -> None:
    project.file("tuned.py", MODEL.format(folder=str(project.path), more=code))
    project.file("pytest.ini", "[pytest]\npythonpath = .\n")


def asked(project: Project) -> Counter[int]:
    path = project.path / "asked"
    counts = (
        Counter(map(int, path.read_text(encoding="utf-8").split())) if path.exists() else Counter()
    )
    path.unlink(missing_ok=True)
    return counts


def green(project: Project) -> dict[str, Any]:
    return passed(project.judge(stored=True))


@pytest.mark.skipif(
    not os.path.exists("/proc/self"), reason="needs a folder in which nobody can write"
)
def test_a_folder_in_which_nobody_can_write(stored: Project) -> None:
    stored.file("pytest.ini", "[pytest]\npythonpath = .\nftgate_state = /proc/self\n")
    gate = stored.gate()
    mentions(stopped(gate, called=True), "/proc/self/predictions.sqlite3", "ftgate_state")
    stored.result.assert_outcomes(errors=1)
    assert "Traceback" not in stored.result.stdout.str() + stored.result.stderr.str()
    assert not asked(stored), "no call is made whose answer cannot be kept"


@pytest.mark.skipif(
    not os.path.exists("/proc/self"), reason="needs a folder in which nobody can write"
)
def test_recordings_need_no_folder_in_which_anybody_can_write(http: EndpointProject) -> None:
    http.gates(candidate=http.model("ft", revision=...))
    http.gate("--ftgate-report=recordings:recordings")
    ini = "[pytest]\nftgate_config = gates/ftgate.yaml\nftgate_recordings = recordings\n"
    http.file("tox.ini", f"{ini}ftgate_state = /proc/self/absent\n")
    passed(http.gate("--ftgate-offline"))
    assert http.result.ret == 0


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_at_a_normal_end_the_store_is_one_complete_file(
    stored: Project, args: tuple[str, ...]
) -> None:
    assert stored.run(*args).ret == 0
    path = stored.path / STORE
    assert [file.name for file in path.parent.glob("*.sqlite3*")] == [path.name]
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as raw:
        assert raw.execute("SELECT count(*) FROM predictions").fetchone() == (60,)


FULL = """
import resource, signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
def test_a_disk_that_fills_up_while_models_answer(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept before stays kept, and is not asked for again once there is room."""
    model(stored, "+ ' ' * 10_000")
    stored.file("conftest.py", FULL.format(size=500_000))
    finding = stopped(stored.gate(apart=True), called=True)
    mentions(finding, STORE, "disk", "quota")
    assert "elete" not in finding["cure"]
    first = asked(stored)
    assert 0 < len(first) <= 60
    (stored.path / "conftest.py").unlink()
    # there was no room to give the claims back
    monkeypatch.setattr(store, "CLAIM_S", 2.0)
    gate = green(stored)
    second_counts = asked(stored)
    assert set(second_counts.values()) == {1}
    assert 0 < gate["candidate"]["n_stored"] == 60 - len(second_counts)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
def test_a_disk_without_room_is_noticed_before_a_call_is_paid(stored: Project) -> None:
    stored.file("conftest.py", FULL.format(size=80_000))
    mentions(stopped(stored.gate(apart=True), called=True), STORE, "disk", "quota")
    assert not asked(stored)


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


@pytest.mark.parametrize("mode", ["reuse", "refresh"])
def test_a_clock_that_is_set_back(
    stored: Project, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of this session is not an old one because the clock says so: two gates ask once."""
    ticks, real = itertools.count(), time.time
    monkeypatch.setattr("pytest_ftgate.clock.wall", lambda: real() - 3600 * next(ticks))
    stored.gate_test(
        "class TestGates:\n" + "".join(f"    def test_{x}(self): pass\n" for x in "abc")
    )
    report = stored.report(f"--ftgate-cache={mode}")
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"] * 3
    assert asked(stored) == Counter(range(60))
    gate = green(stored)
    assert gate["candidate"]["n_stored"] == 60
    # under a clock that was ahead
    stored.store("UPDATE predictions SET created_at = created_at + 1e6")
    gate = green(stored)
    assert gate["candidate"]["n_stored"] == 60
    assert not asked(stored)


SHORT_CLAIMS = """
from pytest_ftgate.runs import calls, store

calls.CLAIM_S = store.CLAIM_S = 2.0
"""


def test_a_worker_that_is_killed_loses_nothing(stored: Project) -> None:
    """Another worker goes on where it was, and the crash stays red."""
    stored.file("conftest.py", SHORT_CLAIMS)
    model(
        stored,
        "if n != 30 or os.path.exists('crashed') else os._exit(open('crashed', 'w').close() or 1)",
    )
    stored.file("test_z.py", stored.gate_test().read_text(encoding="utf-8"))
    report = stored.report("-n2", apart=True)
    assert stored.result.ret == 1
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"]
    assert asked(stored).keys() == set(range(60))
