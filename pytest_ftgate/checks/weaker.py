"""Compare the project with the merge base: its ini keys, gates, prompts and test sets."""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pytest_ftgate.config import (
    DataKeys,
    GateFile,
    GateKeys,
    as_written,
    load_gate_file,
    weakenings,
)
from pytest_ftgate.data import DataSet, Example, canonical_json, load_examples, normalized_input
from pytest_ftgate.errors import FtgateError, HistoryError, NoHistoryError, shown_path
from pytest_ftgate.git import Base, find_base, find_branch, top_folder
from pytest_ftgate.ini_file import INI_NAMES, IniFile, line_of, read_ini, used_ini
from pytest_ftgate.models.recorded import read_rows
from pytest_ftgate.result import Check
from pytest_ftgate.text import cut, excerpt, plural

_REQUIRED = "ftgate_required"
_FORBID = "ftgate_forbid_weakening"
_BASE_REF = "ftgate_base_ref"
_TRUE = ("1", "yes", "true", "on")  # as pytest reads it

_APPROVED = (
    "Undo the change. If it is intended, merge it by itself, approved by someone who may override "
    "this gate."
)
_ADD = "Add it to git."

_NO_GATES = b"version: 1"
_PROMPT_FILES = ("system_file", "rubric_file", "calibration")


@dataclass(frozen=True)
class Finding:
    """What is weaker or could not be compared, or is not in git.

    Attributes:
        name: the name of the check.
        gate: the gate that it is about; None for all.
        text: what was found, with both values and the place.
        cure: what to do.
        was_required: the gate was removed, and was required at the merge base.
    """

    name: Literal["weakened", "untracked"]
    gate: str | None
    text: str
    cure: str | None = None
    was_required: bool = False

    @classmethod
    def weaker(
        cls,
        than: str,
        change: str,
        place: str = "",
        gate: str | None = None,
        *,
        was_required: bool = False,
    ) -> "Finding":
        """Return that something at a ``place`` asks for less ``than`` something else."""
        where = f" ({place})" if place else ""
        text = f"weaker than {than}: {change}{where}"
        return cls("weakened", gate, text, _APPROVED, was_required)

    def check(self, *, forbidden: bool) -> Check:
        """Return the finding as a check of a gate."""
        if not forbidden:
            return Check(self.name, "warning", self.text, cure=self.cure)
        return Check(self.name, "fail", self.text, source=f"ini {_FORBID}", cure=self.cure)


@dataclass(frozen=True)
class Compared:
    """The findings on a gate file.

    Attributes:
        findings: all of them.
        forbade: whether weakening was forbidden at the merge base.
        absent: whether there is no history, which is no problem where weakening is not forbidden.
    """

    findings: tuple[Finding, ...] = ()
    forbade: bool = False
    absent: bool = False


@dataclass(frozen=True)
class _Past:
    """The merge base, and its ini files that name this project's gate file, the nearest first.

    Attributes:
        base: the merge base.
        inis: the ini files.
        file: the path of the gate file there, if no ini file names it.
    """

    base: Base
    inis: tuple[IniFile, ...]
    file: Path

    @property
    def keys(self) -> dict[str, Any]:
        """Return our keys of the ini files: every one binds."""
        keys: dict[str, Any] = {}
        required: list[str] = []
        forbids = False
        for ini in self.inis:
            keys = {**ini.ours, **keys}
            required += _names(ini.ours.get(_REQUIRED))
            forbids = forbids or _forbids(ini.ours)

        if required:
            keys[_REQUIRED] = list(dict.fromkeys(required))
        if forbids:
            keys[_FORBID] = "true"
        return keys

    @property
    def ini(self) -> IniFile | None:
        """Return the nearest ini file."""
        return self.inis[0] if self.inis else None

    @property
    def gate_file(self) -> Path:
        """Return the gate file of the ini file; without one, ``file``."""
        if self.ini is None:
            return self.file
        path = self.ini.gate_file
        return self.file if self.base.content(path) is None else path


def compare(
    file: Path,
    home: Path,
    ini: Path | None,
    ref: str | None = None,
    *,
    in_ci: bool = True,
) -> Compared:
    """Compare a project with what it was at the merge base.

    Args:
        file: the gate file, which may have been deleted.
        home: the folder of the ini file, or pytest's rootdir without one.
        ini: the ini file.
        ref: its ``ftgate_base_ref``.
        in_ci: whether a history is owed, so that a shallow clone has to be mended.
    """
    past = None
    findings: list[Finding] = []
    try:
        past = _find_past(file, home, ref, in_ci=in_ci)
        # A gate file that is gone has no gates left.
        gates_now = load_gate_file(file, None if file.exists() else _NO_GATES)
        findings += _compare_ini(past, ini, gates_now.gate_names)
        findings += _compare_gate_files(past, gates_now)
        if file.exists():
            findings += _untracked(past.base, file)
    except NoHistoryError as error:
        text = f"could not compare with the base branch: {error.headline}"
        return Compared((Finding("weakened", gate=None, text=text, cure=error.cure),), absent=True)
    except FtgateError as error:
        than = "the base branch"
        if past is not None:
            than = past.base.name
        text = f"could not compare with {than}: {error.headline}"
        findings.append(Finding("weakened", gate=None, text=text, cure=error.cure))
    forbade = past is not None and _forbids(past.keys)
    return Compared(tuple(dict.fromkeys(findings)), forbade)


def _find_past(file: Path, home: Path, ref: str | None, *, in_ci: bool) -> _Past:
    """Return the merge base and the ini file of that time.

    ``ref`` counts once the usual base names it, too: a change cannot choose what it is compared
    with.
    """
    usual = None
    with suppress(HistoryError):
        usual = _past_at(find_base(home, None, in_ci=in_ci), file, home)
    if usual is not None and (ref is None or usual.keys.get(_BASE_REF) != ref):
        return usual
    return _past_at(find_base(home, ref, in_ci=in_ci), file, home)


def _past_at(base: Base, file: Path, home: Path) -> _Past:
    """Return a base with its ini file: the one in the folder of today's, or of the gate file.

    Without one there, the next folder above counts, as for pytest. If its gate file is another
    one that is still there, it belongs to another project.
    """
    folder = max(home, file.parent, key=_depth)
    file_then = _gate_file_at(base, file)
    if file_then != file:
        folder = file_then.parent

    inis = []
    for place in (folder, *folder.parents):
        ini = used_ini((place / name for name in INI_NAMES), base.content)
        if ini is None:
            continue
        is_ours = ini.gate_file == file or not ini.gate_file.exists()
        if place == home or is_ours:
            inis.append(ini)
    return _Past(base, tuple(inis), file_then)


def _gate_file_at(base: Base, file: Path) -> Path:
    """Return the path that a gate file had at the base.

    Where nothing was there, the only gate file of this name that is gone was moved.
    """
    if base.content(file) is not None:
        return file
    gone = []
    for path in base.files:
        if os.path.basename(path) == file.name and not os.path.exists(path):
            gone.append(Path(path))
    return gone[0] if len(gone) == 1 else file


def _depth(folder: Path) -> int:
    return len(folder.parts)


# --- ini files ------------------------------------------------------------------------------------


def _compare_ini(past: _Past, ini: Path | None, gates: Sequence[str]) -> Iterator[Finding]:
    """Yield the ini keys that require less than they did; ``gates`` are those of "all" now."""
    keys_then = past.keys
    keys_now: Mapping[str, Any] = {}
    if ini is not None and ini.is_file():
        keys_now = read_ini(ini).ours
    if past.ini is not None and keys_then and past.ini.path != ini and past.ini.path.is_file():
        change = f"the ini file {shown_path(past.ini.path)} is no longer used"
        if ini is not None:
            change += f"; {shown_path(ini)} is used instead"
        yield Finding.weaker(past.base.name, change)

    for key in _weaker_keys(keys_then, keys_now, gates):
        if key == _BASE_REF and _names_base(past.base, keys_now.get(key)):
            continue
        change = f"ini {key}: {_words(keys_then, key)} -> {_words(keys_now, key)}"
        place = str(line_of(ini, key)) if ini is not None else ""
        yield Finding.weaker(past.base.name, change, place)


def _names_base(base: Base, ref: Any) -> bool:
    """Return whether a branch is the one that is compared with anyway."""
    if not ref:
        return False
    with suppress(HistoryError):
        return find_branch(base.root, str(ref)) in base.refs
    return False


def _words(keys: Mapping[str, Any], key: str) -> str:
    return " ".join(_names(keys.get(key))) or "not set"


def _weaker_keys(
    keys_then: Mapping[str, Any],
    keys_now: Mapping[str, Any],
    gates: Sequence[str],
) -> Iterator[str]:
    """Yield the keys that require less; all others protect nothing."""
    names = set(_names(keys_now.get(_REQUIRED)))
    if "all" in names:
        names.update(gates)
    # Who requires a gate to pass requires more than that it is ready.
    names.update([f"{name}:ready" for name in names])
    if not names.issuperset(_names(keys_then.get(_REQUIRED))):
        yield _REQUIRED
    if _forbids(keys_then) and not _forbids(keys_now):
        yield _FORBID
    if str(keys_then.get(_BASE_REF)) != str(keys_now.get(_BASE_REF)):
        yield _BASE_REF


def _names(value: Any) -> list[str]:
    """Return the names of a list, or of a text in which blanks separate them."""
    if isinstance(value, str):
        return shlex.split(value)
    if isinstance(value, list):
        return [str(name) for name in value]
    return []


def _forbids(keys: Mapping[str, Any]) -> bool:
    return str(keys.get(_FORBID)).strip().lower() in _TRUE


# --- gates ----------------------------------------------------------------------------------------


def _compare_gate_files(past: _Past, gate_file: GateFile) -> Iterator[Finding]:
    """Yield the findings on all gates, those that are gone first."""
    base = past.base
    path = past.gate_file
    content = base.content(path)

    def read_policy(policy: Path) -> bytes:
        # An installed policy, or one outside of git, is read as it is now.
        policy_then = base.content(policy)
        return policy.read_bytes() if policy_then is None else policy_then

    if content is None:
        content = _NO_GATES
    base_file = load_gate_file(path, content, read=read_policy)
    extends = base_file.extends
    if extends is not None and gate_file.extends is None:
        place = f"{replace(base_file.where(('defaults', 'extends')), key=None)} at {base.name}"
        yield Finding.weaker(base.name, f"extends: {cut(extends)} -> removed", place)

    # A file that was moved is compared as it is now.
    if path != gate_file.path and path.exists() and gate_file.path.exists():
        text = f"the gate file {shown_path(path)} is no longer used; "
        text += f"{shown_path(gate_file.path)} is used instead"
        yield Finding.weaker(base.name, text)

    required = _names(past.keys.get(_REQUIRED))
    for name in base_file.gate_names:
        if name not in gate_file.gate_names:
            is_required = "all" in required or name in required
            place = f"{replace(base_file.where(('gates', name)), key=None)} at {base.name}"
            text = f"the gate {name} was removed"
            yield Finding.weaker(base.name, text, place, name, was_required=is_required)

    for name in gate_file.gate_names:
        if name in base_file.gate_names:
            yield from _compare_gate(
                base, name, as_written(base_file, name), as_written(gate_file, name)
            )


def _compare_gate(
    base: Base, name: str, config_then: GateKeys, config_now: GateKeys
) -> Iterator[Finding]:
    """Yield where a gate asks for less, and what became of its test sets and prompts."""
    test_sets_then = _test_sets(config_then)
    test_sets = _test_sets(config_now)
    compared = [key for key in test_sets if _is_at(base, test_sets_then.get(key))]
    # How a test set is written does not count.
    spellings = set()
    for key in compared:
        spellings |= {f"{key}.format", f"{key}.fields"}

    # What test sets and recordings hold is compared below.
    contents = [test_sets_then[key].path for key in compared]
    contents += [path for path in _recordings(config_then).values() if base.content(path)]

    def is_same_file(old: Path, new: Path) -> bool:
        return old in contents or base.holds(old, new)

    changes = weakenings(config_then, config_now, is_same_file=is_same_file)
    for key, values in changes.items():
        if key in spellings:
            continue
        place = config_now.place_of(key) or f"{config_then.place_of(key)} at {base.name}"
        yield Finding.weaker(base.name, f"{key}: {values}", place, name)

    for key, data in test_sets.items():
        if not data.path.is_file():
            continue  # which is reported where it is read
        if key in compared:
            losses = _compare_examples(base, test_sets_then[key], data)
            if losses:
                place = config_now.place_of(key)
                yield Finding.weaker(base.name, f"{key}: {losses}", place, name)
        yield from _untracked(base, data.path, name)

    pairs = [(test_sets_then[key], test_sets[key]) for key in compared]
    for key, losses in _lost_answers(base, config_then, config_now, pairs):
        yield Finding.weaker(base.name, f"{key}: {losses}", config_now.place_of(key), name)
    for path in _prompt_files(config_now):
        if path.is_file() and base.content(path) is not None and base.changed(path):
            yield Finding.weaker(base.name, f"{shown_path(path)} was changed", gate=name)


def _is_at(base: Base, data: DataKeys | None) -> bool:
    """Return whether the file of a data set was in git at the base."""
    return data is not None and base.content(data.path) is not None


def _recordings(config: GateKeys) -> dict[str, Path]:
    """Return the recorded answers of a gate's baselines, by their names."""
    paths = {}
    for role, spec in config.baselines.items():
        if spec.provider == "recorded":
            paths[role] = Path(spec.options["path"])
    return paths


def _test_sets(config: GateKeys) -> dict[str, DataKeys]:
    """Return the test sets of a gate that are files, by key."""
    sets = {"test_set": config.test_set}
    for name, guard in config.guards.items():
        sets[f"guards.{name}.test_set"] = guard.test_set
    return {key: data for key, data in sets.items() if data.rows is None}


def _prompt_files(config: GateKeys) -> Iterator[Path]:
    """Yield the files with what baselines and judges are told."""
    specs: list[Any] = [*config.baselines.values(), *config.judges, *config.judged_metrics.values()]
    for spec in specs:
        for key in _PROMPT_FILES:
            value = spec.options.get(key)
            if value is not None:
                yield Path(getattr(value, "path", value))


def _untracked(base: Base, path: Path, gate: str | None = None) -> Iterator[Finding]:
    if base.tracks(path):
        return

    # Git knows of a submodule only its commit, and of a nested repository nothing.
    top = top_folder(path.parent)
    if top is None or top == base.root:
        text = f"{shown_path(path)} is not in git, so changes cannot be detected"
        yield Finding("untracked", gate=gate, text=text, cure=_ADD)
        return
    text = f"{shown_path(path)} is in another git repository, {shown_path(top)}, "
    text += "so changes cannot be detected"
    cure = f"Judge the gate in {shown_path(top)}, or move the file into this repository."
    yield Finding("untracked", gate=gate, text=text, cure=cure)


# --- examples -------------------------------------------------------------------------------------


def _compare_examples(base: Base, data_then: DataKeys, data: DataKeys) -> str:
    """Return how many examples of a test set were changed or removed, and the first; none is "".

    Raises:
        FtgateError: one of the two files cannot be read.
    """
    path = data_then.path
    content = base.content(path)
    # The same file may be read another way now.
    is_read_alike = path == data.path and (data_then.format, data_then.fields, data_then.turns) == (
        data.format,
        data.fields,
        data.turns,
    )
    if content is None or (is_read_alike and not base.changed(path)):
        return ""

    old = _examples_at(base, data_then)
    new = _read_examples(data, data.path)

    losses = {}
    for verb, rows in _lost_examples(old, new).items():
        losses[verb] = list(map(old.row_name, rows))
    return _shown_losses(base, plural(len(old), "example"), path, losses)


def _shown_losses(base: Base, total: str, path: Path, losses: Mapping[str, list[str]]) -> str:
    """Return how many rows of a file were changed or removed, and the first; none is ""."""
    parts = []
    for verb, names in losses.items():
        if names:
            first = ", ".join(names[:3])
            parts.append(f"{len(names):,} {verb} ({first} at {base.name})")
    if not parts:
        return ""
    return f"{total} of {shown_path(path)} -> {', '.join(parts)}"


@contextmanager
def _copy_at(base: Base, path: Path) -> Iterator[Path]:
    """Give a copy of a file as it was at the base, which errors in it do not name."""
    # Readers choose by the name of a file.
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(base.content(path) or b"")
        try:
            yield copy
        except FtgateError as error:  # such as a pointer of Git LFS
            text = f"{shown_path(path)} cannot be read there: {error.what}"
            raise HistoryError(text, cure=_APPROVED) from None


def _examples_at(base: Base, data: DataKeys) -> DataSet:
    """Return the examples of a test set as they were at the base."""
    with _copy_at(base, data.path) as copy:
        return _read_examples(data, copy)


def _read_examples(data: DataKeys, path: Path) -> DataSet:
    return load_examples(
        path,
        format=data.format,
        fields=data.fields,
        limit=data.limit,
        labeled=False,
        repeats=True,
        by_turn=data.turns == "each",
    )


def _lost_examples(old: DataSet, new: DataSet) -> dict[str, list[int]]:
    """Return the rows of the old examples that were changed, and of those that were removed.

    Examples are known by their inputs. Fields may be added, and groups where there were none.
    """
    has_groups = any(example.group is not None for example in old)

    def state_of(example: Example, fields: Iterable[str]) -> str:
        values = [example.fields.get(field) for field in fields]
        group = example.group if has_groups else None
        return canonical_json([normalized_input(example.input), example.expected, group, values])

    # Rows may change their order. Turns of several conversations may have one input.
    later: dict[str, list[Example]] = {}
    for example in new:
        later.setdefault(normalized_input(example.input), []).append(example)
    removed = []
    changed = []
    for row, example in enumerate(old):
        state = state_of(example, example.fields)
        examples_now = later.get(normalized_input(example.input), [])
        if not examples_now:
            removed.append(row)
        elif all(state != state_of(example_now, example.fields) for example_now in examples_now):
            changed.append(row)
    return {"changed": changed, "removed": removed}


# --- recorded answers -----------------------------------------------------------------------------


def _lost_answers(
    base: Base,
    config_then: GateKeys,
    config_now: GateKeys,
    test_sets: Sequence[tuple[DataKeys, DataKeys]],
) -> Iterator[tuple[str, str]]:
    """Yield the keys of baselines with recorded answers that changed, and which did.

    ``test_sets`` are those at the base and today, of which examples may have other ids now.
    """
    paths = _recordings(config_now)
    for role, path_then in _recordings(config_then).items():
        path = path_then if path_then in paths.values() else paths.get(role)
        if path is None or not path.is_file() or base.content(path_then) is None:
            continue
        losses = _compare_recordings(base, path_then, path, test_sets)
        if losses:
            yield "baseline" if role == "baseline" else f"baselines.{role}", losses


def _compare_recordings(
    base: Base,
    path_then: Path,
    path: Path,
    test_sets: Sequence[tuple[DataKeys, DataKeys]],
) -> str:
    """Return how many recorded answers of a baseline were changed or removed; none is "".

    Answers may be added.

    Raises:
        FtgateError: a file cannot be read.
    """
    if base.holds(path_then, path):
        return ""

    with _copy_at(base, path_then) as copy:
        answers_then = _answers_in(copy)
    answers = _answers_in(path)
    ids = _ids_now(base, test_sets)

    losses: dict[str, list[str]] = {"changed": [], "removed": []}
    for (id_then, repeat), answer_then in answers_then.items():
        identity = (ids.get(id_then, id_then), repeat)
        if identity not in answers:
            losses["removed"].append(excerpt(id_then))
        elif answers[identity] != answer_then:
            losses["changed"].append(excerpt(id_then))
    return _shown_losses(base, plural(len(answers_then), "answer"), path_then, losses)


def _answers_in(path: Path) -> dict[tuple[str, int], str | None]:
    """Return the recorded answers of a file by id and repeat; None for a call that failed."""
    answers: dict[tuple[str, int], str | None] = {}
    for identity, row in read_rows(path).rows.items():
        completion = row.prediction.completion
        answers[identity] = None if completion is None else completion.text
    return answers


def _ids_now(base: Base, test_sets: Sequence[tuple[DataKeys, DataKeys]]) -> dict[str, str]:
    """Return the ids of today by those at the base, of the examples that are still there."""
    ids = {}
    for data_then, data in test_sets:
        ids_now: dict[str, list[str]] = {}
        for example in _read_examples(data, data.path):
            ids_now.setdefault(normalized_input(example.input), []).append(example.id)
        for example in _examples_at(base, data_then):
            same = ids_now.get(normalized_input(example.input), [example.id])
            ids[example.id] = example.id if example.id in same else same[-1]
    return ids
