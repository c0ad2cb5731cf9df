"""The rules for the form of answers: a gain must hold as the answers are written, and as they are read leniently.

A baseline that answers "The intent is refund." or runs into its own length limit loses by its form. A fine-tune that
only answers shorter then looks better, although a line in the prompt would do.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce
from typing import Any, NamedTuple, TypeAlias

from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.config.model_keys import OUTPUT_LIMITS
from pytest_ftgate.data import expected_text
from pytest_ftgate.data.tool_calls import calls_in, declared_tools
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.metrics.custom import ExampleMetric
from pytest_ftgate.metrics.labels import LabelSet
from pytest_ftgate.metrics.reading import Kind, expected_loosely, holds, read_leniently, renamed
from pytest_ftgate.metrics.text import TextSimilarity
from pytest_ftgate.models import Completion
from pytest_ftgate.models.protocol import Stripping
from pytest_ftgate.models.reasoning import begins_with_reasoning, without_reasoning
from pytest_ftgate.result import Check, Status, called, opponent
from pytest_ftgate.runs.measure import rightness
from pytest_ftgate.runs.mistakes import labels_of
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural, printable, show_difference

_SHOWN = 60
_FLAW_SHOWN = 150
_LIMIT, _RAISED = 1_000, 4
_MOST_LABELS = 20
_READ = ("read leniently", "then also right")
_ORDER: tuple[Status, ...] = ("pass", "inconclusive", "fail")

Texts = list[list[str | None]]
"""The answers of a model, ``[repeat][example]``; None where there is none."""

Flags: TypeAlias = Sequence[Sequence[bool]]
"""Which answers of a model, ``[repeat][example]``."""


class Reread(NamedTuple):
    """Hold the gain over one baseline by answers that are read leniently, with its status before and after.

    ``scores`` are by role; ``cut_off`` and ``held`` count the baseline's answers that count as ties: those that are cut
    off, and those that hold the expected output in a form that cannot be read.
    """

    role: str
    compared: Comparison
    scores: Mapping[str, Scored]
    cut_off: int
    held: Flags
    before: Status
    after: Status


def check(gate: Context) -> Iterator[Check]:
    """Check that each gain is the same as written and as read leniently; where they differ the worse one decides."""
    if gate.config.goal == "format" or gate.deciding.judged or not gate.deciding.compares:
        return
    read = _Reader(gate)
    for role, before in gate.comparisons.items():
        found = _reread(gate, read, role, before)
        if found.after == "pass":
            held = read.held(role, found.scores)
            again = _reread(gate, read, role, before, held) if any(map(any, held)) else found
            found = again._replace(after="inconclusive") if again.after != "pass" else found
        if found.before != found.after:
            yield _check(gate, found)


def _reread(gate: Context, read: "_Reader", role: str, before: Comparison, held: Flags = ()) -> Reread:
    """Return the gain over a baseline as read leniently, with the answers that are cut off or ``held`` as ties."""
    cut_off, theirs, own = read.cut_off(role), read.texts(role), read.texts("candidate")
    ties = [[any(one) for one in zip(*flags, strict=True)] for flags in zip(cut_off, held or cut_off, strict=True)]
    tied = [[b if tie else a for a, b, tie in zip(*rows, strict=True)] for rows in zip(theirs, own, ties, strict=True)]
    answers = {role: tied, "candidate": own}
    scores = {one: read.metric.score(read.expected, some) for one, some in answers.items()}
    written = {one: gate.scored[one].scores[gate.deciding.name] for one in answers}
    compared = before
    if not all((rightness(scores[one]) == rightness(written[one])).all() for one in answers):
        compared = gate.compare(scores[role], scores["candidate"], role)
    return Reread(role, compared, scores, sum(map(sum, cut_off)), held, before.status, compared.status)


class _Reader:
    """Read the answers of a gate's models leniently, all of them alike."""

    def __init__(self, gate: Context) -> None:
        self._gate = gate
        self._kind, self._labels = _kind_of(gate)
        self._tools = _tools(gate) if self._kind == "calls" else frozenset()
        self._strips = not _first_reasoning(gate)
        self._pairs: list[Stripping] = [
            one.strip_reasoning for one in gate.models.values() if isinstance(one.strip_reasoning, tuple)
        ]
        self._read = cache(self._once) if self._labels else self._once
        metric = gate.deciding
        self.metric = metric if self._kind == "reasoning" else metric.bare() if self._labels else metric.lenient()
        self.expected = [expected_loosely(value, self._kind) for value in gate.expected]

    def _once(self, answer: str, expected: Any = "") -> str:
        return read_leniently(answer, self._kind, expected, labels=self._labels, tools=self._tools)

    def texts(self, role: str) -> Texts:
        """Return what each answer of a model says."""
        expected = [()] * len(self._gate.test) if self._labels else [(value,) for value in self._gate.expected]
        return [
            [
                self._read(one.text, *wanted) if one and one.finish == "stop" and one.text.strip() else None
                for one, wanted in zip(repeat, expected, strict=True)
            ]
            for repeat in self._whole(role)
        ]

    def held(self, role: str, scores: Mapping[str, Scored]) -> Flags:
        """Return which answers of a baseline lose, but hold what is expected; none where only its author can tell."""
        if self._kind == "reasoning":
            return []
        expected = self._gate.expected
        loses = self.metric.sign * (rightness(scores["candidate"]) - rightness(scores[role])) > 0
        said = [[one.text if one and one.finish == "stop" else "" for one in repeat] for repeat in self._whole(role)]
        names = self._names(said)
        return [
            [
                bool(lost and text)
                and not self._is_label(text)
                and (holds(text, wanted, self._labels) or names.get(text) == expected_text(wanted))
                for text, wanted, lost in zip(repeat, expected, loses, strict=True)
            ]
            for repeat in said
        ]

    def _names(self, said: Sequence[Sequence[str]]) -> dict[str, str]:
        """Return which label each answer without a known label stands for."""
        if self._labels is None:
            return {}
        pairs = ((text, value) for repeat in said for text, value in zip(repeat, self._gate.expected, strict=True))
        return renamed((text, expected_text(value)) for text, value in pairs if not self._is_label(text))

    def _is_label(self, text: str) -> bool:
        """Return whether an answer is read as a label."""
        return self._labels is not None and self._labels.reading.clean(self._read(text)) in self._labels.codes_known

    def cut_off(self, role: str) -> Flags:
        """Return which answers of a model are cut off, or never came."""
        return [[one is not None and one.finish == "cut_off" for one in repeat] for repeat in self._whole(role)]

    def _whole(self, role: str) -> Iterator[list[Completion | None]]:
        """Yield the answers of a model without reasoning, whatever its own ``strip_reasoning``."""
        run = self._gate.scored[role].run
        stripped = run.model.strip_reasoning == "auto" and self._strips
        strippings: list[Stripping] = self._pairs if stripped else ["auto", *self._pairs]
        for repeat in run.predictions:
            yield [one.completion and reduce(without_reasoning, strippings, one.completion) for one in repeat]


def _kind_of(gate: Context) -> tuple[Kind, LabelSet | None]:
    """Return what the deciding metric compares, and the labels where it is labels."""
    metric = gate.deciding
    labels = metric.label_set or (labels_of(metric, gate.test.examples) if metric.name == "exact_match" else None)
    if labels is not None:
        return "label", labels
    if metric.calls_tools:
        return "calls", None
    if isinstance(metric, ExampleMetric):
        return "reasoning", None
    return ("text" if isinstance(metric, TextSimilarity) else "whole"), None


def _tools(gate: Context) -> frozenset[str]:
    """Return the names of all tools that the test set declares or expects."""
    declared = {name for one in gate.test.examples for name in declared_tools(one.fields.get("tools"))}
    calls = (call for value in gate.expected for call in calls_in(expected_text(value)) or ())
    return frozenset(declared | {call["name"] for call in calls})


def _first_reasoning(gate: Context) -> str | None:
    """Return the place of the first expected output that begins with reasoning: none is then stripped of answers."""
    begins = (row for row, value in enumerate(gate.expected) if begins_with_reasoning(expected_text(value)))
    return next((str(gate.test.where(row)) for row in begins), None)


# --- in words ------------------------------------------------------------------------------------------------


def _check(gate: Context, found: Reread) -> Check:
    written = gate.comparisons[found.role]
    after, before = (show_difference(one.gain, share=gate.share) for one in (found.compared, written))
    how, also = ("with what is right in another form as ties", "ties") if found.held else _READ
    message = (
        f"the form of answers decides: {how}, the gain over {opponent(found.role)} is {after} instead of "
        f"{before} ({found.after} instead of {found.before})"
    )
    improved = {role: _improved(gate, found, role) for role in (found.role, "candidate")}
    counts = [
        f"{plural(len(rows), 'answer')} of {called(role, gate.scored[role].facts.name)}"
        for role, rows in improved.items()
        if rows
    ]
    if counts:
        shown = next(_example(gate, role, rows[0]) for role, rows in improved.items() if rows)
        message += f"; {also}: {' and '.join(counts)}, such as {shown}"
    if found.cut_off:
        message += f"; {plural(found.cut_off, 'answer')} of {opponent(found.role)} cut off, counted as ties"
    return Check(
        "formatting_gain",
        max(found.before, found.after, key=_ORDER.index),
        message,
        observed=found.compared.gain,
        required=gate.config.standard_of(found.role).gain,
        advice=" ".join(_advice(gate, found, improved)),
        action="measure_again" if found.after == "pass" else "better_prompt",
    )


def _improved(gate: Context, found: Reread, role: str) -> list[int]:
    """Return the examples that a model answers better when read leniently; a tie is no answer of its own."""
    written = gate.scored[role].scores[gate.deciding.name]
    better = written.metric.sign * (rightness(found.scores[role]) - rightness(written))
    rows: list[int] = (better.round(12) > 0).nonzero()[0].tolist()
    answers = gate.scored[role].answers
    return [row for row in rows if role == "candidate" or any(repeat[row] is not None for repeat in answers)]


def _example(gate: Context, role: str, row: int) -> str:
    """Return an answer of a model with what is expected: ``'Refund.' for 'refund' (test.jsonl:1)``."""
    answer = next((repeat[row] for repeat in gate.scored[role].answers if repeat[row] is not None), "")
    texts = (str(answer), expected_text(gate.expected[row]))
    given, expected = (f"'{printable(text.strip(), _SHOWN)}'" for text in texts)
    return f"{given} for {expected} ({gate.test.where(row)})"


def _advice(gate: Context, found: Reread, improved: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Yield lines to paste: for a gain of form alone both ways out, and how to let a candidate show what it knows."""
    if found.cut_off:
        yield _raise_limit(gate.asked(found.role), opponent(found.role))
    roles = [role for role, rows in improved.items() if rows]
    kept = [role for role in roles if gate.models[role].strip_reasoning != "auto"]
    if kept:
        where = " and ".join(f"{called(role)} ({gate.asked(role).source})" for role in kept)
        yield f"Write strip_reasoning: auto in {where}."
    if (place := _first_reasoning(gate)) is not None:
        yield f"Remove the reasoning from the expected outputs, first {place}: while one has it, no answer is stripped."
    if found.after == "pass":
        models = " and ".join(f"the {role}" if role in ("baseline", "candidate") else called(role) for role in roles)
        prompted = ", prompted as in the training rows" if all(gate.asked(role).has_prompt for role in roles) else ""
        yield (
            f"Make {models} answer with the expected text alone{prompted}; or let the metric read such answers"
            f"{_ways_to_read(gate.deciding)}."
        )
        return
    if improved[found.role]:
        prompt = f"; add to its prompt: {_instruction(gate)}" if gate.asked(found.role).has_prompt else "."
        yield f"Ask {opponent(found.role)} for the bare answer{prompt}"
    yield "If the form itself is what you train, write goal: format."


def _ways_to_read(metric: Metric) -> str:
    """Return the options of a metric that say how answers are read: ``: pattern, json_field or normalize``."""
    if metric.label_set is not None:
        return ": pattern, json_field or normalize"
    return ": pattern or json_field" if metric.of_numbers else ": normalize" if hasattr(metric, "normalization") else ""


def _raise_limit(spec: ModelSpec, who: str) -> str:
    params = spec.options.get("params") or {}
    key = next((one for one in OUTPUT_LIMITS if one in params), OUTPUT_LIMITS[0])
    raised = _RAISED * params[key] if isinstance(params.get(key), int) else _LIMIT
    how = {"openai": f": params: {{{key}: {max(raised, _LIMIT)}}}", "transformers": f": max_new_tokens: {_LIMIT}"}
    return f"Raise the length limit of {who} ({spec.source}){how.get(spec.provider, ', and ask it again')}."


def _instruction(gate: Context) -> str:
    labels = _kind_of(gate)[1]
    if labels is None:
        return '"Answer with the result alone, without a code fence or any other text."'
    listed = f" of these labels: {', '.join(sorted(labels.texts))}" if len(labels.texts) <= _MOST_LABELS else " label"
    return f'"Answer with exactly one{listed}. Write nothing else."'


# --- before any call -----------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call what metrics of form can show, and that one metric compares with the expected output."""
    yield from _expected_format(gate)
    metrics = (gate.deciding, *_asked_of_candidate(gate))
    if not any(metric.compares or isinstance(metric, ExampleMetric) for metric in metrics):
        yield Check(
            "formatting_gain",
            "warning",
            f"{gate.deciding.name} only checks the form of an answer: no metric of this gate checks whether answers "
            "are right",
            advice="Add a metric that compares with the expected output, such as thresholds: {exact_match: "
            "{min: ...}}.",
        )


def _expected_format(gate: Context) -> Iterator[Check]:
    """Warn where expected outputs break the rules of the metric ``format``: no answer can then satisfy both."""
    metric, test = gate.metrics.get("format"), gate.test
    if metric is None:
        return
    given = {row: text for row, value in enumerate(test.expected) if (text := expected_text(value)).strip()}
    broken = {row: flaw for row, text in given.items() if (flaw := metric.broken_form(text)) is not None}
    if broken:
        row, flaw = next(iter(broken.items()))
        yield Check(
            "formatting_gain",
            "warning",
            f"{len(broken):,} of {plural(len(given), 'expected output')} {'breaks' if len(broken) == 1 else 'break'} "
            f"the required format, first {test.where(row)}: {printable(flaw, _FLAW_SHOWN)}",
            observed=len(broken),
            advice="Correct these rows, or the rules of the metric format if they do not describe the task.",
        )


def _asked_of_candidate(gate: Context) -> Iterator[Metric]:
    """Yield the metrics on which the candidate must exceed the worst value, which any answers reach."""
    for name, limits in gate.config.thresholds.items():
        metric = gate.metrics.get(name)
        if metric is None:
            continue
        least, most = limits.min, limits.max
        higher = least is not None and least > metric.low
        if higher if metric.greater_is_better else most is not None and most < metric.high:
            yield metric
