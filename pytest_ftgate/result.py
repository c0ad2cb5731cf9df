"""The result of a gate: its facts, its checks and the verdict. Converts to and from JSON."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from pytest_ftgate.check_names import Kind, described
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.plain import INNER, UNCUT, Range, Unknown, from_plain, to_plain
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import listed, one_line, printable, show_percent, suggestion

__tracebackhide__ = True  # tracebacks of test bodies show none of our lines

Verdict = Literal["pass", "fail", "inconclusive", "error"]
Status = Literal["pass", "fail", "inconclusive", "error", "warning", "note"]
STATUS_AT: Mapping[str, Status] = {"ignore": "note", "warn": "warning", "fail": "fail"}
"""The status of a check that does not hold, by the level that the gate sets for it."""
RED: tuple[Verdict, ...] = ("error", "fail", "inconclusive")
"""The statuses that end a green verdict, the worst first."""
PROBLEMS_FIRST: tuple[Status, ...] = (*RED, "warning", "pass", "note")
"""All statuses, the worst first."""


@dataclass(frozen=True)
class Economics:
    """The economics of a fine-tune, in US dollars; null if unknown or not declared."""

    baseline_usd_per_1000_calls: float | None
    candidate_usd_per_1000_calls: float | None
    # the cost of one training
    training_cost_usd: float | None
    iterations: int
    # the cost of the answers to all test sets, the candidate's in each iteration
    evaluation_cost_usd: float | None
    monthly_saving_usd: float | None
    # false if the fine-tune never pays for itself, null if unknown
    breaks_even: bool | None
    break_even_days: float | None
    # the result in one sentence, or why it is unknown
    sentence: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that a gate requires."""

    # the key of the gate, such as margin or thresholds.accuracy.min
    key: str
    # the value as written
    value: Any


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was observed, what is required, and what to do."""

    # the name of the check; of a threshold or a guard thresholds.NAME or guards.NAME
    name: str
    # one of the four verdicts, or warning or note, which do not affect the verdict
    status: Status
    # the finding in one sentence
    message: str
    # the measured value, null if it could not be measured
    observed: Any = None
    # the required value, null if nothing is required
    required: Any = None
    # where the required value was written, such as ftgate.yaml:14
    source: str | None = None
    # what to do, null if nothing is to be done
    cure: str | None = None
    # the required value with its key and direction, if a single value is required
    threshold: Threshold | None = None
    # what the check is about, null for a check of a hook
    kind: Kind | None = None
    # whether it explains a gain that is too small
    explains_loss: bool = field(default=False, metadata=INNER)

    def __post_init__(self) -> None:
        """Set the kind of a check by its name."""
        entry = described(self.name)
        if self.kind is None and entry is not None:
            object.__setattr__(self, "kind", entry.kind)


def verdict_of(checks: tuple[Check, ...]) -> Verdict:
    """Return the worst status: error > fail > inconclusive > pass.

    Warnings and notes do not count.
    """
    statuses = {check.status for check in checks}
    return next((verdict for verdict in RED if verdict in statuses), "pass")


def merged_by_name(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return one check for each name.

    Of several it is the worst, which also says what the others found.
    """
    merged: dict[str, Check] = {}
    for check in checks:
        if check.name in merged:
            merged[check.name] = _merged(merged[check.name], check)
        else:
            merged[check.name] = check
    return tuple(merged.values())


def _merged(first: Check, second: Check) -> Check:
    """Return one check for two, such as those of a gain over two baselines."""
    worse, better = sorted((first, second), key=lambda check: PROBLEMS_FIRST.index(check.status))

    facts = {}
    for name in ("observed", "required", "source", "threshold"):
        if getattr(worse, name) is None:
            facts[name] = getattr(better, name)

    message = worse.message
    if better.message not in message:
        addition = better.message
        if worse.kind == "review":  # of all that is weaker than main, main is named once
            addition = addition.removeprefix(f"{message.partition(': ')[0]}: ")
        message = f"{message}; {addition}"
    cure = worse.cure or ""
    if better.cure and better.cure not in cure:
        cure = f"{cure} {better.cure}".strip()
    return replace(worse, message=message, cure=cure or None, **facts)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """The results of one model on the test set.

    Latencies in seconds, cost in US dollars; null if not measured.
    """

    name: str
    model: str | None = None
    # the value of the deciding metric
    value: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    # expected answers: examples times repeats
    n_expected: int | None = None
    # scored answers
    n_scored: int | None = None
    # answers that are missing after all retries
    n_errors: int | None = None
    # answers from the store or a recording
    n_stored: int | None = None
    # failed calls that were made again
    n_retries: int | None = None
    # refused and filtered answers
    n_refused: int | None = None
    # characters of an answer on average, where answers are judged
    mean_length: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    # the state of its weights, where the gate names it
    revision: str | None = None
    latency_unknown: Unknown | None = field(default=None, metadata=INNER)
    cost_unknown: Unknown | None = field(default=None, metadata=INNER)
    # its source, or "unknown: " and the reason
    price: str | None = field(default=None, metadata=INNER)
    # False: recorded without hashes of inputs
    verified: bool | None = field(default=None, metadata=INNER)
    # why the gate was not judged
    unscored: str | None = field(default=None, compare=False, metadata=INNER)

    @property
    def error_rate(self) -> float | None:
        """Return the share of expected answers that are missing."""
        return (self.n_errors or 0) / self.n_expected if self.n_expected else None

    def score(self, name: str) -> float:
        """Return the value of a metric.

        Raise :class:`KeyError` if there is none: it says why the gate was not judged, or lists the
        measured metrics.
        """
        value = self.metrics.get(name)
        if value is not None:
            return value
        if self.unscored is not None:
            raise KeyError(
                f"{name} was not measured, because the gate was not judged: {self.unscored}"
            )
        metrics = ", ".join([*self.metrics, name])
        fix = suggestion(name, self.metrics, f"; add it to the gate: metric: [{metrics}]")
        raise KeyError(f"{name} was not measured, only {listed(self.metrics)}{fix}")


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """Which of several attempts on one test set this is (max_attempts)."""

    # from 1
    number: int
    # max_attempts
    most: int
    # confidence at which this attempt is judged; null where it is none that is allowed
    confidence: float | None

    def __str__(self) -> str:
        place = f"attempt {self.number:,} of {self.most:,}"
        if self.confidence is None:
            return place
        return f"{place}, judged at {show_percent(self.confidence)}"


def opponent(role: str) -> str:
    """Return what messages call the baseline that the candidate is compared with."""
    return "the baseline" if role == "baseline" else called(role)


def called(role: str, name: str = "") -> str:
    """Return what messages call a model: ``candidate``, ``baseline``, or ``baseline few_shot``.

    With ``name`` it is ``candidate tuned`` or ``baseline few_shot (gpt few_shot 8)``, unless role
    and name are equal.
    """
    if role in ("baseline", "candidate", "candidate_half"):
        return role if name in ("", role) else f"{role} {name}"
    return f"baseline {role}" if name in ("", role) else f"baseline {role} ({name})"


@dataclass(frozen=True, slots=True)
class MoreData:
    """What the last doubling of the training set brought: the candidate against candidate_half."""

    # the candidate's gain over candidate_half
    gain: float
    # one-sided bounds of that gain at the confidence; null where the method gives none
    lower_bound: float | None
    upper_bound: float | None
    # the gain that is missing to the margin or max_drop that failed; null if none failed
    missing: float | None
    # whether another doubling will bring that; null if nothing is missing
    answer: Literal["yes", "no", "cannot tell"] | None
    # the value of candidate_half
    value: float = field(metadata=INNER)
    # usable rows of the training set of candidate_half, and of the candidate
    half_rows: int = field(metadata=INNER)
    rows: int = field(metadata=INNER)
    # what another doubling costs, as economics.data_cost_usd
    cost_usd: float | None = field(default=None, metadata=INNER)


@dataclass(frozen=True, slots=True)
class RowPair:
    """A test example and a training row that are equal or similar."""

    # file and line of the test example
    row: str
    # its input
    text: str
    # file and line of the training row
    other: str
    # its input
    other_text: str


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The training set. Fields without a description are numbers of rows."""

    # the file, null for an iterable
    path: str | None = None
    # the SHA-256 of the file
    sha256: str | None = None
    rows: int | None = None
    usable: int | None = None
    duplicates: int | None = None
    conflicts: int | None = None
    # test examples whose input is in the training set
    leaked: int | None = None
    # Every test example and every training row concerned, but not every combination of them.
    leaked_pairs: tuple[RowPair, ...] = field(default=(), metadata=INNER)
    near_pairs: tuple[RowPair, ...] = field(default=(), metadata=INNER)


@dataclass(frozen=True, slots=True)
class TestSetResult:
    """The test set: its file, the SHA-256 of the file, the number of examples."""

    __test__ = False  # pytest collects classes by their name

    path: str | None = None
    sha256: str | None = None
    examples: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An input that needs a label."""

    id: str
    # text, or the messages of a conversation
    input: str | tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class UnlabeledResult:
    """The unlabeled set: its file, the SHA-256 of the file, the number of inputs."""

    path: str | None = None
    sha256: str | None = None
    inputs: int | None = None
    # inputs that need a label and have none; null where the models did not answer
    to_label: int | None = None
    rows: tuple[Unanswered, ...] = field(default=(), metadata=UNCUT)


@dataclass(frozen=True, slots=True)
class Flip:
    """An example with the answers of both models."""

    id: str
    input: str
    expected: str
    baseline: str
    candidate: str
    # what the metric says of the candidate's answer
    why: str | None = None
    # file and line of the example, or the item of an iterable
    where: str | None = None


@dataclass(frozen=True, slots=True)
class AgreementResult:
    """How often the candidate gives the same answer as a baseline, as the metric reads it."""

    # the name of the baseline
    baseline: str
    # the share that is required
    min: float
    # the measured share of examples with the same answer
    share: float
    # one-sided bound of the share at the confidence
    lower_bound: float | None
    # examples
    n: int
    # examples with another answer in at least one repeat
    n_different: int
    # some examples with another answer, first those that the baseline has right
    different: tuple[Flip, ...] = ()
    examples_needed: int | None = field(default=None, metadata=INNER)
    # what the bound rests on, such as the number of groups
    note: str | None = field(default=None, metadata=INNER)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The answers to examples of one label, and how many of them each model gets right."""

    label: str
    answers: int
    baseline: int
    # null if there is no candidate
    candidate: int | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """A label that is expected, another that is answered, and how often each model does so."""

    expected: str
    answered: str
    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Kinds of mistakes in the answers of both models."""

    # answers of the best baseline by kind: right, and each kind of mistake
    baseline: Mapping[str, int]
    candidate: Mapping[str, int] | None = None
    # empty if outputs are not labels
    labels: tuple[LabelScore, ...] = ()
    # those that the candidate makes at least twice, the most frequent first
    confusions: tuple[Confusion, ...] = ()
    # fixed examples whose output is in the training set but does not follow from their input
    recalled: int | None = None


@dataclass(frozen=True)
class PartResult(Comparison):
    """A guard (another test set), or a slice (the examples with one value of one field).

    On it the candidate may lose at most max_drop of the metric.
    """

    # the name of the guard, or the field and the value of the slice
    name: str
    metric: str
    max_drop: float
    # the confidence of the bounds, corrected for the number of slices; null if not judged
    confidence: float | None = None
    # the field of the slice; null for a guard
    field: str | None = None
    # the value of the field; null for a guard
    value: str | None = None
    baseline: float | None = None
    candidate: float | None = None
    # null if not judged
    verdict: Status | None = None
    # of a guard; null for a slice
    test_set: TestSetResult | None = None
    metric_range: Range | None = None
    required: float | None = dataclasses.field(default=None, kw_only=True, metadata=INNER)
    against: str | None = dataclasses.field(default=None, metadata=INNER)  # the baseline's role
    # some examples that the candidate answers worse
    broken_examples: tuple[Flip, ...] = dataclasses.field(default=(), metadata=INNER)


@dataclass(frozen=True)
class GateResult(Comparison):
    """The result of one gate. Values are null if not measured, never NaN."""

    name: str
    nodeid: str
    verdict: Verdict
    # true only for the verdict pass
    passed: bool = field(init=False, default=False)
    metric: str | None = None
    # null with max_drop
    margin: float | None = None
    evidence: str | None = None
    confidence: float | None = None
    # the best of the baselines by value
    baseline: ModelResult = field(default_factory=lambda: ModelResult("baseline"))
    baselines: Mapping[str, ModelResult] = field(default_factory=dict)
    candidate: ModelResult = field(default_factory=lambda: ModelResult("candidate"))
    required: float | None = field(default=None, kw_only=True, metadata=INNER)
    margin_proven: bool | None = None
    training: TrainingResult = field(default_factory=TrainingResult)
    test_set: TestSetResult = field(default_factory=TestSetResult)
    # null without unlabeled_set
    unlabeled: UnlabeledResult | None = None
    # one for each name
    checks: tuple[Check, ...] = ()
    hypothesis: str | None = None
    hypothesis_reached: bool | None = field(default=None, metadata=INNER)
    goal: str | None = field(default=None, metadata=INNER)
    # the gate's name in the file
    gate: str | None = None
    # where the marker requires less than the gate file
    loosened: tuple[str, ...] = ()
    metric_range: Range | None = None
    shares: tuple[str, ...] = field(default=(), metadata=INNER)  # the metrics between 0 and 1
    models_called: bool = False
    # some that the candidate answers worse
    broken_examples: tuple[Flip, ...] = field(default=(), metadata=INNER)
    # some examples that the candidate answers wrong, the broken ones first
    wrong: tuple[Flip, ...] = ()
    # examples that the candidate answers wrong
    n_wrong: int | None = None
    # accept, or ready if there is no candidate yet
    stage: str | None = None
    diagnosis: Diagnosis | None = field(default=None, metadata=INNER)
    # how much worse the candidate may be, in place of margin
    max_drop: float | None = None
    economics: Economics | None = None
    # the gain over each baseline, by name
    gains: Mapping[str, Comparison] = field(default_factory=dict)
    guards: tuple[PartResult, ...] = ()
    # compared with the best baseline, the worst change first
    slices: tuple[PartResult, ...] = ()
    # null without agreement
    agreement: AgreementResult | None = None
    # null where candidate_half was not judged
    more_data: MoreData | None = None
    # null without max_attempts
    attempt: AttemptResult | None = None
    # file and line of the test, relative to pytest's rootdir
    location: str | None = None

    def __post_init__(self) -> None:
        """Set ``passed``, and say why the models of a gate that was not judged have no scores."""
        object.__setattr__(self, "passed", self.verdict == "pass")

        deciding = [check for check in self.checks if check.status == self.verdict]
        if self.scored or not deciding:
            return

        reason = f"{deciding[0].name}: {deciding[0].message}"
        baselines = {
            role: replace(model, unscored=reason) for role, model in self.baselines.items()
        }
        object.__setattr__(self, "baselines", baselines)
        object.__setattr__(self, "baseline", replace(self.baseline, unscored=reason))
        object.__setattr__(self, "candidate", replace(self.candidate, unscored=reason))

    def __bool__(self) -> bool:
        """Refuse to be a truth value, since a result that did not pass would be true, too."""
        raise TypeError(
            "a GateResult has no truth value: use result.passed, or compare with None by `is None`"
        )

    def __str__(self) -> str:
        """Return the block that the terminal shows of the gate."""
        # Reports import this module, so that they are loaded only where a result is printed.
        text = import_module("pytest_ftgate.reports.text")
        block: str = text.failure_text(self)
        return block

    def _repr_html_(self) -> str:
        """Return the gate's block of the HTML report, which notebooks show; text without Jinja2."""
        if find_spec("jinja2") is None:
            return f"<pre>{escape(str(self))}</pre>"
        page = import_module("pytest_ftgate.reports.html.page")
        block: str = page.notebook(self)
        return block

    @property
    def models(self) -> dict[str, ModelResult]:
        """Return all baselines by name, and the candidate."""
        return {**self.baselines, "candidate": self.candidate}

    @property
    def scored(self) -> bool:
        """Return whether all models were scored."""
        candidate = self.stage == "ready" or self.candidate.value is not None
        return self.baseline.value is not None and candidate

    def __repr__(self) -> str:
        return f"<GateResult {printable(self.name)}: {self.verdict}>"

    def to_dict(self, *, whole: bool = False) -> dict[str, Any]:
        """Return the facts as JSON values; NaN and infinity become ``None``, and long text is cut.

        ``whole`` adds what only people's reports and cure need, which the JSON report leaves out.
        """
        facts: dict[str, Any] = to_plain(self, whole=whole)
        return {**{name: facts[name] for name in ("name", "nodeid", "verdict", "passed")}, **facts}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "GateResult":
        """Return the result that :meth:`to_dict` was made from."""
        return from_plain(cls, facts)


def closed(result: GateResult, checks: Iterable[Check]) -> GateResult:
    """Return the result with these checks and their verdict."""
    merged = merged_by_name(checks)
    return replace(result, checks=merged, verdict=verdict_of(merged))


def error_check(error: FtgateError, name: str = "configuration") -> Check:
    """Return the check of an error: its place, its evidence, and its cure."""
    message = error.headline or type(error).__name__
    if error.evidence:
        message = one_line(f"{message}\n{error.evidence_shown}")
    return Check(name, "error", message, cure=one_line(error.cure_shown) or None)


def failed_result(result: GateResult, error: FtgateError) -> GateResult:
    """Return the result of a gate that could not be judged because of the error."""
    return closed(result, (*result.checks, *map(error_check, error.problems)))
