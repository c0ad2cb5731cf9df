"""What is the same for all formats: finding, opening, decoding and hashing a file, and choosing its format."""

import contextlib
import hashlib
import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from pytest_ftgate.data import load_examples
from pytest_ftgate.errors import DataError

ROW = b'{"input": "a", "expected": "b"}\n'


class TestOpening:
    def test_a_file_that_fails_while_it_is_read(self, monkeypatch):
        failing = Mock(side_effect=OSError(5, "Input/output error"))
        broken = Mock(readline=failing, peek=Mock(return_value=b""))
        monkeypatch.setattr(Path, "open", lambda self, mode: contextlib.nullcontext(broken))
        with pytest.raises(DataError, match=r"^data.jsonl: .*Input/output error"):
            load_examples(Path("data.jsonl"))


class TestDecoding:
    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
    def test_only_line_feeds_end_lines(self, load, separator):
        row = json.dumps({"input": f"a{separator}b", "expected": "c"}, ensure_ascii=False).encode()
        data = load(row + b"\n" + ROW)
        assert [example.input for example in data] == [f"a{separator}b", "a"]
        assert [row.place.line for row in data] == [1, 2]


class TestWholeFile:
    def test_the_hash_is_of_all_bytes_whatever_the_limit(self, load):
        content = b"\xef\xbb\xbf" + b"".join(
            b'{"input": "%d", "expected": "b"}\r\n' % n for n in range(10_000)
        )
        digest = hashlib.sha256(content).hexdigest()
        assert load(content).sha256 == load(content, limit=2).sha256 == digest

    def test_a_limit_takes_the_first_rows_and_reads_no_further_ones(self, load):
        content = (
            b'{"input": "1", "expected": "x"}\n\n{"input": "2", "expected": "x"}\nbroken\xff\n'
        )
        data = load(content, limit=2)
        assert [example.input for example in data] == ["1", "2"]
        assert [row.place.line for row in data] == [1, 3]


class TestFormat:
    @pytest.mark.parametrize(
        "suffix", [".jsonl", ".ndjson", ".jsonlines", ".json-lines", ".JSONL", ".CSV"]
    )
    def test_suffixes(self, load, suffix):
        content = b"input,expected\na,b\n" if suffix == ".CSV" else ROW
        assert load(content, f"data{suffix}").examples[0].expected == "b"
        assert (
            load(content, "data.txt", format="csv" if suffix == ".CSV" else "jsonl")
            .examples[0]
            .expected
            == "b"
        )


@pytest.mark.parametrize(
    ("name", "where", "words"),
    [
        (
            "https://example.com/rows.jsonl",
            "https://example.com/rows.jsonl",
            ["https:// is not read", "download"],
        ),
        ("rows.xlsx", "rows.xlsx", ["Excel", "save the sheet as CSV"]),
        ("rows.pkl", "rows.pkl", ["pandas.DataFrame"]),
        ("rows.txt", "rows.txt", ["format: jsonl"]),
        ("folder", "folder", ["is a folder", "one file in it"]),
    ],
)
def test_what_is_no_data_file_says_what_to_write(name, where, words):
    Path("folder").mkdir()
    with pytest.raises(DataError) as caught:
        load_examples(Path(name))
    assert str(caught.value.where) == where
    assert [word for word in words if word not in str(caught.value)] == []


def test_columns_that_a_table_lacks_are_one_error(refused):
    error = refused(
        "Sound editor,sound\na,b\nc,d\n", ":2", 'no field "input"', "header", name="data.csv"
    )
    assert "also wrong" not in str(error)


class TestDocument:
    """A file that is one JSON object with a list of rows in it."""

    def test_the_rows_are_those_of_its_only_list(self, load):
        text = b'{"name": "x", "of": {"rows": [{"input": "a", "expected": "b"},\n{"input": "c", "expected": "d"}]}}'
        data = load(text, "data.json")
        assert [example.expected for example in data] == ["b", "d"]
        assert str(data.examples[1].place).endswith("data.json, of.rows[1]")

    def test_a_list_of_a_known_format_is_found_among_others(self, load):
        text = b'{"authors": [{"name": "x"}], "rows": [{"input": "a", "expected": "b"}]}'
        assert load(text, "data.json").examples[0].expected == "b"

    def test_a_table_of_columns_and_data(self, load):
        text = b'{"columns": ["text", "label"], "data": [["a", "b"]]}'
        assert load(text, "data.json").examples[0].expected == "b"

    def test_an_object_with_a_list_of_messages_is_a_row(self, load):
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        assert (
            load(json.dumps({"messages": turns}).encode(), "data.json").examples[0].expected == "b"
        )

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"train": [ROW], "test": [ROW]}', "2 lists of rows: train (plain), test (plain)"),
            ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "2 lists of rows: a, b"),
            ('{"a": [ROW, 1]}', "a[1] must be a JSON object"),
            ('{"columns": ["a"], "data": [[1, 2]]}', "row 0 of data"),
            ('{"a": [{"input": "x"}]}', "data.json, a[0]: no field"),
            ('{"a": [ROW], "a": []}', "duplicate key"),
        ],
    )
    def test_an_object_whose_rows_are_not_clear(self, load, text, words):
        with pytest.raises(DataError) as caught:
            load(text.replace("ROW", ROW.decode().strip()).encode(), "data.json")
        assert words in str(caught.value)


class TestYaml:
    """A file that is one YAML mapping with a list of rows in it, or the list alone."""

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            (b"# as pydantic-evals writes\ncases:\n- {inputs: a, expected_output: b}\nevaluators: []\n", "cases[0]"),
            (b"- {input: a, expected: b}\n", "rows[0]"),
            (b'{"of": [{"input": "a", "expected": "b"}]}', "of[0]"),
        ],
    )  # fmt: skip
    def test_the_rows_are_those_of_its_only_list(self, load, text, place):
        for name in ("data.yaml", "data.YML"):
            data = load(text, name)
            assert [(row.input, row.expected) for row in data] == [("a", "b")]
            assert str(data.examples[0].place) == f"{name}, {place}"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (b"", "holds no rows"),
            (b"a: b", "holds no rows"),
            (b"just text", "holds no rows"),
            (b"- {input: yes, expected: b}", "data.yaml:1: [0].input: unquoted yes"),
            (b"a: [\n", "data.yaml:2: invalid YAML"),
            (b"- {input: x, output: y}\n- {input: x}\n", "data.yaml, rows[1]: no field"),
        ],
    )
    def test_what_holds_no_rows_is_an_error_with_its_place(self, load, text, words):
        with pytest.raises(DataError) as caught:
            load(text, "data.yaml")
        assert words in str(caught.value)
