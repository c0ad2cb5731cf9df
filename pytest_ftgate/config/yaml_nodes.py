"""A strict YAML reader for gate files; its nodes know their lines.

Scalars follow the core schema of YAML 1.2, so ``1e-2`` is a number and ``1:30`` is text. Tags, duplicate keys, keys
that are not text, a second document, and values that YAML 1.1 and 1.2 read differently (``yes``, dates, ``010``) are
refused. PyYAML's constructors are never called.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pytest_ftgate.text import KeyPath, cut, quoted

MOST_VALUES = 100_000  # maximum number of values once aliases are expanded: anchors can double the size with every line

_PLAIN: Sequence[tuple[re.Pattern[str], Callable[[str], Any]]] = (
    (re.compile("|~|null|Null|NULL"), lambda _: None),
    (re.compile("true|True|TRUE"), lambda _: True),
    (re.compile("false|False|FALSE"), lambda _: False),
    (re.compile("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)
"""The forms of unquoted scalars that are not text, and their values."""

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
    parts: "Mapping[str | int, tuple[int, Node]]" = field(default_factory=dict)  # by key or position, with its line

    def line_of(self, path: KeyPath) -> int:
        """Return the line of the key at ``path``, or of the nearest existing key above it."""
        line, node = self.line, self
        for part in path:
            if part not in node.parts:
                break
            line, node = node.parts[part]
        return line


def compose(text: str, *, deepest: int) -> Node | None:
    """Return the value of one document with at most ``deepest`` nested levels; None for an empty text.

    Raise :class:`YamlError` if the text is invalid, or uses a feature that is refused.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise YamlError("invalid YAML: contains a control character, which YAML does not allow", line) from None
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        # Only the problem and its line: PyYAML's message would quote the lines around it, including secrets.
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem, line = str(getattr(error, "problem", None) or "not valid here"), mark.line + 1 if mark else 1
        raise YamlError(f"invalid YAML: {_explained(problem, text.splitlines(), line)}", line) from None
    except (ValueError, OverflowError):  # PyYAML passes escapes such as "\UFFFFFFFF" to chr() and int()
        raise YamlError("not a valid escape or number", loader.get_mark().line + 1) from None
    except RecursionError:
        raise YamlError(f"nested more than {deepest} levels deep", loader.get_mark().line + 1) from None
    return None if root is None else _Reader(text, deepest).read(root, ())


class _Reader:
    """Turn the nodes of PyYAML into ours, aliases expanded, and refuse what is not plain data."""

    def __init__(self, text: str, deepest: int) -> None:
        self._text, self._deepest = text, deepest
        self._seen, self._open = set[int](), set[int]()  # ids of PyYAML's nodes; an alias is the node of its anchor
        self._count = 0

    def read(self, node: Any, path: KeyPath) -> Node:
        self._count += 1
        if len(path) > self._deepest:
            _refuse(f"nested more than {self._deepest} levels deep", node, path[:3])
        if id(node) in self._open:
            _refuse("an alias is inside its own anchor", node, path)
        if self._count > MOST_VALUES:
            _refuse(f"more than {MOST_VALUES:,} values once aliases are expanded", node, path[:1])
        if tag := _TAG.match(self._text, node.start_mark.index):
            _refuse(f"YAML tags are not supported: remove {quoted(tag[1])}", node, path)
        known = id(node) in self._seen  # an alias, or a part of one, whose keys were checked at its anchor
        self._seen.add(id(node))
        if isinstance(node.value, str):
            return Node(_scalar(node, path), _line(node))
        self._open.add(id(node))
        parts: dict[str | int, tuple[int, Node]] = {}
        is_mapping = node.id == "mapping"
        for key, value in node.value if is_mapping else enumerate(node.value):
            name = self._key(key, value, path, parts, known=known) if is_mapping else key
            parts[name] = _line(key if is_mapping else value), self.read(value, (*path, name))
        self._open.remove(id(node))
        values = {key: part.value for key, (_, part) in parts.items()}
        return Node(values if is_mapping else list(values.values()), _line(node), parts)

    def _key(
        self, node: Any, value: Any, path: KeyPath, parts: Mapping[str | int, tuple[int, Node]], *, known: bool
    ) -> str:
        if not isinstance(node.value, str) or (id(node) in self._seen and not known):
            at = value if isinstance(node.value, str) else node  # an alias has the place of its anchor
            _refuse("a key must be text, not a list, a mapping or an alias", at, path)
        if node.value == "<<" and node.style is None:
            _refuse("merge keys (<<) are not supported: repeat the keys", node, path)
        key = self.read(node, path).value
        if not isinstance(key, str):
            _refuse(f"the key {node.value} is not text: quote it", node, path)
        if key in parts:
            text = f"duplicate key: it is on line {parts[key][0]} and on line {_line(node)}"
            _refuse(text, node, (*path, key))
        return key


_TAG = re.compile(r"(?:&[^\s,\[\]{}]+\s+)?(!\S*)")


def _explained(problem: str, lines: Sequence[str], number: int) -> str:
    """Return a problem of PyYAML in words of ours where a mistake of people is behind it; lines are not quoted."""
    line = lines[number - 1] if number <= len(lines) else ""
    before = [(at, text) for at, text in enumerate(lines[: number - 1], 1) if text.strip(" #")]
    at, above = before[-1] if before else (0, "")
    depth, depth_above = (len(text) - len(text.lstrip(" ")) for text in (line, above))
    for place, text in ((number, line), (at, above)):
        if text.strip() and text.lstrip(" ")[0].isspace():
            return f"line {place} is indented by {_white(text.lstrip(' ')[0])}: use spaces"
    if "'\\t'" in problem:
        return "a tab stands where only spaces may: remove it"
    if "${" in line:
        return "variables such as ${NAME} are not expanded, and text with braces must be quoted"
    if problem.startswith("mapping values are not allowed") and depth > depth_above:
        return f"wrong indentation: this line has {depth} spaces, and line {at} has {depth_above}"
    if problem.startswith("expected <block end>") and depth != depth_above:
        return f"wrong indentation: this line has {depth} spaces, and no key above it in its block has as many"
    return next((words for start, words in _IN_WORDS.items() if problem.startswith(start)), problem[:200])


def _white(char: str) -> str:
    return "a tab" if char == "\t" else f"a white space that is no space (U+{ord(char):04X})"


_IN_WORDS = {
    "but found another document": "a second document begins here; a gate file must be one document",
    "mapping values are not allowed": "text with a colon and a space must be quoted",
    "expected <block end>": "text follows a quoted one: quote all of the value",
    "could not find expected ':'": "a key needs a colon and a space behind it; it may be in the line above",
    "found character": "text that begins with @, %, ` or another sign of YAML must be quoted",
    "expected escape sequence": "in double quotes a backslash begins an escape: use single quotes",
    "found unknown escape": "in double quotes a backslash begins an escape: use single quotes",
    "expected ',' or": "a bracket or brace is not closed, or a comma is missing",
    "found unexpected end of stream": "a quote is not closed",
}
"""What a mistake of people is behind a problem of PyYAML, by its first words."""


def _refuse(what: str, node: Any, path: KeyPath) -> NoReturn:
    raise YamlError(what, _line(node), path)


def _scalar(node: Any, path: KeyPath) -> Any:
    """Return the value of a scalar: text where it is quoted."""
    text: str = node.value
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        _refuse("a lone surrogate is not text", node, path)
    if node.style is not None:
        return text
    ambiguity = _ambiguity(text)
    if ambiguity:
        _refuse(ambiguity, node, path)
    try:
        return next((read(text) for form, read in _PLAIN if form.fullmatch(text)), text)
    except ValueError:  # Python refuses integers with thousands of digits
        _refuse("the number has too many digits", node, path)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


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
