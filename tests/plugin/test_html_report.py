"""``--ftgate-report=html:PATH``: one page a session, the same under xdist, whatever the verdicts."""

import json
import sys
from importlib.machinery import PathFinder
from random import Random

import pytest
from gate_project import Project, label, write_jsonl
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
    assert [len(rows) for rows in apart.data] == [60] * 3
    assert sorted(map(json.dumps, apart.data)) == sorted(map(json.dumps, alone.data))
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
    assert (html.headings[0], len(html.data)) == ("1 of 3 gates passed", 2)  # that were scored


def test_every_leaked_near_duplicate_is_there_with_both_texts(project: Project) -> None:
    def text(index: int, last: str) -> str:
        words = Random(index)
        return " ".join([*("".join(words.choices("bdfgklmnprst", k=5)) for _ in range(11)), last])

    rows = [{"input": text(i, "elm" if i % 2 else "fir"), "expected": label(i)} for i in range(200)]
    write_jsonl(project.path / "train.jsonl", rows)
    project.test_set(60, input=lambda i: text(i, "ash" if i % 2 else "oak"))
    project.gate_test()
    html = page(project)
    assert html.headings[0] == "0 of 1 gate passed"
    for words in (
        "Test examples with a near duplicate in the training set (60)",
        f"test.jsonl:60 {text(59, 'ash')} train.jsonl:60 {text(59, 'elm')}",
    ):
        assert words in html.text, words


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


def test_why_an_answer_is_wrong_and_what_values_are_made_of(project: Project) -> None:
    project.test_set(60, input="order {}".format, expected=lambda i: {"city": f"c{i}", "day": i})
    for name, missed in (("base.jsonl", 30), ("ft.jsonl", 3)):
        days = [-1] * missed + [*range(missed, 60)]
        project.predictions(
            name, 60, output=lambda i, days=days: json.dumps({"city": f"c{i}", "day": days[i]})
        )
    project.gate_test(metric="field_f1")
    html = page(project)
    assert project.result.ret == 0, project.result.stdout.str()
    assert "field_f1: fields, worst first" in html.text
    assert "field F1 right wrong" in html.text
    (data,) = html.data
    assert "day" in data[0][4][2], data[0]
    assert {row[3] for row in data} == {"fixed", "wrong", "right"}
