"""xdist, in every way of handing out tests and with any number of workers: each prediction is asked for once, and every
verdict, obligation and report is that of a run in one process."""

import os
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from endpoint_project import EndpointProject, Meeting, N, untimed

MODES = ("load", "loadscope", "loadgroup", "worksteal")
ALL = bool(os.environ.get("DISTRIBUTE_ALL"))
"""Whether every way of handing out is tried with every number of workers, which takes minutes."""
RUNS = (
    [(mode, n) for mode in MODES for n in range(2, 9)] if ALL else [("load", 3), ("loadgroup", 2)]
)
CONFTEST = """
import os

os.environ["FTGATE_TEST_KEY"] = os.environ.get("PYTEST_XDIST_WORKER", "alone")
"""
EXPECTED_TO_FAIL = """
import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail(strict=False))
"""
MODULE = """
import pytest


@pytest.mark.ftgate("support")
def test_support(): pass


@pytest.mark.ftgate("wide")
@pytest.mark.parametrize("x", range(2))
def test_wide(x, ftgate):
    assert ftgate.n == 60


@pytest.mark.parametrize("x", [pytest.param(0, marks=pytest.mark.ftgate("prompted")), 1])
def test_other(x): pass
"""
SCOPED = """
import pytest


@pytest.mark.ftgate("prompted")
@pytest.mark.xdist_group("pair")
class TestPair:
    def test_one(self): pass
    def test_two(self, ftgate):
        assert ftgate.candidate.value > ftgate.baseline.value


{mark}
def test_alone(): pass


@pytest.mark.xdist_group("pair")
{mark}
def test_grouped(): pass
"""
MODULES = 2
HEADINGS = Counter(
    {"support: PASS": MODULES, "wide: PASS": 2 * MODULES, "prompted: PASS": MODULES + 2}
)
HEADINGS += Counter(f"test_scoped.py::test_{name}: PASS" for name in ("alone", "grouped"))
ASKED = Counter(
    (model, f"customer question {i}") for model in ("base", "ft", "told") for i in range(N)
)


@pytest.fixture
def many(http: EndpointProject) -> EndpointProject:
    """Three gates of the file on three models of one server, all of them required, and two that stand in marks."""
    model = {"api_key_env": "FTGATE_TEST_KEY", "concurrency": 2}
    http.keys |= {"baseline": http.model("base", **model), "candidate": http.model("ft", **model)}
    write_gates(http)
    http.file("conftest.py", CONFTEST)
    for number in range(MODULES):
        http.file(f"test_{number}.py", MODULE)
    http.file("test_scoped.py", SCOPED.format(mark=http.mark()))
    http.ini_file("ftgate_required = all")
    http.server.answer = Meeting(http.server)
    return http


def write_gates(project: EndpointProject, **changes: Any) -> None:
    told = {
        "candidate": {**project.keys["candidate"], "model": "told", "system": "Name the topic."}
    }
    told["checks"] = {"baseline_prompt": "warn"}
    gates = {
        "support": project.keys,
        "wide": {**project.keys, "margin": 0.1, **changes},
        "prompted": {**project.keys, **told},
    }
    project.gate_file(yaml.safe_dump({"version": 1, "gates": gates}))


def facts(report: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that no distribution may change, by test; which gate is judged first is the workers' choice."""
    return {
        gate["nodeid"]: {
            **untimed(gate),
            "checks": [check for check in gate["checks"] if check["name"] != "attempts"],
        }
        for gate in report["gates"]
    }


def headings(project: EndpointProject) -> Counter[str]:
    lines = (line.strip("- ") for line in project.result.outlines)
    return Counter(
        line.removeprefix("ftgate ")
        for line in lines
        if line.startswith("ftgate ") and ": " in line
    )


@pytest.mark.parametrize(("mode", "workers"), RUNS)
def test_as_if_in_one_process(many: EndpointProject, mode: str, workers: int) -> None:
    """Every request once, over all workers; the same facts; each block once; green and nothing owed.

    And red where a gate fails in a test that is expected to fail; more that is red: test_obligations.py.
    """
    args = (f"-n{workers}", f"--dist={mode}")
    report = many.report(*args, "--junitxml=junit.xml", apart=True)
    assert many.result.ret == 0, many.result.stdout.str()
    verdicts = ElementTree.parse(many.path / "junit.xml").findall(
        ".//property[@name='ftgate.verdict']"
    )
    assert len(verdicts) == len(report["gates"])
    assert many.asked == ASKED
    assert len(many.server.answer.keys) > 1  # type: ignore[attr-defined]
    assert report["unjudged"] == []
    assert headings(many) == HEADINGS
    many.forget()
    alone = many.report("-pno:xdist")
    assert many.asked == {}
    assert facts(report) == facts(alone)
    assert headings(many) == HEADINGS
    if mode == "loadgroup":
        write_gates(many, margin=0.3)
        many.file("conftest.py", CONFTEST + EXPECTED_TO_FAIL)
        red = many.report(*args, apart=True)
        assert many.result.ret == 1
        many.result.assert_outcomes(xfailed=2 * MODULES, xpassed=3 * MODULES + 4, errors=1)
        assert Counter(gate["verdict"] for gate in red["gates"]) == {
            "fail": 2 * MODULES,
            "pass": 2 * MODULES + 4,
        }
        assert {one["name"] for one in red["unjudged"]} == {"wide"}
