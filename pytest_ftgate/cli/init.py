"""The command ``init``: inspect the data, report what was found, and write a gate for it."""

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
from pytest_ftgate.cli.survey import MIN_TEST, MIN_TRAINING, Source, Survey, cleaned, look, propose, warnings
from pytest_ftgate.config.gate_file import load_gate_file
from pytest_ftgate.config.resolve import resolve_gate
from pytest_ftgate.errors import ConfigError, Where, shown_path, write_whole
from pytest_ftgate.ini_file import IniFile, find_ini
from pytest_ftgate.models import is_built_in, unknown_provider
from pytest_ftgate.text import plural, printable, wrapped

_GATE = "finetune"
_GATE_FILE, _TEST_FILE, _INI = "ftgate.yaml", "test_finetune.py", "pytest.ini"
_LABELS_SHOWN, _LABEL_WIDTH = 12, 40
_COLUMN = " " * 12
_RECORDED = "recorded:"

_TEST = f'''"""Fail unless the fine-tuned model is better: the requirements are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("{_GATE}")
def test_fine_tune_is_worth_it(ftgate):
    """The marker runs the gate. Add further assertions here, on ftgate.candidate.metrics for example."""
'''
_ENDPOINT = "provider: openai, base_url: http://localhost:8000/v1, api_key_env: TASK_API_KEY"
_EXAMPLES = {
    "baseline": f"{{{_ENDPOINT}, model: Qwen/Qwen3-8B, system_file: prompts/task.md, few_shot: 8}}",
    "candidate": f"{{{_ENDPOINT}, model: task-v1}}",
}
_ABSENT = {
    "baseline": "# Required (without api_key_env no key is sent to a base_url):",
    "candidate": "# This, or stage: ready before training, is required:",
}


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
        """Return the models that were given, as YAML; paths of recordings are relative to the gate file."""
        given = {"baseline": self.baseline, "candidate": self.candidate}
        return {role: quoted(_moved(model, self.directory)) for role, model in given.items() if model is not None}


def write_project(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Inspect the data, report, and write the files. On an error, nothing is written."""
    folder = wishes.directory
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=Where(shown_path(folder)))
    ini = find_ini(Path(os.path.abspath(folder)))
    written: dict[Path, Sequence[str]] = {folder / _GATE_FILE: (), test_file(folder, ini): [_TEST]}
    written |= {folder / _INI: ["\n".join(["[pytest]", *ini_lines(None), ""])]} if ini is None else {}
    for path in written:
        if os.path.lexists(path) and not wishes.force:
            what, place = "the file exists, and nothing was written", Where(shown_path(path))
            raise ConfigError(what, where=place, cure="Use --force to overwrite it.")
    columns = {part: column for part, column in (("input", wishes.input), ("expected", wishes.expected)) if column}
    found = look(folder, wishes.test_set, wishes.training_set, columns, repeats=wishes.dedupe)
    survey, copies = cleaned(found) if wishes.dedupe else (found, ())
    written[folder / _GATE_FILE] = [_gate_file(wishes, survey, wishes.models)]
    _check_gate(wishes, survey, ini)
    written |= {copy.path: copy.parts for copy in copies if copy.removed}
    for line in (*_findings(found, survey), *_removed(copies)):
        _print(say, line)
    for path, content in written.items():
        try:
            write_whole(path, content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot write the file: {reason}", where=Where(shown_path(path))) from None
    for line in _next(wishes, ini, list(written), copies):
        _print(say, line)


def _print(say: Callable[[str], None], line: str) -> None:
    """Print a line, wrapped to the width of a log; one that begins with two columns of blanks is for copying."""
    for part in [printable(line)] if line.startswith(_COLUMN + " ") else wrapped(line, "", _COLUMN, break_words=False):
        say(part)


# --- the gate file -------------------------------------------------------------------------------------------


def _gate_file(wishes: Wishes, survey: Survey, models: Mapping[str, str]) -> str:
    """Return the gate file. It is valid; without its models, the gate is an error that names the missing ones."""
    template = Template((files("pytest_ftgate.cli") / "ftgate.yaml.template").read_text(encoding="utf-8"))
    labels = f" with {plural(len(survey.labels), 'label')}" if survey.outputs == "labels" else ""
    metric, why, goal = propose(survey)
    lines = {role: f"{role}: {models[role]}" if role in models else f"{_ABSENT[role]}\n    # {role}: {example}"
             for role, example in _EXAMPLES.items()}  # fmt: skip
    return template.substitute(
        gate=_GATE,
        good_reasons=", ".join(SERVED),
        bad_reasons="\n    #   ".join(f"{goal}: {instead}" for goal, (_, instead, _) in NOT_SERVED.items()),
        goal=goal,
        test_seen=plural(len(survey.test.data), "example") + labels,
        test_set=_data(survey.test, wishes.directory),
        training_seen=f"{plural(survey.audit.rows, 'row')}, {survey.audit.usable:,} usable",
        training_set=_data(survey.training, wishes.directory),
        why=why,
        metric=metric,
        min_test=MIN_TEST,
        min_training=MIN_TRAINING,
        **lines,
    )


def _data(source: Source, folder: Path) -> str:
    """Return a data set as YAML."""
    written = quoted(_relative(source.path, folder))
    named = ", ".join(f"{name}: {quoted(column)}" for name, column in source.fields.items())
    return f"{{path: {written}, fields: {{{named}}}}}" if source.fields else written


def quoted(text: str) -> str:
    """Return any text as a double-quoted YAML scalar."""
    import yaml

    dumped: str = yaml.safe_dump(text, default_style='"', width=10**6)
    return dumped.strip()


def _moved(model: str, folder: Path) -> str:
    path = Path(model.removeprefix(_RECORDED))
    moves = model.startswith(_RECORDED) and not path.is_absolute()
    return _RECORDED + _relative(path, folder) if moves else model


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _check_gate(wishes: Wishes, survey: Survey, ini: IniFile | None) -> None:
    """Validate the gate as pytest does, with other models for missing ones: only the command line can be invalid."""
    text = _gate_file(wishes, survey, {**dict.fromkeys(_EXAMPLES, "python:absent:model"), **wishes.models})
    try:
        file = load_gate_file(wishes.directory / _GATE_FILE, text.encode())
        root = Path(os.path.abspath(wishes.directory)) if ini is None else ini.path.parent
        config = resolve_gate(file.layers(_GATE), file=file, gate=_GATE, default_name=_GATE, root=root)
        for spec in (*config.baselines.values(), config.candidate):
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


def _findings(found: Survey, survey: Survey) -> Iterator[str]:
    """Yield what was found in the files, and what of it a gate will not like."""
    data, audit = found.test.data, found.audit
    groups = len({example.group for example in data if example.group is not None})
    grouped = f" in {plural(groups, 'group')}" if groups else ""
    yield f"{_named(found.test)}{plural(len(data), 'example')}{grouped}, {_outputs(survey)}"
    yield from _remarks(found.test, "--test-set")
    usable = "all usable" if audit.usable == audit.rows else f"{audit.usable:,} usable"
    leaks = f"{audit.leaked + audit.leaked_near:,} leaked" if audit.leaked or audit.leaked_near else "no leaks"
    copies = f"{plural(audit.duplicates, 'duplicate')}, {plural(len(audit.near_rows), 'near duplicate')}"
    yield f"{_named(found.training)}{plural(audit.rows, 'row')}, {usable}, {copies}, {leaks}"
    yield from _remarks(found.training, "--training-set")
    yield from (f"{_COLUMN}warning: {one}" for one in warnings(survey))


def _named(source: Source) -> str:
    return f"{shown_path(source.path):<{len(_COLUMN) - 1}} "


def _remarks(source: Source, option: str) -> Iterator[str]:
    if source.data.recognised:
        left_out = f"; {source.data.told_left_out}" if source.data.left_out else ""
        yield f"{_COLUMN}format: {source.data.recognised}{left_out}"
    if source.fields:
        named = ", ".join(f"{column} as {part}" for part, column in source.fields.items())
        yield f"{_COLUMN}columns: {named} (--input, --expected)"
    if source.others:
        others = ", ".join(shown_path(path) for path in source.others[:5])
        yield f"{_COLUMN}other files: {others} ({option})"


def _outputs(survey: Survey) -> str:
    if survey.outputs != "labels":
        return f"outputs {'JSON' if survey.outputs == 'json' else 'text'}"
    frequent = survey.labels.most_common(_LABELS_SHOWN)
    shown = ", ".join(f"{printable(label, _LABEL_WIDTH)} {count:,}" for label, count in frequent)
    more = len(survey.labels) - len(frequent)
    return f"labels {shown}" + (f" and {more:,} more" if more else "")


def _removed(copies: Sequence[Cleaned]) -> Iterator[str]:
    for copy in copies:
        if copy.removed:
            without = f", without {', '.join(copy.without)}, which JSON cannot hold" if copy.without else ""
            rest = f"{shown_path(copy.path)} has the other {plural(len(copy.data), 'row')}{without}"
            yield f"removed     {copy}: {rest}"
    if copies and not any(copy.removed for copy in copies):
        yield "removed     nothing, so no copies were written"


def _next(wishes: Wishes, ini: IniFile | None, paths: Sequence[Path], copies: Sequence[Cleaned]) -> Iterator[str]:
    """Yield what was written and the next steps; an existing ini file is left to the user."""
    yield f"wrote       {'  '.join(map(shown_path, paths))}"
    gate_file, steps = wishes.directory / _GATE_FILE, []
    missing = [role for role in _EXAMPLES if role not in wishes.models]
    steps.append([f"put your models into {shown_path(gate_file)}:" if missing else f"review {shown_path(gate_file)}"])
    steps[0] += [f"     {role + ':':<10} {{provider: openai, model: ...}}" for role in missing]
    lacking = ini_lines(ini, _relative(gate_file, ini.path.parent)) if ini is not None else []
    if ini is not None and lacking:
        table = f" in {ini.header}" if ini.path.suffix == ".toml" else ""
        into = (
            f"{shown_path(ini.path)} exists. Set these lines{table}, and add --strict-markers and --strict-config to "
        )
        steps.append([f"{into}addopts, so that a skipped or missing gate fails the run:"])
        steps[-1] += [f" {line}" for line in lacking]
    if copies and copies[-1].removed:
        steps.append([f"train on {shown_path(copies[-1].path)}, not on the original"])
    test = shlex.quote(shown_path(test_file(wishes.directory, ini)))
    steps += [[f"python -m pytest {test} --ftgate-plan    # free"], [f"python -m pytest {test}"]]
    for number, (first, *others) in enumerate(steps, start=1):
        yield f"{'next' if number == 1 else '':<12}{number}. {first}"
        yield from (f"{_COLUMN}{line}" for line in others)
