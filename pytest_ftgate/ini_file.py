"""Read the ini files of pytest: INI files, ``pyproject.toml`` and, from pytest 9, native TOML.

Source: https://docs.pytest.org/en/stable/reference/customize.html (which file wins, and the tables
that count).
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigError, Where, shown_path

HEADERS = _INI, _NATIVE, _OLD, _CFG = (
    "[pytest]",
    "[tool.pytest]",
    "[tool.pytest.ini_options]",
    "[tool:pytest]",
)
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

    def where(self, key: str) -> Where:
        """Return the line of a key."""
        return replace(line_of(self.path, key), key=key)


def line_of(path: Path, key: str) -> Where:
    """Return the file, and the line that begins with a key."""
    lines = (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ()
    )
    begins = re.compile(rf"""[ \t'"]*{re.escape(key)}(?![\w-])""")
    numbers = (number for number, line in enumerate(lines, 1) if begins.match(line))
    return Where(shown_path(path), line=next(numbers, None))


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
            tables = {
                f"[{one.name}]": dict(one.items())
                for one in iniconfig.IniConfig(path.name, data=text)
            }
    except (OSError, UnicodeDecodeError, iniconfig.ParseError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=Where(shown_path(path))) from error
    if path.suffix != ".toml":
        header, native = _CFG if path.suffix == ".cfg" else _INI, False
    elif path.name in _ALWAYS:
        header, native = _INI, True
    else:
        native = bool(tables.get(_NATIVE)) or _OLD not in tables
        header = (
            (_NATIVE if tables.get(_NATIVE) or path.name == "pyproject.toml" else _INI)
            if native
            else _OLD
        )
    return IniFile(
        path, header if header in tables or path.name in _ALWAYS else None, native, tables
    )


def _tables(table: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    if name:
        yield f"[{name}]", {key: value for key, value in table.items() if key not in inner}
    for key, value in inner.items():
        yield from _tables(value, f"{name}.{key}".removeprefix("."))


def reads_native() -> bool:
    """Return whether this pytest reads native TOML."""
    return int(version("pytest").partition(".")[0]) >= 9


def ignores_strict_addopts() -> bool:
    """Return whether this pytest ignores ``--strict-markers`` and ``--strict-config`` in addopts (pytest#14442)."""
    return version("pytest").startswith("9.0.")


def find_ini(folder: Path) -> IniFile | None:
    """Return the ini file that pytest will use: the nearest in this folder or above.

    Raises :class:`ConfigError`.
    """
    return used_ini(ini_paths(folder), lambda path: path.read_bytes() if path.is_file() else None)


def ini_paths(folder: Path) -> Iterator[Path]:
    """Yield where pytest looks for its ini file, in its order."""
    return (place / name for place in (folder, *folder.parents) for name in INI_NAMES)


def used_ini(paths: Iterable[Path], content: Callable[[Path], bytes | None]) -> IniFile | None:
    """Return the first file with a table that pytest reads; ``content`` returns the bytes of a file that exists.

    Raises:
        ConfigError: a file before it cannot be read.
    """
    written = ((path, content(path)) for path in paths)
    files = (read_ini(path, text) for path, text in written if text is not None)
    return next(
        (file for file in files if file.header is not None and (reads_native() or not file.native)),
        None,
    )
