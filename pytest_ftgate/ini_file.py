"""Read the ini files of pytest: INI files, ``pyproject.toml`` and, from pytest 9, native TOML.

Source: https://docs.pytest.org/en/stable/reference/customize.html (which file wins, and the tables
that count).
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigError, Where, shown_path

GATE_FILE = "ftgate.yaml"
CONFIG = "ftgate_config"
"""The ini key that names another gate file."""

_INI = "[pytest]"
_NATIVE = "[tool.pytest]"
_OLD = "[tool.pytest.ini_options]"
_CFG = "[tool:pytest]"
HEADERS = (_INI, _NATIVE, _OLD, _CFG)
"""The tables that pytest reads, by the language of the file."""
_ALWAYS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
INI_NAMES = (*_ALWAYS, "pyproject.toml", "tox.ini", "setup.cfg")
"""The files that pytest looks for, in its order; the first ones count even if they are empty."""


@dataclass(frozen=True, slots=True)
class IniFile:
    """An ini file of pytest.

    Attributes:
        path: of the file.
        header: of the table that pytest reads; None: it reads nothing of this file.
        native: the values are those of TOML, and not texts as in an INI file.
        tables: the values of all tables by their headers, without tables within them.
    """

    path: Path
    header: str | None
    native: bool
    tables: Mapping[str, Mapping[str, Any]]

    @property
    def values(self) -> Mapping[str, Any]:
        """Return what pytest reads."""
        return self.tables.get(self.header or "", {})

    @property
    def ours(self) -> Mapping[str, Any]:
        """Return our keys of what pytest reads."""
        return {key: value for key, value in self.values.items() if key.startswith("ftgate_")}

    @property
    def gate_file(self) -> Path:
        """Return the path of the gate file that it names; it may not exist."""
        name = str(self.ours.get(CONFIG, GATE_FILE))
        return Path(os.path.abspath(self.path.parent / name))

    def where(self, key: str) -> Where:
        """Return the line of a key."""
        return replace(line_of(self.path, key), key=key)


def line_of(path: Path, key: str) -> Where:
    """Return the file, and the line that begins with a key."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    begins = re.compile(rf"""[ \t'"]*{re.escape(key)}(?![\w-])""")
    for number, line in enumerate(text.splitlines(), 1):
        if begins.match(line):
            return Where(shown_path(path), line=number)
    return Where(shown_path(path))


def read_ini(path: Path, content: bytes | None = None) -> IniFile:
    """Read a file that pytest takes as its ini file; ``content`` replaces what is on disk.

    Raises:
        ConfigError: the file cannot be read.
    """
    import iniconfig

    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        text = (path.read_bytes() if content is None else content).decode("utf-8-sig")
        if path.suffix == ".toml":
            tables = dict(_tables(tomllib.loads(text), ""))
        else:
            sections = iniconfig.IniConfig(path.name, data=text)
            tables = {f"[{section.name}]": dict(section.items()) for section in sections}
    except (OSError, UnicodeDecodeError, iniconfig.ParseError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=Where(shown_path(path))) from error

    # pytest takes some files for its own even if they are empty.
    header, native = _table_of_pytest(path, tables)
    is_read = header in tables or path.name in _ALWAYS
    return IniFile(path, header=header if is_read else None, native=native, tables=tables)


def _table_of_pytest(path: Path, tables: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the table that pytest would read of a file, and whether its values are native TOML."""
    if path.suffix == ".cfg":
        return _CFG, False
    if path.suffix != ".toml":
        return _INI, False
    if path.name in _ALWAYS:
        return _INI, True
    if tables.get(_NATIVE):
        return _NATIVE, True
    if _OLD in tables:
        return _OLD, False
    return (_NATIVE if path.name == "pyproject.toml" else _INI), True


def _tables(table: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # TOML has tables in tables; INI files have them side by side.
    inner = {}
    values = {}
    for key, value in table.items():
        if isinstance(value, dict):
            inner[key] = value
        else:
            values[key] = value

    if name:
        yield f"[{name}]", values
    for key, value in inner.items():
        yield from _tables(value, f"{name}.{key}".removeprefix("."))


def reads_native() -> bool:
    """Return whether this pytest reads native TOML."""
    return int(version("pytest").partition(".")[0]) >= 9


def find_ini(folder: Path) -> IniFile | None:
    """Return the ini file that pytest will use: the nearest in this folder or above.

    Raises :class:`ConfigError`.
    """
    return used_ini(ini_paths(folder), lambda path: path.read_bytes() if path.is_file() else None)


def ini_paths(folder: Path) -> Iterator[Path]:
    """Yield where pytest looks for its ini file, in its order."""
    return (place / name for place in (folder, *folder.parents) for name in INI_NAMES)


def used_ini(paths: Iterable[Path], content: Callable[[Path], bytes | None]) -> IniFile | None:
    """Return the first file with a table that pytest reads; None without one.

    Args:
        paths: where pytest looks, in its order.
        content: returns the bytes of a file; None if it does not exist.

    Raises:
        ConfigError: a file before it cannot be read.
    """
    for path in paths:
        text = content(path)
        if text is None:
            continue
        file = read_ini(path, text)
        if file.header is not None and (reads_native() or not file.native):
            return file
    return None
