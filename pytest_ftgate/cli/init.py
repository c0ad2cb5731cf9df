"""The command ``init``: inspect the data, report what was found, and write a gate for it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.machinery import PathFinder
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from pytest_ftgate.checks.goal import NOT_SERVED, SERVED
from pytest_ftgate.cli.dedupe import Cleaned
from pytest_ftgate.cli.survey import (
    MIN_TEST,
    MIN_TRAINING,
    Proposal,
    Source,
    Survey,
    cleaned,
    look,
    propose,
    warnings,
)
from pytest_ftgate.data.row import told_left_out
from pytest_ftgate.errors import ConfigError, Where, shown_path, write_whole
from pytest_ftgate.ini_file import IniFile, find_ini
from pytest_ftgate.text import listed, plural, printable, wrapped

_GATE = "finetune"
_GATE_FILE, _TEST_FILE, _INI = "ftgate.yaml", "test_finetune.py", "pytest.ini"
_LABELS_SHOWN = 12
_LABEL_WIDTH = 40
_RECORDED, _PYTHON, _OPENAI = "recorded:", "python:", "openai:"

_TEST = f'''"""Fail unless the fine-tuned model is better: the requirements are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("{_GATE}")
def test_fine_tune_is_worth_it(ftgate):
    """The marker runs the gate. Add further assertions here, on ftgate.candidate.metrics for example."""
'''
_ENDPOINT = "provider: openai, base_url: http://localhost:8000/v1, api_key_env: TASK_API_KEY"
_NO_BASELINE = f"""# Required (without api_key_env no key is sent to a base_url):
    # baseline: {{{_ENDPOINT}, model: Qwen/Qwen3-8B, system_file: prompts/task.md, few_shot: 8}}"""
_NO_CANDIDATE = f"""# One of the two is required:
    # candidate: {{{_ENDPOINT}, model: task-v1}}
    # stage: ready"""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of the command line; paths are relative to the working folder."""

    directory: Path
    test_set: Path | None = None
    training_set: Path | None = None
    input: str | None = None
    expected: str | None = None
    baseline: str | None = None
    candidate: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    dedupe: bool = False
    force: bool = False

    @property
    def endpoint(self) -> Mapping[str, str]:
        """Return the keys of the endpoint that were given."""
        keys = {"base_url": self.base_url, "api_key_env": self.api_key_env}
        return {key: value for key, value in keys.items() if value}

    @property
    def models(self) -> Mapping[str, str]:
        """Return the models that were given, as they are written in the gate file."""
        given = {"baseline": self.baseline, "candidate": self.candidate}
        return {role: _model(model, self) for role, model in given.items() if model is not None}


def write_project(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Inspect the data, report, and write the files. On an error, nothing is written."""
    if not wishes.directory.is_dir():
        raise ConfigError("there is no such folder", where=Where(shown_path(wishes.directory)))
    ini = find_ini(Path(os.path.abspath(wishes.directory)))
    gate_path, test_path = wishes.directory / _GATE_FILE, test_file(wishes.directory, ini)
    _check_free(wishes, gate_path, test_path)
    columns = {part: column for part, column in (("input", wishes.input), ("expected", wishes.expected)) if column}
    found = look(wishes.directory, wishes.test_set, wishes.training_set, columns, repeats=wishes.dedupe)
    survey, copies = cleaned(found) if wishes.dedupe else (found, ())
    proposal = propose(survey)
    text = _gate_file(wishes, survey, proposal)
    _check_gate(wishes, text)
    written: dict[Path, Sequence[str]] = {gate_path: [text], test_path: [_TEST]}
    if ini is None:
        written[wishes.directory / _INI] = ["\n".join(["[pytest]", *ini_lines(None), ""])]
    written |= {copy.path: copy.parts for copy in copies if copy.removed}
    for line in (*_findings(found), *_removed(copies), *_proposed(survey, proposal), *_warnings(wishes, survey)):
        _print(say, line)
    for path, content in written.items():
        try:
            write_whole(path, content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot write the file: {reason}", where=Where(shown_path(path))) from None
    say("")
    for line in _written(wishes, ini, list(written), copies):
        _print(say, line)


def _print(say: Callable[[str], None], line: str) -> None:
    """Print a line, wrapped to the width of a log; an indented line is for copying and is not wrapped."""
    for part in ["    " + printable(line.strip())] if line.startswith(" ") else wrapped(line, break_words=False):
        say(part)


def _check_free(wishes: Wishes, *paths: Path) -> None:
    """Refuse to overwrite a file without ``--force``; an ini file that leads nowhere would be written elsewhere."""
    ini = wishes.directory / _INI
    dangling = [ini] if ini.is_symlink() and not ini.exists() else []
    for path in (*paths, *dangling):
        if os.path.lexists(path) and not wishes.force:
            what, place = "the file exists, and nothing was written", Where(shown_path(path))
            raise ConfigError(what, where=place, cure="Use --force to overwrite it.")


# --- the gate file -------------------------------------------------------------------------------------------


def _gate_file(wishes: Wishes, survey: Survey, proposal: Proposal) -> str:
    """Return the gate file. It is valid; without its models, the gate is an error that names the missing ones."""
    template = Template((files("pytest_ftgate.cli") / "ftgate.yaml.template").read_text(encoding="utf-8"))
    models = wishes.models
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
        baseline=f"baseline: {models['baseline']}" if "baseline" in models else _NO_BASELINE,
        candidate=f"candidate: {models['candidate']}" if "candidate" in models else _NO_CANDIDATE,
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
        f"\n    # If rows with the same {column} ({count:,} values) belong together, declare the groups:"
        f"\n    # test_set: {printable(test_set)}"
    )


def _data(path: Path, fields: Mapping[str, str], folder: Path) -> str:
    """Return a data set as YAML."""
    written = quoted(_relative(path, folder))
    named = ", ".join(f"{name}: {quoted(column)}" for name, column in fields.items())
    return f"{{path: {written}, fields: {{{named}}}}}" if fields else written


def quoted(text: str) -> str:
    """Return any text as a double-quoted YAML scalar."""
    import yaml

    dumped: str = yaml.safe_dump(text, default_style='"', width=10**6)
    return dumped.strip()


def _model(written: str, wishes: Wishes) -> str:
    """Return a model as YAML, where paths of recordings are relative to the gate file."""
    if written.startswith(_RECORDED):
        return quoted(_RECORDED + _relative(Path(written.removeprefix(_RECORDED)), wishes.directory))
    if written.startswith(_OPENAI) and wishes.endpoint:
        keys = {**wishes.endpoint, "model": written.removeprefix(_OPENAI)}
        return f"{{provider: openai, {', '.join(f'{key}: {quoted(value)}' for key, value in keys.items())}}}"
    return quoted(written)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _check_gate(wishes: Wishes, text: str) -> None:
    """Validate the gate file with the loader of pytest; only values of the command line can be invalid."""
    from pytest_ftgate.config import load_gate_file, resolve_gate
    from pytest_ftgate.models import is_built_in, unknown_provider

    if wishes.endpoint and not any(str(model).startswith(_OPENAI) for model in (wishes.baseline, wishes.candidate)):
        what = f"no model openai:NAME was given, and only these have a {' and an '.join(wishes.endpoint)}"
        raise ConfigError(what, cure="Add --baseline openai:NAME or --candidate openai:NAME.")
    path, models = wishes.directory / _GATE_FILE, wishes.models
    alone = "".join(f"  {role}: {model}\n" for role, model in models.items())
    try:
        file = load_gate_file(path, text.encode())
        specs = load_gate_file(path, f"version: 1\nmodels:\n{alone}".encode()).models if alone else {}
        if len(specs) > 1:
            resolve_gate(file.layers(_GATE), file=file, gate=_GATE, default_name=_GATE)
        for spec in specs.values():
            if not is_built_in(spec):
                raise unknown_provider(spec)
    except ConfigError as error:
        what = f"the gate would not be valid, and nothing was written: {error.what}"
        place = Where(key=error.where.key if error.where else None)
        raise ConfigError(what, where=place, evidence=error.evidence, cure=error.cure) from None


# --- the test and the ini file -------------------------------------------------------------------------------


def test_file(folder: Path, ini: IniFile | None) -> Path:
    """Return where pytest collects a new test: in this folder, or in the first folder of ini ``testpaths``.

    Its name matches ini ``python_files``.
    """
    values = ini.values if ini is not None else {}
    patterns = _words(values.get("python_files")) or [_TEST_FILE]
    names = (_TEST_FILE, *(one.replace("*", "finetune") for one in patterns if "*" in one))
    name = next((one for one in names if any(fnmatch(one, pattern) for pattern in patterns)), _TEST_FILE)
    here = Path(os.path.abspath(folder))
    found = [place for word in _words(values.get("testpaths")) for place in _places(ini, word)]
    if ini is None or not found or any(place in (here, *here.parents) for place in found):
        return folder / name
    place = next(filter(Path.is_dir, found), found[0])
    return Path(os.path.relpath(place / name)) if place.is_relative_to(Path.cwd()) else place / name


def _places(ini: IniFile | None, word: str) -> list[Path]:
    """Return the folders that a word of ``testpaths`` means, which may be a pattern; none where it names a file."""
    root = ini.path.parent if ini is not None else Path()
    paths = sorted(root.glob(word)) if any(sign in word for sign in "*?[") else [root / word]
    return [Path(os.path.abspath(path)) for path in paths if not path.is_file()]


def _words(value: Any) -> list[str]:
    """Return the words of an ini value that is a list, or a text with spaces or line feeds between them."""
    return shlex.split(value) if isinstance(value, str) else list(value or ())


def ini_lines(ini: IniFile | None, gate_file: str = _GATE_FILE) -> list[str]:
    """Return the lines that an ini file lacks to make a gate required, in its language.

    ``ini`` is None for a new file in the language of INI files; ``gate_file`` is a path relative to the ini file.
    """
    there = ini.values if ini is not None else {}
    strict = [] if there.get("strict") in (True, "true") else ["markers", "config"]
    native = ini is not None and ini.native
    lines = _list_line(ini, "required_plugins", ["pytest-ftgate"])
    if native:
        options = _words(there.get("addopts"))
        on = (f"strict_{one}" for one in strict if f"--strict-{one}" not in options)
        lines += [f"{key} = true" for key in on if there.get(key) is not True]
    else:
        lines += _list_line(ini, "addopts", [f"--strict-{one}" for one in strict])
    lines += _list_line(ini, "ftgate_required", [] if there.get("ftgate_required") else ["all"])
    if there.get("ftgate_config", _GATE_FILE) != gate_file:
        lines.append(f"ftgate_config = {json.dumps(gate_file) if ini and ini.path.suffix == '.toml' else gate_file}")
    return lines


def _list_line(ini: IniFile | None, key: str, wanted: Sequence[str]) -> list[str]:
    """Return the line of a list with what it lacks added to what it has; none where it lacks nothing."""
    value = ini.values.get(key) if ini is not None else None
    there = _words(value)
    lacking = [word for word in wanted if not any(one.startswith(word) for one in there)]
    if not lacking:
        return []
    if ini is not None and (ini.native or isinstance(value, list)):
        return [f"{key} = {json.dumps([*there, *lacking])}"]
    text = " ".join(filter(None, (*str(value or "").split("\n"), *lacking)))
    return [f"{key} = {json.dumps(text) if ini is not None and ini.path.suffix == '.toml' else text}"]


# --- output --------------------------------------------------------------------------------------------------


def _findings(survey: Survey) -> Iterator[str]:
    groups = f", {plural(survey.groups, 'group')}" if survey.groups else ""
    yield f"test set: {shown_path(survey.test.path)}, {plural(len(survey.test.data), 'example')}{groups}"
    yield from _remarks(survey.test, "--test-set")
    audit = survey.audit
    yield (
        f"training set: {shown_path(survey.training.path)}, {plural(audit.rows, 'row')}, {audit.usable:,} usable, "
        f"{plural(audit.duplicates, 'duplicate')}, {plural(len(audit.near_rows), 'near duplicate')}"
    )
    yield from _remarks(survey.training, "--training-set")
    leaked, near = plural(audit.leaked, "test example"), audit.leaked_near
    yield f"leakage: {leaked} in the training set, {near:,} with a near duplicate there"


def _removed(copies: Sequence[Cleaned]) -> Iterator[str]:
    """Yield what de-duplicated copies leave out."""
    for copy in copies:
        if copy.removed:
            without = f", without {listed(copy.without)}, which JSON cannot hold" if copy.without else ""
            yield f"removed: {copy}: {shown_path(copy.path)} has the other {plural(len(copy.data), 'row')}{without}"
    if copies and not any(copy.removed for copy in copies):
        yield "removed: nothing, so no copies were written"


def _proposed(survey: Survey, proposal: Proposal) -> Iterator[str]:
    yield _outputs(survey)
    if survey.group_column:
        column, count = survey.group_column
        yield f"groups: possibly by {column} ({count:,} values); see the comment in {_GATE_FILE}"
    yield f"proposed: metric {proposal.metric} ({proposal.why}), margin 0.05, evidence significant"


def _remarks(source: Source, option: str) -> Iterator[str]:
    if source.data.recognised:
        left_out = f"; {told_left_out(source.data.left_out)}" if source.data.left_out else ""
        yield f"- format: {source.data.recognised}{left_out}"
    if source.fields:
        named = ", ".join(f"{column} as {part}" for part, column in source.fields.items())
        yield f"- columns: {named} (change with --input and --expected)"
    if source.others:
        others = ", ".join(shown_path(path) for path in source.others[:5])
        yield f"- other files: {others} (change with {option})"


def _outputs(survey: Survey) -> str:
    if survey.outputs != "labels":
        return f"outputs: {'JSON' if survey.outputs == 'json' else 'text'}"
    frequent = survey.labels.most_common(_LABELS_SHOWN)
    shown = ", ".join(f"{printable(label, _LABEL_WIDTH)} ({count:,})" for label, count in frequent)
    more = len(survey.labels) - len(frequent)
    return f"labels: {len(survey.labels):,} in the test set: {shown}" + (f" and {more:,} more" if more else "")


def _warnings(wishes: Wishes, survey: Survey) -> Iterator[str]:
    yield from (f"WARNING: {warning}" for warning in warnings(survey))
    for model in filter(None, (wishes.baseline, wishes.candidate)):
        path, module = model.removeprefix(_RECORDED), model.removeprefix(_PYTHON).partition(":")[0]
        if path != model and not os.path.exists(path):
            yield f"WARNING: {shown_path(path)} does not exist yet: record it before running the gate"
        if model.startswith(_PYTHON) and not _is_there(module, wishes.directory):
            yield f"WARNING: there is no module {module}: write or install it, or add its folder to ini pythonpath"


def _is_there(module: str, folder: Path) -> bool:
    """Return whether a module can be found from this folder. Nothing of it is executed."""
    first, *rest = module.split(".")
    try:
        found = PathFinder.find_spec(first, [os.path.abspath(folder), *sys.path]) or find_spec(first)
    except ValueError:  # a name that is no module's
        return False
    for name in rest:
        inside = found.submodule_search_locations if found is not None else None
        found = PathFinder.find_spec(name, list(inside)) if inside else None
    return found is not None


def _written(wishes: Wishes, ini: IniFile | None, paths: Sequence[Path], cleaned: Sequence[Cleaned]) -> Iterator[str]:
    """Yield what was written and the next steps; an existing ini file is left to the user."""
    folder = wishes.directory
    yield f"wrote: {', '.join(map(shown_path, paths))}"
    lacking = ini_lines(ini, _relative(folder / _GATE_FILE, ini.path.parent)) if ini is not None else []
    if ini is not None and lacking:
        table = f" in {ini.header}" if ini.path.suffix == ".toml" else ""
        yield f"{shown_path(ini.path)} exists. Set these lines{table}, so that a skipped or missing gate fails the run:"
        yield from (f" {line}" for line in lacking)
    if cleaned and cleaned[-1].removed:
        yield f"train on {shown_path(cleaned[-1].path)}, not on the original"
    missing = [name for name in ("baseline", "candidate") if getattr(wishes, name) is None]
    path = shown_path(folder / _GATE_FILE)
    if missing:
        yield f"next: add the {' and the '.join(missing)} to {path}, then run:"
    else:
        yield f"next: review {path}, add your hypothesis, then run:"
    yield f" python -m pytest {shlex.quote(shown_path(test_file(folder, ini)))}"
