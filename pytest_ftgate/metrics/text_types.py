"""Whether a text is JSON, YAML, XML or CSV, read strictly and safely: it comes from a model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pytest_ftgate.data.strict_json import parse_json

MOST_YAML = 200_000
"""Characters of a YAML answer: what is longer would keep its parser busy for long, and is refused."""
_DEEPEST = 200
_TOO_DEEP = "nested too deeply"
_REFUSED = {
    "document": "more than one document",
    "depth": _TOO_DEEP,
    "tag": "tags and aliases are refused",
    "alias": "tags and aliases are refused",
    "key": "a key that is no text",
    "merge": "a merge key (<<)",
    "twice": "a key given twice",
    "escape": "an escape that is no character",
}
"""What is said of YAML that is valid and not plain, by the kind of problem."""


def read_yaml(text: str) -> Any:
    """Return the mapping or list that a YAML text holds; plain scalars are read by the core schema of YAML 1.2.

    Nearly every text is a scalar in YAML, so that a scalar alone does not count. Tags, aliases, merge keys, keys
    that are no plain text or given twice, and a second document are refused.

    Raises:
        ValueError: it is none, and why.
    """
    from pytest_ftgate.config.yaml_nodes import YamlError, compose

    if len(text) > MOST_YAML:
        raise ValueError(f"longer than {MOST_YAML:,} characters")
    try:
        root = compose(text, deepest=_DEEPEST, strict=False, aliases=False)
    except YamlError as error:
        raise ValueError(_REFUSED.get(error.kind) or f"{error.what} (line {error.line})") from None
    if root is None:
        raise ValueError("no value")
    if not isinstance(root.value, dict | list):
        raise ValueError("a scalar, where a mapping or a list is asked for")
    return root.value


def check_xml(text: str) -> None:
    """Raise :class:`ValueError` unless the text is one well-formed XML document without a document type.

    A document type is where entities are declared, which can grow without bounds or name files.
    """
    from xml.parsers import expat  # no document type gets through, and so no entity of its own

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"{expat.ErrorString(error.code)} (line {error.lineno})") from None


def _refuse_doctype(*_: object) -> NoReturn:
    raise ValueError("a document type (DTD) is refused")


def check_csv(text: str) -> None:
    """Raise :class:`ValueError` unless the text is CSV (RFC 4180) of rows of one length, and of at least two columns:
    with one every line of prose would be CSV.
    """
    try:
        rows = [len(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not rows or rows[0] < 2:
        raise ValueError("fewer than two columns" if rows else "no row")
    ragged = next((number for number, width in enumerate(rows, 1) if width != rows[0]), None)
    if ragged is not None:
        raise ValueError(f"row {ragged} has {rows[ragged - 1]} columns, the first has {rows[0]}")


READERS: Mapping[str, Callable[[str], Any]] = {
    "json": parse_json,
    "yaml": read_yaml,
    "xml": check_xml,
    "csv": check_csv,
}
"""What reads a text of each type, or raises :class:`ValueError`."""
