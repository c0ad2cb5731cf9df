"""The requirements of a gate besides its gain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    model_validator,
)

from pytest_ftgate.check_names import CHANGEABLE, CheckName, described
from pytest_ftgate.config import data, metrics, models
from pytest_ftgate.config.keys import (
    Amount,
    Keys,
    Listed,
    Named,
    Number,
    ProvenDrop,
    Text,
    Weaker,
    misread,
    optional,
    refusal,
    refused_key,
    wrong_type,
)
from pytest_ftgate.result import Threshold
from pytest_ftgate.text import listed, plain_number


class ThresholdKeys(Keys):
    """The limits of one measured value of the candidate."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["min"]}, {"required": ["max"]}]}
    )

    min: Annotated[Number, Weaker("lower")] = optional("The minimum value.", example=0.8)
    max: Annotated[Number, Weaker("higher")] = optional("The maximum value.", example=1.5)

    @model_validator(mode="after")
    def _bounded(self) -> "ThresholdKeys":
        if not self.ends:
            raise misread("needs min, max or both")
        if len(self.ends) == 2 and self.min > self.max:
            raise refusal(f"min {self.min:g} is greater than max {self.max:g}")
        return self

    @property
    def ends(self) -> dict[str, float]:
        """Return the limits that are written, by name."""
        ends = {"min": self.min, "max": self.max}
        return {name: end for name, end in ends.items() if end is not None}

    @property
    def threshold(self) -> Threshold:
        """Return the limit: min or max with its direction, or both by name."""
        if len(self.ends) != 1:
            return Threshold(self.source.key, self.ends)
        ((name, end),) = self.ends.items()
        return Threshold(f"{self.source.key}.{name}", end)


ThresholdsValue = Annotated[dict[str, ThresholdKeys], Named]


class HypothesisKeys(Keys):
    """The expected effect of the fine-tune on the deciding metric, in numbers."""

    start: Number = Field(
        alias="from",
        description="The expected value of the baseline, in the metric's unit.",
        examples=[0.8],
    )
    goal: Number = Field(
        alias="to",
        description="The expected value of the candidate; it is reported and does not affect the "
        "verdict.",
        examples=[0.87],
    )
    because: Text = optional(
        "The reason for the expectation.", example="it confuses refunds with returns"
    )

    def __str__(self) -> str:
        because = f", because {self.because}" if self.because else ""
        start = plain_number(self.start)
        goal = plain_number(self.goal)
        change = f"stays at {goal}" if start == goal else f"goes from {start} to {goal}"
        return f"{change}{because}"


def _read_hypothesis(value: Any, info: ValidationInfo) -> HypothesisKeys | str:
    if isinstance(value, Mapping):
        return HypothesisKeys.model_validate(value, context=info.context)
    if not isinstance(value, str) or not value.strip():
        raise wrong_type("text or a mapping with from and to", value)
    return value


HypothesisValue = Annotated[
    Any, PlainValidator(_read_hypothesis, json_schema_input_type=Text | HypothesisKeys)
]


class GuardKeys(Keys):
    """Another test set, on which the candidate must be proven not to be worse than the baseline."""

    test_set: data.DataValue = Field(
        description="The examples: a path relative to this file, or a mapping.",
        examples=["data/old.jsonl"],
    )
    metric: metrics.MetricValue = Field(
        "accuracy", validate_default=True, description="The metric for this test set."
    )
    max_drop: ProvenDrop = Field(
        description="How much worse than any baseline the candidate may be, in the metric's unit: "
        "the upper bound of the drop.",
        examples=[0.02],
    )


class SliceKeys(Keys):
    """Parts of the test set, on which the candidate must not get significantly worse."""

    fields: Annotated[tuple[Text, ...], Field(min_length=1), Listed, Weaker("fewer")] = Field(
        description="Fields of the examples; the examples that share a value of a field form a "
        "slice.",
        examples=[["language"]],
    )
    max_drop: Annotated[Amount, Weaker("higher")] = Field(
        0.03,
        description="How much worse than any baseline the candidate may be on a slice, in the "
        "metric's unit. A larger drop fails where the candidate is significantly worse.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> "SliceKeys":
        if len(set(self.fields)) < len(self.fields):
            raise refused_key("fields", "contains a field twice")
        return self


class HalfKeys(Keys):
    """A model trained by the candidate's recipe on a random half of the training set."""

    model: models.ModelValue = Field(
        description="The model: a name under models, a string such as openai:NAME, or a mapping.",
        examples=["openai:ft:gpt-4.1-mini:acme::half"],
    )
    training_set: data.DataValue = Field(
        description="The rows that it was trained on, 40 to 60 % of the usable rows of the gate's "
        "training_set, as python -m pytest_ftgate split --half writes them.",
        examples=["data/train.half.jsonl"],
    )


class AgreementKeys(Keys):
    """The share of examples to which the candidate gives the same answer as a baseline."""

    with_baseline: Text = Field(
        alias="with",
        description="The name of the baseline whose answers the candidate must give.",
        examples=["judged"],
    )
    min: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), Weaker("lower")] = Field(
        description="The share of the same answers, as the metric reads them: its lower bound must "
        "reach this.",
        examples=[0.98],
    )


def _read_slices(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return {"fields": value}
    if not isinstance(value, Mapping):
        raise wrong_type("a list of fields, or a mapping", value)
    return value


SlicesValue = Annotated[
    SliceKeys,
    BeforeValidator(
        _read_slices,
        json_schema_input_type=Annotated[list[Text], Field(min_length=1)] | SliceKeys,
    ),
]

_FORMS = (("gpu_hours", "gpu_hour_usd"), ("usd_per_1m_tokens", "epochs"))
_MOST = 1e12  # far beyond any use; sums of several are still finite

Dollars = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Spending = Annotated[Dollars, Weaker("lower")]
Rate = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]


@dataclass(frozen=True)
class TokenCost:
    """The cost of a training by the tokens of the training set, which are known when it is read."""

    usd_per_1m_tokens: float
    epochs: float

    def usd(self, tokens: int) -> float:
        """Return the cost of a training set with so many tokens."""
        return tokens * self.epochs * self.usd_per_1m_tokens / 1e6

    def __str__(self) -> str:
        price = plain_number(self.usd_per_1m_tokens)
        return f"{price} per 1M tokens x {plain_number(self.epochs)} epochs"

    def __lt__(self, other: object) -> bool:
        """Return whether this is less; an amount without tokens may be more or less."""
        return not isinstance(other, TokenCost) or self.usd(1) < other.usd(1)

    def __gt__(self, other: object) -> bool:
        return not isinstance(other, TokenCost) or self.usd(1) > other.usd(1)


class TrainingCostKeys(Keys):
    """What one training costs: GPU hours, or tokens of the training set in each epoch."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": list(form)} for form in _FORMS]}
    )

    gpu_hours: Dollars = optional("The hours of the machine.", example=3)
    gpu_hour_usd: Dollars = optional("US dollars per hour of the machine.", example=2.5)
    usd_per_1m_tokens: Dollars = optional(
        "US dollars per million tokens. The tokens of the training set are estimated as UTF-8 "
        "bytes / 4.",
        example=3,
    )
    epochs: Rate = optional("How often the training set is read.", example=3)

    @model_validator(mode="after")
    def _one_form(self) -> "TrainingCostKeys":
        if self.model_fields_set not in [set(form) for form in _FORMS]:
            either = " or ".join(f"{{{', '.join(form)}}}" for form in _FORMS)
            raise refusal(f"must be {either}, with both keys, or an amount")
        return self


def _read_training_cost(
    value: Any, handler: pydantic.ValidatorFunctionWrapHandler, info: ValidationInfo
) -> float | TokenCost:
    if not isinstance(value, Mapping):
        amount: float = handler(value)
        return amount
    cost = TrainingCostKeys.model_validate(value, context=info.context)
    if cost.epochs is not None:
        return TokenCost(cost.usd_per_1m_tokens, cost.epochs)
    return float(cost.gpu_hours * cost.gpu_hour_usd)


TrainingCost = Annotated[
    Dollars,
    pydantic.WrapValidator(_read_training_cost, json_schema_input_type=Dollars | TrainingCostKeys),
    Weaker("lower"),
]


class CandidatePriceKeys(Keys):
    """The expected price of the candidate's tokens."""

    input_per_1m: Spending = Field(
        description="US dollars per million input tokens.", examples=[0.3]
    )
    output_per_1m: Spending = Field(
        description="US dollars per million output tokens.", examples=[1.2]
    )


class EconomicsKeys(Keys):
    """The costs of fine-tuning besides its answers, and the required savings."""

    calls_per_month: Annotated[Rate, Weaker("higher")] = optional(
        "The expected number of calls per month.", example=100000
    )
    candidate_price: CandidatePriceKeys = optional(
        "The expected price of the candidate, for stage: ready.",
        example={"input_per_1m": 0.3, "output_per_1m": 1.2},
    )
    training_cost_usd: TrainingCost = optional(
        "The cost of one training: an amount, {gpu_hours, gpu_hour_usd} or {usd_per_1m_tokens, "
        "epochs}.",
        example=40,
    )
    iterations: Annotated[int, Field(ge=1, le=1000), Weaker("lower")] = Field(
        1, description="How often the model is trained and evaluated until it is good enough."
    )
    data_cost_usd: Spending = optional("The cost of preparing the training data.", example=500)
    hosting_usd_per_month: Spending = optional(
        "The fixed monthly cost of hosting the candidate.", example=120
    )
    retrains_per_year: Spending = optional(
        "Retrainings per year, each at training_cost_usd.", example=4
    )
    max_break_even_days: Annotated[Dollars, Weaker("higher")] = optional(
        "The maximum number of days until the savings have paid for the fine-tune.", example=90
    )


# --- checks: those whose effect on the verdict a gate may change ----------------------------------

Level = Literal["fail", "warn", "ignore"]

LEVELS = ("ignore", "warn", "limit", "fail")
"""From lenient to strict.

``limit`` is only a default: a warning up to a built-in limit and a failure above it.
"""

_DECIDES = (
    "this check decides the verdict and cannot be changed; those that can are: "
    f"{listed(CHANGEABLE)}"
)


class _Checks(Keys):
    """The effect of checks on the verdict."""

    @classmethod
    def _elsewhere(cls, key: str, value: Any) -> str | None:  # noqa: ARG003
        check = described(key)
        if check is not None and check.default == "decides":
            return _DECIDES
        return None


def _description(check: CheckName) -> str:
    """Return what the schema says of a check's key."""
    if check.default == "limit":
        return check.rule
    return f"{check.rule} Default: {check.default}."


_Fields: dict[str, Any] = {
    name: (Level, optional(_description(check), example="ignore"))
    for name, check in CHANGEABLE.items()
}
ChecksKeys: type[Keys] = pydantic.create_model(
    "ChecksKeys", __base__=_Checks, __doc__=_Checks.__doc__, **_Fields
)


def _read_checks(value: Any, info: ValidationInfo) -> dict[str, Level]:
    """Return the levels that are written, by the name of the check."""
    return ChecksKeys.model_validate(value, context=info.context).written()


ChecksValue = Annotated[
    dict[str, Level], PlainValidator(_read_checks, json_schema_input_type=ChecksKeys)
]
