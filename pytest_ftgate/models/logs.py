"""Read recorded answers, in rows of our own or of other tools, from files of every kind.

The rows of another tool become rows of our own: ``{"id": ..., "output": ...}``, with ``repeat``,
``usage``, ``latency_s``, ``finish_reason``, ``model`` or ``error`` where it states them. The answer
of a row is what the model wrote, before a filter or a scorer of the other tool changed it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pytest_ftgate.data import canonical_json, strict_json
from pytest_ftgate.data.cells import json_row
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.lines import open_lines, suffix_of
from pytest_ftgate.data.load import CELLS, Opened, file_of, opened
from pytest_ftgate.data.messages import calls_text
from pytest_ftgate.data.rows import RowReader
from pytest_ftgate.errors import DataError, Where, located, shown_path
from pytest_ftgate.text import excerpt, listed

Values = Mapping[str, Any]
NumberedRows = Iterator[tuple[int, Values]]
ReadRow = Callable[[Values, Values], Iterator[Values]]
"""Turn a row of a tool into rows of our own. The second one is the first of the file."""


class AnswerRows(NamedTuple):
    """The rows of a file, as rows of our own with their numbers, and the place of a number."""

    rows: NumberedRows
    place: Callable[[int], Where]


@contextmanager
def opened_answers(path: Path) -> Iterator[AnswerRows]:
    """Open a file of recorded answers.

    Raises:
        DataError: the file cannot be read, or a row is not as its tool writes it.
    """
    if suffix_of(path) == ".eval":
        with _inspect_archive(path) as samples:
            yield samples
        return

    file = file_of(path, "jsonl")
    with opened(path, file, form_of) as source:
        rows = without_faults(source.rows)
        if source.table is not None or file in CELLS:
            rows = _typed(rows, source)
        yield AnswerRows(_converted(rows, source.place), source.place)


def _typed(rows: NumberedRows, source: Opened) -> NumberedRows:
    """Yield the rows of a table with JSON values; an empty cell of a fact is left out."""
    for number, cells in rows:
        values, _ = json_row(cells, source.table)
        for name, value in list(values.items()):
            if not isinstance(value, str) or name in ("id", "output"):
                continue
            if value == "":
                del values[name]
            elif name in _FACTS_IN_CELLS:
                values[name] = strict_json.json_or(value, value)
        yield number, values


_FACTS_IN_CELLS = frozenset({"busy_s", "created_at", "latency_s", "repeat", "usage"})
"""What a cell of text holds as JSON."""


# --- forms ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogForm:
    """One form of rows with answers.

    Attributes:
        name: the tool that writes it.
        keys: that every row has.
        read: returns the answers in a row.
        when: what the values must be, besides the keys.
        in_lists: one file holds such rows in several lists, which belong together.
    """

    name: str
    keys: frozenset[str]
    read: ReadRow
    when: Callable[[Values], bool] = field(default=lambda _: True)
    in_lists: bool = False

    def fits(self, row: Values) -> bool:
        return self.keys <= row.keys() and self.when(row)


def form_of(row: Values) -> LogForm | None:
    """Return the form of a row of another tool; None for a row of our own.

    Raises:
        DataError: several forms fit.
    """
    fitting = [form for form in FORMS if form.fits(row)]
    if len(fitting) > 1:
        message = f"the row has the keys of several tools: {listed(form.name for form in fitting)}"
        cure = 'convert it to rows such as {"id": "...", "output": "..."}'
        raise DataError(message, evidence=f"found: {listed(row)}", cure=cure)
    return fitting[0] if fitting else None


def _converted(rows: NumberedRows, place: Callable[[int], Where]) -> NumberedRows:
    """Return rows of our own, from rows in the form of the first one."""
    first = next(rows, None)
    if first is None:
        return rows
    number, values = first
    with _reading(place(number)):
        form = form_of(values)
    rows = chain([first], rows)
    return rows if form is None else _read(form, rows, values, place)


def _read(
    form: LogForm, rows: NumberedRows, first: Values, place: Callable[[int], Where]
) -> NumberedRows:
    for number, values in rows:
        with _reading(place(number)):
            answers = list(form.read(values, first))
        for answer in answers:
            yield number, answer


@contextmanager
def _reading(where: Where) -> Iterator[None]:
    """Name the place of a row that is not as its tool writes it."""
    try:
        yield
    except DataError as error:
        raise located(error, where) from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        message = "the row is not as the tool of this log writes it"
        evidence = f"{type(error).__name__}: {error}"
        advice = 'write the log again, or convert it to rows such as {"id": "...", "output": "..."}'
        raise DataError(message, where=where, evidence=evidence, cure=advice) from None


def _identity(values: Values, fallback: Any = None) -> dict[str, Any]:
    """Return the id of a row of a data set, given or that of its input; else ``fallback``."""
    if values.get("id") is not None:
        return {"id": values["id"]}
    return _identity_of_case(values, fallback)


def _identity_of_case(case: Values, fallback: Any = None) -> dict[str, Any]:
    """Return the id that a case has where its file is a test set; else ``fallback``."""
    with suppress(DataError):
        example = RowReader({}, labeled=False).example(case, Where())
        if example is not None:
            return {"id": example.id}
    return {} if fallback is None else {"id": fallback}


# --- lm-evaluation-harness: samples_TASK_TIME.jsonl, by --log_samples -----------------------------


def _lm_eval(values: Values, first: Values) -> Iterator[Values]:
    """Yield the answers to one document of a file, which has each once for each filter of its task.

    Rows of another filter than the first one's are passed over.
    """
    if values.get("filter") != first.get("filter"):
        return

    identity = _identity(strict_json.object_of(values.get("doc")), values["doc_id"])
    for repeat, output in enumerate(_lm_eval_outputs(values)):
        yield {**identity, "output": output, "repeat": repeat}


def _lm_eval_outputs(values: Values) -> list[str]:
    """Return the answers to one document: texts, or the choice with the highest likelihood."""
    responses = values["resps"]
    first = responses[0][0] if responses and responses[0] else None

    if isinstance(first, str):
        return [text for texts in responses for text in texts]
    if isinstance(first, list | tuple) and len(first) == 2:
        likelihoods = [float(response[0][0]) for response in responses]
        best = likelihoods.index(max(likelihoods))
        requests = list(values["arguments"].values())
        return [requests[best]["arg_1"].strip()]

    cure = "log a task with output_type generate_until or multiple_choice, and --log_samples"
    raise DataError("holds no text and no likelihoods", where=Where(key="resps"), cure=cure)


# --- inspect_ai: logs as .eval archives, or as .json ----------------------------------------------


@contextmanager
def _inspect_archive(path: Path) -> Iterator[AnswerRows]:
    """Open an ``.eval`` file: a ZIP archive of one JSON document a sample."""
    shown = shown_path(path)
    zipfile = _zipfile()
    try:
        with open_lines(path) as lines, zipfile.ZipFile(lines.file) as archive:
            names = [name for name in archive.namelist() if name.startswith("samples/")]
            samples = enumerate(json.loads(archive.read(name)) for name in names)
            place = lambda number: Where(f"{shown}, {names[number]}")  # noqa: E731
            yield AnswerRows(_converted(samples, place), place)
    except NotImplementedError:
        message = "is compressed by Zstandard, which this Python does not read"
        advice = "pip install backports.zstd, or convert the log: inspect log convert --to json"
        raise DataError(message, where=Where(shown), cure=advice) from None
    except (zipfile.BadZipFile, ValueError) as error:
        message = f"is not a readable log of inspect_ai: {error}"
        raise DataError(message, where=Where(shown)) from None


def _zipfile() -> ModuleType:
    """Return the module ``zipfile``, with Zstandard where it is installed.

    Python has it from 3.14 on.
    """
    try:
        return import_module("backports.zstd.zipfile")
    except ImportError:
        return import_module("zipfile")


def _inspect(sample: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in one sample of a log; its epochs are repeats."""
    row: dict[str, Any] = {"id": sample["id"], "repeat": sample["epoch"] - 1}
    if sample.get("error"):
        yield {**row, "output": None, "error": sample["error"]["message"]}
        return

    output = sample["output"]
    choices = output.get("choices") or [{}]
    row["output"] = _inspect_text(output, choices[0])
    # inspect_ai writes what its provider does not tell as unknown.
    reason = choices[0].get("stop_reason")
    row["finish_reason"] = None if reason == "unknown" else reason
    row["latency_s"] = output.get("time")
    row["model"] = output.get("model")
    usage = output.get("usage") or {}
    row["usage"] = {
        name: usage[name] for name in ("input_tokens", "output_tokens") if name in usage
    }
    yield row


def _inspect_text(output: Values, choice: Values) -> str:
    """Return the text of an answer; where it calls tools, the JSON list of the calls."""
    calls = choice.get("message", {}).get("tool_calls")
    if calls:
        return canonical_json(
            [{"name": call["function"], "arguments": call["arguments"]} for call in calls]
        )
    completion: str = output["completion"]
    return completion


# --- MLflow: eval_results_table.json, and rows of result.tables["eval_results"] -------------------


def _mlflow_table(values: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in the column ``outputs`` of a table of ``mlflow.models.evaluate``."""
    others = {name: value for name, value in values.items() if name != "outputs"}
    yield {**_identity(others), "output": values["outputs"]}


def _mlflow(values: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in a row of ``mlflow.genai.evaluate``."""
    request = strict_json.container_of(values["request"])
    if not isinstance(request, Mapping):
        request = {"input": values["request"]}
    identity = _identity_of_case(values) or _identity(request, values["trace_id"])
    if values.get("client_request_id") is not None:
        identity["id"] = values["client_request_id"]

    if values.get("state", "OK") == "OK":
        yield {**identity, "output": values["response"]}
    else:
        error = f"the trace is in the state {values['state']}"
        yield {**identity, "output": None, "error": error}


# --- OpenAI and Together Batch: the output file and the error file --------------------------------


def _batch(values: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in a line of a batch, a chat completion or a response by its custom id."""
    response = values["response"] or {}
    body = strict_json.object_of(response.get("body"))
    row: dict[str, Any] = {"id": values["custom_id"], "output": None, "model": body.get("model")}
    error = values.get("error") or body.get("error")
    if error:
        message = strict_json.object_of(error).get("message")
        yield {**row, "error": str(message or error)}
        return

    usage = strict_json.object_of(body.get("usage"))
    counts = {}
    for name, other_name in (
        ("input_tokens", "prompt_tokens"),
        ("output_tokens", "completion_tokens"),
    ):
        count = usage.get(name, usage.get(other_name))
        if count is not None:
            counts[name] = count
    row["usage"] = counts
    if response.get("status_code") is not None:
        row["status"] = response["status_code"]

    if "choices" in body:
        choice = body["choices"][0]
        row["finish_reason"] = choice.get("finish_reason")
        message = choice["message"]
        calls = message.get("tool_calls")
        row["output"] = calls_text(calls) if calls else message.get("content") or ""
    else:
        row["output"] = _text_of_response(body["output"])
    yield row


def _text_of_response(items: list[Values]) -> str:
    """Return the text in the output of OpenAI's Responses API."""
    texts = []
    for item in items:
        for part in item.get("content") or ():
            texts.append(part.get("text") or "")
    return "".join(texts)


# --- promptfoo: results.json, by promptfoo eval -o results.json -----------------------------------


def _promptfoo(values: Values, first: Values) -> Iterator[Values]:
    """Yield the answer to one test, by the id of the test, or its number."""
    model, first_model = _promptfoo_model(values), _promptfoo_model(first)
    if model != first_model:
        message = f"the file has the answers of several models: {first_model}, and {model}"
        cure = "write a file for each, by --filter-providers and --filter-prompts"
        raise DataError(message, cure=cure)

    row: dict[str, Any] = _identity_of_case(values, values["testIdx"])
    row["model"] = _promptfoo_provider(values)
    response = values.get("response") or {}
    # `error` of a row is an assertion that does not hold as well.
    error = response.get("error")
    if error or response.get("output") is None:
        yield {**row, "output": None, "error": error or values.get("error") or "no response"}
        return

    row["output"] = _text_of(response["output"])
    tokens = response.get("tokenUsage") or {}
    if {"prompt", "completion"} <= tokens.keys():
        row["usage"] = {"input_tokens": tokens["prompt"], "output_tokens": tokens["completion"]}
    if values.get("latencyMs") is not None and not response.get("cached"):
        row["latency_s"] = values["latencyMs"] / 1_000
    yield row


def _promptfoo_model(values: Values) -> str:
    """Return the provider of an answer and its prompt."""
    name = _promptfoo_provider(values)
    return f'{name} with the prompt "{excerpt(values["prompt"]["label"])}"'


def _promptfoo_provider(values: Values) -> str:
    provider = values["provider"]
    return str(provider.get("label") or provider["id"])


# --- pydantic-evals: a report as JSON -------------------------------------------------------------


def _pydantic_evals(values: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in a case of a report, by its name, or else its input."""
    row = _identity_of_case(values)
    if values.get("source_case_name"):
        row["repeat"] = int(values["name"].rpartition("[")[2].partition("/")[0]) - 1  # name [1/3]
    if "output" not in values:
        yield {**row, "output": None, "error": values["error_message"]}
        return

    yield {**row, "output": _text_of(values["output"]), "latency_s": values.get("task_duration")}


# --- DeepEval: test cases, and test runs ----------------------------------------------------------


def _deepeval(values: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in a test case, by its name, or else its input."""
    yield {**_identity_of_case(values), "output": values["actual_output"]}


def _deepeval_run(values: Values, _: Values) -> Iterator[Values]:
    """Yield the answer in a test case of a test run, by its name, or else its input."""
    case = {"input": values["input"]}
    name = values.get("name")
    # A case without a name got that of pytest's test, or test_case_0: no id.
    if name and not name.startswith("test_"):
        case["id"] = name
    yield {**_identity(case), "output": values["actualOutput"]}


def _text_of(output: Any) -> str:
    """Return an output as the text that metrics read; of a structure, the JSON."""
    return output if isinstance(output, str) else canonical_json(output)


# --- the forms ------------------------------------------------------------------------------------

FORMS = (
    LogForm(
        name="lm-evaluation-harness",
        keys=frozenset({"doc_id", "resps", "arguments"}),
        read=_lm_eval,
    ),
    LogForm(
        name="inspect_ai",
        keys=frozenset({"id", "epoch", "output"}),
        read=_inspect,
        when=lambda row: not isinstance(row["output"], str),
    ),
    LogForm(
        name="MLflow's models.evaluate",
        keys=frozenset({"outputs"}),
        read=_mlflow_table,
        when=lambda row: "output" not in row,
    ),
    LogForm(
        name="MLflow's genai.evaluate",
        keys=frozenset({"trace_id", "request", "response"}),
        read=_mlflow,
    ),
    LogForm(
        name="OpenAI Batch",
        keys=frozenset({"custom_id", "response"}),
        read=_batch,
    ),
    LogForm(
        name="promptfoo",
        keys=frozenset({"testIdx", "vars", "provider", "prompt"}),
        read=_promptfoo,
    ),
    LogForm(
        name="pydantic-evals",
        keys=frozenset({"name", "inputs"}),
        read=_pydantic_evals,
        when=lambda row: "output" in row or "error_message" in row,
        in_lists=True,
    ),
    LogForm(
        name="DeepEval's test cases",
        keys=frozenset({"input", "actual_output"}),
        read=_deepeval,
    ),
    LogForm(
        name="DeepEval's test runs",
        keys=frozenset({"input", "actualOutput"}),
        read=_deepeval_run,
    ),
)
"""The rows of other tools that are read, told apart by their keys."""
