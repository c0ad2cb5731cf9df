"""A strict YAML reader for gate files and data; its nodes know their lines.

Scalars follow YAML 1.2, so ``1e-2`` is a number and ``1:30`` is text. Tags,
duplicate keys, keys that are not text, a second document, and values that YAML 1.1 and 1.2 read
differently (``yes``, dates) are refused. PyYAML's constructors are never called, and no message
quotes a line, which may contain secrets.
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

_PLAIN: Sequence[tuple[re.Pattern[str], Callable[[str], Any]]] = (
    (re.compile("|~|null|Null|NULL"), lambda _: None),
    (re.compile("true|True|TRUE"), lambda _: True),
    (re.compile("false|False|FALSE"), lambda _: False),
    (re.compile("[-+]?[0-9]+"), int),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
)
"""The forms of unquoted scalars that are not text, and their values."""

_SWITCH = "quote it, or write true or false; a check is switched off by ignore"
_AMBIGUOUS = (
    (re.compile("yes|no|on|off", re.IGNORECASE), "a boolean", _SWITCH),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:.*)?"),
        "a date",
        "quote it",
    ),
)
"""The forms of unquoted scalars that YAML 1.1 and 1.2 parsers read differently."""

_MOST_REPEATED = 10_000
"""The most values that aliases may repeat, far more than any list of gates has."""
_TAG = re.compile(r"(?:&[^\s,\[\]{}]+\s+)?(!\S*)")
_QUOTE = (
    "Indent with spaces only, and the keys of one mapping alike; write a space behind the colon of "
    "a key; quote text that holds a colon and a space or ${NAME}, or begins with a sign of YAML "
    "such as @, %, [ or {; close quotes and brackets."
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
        line = self.line
        node = self
        for step in path:
            if step not in node.parts:
                break
            line, node = node.parts[step]
        return line


def read_yaml(path: Path, content: bytes | None = None) -> Node:
    """Read a gate file, which is one YAML mapping; ``content`` replaces what is on disk.

    Raises :class:`ConfigError`.
    """
    shown = shown_path(path)
    try:
        text = read_text(path) if content is None else "".join(Lines(BytesIO(content), shown))
        root = parse_yaml(text, shown)
    except DataError as error:
        raise ConfigError(error.what, where=error.where, cure=error.cure) from None

    # An empty file has no root, and one of comments alone neither.
    if root is None or not isinstance(root.value, dict):
        text = "must be a mapping that begins with version: 1"
        raise ConfigError(text, where=Where(shown))
    return root


def parse_yaml(text: str, shown: str) -> Node | None:
    """Return the only document of a text; None if it has none.

    ``shown`` is what messages call the file. Raises :class:`DataError`.
    """
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
        return None if root is None else _Reader(text, shown).read(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = f"invalid YAML: {str(error.problem).removeprefix('but ')}"
        raise DataError(what, where=Where(shown, line), cure=_QUOTE) from None
    except (yaml.YAMLError, ArithmeticError, ValueError, RecursionError) as error:
        # a control character, an escape that is none, or an alias within its own anchor
        reason = str(error).partition("\n")[0]
        raise DataError(f"invalid YAML: {reason}", where=Where(shown)) from None


class _Reader:
    """Turn the nodes of PyYAML into ours, aliases expanded, and refuse what is not plain data."""

    def __init__(self, text: str, shown: str) -> None:
        self._text = text
        self._shown = shown
        # nodes that were read, by identity: PyYAML gives an alias the node of its anchor
        self._read: set[int] = set()
        self._n_repeated = 0

    def read(self, node: Any, path: KeyPath) -> Node:
        # Aliases of aliases grow without limit: a file of ten lines may hold a billion values.
        self._n_repeated += id(node) in self._read
        self._read.add(id(node))
        if self._n_repeated > _MOST_REPEATED:
            text = f"aliases repeat more than {_MOST_REPEATED:,} values: write fewer of them"
            raise self._refused(text, node, path)

        tag = _TAG.match(self._text, node.start_mark.index)
        if tag is not None:
            raise self._refused(f"YAML tags are not supported: remove {quoted(tag[1])}", node, path)
        if isinstance(node.value, str):
            return Node(self._scalar(node, path), _line(node))

        children: dict[str | int, tuple[int, Node]] = {}
        if node.id != "mapping":
            for index, item in enumerate(node.value):
                children[index] = _line(item), self.read(item, (*path, index))
            items = [item.value for _, item in children.values()]
            return Node(items, _line(node), children)

        for key, value in node.value:
            name = self._key(key, path, children)
            children[name] = _line(key), self.read(value, (*path, name))
        values = {name: child.value for name, (_, child) in children.items()}
        return Node(values, _line(node), children)

    def _key(self, node: Any, path: KeyPath, children: Mapping[str | int, tuple[int, Node]]) -> str:
        key = self.read(node, path).value
        if not isinstance(key, str):
            raise self._refused("a key must be text: quote it", node, path)
        if key in children:
            text = f"duplicate key: it is on line {children[key][0]} and on line {_line(node)}"
            raise self._refused(text, node, (*path, key))
        return key

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        """Return the value of a scalar: text where it is quoted."""
        text: str = node.value
        if node.style is not None:
            return text

        for form, kind, cure in _AMBIGUOUS:
            if form.fullmatch(text):
                what = f"unquoted {cut(text)} is {kind} to some YAML parsers and not to others"
                raise self._refused(f"{what}: {cure}", node, path)
        return next((read(text) for form, read in _PLAIN if form.fullmatch(text)), text)

    def _refused(self, text: str, node: Any, path: KeyPath) -> DataError:
        return DataError(text, where=Where(self._shown, _line(node), dotted(path) or None))


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
