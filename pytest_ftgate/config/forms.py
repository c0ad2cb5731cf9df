"""How a key is written, and what a value of a wrong form was probably meant to say."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ftgate.data import SUFFIXES
from pytest_ftgate.text import cut, plain_number

_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*(:[\w./-]+)*")
"""Texts that YAML reads as text without quotes, wherever they stand."""

_WORDS = {
    "off": False,
    "no": False,
    "false": False,
    "none": False,
    "on": True,
    "yes": True,
    "true": True,
}
"""Words for a switch, which YAML or people take for one."""

_LEVELS = {"error": True, "strict": True, "disabled": False, "disable": False, "skip": False}
"""Words for the levels of a check in other tools."""

_SWITCHED = {True: ("auto", "fail"), False: (False, "ignore")}
"""What a switch means to the keys whose values are words."""

_QUANTITY = re.compile(r"[$€]? *(?P<number>-?\d[\d_]*([.,]\d+)?) *(?P<unit>%|k|x)?")
_FACTORS = {"%": 0.01, "k": 1000, "x": 1, None: 1}
_HOST = re.compile(r"[\w.-]+(:\d+)?(/[\w./-]*)?")

_ADDRESS = re.compile("https?://[^@?]+")
_OF_OPENAI = ("openai/", "gpt-", "ft:gpt-", "o3", "o4")


def meanings(value: Any) -> Iterator[Any]:
    """Yield what a value of a wrong form may mean, the likeliest first.

    A key accepts few of them, and most often none.
    """
    if isinstance(value, bool):
        yield from _SWITCHED[value]
    elif isinstance(value, int | float):
        yield from _numbers(value)
    elif isinstance(value, str):
        yield from _texts(value)
    elif isinstance(value, list | tuple) and len(value) == 1:
        yield value[0]
    elif isinstance(value, Mapping) and len(value) == 1:
        yield from value.values()


def _numbers(value: float) -> Iterator[Any]:
    if value == value // 1:
        yield int(value)
    if 10 <= value <= 100:
        yield round(value / 100, 10)
    elif 0 < value < 1:
        yield round(1 / value, 10)
        yield round(1 - value, 10)
    elif -1 < value < 0:
        yield -value


def _texts(value: str) -> Iterator[Any]:
    quantity = _QUANTITY.fullmatch(value.strip())
    if quantity is not None:
        # Three digits behind a comma are thousands, any others a fraction.
        digits = re.sub(r",(?=\d{3}$)|_", "", quantity["number"]).replace(",", ".")
        number = round(float(digits) * _FACTORS[quantity["unit"]], 10)
        yield int(number) if number == number // 1 else number
    is_on = {**_WORDS, **_LEVELS}.get(value.lower())
    if is_on is not None:
        yield from _SWITCHED[is_on]
    if _HOST.fullmatch(value):
        yield f"http://{value}"
    if function_in(value) is not None:
        yield function_in(value)
    if "," in value:
        yield [part.strip() for part in value.split(",")]
    yield [value]


def function_in(text: str) -> str | None:
    """Return ``pkg.mod:f`` for ``pkg/mod.py:f`` or ``pkg.mod.f``; None for other texts."""
    parts = re.fullmatch(r"\W*([\w./]+?)(?:\.py:|[.:])(\w+)", text)
    return f"{parts[1].replace('/', '.')}:{parts[2]}" if parts else None


def model_in(text: str, folder: Path) -> Any:
    """Return the model that a text without a provider is probably meant to be.

    None if that is not known; ``folder`` is where relative paths start.
    """
    path = text.removeprefix("file:").removeprefix("//")
    if ":" not in path and (path.lower().endswith(SUFFIXES) or os.path.isfile(folder / path)):
        return f"recorded:{path}"
    if _ADDRESS.fullmatch(text):
        return {"provider": "openai", "base_url": text, "model": "NAME"}
    if text.startswith(_OF_OPENAI):
        return f"openai:{text.removeprefix('openai/')}"
    function = function_in(text)
    if function is not None and not re.search(r"(?<!\.py):|[.:]\d", text):
        return f"python:{function}"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text) or os.path.isdir(folder / text):
        return f"transformers:{text}"
    return None


def form(key: str, value: Any, *, in_python: bool, is_keyword: bool) -> str:
    """Return a key with its value, ready to paste into a gate file or into Python code.

    ``is_keyword``: the key is an argument of the marker in Python.
    """
    if not in_python:
        return f"{key}: {_yaml(value)}"
    if is_keyword:
        return f"{key}={_python(value)}"
    return f'"{key}": {_python(value)}'


def _yaml(value: Any) -> str:
    """Return a value as it is written in one line of YAML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_yaml(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return cut(value)
    return _python(value) if isinstance(value, float) else json.dumps(value)


def _python(value: Any) -> str:
    """Return a value as it is written in Python."""
    if isinstance(value, Mapping):
        entries = [f"{_python(key)}: {_python(entry)}" for key, entry in value.items()]
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_python, value))}]"
    if isinstance(value, str):
        return json.dumps(cut(value), ensure_ascii=False)
    return plain_number(value) if isinstance(value, float) else repr(value)
