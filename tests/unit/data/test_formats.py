"""Formats of rows that are recognized by their keys, and files that hold them in other ways than JSON Lines."""

import contextlib
import csv
import gzip
import hashlib
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import examples_from
from pytest_ftgate.data.formats import FORMATS, format_of
from pytest_ftgate.errors import DataError

Q = {"role": "user", "content": "q"}
A = {"role": "assistant", "content": "good"}
BAD = {"role": "assistant", "content": "BAD"}
SYSTEM = {"role": "system", "content": "s"}
ALPACA = {"instruction": "i", "input": "q", "output": "good"}
CALL = {"name": "f", "arguments": {"x": 1}}


CALLED = [
    {
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
        ]
    },
    {"tool_calls": [CALL], "content": "Let me see."},
    {"function_call": {"name": "f", "arguments": '{"x":1}'}, "content": None},
]
CALLING = {"role": "assistant", **CALLED[2]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "7"}
PARTS = [{"type": "text", "text": "go"}, {"type": "text", "text": "od"}]


def turn(role, *texts):
    return {
        "role": role,
        "parts": [{"text": text} if isinstance(text, str) else text for text in texts],
    }


def said(role, text):
    return {"role": role, "content": [{"text": text}]}


BEDROCK = {
    "schemaVersion": "bedrock-conversation-2024",
    "messages": [said("user", "q"), said("assistant", "good")],
}
PREFERRED = {"input": {"messages": [SYSTEM, Q]}, "preferred_output": [A]}
# name, row, input, expected output
ROWS = [
    ("plain", {"input": "q", "expected": "good", "messages": [BAD]}, "q", "good"),
    ("chat", {"messages": [Q, BAD, Q, A]}, (Q, BAD, Q), "good"),
    ("chat", {"messages": [Q, {**BAD, "weight": 0}, Q, {**A, "weight": 1}]}, (Q, BAD, Q), "good"),
    ("chat", {"messages": [Q, {**A, "weight": 1}, Q, {**BAD, "weight": 0}]}, (Q,), "good"),
    ("chat", {"messages": json.dumps([Q, A])}, (Q,), "good"),
    *(("chat", {"system": "s", "messages": [Q, A], **keys}, (SYSTEM, Q), "good") for keys in ({}, {"tools": []})),
    ("chat", {"system": "production", "lang": "en", "messages": [Q, A]}, (Q,), "good"),
    ("chat", {"messages": [{**Q, "content": PARTS}, {**A, "content": PARTS}]}, ({**Q, "content": PARTS},), "good"),
    *(("chat", {"messages": [Q, {"role": "assistant", **turn}]}, (Q,), [CALL]) for turn in CALLED),
    ("chat", {"messages": [Q, CALLING, RESULT, A]}, (Q, CALLING, RESULT), "good"),
    ("plain", {"input": "q", "expected": [{"type": "function", "function": {"name": "f", "arguments": ""}}]}, "q",
     [{"name": "f", "arguments": {}}]),
    ("prompt_completion", {"prompt": "q", "completion": "good"}, "q", "good"),
    ("prompt_completion", {"prompt": "q", "completion": 3}, "q", 3),
    ("prompt_completion", {"prompt": [SYSTEM, Q], "completion": [A]}, (SYSTEM, Q), "good"),
    ("prompt_completion", {"prompt": "q", "completion": "good", "label": "x"}, "q", "good"),
    ("prompt_completion", {"prompt": "[1, 2]", "completion": "[3]"}, "[1, 2]", "[3]"),
    ("prompt_completion", {"prompt": json.dumps([Q]), "completion": json.dumps([A])}, (Q,), "good"),
    ("prompt_completion", {"prompt": "q", "completion": [CALL]}, "q", [CALL]),
    ("prompt_completion", {"prompt": "q", "completion": [{"function": CALL}]}, "q", [CALL]),
    ("prompt_completion", {"prompt": "q", "completion": "good", "label": True}, "q", "good"),
    ("alpaca", ALPACA, "i\nq", "good"),
    ("alpaca", {"instruction": "q", "input": "", "output": "good"}, "q", "good"),
    ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "good"}], "system": "s"},
     (SYSTEM, Q), "good"),
    ("sharegpt", {"conversations": [SYSTEM, Q, A]}, (SYSTEM, Q), "good"),
    # A turn with weight 0 is not trained on, in whatever words a format has.
    ("sharegpt", {"conversations": [Q, A, Q, {**BAD, "weight": 0}]}, (Q,), "good"),
    ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "BAD", "weight": 0},
                                    {"from": "human", "value": "q"}, {"from": "gpt", "value": "good"}]},
     (Q, BAD, Q), "good"),
    ("gemini", {"contents": [turn("user", "q"), turn("model", "good"), turn("user", "q"),
                             {**turn("model", "BAD"), "weight": 0}]}, (Q,), "good"),
    ("bedrock", {**BEDROCK, "messages": [*BEDROCK["messages"], said("user", "q"),
                                         {**said("assistant", "BAD"), "weight": 0}]}, (Q,), "good"),
    ("preference", {"prompt": "q", "chosen": "good", "rejected": "BAD"}, "q", "good"),
    ("preference", {"prompt": [Q], "chosen": [A], "rejected": [BAD]}, (Q,), "good"),
    ("preference", {"chosen": [Q, A], "rejected": [Q, BAD]}, (Q,), "good"),
    ("preference", {"prompt": "q", "chosen": [Q, A], "rejected": [Q, BAD], "messages": [Q, BAD]}, (Q,), "good"),
    ("gemini", {"systemInstruction": turn("system", "s"), "contents": [turn("user", "q"), turn("model", "go", "od")]},
     (SYSTEM, Q), "good"),
    ("gemini", {"contents": [turn("user", "q"), turn("model", {"functionCall": {"name": "f", "args": {"x": 1}}})]},
     (Q,), [CALL]),
    ("bedrock", {**BEDROCK, "system": [{"text": "s"}]}, (SYSTEM, Q), "good"),
    ("preferred", {**PREFERRED, "non_preferred_output": [BAD]}, (SYSTEM, Q), "good"),
    ("preferred", {**PREFERRED, "preferred_output": [CALLING]}, (SYSTEM, Q), [CALL]),
    ("pydantic_evals", {"name": "t0", "inputs": "q", "expected_output": "good", "metadata": None}, "q", "good"),
    ("pydantic_evals", {"inputs": {"x": 1}, "expected_output": "good"}, '{"x":1}', "good"),
    ("deepeval", {"input": "q", "expected_output": "good", "actual_output": None}, "q", "good"),
    ("promptfoo", {"vars": {"id": 7, "text": "q"}, "testCase": {"assert": [{"type": "equals", "value": "good"}]}},
     "q", "good"),
    ("promptfoo", {"vars": {"id": 7, "text": "q", "answer": "good"},
                   "testCase": {"assert": [{"type": "is-json"}, {"type": "equals", "value": "{{ answer }}"}]}},
     "q", "good"),
    *(("mlflow", {"trace_id": "x", "client_request_id": "7", "request": asked, "expected_response/value": "good"},
       "q", "good") for asked in ("q", {"question": "q"}, {"text": "q", "id": "t0"})),
]  # fmt: skip


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(("name", "row", "question", "expected"), ROWS)
def test_a_row_is_recognised_by_its_keys(load, name, row, question, expected):
    own_id = {"name": "7"} if name in ("pydantic_evals", "deepeval") else {"id": 7}
    data = load(lines({**row, **own_id, "group": "g"}))
    (example,) = data
    assert (example.id, example.input, example.expected, example.group) == (
        "7",
        question,
        expected,
        "g",
    )
    assert ("BAD" in repr(example)) == (
        "BAD" in repr((question, row.get("messages")) if name == "plain" else question)
    )
    assert format_of(row) is FORMATS[name]
    form = FORMATS[name]
    assert data.recognized == (f"{form.title} JSONL ({form.by})" if form.by else "")
    # named as well
    assert load(lines(row), "data.txt", format=name).examples == load(lines(row)).examples
    assert examples_from([row], origin="list").examples == load(lines(row)).examples


FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
OF_BEDROCK = {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}


@pytest.mark.parametrize("row", [
    *({"messages": [Q, A], "tools": tools} for tools in (TOOLS, json.dumps(TOOLS))),
    *({"input": "q", "expected": "good", "tools": tools} for tools in (TOOLS, json.dumps([FUNCTION]))),
    {"conversations": [Q, A], "tools": json.dumps([FUNCTION])},
    {"contents": [turn("user", "q"), turn("model", "good")], "tools": [{"functionDeclarations": [FUNCTION]}]},
    {**BEDROCK, "toolConfig": {"tools": [{"toolSpec": OF_BEDROCK}]}},
    {**PREFERRED, "input": {"messages": [Q], "tools": TOOLS}},
])  # fmt: skip
def test_tools_in_the_shape_of_the_openai_api(load, row):
    assert load(lines(row)).examples[0].fields == {"tools": TOOLS}


PROMPTED = {"prompt": "q", "completion": "good"}
CONVERSED = {"messages": [Q, A]}


@pytest.mark.parametrize(("row", "mark", "unwanted"), [
    (PROMPTED, "label", False), (PROMPTED, "label", "False"), (CONVERSED, "label", False),
    (ALPACA, "kto_tag", False),
])  # fmt: skip
def test_rows_of_kto_count_where_the_answer_is_wanted(load, row, mark, unwanted):
    data = load(lines({**row, mark: True}, {**row, mark: unwanted}, {**row, mark: unwanted}))
    assert [example.expected for example in data] == ["good"]
    assert data.left_out == 2


def test_the_number_of_a_class_is_no_mark_of_kto(load):
    data = load(
        lines({**PROMPTED, "label": 1}, {**PROMPTED, "label": 0}, {**PROMPTED, "label": "0"})
    )
    assert (len(data), data.left_out) == (3, 0)


def test_each_of_several_results_names_its_call(load):
    calls = [CALL, {"name": "f", "arguments": {"x": 2}}]
    turns = [("human", "q"), ("function_call", json.dumps(calls)), ("observation", "7"), ("observation", "8"),
            ("gpt", "good")]  # fmt: skip
    model_turn = turn(
        "model", *({"functionCall": {"name": "f", "args": call["arguments"]}} for call in calls)
    )
    results = turn(
        "function", *({"functionResponse": {"name": "f", "response": n}} for n in ("7", "8"))
    )
    for row in (
        {"conversations": [{"from": who, "value": text} for who, text in turns]},
        {"contents": [turn("user", "q"), model_turn, results, turn("model", "good")]},
    ):
        prompt, call, *answers = load(lines(row)).examples[0].input
        assert (prompt, [answer["content"] for answer in answers][-1:]) == (Q, ["8"])
        assert [tool_call["function"] for tool_call in call["tool_calls"]] == [
            {"name": "f", "arguments": f'{{"x":{x}}}'} for x in (1, 2)
        ]
        assert [tool_call["tool_call_id"] for tool_call in answers] == [
            tool_call["id"] for tool_call in call["tool_calls"]
        ]
        assert len({answer["tool_call_id"] for answer in answers}) == 2


# --- rows that hold no output to learn -----------------------------------------------------------------------------


def test_they_are_left_out_and_counted(load):
    good, bad = {"messages": [Q, A]}, {"messages": [Q, {**BAD, "weight": 0}]}
    for data in (load(lines(bad, good, bad)), examples_from([bad, good, bad], origin="list")):
        assert [example.expected for example in data] == ["good"]
        assert data.left_out == 2
    assert len(load(lines(bad, good, good), limit=1)) == 1


@pytest.mark.parametrize("label", ["true", "false", "1", 0, "refund"])
def test_a_text_or_a_number_beside_messages_is_a_field(load, label):
    """Else half of the test examples would be left out where their own label is "false"."""
    rows = [{"messages": [Q, A], "label": label}, {"messages": [Q, A], "label": "false"}]
    for data in (load(lines(*rows)), examples_from(rows, origin="list")):
        assert [example.fields["label"] for example in data] == [label, "false"]
    beside = {"input": "a", "expected": "b", "messages": [1], "label": label}
    assert load(lines(beside)).examples[0].fields == {"messages": [1], "label": label}


KEYS = [
    "role",
    "content",
    "from",
    "value",
    "parts",
    "text",
    "functionCall",
    "toolUse",
    "toolResult",
    "weight",
]
VALUES = st.recursive(
    st.sampled_from([None, True, False, "", "user", "model", "[", "true"])
    | st.integers()
    | st.floats()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(st.data())
def test_any_values_give_an_example_or_a_data_error(data):
    form = data.draw(st.sampled_from(list(FORMATS.values())))
    row = {
        key: data.draw(VALUES)
        for key in (*form.keys, *form.uses)
        if key in form.keys or data.draw(st.booleans())
    }
    with contextlib.suppress(DataError):
        examples_from([row], origin="list")


# --- files ---------------------------------------------------------------------------------------------------------

PAIRS = [{"prompt": "q 1", "completion": "good"}, {"prompt": "q 2", "completion": "fine"}]


def table(separator):
    text = io.StringIO()
    writer = csv.DictWriter(text, PAIRS[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(PAIRS)
    return text.getvalue()


FILES = {
    ".jsonl": (lines(*PAIRS), "JSONL", [1, 2]),
    ".json": ("[\n" + ",\n".join(json.dumps(row) for row in PAIRS) + "\n]\n", "JSON", [2, 3]),
    ".csv": (table(","), "CSV", [2, 3]),
    ".tsv": (table("\t"), "TSV", [2, 3]),
}


OTHERWISE = [  # the same rows, written in other ways
    (".csv", table(";")),
    (".csv", table("\t")),
    (".tsv", "\n" + table(",")),
    (".jsonl", FILES[".json"][0]),
    (".json", lines(*PAIRS)),
]


@pytest.mark.parametrize(("suffix", "content"), OTHERWISE)
def test_a_file_may_be_written_otherwise_than_its_suffix_says(load, suffix, content):
    data = load(content, f"data{suffix}")
    assert [(example.input, example.expected) for example in data] == [
        tuple(row.values()) for row in PAIRS
    ]
    lines_of_file = content.splitlines()
    for example in data:
        assert example.input in lines_of_file[example.place.line - 1]


NAMES = [("text", "label"), ("question", "answer"), ("query", "response"), ("input", "output"), (" Text", "LABEL"),
         ("instruction", "output"), ("utterance", "intent"), ("text", "category"),
         ("inputs", "ground_truth")]  # fmt: skip


@pytest.mark.parametrize(("question", "answer"), NAMES)
@pytest.mark.parametrize("form", ["jsonl", "csv", "list", "pandas"])
def test_usual_names_of_columns(load, question, answer, form):
    rows = [{question: f"q {n}", answer: "good", "lang": "en"} for n in range(2)]
    if form in ("list", "pandas"):
        data = examples_from(
            rows if form == "list" else pytest.importorskip("pandas").DataFrame(rows), origin="x"
        )
    else:
        table = "".join(
            f"{','.join(map(str, row))}\n" for row in (rows[0], *(row.values() for row in rows))
        )
        data = load(lines(*rows) if form == "jsonl" else table, f"data.{form}")
    assert [(example.input, example.expected, example.fields) for example in data] == [
        (f"q {n}", "good", {"lang": "en"}) for n in (0, 1)
    ]
    assert f"{question}/{answer}" in data.recognized or question == "instruction"


META = {"meta": {"lang": "en"}}
SQUAD = {"question": "q", "answers": {"text": ["good", "good"], "start": [1, 3]}, **META}


@pytest.mark.parametrize(
    ("row", "fields", "example"),
    [
        (
            SQUAD,
            {"expected": "answers.text", "lang": "meta.lang"},
            ("q", "good", {**META, "lang": "en"}),
        ),
        (
            {**SQUAD, "answers": {"text": ["a", "b"]}},
            {"expected": "answers.text.1"},
            ("q", "b", META),
        ),
        ({"it": {"en": "q", "de": "f"}}, {"input": "it.en", "expected": "it.de"}, ("q", "f", {})),
        ({"a.b": "q", "a": {"b": "p"}, "label": "x"}, {"input": "a.b"}, ("q", "x", {})),
    ],
)
def test_fields_may_name_a_value_within_another(load, row, fields, example):
    for data in (
        load(lines(row), fields=fields),
        examples_from([row], origin="list", fields=fields),
    ):
        assert [(example.input, example.expected, example.fields) for example in data] == [example]


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_each_file_has_the_same_rows(load, suffix, packed):
    content, title, numbers = FILES[suffix]
    stored = gzip.compress(content.encode()) if packed else content.encode()
    data = load(stored, f"data{suffix}{'.GZ' if packed else ''}")
    assert [(example.input, example.expected) for example in data] == [
        tuple(row.values()) for row in PAIRS
    ]
    assert [example.place.line for example in data] == numbers
    assert data.recognized == f"prompt/completion {title} (TRL, Bedrock)"
    assert data.sha256 == hashlib.sha256(stored).hexdigest()
    assert load(content, "other", format=suffix[1:]).examples == data.examples


@pytest.mark.parametrize(
    "damaged", [gzip.compress(b"x" * 999)[:-9], b"plain text\n", gzip.compress(b"x")[:10] + b"zz"]
)
def test_a_damaged_archive(refused, damaged):
    refused(damaged, "", "decompressed", name="data.jsonl.gz")
