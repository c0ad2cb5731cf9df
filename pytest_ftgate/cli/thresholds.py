"""What a gate asked for, as the facts of its report say it, and where a later report asks for less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_ftgate.cli.report_file import Facts
from pytest_ftgate.config.gate_keys import comparison_of
from pytest_ftgate.config.weaker import Weaker
from pytest_ftgate.text import is_share, show_amount

Direction = Literal["loosened", "stricter"]

_CHECKED = (
    *("min_test_examples", "min_training_examples", "cheaper_by", "faster_by", "max_age_days"),
    *("economics.min_monthly_saving_usd", "economics.max_break_even_days"),
)
"""Keys that a check of a gate that was judged to its end holds to whenever they are written."""
_ENDS = {"min": "at least", "max": "at most"}
_OF_RUNS = ("latency_p50_s", "latency_p95_s", "cost_usd", "error_rate")


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that was asked for.

    Attributes:
        shown: as people read it.
        value: a number, or a word.
        comparison: which way it would ask for less; None: any other value cannot be compared.
    """

    shown: str
    value: Any
    comparison: Weaker | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """A threshold that is another one now. A metric has no direction: what cannot be compared counts as loosened."""

    key: str
    before: str
    after: str
    direction: Direction


def shifts(before: Facts, after: Facts) -> Iterator[Shift]:
    """What ``after`` asks for that ``before`` did not, and the other way round.

    A threshold that is absent was removed only where the gate was judged to its end: a report tells many thresholds by
    the checks that held to them.
    """
    old, new = asked(before), asked(after)
    for key in dict.fromkeys((*old, *new)):
        if key not in new:
            if judged_to_its_end(after) and not _other_objective(key, old, new):
                yield Shift(key, old[key].shown, "removed", "loosened")
        elif key not in old:
            if judged_to_its_end(before) and not _other_objective(key, old, new):
                yield Shift(key, "none", new[key].shown, "stricter")
        elif old[key].value != new[key].value and not (key == "evidence" and _other_objective("margin", old, new)):
            loosened = _is_less(old[key], new[key])
            yield Shift(key, old[key].shown, new[key].shown, "loosened" if loosened else "stricter")
    for said in set(_texts(after, "loosened")) - set(_texts(before, "loosened")):
        yield Shift("a mark asks for less than the file", "no", said, "loosened")


def judged_to_its_end(gate: Facts) -> bool:
    """The models answered and were compared, so that every check that the gate has was made."""
    ready = gate.text("stage") == "ready"
    value = gate.part("baseline").number("value") if ready else gate.number("gain")
    return value is not None and gate.text("verdict") != "error"


def asked(gate: Facts) -> dict[str, Asked]:
    """Return all that a report tells of what its gate asked for, by key."""
    share = is_share(gate.range("metric_range"))
    found = {
        "objective": _word("objective", gate.text("objective") or "beat"),
        "stage": _word("stage", gate.text("stage") or "accept"),
        "metric": _word("metric", gate.text("metric")),
        "margin": _amount("margin", gate.number("margin"), share),
        "max_drop": _amount("max_drop", gate.number("max_drop"), share),
        "evidence": _word("evidence", gate.text("evidence")),
        "confidence": _confidence(gate.number("confidence"), _chosen_from(gate)),
    }
    for check in gate.parts("checks"):
        name, threshold = check.text("name") or "", check.part("threshold")
        key = threshold.text("key") or name  # an earlier report tells no key: there the check is called by it
        if key in _CHECKED:
            value = threshold.number("value") if threshold.values else check.number("required")
            found[key] = _amount(key, value, share=False)
        elif name.startswith("require."):
            for end, value in _ends(check).items():
                _tighten(found, f"{name} {_ENDS[end]}", end, value)
    for guard in gate.parts("guards"):
        found |= _guard(guard, _chosen_from(gate))
    fields = sorted({part.text("field") or "" for part in gate.parts("slices")})
    found |= {f"slices by {field}": Asked("judged", "judged") for field in fields}
    return {key: one for key, one in found.items() if one is not None}


def _guard(guard: Facts, candidates: int) -> Mapping[str, Asked | None]:
    name, share = f"guards.{guard.text('name')}", is_share(guard.range("metric_range"))
    return {
        f"{name}.max_drop": _amount(f"{name}.max_drop", guard.number("max_drop"), share),
        f"{name}.evidence": _word(f"{name}.evidence", guard.text("evidence")),
        f"{name}.confidence": _confidence(guard.number("confidence"), candidates),
        f"{name}.metric": _word(f"{name}.metric", guard.text("metric")),
    }


def _word(key: str, word: str | None) -> Asked | None:
    return None if word is None else Asked(word, word, comparison_of(key))


def _amount(key: str, value: float | None, share: bool) -> Asked | None:
    return None if value is None else Asked(show_amount(value, share=share), value, comparison_of(key))


def _confidence(value: float | None, candidates: int) -> Asked | None:
    """The gate's own: of several candidates each is judged at one that leaves it for all of them together."""
    if value is None:
        return None
    own = round(1 - (1 - value) * candidates, 9)
    return Asked(f"{100 * own:g} %", own, comparison_of("confidence"))


def _chosen_from(gate: Facts) -> int:
    """The number of candidates; at the stage ready only a check tells it."""
    told = [check.number("observed") for check in gate.parts("checks") if check.text("name") == "choice"]
    return max(len(gate.parts("candidates")), *(int(count or 1) for count in told), 1)


def _ends(check: Facts) -> Mapping[str, float]:
    """Return the limits that a bound holds to; of an earlier report, which tells no key, the one that it tells."""
    threshold, required = check.part("threshold"), check.number("required")
    if isinstance(threshold.values.get("value"), dict):
        both = threshold.part("value")
        limits = {end: both.number(end) for end in _ENDS}
    elif threshold.values:
        limits = {(threshold.text("key") or "").rpartition(".")[2]: threshold.number("value")}
    else:
        limits = {_end_of(check, required): required}
    return {end: value for end, value in limits.items() if end in _ENDS and value is not None}


def _end_of(check: Facts, required: float | None) -> str:
    """Return which end a number is that was held to: a value that passed lies on its right side."""
    observed, passed = check.number("observed"), check.text("status") == "pass"
    if observed is None or required is None or observed == required:
        return "max" if (check.text("name") or "").endswith(_OF_RUNS) else "min"
    return "min" if (observed > required) == passed else "max"


def _tighten(found: dict[str, Asked | None], name: str, end: str, value: float) -> None:
    """Of several limits on one value the tightest counts."""
    one, known = _amount(f"require[0].{end}", value, share=False), found.get(name)
    if one is not None and (known is None or _is_less(one, known)):
        found[name] = one


def _is_less(old: Asked, new: Asked) -> bool:
    """Whether ``new`` asks for less than ``old``, or for something that cannot be compared with it."""
    if old.comparison is None:
        return True
    try:
        return old.comparison.asks_less(old.value, new.value)
    except ValueError:  # a word that is not known here
        return True


def _other_objective(key: str, old: Mapping[str, Asked], new: Mapping[str, Asked]) -> bool:
    """Whether a threshold comes and goes with the objective, which is compared by itself."""
    return key in ("margin", "max_drop") and old["objective"].value != new["objective"].value


def _texts(gate: Facts, name: str) -> list[str]:
    value = gate.values.get(name)
    return [str(one) for one in value] if isinstance(value, list) else []
