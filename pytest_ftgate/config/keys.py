"""What all mappings of the gate file have in common, and the types of value that many keys share."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from pytest_ftgate.config.problems import MISSING, own_words, refusal, refusals
from pytest_ftgate.text import KeyPath, got, holds_literal_key, suggestion

_IN_PLAIN_SIGHT = "a secret must not be written here: name an environment variable with api_key_env"


class Keys(BaseModel):
    """A mapping of which every key is known. Its fields' defaults are the built-in ones.

    A key without a default is None while it is not written; which are written stands in ``model_fields_set``.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    later: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_keys(cls, values: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        if not isinstance(values, Mapping):
            return handler(values)
        objections = {key: text for key in values if (text := cls._objection(key, values[key]))}
        if not objections:
            return handler(dict(values))
        problems: list[tuple[KeyPath, str]] = [((str(key),), text) for key, text in objections.items()]
        try:
            handler({key: value for key, value in values.items() if key not in objections})
        except ValidationError as error:
            # What is missing here, or wrong with the whole, may only follow from a misspelled key.
            problems += [(at, text) for at, text in own_words(error) if at[1:] or (at and text != MISSING)]
        raise refusals(problems)

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        if not isinstance(key, str):
            return "a key must be text"
        if key in cls.later:
            return f"{key} is not supported yet"
        if holds_literal_key(key):
            return _IN_PLAIN_SIGHT
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if key in known:
            return "has no value: give one, or remove the key" if value is None else None
        if cls.model_config["extra"] == "allow":
            return None
        return "unknown key" + suggestion(key, known, f"; known are {', '.join(known)}")


class OpenKeys(Keys):
    """A mapping of which further keys are kept as they are, for someone else to judge."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _refuse_values(self) -> OpenKeys:
        _free(self.model_extra or {})
        return self


def absent() -> Any:
    """Stands for a key that is not written and has no built-in value."""
    return None


def _plain_path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _path_text(value: str) -> str:
    if "\0" in value:
        raise refusal("must be a path, which holds no NUL character")
    return value


def _free(values: dict[str, Any]) -> dict[str, Any]:
    problems = list(_unfit(values, ()))
    if problems:
        raise refusals(problems)
    return values


def _unfit(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """What can never be meant, however free the data: secrets in plain sight, numbers that are none."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"must be a finite number, {got(value, path)}"
    elif isinstance(value, Mapping):
        for key, part in value.items():
            below = (*path, str(key))
            yield from [(below, _IN_PLAIN_SIGHT)] if holds_literal_key(str(key)) else _unfit(part, below)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _unfit(part, (*path, index))


Text = Annotated[str, Field(pattern=r"\S")]
PathText = Annotated[Text, BeforeValidator(_plain_path), AfterValidator(_path_text)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1, le=10**9)]  # beyond any use, and within what Python counts natively
FreeData = Annotated[dict[str, Any], AfterValidator(_free)]
