"""The keys of a gate and of the gate file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr

from pytest_ftgate.check_names import CHANGEABLE
from pytest_ftgate.config import data, model_keys
from pytest_ftgate.config.keys import (
    AboveZero,
    Amount,
    Count,
    Keys,
    Named,
    ProvenDrop,
    Text,
    Weaker,
    comparable,
    optional,
    words,
)
from pytest_ftgate.config.metric_options import OPTIONS
from pytest_ftgate.config.metrics import JUDGED, CalibrationKeys, MetricSpec, MetricsValue
from pytest_ftgate.config.models import (
    PROVIDERS,
    BaselineKeys,
    BaselinesValue,
    ModelSpec,
    ModelValue,
    Standard,
)
from pytest_ftgate.config.requirements import (
    AgreementKeys,
    CandidatePriceKeys,
    ChecksValue,
    EconomicsKeys,
    GuardKeys,
    HalfKeys,
    HypothesisKeys,
    HypothesisValue,
    SliceKeys,
    SlicesValue,
    ThresholdKeys,
    ThresholdsValue,
)
from pytest_ftgate.text import plain_number

Evidence = Annotated[
    Literal["observed", "significant", "proven"], words("observed", "significant", "proven")
]
Served = Literal["style", "format", "classification", "extraction", "latency", "cost"]
Goal = Literal[Served, "knowledge", "reasoning", "one_off", "safety", "new_modality"]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False), Weaker("lower")]


class GateKeys(Keys):
    """One gate: the fine-tuned model, the models it must beat, the data, and the required gain."""

    # Once all places are merged, ``baselines`` holds models only, also a single baseline, under the
    # name "baseline".

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["baseline", "baselines"]}})
    one_at_most = (("baseline", "baselines"),)
    are_keywords = True
    _gate: str | None = PrivateAttr(None)
    _standards: Mapping[str, BaselineKeys] = PrivateAttr(default_factory=dict)

    name: Text = optional(
        "The gate's name in reports and in ftgate_required. Default: its name in this file.",
        example="intents",
    )
    test_set: data.DataValue = optional(
        "The test examples: a path relative to this file, or a mapping. Required.",
        example="data/test.jsonl",
    )
    training_set: data.DataValue = optional(
        "The examples that the candidate was trained on, as a path or a mapping. Required.",
        example="data/train.jsonl",
    )
    unlabeled_set: data.DataValue = optional(
        "Inputs that count in the gain as well, as a path or a mapping. A label is needed only "
        "where the answers of candidate and baseline differ. For metrics that score each answer "
        "against its expected output.",
        example="data/inputs.jsonl",
    )
    baseline: ModelValue = optional(
        "The model to beat: a name under models, a string such as openai:NAME, or a mapping. "
        "Either baseline or baselines is required.",
        example="openai:gpt-4.1-mini",
    )
    baselines: BaselinesValue = optional(
        "Several models by name; the candidate must beat each of them. {model, margin} or {model, "
        "max_drop} gives one its own standard.",
        example={"prompt": "openai:gpt-4.1-mini", "live": "recorded:live.jsonl"},
    )
    candidate: ModelValue = optional(
        "The fine-tuned model: a name under models, a string such as openai:NAME, or a mapping. "
        "Required, except at stage: ready.",
        example="openai:ft:gpt-4.1-mini:acme::abc123",
    )
    candidate_half: HalfKeys = optional(
        "A model trained by the same recipe on a random half of the training set. It decides "
        "nothing. Where margin or max_drop fails, it is asked as well, and the check more_data "
        "says what the last doubling of the rows brought, and whether another one will do.",
        example={
            "model": "openai:ft:gpt-4.1-mini:acme::half",
            "training_set": "data/train.half.jsonl",
        },
    )
    metric: MetricsValue = Field(
        "accuracy",
        validate_default=True,
        description="The metric that decides the verdict. Of a list the first decides, and the "
        "others are reported.",
    )
    margin: Annotated[Amount, Weaker("lower")] = optional(
        "How much better the candidate must be, in the metric's unit. 0 requires a gain above 0. "
        "Either margin or max_drop is required.",
        example=0.05,
    )
    max_drop: ProvenDrop = optional(
        "In place of margin, for a candidate that is cheaper or faster: it must be proven to be "
        "worse by at most this, in the metric's unit.",
        example=0.02,
    )
    cheaper_by: Factor = optional(
        "With max_drop, the factor by which a call must be cheaper than one of the baseline: 6 "
        "means a sixth of the cost.",
        example=5,
    )
    faster_by: Factor = optional(
        "With max_drop, the factor by which the p50 latency must be lower than the baseline's: 2 "
        "means half the time.",
        example=2,
    )
    evidence: Evidence = Field(
        "significant",
        description="observed: the measured gain reaches the margin. significant: its lower bound "
        "is above zero, too. proven: its lower bound reaches the margin, too.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False), Weaker("lower")] = Field(
        0.95, description="The one-sided confidence level of the evidence."
    )
    min_training_examples: Annotated[Count, Weaker("lower")] = Field(
        200,
        description="The minimum number of usable training examples: distinct inputs with an "
        "output.",
    )
    min_test_examples: Annotated[Count, Weaker("lower")] = Field(
        50, description="The minimum number of test examples."
    )
    thresholds: ThresholdsValue = Field(
        {},
        description="Limits of the candidate, by metric, or by latency_p50_s, latency_p95_s, "
        "cost_usd or error_rate. A metric with options is written under metric. Those of the "
        "marker, the gate and defaults are merged by name.",
        examples=[{"accuracy": {"min": 0.8}, "latency_p95_s": {"max": 1.5}}],
    )
    missing_answers: Annotated[Literal["error", "wrong"], words("wrong", "error")] = Field(
        "error",
        description="An answer of the candidate that is missing after all retries makes the gate "
        "an error, or counts as wrong.",
    )
    repeats: Annotated[int, Field(ge=1, le=1000), Weaker("lower")] = Field(
        1, description="Answers per example; their scores are averaged."
    )
    timeout_s: AboveZero = optional(
        "Time limit in seconds for all answers of all models. When it is reached, the gate is an "
        "error. Default: no limit.",
        example=1800,
    )
    hypothesis: HypothesisValue = optional(
        "The change that the fine-tune is expected to make: a sentence, or a mapping with from and "
        "to.",
        example={"from": 0.8, "to": 0.87},
    )
    goal: Goal = optional(
        "The purpose of the fine-tune. The gate fails for knowledge, reasoning, one_off, safety "
        "and new_modality.",
        example="classification",
    )
    stage: Annotated[Literal["accept", "ready"], words("ready", "accept")] = Field(
        "accept",
        description="accept: judge the candidate. ready: there is no candidate yet; green means "
        "that it is worth training.",
    )
    economics: EconomicsKeys = optional(
        "The costs and savings of the fine-tune, and their limits.",
        example={"calls_per_month": 100000, "training_cost_usd": 40},
    )
    checks: ChecksValue = Field(
        {},
        description="fail, warn or ignore, by the name of a check. Those of the marker, the gate "
        "and defaults are merged by name.",
        examples=[{"imbalance": "ignore", "prompt_mismatch": "fail"}],
    )
    guards: Annotated[dict[str, GuardKeys], Named] = Field(
        {},
        description="Other test sets by name, on which the candidate must not get worse.",
        examples=[{"old_task": {"test_set": "data/old.jsonl", "max_drop": 0.02}}],
    )
    slices: SlicesValue = optional(
        "Parts of the test set on which the candidate must not get worse.", example=["language"]
    )
    agreement: AgreementKeys = optional(
        "For an artifact that must be what was judged: merged, quantized, converted or served "
        "elsewhere. It needs no margin.",
        example={"with": "judged", "min": 0.98},
    )
    max_age_days: Annotated[AboveZero, Weaker("higher")] = optional(
        "The maximum age of the oldest answer used for the verdict, in days.", example=30
    )
    max_attempts: Annotated[int, Field(ge=1, le=5), Weaker("higher")] = optional(
        "The number of distinct sets of answers that may be judged on this test set. Each gets a "
        "share of the chance of a false pass. Default: no limit.",
        example=3,
    )

    @classmethod
    def _elsewhere(cls, key: str, value: Any) -> str | None:
        # A parameter may be a key of data, too: max_tokens is mostly meant for a request.
        if key in model_keys.REQUEST_PARAMETERS:
            parameter = model_keys.as_parameter(key, value)
            return f"this is a request parameter: write {parameter} in a model"
        if key in data.DataKeys.model_fields:
            return f"this is a key of a data set: write test_set: {{path: ..., {key}: ...}}"
        if key in OPTIONS:
            return f"this is an option of a metric: write metric: {{name: ..., {key}: ...}}"
        if any(key in kind.model_fields for kind in PROVIDERS.values()):
            return "this is a key of a model: write it in baseline or candidate, or under models"
        return None

    @property
    def standards(self) -> Mapping[str, BaselineKeys]:
        """Return the baselines with a standard of their own, by role; some have no model yet."""
        return self._standards

    def standard_of(self, role: str) -> Standard:
        """Return what the candidate must reach against a baseline: its own standard, or the gate's.

        The baseline of ``agreement`` need not be beaten by the gate's margin.
        """
        holder: Any = self
        above = ""
        is_copied = self.agreement is not None and role == self.agreement.with_baseline
        if role in self.standards:
            holder = self.standards[role]
            above = f"baselines.{role}."
            is_copied = False

        if holder.max_drop is not None:
            return Standard(f"{above}max_drop", -holder.max_drop)
        # A gate of agreement alone has no margin, whatever the baseline is called.
        if is_copied or holder.margin is None:
            return Standard("agreement", 0.0)
        return Standard(f"{above}margin", holder.margin)

    @property
    def decisive(self) -> dict[str, ModelSpec]:
        """Return the baselines of which the best one decides.

        They are not those with max_drop where others have a margin.
        """
        decisive = {}
        for role, spec in self.baselines.items():
            if self.standard_of(role).key == self.asked_by:
                decisive[role] = spec
        return decisive

    @property
    def gate(self) -> str | None:
        """Return the gate's name in the gate file; None if it is not there."""
        return self._gate

    @property
    def prediction(self) -> HypothesisKeys | None:
        """Return the hypothesis if it states numbers, else None."""
        if isinstance(self.hypothesis, HypothesisKeys):
            return self.hypothesis
        return None

    @property
    def expectation(self) -> str | None:
        """Return the hypothesis in words."""
        return f"{self.decided_by} {self.prediction}" if self.prediction else self.hypothesis

    @property
    def has_candidate(self) -> bool:
        """Return whether there is a candidate; before training there need not be one."""
        return bool(self.candidate.provider)

    @property
    def asked(self) -> dict[str, ModelSpec]:
        """Return the models to call, by role.

        The roles are the baselines' names, and "candidate" unless the stage is ready.
        """
        if self.stage == "ready":
            return self.baselines
        return {**self.baselines, "candidate": self.candidate}

    @property
    def judged_by(self) -> list[MetricSpec]:
        """Return the metrics that can fail the gate: of the gain, of thresholds and of guards."""
        named = [self.metric_named(name) for name in self.thresholds]
        return [self.decided_by, *named, *(guard.metric for guard in self.guards.values())]

    def metric_named(self, name: str) -> MetricSpec:
        """Return a metric of the key ``metric``, or one of a threshold, which has no options."""
        written = next((metric for metric in self.metrics if metric.name == name), None)
        return written or MetricSpec(name, {}, self.thresholds[name].source)

    def level(self, check: str) -> str:
        """Return what a check does to the verdict: ``fail``, ``warn`` or ``ignore``.

        Some defaults are ``limit``.
        """
        return self.checks.get(check) or CHANGEABLE[check].default

    def accepts(self, check: str) -> bool:
        """Return whether the gate is not to fail for what a check finds."""
        return self.level(check) in ("warn", "ignore")

    @property
    def matches(self) -> bool:
        """Return whether the candidate may be worse than every baseline, by ``max_drop``."""
        return self.asked_by == "max_drop"

    @property
    def asked_by(self) -> Literal["margin", "max_drop", "agreement"]:
        """Return the key that sets the required gain; ``agreement`` where no gain is required."""
        if self.margin is not None:
            return "margin"
        if self.max_drop is None:
            return "agreement"
        return "max_drop"

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """Return the metrics of the key ``metric``, the deciding one first."""
        if isinstance(self.metric, tuple):
            return self.metric
        return (self.metric,)

    @property
    def decided_by(self) -> MetricSpec:
        """Return the metric that decides."""
        return self.metrics[0]

    @property
    def judged_metrics(self) -> dict[str, MetricSpec]:
        """Return the metrics that a model or people judge, by name; the deciding one first."""
        return {metric.name: metric for metric in self.metrics if metric.name in JUDGED}

    @property
    def judges(self) -> tuple[ModelSpec, ...]:
        """Return the models that judge."""
        options = [metric.options for metric in self.judged_metrics.values()]
        return tuple(option["judge"] for option in options if "judge" in option)

    def place_of(self, path: str) -> str:
        """Return the file and line where a key, or the one above it, is written.

        The key is such as ``guards.refunds.max_drop``; the text is empty for a default.
        """
        # A key within a value that is written in one piece has the place of that value.
        while path and path not in self.sources:
            path = path.rpartition(".")[0]
        source = self.sources[path or "metric"]  # a judged metric goes by its name
        if source.kind == "default":
            return ""
        return source.at

    def quoted(self, key: str, beside: str) -> str:
        """Return ``margin 0.05 (ftgate.yaml:14)``, without a place that is that of ``beside``."""
        value = getattr(self, key)
        text = plain_number(value) if isinstance(value, float) else str(value)
        source = self.sources[key]
        if source.at == self.sources[beside].at:
            return f"{key} {text}"
        return f"{key} {text} ({source})"


def comparison_of(key: str) -> Weaker | None:
    """Return how values of a gate's key compare (``guards.refunds.max_drop``).

    None if they have no order.
    """
    name = key.rpartition(".")[2]
    for mapping in _COMPARED:
        comparison = comparable(mapping).get(name)
        if comparison is not None:
            return comparison
    return None


_COMPARED: tuple[type[Keys], ...] = (
    GateKeys,
    BaselineKeys,
    data.DataKeys,
    CalibrationKeys,
    GuardKeys,
    SliceKeys,
    ThresholdKeys,
    EconomicsKeys,
    CandidatePriceKeys,
)
