"""Read the project as it was at the merge base: its gate file, and the plugin's ini keys, which are compared here."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.weakening.comparison import Weakening
from pytest_ftgate.checks.weakening.history import Base, find_base
from pytest_ftgate.config import load_gate_file
from pytest_ftgate.errors import ConfigError, FtgateError, HistoryError
from pytest_ftgate.ini_file import INI_NAMES, line_of, read_ini

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile

_PREFIX = "ftgate_"
_NO_PROMISE = ("ftgate_base_ref", "ftgate_config", "ftgate_recordings", "ftgate_state")
"""Keys that require nothing. The gate file is compared itself."""
_NOT_SET = "not set"

NO_REPOSITORY = HistoryError(
    "this project is not in a git repository with a commit",
    cure="Run the gate in a clone with the history (git clone, or fetch-depth: 0 for actions/checkout).",
)


@dataclass(frozen=True)
class Past:
    """The project at the merge base.

    Attributes:
        base: the merge base; None where there is a problem.
        file: the gate file; None if it did not exist or could not be read.
        problem: why it could not be read, or why there is nothing to compare with.
        weaker: the ini keys that require less than they did.
        forbade: the ini forbade weakening then; a change cannot permit itself to be weaker.
        untracked: the gate file, if git has it neither then nor now.
    """

    base: Base | None = None
    file: GateFile | None = None
    problem: FtgateError | None = None
    weaker: tuple[Weakening, ...] = ()
    forbade: bool = False
    untracked: Path | None = None

    @property
    def ref(self) -> str:
        """Return the name of the target branch."""
        return self.base.ref if self.base else ""

    @property
    def absent(self) -> bool:
        """Return whether there is no history: no repository, or none with a commit."""
        return self.problem is NO_REPOSITORY


def look_back(path: Path, *, root: Path, ini: Path | None = None, ref: str | None = None) -> Past:
    """Return the project at the merge base.

    Args:
        path: the gate file, which may have been deleted.
        root: pytest's rootdir.
        ini: the ini file of today.
        ref: its ``ftgate_base_ref``.
    """
    past = Past()
    try:
        base = find_base(path.parent if path.exists() else root, ref)
        if base is None:
            return Past(problem=NO_REPOSITORY)
        inis = _ini_files(ini, root, base.root)
        base.read([*inis, path])
        used, then = _keys(base.content, inis)
        weaker = (*_ini_weakenings(then, ini, path), *_other_base(base, ref, then, inis))
        if ini is not None:
            weaker = tuple(replace(one, where=str(line_of(ini, one.key.removeprefix("ini ")))) for one in weaker)
        past = Past(base, weaker=weaker, forbade=_is_true(then.get("ftgate_forbid_weakening")))
        was = (used.parent if used else root) / str(then.get("ftgate_config", "ftgate.yaml"))
        for file in (was, path):
            content = base.content(file)
            if content is not None:
                return replace(past, file=load_gate_file(file, content))
        return replace(past, untracked=path) if path.exists() and not base.tracks(path) else past
    except FtgateError as error:
        return replace(past, problem=error)


def removed_gates(past: Past, now: Collection[str]) -> list[str]:
    """Return the gates of the file at the merge base that are not in ``now``."""
    return [name for name in (past.file.gate_names if past.file else ()) if name not in now]


# --- ini keys ------------------------------------------------------------------------------------------------


def _ini_files(ini: Path | None, root: Path, top: Path) -> list[Path]:
    """Return the files that pytest would have used, in its order, from its rootdir up to the repository's top folder.

    An ini file with a name of its own was chosen with ``-c``, then as well as now.
    """
    named = [ini] if ini is not None and ini.name not in INI_NAMES else []
    folders = [root, *(folder for folder in root.parents if folder.is_relative_to(top))]
    return [*named, *(folder / name for folder in folders for name in INI_NAMES)]


def _keys(content: Callable[[Path], bytes | None], files: list[Path]) -> tuple[Path | None, dict[str, Any]]:
    """Return the first of these files with a section of pytest, and the plugin's keys in it.

    ``content`` returns the bytes of a file.
    """
    for path in files:
        written = content(path)
        try:
            file = None if written is None else read_ini(path, written)
        except ConfigError:
            continue
        if file is not None and file.header is not None:
            return path, {key: value for key, value in file.values.items() if key.startswith(_PREFIX)}
    return None, {}


def _ini_weakenings(then: Mapping[str, Any], ini: Path | None, gate_file: Path) -> Iterator[Weakening]:
    """Yield the keys that require less than they did."""
    _, now = _keys(lambda file: file.read_bytes() if file.exists() else None, [ini] if ini else [])
    try:
        gates = load_gate_file(gate_file).gate_names if gate_file.exists() else ()
    except FtgateError:
        gates = ()  # reported by the gates that need the file
    for key, old in then.items():
        if (values := _less(key, old, now.get(key), gates)) is not None:
            yield Weakening(f"ini {key}", *values)


def _other_base(base: Base, ref: str | None, then: Mapping[str, Any], inis: list[Path]) -> Iterator[Weakening]:
    """Yield ``ftgate_base_ref`` if it is another than usual: a change cannot choose what it is compared with."""
    if ref is None or not (base.is_head or then.get("ftgate_base_ref") != ref):
        return
    try:
        usual = find_base(base.root, None)
    except HistoryError:
        return
    if usual is not None and usual.commit != base.commit:
        chosen = _keys(usual.content, inis)[1].get("ftgate_base_ref")
        if chosen != ref:
            yield Weakening("ini ftgate_base_ref", str(chosen or _NOT_SET), ref)


def _less(key: str, old: Any, new: Any, gates: Collection[str]) -> tuple[str, str] | None:
    """Return both values of a key if it requires less, or something else; ``gates`` are those of "all" now."""
    shown = _NOT_SET if new is None else str(new)
    if key == "ftgate_required":
        names = _names(new)
        kept = {*names, *(gates if "all" in names else ())}
        enough = {*_names(old)} <= kept | {f"{one}:ready" for one in kept}
        return None if enough else (" ".join(_names(old)), " ".join(names) or _NOT_SET)
    if key == "ftgate_forbid_weakening":
        return ("true", shown) if _is_true(old) and not _is_true(new) else None
    return None if key in _NO_PROMISE or str(old) == str(new) else (str(old), shown)


def _is_true(value: Any) -> bool:
    """Return whether a key is set to true, as pytest reads it."""
    return str(value).strip().lower() in ("1", "yes", "true", "on")


def _names(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else [str(name) for name in value or ()]
