"""The thresholds of a gate, from its report, and where a later report has weaker ones."""

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
"""Keys that, if set, have a check in every gate that was judged to its end."""
_ENDS = ("min", "max")


@dataclass(frozen=True, slots=True)
class Asked:
    """One threshold, a number or a word, and the key that defines how it compares with others."""

    value: Any
    key: str
    share: bool = False

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        return show_percent(self.value) if self.key == "confidence" else show_amount(self.value, share=self.share)

    def asks_less_than(self, before: Asked) -> bool:
        """Return whether this is weaker, or cannot be compared (a metric has no direction)."""
        comparison = comparison_of(before.key)
        try:
            return comparison is None or comparison.asks_less(before.value, self.value)
        except ValueError:  # an unknown word
            return True


@dataclass(frozen=True, slots=True)
class Move:
    """One change; ``worse`` and ``loosened`` make the gate worse."""

    what: str
    text: str
    mark: Mark = ""


def shifts(before: GateResult, after: GateResult) -> Iterator[Move]:
    """Yield the thresholds that differ between two results of a gate.

    An absent one counts as removed only if the gate was judged to its end: many are only reported by their checks.
    """
    old, new = asked(before), asked(after)
    # Where one replaces the other, the margin says which is stricter.
    other = ("max_drop",) if (before.max_drop is None) != (after.max_drop is None) else ()
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
    for text in set(after.loosened) - set(before.loosened):
        yield Move("marker weaker than the file", f"no -> {text}", "loosened")


def _judged_to_its_end(gate: GateResult) -> bool:
    """Return whether the models were compared, so that all checks of the gate were made."""
    return (gate.baseline.value if gate.stage == "ready" else gate.gain) is not None and gate.verdict != "error"


def asked(gate: GateResult) -> dict[str, Asked]:
    """Return all thresholds of a gate that its report contains, by key."""
    found: dict[str, Asked] = {}

    def add(name: str, value: Any, share: bool = False, key: str | None = None) -> None:
        if value is not None:
            found[name] = Asked(value, key or name, share)

    add("stage", gate.stage or "accept")
    add("metric", gate.metric)
    add("margin", gate.margin, is_share(gate.metric_range))
    add("max_drop", gate.max_drop, is_share(gate.metric_range))
    add("evidence", gate.evidence)
    add("confidence", gate.confidence)
    for check in gate.checks:
        held_to = check.threshold or Threshold(check.name, check.required)  # an earlier report has no key
        if held_to.key in _CHECKED:
            add(held_to.key, _number(held_to.value))
        elif check.name.startswith("thresholds."):
            for end, value in _ends(check).items():
                add(f"{check.name}.{end}", value)
    for guard in gate.guards:
        name = f"guards.{guard.name}"
        add(f"{name}.max_drop", guard.max_drop, is_share(guard.metric_range))
        add(f"{name}.confidence", guard.confidence, key="confidence")
        add(f"{name}.metric", guard.metric)
    for field in sorted({part.field for part in gate.slices}):
        add(f"slices by {field}", "judged")
    return found


def _ends(check: Check) -> Mapping[str, float]:
    """Return the limits of a bound, by "min" and "max"."""
    if check.threshold is None:
        return {}
    value, end = check.threshold.value, check.threshold.key.rpartition(".")[2]
    limits = value if isinstance(value, Mapping) else {end: value}
    return {end: number for end in _ENDS if (number := _number(limits.get(end))) is not None}


def _number(value: Any) -> float | None:
    """Return a value as a number; None if it is not one."""
    return float(value) if isinstance(value, int | float) and abs(value) <= FARTHEST else None
