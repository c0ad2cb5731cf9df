"""The rules for the form of answers: a gain must hold as the answers are written, and as they are read leniently.

A baseline that answers "The intent is refund." or runs into its own length limit loses by its form. A fine-tune that
only answers shorter then looks better, although a line in the prompt would do.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce
from typing import Any, NamedTuple

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text, messages
from pytest_ftgate.metrics import Scored, custom, reading
from pytest_ftgate.metrics.labels import LabelSet
from pytest_ftgate.metrics.text import TextSimilarity
from pytest_ftgate.models import Completion, protocol
from pytest_ftgate.result import Action, Check, Status, called, opponent
from pytest_ftgate.runs import measure, mistakes
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural, printable, show_difference

_SHOWN, _FLAW_SHOWN = 60, 150
_ORDER: tuple[Status, ...] = ("pass", "inconclusive", "fail")


class Reread(NamedTuple):
    """Hold the gain over one baseline by answers that are read leniently.

    Attributes:
        scores: those of the baseline, under its role, and of the candidate.
        held: whether answers of the baseline that hold the expected output in a form that is not read are ties.
        cut_off: the number of answers of the baseline that are ties because they are cut off.
    """

    compared: Comparison
    scores: Mapping[str, Scored]
    held: bool
    cut_off: int


def check(gate: Context) -> Iterator[Check]:
    """Check that each gain is the same as written and as read leniently; where they differ the worse one decides."""
    if gate.config.goal == "format" or gate.deciding.judged or not gate.deciding.compares:
        return
    reader = _Reader(gate)
    for role, written in gate.comparisons.items():
        found = reader.compare(role)
        after = found.compared.status
        if after == "pass" and (held := reader.held(role, found.scores)):
            again = reader.compare(role, held)
            found, after = (found, after) if again.compared.status == "pass" else (again, "inconclusive")
        if written.status != after:
            yield _check(gate, role, found, after)


class _Reader:
    """Read the answers of a gate's models leniently, all of them alike.

    Attributes:
        said: the answers of each role without reasoning, ``[repeat][example]``; None where none came, or not whole.
        cut_off: which of them are cut off.
        read: what they say.
    """

    def __init__(self, gate: Context) -> None:
        metric, (kind, labels) = gate.deciding, _kind_of(gate)
        self.gate, self.kind, self.labels = gate, kind, labels
        self.metric = metric if kind == "reasoning" else metric.bare() if labels else metric.lenient()
        self.expected, self.tools = [reading.expected_loosely(value, kind) for value in gate.expected], frozenset[str]()
        if kind == "calls":
            declared = {name for one in gate.test.examples for name in messages.declared_tools(one.fields.get("tools"))}
            calls = (call for value in gate.expected for call in messages.calls_in(expected_text(value)) or ())
            self.tools = frozenset(declared | {call["name"] for call in calls})
        self.said: dict[str, list[list[str | None]]] = {}
        self.cut_off: dict[str, list[list[bool]]] = {}
        for role in (*gate.comparisons, "candidate"):
            answers = list(_without_reasoning(gate, role))
            self.cut_off[role] = [[one is not None and one.finish == "cut_off" for one in some] for some in answers]
            self.said[role] = [
                [one.text if one and one.finish == "stop" and one.text.strip() else None for one in some]
                for some in answers
            ]
        self._label = cache(lambda answer: reading.read_leniently(answer, "label", labels=labels))
        self.read = {
            role: [list(map(self._read, some, gate.expected)) for some in self.said[role]] for role in self.said
        }

    def _read(self, answer: str | None, expected: Any) -> str | None:
        """Return what an answer says."""
        if not answer or self.labels:
            return answer and self._label(answer)
        return reading.read_leniently(answer, self.kind, expected, tools=self.tools)

    def compare(self, role: str, held: Sequence[Sequence[bool]] = ()) -> Reread:
        """Return the gain over a baseline, with its answers that are cut off or ``held`` as ties."""
        own, cut_off = self.read["candidate"], self.cut_off[role]
        tied = [
            [b if cut or hold else a for a, b, cut, hold in zip(*rows, strict=True)]
            for rows in zip(self.read[role], own, cut_off, held or cut_off, strict=True)
        ]
        scores = {one: self.metric.score(self.expected, some) for one, some in ((role, tied), ("candidate", own))}
        written = {one: self.gate.scored[one].scores[self.gate.deciding.name] for one in scores}
        compared = self.gate.comparisons[role]
        if any((measure.rightness(scores[one]) != measure.rightness(written[one])).any() for one in scores):
            compared = self.gate.compare(scores[role], scores["candidate"], role)
        return Reread(compared, scores, bool(held), sum(map(sum, cut_off)))

    def held(self, role: str, scores: Mapping[str, Scored]) -> list[list[bool]]:
        """Return which answers of a baseline lose, but hold what is expected; none where only its author can tell."""
        if self.kind == "reasoning":
            return []
        loses = self.metric.sign * (measure.rightness(scores["candidate"]) - measure.rightness(scores[role])) > 0
        wanted = [(value, self.labels.label_of(value) if self.labels else "") for value in self.gate.expected]
        said = [[None if one and self._is_label(one) else one for one in repeat] for repeat in self.said[role]]
        read, pairs = (
            [(one, text) for some in answers for one, (_, text) in zip(some, wanted, strict=True)]
            for answers in (self.read[role], said)
        )
        names = reading.renamed(((one, text) for one, text in pairs if one), rows=read) if self.labels else {}
        flags = [
            [
                bool(one and lost) and (names.get(one or "") == text or reading.holds(one or "", value, self.labels))
                for one, (value, text), lost in zip(repeat, wanted, loses, strict=True)
            ]
            for repeat in said
        ]
        return flags if any(map(any, flags)) else []

    def _is_label(self, answer: str) -> bool:
        """Return whether an answer is read as a label."""
        return self.labels is not None and self.labels.reading.clean(self._label(answer)) in self.labels.codes_known


def _without_reasoning(gate: Context, role: str) -> Iterator[list[Completion | None]]:
    """Yield the answers of a model without reasoning, whatever its own ``strip_reasoning``."""
    run = gate.scored[role].run
    pairs = (one.strip_reasoning for one in gate.models.values())
    ways: list[protocol.Stripping] = [one for one in pairs if isinstance(one, tuple)]
    ways = ways if run.model.strip_reasoning == "auto" and not _with_reasoning(gate) else ["auto", *ways]
    for repeat in run.predictions:
        yield [one.completion and reduce(protocol.without_reasoning, ways, one.completion) for one in repeat]


def _with_reasoning(gate: Context) -> str:
    """Return the place of the first expected output that begins with reasoning: none is then stripped of answers."""
    begins = (row for row, value in enumerate(gate.expected) if protocol.begins_with_reasoning(expected_text(value)))
    return next((str(gate.test.where(row)) for row in begins), "")


def _kind_of(gate: Context) -> tuple[reading.Kind, LabelSet | None]:
    """Return what the deciding metric compares, and the labels where it is labels."""
    metric = gate.deciding
    labels = metric.label_set or (
        mistakes.labels_of(metric, gate.test.examples) if metric.name == "exact_match" else None
    )
    if labels is not None:
        return "label", labels
    if metric.calls_tools or isinstance(metric, custom.ExampleMetric):
        return "calls" if metric.calls_tools else "reasoning", None
    return "text" if isinstance(metric, TextSimilarity) else "whole", None


def _check(gate: Context, role: str, found: Reread, after: Status) -> Check:
    before, baseline = gate.comparisons[role], opponent(role)
    again, written = (show_difference(one.gain, share=gate.share) for one in (found.compared, before))
    how = "with what is right in another form as ties" if found.held else "read leniently"
    message = f"the form of answers decides: {how}, the gain over {baseline} is {again} instead of {written}"
    message += f" ({after} instead of {before.status})"
    improved, shown = [], ""
    for one in (role, "candidate"):
        scored = gate.scored[one]
        better = gate.deciding.sign * (
            measure.rightness(found.scores[one]) - measure.rightness(scored.scores[gate.deciding.name])
        )
        given = [any(repeat[row] is not None for repeat in scored.answers) for row in range(len(better))]
        rows = [row for row in (better.round(12) > 0).nonzero()[0].tolist() if given[row]]
        if rows:
            improved.append(one)
            message += f"{' and' if shown else '; then also right:'} {plural(len(rows), 'answer')} of "
            message += called(one, scored.facts.name)
            answer = next(repeat[rows[0]] for repeat in scored.answers if repeat[rows[0]] is not None)
            texts = (printable(text.strip(), _SHOWN) for text in (answer or "", expected_text(gate.expected[rows[0]])))
            shown = shown or ", such as '{}' for '{}' ({})".format(*texts, gate.test.where(rows[0]))
    message += shown
    if found.cut_off:
        message += f"; {plural(found.cut_off, 'answer')} of {baseline} cut off, counted as ties"
    advice = list(_advice(gate, role, found, improved, after))
    action: Action = "measure_again" if after == "pass" else "better_prompt"
    required = gate.config.standard_of(role).gain
    status = max(before.status, after, key=_ORDER.index)
    return Check("formatting_gain", status, message, found.compared.gain, required, None, " ".join(advice), action)


def _advice(gate: Context, role: str, found: Reread, improved: Sequence[str], after: Status) -> Iterator[str]:
    """Yield for a gain of form alone both ways out, and else how to let a candidate show what it knows."""
    baseline = opponent(role)
    if found.cut_off:
        yield f"Raise the length limit of {baseline} ({gate.asked(role).source}), and ask it again."
    if kept := [one for one in improved if gate.models[one].strip_reasoning != "auto"]:
        yield f"Write strip_reasoning: auto in {' and '.join(map(called, kept))}."
    if place := _with_reasoning(gate):
        yield f"Remove the reasoning from the expected outputs, first {place}: while one has it, no answer is stripped."
    if after == "pass":
        text = "Make the models answer with the expected text alone; or let the metric read such answers "
        yield f"{text}(pattern, json_field or normalize)."
    else:
        yield f"Ask {baseline} for the bare answer; or, if the form itself is what you train, write goal: format."


# --- before any call -----------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Warn of expected outputs that break the metric ``format``, and where no metric compares with them."""
    metric, rows = gate.metrics.get("format"), enumerate(map(expected_text, gate.expected))
    if metric is not None:
        given = {row: text for row, text in rows if text.strip()}
        broken = {row: flaw for row, text in given.items() if (flaw := metric.broken_form(text)) is not None}
        if broken:
            row, flaw = next(iter(broken.items()))
            message = f"{len(broken):,} of {plural(len(given), 'expected output')} do not have the required format, "
            message += f"first {gate.test.where(row)}: {printable(flaw, _FLAW_SHOWN)}"
            advice = "Correct these rows, or the rules of the metric format if they do not describe the task."
            yield Check("formatting_gain", "warning", message, len(broken), advice=advice)
    metrics = [gate.deciding]
    for name, limits in gate.config.thresholds.items():
        asked, least, most = gate.metrics.get(name), limits.min, limits.max
        if asked is not None:  # it must exceed the worst value, which any answers reach
            higher = least is not None and least > asked.low
            lower = most is not None and most < asked.high
            metrics += [asked] * (higher if asked.greater_is_better else lower)
    if not any(one.compares or isinstance(one, custom.ExampleMetric) for one in metrics):
        message = f"{gate.deciding.name} only checks the form of an answer: no metric checks whether answers are right"
        advice = "Add a metric that compares with the expected output, such as thresholds: {exact_match: {min: ...}}."
        yield Check("formatting_gain", "warning", message, advice=advice)
