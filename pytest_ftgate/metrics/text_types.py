"""Whether a text is JSON, YAML, XML or CSV, read strictly and safely: it comes from a model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from pytest_ftgate.data.strict_json import parse_json

MOST_YAML = 200_000
"""Characters of a YAML answer: what is longer would keep its parser busy for long, and is refused."""
_DEEPEST = 200
_TOO_DEEP = "nested too deeply"


def read_yaml(text: str) -> Any:
    """Return the mapping or list that a YAML text holds; plain scalars are read by the core schema of YAML 1.2.

    Nearly every text is a scalar in YAML, so that a scalar alone does not count. Tags, aliases, merge keys, keys
    that are no plain text or given twice, and a second document are refused.

    Raises:
        ValueError: it is none, and why.
    """
    import yaml

    if len(text) > MOST_YAML:
        raise ValueError(f"longer than {MOST_YAML:,} characters")
    try:
        roots = _yaml_values(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(_yaml_problem(error)) from None
    except OverflowError:  # PyYAML lets "\\UFFFFFFFF" and its like through to chr()
        raise ValueError("an escape that is no character") from None
    if len(roots) != 1:
        raise ValueError("more than one document" if roots else "no value")
    if not isinstance(roots[0], dict | list):
        raise ValueError("a scalar, where a mapping or a list is asked for")
    return roots[0]


def _yaml_problem(error: Any) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "a character not allowed"
    return f"{problem} (line {mark.line + 1})" if mark is not None else str(problem)


def _yaml_values(events: Iterable[Any]) -> list[Any]:
    """Return the value of each document; what is nested too deeply is not read to its end."""
    import yaml

    roots: list[Any] = []
    open_: list[_Container] = []
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            raise ValueError("tags and aliases are refused")
        if isinstance(event, yaml.CollectionEndEvent):
            value = open_.pop().value
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_) == _DEEPEST:
                raise ValueError(_TOO_DEEP)
            open_.append(_Container({} if isinstance(event, yaml.MappingStartEvent) else []))
            continue
        elif isinstance(event, yaml.ScalarEvent):
            value = _yaml_scalar(event)
        else:
            continue
        if open_:
            open_[-1].add(value)
        else:
            roots.append(value)
    return roots


def _yaml_scalar(event: Any) -> Any:
    from pytest_ftgate.config.yaml_file import plain_value

    return event.value if event.style is not None else plain_value(event.value)


class _Container:
    """A mapping or list that is being read: of a mapping, keys and values come in turn."""

    def __init__(self, value: dict[str, Any] | list[Any]) -> None:
        self.value = value
        self._key: str | None = None

    def add(self, part: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(part)
        elif self._key is None:
            self._key = self._checked_key(part)
        else:
            self.value[self._key] = part
            self._key = None

    def _checked_key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise ValueError("a key that is no text")
        if key == "<<" or key in self.value:
            raise ValueError("a merge key (<<)" if key == "<<" else "a key given twice")
        return key


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
    """Raise :class:`ValueError` unless the text is CSV (RFC 4180): rows of one length, of at least two columns.

    With one column every line of prose would be CSV.
    """
    try:
        rows = [len(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not rows:
        raise ValueError("no row")
    if rows[0] < 2:
        raise ValueError("fewer than two columns")
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
