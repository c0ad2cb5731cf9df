"""Why a gate failed and what to do about it, as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ftgate.diagnosis.advice import most_to_try
from pytest_ftgate.diagnosis.training import learned_pair
from pytest_ftgate.numbers import plural
from pytest_ftgate.result import Diagnosis, GateResult
from pytest_ftgate.safe import printable

_MISTAKES = {
    "missing": "missing",
    "refusal": "refused",
    "cut_off": "cut off",
    "empty": "empty",
    "wrong_format": "in the wrong format",
    "unknown_label": "without a known label",
    "wrong_label": "wrongly labelled",
    "wrong": "wrong",
}

_IDS_SHOWN = 10
_PAIRS_SHOWN = 3
_ID_WIDTH = 40
_LABEL_WIDTH = 40


def diagnosis_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """What kinds of mistakes the models make; of a green gate one line, and that only where all is shown.

    Args:
        result: a judged gate.
        full: also which labels are mixed up, and which examples were fixed and broken.
    """
    found = result.diagnosis
    if found is None:
        return
    if result.passed:
        still = _still(found) if full else None
        if still:
            yield still
        return
    yield from _mistakes(found)
    if full:
        yield from _pairs(found)
        yield from _ids("fixed", found.fixed)
        yield from _ids("broken", found.broken)


def mistake_words(found: Diagnosis) -> dict[str, str]:
    """Kinds of mistakes, and what an answer of that kind is; without labels the wrong format is no JSON."""
    return _MISTAKES if found.labels else {**_MISTAKES, "wrong_format": "no JSON"}


def _still(found: Diagnosis) -> str | None:
    counts = found.baseline if found.candidate is None else found.candidate
    kinds = {kind: count for kind, count in counts.items() if kind in _MISTAKES}
    if not kinds:
        return None
    worst = max(kinds, key=lambda kind: kinds[kind])
    who = "baseline" if found.candidate is None else "candidate"
    return f"what still fails most: {plural(kinds[worst], 'answer')} of the {who} {mistake_words(found)[worst]}"


def _mistakes(found: Diagnosis) -> Iterator[str]:
    for role, counts in (("baseline", found.baseline), ("candidate", found.candidate)):
        told = _kinds(counts or {}, mistake_words(found))
        if told:
            yield f"mistakes of the {role}: {told}"


def _kinds(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    kinds = sorted((kind for kind in counts if kind in words), key=lambda kind: -counts[kind])
    return ", ".join(f"{counts[kind]:,} {words[kind]}" for kind in kinds)


def _pairs(found: Diagnosis) -> Iterator[str]:
    cited = learned_pair(found)
    shown = found.confusions[:_PAIRS_SHOWN]
    for pair in (*shown, *((cited,) if cited is not None and cited not in shown else ())):
        labels = (printable(label, _LABEL_WIDTH) for label in (pair.expected, pair.answered))
        after = (
            "" if found.candidate is None else f", candidate {pair.candidate:,} ({pair.candidate - pair.baseline:+,})"
        )
        yield f"mixed up: {' -> '.join(map(repr, labels))}: baseline {pair.baseline:,}{after}"


def _ids(what: str, ids: tuple[str, ...]) -> Iterator[str]:
    if ids:
        shown = ", ".join(printable(id_, _ID_WIDTH) for id_ in ids[:_IDS_SHOWN])
        yield f"{what} ({len(ids):,}): {shown}{', ...' if len(ids) > _IDS_SHOWN else ''}"


def advice_lines(result: GateResult) -> Iterator[str]:
    """At most three things to try, each with the fact that it rests on."""
    shown = most_to_try(result)
    if shown:
        yield "what to do, in this order:"
    for number, one in enumerate(shown, start=1):
        yield f"  {number}. {one.action.replace('_', ' ')}: {one.text}"
        yield f"     because {one.fact}"
