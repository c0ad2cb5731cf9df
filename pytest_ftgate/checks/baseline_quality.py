"""A fair chance for the baseline, before any call: it is another model, is given as much, and is not held back."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.judging import identity
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import Example, canonical_json
from pytest_ftgate.data.normalize import INSTRUCTIONS
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.result import Check, called
from pytest_ftgate.text import listed, printable

_FORMATS = ("text", "json_object", "json_schema")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_CONSTRAINTS = ("guided_json", "guided_choice", "guided_regex", "guided_grammar", "structured_outputs", "grammar")
_DEFAULT_TEMPERATURE = 1.0
_SHOWN = 60

_COMPARED = 300
"""The most examples for which it is compared what models are sent."""
_RARE = 0.05
"""The share of examples up to which further text about an example is an exception."""
_LONGER, _SPARE = 2, 2
"""How many times as long other instructions are more, and the number of words by which the same ones may be longer."""
_SENTENCE = 4
"""The fewest words of a text in parameters and tools that count as instructions."""
_WORD = re.compile(r"\w+")
_LIMIT = re.compile(
    r"max_?(?:completion_?|output_?|new_?|gen\w*_?)?(?:tokens|len(?:gth)?)|n(?:um)?_predict|token_?limit", re.IGNORECASE
)
_ACCEPT = "or accept it: checks: {baseline_prompt: warn}"


def check(gate: Context) -> Iterator[Check]:
    """Check before any call that the candidate is another model, and is given no more than every baseline.

    The same models with the same prompt give the first example the same prediction key.
    """
    yield from _bare(gate)
    if "candidate" not in gate.models:
        return
    yield from _same_model(gate)
    compared = _compared(gate)
    more = {role: found for role in compared if (found := _more_than(gate, role))}
    if compared and len(more) == len(compared):
        yield _unfair(gate, more)
    yield from _weaker_params(gate)
    yield from _swapped(gate)


def check_best(gate: Context) -> Iterator[Check]:
    """Check once the baselines are scored that the candidate is given no more than the best one."""
    if gate.best in _compared(gate) and (more := _more_than(gate, gate.best)):
        yield _unfair(gate, {gate.best: more})


def _same_model(gate: Context) -> Iterator[Check]:
    """Refuse a baseline that is the candidate: with the same prompt both answer alike, with another that decides."""
    candidate = gate.config.candidate
    key, source = key_of(gate.models["candidate"], gate.test.examples[0]), str(candidate.source)
    advice = "Set the fine-tuned model as candidate, and the prompted one as baseline"
    for role, spec in gate.config.baselines.items():
        message = f"{called(role)} and candidate are the same model"
        if key_of(gate.models[role], gate.test.examples[0]) == key:
            message += " with the same prompt"
            yield Check("identical_outputs", "fail", message, source=source, advice=f"{advice}.")
        elif role in _compared(gate) and identity(spec) == identity(candidate):
            message += f" ({candidate.spelling}), so the gain is that of the prompt or of the parameters"
            yield Check("baseline_prompt", "fail", message, source=source, advice=f"{advice}, {_ACCEPT}.")


# --- what a model is given ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """Hold what a model is sent besides the inputs themselves.

    Attributes:
        shown: the mean number of turns before those of the input, such as few-shot examples.
        chosen: these turns differ between inputs.
        told: the words that every example is sent with, in instructions, template, tools and parameters.
        further: all other words, by example, such as those of fields of its row.
        limit: the most tokens of an answer.
    """

    shown: float
    chosen: bool
    told: Counter[str]
    further: Sequence[Counter[str]]
    limit: float

    @property
    def bare(self) -> bool:
        """Return whether a model is sent the inputs alone."""
        return not (self.shown or self.told or any(self.further))


def given(model: Model, examples: Sequence[Example]) -> Given | None:
    """Return what a model is sent; None of a recording or a function, which do not show their prompt."""
    if model.prompt is None or model.ids is not None:
        return None
    shown: list[Sequence[Any]] = []
    rest: list[Counter[str]] = []
    for example in examples:
        sent = dict(model.sent(example))
        told, turns, around = split(sent.pop("messages"), example)
        shown.append(turns)
        rest.append(_words([*told, *around, *_sentences([sent, model.params])]))
    always = rest[0].copy()
    for words in rest:
        always &= words
    different, mean = {canonical_json(turns) for turns in shown}, sum(map(len, shown)) / len(shown)
    further = [words - always for words in rest]
    return Given(mean, len(different) > 1, always, further, min([float("inf"), *_limits(model.params)]))


def split(messages: Sequence[Any], example: Example) -> tuple[list[str], list[Any], list[str]]:
    """Return the texts of instructions, the turns that are not the example's, and the texts around those of its own."""
    asked: Any = [{"content": example.input}] if isinstance(example.input, str) else example.input
    own = [turn["content"] for turn in asked if turn.get("role") not in INSTRUCTIONS]
    turns = [turn for turn in messages if turn["role"] not in INSTRUCTIONS]
    told = [text for turn in messages if turn["role"] in INSTRUCTIONS for text in texts_in(turn.get("content"))]
    pairs = zip((turn.get("content") for turn in turns[len(turns) - len(own) :]), own, strict=False)
    around = [
        " ".join(texts_in(sent)).replace(" ".join(texts_in(text)), " ", 1) for sent, text in pairs if sent != text
    ]
    return told, turns[: len(turns) - len(own)], around


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(member)


def _sentences(value: Any) -> Iterator[str]:
    return (text for text in texts_in(value) if len(text.split()) >= _SENTENCE)


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(_WORD.findall(" ".join(texts).casefold()))


def _limits(params: Any) -> Iterator[float]:
    """Yield the limits of an answer's length among parameters, wherever and under whichever name they are."""
    for key, value in params.items() if isinstance(params, Mapping) else ():
        if _LIMIT.fullmatch(key) and isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)
        yield from _limits(value)


def _sample(gate: Context) -> Sequence[Example]:
    return gate.test.examples[:: max(1, len(gate.test) // _COMPARED)]


def _compared(gate: Context) -> Mapping[str, ModelSpec]:
    """Return the baselines that must have a fair chance; a champion with max_drop of its own need not be beaten."""
    own = gate.config.standards
    return {role: spec for role, spec in gate.config.decisive.items() if role not in own or not own[role].max_drop}


def _bare(gate: Context) -> Iterator[Check]:
    """Warn of a base model without any instruction, which almost any fine-tune beats; a champion needs none."""
    for role, spec in gate.config.decisive.items():
        sent = given(gate.models[role], _sample(gate))
        if sent is not None and sent.bare:
            yield Check(
                "baseline_prompt",
                "warning",
                f"{called(role, spec.name)} has no prompt: no system message, template or few-shot examples",
                source=str(spec.source),
                advice="Give it the best prompt you have (system_file, few_shot: 8): that is what the candidate "
                "has to beat.",
                action="better_prompt",
            )


def _more_than(gate: Context, role: str) -> list[str]:
    """Return in words what the candidate is given beyond a baseline."""
    ours, theirs = (given(gate.models[one], _sample(gate)) for one in ("candidate", role))
    return [] if ours is None or theirs is None else list(_more(ours, theirs, _sample(gate)))


def _more(ours: Given, theirs: Given, examples: Sequence[Example]) -> Iterator[str]:
    if ours.shown > theirs.shown or ours.chosen > theirs.chosen:
        kind = "examples chosen for each input" if ours.chosen else "examples"
        yield f"{kind} in {ours.shown:.3g} messages (baseline: {theirs.shown:.3g})"
    size, other = (sum(len(word) * count for word, count in one.told.items()) for one in (ours, theirs))
    added = (ours.told - theirs.told).total()
    within = not theirs.told - ours.told and (added > _SPARE or not theirs.told)
    if added and (within or size > _LONGER * other):
        yield f"instructions of {size:,} letters (baseline: {other:,})"
    rows = [one - two for one, two in zip(ours.further, theirs.further, strict=True)]
    if sum(map(bool, rows)) > _RARE * len(rows):
        pairs = zip(examples, rows, strict=True)
        names = Counter(
            name for one, row in pairs for name, value in one.fields.items() if _words(texts_in(value)) & row
        )
        shown = next(" ".join(row) for row in rows if row)
        fields = f"the fields {listed([name for name, _ in names.most_common()])}" if names else "text of the rows"
        yield f"{fields}, such as {printable(shown, _SHOWN)!r}"
    if ours.limit > theirs.limit:
        most = "no limit" if ours.limit == float("inf") else f"{ours.limit:g} tokens"
        yield f"longer answers: {most} (baseline: {theirs.limit:g})"


def _unfair(gate: Context, more: Mapping[str, Sequence[str]]) -> Check:
    role, found = next(iter(more.items()))
    name = gate.config.candidate.name
    return Check(
        "baseline_prompt",
        "fail",
        f"candidate {name} is given more than {called(role, gate.config.baselines[role].name)}: {'; '.join(found)}",
        source=str(gate.config.candidate.source),
        advice=f"Give the baseline the same, {_ACCEPT}.",
        action="better_prompt",
    )


# --- parameters --------------------------------------------------------------------------------------------------


def _weaker_params(gate: Context) -> Iterator[Check]:
    """Warn of a baseline that has weaker parameters than the candidate."""
    candidate = gate.config.candidate
    for role, spec in gate.config.baselines.items():
        both = spec.provider == candidate.provider == "openai"
        weaker = "; ".join(_weaker(*(one.options.get("params") or {} for one in (spec, candidate)))) if both else ""
        if weaker:
            message = f"{called(role, spec.name)} has weaker parameters than the candidate: {weaker}"
            advice = "Give both models the same params, unless one of them does not support them."
            yield Check("baseline_params", "warning", message, source=str(spec.source), advice=advice)


def _weaker(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Iterator[str]:
    """Yield each parameter that is weaker for the baseline, as ``temperature: 1 (candidate: 0)``."""
    if _format(baseline) < _format(candidate):
        yield _against("response_format", baseline, candidate)
    for name in _CONSTRAINTS:
        if candidate.get(name) and not baseline.get(name):
            yield _against(name, baseline, candidate)
    warm, cool = (_number(params.get("temperature"), _DEFAULT_TEMPERATURE) for params in (baseline, candidate))
    if warm > cool:
        yield _against("temperature", baseline, candidate)
    efforts = [params.get("reasoning_effort") for params in (baseline, candidate)]
    if all(effort in _EFFORTS for effort in efforts) and _EFFORTS.index(efforts[0]) < _EFFORTS.index(efforts[1]):
        yield _against("reasoning_effort", baseline, candidate)
    if baseline.get("stop") and not candidate.get("stop"):
        yield _against("stop", baseline, candidate)


def _format(params: Mapping[str, Any]) -> int:
    written = params.get("response_format")
    kind = written.get("type") if isinstance(written, Mapping) else None
    return _FORMATS.index(kind) if kind in _FORMATS else 0


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _against(name: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> str:
    return f"{name}: {_written(baseline.get(name))} (candidate: {_written(candidate.get(name))})"


def _written(value: Any) -> str:
    if value is None:
        return "not set"
    return str(value["type"]) if isinstance(value, Mapping) and "type" in value else str(value)[:_SHOWN]


def _swapped(gate: Context) -> Iterator[Check]:
    """Warn of a fine-tuned baseline whose candidate is not fine-tuned: the two may have been swapped."""
    candidate = gate.config.candidate
    if not isinstance(candidate.options.get("model"), str) or _is_tuned(candidate):
        return
    for role, spec in gate.config.decisive.items():
        if _is_tuned(spec):
            message = f"{called(role, spec.name)} is a fine-tuned model (ft:) and candidate {candidate.name} is not"
            advice = "Check whether baseline and candidate are swapped."
            yield Check("models", "warning", message, source=str(spec.source), advice=advice)


def _is_tuned(spec: ModelSpec) -> bool:
    """Return whether a model's name says that it is fine-tuned."""
    return str(spec.options.get("model", "")).startswith("ft:")
