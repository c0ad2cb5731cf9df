"""The examples of a gate: a file, or Python objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, PlainValidator, ValidationInfo, model_validator

from pytest_ftgate.config.keys import PathText, Positive, SourcedKeys, Text, optional
from pytest_ftgate.config.problems import reading_of, refusal, refusals
from pytest_ftgate.config.weaker import Weaker
from pytest_ftgate.data import FORMATS
from pytest_ftgate.data.cells import splits_of
from pytest_ftgate.errors import shown_path
from pytest_ftgate.text import got, listed, quoted

MAX_TOKENS = 65_536  # OpenAI's limit for one training example of its gpt-4o and gpt-4.1 models

_NOT_SENT = ("expected", "id", "group")


class DataKeys(SourcedKeys):
    """A file of examples and how to read it."""

    file: PathText = Field(alias="path", description="The path of the file, relative to this file.")
    format: Text = optional(
        f"How the file is written, or what its rows hold: {', '.join(FORMATS)}. Default: detected from the file's "
        "suffix and the keys of its rows."
    )
    fields: dict[str, Text] = Field(
        default_factory=dict,
        description="The names of the columns that hold id, input, expected and group, for example "
        "{input: question, expected: answer}. Columns of input and expected overrule the detected format.",
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

    def __str__(self) -> str:
        return shown_path(self.path)

    @model_validator(mode="after")
    def _answer_apart(self) -> DataKeys:
        """Refuse fields that would send the expected output to the model."""
        answer = self.fields.get("expected", "expected")
        leaking = [name for name, column in self.fields.items() if column == answer and name not in _NOT_SENT]
        if leaking:
            text = f"{quoted(leaking[0])} is the column {quoted(answer)}, which holds the expected output"
            raise refusals([(("fields", leaking[0]), text)])
        return self


def file_of(data: Any) -> DataKeys | None:
    """Return the keys of a data file; None for objects, which may have attributes of the same names."""
    return data if isinstance(data, DataKeys) else None


def max_tokens(training_set: Any) -> int:
    """Return the largest number of tokens of a row."""
    keys = file_of(training_set)
    return MAX_TOKENS if keys is None else keys.max_tokens


def _read_data(value: Any, info: ValidationInfo) -> DataKeys | Iterable[Any]:
    reading = reading_of(info)
    if isinstance(value, bool | int | float):
        raise refusal("must be a path or the examples themselves; a number of examples is not data")
    if isinstance(value, str) or (reading.objects and isinstance(value, os.PathLike)):
        return DataKeys.model_validate({"path": value}, context=reading)
    splits = splits_of(value) if reading.objects else None
    if splits:
        raise refusal(f"is a DatasetDict with the splits {listed(splits)}: give one of them, such as {splits[0]!r}")
    if isinstance(value, Mapping):
        return DataKeys.model_validate(value, context=reading)
    if reading.objects and isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return value
    if reading.objects and hasattr(value, "collect_schema"):  # a lazy frame of polars
        return cast("Iterable[Any]", value)
    raise refusal(f"must be a path, or a mapping with a path, {got(value, ())}")


DataValue = Annotated[Any, PlainValidator(_read_data, json_schema_input_type=str | DataKeys)]
