"""``init --dedupe``: copies of the data without duplicates and leaks."""

import csv
import gzip
import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from gate_project import label, write_jsonl

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


def as_jsonl(path, data):
    return write_jsonl(path.with_suffix(".jsonl"), data)


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
def test_a_row_that_repeats_with_its_id_is_a_duplicate(folder, role):
    test, training = rows(60, "customer"), rows(220, "training")
    data = {"test": identified(test), "train": identified(training)}
    other = {**data[role][4], "id": "other", "expected": "other"}  # it contradicts, and a repeat of it is one too
    more = [other, data[role][0], other] if role == "train" else [data[role][0]]
    for name, one in data.items():
        as_jsonl(folder / name, [*one, *(more if name == role else ())])
    with pytest.raises(DataError, match="duplicate id"):
        write_project(print)
    assert f"{len(more) // 2 + 1} exact duplicate" in init()
    copied = [json.loads(line) for line in (folder / f"{role}.deduped.jsonl").read_text().splitlines()]
    assert copied == [*data[role], *more[: len(more) // 2]]
    assert load_examples(folder / f"{role}.deduped.jsonl")


@pytest.mark.parametrize("change", [{"input": "other"}, {"expected": "other"}, {"note": "other"}])
@pytest.mark.parametrize("role", ["test", "train"])
def test_an_id_of_two_rows_stays_an_error(folder, role, change):
    for name, prefix, n in (("test", "customer", 60), ("train", "training", 220)):
        data = identified(rows(n, prefix))
        as_jsonl(folder / name, [*data, *([data[0], {**data[0], **change}] if name == role else ())])
    with pytest.raises(DataError, match=rf'{role}.jsonl:\d+: id: duplicate id "000"'):
        init()


def test_rows_without_an_output_to_learn_stay(folder):
    as_jsonl(folder / "test", rows(60, "customer"))

    def chat(i):
        answer = {"role": "assistant", "content": label(i), "weight": (i + 1) % 2}
        return {"messages": [{"role": "user", "content": f"training question {i // 2}"}, answer]}

    training = [chat(i) for i in range(440)]
    as_jsonl(folder / "train", [*training, training[0], training[1]])
    assert "train.deduped.jsonl has the other 441 rows" in init()
    copied = [json.loads(line) for line in (folder / "train.deduped.jsonl").read_text().splitlines()]
    assert copied == [*training, training[1]]


def test_columns_of_parquet_stay_as_text(folder):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def as_parquet(name, data):
        more = {"when": datetime(2026, 1, 2, 3, 4), "day": date(2026, 1, 2), "price": Decimal("1.50")}
        more |= {"blob": b"\xff", "days": [date(2026, 1, 2)], "note": "x"}
        parquet.write_table(pyarrow.Table.from_pylist([{**one, **more} for one in data]), folder / name)

    test, training = doubled()
    as_jsonl(folder / "test", test)
    as_parquet("train.parquet", training)
    init()
    copied = [json.loads(line) for line in (folder / "train.deduped.jsonl").read_text().splitlines()]
    assert len(copied) == 222
    kept = {"when": "2026-01-02 03:04:00", "day": "2026-01-02", "price": "1.50", "days": ["2026-01-02"], "note": "x"}
    assert {**copied[0], **kept} == copied[0]


def test_warnings_name_the_copies(folder):
    test, training = doubled()
    repeat = {**test[5], "expected": "other"}  # which a gate refuses, and nobody but a person can correct
    as_jsonl(folder / "test", [test[0], *test, repeat])
    as_jsonl(folder / "train", training)
    said = init()
    with pytest.raises(DataError) as caught:
        check_test_set(load_examples(folder / "test.deduped.jsonl"))
    assert f"error: {caught.value.headline} " in said


def test_a_copy_is_never_written_over(folder):
    for name, data in zip(("test", "train"), doubled(), strict=True):
        as_jsonl(folder / name, data)
    (folder / "train.deduped.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match=r"train\.deduped\.jsonl"):
        init(force=True, test_set=Path("test.jsonl"), training_set=Path("train.jsonl"))
    assert (folder / "train.deduped.jsonl").read_text() == "mine"
    assert not (folder / "ftgate.yaml").exists()


def test_without_duplicates_the_originals_stay(folder):
    data = {"test": rows(60, "customer"), "train": rows(220, "training")}
    before = {name: as_jsonl(folder / name, one).read_bytes() for name, one in data.items()}
    assert "removed nothing" in init()
    assert 'training_set: "train.jsonl"' in (folder / "ftgate.yaml").read_text()
    assert {path.stem: path.read_bytes() for path in folder.glob("*.jsonl")} == before
