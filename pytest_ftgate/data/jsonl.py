"""JSON Lines: one JSON object on each line, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any, NoReturn

from pytest_ftgate.data.columns import Columns, is_chat
from pytest_ftgate.data.example import Example
from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.row import example_from_row
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

# Far below the depth at which Python's own JSON reader and writer give up.
_MAX_DEPTH = 100
_LOOKS = 'a row looks like this: {"input": "...", "expected": "..."}'


def read_jsonl(
    lines: Lines, fields: Mapping[str, str], *, chat: bool | None, labeled: bool = True
) -> Iterator[tuple[int, Example]]:
    """Give each row's line and example. ``chat`` None: as the first row is, so are all.

    A line of white space alone is not a row.
    """
    columns = None if chat is None else Columns.of(fields, chat=chat, labeled=labeled)
    for text in lines:
        if not text.strip():
            continue
        try:
            row = parse_object(text)
            columns = columns or Columns.of(fields, chat=is_chat(row, fields), labeled=labeled)
            yield lines.number, example_from_row(row, columns)
        except DataError as error:
            raise located(error, Where(path=lines.path, line=lines.number)) from None


def first_keys(lines: Lines) -> list[str]:
    """The keys of the first row; none in a file without rows."""
    for text in lines:
        if text.strip():
            try:
                return list(parse_object(text))
            except DataError as error:
                raise located(error, Where(path=lines.path, line=lines.number)) from None
    return []


def parse_object(text: str, cure: str = _LOOKS) -> dict[str, Any]:
    """Return the one JSON object of a text.

    Args:
        text: a row.
        cure: what is said where it is no object.

    Raises:
        DataError: without file and line. Besides broken JSON, what JSON readers disagree about is refused:
            NaN, infinity, a key given twice, half a surrogate pair.
    """
    try:
        row = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _broken(text, error) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise DataError("holds a number with too many digits", cure="write it as text") from None
    if not isinstance(row, dict):
        raise DataError(
            f"a row must be a JSON object, is {kind_of(row)}",
            evidence=f"found: {excerpt(text)}",
            cure=cure,
        )
    if text.count("[") + text.count("{") > _MAX_DEPTH and _depth(row) > _MAX_DEPTH:
        raise _too_deep()
    if "\\ud" in text or "\\uD" in text:
        _refuse_half_pairs(row)
    return row


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = {intern(key): value for key, value in pairs}  # equal keys of many rows share their memory
    if len(row) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(
            "the key is given twice in one object",
            where=Where(key=excerpt(twice)),
            cure="keep one of the two",
        )
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise DataError(f"{name} is not a JSON value", cure="write a number, or null where there is none")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise DataError(f"the number {excerpt(digits)} is too large", cure="write it as text")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite)


def _too_deep() -> DataError:
    return DataError(f"is nested more than {_MAX_DEPTH} levels deep")


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
    return depth


def _refuse_half_pairs(row: dict[str, Any]) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        escaped = error.object.encode("ascii", "backslashreplace").decode()
        raise DataError(
            "holds half a surrogate pair, not a character",
            evidence=f"found: {excerpt(escaped, escaped.find(chr(92) + 'ud'))}",
            cure="an emoji was cut in half: correct the text",
        ) from None


def _broken(text: str, error: json.JSONDecodeError) -> DataError:
    if _is_cut_off(text, error):
        return DataError(
            "the last line is cut off: its JSON object does not end",
            evidence=f"found: {excerpt(text, len(text))}",
            cure="write the file anew, or remove the line",
        )
    return DataError(
        f"is not JSON: {error.msg} at column {error.pos + 1}",
        evidence=f"found: {excerpt(text, error.pos)}",
        cure=_cure(text),
    )


def _is_cut_off(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the file ends within an object. Only a file's last line can lack the line feed."""
    if text.endswith("\n") or not text.lstrip().startswith("{"):
        return False
    rest = text.rstrip()
    return not rest.endswith("}") or error.pos >= len(rest) or error.msg.startswith("Unterminated string")


def _cure(text: str) -> str:
    if text.lstrip().startswith("["):
        return "this looks like one JSON array: write each of its objects on a line of its own"
    if "\r" in text.rstrip("\r\n"):
        return "the lines end in carriage returns alone: end them with line feeds"
    return "JSONL has one whole JSON object on each line"
