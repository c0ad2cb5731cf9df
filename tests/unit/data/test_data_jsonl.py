"""JSONL: what makes a row. What a broken one is told: tests/messages."""

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
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(TEXT, x), max_leaves=5)


class TestRows:
    @pytest.mark.parametrize(
        ("written", "read"), [(7, "7"), (-1, "-1"), ("7", "7"), (" a ", " a ")]
    )
    def test_an_id_is_text_or_an_integer(self, load, written, read):
        assert load(lines({"id": written, "input": "a", "expected": "b"})).examples[0].id == read

    @pytest.mark.parametrize(
        ("written", "read"), [(7, "7"), ("g", "g"), (None, None), ("", None), (" ", None)]
    )
    def test_a_group_is_text_or_an_integer_or_none(self, load, written, read):
        assert (
            load(lines({"group": written, "input": "a", "expected": "b"})).examples[0].group == read
        )

    def test_blank_lines_are_no_rows_and_lines_are_physical(self, load):
        data = load(GOOD + "\n \t\r\n" + GOOD.replace("a", "c", 1))
        assert [row.place.line for row in data] == [1, 4]

    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.builds(
                Example,
                id=TEXT.filter(str.strip),
                input=TEXT,
                expected=JSON.filter(lambda value: value is not None),
                group=st.none() | st.text("ab", min_size=1),
                fields=st.dictionaries(
                    st.sampled_from(["lang", "é", "x y"]), st.none() | st.integers()
                ),
            ),
            min_size=1,
            unique_by=lambda example: example.id,
        ),
        st.booleans(),
    )
    def test_what_is_written_is_read(self, tmp_path_factory, examples, ascii_only):
        path = tmp_path_factory.getbasetemp() / "round.jsonl"
        rows = [
            {"id": e.id, "input": e.input, "expected": e.expected, "group": e.group, **e.fields}
            for e in examples
        ]
        lines = [json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows]
        path.write_text("".join(lines), encoding="utf-8", newline="")
        read = load_examples(path).examples
        # 1 is not true
        assert (read, list(map(repr, read))) == (tuple(examples), list(map(repr, examples)))


def test_what_only_looks_broken_is_read(load):
    (pairs,) = load(r'{"input": "\ud83d\ude00", "expected": "\\ud83d"}')
    assert (pairs.input, pairs.expected) == ("😀", r"\ud83d")
    brackets = [[]] * 500 + ["[" * 500, json.loads("[" * 98 + "]" * 98)]
    assert load(lines({"input": "a", "expected": brackets})).examples[0].expected == brackets
    assert len(load('{"id": "x", "input": "a", "expected": "x"}\n' * 2, limit=1)) == 1


NAMES = [  # a row, what its columns are called, and the example
    ({"question": "a", "label": "b", "uid": 3, "topic": 4, "language": "en", "more": 1},
     {"input": "question", "expected": "label", "id": "uid", "group": "topic", "lang": "language"},
     Example("3", "a", "b", "4", {"more": 1, "lang": "en"})),
    # one column may serve twice
    ({"input": "a", "label": "b"}, {"expected": "label", "group": "label", "intent": "label"},
     Example(content_id("a"), "a", "b", "b", {"intent": "b"})),
    # what is mapped to another name is no group or id by its own
    ({"id": "a", "group": "b"}, {"input": "id", "expected": "group"}, Example(content_id("a"), "a", "b")),
    # a column under a mapped name stays a field
    ({"instruction": "a", "input": "context", "expected": "b"}, {"input": "instruction"},
     Example(content_id("a"), "a", "b", None, {"input": "context"})),
    ({"conversation": [USER, {"role": "assistant", "content": "A"}], "uid": "x"},
     {"messages": "conversation", "id": "uid"}, Example("x", (USER,), "A")),
    # all of a conversation may be the input
    ({"messages": [USER, USER], "label": "b"}, {"input": "messages", "expected": "label"},
     Example(content_id((USER, USER)), (USER, USER), "b")),
    # a renamed field wins over a column of its name
    ({"input": "a", "expected": "b", "lang": "x", "language": "en"}, {"lang": "language"},
     Example(content_id("a"), "a", "b", None, {"lang": "en"})),
]  # fmt: skip


@pytest.mark.parametrize(("row", "fields", "example"), NAMES)
def test_names_are_mapped_and_the_rest_are_fields(load, row, fields, example):
    assert load(lines(row), fields=fields).examples == (example,)


@pytest.mark.parametrize("further", ["group", "intent"])
def test_one_column_serves_twice_in_every_row(load, further):
    rows = [{"input": text, "label": "b"} for text in ("a", "c", "d")]
    data = load(lines(*rows), fields={"expected": "label", further: "label"})
    assert [example.group or example.fields.get("intent") for example in data] == ["b", "b", "b"]


def test_what_is_expected_may_be_absent_where_nobody_compares_with_it(load):
    content = lines({"input": "a"}, {"input": "b", "expected": None}, {"input": "c", "expected": 1})
    assert [example.expected for example in load(content, labeled=False)] == ["", "", 1]
    assert [
        example.expected for example in load("input,note\na,x\n", "data.csv", labeled=False)
    ] == [""]
    mapped = load(lines({"input": "a", "label": "x"}), fields={"expected": "label"}, labeled=False)
    assert [example.expected for example in mapped] == ["x"]
