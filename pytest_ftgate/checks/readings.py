"""Other readings of the answers, and what becomes of a gate under each.

A reading changes the options of the metric, or the answers before they are scored. Where another reading changes the
verdict, the gate compares how two models write and not what they know: the rules ``normalization`` and
``baseline_form`` say so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.config import MetricSpec
from pytest_ftgate.data import expected_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.metrics import CustomMetric, build_metric
from pytest_ftgate.metrics.labels import distinct_outputs
from pytest_ftgate.metrics.normalization import STEPS
from pytest_ftgate.models import Completion
from pytest_ftgate.models.reasoning import TAGS, without_reasoning
from pytest_ftgate.result import called
from pytest_ftgate.runs.measure import Measured, rightness, score_run
from pytest_ftgate.runs.mistakes import labels_of
from pytest_ftgate.text import printable, whole_word

if TYPE_CHECKING:
    import numpy as np

    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Scored
    from pytest_ftgate.models import Prediction
    from pytest_ftgate.runs.runner import Run

Change = Callable[[Completion], Completion]

_MOST_TEXT = 200
"""Characters around a label that may be of its form; more is an answer of its own."""

_MOST_WORDS = 20
"""Words around the only label that an answer names; with more it may be named by chance."""

_SHOWN = 60

_MOST_DIFFERENT = 2000
"""Different answers that are searched for a form that they share."""

_JSON, _TEXT = "the JSON around the label", "the text around the label"
_CASE = ("case", "punctuation")
_FENCE = re.compile(r"```(?:[\w+.-]*[ \t\r]*\n)?(.*?)```", re.DOTALL)
_FORM_METRICS = ("format",)


@dataclass(frozen=True, eq=False)
class Reading:
    """Hold another way to read the answers.

    Attributes:
        options: metric options that replace those of the gate.
        changes: what is done to each answer, and to each expected output, before they are compared.
        after: the text after a label.
        whole: examples are left out where an answer is cut off.
        bare: answers are compared without the pattern or field that extracts a label.
    """

    ignores: str
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    after: str = ""
    whole: bool = False
    bare: bool = False

    def also(self, other: Reading) -> Reading:
        """Return the reading that ignores both."""
        return Reading(
            f"{self.ignores}, {other.ignores}",
            {**self.options, **other.options},
            (*self.changes, *other.changes),
            self.after or other.after,
            self.whole or other.whole,
            self.bare or other.bare,
        )


@dataclass(frozen=True)
class Reread:
    """Hold a gate whose answers are read in another way.

    Attributes:
        gate: the gate with the scores of that reading.
        improved: the examples of the gate that each model then answers better, by role.
    """

    reading: Reading
    gate: Context
    improved: Mapping[str, frozenset[int]]

    @property
    def spec(self) -> MetricSpec:
        return self.gate.config.decided_by

    @property
    def worth(self) -> float:
        """Return the sum of all models' values, of which more is better."""
        return self.gate.deciding.sign * sum(one.facts.value or 0.0 for one in self.gate.scored.values())


def can_be_reread(gate: Context) -> bool:
    """Return whether the gate compares answers of a candidate by a metric that can score them in another way."""
    return not (gate.deciding.pairwise or gate.deciding.judged)


def form_is_the_skill(gate: Context) -> bool:
    """Return whether the form of answers is what the candidate was trained for."""
    return gate.deciding.name in _FORM_METRICS or gate.config.goal == "format"


# --- changes of answers --------------------------------------------------------------------------------------


def answer_after_reasoning(completion: Completion) -> Completion:
    """Return the answer without reasoning in one of the usual tags, unless reasoning was stripped already."""
    stripped = completion.original is not None or "<" not in completion.text
    return completion if stripped else without_reasoning(completion, "auto")


def inside_fence(completion: Completion) -> Completion:
    """Return the content of the only code fence of an answer; the answer itself if there is none, or several."""
    found = _FENCE.findall(completion.text) if "```" in completion.text else []
    content = found[0].strip() if len(found) == 1 else ""
    return replace(completion, text=content) if content else completion


REASONING = Reading("the reasoning before the answer", changes=(answer_after_reasoning,))
FENCE = Reading("the code fence around the answer", changes=(inside_fence,))


def named_label(gate: Context) -> Reading | None:
    """Return the reading that takes the only label that an answer names; None without labels."""
    metric = gate.deciding
    labels = labels_of(metric, gate.test.examples) if metric.uses_labels or metric.name == "exact_match" else None
    if labels is None:
        return None

    def name(completion: Completion) -> Completion:
        label = labels.of(completion.text) or labels.named(completion.text, _MOST_WORDS)
        if label is None or label == completion.text:
            return completion
        return replace(completion, text=label)

    return Reading("words around the right label", changes=(name,), bare=True)


# --- options of the metric -----------------------------------------------------------------------------------


def option_readings(gate: Context) -> Iterator[Reading]:
    """Yield readings by other options of the metric, the simplest first."""
    plain = _normalized(gate, _CASE, "case and punctuation")
    full = _normalized(gate, STEPS, "case, punctuation, white space and Unicode forms")
    yield from (one for one in (plain, full) if one is not None)
    for around in _around(gate):
        yield around
        if plain is not None:
            yield around.also(plain)


def _normalized(gate: Context, steps: Sequence[str], ignores: str) -> Reading | None:
    """Return the reading with these steps of normalization; None where the metric takes them already, or none."""
    if gate.deciding.lenient() is None:
        return None
    written = gate.config.decided_by.options.get("normalize", ())
    given = (written,) if isinstance(written, str) else tuple(written)
    if set(steps) <= set(given):
        return None
    return Reading(ignores, {"normalize": [*given, *(step for step in steps if step not in given)]})


def _around(gate: Context) -> Iterator[Reading]:
    """Yield readings that drop the text around a label: a field of JSON, or a pattern of the most frequent frames."""
    options, metric = gate.config.decided_by.options, gate.deciding
    plain = all(isinstance(value, str) and value.strip()[:1] not in ("{", "[") for value in gate.expected)
    # exact_match may be replaced by accuracy, which reads labels out of answers.
    takes_pattern = metric.uses_labels or (metric.name == "exact_match" and plain)
    if "pattern" in options or "json_field" in options or not takes_pattern:
        return
    wrong = list(dict.fromkeys(_wrong_answers(gate)))[:_MOST_DIFFERENT]
    paths = Counter(path for answer, expected in wrong for path in _paths(answer, expected))
    for path, _ in paths.most_common(1):
        yield Reading(_JSON, {"json_field": path})
    frames = [frame for answer, expected in wrong if (frame := _frame(answer, expected)) is not None]
    for near in (False, True):
        counted = Counter(map(_nearest, frames) if near else frames)
        for (before, after), _ in counted.most_common(1):
            json = before.lstrip().startswith(("{", '"'))
            if (before.strip() or after.strip()) and (near or not json):  # other fields of JSON need not stay the same
                pattern = _pattern(before, after, anywhere=near)
                yield Reading(_JSON if json else _TEXT, {"pattern": pattern}, after=after.strip())


def _wrong_answers(gate: Context) -> Iterator[tuple[str, str]]:
    """Yield the wrong answers of all models, each with what is expected."""
    expected = [expected_text(value).strip() for value in gate.expected]
    for one in gate.scored.values():
        wrong = (rightness(one.scores[gate.deciding.name]) < 1).nonzero()[0]
        for repeat in one.answers:
            for row in wrong:
                if repeat[row] is not None:
                    yield str(repeat[row]).strip(), expected[row]


def _paths(answer: str, expected: str) -> Iterator[str]:
    """Yield the fields of a JSON answer that hold what is expected, as ``result.label``."""
    if not answer.startswith("{"):
        return
    try:
        value = parse_json(answer)
    except ValueError:
        return
    for key, inner in value.items():
        below = inner.items() if isinstance(inner, dict) else ()
        for path, leaf in ((key, inner), *((f"{key}.{name}", deep) for name, deep in below)):
            if not isinstance(leaf, dict | list) and expected_text(leaf).strip().casefold() == expected.casefold():
                yield path


def _frame(answer: str, expected: str) -> tuple[str, str] | None:
    """Return the text before and after the last whole-word occurrence of the expected output in an answer."""
    if len(answer) > len(expected) + _MOST_TEXT:
        return None
    places = [one.span() for one in re.finditer(whole_word(expected), answer, re.IGNORECASE)]
    return (answer[: places[-1][0]], answer[places[-1][1] :]) if places else None


def _nearest(frame: tuple[str, str]) -> tuple[str, str]:
    """Return the part of a frame that is next to the label: of the same line, and of the same field of JSON."""
    return re.split(r"[\n{},]", frame[0])[-1].lstrip(), re.split(r"[\n{},]", frame[1])[0].rstrip()


def _pattern(before: str, after: str, *, anywhere: bool) -> str:
    """Return a regular expression whose group is the text between the two, which may both be absent."""
    head, tail = (r"\s*".join(re.escape(part) for part in text.split()) for text in (before, after))
    if anywhere:
        return rf"(?s)^(?:.*{head}\s*)?([^\n]*?)(?:{tail}.*|\n.*)?$" if tail else rf"(?s)^(?:.*{head}\s*)?([^\n]*).*$"
    return (rf"^(?:{head}\s*)?" if head else "^") + "(.*?)" + (rf"(?:\s*{tail})?$" if tail else "$")


# --- the gate under a reading --------------------------------------------------------------------------------


def against(gate: Context, role: str) -> Context:
    """Return the gate with this baseline alone."""
    config = gate.config.model_copy(update={"baselines": {role: gate.config.baselines[role]}})
    measured = {one: gate.measured[one] for one in (role, "candidate")}
    return replace(gate, config=config, measured=measured)


def touches(gate: Context, reading: Reading) -> bool:
    """Return whether a reading changes any answer."""
    return any(changed_run(one.run, reading) is not one.run for one in gate.scored.values())


def cut_off(run: Run) -> frozenset[int]:
    """Return the examples to which an answer is cut off."""
    rows = (
        row
        for repeat in run.predictions
        for row, one in enumerate(repeat)
        if one.completion is not None and one.completion.finish == "cut_off"
    )
    return frozenset(rows)


def reread(gate: Context, reading: Reading) -> Reread | None:
    """Return the gate with its answers read in another way; None where that changes nothing, or nothing is left."""
    runs = {role: changed_run(one.run, reading) for role, one in gate.scored.items()}
    left_out = frozenset[int]().union(*map(cut_off, runs.values())) if reading.whole else frozenset[int]()
    if not (reading.options or left_out) and all(run is gate.scored[role].run for role, run in runs.items()):
        return None
    rows = [row for row in range(len(gate.test)) if row not in left_out]
    test = _changed_test(gate.test, reading, rows)
    spec, metric = gate.config.decided_by, gate.deciding
    name = "accuracy" if not metric.uses_labels and not {"normalize"} >= reading.options.keys() else spec.name
    spec = MetricSpec(name, {**spec.options, **reading.options}, spec.source)
    try:
        made = metric
        if not isinstance(metric, CustomMetric):  # for the labels of the examples that are left
            labels, known = map(distinct_outputs, (test, gate.training))
            made = build_metric(spec, labels=labels, custom={}, known=known)
            made = made.bare() if reading.bare else made
        scored = {}
        for role, run in runs.items():
            left = tuple(tuple(repeat[row] for row in rows) for repeat in run.predictions)
            measured = Measured(replace(run, test_set=test, predictions=left), gate.scored[role].facts)
            scored[role] = score_run(measured, {name: made}, name, test.expected)
    except FtgateError:  # no example is left, labels become equal, or a pattern takes too long
        return None
    named = {
        role: replace(one, facts=replace(one.facts, metrics={metric.name: one.facts.value}))
        for role, one in scored.items()
    }
    config = gate.config.model_copy(update={"metric": (spec, *gate.config.metrics[1:])})
    improved = {
        role: frozenset(_improved(gate.scored[role].scores[metric.name], one.scores[name], rows))
        for role, one in scored.items()
    }
    other = replace(gate, config=config, test=test, metrics={name: made}, measured=named)
    return Reread(reading, other, improved)


def changed_run(run: Run, reading: Reading) -> Run:
    """Return a run with its answers changed by a reading; the same run where no answer is."""
    if not reading.changes:
        return run

    def changed_one(one: Prediction) -> Prediction:
        completion = one.completion and _changed(one.completion, reading)
        return one if completion is one.completion else replace(one, completion=completion)

    changed = tuple(tuple(map(changed_one, repeat)) for repeat in run.predictions)
    same = all(new is old for before, after in zip(run.predictions, changed, strict=True)
               for old, new in zip(before, after, strict=True))  # fmt: skip
    return run if same else replace(run, predictions=changed)


def _changed(completion: Completion, reading: Reading) -> Completion:
    for change in reading.changes:
        completion = change(completion)
    return completion


def _changed_test(test: DataSet, reading: Reading, rows: Sequence[int]) -> DataSet:
    """Return the examples that are left, with their expected outputs read as the answers are."""
    examples = [test.examples[row] for row in rows]
    if reading.changes:
        examples = [
            replace(one, expected=_changed(Completion(one.expected), reading).text or one.expected)
            if isinstance(one.expected, str)
            else one
            for one in examples
        ]
    return replace(test, examples=tuple(examples))


def _improved(strict: Scored, other: Scored, rows: Sequence[int]) -> Iterator[int]:
    """Yield the examples that are answered better when read in another way."""
    better: np.ndarray[Any, Any] = strict.metric.sign * (rightness(other) - rightness(strict)[list(rows)])
    yield from (row for row, gain in zip(rows, better.round(12).tolist(), strict=True) if gain > 0)


# --- in words ------------------------------------------------------------------------------------------------


def example_of(gate: Context, role: str, row: int) -> str:
    """Return an answer of a model with what is expected: ``'Refund.' for 'refund' (test.jsonl:1)``."""
    answer = next((repeat[row] for repeat in gate.scored[role].answers if repeat[row] is not None), "")
    texts = (str(answer), expected_text(gate.expected[row]))
    given, expected = (f"'{printable(text.strip(), _SHOWN)}'" for text in texts)
    return f"{given} for {expected} ({gate.test.where(row)})"


def strip_line(gate: Context, roles: Iterable[str]) -> str:
    """Return how to strip the reasoning of these models: by their key, or of the outputs that begin with it, too."""
    openings = tuple(opening for opening, _ in TAGS)
    begins = (row for row, value in enumerate(gate.expected) if expected_text(value).lstrip().startswith(openings))
    first = next(begins, None)
    kept = [role for role in roles if gate.models[role].strip_reasoning != "auto"]
    lines = []
    if kept:
        where = " and ".join(f"{called(role)} ({gate.asked(role).source})" for role in kept)
        lines.append(f"Write strip_reasoning: auto in {where}.")
    if first is not None:
        lines.append(
            f"Remove the reasoning from the expected outputs, first {gate.test.where(first)}: where an expected output "
            "begins with a tag, auto strips no answer."
        )
    return " ".join(lines)


def written_metric(spec: MetricSpec) -> str:
    """Return a metric as it is written in a gate file."""
    return f"{{{', '.join(f'{key}: {_value(value)}' for key, value in {'name': spec.name, **spec.options}.items())}}}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z_][\w.]*", text) else yaml_quoted(text)


def yaml_quoted(text: str) -> str:
    """Return a text as a single-quoted YAML scalar."""
    return "'" + text.replace("'", "''") + "'"
