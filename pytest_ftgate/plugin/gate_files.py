"""Find and load the gate file. Its path is relative to the ini file's folder."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate import errors, git, ini_file, plain
from pytest_ftgate.checks.weaker import Compared, compare
from pytest_ftgate.config import GateFile, load_gate_file, places_of
from pytest_ftgate.gate.state import sign_of_ci


def option_path(config: pytest.Config, text: str) -> Path:
    """Return a path of the command line, relative to the folder where pytest was started."""
    return Path(config.invocation_params.dir, text)


def refuse_tracked(state: Path) -> None:
    """Raise :class:`ConfigError` if git tracks the folder of stored answers: answers would arrive unseen."""
    known, shown = list[str](), errors.shown_path(state)
    with suppress(errors.HistoryError):
        known = (
            git.git_lines(state.parent, "ls-files", "-z", "--", state.name) if git.in_repository(state.parent) else []
        )
    if known:
        what = f"git tracks {known[0]}, in the folder of stored answers"
        cure = f"Run git rm -r --cached {shown}, and add it to .gitignore. "
        cure += "To commit answers, use --ftgate-report=recordings:FOLDER."
        raise errors.ConfigError(what, where=errors.Where(shown), cure=cure)


class GateFiles:
    """The gate files of a session, each read once, and compared with the base branch once, by xdist's controller.

    A test's gate file is the nearest in its folder or above, up to ``home``, the folder of the ini file, to which all
    paths of the ini file are relative.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._name: str = config.getini("ftgate_config")
        self.home = config.inipath.parent if config.inipath else config.rootpath
        self.forbids_weakening = bool(config.getini("ftgate_forbid_weakening"))
        self.base_ref: str | None = config.getini("ftgate_base_ref") or None
        self.required: list[str] = config.getini("ftgate_required")
        self._files: dict[Path, GateFile] = {}
        self._compared: dict[Path, Compared] = {}
        self._given: Mapping[str, Any] = getattr(config, "workerinput", {}).get("ftgate_compared", {})

    def requires(self, name: str, *, in_file: bool) -> bool:
        """Return whether a gate is required: by its name, or as one of the gate file's."""
        names = {one.removesuffix(":ready") for one in self.required}
        return name in names or (in_file and "all" in names)

    def path(self, folder: Path | None = None) -> Path:
        """Return the gate file of the tests in a folder, of those at the ini file without one; it may not exist."""
        places = places_of(self._name, folder or self.home, self.home)
        return Path(os.path.abspath(next((place for place in places if os.path.exists(place)), places[-1])))

    def path_of(self, test: str) -> Path:
        """Return the gate file of a test by its id."""
        return self.path(Path(self._config.rootpath, test.partition("::")[0]).parent)

    def paths(self, tests: Iterable[str], *, below: bool = False) -> list[Path]:
        """Return the gate files of the tests and of the ini file's folder, and all in the folders collected from."""
        return list(dict.fromkeys([self.path(), *map(self.path_of, tests), *(self._below() if below else ())]))

    def collects(self, folder: Path) -> bool:
        """Return whether pytest was asked to collect all tests of a folder."""
        return any(folder.is_relative_to(start) for start in self._starts if start.is_dir())

    @cached_property
    def _starts(self) -> list[Path]:
        """Return the files and folders that pytest collects from."""
        return [Path(os.path.abspath(option_path(self._config, one.partition("::")[0]))) for one in self._config.args]

    def _below(self) -> Iterator[Path]:
        """Yield the gate files in the folders that pytest collects from."""
        ignored = self._config.getini("norecursedirs")
        for start in self._starts if os.path.basename(self._name) == self._name else ():
            for place, folders, names in os.walk(start):
                folders[:] = [one for one in folders if not any(fnmatch(one, pattern) for pattern in ignored)]
                if self._name in names:
                    yield Path(place, self._name)

    def gate_file(self, folder: Path, *, required: bool = False) -> GateFile | None:
        """Return the gate file of the tests in a folder, or None if there is none.

        Raises:
            ConfigError: the file is missing, and ``required`` or there with another suffix; or it cannot be read.
        """
        path = self.path(folder)
        other = path.with_suffix(".yml" if path.suffix == ".yaml" else ".yaml") if path.suffix else path
        file = self.load(path)
        if file is None and (required or other.is_file()):
            raise self._missing(folder, other)
        return file

    def load(self, path: Path) -> GateFile | None:
        """Return a gate file, which is read once; None if it does not exist. Raises :class:`ConfigError`."""
        if path not in self._files and os.path.exists(path):  # false for an invalid path, too
            self._files[path] = load_gate_file(path)
        return self._files.get(path)

    def _missing(self, folder: Path, other: Path) -> errors.ConfigError:
        """Return the error of a missing gate file: the folders searched, and one above or below that has it."""
        places, name = places_of(self._name, folder, self.home), os.path.basename(self._name)
        found = (one for one in (other, *(place / name for place in self.home.parents)) if one.is_file())
        elsewhere = next(found, None) or next(self._below(), None)
        cure = "Create it, set another path with ini ftgate_config, or give all keys in the marker."
        if elsewhere is not None:
            cure = (
                f"Found {errors.shown_path(elsewhere)}: rename or move it, or move the tests, or set ini ftgate_config."
            )
        searched = ", ".join(errors.shown_path(place.parent) for place in places)
        what = f"gate file not found: searched for {name} in {searched}"
        return errors.ConfigError(what, where=errors.Where(errors.shown_path(places[0])), cure=cure)

    def compared(self, file: Path) -> Compared:
        """Return what is weaker in a gate file than at the merge base."""
        if file not in self._compared:
            given, in_ci = self._given.get(str(file)), sign_of_ci() is not None
            args = (file, self.path, self.home, self._inis(), self._config.inipath, self.base_ref)
            self._compared[file] = plain.from_plain(Compared, given) if given else compare(*args, in_ci=in_ci)
        return self._compared[file]

    def compared_ahead(self) -> dict[str, Any]:
        """Return what is weaker in each gate file that tests may have, as builtins, for the workers of xdist."""
        folders = (one if one.is_dir() else one.parent for one in self._starts)
        files = dict.fromkeys((self.path(), *map(self.path, folders), *self._below()))
        bound = self.forbids_weakening or self.required
        return {str(one): asdict(self.compared(one)) for one in files if bound or os.path.exists(one)}

    def _inis(self) -> list[Path]:
        """Return where pytest looks for its ini file, in its order: from the arguments' common folder upwards."""
        if self._config.getoption("inifilename", None):
            return [self._config.inipath] if self._config.inipath else []
        paths = [option_path(self._config, one.partition("::")[0]) for one in self._config.getoption("file_or_dir", ())]
        folders = [path if path.is_dir() else path.parent for path in paths if path.exists()]
        start = os.path.commonpath(folders) if folders else self._config.invocation_params.dir
        return list(ini_file.ini_paths(Path(os.path.abspath(start))))
