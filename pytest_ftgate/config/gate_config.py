"""A gate after everything that was written about it has been read, merged and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_ftgate.config.source import BUILT_IN, Source
from pytest_ftgate.errors import shown_path

DropEvidence = Literal["observed", "significant", "proven"]


@dataclass(frozen=True)
class DataSpec:
    """A file of examples.

    Attributes:
        path: absolute.
        format: "jsonl", "csv", "chat", or another loader's; None: by suffix and first row.
        fields: our name of a field to the file's.
        limit: only so many examples from the beginning; None: all.
        source: where it is named.
    """

    path: Path
    format: str | None
    fields: Mapping[str, str]
    limit: int | None
    source: Source = field(default=BUILT_IN, compare=False, repr=False)

    def __str__(self) -> str:
        return shown_path(self.path)


@dataclass(frozen=True)
class MetricSpec:
    """A metric as written; ``options`` holds only what was, and as ``function`` a callable that a marker gave."""

    name: str
    options: Mapping[str, Any]
    source: Source

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Bound:
    """One item of ``require``: at least one of ``min`` and ``max`` is given, both are inclusive."""

    metric: MetricSpec
    min: float | None
    max: float | None
    of: Literal["candidate", "baseline"]
    source: Source

    def __str__(self) -> str:
        ends = [("at least", self.min), ("at most", self.max)]
        asked = " and ".join(f"{word} {_number(end)}" for word, end in ends if end is not None)
        return f"{self.metric} of the {self.of} {asked}"


@dataclass(frozen=True)
class Prediction:
    """A hypothesis that can be held against what was measured.

    Attributes:
        metric: of which it speaks.
        start: the baseline's value, in the metric's unit.
        goal: what the candidate is expected to reach.
        because: the reason, if one was written.
        source: where it stands.
    """

    metric: MetricSpec
    start: float
    goal: float
    because: str | None
    source: Source

    def __str__(self) -> str:
        because = f", because {self.because}" if self.because else ""
        start, goal = _number(self.start), _number(self.goal)
        change = f"stays at {goal}" if start == goal else f"goes from {start} to {goal}"
        return f"{self.metric} {change}{because}"


@dataclass(frozen=True)
class ModelSpec:
    """One model as written, checked.

    Attributes:
        provider: "openai", "python", "recorded", "callable", or one that a hook knows.
        options: the provider's keys that were written, without ``provider``; paths are absolute ``Path``s.
            Of "callable" it is ``{"function": object}``.
        spelling: for reports: ``openai:gpt-4.1-mini``, ``python:pkg.mod:fn``, ``conftest.my_model``.
        name: its ``name`` key, else its name under ``baselines`` or ``candidates``, else that under ``models``, else
            the model's own short name.
        source: where it is described; of a named model that is under ``models``.
    """

    provider: str
    options: Mapping[str, Any]
    spelling: str
    name: str
    source: Source

    def __str__(self) -> str:
        return self.spelling


AuditLevel = Literal["ignore", "warn", "limit", "fail"]
AUDIT_LEVELS: tuple[AuditLevel, ...] = ("ignore", "warn", "limit", "fail")
"""From lenient to strict. ``limit``, which cannot be written: a warning up to a limit of its own, then a failure."""

AUDIT_DEFAULTS: Mapping[str, AuditLevel] = {
    "usable": "fail",
    "leaked": "fail",
    "leaked_near": "fail",
    "conflicts": "limit",
    "near_duplicates": "limit",
    "labels_missing": "warn",
    "imbalance": "warn",
    "truncated": "warn",
    "chat_format": "warn",
    "too_long": "warn",
}


@dataclass(frozen=True)
class AuditSpec:
    """What each finding of the training audit means.

    Attributes:
        levels: of every finding.
        max_tokens: a row with more is too long.
    """

    levels: Mapping[str, AuditLevel]
    max_tokens: int

    @property
    def loosened(self) -> dict[str, AuditLevel]:
        """The findings that mean less than they do by default, and what they mean."""
        return {
            name: level
            for name, level in self.levels.items()
            if AUDIT_LEVELS.index(level) < AUDIT_LEVELS.index(AUDIT_DEFAULTS[name])
        }

    def __str__(self) -> str:
        return ", ".join(f"{name}: {level}" for name, level in self.levels.items() if level != AUDIT_DEFAULTS[name])


@dataclass(frozen=True)
class GuardSpec:
    """Another test set, on which the candidate may be worse than the best baseline by at most ``max_drop``.

    ``sources`` says of each of its keys where the value came from.
    """

    test_set: DataSpec | Iterable[Any]
    metric: MetricSpec
    max_drop: float
    evidence: DropEvidence
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class SliceSpec:
    """Parts of the test set: all examples with one value of one of ``fields``.

    ``sources`` says of each of its keys where the value came from.
    """

    fields: tuple[str, ...]
    max_drop: float
    evidence: DropEvidence
    min_examples: int
    sources: Mapping[str, Source]


ClockLevel = Literal["ignore", "warn", "fail"]
CLOCK_LEVELS: tuple[ClockLevel, ...] = ("ignore", "warn", "fail")
"""From lenient to strict."""


@dataclass(frozen=True)
class ClockSpec:
    """What changes of the models beneath a gate mean; ``sources`` says where each key was written."""

    alias: ClockLevel = "warn"
    base_changed: ClockLevel = "warn"
    shutdown: ClockLevel = "warn"
    shutdown_within_days: int = 90
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source(self, key: str) -> str:
        """Where the key was written."""
        return str(self.sources.get(key, BUILT_IN))


@dataclass(frozen=True)
class EconomicsSpec:
    """What fine-tuning costs besides its answers, and what it must bring; ``None``: not declared.

    Amounts in US dollars. ``sources`` says where each key was written.
    """

    calls_per_month: float | None
    training_cost_usd: float | None
    data_cost_usd: float | None
    hosting_usd_per_month: float | None
    retrains_per_year: float | None
    max_break_even_days: float | None
    min_monthly_saving_usd: float | None
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class GateConfig:
    """Everything that is asked of one gate. ``sources`` says of every key where its value came from.

    ``alternatives`` names the baselines that the gate makes from one base model. ``candidates`` is empty where there is
    one; else ``candidate`` is the first of them, or the one that is being judged.
    """

    name: str
    gate: str | None
    test_set: DataSpec | Iterable[Any]
    training_set: DataSpec | Iterable[Any]
    validation_set: DataSpec | Iterable[Any] | None
    baselines: Mapping[str, ModelSpec]
    candidate: ModelSpec
    metric: MetricSpec
    margin: float | None
    objective: Literal["beat", "match"]
    max_drop: float | None
    cheaper_by: float | None
    faster_by: float | None
    evidence: Literal["observed", "significant", "proven"]
    confidence: float
    min_training_examples: int
    min_test_examples: int
    require: tuple[Bound, ...]
    show: tuple[MetricSpec, ...]
    errors: Literal["error", "score_zero"]
    repeats: int
    timeout_s: float | None
    hypothesis: str | Prediction | None
    require_hypothesis: bool
    goal: str | None
    goal_override: str | None
    stage: Literal["accept", "ready"]
    economics: EconomicsSpec | None
    audit: AuditSpec
    allow_weak_baseline: str | None
    guards: Mapping[str, GuardSpec]
    slices: SliceSpec | None
    sources: Mapping[str, Source]
    alternatives: tuple[str, ...] = ()
    candidates: Mapping[str, ModelSpec] = field(default_factory=dict)
    max_age_days: float | None = None
    clock: ClockSpec = field(default_factory=ClockSpec)
    ablate_prompt: bool = False

    @property
    def prediction(self) -> Prediction | None:
        """The hypothesis, where it says numbers."""
        return self.hypothesis if isinstance(self.hypothesis, Prediction) else None

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
    def bounds(self) -> tuple[Bound, ...]:
        """Those of ``require`` that are about models that are asked."""
        return tuple(bound for bound in self.require if self.stage == "accept" or bound.of == "baseline")

    @property
    def asked_by(self) -> Literal["margin", "max_drop"]:
        """The key that says what gain is asked for."""
        return "max_drop" if self.objective == "match" else "margin"

    @property
    def asked_gain(self) -> float:
        """The gain that is asked for, in the metric's unit; below zero where the candidate may be worse."""
        if self.objective == "match":
            assert self.max_drop is not None  # one of the two is always there
            return -self.max_drop
        assert self.margin is not None
        return self.margin

    def quoted(self, key: str) -> str:
        """The key with its value and source, as messages quote it: ``margin 0.05 (ftgate.yaml:14)``."""
        value = self.baselines if key == "baseline" else getattr(self, key)
        return f"{key} {_shown(value)} ({self.sources[key]})"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    if value is None or value == ():
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(str(model) for model in value.values())
    if isinstance(value, tuple) and all(isinstance(part, Bound | MetricSpec) for part in value):
        return ", ".join(map(str, value))
    if isinstance(value, AuditSpec):
        return str(value) or "as by default"
    if isinstance(value, str | int | DataSpec | MetricSpec | ModelSpec | Prediction):
        return str(value)
    return "given as objects"


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def no_candidate(source: Source) -> ModelSpec:
    """Stands for the model that has not been trained yet."""
    return ModelSpec("", {}, "none yet", "candidate", source)
