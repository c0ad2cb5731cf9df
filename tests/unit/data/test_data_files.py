"""What is the same for all formats: finding, opening, decoding and hashing a file, and choosing its format."""

import contextlib
import csv
import gzip
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import load_examples
from pytest_ftgate.errors import DataError

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROW = b'{"input": "a", "expected": "b"}\n'


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(content, name="data.jsonl", **options):
    Path(name).write_bytes(content)
    return load_examples(Path(name), **options)


def error_of(content, name="data.jsonl", **options):
    with pytest.raises(DataError) as caught:
        load(content, name, **options)
    return str(caught.value)


class TestOpening:
    def test_a_missing_file_suggests_a_near_one(self):
        Path("train.jsonl").write_bytes(ROW)
        with pytest.raises(DataError) as caught:
            load_examples(Path("trian.jsonl"))
        assert str(caught.value) == 'trian.jsonl: no such file\n  did you mean "train.jsonl"?'

    def test_a_missing_file_with_nothing_near(self):
        with pytest.raises(DataError) as caught:
            load_examples(Path("test.jsonl"))
        assert str(caught.value) == (
            "test.jsonl: no such file\n  a relative path is relative to the file in which it is written"
        )

    def test_a_missing_folder(self):
        with pytest.raises(DataError) as caught:
            load_examples(Path("data/test.jsonl"))
        assert str(caught.value) == "data/test.jsonl: no such file\n  there is no folder data either"

    def test_a_folder_names_its_files(self):
        Path("data.jsonl").mkdir()
        Path("data.jsonl/part").write_bytes(ROW)
        with pytest.raises(DataError) as caught:
            load_examples(Path("data.jsonl"))
        assert str(caught.value) == "data.jsonl: is a folder\n  name a file in it: part"

    def test_a_path_that_no_file_can_have(self):
        with pytest.raises(DataError, match="cannot be read: embedded null"):
            load_examples(Path("a\0.jsonl"))

    def test_a_file_that_fails_while_it_is_read(self, monkeypatch):
        class Broken:
            def __enter__(self):
                return self

            def __exit__(self, *args):
                pass

            def readline(self):
                raise OSError(5, "Input/output error")

        monkeypatch.setattr(Path, "open", lambda self, mode: Broken())
        with pytest.raises(DataError) as caught:
            load_examples(Path("data.jsonl"))
        assert str(caught.value) == "data.jsonl: cannot be read: Input/output error"


class TestDecoding:
    def test_an_empty_file(self):
        assert error_of(b"") == "data.jsonl: is empty"

    @pytest.mark.parametrize("content", [b"\n", b" \t\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
    def test_a_file_without_rows(self, content):
        assert error_of(content) == "data.jsonl: has no rows"

    @pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
    def test_a_byte_order_mark_is_accepted(self, name):
        content = ROW if name == "data.jsonl" else b"input,expected\na,b\n"
        assert load(b"\xef\xbb\xbf" + content, name).examples == load(content, name).examples

    @pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"", b"\n\n", b"\r\n\r\n"])
    def test_line_ends(self, ending):
        data = load(ROW.rstrip() + ending)
        assert [example.input for example in data] == ["a"]

    @pytest.mark.parametrize(
        ("encoding", "what"),
        [
            ("utf-16", "is UTF-16"),
            ("utf-32", "is UTF-32"),
            ("utf-16-le", "looks like UTF-16: every other byte is NUL"),
            ("utf-16-be", "looks like UTF-16: every other byte is NUL"),
        ],
    )
    def test_other_encodings_are_named(self, encoding, what):
        assert error_of(ROW.decode().encode(encoding)) == f"data.jsonl:1: {what}\n  save the file as UTF-8"

    def test_compressed_files_are_named(self):
        assert error_of(gzip.compress(ROW)) == "data.jsonl:1: is compressed with gzip\n  decompress the file"
        assert error_of(b"PK\x03\x04rest") == (
            "data.jsonl:1: is a ZIP archive, as spreadsheets are\n  save the data as CSV or JSONL"
        )

    def test_latin1_is_refused_with_line_and_byte(self):
        assert error_of(ROW + '{"input": "café"}\n'.encode("latin-1")) == (
            "data.jsonl:2: is not UTF-8 at byte 46\n"
            '  found: b\'{"input": "caf\\xe9"}\\n\'\n'
            "  save the file as UTF-8: it may be Windows-1252 or Latin-1"
        )

    def test_the_byte_is_counted_from_the_files_start_with_the_mark(self):
        assert "is not UTF-8 at byte 3\n" in error_of(b"\xef\xbb\xbf\xff")
        assert "is not UTF-8 at byte 6\n" in error_of(b"\xef\xbb\xbf \r\n\xff")

    @pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
    def test_a_nul_byte_is_refused(self, name):
        assert error_of(b"input,expected\nab\0c,d\n", name, format="csv") == (
            f"{name}:2: holds a NUL byte at byte 17\n  a text file holds none"
        )

    def test_a_nul_byte_far_into_the_first_line_is_no_sign_of_utf16(self):
        assert "data.jsonl:1: holds a NUL byte at byte 4\n" in error_of(b"abcd\0")

    def test_a_last_line_cut_off_within_a_character(self):
        assert error_of(ROW + '{"input": "é'.encode()[:-1]) == (
            "data.jsonl:2: the last line is cut off, in the middle of a character\n  write the file anew"
        )

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
    def test_only_line_feeds_end_lines(self, separator):
        row = json.dumps({"input": f"a{separator}b", "expected": "c"}, ensure_ascii=False).encode()
        data = load(row + b"\n" + ROW)
        assert [example.input for example in data] == [f"a{separator}b", "a"]
        assert list(data.lines or ()) == [1, 2]


class TestWholeFile:
    def test_the_hash_is_of_all_bytes_whatever_the_limit(self):
        content = b"\xef\xbb\xbf" + b"".join(b'{"input": "%d", "expected": "b"}\r\n' % n for n in range(30_000))
        digest = hashlib.sha256(content).hexdigest()
        assert load(content).sha256 == load(content, limit=2).sha256 == digest

    def test_a_limit_takes_the_first_rows_and_reads_no_further_ones(self):
        content = b'{"input": "1", "expected": "x"}\n\n{"input": "2", "expected": "x"}\nbroken\xff\n'
        data = load(content, limit=2)
        assert [example.input for example in data] == ["1", "2"]
        assert list(data.lines or ()) == [1, 3]

    def test_a_limit_beyond_the_file_takes_all_rows(self):
        assert len(load(ROW, limit=100)) == 1

    @pytest.mark.parametrize(("limit", "found"), [(0, "0"), (-1, "-1"), (True, "true"), (1.0, "1.0"), ("5", "text")])
    def test_a_limit_is_a_whole_number_from_1(self, limit, found):
        assert error_of(ROW, limit=limit) == f"data.jsonl: limit: must be a whole number from 1, is {found}"

    def test_the_path_is_shown_as_the_user_knows_it(self, tmp_path):
        Path("sub").mkdir()
        data = load(ROW, str(tmp_path / "sub" / "data.jsonl"))
        assert (data.path, data.origin) == ("sub/data.jsonl", "sub/data.jsonl")
        assert str(data.where(0, "input")) == "sub/data.jsonl:1: input"


class TestFormat:
    @pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonlines", ".json-lines", ".JSONL"])
    def test_suffixes_of_jsonl(self, suffix):
        assert load(ROW, f"data{suffix}").examples[0].expected == "b"

    @pytest.mark.parametrize(("suffix", "separator"), [(".csv", b","), (".CSV", b","), (".tsv", b"\t")])
    def test_suffixes_of_csv(self, suffix, separator):
        content = separator.join([b"input", b"expected\na", b"b\n"])
        assert load(content, f"data{suffix}").examples[0].expected == "b"

    def test_a_written_format_beats_the_suffix(self):
        assert load(b"input,expected\na,b\n", "data.jsonl", format="csv").examples[0].input == "a"
        assert load(ROW, "data.txt", format="jsonl").examples[0].input == "a"

    def test_an_unknown_suffix(self):
        assert error_of(ROW, "data.json") == (
            'data.json: the suffix ".json" does not tell the format\n'
            "  known: .jsonl, .ndjson, .jsonlines, .json-lines, .csv, .tsv\n"
            "  say which it is: format: jsonl, csv or chat"
        )

    def test_no_suffix(self):
        assert error_of(ROW, "data").startswith("data: without a suffix the format is not known\n")

    def test_an_unknown_format_suggests_the_nearest(self):
        assert error_of(ROW, format="josnl") == (
            'data.jsonl: format: there is no format "josnl"\n  known: jsonl, csv, chat\n  did you mean "jsonl"?'
        )


@UNHURRIED
@given(content=st.binary(max_size=200), name=st.sampled_from(["data.jsonl", "data.csv", "data.tsv"]))
def test_any_bytes_give_examples_or_a_data_error(tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert len(load_examples(path)) >= 1


JSON_PIECES = [
    "{",
    "}",
    '"input"',
    '"expected"',
    '"messages"',
    ":",
    ",",
    '"a"',
    "[",
    "]",
    "null",
    "1",
    "NaN",
    "\n",
    " ",
    '"',
    "\\ud83d",
]
CSV_PIECES = ["input", "expected", "id", ",", '"', "\n", "\r", "a", " ", "\t", "é"]


@UNHURRIED
@given(
    st.lists(st.sampled_from(JSON_PIECES), max_size=30).map("".join)
    | st.lists(st.sampled_from(CSV_PIECES), max_size=30).map("".join),
    st.sampled_from(["jsonl", "chat", "csv"]),
)
def test_any_nearly_right_text_gives_examples_or_a_data_error(tmp_path_factory, content, written):
    path = tmp_path_factory.getbasetemp() / "nearly"
    path.write_text("input,expected\n" * (written == "csv") + content, encoding="utf-8", newline="")
    limit_before = csv.field_size_limit()
    with contextlib.suppress(DataError):
        assert len(load_examples(path, format=written)) >= 1
    assert csv.field_size_limit() == limit_before
