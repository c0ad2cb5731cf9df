"""``--ftgate-report=html:PATH``: one page a session, the same under xdist, whatever the verdicts."""

import sys
from importlib.machinery import PathFinder

import pytest
from gate_project import Project
from html_page import Page


def page(project: Project, *args: str, apart: bool = False) -> Page:
    run = project.run_apart if apart else project.run
    project.result = run("--ftgate-report=html:out/report.html", *args)
    return Page((project.path / "out" / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("options", [("-n2",), ("-n2", "--dist=each")])
def test_workers_hand_over_what_they_know(project: Project, options: tuple[str, ...]) -> None:
    project.gate_test(
        "@pytest.mark.parametrize('x', range(3))\ndef test_gate(x): pass\n", margin=0.3
    )
    alone, apart = page(project), page(project, *options, apart=True)
    assert apart.headings[0] == alone.headings[0] == "0 of 3 gates passed"
    failed, alike = (
        sorted(heading for heading in html.headings if "FAIL" in heading) for html in (apart, alone)
    )
    assert failed == alike


def test_every_kind_of_gate_has_a_page(project: Project) -> None:
    kinds = (
        {"baseline": "recorded:absent.jsonl"},
        {"min_test_examples": 100},
        {"stage": "ready", "candidate": ...},
    )
    tests = (f"{project.mark(**keys)}\ndef test_{i}(): pass\n" for i, keys in enumerate(kinds))
    project.file("test_gate.py", f"import pytest\n{''.join(tests)}")
    html = page(project)
    assert html.headings[0] == "1 of 3 gates passed"


def test_without_jinja_it_is_refused_before_any_call(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = PathFinder.find_spec
    monkeypatch.setattr(
        PathFinder,
        "find_spec",
        lambda name, *args: None if name.startswith("jinja2") else find_spec(name, *args),
    )
    for name in [name for name in sys.modules if name.startswith("jinja2")]:
        monkeypatch.delitem(sys.modules, name)
    project.gate_test()
    result = project.run("--ftgate-report=html:report.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs Jinja2, which is not installed: pip install jinja2*"])
    assert not (project.path / "report.html").exists()
