"""Find the rows in a file that is one JSON object, as many tools write their results."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from pytest_ftgate.errors import DataError
from pytest_ftgate.text import excerpt, kind_of

Row = Mapping[str, Any]


class RowForm(Protocol):
    """A form of rows.

    Attributes:
        name: what messages call it.
        in_lists: one file holds such rows in several lists, which belong together.
    """

    @property
    def name(self) -> str: ...
    @property
    def in_lists(self) -> bool: ...


FormOf = Callable[[Row], RowForm | None]
"""Return the form of a row; None for rows of no form that is known by its keys."""


class PlacedRow(NamedTuple):
    """A row of a document, and its place there: ``results.results[3]``."""

    place: str
    values: Row


def rows_in(document: Row, form_of: FormOf) -> list[PlacedRow] | None:
    """Return the rows of a document: of a table, or in lists of objects; None if it has none.

    Raises:
        DataError: it holds several lists of rows, of which one must be named.
    """
    if {"columns", "data"} <= document.keys():
        return list(_rows_of_table(document))

    lists = dict(_lists_in(document))
    if not lists:
        return None
    if len(lists) > 1:
        lists = _of_one_form(lists, form_of)
    rows = []
    for path, items in lists.items():
        for number, item in enumerate(items):
            rows.append(PlacedRow(f"{path}[{number}]", _checked_row(item, path, number)))
    return rows


def _lists_in(document: Row, above: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the path of each list that begins with an object, and the list."""
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield above + key, value
        elif isinstance(value, Mapping):
            yield from _lists_in(value, f"{above}{key}.")


def _of_one_form(lists: dict[str, list[Any]], form_of: FormOf) -> dict[str, list[Any]]:
    """Return the lists whose rows have a form that is known."""
    forms = {}
    for path, rows in lists.items():
        form = form_of(rows[0])
        if form is not None:
            forms[path] = form
    if len(forms) == 1 or (forms and _belong_together(list(forms.values()))):
        return {path: lists[path] for path in forms}

    paths = []
    for path in forms or lists:
        paths.append(f"{path} ({forms[path].name})" if path in forms else path)
    message = f"the object holds {len(paths)} lists of rows: {', '.join(paths)}"
    raise DataError(message, cure="write the rows that are meant to a file of their own")


def _belong_together(forms: list[RowForm]) -> bool:
    return forms[0].in_lists and all(form == forms[0] for form in forms)


def _rows_of_table(document: Row) -> Iterator[PlacedRow]:
    """Yield the rows of a table with ``columns`` and ``data``, as pandas and MLflow write it."""
    columns = document["columns"]
    for number, cells in enumerate(document["data"] or ()):
        if not isinstance(cells, list) or len(cells) != len(columns):
            message = f"row {number} of data has other cells than the {len(columns)} columns"
            raise DataError(message, evidence=f"found: {excerpt(str(cells))}")
        yield PlacedRow(f"row {number}", dict(zip(columns, cells, strict=True)))


def _checked_row(item: Any, path: str, number: int) -> Row:
    if not isinstance(item, Mapping):
        raise DataError(f"{path}[{number}] must be a JSON object, got {kind_of(item)}")
    return item
