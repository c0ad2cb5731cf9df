"""Text that is out to do harm: whatever models, files and exceptions say, terminal, CI log and reports stay whole."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from endpoint_project import EndpointProject, answer, index_of
from gate_project import Project, check, label, mentions, passed, write_jsonl
from html_page import Page
from loopback import Reply, error

from pytest_ftgate.result import GateResult
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


def harmless(project: Project, *args: str, verdict: str | None = "pass") -> dict[str, Any]:
    """Judge with every report there is, and hold all that was written against what must never be written."""
    reports = [f"--ftgate-report={one}" for one in ("recordings:recordings", "html:report.html", "markdown:report.md")]
    gate = project.gate("-v", "-rA", "--junitxml=junit.xml", *reports, *args)
    assert gate["verdict"] == (verdict or gate["verdict"]), gate["checks"]
    for line in (*project.result.outlines, *project.result.errlines):
        assert line.isprintable(), line[:300]
        assert not COMMAND.search(line), line[:300]
        assert len(line) < LONGEST_LINE
    assert not any("Traceback" in line for line in project.result.outlines)
    for name in ("report.json", "junit.xml"):
        assert (project.path / name).stat().st_size < LARGEST_REPORT
    page = Page((project.path / "report.html").read_text(encoding="utf-8"))
    assert len(page.scripts) == 1
    assert all(line.isprintable() for line in page.markup.replace("\t", " ").split("\n"))
    markdown = (project.path / "report.md").read_text(encoding="utf-8")
    assert len(markdown.encode()) < LARGEST_REPORT
    for line in markdown.replace("\ufe0f", "").split("\n"):  # which makes a symbol a picture
        assert line.isprintable(), line[:300]
        assert not COMMAND.search(line), line[:300]
    case = ElementTree.parse(project.path / "junit.xml").find(".//testcase")
    assert case is not None
    properties = {item.get("name"): item.get("value") for item in case.iter("property")}
    whole: dict[str, Any] = json.loads(properties["ftgate"] or "")
    assert GateResult.from_dict(whole).to_dict() == gate
    return whole


def recorded_again(project: Project) -> dict[str, Any]:
    """Judge what the last run has recorded: nothing is lost, and no model is asked."""
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recordings\n")
    shutil.rmtree(project.path / ".ftgate")
    return project.whole()


def fixture(project: Project, name: str, body: str) -> None:
    project.file("conftest.py", f"import pytest\n\n\n@pytest.fixture\ndef {name}():\n{body}")


# --- what models say -----------------------------------------------------------------------------------------


def test_answers_of_a_callable_with_half_characters(project: Project) -> None:
    """A lone surrogate is no character: no file can hold it. It becomes U+FFFD, and the answer is wrong."""
    fixture(
        project,
        "ftgate_candidate",
        "    labels = ('refund', 'invoice', 'shipping')\n"
        f"    odd = {{0: 'half \\ud83d', 1: {HUGE!r}, 2: '\\ud83d\\ude00', 3: '\\udcff'}}\n"
        "    return lambda text: odd.get(int(text.split()[-1]), labels[int(text.split()[-1]) % 3])\n",
    )
    project.gate_test(candidate=...)
    gate = harmless(project)
    assert gate["candidate"]["value"] == pytest.approx(56 / 60)
    assert {flip["candidate"][:6] for flip in gate["broken"]} == {"half \ufffd", "::erro", "\U0001f600", "\ufffd"}


def test_stored_and_recorded_answers_can_be_read_again(project: Project) -> None:
    project.file(
        "tuned.py",
        "LABELS = ('refund', 'invoice', 'shipping')\n"
        f"ODD = {{0: 'half \\ud83d', 1: {HUGE!r}}}\n"
        "def model(text):\n    n = int(text.split()[-1])\n    return ODD.get(n, LABELS[n % 3])\n",
    )
    project.pytester.syspathinsert()
    project.gate_test(candidate={"provider": "python", "target": "tuned:model", "revision": "1"})
    first = harmless(project)
    assert harmless(project)["candidate"]["n_stored"] == 60
    again = recorded_again(project)
    assert again["candidate"]["n_stored"] == 60
    assert (again["broken"], again["gain"]) == (first["broken"], first["gain"])


def for_candidate(http: EndpointProject, reply: Callable[[int], Reply | None]) -> None:
    """Let the candidate's endpoint reply otherwise where ``reply`` gives something."""
    http.server.answer = lambda body: (body["model"] == "ft" and reply(index_of(body))) or answer(body)
    http.gate_test()


def test_answers_of_an_endpoint(http: EndpointProject) -> None:
    for_candidate(http, lambda i: Reply(HUGE + "\ud800") if i == 5 else None)
    gate = harmless(http)
    assert gate["broken"][-1]["id"] == "t5"
    assert recorded_again(http)["broken"] == gate["broken"]


@pytest.mark.parametrize(
    "reply",
    [
        error(400, message=HUGE),
        error(500, message=HUGE),
        error(429, code=HUGE, message=HOSTILE),
        Reply(body=HUGE),
        Reply(status=404, body=HUGE, headers={"Content-Type": "text/html"}),
        Reply(body={"error": HUGE}),
        Reply(finish_reason=HUGE),
        Reply(text=None, message={"refusal": HUGE}),
        Reply(usage={"prompt_tokens": HUGE}),
    ],
    ids=["400", "500", "429", "no JSON", "HTML", "no answer", "finish", "refusal", "usage"],
)
def test_errors_of_an_endpoint(http: EndpointProject, reply: Reply) -> None:
    for_candidate(http, lambda i: reply if i == 5 else None)
    harmless(http, verdict=None)


# --- what files and gates say --------------------------------------------------------------------------------


def test_ids_inputs_and_labels(project: Project) -> None:
    rows = [
        {"id": f"{HOSTILE} {i}", "input": f"{HOSTILE} {i} {HUGE if i < 3 else ''}", "expected": f"{label(i)} {HOSTILE}"}
        for i in range(60)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    for name, n_right in (("base.jsonl", 40), ("ft.jsonl", 58)):
        outputs = [row["expected"] if i < n_right else "?" for i, row in enumerate(rows)]
        write_jsonl(
            project.path / name, [{"id": row["id"], "output": out} for row, out in zip(rows, outputs, strict=True)]
        )
    project.gate_test()
    gate = harmless(project)
    assert check(gate, "labels_missing")["observed"] == 3
    project.predictions("ft.jsonl", 60)
    mentions(check(harmless(project, verdict="error"), "candidate_answers"), "60 of 60")


ERRORS = "    from pytest_ftgate.errors import ModelError\n    def model(text): raise {}\n    return model\n"
OWN_METRIC = (
    "from pytest_ftgate import metric\n\ndef raise_(text): raise ValueError(text)\n\n"
    "@metric(low=0, high=1, greater_is_better=True)\n"
    "def own(expected, answer): return float(expected == answer) if answer == 'refund' else {}\n"
    f"def pytest_ftgate_metrics(): return {{{{{HOSTILE!r}: own}}}}\n"
)
HOOK = f"def pytest_ftgate_{{}}: raise ValueError({HUGE!r})\n"


@pytest.mark.parametrize(
    ("name", "text", "keys", "verdict"),
    [
        *(
            (name, json.dumps({key: [HUGE], HOSTILE: 1}) + "\n", {}, "error")  # a row that cannot be read
            for name, keys in {
                "test": ("id", "expected"),
                "train": ("input", "unknown"),
                "ft": ("id", "unknown"),
            }.items()
            for key in keys
        ),
        *(
            ("conftest", OWN_METRIC.format(returned), {"metric": HOSTILE}, verdict)
            for returned, verdict in (("1.0", "pass"), (f"raise_({HUGE!r})", "error"), (f"{HUGE!r}", "error"))
        ),
        ("conftest", HOOK.format("model(spec)"), {"candidate": "own:model"}, "error"),
        ("conftest", HOOK.format("gate_finished(result)"), {}, "pass"),
    ],
    ids=range(11),  # the texts are long
)
def test_files_and_hooks(project: Project, name: str, text: str, keys: dict[str, Any], verdict: str) -> None:
    project.gate_test(**keys)
    project.file(f"{name}.py" if name == "conftest" else f"{name}.jsonl", text)
    harmless(project, verdict=verdict)
    assert project.result.ret == int(verdict == "error" or "gate_finished" in text)


@pytest.mark.parametrize(
    "raised",
    [f"ValueError({HUGE!r})", f"ModelError({HUGE!r})", f"ModelError('no', evidence={HUGE!r})", "ValueError('\\ud800')"],
    ids=["exception", "model error", "evidence", "half a character"],
)
def test_errors_of_a_callable(project: Project, raised: str) -> None:
    fixture(project, "ftgate_candidate", ERRORS.format(raised))
    project.gate_test(candidate=...)
    mentions(check(harmless(project, verdict="error"), "candidate_answers"), "candidate model", "60 of 60")


@pytest.mark.parametrize(
    "keys",
    [
        dict.fromkeys(("name", "hypothesis"), HOSTILE),
        dict.fromkeys(("name", "hypothesis"), HUGE),
        {"baseline": ..., "baselines": {HOSTILE: "recorded:base.jsonl"}},
        {"candidate": {"provider": "recorded", "path": "ft.jsonl", "name": HUGE}},
    ],
    ids=["hostile", "huge", "role", "model"],
)
def test_what_a_gate_says_of_itself(project: Project, keys: dict[str, Any]) -> None:
    project.gate_test(**keys)
    harmless(project)
    assert "PASS" in project.result.stdout.str()
    project.gate_test(**keys, margin=0.3)
    harmless(project, verdict="fail")
    assert any(line.startswith("FAILED ") for line in project.result.outlines)


@pytest.mark.parametrize(
    "keys",
    [
        {"candidate": HOSTILE},
        {"candidate": f"{HOSTILE}:x"},
        {"candidate": f"recorded:{HUGE}"},
        {"candidate": "recorded:a\x1b[2Jb\n::error::c"},
        {"metric": HOSTILE},
        {"metric": {"name": "accuracy", "pattern": f"({HUGE}"}},
        {"metric": {"name": "accuracy", HOSTILE: 1}},
        {"evidence": HUGE},
        {HOSTILE: 1},
    ],
    ids=["model", "provider", "path", "odd path", "metric", "pattern", "option", "value", "key"],
)
def test_keys_that_are_refused(project: Project, keys: dict[str, Any]) -> None:
    mark = {**project.keys, **keys}
    project.file("test_gate.py", f"import pytest\n@pytest.mark.ftgate(**{mark!r})\ndef test_gate(): pass\n")
    harmless(project, verdict="error")


def test_the_result_in_an_assertion_of_the_body(project: Project) -> None:
    keys = {**project.keys, "name": HOSTILE}
    project.file(
        "test_gate.py",
        f"import pytest\npytestmark = pytest.mark.ftgate(**{keys!r})\ndef test_gate(ftgate): assert not ftgate\n",
    )
    harmless(project)
    project.result.assert_outcomes(failed=1)


def test_a_model_that_the_body_asks(project: Project) -> None:
    fixture(
        project,
        "ftgate_candidate",
        "    labels = ('refund', 'invoice', 'shipping')\n    return lambda text: labels[int(text.split()[-1]) % 3]\n",
    )
    project.file("evil.py", f"def model(text):\n    raise ValueError({HUGE!r})\n")
    project.pytester.syspathinsert()
    project.gate_test(
        "def test_gate(ftgate_evaluate):\n    ftgate_evaluate('python:evil:model', 'test.jsonl')\n", candidate=...
    )
    result = project.run("--tb=short")
    result.assert_outcomes(failed=1)
    assert all(line.isprintable() and not COMMAND.search(line) for line in result.outlines)
    assert max(map(len, result.outlines)) < LONGEST_LINE


def test_reasons_of_obligations(required: Project) -> None:
    required.file("conftest.py", f"import pytest\n@pytest.fixture\ndef late(): pytest.skip({HUGE!r})\n")
    required.marked(body="def test_gate(late): pass")
    (unjudged,) = required.report()["unjudged"]
    assert unjudged["reason"].startswith("test_gate.py::test_gate was skipped: ")
    line = next(line for line in required.result.outlines if line.startswith("ERROR pytest.ini::ftgate_required"))
    assert line.isprintable()
    assert not COMMAND.search(line)
    assert (required.path / "report.json").stat().st_size < LARGEST_REPORT


# --- where the text goes -------------------------------------------------------------------------------------


def test_an_absolute_path_may_lead_anywhere(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
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
