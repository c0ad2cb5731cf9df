"""Text that is out to do harm: whatever models, files and exceptions say, terminal, CI log and reports stay whole."""

import json
import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from endpoint_project import EndpointProject, answer, index_of
from gate_project import Project, check, label, mentions, passed
from html_page import Page
from loopback import Reply, error

from pytest_ftgate.text import LONGEST

HOSTILE = (
    "::error file=a.py::pwned \x1b[2J\x1b]0;title\x07\x9b31m ##[error]a ##vso[task.complete]b ##teamcity[c]\r\n"
    "::add-mask::d \u202edrawkcab\u200b \u2028 \x00 \x85 \U000e0041"
)
HUGE = HOSTILE * 6_000  # a megabyte
LONGEST_LINE = LONGEST + 300  # what pytest itself puts in front of a text of ours
LARGEST_REPORT = 100_000
"""Bytes of a JSON report on one gate, and of its JUnit XML, whatever was said."""

COMMAND = re.compile(r"^\s*::|##\w*\[")


def harmless(project: Project, verdict: str = "pass") -> dict[str, Any]:
    """Judge one gate with every report there is, and hold all that was written against what must never be written."""
    (gate,) = all_harmless(project)
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


def all_harmless(project: Project) -> list[dict[str, Any]]:
    reports = [
        f"--ftgate-report={one}"
        for one in ("recordings:recordings", "html:report.html", "markdown:report.md")
    ]
    gates = project.all_facts("-v", "-rA", "--junitxml=junit.xml", *reports)
    for line in (*project.result.outlines, *project.result.errlines):
        assert line.isprintable(), line[:300]
        assert not COMMAND.search(line), line[:300]
        assert len(line) < LONGEST_LINE
    assert not any("Traceback" in line for line in project.result.outlines)
    for name in ("report.json", "junit.xml", "report.md"):
        assert (project.path / name).stat().st_size < LARGEST_REPORT * len(gates)
    page = Page((project.path / "report.html").read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.elements}
    assert all(line.isprintable() for line in page.markup.replace("\t", " ").split("\n"))
    markdown = (project.path / "report.md").read_text(encoding="utf-8")
    for line in markdown.replace("\ufe0f", "").split("\n"):  # which makes a symbol a picture
        assert line.isprintable(), line[:300]
        assert not COMMAND.search(line), line[:300]
    return gates


def test_answers_of_a_callable_with_half_characters_can_be_read_again(project: Project) -> None:
    """A lone surrogate is no character: no file can hold it. It becomes U+FFFD, and the answer is wrong."""
    odd = f"{{0: 'half \\ud83d', 1: {HUGE!r}, 2: '\\ud83d\\ude00', 3: '\\udcff'}}"
    project.own(
        f"ODD = {odd}\ndef odd(text): return ODD.get(int(text.split()[-1])) or good(text)\n"
    )
    project.gate_test(candidate={"provider": "python", "target": "own:odd", "revision": "1"})
    first = harmless(project)
    assert first["candidate"]["value"] == pytest.approx(56 / 60)
    assert {flip["candidate"][:6] for flip in first["broken_examples"]} == {
        "half \ufffd",
        "::erro",
        "\U0001f600",
        "\ufffd",
    }
    assert harmless(project)["candidate"]["n_stored"] == 60
    project.ini_file("ftgate_recordings = recordings")
    shutil.rmtree(project.path / ".ftgate")
    gate = project.whole()  # nothing is lost, and no model is asked
    assert gate["candidate"]["n_stored"] == 60
    assert (gate["broken_examples"], gate["gain"]) == (first["broken_examples"], first["gain"])


REPLIES = [
    Reply(HUGE + "\ud800"),
    error(400, message=HUGE),
    error(500, message=HUGE),
    error(429, code=HUGE, message=HOSTILE),
    Reply(body=HUGE),
    Reply(status=404, body=HUGE, headers={"Content-Type": "text/html"}),
    Reply(body={"error": HUGE}),
    Reply(finish_reason=HUGE),
    Reply(text=None, message={"refusal": HUGE}),
    Reply(usage={"prompt_tokens": HUGE}),
]


def test_answers_and_errors_of_an_endpoint(http: EndpointProject) -> None:
    """A gate for each, whose candidate gets it for one example."""

    def reply(body: dict[str, Any]) -> Any:
        number = body["model"].removeprefix("ft")
        return (
            REPLIES[int(number)]
            if number.isdigit() and index_of(body) == 5
            else answer({**body, "model": "ft"})
        )

    http.server.answer = lambda body: answer(body) if body["model"] == "base" else reply(body)
    marks = [http.mark(candidate=http.model(f"ft{number}")) for number in range(len(REPLIES))]
    tests = (f"{mark}\ndef test_{number}(): pass\n" for number, mark in enumerate(marks))
    http.file("test_gate.py", "import pytest\n" + "".join(tests))
    first, *others = all_harmless(http)
    assert (first["verdict"], first["broken_examples"][-1]["id"], len(others)) == (
        "pass",
        "t5",
        len(REPLIES) - 1,
    )


def test_ids_inputs_and_labels(project: Project) -> None:
    ids = f"{HOSTILE} {{}}".format
    expected = lambda i: f"{label(i)} {HOSTILE}"  # noqa: E731

    def asked(i: int) -> str:
        # else the rows are near copies
        words = "".join(Random(i).choices("bdfgklmnprst ", k=10 * len(HOSTILE)))
        return f"{HOSTILE} {words} {HUGE if i < 3 else ''}"

    project.test_set(60, id=ids, input=asked, expected=expected)
    for name, right in (("base.jsonl", 40), ("ft.jsonl", 58)):
        project.predictions(
            name, 60, id=ids, output=lambda i, right=right: expected(i + (i >= right))
        )
    project.gate_test(checks={"labels_in_common": "warn"})
    gate = harmless(project)
    assert check(gate, "labels_in_common")["status"] == "warning"
    project.predictions("ft.jsonl", 60)
    mentions(check(harmless(project, "error"), "candidate_answers"), "60 of 60")


class Code(str):
    """Python code among the keys of a mark."""

    __slots__ = ()
    __repr__ = str.__str__


CONFTEST = f"""import pytest
from pytest_ftgate import metric

def pytest_ftgate_model(spec):
    if spec.provider == "own": raise ValueError({HUGE!r})

def pytest_ftgate_gate_finished(result): raise ValueError({HUGE!r})

def metric_of(returned):
    @metric(low=0, high=1, greater_is_better=True)
    def own(expected, answer): return float(expected == answer) if answer == "refund" else returned()
    return own

def refuse(): raise ValueError({HUGE!r})

def pytest_ftgate_metrics():
    given = {{"1": lambda: 1.0, "2": refuse, "3": lambda: {HUGE!r}}}
    return {{{HOSTILE!r} + name: metric_of(returned) for name, returned in given.items()}}
"""
MODULE = """import pytest
from pytest_ftgate.errors import ModelError

def raising(error):
    def model(text): raise error
    return model

"""
RAISED = (
    f"ValueError({HUGE!r})", f"ModelError({HUGE!r})", f"ModelError('no', evidence={HUGE!r})", "ValueError('\\ud800')",
)  # fmt: skip
ODD_KEYS: list[dict[str, Any]] = [  # what a gate says of itself
    dict.fromkeys(("name", "hypothesis"), HOSTILE),
    dict.fromkeys(("name", "hypothesis"), HUGE),
    {"baseline": ..., "baselines": {HOSTILE: "recorded:base.jsonl"}},
    {"candidate": {"provider": "recorded", "path": "ft.jsonl", "name": HUGE}},
]
GATES: list[tuple[dict[str, Any], str]] = [
    # rows that cannot be read
    *(({key: f"{path}bad{n}.jsonl"}, "error") for n in (0, 1) for key, path in
      (("test_set", ""), ("training_set", ""), ("candidate", "recorded:"))),
    # metrics and models of hooks, and models that fail
    *(({"metric": f"{HOSTILE}{n}"}, verdict) for n, verdict in ((1, "pass"), (2, "error"), (3, "error"))),
    ({"candidate": "own:model"}, "error"),
    *(({"candidate": Code(f"raising({raised})")}, "error") for raised in RAISED),
    *((keys, "pass") for keys in ODD_KEYS), *(({**keys, "margin": 0.3}, "fail") for keys in ODD_KEYS),
    # keys that are refused
    *((keys, "error") for keys in (
        {"candidate": HOSTILE}, {"candidate": f"{HOSTILE}:x"}, {"candidate": f"recorded:{HUGE}"},
        {"candidate": "recorded:a\x1b[2Jb\n::error::c"}, {"metric": HOSTILE},
        {"metric": {"name": "accuracy", "pattern": f"({HUGE}"}}, {"metric": {"name": "accuracy", HOSTILE: 1}},
        {"evidence": HUGE}, {HOSTILE: 1},
    )),
]  # fmt: skip


def test_files_hooks_models_and_keys(project: Project) -> None:
    """A gate for each, in one session."""
    project.file("conftest.py", CONFTEST)
    for n, key in enumerate(("id", "unknown")):
        project.file(f"bad{n}.jsonl", json.dumps({key: [HUGE], HOSTILE: 1}) + "\n")
    text = MODULE
    for n, (keys, _) in enumerate(GATES):
        given = {
            name: value for name, value in {**project.keys, **keys}.items() if value is not ...
        }
        text += f"@pytest.mark.ftgate(**{given!r})\ndef test_{n}(): pass\n"
    own = {**project.keys, "name": HOSTILE}
    project.file("test_gate.py", text)
    body = f"import pytest\npytestmark = pytest.mark.ftgate(**{own!r})\ndef test_body(ftgate): assert not ftgate\n"
    project.file("test_last.py", body)
    gates = all_harmless(project)
    assert [gate["verdict"] for gate in gates] == [*(verdict for _, verdict in GATES), "pass"]
    for gate in gates[10:14]:
        mentions(check(gate, "candidate_answers"), "candidate", "60 of 60")
    failed = sum(verdict == "fail" for _, verdict in GATES) + 1
    assert sum(line.startswith("FAILED ") for line in project.result.outlines) == failed
    assert "PASS" in project.result.stdout.str()


def test_a_model_that_the_body_asks(project: Project) -> None:
    project.own(f"def evil(text): raise ValueError({HUGE!r})\n")
    body = "def test_gate(ftgate_evaluate):\n    ftgate_evaluate('python:own:evil', 'test.jsonl')\n"
    project.gate_test(body, candidate="python:own:good")
    result = project.run("--tb=short")
    result.assert_outcomes(failed=1)
    assert all(line.isprintable() and not COMMAND.search(line) for line in result.outlines)
    assert max(map(len, result.outlines)) < LONGEST_LINE


def test_reasons_of_obligations(required: Project) -> None:
    required.file(
        "conftest.py", f"import pytest\n@pytest.fixture\ndef late(): pytest.skip({HUGE!r})\n"
    )
    required.marked(body="def test_gate(late): pass")
    (unjudged,) = required.report()["unjudged"]
    assert unjudged["reason"].startswith("test_gate.py::test_gate was skipped: ")
    line = next(
        line
        for line in required.result.outlines
        if line.startswith("ERROR pytest.ini::ftgate_required")
    )
    assert line.isprintable()
    assert not COMMAND.search(line)
    assert (required.path / "report.json").stat().st_size < LARGEST_REPORT


def test_an_absolute_path_may_lead_anywhere(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "ft.jsonl"
    elsewhere.write_bytes((project.path / "ft.jsonl").read_bytes())
    passed(project.judge(candidate=f"recorded:{elsewhere}"))


def test_recordings_stay_in_their_folder(project: Project) -> None:
    """A gate's name becomes the name of a file, never a path."""
    project.gate_test(name="../../../escaped")
    harmless(project)
    written = sorted(path.relative_to(project.path) for path in project.path.rglob("*.jsonl"))
    inside = [path for path in written if path.parent == Path("recordings")]
    assert len(inside) == 2
    assert all("escaped" in path.name for path in inside)
    assert len(written) == len(inside) + 4
