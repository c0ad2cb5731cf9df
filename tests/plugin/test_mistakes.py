"""What a new user gives in place of data and models, and the places and forms that the message names."""

from typing import Any

import pytest
from gate_project import Project, mentions, passed, read_jsonl, stopped, words


class Tuned:
    def predict(self, inputs: list[str]) -> list[str]:
        return ["refund" for _ in inputs]


class OfOneText:
    def predict(self, text: str) -> str:
        return {"a": "refund"}.get(text, "refund")


def takes_the_example(example: Any) -> str:
    return str(example["expected"])


MODELS = [
    (Tuned, False, ["Tuned is a class", "Tuned()"]),
    (OfOneText(), True, ["OfOneText raised TypeError", "a list of inputs"]),
    (Tuned().predict, True, ["predict returned", "give its object", "batch_size"]),
    (takes_the_example, True, ["takes_the_example raised TypeError", "the input alone"]),
    ("python:mistaken:Tuned", False, ["Tuned is a class"]),
    ("python:mistaken.py:predict", False, ["write python:mistaken:predict"]),
    ("python:mistaken:predct", False, ["one of its functions: predict"]),
    ("python:imports:f", False, ["install no_such_package", "imports.py:2"]),
    ("python:absent:f", False, ["pythonpath"]),
    ("python:predict", False, ["'predict'", 'candidate="python:app.models:predict"']),
    ("models:predict", False, ["'models'", "python:pkg.module:function"]),
    ("hf:Qwen/Qwen3", False, ["'hf'", "transformers:Qwen/Qwen3"]),
    ("recorded:moved.jsonl", False, ['"data/moved.jsonl"']),
]


@pytest.mark.parametrize(("candidate", "called", "fragments"), MODELS)
def test_a_mistaken_model(
    project: Project, candidate: Any, called: bool, fragments: list[str]
) -> None:
    project.file(
        "mistaken.py", "class Tuned:\n    def predict(self, inputs): ...\ndef predict(text): ...\n"
    )
    project.file("imports.py", "\nimport no_such_package\n")
    project.predictions("data/moved.jsonl", 60)
    project.own()
    mentions(stopped(project.judge(candidate=candidate), called=called), *fragments)


DATA = [
    ("book.csv", ["book.csv", "Excel", "CSV"]),
    ("old.jsonl", ["old.jsonl", "Excel"]),
    ("book.xlsx", ["test_gate.py:4: test_set: book.xlsx", "Excel", "pandas.read_excel"]),
    ("moved.jsonl", ["no such file", '"data/moved.jsonl"']),
    ("tset.jsonl", ["no such file", '"test.jsonl"']),
    ("train.jsonl", ["test_gate.py:4: test_set", "the same file as training_set"]),
    (
        {"path": "other.jsonl", "fields": {"utterance": "input", "klass": "expected"}},
        ["test_set.fields", 'write "fields": {"input": "utterance", "expected": "klass"}'],
    ),
    (
        {"input": "a", "expected": "b"},
        ["one mapping with the keys input, expected", "yields its rows"],
    ),
    ({"pth": "test.jsonl"}, ["test_set.pth", "'path'"]),
    (
        {"input": ["a", "b"], "expected": ["x"]},
        ["input has 2, expected has 1", "columns of one length"],
    ),
]


@pytest.mark.parametrize(("test_set", "fragments"), DATA, ids=lambda value: str(value)[:40])
def test_mistaken_data(project: Project, test_set: Any, fragments: list[str]) -> None:
    (project.path / "book.csv").write_bytes(b"PK\3\4\x14\0xl/worksheets\xff")
    (project.path / "book.xlsx").write_bytes(b"PK\3\4\x14\0xl/worksheets\xff")
    (project.path / "old.jsonl").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    project.test_set(60, "data/moved.jsonl")
    mentions(stopped(project.judge(test_set=test_set)), *fragments)


def test_a_dict_of_columns_is_a_data_set(project: Project) -> None:
    rows = read_jsonl(project.path / "test.jsonl")
    columns = {key: [row[key] for row in rows] for key in ("id", "input", "expected")}
    by_columns = passed(project.judge(test_set=columns))
    assert by_columns["gain"] == passed(project.judge())["gain"]


SESSIONS = [  # conftest.py, ini lines, what is printed
    ("def ftgate_canditate(): return 'recorded:ft.jsonl'", (), ["fixture ftgate_canditate", "ftgate_candidate."]),
    ("def ftgate_candidate(text): return 'refund'", (), ["no fixture 'text'", "return the function"]),
    ("def ftgate_model(): return 1", ("ftgate_required = support, other",), ["without commas", "= support other"]),
]  # fmt: skip


@pytest.mark.parametrize(("fixture", "ini", "fragments"), SESSIONS)
def test_a_mistaken_fixture_or_ini_key(
    project: Project, fixture: str, ini: tuple[str, ...], fragments: list[str]
) -> None:
    project.file("conftest.py", f"import pytest\n@pytest.fixture\n{fixture}\n")
    project.ini_file(*ini)
    project.gate_test(candidate=...)
    result = project.run()
    text = words(result) + " ".join(result.stderr.str().split())
    assert not [fragment for fragment in fragments if fragment not in text], text


def test_a_marker_without_a_name_beside_a_gate_file(project: Project) -> None:
    project.filed()
    project.marked("")
    assert '@pytest.mark.ftgate("support")' in words(project.run())


def test_a_gate_file_with_the_other_suffix_is_found(project: Project) -> None:
    project.filed()
    (project.path / "ftgate.yaml").rename(project.path / "ftgate.yml")
    text = words(project.run())
    assert "Found ftgate.yml" in text
    assert "ftgate_config = ftgate.yml" in text
