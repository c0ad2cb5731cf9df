"""``init``: look at the data, say what was seen, and write a gate that asks the right things of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from pytest_ftgate.checks.goal import NOT_SERVED, SERVED
from pytest_ftgate.cli.survey import MIN_TEST, MIN_TRAINING, Proposal, Source, Survey, look, propose, warnings
from pytest_ftgate.errors import ConfigError, Where, shown_path, write_whole
from pytest_ftgate.text import plural, printable, wrapped

_GATE = "finetune"
_GATE_FILE, _TEST_FILE, _INI = "ftgate.yaml", "test_finetune.py", "pytest.ini"
_LABELS_SHOWN = 12
_LABEL_WIDTH = 40
_RECORDED = "recorded:"

_TEST = f'''"""Red unless the fine-tuned model is worth having: ftgate.yaml says what it must show."""

import pytest


@pytest.mark.ftgate("{_GATE}")
def test_fine_tune_is_worth_it(ftgate):
    """The mark judges. Here is room for more: ftgate.candidate.metrics and the like."""
'''
_NO_BASELINE = """# Until it is written, the gate is an error:
    # baseline: {provider: openai, model: gpt-4.1-mini, system_file: prompts/task.md, few_shot: {k: 8}}"""
_NO_CANDIDATE = """# Until one of the two is written, the gate is an error:
    # candidate: "openai:ft:gpt-4.1-mini:acme::abc123"
    # stage: ready"""


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
    proposal = propose(survey)
    text = _gate_file(wishes, survey, proposal)
    _check_gate(wishes, text)
    ini = ini_file(Path(os.path.abspath(wishes.directory)))
    written = {_GATE_FILE: text, _TEST_FILE: _TEST}
    if ini is None:
        written[_INI] = "\n".join(["[pytest]", *ini_lines(), ""])
    for line in (*_seen(survey, proposal), *_warned(wishes, survey)):
        _tell(say, line)
    for name, content in written.items():
        path = wishes.directory / name
        try:
            write_whole(path, [content])
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot be written: {reason}", where=Where(shown_path(path))) from None
    say("")
    for line in _written(wishes, ini, list(written)):
        _tell(say, line)


def _tell(say: Callable[[str], None], line: str) -> None:
    """Say a line in the width of a log; one that begins with blanks is to be copied, and stays whole."""
    for part in ["    " + printable(line.strip())] if line.startswith(" ") else wrapped(line, break_words=False):
        say(part)


def _check_folder(wishes: Wishes) -> None:
    if not wishes.directory.is_dir():
        raise ConfigError("there is no such folder", where=Where(shown_path(wishes.directory)))
    ini = wishes.directory / _INI
    dangling = [ini] if ini.is_symlink() and not ini.exists() else []  # an ini file that is one stays as it is
    for path in (wishes.directory / _GATE_FILE, wishes.directory / _TEST_FILE, *dangling):
        if os.path.lexists(path) and not wishes.force:
            what, place = "is there already, and nothing was written", Where(shown_path(path))
            raise ConfigError(what, where=place, cure="--force writes over it.")


# --- the gate file -------------------------------------------------------------------------------------------


def _gate_file(wishes: Wishes, survey: Survey, proposal: Proposal) -> str:
    """The whole file. It loads as it stands; without its models the gate is an error, and says which is missing."""
    template = Template((files("pytest_ftgate.cli") / "ftgate.yaml.template").read_text(encoding="utf-8"))
    baseline, candidate = (_model(model, wishes.directory) for model in (wishes.baseline, wishes.candidate))
    labels = f" with {plural(len(survey.labels), 'label')}" if survey.outputs == "labels" else ""
    return template.substitute(
        gate=_GATE,
        good_reasons=", ".join(SERVED),
        bad_reasons="\n    #   ".join(f"{goal}: {instead}" for goal, (_, instead, _) in NOT_SERVED.items()),
        goal=proposal.goal,
        test_seen=plural(len(survey.test.data), "example") + labels,
        groups=_groups(survey, wishes.directory),
        test_set=_data(survey.test.path, survey.test.fields, wishes.directory),
        training_seen=f"{plural(survey.audit.rows, 'row')}, {survey.audit.usable:,} usable",
        training_set=_data(survey.training.path, survey.training.fields, wishes.directory),
        baseline=_NO_BASELINE if baseline is None else f"baseline: {quoted(baseline)}",
        candidate=_NO_CANDIDATE if candidate is None else f"candidate: {quoted(candidate)}",
        why=proposal.why,
        metric=proposal.metric,
        min_test=MIN_TEST,
        min_training=MIN_TRAINING,
    )


def _groups(survey: Survey, folder: Path) -> str:
    if survey.group_column is None:
        return ""
    column, count = survey.group_column
    test_set = _data(survey.test.path, {**survey.test.fields, "group": column}, folder)
    return (
        f"\n    # Do rows with one {column} belong together ({count:,} of them)? Then bounds must know it:"
        f"\n    # test_set: {printable(test_set)}"
    )


def _data(path: Path, fields: Mapping[str, str], folder: Path) -> str:
    """A data set as YAML."""
    written = quoted(_relative(path, folder))
    named = ", ".join(f"{name}: {quoted(column)}" for name, column in fields.items())
    return f"{{path: {written}, fields: {{{named}}}}}" if fields else written


def quoted(text: str) -> str:
    """Text as YAML in double quotes, whatever it holds."""
    import yaml

    dumped: str = yaml.safe_dump(text, default_style='"', width=10**6)
    return dumped.strip()


def _model(written: str | None, folder: Path) -> str | None:
    """A model as the gate file spells it: recordings are named as seen from there."""
    if written is None or not written.startswith(_RECORDED):
        return written
    return _RECORDED + _relative(Path(written.removeprefix(_RECORDED)), folder)


def _relative(path: Path, folder: Path) -> str:
    """A path as it is written in a file of ``folder``."""
    return Path(os.path.relpath(path, folder)).as_posix()


def _check_gate(wishes: Wishes, text: str) -> None:
    """The loader that pytest will use takes it; what it may refuse is what the command line gave."""
    from pytest_ftgate.config import load_gate_file, resolve_gate

    try:
        file = load_gate_file(wishes.directory / _GATE_FILE, text.encode())
        if wishes.baseline is not None and wishes.candidate is not None:
            resolve_gate(file.layers(_GATE), file=file, gate=_GATE, default_name=_GATE)
    except ConfigError as error:
        what = f"the gate would not be valid, and nothing was written: {error.what}"
        place = Where(key=error.where.key if error.where else None)
        raise ConfigError(what, where=place, evidence=error.evidence, cure=error.cure) from None


# --- the ini file --------------------------------------------------------------------------------------------

_SECTIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"), ()),
    "pyproject.toml": ("[tool.pytest]", "[tool.pytest.ini_options]"),
    "tox.ini": ("[pytest]",),
    "setup.cfg": ("[tool:pytest]",),
}
"""The files that pytest takes for its ini file, in their order, where they have one of these sections."""


def ini_file(folder: Path) -> Path | None:
    """The ini file that pytest will use: the nearest in this folder or above."""
    paths = ((place / name, sections) for place in (folder, *folder.parents) for name, sections in _SECTIONS.items())
    for path, sections in paths:
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            if not sections or any(line.partition("#")[0].rstrip() in sections for line in lines):
                return path
    return None


def ini_lines(gate_file: str = _GATE_FILE, *, toml: bool = False) -> list[str]:
    """What makes a gate an obligation, in the language of the ini file, from which ``gate_file`` is seen."""
    settings = {"required_plugins": "pytest-ftgate", "addopts": "--strict-markers --strict-config"}
    settings |= {"ftgate_required": "all"} | ({"ftgate_config": gate_file} if gate_file != _GATE_FILE else {})
    return [f'{key} = "{value}"' if toml else f"{key} = {value}" for key, value in settings.items()]


# --- what is said --------------------------------------------------------------------------------------------


def _seen(survey: Survey, proposal: Proposal) -> Iterator[str]:
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
    yield f"proposed: metric {proposal.metric} ({proposal.why}), margin 0.05, evidence significant"


def _remarks(source: Source, option: str) -> Iterator[str]:
    if source.fields:
        named = ", ".join(f"{part} is the column {column}" for part, column in source.fields.items())
        yield f"- taken: {named} (--input and --expected take others)"
    if source.others:
        others = ", ".join(shown_path(path) for path in source.others[:5])
        yield f"- not taken: {others} ({option} takes another)"


def _outputs(survey: Survey) -> str:
    if survey.outputs != "labels":
        return f"outputs: {'JSON' if survey.outputs == 'json' else 'text'}"
    frequent = survey.labels.most_common(_LABELS_SHOWN)
    shown = ", ".join(f"{printable(label, _LABEL_WIDTH)} ({count:,})" for label, count in frequent)
    more = len(survey.labels) - len(frequent)
    return f"labels: {len(survey.labels):,} in the test set: {shown}" + (f" and {more:,} more" if more else "")


def _warned(wishes: Wishes, survey: Survey) -> Iterator[str]:
    yield from (f"WARNING: {warning}" for warning in warnings(survey))
    for model in (wishes.baseline, wishes.candidate):
        path = model.removeprefix(_RECORDED) if model and model.startswith(_RECORDED) else None
        if path is not None and not os.path.exists(path):
            yield f"WARNING: there is no {shown_path(path)} yet: the gate is an error until it is recorded"


def _written(wishes: Wishes, ini: Path | None, names: Sequence[str]) -> Iterator[str]:
    """What was written, and what is left to do; an ini file that is there already is the user's."""
    folder = wishes.directory
    yield f"wrote: {', '.join(shown_path(folder / name) for name in names)}"
    if ini is not None:
        yield f"{shown_path(ini)} is there already. With these lines in it, a skipped or lost gate makes the run red:"
        gate_file = _relative(folder / _GATE_FILE, ini.parent)
        yield from (f" {line}" for line in ini_lines(gate_file, toml=ini.suffix == ".toml"))
    missing = [name for name in ("baseline", "candidate") if getattr(wishes, name) is None]
    path = shown_path(folder / _GATE_FILE)
    if missing:
        yield f"next: write the {' and the '.join(missing)} into {path}, then:"
    else:
        yield f"next: read {path}, write down your hypothesis, then:"
    yield f" python -m pytest {shlex.quote(shown_path(folder / _TEST_FILE))}"
