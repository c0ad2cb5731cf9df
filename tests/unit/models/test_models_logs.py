"""Logs of other evaluation tools as recorded answers. The files in ``logs/`` were written by these tools."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from pytest_ftgate.data import content_id, load_examples
from pytest_ftgate.errors import DataError
from pytest_ftgate.models import logs
from pytest_ftgate.models.logs import opened_answers
from pytest_ftgate.models.protocol import Completion, finish_of
from pytest_ftgate.models.recorded import read_rows

LOGS = Path(__file__).parent / "logs"

INSPECT = [
    {"id": 1, "repeat": 0, "output": "invo", "finish_reason": "max_tokens"},
    {"id": "t0", "repeat": 0, "output": "refund", "finish_reason": "stop"},
    {"id": 1, "repeat": 1, "output": "invoice", "finish_reason": "stop"},
    {
        "id": "t0",
        "repeat": 1,
        "output": '[{"arguments":{"x":1},"name":"find"}]',
        "finish_reason": "tool_calls",
    },
]

QUESTION = content_id("customer question 0")
LABELS = ("refund", "invoice", "shipping")
USED = {"input_tokens": 3, "output_tokens": 1}


def read(path):
    with opened_answers(path) as source:
        return [dict(values) for _, values in source.rows]


@pytest.mark.parametrize(("name", "made_by"), [
    ("promptfoo.json", {"base"}),
    ("inspect.json", {"mockllm/model"}),
    ("deepeval_run.json", set()),
])  # fmt: skip
def test_a_log_names_the_model_that_made_the_answers(name, made_by):
    assert read_rows(LOGS / name).rows.made_by == made_by


def main_facts(rows):
    return [{key: row[key] for key in ("id", "repeat", "output", "finish_reason")} for row in rows]


@pytest.mark.parametrize(("name", "rows"), [
    ("lm_eval_generated.jsonl", [{"id": f"t{n}", "output": "lol", "repeat": 0} for n in range(3)]),
    ("lm_eval_choices.jsonl", [{"id": f"t{n}", "output": label, "repeat": 0}
                               for n, label in enumerate(("refund", "shipping", "shipping"))]),
    ("mlflow_table.json", [{"id": f"t{n}", "output": "refund"} for n in range(3)]),
    ("mlflow_genai.jsonl", [{"id": "t0", "output": "refund"}, {"id": "t1", "output": "refund"},
                            {"id": "t2", "output": None, "error": "the trace is in the state ERROR"}]),
    # The first case has no name, and the id of its input.
    ("pydantic_evals.json", [{"id": QUESTION, "output": "refund"}, {"id": "t1", "output": "invoice"},
                             {"id": "t2", "output": None, "error": "ValueError: out of memory"}]),
    ("deepeval_cases.jsonl", [{"id": content_id(f"customer question {n}"), "output": label}
                              for n, label in enumerate(LABELS)]),
    ("deepeval_run.json", [{"id": QUESTION, "output": "refund"}, {"id": "t1", "output": "invoice"},
                           {"id": "t2", "output": "shipping"}]),
    ("promptfoo.json", [{"id": QUESTION, "output": "refund", "usage": USED},
                        {"id": "t1", "output": "invoice", "usage": USED},
                        {"id": content_id("customer question 2"), "output": None, "error": "out of memory"}]),
])  # fmt: skip
def test_a_log_is_read_as_recorded_answers(name, rows):
    found = read(LOGS / name)
    for row in found:
        row.pop("latency_s", None)
        row.pop("model", None)
    assert found == rows


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("pydantic_evals.json", LABELS),
        ("deepeval_cases.jsonl", LABELS),
        ("promptfoo.json", LABELS),
        ("mlflow_table.json", ("refund", "invoice", "refund")),
        ("mlflow_genai.jsonl", ("refund", "refund", "refund")),
    ],
)
def test_a_log_with_expected_outputs_is_a_test_set_as_well(name, labels):
    examples = load_examples(LOGS / name)
    assert [example.id for example in examples] == [row["id"] for row in read(LOGS / name)]
    assert [(example.input, example.expected) for example in examples] == [
        (f"customer question {n}", label) for n, label in enumerate(labels)
    ]


def test_a_log_of_inspect_has_epochs_usage_and_latencies():
    rows = read(LOGS / "inspect.json")
    assert main_facts(rows) == INSPECT
    assert rows[0]["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert rows[0]["latency_s"] > 0


def test_an_archive_of_inspect_holds_the_same_as_its_json(tmp_path):
    samples = json.loads((LOGS / "inspect.json").read_text(encoding="utf-8"))["samples"]
    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("header.json", "{}")
        for sample in samples:
            archive.writestr(
                f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample)
            )
    assert read(tmp_path / "a.eval") == read(LOGS / "inspect.json")


@pytest.mark.parametrize(("reason", "finish"), [
    ("stop", "stop"), ("tool_calls", "stop"), ("unknown", "stop"), (None, "stop"), ("max_tokens", "cut_off"),
    ("model_length", "cut_off"), ("content_filter", "filtered"),
])  # fmt: skip
def test_how_an_answer_of_inspect_ended(tmp_path, reason, finish):
    output = {"choices": [{"message": {"content": "a"}, "stop_reason": reason}], "completion": "a"}
    (tmp_path / "a.json").write_text(inspect_log(output=output), encoding="utf-8")
    (row,) = read(tmp_path / "a.json")
    assert finish_of(row["finish_reason"]) == finish


def test_a_failed_sample_has_no_answer(tmp_path):
    sample = {
        "id": "t0",
        "epoch": 1,
        "output": {"choices": []},
        "error": {"message": "out of memory"},
    }
    (tmp_path / "a.json").write_text(
        json.dumps({"eval": {}, "samples": [sample]}), encoding="utf-8"
    )
    assert read(tmp_path / "a.json") == [
        {"id": "t0", "repeat": 0, "output": None, "error": "out of memory"}
    ]


def lm_eval_row(**values):
    row = {
        "doc_id": 7,
        "doc": {"question": "q"},
        "arguments": [["q", {}]],
        "resps": [["a"]],
        "filter": "none",
    }
    return json.dumps({**row, **values}) + "\n"


@pytest.mark.parametrize(("text", "rows"), [
    # several answers to a document are repeats; the first of several filters counts
    (lm_eval_row(resps=[["a", "b"]], doc={"id": "x"}),
     [{"id": "x", "output": "a", "repeat": 0}, {"id": "x", "output": "b", "repeat": 1}]),
    (lm_eval_row(doc={"id": "x"}) + lm_eval_row(doc={"id": "x"}, filter="strict"),
     [{"id": "x", "output": "a", "repeat": 0}]),
    # the id of a document without one is that of an example without one, or else its number
    (lm_eval_row(doc={"question": "customer question 0", "answer": "x"}),
     [{"id": content_id("customer question 0"), "output": "a", "repeat": 0}]),
    (lm_eval_row(doc={"foo": 1}), [{"id": 7, "output": "a", "repeat": 0}]),
])  # fmt: skip
def test_rows_of_lm_eval(tmp_path, text, rows):
    (tmp_path / "samples.jsonl").write_text(text, encoding="utf-8")
    assert read(tmp_path / "samples.jsonl") == rows


def batch_line(body=None, **values):
    response = body and {"status_code": 200, "request_id": "r", "body": body}
    row = {"id": "batch_req_1", "custom_id": "t0", "response": response, "error": None}
    return json.dumps({**row, **values}) + "\n"


CALL = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(("text", "row"), [
    (batch_line({"choices": [{"message": {"content": "a"}, "finish_reason": "length"}],
                 "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
     {"output": "a", "finish_reason": "length", "usage": USED, "status": 200}),
    (batch_line({"choices": [{"message": {"content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}]}),
     {"output": '[{"arguments":{"x":1},"name":"find"}]', "finish_reason": "tool_calls", "usage": {}, "status": 200}),
    (batch_line({"output": [{"type": "reasoning", "summary": []},
                            {"type": "message", "content": [{"type": "output_text", "text": "a"}]}],
                 "usage": {"input_tokens": 3, "output_tokens": 1}}),
     {"output": "a", "usage": USED, "status": 200}),
    # the error file, an error of one request, and a body that is an error
    (batch_line(error={"code": "batch_expired", "message": "too late"}), {"output": None, "error": "too late"}),
    (batch_line(response={"status_code": 400, "body": {"error": {"message": "no such model"}}}),
     {"output": None, "error": "no such model"}),
])  # fmt: skip
def test_lines_of_a_batch(tmp_path, text, row):
    (tmp_path / "output.jsonl").write_text(text, encoding="utf-8")
    assert read(tmp_path / "output.jsonl") == [{"id": "t0", "model": None, **row}]
    assert len(read_rows(tmp_path / "output.jsonl").rows) == 1


def promptfoo_row(provider="base", prompt="p", **values):
    row = {
        "testIdx": 4,
        "provider": {"id": provider},
        "prompt": {"label": prompt},
        "vars": {"question": "q"},
        "response": {"output": {"a": 1}, "cached": True},
        "latencyMs": 2,
    }
    return {**row, **values}


def promptfoo_log(*rows):
    return json.dumps({"results": {"results": rows}})


@pytest.mark.parametrize(("values", "row"), [
    # a structure is JSON text, and a cached answer has no latency
    ({}, {"output": '{"a":1}'}),
    # which of two variables is the input is not known
    ({"vars": {"question": "q", "lang": "en"}}, {"id": 4, "output": '{"a":1}'}),
    ({"response": None, "error": "timeout"}, {"output": None, "error": "timeout"}),
])  # fmt: skip
def test_rows_of_promptfoo(tmp_path, values, row):
    test = {"vars": {"question": "q"}}
    written = promptfoo_row(**{"testCase": test, **values})
    (tmp_path / "a.json").write_text(promptfoo_log(written), encoding="utf-8")
    assert read(tmp_path / "a.json") == [{"id": content_id("q"), "model": "base", **row}]


def test_repeats_of_pydantic_evals(tmp_path):
    cases = []
    for number in (1, 2):
        case = {"name": f"Case 1 [{number}/2]", "source_case_name": "Case 1", "inputs": {"x": 1}}
        cases.append({**case, "expected_output": None, "output": [number]})
    (tmp_path / "a.json").write_text(json.dumps({"cases": cases}), encoding="utf-8")
    rows = read(tmp_path / "a.json")
    assert [(row["id"], row["repeat"], row["output"]) for row in rows] == [
        (content_id('{"x":1}'), 0, "[1]"),
        (content_id('{"x":1}'), 1, "[2]"),
    ]


@pytest.mark.parametrize(("name", "text"), [
    ("a.jsonl", '{"id": "t0", "output": "a"}\n'),
    ("a.json", '{"id": "t0", "output": "a"}\n{"id": "t1", "output": "a"}\n'),
    ("a.jsonl", '{"id": "t0", "output": "a", "epoch": 3}'),
])  # fmt: skip
def test_a_recording_of_our_own_is_not_a_log(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read(tmp_path / name) == [json.loads(line) for line in text.splitlines()]


def inspect_log(**values):
    output = {"choices": [{"message": {"content": "a"}, "stop_reason": "stop"}], "completion": "a"}
    sample = {"id": "t0", "epoch": 1, "output": output, **values}
    return json.dumps({"eval": {}, "samples": [sample]})


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.eval", "no archive", "not a readable log of inspect_ai"),
    ("a.json", '{"eval": {}, "samples": [{"id": 1}]}', "samples[0]"),
    ("a.json", '{"columns": ["id"], "data": [["t0"]]}', '"output"'),
    ("a.jsonl", lm_eval_row(resps=[[3]]), "a.jsonl:1"),
    ("a.jsonl", lm_eval_row() + '{"doc_id": 8, "filter": "none"}\n', "a.jsonl:2"),
    ("a.jsonl", lm_eval_row(resps=[[[None, False]]]), "a.jsonl:1"),
    ("a.jsonl", lm_eval_row(resps=[[[-1.0, False]], [[-2.0, False]]], arguments={}), "a.jsonl:1"),
    ("a.jsonl", '{"trace_id": "x", "request": "q", "response": "a"}\n{"trace_id": "y", "request": "q"}\n', "a.jsonl:2"),
    ("a.json", '{"columns": ["id", "outputs"], "data": [["t0", "a"], ["t1"]]}', "row 1"),
    ("a.json", inspect_log(output=None), "samples[0]"),
    ("a.json", inspect_log(epoch=None), "samples[0]"),
    ("a.json", inspect_log(error="boom"), "samples[0]"),
    ("a.json", inspect_log(output={"choices": [{"message": None}]}), "samples[0]"),
    ("a.json", inspect_log(output={"choices": [{"message": {"content": [{"text": "a"}]}}]}), "samples[0]"),
    ("a.jsonl", batch_line({"choices": []}), "a.jsonl:1"),
    ("a.json", promptfoo_log(promptfoo_row(), promptfoo_row("ft")), 'ft with the prompt "p"'),
    ("a.json", promptfoo_log(promptfoo_row(), promptfoo_row(prompt="q")), 'base with the prompt "q"'),
])  # fmt: skip
def test_a_log_that_cannot_be_read_is_an_error_with_its_place(tmp_path, name, text, words):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / name)
    assert words in str(caught.value)


FORMATS = {
    "a.csv": 'id,output,repeat,latency_s\nt0,"a, b",0,0.5\nt0,,1,\n',
    "a.tsv": "id\toutput\trepeat\tlatency_s\nt0\ta, b\t0\t0.5\nt0\t\t1\t\n",
    "a.json": '[{"id": "t0", "output": "a, b", "repeat": 0, "latency_s": 0.5},\n'
    '{"id": "t0", "output": "", "repeat": 1}]',
    "answers.json": '{"answers": [{"id": "t0", "output": "a, b", "repeat": 0, "latency_s": 0.5},\n'
    '{"id": "t0", "output": "", "repeat": 1}]}',
    "a.yaml": '- {id: t0, output: "a, b", repeat: 0, latency_s: 0.5}\n- {id: t0, output: "", repeat: 1}\n',
    "a.log": '{"id": "t0", "output": "a, b", "latency_s": 0.5}\n{"id": "t0", "output": "", "repeat": 1}\n',
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [*FORMATS, "a.parquet"])
def test_recorded_answers_are_read_from_files_of_every_kind(tmp_path, name, packed):
    content = FORMATS.get(name, "").encode()
    if name == "a.parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table(
            {"id": ["t0", "t0"], "output": ["a, b", ""], "repeat": [0, 1], "latency_s": [0.5, None]}
        )
        parquet.write_table(table, tmp_path / name)
        content = (tmp_path / name).read_bytes()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)

    rows = read_rows(path).rows
    assert [rows["t0", repeat].prediction.completion for repeat in (0, 1)] == [
        Completion("a, b", latency_s=0.5),
        Completion(""),
    ]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.csv", "id,output\nt0,a\nt0,b\n", "a.csv:3: id"),
        ("a.csv", "id,output,latency_s\nt0,a,soon\n", "a.csv:2: latency_s"),
        ("a.json", '[{"id": "t0", "output": "a"},\n{"id": "t0", "output": "a"}]', "a.json:2: id"),
        ("a.json", '{"a": [{"id": "t0", "output": 1}, {"id": ""}]}', "a.json, a[1]"),
    ],
)
def test_a_row_that_is_wrong_is_named_in_files_of_every_kind(
    tmp_path, monkeypatch, name, text, place
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / name)
    assert str(caught.value.where) == place


def test_zstandard_names_what_reads_it(tmp_path, monkeypatch):
    def refuse(*_):
        raise NotImplementedError("compression type 93 (zstd)")

    monkeypatch.setattr(logs, "_zipfile", lambda: zipfile)
    monkeypatch.setattr(zipfile.ZipFile, "read", refuse)
    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("samples/1.json", "{}")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.eval")
    assert "backports.zstd" in str(caught.value)
