"""``--ftgate-report=predictions:FILE``: every answer with its score, as one table for a notebook."""

from collections import Counter
from typing import Any

import pandas
import pytest
from gate_project import OWN, Project, label, read_jsonl, words

from pytest_ftgate.data import load_examples

READERS = {
    ".csv": pandas.read_csv,
    ".jsonl": lambda path: pandas.read_json(path, lines=True),
    ".parquet": pandas.read_parquet,
}


@pytest.mark.parametrize("suffix", READERS)
def test_the_table_has_every_answer_with_its_score(project: Project, suffix: str) -> None:
    project.test_set(60, input=lambda i: f'"question, {i}"\r\nwith a \u2028 line')
    project.gate_test(name="intents")
    gate = project.gate(f"--ftgate-report=predictions:out/table{suffix}")
    table = READERS[suffix](project.path / f"out/table{suffix}")
    assert list(table.columns) == [
        *("gate", "guard", "repeat", "id", "input", "expected"),
        *("baseline_answer", "baseline_score", "candidate_answer", "candidate_score"),
    ]
    assert table["id"].tolist() == [f"t{i}" for i in range(60)]
    assert table["input"][7] == '"question, 7"\r\nwith a \u2028 line'
    assert table["expected"].tolist() == [label(i) for i in range(60)]
    for role in ("baseline", "candidate"):
        right = table[f"{role}_answer"] == table["expected"]
        assert table[f"{role}_score"].tolist() == right.astype(float).tolist()
        assert table[f"{role}_score"].mean() == pytest.approx(gate[role]["value"])
    assert set(table["gate"]) == {"intents"}


@pytest.mark.parametrize("metric", ["f1_macro", "absolute_error", "field_f1"])
def test_rows_of_guards_repeats_and_conversations(project: Project, metric: str) -> None:
    values: dict[str, Any] = {"absolute_error": 3, "field_f1": {"intent": "refund"}}
    project.test_set(60, input=lambda i: [{"role": "user", "content": f"question {i}"}])
    for name in ("base.jsonl", "ft.jsonl"):
        project.predictions(name, 60, wrong_at=range(40 if name[0] == "b" else 50, 60), repeats=2)
        project.predictions(name, 40, add=True, prefix="g", output="3", repeats=2)
    project.test_set(40, "guard.jsonl", prefix="g", expected=values.get(metric, "3"))
    options = {"cap": 10} if metric == "absolute_error" else {}
    metric_keys = {"name": metric, **options}
    guard = {"test_set": "guard.jsonl", "metric": metric_keys, "max_drop": 5 if options else 0.2}
    project.gate_test(repeats=2, metric="f1_macro", guards={"other": guard})
    project.run("--ftgate-report=predictions:table.jsonl")
    rows = read_jsonl(project.path / "table.jsonl")
    assert [row["guard"] for row in rows] == [None] * 120 + ["other"] * 80
    assert [row["repeat"] for row in rows[:120]] == [0] * 60 + [1] * 60
    assert rows[0]["input"] == [{"role": "user", "content": "question 0"}]
    assert rows[-1]["expected"] == values.get(metric, "3")
    assert sum(row["candidate_score"] for row in rows[:120]) == 100
    best = {"f1_macro": 1.0, "absolute_error": 0.0, "field_f1": 0.0}[metric]
    assert {row["candidate_score"] for row in rows[120:]} == {best}


def test_answers_of_a_gate_in_error_have_no_scores_and_missing_ones_no_text(
    project: Project,
) -> None:
    models = {"provider": "python", "timeout_s": 1, "retries": 0}
    project.own()
    project.file(
        "own.py", OWN.replace("def good(text): ", "def good(text): assert '17' not in text; ")
    )
    project.gate_test(
        baseline={**models, "target": "own:weak"}, candidate={**models, "target": "own:good"}
    )
    assert project.gate("--ftgate-report=predictions:table.jsonl", apart=True)["verdict"] == "error"
    rows = read_jsonl(project.path / "table.jsonl")
    assert len(rows) == 60
    assert [row["id"] for row in rows if row["candidate_answer"] is None] == ["t17"]
    assert {row["baseline_score"] for row in rows} == {None}


def test_a_session_without_answers_writes_an_empty_table_and_says_so(project: Project) -> None:
    project.gate_test(candidate="recorded:nothing.jsonl")
    project.run("--ftgate-report=predictions:table.csv")
    assert (project.path / "table.csv").read_text().splitlines() == [
        "gate,guard,repeat,id,input,expected"
    ]
    assert "no predictions of" in words(project.run("--ftgate-report=predictions:table.csv"))


def test_all_workers_write_one_table(project: Project) -> None:
    project.file(
        "test_gate.py",
        "import pytest\n"
        + "\n".join(f"{project.mark(name=n)}\ndef test_{n}(): pass\n" for n in "ab"),
    )
    project.run_apart("-n2", "--ftgate-report=predictions:table.jsonl")
    rows = read_jsonl(project.path / "table.jsonl")
    assert Counter(row["gate"] for row in rows) == {"a": 60, "b": 60}


def test_a_table_that_cannot_be_written_fails_the_session(project: Project) -> None:
    project.gate_test()
    project.file("file", "")
    result = project.run("--ftgate-report=predictions:file/table.csv")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["the predictions report could not be written: *"])


def test_the_table_is_a_test_set_of_its_own(project: Project) -> None:
    """Rows with columns ``id``, ``input`` and ``expected`` are examples."""
    project.gate_test()
    project.run("--ftgate-report=predictions:table.jsonl")
    assert load_examples(project.path / "table.jsonl").examples[3].input == "customer question 3"
