"""Refuse ini keys that would have no effect: a misspelled ``ftgate_required`` would require nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.ini_file import NAMES, IniFile, read_ini, reads_native
from pytest_ftgate.text import excerpt, nearest

KEYS = (
    *("ftgate_config", "ftgate_state", "ftgate_recordings", "ftgate_base_ref"),
    *("ftgate_forbid_weakening", "ftgate_github_summary", "ftgate_required"),
)
_PREFIX = "ftgate"
_TRUTH = ("true", "false", "yes", "no", "on", "off")


def check_ini_keys(config: pytest.Config, folder: Path) -> None:
    """Check all keys that begin with ``ftgate`` in the file that pytest took as its ini file.

    Raises:
        UsageError: a key is unknown, has an impossible value, or is where pytest does not read it.
    """
    try:
        error = next(_problems(config, folder), None)
    except ConfigError as unread:
        error = unread
    if error is not None:
        raise pytest.UsageError(str(error))


def _problems(config: pytest.Config, folder: Path) -> Iterator[ConfigError]:
    chosen = config.getoption("inifilename")  # -c: what the other files say is not meant
    paths = [folder / name for name in NAMES if (folder / name).is_file()] if chosen is None else []
    for path in dict.fromkeys([*([config.inipath] if config.inipath is not None else []), *paths]):
        is_read = path == config.inipath
        try:
            file = read_ini(path)
        except ConfigError:  # of another tool in words of its own
            if is_read:
                raise
            continue
        for header, values in file.tables.items():
            for key, value in values.items():
                if is_read and header == file.header and key.lower().startswith(_PREFIX):
                    problem = _problem(config, file, key, value)
                    yield from () if problem is None else (problem,)
                elif key in KEYS:
                    yield _unread(config, file, header, key)


def _unread(config: pytest.Config, file: IniFile, header: str, key: str) -> ConfigError:
    """Return the error of a key in a table or a file that pytest does not read."""
    if header == file.header and file.native and not reads_native():
        what, cure = f"this pytest reads no {header}", "write the key into pytest.ini, or install pytest 9"
    elif file.path == config.inipath or config.inipath is None:
        what, cure = f"pytest does not read {header}", f"move the key to {file.header or 'the table of pytest'}"
    else:
        what, cure = f"pytest reads {config.inipath.name} and not this file", f"move the key to {config.inipath.name}"
    return ConfigError(what, where=file.where(key), cure=cure)


def _problem(config: pytest.Config, file: IniFile, key: str, value: Any) -> ConfigError | None:
    where = file.where(key)
    if file.native and not reads_native():
        return _unread(config, file, file.header or "", key)
    try:
        config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:
        if isinstance(error.__cause__, KeyError):  # no plugin has such a key
            near = nearest(_bare(key.lower()), map(_bare, KEYS))
            cure = f"did you mean {_PREFIX}_{near}?" if near else f"known: {', '.join(KEYS)}"
            return ConfigError("unknown ini key", where=where, cure=cure)
        return _bad_value(where, value, error)
    return None


def _bare(key: str) -> str:
    """Return a key without the prefix that all keys share, so that the rest decides which one is similar."""
    return key.removeprefix(_PREFIX).strip("_-.")


def _bad_value(where: Where, value: Any, error: Exception) -> ConfigError:
    near = nearest(value, _TRUTH) if isinstance(value, str) else None
    return ConfigError(
        f"invalid value: {excerpt(str(value))}",
        where=where,
        evidence=str(error),
        cure=f"did you mean {near}?" if near else "true and false are truth values; names are written as a list",
    )
