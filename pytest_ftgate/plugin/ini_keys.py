"""Refuse ini keys that would have no effect: a misspelled ``ftgate_required`` would require nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.ini_file import IniFile, read_ini, reads_native
from pytest_ftgate.text import excerpt, nearest

KEYS = (
    *("ftgate_config", "ftgate_state", "ftgate_recordings", "ftgate_base_ref"),
    *("ftgate_forbid_weakening", "ftgate_github_summary", "ftgate_required"),
)
_PREFIX = "ftgate"
_TRUTH = ("true", "false", "yes", "no", "on", "off")


def check_ini_keys(config: pytest.Config) -> None:
    """Check all keys that begin with ``ftgate`` in the file that pytest took as its ini file.

    Raises:
        UsageError: a key is unknown, has an impossible value, or is in a table that pytest does not read.
    """
    try:
        file = read_ini(config.inipath) if config.inipath is not None else None
        error = next(_problems(config, file), None) if file is not None else None
    except ConfigError as unread:
        error = unread
    if error is not None:
        raise pytest.UsageError(str(error))


def _problems(config: pytest.Config, file: IniFile) -> Iterator[ConfigError]:
    for header, values in file.tables.items():
        for key, value in values.items():
            if header == file.header and key.lower().startswith(_PREFIX):
                problem = _problem(config, file, key, value)
                if problem is not None:
                    yield problem
            elif key in KEYS:
                read = file.header or "another table"
                yield ConfigError(f"pytest does not read {header}", where=file.where(key), cure=f"move it to {read}")


def _problem(config: pytest.Config, file: IniFile, key: str, value: Any) -> ConfigError | None:
    where = file.where(key)
    if file.native and not reads_native():
        cure = "use [tool.pytest.ini_options] of pyproject.toml, or install pytest 9"
        return ConfigError("this pytest reads no native TOML", where=where, cure=cure)
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
