"""The examples of a gate: a file, or Python objects."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, PrivateAttr, ValidationInfo, model_validator

from pytest_ftgate.config.keys import (
    Keys,
    PathText,
    Positive,
    Text,
    Weaker,
    misread,
    optional,
    reading_of,
    refusals,
    refused_key,
    words,
    wrong_type,
)
from pytest_ftgate.data import FORMATS, SUFFIXES
from pytest_ftgate.errors import shown_path
from pytest_ftgate.text import quoted

MAX_TOKENS = 65_536  # OpenAI's limit for one training example of its gpt-4o and gpt-4.1 models

_PARTS = ("id", "input", "expected", "group")
"""The parts of an example, of which only the input is sent to a model."""


class DataKeys(Keys):
    """Examples and how to read them: a file, or in Python code an object in place of the path."""

    _rows: Any = PrivateAttr(None)

    @classmethod
    def _elsewhere(cls, key: str, value: Any) -> str | None:
        if key in ("id", "input", "expected", "group"):
            return f"this is a name of a column: write fields: {{{key}: ...}}"
        if isinstance(value, str) and value.lower().endswith(SUFFIXES):
            return "unknown key; did you mean 'path'?"
        return None

    file: PathText = Field(
        alias="path",
        description="The path of the file, relative to this file.",
        examples=["data/test.jsonl"],
    )
    format: Text = optional(
        f"How the file is written, or what its rows hold: {', '.join(FORMATS)}. Default: detected.",
        example="csv",
    )
    fields: dict[str, Text] = Field(
        default_factory=dict,
        description="The names of the columns that hold id, input, expected and group; a dot leads "
        "to a value within a value.",
        examples=[{"input": "question", "expected": "answers.text"}],
    )
    limit: Annotated[Positive, Weaker("lower", unwritten="all rows")] = optional(
        "Read only this many examples from the beginning of the file.", example=500
    )
    turns: Annotated[Literal["last", "each"], words("last", "each")] = Field(
        "last",
        description="Which turns of the assistant in a conversation are examples: the last one, or "
        "each, with all messages before it as the input. The turns of a conversation are one "
        "group.",
    )
    max_tokens: Annotated[Positive, Weaker("higher")] = Field(
        MAX_TOKENS,
        description="Of a training set: the maximum number of tokens in a row, estimated as UTF-8 "
        "bytes / 4.",
    )
    labels: PathText = optional(
        "Of unlabeled_set: a file of labels by id, as --ftgate-report=to_label:FILE writes it. "
        "Labels in the rows of path count as well.",
        example="todo.jsonl",
    )

    @property
    def path(self) -> Path:
        return self._place.absolute(self.file)

    @property
    def labels_path(self) -> Path | None:
        return None if self.labels is None else self._place.absolute(self.labels)

    @property
    def rows(self) -> Any:
        """Return the object that holds the examples; None if a file does."""
        return self._rows

    def __str__(self) -> str:
        if self._rows is None:
            return shown_path(self.path)
        return "an iterable"

    @model_validator(mode="after")
    def _answer_apart(self) -> "DataKeys":
        """Refuse fields that would send the expected output to the model."""
        parts = {name: column for column, name in self.fields.items() if name in _PARTS}
        if parts and len(parts) == len(self.fields) and self.fields.keys().isdisjoint(_PARTS):
            problem = misread("each name of a part comes first, and its column second", parts)
            raise refused_key("fields", problem)

        answer = self.fields.get("expected", "expected")
        for name, column in self.fields.items():
            is_sent = name == "input" or name not in _PARTS
            if not (is_sent and f"{answer}.".startswith(f"{column}.")):
                continue
            text = f"{quoted(name)} is the column {quoted(column)}, which holds the expected output"
            raise refusals([(("fields", name), text)])
        return self


def _is_row_or_columns(value: Mapping[Any, Any]) -> bool:
    """Return whether a mapping holds values of examples, and no key of a data set."""
    if "path" in value:
        return False
    entries = [entry for entry in value.values() if not isinstance(entry, Mapping)]
    return "input" in value or any(map(_holds_rows, entries))


def _holds_rows(value: Any) -> bool:
    """Return whether an object may hold rows: an iterable, a lazy frame, an Arrow table."""
    if isinstance(value, Mapping):
        return _is_row_or_columns(value)
    if isinstance(value, str | bytes | bytearray | os.PathLike):
        return False
    is_frame = hasattr(value, "collect_schema") or hasattr(value, "to_pylist")
    return is_frame or isinstance(value, Iterable)


def _read_data(value: Any, info: ValidationInfo) -> DataKeys:
    """Return the keys of a file, or of objects, which only Python code can give."""
    reading = reading_of(info)
    is_path = isinstance(value, str | os.PathLike)
    if isinstance(value, Mapping) and not (reading.objects and _is_row_or_columns(value)):
        written = dict(value)
    elif is_path or (reading.objects and _holds_rows(value)):
        written = {"path": value}
    else:
        forms = "a path, or a mapping with a path"
        if reading.objects:
            forms = "a path, a mapping with a path, a list of examples, columns, or a frame"
        raise wrong_type(forms, value)

    rows = written.get("path")
    # A file, or something that the keys themselves refuse.
    if not (reading.objects and _holds_rows(rows)):
        return DataKeys.model_validate(written, context=reading)
    if "format" in written:
        raise refused_key("format", "is for files, and the path is an object: remove this key")

    # The other keys are validated beside a stand-in for the objects.
    keys = DataKeys.model_validate({**written, "path": "objects"}, context=reading)
    keys._rows = rows
    return keys


DataValue = Annotated[Any, PlainValidator(_read_data, json_schema_input_type=str | DataKeys)]
