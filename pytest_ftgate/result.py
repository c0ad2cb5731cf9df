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
    """The economics of a fine-tune, in US dollars; null if unknown or not declared.

    Attributes:
        training_cost_usd: the cost of one training.
        evaluation_cost_usd: the cost of the answers to all test sets, the candidate's in each
            iteration.
        breaks_even: false if the fine-tune never pays for itself, null if unknown.
        sentence: the result in one sentence, or why it is unknown.
    """

    baseline_usd_per_1000_calls: float | None
    candidate_usd_per_1000_calls: float | None
    training_cost_usd: float | None
    iterations: int
    evaluation_cost_usd: float | None
    monthly_saving_usd: float | None
    breaks_even: bool | None
    break_even_days: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that a gate requires.

    Attributes:
        key: the key of the gate, such as margin or thresholds.accuracy.min.
        value: the value as written.
    """

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was observed, what is required, and what to do.

    Attributes:
        name: the name of the check; of a threshold or a guard thresholds.NAME or guards.NAME.
        status: one of the four verdicts, or warning or note, which do not affect the verdict.
        message: the finding in one sentence.
        observed: the measured value, null if it could not be measured.
        required: the required value, null if nothing is required.
        source: where the required value was written, such as ftgate.yaml:14.
        cure: what to do, null if nothing is to be done.
        threshold: the required value with its key and direction, if a single value is required.
        kind: what the check is about, null for a check of a hook.
        explains_loss: whether it explains a gain that is too small.
    """

    name: str
    status: Status
    message: str
    observed: Any = None
    required: Any = None
    source: str | None = None
    cure: str | None = None
    threshold: Threshold | None = None
    kind: Kind | None = None
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

    Attributes:
        value: the value of the deciding metric.
        n_expected: expected answers: examples times repeats.
        n_scored: scored answers.
        n_errors: answers that are missing after all retries.
        n_stored: answers from the store or a recording.
        n_retries: failed calls that were made again.
        n_refused: refused and filtered answers.
        mean_length: characters of an answer on average, where answers are judged.
        revision: the state of its weights, where the gate names it.
        price: its source, or "unknown: " and the reason.
        verified: False: recorded without hashes of inputs.
        unscored: why the gate was not judged.
    """

    name: str
    model: str | None = None
    value: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    n_expected: int | None = None
    n_scored: int | None = None
    n_errors: int | None = None
    n_stored: int | None = None
    n_retries: int | None = None
    n_refused: int | None = None
    mean_length: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    revision: str | None = None
    latency_unknown: Unknown | None = field(default=None, metadata=INNER)
    cost_unknown: Unknown | None = field(default=None, metadata=INNER)
    price: str | None = field(default=None, metadata=INNER)
    verified: bool | None = field(default=None, metadata=INNER)
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
    """Which of several attempts on one test set this is (max_attempts).

    Attributes:
        number: from 1.
        most: max_attempts.
        confidence: confidence at which this attempt is judged; null where it is none that is
            allowed.
    """

    number: int
    most: int
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
    """What the last doubling of the training set brought: the candidate against candidate_half.

    Attributes:
        gain: the candidate's gain over candidate_half.
        lower_bound: one-sided bounds of that gain at the confidence; null where the method
            gives none.
        missing: the gain that is missing to the margin or max_drop that failed; null if none
            failed.
        answer: whether another doubling will bring that; null if nothing is missing.
        value: the value of candidate_half.
        half_rows: usable rows of the training set of candidate_half, and of the candidate.
        cost_usd: what another doubling costs, as economics.data_cost_usd.
    """

    gain: float
    lower_bound: float | None
    upper_bound: float | None
    missing: float | None
    answer: Literal["yes", "no", "cannot tell"] | None
    value: float = field(metadata=INNER)
    half_rows: int = field(metadata=INNER)
    rows: int = field(metadata=INNER)
    cost_usd: float | None = field(default=None, metadata=INNER)


@dataclass(frozen=True, slots=True)
class RowPair:
    """A test example and a training row that are equal or similar.

    Attributes:
        row: file and line of the test example.
        text: its input.
        other: file and line of the training row.
        other_text: its input.
    """

    row: str
    text: str
    other: str
    other_text: str


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The training set. Fields without a description are numbers of rows.

    Attributes:
        path: the file, null for an iterable.
        sha256: the SHA-256 of the file.
        leaked: test examples whose input is in the training set.
        leaked_pairs: Every test example and every training row concerned, but not every
            combination of them.
    """

    path: str | None = None
    sha256: str | None = None
    rows: int | None = None
    usable: int | None = None
    duplicates: int | None = None
    conflicts: int | None = None
    leaked: int | None = None
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
    """An input that needs a label.

    Attributes:
        input: text, or the messages of a conversation.
    """

    id: str
    input: str | tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class UnlabeledResult:
    """The unlabeled set: its file, the SHA-256 of the file, the number of inputs.

    Attributes:
        to_label: inputs that need a label and have none; null where the models did not answer.
    """

    path: str | None = None
    sha256: str | None = None
    inputs: int | None = None
    to_label: int | None = None
    rows: tuple[Unanswered, ...] = field(default=(), metadata=UNCUT)


@dataclass(frozen=True, slots=True)
class Flip:
    """An example with the answers of both models.

    Attributes:
        why: what the metric says of the candidate's answer.
        where: file and line of the example, or the item of an iterable.
    """

    id: str
    input: str
    expected: str
    baseline: str
    candidate: str
    why: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class AgreementResult:
    """How often the candidate gives the same answer as a baseline, as the metric reads it.

    Attributes:
        baseline: the name of the baseline.
        min: the share that is required.
        share: the measured share of examples with the same answer.
        lower_bound: one-sided bound of the share at the confidence.
        n: examples.
        n_different: examples with another answer in at least one repeat.
        different: some examples with another answer, first those that the baseline has right.
        note: what the bound rests on, such as the number of groups.
    """

    baseline: str
    min: float
    share: float
    lower_bound: float | None
    n: int
    n_different: int
    different: tuple[Flip, ...] = ()
    examples_needed: int | None = field(default=None, metadata=INNER)
    note: str | None = field(default=None, metadata=INNER)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The answers to examples of one label, and how many of them each model gets right.

    Attributes:
        candidate: null if there is no candidate.
    """

    label: str
    answers: int
    baseline: int
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
    """Kinds of mistakes in the answers of both models.

    Attributes:
        baseline: answers of the best baseline by kind: right, and each kind of mistake.
        labels: empty if outputs are not labels.
        confusions: those that the candidate makes at least twice, the most frequent first.
        recalled: fixed examples whose output is in the training set but does not follow from
            their input.
    """

    baseline: Mapping[str, int]
    candidate: Mapping[str, int] | None = None
    labels: tuple[LabelScore, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    recalled: int | None = None


@dataclass(frozen=True)
class PartResult(Comparison):
    """A guard (another test set), or a slice (the examples with one value of one field).

    On it the candidate may lose at most max_drop of the metric.

    Attributes:
        name: the name of the guard, or the field and the value of the slice.
        confidence: the confidence of the bounds, corrected for the number of slices; null if
            not judged.
        field: the field of the slice; null for a guard.
        value: the value of the field; null for a guard.
        verdict: null if not judged.
        test_set: of a guard; null for a slice.
        against: the baseline's role.
        broken_examples: some examples that the candidate answers worse.
    """

    name: str
    metric: str
    max_drop: float
    confidence: float | None = None
    field: str | None = None
    value: str | None = None
    baseline: float | None = None
    candidate: float | None = None
    verdict: Status | None = None
    test_set: TestSetResult | None = None
    metric_range: Range | None = None
    required: float | None = dataclasses.field(default=None, kw_only=True, metadata=INNER)
    against: str | None = dataclasses.field(default=None, metadata=INNER)
    broken_examples: tuple[Flip, ...] = dataclasses.field(default=(), metadata=INNER)


@dataclass(frozen=True)
class GateResult(Comparison):
    """The result of one gate. Values are null if not measured, never NaN.

    Attributes:
        passed: true only for the verdict pass.
        margin: null with max_drop.
        baseline: the best of the baselines by value.
        unlabeled: null without unlabeled_set.
        checks: one for each name.
        gate: the gate's name in the file.
        loosened: where the marker requires less than the gate file.
        shares: the metrics between 0 and 1.
        broken_examples: some that the candidate answers worse.
        wrong: some examples that the candidate answers wrong, the broken ones first.
        n_wrong: examples that the candidate answers wrong.
        stage: accept, or ready if there is no candidate yet.
        max_drop: how much worse the candidate may be, in place of margin.
        gains: the gain over each baseline, by name.
        slices: compared with the best baseline, the worst change first.
        agreement: null without agreement.
        more_data: null where candidate_half was not judged.
        attempt: null without max_attempts.
        location: file and line of the test, relative to pytest's rootdir.
    """

    name: str
    nodeid: str
    verdict: Verdict
    passed: bool = field(init=False, default=False)
    metric: str | None = None
    margin: float | None = None
    evidence: str | None = None
    confidence: float | None = None
    baseline: ModelResult = field(default_factory=lambda: ModelResult("baseline"))
    baselines: Mapping[str, ModelResult] = field(default_factory=dict)
    candidate: ModelResult = field(default_factory=lambda: ModelResult("candidate"))
    required: float | None = field(default=None, kw_only=True, metadata=INNER)
    margin_proven: bool | None = None
    training: TrainingResult = field(default_factory=TrainingResult)
    test_set: TestSetResult = field(default_factory=TestSetResult)
    unlabeled: UnlabeledResult | None = None
    checks: tuple[Check, ...] = ()
    hypothesis: str | None = None
    hypothesis_reached: bool | None = field(default=None, metadata=INNER)
    goal: str | None = field(default=None, metadata=INNER)
    gate: str | None = None
    loosened: tuple[str, ...] = ()
    metric_range: Range | None = None
    shares: tuple[str, ...] = field(default=(), metadata=INNER)
    models_called: bool = False
    broken_examples: tuple[Flip, ...] = field(default=(), metadata=INNER)
    wrong: tuple[Flip, ...] = ()
    n_wrong: int | None = None
    stage: str | None = None
    diagnosis: Diagnosis | None = field(default=None, metadata=INNER)
    max_drop: float | None = None
    economics: Economics | None = None
    gains: Mapping[str, Comparison] = field(default_factory=dict)
    guards: tuple[PartResult, ...] = ()
    slices: tuple[PartResult, ...] = ()
    agreement: AgreementResult | None = None
    more_data: MoreData | None = None
    attempt: AttemptResult | None = None
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
