"""Which way a key asks for less: said once, in the type of the key, for all who compare two gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel

Direction = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Weaker:
    """How values of a key compare, as a part of its type: ``Annotated[int, Weaker("lower")]``."""

    direction: Direction | None
    """In which a value asks for less; None where values have no order, and to write the key at all does."""
    order: tuple[str, ...] = ()
    """The words that may be written, the weakest first; none where numbers are compared."""
    unwritten: str | None = None
    """What messages call the key while it is not written, where that asks for most; None: it asks for nothing then."""

    def asks_less(self, before: Any, after: Any) -> bool:
        """Return whether ``after`` asks for less than ``before``. None stands for a key that is not written."""
        if before is None or after is None:
            written_now, asks_most = before is None and after is not None, self.unwritten is not None
            return written_now if asks_most else before is not None and after is None
        if self.direction is None:
            return False
        old, new = (self.order.index(value) if self.order else value for value in (before, after))
        return bool(new < old if self.direction == "lower" else new > old)


def words(*weakest_first: str) -> Weaker:
    """Return what is said of a key whose values are words."""
    return Weaker("lower", weakest_first)


def thresholds(keys: type[BaseModel]) -> dict[str, Weaker]:
    """Return the keys of one mapping that can be compared, in the order in which they are declared."""
    said = {name: [one for one in info.metadata if isinstance(one, Weaker)] for name, info in keys.model_fields.items()}
    return {name: found[0] for name, found in said.items() if found}


def comparison_in(keys: type[BaseModel], path: str) -> Weaker | None:
    """Return how values of a key compare, as ``guards.refunds.max_drop`` or ``require[0].min``; None: not at all.

    Names of guards may hold dots, so that every part after a dot may be the key.
    """
    comparable = thresholds(keys)
    if path in comparable:
        return comparable[path]
    for name, info in keys.model_fields.items():
        rest = path.removeprefix(name)
        inner = _keys_in(info.annotation)
        if inner is None or rest == path:
            continue
        below = (rest[place + 1 :] for place, char in enumerate(rest) if char == ".")
        found = next(filter(None, (comparison_in(inner, part) for part in below)), None)
        if found:
            return found
    return None


def _keys_in(annotation: Any) -> type[BaseModel] | None:
    """Return the keys that a mapping or list of them holds, or the annotation itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_keys_in, get_args(annotation))), None)
