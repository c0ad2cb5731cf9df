"""Refuse options and ini keys that would have no effect.

A misspelled ``ftgate_required`` would require nothing.
"""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_ftgate import errors, ini_file
from pytest_ftgate.gate.state import sign_of_ci
from pytest_ftgate.text import one_line, suggestion

KEYS = (
    "ftgate_config",
    "ftgate_state",
    "ftgate_recordings",
    "ftgate_required",
    "ftgate_base_ref",
    "ftgate_forbid_weakening",
)

ALLOW_MISSING = "--ftgate-allow-missing"
_PLANS = ("--ftgate-preview", "--ftgate-plan")
_NO_NAMES = ("", "true", "false", "yes", "no", "on", "off", "1", "0")
"""What may stand in ``ftgate_required`` where names of gates, or ``all``, are meant."""
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


def check_options(config: pytest.Config) -> None:
    """Refuse invalid options before any test is collected."""
    for option in config.getini("addopts"):
        if option.partition("=")[0] in (ALLOW_MISSING, *_PLANS):
            message = "is refused in addopts of the ini file"
            raise pytest.UsageError(f"{option} {message}: no required gate would be judged")
    for setting in config.getoption("override_ini") or ():
        if setting.startswith("ftgate_"):
            message = "is refused, because keys of pytest-ftgate come from files under review"
            raise pytest.UsageError(f"-o {setting} {message}: write it into the ini file")

    for report in config.getoption("--ftgate-report"):
        form = report.partition(":")[0]
        if form == "html":
            _require("jinja2", "Jinja2", report)
        if form == "predictions" and report.lower().endswith(".parquet"):
            _require("pyarrow", "PyArrow", report)

    sign = sign_of_ci()
    option = planning_option(config)
    if sign and option and config.getini("ftgate_required"):
        message = f"meets no gate of ftgate_required; the environment variable {sign} is set"
        raise pytest.UsageError(f"{option} {message}")


def _require(package: str, name: str, report: str) -> None:
    """Refuse a report whose library is not installed."""
    if find_spec(package) is None:
        message = f"--ftgate-report={report} needs {name}, which is not installed"
        raise pytest.UsageError(f"{message}: pip install {package}")


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
        for key in values:
            if key in KEYS and not is_read:
                yield _unread(config, file, key, header)
            elif key.lower().startswith("ftgate") and header in ini_file.HEADERS:
                yield from _of_key(config, file, key)


def _unread(
    config: pytest.Config, file: ini_file.IniFile, key: str, header: str
) -> errors.ConfigError:
    """Return the error of a key that pytest does not read: it would require nothing."""
    where = file.where(key)
    if file.path == config.inipath or config.inipath is None:
        fix = f"move the key to {file.header or 'the table of pytest'}"
        if file.native and not ini_file.reads_native():
            fix = "install pytest 9"
        return errors.ConfigError(f"this pytest does not read {header}", where=where, cure=fix)
    text = f"pytest does not read this file, because it reads {errors.shown_path(config.inipath)}"
    return errors.ConfigError(text, where=where, cure="move our keys to that file")


def _of_key(
    config: pytest.Config, file: ini_file.IniFile, key: str
) -> Iterator[errors.ConfigError]:
    """Yield what is wrong with a key that pytest reads, or that no plugin has."""
    try:
        config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:
        message = f"invalid value: {one_line(str(error))}"
        if isinstance(error.__cause__, KeyError):  # no plugin has such a key
            message = f"unknown ini key; known: {', '.join(KEYS)}{suggestion(key, KEYS)}"
        yield errors.ConfigError(message, where=file.where(key))
        return

    if key == "ftgate_required":
        lowered = str(file.ours[key] or "").strip().lower()
        if lowered in _NO_NAMES:
            got = f"got {lowered!r}" if lowered else "got none"
            message = f"needs names of gates, or all; {got}"
            fix = "write ftgate_required = all, or remove the key"
            yield errors.ConfigError(message, where=file.where(key), cure=fix)
        names = config.getini(key)
        if any(name.endswith(",") for name in names):
            message = "names of gates are separated by spaces or lines, without commas"
            fix = f"write ftgate_required = {' '.join(name.rstrip(',') for name in names)}"
            yield errors.ConfigError(message, where=file.where(key), cure=fix)
