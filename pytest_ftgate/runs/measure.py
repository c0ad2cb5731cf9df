"""Measure what one model did on the test set: scores, time, tokens and cost."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import median
from typing import Any

import numpy as np

from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.data.messages import readable_calls
from pytest_ftgate.errors import FtgateError, MetricError
from pytest_ftgate.metrics import Answers, Metric, Scored
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.price import Cost, cost_of_run, price_of
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.plain import Unknown
from pytest_ftgate.result import Flip, ModelResult
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.statistics import compare
from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural, shortened

UNTIMED = "Call the model live, or record latency_s with each answer."
"""How to make a latency known."""

_NO_ANSWER = ("refusal", "filtered", "cut_off")

_short = partial(shortened, limit=300)


@dataclass(frozen=True)
class Measured:
    """Hold a run with its facts, its scores by metric name, and the latencies behind the facts.

    ``seconds`` has one latency for each example: see :func:`_seconds`.
    """

    run: Run
    facts: ModelResult
    scores: Mapping[str, Scored] = field(default_factory=dict)
    seconds: tuple[float | None, ...] = ()

    @cached_property
    def answers(self) -> list[list[str | None]]:
        """Return the answers as metrics take them: see :func:`answers_of`."""
        return answers_of(self.run)


def answers_of(run: Run) -> list[list[str | None]]:
    """Return the answers as metrics take them, ``[repeat][example]``.

    Those that cannot be right are ``None``: a missing prediction, a refusal, a filtered or cut-off
    answer, and an empty text.
    """
    answers = []
    for repeat in run.predictions:
        answers.append([_readable(prediction.completion) for prediction in repeat])
    return answers


def _readable(completion: Completion | None) -> str | None:
    if completion is None or completion.finish in _NO_ANSWER or not completion.text.strip():
        return None
    return completion.text


def measure_run(
    name: str, run: Run, sample: Run | None = None, *, forgiven: bool = False
) -> Measured:
    """Return all facts except the scores; latencies are those of the sample, if there is one.

    ``forgiven``: a missing answer is not an error, and counts with the model's time limit as its
    latency.
    """
    predictions = run.all_predictions
    is_recorded = run.model.verified is not None
    completions = list(filter(None, (prediction.completion for prediction in predictions)))
    finishes = Counter(completion.finish for completion in completions)
    seconds = _seconds(run if sample is None else sample, forgiven=forgiven)
    cost = run_cost(run)
    facts = ModelResult(
        name=name,
        model=run.model.spelling,
        revision=run.model.revision,
        n_expected=len(predictions),
        n_scored=len(completions),
        n_errors=len(predictions) - len(completions),
        n_stored=len(completions) if is_recorded else sum(p.stored for p in predictions),
        n_retries=sum({p.key: p.retries for p in predictions}.values()),
        n_refused=finishes["refusal"] + finishes["filtered"],
        input_tokens=_total(completions, "input_tokens"),
        output_tokens=_total(completions, "output_tokens"),
        cost_usd=cost.usd,
        price=price_of(run.model).text,
        cost_unknown=cost.unknown,
        verified=run.model.verified,
        **_latencies(seconds),
    )
    return Measured(run, facts, seconds=seconds)


def _seconds(run: Run, *, forgiven: bool) -> tuple[float | None, ...]:
    """Return one latency for each example, the median of its repeats in seconds.

    It is ``None`` if it is not known. The repeats of an example are alike, so they are not further
    observations. A missing answer counts with the model's time limit where it is ``forgiven``.
    Otherwise it does not count, and neither does an example without any answer.
    """
    longest_s = None if run.model.verified is not None else run.model.timeout_s
    seconds = []
    for repeats in zip(*run.predictions, strict=True):
        latencies = []
        for prediction in repeats:
            if prediction.completion is not None:
                latencies.append(prediction.latency_s)
            elif forgiven:
                latencies.append(longest_s)
        known = [latency for latency in latencies if latency is not None]
        if latencies:
            seconds.append(median(known) if len(known) == len(latencies) else None)
    return tuple(seconds)


def _latencies(seconds: Sequence[float | None]) -> dict[str, Any]:
    """Return p50 and p95 of the seconds; if one of them is unknown, why both are."""
    if not seconds:
        return {"latency_unknown": Unknown("there is no answer", UNTIMED)}

    n_unknown = seconds.count(None)
    if n_unknown:
        verb = "has" if n_unknown == 1 else "have"
        reason = f"{n_unknown:,} of {plural(len(seconds), 'example')} {verb} no latency"
        return {"latency_unknown": Unknown(reason, UNTIMED)}

    p50, p95 = np.quantile(np.array(seconds, dtype=float), (0.5, 0.95)).round(6).tolist()
    return {"latency_p50_s": p50, "latency_p95_s": p95}


def _total(completions: Sequence[Completion], name: str) -> int | None:
    """Return the sum of a count; None if there is no answer, or one that does not state it."""
    counts = [getattr(completion, name) for completion in completions]
    if not counts or None in counts:
        return None
    total: int = sum(counts)
    return total


def run_cost(run: Run) -> Cost:
    """Return what the answers of a run cost, stored ones too."""
    # the time to read a file says nothing about the model's machine
    is_recorded = run.model.verified is not None
    answers = []
    for prediction in run.all_predictions:
        busy_s = None if is_recorded else prediction.busy_s
        answers.append((prediction.completion, busy_s))
    return cost_of_run(answers, price_of(run.model))


def forgiven_roles(missing_answers: str, runs: Iterable[Run]) -> tuple[str, ...]:
    """Return the roles whose missing answers count as wrong, by the gate's ``missing_answers``.

    There are none if the run was stopped: an answer that was not asked for is not missing after all
    retries. But a model whose calls all hang has stopped the run by not answering.
    """
    stopped = any(run.fatal is not None and run.fatal.kind != "timeout" for run in runs)
    if missing_answers == "wrong" and not stopped:
        return ("candidate",)
    return ()


def made_at(run: Run) -> Iterator[tuple[Prediction, float | None]]:
    """Yield each answer with the time it was made, in seconds since the epoch; ``None`` if unknown.

    For a recording this is the recorded time, not the time of reading.
    """
    is_dated = run.model.verified is None or isinstance(run.model, RecordedModel)
    for prediction in run.all_predictions:
        if prediction.completion is not None:
            yield prediction, (prediction.created_at or None) if is_dated else None


def score_known(metric: Metric, expected: Sequence[Any], answers: Answers) -> Scored:
    """Score answers of which some have no known label, None: these get the worst score.

    Where two models give the same answer it is a tie, whatever its label. The value is that of the
    known labels.
    """
    known = [row for row, value in enumerate(expected) if value is not None]
    if len(known) == len(expected):
        return metric.score(expected, answers)

    known_answers = [[repeat[row] for row in known] for repeat in answers]
    try:
        scored = metric.score([expected[row] for row in known], known_answers)
    except MetricError as error:
        if error.example is not None:
            error.example = known[error.example]
        raise

    per_example = np.full(len(expected), metric.worst)
    per_example[known] = scored.per_example
    notes: list[str | None] = [None] * len(expected)
    for row, note in zip(known, scored.notes, strict=False):
        notes[row] = note
    return replace(scored, per_example=per_example, notes=notes if scored.notes else ())


def score_run(
    measured: Measured, metrics: Mapping[str, Metric], deciding: str, expected: Sequence[Any]
) -> Measured:
    """Add the value of every metric. Raises :class:`MetricError` if one is undefined."""
    scores = {}
    try:
        for name, metric in metrics.items():
            scores[name] = score_known(metric, expected, measured.answers)
    except MetricError as error:
        raise _located(error, measured) from error

    values = {name: scored.value for name, scored in scores.items()}
    facts = replace(measured.facts, value=values[deciding], metrics=values)
    if metrics[deciding].judged:
        facts = replace(facts, mean_length=float(lengths(measured).mean()))
    return replace(measured, facts=facts, scores=scores)


def scored_alone(
    runs: Mapping[str, Run], metric: Metric, expected: Sequence[Any]
) -> dict[str, Measured]:
    """Return runs, by role, with their scores.

    Empty where they cannot be scored by themselves, as by a judge.
    """
    if not expected or metric.judged or metric.pairwise:
        return {}

    scored: dict[str, Measured] = {}
    try:
        for role, run in runs.items():
            measured = measure_run(role, run)
            scored[role] = score_run(measured, {metric.name: metric}, metric.name, expected)
    except FtgateError:  # an answer is missing, or the metric is not defined for so few
        return {}

    return scored


def lengths(measured: Measured) -> Floats:
    """Return the characters of the answer to each example, the mean over its repeats."""
    texts = [[(answer or "").strip() for answer in repeat] for repeat in measured.answers]
    sizes = np.array([list(map(len, repeat)) for repeat in texts], dtype=float)
    means: Floats = sizes.mean(axis=0)
    return means


def _located(error: MetricError, measured: Measured) -> MetricError:
    """Return the error with the model, and the place of the example, that it is about."""
    parts = error.parts()
    if error.example is not None:
        parts["where"] = measured.run.test_set.where(error.example)
    return MetricError(f"{error.what} ({measured.facts.name})", **parts)


def compare_scored(baseline: Scored, candidate: Scored, **standard: Any) -> Comparison:
    """Return candidate minus baseline, with the sign turned if lower is better.

    The method follows from the metric: right or wrong, graded, or set-level. ``standard`` are
    margin, confidence, evidence, groups: see :mod:`pytest_ftgate.statistics`.
    """
    metric = candidate.metric
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    low = metric.low
    high = metric.high
    if metric.kind == "set":
        # one of the two is always there
        assert worse.statistic is not None
        assert better.statistic is not None
        return compare.compare_set(
            worse.statistic, better.statistic, low=low, high=high, **standard
        )

    assert worse.per_example is not None
    assert better.per_example is not None
    # see metrics.judged.Preferred
    if metric.pairwise:
        preferred = (better.per_example - worse.per_example + 0.5).round(12)
        return compare.compare_preferences(preferred, means=metric.means, **standard)
    if metric.kind == "right_wrong":
        return compare.compare_right_wrong(worse.per_example, better.per_example, **standard)
    return compare.compare_graded(
        worse.per_example, better.per_example, low=low, high=high, **standard
    )


def same_outputs(a: Run, b: Run) -> bool:
    """Return whether all answers of two runs are identical."""
    texts = texts_of(a.all_predictions)
    return None not in texts and texts == texts_of(b.all_predictions)


def texts_of(predictions: Iterable[Prediction]) -> list[str | None]:
    """Return the texts of answers as they came; ``None`` for missing ones."""
    texts = []
    for prediction in predictions:
        completion = prediction.completion
        texts.append(None if completion is None else completion.text)
    return texts


def is_right(metric: Metric, score: float) -> bool:
    """Return whether an answer is right: a graded one above the middle of the range."""
    if metric.kind != "graded":
        return score > 0.5
    middle = (metric.low + metric.high) / 2
    return metric.sign * score > metric.sign * middle


def rightness(scored: Scored) -> Floats:
    """Return how right each answer is, shape ``(examples,)``.

    It is the metric's score; of a set-level metric the share of right answers.
    """
    if scored.per_example is not None:
        return scored.per_example
    # one of the two is always there
    assert scored.statistic is not None
    return scored.statistic.scores


def rightness_by_repeat(measured: Measured, expected: Sequence[Any], metric: Metric) -> Floats:
    """Return how right each single answer is, shape ``(repeats, examples)``."""
    if len(measured.answers) == 1:
        return rightness(measured.scores[metric.name])[None]
    repeats = []
    for answers in measured.answers:
        repeats.append(rightness(score_known(metric, expected, [answers])))
    return np.stack(repeats)


def gains(baseline: Measured, candidate: Measured, metric: str) -> Floats:
    """Return how much better the candidate answers each example, shape ``(examples,)``."""
    scored = candidate.scores[metric]
    change: Floats = rightness(scored) - rightness(baseline.scores[metric])
    return scored.metric.sign * change


FLIPS_KEPT = 10
"""The most examples of a kind that a report shows."""


def flips(baseline: Measured, candidate: Measured, metric: str) -> dict[str, Any]:
    """Count fixed and broken examples, and return the worst that are broken or answered wrong."""
    scored = candidate.scores[metric]
    change = gains(baseline, candidate, metric)
    scores = rightness(scored).tolist()
    expected = candidate.run.test_set.expected
    worst_first = np.argsort(change, kind="stable").tolist()
    wrong = []
    for row in worst_first:
        # Whether an equal answer without a label is wrong is not known.
        if expected[row] is not None and not is_right(scored.metric, scores[row]):
            wrong.append(row)
    broken = [row for row in worst_first[:FLIPS_KEPT] if change[row] < 0]

    def shown(rows: Sequence[int]) -> tuple[Flip, ...]:
        return tuple(flip(row, baseline.run, candidate.run, scored) for row in rows)

    return {
        "fixed": int((change > 0).sum()),
        "broken": int((change < 0).sum()),
        "n_wrong": len(wrong),
        "broken_examples": shown(broken),
        "wrong": shown(wrong[:FLIPS_KEPT]),
    }


def flip(row: int, baseline: Run, candidate: Run, scored: Scored, repeat: int = 0) -> Flip:
    """Return what reports show of an example that the two models answer differently."""
    example = candidate.test_set.examples[row]
    readable = readable_calls if scored.metric.calls_tools else str
    baseline_answer = shown_answer(baseline.predictions[repeat][row].completion)
    candidate_answer = shown_answer(candidate.predictions[repeat][row].completion)
    return Flip(
        id=_short(example.id),
        where=None if example.place is None else str(example.place),
        input=_short(shown_input(example)),
        expected=_short(readable(expected_text(example.expected))),
        baseline=_short(readable(baseline_answer)),
        candidate=_short(readable(candidate_answer)),
        why=scored.notes[row] if scored.notes else None,
    )


def shown_input(example: Example) -> str:
    """Return the input of an example for reports: the last message of a conversation."""
    if isinstance(example.input, str):
        return example.input
    return expected_text(example.input[-1].get("content"))


def shown_answer(completion: Completion | None) -> str:
    """Return an answer for reports: why it is not whole, where it is not, and its text."""
    if completion is None:
        return "(no answer)"
    text = completion.text.strip() or "(empty)"
    if completion.finish in _NO_ANSWER:
        # else a right answer seems to be called wrong
        finish = completion.finish.replace("_", " ")
        if completion.finish_reason is not None:
            finish += f": unknown finish_reason '{completion.finish_reason}'"
        return f"({finish}) {text}"
    return text
