"""The facts of one gate, under the names that the fixture, the reports and JUnit share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from pytest_ftgate.judge_facts import JudgeResult
from pytest_ftgate.money.economics import Economics
from pytest_ftgate.safe import one_line, printable, shortened

if TYPE_CHECKING:
    from pytest_ftgate.errors import FtgateError

Verdict = Literal["pass", "fail", "inconclusive", "error"]
Status = Literal["pass", "fail", "inconclusive", "error", "warning", "note"]

STATUS_AT: Mapping[str, Status] = {"ignore": "note", "warn": "warning", "fail": "fail"}
"""Of a check that did not hold, at the level that the gate gives it."""

_SEVERITY: tuple[Verdict, ...] = ("pass", "inconclusive", "fail", "error")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was seen, what was asked for, and what to do about it.

    Attributes:
        name: the key of the gate that it holds to, or the name of a finding.
        status: the four verdicts, or ``warning`` and ``note``, which change none.
        observed: the value seen, ``None`` where it could not be measured.
        required: the value asked for, ``None`` where nothing is asked.
        source: where the required value was written, such as ``ftgate.yaml:14``.
        message: one sentence that stands alone.
        advice: what to do, ``None`` where nothing is to be done.
    """

    name: str
    status: Status
    message: str
    observed: Any = None
    required: Any = None
    source: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model did on the test set. Latencies in seconds, cost in US dollars; ``None``: not measured.

    ``n_expected`` counts the answers asked for (examples times repeats), ``n_scored`` those that were scored,
    ``n_errors`` those missing after all retries, ``n_stored`` those that were not asked for in this run,
    ``n_refused`` refusals and filtered answers, ``n_empty`` empty ones, ``n_cut_off`` those that ran into a length
    limit, ``n_unknown`` those that are no known label. ``oldest_prediction`` is the time of the oldest stored one, in
    UTC, ``oldest_age_s`` its age at judgement. ``verified`` is False where recorded predictions do not say what input
    they were made for. ``price`` says where the price comes from (``unknown: ...`` and why, where there is none), and
    ``cost_unknown`` why there is no ``cost_usd``. ``job``, ``checkpoint`` (its step), ``base_model``,
    ``trained_tokens`` and ``hyperparameters`` are what the endpoint says of a model that is named by its job.
    """

    name: str
    model: str | None = None
    value: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    n_expected: int | None = None
    n_scored: int | None = None
    n_errors: int | None = None
    n_stored: int | None = None
    n_refused: int | None = None
    n_empty: int | None = None
    n_cut_off: int | None = None
    n_unknown: int | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_unknown: str | None = None
    price: str | None = None
    error_rate: float | None = None
    oldest_prediction: str | None = None
    oldest_age_s: float | None = None
    verified: bool | None = None
    job: str | None = None
    checkpoint: int | None = None
    base_model: str | None = None
    trained_tokens: int | None = None
    hyperparameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain over one baseline, in the metric's unit, with its one-sided bounds."""

    gain: float
    lower_bound: float | None = None
    upper_bound: float | None = None


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """One of several candidates, by the name it was written under; ``verdict`` is ``None`` where it was not judged.

    ``gain`` and ``lower_bound`` are over the best baseline, at the confidence that allows for the choice.
    """

    name: str
    model: str
    verdict: Verdict | None = None
    value: float | None = None
    gain: float | None = None
    lower_bound: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The training set as counted: see :class:`pytest_ftgate.training.TrainingAudit`.

    ``imbalance`` is the rows of the most frequent label by those of the rarest, ``None`` where outputs are no labels;
    ``suspicious`` counts rows whose nearest neighbours carry another label; the others are counts of rows.
    """

    path: str | None = None
    sha256: str | None = None
    rows: int | None = None
    usable: int | None = None
    duplicates: int | None = None
    conflicts: int | None = None
    leaked: int | None = None
    near_duplicates: int | None = None
    leaked_near: int | None = None
    truncated: int | None = None
    chat_errors: int | None = None
    too_long: int | None = None
    imbalance: float | None = None
    suspicious: int | None = None


@dataclass(frozen=True, slots=True)
class TestSetResult:
    """The test set: where it came from, the hash of its bytes, the number of examples."""

    __test__ = False  # pytest collects classes by their name

    path: str | None = None
    sha256: str | None = None
    examples: int | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """An example that one model gets right and the other does not; ``why``: what the metric says of the candidate's."""

    id: str
    input: str
    expected: str
    baseline: str
    candidate: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class BreakdownResult:
    """What the value of one metric of one model is made of: see :class:`pytest_ftgate.metrics.Breakdown`.

    ``role`` is ``baseline``, for the one in the headline, or ``candidate``.
    """

    metric: str
    role: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    shares: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> BreakdownResult:
        """The inverse of ``asdict``, after JSON."""
        rows = tuple((label, tuple(numbers)) for label, numbers in facts["rows"])
        return cls(**{**facts, "columns": tuple(facts["columns"]), "rows": rows, "shares": tuple(facts["shares"])})


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each model answers a label where another is expected."""

    expected: str
    answered: str
    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Of the answers to examples of one label, how many each model gets right; ``None`` without a candidate."""

    label: str
    answers: int
    baseline: int
    candidate: int | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the answers are like: see :func:`pytest_ftgate.diagnosis.mistakes.diagnose`.

    ``baseline`` (the best one) and ``candidate`` count answers: ``right``, and each kind of mistake that was made.
    ``confusions`` and ``labels`` are empty where the outputs are no labels. ``fixed`` and ``broken`` are the ids of all
    examples that the candidate answers better or worse. ``wrong_in_both`` counts examples that neither model ever gets
    right, ``recalled`` fixed ones whose output is told by the training set and not by their input.
    """

    baseline: Mapping[str, int]
    candidate: Mapping[str, int] | None = None
    confusions: tuple[Confusion, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    wrong_in_both: int | None = None
    recalled: int | None = None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Diagnosis:
        """The inverse of ``asdict``, after JSON."""
        known: dict[str, Any] = {**facts, "fixed": tuple(facts["fixed"]), "broken": tuple(facts["broken"])}
        known["confusions"] = tuple(Confusion(**pair) for pair in facts["confusions"])
        known["labels"] = tuple(LabelScore(**label) for label in facts["labels"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a gate that is not green.

    Attributes:
        action: ``fix_data``, ``add_examples``, ``better_prompt``, ``retrieval``, ``another_model``, ``stop``.
        text: what to do.
        fact: what that rests on.
    """

    action: str
    text: str
    fact: str


@dataclass(frozen=True, slots=True)
class GuardResult:
    """Another test set: ``baseline`` and ``candidate`` are values of its metric, ``against`` the baseline's role.

    ``gain`` and its bounds are as in :class:`GateResult`. ``verdict`` may also be ``warning``; None: not judged.
    """

    name: str
    metric: str
    max_drop: float
    evidence: str
    confidence: float
    against: str | None = None
    baseline: float | None = None
    candidate: float | None = None
    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    method: str | None = None
    n: int | None = None
    wins: int | None = None
    losses: int | None = None
    examples_needed: int | None = None
    note: str | None = None
    verdict: Status | None = None
    test_set: TestSetResult = field(default_factory=TestSetResult)
    metric_range: tuple[float, float] | None = None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> GuardResult:
        """The inverse of its part of :meth:`GateResult.to_dict`."""
        span = facts["metric_range"]
        known = {"test_set": TestSetResult(**facts["test_set"]), "metric_range": None if span is None else tuple(span)}
        return cls(**{**facts, **known})


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The examples of the test set with one value of one field, by the deciding metric.

    ``confidence`` is that of the bounds, corrected for the number of slices. ``note`` says why a slice was not judged:
    its ``verdict`` is then None.
    """

    field: str
    value: str
    n: int
    baseline: float | None = None
    candidate: float | None = None
    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    confidence: float | None = None
    wins: int | None = None
    losses: int | None = None
    note: str | None = None
    verdict: Status | None = None


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The examples that expect one label: how many of their answers are right (recall), and the change."""

    label: str
    n: int
    baseline: float
    candidate: float
    change: float


@dataclass(frozen=True, slots=True)
class Drift:
    """A model today against the same model at the last green verdict: ``then`` and ``now`` are the metric's values.

    ``change`` is ``now`` less ``then``; ``worse`` and ``better`` count examples. ``beyond_noise`` is None where that
    cannot be told, and ``note`` says why.
    """

    role: str
    then: float
    now: float
    change: float
    worse: int
    better: int
    beyond_noise: bool | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """What says whether it is time to train again. Times are in UTC, ages in days at judgement.

    ``last_green`` is when this gate was green before this run, ``last_measured`` when the oldest prediction of that
    verdict was made, ``evidence_age_days`` the age of the oldest that this one rests on. ``base_models`` are those of
    today by role, ``last_base_models`` those of then, as far as known: what the candidate was fine-tuned from, what a
    baseline is served as. ``shutdown_dates`` are those that endpoints list, by the models' names.
    """

    last_green: str | None = None
    last_green_age_days: float | None = None
    last_measured: str | None = None
    evidence_age_days: float | None = None
    base_models: Mapping[str, str] = field(default_factory=dict)
    last_base_models: Mapping[str, str] = field(default_factory=dict)
    shutdown_dates: Mapping[str, str] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Clock:
        """The inverse of its part of :meth:`GateResult.to_dict`."""
        return cls(**{**facts, "drift": tuple(Drift(**one) for one in facts["drift"])})


@dataclass(frozen=True)
class GateResult:
    """Everything known about one gate after it was judged. ``None`` where it was not measured; never NaN.

    ``gain``, ``lower_bound`` and ``upper_bound`` are in the metric's unit, the sign turned where lower is better;
    both bounds are one-sided at ``confidence``. ``baseline`` is the best of ``baselines`` by value.
    ``tango_interval`` is two-sided, for display: at either end it leaves out what a one-sided bound does. ``note`` says
    what the bounds rest on, such as the number of groups. ``gate`` is the gate's name in the file; ``loosened`` says
    where a mark asks for less than the file. ``gains`` are over each baseline, by name. ``bare`` is the candidate
    without its prompt and examples, where it has any. ``candidates`` are those of several, in the written order;
    ``candidate`` is the chosen one, or, where none passed, the one that came nearest. ``slices`` and ``labels`` are
    against ``baseline``, the worst first. At the ``stage`` ``ready`` there is no candidate yet. Under the objective
    ``match`` there is no margin, and ``max_drop`` says how much worse the candidate may be. ``breakdowns`` are of the
    metrics that can tell what their value is made of, the deciding one first. ``judges`` has one for each metric that
    a model or people judge. ``location`` is the line of the mark, as ``tests/test_intents.py:12``, relative to
    pytest's rootdir.
    """

    name: str
    nodeid: str
    verdict: Verdict
    metric: str | None = None
    margin: float | None = None
    evidence: str | None = None
    confidence: float | None = None
    baseline: ModelResult = field(default_factory=lambda: ModelResult("baseline"))
    baselines: Mapping[str, ModelResult] = field(default_factory=dict)
    candidate: ModelResult = field(default_factory=lambda: ModelResult("candidate"))
    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    tango_interval: tuple[float, float] | None = None
    margin_proven: bool | None = None
    method: str | None = None
    p_value: float | None = None
    n: int | None = None
    wins: int | None = None
    losses: int | None = None
    examples_needed: int | None = None
    note: str | None = None
    training: TrainingResult = field(default_factory=TrainingResult)
    test_set: TestSetResult = field(default_factory=TestSetResult)
    checks: tuple[Check, ...] = ()
    hypothesis: str | None = None
    gate: str | None = None
    loosened: tuple[str, ...] = ()
    metric_range: tuple[float, float] | None = None
    models_called: bool = False
    broken: tuple[Flip, ...] = ()
    stage: str | None = None
    diagnosis: Diagnosis | None = None
    advice: tuple[Advice, ...] = ()
    objective: str | None = None
    max_drop: float | None = None
    economics: Economics | None = None
    gains: Mapping[str, Gain] = field(default_factory=dict)
    bare: ModelResult | None = None
    candidates: tuple[CandidateResult, ...] = ()
    guards: tuple[GuardResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()
    judges: tuple[JudgeResult, ...] = ()
    breakdowns: tuple[BreakdownResult, ...] = ()
    clock: Clock | None = None
    location: str | None = None

    @property
    def passed(self) -> bool:
        """True for the verdict ``pass`` alone."""
        return self.verdict == "pass"

    @property
    def scored(self) -> bool:
        """Each model that is asked has a value, so that a test body has something to look at."""
        candidate = self.stage == "ready" or self.candidate.value is not None
        return self.baseline.value is not None and candidate

    def __repr__(self) -> str:
        return f"<GateResult {printable(self.name)}: {self.verdict}>"

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values; a number that JSON cannot say becomes ``None``, and long text is cut."""
        facts = {"name": self.name, "nodeid": self.nodeid, "verdict": self.verdict, "passed": self.passed}
        plain: dict[str, Any] = _plain({**facts, **asdict(self)})
        return plain

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> GateResult:
        """The inverse of :meth:`to_dict`."""
        known = {item.name: facts[item.name] for item in fields(cls) if item.name in facts}
        known["baseline"] = ModelResult(**facts["baseline"])
        known["baselines"] = {name: ModelResult(**model) for name, model in facts["baselines"].items()}
        known["candidate"] = ModelResult(**facts["candidate"])
        known["training"] = TrainingResult(**facts["training"])
        known["test_set"] = TestSetResult(**facts["test_set"])
        known["checks"] = tuple(Check(**check) for check in facts["checks"])
        known["broken"] = tuple(Flip(**flip) for flip in facts["broken"])
        if known.get("economics") is not None:
            known["economics"] = Economics.from_dict(facts["economics"])
        known["gains"] = {name: Gain(**gain) for name, gain in facts.get("gains", {}).items()}
        known["bare"] = ModelResult(**facts["bare"]) if facts.get("bare") else None
        known["candidates"] = tuple(CandidateResult(**one) for one in facts.get("candidates", ()))
        known["guards"] = tuple(map(GuardResult.from_dict, facts["guards"]))
        known["slices"] = tuple(SliceResult(**one) for one in facts["slices"])
        known["labels"] = tuple(LabelResult(**one) for one in facts["labels"])
        known["judges"] = tuple(map(JudgeResult.from_dict, facts.get("judges", ())))
        known["breakdowns"] = tuple(map(BreakdownResult.from_dict, facts.get("breakdowns", ())))
        known["loosened"] = tuple(facts["loosened"])
        known["diagnosis"] = Diagnosis.from_dict(facts["diagnosis"]) if facts.get("diagnosis") else None
        known["clock"] = Clock.from_dict(facts["clock"]) if facts.get("clock") else None
        known["advice"] = tuple(Advice(**one) for one in facts.get("advice", ()))
        for pair in ("metric_range", "tango_interval"):
            if known.get(pair) is not None:
                known[pair] = tuple(known[pair])
        return cls(**known)


def called(role: str) -> str:
    """What messages call a model: ``candidate``, ``baseline``, or ``baseline few_shot`` of several."""
    return role if role in ("baseline", "candidate") else f"baseline {role}"


def verdict_of(checks: tuple[Check, ...]) -> Verdict:
    """The worst status counts: error > fail > inconclusive > pass. Warnings and notes change nothing."""
    statuses = {check.status for check in checks}
    return next(verdict for verdict in reversed(_SEVERITY) if verdict in statuses or verdict == "pass")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def closed(result: GateResult, checks: tuple[Check, ...]) -> GateResult:
    """The result with all its checks, and the verdict that they add up to."""
    return replace(result, checks=checks, verdict=verdict_of(checks))


def failed_result(result: GateResult, error: FtgateError) -> GateResult:
    """The verdict ``error`` with what is wrong, where, and the cure."""
    head, *rest = str(error).splitlines() or [type(error).__name__]
    check = Check("configuration", "error", head, advice=one_line("\n".join(rest)) or None)
    return closed(result, (*result.checks, check))
