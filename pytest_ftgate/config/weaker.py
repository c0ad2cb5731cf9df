"""The direction in which a key's value is weaker: declared once, in the key's type, for every comparison of gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Weaker:
    """How the values of a key compare, declared in its type: ``Annotated[int, Weaker("lower")]``."""

    direction: Literal["lower", "higher"] | None
    """The direction of weaker values; None if values have no order and setting the key at all is weaker."""
    order: tuple[str, ...] = ()  # the allowed words, the weakest first; empty for numbers
    unwritten: str | None = None
    """The value shown for an unset key whose absence is strictest; None if an unset key requires nothing."""

    def asks_less(self, before: Any, after: Any) -> bool:
        """Return whether ``after`` is weaker than ``before``. None stands for an unset key."""
        if before is None or after is None:
            if self.unwritten is None:
                return before is not None and after is None
            return before is None and after is not None
        if self.direction is None:
            return False
        old, new = (self.order.index(value) if self.order else value for value in (before, after))
        return bool(new < old if self.direction == "lower" else new > old)


def words(*weakest_first: str) -> Weaker:
    """Return the comparison of a key whose values are words."""
    return Weaker("lower", weakest_first)


def comparable(keys: type[BaseModel]) -> dict[str, Weaker]:
    """Return the comparable keys of a mapping, in the order of declaration."""
    fields = keys.model_fields.items()
    return {name: one for name, info in fields for one in info.metadata if isinstance(one, Weaker)}


def comparison_in(keys: type[BaseModel], path: str) -> Weaker | None:
    """Return how values of a key (``thresholds.f1.min``) compare; None if they do not."""
    found = comparable(keys).get(path)
    if found is not None:
        return found
    for name, info in keys.model_fields.items():
        rest = path.removeprefix(name)
        inner = _keys_in(info.annotation)
        if inner is None or rest == path:
            continue
        # Names may contain dots, so every part after a dot may be the key.
        below = (rest[place + 1 :] for place, char in enumerate(rest) if char == ".")
        found = next(filter(None, (comparison_in(inner, part) for part in below)), None)
        if found:
            return found
    return None


def _keys_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model class in an annotation, which may be a mapping or list of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_keys_in, get_args(annotation))), None)
