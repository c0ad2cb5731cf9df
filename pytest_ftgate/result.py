"""One thing that was looked at, and the verdict that all of them add up to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pytest_ftgate.text import one_line, printable, shortened

if TYPE_CHECKING:
    from pytest_ftgate.errors import FtgateError


@dataclass(frozen=True, slots=True)
class Volume:
    """What a number of calls in a month comes to.

    ``breaks_even`` is False where the fine-tune never pays for itself, and ``None`` where that is unknown. Without
    ``calls_per_month`` the break-even in calls is still known where nothing is paid by the month.
    """

    calls_per_month: float | None
    monthly_saving_usd: float | None = None
    breaks_even: bool | None = None
    break_even_days: float | None = None
    break_even_calls: float | None = None


@dataclass(frozen=True)
class Economics:
    """The economics of a fine-tune, in US dollars. ``None``: unknown, or not declared.

    ``volumes`` holds half of ``calls_per_month``, the number itself, and the double. ``training_said`` is what the cost
    of training rests on; ``saving_unknown`` and ``break_even_unknown`` say what they lack;
    ``undeclared`` names what was counted as nothing because nobody declared it. ``sentence`` is what a manager needs.
    """

    calls_per_month: float | None
    baseline_usd_per_1000_calls: float | None
    candidate_usd_per_1000_calls: float | None
    training_cost_usd: float | None
    training_said: str
    data_cost_usd: float | None
    hosting_usd_per_month: float | None
    retrains_per_year: float | None
    retraining_usd_per_month: float | None
    upfront_usd: float | None
    monthly_saving_usd: float | None
    breaks_even: bool | None
    break_even_days: float | None
    break_even_calls: float | None
    volumes: tuple[Volume, ...]
    saving_unknown: str | None
    break_even_unknown: str | None
    undeclared: tuple[str, ...]
    sentence: str


Verdict = Literal["pass", "fail", "inconclusive", "error"]

Status = Literal["pass", "fail", "inconclusive", "error", "warning", "note"]

STATUS_AT: Mapping[str, Status] = {"ignore": "note", "warn": "warning", "fail": "fail"}
"""Of a check that did not hold, at the level that the gate gives it."""

_SEVERITY: tuple[Verdict, ...] = ("pass", "inconclusive", "fail", "error")


Action = Literal[
    "measure_again", "fix_data", "add_examples", "better_prompt", "retrieval", "another_model", "cut_costs", "stop"
]
"""What kind of advice leads to a better result."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that a gate asks for.

    Attributes:
        key: the key of the gate that holds it, as ``margin`` or ``require[0].min``.
        value: as it was written.
        weaker: in which direction the gate would ask for less; ``None`` where values have no order.
    """

    key: str
    value: Any
    weaker: Literal["lower", "higher"] | None = None


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
        action: what kind of advice that is; ``None`` where it leads to no better result.
        threshold: the required value with its key and direction, where one value is asked for.
    """

    name: str
    status: Status
    message: str
    observed: Any = None
    required: Any = None
    source: str | None = None
    advice: str | None = None
    action: Action | None = None
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        """Drop the action of a check that holds: there is nothing to be done."""
        if self.status in ("pass", "note"):
            object.__setattr__(self, "action", None)


def verdict_of(checks: tuple[Check, ...]) -> Verdict:
    """The worst status counts: error > fail > inconclusive > pass. Warnings and notes change nothing."""
    statuses = {check.status for check in checks}
    return next(verdict for verdict in reversed(_SEVERITY) if verdict in statuses or verdict == "pass")


UNKNOWN_PRICE = "unknown: "
"""Begins :attr:`ModelResult.price` where there is none."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model did on the test set. Latencies in seconds, cost in US dollars; ``None``: not measured.

    ``n_expected`` counts the answers asked for (examples times repeats), ``n_scored`` those that were scored,
    ``n_errors`` those missing after all retries, ``n_stored`` those that were not asked for in this run,
    ``n_refused`` refusals and filtered answers, ``n_empty`` empty ones, ``n_cut_off`` those that ran into a length
    limit, ``n_unknown`` those that are no known label. ``oldest_prediction`` is the time of the oldest stored one, in
    UTC, ``oldest_age_s`` its age at judgement. ``verified`` is False where recorded predictions do not say what input
    they were made for. ``latency_unknown`` says why there are no latencies, ``cost_unknown`` why there is no
    ``cost_usd``; ``price`` says where the price comes from (``unknown: ...`` and why, where there is none). ``job``,
    ``checkpoint`` (its step), ``base_model``, ``trained_tokens`` and ``hyperparameters`` are what the endpoint says of
    a model that is named by its job.
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
    latency_unknown: str | None = None
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

    @property
    def price_unknown(self) -> str | None:
        """Return why the price is unknown; ``None`` where it is known."""
        known = self.price is None or not self.price.startswith(UNKNOWN_PRICE)
        return None if known else (self.price or "").removeprefix(UNKNOWN_PRICE)


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


def opponent(role: str) -> str:
    """Return what messages call the baseline that the candidate is compared with."""
    return "the baseline" if role == "baseline" else called(role)


def called(role: str, name: str = "") -> str:
    """What messages call a model: ``candidate``, ``baseline``, or ``baseline few_shot`` of several.

    With its own name it is ``candidate tuned``, and of several ``baseline few_shot (gpt few_shot 8)``, unless the role
    is that name.
    """
    own = "" if name == role else name
    if role in ("baseline", "candidate"):
        return f"{role} {own}".rstrip()
    return f"baseline {role} ({own})" if own else f"baseline {role}"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The training set as counted: see :class:`pytest_ftgate.checks.training_set.TrainingAudit`.

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
    """What the answers are like: see :func:`pytest_ftgate.runs.mistakes.diagnose`.

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


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a gate that is not green.

    Attributes:
        action: ``measure_again``, ``fix_data``, ``add_examples``, ``better_prompt``, ``retrieval``, ``another_model``,
            ``cut_costs``, ``stop``.
        text: what to do.
        fact: what that rests on.
    """

    action: str
    text: str
    fact: str


@dataclass(frozen=True, slots=True)
class PairResult:
    """The candidate's answers against those of one baseline.

    ``n`` counts pairs (examples times repeats). The judge was asked about ``n_asked`` of them: equal answers are a tie,
    and a missing one loses. ``disagreements`` counts those in which the judge preferred another model when the order
    was turned, which are ties; in ``first_preferred`` of them it preferred whichever came first. All three are
    ``None`` where people judged.
    """

    baseline: str
    n: int
    wins: int
    ties: int
    losses: int
    disagreements: int | None = None
    first_preferred: int | None = None
    n_asked: int | None = None


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """One metric that was judged, by a model or by people (``judge`` is then "people").

    ``n_questions`` counts the different questions that the judge was asked, those of the calibration included, and
    ``n_stored`` those of them that were not asked in this run. Cost in US dollars, tokens and questions are the judge's
    alone: no model's own ``cost_usd`` holds them. ``kappa`` is the agreement with the human labels of the calibration
    (``n_kappa`` items), or of the people among themselves; ``kappa_kind`` says which kappa. ``raters`` counts people.
    """

    metric: str
    judge: str
    model: str | None = None
    prompt_version: int | None = None
    n_questions: int | None = None
    n_stored: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_unknown: str | None = None
    kappa: float | None = None
    kappa_kind: str | None = None
    n_kappa: int | None = None
    raters: int | None = None
    pairs: tuple[PairResult, ...] = ()


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


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What a comparison of the candidate with a baseline found, in the metric's unit; the bounds are one-sided."""

    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    method: str | None = None
    n: int | None = None
    wins: int | None = None
    losses: int | None = None
    examples_needed: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class GuardResult(Delta):
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
    verdict: Status | None = None
    test_set: TestSetResult = field(default_factory=TestSetResult)
    metric_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class SliceResult(Delta):
    """The examples of the test set with one value of one field, by the deciding metric.

    ``confidence`` is that of the bounds, corrected for the number of slices. ``note`` says why a slice was not judged:
    its ``verdict`` is then None.
    """

    field: str
    value: str
    baseline: float | None = None
    candidate: float | None = None
    confidence: float | None = None
    verdict: Status | None = None


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The examples that expect one label: how many of their answers are right (recall), and the change."""

    label: str
    n: int
    baseline: float
    candidate: float
    change: float


T = TypeVar("T")

_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def to_plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What ``asdict`` gives, for JSON: a number that it cannot say becomes ``None``, and long text is cut."""
    return {str(key): _written(value) for key, value in facts.items()}


def _written(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, Mapping):
        return to_plain(value)
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value


def from_plain(kind: type[T], facts: Mapping[str, Any]) -> T:
    """The inverse of ``asdict``, after JSON.

    Args:
        kind: a dataclass, whose annotations can be looked up when the program runs.
        facts: its values by name. A name that is not there takes its default.
    """
    found: T = _read(kind, facts)
    return found


def _read(hint: Any, value: Any) -> Any:
    """A value as its annotation has it; as it is, where that says nothing of dataclasses or tuples."""
    if value is None:
        return None
    if isinstance(hint, type) and is_dataclass(hint):
        hints = _hints(hint)
        return hint(**{name: _read(hints[name], item) for name, item in value.items()})
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        kinds = [one for one in inner if one is not NoneType]
        return _read(kinds[0], value) if len(kinds) == 1 else value
    if origin is tuple:
        kinds = list(inner[:1]) * len(value) if inner[1:] == (...,) else list(inner)
        return tuple(_read(one, item) for one, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(inner[1], item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain over one baseline, in the metric's unit, with its one-sided bounds."""

    gain: float
    lower_bound: float | None = None
    upper_bound: float | None = None


@dataclass(frozen=True)
class GateResult(Delta):
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
    tango_interval: tuple[float, float] | None = None
    margin_proven: bool | None = None
    p_value: float | None = None
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
        return to_plain({**facts, **asdict(self)})

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> GateResult:
        """The inverse of :meth:`to_dict`."""
        return from_plain(cls, {item.name: facts[item.name] for item in fields(cls) if item.name in facts})


def closed(result: GateResult, checks: tuple[Check, ...]) -> GateResult:
    """The result with all its checks, and the verdict that they add up to."""
    return replace(result, checks=checks, verdict=verdict_of(checks))


def error_check(error: FtgateError, name: str = "configuration") -> Check:
    """Return a check with the status ``error`` that says what is wrong, where, and the cure."""
    head, *rest = str(error).splitlines() or [type(error).__name__]
    return Check(name, "error", head, advice=one_line("\n".join(rest)) or None)


def failed_result(result: GateResult, error: FtgateError) -> GateResult:
    """Return the result with an error that keeps it from being judged."""
    return closed(result, (*result.checks, error_check(error)))


@dataclass(frozen=True)
class Session:
    """What is said of the session as a whole.

    Attributes:
        unjudged: the obligations that were not met, each a name and a reason.
        removed: sentences on gates that are gone.
        remarks: what else is to be said at the end.
        partial: whether obligations were printed instead of enforced.
        config: the gate file, where the command line named it.
    """

    unjudged: Sequence[tuple[str, str]] = ()
    removed: Sequence[str] = ()
    remarks: Sequence[str] = ()
    partial: bool = False
    config: str | None = None
