"""The requirements of a gate besides its gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo, model_validator

from pytest_ftgate.config.data import DataValue
from pytest_ftgate.config.keys import Amount, Keys, Listed, Number, SourcedKeys, Text, optional
from pytest_ftgate.config.metrics import MetricValue
from pytest_ftgate.config.problems import refusal, refusals
from pytest_ftgate.config.weaker import Weaker
from pytest_ftgate.result import Threshold
from pytest_ftgate.text import got, plain_number, quoted


class ThresholdKeys(SourcedKeys):
    """The limits of one measured value of the candidate."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["min"]}, {"required": ["max"]}]})

    min: Annotated[Number, Weaker("lower")] = optional("The minimum value.")
    max: Annotated[Number, Weaker("higher")] = optional("The maximum value.")

    @model_validator(mode="after")
    def _bounded(self) -> ThresholdKeys:
        if not self.model_fields_set & {"min", "max"}:
            raise refusal("needs min, max or both")
        if self.model_fields_set >= {"min", "max"} and self.min > self.max:
            raise refusal(f"min {self.min:g} is greater than max {self.max:g}")
        return self

    @property
    def threshold(self) -> Threshold:
        """Return the limit: min or max with its direction, or both by name."""
        ends: dict[str, float] = {name: end for name, end in (("min", self.min), ("max", self.max)) if end is not None}
        if len(ends) != 1:
            return Threshold(self.source.key, ends)
        ((name, end),) = ends.items()
        return Threshold(f"{self.source.key}.{name}", end)


class HypothesisKeys(SourcedKeys):
    """The expected effect of the fine-tune on the deciding metric, in numbers."""

    start: Number = Field(alias="from", description="The expected value of the baseline, in the metric's unit.")
    goal: Number = Field(
        alias="to", description="The expected value of the candidate; it is reported and does not affect the verdict."
    )
    because: Text = optional("The reason for the expectation.")

    def __str__(self) -> str:
        because = f", because {self.because}" if self.because else ""
        start, goal = plain_number(self.start), plain_number(self.goal)
        change = f"stays at {goal}" if start == goal else f"goes from {start} to {goal}"
        return f"{change}{because}"


def _read_hypothesis(value: Any, info: ValidationInfo) -> HypothesisKeys | str:
    if isinstance(value, Mapping):
        return HypothesisKeys.model_validate(value, context=info.context)
    if not isinstance(value, str):
        cure = ": quote it" if isinstance(value, int | float) and not isinstance(value, bool) else ""
        raise refusal(f"must be text or a mapping with from and to, {got(value, ())}{cure}")
    if not value.strip():
        raise refusal("must not be blank")
    return value


HypothesisValue = Annotated[Any, PlainValidator(_read_hypothesis, json_schema_input_type=Text | HypothesisKeys)]


def _read_drop(value: Any) -> Any:
    if value == 0 and isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("must be above 0: no test can prove that two models are exactly equal")
    return value


ProvenDrop = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_read_drop), Weaker("higher")]


class GuardKeys(Keys):
    """Another test set, on which the candidate must be proven not to be worse than the baseline."""

    test_set: DataValue = Field(description="The examples: a path relative to this file, or a mapping.")
    metric: MetricValue = Field("accuracy", validate_default=True, description="The metric for this test set.")
    max_drop: ProvenDrop = Field(
        description="How much worse than the best baseline the candidate may be, in the metric's unit: the upper bound "
        "of the drop, at the level of confidence, is at most this."
    )


class SliceKeys(Keys):
    """Parts of the test set, on which the candidate must not get significantly worse than the baseline."""

    fields: Annotated[tuple[Text, ...], Field(min_length=1), Listed] = Field(
        description="Fields of the examples; the examples that share a value of a field form a slice."
    )
    max_drop: Annotated[Amount, Weaker("higher")] = Field(
        0.03,
        description="How much worse than the best baseline the candidate may be on a slice, in the metric's unit. A "
        "larger drop fails where the candidate is significantly worse, corrected for the number of slices.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> SliceKeys:
        twice = [name for i, name in enumerate(self.fields) if name in self.fields[:i]]
        if twice:
            raise refusals([(("fields",), f"contains {quoted(twice[0])} twice")])
        return self


def _read_slices(value: Any) -> Any:
    if isinstance(value, str):
        raise refusal(f"must be a list of fields, {got(value, ())}")
    return {"fields": value} if isinstance(value, list | tuple) else value


SlicesValue = Annotated[
    SliceKeys,
    BeforeValidator(_read_slices, json_schema_input_type=Annotated[list[Text], Field(min_length=1)] | SliceKeys),
]


_MOST = 1e12  # far beyond any use; sums of several are still finite

Dollars = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Spending = Annotated[Dollars, Weaker("lower")]
Rate = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]


class EconomicsKeys(Keys):
    """The costs of fine-tuning besides its answers, and the required savings."""

    calls_per_month: Annotated[Rate, Weaker("higher")] = optional("The expected number of calls per month.")
    training_cost_usd: Spending = optional("The cost of training.")
    data_cost_usd: Spending = optional("The cost of preparing the training data.")
    hosting_usd_per_month: Spending = optional("The fixed monthly cost of hosting the candidate.")
    retrains_per_year: Spending = optional("Retrainings per year, each at training_cost_usd.")
    max_break_even_days: Annotated[Dollars, Weaker("higher")] = optional(
        "The maximum number of days until the savings have paid for the fine-tune."
    )
