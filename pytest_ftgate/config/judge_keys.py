"""The keys of metrics that a model or people judge: ``rubric``, ``preference``, ``human_preference``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from pytest_ftgate.config.keys import Keys, Number, PathText, Text, absent
from pytest_ftgate.config.model_keys import ModelValue
from pytest_ftgate.config.problems import MISSING, refusal, refusals
from pytest_ftgate.text import FARTHEST

_BESIDE_MODEL = ("rubric", "rubric_file", "scale", "calibration")
_NOT_BESIDE_MODEL = (
    f"unknown key; beside model stand {', '.join(_BESIDE_MODEL)}; a model with keys of its own has a provider"
)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _ends(values: list[float]) -> list[float]:
    if len(values) != 2 or values[0] >= values[1]:
        raise refusal("must be the lowest and the highest score, as [1, 5]")
    if max(map(abs, values)) > FARTHEST:
        raise refusal(f"must lie within {FARTHEST:g} of 0, as [1, 5]")
    return values


class CalibrationKeys(Keys):
    """Items that people have judged, on which the judge has to agree with them first."""

    path: PathText = Field(description="CSV or JSONL of judged items, relative to this file.")
    min_kappa: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        description="The least agreement (Cohen's kappa) at which the judge may judge."
    )


class RubricKeys(Keys):
    """Answers that a model grades by a rubric."""

    name: Literal["rubric"] = Field(description="The metric.")
    judge: ModelValue = Field(description="The model that grades.")
    rubric: Text = Field(default_factory=absent, description="What makes an answer good. This or rubric_file.")
    rubric_file: PathText = Field(default_factory=absent, description="A file with the rubric, relative to this one.")
    scale: Annotated[list[Number], BeforeValidator(_listed), AfterValidator(_ends)] = Field(
        [1, 5], description="The lowest and the highest score."
    )
    calibration: CalibrationKeys = Field(default_factory=absent, description="What the judge is held to first.")

    @model_validator(mode="after")
    def _one_rubric(self) -> RubricKeys:
        _refuse_two_rubrics(self)
        return self


class PreferenceKeys(Keys):
    """Which of two answers a model prefers."""

    name: Literal["preference"] = Field(description="The metric.")
    judge: ModelValue = Field(description="The model that prefers.")
    rubric: Text = Field(default_factory=absent, description="What makes an answer better. This or rubric_file.")
    rubric_file: PathText = Field(default_factory=absent, description="A file with the rubric, relative to this one.")
    calibration: CalibrationKeys = Field(default_factory=absent, description="What the judge is held to first.")

    @model_validator(mode="after")
    def _one_rubric(self) -> PreferenceKeys:
        _refuse_two_rubrics(self)
        return self


class HumanPreferenceKeys(Keys):
    """Which of two answers people preferred."""

    name: Literal["human_preference"] = Field(description="The metric.")
    path: PathText = Field(description="CSV or JSONL of {id, preferred, rater}, relative to this file.")


JudgedKeys = RubricKeys | PreferenceKeys | HumanPreferenceKeys
JUDGED: Mapping[str, type[JudgedKeys]] = {
    "rubric": RubricKeys,
    "preference": PreferenceKeys,
    "human_preference": HumanPreferenceKeys,
}


def _refuse_two_rubrics(read: RubricKeys | PreferenceKeys) -> None:
    given = read.model_fields_set & {"rubric", "rubric_file"}
    if len(given) == 2:
        raise refusals([(("rubric_file",), "rubric and rubric_file are both given: keep one")])
    if not given:
        raise refusals([(("rubric",), MISSING)])


def read_judged(values: Mapping[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """The keys of such a metric that were written, checked; ``name`` is one of :data:`JUDGED`."""
    read = JUDGED[values["name"]].model_validate(_on_one_level(values), context=info.context)
    return {key: getattr(read, key) for key in type(read).model_fields if key in read.model_fields_set}


def _on_one_level(values: Mapping[str, Any]) -> dict[str, Any]:
    """The judge may be written as a mapping that holds the rubric, too: ``judge: {model, rubric, scale}``."""
    judge = values.get("judge")
    if not isinstance(judge, Mapping) or "provider" in judge or "model" not in judge:
        return dict(values)
    problems = [
        (("judge", str(key)), "is given twice: keep one" if key in values else _NOT_BESIDE_MODEL)
        for key in judge
        if key != "model" and (key not in _BESIDE_MODEL or key in values)
    ]
    if problems:
        raise refusals(problems)
    beside = {key: value for key, value in judge.items() if key != "model"}
    return {**values, **beside, "judge": judge["model"]}
