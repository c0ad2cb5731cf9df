"""Refuse options, and ini keys that would have no effect: a misspelled ``ftgate_required`` would require nothing."""

import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate import errors, ini_file
from pytest_ftgate.gate.state import sign_of_ci
from pytest_ftgate.text import excerpt, nearest

_BARE = ("config", "state", "recordings", "required", "base_ref", "forbid_weakening")
KEYS = tuple(f"ftgate_{one}" for one in _BARE)

ALLOW_MISSING = "--ftgate-allow-missing"
_PLANS = ("--ftgate-preview", "--ftgate-plan")
_NO_BODY = ("--setup-only", "--setuponly")
_NO_TEST = {
    "collectonly": ("--collect-only", "--collectonly", "--co"),
    "showfixtures": ("--fixtures", "--funcargs"),
    "show_fixtures_per_test": ("--fixtures-per-test",),
    "setupplan": ("--setup-plan", "--setupplan"),
    "cacheshow": ("--cache-show",),
    "markers": ("--markers",),
    "help": ("-h", "--help"),
    "version": ("-V", "--version"),
}
"""The options that ask pytest for information in place of a test run, by their names in ``config.option``."""


def planning_option(config: pytest.Config) -> str | None:
    """Return the option that asks for plans in place of verdicts; a preview is a plan, too. None without one."""
    return next((option for option in _PLANS if config.getoption(option)), None)


def runs_no_test(config: pytest.Config) -> bool:
    """Return whether an option asks pytest for information in place of a test run."""
    return any(config.getoption(name, None) for name in _NO_TEST)


def check_options(config: pytest.Config) -> None:
    """Refuse invalid options before any test is collected."""
    for text in _refused(config):
        raise pytest.UsageError(text)


def _refused(config: pytest.Config) -> Iterator[str]:
    required, sign = bool(config.getini("ftgate_required")), sign_of_ci()
    refused = [ALLOW_MISSING, *_PLANS, *(chain(_NO_BODY, *_NO_TEST.values()) if required else ())]
    for option in config.getini("addopts"):
        if option.partition("=")[0] in refused:
            yield f"{option} is refused in addopts of the ini file: no required gate would be judged"
    for name in config.getoption("override_ini") or ():
        if name.startswith("ftgate_"):
            yield f"-o {name}: the requirements of a gate come from files under review, not from the command line"
    reports = dict.fromkeys(config.getoption("--ftgate-report"))
    paths = [os.path.realpath(report.partition(":")[2]) for report in reports]
    if len({*paths}) < len(paths):  # the second report would silently replace the first
        yield f"--ftgate-report={next(iter(reports))}: another report is written to the same file"
    if any(one.startswith("html:") for one in reports) and find_spec("jinja2") is None:
        yield "--ftgate-report=html needs Jinja2, which is not installed: pip install jinja2"
    planning = planning_option(config)
    if sign and config.getoption(ALLOW_MISSING):
        yield f"{ALLOW_MISSING} is for local work only; the environment variable {sign} is set"
    if sign and planning and required:
        yield f"{planning} meets no gate of ftgate_required; the environment variable {sign} is set"


def check_ini_keys(config: pytest.Config, paths: Iterable[Path]) -> None:
    """Check all keys that begin with ``ftgate`` in these files of pytest's rootdir, whichever of them pytest reads.

    Raises:
        UsageError: a key is unknown, has an impossible value, or is where pytest does not read it.
    """
    for path in paths:
        if path == config.inipath or path.name in ini_file.INI_NAMES:
            try:
                error = next(_problems(config, ini_file.read_ini(path)), None)
            except errors.ConfigError as unread:
                error = unread if path == config.inipath else None
            if error is not None:
                raise pytest.UsageError(str(error))


def _problems(config: pytest.Config, file: ini_file.IniFile) -> Iterator[errors.ConfigError]:
    unread = file.native and not ini_file.reads_native()
    for header, key, value in ((header, *one) for header, values in file.tables.items() for one in values.items()):
        is_read = file.path == config.inipath and header == file.header and not unread
        if key in KEYS and (unread or (file.path == config.inipath and not is_read)):
            cure = "install pytest 9" if unread else f"move the key to {file.header or 'the table of pytest'}"
            yield errors.ConfigError(f"this pytest does not read {header}", where=file.where(key), cure=cure)
        elif key.lower().startswith("ftgate") and header in ini_file.HEADERS:
            yield from _of_key(config, file, key, value, is_read=is_read)


def _of_key(
    config: pytest.Config, file: ini_file.IniFile, key: str, value: Any, *, is_read: bool
) -> Iterator[errors.ConfigError]:
    try:
        config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:
        if isinstance(error.__cause__, KeyError):  # no plugin has such a key
            near = nearest(key.lower().removeprefix("ftgate").strip("_-."), _BARE)
            cure = f"did you mean ftgate_{near}?" if near else f"known: {', '.join(KEYS)}"
            yield errors.ConfigError("unknown ini key", where=file.where(key), cure=cure)
        elif is_read:
            what, cure = f"invalid value: {excerpt(str(value))}", "write true or false; names are written as a list"
            yield errors.ConfigError(what, where=file.where(key), evidence=str(error), cure=cure)
