"""The examples of a gate: a file, or Python objects."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, PlainValidator, PrivateAttr, ValidationInfo, model_validator

from pytest_ftgate.config.keys import (
    Keys,
    PathText,
    Positive,
    Text,
    Weaker,
    optional,
    reading_of,
    refusal,
    refusals,
)
from pytest_ftgate.data import FORMATS
from pytest_ftgate.errors import shown_path
from pytest_ftgate.text import got, nearest, quoted

MAX_TOKENS = 65_536  # OpenAI's limit for one training example of its gpt-4o and gpt-4.1 models

_DATA_KEYS = ("path", "format", "fields", "limit", "max_tokens")
_PARTS = ("input", "expected", "id", "group")
_NOT_SENT = ("expected", "id", "group")


class DataKeys(Keys):
    """Examples and how to read them: a file, or in Python code also an object in the place of the path."""

    _rows: Any = PrivateAttr(None)
    file: PathText = Field(alias="path", description="The path of the file, relative to this file.")
    format: Text = optional(
        f"How the file is written, or what its rows hold: {', '.join(FORMATS)}. Default: detected from the file's "
        "suffix and the keys of its rows."
    )
    fields: dict[str, Text] = Field(
        default_factory=dict,
        description="The names of the columns that hold id, input, expected and group, for example "
        "{input: question, expected: answers.text}; a dot leads to a value within a value. Columns of input and "
        "expected overrule the detected format.",
    )
    limit: Annotated[Positive, Weaker("lower", unwritten="all rows")] = optional(
        "Read only this many examples from the beginning of the file."
    )
    max_tokens: Annotated[Positive, Weaker("higher")] = Field(
        MAX_TOKENS,
        description="Of a training set: the maximum number of tokens in a row, estimated as UTF-8 bytes / 4.",
    )

    @property
    def path(self) -> Path:
        return self._place.absolute(self.file)

    @property
    def rows(self) -> Any:
        """Return the object that holds the examples; None if a file does."""
        return self._rows

    def __str__(self) -> str:
        return shown_path(self.path) if self._rows is None else "an iterable"

    @model_validator(mode="after")
    def _answer_apart(self) -> "DataKeys":
        """Refuse fields that would send the expected output to the model."""
        answer = self.fields.get("expected", "expected")
        for name, column in self.fields.items():
            if name not in _NOT_SENT and f"{answer}.".startswith(f"{column}."):
                text = f"{quoted(name)} is the column {quoted(column)}, which holds the expected output"
                if column in _PARTS:
                    text += f"; the name of the part comes first: {{{column}: {name}}}"
                raise refusals([(("fields", name), text)])
        return self


def keys_of(data: Any) -> DataKeys | None:
    """Return the keys of a data set; None for objects alone, which may have attributes of the same names."""
    return data if isinstance(data, DataKeys) else None


def file_of(data: Any) -> DataKeys | None:
    """Return the keys of a data file; None for objects."""
    return data if isinstance(data, DataKeys) and data.rows is None else None


def max_tokens(training_set: Any) -> int:
    """Return the largest number of tokens of a row."""
    keys = keys_of(training_set)
    return MAX_TOKENS if keys is None else keys.max_tokens


def _is_iterable(value: Any) -> bool:
    if hasattr(value, "collect_schema") or hasattr(value, "to_pylist"):  # polars (lazy), Arrow
        return True
    return isinstance(value, Iterable) and not isinstance(value, bytes | bytearray)


def _is_file(value: Mapping[Any, Any]) -> bool:
    """Return whether a mapping names a file or its rows, perhaps by a misspelt key; another one is a row itself."""
    return not value or any(nearest(str(key), _DATA_KEYS) for key in value)


def _read_data(value: Any, info: ValidationInfo) -> DataKeys | Iterable[Any]:
    reading = reading_of(info)
    if isinstance(value, str) or (reading.objects and isinstance(value, os.PathLike)):
        return DataKeys.model_validate({"path": value}, context=reading)
    rows = value.get("path") if isinstance(value, Mapping) and reading.objects else None
    if (
        rows is not None
        and not isinstance(rows, str | os.PathLike | Mapping)
        and _is_iterable(rows)
    ):
        if "format" in value:
            raise refusals(
                [(("format",), "is for files, and the path is an object: remove this key")]
            )
        keys = DataKeys.model_validate({**value, "path": "objects"}, context=reading)
        keys._rows = rows
        return keys
    if isinstance(value, Mapping) and (not reading.objects or _is_file(value)):
        return DataKeys.model_validate(value, context=reading)
    if reading.objects and _is_iterable(value):
        return cast("Iterable[Any]", value)
    rows_too = ", or rows: a list of examples, or a frame" if reading.objects else ""
    raise refusal(f"must be a path, or a mapping with a path{rows_too}, {got(value, ())}")


DataValue = Annotated[Any, PlainValidator(_read_data, json_schema_input_type=str | DataKeys)]
