"""Gates on data as it comes: what was recognized is said, and objects stand for files."""

from types import SimpleNamespace

import pytest
from gate_project import LABELS, block, check, checks, label, write_jsonl, wrong


def rows(n, prefix="training"):
    return [(f"{prefix} question {i}", label(i)) for i in range(n)]


def test_what_was_recognised_is_said_with_what_was_left_out(project):
    def chat(question, answer, weight):
        turns = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer, "weight": weight},
        ]
        return {"messages": turns}

    good = [chat(question, answer, 1) for question, answer in rows(200)]
    write_jsonl(
        project.path / "train.jsonl",
        [*good, *(chat(question, "BAD", 0) for question, _ in rows(30))],
    )
    gate = project.judge()
    assert (gate["verdict"], gate["training"]["usable"], gate["training"]["conflicts"]) == (
        "pass",
        200,
        0,
    )
    finding = check(gate, "chat_format")
    assert (finding["status"], finding["observed"]) == ("note", 30)
    assert "chat JSONL (OpenAI), 200 rows (30 rows left out, " in finding["message"]
    assert [line for line in block(gate, verbose=True) if "chat_format" in line]


@pytest.mark.parametrize(
    "as_label", [str, LABELS.index, lambda label_value: label_value == LABELS[0]]
)
def test_frames_and_an_object_with_predict(project, as_label):
    frame, tests, calls = pytest.importorskip("polars").DataFrame, rows(90, "customer"), []
    expected_by_input = {question: as_label(answer) for question, answer in tests}
    test_set = frame(
        [{"input": question, "expected": answer} for question, answer in expected_by_input.items()]
    )
    training = frame(
        [
            {"prompt": question, "completion": as_label(answer), "photo": b"x"}
            for question, answer in rows(200)
        ]
    )
    good = SimpleNamespace(
        predict=lambda texts: calls.append(1) or [expected_by_input[text] for text in texts]
    )
    candidate_answers = {
        question: as_label(answer if i % 5 else wrong(i))
        for i, (question, answer) in enumerate(tests)
    }
    gate = project.judge(
        test_set=test_set,
        training_set=training,
        baseline=lambda question: candidate_answers[question],
        candidate=good,
    )
    assert (gate["verdict"], gate["candidate"]["value"], gate["n"]) == ("pass", 1, 90)
    assert calls == [1]
    assert "prompt/completion DataFrame" in check(gate, "chat_format")["message"]


@pytest.mark.parametrize("make", [list, lambda rows: pytest.importorskip("pandas").DataFrame(rows)])
def test_columns_of_objects_are_named_beside_them(project, make):
    """Their usual names need no mapping; others do, also within values."""
    tests = make(
        [{"title": question, "of": {"kind": answer}} for question, answer in rows(90, "customer")]
    )
    keys = {"path": tests, "fields": {"input": "title", "expected": "of.kind"}, "limit": 80}
    training = make([{"question": question, "Answer": answer} for question, answer in rows(200)])
    models = {
        "baseline": lambda question: LABELS[0],
        "candidate": lambda question: label(int(question.split()[-1])),
    }
    gate = project.judge(
        test_set=keys, training_set=training, checks={"weak_baseline": "ignore"}, **models
    )
    assert (gate["verdict"], gate["candidate"]["value"], gate["n"]) == ("pass", 1, 80)
    assert "question/Answer" in check(gate, "chat_format")["message"]
    assert [check["observed"] for check in checks(gate, "min_test_examples")] == [80]


def test_a_table_of_arrow_is_a_test_set(project):
    columns = zip(*rows(60, "customer"), strict=True)
    table = pytest.importorskip("pyarrow").table(list(columns), names=["input", "expected"])
    models = {
        "baseline": lambda asked: LABELS[0],
        "candidate": lambda asked: label(int(asked.split()[-1])),
    }
    gate = project.judge(test_set=table, checks={"weak_baseline": "ignore"}, **models)
    assert (gate["verdict"], gate["n"]) == ("pass", 60)


def test_leaked_rows_of_objects_are_named_by_their_index(project):
    tests = rows(60, "customer")
    gate = project.judge(test_set=tests, training_set=[*rows(200), tests[14]])
    assert "test_set[14] = training_set[200]" in check(gate, "leaked")["message"]
