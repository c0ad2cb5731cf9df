"""What a gate requires besides its gain: bounds, a hypothesis, other test sets, parts of the test set, economics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator, ValidationInfo, model_validator

from pytest_ftgate.config.data import DataValue
from pytest_ftgate.config.keys import Amount, Keys, Listed, Number, Text, optional
from pytest_ftgate.config.metrics import MetricValue
from pytest_ftgate.config.problems import refusal, refusals
from pytest_ftgate.config.source import Source
from pytest_ftgate.config.weaker import Weaker, words
from pytest_ftgate.result import Threshold
from pytest_ftgate.text import got, plain_number, quoted

DropEvidence = Annotated[Literal["observed", "significant", "proven"], words("significant", "observed", "proven")]
"""Of a drop "significant" asks for least: it also lets a drop pass that is too large and may be chance."""

MaxDrop = Annotated[Amount, Weaker("higher")]


class BoundKeys(Keys):
    """A bound on one measured value."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["min"]}, {"required": ["max"]}]})

    metric: MetricValue = Field(
        description="A metric of quality, or latency_p50_s, latency_p95_s, cost_usd, error_rate."
    )
    min: Annotated[Number, Weaker("lower")] = optional("The least value that passes.")
    max: Annotated[Number, Weaker("higher")] = optional("The largest value that passes.")
    of: Literal["candidate", "baseline"] = Field("candidate", description="Whose value is bounded.")

    @model_validator(mode="after")
    def _bounded(self) -> BoundKeys:
        if not self.model_fields_set & {"min", "max"}:
            raise refusal("needs min or max, or both")
        if self.model_fields_set >= {"min", "max"} and self.min > self.max:
            raise refusal(f"min {self.min:g} is above max {self.max:g}: no value can pass")
        return self

    @property
    def source(self) -> Source:
        """Where it is written."""
        return self._place

    @property
    def threshold(self) -> Threshold:
        """What is asked for: the one end that is given, with its direction, or both by name."""
        ends: dict[str, float] = {name: end for name, end in (("min", self.min), ("max", self.max)) if end is not None}
        if len(ends) != 1:
            return Threshold(self.source.key, ends)
        ((name, end),) = ends.items()
        return Threshold(f"{self.source.key}.{name}", end, "lower" if name == "min" else "higher")

    def __str__(self) -> str:
        ends = [("at least", self.min), ("at most", self.max)]
        asked = " and ".join(f"{word} {plain_number(end)}" for word, end in ends if end is not None)
        return f"{self.metric} of the {self.of} {asked}"


class HypothesisKeys(Keys):
    """What is expected of the fine-tune, in numbers that are held against what was measured."""

    metric: MetricValue = optional("A metric of quality; the deciding one where absent.")
    start: Number = Field(
        alias="from", description="The baseline's value, in the metric's unit: what was measured must agree with it."
    )
    goal: Number = Field(
        alias="to", description="What the candidate is expected to reach; reported, and never decisive."
    )
    because: Text = optional("The reason.")

    @property
    def source(self) -> Source:
        """Where it is written."""
        return self._place

    def __str__(self) -> str:
        because = f", because {self.because}" if self.because else ""
        start, goal = plain_number(self.start), plain_number(self.goal)
        change = f"stays at {goal}" if start == goal else f"goes from {start} to {goal}"
        return f"{self.metric} {change}{because}"


def _read_hypothesis(value: Any, info: ValidationInfo) -> HypothesisKeys | str:
    if isinstance(value, Mapping):
        return HypothesisKeys.model_validate(value, context=info.context)
    if not isinstance(value, str):
        kind = " or a mapping with from and to"
        cure = ": quote it" if isinstance(value, int | float) and not isinstance(value, bool) else ""
        raise refusal(f"must be text{kind}, {got(value, ())}{cure}")
    if not value.strip():
        raise refusal("must not be blank")
    return value


HypothesisValue = Annotated[Any, PlainValidator(_read_hypothesis, json_schema_input_type=Text | HypothesisKeys)]

# A drop that is 0 can be measured, but no number of examples rules out every smaller one.
_UNPROVABLE = "max_drop 0 cannot be proven: no number of examples rules out every drop"


class GuardKeys(Keys):
    """Another test set, on which the candidate must not be worse than the baseline."""

    test_set: DataValue = Field(description="The examples: a path relative to this file, or a mapping.")
    metric: MetricValue = Field("accuracy", validate_default=True, description="The metric of this test set.")
    max_drop: MaxDrop = Field(
        description="How much worse than the best baseline the candidate may be, in the metric's unit."
    )
    evidence: DropEvidence = Field(
        "proven",
        description="proven: it is sure at confidence that the drop is at most max_drop. observed: the measured drop "
        "is. significant: fails only where the measured drop is above max_drop and it is sure at confidence that the "
        "candidate is worse at all.",
    )

    @model_validator(mode="after")
    def _provable(self) -> GuardKeys:
        if self.evidence == "proven" and not self.max_drop:
            raise refusals([(("max_drop",), _UNPROVABLE)])
        return self


class SliceKeys(Keys):
    """Parts of the test set, on which the candidate must not be worse than the baseline."""

    fields: Annotated[tuple[Text, ...], Field(min_length=1), Listed] = Field(
        description="Fields of the examples; all examples with one value of a field are a slice."
    )
    max_drop: MaxDrop = Field(
        0.03, description="How much worse than the best baseline the candidate may be on a slice."
    )
    evidence: DropEvidence = Field("significant", description="As for guards.")
    min_examples: Annotated[int, Field(ge=1), Weaker("higher")] = Field(
        30, description="A slice with fewer examples is listed, and not judged."
    )

    @model_validator(mode="after")
    def _judgeable(self) -> SliceKeys:
        if self.evidence == "proven" and not self.max_drop:
            raise refusals([(("max_drop",), _UNPROVABLE)])
        twice = [name for i, name in enumerate(self.fields) if name in self.fields[:i]]
        if twice:
            raise refusals([(("fields",), f"names {quoted(twice[0])} twice")])
        return self


_MOST = 1e12  # beyond any use; sums of a few of them are still finite

Dollars = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]


class EconomicsKeys(Keys):
    """What fine-tuning costs besides its answers, and what it must bring."""

    calls_per_month: Rate = optional("Calls that the model will answer in a month.")
    training_cost_usd: Dollars = optional(
        "What training cost; without it the trained tokens of a fine-tuning job times the candidate's "
        "price.training_per_1m."
    )
    data_cost_usd: Dollars = optional("What preparing the training data cost.")
    hosting_usd_per_month: Dollars = optional("What hosting the candidate costs in a month, whatever it answers.")
    retrains_per_year: Dollars = optional("How often it is trained again in a year, at the same cost of training.")
    max_break_even_days: Annotated[Dollars, Weaker("higher")] = optional(
        "The fine-tune must have paid for itself after so many days."
    )
    min_monthly_saving_usd: Annotated[Dollars, Weaker("lower")] = optional(
        "The fine-tune must save so much in a month."
    )
