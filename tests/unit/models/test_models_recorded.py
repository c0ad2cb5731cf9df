from __future__ import annotations

import hashlib
import json

import pytest

from pytest_ftgate.data import Example, input_sha256
from pytest_ftgate.errors import DataError, ModelError
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.recorded import RecordedRow, read_rows


@pytest.fixture
def record(tmp_path, monkeypatch, build):
    """The model that answers from these rows, or from this very text."""
    monkeypatch.chdir(tmp_path)

    def make(*rows, text=None, **options):
        content = "".join(json.dumps(row) + "\n" for row in rows) if text is None else text
        (tmp_path / "r.jsonl").write_bytes(content.encode() if isinstance(content, str) else content)
        return build("recorded", path=tmp_path / "r.jsonl", **options)

    return make


HELLO = input_sha256("hello")
ROW = {"id": "e1", "output": "refund"}


# --- answers -------------------------------------------------------------------------------------------------


def test_a_row_answers_the_example_with_its_id(record, ask):
    assert ask(record({"id": "e2", "output": "x"}, ROW)) == Completion("refund")


def test_all_that_a_row_may_tell(record, ask):
    usage = {"input_tokens": 7, "output_tokens": 2, "cached_input_tokens": 3}
    model = record(
        {**ROW, "usage": usage, "latency_s": 0.25, "finish": "cut_off", "key": "k", "created_at": 1.0, "x": []}
    )
    assert ask(model) == Completion("refund", 7, 2, 3, "cut_off", 0.25)


def test_null_says_nothing(record, ask):
    row = {**ROW, "usage": None, "latency_s": None, "finish": None, "input_sha256": None, "repeat": None}
    assert ask(record(row)) == Completion("refund")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("", ""),
        (" a\n", " a\n"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        ({"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
        ([], "[]"),
    ],
)
def test_outputs_of_any_json_type(record, ask, output, text):
    assert ask(record({"id": "e1", "output": output})).text == text


def test_an_id_may_be_a_number(record):
    assert record({"id": 17, "output": "x"}).ids == {"17"}


def test_lines_of_white_space_and_a_byte_order_mark_are_no_rows(record, ask):
    assert ask(record(text='\ufeff{"id": "e1", "output": "x"}\n\n  \n')).text == "x"


def test_a_file_without_a_last_line_feed(record, ask):
    assert ask(record(text='{"id": "e1", "output": "x"}')).text == "x"


def test_repeats_are_rows_of_their_own(record, ask):
    model = record(ROW, {**ROW, "output": "again", "repeat": 1})
    assert [ask(model, repeat=repeat).text for repeat in (0, 1)] == ["refund", "again"]
    with pytest.raises(ModelError) as caught:
        ask(model, repeat=2)
    assert caught.value.what == 'no recorded prediction for id "e1", repeat 2'
    assert model.ids == {"e1"}


# --- missing answers -----------------------------------------------------------------------------------------


def test_an_absent_id_is_a_missing_prediction(record, ask):
    with pytest.raises(ModelError) as caught:
        ask(record({"id": "other", "output": "x"}))
    assert str(caught.value) == (
        'r.jsonl: no recorded prediction for id "e1"\n  recorded are 1, the first with id "other"'
    )
    assert (caught.value.retryable, caught.value.fatal) == (False, False)


def test_null_is_a_missing_prediction(record, ask):
    with pytest.raises(ModelError) as caught:
        ask(record({"id": "e0", "output": "x"}, {"id": "e1", "output": None}))
    assert str(caught.value) == 'r.jsonl:2: the recording with id "e1" holds no answer'
    assert (caught.value.retryable, caught.value.fatal) == (False, False)


# --- verified ------------------------------------------------------------------------------------------------


def test_a_recording_whose_rows_all_name_their_input_is_verified(record, ask):
    model = record({**ROW, "input_sha256": HELLO})
    assert model.verified is True
    assert ask(model).text == "refund"


def test_one_row_that_does_not_makes_it_attested(record):
    assert record({**ROW, "input_sha256": HELLO}, {"id": "e2", "output": "x"}).verified is False


@pytest.mark.parametrize("output", ["refund", None])
def test_a_row_that_was_made_for_another_input_ends_the_run(record, ask, output):
    with pytest.raises(ModelError) as caught:
        ask(record({"id": "e1", "output": output, "input_sha256": HELLO}), "Hello")
    assert str(caught.value) == (
        'r.jsonl:1: the recording with id "e1" was made for another input\n'
        "  its input_sha256 is not that of the test set's input\n"
        "  record the model anew, or correct the ids"
    )
    assert caught.value.fatal


def test_conversations_are_verified_too(record, ask):
    turns = ({"role": "user", "content": "hello"},)
    assert ask(record({**ROW, "input_sha256": input_sha256(turns)}), turns).text == "refund"


# --- keys ----------------------------------------------------------------------------------------------------


def test_a_key_stands_for_the_input_where_the_row_is_held_to_one(record):
    model = record({**ROW, "input_sha256": HELLO}, {"id": "e2", "output": "x"})
    assert model.key(Example("e1", "hello", "x")) == model.key(Example("e1", "hello", "y"))
    assert model.key(Example("e1", "hello", "x")) != model.key(Example("e1", "other", "x"))
    assert model.key(Example("e2", "hello", "x")) == model.key(Example("e2", "other", "x"))


def test_a_key_stands_for_the_file_the_id_and_the_repeat(record):
    model, changed = record(ROW), record({**ROW, "output": "x"})
    e1 = Example("e1", "hello", "x")
    assert model.key(e1) == model.key(Example("e1", "other", "y"))
    assert len({model.key(e1), model.key(e1, 1), model.key(Example("e2", "hello", "x")), changed.key(e1)}) == 4


def test_what_the_runner_and_reports_see(record, tmp_path):
    model = record(ROW, price={"input_per_1m": 1.0})
    assert model.sha256 == hashlib.sha256((tmp_path / "r.jsonl").read_bytes()).hexdigest()
    assert (model.persistent, model.endpoint, model.timeout_s, model.retries) == (False, False, None, 0)
    assert (model.name, model.spelling, model.price.input_per_1m) == ("tuned", "recorded:m", 1.0)


def test_rows_tell_what_they_were_made_with(record, tmp_path):
    made = {"key": "k", "created_at": 5, "busy_s": 0.25, "repeat": 2, "input_sha256": HELLO}
    record({**ROW, **made}, {"id": "e2", "output": None})
    rows = read_rows(tmp_path / "r.jsonl").rows
    assert rows["e1", 2] == RecordedRow(1, Prediction("k", Completion("refund"), None, 5.0, 0.25), HELLO)
    assert rows["e2", 0] == RecordedRow(2, Prediction(""), None)


# --- files that cannot be used -------------------------------------------------------------------------------

LOOKS = '  a recorded prediction looks like this: {"id": "...", "output": "..."}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.jsonl: holds no predictions"),
        ("\n \n", "r.jsonl: holds no predictions"),
        (b'{"id": "caf\xe9"}\n', "r.jsonl:1: is not UTF-8 at byte 11"),
        (
            '{"id": "a", "output": "x"}\n{"id": "b", "out',
            "r.jsonl:2: the last line is cut off: its JSON object does not end",
        ),
        ("[1]\n", f"r.jsonl:1: a row must be a JSON object, is a list\n  found: [1]\n{LOOKS}"),
        ('{"output": "x"}\n', f'r.jsonl:1: no field "id"\n  found: output\n{LOOKS}'),
        ('{"id": "a", "expected": "x"}\n', f'r.jsonl:1: no field "output"\n  found: id, expected\n{LOOKS}'),
        ('{"id": null, "output": "x"}\n', "r.jsonl:1: id: must be text or an integer, is null"),
        ('{"id": true, "output": "x"}\n', "r.jsonl:1: id: must be text or an integer, is true"),
        ('{"id": " ", "output": "x"}\n', "r.jsonl:1: id: is blank"),
        ('{"id": "a", "output": NaN}\n', "r.jsonl:1: NaN is not a JSON value"),
        ('{"id": "a", "output": "x", "latency_s": NaN}\n', "r.jsonl:1: NaN is not a JSON value"),
        ('{"id": "a", "output": "x", "latency_s": -1}\n', "r.jsonl:1: latency_s: must be a number of seconds, is -1"),
        ('{"id": "a", "output": "x", "latency_s": "1"}\n', "r.jsonl:1: latency_s: must be a number, is text"),
        ('{"id": "a", "output": "x", "latency_s": true}\n', "r.jsonl:1: latency_s: must be a number, is true"),
        ('{"id": "a", "output": "x", "created_at": -1}\n', "r.jsonl:1: created_at: must be a number of seconds, is -1"),
        (
            '{"id": "a", "output": "x", "latency_s": 1' + "0" * 400 + "}\n",
            f"r.jsonl:1: latency_s: must be a number of seconds, is 1{'0' * 59}...",
        ),
        ('{"id": "a", "output": "x", "key": 1}\n', "r.jsonl:1: key: must be text, is a number"),
        ('{"id": "a", "output": "x", "usage": 1}\n', "r.jsonl:1: usage: must be an object, is a number"),
        (
            '{"id": "a", "output": "x", "usage": {"input_tokens": -1}}\n',
            "r.jsonl:1: usage.input_tokens: must be a whole number from 0, is -1",
        ),
        (
            '{"id": "a", "output": "x", "usage": {"output_tokens": "3"}}\n',
            "r.jsonl:1: usage.output_tokens: must be a whole number from 0, is text",
        ),
        ('{"id": "a", "output": "x", "repeat": 1.5}\n', "r.jsonl:1: repeat: must be a whole number from 0, is 1.5"),
        ('{"id": "a", "output": "x", "input_sha256": 1}\n', "r.jsonl:1: input_sha256: must be text, is a number"),
        (
            '{"id": "a", "output": "x", "finish": "stopp"}\n',
            'r.jsonl:1: finish: is not a way to finish: "stopp"\n  known: stop, refusal, filtered, cut_off\n'
            '  did you mean "stop"?',
        ),
        (
            '{"id": "a", "output": "x"}\n\n{"id": "a", "output": "y"}\n',
            'r.jsonl:3: id: the id "a" repeats: line 1 has it too\n'
            '  keep one of the two; further answers of one example carry "repeat": 1, 2, ...',
        ),
        ('{"id": "a", "id": "b", "output": "x"}\n', "r.jsonl:1: id: the key is given twice in one object"),
    ],
)
def test_a_file_that_cannot_be_used(record, text, message):
    with pytest.raises(DataError) as caught:
        record(text=text)
    assert str(caught.value).startswith(message)
    assert str(caught.value) == message or "\n" not in message


def test_a_file_that_is_not_there(record, build, tmp_path):
    record(ROW)
    with pytest.raises(DataError) as caught:
        build("recorded", path=tmp_path / "rr.jsonl")
    assert str(caught.value) == 'ftgate.yaml:7: rr.jsonl: no such file\n  did you mean "r.jsonl"?'
