"""Tables with typed columns: frames, data sets of Hugging Face, and Parquet files."""

import datetime
import gzip
from pathlib import Path

import numpy as np
import pytest

from pytest_ftgate.data import examples_from, load_examples
from pytest_ftgate.errors import DataError

CHAT = [
    [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "good", "tool_calls": None},
    ],
    [{"role": "user", "content": "r", "name": "Ada"}, {"role": "assistant", "content": "fine"}],
]


def read(rows, **options):
    return examples_from(rows, origin="fixture ftgate_test_set", **options)


def found(data):
    return [(example.input, example.expected) for example in data]


COLUMNS = {
    "input": ["a", "b"],
    "expected": [1, 2],
    "lang": ["en", "de"],
    "when": [datetime.datetime(2026, 1, 2)] * 2,
    "score": [1.5, None],
}


FRAMES = {
    "pandas": lambda: pytest.importorskip("pandas").DataFrame(
        {**COLUMNS, "object": [object(), b"x"]}
    ),
    "polars": lambda: pytest.importorskip("polars").DataFrame(COLUMNS),
    "lazy": lambda: pytest.importorskip("polars").DataFrame(COLUMNS).lazy(),
    "arrow": lambda: pytest.importorskip("pyarrow").table(COLUMNS),
    "hugging_face": lambda: pytest.importorskip("datasets").Dataset.from_dict(COLUMNS),
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_the_rows_of_a_frame_are_examples(make):
    table = make()
    data = read(table)
    assert found(data) == [("a", 1), ("b", 2)]
    assert [dict(example.fields) for example in data] == [
        {"lang": "en", "score": 1.5},
        {"lang": "de", "score": None},
    ]
    assert type(table).__name__ in data.recognized
    assert len(read(table, limit=1)) == 1


def test_columns_of_one_name_are_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="same name"):
        read(pandas.DataFrame([["a", "b"]], columns=["input", "input"]))


def test_a_missing_cell_is_null():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match=r"test_set\[0\].expected: .*null"):
        read(pandas.DataFrame({"input": ["a"], "expected": [float("nan")]}))


def test_scalars_and_arrays_of_numpy():
    rows = [
        {"input": np.str_("a"), "expected": np.int64(3), "x": np.array([1])},
        ("b", np.bool_(True)),
    ]
    data = read(rows)
    assert found(data) == [("a", 3), ("b", True)]
    assert data.examples[0].fields == {"x": [1]}


@pytest.fixture
def labeled():
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict(
        {"input": ["a", "b"], "expected": [1, 0], "tags": [[0], [1, 0]]}
    )
    names = datasets.ClassLabel(names=["no", "yes"])
    return data.cast_column("expected", names).cast_column("tags", datasets.Sequence(names))


@pytest.fixture
def chats():
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return datasets.Dataset.from_list([{"messages": chat} for chat in CHAT])


def write(data, form):
    """Write a data set in one of the ways that keep its types, and return what is loaded."""
    if form == "object":
        return read(data)
    data.to_parquet("data.parquet")
    if form.endswith(".gz"):
        Path(form).write_bytes(gzip.compress(Path("data.parquet").read_bytes()))
    return load_examples(Path(form))


@pytest.mark.parametrize("form", ["object", "data.parquet", "data.parquet.gz"])
class TestDataSets:
    def test_class_labels_are_names(self, labeled, form):
        data = write(labeled, form)
        assert found(data) == [("a", "yes"), ("b", "no")]
        assert data.examples[1].fields == {"tags": ["yes", "no"]}

    def test_nulls_of_messages_are_absent_keys(self, chats, form):
        first, second = write(chats, form)
        assert (first.input, first.expected) == ((CHAT[0][0],), "good")
        assert (second.input, second.expected) == ((CHAT[1][0],), "fine")


def test_an_item_of_a_file_without_lines_is_named_by_its_row(labeled):
    labeled.map(lambda row: {"expected": -1 if row["input"] == "b" else 0}).to_parquet(
        "data.parquet"
    )
    with pytest.raises(DataError, match=r"^data.parquet, row 2: expected: .*null"):
        load_examples(Path("data.parquet"))


def test_a_broken_file(refused):
    pytest.importorskip("pyarrow")
    refused(b"junk", "", "PyArrow", name="data.parquet")


def test_without_pyarrow_the_cure_installs_it(refused, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    refused(b"PAR1", "", "pip install pyarrow", name="data.parquet")
