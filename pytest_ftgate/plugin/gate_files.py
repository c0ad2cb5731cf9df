"""Find and load gate files. Paths are relative to the ini file's folder, or on the command line to the invocation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.errors import ConfigError, FtgateError, Where, shown_path

if TYPE_CHECKING:
    from pytest_ftgate.checks.weakening.past import Past
    from pytest_ftgate.config import GateFile


def ini_path(config: pytest.Config, text: str) -> Path:
    """Return a path of the ini file, relative to its folder."""
    folder = config.inipath.parent if config.inipath else config.rootpath
    return folder / text


def option_path(config: pytest.Config, text: str) -> Path:
    """Return a path of the command line, relative to the folder where pytest was started."""
    return Path(config.invocation_params.dir, text)


def refuse_tracked(state: Path) -> None:
    """Raise :class:`ConfigError` if git tracks the folder of stored predictions: answers would arrive unseen."""
    from pytest_ftgate.checks.weakening.history import tracked

    known = tracked(state) if any((parent / ".git").exists() for parent in state.parents) else []
    if known:
        raise ConfigError(
            f"git tracks {known[0]}, in the folder of stored predictions",
            where=Where(shown_path(state)),
            cure=f"Run git rm -r --cached {shown_path(state)}, and add it to .gitignore. To commit answers, use "
            "--ftgate-report=recordings:FOLDER.",
        )


class GateFiles:
    """The gate files of a session. Each is read once, and looked up in git once.

    A gate file on the command line takes precedence over that of the ini file.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        named = config.getoption("--ftgate-config")
        self.ini_path = ini_path(config, config.getini("ftgate_config"))
        self.path = option_path(config, named) if named else self.ini_path
        self.forbids_weakening = bool(config.getini("ftgate_forbid_weakening"))
        self._named = bool(named)
        self.base_ref: str | None = config.getini("ftgate_base_ref") or None
        self.owes = bool(config.getini("ftgate_required"))
        self._read: dict[Path, GateFile] = {}
        self._pasts: dict[Path, Past] = {}

    def gate_file(self, *, required: bool) -> GateFile | None:
        """Return the gate file of this session, or None if there is none.

        Raises:
            ConfigError: the file is missing, and ``required``, named on the command line, or there with another suffix.
        """
        path = self.path
        if path in self._read or os.path.exists(path):  # false for an invalid path, too
            return self._load(path)
        renaming = self.renaming(path)
        if required or self._named or renaming:
            cure = "Create it, set another path with ini ftgate_config, or give all keys in the marker."
            raise ConfigError("gate file not found", where=Where(shown_path(path)), cure=renaming or cure)
        return None

    def renaming(self, path: Path) -> str | None:
        """Return the cure if a missing gate file is there with the other suffix of YAML."""
        other = path.with_suffix(".yml" if path.suffix == ".yaml" else ".yaml")
        return f"found {other.name}: rename it to {path.name}" if path.suffix and other.is_file() else None

    def ini_file(self) -> GateFile:
        """Return the ini's gate file. Raises :class:`FtgateError` if it is missing or cannot be read."""
        return self._load(self.ini_path)

    def promised(self, gate: str) -> GateFile | None:
        """Return the ini's gate file if the command line names another and it has this gate: it stays binding."""
        if not self._named:
            return None
        try:
            file = self.ini_file()
        except FtgateError:
            return None  # reported with the required gates
        return file if gate in file.gate_names else None

    def past(self, path: Path | None = None) -> Past:
        """Return the state of the project and ``path``, by default the session's gate file, at the merge base."""
        from pytest_ftgate.checks.weakening.past import look_back

        path = Path(os.path.abspath(path or self.path))
        if path not in self._pasts:
            config, recordings = self._config, self._config.getini("ftgate_recordings")
            answers = ini_path(config, recordings) if recordings else None
            self._pasts[path] = look_back(
                path, root=config.rootpath, ini=config.inipath, ref=self.base_ref, recordings=answers
            )
        return self._pasts[path]

    def _load(self, path: Path) -> GateFile:
        from pytest_ftgate.config import load_gate_file

        if path not in self._read:
            self._read[path] = load_gate_file(path)
        return self._read[path]
