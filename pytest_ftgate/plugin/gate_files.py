"""Find and load the gate file. Its path is relative to the ini file's folder."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path

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
    """The gate file of a session. It is read once, and looked up in git once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.path = ini_path(config, config.getini("ftgate_config"))
        self.forbids_weakening = bool(config.getini("ftgate_forbid_weakening"))
        self.base_ref: str | None = config.getini("ftgate_base_ref") or None
        self.owes = bool(config.getini("ftgate_required"))
        self._file: GateFile | None = None

    def gate_file(self, *, required: bool) -> GateFile | None:
        """Return the gate file of this session, or None if there is none.

        Raises:
            ConfigError: the file is missing, and ``required`` or there with another suffix; or it cannot be read.
        """
        if self._file is None and os.path.exists(self.path):  # false for an invalid path, too
            from pytest_ftgate.config import load_gate_file

            self._file = load_gate_file(self.path)
        if self._file is None and (required or self.renaming):
            cure = "Create it, set another path with ini ftgate_config, or give all keys in the marker."
            raise ConfigError("gate file not found", where=Where(shown_path(self.path)), cure=self.renaming or cure)
        return self._file

    @property
    def renaming(self) -> str | None:
        """Return the cure if the gate file is missing, and there with the other suffix of YAML."""
        other = self.path.with_suffix(".yml" if self.path.suffix == ".yaml" else ".yaml")
        return f"found {other.name}: rename it to {self.path.name}" if self.path.suffix and other.is_file() else None

    @cached_property
    def past(self) -> Past:
        """Return the state of the project at the merge base."""
        from pytest_ftgate.checks.weakening.past import look_back

        path, config = Path(os.path.abspath(self.path)), self._config
        return look_back(path, root=config.rootpath, ini=config.inipath, ref=self.base_ref)
