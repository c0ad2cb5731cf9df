"""The gate file as YAML: read, and refused with its line and key where it is not one plain mapping."""

from __future__ import annotations

from pathlib import Path

from pytest_ftgate.config.yaml_nodes import Node, YamlError, compose
from pytest_ftgate.data.lines import is_endless
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.text import dotted

DEEPEST = 50
"""How many levels may be nested: far above any gate, far below the depth at which Python gives up."""


def read_yaml(path: Path, content: bytes | None = None) -> Node:
    """Read a file that must hold one YAML mapping.

    Args:
        path: the file.
        content: what it held at another time; None: what it holds now.

    Raises:
        ConfigError: with the file, line and key, whatever is wrong with it.
    """
    text = _decoded(_content_of(path) if content is None else content, path)
    try:
        root = compose(text, deepest=DEEPEST, strict=True)
    except YamlError as error:
        raise ConfigError(_said(error), where=Where(shown_path(path), error.line, dotted(error.path) or None)) from None
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


def _said(error: YamlError) -> str:
    if error.kind == "syntax":
        return f"not valid YAML: {error.what}"
    return f"{error.what}; a gate file is one document" if error.kind == "document" else error.what
