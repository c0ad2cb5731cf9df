"""The facts of a gate: what was looked at, and the verdict that it adds up to. To and from JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema

from pytest_ftgate.text import one_line, printable, shortened

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ftgate.errors import FtgateError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""Of the JSON Schemas that this package ships."""

T = TypeVar("T")

Verdict = Literal["pass", "fail", "inconclusive", "error"]
Status = Literal["pass", "fail", "inconclusive", "error", "warning", "note"]
Action = Literal[
    "measure_again", "fix_data", "add_examples", "better_prompt", "retrieval", "another_model", "cut_costs", "stop"
]
"""What kind of advice leads to a better result."""

PriceLack = Literal["price", "table", "rate"]

STATUS_AT: Mapping[str, Status] = {"ignore": "note", "warn": "warning", "fail": "fail"}
"""Of a check that did not hold, at the level that the gate gives it."""

_SEVERITY: tuple[Verdict, ...] = ("pass", "inconclusive", "fail", "error")

_END = WithJsonSchema({"type": ["number", "null"]})  # JSON has no infinity
_LOW = BeforeValidator(lambda end: -math.inf if end is None else end)
_HIGH = BeforeValidator(lambda end: math.inf if end is None else end)
Range = tuple[Annotated[float, _LOW, _END], Annotated[float, _HIGH, _END]]
"""The two ends of something; one that is infinite is null in JSON."""


def about(description: str) -> Any:
    """Describe a field of the report, as its JSON Schema shows it."""
    return Field(description=description)


# Descriptions of classes and fields are shipped in the JSON Schema of the report, which has no mark-up.


@dataclass(frozen=True, slots=True)
class Volume:
    """What a number of calls in a month comes to. Without that number the break-even in calls is still known where
    nothing is paid by the month."""

    calls_per_month: float | None
    monthly_saving_usd: float | None = None
    breaks_even: Annotated[
        bool | None, about("false where the fine-tune never pays for itself, null where that is unknown")
    ] = None
    break_even_days: float | None = None
    break_even_calls: float | None = None


@dataclass(frozen=True)
class Economics:
    """The economics of a fine-tune, in US dollars; null: unknown, or not declared."""

    calls_per_month: float | None
    baseline_usd_per_1000_calls: float | None
    candidate_usd_per_1000_calls: float | None
    training_cost_usd: float | None
    training_said: Annotated[str, about("what the cost of training rests on")]
    data_cost_usd: float | None
    hosting_usd_per_month: float | None
    retrains_per_year: float | None
    retraining_usd_per_month: float | None
    upfront_usd: float | None
    monthly_saving_usd: float | None
    breaks_even: Annotated[
        bool | None, about("false where the fine-tune never pays for itself, null where that is unknown")
    ]
    break_even_days: float | None
    break_even_calls: float | None
    volumes: Annotated[tuple[Volume, ...], about("half of the calls per month, the number itself, and the double")]
    saving_unknown: Annotated[str | None, about("what is lacking to know the saving")]
    break_even_unknown: Annotated[str | None, about("what is lacking to know the break-even")]
    undeclared: Annotated[tuple[str, ...], about("what was counted as nothing because nobody declared it")]
    sentence: Annotated[str, about("what a manager needs")]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that a gate asks for."""

    key: Annotated[str, about("the key of the gate that holds it, as margin or require[0].min")]
    value: Annotated[Any, about("as it was written")]
    weaker: Annotated[
        Literal["lower", "higher"] | None,
        about("in which direction the gate would ask for less; null where values have no order"),
    ] = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was seen, what was asked for, and what to do about it."""

    name: Annotated[str, about("the key of the gate that it holds to, or the name of a finding")]
    status: Annotated[Status, about("the four verdicts, or warning and note, which change none")]
    message: Annotated[str, about("one sentence that stands alone")]
    observed: Annotated[Any, about("the value seen, null where it could not be measured")] = None
    required: Annotated[Any, about("the value asked for, null where nothing is asked")] = None
    source: Annotated[str | None, about("where the required value was written, such as ftgate.yaml:14")] = None
    advice: Annotated[str | None, about("what to do, null where nothing is to be done")] = None
    action: Annotated[Action | None, about("what kind of advice that is; null where it leads to no better result")] = (
        None
    )
    threshold: Annotated[
        Threshold | None, about("the required value with its key and direction, where one value is asked for")
    ] = None

    def __post_init__(self) -> None:
        """Drop the action of a check that holds: there is nothing to be done."""
        if self.status in ("pass", "note"):
            object.__setattr__(self, "action", None)


def verdict_of(checks: tuple[Check, ...]) -> Verdict:
    """The worst status counts: error > fail > inconclusive > pass. Warnings and notes change nothing."""
    statuses = {check.status for check in checks}
    return next(verdict for verdict in reversed(_SEVERITY) if verdict in statuses or verdict == "pass")


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model did on the test set. Latencies in seconds, cost in US dollars; null: not measured. The job, its
    checkpoint, base model, tokens and hyperparameters are what the endpoint says of a model that is named by its job.
    """

    name: str
    model: str | None = None
    value: Annotated[float | None, about("of the deciding metric")] = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    n_expected: Annotated[int | None, about("answers asked for: examples times repeats")] = None
    n_scored: Annotated[int | None, about("answers that were scored")] = None
    n_errors: Annotated[int | None, about("answers missing after all retries")] = None
    n_stored: Annotated[int | None, about("answers that were not asked for in this run")] = None
    n_refused: Annotated[int | None, about("refusals and filtered answers")] = None
    n_empty: Annotated[int | None, about("empty answers")] = None
    n_cut_off: Annotated[int | None, about("answers that ran into a length limit")] = None
    n_unknown: Annotated[int | None, about("answers that are no known label")] = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    latency_unknown: Annotated[str | None, about("why there are no latencies")] = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_unknown: Annotated[str | None, about("why there is no cost_usd")] = None
    price: Annotated[str | None, about("where the price comes from, or 'unknown: ' and why it is not known")] = None
    price_unknown: Annotated[str | None, about("why the price is not known")] = None
    price_lack: Annotated[
        PriceLack | None,
        about("what is lacking where the price is not known: a price, also the package that knows prices, or a rate"),
    ] = None
    error_rate: float | None = None
    oldest_prediction: Annotated[str | None, about("the time of the oldest stored prediction, in UTC")] = None
    oldest_age_s: Annotated[float | None, about("its age at judgement")] = None
    verified: Annotated[
        bool | None, about("false where recorded predictions do not say what input they were made for")
    ] = None
    job: str | None = None
    checkpoint: Annotated[int | None, about("its step")] = None
    base_model: str | None = None
    trained_tokens: int | None = None
    hyperparameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """One of several candidates. Its gain and lower bound are over the best baseline, at the confidence that allows for
    the choice."""

    name: Annotated[str, about("the name it was written under")]
    model: str
    verdict: Annotated[Verdict | None, about("null where it was not judged")] = None
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
    """The training set as counted: fields without a description are counts of rows."""

    path: Annotated[str | None, about("the file; null for an iterable")] = None
    sha256: Annotated[str | None, about("the hash of its bytes")] = None
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
    imbalance: Annotated[
        float | None, about("rows of the most frequent label by those of the rarest, null where outputs are no labels")
    ] = None
    suspicious: Annotated[int | None, about("rows whose nearest neighbours carry another label")] = None


@dataclass(frozen=True, slots=True)
class TestSetResult:
    """The test set: where it came from, the hash of its bytes, the number of examples."""

    __test__ = False  # pytest collects classes by their name

    path: str | None = None
    sha256: str | None = None
    examples: int | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """An example that one model gets right and the other does not."""

    id: str
    input: str
    expected: str
    baseline: str
    candidate: str
    why: Annotated[str | None, about("what the metric says of the candidate's answer")] = None
    where: Annotated[str | None, about("file and line of the example, or the item of an iterable")] = None


@dataclass(frozen=True, slots=True)
class BreakdownResult:
    """What the value of one metric of one model is made of."""

    metric: str
    role: Annotated[str, about("baseline, for the one in the headline, or candidate")]
    title: Annotated[str, about("what a row is")]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int | float | None, ...]], ...]
    shares: Annotated[tuple[str, ...], about("the columns whose numbers lie between 0 and 1")] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each model answers a label where another is expected."""

    expected: str
    answered: str
    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Of the answers to examples of one label, how many each model gets right."""

    label: str
    answers: int
    baseline: int
    candidate: Annotated[int | None, about("null without a candidate")]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the answers are like."""

    baseline: Annotated[
        Mapping[str, int], about("counts of the best one's answers: right, and each kind of mistake that was made")
    ]
    candidate: Mapping[str, int] | None = None
    confusions: Annotated[tuple[Confusion, ...], about("empty where the outputs are no labels")] = ()
    labels: Annotated[tuple[LabelScore, ...], about("empty where the outputs are no labels")] = ()
    fixed: Annotated[tuple[str, ...], about("ids of all examples that the candidate answers better")] = ()
    broken: Annotated[tuple[str, ...], about("ids of all examples that it answers worse")] = ()
    wrong_in_both: Annotated[int | None, about("examples that neither model ever gets right")] = None
    recalled: Annotated[
        int | None, about("fixed examples whose output is told by the training set and not by their input")
    ] = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a gate that is not green."""

    action: Annotated[str, about("one of the actions of a check")]
    text: Annotated[str, about("what to do")]
    fact: Annotated[str, about("what that rests on")]


@dataclass(frozen=True, slots=True)
class PairResult:
    """The candidate's answers against those of one baseline. A missing answer loses."""

    baseline: str
    n: Annotated[int, about("pairs: examples times repeats")]
    wins: int
    ties: Annotated[int, about("equal answers among them")]
    losses: int
    disagreements: Annotated[
        int | None,
        about("ties in which the judge preferred another model when the order was turned; null where people judged"),
    ] = None
    first_preferred: Annotated[int | None, about("disagreements in which the judge preferred whichever came first")] = (
        None
    )
    n_asked: Annotated[int | None, about("pairs that the judge was asked about")] = None


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """One metric that was judged, by a model or by people. Cost in US dollars, tokens and questions are the judge's
    alone: no model's own cost_usd holds them."""

    metric: str
    judge: Annotated[str, about("people, where people judged")]
    model: str | None = None
    prompt_version: int | None = None
    n_questions: Annotated[
        int | None, about("different questions that the judge was asked, those of the calibration included")
    ] = None
    n_stored: Annotated[int | None, about("questions that were not asked in this run")] = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_unknown: Annotated[str | None, about("why there is no cost_usd")] = None
    kappa: Annotated[
        float | None, about("agreement with the human labels of the calibration, or of the people among themselves")
    ] = None
    kappa_kind: Annotated[str | None, about("which kappa")] = None
    n_kappa: Annotated[int | None, about("items that kappa is over")] = None
    raters: Annotated[int | None, about("people")] = None
    pairs: tuple[PairResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """A model today against the same model at the last green verdict."""

    role: str
    then: Annotated[float, about("the metric's value at the last green verdict")]
    now: Annotated[float, about("the metric's value today")]
    change: Annotated[float, about("now less then")]
    worse: Annotated[int, about("examples")]
    better: Annotated[int, about("examples")]
    beyond_noise: Annotated[bool | None, about("null where that cannot be told")] = None
    note: Annotated[str | None, about("why it cannot be told")] = None


@dataclass(frozen=True, slots=True)
class Clock:
    """What says whether it is time to train again. Times are in UTC, ages in days at judgement; base models are by
    role, as far as known: what the candidate was fine-tuned from, what a baseline is served as."""

    last_green: Annotated[str | None, about("when this gate was green before this run")] = None
    last_green_age_days: float | None = None
    last_measured: Annotated[str | None, about("when the oldest prediction of that verdict was made")] = None
    evidence_age_days: Annotated[float | None, about("the age of the oldest prediction that this verdict rests on")] = (
        None
    )
    base_models: Annotated[Mapping[str, str], about("those of today")] = field(default_factory=dict)
    last_base_models: Annotated[Mapping[str, str], about("those of the last green verdict")] = field(
        default_factory=dict
    )
    shutdown_dates: Annotated[Mapping[str, str], about("those that endpoints list, by the models' names")] = field(
        default_factory=dict
    )
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What a comparison of the candidate with a baseline found, in the metric's unit."""

    gain: Annotated[float | None, about("of the candidate, the sign turned where lower is better")] = None
    lower_bound: Annotated[float | None, about("of the gain, one-sided at the confidence")] = None
    upper_bound: Annotated[float | None, about("of the gain, one-sided at the confidence")] = None
    method: str | None = None
    n: int | None = None
    wins: int | None = None
    losses: int | None = None
    examples_needed: int | None = None
    note: Annotated[
        str | None, about("what the bounds rest on, such as the number of groups; of a slice why it was not judged")
    ] = None


@dataclass(frozen=True)
class GuardResult(Delta):
    """Another test set, on which the candidate may lose no more than max_drop. Values are of its own metric."""

    name: str
    metric: str
    max_drop: float
    evidence: str
    confidence: float
    against: Annotated[str | None, about("the baseline's role")] = None
    baseline: float | None = None
    candidate: float | None = None
    verdict: Annotated[Status | None, about("null: not judged")] = None
    test_set: TestSetResult = field(default_factory=TestSetResult)
    metric_range: Range | None = None


@dataclass(frozen=True)
class SliceResult(Delta):
    """The examples of the test set with one value of one field, by the deciding metric."""

    field: str
    value: str
    baseline: float | None = None
    candidate: float | None = None
    confidence: Annotated[float | None, about("that of the bounds, corrected for the number of slices")] = None
    verdict: Annotated[Status | None, about("null: not judged")] = None


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The examples that expect one label: how many of their answers are right (recall), and the change."""

    label: str
    n: int
    baseline: float
    candidate: float
    change: float


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain over one baseline, in the metric's unit, with its one-sided bounds."""

    gain: float
    lower_bound: float | None = None
    upper_bound: float | None = None


@dataclass(frozen=True)
class GateResult(Delta):
    """Everything known about one gate after it was judged; null where it was not measured, never NaN."""

    name: str
    nodeid: str
    verdict: Verdict
    passed: Annotated[bool, about("true for the verdict pass alone")] = field(init=False, default=False)
    metric: str | None = None
    margin: Annotated[float | None, about("null under the objective match")] = None
    evidence: str | None = None
    confidence: float | None = None
    baseline: Annotated[ModelResult, about("the best of the baselines by value")] = field(
        default_factory=lambda: ModelResult("baseline")
    )
    baselines: Mapping[str, ModelResult] = field(default_factory=dict)
    candidate: Annotated[
        ModelResult, about("of several the chosen one, or, where none passed, the one that came nearest")
    ] = field(default_factory=lambda: ModelResult("candidate"))
    tango_interval: Annotated[Range | None, about("always null: it is no longer computed")] = None
    margin_proven: bool | None = None
    p_value: float | None = None
    training: TrainingResult = field(default_factory=TrainingResult)
    test_set: TestSetResult = field(default_factory=TestSetResult)
    checks: tuple[Check, ...] = ()
    hypothesis: str | None = None
    gate: Annotated[str | None, about("the gate's name in the file")] = None
    loosened: Annotated[tuple[str, ...], about("where a mark asks for less than the file")] = ()
    metric_range: Range | None = None
    models_called: bool = False
    broken: Annotated[tuple[Flip, ...], about("some examples that the candidate answers worse")] = ()
    stage: Annotated[str | None, about("at the stage ready there is no candidate yet")] = None
    diagnosis: Diagnosis | None = None
    advice: tuple[Advice, ...] = ()
    objective: str | None = None
    max_drop: Annotated[float | None, about("how much worse the candidate may be under the objective match")] = None
    economics: Economics | None = None
    gains: Annotated[Mapping[str, Gain], about("over each baseline, by name")] = field(default_factory=dict)
    bare: Annotated[ModelResult | None, about("the candidate without its prompt and examples, where it has any")] = None
    candidates: Annotated[tuple[CandidateResult, ...], about("those of several, in the written order")] = ()
    guards: tuple[GuardResult, ...] = ()
    slices: Annotated[tuple[SliceResult, ...], about("against the best baseline, the worst first")] = ()
    labels: Annotated[tuple[LabelResult, ...], about("against the best baseline, the worst first")] = ()
    judges: Annotated[tuple[JudgeResult, ...], about("one for each metric that a model or people judge")] = ()
    breakdowns: Annotated[
        tuple[BreakdownResult, ...],
        about("of the metrics that can tell what their value is made of, the deciding one first"),
    ] = ()
    clock: Clock | None = None
    location: Annotated[
        str | None, about("the line of the mark, as tests/test_intents.py:12, relative to pytest's rootdir")
    ] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "passed", self.verdict == "pass")

    @property
    def models(self) -> dict[str, ModelResult]:
        """All baselines by their names, and the candidate."""
        return {**self.baselines, "candidate": self.candidate}

    @property
    def scored(self) -> bool:
        """Each model that is asked has a value, so that a test body has something to look at."""
        candidate = self.stage == "ready" or self.candidate.value is not None
        return self.baseline.value is not None and candidate

    def __repr__(self) -> str:
        return f"<GateResult {printable(self.name)}: {self.verdict}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON values; a number that JSON has not becomes ``None``, and long text is cut."""
        facts = asdict(self)
        return to_plain({**{name: facts[name] for name in ("name", "nodeid", "verdict", "passed")}, **facts})

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> GateResult:
        """Return the result of :meth:`to_dict`."""
        return from_plain(cls, facts)


def to_plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``asdict`` gives for JSON: a number that JSON has not becomes ``None``, and long text is cut."""
    return {str(key): _plain(value) for key, value in facts.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, Mapping):
        return to_plain(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def from_plain(kind: type[T], facts: Mapping[str, Any]) -> T:
    """Return the dataclass that these values were made from; what is absent takes its default.

    Raises:
        pydantic.ValidationError: these are not its values.
    """
    found: T = _adapter(kind).validate_python(facts)
    return found


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def closed(result: GateResult, checks: tuple[Check, ...]) -> GateResult:
    """The result with all its checks, and the verdict that they add up to."""
    return replace(result, checks=checks, verdict=verdict_of(checks))


def error_check(error: FtgateError, name: str = "configuration") -> Check:
    """Return a check with the status ``error`` that says what is wrong, where, and the cure."""
    return Check(name, "error", error.headline or type(error).__name__, advice=one_line(error.rest) or None)


def failed_result(result: GateResult, error: FtgateError) -> GateResult:
    """Return the result with an error that keeps it from being judged."""
    return closed(result, (*result.checks, *map(error_check, error.problems)))


@dataclass(frozen=True)
class Session:
    """What is said of the session as a whole."""

    unjudged: Sequence[tuple[str, str]] = ()  # the obligations that were not met, each a name and a reason
    removed: Sequence[str] = ()  # sentences on gates that are gone
    remarks: Sequence[str] = ()  # what else is to be said at the end
    partial: bool = False  # obligations were printed instead of enforced
    config: str | None = None  # the gate file, where the command line named it
    root: Path | None = None  # pytest's rootdir
