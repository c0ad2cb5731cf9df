"""What a gate asked for, as the facts of its report say it, and where a later report asks for less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_ftgate.config.gate_keys import comparison_of
from pytest_ftgate.result import Check, GateResult, Threshold
from pytest_ftgate.text import FARTHEST, is_share, show_amount, show_percent

Mark = Literal["worse", "loosened", "better", "stricter", ""]

_CHECKED = (
    *("min_test_examples", "min_training_examples", "cheaper_by", "faster_by", "max_age_days"),
    *("economics.min_monthly_saving_usd", "economics.max_break_even_days"),
)
"""Keys that a check of a gate that was judged to its end holds to whenever they are written."""
_ENDS = {"min": "at least", "max": "at most"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that was asked for: a number or a word, and the key by which it compares with others."""

    value: Any
    key: str
    share: bool = False

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        return show_percent(self.value) if self.key == "confidence" else show_amount(self.value, share=self.share)

    def asks_less_than(self, before: Asked) -> bool:
        """Whether this asks for less, or for something that cannot be compared: a metric has no direction."""
        comparison = comparison_of(before.key)
        try:
            return comparison is None or comparison.asks_less(before.value, self.value)
        except ValueError:  # a word that is not known here
            return True


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that is not as it was; ``worse`` and ``loosened`` count."""

    what: str
    said: str
    mark: Mark = ""


def shifts(before: GateResult, after: GateResult) -> Iterator[Move]:
    """What ``after`` asks for that ``before`` did not, and the other way round.

    A threshold that is absent was removed only where the gate was judged to its end: a report tells many thresholds by
    the checks that held to them.
    """
    old, new = asked(before), asked(after)
    # Some come and go with the objective, which is compared by itself.
    other = ("margin", "max_drop") if old["objective"].value != new["objective"].value else ()
    for key in dict.fromkeys((*old, *new)):
        if key not in new:
            if _judged_to_its_end(after) and key not in other:
                yield Move(key, f"{old[key]} -> removed", "loosened")
        elif key not in old:
            if _judged_to_its_end(before) and key not in other:
                yield Move(key, f"none -> {new[key]}", "stricter")
        elif old[key].value != new[key].value and not (key == "evidence" and other):
            loosened = new[key].asks_less_than(old[key])
            yield Move(key, f"{old[key]} -> {new[key]}", "loosened" if loosened else "stricter")
    for said in set(after.loosened) - set(before.loosened):
        yield Move("a mark asks for less than the file", f"no -> {said}", "loosened")


def _judged_to_its_end(gate: GateResult) -> bool:
    """The models answered and were compared, so that every check that the gate has was made."""
    return (gate.baseline.value if gate.stage == "ready" else gate.gain) is not None and gate.verdict != "error"


def asked(gate: GateResult) -> dict[str, Asked]:
    """Return all that a report tells of what its gate asked for, by key."""
    found: dict[str, Asked] = {}
    counted = [int(_number(check.observed) or 1) for check in gate.checks if check.name == "choice"]
    candidates = max(len(gate.candidates), *counted, 1)  # at the stage ready only a check tells their number

    def add(name: str, value: Any, share: bool = False, key: str | None = None) -> None:
        if value is not None:
            found[name] = Asked(value, key or name, share)

    def add_confidence(name: str, value: float | None) -> None:
        """The gate's own: of several candidates each is judged at one that leaves it for all of them together."""
        add(name, None if value is None else round(1 - (1 - value) * candidates, 9), key="confidence")

    add("objective", gate.objective or "beat")
    add("stage", gate.stage or "accept")
    add("metric", gate.metric)
    add("margin", gate.margin, is_share(gate.metric_range))
    add("max_drop", gate.max_drop, is_share(gate.metric_range))
    add("evidence", gate.evidence)
    add_confidence("confidence", gate.confidence)
    for check in gate.checks:
        held_to = check.threshold or Threshold(check.name, check.required)  # an earlier report tells no key
        if held_to.key in _CHECKED:
            add(held_to.key, _number(held_to.value))
        elif check.name.startswith("require."):
            for end, value in _ends(check).items():
                name, one = f"{check.name} {_ENDS[end]}", Asked(value, f"require[0].{end}")
                if name not in found or found[name].asks_less_than(one):  # of several limits the tightest counts
                    found[name] = one
    for guard in gate.guards:
        name = f"guards.{guard.name}"
        add(f"{name}.max_drop", guard.max_drop, is_share(guard.metric_range))
        add(f"{name}.evidence", guard.evidence)
        add_confidence(f"{name}.confidence", guard.confidence)
        add(f"{name}.metric", guard.metric)
    for field in sorted({part.field for part in gate.slices}):
        add(f"slices by {field}", "judged")
    return found


def _ends(check: Check) -> Mapping[str, float]:
    """Return the limits that a bound holds to."""
    if check.threshold is None:
        return {}
    value, end = check.threshold.value, check.threshold.key.rpartition(".")[2]
    limits = value if isinstance(value, Mapping) else {end: value}
    return {end: number for end in _ENDS if (number := _number(limits.get(end))) is not None}


def _number(value: Any) -> float | None:
    """Return a fact that may be anything, where it is a number."""
    return float(value) if isinstance(value, int | float) and abs(value) <= FARTHEST else None
