"""A project on recorded answers, of which a test changes the one thing that it is about.

A test of a rule judges the gate in this process; a test of what is pytest's runs pytest in the project, which takes
ten times as long::

    def test_no_gain_fails(project: Project) -> None:
        project.predictions("ft.jsonl", 60, wrong_at=range(40, 60))
        gate = project.judge(margin=0.1)              # the keys of project.mark(...); `...` leaves one out
        assert gate["verdict"] == "fail"              # the item of the JSON report's `gates`
        assert check(gate, "margin")["observed"] == 0

    project.judge(gate="support", margin=0.1)         # a gate of ftgate.yaml, changed by the mark
    passed(project.judge()), ends(project.judge(margin=0.9), "fail")
    stopped(project.judge(margin=3))                  # "error" before any call; returns the check that says why
    stopped(project.judge(), "fail", called=True)     # "fail" after the models were called
    mentions(check(gate, "leaked"), "train.jsonl:7")  # numbers, keys and places that a user must read
    block(gate), block(gate, verbose=True)            # the lines that the terminal shows of it
    project.ini["ftgate_recordings"] = "recordings"   # also ftgate_config, ftgate_base_ref, ftgate_forbid_weakening

``project.judge`` takes the hooks of the project's ``conftest.py``, and finds ``python:`` models among its files. A mark
is taken to stand in ``test_gate.py:4``. Fixtures, several marks, obligations and all other options are pytest's part.

The fixture ``project`` needs pytester, which costs a millisecond; ``Project(tmp_path)`` does without.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

# Other plugins of the environment stay out of the inner runs, unless a test is about them.
OTHERS = ("asyncio", "anyio", "hypothesispytest", "rerunfailures", "randomly", "syrupy")
ALONE = tuple(f"-pno:{name}" for name in OTHERS)
LABELS = ("refund", "invoice", "shipping")
LARGE = {"input_per_1m": 1.8, "output_per_1m": 7.2}
SMALL = {"input_per_1m": 0.3, "output_per_1m": 1.2}
USAGE = {"input_tokens": 1000, "output_tokens": 20}
"""Prices of a large model and of one that costs a sixth, and what an answer takes: $0.001944 or $0.000324."""
NATIVE_TOML = pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 reads native TOML")
GATE = (
    "test_set: test.jsonl, training_set: train.jsonl, margin: 0.05, "
    "baseline: 'recorded:base.jsonl', candidate: 'recorded:ft.jsonl'"
)
"""The keys of the green gate, as a gate file has them in one line."""
KEYS = (
    GATE.replace(": ", "=")
    .replace("test.jsonl", "'test.jsonl'")
    .replace("train.jsonl", "'train.jsonl'")
)
"""The same keys, as a marker has them."""
OWN = """LABELS = ("refund", "invoice", "shipping")
def good(text): return LABELS[int(text.split()[-1]) % 3]
def weak(text): return LABELS[int(text.split()[-1]) % 3] if int(text.split()[-1]) < 40 else "refund"
"""
"""Models in Python: one that knows all answers, and one that knows those to the first 40 questions."""


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


Files = Mapping[str, str | None]
"""Texts of files by their names; None is a file that goes."""


def write_files(folder: Path, files: Files) -> None:
    for name, text in files.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def git(folder: Path, *args: str) -> str:
    """Run git as somebody, with nothing of the machine's own; return what it prints."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-c", "protocol.file.allow=always", *args]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def on_a_branch(folder: Path) -> None:
    """Commit what is there to ``main`` of a new repository, and check out a branch from it."""
    for args in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("commit", "-q", "-m", "x"),
        ("checkout", "-qb", "work"),
    ):
        git(folder, *args)


def _each(index: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value(index) if callable(value) else value for name, value in fields.items()}


def recorded(path: str, **options: Any) -> dict[str, Any]:
    return {"provider": "recorded", "path": path, **options}


def label(index: int) -> str:
    return LABELS[index % len(LABELS)]


def wrong(index: int) -> str:
    return LABELS[(index + 1) % len(LABELS)]


class Project:
    """A folder with test set, training set, and recorded answers of both models.

    By default the baseline is right on 40 of 60 test examples and the candidate on 56 (it breaks two): a clear
    win, green under ``significant`` with margin 0.05.
    """

    def __init__(self, home: pytest.Pytester | Path) -> None:
        if isinstance(home, Path):
            self.path = home
        else:
            self.pytester = home
            self.path = home.path
        self.ini: dict[str, Any] = {}
        self.keys: dict[str, Any] = {
            "test_set": "test.jsonl",
            "training_set": "train.jsonl",
            "baseline": "recorded:base.jsonl",
            "candidate": "recorded:ft.jsonl",
            "margin": 0.05,
        }
        self.test_set(60)
        self.training_set(200)
        self.predictions("base.jsonl", 60, wrong_at=range(40, 60))
        self.predictions("ft.jsonl", 60, wrong_at=(0, 1, 58, 59))

    def test_set(
        self, n: int, name: str = "test.jsonl", *, prefix: str = "t", **fields: Any
    ) -> None:
        """Examples with further fields, or others in place of the usual ones; a function gives each its own value."""
        usual = {"input": "customer question {}".format, "expected": label}
        write_jsonl(
            self.path / name,
            ({"id": f"{prefix}{i}", **_each(i, {**usual, **fields})} for i in range(n)),
        )

    def training_set(self, n: int, more: Iterable[Mapping[str, Any]] = ()) -> None:
        rows = [{"input": f"training question {i}", "expected": label(i)} for i in range(n)]
        write_jsonl(self.path / "train.jsonl", [*rows, *more])

    def predictions(
        self, name: str, n: int, wrong_at: Iterable[int] = (), *, prefix: str = "t", add: bool = False,
        repeats: int = 1, **fields: Any,
    ) -> None:  # fmt: skip
        """What a recorded model answers, with further fields; ``add``: after what stands in the file."""
        missed = set(wrong_at)
        usual = {"output": lambda i: wrong(i) if i in missed else label(i)}
        rows = [{"id": f"{prefix}{i}", **_each(i, {**usual, **fields})} for i in range(n)]
        if repeats > 1:
            rows = [{**row, "repeat": repeat} for row in rows for repeat in range(repeats)]
        write_jsonl(self.path / name, [*(read_jsonl(self.path / name) if add else ()), *rows])

    def mark(self, **changes: Any) -> str:
        """Return the mark as source code; a key changed to ``...`` is left out."""
        keys = {name: value for name, value in {**self.keys, **changes}.items() if value is not ...}
        return (
            "@pytest.mark.ftgate("
            + ", ".join(f"{name}={value!r}" for name, value in keys.items())
            + ")"
        )

    def gate_test(self, body: str = "def test_gate():\n    pass\n", **changes: Any) -> Path:
        """``test_gate.py`` with one marked test."""
        return self.file("test_gate.py", f"import pytest\n\n\n{self.mark(**changes)}\n{body}")

    def gate_file(self, text: str) -> Path:
        return self.file("ftgate.yaml", text)

    def filed(self, more: str = "") -> None:
        """The gate ``support`` in ``ftgate.yaml``, with more keys, and a test that marks it."""
        self.gate_file(f"version: 1\ngates:\n  support: {{{GATE}{more}}}\n")
        self.marked()

    def marked(self, mark: str = "'support'", body: str = "def test_gate(): pass") -> None:
        """``test_gate.py`` with this mark on what the body begins with."""
        self.file("test_gate.py", f"import pytest\n@pytest.mark.ftgate({mark})\n{body}\n")

    def ini_file(self, *lines: str) -> None:
        self.file("pytest.ini", "\n".join(["[pytest]", *lines, ""]))

    def lose(self) -> None:
        """Make the candidate worse than the baseline."""
        self.predictions("ft.jsonl", 60, wrong_at=range(39, 60))

    def own(self, more: str = "") -> None:
        """``own.py`` with ``good`` and ``weak``, which pytest finds as ``python:own:good``."""
        self.file("own.py", f"{OWN}{more}")
        if str(self.path) not in sys.path:
            self.pytester.syspathinsert()

    def file(self, name: str, text: str) -> Path:
        path: Path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def judge(self, gate: str | None = None, *, hook: Any = None, **changes: Any) -> dict[str, Any]:
        """Judge a gate without pytest, and give what the JSON report says of it.

        Args:
            gate: its name in the gate file, where ``changes`` are all that the mark says; without, the mark says
                ``self.keys``, too.
            hook: a module or object with hooks, in place of ``conftest.py``.
            changes: keys of the mark; one that is ``...`` is left out. Beside them, ``offline=True`` is
                ``--ftgate-offline``; ``stored=True`` keeps predictions in ``.ftgate``, otherwise nothing is known of
                earlier calls; and ``refresh=True``, which is stored, too, asks all models anew.
        """
        how = {name: bool(changes.pop(name, False)) for name in ("offline", "stored", "refresh")}
        keys = {} if gate is not None else self.keys
        marked = {name: value for name, value in {**keys, **changes}.items() if value is not ...}
        with _working_in(self.path):
            try:
                return _judge(self, gate, marked, hook, **how)
            except (
                pytest.skip.Exception,
                pytest.xfail.Exception,
                pytest.exit.Exception,
                SystemExit,
            ) as leaked:
                raise AssertionError(
                    "an excuse has left the gate, and would excuse this test"
                ) from leaked

    def store(self, statement: str, *values: Any) -> list[Any]:
        """Read or change what is kept between runs."""
        path = self.path / ".ftgate/predictions.sqlite3"
        path.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def run(self, *args: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*ALONE, *args)

    def run_apart(self, *args: str, alone: bool = True) -> pytest.RunResult:
        """In a process of its own, as xdist and a terminal need it."""
        return self.pytester.runpytest_subprocess(*(ALONE if alone else ()), *args)

    def report(self, *args: str, apart: bool = False) -> dict[str, Any]:
        """Run, and read the JSON report."""
        run = self.run_apart if apart else self.run
        self.result = run("--ftgate-report=json:report.json", *args)
        report: dict[str, Any] = json.loads((self.path / "report.json").read_text(encoding="utf-8"))
        for gate in report["gates"]:
            names = [check["name"] for check in gate["checks"]]
            assert len(names) == len({*names}), names
        return report

    def gate(self, *args: str, apart: bool = False) -> dict[str, Any]:
        """Run, and give the one gate of the JSON report."""
        (gate,) = self.report(*args, apart=apart)["gates"]
        return gate  # type: ignore[no-any-return]

    def whole(self, *args: str, apart: bool = False) -> dict[str, Any]:
        """Run, and give all facts of the one gate, those that the JSON report leaves out, too."""
        (facts,) = self.all_facts(*args, apart=apart)
        return facts

    def all_facts(self, *args: str, apart: bool = False) -> list[dict[str, Any]]:
        """Run, and give all facts of each gate, in the order of the report."""
        from pytest_ftgate.result import GateResult

        self.file("observer.py", OBSERVER)
        self.pytester.syspathinsert()
        path = self.path / "facts.txt"
        path.unlink(missing_ok=True)
        gates = self.report("-pobserver", *args, apart=apart)["gates"]
        facts: list[dict[str, Any]] = [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
        ]
        assert [GateResult.from_dict(fact).to_dict() for fact in facts] == gates
        return facts


OBSERVER = """import json, os, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_ftgate_gate_finished(result):
    with open(os.path.join(os.path.dirname(__file__), "facts.txt"), "a", encoding="utf-8") as file:
        file.write(json.dumps(result.to_dict(whole=True)) + "\\n")
"""
"""A plugin that writes all facts of each gate."""


def words(result: pytest.RunResult) -> str:
    """Return all that a run printed on one line, as lines of blocks are wrapped."""
    return " ".join(result.stdout.str().split())


def check(gate: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the check of a name, which stands once in a gate."""
    (finding,) = checks(gate, name)
    return finding


def checks(gate: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the check of a name, if there is one."""
    return [item for item in gate["checks"] if item["name"] == name]


def mentions(check: Mapping[str, Any], *fragments: str) -> None:
    """See that a user reads these numbers, keys and places in a check: tests ask for no other words of it."""
    text = f"{check['message']} {check['cure'] or ''}"
    assert not [fragment for fragment in fragments if fragment not in text], text


def statuses(gate: Mapping[str, Any]) -> dict[str, str]:
    """Return the status of each check by its name."""
    return {item["name"]: item["status"] for item in gate["checks"]}


def ends(gate: dict[str, Any], verdict: str) -> dict[str, Any]:
    """See that a gate has this verdict, and give it."""
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


def passed(gate: dict[str, Any]) -> dict[str, Any]:
    return ends(gate, "pass")


def stopped(
    gate: Mapping[str, Any], verdict: str = "error", *, called: bool = False
) -> dict[str, Any]:
    """See that a gate is red in the way of this verdict, and give the first check that says why."""
    assert gate["verdict"] == verdict, gate["checks"]
    assert gate["passed"] is False
    assert gate["models_called"] is called
    finding: dict[str, Any] = next(check for check in gate["checks"] if check["status"] == verdict)
    assert finding["message"]
    assert "\n" not in finding["message"]
    return finding


def because(gate: Mapping[str, Any], verdict: str, name: str, *fragments: str) -> dict[str, Any]:
    """See that a gate has this verdict for this reason, which mentions these parts; give the check."""
    finding = check(gate, name)
    assert (gate["verdict"], finding["status"]) == (verdict, verdict), gate["checks"]
    mentions(finding, *fragments)
    return finding


def refused(project: Project) -> str:
    """Run, see that the gate is an error before any call, and give the message that says why."""
    finding = stopped(project.gate())
    text = project.result.stdout.str() + project.result.stderr.str()
    project.result.assert_outcomes(errors=1)
    assert project.result.ret == pytest.ExitCode.TESTS_FAILED
    assert not [
        item
        for item in ("Traceback", "pytest_ftgate/", "traceback entries are hidden")
        if item in text
    ]
    assert finding["message"][:40] in text
    return str(finding["message"])


# --- in process: the one place that knows the package's inside ------------------------------------------------


def _judge(
    project: Project, gate: str | None, marked: Mapping[str, Any], hook: Any, **how: bool
) -> dict[str, Any]:
    """Return what the plugin does with a marked test, without one: layers, resolution, the use case."""
    from pytest_ftgate import hookspecs
    from pytest_ftgate.checks import weaker
    from pytest_ftgate.config import load_gate_file
    from pytest_ftgate.errors import FtgateError, Where
    from pytest_ftgate.gate.run import judge_gate
    from pytest_ftgate.gate.state import DataSets, Services
    from pytest_ftgate.plugin.layers import Layers
    from pytest_ftgate.plugin.markers import Level
    from pytest_ftgate.reports.recordings import read_notes, read_recordings
    from pytest_ftgate.result import GateResult, failed_result
    from pytest_ftgate.runs.jobs import Stores
    from pytest_ftgate.runs.store import Store

    class Placed(Level):
        where = Where("test_gate.py", 4)  # type: ignore[assignment]

    nodeid, place, root = "test_gate.py::test_gate", "test_gate.py:4", project.path
    plugins = pytest.PytestPluginManager()
    plugins.add_hookspecs(hookspecs)
    hook_code = hook if hook is not None else _conftest(root)
    if hook_code is not None:
        plugins.register(hook_code)
    data = DataSets()
    recordings = project.ini.get("ftgate_recordings")
    file = root / ".ftgate" / "predictions.sqlite3" if how["stored"] or how["refresh"] else None
    started = time.time()
    with closing(Store(file)) as persistent, closing(Store(None)) as session:
        result = GateResult(gate or nodeid, nodeid, "error", gate=gate)
        try:
            answers = (
                read_recordings(root / recordings) if recordings and not how["refresh"] else {}
            )
            services = Services(
                stores=Stores(
                    persistent, session, answers, refresh=how["refresh"], started=started
                ),
                load=lambda source, origin, **options: data.load(
                    source, origin, plugins.hook, **options
                ),
                hook=plugins.hook,
                offline=how["offline"],
                committed=read_notes(root / recordings) if recordings else {},
                audit=data.audit,
            )
            path = root / project.ini.get("ftgate_config", "ftgate.yaml")
            written = load_gate_file(path) if gate is not None or path.exists() else None
            keys = {**marked, **({} if gate is None else {"gate": gate})}
            levels = [Placed(root / "test_gate.py", pytest.mark.ftgate(**keys).mark)]
            layers = Layers(levels, root, [], written, nodeid)
            config = layers.config
            compared = weaker.Compared(absent=True)
            ini = root / "pytest.ini" if (root / "pytest.ini").exists() else None
            ref = project.ini.get("ftgate_base_ref")
            if (root / ".git").exists():
                compared = weaker.compare(path, root, ini, ref)
            stand_in: Any = SimpleNamespace(
                compared=compared,
                forbids_weakening=project.ini.get("ftgate_forbid_weakening", False),
                required=[],
                base_ref=ref,
                requires=lambda name, in_file: False,
            )
            reviewed = layers.reviewed(stand_in)
            result = judge_gate(config, services, nodeid=nodeid, reviewed=reviewed).result
            result = replace(
                result,
                loosened=tuple(f"{key}: {values}" for key, values in layers.loosened.items()),
            )
        except FtgateError as error:
            result = failed_result(result, error)
    facts: dict[str, Any] = json.loads(
        json.dumps(replace(result, location=place).to_dict(whole=True), allow_nan=False)
    )
    assert GateResult.from_dict(facts).to_dict(whole=True) == facts
    return facts


def block(gate: Mapping[str, Any], *, verbose: bool = False, width: int = 1000) -> list[str]:
    """Return the lines that the terminal shows of a gate, the heading first."""
    from pytest_ftgate.reports import text
    from pytest_ftgate.result import GateResult

    result = GateResult.from_dict(gate)
    with patch.object(text, "WIDTH", width):
        return text.failure_text(result, int(verbose)).splitlines()


def _conftest(folder: Path) -> Any:
    """Return the hooks of the project, as it is written now."""
    path = folder / "conftest.py"
    if not path.exists():
        return None
    module = ModuleType("conftest")
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), path, "exec"), vars(module))
    return module


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """With the folder as the working folder, and its modules importable; what was imported is forgotten."""
    before, modules = Path.cwd(), set(sys.modules)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]
