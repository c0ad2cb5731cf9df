"""Compare the plugin's ini keys with those at the merge base."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.weakening.comparison import Weakening
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.ini_file import INI_NAMES, read_ini

_PREFIX = "ftgate_"
_NO_PROMISE = ("ftgate_base_ref", "ftgate_config", "ftgate_github_summary", "ftgate_recordings", "ftgate_state")
"""Keys that require nothing. The gate file and the answers in the folder of recordings are compared themselves."""
NOT_SET = "not set"


def ini_files(folder: Path, now: Path | None) -> list[Path]:
    """Return the files that may hold the ini keys, that of today first."""
    return list(dict.fromkeys([*([now] if now else []), *(folder / name for name in INI_NAMES)]))


def ini_keys(path: Path, content: bytes) -> dict[str, Any] | None:
    """Return the plugin's keys in an ini file; None if the file cannot be read, or pytest reads nothing of it."""
    try:
        file = read_ini(path, content)
    except ConfigError:
        return None
    return None if file.header is None else {k: value for k, value in file.values.items() if k.startswith(_PREFIX)}


def keys_then(content: Callable[[Path], bytes | None], files: list[Path]) -> dict[str, Any]:
    """Return the keys of the first of these files that had a section of pytest; ``content`` returns its bytes."""
    for path in files:
        written = content(path)
        keys = None if written is None else ini_keys(path, written)
        if keys is not None:
            return keys
    return {}


def is_true(value: Any) -> bool:
    """Return whether a key is set to true, as pytest reads it."""
    return str(value).strip().lower() in ("1", "yes", "true", "on")


def ini_weakenings(before: Mapping[str, Any], after: Mapping[str, Any], gates: Collection[str]) -> Iterator[Weakening]:
    """Yield the keys that require less: names that are no longer required, and other changes of what was set.

    Args:
        before: the keys at the merge base.
        after: the keys now.
        gates: the gates that "all" stands for now.
    """
    for key, old in before.items():
        new = after.get(key)
        if key == "ftgate_required":
            names = _names(new)
            now = set(gates) if "all" in names else set()
            kept = {*names, *now, *(f"{one}:ready" for one in (*names, *now))}
            if not set(_names(old)) <= kept:
                yield Weakening(f"ini {key}", " ".join(_names(old)), " ".join(names) or NOT_SET)
        elif key == "ftgate_forbid_weakening":
            if is_true(old) and not is_true(new):
                yield Weakening(f"ini {key}", "true", NOT_SET if new is None else str(new))
        elif key not in _NO_PROMISE and str(old) != str(new):
            yield Weakening(f"ini {key}", str(old), NOT_SET if new is None else str(new))


def _names(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else [str(name) for name in value or ()]
