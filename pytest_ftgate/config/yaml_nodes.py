"""A strict YAML reader for gate files; its nodes know their lines.

Scalars follow the core schema of YAML 1.2, so ``1e-2`` is a number and ``1:30`` is text. Tags,
duplicate keys, keys that are not text, a second document, and values that YAML 1.1 and 1.2 read
differently (``yes``, dates, ``010``) are refused. PyYAML's constructors are never called, and no
message quotes a line, which may contain secrets.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pytest_ftgate.data.lines import Lines, read_text
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import KeyPath, cut, dotted, quoted

# maximum nesting: far more than any gate needs, and far below Python's recursion limit
DEEPEST = 50

_PLAIN: Sequence[tuple[re.Pattern[str], Callable[[str], Any]]] = (
    (re.compile("|~|null|Null|NULL"), lambda _: None),
    (re.compile("true|True|TRUE"), lambda _: True),
    (re.compile("false|False|FALSE"), lambda _: False),
    (re.compile("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (
        re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.replace(".", "")),
    ),
)
"""The forms of unquoted scalars that are not text, and their values."""

_AMBIGUOUS = (
    (re.compile("yes|no|on|off", re.IGNORECASE), "a boolean"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:.*)?"), "a date"),
    (re.compile(r"[-+]?0[0-9]+"), "an octal number"),
)
"""The forms of unquoted scalars that YAML 1.1 and 1.2 parsers read differently."""

_TAG = re.compile(r"(?:&[^\s,\[\]{}]+\s+)?(!\S*)")
_TOO_DEEP = f"nested more than {DEEPEST} levels deep"
_QUOTE = (
    "Indent with spaces only, and the keys of one mapping alike; write a space behind the colon of a "
    "key; quote text that holds a colon and a space or ${NAME}, or begins with a sign of YAML such as "
    "@, %, [ or {; close quotes and brackets."
)


@dataclass(frozen=True)
class Node:
    """A value (plain data) with its line and those of its parts; lines start at 1."""

    value: Any
    line: int
    # by key or position, with its line
    parts: "Mapping[str | int, tuple[int, Node]]" = field(default_factory=dict)

    def line_of(self, path: KeyPath) -> int:
        """Return the line of the key at ``path``, or of the nearest existing key above it."""
        line, node = self.line, self
        for part in path:
            if part not in node.parts:
                break
            line, node = node.parts[part]
        return line


def read_yaml(path: Path, content: bytes | None = None) -> Node:
    """Read a file of one YAML mapping; ``content`` replaces what is on disk.

    Raises :class:`ConfigError`.
    """
    import yaml

    def unusable(what: str, line: int | None = None, cure: str | None = None) -> ConfigError:
        return ConfigError(what, where=Where(shown_path(path), line), cure=cure)

    try:
        text = (
            read_text(path)
            if content is None
            else "".join(Lines(BytesIO(content), shown_path(path)))
        )
    except DataError as error:
        raise ConfigError(error.what, where=error.where, cure=error.cure) from None
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise unusable(
            "invalid YAML: contains a control character, which YAML does not allow", line
        ) from None
    try:
        root = loader.get_node() if loader.check_node() else None
        if root is not None and loader.check_node():
            raise unusable("the gate file must be one document", loader.get_mark().line + 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise unusable(f"invalid YAML: {error.problem}", line, _QUOTE) from None
    except (
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # of PyYAML's own code: chr(0xFFFFFFFF)
        what = _TOO_DEEP if isinstance(error, RecursionError) else "not a valid escape or number"
        raise unusable(what, loader.get_mark().line + 1) from None
    found = None if root is None else _Reader(text, shown_path(path)).read(root, ())
    if found is None or found.value is None:
        raise unusable("the gate file is empty", cure="Begin it with: version: 1")
    if not isinstance(found.value, dict):
        raise unusable("the gate file must be a mapping", found.line)
    return found


class _Reader:
    """Turn the nodes of PyYAML into ours, aliases expanded, and refuse what is not plain data."""

    def __init__(self, text: str, shown: str) -> None:
        self._text = text
        self._shown = shown

    def read(self, node: Any, path: KeyPath) -> Node:
        if len(path) > DEEPEST:  # also an alias within its own anchor
            raise self._refused(_TOO_DEEP, node, path[:3])
        if tag := _TAG.match(self._text, node.start_mark.index):
            raise self._refused(f"YAML tags are not supported: remove {quoted(tag[1])}", node, path)
        if isinstance(node.value, str):
            return Node(self._scalar(node, path), _line(node))

        parts: dict[str | int, tuple[int, Node]] = {}
        is_mapping = node.id == "mapping"
        for key, value in node.value if is_mapping else enumerate(node.value):
            name = self._key(key, path, parts) if is_mapping else key
            parts[name] = _line(key if is_mapping else value), self.read(value, (*path, name))
        values = {key: part.value for key, (_, part) in parts.items()}
        return Node(values if is_mapping else list(values.values()), _line(node), parts)

    def _key(self, node: Any, path: KeyPath, parts: Mapping[str | int, tuple[int, Node]]) -> str:
        if not isinstance(node.value, str):
            raise self._refused("a key must be text, not a list or a mapping", node, path)
        if node.value == "<<" and node.style is None:
            raise self._refused("merge keys (<<) are not supported: repeat the keys", node, path)
        key = self.read(node, path).value
        if not isinstance(key, str):
            raise self._refused(f"the key {node.value} is not text: quote it", node, path)
        if key in parts:
            text = f"duplicate key: it is on line {parts[key][0]} and on line {_line(node)}"
            raise self._refused(text, node, (*path, key))
        return key

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        """Return the value of a scalar: text where it is quoted."""
        text: str = node.value
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise self._refused("a lone surrogate is not text", node, path)
        if node.style is not None:
            return text
        if kind := next((kind for form, kind in _AMBIGUOUS if form.fullmatch(text)), None):
            what = f"unquoted {cut(text)} is {kind} to some YAML parsers and not to others: quote it ('{cut(text)}')"
            raise self._refused(
                f"{what} or write true or false" if kind == "a boolean" else what, node, path
            )
        try:
            return next((read(text) for form, read in _PLAIN if form.fullmatch(text)), text)
        except ValueError:  # Python refuses integers with thousands of digits
            raise self._refused("the number has too many digits", node, path) from None

    def _refused(self, what: str, node: Any, path: KeyPath) -> ConfigError:
        return ConfigError(what, where=Where(self._shown, _line(node), dotted(path) or None))


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
