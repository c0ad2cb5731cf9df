"""Turn the rows of a data set, whatever its format, into examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pytest_ftgate.data.cells import Table, json_row
from pytest_ftgate.data.columns import Columns, Forms
from pytest_ftgate.data.example import Example, Input, content_id
from pytest_ftgate.data.messages import checked_calls, checked_messages
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import kind_of, plural

_ABSENT: Any = object()


def examples_of(
    rows: Iterable[tuple[int, Mapping[str, Any]] | DataError],
    place_of: Callable[[int], Where],
    forms: Forms,
    table: Table | None = None,
) -> Iterator[Example | DataError | None]:
    """Yield the example of each row, None if it is left out, or its error; ``table``: values are not JSON yet."""
    for found in rows:
        if isinstance(found, DataError):
            yield found
            continue
        number, row = found
        place = place_of(number)
        try:
            if table is not None:
                yield example_from_values(row, forms, place, table)
            else:
                yield example_from_row(row, forms.columns(row), place)
        except DataError as error:
            yield located(error, place)


def told_left_out(left_out: int) -> str:
    """Return how many rows are left out, and why."""
    return f"{plural(left_out, 'row')} left out: no turn of the assistant has a weight above 0"


def example_from_values(
    values: Mapping[Any, Any], forms: Forms, place: Where, table: Table | None = None
) -> Example | None:
    """Return the example in a row of Python values, of which those that are not used may be of any type."""
    row, bad = json_row(values, table)
    columns = forms.columns({**row, **bad} if bad else row)
    error = next((one for name, one in bad.items() if name in columns.taken), None)
    if error is not None:
        raise error
    return example_from_row(row, columns, place)


def example_from_row(row: Mapping[str, Any], columns: Columns, place: Where) -> Example | None:
    """Return the example in a row of JSON values, None if it is left out; errors lack file and line."""
    column = columns.column
    parts = columns.format.parts(row, column)
    if parts is None:
        return None
    given = _checked_input(parts.input, column.get("input", columns.format.keys[0]))
    fields = columns.further_fields(row)
    if parts.tools is not None:
        fields["tools"] = parts.tools
    return Example(
        id=_checked_id(row.get(column["id"], _ABSENT), column["id"], given),
        input=given,
        expected=_checked_expected(
            parts.expected, column.get("expected", columns.format.keys[-1]), labeled=columns.labeled
        ),
        group=_checked_group(row.get(column["group"]), column["group"]),
        fields=fields,
        place=place,
    )


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str | tuple):  # a tuple: messages that the format checked
        return value
    if isinstance(value, list):
        return checked_messages(value, key)
    raise DataError(f"must be text or a list of messages, got {kind_of(value)}", where=Where(key=key))


def _checked_expected(value: Any, key: str, *, labeled: bool) -> Any:
    if value is None and labeled:
        cure = 'write the output, or "" if the output should be empty'
        raise DataError("the expected output is null", where=Where(key=key), cure=cure)
    if isinstance(value, list) and value and all(isinstance(one, dict) and "function" in one for one in value):
        return checked_calls(value, key)
    return "" if value is None else value


def _checked_id(value: Any, key: str, given: Input) -> str:
    if value is _ABSENT:
        return content_id(given)
    text = _text_of(value, key)
    if not text.strip():
        cure = "write an id, or remove the ids from all rows: they are then made from the inputs"
        raise DataError("the id is blank", where=Where(key=key), cure=cure)
    return text


def _checked_group(value: Any, key: str) -> str | None:
    """Return the group; None where it is absent or blank."""
    text = None if value is None else _text_of(value, key)
    return text if text and text.strip() else None


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"must be text or an integer, got {kind_of(value)}", where=Where(key=key))
