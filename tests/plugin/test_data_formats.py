"""Gates on data as it comes: what was recognised is said, and objects stand for files."""

import pytest
from gate_project import LABELS, block, check, checks, label, write_jsonl, wrong


def rows(n, prefix="training"):
    return [(f"{prefix} question {i}", label(i)) for i in range(n)]


def test_what_was_recognised_is_said_with_what_was_left_out(project):
    def chat(asked, answer, weight):
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer, "weight": weight}]
        return {"messages": turns}

    good = [chat(asked, answer, 1) for asked, answer in rows(200)]
    write_jsonl(project.path / "train.jsonl", [*good, *(chat(asked, "BAD", 0) for asked, _ in rows(30))])
    gate = project.judge()
    assert (gate["verdict"], gate["training"]["usable"], gate["training"]["conflicts"]) == ("pass", 200, 0)
    found = check(gate, "chat_format")
    assert (found["status"], found["observed"]) == ("note", 30)
    assert "chat JSONL (OpenAI), 200 rows (30 rows left out: " in found["message"]
    assert [line for line in block(gate, verbose=True) if "chat_format" in line]


class Frame:
    """What all tables of polars have, with names that are also keys of a data file."""

    def __init__(self, rows):
        self.rows = rows

    def iter_rows(self, named):
        return iter([dict(row) for row in self.rows])

    def to_dicts(self):
        return self.rows

    def __iter__(self):
        raise TypeError("the columns, not the rows")

    def limit(self, n):
        raise NotImplementedError

    path = fields = limit


class Classifier:
    """What an estimator of scikit-learn has."""

    def __init__(self, labels):
        self.labels, self.calls = labels, 0

    def predict(self, texts):
        self.calls += 1
        return [self.labels[text] for text in texts]


@pytest.mark.parametrize("as_label", [str, LABELS.index, lambda one: one == LABELS[0]])
def test_frames_and_an_object_with_predict(project, as_label):
    tests = rows(90, "customer")
    frame = Frame([{"input": asked, "expected": as_label(answer)} for asked, answer in tests])
    training = Frame([{"prompt": asked, "completion": as_label(answer), "photo": b"x"} for asked, answer in rows(200)])
    good = Classifier({asked: as_label(answer) for asked, answer in tests})
    other = {asked: as_label(answer if i % 5 else wrong(i)) for i, (asked, answer) in enumerate(tests)}
    gate = project.judge(test_set=frame, training_set=training, baseline=lambda asked: other[asked], candidate=good)
    assert (gate["verdict"], gate["candidate"]["value"], gate["n"]) == ("pass", 1, 90)
    assert good.calls == 1
    assert "prompt/completion Frame" in check(gate, "chat_format")["message"]


@pytest.mark.parametrize("make", [list, lambda rows: pytest.importorskip("pandas").DataFrame(rows)])
def test_columns_of_objects_are_named_beside_them(project, make):
    """Their usual names need no mapping; others do, also within values."""
    tests = make([{"title": asked, "of": {"kind": answer}} for asked, answer in rows(90, "customer")])
    keys = {"path": tests, "fields": {"input": "title", "expected": "of.kind"}, "limit": 80}
    training = make([{"question": asked, "Answer": answer} for asked, answer in rows(200)])
    models = {"baseline": lambda asked: LABELS[0], "candidate": lambda asked: label(int(asked.split()[-1]))}
    gate = project.judge(test_set=keys, training_set=training, checks={"weak_baseline": "ignore"}, **models)
    assert (gate["verdict"], gate["candidate"]["value"], gate["n"]) == ("pass", 1, 80)
    assert "question/Answer" in check(gate, "chat_format")["message"]
    assert [one["observed"] for one in checks(gate, "min_test_examples")] == [80]
