"""One row of a data set, whatever its format, becomes one example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ftgate.data.columns import Columns, check_columns, is_chat
from pytest_ftgate.data.example import Example, Input, content_id
from pytest_ftgate.data.messages import checked_calls, checked_messages, split_conversation
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import kind_of, listed

_ABSENT: Any = object()


def examples_of(
    path: str,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    fields: Mapping[str, str],
    *,
    chat: bool | None,
    labeled: bool,
) -> Iterator[tuple[int, Example]]:
    """Give each row's line and example. ``chat`` None: as the first row is, so are all."""
    columns = None if chat is None else Columns.of(fields, chat=chat, labeled=labeled)
    for line, row in rows:
        try:
            columns = columns or Columns.of(fields, chat=is_chat(row, fields), labeled=labeled)
            yield line, example_from_row(row, columns)
        except DataError as error:
            raise located(error, Where(path=path, line=line)) from None


def example_from_row(row: Mapping[str, Any], columns: Columns) -> Example:
    """Return the example that a row of JSON values holds; errors lack file and line."""
    check_columns(row, columns)
    column = columns.column
    if columns.chat:
        second = next((name for name in ("input", "expected") if name in row), None)
        if second is not None:
            raise DataError(
                f'the row has "messages" and "{second}": which of the two counts is not said',
                evidence=f"found: {listed(row)}",
                cure="remove one, or make the messages the input: format: jsonl, fields: {input: messages}",
            )
        given: Any
        expected: Any
        given, expected = split_conversation(row[column["messages"]], column["messages"])
    else:
        given = _checked_input(row[column["input"]], column["input"])
        expected = _checked_expected(row.get(column["expected"]), column["expected"], labeled=columns.labeled)
    return Example(
        id=_checked_id(row.get(column["id"], _ABSENT), column["id"], given),
        input=given,
        expected=expected,
        group=_checked_group(row.get(column["group"]), column["group"]),
        fields=columns.further_fields(row),
    )


def checked_example(parts: Mapping[str, Any], *, labeled: bool) -> Example:
    """Return an example from its five parts by their own names, which may be of any JSON type."""
    given = _checked_input(parts["input"], "input")
    if not isinstance(parts["fields"], dict):
        raise DataError(f"must be a mapping, is {kind_of(parts['fields'])}", where=Where(key="fields"))
    return Example(
        id=_checked_id(parts["id"], "id", given),
        input=given,
        expected=_checked_expected(parts["expected"], "expected", labeled=labeled),
        group=_checked_group(parts["group"], "group"),
        fields=parts["fields"],
    )


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return checked_messages(value, key)
    raise DataError(f"must be text or a list of messages, is {kind_of(value)}", where=Where(key=key))


def _checked_expected(value: Any, key: str, *, labeled: bool) -> Any:
    if value is None and labeled:
        cure = 'write the output, or "" where no text is expected'
        raise DataError("is null: an example needs an expected output", where=Where(key=key), cure=cure)
    if isinstance(value, list) and value and all(isinstance(one, dict) and "function" in one for one in value):
        return checked_calls(value, key)
    return "" if value is None else value


def _checked_id(value: Any, key: str, given: Input) -> str:
    if value is _ABSENT:
        return content_id(given)
    text = _text_of(value, key)
    if not text.strip():
        cure = "write an id, or leave it out of all rows and ids are made from the inputs"
        raise DataError("is blank", where=Where(key=key), cure=cure)
    return text


def _checked_group(value: Any, key: str) -> str | None:
    """Read a group; a blank cell of a table says that the row belongs to none."""
    text = None if value is None else _text_of(value, key)
    return text if text and text.strip() else None


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"must be text or an integer, is {kind_of(value)}", where=Where(key=key))
