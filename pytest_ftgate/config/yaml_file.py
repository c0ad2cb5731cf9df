"""The gate file as YAML: read, and refused with its line and key where it is not one plain mapping."""

from __future__ import annotations

from pathlib import Path

from pytest_ftgate.config.yaml_nodes import Node, YamlError, compose
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.text import dotted

DEEPEST = 50
"""How many levels may be nested: far above any gate, far below the depth at which Python gives up."""
_SAID = {"syntax": "not valid YAML: {}", "document": "{}; a gate file is one document"}


def read_yaml(path: Path, content: bytes | None = None) -> Node:
    """Read a file that must hold one YAML mapping; ``content`` is what it held at another time.

    Raises:
        ConfigError: with the file, line and key, whatever is wrong with it.
    """

    def unusable(what: str, line: int | None = None, key: str | None = None, cure: str | None = None) -> ConfigError:
        return ConfigError(what, where=Where(shown_path(path), line, key), cure=cure)

    try:
        content = path.read_bytes() if content is None else content
        root = compose(content.decode("utf-8-sig"), deepest=DEEPEST, strict=True)
    except FileNotFoundError:
        raise unusable("there is no such gate file") from None
    except UnicodeDecodeError as error:
        text, line = (
            f"not UTF-8: byte 0x{error.object[error.start]:02x} cannot be read",
            error.object.count(b"\n", 0, error.start),
        )
        raise unusable(text, line + 1, cure="save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        raise unusable(f"the gate file cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except YamlError as error:
        text = _SAID.get(error.kind, "{}").format(error.what)
        raise unusable(text, error.line, dotted(error.path) or None) from None
    if root is None or root.value is None:
        raise unusable("the gate file is empty", cure="begin it with: version: 1")
    if not isinstance(root.value, dict):
        raise unusable("the gate file must be a mapping of keys to values", root.line)
    return root
