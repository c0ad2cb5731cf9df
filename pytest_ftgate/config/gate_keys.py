"""The keys of a gate and of the gate file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    model_validator,
)

from pytest_ftgate.config.baseline_keys import BaselinesValue
from pytest_ftgate.config.clock_keys import ClockKeys
from pytest_ftgate.config.economics_keys import EconomicsKeys
from pytest_ftgate.config.judge_keys import JUDGED, JudgedKeys, read_judged
from pytest_ftgate.config.keys import Amount, Count, Keys, Number, OpenKeys, PathText, Positive, Text, absent
from pytest_ftgate.config.model_keys import ModelDefinition, ModelValue
from pytest_ftgate.config.problems import reading_of, refusal, refusals
from pytest_ftgate.text import got, quoted

_NOT_SENT = ("expected", "id", "group")


class DataKeys(Keys):
    """A file of examples, and how to read it."""

    path: PathText = Field(description="The file, relative to this one.")
    format: Text = Field(
        default_factory=absent,
        description="jsonl, csv, or chat; by the file's suffix and first row where absent.",
    )
    fields: dict[str, Text] = Field(
        default_factory=absent,
        description="The file's names for id, input, expected, group: {input: question, expected: answer}.",
    )
    limit: Positive = Field(default_factory=absent, description="Only the first examples of the file.")

    @model_validator(mode="after")
    def _answer_apart(self) -> DataKeys:
        """The column of the expected output is no part of what a model is sent."""
        given = self.fields or {}
        answer = given.get("expected", "expected")
        told = [name for name, column in given.items() if column == answer and name not in _NOT_SENT]
        if told:
            text = f"{quoted(told[0])} is the column {quoted(answer)}, which is the expected output"
            raise refusals([(("fields", told[0]), text)])
        return self


class MetricKeys(OpenKeys):
    """A metric with its options."""

    name: Text = Field(description="The metric's name, as accuracy, f1_macro, exact_match.")


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


def _read_metric(value: Any, info: ValidationInfo) -> MetricKeys:
    values = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = values.get("name")
    if reading_of(info).objects and not isinstance(name, str | int | float | list | tuple | None):
        values |= {"name": _name_of(name), "function": name}
    if isinstance(value, Mapping) and isinstance(name, str) and name in JUDGED:
        values = read_judged(values, info)
    if isinstance(value, Mapping) or isinstance(values["name"], str):
        return MetricKeys.model_validate(values, context=info.context)
    raise refusal(f"must be a metric's name, or a mapping with a name, {got(value, ())}")


def _name_of(metric: Any) -> str:
    names = (getattr(metric, key, None) for key in ("name", "__name__"))
    return next((name for name in names if isinstance(name, str) and name.strip()), type(metric).__name__)


def _read_candidates(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, Mapping) and "provider" in value):
        raise refusal("must be a mapping of names to models; for one model use candidate")
    return value


def _read_drop(value: Any) -> Any:
    if value == 0 and isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("must be above 0: that two models are exactly equal cannot be proven")
    return value


def _read_names(values: dict[str, Any]) -> dict[str, Any]:
    return _objecting(values, [name for name in values if not name.strip()], "a name must not be blank")


def _read_model_names(values: dict[str, Any]) -> dict[str, Any]:
    with_colon = [name for name in values if ":" in name]
    return _objecting(values, with_colon, "a model's name holds no colon, which would make it a spelling")


def _objecting(values: dict[str, Any], names: list[str], text: str) -> dict[str, Any]:
    if names:
        raise refusals(((name,), text) for name in names)
    return values


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


Goal = Literal[
    "style",
    "format",
    "classification",
    "extraction",
    "latency",
    "cost",
    "knowledge",
    "reasoning",
    "one_off",
    "safety",
    "new_modality",
]
DataValue = Annotated[Any, PlainValidator(_read_data, json_schema_input_type=str | DataKeys)]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False)]
MetricValue = Annotated[MetricKeys, PlainValidator(_read_metric, json_schema_input_type=str | JudgedKeys | MetricKeys)]


class BoundKeys(Keys):
    """A bound on one measured value."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["min"]}, {"required": ["max"]}]})

    metric: MetricValue = Field(
        description="A metric of quality, or latency_p50_s, latency_p95_s, cost_usd, error_rate."
    )
    min: Number = Field(default_factory=absent, description="The least value that passes.")
    max: Number = Field(default_factory=absent, description="The largest value that passes.")
    of: Literal["candidate", "baseline"] = Field("candidate", description="Whose value is bounded.")

    @model_validator(mode="after")
    def _bounded(self) -> BoundKeys:
        if not self.model_fields_set & {"min", "max"}:
            raise refusal("needs min or max, or both")
        if self.model_fields_set >= {"min", "max"} and self.min > self.max:
            raise refusal(f"min {self.min:g} is above max {self.max:g}: no value can pass")
        return self


class HypothesisKeys(Keys):
    """What is expected of the fine-tune, in numbers that are held against what was measured."""

    metric: MetricValue = Field(
        default_factory=absent, description="A metric of quality; the deciding one where absent."
    )
    from_: Number = Field(
        alias="from", description="The baseline's value, in the metric's unit: what was measured must agree with it."
    )
    to: Number = Field(description="What the candidate is expected to reach; reported, and never decisive.")
    because: Text = Field(default_factory=absent, description="The reason.")


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


MAX_TOKENS = 65_536
"""What OpenAI takes for one training example of its gpt-4o and gpt-4.1 models."""

Level = Literal["fail", "warn", "ignore"]


class AuditKeys(Keys):
    """What findings of the training audit mean for the verdict."""

    usable: Level = Field(default_factory=absent, description="Fewer than min_training_examples. Default: fail.")
    leaked: Level = Field(default_factory=absent, description="Test examples in the training set. Default: fail.")
    leaked_near: Level = Field(
        default_factory=absent, description="Test examples with a near copy in the training set. Default: fail."
    )
    conflicts: Level = Field(
        default_factory=absent,
        description="Rows that repeat an input with another output. Default: a warning, above 1 % of rows fail.",
    )
    near_duplicates: Level = Field(
        default_factory=absent,
        description="Near copies within the training set. Default: a warning, and fail where fewer than "
        "min_training_examples are left without them.",
    )
    labels_missing: Level = Field(
        default_factory=absent,
        description="Labels of the test set with no or fewer than 5 training examples. Default: warn.",
    )
    imbalance: Level = Field(
        default_factory=absent,
        description="The most frequent label has more than 10 times as many rows as the rarest. Default: warn.",
    )
    truncated: Level = Field(
        default_factory=absent, description="Outputs that are empty, of one character, or cut off. Default: warn."
    )
    chat_format: Level = Field(
        default_factory=absent, description="Conversations whose turns are not in order. Default: warn."
    )
    too_long: Level = Field(default_factory=absent, description="Rows with more than max_tokens. Default: warn.")
    max_tokens: Positive = Field(MAX_TOKENS, description="The most tokens of a row, estimated as UTF-8 bytes / 4.")


# A drop that is 0 can be measured, but no number of examples rules out every smaller one.
_UNPROVABLE = "max_drop 0 cannot be proven: no number of examples rules out every drop"
_DropEvidence = Literal["observed", "significant", "proven"]


class GuardKeys(Keys):
    """Another test set, on which the candidate must not be worse than the baseline."""

    test_set: DataValue = Field(description="The examples: a path relative to this file, or a mapping.")
    metric: MetricValue = Field("accuracy", validate_default=True, description="The metric of this test set.")
    max_drop: Amount = Field(
        description="How much worse than the best baseline the candidate may be, in the metric's unit."
    )
    evidence: _DropEvidence = Field(
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

    fields: Annotated[list[Text], Field(min_length=1), BeforeValidator(_listed)] = Field(
        description="Fields of the examples; all examples with one value of a field are a slice."
    )
    max_drop: Amount = Field(0.03, description="How much worse than the best baseline the candidate may be on a slice.")
    evidence: _DropEvidence = Field("significant", description="As for guards.")
    min_examples: Annotated[int, Field(ge=1)] = Field(
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


_LATER = "max_attempts ledger stop_early"


class GateKeys(Keys):
    """One gate: the fine-tuned model, what it must beat, on which data and by how much."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"anyOf": [{"required": ["baseline", "baselines"]}, {"required": ["candidate", "candidates"]}]}
        }
    )
    later: ClassVar[frozenset[str]] = frozenset(_LATER.split())

    name: Text = Field(
        default_factory=absent,
        description="What reports and obligations call the gate; its name in this file where absent.",
    )
    test_set: DataValue = Field(
        default_factory=absent,
        description="The examples that decide: a path relative to this file, or a mapping. Required.",
    )
    training_set: DataValue = Field(
        default_factory=absent,
        description="What the candidate was trained on, as a path or a mapping. Required.",
    )
    validation_set: DataValue = Field(
        default_factory=absent,
        description="The examples on which checkpoint: best is chosen, as a path or a mapping. None of them may be in "
        "the test set.",
    )
    baseline: ModelValue = Field(
        default_factory=absent,
        description="The model to beat: a name under models, a spelling, or a mapping. This or baselines is required.",
    )
    baselines: BaselinesValue = Field(
        default_factory=absent,
        description="Models by name, of which the candidate must beat every one; or base, a model of which the gate "
        "makes alternatives: its prompt alone, with few-shot examples, with retrieval.",
    )
    candidate: ModelValue = Field(
        default_factory=absent,
        description="The fine-tuned model: a name under models, a spelling, or a mapping. This or candidates is "
        "required.",
    )
    candidates: Annotated[
        dict[str, ModelValue], Field(min_length=1), BeforeValidator(_read_candidates), AfterValidator(_read_names)
    ] = Field(
        default_factory=absent,
        description="Fine-tuned models by name, the smallest or cheapest first: the first that passes is chosen, "
        "each judged at a confidence that allows for the choice.",
    )
    metric: MetricValue = Field("accuracy", validate_default=True, description="The metric that decides.")
    margin: Amount = Field(
        default_factory=absent,
        description="How much better the candidate must be, in the metric's unit. 0 asks for a gain above 0. "
        "Required, but for objective: match.",
    )
    objective: Literal["beat", "match"] = Field(
        "beat",
        description="beat: the candidate is better than the baseline by the margin. match: it is worse by at most "
        "max_drop, which is proven, and cheaper or faster.",
    )
    max_drop: Annotated[float, BeforeValidator(_read_drop), Field(gt=0, allow_inf_nan=False)] = Field(
        default_factory=absent,
        description="For objective: match: how much worse the candidate may be, in the metric's unit.",
    )
    cheaper_by: Factor = Field(
        default_factory=absent,
        description="For objective: match: a call of the candidate costs this many times less than one of the "
        "baseline, as 6 for a sixth.",
    )
    faster_by: Factor = Field(
        default_factory=absent,
        description="For objective: match: half of the candidate's answers are there this many times sooner than "
        "half of the baseline's, as 2 for half of the time.",
    )
    evidence: Literal["observed", "significant", "proven"] = Field(
        "significant",
        description="observed: the measured gain reaches the margin. significant: that, and it is sure at "
        "confidence that the gain is above zero. proven: it is sure at confidence that the gain reaches the "
        "margin.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)] = Field(
        0.95, description="How sure the evidence must be, one-sided."
    )
    min_training_examples: Count = Field(
        200, description="The fewest usable training examples: distinct inputs with an output."
    )
    min_test_examples: Count = Field(50, description="The fewest test examples.")
    require: Annotated[list[BoundKeys], BeforeValidator(_listed)] = Field([], description="Bounds on measured values.")
    show: Annotated[list[MetricValue], BeforeValidator(_listed)] = Field(
        [], description="Further metrics for the tables."
    )
    errors: Literal["error", "score_zero"] = Field(
        "error",
        description="What a prediction of the candidate means that is missing after all retries: the gate "
        "cannot be judged, or it counts as wrong.",
    )
    repeats: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="Answers per example, averaged within it.")
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default_factory=absent,
        description="Seconds in which all models must have answered; without it there is no limit. What has arrived "
        "by then is stored, and the gate is in error.",
    )
    hypothesis: Annotated[Any, PlainValidator(_read_hypothesis, json_schema_input_type=Text | HypothesisKeys)] = Field(
        default_factory=absent,
        description="What the fine-tune is expected to change: a sentence, or a mapping with from and to.",
    )
    require_hypothesis: bool = Field(False, description="Whether a gate without a hypothesis fails.")
    goal: Goal = Field(
        default_factory=absent,
        description="What the fine-tune is for. style, format, classification, extraction, latency and cost are "
        "served well; knowledge, reasoning, one_off, safety and new_modality are not, and fail.",
    )
    goal_override: Text = Field(
        default_factory=absent,
        description="Why fine-tuning is tried for a goal that it does not serve well; it is printed.",
    )
    stage: Literal["accept", "ready"] = Field(
        "accept",
        description="accept: the candidate is judged. ready: no candidate yet; all that can be judged before "
        "training is, and green means train now.",
    )
    economics: EconomicsKeys = Field(
        default_factory=absent, description="What the fine-tune costs and saves, and what it must bring."
    )
    audit: AuditKeys = Field(
        default_factory=absent,
        description="Which findings of the training audit fail the gate, warn, or are ignored.",
    )
    allow_weak_baseline: Text = Field(
        default_factory=absent,
        description="Why a baseline may be no better than one constant answer to everything; it is printed. "
        "Without a reason such a gate fails.",
    )
    guards: Annotated[dict[str, GuardKeys], AfterValidator(_read_names)] = Field(
        {}, description="Other test sets by name: what the candidate must not lose."
    )
    slices: SliceKeys = Field(
        default_factory=absent, description="Parts of the test set on which the candidate must not be worse."
    )
    max_age_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default_factory=absent, description="How old the oldest prediction may be that the verdict rests on."
    )
    clock: ClockKeys = Field(
        default_factory=absent,
        description="What it means that a model is an alias, was changed, or is about to be shut down.",
    )
    ablate_prompt: bool = Field(
        default_factory=absent,
        description="Whether the candidate is run once more without its own prompt: shown, never decisive.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> GateKeys:
        forms = (("baseline", "baselines"), ("candidate", "candidates"))
        twice = [pair for pair in forms if self.model_fields_set.issuperset(pair)]
        if twice:
            raise refusals(((many,), f"{one} and {many} are both given: keep one") for one, many in twice)
        return self


class FileKeys(Keys):
    """Gates for fine-tuned models, and the models they compare."""

    version: Literal[1] = Field(description="The version of this format.")
    defaults: GateKeys = Field(
        default_factory=absent, description="Keys for every gate that does not give them itself."
    )
    models: Annotated[dict[str, ModelDefinition], AfterValidator(_read_names), AfterValidator(_read_model_names)] = (
        Field(default_factory=absent, description="Models by name, to be used wherever a model is asked for.")
    )
    gates: Annotated[dict[str, GateKeys], AfterValidator(_read_names)] = Field(
        default_factory=absent, description="Gates by name."
    )
