"""What is the same for all formats: finding, opening, decoding and hashing a file, and choosing its format."""

import contextlib
import gzip
import hashlib
import json
from pathlib import Path

import pytest

from pytest_ftgate.data import load_examples
from pytest_ftgate.errors import DataError

ROW = b'{"input": "a", "expected": "b"}\n'


class TestOpening:
    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("trian.jsonl", ["no such file", '"train.jsonl"']),
            ("zzzzzzzzzz.csv", ["no such file", "relative"]),
            ("data/test.jsonl", ["no such file", "relative"]),
            *(
                (f"{url}//host/a{end}", ["no such file", f"{url}//"])
                for url in ("https:", "s3:")
                for end in ("", ".csv")
            ),
            ("PolyAI/banking77", ["no such file", "hub", "Dataset"]),
            ("folder.jsonl", ["directory"]),
            ("a\0.jsonl", ["null"]),
        ],
    )
    def test_what_is_no_file_is_refused_with_what_is_near(self, path, words):
        Path("train.jsonl").write_bytes(ROW)
        Path("folder.jsonl").mkdir()
        Path("folder.jsonl/part").write_bytes(ROW)
        with pytest.raises(DataError) as caught:
            load_examples(Path(path))
        assert [word for word in words if word not in str(caught.value)] == []

    def test_a_file_that_fails_while_it_is_read(self, monkeypatch):
        class Broken(contextlib.nullcontext):
            def __enter__(self):
                return self

            def readline(self):
                raise OSError(5, "Input/output error")

        monkeypatch.setattr(Path, "open", lambda self, mode: Broken())
        with pytest.raises(DataError, match=r"^data.jsonl: .*Input/output error"):
            load_examples(Path("data.jsonl"))


class TestDecoding:
    @pytest.mark.parametrize("content", [b"", b"\n", b" \t\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
    def test_a_file_without_rows(self, refused, content):
        refused(content, "")

    @pytest.mark.parametrize(
        ("content", "place", "words"),
        [
            *(
                (ROW.decode().encode(encoding), ":1", ["UTF-16", "UTF-8"])
                for encoding in ("utf-16", "utf-16-le", "utf-16-be")
            ),
            (gzip.compress(ROW, mtime=0), ":1", ["byte 1", "compressed"]),
            (ROW + '{"input": "café"}\n'.encode("latin-1"), ":2", ["byte 46", "caf\\xe9", "Latin-1"]),
            # the byte is counted from the file's start, with the mark
            (b"\xef\xbb\xbf\xff", ":1", ["byte 3"]),
            (b"\xef\xbb\xbf \r\n\xff", ":2", ["byte 6"]),
            (b"abcd\0", ":1", ["NUL", "byte 4"]),  # far into the first line it is no sign of UTF-16
        ],
    )
    def test_other_encodings_are_named_with_line_and_byte(self, refused, content, place, words):
        refused(content, place, *words)

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
    def test_only_line_feeds_end_lines(self, load, separator):
        row = json.dumps({"input": f"a{separator}b", "expected": "c"}, ensure_ascii=False).encode()
        data = load(row + b"\n" + ROW)
        assert [example.input for example in data] == [f"a{separator}b", "a"]
        assert [one.place.line for one in data] == [1, 2]


class TestWholeFile:
    def test_the_hash_is_of_all_bytes_whatever_the_limit(self, load):
        content = b"\xef\xbb\xbf" + b"".join(b'{"input": "%d", "expected": "b"}\r\n' % n for n in range(10_000))
        digest = hashlib.sha256(content).hexdigest()
        assert load(content).sha256 == load(content, limit=2).sha256 == digest

    def test_a_limit_takes_the_first_rows_and_reads_no_further_ones(self, load):
        content = b'{"input": "1", "expected": "x"}\n\n{"input": "2", "expected": "x"}\nbroken\xff\n'
        data = load(content, limit=2)
        assert [example.input for example in data] == ["1", "2"]
        assert [one.place.line for one in data] == [1, 3]


class TestFormat:
    @pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonlines", ".json-lines", ".JSONL", ".CSV"])
    def test_suffixes(self, load, suffix):
        content = b"input,expected\na,b\n" if suffix == ".CSV" else ROW
        assert load(content, f"data{suffix}").examples[0].expected == "b"
        assert load(content, "data.txt", format="csv" if suffix == ".CSV" else "jsonl").examples[0].expected == "b"

    @pytest.mark.parametrize(
        ("name", "options", "place", "words"),
        [
            ("data.xlsx", {}, "", ['".xlsx"', ".ndjson", ".tsv", "jsonl, json, csv", ".gz"]),
            ("data", {}, "", ["suffix"]),
            ("data.jsonl", {"format": "josnl"}, ": format", ["jsonl, json, csv", "preference", '"jsonl"']),
        ],
    )
    def test_an_unknown_suffix_or_format(self, refused, name, options, place, words):
        refused(ROW, place, *words, name=name, **options)
