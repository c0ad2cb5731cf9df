"""The project of a session: its ini keys, its gate file, and what is weaker than before."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

import pytest

from pytest_ftgate import errors
from pytest_ftgate.checks.weaker import Compared, compare
from pytest_ftgate.config import GateFile, load_gate_file
from pytest_ftgate.gate.state import sign_of_ci
from pytest_ftgate.git import top_folder
from pytest_ftgate.ini_file import GATE_FILE, find_ini

_MOST_FOUND = 3


def option_path(config: pytest.Config, text: str) -> Path:
    """Return a path of the command line, relative to the folder where pytest was started."""
    return Path(config.invocation_params.dir, text)


class Project:
    """The project of a session.

    Attributes:
        home: the folder of the ini file, to which its paths are relative; pytest's rootdir
            without one.
        path: the gate file, which may not exist.
        required: the gates that ini ``ftgate_required`` requires.
        forbids_weakening: ini ``ftgate_forbid_weakening``.
        base_ref: ini ``ftgate_base_ref``.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.home = config.inipath.parent if config.inipath else config.rootpath
        self.path = Path(os.path.abspath(self.home / config.getini("ftgate_config")))
        self.required: list[str] = config.getini("ftgate_required")
        self.forbids_weakening = bool(config.getini("ftgate_forbid_weakening"))
        self.base_ref: str | None = config.getini("ftgate_base_ref") or None

    def requires(self, name: str, *, in_file: bool) -> bool:
        """Return whether a gate is required: by its name, or as one of the gate file's."""
        names = {required.removesuffix(":ready") for required in self.required}
        return name in names or (in_file and "all" in names)

    @cached_property
    def _file(self) -> GateFile | errors.ConfigError | None:
        """Return the gate file, or the error of reading it; None if it does not exist."""
        if not os.path.exists(self.path):  # false for an invalid path, too
            return None
        try:
            return load_gate_file(self.path)
        except errors.ConfigError as error:
            return error

    def load(self) -> GateFile | None:
        """Return the gate file; None if it does not exist. Raises :class:`ConfigError`."""
        if isinstance(self._file, errors.ConfigError):
            raise self._file
        return self._file

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Return the gates of the file; none if it cannot be read, which each of its gates says."""
        return self._file.gate_names if isinstance(self._file, GateFile) else ()

    def gate_file(self, *, required: bool = False) -> GateFile | None:
        """Return the gate file, or None if there is none.

        Raises :class:`ConfigError` if it cannot be read, or is ``required`` and missing.
        """
        file = self.load()
        if file is None and required:
            raise self.missing()
        return file

    def refuse_nearer_file(self, test: Path) -> None:
        """Raise :class:`ConfigError` if another gate file is nearer to a test that names a gate.

        That file belongs to another project, whose gate may have the same name.
        """
        for folder in test.parents:
            if folder == self.home or folder in self.home.parents:
                return
            path = folder / GATE_FILE
            if path == self.path:
                return
            if path.is_file():
                message = f"{errors.shown_path(path)} is nearer to this test than the gate file "
                message += f"of this session, {errors.shown_path(self.path)}"
                where = errors.Where(errors.shown_path(test))
                raise errors.ConfigError(message, where=where, cure=self._run_in(folder))

    def _run_in(self, folder: Path) -> str:
        """Return how to judge the gates of a gate file in another folder than the session's."""
        shown_folder = errors.shown_path(folder)
        file = f"{shown_folder}/{GATE_FILE}"
        ini = find_ini(folder)
        if ini is not None and ini.path == self._config.inipath:
            # pytest started there would use the ini file of this session again.
            return (
                f"Add {shown_folder}/pytest.ini and run pytest in {shown_folder}, or move the "
                f"gates of {file} to the gate file of this session."
            )
        return f"Run pytest in {shown_folder}."

    def missing(self) -> errors.ConfigError:
        """Return the error of a missing gate file, and how to use the ones found elsewhere."""
        found = self.other_files
        cure = "Create it, set another path with ini ftgate_config, or give all keys in the marker."
        if found:
            cure = " ".join(self._use_of(path, is_only=len(found) == 1) for path in found)

        folder = errors.shown_path(self.path.parent)
        if self.path.parent == self.home:
            ini = self._config.inipath
            folder = f"the folder of {ini.name}" if ini is not None else "pytest's rootdir"
        text = f"gate file not found: searched for {self.path.name} in {folder}"
        return errors.ConfigError(text, where=errors.Where(errors.shown_path(self.path)), cure=cure)

    @cached_property
    def other_files(self) -> tuple[Path, ...]:
        """Return the first gate files in other places, above and below, that may be meant."""
        return tuple(islice(filter(Path.is_file, self._other_places()), _MOST_FOUND))

    def _other_places(self) -> Iterator[Path]:
        """Yield where the gate file may be instead: in a folder above, or below."""
        folder = self.path.parent
        yield self.path.with_suffix(".yml")
        for parent in folder.parents:
            if (folder / ".git").exists():
                break  # what is above belongs to another repository
            folder = parent
            yield folder / self.path.name
        for depth in ("*", "*/*"):
            yield from sorted(self.path.parent.glob(f"{depth}/{self.path.name}"))

    def _use_of(self, path: Path, *, is_only: bool) -> str:
        """Return how to judge the gates of a gate file that was found in another place."""
        folder = path.parent
        found = f"Found {errors.shown_path(path)}:"
        ini = None
        with suppress(errors.ConfigError):  # which pytest says there
            ini = find_ini(folder)
        home = folder
        read_there = folder / GATE_FILE
        if ini is not None:
            home = ini.path.parent
            read_there = ini.gate_file
        if path == read_there:
            return f"{found} run pytest in {errors.shown_path(home)}."

        # A session has one gate file, of its own repository.
        if is_only and top_folder(folder) == top_folder(self.home):
            written = Path(os.path.relpath(path, self.home)).as_posix()
            ini_path = self._config.inipath or self.home / "pytest.ini"
            return f"{found} write ftgate_config = {written} in {errors.shown_path(ini_path)}."
        line = "" if path.name == GATE_FILE else f" with ftgate_config = {path.name}"
        shown = errors.shown_path(folder)
        return f"{found} add {shown}/pytest.ini{line} and run pytest in {shown}."

    def collects_all(self) -> bool:
        """Return whether pytest was asked to collect all tests of the gate file's folder."""
        # An argument may be a path, or a test in it: tests/test_gate.py::test_gate.
        for argument in self._config.args:
            start = os.path.abspath(option_path(self._config, argument.partition("::")[0]))
            if os.path.isdir(start) and self.path.is_relative_to(start):
                return True
        return False

    @cached_property
    def compared(self) -> Compared:
        """Return the comparison with the merge base."""
        in_ci = sign_of_ci() is not None
        return compare(self.path, self.home, self._config.inipath, self.base_ref, in_ci=in_ci)
