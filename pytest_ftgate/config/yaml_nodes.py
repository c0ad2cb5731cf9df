"""A strict YAML reader for gate files; its nodes know their lines.

Scalars follow the core schema of YAML 1.2, so ``1e-2`` is a number and ``1:30`` is text. Tags, duplicate keys, keys
that are not text, a second document, and values that YAML 1.1 and 1.2 read differently (``yes``, dates, ``010``) are
refused. PyYAML's constructors are never called, and nothing here is
recursive, so a deeply nested text cannot exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pytest_ftgate.text import KeyPath, cut, quoted

MOST_VALUES = 100_000  # maximum number of values once aliases are expanded: anchors can double the size with every line

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


class YamlError(Exception):
    """A text is refused. ``what`` does not quote the text, which may contain secrets; lines start at 1."""

    def __init__(self, what: str, line: int, path: KeyPath = ()) -> None:
        super().__init__(what)
        self.what, self.line, self.path = what, line, path


@dataclass(frozen=True)
class Node:
    """A value (plain data) with its line and those of its parts; lines start at 1."""

    value: Any
    line: int
    parts: Mapping[str | int, tuple[int, Node]] = field(default_factory=dict)  # by key or position, with its line
    size: int = 1  # number of values, itself included, with aliases expanded
    height: int = 0  # levels below it

    def line_of(self, path: KeyPath) -> int:
        """Return the line of the key at ``path``, or of the nearest existing key above it."""
        line, node = self.line, self
        for part in path:
            if part not in node.parts:
                break
            line, node = node.parts[part]
        return line


@dataclass
class _Open:
    """A mapping or list that is being read; in a mapping, keys and values alternate."""

    start: Any
    path: KeyPath
    is_mapping: bool
    parts: dict[str | int, tuple[int, Node]] = field(default_factory=dict)
    key: tuple[str, int] | None = None


def compose(text: str, *, deepest: int) -> Node | None:
    """Return the value of one document with at most ``deepest`` nested levels; None for an empty text.

    Raise :class:`YamlError` if the text is invalid, or uses a feature that is refused.
    """
    return _Composer(text, deepest).document()


class _Composer:
    def __init__(self, text: str, deepest: int) -> None:
        import yaml

        self._yaml = yaml
        self._deepest = deepest
        self._anchors: dict[str | None, Node | None] = {}  # None while the anchored value is still being read
        self._open: list[_Open] = []
        try:
            self._loader = yaml.SafeLoader(text)
        except yaml.YAMLError as error:
            line = text.count("\n", 0, getattr(error, "position", 0)) + 1
            raise YamlError("invalid YAML: contains a control character, which YAML does not allow", line) from None

    def document(self) -> Node | None:
        yaml, root = self._yaml, None
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise YamlError("a second document begins here; a gate file must be one document", _line(event))
            node = self._node(event)
            if node is None:
                continue
            if self._open:
                self._add(node, event)
            else:
                root = node
        return root

    def _next(self) -> Any:
        try:
            return self._loader.get_event()  # type: ignore[no-untyped-call]
        except self._yaml.YAMLError as error:
            # Only the problem and its line: PyYAML's message would quote the lines around it, including secrets.
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            problem = str(getattr(error, "problem", None) or "not valid here")
            raise YamlError(f"invalid YAML: {problem[:200]}", mark.line + 1 if mark else 1) from None
        except (ValueError, OverflowError):
            # PyYAML passes escapes such as "\UFFFFFFFF" to chr() and int().
            line = self._loader.get_mark().line + 1
            raise YamlError("not a valid escape or number", line) from None

    def _node(self, event: Any) -> Node | None:
        """Return the value that an event completes; None if it completes none."""
        yaml = self._yaml
        if isinstance(event, yaml.CollectionEndEvent):
            return self._closed(self._open.pop())
        if not isinstance(event, yaml.NodeEvent):
            return None
        if self._open and self._open[-1].is_mapping and self._open[-1].key is None:
            self._open[-1].key = self._key(event), _line(event)
            return None
        path = self._path()
        if len(path) > self._deepest:
            self._refuse(f"nested more than {self._deepest} levels deep", event, path[:3])
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, path)
        self._refuse_tag(event, path)
        if isinstance(event, yaml.CollectionStartEvent):
            self._anchors[event.anchor] = None
            self._open.append(_Open(event, path, isinstance(event, yaml.MappingStartEvent)))
            return None
        return self._anchored(event, Node(self._scalar(event, path), _line(event)))

    def _path(self) -> KeyPath:
        """Return the path of the value that begins now."""
        if not self._open:
            return ()
        within = self._open[-1]
        return (*within.path, within.key[0] if within.key else len(within.parts))

    def _add(self, node: Node, event: Any) -> None:
        within = self._open[-1]
        if within.key is None:
            ended = isinstance(event, self._yaml.CollectionEndEvent)
            within.parts[len(within.parts)] = node.line if ended else _line(event), node
        else:
            key, line = within.key
            within.parts[key], within.key = (line, node), None

    def _closed(self, container: _Open) -> Node:
        parts, nodes = container.parts, [node for _, node in container.parts.values()]
        size = 1 + sum(node.size for node in nodes)
        if size > MOST_VALUES:
            text = f"more than {MOST_VALUES:,} values once aliases are expanded"
            self._refuse(text, container.start, container.path)
        value = {key: node.value for key, (_, node) in parts.items()}
        height = 1 + max((node.height for node in nodes), default=0)
        plain = value if container.is_mapping else list(value.values())
        return self._anchored(container.start, Node(plain, _line(container.start), parts, size, height))

    def _anchored(self, event: Any, node: Node) -> Node:
        self._anchors[event.anchor] = node  # values without an anchor share the name None
        return node

    def _aliased(self, event: Any, path: KeyPath) -> Node:
        if event.anchor not in self._anchors:
            self._refuse(f"the alias *{cut(event.anchor)} has no earlier anchor", event, path)
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(f"the alias *{cut(event.anchor)} is inside its own anchor", event, path)
        if len(path) + node.height > self._deepest:
            self._refuse(f"aliases nest more than {self._deepest} levels deep", event, path)
        return node

    def _key(self, event: Any) -> str:
        within = self._open[-1]
        if not isinstance(event, self._yaml.ScalarEvent):
            self._refuse("a key must be text, not a list, a mapping or an alias", event, within.path)
        self._refuse_tag(event, within.path)
        if event.value == "<<" and event.style is None:
            self._refuse("merge keys (<<) are not supported: repeat the keys", event, within.path)
        key = self._scalar(event, within.path)
        if not isinstance(key, str):
            self._refuse(f"the key {event.value} is not text: quote it", event, within.path)
        if key in within.parts:
            text = f"duplicate key: it is on line {within.parts[key][0]} and on line {_line(event)}"
            self._refuse(text, event, (*within.path, key))
        return key

    def _refuse_tag(self, event: Any, path: KeyPath) -> None:
        if event.tag is not None:
            self._refuse(f"YAML tags are not supported: remove {quoted(event.tag)}", event, path)

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        text: str = event.value
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse("a lone surrogate is not text", event, path)
        if event.style is not None:
            return text
        ambiguity = _ambiguity(text)
        if ambiguity:
            self._refuse(ambiguity, event, path)
        try:
            return _plain_value(text)
        except ValueError:  # Python refuses integers with thousands of digits
            self._refuse("the number has too many digits", event, path)

    def _refuse(self, what: str, event: Any, path: KeyPath) -> NoReturn:
        raise YamlError(what, _line(event), path)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _ambiguity(text: str) -> str | None:
    """Return why YAML 1.1 and 1.2 parsers would read an unquoted scalar differently; None if they would not."""
    boolean = _YES_NO.get(text.lower())
    if boolean:
        return (
            f"unquoted {text} is a boolean to some YAML parsers and text to others: "
            f"quote it ('{text}') or write {boolean}"
        )
    if _DATE.fullmatch(text):
        return f"unquoted {cut(text)} is a date to some YAML parsers and text to others: quote it"
    if _LEADING_ZERO.fullmatch(text):
        return f"unquoted {cut(text)} is an octal number to some YAML parsers: remove the leading 0, or quote it"
    return None


def _plain_value(text: str) -> Any:
    """Return the value of an unquoted scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text, 8) if text.startswith("0o") else int(text, 16 if text.startswith("0x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text
