"""JSONL: what makes a row, and what each broken one is told."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import Example, content_id, load_examples
from pytest_ftgate.errors import DataError

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

GOOD = '{"input": "a", "expected": "b"}\n'


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(text, **options):
    Path("data.jsonl").write_text(text, encoding="utf-8", newline="")
    return load_examples(Path("data.jsonl"), **options)


def load_rows(*rows, **options):
    return load("".join(json.dumps(row) + "\n" for row in rows), **options)


def error_of(text, **options):
    with pytest.raises(DataError) as caught:
        load(text, **options)
    return str(caught.value)


def error_of_row(row, **options):
    return error_of(json.dumps(row), **options)


class TestRows:
    def test_a_row_becomes_an_example(self):
        data = load_rows({"id": "x", "input": "a", "expected": "b", "group": "g", "lang": "en", "n": [1, None]})
        assert data.examples == (Example("x", "a", "b", "g", {"lang": "en", "n": [1, None]}),)

    def test_an_id_is_made_from_the_content_where_absent(self):
        data = load(GOOD)
        assert data.examples[0].id == content_id("a")
        assert data.examples[0].fields == {}

    @pytest.mark.parametrize("expected", ["", "text", 0, 1.5, True, False, [], ["a"], {"a": {"b": None}}])
    def test_expected_is_any_json_value_but_null(self, expected):
        found = load_rows({"input": "a", "expected": expected}).examples[0].expected
        assert (found, type(found)) == (expected, type(expected))

    @pytest.mark.parametrize(("written", "read"), [(7, "7"), (-1, "-1"), ("7", "7"), (" a ", " a ")])
    def test_an_id_is_text_or_an_integer(self, written, read):
        assert load_rows({"id": written, "input": "a", "expected": "b"}).examples[0].id == read

    @pytest.mark.parametrize(("written", "read"), [(7, "7"), ("g", "g"), (None, None), ("", None), (" ", None)])
    def test_a_group_is_text_or_an_integer_or_none(self, written, read):
        assert load_rows({"group": written, "input": "a", "expected": "b"}).examples[0].group == read

    def test_blank_lines_are_no_rows_and_lines_are_physical(self):
        data = load(GOOD + "\n \t\r\n" + GOOD.replace("a", "c", 1))
        assert list(data.lines or ()) == [1, 4]

    def test_equal_inputs_may_repeat_where_ids_are_made(self):
        assert len(load(GOOD + GOOD)) == 2

    def test_messages_beside_an_input_are_a_field(self):
        data = load_rows({"input": "a", "expected": "b", "messages": [1]})
        assert data.examples[0].fields == {"messages": [1]}

    @UNHURRIED
    @given(
        st.lists(
            st.builds(
                Example,
                id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
                input=st.text(st.characters(exclude_categories=["Cs"])),
                expected=st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.lists(st.booleans()),
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
        assert load_examples(path).examples == tuple(examples)


class TestBrokenJson:
    def test_the_place_and_an_excerpt_are_given(self):
        assert error_of(GOOD + "\n{'input': 'a'}\n") == (
            "data.jsonl:3: is not JSON: Expecting property name enclosed in double quotes at column 2\n"
            "  found: {'input': 'a'}\n"
            "  JSONL has one whole JSON object on each line"
        )

    @pytest.mark.parametrize(
        "rest",
        ['{"input": "abc', '{"input"', '{"input": tr', "{", '{"input": "a", "expected": {"x": 1}', '{"input": "a}'],
    )
    def test_a_cut_off_last_line_is_named_so(self, rest):
        assert error_of(GOOD + rest) == (
            "data.jsonl:2: the last line is cut off: its JSON object does not end\n"
            f"  found: {rest}\n"
            "  write the file anew, or remove the line"
        )

    @pytest.mark.parametrize("last", ['{"input": a}', "not json", '{"input": "abc\n', '{"input": 1,}'])
    def test_other_broken_last_lines_are_not(self, last):
        assert "data.jsonl:2: is not JSON: " in error_of(GOOD + last)

    def test_an_array_over_many_lines(self):
        assert error_of('[\n{"input": "a", "expected": "b"}\n]\n') == (
            "data.jsonl:1: is not JSON: Expecting value at column 3\n"
            "  found: [\n"
            "  this looks like one JSON array: write each of its objects on a line of its own"
        )

    def test_carriage_returns_alone(self):
        assert error_of(GOOD.replace("\n", "\r") * 2).endswith(
            "\n  the lines end in carriage returns alone: end them with line feeds"
        )

    @pytest.mark.parametrize(
        ("row", "kind"), [("[1]", "a list"), ("3", "a number"), ('"a"', "text"), ("null", "null"), ("true", "true")]
    )
    def test_a_row_is_an_object(self, row, kind):
        assert error_of(row) == (
            f"data.jsonl:1: a row must be a JSON object, is {kind}\n"
            f"  found: {row}\n"
            '  a row looks like this: {"input": "...", "expected": "..."}'
        )

    @pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
    def test_constants_that_json_does_not_have(self, constant):
        assert error_of(f'{{"input": "a", "expected": {constant}}}') == (
            f"data.jsonl:1: {constant} is not a JSON value\n  write a number, or null where there is none"
        )

    def test_numbers_that_become_infinite(self):
        assert error_of('{"input": "a", "expected": 1e999}') == (
            "data.jsonl:1: the number 1e999 is too large\n  write it as text"
        )

    def test_integers_with_too_many_digits(self):
        assert error_of('{"input": "a", "expected": ' + "1" * 5000 + "}") == (
            "data.jsonl:1: holds a number with too many digits\n  write it as text"
        )

    @pytest.mark.parametrize(
        "row", ['{"input": "a", "input": "b", "expected": "c"}', '{"x": [{"input": 1, "input": 1}]}']
    )
    def test_a_key_given_twice(self, row):
        assert error_of(GOOD + row) == (
            "data.jsonl:2: input: the key is given twice in one object\n  keep one of the two"
        )

    @pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\uDE00\\ud83d"])
    @pytest.mark.parametrize("row", ['{"input": "HALF", "expected": "b"}', '{"input": "a", "expected": [{"HALF": 1}]}'])
    def test_half_a_surrogate_pair(self, row, half):
        message = error_of(row.replace("HALF", half))
        assert message.startswith("data.jsonl:1: holds half a surrogate pair, not a character\n  found: ")
        assert message.endswith("\n  an emoji was cut in half: correct the text")

    def test_whole_pairs_and_escaped_backslashes_are_fine(self):
        data = load(r'{"input": "\ud83d\ude00", "expected": "\\ud83d"}')
        assert (data.examples[0].input, data.examples[0].expected) == ("😀", r"\ud83d")

    @pytest.mark.parametrize("depth", [100, 5_000, 200_000])
    def test_nesting_has_an_end(self, depth):
        assert error_of('{"input": "a", "expected": ' + "[" * depth + "]" * depth + "}") == (
            "data.jsonl:1: is nested more than 100 levels deep"
        )

    def test_many_brackets_are_no_nesting(self):
        expected = [[]] * 500 + ["[" * 500]
        assert load_rows({"input": "a", "expected": expected}).examples[0].expected == expected


class TestWrongValues:
    @pytest.mark.parametrize(
        ("value", "kind"), [(3, "a number"), (None, "null"), (True, "true"), ({"a": 1}, "an object")]
    )
    def test_an_input_is_text_or_messages(self, value, kind):
        assert error_of_row({"input": value, "expected": "b"}) == (
            f"data.jsonl:1: input: must be text or a list of messages, is {kind}"
        )

    def test_expected_null(self):
        assert error_of_row({"input": "a", "expected": None}) == (
            "data.jsonl:1: expected: is null: an example needs an expected output\n"
            '  write the output, or "" where no text is expected'
        )

    @pytest.mark.parametrize("key", ["id", "group"])
    @pytest.mark.parametrize(("value", "kind"), [(True, "true"), (1.5, "a number"), ([], "a list"), ({}, "an object")])
    def test_ids_and_groups_of_another_type(self, key, value, kind):
        assert error_of_row({key: value, "input": "a", "expected": "b"}) == (
            f"data.jsonl:1: {key}: must be text or an integer, is {kind}"
        )

    def test_an_id_of_null(self):
        assert "id: must be text or an integer, is null" in error_of_row({"id": None, "input": "a", "expected": "b"})

    @pytest.mark.parametrize("blank", ["", " \t"])
    def test_a_blank_id(self, blank):
        assert error_of_row({"id": blank, "input": "a", "expected": "b"}) == (
            "data.jsonl:1: id: is blank\n  write an id, or leave it out of all rows and ids are made from the inputs"
        )


class TestRepeatedIds:
    def test_both_lines_are_named(self):
        rows = '{"id": 1, "input": "a", "expected": "x"}\n\n{"id": "1", "input": "b", "expected": "x"}\n'
        assert error_of(rows) == (
            'data.jsonl:3: id: the id "1" repeats: line 1 has it too\n'
            "  correct it, or leave ids out of all rows: they are then made from the inputs"
        )

    def test_even_with_the_same_input(self):
        assert "repeats: line 1" in error_of('{"id": "x", "input": "a", "expected": "x"}\n' * 2)

    def test_an_id_that_another_rows_content_makes(self):
        row = {"id": content_id("a"), "input": "other", "expected": "x"}
        assert "data.jsonl:2: id: " in error_of(GOOD + json.dumps(row))
        assert "data.jsonl:2: id: " in error_of(json.dumps(row) + "\n" + GOOD)

    def test_rows_beyond_the_limit_do_not_count(self):
        assert len(load('{"id": "x", "input": "a", "expected": "x"}\n' * 2, limit=1)) == 1


class TestFieldNames:
    def test_names_are_mapped_and_the_rest_are_fields(self):
        data = load_rows(
            {"question": "a", "label": "b", "uid": 3, "topic": 4, "language": "en", "more": 1},
            fields={"input": "question", "expected": "label", "id": "uid", "group": "topic", "lang": "language"},
        )
        assert data.examples == (Example("3", "a", "b", "4", {"more": 1, "lang": "en"}),)

    def test_one_column_may_serve_twice(self):
        data = load_rows(
            {"input": "a", "label": "b"}, fields={"expected": "label", "group": "label", "intent": "label"}
        )
        assert data.examples == (Example(content_id("a"), "a", "b", "b", {"intent": "b"}),)

    def test_a_column_under_a_mapped_name_stays_a_field(self):
        data = load_rows({"instruction": "a", "input": "context", "expected": "b"}, fields={"input": "instruction"})
        assert data.examples[0].input == "a"
        assert data.examples[0].fields == {"input": "context"}

    def test_a_renamed_field_wins_over_a_column_of_its_name(self):
        data = load_rows({"input": "a", "expected": "b", "lang": "x", "language": "en"}, fields={"lang": "language"})
        assert data.examples[0].fields == {"lang": "en"}

    @pytest.mark.parametrize(
        ("row", "mapping"),
        [
            ({"question": "a", "label": "b"}, "{input: question, expected: label}"),
            ({"inputs": "a", "Expected": "b"}, "{input: inputs, expected: Expected}"),
            ({"prompt": "a", "completion": "b"}, "{input: prompt, expected: completion}"),
            ({"foo": "a", "output": "b"}, "{expected: output}"),
            ({"foo": "a", "bar": "b"}, "{input: NAME}"),
        ],
    )
    def test_absent_fields_suggest_a_mapping(self, row, mapping):
        assert error_of_row(row) == (
            'data.jsonl:1: no field "input"; no field "expected"\n'
            f"  found: {', '.join(row)}\n"
            f"  say what they are called: fields: {mapping}"
        )

    def test_one_absent_field(self):
        assert error_of(GOOD + '{"input": "a", "answer text": "b"}') == (
            'data.jsonl:2: no field "expected"\n'
            '  found: input, "answer text"\n'
            "  say what they are called: fields: {expected: NAME}"
        )

    def test_a_suggested_name_is_quoted_as_yaml_needs_it(self):
        assert error_of_row({"input": "a", " expected": "b"}).endswith('fields: {expected: " expected"}')

    @pytest.mark.parametrize("ours", ["input", "id", "group", "lang"])
    def test_a_mapped_column_must_be_in_every_row(self, ours):
        mapped = {"input": "a", "expected": "b", "column": "c"}
        rows = json.dumps(mapped) + "\n" + json.dumps({"input": "a", "expected": "b", "colum": "c"})
        assert error_of(rows, fields={ours: "column"}) == (
            f'data.jsonl:2: no field "column", which `fields` gives for "{ours}"\n'
            "  found: input, expected, colum\n"
            f"  say what they are called: fields: {{{ours}: colum}}"
        )

    def test_one_column_is_suggested_once_and_none_that_is_taken(self):
        fields = {"input": "questions", "expected": "question"}
        assert error_of_row({"quest": "a"}, fields=fields).endswith("fields: {input: quest}")
        assert error_of_row({"group": "a", "expected": "b"}, fields={"input": "groups"}).endswith("{input: NAME}")

    def test_errors_name_the_files_own_key(self):
        assert error_of_row({"question": 3, "expected": "b"}, fields={"input": "question"}) == (
            "data.jsonl:1: question: must be text or a list of messages, is a number"
        )


# --- examples that need not say what is expected -------------------------------------------------------------


def test_what_is_expected_may_be_absent_where_nobody_compares_with_it():
    found = load_rows({"input": "a"}, {"input": "b", "expected": None}, {"input": "c", "expected": 1}, labeled=False)
    assert [example.expected for example in found] == ["", "", 1]
    assert error_of('{"input": "a"}\n').startswith('data.jsonl:1: no field "expected"')


def test_a_column_that_was_mapped_must_be_there_all_the_same():
    asked = {"fields": {"expected": "label"}, "labeled": False}
    assert [example.expected for example in load_rows({"input": "a", "label": "x"}, **asked)] == ["x"]
    assert 'no field "label"' in error_of('{"input": "a"}\n', **asked)


def test_a_conversation_may_be_all_input():
    row = {"messages": [{"role": "user", "content": "Hello?"}]}
    found = load_rows(row, format="jsonl", fields={"input": "messages"}, labeled=False)
    assert [(example.input, example.expected) for example in found] == [(tuple(row["messages"]), "")]
