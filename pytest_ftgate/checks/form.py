"""The rules for the form of answers.

A baseline that answers "The intent is refund." or runs into its own length limit loses by its form.
A fine-tune that only answers in the right form then looks better, although a line in the prompt
would do. So the malformed answers of a baseline count as ties.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from pytest_ftgate.checks.advice import TOOLS_ADVICE
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics import Metric, custom
from pytest_ftgate.models import Completion
from pytest_ftgate.result import Check, Status, opponent
from pytest_ftgate.runs.measure import shown_answer
from pytest_ftgate.runs.mistakes import malformed_answers
from pytest_ftgate.statistics.arrays import Bools
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import EXCERPT, NAMED, cut, plural, printable, show_difference, show_needed

_ORDER: tuple[Status, ...] = ("pass", "inconclusive", "fail")


def check(gate: Context) -> Iterator[Check]:
    """Check that each gain holds where the malformed answers of the baseline count as ties."""
    metric = gate.deciding
    if gate.config.goal == "format" or metric.judged or metric.of_form:
        return
    for role in gate.comparisons:
        flags = malformed_answers(metric, gate.scored[role], gate.expected)
        if flags.any():
            yield _checked(gate, role, flags)


def _checked(gate: Context, role: str, flags: Bools) -> Check:
    """Return the check of the gain over a baseline, by the worse of both verdicts."""
    written = gate.comparisons[role].status
    tied = _with_ties(gate, role, flags)
    is_worse = _ORDER.index(tied.status) > _ORDER.index(written)
    # A baseline without any answer in the right form has not shown that its prompt is weak.
    is_useless = bool(flags.all())
    decides = is_worse or (is_useless and tied.status != "pass")
    status: Status = tied.status if decides else "note"
    if decides and is_useless and role in gate.config.decisive and role != gate.best:
        status = "warning"  # the best baseline shows what a prompt can do
    predictions = gate.scored[role].run.predictions
    malformed = [predictions[repeat][row].completion for repeat, row in np.argwhere(flags).tolist()]
    return Check(
        "formatting_gain",
        status,
        _message(gate, role, tied, malformed),
        tied.gain,
        gate.config.standard_of(role).gain,
        advice=_cure(gate, role, malformed) if decides else None,
    )


def _with_ties(gate: Context, role: str, flags: Bools) -> Comparison:
    """Return the gain over a baseline that answers what the candidate does where it is malformed."""
    metric = gate.deciding
    candidate = gate.scored["candidate"]
    answers: list[list[str | None]] = []
    for repeat in zip(gate.scored[role].answers, candidate.answers, flags.tolist(), strict=True):
        rows = zip(*repeat, strict=True)
        answers.append([theirs if is_malformed else ours for ours, theirs, is_malformed in rows])
    scored = metric.score(gate.expected, answers)
    return gate.compare(scored, candidate.scores[metric.name], role)


def _message(
    gate: Context, role: str, tied: Comparison, malformed: Sequence[Completion | None]
) -> str:
    """Return how many answers are malformed, both gains, and the most frequent of these answers."""
    share = gate.share
    standard = gate.config.standard_of(role).gain
    total = len(gate.scored[role].run.all_predictions)
    written = show_difference(gate.comparisons[role].gain, share=share).removesuffix(" points")
    message = f"{len(malformed):,} of {plural(total, 'answer')} of {opponent(role)} are malformed"
    message += f"; as ties: gain {show_difference(tied.gain, share=share)}"
    message += f", needs {show_needed(standard, share=share)} ({written} as written)"

    texts = Counter(printable(shown_answer(completion), EXCERPT) for completion in malformed)
    shown: list[str] = []
    for text, count in texts.most_common(NAMED):
        shown.append(f"{count:,} x '{text}'" if count > 1 else f"'{text}'")
    return f"{message}; {', '.join(shown)}"


def _cure(gate: Context, role: str, malformed: Sequence[Completion | None]) -> str:
    """Return how to get whole answers in the form of the task, and what to write if the form is the goal."""
    metric = gate.deciding
    baseline = opponent(role)
    cut_off = [
        completion for completion in malformed if completion and completion.finish == "cut_off"
    ]
    cures: list[str] = []
    if cut_off:
        cures.append(f"raise the length limit of {baseline} ({gate.asked(role).source})")
    if len(cut_off) < len(malformed) and metric.calls_tools:
        cures.append(TOOLS_ADVICE.format(role=baseline.removeprefix("the ")).rstrip("."))
    elif len(cut_off) < len(malformed):
        cures.append(f"tell {baseline} to answer with {metric.form}")
        cures.append("constrain its output (response_format)")
        if metric.uses_labels or metric.of_numbers:
            cures.append("let the metric read it (pattern, json_field)")
    cures.append("or, if the form is what you train, write goal: format")
    cure = ", ".join(cures)
    return f"{cure[0].upper()}{cure[1:]}."


# --- before any call -----------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Warn of expected outputs that break the metric ``format``, and where no metric compares with them."""
    yield from _broken_outputs(gate)
    if not any(map(_compares, _needed_metrics(gate))):
        message = f"{gate.deciding.name} only checks the form of an answer: no metric checks whether answers are right"
        advice = "Add a metric that compares with the expected output, such as thresholds: {exact_match: {min: ...}}."
        yield Check("formatting_gain", "warning", message, advice=advice)


def _broken_outputs(gate: Context) -> Iterator[Check]:
    metric = gate.metrics.get("format")
    if metric is None:
        return
    texts = {row: expected_text(value) for row, value in enumerate(gate.expected)}
    outputs = {row: text for row, text in texts.items() if text.strip()}
    flaws = {row: metric.broken_form(text) for row, text in outputs.items()}
    broken = {row: flaw for row, flaw in flaws.items() if flaw is not None}
    if broken:
        row, flaw = next(iter(broken.items()))
        message = f"{len(broken):,} of {plural(len(outputs), 'expected output')} do not have the required format, "
        message += f"first {gate.test.where(row)}: {cut(flaw)}"
        advice = "Correct these rows, or the rules of the metric format if they do not describe the task."
        yield Check("formatting_gain", "warning", message, len(broken), advice=advice)


def _needed_metrics(gate: Context) -> Iterator[Metric]:
    """Yield the deciding metric, and those with a limit that not every answer is within."""
    yield gate.deciding
    for name, limits in gate.config.thresholds.items():
        metric = gate.metrics.get(name)
        if metric is None:
            continue
        limit = limits.min if metric.greater_is_better else limits.max
        if limit is not None and metric.sign * (limit - metric.worst) > 0:
            yield metric


def _compares(metric: Metric) -> bool:
    return metric.compares or isinstance(metric, custom.ExampleMetric)
