"""The command ``init``: inspect the data in this folder, and write a gate for it."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from pytest_ftgate import clock
from pytest_ftgate.checks import findings
from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set, check_test_set
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.test_set import check_size
from pytest_ftgate.cli.copies import Source, read_sources
from pytest_ftgate.config import GateKeys, load_gate_file, resolve_gate
from pytest_ftgate.data import SUFFIXES, expected_text, is_blank
from pytest_ftgate.data.load import file_of
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.files import write_whole
from pytest_ftgate.gate.inputs import build_metrics
from pytest_ftgate.ini_file import IniFile, find_ini
from pytest_ftgate.text import plural, printable, wrapped

_GATE = "finetune"
_GATE_FILE = "ftgate.yaml"
_TEST_FILE = "test_finetune.py"
_INI_FILE = "pytest.ini"

_ROWS_PER_LABEL = 3  # outputs that repeat less often are texts, not labels
_LABELS_SHOWN = 12
_COLUMN = " " * 12

_TEST = f'''"""Fail unless the fine-tuned model is better: the requirements are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("{_GATE}")
def test_fine_tune_is_worth_it(ftgate):
    """The marker runs the gate. Add further assertions here, for example on ftgate.candidate."""
'''
_ENDPOINT = "provider: openai, base_url: http://localhost:8000/v1, api_key_env: TASK_API_KEY"
_ABSENT = {
    "baseline": f"""# Required: openai:NAME, python:pkg.module:function, recorded:PATH or a mapping.
    # Without api_key_env no key is sent to a base_url.
    # baseline: {{{_ENDPOINT}, model: Qwen/Qwen3-8B, system_file: prompts/task.md, few_shot: 8}}""",
    "candidate": f"""# This, or stage: ready before training, is required:
    # candidate: {{{_ENDPOINT}, model: task-v1}}""",
}
"""What the gate file has in the place of a model that was not given."""
_INI = """[pytest]
required_plugins = pytest-ftgate
addopts = --strict-markers --strict-config
ftgate_required = all
"""


@dataclass(frozen=True)
class Survey:
    """Both data sets, and what they hold.

    Attributes:
        audit: of the training set.
        is_json: all outputs are JSON.
        labels: those of the test set with their counts; none for JSON and for texts, which do not
            repeat.
    """

    test: Source
    training: Source
    audit: TrainingAudit
    is_json: bool
    labels: Mapping[str, int]


def survey_of(test: Source, training: Source) -> Survey:
    """Look at both data sets, which takes a while."""
    expected = [*test.data.expected, *training.data.expected]
    outputs = [expected_text(output).strip() for output in expected]
    is_json = all(
        isinstance(output, dict | list) or str(output).lstrip()[:1] in ("{", "[")
        for output in expected
    )
    # Labels repeat, texts hardly ever do.
    distinct = {output for output in outputs if not is_blank(output)}
    labels: Counter[str] = Counter()
    if not is_json and len(distinct) * _ROWS_PER_LABEL <= len(outputs):
        labels.update(outputs[: len(test.data)])
    return Survey(
        test,
        training=training,
        audit=audit_training_set(training.data, test.data),
        is_json=is_json,
        labels=labels,
    )


def write_project(
    say: Callable[[str], None],
    *,
    test_set: Path | None = None,
    training_set: Path | None = None,
    columns: Mapping[str, str] = {},  # never changed
    models: Mapping[str, str] = {},
) -> None:
    """Inspect the data of the working folder, report, and write the files.

    On an error, nothing is written.

    Args:
        say: called with each line of the report.
        columns: the columns of ``input`` and ``expected``, where the user names them.
        models: ``baseline`` and ``candidate`` as strings, where they are given.
    """
    ini = find_ini(Path.cwd())

    # Everything is read and checked before anything is written.
    contents = _new_files(ini)
    survey = look(test_set, training_set, columns)
    config = _checked_gate(survey, models)
    contents[Path(_GATE_FILE)] = _gate_file(survey, models)

    report = [*_findings(survey), *_warnings(survey, config)]
    try:
        for path, content in contents.items():
            write_whole(path, [content])
    except OSError as error:
        raise ConfigError(f"cannot write the files: {error}") from None

    report.append(f"wrote       {'  '.join(map(shown_path, contents))}")
    report += _numbered(_steps(models, ini))
    for line in _wrapped(report):
        say(line)


def _wrapped(report: Iterable[str]) -> Iterator[str]:
    for line in report:
        # Lines that are indented further are for copying, so they are not wrapped.
        if line.startswith(f"{_COLUMN} "):
            yield printable(line)
        else:
            yield from wrapped(line, "", _COLUMN, break_words=False)


def _new_files(ini: IniFile | None) -> dict[Path, str]:
    """Return the files to write, with their content, which the gate file has not yet."""
    contents = {Path(_GATE_FILE): "", Path(_TEST_FILE): _TEST}
    if ini is None:
        contents[Path(_INI_FILE)] = _INI
    for path in contents:
        if os.path.lexists(path):
            message = "the file exists, and nothing was written"
            fix = "Move or delete it."
            raise ConfigError(message, where=Where(shown_path(path)), cure=fix)
    return contents


# --- the data -------------------------------------------------------------------------------------


def look(test_set: Path | None, training_set: Path | None, columns: Mapping[str, str]) -> Survey:
    """Find and read both files."""
    test_path = test_set or _file("test", "--test-set")
    training_path = training_set or _file("train", "--training-set")
    if os.path.realpath(test_path) == os.path.realpath(training_path):
        message = "the test set and the training set are the same file"
        name = shown_path(test_path)
        fix = f"Make both of it: python -m pytest_ftgate split {name}"
        raise ConfigError(message, where=Where(name), cure=fix)

    return survey_of(*read_sources([test_path, training_path], columns))


def _file(word: str, option: str) -> Path:
    """Return the data file with the word in its name; of several the one with the shortest name."""
    # A name with "train" is never that of the test set: train_without_test.jsonl.
    paths: list[Path] = []
    for folder in (Path(), Path("data")):
        names = sorted(folder.glob("*"), key=lambda path: (len(path.name), path.name))
        for path in names:
            # YAML beside data is configuration more often than data.
            if path.name.lower().endswith(SUFFIXES) and file_of(path, "") != "yaml":
                paths.append(path)
    for path in paths:
        name = path.name.lower()
        if word in name and (word == "train" or "train" not in name):
            return path

    kinds = ".jsonl, .json, .csv, .tsv or .parquet, also with .gz"
    message = f"no *{word}* file ({kinds}) in this folder or its subfolder data"
    name = shown_path(paths[0]) if paths else "FILE"
    fix = f"Name the file with {option} PATH, or make both sets of one file: "
    raise ConfigError(message, cure=f"{fix}python -m pytest_ftgate split {name}")


def proposed_metric(survey: Survey) -> str:
    """Return a metric that suits the outputs: of labels each counts the same."""
    return "f1_macro" if survey.labels else "exact_match"


# --- the files ------------------------------------------------------------------------------------


def _gate_file(survey: Survey, models: Mapping[str, str]) -> str:
    """Return the gate file.

    It is valid; without its models, the gate is an error that names the missing ones.
    """
    path = files("pytest_ftgate.cli") / "ftgate.yaml.template"
    template = Template(path.read_text(encoding="utf-8"))
    of_models = {}
    for role, absent in _ABSENT.items():
        of_models[role] = absent
        if role in models:
            of_models[role] = f"{role}: {_quoted(models[role])}"

    return template.substitute(
        of_models,
        test_set=_yaml(survey.test),
        training_set=_yaml(survey.training),
        metric=proposed_metric(survey),
    )


def _yaml(source: Source) -> str:
    path = _quoted(Path(os.path.relpath(source.path)).as_posix())
    fields = ", ".join(f"{key}: {_quoted(column)}" for key, column in source.fields.items())
    return f"{{path: {path}, fields: {{{fields}}}}}" if fields else path


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # which YAML reads, too


def _checked_gate(survey: Survey, models: Mapping[str, str]) -> GateKeys:
    """Return the gate as pytest reads it, with other models for missing ones.

    Raises :class:`ConfigError` for a model of the command line that is none.
    """
    content = _gate_file(survey, {**dict.fromkeys(_ABSENT, "python:absent:model"), **models})
    file = load_gate_file(Path(_GATE_FILE), content.encode())
    return resolve_gate(file.layers(_GATE), file=file, gate=_GATE, default_name=_GATE)


# --- what is printed ------------------------------------------------------------------------------


def _findings(survey: Survey) -> Iterator[str]:
    """Yield what is in the files."""
    data = survey.test.data
    n_groups = len({example.group for example in data if example.group is not None})
    examples = plural(len(data), "example")
    if n_groups:
        examples += f" in {plural(n_groups, 'group')}"
    yield f"{shown_path(survey.test.path):<11} {examples}, {_outputs(survey)}"

    audit = survey.audit
    usable = "all usable"
    if audit.usable < audit.rows:
        usable = f"{audit.usable:,} usable"
    n_leaked = audit.leaked + audit.leaked_near
    leaks = f"{n_leaked:,} leaked" if n_leaked else "no leaks"
    rows = plural(audit.rows, "row")
    yield f"{shown_path(survey.training.path):<11} {rows}, {usable}, {leaks}"


def _outputs(survey: Survey) -> str:
    """Return the most frequent labels of the test set with their numbers, or its kind."""
    if not survey.labels:
        return "outputs JSON" if survey.is_json else "outputs text"

    labels = []
    for label, count in Counter(survey.labels).most_common(_LABELS_SHOWN):
        labels.append(f"{printable(label, 40)} {count:,}")
    n_more = len(survey.labels) - len(labels)
    remainder = f" and {n_more:,} more" if n_more else ""
    return f"labels {', '.join(labels)}{remainder}"


def _warnings(survey: Survey, config: GateKeys) -> Iterator[str]:
    """Yield what the gate will find in the data, before any call is paid for."""
    test = survey.test.data
    training = survey.training.data
    try:
        check_test_set(test)
    except DataError as error:
        yield f"{_COLUMN}error: {error.headline}"

    metrics = build_metrics(config, test, training, None)
    gate = Context(
        config,
        test=test,
        training=training,
        audit=survey.audit,
        metrics=metrics,
        models={},
        now=clock.wall(),
    )
    verbs = {"fail": "would fail", "warning": "warning"}
    for check in (*findings.check(gate), *check_size(gate)):
        if check.status in verbs:
            yield f"{_COLUMN}{verbs[check.status]} {check.name}: {check.message}"

    if survey.audit.leaked or survey.audit.leaked_near:
        names = f"{shown_path(survey.test.path)} {shown_path(survey.training.path)}"
        yield f"{_COLUMN}fix: python -m pytest_ftgate dedupe {names}"


def _steps(models: Mapping[str, str], ini: IniFile | None) -> Iterator[Sequence[str]]:
    """Yield the next steps, each with the lines below it.

    An existing ini file is left to the user.
    """
    missing = [role for role in _ABSENT if role not in models]
    if missing:
        keys = [f"     {role + ':':<10} {{provider: openai, model: ...}}" for role in missing]
        alternatives = "     or python:pkg.module:function, or recorded:PATH"
        yield [f"put your models into {_GATE_FILE}:", *keys, alternatives]
    else:
        yield [f"review {_GATE_FILE}"]

    if ini is not None and "ftgate_required" not in ini.values:
        value = '["all"]' if ini.path.suffix == ".toml" else "all"
        line = f"     ftgate_required = {value}"
        yield [f"set in {shown_path(ini.path)}, so that a missing gate fails the run:", line]
    yield [f"python -m pytest {_TEST_FILE} --ftgate-plan    # free"]
    yield [f"python -m pytest {_TEST_FILE}"]


def _numbered(steps: Iterable[Sequence[str]]) -> Iterator[str]:
    for number, (first, *details) in enumerate(steps, start=1):
        yield f"{'next' if number == 1 else '':<12}{number}. {first}"
        for line in details:
            yield f"{_COLUMN}{line}"
