"""What relative paths are relative to: in an ini file its folder, on the command line where pytest was started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.errors import ConfigError, FtgateError, Where, shown_path

if TYPE_CHECKING:
    from pytest_ftgate.checks.weakening.review import Past
    from pytest_ftgate.config import GateFile


def ini_path(config: pytest.Config, text: str) -> Path:
    """A path as an ini file writes it."""
    folder = config.inipath.parent if config.inipath else config.rootpath
    return folder / text


def option_path(config: pytest.Config, text: str) -> Path:
    """A path as the command line writes it."""
    return Path(config.invocation_params.dir, text)


class GateFiles:
    """Each file is read once in a session, and looked up once in its history.

    The command line names the gate file of a session before the ini file does.
    """

    def __init__(self, config: pytest.Config) -> None:
        named = config.getoption("--ftgate-config")
        self.ini_path = ini_path(config, config.getini("ftgate_config"))
        self.path = option_path(config, named) if named else self.ini_path
        self.forbids_weakening = bool(config.getini("ftgate_forbid_weakening"))
        self._named = bool(named)
        self._base_ref: str | None = config.getini("ftgate_base_ref") or None
        self._read: dict[Path, GateFile] = {}
        self._pasts: dict[Path, Past | None] = {}

    def gate_file(self, *, required: bool) -> GateFile | None:
        """The gate file of this session. One that is absent is an error where it is ``required`` or was named."""
        path = self.path
        if path in self._read or os.path.exists(path):  # which takes a path that no file can have for an absent one
            return self._load(path)
        if required or self._named:
            raise ConfigError(
                "there is no gate file",
                where=Where(shown_path(path)),
                cure="Write it, name another with ini ftgate_config, or give all keys in the mark.",
            )
        return None

    def ini_file(self) -> GateFile:
        """The ini's gate file. Raises :class:`FtgateError` where there is none, or it cannot be read."""
        return self._load(self.ini_path)

    def promised(self, gate: str) -> GateFile | None:
        """The ini's gate file, where it has this gate and the command line names another: its promises stay."""
        if not self._named:
            return None
        try:
            file = self.ini_file()
        except FtgateError:
            return None  # which the obligations say
        return file if gate in file.gate_names else None

    def past(self, path: Path | None = None) -> Past | None:
        """What ``path`` (the session's gate file) was where this change began; None without git."""
        from pytest_ftgate.checks.weakening.review import look_back

        path = Path(os.path.abspath(path or self.path))
        if path not in self._pasts:
            self._pasts[path] = look_back(path, self._base_ref)
        return self._pasts[path]

    def _load(self, path: Path) -> GateFile:
        from pytest_ftgate.config import load_gate_file

        if path not in self._read:
            self._read[path] = load_gate_file(path)
        return self._read[path]
