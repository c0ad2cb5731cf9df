import hashlib
import json

import pytest

from pytest_ftgate.data import Example, input_sha256
from pytest_ftgate.errors import DataError, ModelError
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.recorded import RecordedRow, read_rows


@pytest.fixture
def record(tmp_path, monkeypatch, build):
    """Return the model that answers from these rows, or from this very text."""
    monkeypatch.chdir(tmp_path)

    def make(*rows, text=None, **options):
        content = "".join(json.dumps(row) + "\n" for row in rows) if text is None else text
        (tmp_path / "r.jsonl").write_bytes(
            content.encode() if isinstance(content, str) else content
        )
        return build("recorded", path=tmp_path / "r.jsonl", **options)

    return make


HELLO = input_sha256("hello")
ROW = {"id": "e1", "output": "refund"}


# --- answers -------------------------------------------------------------------------------------------------


USAGE = {"input_tokens": 7, "output_tokens": 2, "cached_input_tokens": 3}
TOLD = {
    "usage": USAGE,
    "latency_s": 0.25,
    "finish": "cut_off",
    "key": "k",
    "created_at": 1.0,
    "x": [],
}
ENDS = {
    "cut_off": [{"finish_reason": "max_tokens"}],
    "refusal": [{"finish_reason": "refusal"}],
    "stop": [
        {"finish_reason": "STOP", "status": "reviewed"},
        {"finish_reason": "error", "finish": "stop"},
    ],
}
OUTPUTS = [("", ""), (" a\n", " a\n"), (1, "1"), (1.5, "1.5"), (True, "true"), ([], "[]")]
OUTPUTS += [({"b": 1, "a": [2]}, '{"a":[2],"b":1}')]


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        (ROW, Completion("refund")),
        ({**ROW, **TOLD}, Completion("refund", 7, 2, 3, "cut_off", 0.25)),
        (
            {**ROW, **dict.fromkeys(("usage", "latency_s", "finish", "input_sha256", "repeat"))},
            Completion("refund"),
        ),
        *(
            ({**ROW, **way}, Completion("refund", finish=finish))
            for finish, ways in ENDS.items()
            for way in ways
        ),
        *(({"id": "e1", "output": output}, Completion(text)) for output, text in OUTPUTS),
    ],
)
def test_what_a_row_answers(record, ask, row, answer):
    model = record({"id": 17, "output": "x"}, row)
    assert (ask(model), model.ids) == (answer, {"17", "e1"})
    assert (
        ask(record(text=f"\ufeff{json.dumps(row)}\n\n  \n"))
        == ask(record(text=json.dumps(row)))
        == answer
    )


def test_repeats_are_rows_of_their_own(record, ask):
    model = record(ROW, {**ROW, "output": "again", "repeat": 1})
    assert [ask(model, repeat=repeat).text for repeat in (0, 1)] == ["refund", "again"]
    with pytest.raises(ModelError, match=r"e1.*2"):
        ask(model, repeat=2)
    assert model.ids == {"e1"}


FAILED = [
    ({"error": "429 Too Many Requests"}, "error: 429 Too Many Requests"),
    ({"error": {"code": 500}}, 'error: {"code":500}'),
    ({"error": True}, "error: true"),
    ({"status": 500}, "status: 500"),
    ({"status": "500"}, "status: 500"),
    ({"status_code": 429}, "status_code: 429"),
    ({"finish_reason": "error"}, "finish reason"),
    ({"output": "", "finish_reason": "abort"}, "finish reason"),
]
FINE = [
    {"error": None},
    {"error": ""},
    {"error": False},
    {"status": 200},
    {"status": "reviewed"},
    {"status": True},
]


@pytest.mark.parametrize(("more", "evidence"), FAILED)
def test_a_row_of_a_failed_call_holds_no_answer(record, ask, more, evidence):
    model = record({**ROW, "id": "e0"}, {**ROW, **more})
    with pytest.raises(ModelError, match='the recorded call with id "e1" failed') as caught:
        ask(model)
    assert str(caught.value.where) == "r.jsonl:2"
    assert evidence in caught.value.evidence


@pytest.mark.parametrize("more", FINE)
def test_a_row_without_an_error_is_an_answer(record, ask, more):
    assert ask(record({**ROW, **more})).text == "refund"


# --- verified ------------------------------------------------------------------------------------------------


def test_a_recording_whose_rows_all_name_their_input_is_verified_and_else_attested(record, ask):
    model = record({**ROW, "input_sha256": HELLO})
    assert (model.verified, ask(model).text) == (True, "refund")
    assert record({**ROW, "input_sha256": HELLO}, {"id": "e2", "output": "x"}).verified is False
    turns = ({"role": "user", "content": "hello"},)
    assert ask(record({**ROW, "input_sha256": input_sha256(turns)}), turns).text == "refund"


# --- keys ----------------------------------------------------------------------------------------------------


def test_a_key_stands_for_the_file_the_id_the_repeat_and_the_input_that_is_stated(record):
    model, changed = record(ROW), record({**ROW, "output": "x"})
    e1, other, e2 = (
        Example("e1", "hello", "x"),
        Example("e1", "other", "y"),
        Example("e2", "hello", "x"),
    )
    assert model.key(e1) == model.key(other)
    assert len({model.key(e1), model.key(e1, 1), model.key(e2), changed.key(e1)}) == 4
    held = record({**ROW, "input_sha256": HELLO})
    assert held.key(e1) == held.key(Example("e1", "hello", "y")) != held.key(other)


def test_what_the_runner_and_reports_see(record, tmp_path):
    model = record(ROW, price={"input_per_1m": 1.0})
    assert model.sha256 == hashlib.sha256((tmp_path / "r.jsonl").read_bytes()).hexdigest()
    assert (model.persistent, model.endpoint, model.timeout_s, model.retries) == (
        False,
        False,
        None,
        0,
    )
    assert (model.name, model.spelling, model.price.input_per_1m) == ("tuned", "recorded:m", 1.0)


def test_rows_tell_what_they_were_made_with(record, tmp_path):
    made = {"key": "k", "created_at": 5, "busy_s": 0.25, "repeat": 2, "input_sha256": HELLO}
    record({**ROW, **made}, {"id": "e2", "output": None})
    rows = read_rows(tmp_path / "r.jsonl").rows
    answered = Prediction(
        "k", Completion("refund"), None, 5.0, 0.25, id="e1", stored=True, recorded=True
    )
    assert rows["e1", 2] == RecordedRow(1, answered, HELLO)
    assert rows["e2", 0] == RecordedRow(
        2, Prediction("", id="e2", stored=True, recorded=True), None
    )


# --- files that cannot be used -------------------------------------------------------------------------------


def row(key, value):
    return f'{{"id": "a", "output": "x", "{key}": {value}}}\n'


NUMBERS = [
    ("latency_s", "-1"),
    ("latency_s", '"1"'),
    ("latency_s", "true"),
    ("latency_s", "1" + "0" * 400),
]
NUMBERS += [
    ("created_at", "-1"),
    ("key", "1"),
    ("usage", "1"),
    ("repeat", "1.5"),
    ("input_sha256", "1"),
]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        *((text, "r.jsonl", []) for text in ("", "\n \n")),
        (b'{"id": "caf\xe9"}\n', "r.jsonl:1", ["byte 11"]),
        ('{"id": "a", "output": "x"}\n{"id": "b", "out', "r.jsonl:2", ["invalid JSON"]),
        ("[1]\n", "r.jsonl:1", ["must be a JSON object"]),
        ('{"output": "x"}\n', "r.jsonl:1", ['"id"']),
        ('{"id": "a", "expected": "x"}\n', "r.jsonl:1", ['"output"', "id, expected"]),
        ('{"id": null, "output": "x"}\n', "r.jsonl:1: id", ["got nothing"]),
        *((f'{{"id": {one}, "output": "x"}}\n', "r.jsonl:1: id", [one]) for one in ("true", "1.5")),
        ('{"id": " ", "output": "x"}\n', "r.jsonl:1: id", ["not blank, got the text"]),
        *((row(key, "NaN"), "r.jsonl:1", ["NaN"]) for key in ("y", "latency_s")),
        *((row(*pair), f"r.jsonl:1: {pair[0]}", ["must"]) for pair in NUMBERS),
        (
            row("created_at", "1700000000000"),
            "r.jsonl:1: created_at",
            ["seconds since 1970", "1700000000000"],
        ),
        (
            '{"id": "a", "output": "x", "usage": {"input_tokens": -1}}\n',
            "r.jsonl:1: usage.input_tokens",
            ["-1"],
        ),
        (
            '{"id": "a", "output": "x", "usage": {"output_tokens": "3"}}\n',
            "r.jsonl:1: usage.output_tokens",
            ["text"],
        ),
        (
            '{"id": "a", "output": "x", "finish": "stopp"}\n',
            "r.jsonl:1: finish",
            ["one of stop", "cut_off", "stopp"],
        ),
        (
            '{"id": "a", "output": "x"}\n\n{"id": "a", "output": "y"}\n',
            "r.jsonl:3: id",
            ['"a"', '"repeat"'],
        ),
        ('{"id": "a", "id": "b", "output": "x"}\n', "r.jsonl:1: id", ["duplicate"]),
    ],
)
def test_a_file_that_cannot_be_used(record, text, where, words):
    with pytest.raises(DataError) as caught:
        record(text=text)
    assert str(caught.value.where) == where
    assert all(word in str(caught.value) for word in words)


def test_a_file_that_is_not_there(record, build, tmp_path):
    record(ROW)
    with pytest.raises(DataError, match=r'rr.jsonl(.|\n)*"r.jsonl"') as caught:
        build("recorded", path=tmp_path / "rr.jsonl")
    assert str(caught.value.where) == "ftgate.yaml:7"
