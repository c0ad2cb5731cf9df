"""The key ``baselines``: models by name."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from pytest_ftgate.config.keys import names
from pytest_ftgate.config.models import ModelValue, refuse_one
from pytest_ftgate.config.problems import refusals


def _read_names(values: dict[str, Any]) -> dict[str, Any]:
    if "candidate" in values:
        raise refusals([(("candidate",), "a baseline must not be named candidate")])
    return names(values)


BaselinesValue = Annotated[
    dict[str, ModelValue],
    Field(min_length=1),
    AfterValidator(_read_names),
    BeforeValidator(partial(refuse_one, key="baseline")),
]
