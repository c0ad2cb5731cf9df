"""Read logs of lm-evaluation-harness, inspect_ai and MLflow as recorded answers.

Every log is turned into rows as our own recordings have them: ``{"id": ..., "output": ...}``, with
``repeat``, ``usage``, ``latency_s``, ``finish_reason`` or ``error`` where the log states them. The
answer of a row is what the model wrote, before a filter or a scorer of the other tool changed it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pytest_ftgate.data import canonical_json, strict_json
from pytest_ftgate.data.lines import open_lines, read_text, suffix_of
from pytest_ftgate.data.rows import RowReader
from pytest_ftgate.errors import DataError, Where, located, shown_path

Values = Mapping[str, Any]
ReadRows = Callable[[Values, Where], Iterator[Values]]
"""Turn one object of a log into rows of a recording."""


class LogRow(NamedTuple):
    """Hold one recorded answer, with the keys of our own recordings, and its place."""

    where: Where
    values: Values


def rows_of_log(path: Path) -> Iterable[LogRow] | None:
    """Return the answers in a log of another tool; None if the file is a recording of our own.

    Raises:
        DataError: the file looks like a log and cannot be read as one.
    """
    suffix = suffix_of(path)

    if suffix == ".eval":
        return _inspect_archive(path)
    if suffix == ".json":
        document = _document(path)
        if {"eval", "samples"} <= document.keys():
            return _inspect_samples(path, document["samples"] or ())
        if {"columns", "data"} <= document.keys():
            return _mlflow_table(path, document)

    # Other logs are told apart by the keys of their first row.
    first = _first_line(path)
    if {"doc_id", "resps", "arguments"} <= first.keys():
        return _lines(path, partial(_lm_eval, first.get("filter")))
    if {"trace_id", "request", "response"} <= first.keys():
        return _lines(path, _mlflow)
    return None


def _first_line(path: Path) -> Values:
    """Return the object in the first line of a file; an empty one if there is none."""
    with open_lines(path) as lines:
        text = next((line for line in lines if not line.isspace()), "")

    return strict_json.object_of(strict_json.json_or(text))


def _document(path: Path) -> Values:
    """Return the object that a whole file is; an empty one if it is not one JSON object."""
    text = read_text(path)
    try:
        return strict_json.object_of(json.loads(text))
    except ValueError:
        return {}


def _lines(path: Path, read_rows: ReadRows) -> Iterator[LogRow]:
    """Yield the answers in a log of one JSON object a line."""
    with open_lines(path) as lines:
        for text in lines:
            if text.isspace():
                continue
            where = Where(path=lines.path, line=lines.number)
            with _reading(where):
                values = strict_json.parse_object(text, cure="a log has one JSON object a line")
                rows = list(read_rows(values, where))
            for row in rows:
                yield LogRow(where, row)


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
        cure = 'write the log again, or convert it to rows such as {"id": "...", "output": "..."}'
        raise DataError(message, where=where, evidence=evidence, cure=cure) from None


def _id_in(values: Values, where: Where, fallback: Any) -> Any:
    """Return the id that a row of a data set has as an example.

    Return ``fallback`` if it is not one that we can read.
    """
    if values.get("id") is not None:
        return values["id"]
    with suppress(DataError):
        example = RowReader({}, labeled=False).example(values, where)
        if example is not None:
            return example.id
    return fallback


# --- lm-evaluation-harness: samples_TASK_TIME.jsonl, by --log_samples -----------------------------


def _lm_eval(filter_: Any, values: Values, where: Where) -> Iterator[Values]:
    """Yield the answers to one document of a file, which has each once for each filter of its task.

    Rows of another filter are passed over.
    """
    if values.get("filter") != filter_:
        return

    id_ = _id_in(strict_json.object_of(values.get("doc")), where, values["doc_id"])
    for repeat, output in enumerate(_lm_eval_outputs(values)):
        yield {"id": id_, "output": output, "repeat": repeat}


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


def _inspect_archive(path: Path) -> Iterator[LogRow]:
    """Yield the answers in an ``.eval`` file: a ZIP archive of one JSON document a sample."""
    shown = shown_path(path)
    zipfile = _zipfile()
    try:
        with open_lines(path) as lines, zipfile.ZipFile(lines.file) as archive:
            for name in archive.namelist():
                if name.startswith("samples/"):
                    sample = json.loads(archive.read(name))
                    yield _inspect_row(sample, Where(f"{shown}, {name}"))
    except NotImplementedError:
        message = "is compressed by Zstandard, which this Python does not read"
        cure = "pip install backports.zstd, or convert the log: inspect log convert --to json"
        raise DataError(message, where=Where(shown), cure=cure) from None
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


def _inspect_samples(path: Path, samples: Iterable[Values]) -> Iterator[LogRow]:
    for number, sample in enumerate(samples):
        yield _inspect_row(sample, Where(f"{shown_path(path)}, samples[{number}]"))


def _inspect_row(sample: Values, where: Where) -> LogRow:
    """Return the answer in one sample of a log; its epochs are repeats."""
    with _reading(where):
        return LogRow(where, _inspect_values(sample))


def _inspect_values(sample: Values) -> Values:
    """Return the values of a sample as a row of our own recordings has them."""
    row: dict[str, Any] = {"id": sample["id"], "repeat": sample["epoch"] - 1}
    if sample.get("error"):
        return {**row, "output": None, "error": sample["error"]["message"]}

    output = sample["output"]
    choices = output.get("choices") or [{}]
    row["output"] = _inspect_text(output, choices[0])
    # inspect_ai writes what its provider does not tell as unknown.
    reason = choices[0].get("stop_reason")
    row["finish_reason"] = None if reason == "unknown" else reason
    row["latency_s"] = output.get("time")
    usage = output.get("usage") or {}
    row["usage"] = {
        name: usage[name] for name in ("input_tokens", "output_tokens") if name in usage
    }
    return row


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


def _mlflow_table(path: Path, document: Values) -> Iterator[LogRow]:
    """Yield the answers in the column ``outputs`` of a table of ``mlflow.models.evaluate``."""
    name = shown_path(path)
    for number, cells in enumerate(document["data"] or ()):
        where = Where(f"{name}, row {number}")
        with _reading(where):
            values = dict(zip(document["columns"], cells, strict=True))
            output = values.pop("outputs")
            row = {"id": _id_in(values, where, number), "output": output}
        yield LogRow(where, row)


def _mlflow(values: Values, where: Where) -> Iterator[Values]:
    """Yield the answer in a row of ``mlflow.genai.evaluate``, written as JSON Lines."""
    request = values["request"]
    request = request if isinstance(request, Mapping) else {"input": request}
    id_ = values.get("client_request_id")
    if id_ is None:
        id_ = _id_in(request, where, values["trace_id"])

    if values.get("state", "OK") == "OK":
        yield {"id": id_, "output": values["response"]}
    else:
        yield {"id": id_, "output": None, "error": f"the trace is in the state {values['state']}"}
