"""A fair chance for the baseline, before any call: it is another model, is given as much, and is not held back."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_ftgate.checks import context, judging
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import INSTRUCTIONS, Example, canonical_json, texts_in
from pytest_ftgate.models import key_of
from pytest_ftgate.result import Check, called
from pytest_ftgate.text import listed, printable

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
_LENGTH = re.compile(r"token|predict|len(gth)?$", re.IGNORECASE)
"""A number with such a key is the most tokens of an answer or of its reasoning."""
_NO_LIMIT = float("inf")
_HARMLESS = ("seed", "response_format", "reasoning_effort", "metadata", "user")
"""Parameters that hold no baseline back where the candidate does not have them."""
_ACCEPT = "or accept it: checks: {baseline_prompt: warn}"


def check(gate: context.Context) -> Iterator[Check]:
    """Check before any call that the candidate is another model, and is given no more than every baseline."""
    compared = _compared(gate)
    for role, spec in gate.config.decisive.items():
        sent = _given(gate, role)
        if sent is not None and not (sent.shown or sent.told or any(sent.further)):
            message = f"{called(role, spec.name)} has no prompt: no system message, template or few-shot examples"
            advice = "Give it the best prompt you have (system_file, few_shot: 8): "
            advice += "that is what the candidate has to beat."
            source = str(spec.source)
            yield Check("baseline_prompt", "warning", message, None, None, source, advice, "better_prompt")
    if "candidate" in gate.models:
        yield from _same_model(gate, compared)
        more = {role: found for role in compared if (found := list(_more(gate, role)))}
        if compared and len(more) == len(compared):
            yield _unfair(gate, *next(iter(more.items())))
        yield from _other_params(gate)


def check_best(gate: context.Context) -> Iterator[Check]:
    """Check once the baselines are scored that the candidate is given no more than the best one."""
    if gate.best in _compared(gate) and (more := list(_more(gate, gate.best))):
        yield _unfair(gate, gate.best, more)


def _compared(gate: context.Context) -> Mapping[str, ModelSpec]:
    """Return the baselines that must have a fair chance; a champion with max_drop of its own need not be beaten."""
    own = gate.config.standards
    return {role: spec for role, spec in gate.config.decisive.items() if role not in own or not own[role].max_drop}


def _same_model(gate: context.Context, compared: Mapping[str, ModelSpec]) -> Iterator[Check]:
    """Refuse a baseline that is the candidate, with the same prompt or another one; warn of two that may be swapped.

    The same models with the same prompt give the first example the same prediction key.
    """
    candidate, example = gate.config.candidate, gate.test.examples[0]
    advice = "Set the fine-tuned model as candidate, and the prompted one as baseline"
    for role, spec in gate.config.baselines.items():
        message, source = f"{called(role)} and candidate are the same model", str(candidate.source)
        names = [str(one.options.get("model", ""))[:3] for one in (spec, candidate)]
        if key_of(gate.models[role], example) == key_of(gate.models["candidate"], example):
            message += " with the same prompt"
            yield Check("identical_outputs", "fail", message, source=source, advice=f"{advice}.")
        elif role in compared and judging.is_one_model(spec, candidate):
            message += f" ({candidate.spelling}), so the gain is that of the prompt or of the parameters"
            yield Check("baseline_prompt", "fail", message, source=source, advice=f"{advice}, {_ACCEPT}.")
        elif role in gate.config.decisive and names[0] == "ft:" and names[1] not in ("", "ft:"):
            message = f"{called(role, spec.name)} is a fine-tuned model (ft:) and candidate {candidate.name} is not"
            yield Check("models", "warning", message, source=source, advice=f"{advice}.")


class Given(NamedTuple):
    """Hold what a model is sent besides the inputs themselves.

    Attributes:
        shown: the mean number of turns before those of the input, such as few-shot examples.
        chosen: these turns differ between inputs.
        told: the words that every example is sent with, in instructions, template, tools and parameters.
        further: all other words, by example, such as those of fields of its row.
        limit: the most tokens of an answer or of its reasoning.
    """

    shown: float
    chosen: bool
    told: Counter[str]
    further: Sequence[Counter[str]]
    limit: float


def _sample(gate: context.Context) -> Sequence[Example]:
    return gate.test.examples[:: max(1, len(gate.test) // _COMPARED)]


def _given(gate: context.Context, role: str) -> Given | None:
    """Return what a model is sent; None of a recording or a function, which do not show their prompt."""
    model, shown, words = gate.models[role], list[Sequence[Any]](), list[Counter[str]]()
    if model.prompt is None or model.ids is not None:
        return None
    for example in _sample(gate):
        sent = dict(model.sent(example))
        messages: list[Any] = sent.pop("messages")
        asked: Any = [{"content": example.input}] if isinstance(example.input, str) else example.input
        own = [" ".join(texts_in(turn["content"])) for turn in asked if turn.get("role") not in INSTRUCTIONS]
        turns = [turn for turn in messages if turn["role"] not in INSTRUCTIONS]
        first = len(turns) - len(own)
        shown.append(turns[:first])
        texts = [text for turn in messages if turn["role"] in INSTRUCTIONS for text in texts_in(turn.get("content"))]
        said = (" ".join(texts_in(turn.get("content"))) for turn in turns[first:])
        texts += [text.replace(part, " ", 1) for text, part in zip(said, own, strict=False)]
        texts += [text for text in texts_in([sent, model.params]) if len(text.split()) >= _SENTENCE]
        words.append(_words(texts))
    always = words[0].copy()
    for one in words:
        always &= one
    chosen, mean = len(set(map(canonical_json, shown))) > 1, sum(map(len, shown)) / len(shown)
    limit = min(_limits(model.params), default=_NO_LIMIT)
    return Given(mean, chosen, always, [one - always for one in words], limit)


def _limits(params: Any) -> Iterator[float]:
    """Yield the limits of an answer's length among parameters, wherever they are."""
    for key, value in params.items() if isinstance(params, Mapping) else ():
        if _LENGTH.search(key) and type(value) in (int, float):
            yield value
        yield from _limits(value)


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(_WORD.findall(" ".join(texts).casefold()))


def _more(gate: context.Context, role: str) -> Iterator[str]:
    """Yield in words what the candidate is given beyond a baseline."""
    ours, theirs = (_given(gate, one) for one in ("candidate", role))
    if ours is None or theirs is None:
        return
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
        pairs = zip(_sample(gate), rows, strict=True)
        names = Counter(name for one, row in pairs for name, text in one.fields.items() if _words(texts_in(text)) & row)
        shown = next(" ".join(row) for row in rows if row)
        fields = f"the fields {listed([name for name, _ in names.most_common()])}" if names else "text of the rows"
        yield f"{fields}, such as {printable(shown, _SHOWN)!r}"
    if ours.limit > theirs.limit:
        most = "no limit" if ours.limit == _NO_LIMIT else f"{ours.limit:g} tokens"
        yield f"longer answers: {most} (baseline: {theirs.limit:g})"


def _unfair(gate: context.Context, role: str, found: Sequence[str]) -> Check:
    less, source = called(role, gate.config.baselines[role].name), str(gate.config.candidate.source)
    message = f"candidate {gate.config.candidate.name} is given more than {less}: {'; '.join(found)}"
    advice = f"Give the baseline the same, {_ACCEPT}."
    return Check("baseline_prompt", "fail", message, None, None, source, advice, "better_prompt")


def _other_params(gate: context.Context) -> Iterator[Check]:
    """Warn of each parameter that a baseline and the candidate are not sent alike, as it may favour the candidate."""
    for role, spec in gate.config.baselines.items():
        theirs, ours = (gate.models[one].params for one in (role, "candidate"))
        other = [
            "{}: {} (candidate: {})".format(name, *(_written(params.get(name)) for params in (theirs, ours)))
            for name in {**theirs, **ours}
            if theirs.get(name) != ours.get(name) and not (_LENGTH.search(name) or judging.ADAPTER.search(name))
            if ours.get(name) is not None or (theirs[name] and name not in _HARMLESS)
        ]
        if other and spec.kind is gate.config.candidate.kind and spec.has_prompt:
            message = f"{called(role, spec.name)} has other parameters than the candidate: {'; '.join(other)}"
            advice = "Give both models the same params, unless one of them does not support them."
            yield Check("baseline_params", "warning", message, source=str(spec.source), advice=advice)


def _written(value: Any) -> str:
    return "not set" if value is None else printable(str(value), _SHOWN)
