"""``init --dedupe``: copies of the data without duplicates and leaks."""

import csv
import gzip
import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from gate_project import label, read_jsonl, write_jsonl

from pytest_ftgate.checks.audit import check_test_set
from pytest_ftgate.cli.init import look, write_project
from pytest_ftgate.config import load_gate_file
from pytest_ftgate.data import load_examples
from pytest_ftgate.errors import ConfigError, DataError

LONG = "where is the parcel that I ordered {} days ago, and when will it arrive at my door?"
LOGIN = "Ann cannot log in to the shop since the update of yesterday evening, says her colleague"


def init(**wishes):
    said = []
    write_project(said.append, dedupe=True, **wishes)
    return " ".join(" ".join(said).split())


def rows(n, prefix):
    return [{"input": f"{prefix} question {i}", "expected": label(i)} for i in range(n)]


def doubled():
    """Return a test set with a repeat, and a training set with two exact and one near duplicate and two leaks."""
    test = [*rows(59, "customer"), {"input": LONG.format("three"), "expected": label(0)}]
    training = rows(220, "training")
    more = [training[0], {**training[1], "input": "Training  question 1"}]
    more += [{"input": LOGIN + end, "expected": "refund"} for end in ("", " today")]
    more += [test[3], {"input": LONG.format("three") + " Thanks", "expected": label(0)}]
    return [*test, test[0]], [*training, *more, {**training[2], "expected": "other"}]


def furnish(folder, test, training):
    write_jsonl(folder / "test.jsonl", test)
    write_jsonl(folder / "train.jsonl", training)


def as_csv(data):
    file = io.StringIO()
    writer = csv.DictWriter(file, ["input", "expected"])
    writer.writeheader()
    writer.writerows({**one, "input": one["input"].replace("question", "question,\n")} for one in data)
    return file.getvalue()


FILES = {
    ".jsonl": lambda data: json.dumps({key: [one[key] for one in data] for key in data[0]}),  # columns
    ".json": json.dumps,
    ".csv": as_csv,
    ".jsonl.gz": lambda data: "".join(json.dumps(one) + "\n" for one in data),
}


@pytest.mark.parametrize("suffix", FILES)
def test_cleaned_copies_are_written_beside_the_originals(folder, suffix):
    before = {}
    for name, data in zip(("test", "train"), doubled(), strict=True):
        content = FILES[suffix](data).encode()
        before[folder / f"{name}{suffix}"] = gzip.compress(content) if suffix.endswith("gz") else content
    for path, content in before.items():
        path.write_bytes(content)
    said = init()
    assert {path: path.read_bytes() for path in before} == before
    assert "1 exact duplicate: test.deduped.jsonl has the other 60 rows" in said
    assert "2 exact duplicates, 1 near duplicate, 2 leaked rows" in said
    assert "train.deduped.jsonl has the other 222 rows" in said
    assert "train on train.deduped.jsonl" in said
    keys = load_gate_file(folder / "ftgate.yaml").root.value["gates"]["finetune"]
    assert (keys["test_set"], keys["training_set"]) == ("test.deduped.jsonl", "train.deduped.jsonl")
    survey = look(folder / keys["test_set"], folder / keys["training_set"], {})
    assert (len(survey.test.data), survey.audit.rows) == (60, 222)
    assert (survey.audit.duplicates, survey.audit.conflicts) == (1, 1)  # a contradiction is for a person
    assert survey.audit.near_rows == survey.audit.leaked_rows == survey.audit.leaked_near_rows == ()


def identified(data):
    return [{"id": f"{i:03}", **one} for i, one in enumerate(data)]


@pytest.mark.parametrize("role", ["test", "train"])
def test_a_row_that_repeats_with_its_id_is_a_duplicate_and_another_row_with_it_an_error(folder, role):
    data = {"test": identified(rows(60, "customer")), "train": identified(rows(220, "training"))}
    own = data[role]
    other = {**own[4], "id": "other", "expected": "other"}  # it contradicts, and a repeat of it is one too
    more = [other, own[0], other] if role == "train" else [own[0]]
    furnish(folder, data["test"], data["train"])
    for change in ({"input": "other"}, {"expected": "other"}, {"note": "other"}):
        write_jsonl(folder / f"{role}.jsonl", [*own, own[0], {**own[0], **change}])
        with pytest.raises(DataError, match=rf'{role}.jsonl:\d+: id: duplicate id "000"'):
            init()
    write_jsonl(folder / f"{role}.jsonl", [*own, *more])
    with pytest.raises(DataError, match="duplicate id"):
        write_project(print)
    assert f"{len(more) // 2 + 1} exact duplicate" in init()
    assert read_jsonl(folder / f"{role}.deduped.jsonl") == [*own, *more[: len(more) // 2]]
    assert load_examples(folder / f"{role}.deduped.jsonl")


def test_rows_without_an_output_to_learn_stay(folder):
    def chat(i):
        answer = {"role": "assistant", "content": label(i), "weight": (i + 1) % 2}
        return {"messages": [{"role": "user", "content": f"training question {i // 2}"}, answer]}

    training = [chat(i) for i in range(440)]
    furnish(folder, rows(60, "customer"), [*training, training[0], training[1]])
    assert "train.deduped.jsonl has the other 441 rows" in init()
    assert read_jsonl(folder / "train.deduped.jsonl") == [*training, training[1]]


def test_columns_of_parquet_stay_as_text(folder):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    more = {"when": datetime(2026, 1, 2, 3, 4), "day": date(2026, 1, 2), "price": Decimal("1.50")}
    more |= {"blob": b"\xff", "days": [date(2026, 1, 2)], "note": "x"}
    test, training = doubled()
    write_jsonl(folder / "test.jsonl", test)
    parquet.write_table(pyarrow.Table.from_pylist([{**one, **more} for one in training]), folder / "train.parquet")
    init()
    copied = read_jsonl(folder / "train.deduped.jsonl")
    assert len(copied) == 222
    kept = {"when": "2026-01-02 03:04:00", "day": "2026-01-02", "price": "1.50", "days": ["2026-01-02"], "note": "x"}
    assert {**copied[0], **kept} == copied[0]


def test_warnings_name_the_copies(folder):
    test, training = doubled()
    repeat = {**test[5], "expected": "other"}  # which a gate refuses, and nobody but a person can correct
    furnish(folder, [test[0], *test, repeat], training)
    said = init()
    with pytest.raises(DataError) as caught:
        check_test_set(load_examples(folder / "test.deduped.jsonl"))
    assert f"error: {caught.value.headline} " in said


def test_a_copy_is_never_written_over(folder):
    furnish(folder, *doubled())
    (folder / "train.deduped.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match=r"train\.deduped\.jsonl"):
        init(force=True, test_set=Path("test.jsonl"), training_set=Path("train.jsonl"))
    assert (folder / "train.deduped.jsonl").read_text() == "mine"
    assert not (folder / "ftgate.yaml").exists()


def test_without_duplicates_the_originals_stay(folder):
    furnish(folder, rows(60, "customer"), rows(220, "training"))
    assert "removed nothing" in init()
    assert 'training_set: "train.jsonl"' in (folder / "ftgate.yaml").read_text()
    assert {path.name for path in folder.glob("*.jsonl")} == {"test.jsonl", "train.jsonl"}
