"""Metrics in the configuration, and the keys of those that a model or people judge."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    model_validator,
)

from pytest_ftgate.config import models
from pytest_ftgate.config.keys import (
    BUILT_IN,
    MISSING,
    At,
    Keys,
    Listed,
    Number,
    OpenKeys,
    PathText,
    Placeable,
    Source,
    Text,
    Weaker,
    misread,
    optional,
    place,
    reading_of,
    refusal,
    refusals,
    refused_key,
    wrong_type,
)

_PATH = {
    "format": "json_schema",
    "rubric": "rubric_file",
    "preference": "rubric_file",
    "human_preference": "path",
}


@dataclass(frozen=True)
class MetricSpec(Placeable):
    """A metric and its written options; ``options["function"]`` is a callable of a marker."""

    name: str
    options: Mapping[str, Any]
    source: Source

    def __str__(self) -> str:
        return self.name

    def placed(self, source_at: At, name: str | None = None) -> "MetricSpec":  # noqa: ARG002
        """Return the metric with its source, also of its paths and judge."""
        source = source_at()
        options = {key: place(value, lambda *_: source) for key, value in self.options.items()}
        key = _PATH.get(self.name, "")
        path = options.get(key)
        if isinstance(path, str | os.PathLike) and os.fspath(path):
            options[key] = source.absolute(path)
        return MetricSpec(self.name, options, source)


class MetricKeys(OpenKeys):
    """A metric and its options."""

    name: Text = Field(
        description="The metric's name, such as accuracy, f1_macro or exact_match.",
        examples=["f1_macro"],
    )


def _ends(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) != 2 or values[0] >= values[1]:
        raise refusal("must be the lowest and the highest score, such as [1, 5]")
    return values


class CalibrationKeys(Keys):
    """Items that people have judged, on which the judge must agree with them."""

    file: PathText = Field(
        alias="path",
        description="A CSV or JSONL file of judged items, relative to this file.",
        examples=["data/judged.jsonl"],
    )
    min_kappa: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), Weaker("lower")] = Field(
        description="The minimum agreement with people (Cohen's kappa).", examples=[0.6]
    )

    @property
    def path(self) -> Path:
        return self._place.absolute(self.file)


class _JudgeKeys(Keys):
    one_at_most = (("rubric", "rubric_file"),)
    name: str
    judge: models.ModelValue = Field(
        description="The model that judges.", examples=["openai:gpt-4.1"]
    )
    rubric: Text = optional(
        "The criteria for a good answer. Either rubric or rubric_file is required.",
        example="The answer is correct and polite.",
    )
    rubric_file: PathText = optional(
        "A file with the rubric, relative to this file.", example="prompts/rubric.md"
    )
    calibration: CalibrationKeys = optional(
        "Items judged by people, on which the judge must agree with them first.",
        example={"path": "data/judged.jsonl", "min_kappa": 0.6},
    )

    @model_validator(mode="after")
    def _has_rubric(self) -> "_JudgeKeys":
        if self.rubric is None and self.rubric_file is None:
            raise refused_key("rubric", MISSING)
        return self


class RubricKeys(_JudgeKeys):
    """Answers graded by a model according to a rubric."""

    name: Literal["rubric"] = Field(description="The metric.", examples=["rubric"])
    scale: Annotated[tuple[Number, ...], Listed, AfterValidator(_ends)] = Field(
        (1, 5), description="The lowest and the highest score."
    )


class PreferenceKeys(_JudgeKeys):
    """Pairs of answers, of which a model prefers one."""

    name: Literal["preference"] = Field(description="The metric.", examples=["preference"])


class HumanPreferenceKeys(Keys):
    """Pairs of answers, of which people preferred one."""

    name: Literal["human_preference"] = Field(
        description="The metric.", examples=["human_preference"]
    )
    path: PathText = Field(
        description="A CSV or JSONL file of {id, preferred, rater}, relative to this file.",
        examples=["data/preferred.csv"],
    )


JudgedKeys = RubricKeys | PreferenceKeys | HumanPreferenceKeys
JUDGED: Mapping[str, type[JudgedKeys]]
JUDGED = {
    "rubric": RubricKeys,
    "preference": PreferenceKeys,
    "human_preference": HumanPreferenceKeys,
}


def _read_metric(value: Any, info: ValidationInfo) -> MetricSpec:
    values = dict(value) if isinstance(value, Mapping) else {"name": value}
    metric = values.get("name")
    is_plain = isinstance(metric, str | int | float | list | tuple | None)
    if reading_of(info).objects and not is_plain:
        values["name"] = models.name_of(metric)
        values["function"] = metric
    if not isinstance(value, Mapping) and not isinstance(values["name"], str):
        raise wrong_type("a metric's name, or a mapping with a name", value)

    if isinstance(value, Mapping) and isinstance(metric, str) and metric in JUDGED:
        values = JUDGED[metric].model_validate(values, context=info.context).written()
    read = MetricKeys.model_validate(values, context=info.context)
    return MetricSpec(read.name, read.model_extra or {}, BUILT_IN)


MetricValue = Annotated[
    MetricSpec, PlainValidator(_read_metric, json_schema_input_type=str | JudgedKeys | MetricKeys)
]
_SEVERAL = TypeAdapter[tuple[MetricSpec, ...]](
    tuple[MetricValue, ...], config=ConfigDict(defer_build=True)
)


def _read_metrics(value: Any, info: ValidationInfo) -> MetricSpec | tuple[MetricSpec, ...]:
    """Return one metric, or those of a list."""
    if not isinstance(value, list | tuple):
        return _read_metric(value, info)
    if not value:
        raise misread("must not be empty")
    metrics = _SEVERAL.validate_python(value, context=info.context)
    names = [metric.name for metric in metrics]
    twice = [
        ((index,), "this metric is listed twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    if twice:
        raise refusals(twice)
    return metrics


_OneOrMore = MetricValue | Annotated[list[MetricValue], Field(min_length=1)]
MetricsValue = Annotated[Any, PlainValidator(_read_metrics, json_schema_input_type=_OneOrMore)]
