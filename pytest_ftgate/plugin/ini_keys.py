"""Refuse ini keys that would have no effect: a misspelled ``ftgate_required`` would require nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.ini_file import IniFile, read_ini, reads_native
from pytest_ftgate.text import excerpt, nearest

KEYS = (
    *("ftgate_config", "ftgate_state", "ftgate_recordings", "ftgate_required"),
    *("ftgate_base_ref", "ftgate_forbid_weakening"),
)
_PREFIX = "ftgate"
_TRUTH = ("true", "false", "yes", "no", "on", "off")


def check_ini_keys(config: pytest.Config, paths: Sequence[Path]) -> None:
    """Check all keys that begin with ``ftgate`` in these files: the ini file, and those that this pytest cannot read.

    Raises:
        UsageError: a key is unknown, has an impossible value, or is where pytest does not read it.
    """
    try:
        error = next((one for path in paths for one in _problems(config, read_ini(path))), None)
    except ConfigError as unread:
        error = unread
    if error is not None:
        raise pytest.UsageError(str(error))


def _problems(config: pytest.Config, file: IniFile) -> Iterator[ConfigError]:
    unread = file.native and not reads_native()
    for header, values in file.tables.items():
        for key, value in values.items():
            is_read = header == file.header and file.path == config.inipath and not unread
            if is_read and key.lower().startswith(_PREFIX):
                problem = _problem(config, file, key, value)
                yield from () if problem is None else (problem,)
            elif key in KEYS and (unread or file.path == config.inipath):
                move = f"move the key to {file.header or 'the table of pytest'}"
                cure = "write the key into pytest.ini, or install pytest 9" if unread else move
                yield ConfigError(f"this pytest does not read {header}", where=file.where(key), cure=cure)


def _problem(config: pytest.Config, file: IniFile, key: str, value: Any) -> ConfigError | None:
    where = file.where(key)
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
