"""How the examples of a gate may be given: a file, or objects of Python code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationInfo, model_validator

from pytest_ftgate.config.keys import Keys, PathText, Positive, Text, optional
from pytest_ftgate.config.problems import reading_of, refusal, refusals
from pytest_ftgate.config.source import Source
from pytest_ftgate.config.weaker import Weaker
from pytest_ftgate.errors import shown_path
from pytest_ftgate.text import got, quoted

_NOT_SENT = ("expected", "id", "group")


class DataKeys(Keys):
    """A file of examples, and how to read it."""

    file: PathText = Field(alias="path", description="The file, relative to this one.")
    format: Text = optional("jsonl, csv, or chat; by the file's suffix and first row where absent.")
    fields: dict[str, Text] = Field(
        default_factory=dict,
        description="The file's names for id, input, expected, group: {input: question, expected: answer}.",
    )
    limit: Annotated[Positive, Weaker("lower", unwritten="all rows")] = optional("Only the first examples of the file.")

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return self._place.absolute(self.file)

    @property
    def source(self) -> Source:
        """Where it is named."""
        return self._place

    def __str__(self) -> str:
        return shown_path(self.path)

    @model_validator(mode="after")
    def _answer_apart(self) -> DataKeys:
        """The column of the expected output is no part of what a model is sent."""
        answer = self.fields.get("expected", "expected")
        told = [name for name, column in self.fields.items() if column == answer and name not in _NOT_SENT]
        if told:
            text = f"{quoted(told[0])} is the column {quoted(answer)}, which is the expected output"
            raise refusals([(("fields", told[0]), text)])
        return self


def _read_data(value: Any, info: ValidationInfo) -> DataKeys | Iterable[Any]:
    reading = reading_of(info)
    if isinstance(value, bool | int | float):
        raise refusal("must be the data: a path or the examples themselves; a count proves nothing")
    if isinstance(value, str) or (reading.objects and isinstance(value, os.PathLike)):
        return DataKeys.model_validate({"path": value}, context=reading)
    if isinstance(value, Mapping):
        return DataKeys.model_validate(value, context=reading)
    if reading.objects and isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return value
    raise refusal(f"must be a path, or a mapping with a path, {got(value, ())}")


DataValue = Annotated[Any, PlainValidator(_read_data, json_schema_input_type=str | DataKeys)]
