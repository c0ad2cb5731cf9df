"""JSON as its standard has it (RFC 8259): no NaN, no key twice, true is not 1."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: the text is not JSON, holds NaN or an infinity, or an object with the same key twice.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object has the same key twice")
    return made


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def json_equal(a: Any, b: Any, normalize: Callable[[str], str]) -> bool:
    """Whether two JSON values are the same.

    Objects are, whatever the order of their keys; 1 and 1.0 are; NaN and infinities equal nothing; text values (not
    keys) are compared after ``normalize``.

    Raises:
        RecursionError: the values are nested too deeply.
    """
    if isinstance(a, str) and isinstance(b, str):
        return normalize(a) == normalize(b)
    if isinstance(a, bool) or isinstance(b, bool) or a is None:
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b and _finite(a)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(json_equal(a[key], b[key], normalize) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(json_equal(x, y, normalize) for x, y in zip(a, b, strict=True))
    return False


def _finite(number: float) -> bool:
    return isinstance(number, int) or math.isfinite(number)
