"""Where a gate's keys may stand, and which place wins."""

import pytest
from gate_project import Files, Project, check, words, write_files


def test_nearest_wins_key_by_key(project: Project) -> None:
    project.gate_file(
        "version: 1\n"
        "defaults: {min_test_examples: 55, confidence: 0.9}\n"
        "gates:\n  support:\n"
        "    test_set: test.jsonl\n    training_set: train.jsonl\n"
        "    baseline: recorded:base.jsonl\n    candidate: recorded:ft.jsonl\n"
        "    margin: 0.5\n    min_training_examples: 150\n"
    )
    project.file(
        "test_gate.py",
        "import pytest\n"
        "pytestmark = pytest.mark.ftgate('support', margin=0.4)\n"
        "@pytest.mark.ftgate(margin=0.3, evidence='observed')\n"
        "class TestGate:\n"
        "    @pytest.mark.ftgate(margin=0.2)\n"
        "    def test_gate(self): pass\n",
    )
    gate = project.gate()
    assert gate["name"] == "support"
    assert gate["verdict"] == "pass"
    assert (gate["margin"], gate["evidence"], gate["confidence"]) == (0.2, "observed", 0.9)
    assert check(gate, "margin")["source"] == "marker"
    assert check(gate, "min_training_examples")["source"] == "ftgate.yaml:10"
    assert check(gate, "min_test_examples")["source"] == "ftgate.yaml:2"


def test_a_derived_class_is_nearer_than_its_base_and_a_parameter_than_both(
    project: Project,
) -> None:
    project.file(
        "test_gate.py",
        f"import pytest\n{project.mark()}\nclass Base: pass\n\n"
        "@pytest.mark.ftgate(margin=0.2)\nclass TestGate(Base):\n"
        "    @pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.ftgate(margin=0.01)), 2])\n"
        "    def test_gate(self, x): pass\n",
    )
    assert [(gate["margin"], gate["verdict"]) for gate in project.report()["gates"]] == [
        (0.01, "pass"),
        (0.2, "pass"),
    ]


def test_two_marks_on_one_function_are_an_error(project: Project) -> None:
    project.gate_test(f"{project.mark(margin=0.01)}\ndef test_gate(): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    assert "test_gate.py:4: two ftgate markers on one function: test_gate" in words(result)


def test_unittest_methods_are_judged(project: Project) -> None:
    mark = project.mark(margin=0.3)
    bodies = {"gate": "pass", "skip": "self.skipTest('no')", "both": "self.fail('body says no')"}
    methods = "".join(
        f"    {mark}\n    def test_{name}(self): {body}\n" for name, body in bodies.items()
    )
    project.file(
        "test_gate.py", f"import unittest, pytest\nclass TestGate(unittest.TestCase):\n{methods}"
    )
    result = project.run()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*ftgate test_gate.py::TestGate::test_gate: FAIL*"])


def test_the_gate_may_be_named_by_keyword(green: Project) -> None:
    green.marked("gate='support'")
    green.run().assert_outcomes(passed=2)
    green.marked("'support', gate='support'")
    result = green.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "'support', 'support'" in result.stdout.str()


def test_all_slips_of_the_marks_of_a_test_are_told_at_once(project: Project) -> None:
    project.file(
        "test_gate.py",
        "import pytest\n"
        "@pytest.mark.ftgate(confidence=95, test_set=3)\nclass TestGates:\n"
        "    @pytest.mark.ftgate(margn=0.1, missing_answers='wrng')\n    def test_gate(self): pass\n",
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    text = words(result)
    fragments = ("2: test_set: ", "4: margn: ", "4: missing_answers: ")
    assert [f"test_gate.py:{place}" in text for place in fragments] == [True] * 3
    assert "; confidence: must be below 1, got 95: write confidence=0.95" in text
    assert 'missing_answers="wrong"' in text


def test_a_mark_on_a_custom_item_is_an_error(project: Project) -> None:
    project.file(
        "conftest.py",
        "import pytest\nclass Item(pytest.Item):\n    def runtest(self): pass\n"
        "class File(pytest.File):\n    def collect(self): return [Item.from_parent(self, name='gate')]\n"
        "def pytest_collect_file(parent, file_path):\n"
        "    if file_path.suffix == '.gate': return File.from_parent(parent, path=file_path)\n"
        "def pytest_itemcollected(item): item.add_marker(pytest.mark.ftgate('x'))\n",
    )
    project.file("a.gate", "")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ERROR configuration: a.gate::gate cannot judge a gate: *"])


@pytest.mark.parametrize("name", ["ftgte", "FTGate", "ft_gate", "ftgates"])
def test_a_misspelt_marker_is_an_error(project: Project, name: str) -> None:
    project.file(
        "test_gate.py", f"import pytest\n@pytest.mark.{name}('support')\ndef test_gate(): pass\n"
    )
    result = project.run("-Wignore")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*unknown marker {name} on test_gate.py::test_gate; did you mean 'ftgate'?*"]
    )
    project.ini_file(f"markers = {name}: another one, which is registered")
    assert project.run().ret == 0


def test_a_session_has_one_gate_file(green: Project) -> None:
    """It is beside the ini file; those of other folders are not read, and a missing one names them."""
    green.ini_file("ftgate_required = all")
    text = (green.path / "ftgate.yaml").read_text()
    strict = text.replace("margin: 0.05", "margin: 0.9")
    green.file("b/ftgate.yaml", strict.replace("support", "another"))
    green.file("b/test_b.py", (green.path / "test_gate.py").read_text())
    foreign, own = green.report()["gates"]
    assert (own["verdict"], own["margin"]) == ("pass", 0.05)
    assert (foreign["verdict"], foreign["checks"][0]["cure"][:16]) == (
        "error",
        "Add b/pytest.ini",
    )
    assert "b/ftgate.yaml is nearer to this test" in foreign["checks"][0]["message"]
    green.file("b/pytest.ini", "[pytest]\n")
    assert green.report()["gates"][0]["checks"][0]["cure"] == "Run pytest in b."
    (green.path / "ftgate.yaml").unlink()
    check = green.report()["gates"][1]["checks"][0]
    assert "searched for ftgate.yaml in the folder of pytest.ini" in check["message"]
    assert check["cure"] == "Found b/ftgate.yaml: run pytest in b."
    green.file("ftgate.yaml", text)
    green.file("b/pytest.ini", "[pytest]\nftgate_required = another\n")
    assert [gate["name"] for gate in green.report("b")["unjudged"]] == ["another"]
    green.file("b/pytest.ini", "[pytest]\nftgate_config = lost.yaml\n")
    green.file("lost.yaml", text)
    (gate,) = green.report("b")["gates"]
    assert gate["checks"][0]["cure"].endswith(
        "lost.yaml: write ftgate_config = ../lost.yaml in b/pytest.ini."
    )


INI = "[pytest]\n"
LOST = {
    "nowhere": ({}, "Create it, set another path with ini ftgate_config, or give all keys in the marker."),
    "below": ({"a/ftgate.yaml": ""}, "Found a/ftgate.yaml: write ftgate_config = a/ftgate.yaml in pytest.ini."),
    "two below": ({"a/ftgate.yaml": "", "b/c/ftgate.yaml": "", "b/c/pytest.ini": INI},
        "Found a/ftgate.yaml: add a/pytest.ini and run pytest in a. Found b/c/ftgate.yaml: run pytest in b/c."),
    "many below": ({f"{name}/ftgate.yaml": "" for name in "abcdef"},
        " ".join(f"Found {name}/ftgate.yaml: add {name}/pytest.ini and run pytest in {name}." for name in "abc")),
    "beside an ini file of another project": ({"a/ftgate.yaml": "", "a/tox.ini": INI},
        "Found a/ftgate.yaml: run pytest in a."),
    "beside an ini file that names another one": (
        {"a/ftgate.yaml": "", "a/pytest.ini": f"{INI}ftgate_config = other.yaml\n"},
        "Found a/ftgate.yaml: write ftgate_config = a/ftgate.yaml in pytest.ini."),
    "beside a broken ini file": ({"a/ftgate.yaml": "", "a/pytest.ini": "broken\n"},
        "Found a/ftgate.yaml: run pytest in a."),
    "in a nested repository": ({"a/.git/HEAD": "", "a/ftgate.yaml": ""},
        "Found a/ftgate.yaml: add a/pytest.ini and run pytest in a."),
    "in a submodule": ({"a/.git": "gitdir: ../.git/modules/a\n", "a/ftgate.yaml": "", "a/pytest.ini": INI},
        "Found a/ftgate.yaml: run pytest in a."),
    "with the other suffix": ({"ftgate.yml": ""}, "Found ftgate.yml: write ftgate_config = ftgate.yml in pytest.ini."),
}  # fmt: skip


@pytest.mark.parametrize(("files", "cure"), LOST.values(), ids=LOST)
def test_a_missing_gate_file_says_how_to_use_one_elsewhere(
    green: Project, files: Files, cure: str
) -> None:
    green.ini_file("ftgate_required = all")
    (green.path / "ftgate.yaml").unlink()
    write_files(green.path, files)
    result = green.run()
    result.assert_outcomes(passed=1, errors=1)
    assert f"fix: {cure}" in words(result)
    (green.path / "test_gate.py").unlink()
    text = words(green.run())
    assert "required gate all names no gate: ftgate.yaml does not exist" in text
    assert (f"fix: {cure}" in text) == bool(files)


def test_a_missing_gate_file_says_where_to_run_pytest(green: Project) -> None:
    """Another project's repository above is no place to look at."""
    green.file("deep/pytest.ini", INI)
    (green.path / "test_gate.py").rename(green.path / "deep/test_gate.py")
    (green.path / "pytest.ini").unlink(missing_ok=True)
    cure = f"fix: Found {green.path.as_posix()}/ftgate.yaml: run pytest in {green.path.as_posix()}."
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(green.path / "deep")
        assert cure in words(green.run())
        green.file("deep/.git", "gitdir: ../.git/modules/deep")
        assert "fix: Create it, set another path" in words(green.run())


def test_a_test_of_a_project_beside_it_is_not_judged_by_this_gate_file(green: Project) -> None:
    """``pytest a b`` may take the ini file of a, and would judge the gates of b by its gate file."""
    names = ("ftgate.yaml", "test_gate.py", "test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl")
    for folder, margin in (("a", "0.05"), ("b", "0.9")):
        for name in names:
            text = (green.path / name).read_text(encoding="utf-8")
            green.file(f"{folder}/{name}", text.replace("margin: 0.05", f"margin: {margin}"))
        green.file(f"{folder}/pytest.ini", "[pytest]\n")
    result = green.run("-c", "a/pytest.ini", "--rootdir=.", "--import-mode=importlib", "a", "b")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*b/ftgate.yaml is nearer to this test*", "fix:  Run pytest in b."]
    )
    assert green.run("-c", "b/pytest.ini", "b").ret == 1
