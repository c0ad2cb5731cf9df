"""What a gate asked for, as its report tells it, and where a later report asks for less."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_ftgate.cli.report_file import Facts
from pytest_ftgate.text import is_share, show_amount

Direction = Literal["loosened", "stricter"]

_EVIDENCE = ("observed", "significant", "proven")
_DROP_EVIDENCE = ("significant", "observed", "proven")
"""From the weakest on: of a drop "significant" also lets one pass that is too large and may be chance."""
_LOWER_IS_STRICTER = ("max_drop", "max_break_even_days", "at most")
_CHECKED = (
    *("min_test_examples", "min_training_examples", "cheaper_by", "faster_by"),
    *("economics.min_monthly_saving_usd", "economics.max_break_even_days"),
)
_LIMIT = re.compile(r"\b(at least|at most) (-?[0-9][0-9.,e+-]*)( %)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that was asked for.

    Attributes:
        shown: as people read it.
        value: a number, or a word.
        weakest_first: the words in their order; none where numbers or anything else is compared.
    """

    shown: str
    value: Any
    weakest_first: Sequence[str] = ()


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
            loosened = _is_less(key, old[key], new[key])
            yield Shift(key, old[key].shown, new[key].shown, "loosened" if loosened else "stricter")
    for said in set(_texts(after, "loosened")) - set(_texts(before, "loosened")):
        yield Shift("a mark asks for less than the file", "no", said, "loosened")


def judged_to_its_end(gate: Facts) -> bool:
    """The models answered and were compared, so that every check that the gate has was made."""
    ready = gate.text("stage") == "ready"
    value = gate.part("baseline").number("value") if ready else gate.number("gain")
    return value is not None and gate.text("verdict") != "error"


def asked(gate: Facts) -> dict[str, Asked]:
    """All that a report tells of what its gate asked for, by key."""
    share = is_share(gate.range("metric_range"))
    found = {
        "objective": _word(gate.text("objective") or "beat", ("match", "beat")),
        "stage": _word(gate.text("stage") or "accept", ("ready", "accept")),
        "metric": _word(gate.text("metric")),
        "margin": _amount(gate.number("margin"), share),
        "max_drop": _amount(gate.number("max_drop"), share),
        "evidence": _word(gate.text("evidence"), _EVIDENCE),
        "confidence": _confidence(gate.number("confidence"), _chosen_from(gate)),
    }
    for check in gate.parts("checks"):
        name = check.text("name") or ""
        if name in _CHECKED:
            found[name] = _amount(check.number("required"), share=False)
        elif name.startswith("require."):
            _tighten(found, name, check.text("message") or "")
    for guard in gate.parts("guards"):
        found |= _guard(guard, _chosen_from(gate))
    fields = sorted({part.text("field") or "" for part in gate.parts("slices")})
    found |= {f"slices by {field}": _word("judged") for field in fields}
    return {key: one for key, one in found.items() if one is not None}


def _guard(guard: Facts, candidates: int) -> Mapping[str, Asked | None]:
    name, share = f"guards.{guard.text('name')}", is_share(guard.range("metric_range"))
    return {
        f"{name}.max_drop": _amount(guard.number("max_drop"), share),
        f"{name}.evidence": _word(guard.text("evidence"), _DROP_EVIDENCE),
        f"{name}.confidence": _confidence(guard.number("confidence"), candidates),
        f"{name}.metric": _word(guard.text("metric")),
    }


def _word(word: str | None, weakest_first: Sequence[str] = ()) -> Asked | None:
    return None if word is None else Asked(word, word, weakest_first)


def _amount(value: float | None, share: bool) -> Asked | None:
    return None if value is None else Asked(show_amount(value, share=share), value)


def _confidence(value: float | None, candidates: int) -> Asked | None:
    """The gate's own: of several candidates each is judged at one that leaves it for all of them together."""
    if value is None:
        return None
    own = round(1 - (1 - value) * candidates, 9)
    return Asked(f"{100 * own:g} %", own)


def _chosen_from(gate: Facts) -> int:
    """The number of candidates; at the stage ready only a check tells it."""
    told = [check.number("observed") for check in gate.parts("checks") if check.text("name") == "choice"]
    return max(len(gate.parts("candidates")), *(int(count or 1) for count in told), 1)


def _tighten(found: dict[str, Asked | None], name: str, message: str) -> None:
    """The limits of one bound, of which a check's message tells both; of several on one value the tightest counts."""
    _, _, limits = message.rpartition("asked for ")
    for word, digits, percent in _LIMIT.findall(limits):
        try:
            value = float(digits.rstrip(".,").replace(",", "")) / (100 if percent else 1)
        except ValueError:
            continue
        key, known = f"{name} {word}", found.get(f"{name} {word}")
        tightest = max if word == "at least" else min
        if known is None or tightest(known.value, value) != known.value:
            found[key] = Asked(f"{digits.rstrip('.,')}{percent}", value)


def _is_less(key: str, old: Asked, new: Asked) -> bool:
    order = new.weakest_first
    if old.value in order and new.value in order:
        return order.index(new.value) < order.index(old.value)
    if isinstance(new.value, str):
        return True
    return bool(new.value > old.value if key.endswith(_LOWER_IS_STRICTER) else new.value < old.value)


def _other_objective(key: str, old: Mapping[str, Asked], new: Mapping[str, Asked]) -> bool:
    """Whether a threshold comes and goes with the objective, which is compared by itself."""
    return key in ("margin", "max_drop") and old["objective"].value != new["objective"].value


def _texts(gate: Facts, name: str) -> list[str]:
    value = gate.values.get(name)
    return [str(one) for one in value] if isinstance(value, list) else []
