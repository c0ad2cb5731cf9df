"""``init``: look at the data, say what was seen, and write a gate that asks the right things of it."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.cli.gate_file_text import GATE, Written, gate_file_text, relative_path, test_file_text
from pytest_ftgate.cli.ini import ini_file, ini_lines
from pytest_ftgate.cli.proposal import Proposal, propose, warnings
from pytest_ftgate.cli.survey import Source, Survey, look
from pytest_ftgate.errors import ConfigError, Where, shown_path, write_whole
from pytest_ftgate.text import plural, printable

_GATE_FILE, _TEST_FILE, _INI = "ftgate.yaml", "test_finetune.py", "pytest.ini"
_WIDTH = 80
_LABELS_SHOWN = 12
_LABEL_WIDTH = 40
_RECORDED = "recorded:"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says; paths are relative to the working folder."""

    directory: Path
    test_set: Path | None = None
    training_set: Path | None = None
    input: str | None = None
    expected: str | None = None
    baseline: str | None = None
    candidate: str | None = None
    force: bool = False


def write_project(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Look, tell, write. Nothing is written where anything is wrong.

    Raises:
        FtgateError: the data cannot be read, a file is there already or cannot be written, a model is misspelled.
    """
    _check_folder(wishes)
    columns = {part: column for part, column in (("input", wishes.input), ("expected", wishes.expected)) if column}
    survey = look(wishes.directory, wishes.test_set, wishes.training_set, columns)
    proposal, written = propose(survey), _written(wishes, survey)
    text = gate_file_text(survey, proposal, written)
    _check(wishes.directory / _GATE_FILE, text, written)
    for line in (*_seen(survey), *_proposed(proposal)):
        _tell(say, line)
    for warning in (*warnings(survey), *_missing_recordings(wishes)):
        _tell(say, f"WARNING: {warning}")
    ini = ini_file(Path(os.path.abspath(wishes.directory)))
    files = {_GATE_FILE: text, _TEST_FILE: test_file_text()}
    files |= {} if ini else {_INI: "\n".join(["[pytest]", *ini_lines()]) + "\n"}
    _write(wishes.directory, files)
    say("")
    for line in (*_wrote(wishes.directory, files), *_advice(ini, wishes.directory), *_next(wishes, written)):
        _tell(say, line)


def _tell(say: Callable[[str], None], line: str) -> None:
    """A line in the width of a log; one that begins with blanks is to be copied, and stays whole."""
    if line.startswith(" "):
        say("    " + printable(line.strip()))
        return
    for part in textwrap.wrap(
        printable(line), _WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    ):
        say(printable(part))


def _check_folder(wishes: Wishes) -> None:
    if not wishes.directory.is_dir():
        raise ConfigError("there is no such folder", where=Where(shown_path(wishes.directory)))
    dangling = (_INI,) if os.path.islink(wishes.directory / _INI) and not (wishes.directory / _INI).exists() else ()
    for name in (_GATE_FILE, _TEST_FILE, *dangling):  # an ini file that is one stays as it is
        path = wishes.directory / name
        if os.path.lexists(path) and not wishes.force:
            raise ConfigError(
                "is there already, and nothing was written",
                where=Where(shown_path(path)),
                cure="--force writes over it.",
            )


def _written(wishes: Wishes, survey: Survey) -> Written:
    return Written(
        relative_path(survey.test.path, wishes.directory),
        relative_path(survey.training.path, wishes.directory),
        _model(wishes.baseline, wishes.directory),
        _model(wishes.candidate, wishes.directory),
    )


def _model(written: str | None, directory: Path) -> str | None:
    """Recordings are named as seen from the gate file."""
    if written is None or not written.startswith(_RECORDED):
        return written
    return _RECORDED + relative_path(Path(written.removeprefix(_RECORDED)), directory)


def _check(path: Path, text: str, written: Written) -> None:
    """The loader that pytest will use takes it; what it may refuse is what the command line gave."""
    from pytest_ftgate.config import load_gate_file, resolve_gate

    try:
        file = load_gate_file(path, text.encode())
        if written.baseline is not None and written.candidate is not None:
            resolve_gate(file.layers(GATE), file=file, gate=GATE, default_name=GATE)
    except ConfigError as error:
        key = error.where.key if error.where else None
        raise ConfigError(
            f"the gate would not be valid, and nothing was written: {error.what}",
            where=Where(key=key),
            evidence=error.evidence,
            cure=error.cure,
        ) from None


# --- what is said --------------------------------------------------------------------------------------------


def _seen(survey: Survey) -> Iterator[str]:
    groups = f", {plural(survey.groups, 'group')}" if survey.groups else ""
    yield f"test set: {shown_path(survey.test.path)}, {plural(len(survey.test.data), 'example')}{groups}"
    yield from _remarks(survey.test, "--test-set")
    audit = survey.audit
    yield (
        f"training set: {shown_path(survey.training.path)}, {plural(audit.rows, 'row')}, {audit.usable:,} usable, "
        f"{plural(audit.duplicates, 'duplicate')}, {plural(len(audit.near_rows), 'near copy', 'near copies')}"
    )
    yield from _remarks(survey.training, "--training-set")
    leaked, near = plural(audit.leaked, "test example"), len(audit.leaked_near_rows)
    yield f"leakage: {leaked} in the training set, {near:,} with a near copy there"
    yield _outputs(survey)
    if survey.group_column:
        column, count = survey.group_column
        yield f"groups: perhaps by {column} ({count:,} values): see the comment in {_GATE_FILE}"


def _remarks(source: Source, option: str) -> Iterator[str]:
    if source.fields:
        named = ", ".join(f"{part} is the column {column}" for part, column in source.fields.items())
        yield f"- taken: {named} (--input and --expected take others)"
    if source.others:
        others = ", ".join(shown_path(path) for path in source.others[:5])
        yield f"- not taken: {others} ({option} takes another)"


def _outputs(survey: Survey) -> str:
    if survey.outputs == "json":
        return "outputs: JSON"
    if survey.outputs == "text":
        return "outputs: text"
    shown = [
        f"{printable(label, _LABEL_WIDTH)} ({count:,})" for label, count in survey.labels.most_common(_LABELS_SHOWN)
    ]
    more = len(survey.labels) - len(shown)
    return f"labels: {len(survey.labels):,} in the test set: {', '.join(shown)}" + (
        f" and {more:,} more" if more else ""
    )


def _proposed(proposal: Proposal) -> Iterator[str]:
    yield f"proposed: metric {proposal.metric} ({proposal.why}), margin 0.05, evidence significant"


def _missing_recordings(wishes: Wishes) -> Iterator[str]:
    for model in (wishes.baseline, wishes.candidate):
        path = model.removeprefix(_RECORDED) if model and model.startswith(_RECORDED) else None
        if path is not None and not os.path.exists(path):
            yield f"there is no {shown_path(path)} yet: the gate is an error until it is recorded"


def _wrote(directory: Path, files: Mapping[str, str]) -> Iterator[str]:
    yield f"wrote: {', '.join(shown_path(directory / name) for name in files)}"


def _advice(ini: Path | None, directory: Path) -> Iterator[str]:
    """An ini file that is there already is the user's."""
    if ini is None:
        return
    yield f"{shown_path(ini)} is there already. With these lines in it, a skipped or lost gate makes the run red:"
    gate_file = relative_path(directory / _GATE_FILE, ini.parent)
    yield from (f" {line}" for line in ini_lines(gate_file, toml=ini.suffix == ".toml"))


def _next(wishes: Wishes, written: Written) -> Iterator[str]:
    missing = [name for name in ("baseline", "candidate") if getattr(written, name) is None]
    path = shown_path(wishes.directory / _GATE_FILE)
    if missing:
        yield f"next: write the {' and the '.join(missing)} into {path}, then:"
    else:
        yield f"next: read {path}, write down your hypothesis, then:"
    yield f" python -m pytest {shlex.quote(shown_path(wishes.directory / _TEST_FILE))}"


def _write(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        try:
            write_whole(directory / name, [text])
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot be written: {reason}", where=Where(shown_path(directory / name))) from None
