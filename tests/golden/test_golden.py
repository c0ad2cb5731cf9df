"""Golden reports: whatever a user or another program reads of a gate, kept as files.

A change of what is reported shows here as a diff. Where it is meant: ``pytest tests/golden --snapshot-update``, and
read the diff of ``__snapshots__`` as users will read the reports.
"""

import json
import re
import socket
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from gate_project import Project
from golden_projects import FACTS, PAGES, PROJECTS
from loopback import LoopbackServer
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

import pytest_ftgate
from pytest_ftgate import clock

pytestmark = pytest.mark.usefixtures("no_ambient_settings")
PORT = 8000  # in the reports, and in the keys of predictions; what listens there is another server
DIGITS = 10  # the last ones differ between processors


class _Text(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


class _Markdown(_Text):
    file_extension = "md"


class _Html(_Text):
    file_extension = "html"


class _Json(_Text):
    file_extension = "json"

    def serialize(self, data: Any, **_: Any) -> str:
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


_STEADY = [
    (r"^-+ generated xml file: .* -+\n", ""),
    # pytest's last line, one sign shorter from ten seconds on
    (r"\b(in) \d\d\.\d+s =", r"\1 <s> =="),
    (r"\b(in) \d+\.\d+s\b", r"\1 <s>"),  # pytest's last line
    # how many they are depends on what is installed
    (r">python \d[^<]*pytest \d[^<]*<", "><versions><"),
    (
        r"\b(Written) \d{4}-\d\d-\d\d \d\d:\d\d UTC (by pytest-ftgate) [\w.+]+\w",
        r"\1 <time> \2 <version>",
    ),
    (r"\b\d{4}-\d\d-\d\d(T[\d:]+Z)?\b", "<date>"),
]


def steady_text(text: str, folder: Path) -> str:
    text = text.replace(str(folder), "<folder>")
    for pattern, replacement in _STEADY:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def steady(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: steady(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [steady(item, folder) for item in value]
    if isinstance(value, str):
        return steady_text(value, folder)
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


@pytest.fixture
def fixed_port(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> LoopbackServer:
    """Return the server as if it always had the same port: ports are in the keys of predictions."""
    connect = socket.socket.connect
    listening = server.port

    def redirected(self: socket.socket, address: Any) -> None:
        connect(self, (address[0], listening) if address[1:] == (PORT,) else address)

    monkeypatch.setattr(socket.socket, "connect", redirected)
    server.port = PORT
    return server


def shown(result: pytest.RunResult) -> str:
    """Return what a run prints, without the header, which is pytest's."""
    text = result.stdout.str()
    start = re.search(r"^(collecting \.\.\. )?collected \d+ items?.*$", text, flags=re.MULTILINE)
    assert start, text
    return text[start.start() :] + "\n"


def block_lines(result: pytest.RunResult) -> list[str]:
    """Return the lines of all blocks of gates, without their titles."""
    blocks = re.findall(
        r"^-+ ftgate [^\n]+: [A-Z]+ -+\n(.*?)^[-=]{3}", result.stdout.str(), flags=re.M | re.S
    )
    return "".join(blocks).splitlines()


MAIN_FACTS = ("verdict", "passed", "metric", "margin", "evidence", "confidence", "gain", "lower_bound", "upper_bound",
              "margin_proven", "method", "n", "fixed", "broken", "max_drop", "location")  # fmt: skip


def check_properties(path: Path, report: dict[str, Any]) -> None:
    """Check that JUnit has the main facts of each gate, as far as they are known, and nothing else."""
    gates = {gate["nodeid"].rpartition("::")[2]: gate for gate in report["gates"]}
    for case in ElementTree.parse(path).iter("testcase"):
        gate = gates.pop(case.get("name", ""), None)
        properties = {item.get("name", ""): item.get("value", "") for item in case.iter("property")}
        assert (gate is None) == (properties == {})
        if gate is not None:
            facts = {name: gate[name] for name in MAIN_FACTS}
            facts |= {role: gate[role]["value"] for role in ("baseline", "candidate")}
            facts |= {
                "training_usable": gate["training"]["usable"],
                "test_examples": gate["test_set"]["examples"],
            }
            expected = {f"ftgate.{name}" for name, value in facts.items() if value is not None}
            assert properties.keys() == expected
    assert not gates


def recordings(folder: Path) -> dict[str, Any]:
    """Return the fields of each recording, and how many keys it has, with a hash of all; the names of other notes."""
    files: dict[str, Any] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            keys = [row["key"] for row in rows if "key" in row]
            fields = list(dict.fromkeys(name for row in rows for name in row))
            digest = sha256("\n".join(keys).encode()).hexdigest()
            files[path.name] = {
                "fields": ", ".join(fields),
                "keys": f"{len(keys)}, sha256 {digest}",
            }
        else:
            files[path.name] = sorted(json.loads(path.read_text(encoding="utf-8")))
    return files


@pytest.mark.parametrize("name", PROJECTS)
def test_reports(
    name: str,
    pytester: pytest.Pytester,
    fixed_port: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    # tables are as wide as the latencies in them
    monkeypatch.setattr(clock, "perf_counter", lambda: 0.0)
    project = PROJECTS[name](pytester, fixed_port)
    reports = [
        f"--ftgate-report={form}"
        for form in ("json:report.json", "markdown:report.md", "recordings:kept")
    ]
    reports += ["--ftgate-report=html:report.html"] if name in PAGES else []
    result = project.run(*reports, "--junitxml=junit.xml")
    verbose = project.run("-v")

    def text(output: str) -> str:
        return steady_text(output, project.path)

    report = json.loads((project.path / "report.json").read_text(encoding="utf-8"))
    check_properties(project.path / "junit.xml", report)
    names = {"exit status": int(result.ret), "recordings": recordings(project.path / "kept")}
    if name in FACTS:
        assert report["environment"].keys() >= {"written", "python", "pytest", "pytest-ftgate"}
        lasting = {**report, "environment": "<versions>"}
        assert steady(lasting, project.path) == snapshot(name="report", extension_class=_Json)
    assert verbose.ret == result.ret, verbose.stderr.str()
    for line in (line for run in (result, verbose) for line in block_lines(run)):
        assert len(line) <= 80, line
    assert text(shown(result)) == snapshot(name="terminal", extension_class=_Text)
    assert text(shown(verbose)) == snapshot(name="verbose", extension_class=_Text)
    markdown = (project.path / "report.md").read_text(encoding="utf-8")
    assert text(markdown) == snapshot(name="report", extension_class=_Markdown)
    assert names == snapshot(name="names", extension_class=_Json)
    if name in PAGES:
        page = (project.path / "report.html").read_text(encoding="utf-8")
        body = re.sub(r"<(style|script)\b.*?</\1>|sha256-[^&]+(?=&)", "", page, flags=re.DOTALL)
        assert text(body) == snapshot(name="report", extension_class=_Html)


def test_names(
    project: Project, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    """Options, ini keys, the mark, fixtures, hooks with their arguments, and what the package exports."""
    monkeypatch.setenv("COLUMNS", "100")
    project.file(
        "conftest.py",
        "import inspect, json, pathlib\n\n\n"
        "def pytest_configure(config):\n"
        "    hooks = vars(config.pluginmanager.hook)\n"
        "    found = {name: hooks[name].spec.argnames for name in sorted(hooks) if name.startswith('pytest_ftgate')}\n"
        "    pathlib.Path('hooks.json').write_text(json.dumps(found))\n",
    )
    options = project.run("--help").stdout.str()
    fixtures = project.run("--fixtures").stdout.str()
    markers = project.run("--markers").stdout.str()
    names = {
        "public names": sorted(pytest_ftgate.__all__),
        "hooks": json.loads((project.path / "hooks.json").read_text(encoding="utf-8")),
        "options": sorted(set(re.findall(r"^  (--ftgate-\S+)", options, flags=re.MULTILINE))),
        "ini keys": sorted(
            set(re.findall(r"^  (ftgate_\w+ \(.*?\))", options, flags=re.MULTILINE))
        ),
        "fixtures": sorted(set(re.findall(r"^(ftgate\w*)\b", fixtures, flags=re.MULTILINE))),
        "mark": re.findall(r"^@pytest.mark.(ftgate.*)$", markers, flags=re.MULTILINE),
    }
    assert names == snapshot(extension_class=_Json)
