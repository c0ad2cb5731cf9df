"""JSONL: what makes a row, and what each broken one is told."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import Example, content_id, load_examples

USER = {"role": "user", "content": "u"}
GOOD = '{"input": "a", "expected": "b"}\n'


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(TEXT, x), max_leaves=5)


class TestRows:
    @pytest.mark.parametrize(("written", "read"), [(7, "7"), (-1, "-1"), ("7", "7"), (" a ", " a ")])
    def test_an_id_is_text_or_an_integer(self, load, written, read):
        assert load(lines({"id": written, "input": "a", "expected": "b"})).examples[0].id == read

    @pytest.mark.parametrize(("written", "read"), [(7, "7"), ("g", "g"), (None, None), ("", None), (" ", None)])
    def test_a_group_is_text_or_an_integer_or_none(self, load, written, read):
        assert load(lines({"group": written, "input": "a", "expected": "b"})).examples[0].group == read

    def test_blank_lines_are_no_rows_and_lines_are_physical(self, load):
        data = load(GOOD + "\n \t\r\n" + GOOD.replace("a", "c", 1))
        assert [one.place.line for one in data] == [1, 4]

    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.builds(
                Example,
                id=TEXT.filter(str.strip),
                input=TEXT,
                expected=JSON.filter(lambda value: value is not None),
                group=st.none() | st.text("ab", min_size=1),
                fields=st.dictionaries(st.sampled_from(["lang", "é", "x y"]), st.none() | st.integers()),
            ),
            min_size=1,
            unique_by=lambda example: example.id,
        ),
        st.booleans(),
    )
    def test_what_is_written_is_read(self, tmp_path_factory, examples, ascii_only):
        path = tmp_path_factory.getbasetemp() / "round.jsonl"
        rows = [{"id": e.id, "input": e.input, "expected": e.expected, "group": e.group, **e.fields} for e in examples]
        lines = [json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows]
        path.write_text("".join(lines), encoding="utf-8", newline="")
        read = load_examples(path).examples
        assert (read, list(map(repr, read))) == (tuple(examples), list(map(repr, examples)))  # 1 is not true


BROKEN = [  # content, place, and what a user needs to read
    (GOOD + "\n{'input': 'a'}\n", ":3", ["column 2", "{'input': 'a'}"]),
    *(
        (GOOD + rest, ":2", ["invalid JSON", rest])
        for rest in (
            *('{"input": "abc', '{"input"', '{"input": tr', "{", '{"input": "a", "x": {"x": 1}', '{"input": "a}'),
        )
    ),
    *((GOOD + last, ":2", ["JSON"]) for last in ('{"input": a}', "not json", '{"input": "abc\n', '{"input": 1,}')),
    (GOOD.replace("\n", "\r") * 2, ":1", ["Extra data"]),
    *((row, ":1", [kind]) for row, kind in (("[[1]]", "list"), ("3", "number"), ('"a"', "text"), ("null", "null"))),
    *((f'{{"input": "a", "expected": {value}}}', ":1", [value]) for value in ("NaN", "Infinity", "-Infinity", "1e999")),
    ('{"input": "a", "expected": ' + "1" * 5000 + "}", ":1", ["digits"]),
    *(
        (GOOD + row, ":2: input", ["duplicate"])
        for row in ('{"input": "a", "input": "b", "expected": "c"}', '{"x": [{"input": 1, "input": 1}]}')
    ),
    *(
        (row.replace("HALF", half), ":1", ["surrogate"])
        for half in ("\\ud83d", "\\uDE00", "\\uDE00\\ud83d")
        for row in ('{"input": "HALF", "expected": "b"}', '{"input": "a", "expected": [{"HALF": 1}]}')
    ),
    *(
        ('{"input": "a", "expected": ' + "[" * depth + "]" * depth + "}", ":1", ["100"])
        for depth in (100, 5_000, 200_000)
    ),
    # wrong values
    *(
        (lines({"input": value, "expected": "b"}), ":1: input", [kind])
        for value, kind in ((3, "number"), (None, "null"), (True, "true"), ({"a": 1}, "object"))
    ),
    (lines({"input": "a", "expected": None}), ":1: expected", ["null"]),
    *(
        (lines({key: value, "input": "a", "expected": "b"}), f":1: {key}", [kind])
        for key in ("id", "group")
        for value, kind in ((True, "true"), (1.5, "number"), ([], "list"), ({}, "object"))
    ),
    (lines({"id": None, "input": "a", "expected": "b"}), ":1: id", ["null"]),
    *((lines({"id": blank, "input": "a", "expected": "b"}), ":1: id", ["blank"]) for blank in ("", " \t")),
    # several wrong rows: each is named, or at least counted
    (GOOD + "oops\n" + lines({"input": 3, "expected": "b"}), ":2", ["JSON", "data.jsonl:3: input", "number"]),
    (GOOD + "oops\n" * 7, ":2", ["data.jsonl:3", "data.jsonl:5", "3 more"]),
    (lines({"id": "x", "input": "a", "expected": "b"}) * 3, ":2: id", ["data.jsonl:3: id"]),
    # repeated ids: both lines are named, whether written or made from the content
    ('{"id": 1, "input": "a", "expected": "x"}\n\n{"id": "1", "input": "b", "expected": "x"}\n', ":3: id",
     ['"1"', "line 1"]),
    ('{"id": "x", "input": "a", "expected": "x"}\n' * 2, ":2: id", ["line 1"]),
    (GOOD + lines({"id": content_id("a"), "input": "other", "expected": "x"}), ":2: id", ["line 1"]),
    (lines({"id": content_id("a"), "input": "other", "expected": "x"}) + GOOD, ":2: id", ["line 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "place", "words"), BROKEN, ids=[f"{row[0][-40:]!a}" for row in BROKEN])
def test_a_broken_row_is_refused_with_its_place(refused, content, place, words):
    refused(content, place, *words)


def test_what_only_looks_broken_is_read(load):
    (pairs,) = load(r'{"input": "\ud83d\ude00", "expected": "\\ud83d"}')
    assert (pairs.input, pairs.expected) == ("😀", r"\ud83d")
    brackets = [[]] * 500 + ["[" * 500, json.loads("[" * 98 + "]" * 98)]
    assert load(lines({"input": "a", "expected": brackets})).examples[0].expected == brackets
    assert len(load('{"id": "x", "input": "a", "expected": "x"}\n' * 2, limit=1)) == 1


class TestFieldNames:
    @pytest.mark.parametrize(
        ("row", "fields", "example"),
        [
            (
                {"question": "a", "label": "b", "uid": 3, "topic": 4, "language": "en", "more": 1},
                {"input": "question", "expected": "label", "id": "uid", "group": "topic", "lang": "language"},
                Example("3", "a", "b", "4", {"more": 1, "lang": "en"}),
            ),
            (  # one column may serve twice
                {"input": "a", "label": "b"},
                {"expected": "label", "group": "label", "intent": "label"},
                Example(content_id("a"), "a", "b", "b", {"intent": "b"}),
            ),
            (  # what is mapped to another name is no group or id by its own
                {"id": "a", "group": "b"},
                {"input": "id", "expected": "group"},
                Example(content_id("a"), "a", "b"),
            ),
            (  # a column under a mapped name stays a field
                {"instruction": "a", "input": "context", "expected": "b"},
                {"input": "instruction"},
                Example(content_id("a"), "a", "b", None, {"input": "context"}),
            ),
            (
                {"conversation": [USER, {"role": "assistant", "content": "A"}], "uid": "x"},
                {"messages": "conversation", "id": "uid"},
                Example("x", (USER,), "A"),
            ),
            (  # all of a conversation may be the input
                {"messages": [USER, USER], "label": "b"},
                {"input": "messages", "expected": "label"},
                Example(content_id((USER, USER)), (USER, USER), "b"),
            ),
            (  # a renamed field wins over a column of its name
                {"input": "a", "expected": "b", "lang": "x", "language": "en"},
                {"lang": "language"},
                Example(content_id("a"), "a", "b", None, {"lang": "en"}),
            ),
        ],
    )
    def test_names_are_mapped_and_the_rest_are_fields(self, load, row, fields, example):
        assert load(lines(row), fields=fields).examples == (example,)

    @pytest.mark.parametrize(
        ("row", "mapping"),
        [
            ({"question": "a", "label": "b"}, "{input: question, expected: label}"),
            ({"inputs": "a", "Expected": "b"}, "{input: inputs, expected: Expected}"),
            ({"prompt": "a", "answer": "b"}, "{input: prompt, expected: answer}"),
            ({"foo": "a", "output": "b"}, "{input: NAME, expected: output}"),
            ({"foo": "a", "bar": "b"}, "{input: NAME, expected: NAME}"),
            ({"input": "a", "answer text": "b"}, "{expected: NAME}"),
            ({"input": "a", " expected": "b"}, '{expected: " expected"}'),
        ],
    )
    def test_absent_fields_suggest_a_mapping(self, refused, row, mapping):
        absent = [f'"{name}"' for name in ("input", "expected") if name not in row]
        found = [name if name.strip() == name and " " not in name else f'"{name}"' for name in row]
        refused(GOOD + lines(row), ":2", *absent, ", ".join(found), f"fields: {mapping}")

    @pytest.mark.parametrize("ours", ["input", "id", "group", "lang"])
    def test_a_mapped_column_must_be_in_every_row(self, refused, ours):
        mapped = {"input": "a", "expected": "b", "column": "c"}
        content = lines(mapped, {"input": "a", "expected": "b", "colum": "c"})
        refused(content, ":2", '"column"', f'"{ours}"', f"fields: {{{ours}: colum}}", fields={ours: "column"})

    def test_one_column_is_suggested_once(self, refused):
        fields = {"input": "questions", "expected": "question"}
        refused('{"quest": "a"}', ":1", "fields: {input: quest, expected: NAME}", fields=fields)


# --- examples that need not say what is expected -------------------------------------------------------------


def test_what_is_expected_may_be_absent_where_nobody_compares_with_it(load, refused):
    content = lines({"input": "a"}, {"input": "b", "expected": None}, {"input": "c", "expected": 1})
    assert [example.expected for example in load(content, labeled=False)] == ["", "", 1]
    refused('{"input": "a"}\n', ":1", '"expected"')
    table = "input,note\na,x\nb,y\n"
    assert [example.expected for example in load(table, "data.csv", labeled=False)] == ["", ""]
    refused(table, ":2", '"expected"', name="data.csv")


def test_a_column_that_was_mapped_must_be_there_all_the_same(load, refused):
    asked = {"fields": {"expected": "label"}, "labeled": False}
    assert [example.expected for example in load(lines({"input": "a", "label": "x"}), **asked)] == ["x"]
    refused('{"input": "a"}\n', ":1", '"label"', **asked)
