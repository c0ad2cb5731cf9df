"""YAML as a gate file may use it: plain data of which every key knows its line, and no surprises.

Scalars follow the core schema of YAML 1.2, so that ``1e-2`` is a number and ``1:30`` is text. What readers of
YAML 1.1 and 1.2 understand differently (``yes``, dates, ``010``) is refused, and so is all that would run code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pytest_ftgate.data.lines import is_endless
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.text import KeyPath, cut, dotted, quoted

MOST_VALUES = 100_000
"""How many values a file may hold once its aliases are written out: anchors can double it in every line."""
DEEPEST = 50
"""How many levels may be nested: far above any gate, far below the depth at which Python gives up."""

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:.*)?")


@dataclass(frozen=True)
class Node:
    """A value of the file, and where it and its parts stand.

    Attributes:
        value: plain data: dict, list, text, number, boolean or None.
        line: the line on which the value begins, counted from 1.
        parts: of a mapping or list: each key or position with its line and its value's node.
        size: how many values it holds, itself included, with aliases written out.
        height: how many levels lie below it.
    """

    value: Any
    line: int
    parts: Mapping[str | int, tuple[int, Node]] = field(default_factory=dict)
    size: int = 1
    height: int = 0

    def line_of(self, path: KeyPath) -> int:
        """The line of the key at ``path``; of the nearest key above it where it does not exist."""
        line, node = self.line, self
        for part in path:
            if part not in node.parts:
                break
            line, node = node.parts[part]
        return line


def read_yaml(path: Path, content: bytes | None = None) -> Node:
    """Read a file that must hold one YAML mapping.

    Args:
        path: the file.
        content: what it held at another time; None: what it holds now.

    Raises:
        ConfigError: with the file, line and key, whatever is wrong with it.
    """
    text = _decoded(_content_of(path) if content is None else content, path)
    root = _Composer(text, shown_path(path)).document()
    if root is None or root.value is None:
        raise ConfigError("the gate file is empty", where=Where(shown_path(path)), cure="begin it with: version: 1")
    if not isinstance(root.value, dict):
        raise ConfigError("the gate file must be a mapping of keys to values", where=Where(shown_path(path), root.line))
    return root


def _content_of(path: Path) -> bytes:
    if is_endless(path):
        raise ConfigError("the gate file is a device or a pipe, not a file", where=Where(shown_path(path)))
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError("there is no such gate file", where=Where(shown_path(path))) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"the gate file cannot be read: {reason}", where=Where(shown_path(path))) from None


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"not UTF-8: byte 0x{content[error.start]:02x} cannot be read",
            where=Where(shown_path(path), line),
            cure="save the file as UTF-8",
        ) from None


class _Composer:
    """Builds nodes from the parser's events; PyYAML's own constructors are never reached."""

    def __init__(self, text: str, shown: str) -> None:
        import yaml

        self._yaml = yaml
        self._shown = shown
        self._anchors: dict[str, Node | None] = {}  # None while the anchored value is still being read
        try:
            self._loader = yaml.SafeLoader(text)
        except yaml.YAMLError as error:
            self._refuse_syntax(error, text)

    def document(self) -> Node | None:
        """The file's only document; None where there is none."""
        self._next()
        if isinstance(self._next(), self._yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), ())
        self._next()
        following = self._next()
        if not isinstance(following, self._yaml.StreamEndEvent):
            self._refuse("a second document begins here; a gate file is one document", following)
        return root

    def _next(self) -> Any:
        try:
            return self._loader.get_event()  # type: ignore[no-untyped-call]
        except self._yaml.YAMLError as error:
            self._refuse_syntax(error)
        except (ValueError, OverflowError):
            # PyYAML lets "\UFFFFFFFF" and its like through to chr() and int().
            line = self._loader.get_mark().line + 1
            raise ConfigError("not a valid escape or number", where=Where(self._shown, line)) from None

    def _node(self, event: Any, path: KeyPath) -> Node:
        if len(path) > DEEPEST:
            self._refuse(f"nested more than {DEEPEST} levels deep", event, path[:3])
        if isinstance(event, self._yaml.AliasEvent):
            return self._aliased(event, path)
        self._refuse_tag(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node = self._untagged(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _untagged(self, event: Any, path: KeyPath) -> Node:
        if isinstance(event, self._yaml.MappingStartEvent):
            return self._mapping(event, path)
        if isinstance(event, self._yaml.SequenceStartEvent):
            return self._sequence(event, path)
        return Node(self._scalar(event, path), _line(event))

    def _aliased(self, event: Any, path: KeyPath) -> Node:
        if event.anchor not in self._anchors:
            self._refuse(f"the alias *{cut(event.anchor)} has no anchor before it", event, path)
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(f"the alias *{cut(event.anchor)} stands inside its own anchor", event, path)
        if len(path) + node.height > DEEPEST:
            self._refuse(f"nested more than {DEEPEST} levels deep by aliases", event, path)
        return node

    def _sequence(self, start: Any, path: KeyPath) -> Node:
        parts: dict[str | int, tuple[int, Node]] = {}
        while not isinstance(event := self._next(), self._yaml.SequenceEndEvent):
            parts[len(parts)] = _line(event), self._node(event, (*path, len(parts)))
        return self._container([node.value for _, node in parts.values()], start, parts, path)

    def _mapping(self, start: Any, path: KeyPath) -> Node:
        parts: dict[str | int, tuple[int, Node]] = {}
        while not isinstance(event := self._next(), self._yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in parts:
                self._refuse(
                    f"this key is given twice: on line {parts[key][0]} and on line {_line(event)}",
                    event,
                    (*path, key),
                )
            parts[key] = _line(event), self._node(self._next(), (*path, key))
        return self._container({key: node.value for key, (_, node) in parts.items()}, start, parts, path)

    def _container(self, value: Any, start: Any, parts: Mapping[str | int, tuple[int, Node]], path: KeyPath) -> Node:
        size = 1 + sum(node.size for _, node in parts.values())
        if size > MOST_VALUES:
            self._refuse(f"more than {MOST_VALUES:,} values, aliases written out", start, path)
        height = 1 + max((node.height for _, node in parts.values()), default=0)
        return Node(value, _line(start), parts, size, height)

    def _key(self, event: Any, path: KeyPath) -> str:
        if not isinstance(event, self._yaml.ScalarEvent):
            self._refuse("a key must be text, not a list, a mapping or an alias", event, path)
        self._refuse_tag(event, path)
        if event.value == "<<" and event.style is None:
            self._refuse("merge keys (<<) are not supported: write the keys out", event, path)
        key = self._scalar(event, path)
        if not isinstance(key, str):
            self._refuse(f"the key {event.value} is not text: quote it", event, path)
        return key

    def _refuse_tag(self, event: Any, path: KeyPath) -> None:
        if event.tag is not None:
            self._refuse(f"the YAML tag {quoted(event.tag)} is refused: a gate file is plain data", event, path)

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        text: str = event.value
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse("half of a character pair (a lone surrogate) is not text", event, path)
        if event.style is not None:
            return text
        ambiguity = _ambiguity(text)
        if ambiguity:
            self._refuse(ambiguity, event, path)
        try:
            return plain_value(text)
        except ValueError:  # Python reads no integer of many thousand digits
            self._refuse("a number with too many digits", event, path)

    def _refuse(self, what: str, event: Any, path: KeyPath = ()) -> NoReturn:
        raise ConfigError(what, where=Where(self._shown, _line(event), dotted(path) or None))

    def _refuse_syntax(self, error: Exception, text: str = "") -> NoReturn:
        # Only what is wrong and where: PyYAML's own text would show the lines around it, secrets included.
        mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is not None:
            line, problem = mark.line + 1, str(getattr(error, "problem", None) or "not valid here")
        else:
            position = getattr(error, "position", 0)
            line, problem = text.count("\n", 0, position) + 1, "a control character, which YAML does not allow"
        raise ConfigError(f"not valid YAML: {problem[:200]}", where=Where(self._shown, line)) from None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _ambiguity(text: str) -> str | None:
    """Why readers of YAML 1.1 and 1.2 would not agree on an unquoted scalar that one of them may well meet."""
    boolean = _YES_NO.get(text.lower())
    if boolean:
        return (
            f"unquoted {text} is a boolean to some readers of YAML and text to others: "
            f"quote it ('{text}'), or write {boolean}"
        )
    if _DATE.fullmatch(text):
        return f"unquoted {cut(text)} is a date to some readers of YAML and text to others: quote it"
    if _LEADING_ZERO.fullmatch(text):
        return f"unquoted {cut(text)} is an octal number to some readers of YAML: remove the leading 0, or quote it"
    return None


def plain_value(text: str) -> Any:
    """The value of an unquoted scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text, 8) if text.startswith("0o") else int(text, 16 if text.startswith("0x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text
