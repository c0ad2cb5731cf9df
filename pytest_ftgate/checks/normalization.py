"""Where the form of answers decides: "Refund." for "refund", a label in JSON, after "Label:", before a stop token.

Such a gate compares how two models write, not what they know.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import bounds, constant_baseline
from pytest_ftgate.checks.context import Context, once
from pytest_ftgate.checks.drop import gain_status
from pytest_ftgate.checks.identical_outputs import mistakes_in
from pytest_ftgate.config import MetricSpec
from pytest_ftgate.data import expected_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.metrics import build_metric
from pytest_ftgate.metrics.normalization import STEPS
from pytest_ftgate.result import Check, Status, called, verdict_of
from pytest_ftgate.runs.measure import rightness, score_run
from pytest_ftgate.text import plural, printable, show_difference

if TYPE_CHECKING:
    import numpy as np

    from pytest_ftgate.metrics import Scored

IMPROVED_LEAST, IMPROVED_SHARE = 5, 0.5
"""So many, and such a share, of the candidate's wrong answers show a habit and no accident."""

_MOST_TEXT = 200
"""Characters around a label that may be of its form; more is an answer of its own."""

_MOST_DIFFERENT = 2000
"""Different answers that are searched for a form that they share."""

_SHOWN = 60
_JSON, _TEXT = "the JSON around them", "the text around them"
_CASE = ("case", "punctuation")
_STOP_TOKEN = re.compile(r"<\|?/?[\w ]+\|?>")


@dataclass(frozen=True)
class _Reading:
    """Hold metric options that read answers in another way, what they ignore in words, and the text after a label."""

    options: Mapping[str, Any]
    ignores: str
    after: str = ""

    def also(self, other: _Reading) -> _Reading:
        """Return the reading that ignores both."""
        return _Reading({**self.options, **other.options}, f"{self.ignores}, {other.ignores}", self.after)


@dataclass(frozen=True)
class _Reread:
    """Hold a gate whose answers are scored by another reading."""

    reading: _Reading
    spec: MetricSpec
    gate: Context

    @property
    def worth(self) -> float:
        """Return the sum of all models' values, of which more is better."""
        sign = 1 if self.gate.deciding.greater_is_better else -1
        return sign * sum(one.facts.value or 0.0 for one in self.gate.scored.values())


def check(gate: Context) -> list[Check]:
    """Check that no form of the answers decides which another metric option would ignore.

    Of a gate that is red for its answers this is the cause, and has its status; else it is a warning.
    """
    found = finding(gate)
    return [] if found is None else [found]


@once
def finding(gate: Context) -> Check | None:
    """Return the check of :func:`check`; None where form decides nothing.

    Every option that is proposed was tried: the answers were scored with it, no model scores worse, and what becomes
    of the gate changes, or at least half of the candidate's mistakes are gone.
    """
    if not gate.accepts or "candidate" not in gate.scored or gate.deciding.pairwise or gate.deciding.judged:
        return None
    rereads = [one for reading in _readings(gate) if (one := _reread(gate, reading)) is not None]
    best = max(rereads, key=lambda one: round(one.worth, 9), default=None)  # of equal ones the first, which is simpler
    if best is None:
        return None
    statuses = _statuses(gate, gate.deciding.name)
    before, after = (
        {role: one.scores[each.deciding.name] for role, one in each.scored.items()} for each in (gate, best.gate)
    )
    improved = {role: _improved(one, after[role]) for role, one in before.items()}
    if statuses == _statuses(best.gate, gate.deciding.name) and not _is_habit(
        improved["candidate"], before["candidate"]
    ):
        return None
    return _check(gate, best, improved, _status_of(statuses))


def _statuses(gate: Context, metric: str) -> list[tuple[str, Status]]:
    """Return the statuses of all that rests on the deciding metric: gains, constant answers, bounds on it."""
    found: list[tuple[str, Status]] = [(role, gain_status(gate, one)) for role, one in gate.comparisons.items()]
    rest = [*constant_baseline.check(gate), *(one for one in bounds.check(gate) if one.name.endswith(f".{metric}"))]
    return found + [(one.name, one.status) for one in rest]


def _status_of(statuses: Iterable[tuple[str, Status]]) -> Status:
    verdict = verdict_of(tuple(Check(name, status, "") for name, status in statuses))
    return "warning" if verdict == "pass" else verdict


# --- other readings ------------------------------------------------------------------------------------------


def _readings(gate: Context) -> Iterator[_Reading]:
    """Yield other ways to read the answers, the simplest first."""
    plain = _normalized(gate, _CASE, "case and punctuation")
    full = _normalized(gate, STEPS, "case, punctuation, white space and Unicode forms")
    yield from (one for one in (plain, full) if one is not None)
    for around in _around(gate):
        yield around
        if plain is not None:
            yield around.also(plain)


def _normalized(gate: Context, steps: Sequence[str], ignores: str) -> _Reading | None:
    """Return the reading with these steps of normalization; None where the metric takes them already, or none."""
    if gate.deciding.lenient() is None:
        return None
    written = gate.config.metric.options.get("normalize", ())
    given = (written,) if isinstance(written, str) else tuple(written)
    if set(steps) <= set(given):
        return None
    return _Reading({"normalize": [*given, *(step for step in steps if step not in given)]}, ignores)


def _around(gate: Context) -> Iterator[_Reading]:
    """Yield readings that drop the text around a label: a field of JSON, or a pattern of the most frequent frames."""
    options = gate.config.metric.options
    if "pattern" in options or "json_field" in options or not _takes_pattern(gate):
        return
    wrong = list(dict.fromkeys(_wrong_answers(gate)))[:_MOST_DIFFERENT]
    paths = Counter(path for answer, expected in wrong for path in _paths(answer, expected))
    for path, _ in paths.most_common(1):
        yield _Reading({"json_field": path}, _JSON)
    frames = [frame for answer, expected in wrong if (frame := _frame(answer, expected)) is not None]
    for near in (False, True):
        counted = Counter(map(_nearest, frames) if near else frames)
        for (before, after), _ in counted.most_common(1):
            json = before.lstrip().startswith(("{", '"'))
            if (before.strip() or after.strip()) and (near or not json):  # other fields of JSON need not stay the same
                pattern = _pattern(before, after, anywhere=near)
                yield _Reading({"pattern": pattern}, _JSON if json else _TEXT, after.strip())


def _takes_pattern(gate: Context) -> bool:
    """Return whether the metric reads labels out of answers, or may be replaced by one that does."""
    plain = all(isinstance(value, str) and value.strip()[:1] not in ("{", "[") for value in gate.expected)
    return gate.deciding.uses_labels or (gate.deciding.name == "exact_match" and plain)


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
    except (ValueError, RecursionError):
        return
    for key, inner in value.items():
        for path, leaf in ((key, inner), *((f"{key}.{name}", deep) for name, deep in _items(inner))):
            if not isinstance(leaf, dict | list) and expected_text(leaf).strip().casefold() == expected.casefold():
                yield path


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _frame(answer: str, expected: str) -> tuple[str, str] | None:
    """Return the text before and after the last whole-word occurrence of the expected output in an answer."""
    start, end = (r"(?<!\w)" if expected[:1].isalnum() else ""), (r"(?!\w)" if expected[-1:].isalnum() else "")
    if len(answer) > len(expected) + _MOST_TEXT:
        return None
    places = [one.span() for one in re.finditer(f"{start}{re.escape(expected)}{end}", answer, re.IGNORECASE)]
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


def _reread(gate: Context, reading: _Reading) -> _Reread | None:
    """Return the gate with its answers scored in another way; None where that changes nothing, or for the worse."""
    spec, metric = gate.config.metric, gate.deciding
    name = "accuracy" if not metric.uses_labels and not {"normalize"} >= reading.options.keys() else spec.name
    spec = MetricSpec(name, {**spec.options, **reading.options}, spec.source)
    labels, known = (sorted({expected_text(one.expected) for one in data}) for data in (gate.test, gate.training))
    try:
        made = build_metric(spec, labels=labels, custom={}, known=known)
        scored = {role: score_run(one, {name: made}, name, gate.expected) for role, one in gate.scored.items()}
    except FtgateError:  # labels become equal, or a pattern takes too long: nothing to propose
        return None
    sign = 1 if metric.greater_is_better else -1
    gains = [sign * ((scored[role].facts.value or 0.0) - (one.facts.value or 0.0)) for role, one in gate.scored.items()]
    if min(gains) < 0 or round(max(gains), 12) == 0:
        return None
    facts = {role: replace(one.facts, metrics={metric.name: one.facts.value}) for role, one in scored.items()}
    result = replace(
        gate.result,
        baselines={role: facts[role] for role in gate.result.baselines},
        baseline=facts[gate.best],
        candidate=facts["candidate"],
    )
    config = gate.config.model_copy(update={"metric": spec})
    other = replace(gate, config=config, metrics={name: made}, measured=scored, result=result)
    return _Reread(reading, spec, other)


# --- in words ------------------------------------------------------------------------------------------------


def _improved(strict: Scored, other: Scored) -> np.ndarray[Any, Any]:
    """Return which examples are answered better when read in another way, shape ``(examples,)``."""
    change = rightness(other) - rightness(strict)
    better: np.ndarray[Any, Any] = change if strict.metric.greater_is_better else -change
    improved: np.ndarray[Any, Any] = better.round(12) > 0
    return improved


def _is_habit(improved: np.ndarray[Any, Any], strict: Scored) -> bool:
    """Return whether most of what a model has wrong is right when read in another way."""
    return bool(improved.sum() >= max(IMPROVED_LEAST, IMPROVED_SHARE * mistakes_in(strict)))


def _check(gate: Context, best: _Reread, improved: Mapping[str, np.ndarray[Any, Any]], status: Status) -> Check:
    rows = {role: one.nonzero()[0] for role, one in improved.items() if one.any()}
    roles = sorted(rows, key=lambda role: (-len(rows[role]), role != "candidate"))
    counted = " and ".join(
        f"{plural(len(rows[role]), 'answer')} of {called(role, gate.scored[role].facts.name)}" for role in roles
    )
    message = (
        f"the form of answers decides: {counted} are wrong only because of {best.reading.ignores}, such as "
        f"{_example(gate, roles[0], int(rows[roles[0]][0]))}. {_outcome(gate, best)}"
    )
    names = " and ".join("the " + role if role in ("baseline", "candidate") else called(role) for role in roles)
    stop = best.reading.after if _STOP_TOKEN.fullmatch(best.reading.after) else ""
    how = f"make {names} answer with the expected text alone"
    how += ", prompted as in the training rows" if "candidate" in roles else ""
    how = f"end the answers of {names} there with params: {{stop: [{_quoted(stop)}]}}" if stop else how
    advice = f"If your application ignores this, use metric: {_written(best.spec)}. If it does not, {how}."
    gain = best.gate.comparisons[gate.best].gain
    return Check("normalization", status, message, observed=gain, advice=advice, action="measure_again")


def _example(gate: Context, role: str, row: int) -> str:
    """Return one answer that is wrong for its form alone: ``'Refund.' for 'refund' (test.jsonl:1)``."""
    answer = next((repeat[row] for repeat in gate.scored[role].answers if repeat[row] is not None), "")
    texts = (str(answer), expected_text(gate.expected[row]))
    given, expected = (f"'{printable(text.strip(), _SHOWN)}'" for text in texts)
    return f"{given} for {expected} ({gate.test.where(row)})"


def _outcome(gate: Context, best: _Reread) -> str:
    strict, other = gate.comparisons[gate.best], best.gate.comparisons[gate.best]
    before, after = gain_status(gate, strict), gain_status(best.gate, other)
    less, more = (show_difference(one.gain, share=gate.share) for one in (strict, other))
    verdict = f"{after} instead of {before}" if before != after else f"still {before}"
    return f"Ignoring that, the gain is {more} instead of {less} ({verdict})"


def _written(spec: MetricSpec) -> str:
    """Return a metric as it is written in a gate file."""
    return f"{{{', '.join(f'{key}: {_value(value)}' for key, value in {'name': spec.name, **spec.options}.items())}}}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z_][\w.]*", text) else _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
