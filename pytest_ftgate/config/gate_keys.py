"""The keys of a gate and of the gate file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr

from pytest_ftgate.config.baselines import BaselinesValue
from pytest_ftgate.config.data import DataValue
from pytest_ftgate.config.keys import AboveZero, Amount, Count, Keys, Listed, Named, Placeable, Text, optional
from pytest_ftgate.config.levels import AuditKeys, ClockKeys
from pytest_ftgate.config.metrics import JUDGED, MetricSpec, MetricValue
from pytest_ftgate.config.models import ModelSpec, ModelValue, refuse_one
from pytest_ftgate.config.problems import refusal
from pytest_ftgate.config.requirements import (
    BoundKeys,
    EconomicsKeys,
    GuardKeys,
    HypothesisKeys,
    HypothesisValue,
    SliceKeys,
)
from pytest_ftgate.config.source import Source
from pytest_ftgate.config.weaker import Weaker, comparison_in, words
from pytest_ftgate.result import Threshold
from pytest_ftgate.text import plain_number


def _read_drop(value: Any) -> Any:
    if value == 0 and isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("must be above 0: that two models are exactly equal cannot be proven")
    return value


_SeveralCandidates = BeforeValidator(partial(refuse_one, key="candidate"))
Evidence = Annotated[Literal["observed", "significant", "proven"], words("observed", "significant", "proven")]
Served = Literal["style", "format", "classification", "extraction", "latency", "cost"]
Goal = Literal[Served, "knowledge", "reasoning", "one_off", "safety", "new_modality"]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False), Weaker("lower")]


class GateKeys(Keys):
    """One gate: the fine-tuned model, what it must beat, on which data and by how much."""

    # After all places were merged ``baselines`` holds a single one too, by the name "baseline", and ``candidate`` is
    # the first of several, or the one that is being judged; ``candidates`` is empty where there is one.

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"anyOf": [{"required": ["baseline", "baselines"]}, {"required": ["candidate", "candidates"]}]}
        }
    )
    later = frozenset({"max_attempts", "ledger", "stop_early"})
    one_at_most = (("baseline", "baselines"), ("candidate", "candidates"))
    _gate: str | None = PrivateAttr(None)
    _alternatives: tuple[str, ...] = PrivateAttr(())

    name: Text = optional("What reports and obligations call the gate; its name in this file where absent.")
    test_set: DataValue = optional("The examples that decide: a path relative to this file, or a mapping. Required.")
    training_set: DataValue = optional("What the candidate was trained on, as a path or a mapping. Required.")
    validation_set: DataValue = optional(
        "The examples on which checkpoint: best is chosen, as a path or a mapping. None of them may be in the test set."
    )
    baseline: ModelValue = optional(
        "The model to beat: a name under models, a spelling, or a mapping. This or baselines is required."
    )
    baselines: BaselinesValue = optional(
        "Models by name, of which the candidate must beat every one; or base, a model of which the gate "
        "makes alternatives: its prompt alone, with few-shot examples, with retrieval."
    )
    candidate: ModelValue = optional(
        "The fine-tuned model: a name under models, a spelling, or a mapping. This or candidates is required."
    )
    candidates: Annotated[dict[str, ModelValue], Field(min_length=1), _SeveralCandidates, Named] = optional(
        "Fine-tuned models by name, the smallest or cheapest first: the first that passes is chosen, "
        "each judged at a confidence that allows for the choice."
    )
    metric: MetricValue = Field("accuracy", validate_default=True, description="The metric that decides.")
    margin: Annotated[Amount, Weaker("lower")] = optional(
        "How much better the candidate must be, in the metric's unit. 0 asks for a gain above 0. "
        "Required, but for objective: match."
    )
    objective: Annotated[Literal["beat", "match"], words("match", "beat")] = Field(
        "beat",
        description="beat: the candidate is better than the baseline by the margin. match: it is worse by at most "
        "max_drop, which is proven, and cheaper or faster.",
    )
    max_drop: Annotated[float, BeforeValidator(_read_drop), Field(gt=0, allow_inf_nan=False), Weaker("higher")] = (
        optional("For objective: match: how much worse the candidate may be, in the metric's unit.")
    )
    cheaper_by: Factor = optional(
        "For objective: match: a call of the candidate costs this many times less than one of the "
        "baseline, as 6 for a sixth."
    )
    faster_by: Factor = optional(
        "For objective: match: half of the candidate's answers are there this many times sooner than "
        "half of the baseline's, as 2 for half of the time."
    )
    evidence: Evidence = Field(
        "significant",
        description="observed: the measured gain reaches the margin. significant: that, and it is sure at "
        "confidence that the gain is above zero. proven: it is sure at confidence that the gain reaches the "
        "margin.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False), Weaker("lower")] = Field(
        0.95, description="How sure the evidence must be, one-sided."
    )
    min_training_examples: Annotated[Count, Weaker("lower")] = Field(
        200, description="The fewest usable training examples: distinct inputs with an output."
    )
    min_test_examples: Annotated[Count, Weaker("lower")] = Field(50, description="The fewest test examples.")
    require: Annotated[tuple[BoundKeys, ...], Listed] = Field((), description="Bounds on measured values.")
    show: Annotated[tuple[MetricValue, ...], Listed] = Field((), description="Further metrics for the tables.")
    errors: Annotated[Literal["error", "score_zero"], words("score_zero", "error")] = Field(
        "error",
        description="What a prediction of the candidate means that is missing after all retries: the gate "
        "cannot be judged, or it counts as wrong.",
    )
    repeats: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="Answers per example, averaged within it.")
    timeout_s: AboveZero = optional(
        "Seconds in which all models must have answered; without it there is no limit. What has arrived "
        "by then is stored, and the gate is in error."
    )
    hypothesis: HypothesisValue = optional(
        "What the fine-tune is expected to change: a sentence, or a mapping with from and to."
    )
    require_hypothesis: Annotated[bool, Weaker("lower")] = Field(
        False, description="Whether a gate without a hypothesis fails."
    )
    goal: Goal = optional(
        "What the fine-tune is for. style, format, classification, extraction, latency and cost are "
        "served well; knowledge, reasoning, one_off, safety and new_modality are not, and fail."
    )
    goal_override: Annotated[Text, Weaker(None, unwritten="none")] = optional(
        "Why fine-tuning is tried for a goal that it does not serve well; it is printed."
    )
    stage: Annotated[Literal["accept", "ready"], words("ready", "accept")] = Field(
        "accept",
        description="accept: the candidate is judged. ready: no candidate yet; all that can be judged before "
        "training is, and green means train now.",
    )
    economics: EconomicsKeys = optional("What the fine-tune costs and saves, and what it must bring.")
    audit: AuditKeys = Field(
        default_factory=lambda: AuditKeys.model_validate({}),
        description="Which findings of the training audit fail the gate, warn, or are ignored.",
    )
    allow_weak_baseline: Annotated[Text, Weaker(None, unwritten="not allowed")] = optional(
        "Why a baseline may be no better than one constant answer to everything; it is printed. "
        "Without a reason such a gate fails."
    )
    guards: Annotated[dict[str, GuardKeys], Named] = Field(
        {}, description="Other test sets by name: what the candidate must not lose."
    )
    slices: SliceKeys = optional("Parts of the test set on which the candidate must not be worse.")
    max_age_days: Annotated[AboveZero, Weaker("higher")] = optional(
        "How old the oldest prediction may be that the verdict rests on."
    )
    clock: ClockKeys = Field(
        default_factory=lambda: ClockKeys.model_validate({}),
        description="What it means that a model is an alias, was changed, or is about to be shut down.",
    )
    ablate_prompt: bool = Field(
        False, description="Whether the candidate is run once more without its own prompt: shown, never decisive."
    )

    def settled(self, sources: Mapping[str, Source], *, gate: str | None, alternatives: tuple[str, ...]) -> GateKeys:
        """Return a copy that knows where each key was written, and what stands in none."""
        copy = self.model_copy()
        copy._sources, copy._gate, copy._alternatives = sources, gate, alternatives
        return copy

    @property
    def gate(self) -> str | None:
        """The gate's name in the file, if it stands there."""
        return self._gate

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The names of the baselines that the gate makes from one base model."""
        return self._alternatives

    @property
    def prediction(self) -> HypothesisKeys | None:
        """The hypothesis, where it says numbers."""
        return self.hypothesis if isinstance(self.hypothesis, HypothesisKeys) else None

    @property
    def has_candidate(self) -> bool:
        """Before training there need not be one."""
        return bool(self.candidate.provider)

    @property
    def asked(self) -> dict[str, ModelSpec]:
        """The models that are asked, by role: the baselines' names, and "candidate" but for the stage ready."""
        candidate = {} if self.stage == "ready" else {"candidate": self.candidate}
        return {**self.baselines, **candidate}

    @property
    def bounds(self) -> tuple[BoundKeys, ...]:
        """Those of ``require`` that are about models that are asked."""
        return tuple(bound for bound in self.require if self.stage == "accept" or bound.of == "baseline")

    @property
    def asked_by(self) -> Literal["margin", "max_drop"]:
        """The key that says what gain is asked for."""
        return "max_drop" if self.objective == "match" else "margin"

    @property
    def asked_gain(self) -> float:
        """The gain that is asked for, in the metric's unit; below zero where the candidate may be worse."""
        return -self.max_drop if self.objective == "match" else self.margin

    @property
    def judged_metrics(self) -> dict[str, MetricSpec]:
        """The metrics that a model or people judge, by name; the deciding one first."""
        found: dict[str, MetricSpec] = {}
        for metric in (self.metric, *(bound.metric for bound in self.require), *self.show):
            if metric.name in JUDGED and metric.options:
                found.setdefault(metric.name, metric)
        return found

    @property
    def judges(self) -> tuple[ModelSpec, ...]:
        """The models that judge."""
        return tuple(metric.options["judge"] for metric in self.judged_metrics.values() if "judge" in metric.options)

    def quoted(self, key: str) -> str:
        """Return the key with its value and source, as messages quote it: ``margin 0.05 (ftgate.yaml:14)``."""
        value = self.baselines if key == "baseline" else getattr(self, key)
        return f"{key} {_shown(value)} ({self.sources[key]})"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return plain_number(value)
    if value is None or value == ():
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(map(str, value.values()))
    if isinstance(value, tuple) and all(isinstance(part, Placeable) for part in value):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, str | int | Placeable) else "given as objects"


def comparison_of(key: str) -> Weaker | None:
    """Return how values of a gate's key compare, as ``guards.refunds.max_drop``; None where they do not."""
    return comparison_in(GateKeys, key)


def threshold(key: str, value: Any) -> Threshold:
    """Return what a check holds to: a value of a gate's key, and which way it would ask for less."""
    found = comparison_of(key)
    return Threshold(key, value, found.direction if found else None)
