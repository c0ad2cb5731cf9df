"""The command ``init``: inspect the data, report what was found, and write a gate for it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from pytest_ftgate.checks.goal import NOT_SERVED, SERVED
from pytest_ftgate.cli.dedupe import Cleaned
from pytest_ftgate.cli.survey import MIN_TEST, MIN_TRAINING, Proposal, Source, Survey, cleaned, look, propose, warnings
from pytest_ftgate.data.rows import told_left_out
from pytest_ftgate.errors import ConfigError, Where, shown_path, write_whole
from pytest_ftgate.ini_file import IniFile, find_ini
from pytest_ftgate.text import listed, plural, printable, wrapped

_GATE = "finetune"
_GATE_FILE, _TEST_FILE, _INI = "ftgate.yaml", "test_finetune.py", "pytest.ini"
_LABELS_SHOWN = 12
_LABEL_WIDTH = 40
_RECORDED = "recorded:"

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
    dedupe: bool = False
    force: bool = False

    @property
    def models(self) -> Mapping[str, str]:
        """Return the models that were given, as they are written in the gate file."""
        given = {"baseline": self.baseline, "candidate": self.candidate}
        return {role: _model(model, self.directory) for role, model in given.items() if model is not None}


def write_project(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Inspect the data, report, and write the files. On an error, nothing is written."""
    if not wishes.directory.is_dir():
        raise ConfigError("there is no such folder", where=Where(shown_path(wishes.directory)))
    ini = find_ini(Path(os.path.abspath(wishes.directory)))
    gate_path, test_path = wishes.directory / _GATE_FILE, test_file(wishes.directory, ini)
    new_ini = {wishes.directory / _INI: ["\n".join(["[pytest]", *ini_lines(None), ""])]} if ini is None else {}
    for path in (gate_path, test_path, *new_ini):
        if os.path.lexists(path) and not wishes.force:
            what, place = "the file exists, and nothing was written", Where(shown_path(path))
            raise ConfigError(what, where=place, cure="Use --force to overwrite it.")
    columns = {part: column for part, column in (("input", wishes.input), ("expected", wishes.expected)) if column}
    found = look(wishes.directory, wishes.test_set, wishes.training_set, columns, repeats=wishes.dedupe)
    survey, copies = cleaned(found) if wishes.dedupe else (found, ())
    proposal = propose(survey)
    text = _gate_file(wishes, survey, proposal)
    _check_gate(wishes, text)
    written: dict[Path, Sequence[str]] = {gate_path: [text], test_path: [_TEST], **new_ini}
    written |= {copy.path: copy.parts for copy in copies if copy.removed}
    for line in (
        *_findings(found),
        *_removed(copies),
        _outputs(survey),
        f"proposed: metric {proposal.metric} ({proposal.why}), margin 0.05, evidence significant",
        *(f"WARNING: {one}" for one in warnings(survey)),
    ):
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


def _model(written: str, folder: Path) -> str:
    """Return a model as YAML, where paths of recordings are relative to the gate file."""
    if written.startswith(_RECORDED):
        return quoted(_RECORDED + _relative(Path(written.removeprefix(_RECORDED)), folder))
    return quoted(written)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _check_gate(wishes: Wishes, text: str) -> None:
    """Validate the gate file with the loader of pytest; only values of the command line can be invalid."""
    from pytest_ftgate.config import load_gate_file, resolve_gate
    from pytest_ftgate.models import is_built_in, unknown_provider

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
    """Return where pytest collects a new test: in this folder, or in the first folder of ini ``testpaths``."""
    here = Path(os.path.abspath(folder))
    written = ini.values.get("testpaths") if ini is not None else None
    named = shlex.split(written) if isinstance(written, str) else list(written or ())
    found = [ini.path.parent / word for word in named if ini is not None and (ini.path.parent / word).is_dir()]
    if not found or any(Path(os.path.abspath(path)) in (here, *here.parents) for path in found):
        return folder / _TEST_FILE
    return Path(os.path.relpath(found[0] / _TEST_FILE))


def ini_lines(ini: IniFile | None, gate_file: str = _GATE_FILE) -> list[str]:
    """Return the lines that an ini file needs to make a gate required; ``gate_file`` is relative to the ini file."""
    there = ini.values if ini is not None else {}
    keys: dict[str, list[str] | str] = {"required_plugins": ["pytest-ftgate"]}
    keys |= {"addopts": ["--strict-markers", "--strict-config"]} if ini is None else {}
    keys["ftgate_required"] = ["all"]
    keys |= {"ftgate_config": gate_file} if gate_file != _GATE_FILE else {}
    is_toml = ini is not None and ini.path.suffix == ".toml"
    return [
        f"{key} = {json.dumps(value) if is_toml else ' '.join([value] if isinstance(value, str) else value)}"
        for key, value in keys.items()
        if key not in there
    ]


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


def _written(wishes: Wishes, ini: IniFile | None, paths: Sequence[Path], cleaned: Sequence[Cleaned]) -> Iterator[str]:
    """Yield what was written and the next steps; an existing ini file is left to the user."""
    folder = wishes.directory
    yield f"wrote: {', '.join(map(shown_path, paths))}"
    lacking = ini_lines(ini, _relative(folder / _GATE_FILE, ini.path.parent)) if ini is not None else []
    if ini is not None and lacking:
        table = f" in {ini.header}" if ini.path.suffix == ".toml" else ""
        yield (
            f"{shown_path(ini.path)} exists. Set these lines{table}, and add --strict-markers and --strict-config to "
            "addopts, so that a skipped or missing gate fails the run:"
        )
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
