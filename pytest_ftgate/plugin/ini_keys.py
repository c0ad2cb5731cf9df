"""Refuse options and ini keys that would have no effect.

A misspelled ``ftgate_required`` would require nothing.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate import errors, ini_file
from pytest_ftgate.gate.state import sign_of_ci
from pytest_ftgate.text import excerpt, nearest

_BARE = ("config", "state", "recordings", "required", "base_ref", "forbid_weakening")
KEYS = tuple(f"ftgate_{name}" for name in _BARE)

ALLOW_MISSING = "--ftgate-allow-missing"
_STRICT = ("--strict-markers", "--strict-config")
_PLANS = ("--ftgate-preview", "--ftgate-plan")
_INFORMATION = (
    "collectonly",
    "showfixtures",
    "show_fixtures_per_test",
    "setupplan",
    "cacheshow",
    "markers",
    "help",
    "version",
)
"""The options that ask for information in place of a test run, as ``config.option`` names them."""


def planning_option(config: pytest.Config) -> str | None:
    """Return the option that asks for plans in place of verdicts; None without one."""
    return next((option for option in _PLANS if config.getoption(option)), None)


def runs_no_test(config: pytest.Config) -> bool:
    """Return whether an option asks pytest for information in place of a test run."""
    return any(config.getoption(name, None) for name in _INFORMATION)


def refuse_misspelt(parser: pytest.Parser, args: Sequence[str]) -> None:
    """Raise :class:`UsageError` for an unknown option that is nearly one of ours.

    pytest itself would not say which option is meant.
    """
    options, unknown = parser.parse_known_and_unknown_args(list(args))
    ours = [name.replace("_", "-") for name in vars(options) if name.startswith("ftgate_")]
    for argument in unknown:
        option = argument.partition("=")[0]
        if not option.startswith("--ftgate"):
            continue

        # The configuration takes a while to import.
        from pytest_ftgate.config import GateKeys

        key = option.removeprefix("--ftgate-").replace("-", "_")
        if key in GateKeys.model_fields:
            message = f"unknown option {option}: no option sets a key of a gate"
            raise pytest.UsageError(f"{message}; write {key} in the marker or the gate file")
        near = nearest(option.removeprefix("--"), ours)
        if near is not None:
            raise pytest.UsageError(f"unknown option {option}; did you mean '--{near}'?")


def check_options(config: pytest.Config) -> None:
    """Refuse invalid options before any test is collected."""
    for text in _refused(config):
        raise pytest.UsageError(text)


def _refused(config: pytest.Config) -> Iterator[str]:
    for option in config.getini("addopts"):
        if option.partition("=")[0] in (ALLOW_MISSING, *_PLANS):
            message = "is refused in addopts of the ini file"
            yield f"{option} {message}: no required gate would be judged"
        is_ignored = option in _STRICT and ini_file.ignores_strict_addopts()
        if is_ignored and config.getini("ftgate_required"):
            key = option.removeprefix("--").replace("-", "_")
            fix = f"write {key} = true in the ini file in its place, or install pytest 9.1"
            yield f"pytest 9.0 ignores {option} in addopts (pytest#14442): {fix}"
    for setting in config.getoption("override_ini") or ():
        if setting.startswith("ftgate_"):
            message = "is refused, because keys of pytest-ftgate come from files under review"
            yield f"-o {setting} {message}: write it into the ini file"

    reports = dict.fromkeys(config.getoption("--ftgate-report"))
    paths = {os.path.realpath(report.partition(":")[2]) for report in reports}
    if len(paths) < len(reports):  # the second report would silently replace the first
        yield f"--ftgate-report={next(iter(reports))}: another report is written to the same file"
    if any(report.startswith("html:") for report in reports) and find_spec("jinja2") is None:
        yield "--ftgate-report=html needs Jinja2, which is not installed: pip install jinja2"

    sign = sign_of_ci()
    option = planning_option(config)
    if sign and option and config.getini("ftgate_required"):
        yield f"{option} meets no gate of ftgate_required; the environment variable {sign} is set"


def check_ini_keys(config: pytest.Config, paths: Iterable[Path]) -> None:
    """Check all keys that begin with ``ftgate`` in these files of pytest's rootdir.

    Raises:
        UsageError: a key is unknown, has an impossible value, or is where pytest does not read it.
    """
    for path in paths:
        if path == config.inipath or path.name in ini_file.INI_NAMES:
            try:
                error = next(_problems(config, ini_file.read_ini(path)), None)
            except errors.ConfigError as unreadable:
                error = unreadable if path == config.inipath else None
            if error is not None:
                raise pytest.UsageError(str(error))


def _problems(config: pytest.Config, file: ini_file.IniFile) -> Iterator[errors.ConfigError]:
    """Yield what is wrong with our keys in one file, whether pytest reads it or not."""
    is_foreign = file.native and not ini_file.reads_native()
    is_chosen = file.path == config.inipath
    for header, values in file.tables.items():
        is_read = is_chosen and header == file.header and not is_foreign
        for key, value in values.items():
            if key in KEYS and not is_read:
                yield _unread(config, file, header, key, is_foreign=is_foreign)
            elif key.lower().startswith("ftgate") and header in ini_file.HEADERS:
                yield from _of_key(config, file, key, value, is_read=is_read)


def _unread(
    config: pytest.Config, file: ini_file.IniFile, header: str, key: str, *, is_foreign: bool
) -> errors.ConfigError:
    """Return the error of a key that pytest does not read: it would require nothing."""
    text = f"this pytest does not read {header}"
    fix = f"move the key to {file.header or 'the table of pytest'}"
    if is_foreign:
        fix = "install pytest 9"
    elif config.inipath is not None and file.path != config.inipath:
        read = errors.shown_path(config.inipath)
        text = f"pytest does not read this file, because it reads {read}"
        fix = "move our keys to that file"
    return errors.ConfigError(text, where=file.where(key), cure=fix)


def _of_key(
    config: pytest.Config, file: ini_file.IniFile, key: str, value: Any, *, is_read: bool
) -> Iterator[errors.ConfigError]:
    where = file.where(key)
    try:
        read = config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:
        if isinstance(error.__cause__, KeyError):  # no plugin has such a key
            near = nearest(key.lower().removeprefix("ftgate").strip("_-."), _BARE)
            fix = f"known: {', '.join(KEYS)}"
            if near is not None:
                fix = f"did you mean ftgate_{near}?"
            yield errors.ConfigError("unknown ini key", where=where, cure=fix)
        elif is_read:
            message = f"invalid value: {excerpt(str(value))}"
            fix = "write the names as a list"
            if key == "ftgate_forbid_weakening":
                fix = "write true or false"
            yield errors.ConfigError(message, where=where, evidence=str(error), cure=fix)
        return

    if is_read and isinstance(read, list) and any(map(_is_listed, read)):
        names = " ".join(read)
        for sign in ",[]":
            names = names.replace(sign, " ")
        fix = f"write one name after the other, without commas: {' '.join(names.split())}"
        yield errors.ConfigError("a name has a comma", where=where, cure=fix)


def _is_listed(name: str) -> bool:
    """Return whether a name begins or ends with a sign of a list; a name may hold them itself."""
    return name.startswith(("[", ",")) or name.endswith(",")
