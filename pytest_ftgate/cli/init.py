"""The command ``init``: inspect the data in this folder, report what was found, and write a gate for it."""

import json
import os
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.checks import findings
from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set, check_test_set
from pytest_ftgate.checks.audit.audit import outputs_of
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.goal import NOT_SERVED, SERVED
from pytest_ftgate.checks.test_set import check_size
from pytest_ftgate.config import GateKeys, load_gate_file, resolve_gate
from pytest_ftgate.data import (
    SUFFIXES,
    DataSet,
    cells,
    expected_text,
    first_row,
    is_blank,
    load,
    load_examples,
    normalized_input,
)
from pytest_ftgate.data.rows import RowReader, paths_of
from pytest_ftgate.errors import (
    ConfigError,
    DataError,
    Where,
    shown_path,
    without_faults,
    write_whole,
)
from pytest_ftgate.gate.inputs import build_metrics
from pytest_ftgate.ini_file import IniFile, find_ini, ignores_strict_addopts
from pytest_ftgate.models import is_built_in, unknown_provider
from pytest_ftgate.text import plural, printable, suggestion, wrapped


@dataclass(frozen=True)
class Source:
    """A loaded data file; ``fields`` are the columns that the user names."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]


Copies = Mapping[Path, tuple[Source, Mapping[str, set[int]]]]
"""By the path of each copy: the original, and the rows that the copy leaves out, by the reason."""


def removable(test: Source, training: Source, audit: TrainingAudit) -> Copies:
    """Return which copies to write: without repeats with the same output, near duplicates, and rows of the test set.

    A repeat with another output stays: which of the two is right is for a person to decide. A copy
    is written as JSON Lines, whatever the original is; it must not exist yet.
    """
    outputs, first = outputs_of(test.data), dict[str, int]()
    pairs = [
        (row, first.setdefault(normalized_input(one.input), row))
        for row, one in enumerate(test.data)
    ]
    same = {row for row, other in pairs if row != other and outputs[row] == outputs[other]}
    leaks = {row for _, row in (*audit.leaked_rows, *audit.leaked_near_rows)}
    repeats = {row for row, _ in {*audit.repeats} - {*audit.conflict_rows}} | _repeated_ids(
        training.data
    )
    near = {row for row, _ in audit.near_rows} - repeats
    of_training = {
        "exact duplicate": repeats - leaks,
        "near duplicate": near - leaks,
        "leaked row": leaks,
    }
    copies = {}
    for source, removed in (
        (test, {"exact duplicate": same | _repeated_ids(test.data)}),
        (training, of_training),
    ):
        copy = source.path.with_name(
            f"{Path(source.path.name.removesuffix('.gz')).stem}.deduped.jsonl"
        )
        if copy in copies:
            copy = source.path.with_name(f"{source.path.name}.deduped.jsonl")
        if any(removed.values()):
            if os.path.lexists(copy):
                cure = "Move or delete it, or leave out --dedupe to use the original."
                raise ConfigError(
                    "the file exists, and nothing was written",
                    where=Where(shown_path(copy)),
                    cure=cure,
                )
            copies[copy] = source, removed
    return copies


def _repeated_ids(data: DataSet) -> set[int]:
    """Return the rows with an own id that an earlier row has; the other values are the same, as was checked."""
    first: dict[str, int] = {}
    return {
        row
        for row, one in enumerate(data)
        if first.setdefault(one.id, row) != row and one.has_own_id
    }


def write_copies(copies: Copies) -> Iterator[str]:
    """Write the copies, and yield a sentence for each. Raises :class:`OSError`."""
    for copy, (source, removed) in copies.items():
        kept = list(_rows_without(source, set().union(*removed.values())))
        written = (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in kept)
        # A lone surrogate, which UTF-8 cannot hold, is escaped as in JSON.
        write_whole(copy, (line.encode(errors="backslashreplace").decode() for line in written))
        counts = ", ".join(plural(len(rows), reason) for reason, rows in removed.items() if rows)
        yield f"removed     {counts}: {shown_path(copy)} has the other {plural(len(kept), 'row')}"


def _rows_without(source: Source, removed: Collection[int]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file but these examples; a row without an output to learn is no example, and is kept."""
    reader, number = RowReader(source.fields), -1
    with load.opened(source.path) as file:
        for _, raw in without_faults(file.rows):
            row = raw
            if file.table is not None:
                good, other = cells.json_row(raw, file.table)
                row = {
                    **raw,
                    **good,
                    **{name: str(raw[name]) for name in other if isinstance(raw[name], float)},
                }
            found = reader.example(row, Where(source.data.path))
            number += found is not None
            if found is None or number not in removed:
                yield row


_GATE = "finetune"
_GATE_FILE, _TEST_FILE, _INI_FILE = "ftgate.yaml", "test_finetune.py", "pytest.ini"
_ROWS_PER_LABEL, _MANY_LABELS, _LABELS_SHOWN = 3, 10, 12
_OUT_OF_BALANCE = 2.0
_COLUMN = " " * 12

_TEST = f'''"""Fail unless the fine-tuned model is better: the requirements are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("{_GATE}")
def test_fine_tune_is_worth_it(ftgate):
    """The marker runs the gate. Add further assertions here, on ftgate.candidate.metrics for example."""
'''
_ENDPOINT = "provider: openai, base_url: http://localhost:8000/v1, api_key_env: TASK_API_KEY"
_ABSENT = {
    "baseline": f"""# Required (without api_key_env no key is sent to a base_url):
    # baseline: {{{_ENDPOINT}, model: Qwen/Qwen3-8B, system_file: prompts/task.md, few_shot: 8}}""",
    "candidate": f"""# This, or stage: ready before training, is required:
    # candidate: {{{_ENDPOINT}, model: task-v1}}""",
}
"""What the gate file has in the place of a model that was not given."""
_INI = {
    "required_plugins": "pytest-ftgate",
    "addopts": "--strict-markers --strict-config",
    "ftgate_required": "all",
}


@dataclass
class Survey:
    """Both data sets, and what they hold.

    ``labels`` are those of the test set with their counts; none for JSON and for texts, which do
    not repeat.
    """

    test: Source
    training: Source

    def __post_init__(self) -> None:
        """Look at both, which takes a while."""
        self.audit = audit_training_set(self.training.data, self.test.data)
        expected = [*self.test.data.expected, *self.training.data.expected]
        outputs = [expected_text(one).strip() for one in expected]
        self.is_json = all(
            isinstance(one, dict | list) or str(one).lstrip()[:1] in ("{", "[") for one in expected
        )
        distinct = {one for one in outputs if not is_blank(one)}
        is_text = self.is_json or len(distinct) * _ROWS_PER_LABEL > len(outputs)
        self.labels = Counter[str]() if is_text else Counter(outputs[: len(self.test.data)])


def write_project(
    say: Callable[[str], None],
    *,
    test_set: Path | None = None,
    training_set: Path | None = None,
    columns: Mapping[str, str] = {},  # never changed
    models: Mapping[str, str] = {},
    dedupe: bool = False,
    force: bool = False,
) -> None:
    """Inspect the data of the working folder, report, and write the files.

    On an error, nothing is written.

    With ``dedupe`` beside an existing gate file only the copies of the data are written, unless
    ``force`` is set.

    Args:
        say: called with each line of the report.
        columns: the columns of ``input`` and ``expected``, where the user names them.
        models: ``baseline`` and ``candidate`` as strings, where they are given.
    """
    ini = find_ini(Path.cwd())
    is_beside_gate = dedupe and not force and os.path.lexists(_GATE_FILE)
    written = {} if is_beside_gate else _new_files(ini, force=force)
    survey = look(test_set, training_set, columns, repeats=dedupe)
    config = None if is_beside_gate else _checked_gate(survey, models, ini)
    report = list(_findings(survey))
    copies = removable(survey.test, survey.training, survey.audit) if dedupe else {}
    try:
        if dedupe:
            report += (
                write_copies(copies)
                if copies
                else ["removed     nothing, so no copies were written"]
            )
        if config is not None:
            gate_of = _with_copies(survey, copies)
            report += _warnings(gate_of, config)
            written[Path(_GATE_FILE)] = _gate_file(gate_of, models)
        for path, content in written.items():
            write_whole(path, [content])
    except OSError as error:
        raise ConfigError(f"cannot write the files: {error}") from None

    if written or copies:
        report.append(f"wrote       {'  '.join(map(shown_path, (*written, *copies)))}")
    steps = (
        _steps_beside_gate(survey, copies)
        if config is None
        else _steps(survey, copies, models, ini)
    )
    for line in (*report, *_numbered(steps)):
        is_copied = line.startswith(f"{_COLUMN} ")
        for part in (
            [printable(line)] if is_copied else wrapped(line, "", _COLUMN, break_words=False)
        ):
            say(part)


def _new_files(ini: IniFile | None, *, force: bool) -> dict[Path, str]:
    """Return the files to write, with their content, which the gate file has not yet."""
    files = {Path(_GATE_FILE): "", _test_file(ini): _TEST}
    if ini is None:
        files[Path(_INI_FILE)] = "\n".join(["[pytest]", *ini_lines(None), ""])
    for path in files:
        if os.path.lexists(path) and not force:
            what = "the file exists, and nothing was written"
            raise ConfigError(
                what, where=Where(shown_path(path)), cure="Use --force to overwrite it."
            )
    return files


def _with_copies(survey: Survey, copies: Copies) -> Survey:
    """Return a survey of the copies, where there are some, in place of the originals."""
    sources = {survey.test.path: survey.test, survey.training.path: survey.training}
    for copy, (source, _) in copies.items():
        sources[source.path] = Source(
            copy, load_examples(copy, fields=source.fields), source.fields
        )
    return Survey(*sources.values()) if copies else survey


# --- the data
# ------------------------------------------------------------------------------------------------


def look(
    test_set: Path | None,
    training_set: Path | None,
    columns: Mapping[str, str],
    *,
    repeats: bool = False,
) -> Survey:
    """Find and read both files. ``repeats``: rows may repeat with all their values, the id too."""
    paths = (
        test_set or _file("test", "--test-set"),
        training_set or _file("train", "--training-set"),
    )
    if len({os.path.realpath(path) for path in paths}) == 1:
        cure = "Set aside at least 50 examples that are not used for training."
        what = "the test set and the training set are the same file"
        raise ConfigError(what, where=Where(shown_path(paths[0])), cure=cure)
    sources, known = [], list[str]()
    for path in paths:
        row = first_row(path)
        names = [*dict.fromkeys((*row, *dict(paths_of(row))))]
        known += names
        fields = {part: column for part, column in columns.items() if column in names}
        try:
            RowReader(fields).recognised(row)
        except DataError as error:
            cure = "Name the columns: --input COLUMN --expected COLUMN"
            raise DataError(
                error.what, where=Where(shown_path(path)), evidence=error.evidence, cure=cure
            ) from None
        sources.append(Source(path, load_examples(path, fields=fields, repeats=repeats), fields))
    for part, column in columns.items():
        if column not in known:
            evidence = f"Columns: {', '.join(known)}{suggestion(column, known)}"
            raise DataError(
                f"no column {column!r} in the data files",
                where=Where(key=f"--{part}"),
                evidence=evidence,
            )
    return Survey(*sources)


def _file(word: str, option: str) -> Path:
    """Return the data file with the word in its name; of several the one with the shortest name."""
    found = [
        path
        for folder in (Path(), Path("data"))
        for path in sorted(folder.glob("*"), key=lambda path: (len(path.name), path.name))
        if word in path.name.lower() and path.name.lower().endswith(SUFFIXES)
        if word == "train" or "train" not in path.name.lower()
    ]
    if not found:
        what = f"no *{word}* file ({', '.join(SUFFIXES)}) in this folder or its subfolder data"
        raise ConfigError(what, cure=f"Name the file with {option} PATH.")
    return found[0]


def propose(survey: Survey) -> tuple[str, str, str]:
    """Return a metric that suits the outputs, the reason, and the usual goal of such a fine-tune."""
    if survey.is_json:
        return "exact_match", "outputs are JSON: compares values, ignores the layout", "extraction"
    if not survey.labels:
        return "exact_match", "outputs are text: right means equal", "style"
    labels, counts = plural(len(survey.labels), "label"), survey.labels.values()
    if len(survey.labels) > _MANY_LABELS or max(counts) >= _OUT_OF_BALANCE * min(counts):
        return "f1_macro", f"{labels}: each has the same weight, however frequent", "classification"
    return "accuracy", f"{labels}, balanced: the share of right answers", "classification"


# --- the files
# -----------------------------------------------------------------------------------------------


def _gate_file(survey: Survey, models: Mapping[str, str]) -> str:
    """Return the gate file.

    It is valid; without its models, the gate is an error that names the missing ones.
    """
    template = Template(
        (files("pytest_ftgate.cli") / "ftgate.yaml.template").read_text(encoding="utf-8")
    )
    labels = f" with {plural(len(survey.labels), 'label')}" if survey.labels else ""
    metric, why, goal = propose(survey)
    return template.substitute(
        {
            role: f"{role}: {_quoted(models[role])}" if role in models else absent
            for role, absent in _ABSENT.items()
        },
        gate=_GATE,
        good_reasons=", ".join(SERVED),
        bad_reasons="\n    #   ".join(
            f"{goal}: {instead}" for goal, (_, instead) in NOT_SERVED.items()
        ),
        goal=goal,
        test_seen=plural(len(survey.test.data), "example") + labels,
        test_set=_yaml(survey.test),
        training_seen=f"{plural(survey.audit.rows, 'row')}, {survey.audit.usable:,} usable",
        training_set=_yaml(survey.training),
        why=why,
        metric=metric,
    )


def _yaml(source: Source) -> str:
    written = _quoted(Path(os.path.relpath(source.path)).as_posix())
    named = ", ".join(f"{part}: {_quoted(column)}" for part, column in source.fields.items())
    return f"{{path: {written}, fields: {{{named}}}}}" if named else written


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # which YAML reads, too


def _checked_gate(survey: Survey, models: Mapping[str, str], ini: IniFile | None) -> GateKeys:
    """Return the gate as pytest reads it, with other models for missing ones: only the command line can be invalid."""
    text = _gate_file(survey, {**dict.fromkeys(_ABSENT, "python:absent:model"), **models})
    try:
        file = load_gate_file(Path(_GATE_FILE), text.encode())
        root = Path.cwd() if ini is None else ini.path.parent
        config = resolve_gate(
            file.layers(_GATE), file=file, gate=_GATE, default_name=_GATE, root=root
        )
        for spec in config.asked.values():
            if not is_built_in(spec):
                raise unknown_provider(spec)
    except ConfigError as error:
        what = f"the gate would not be valid, and nothing was written: {error.what}"
        place = Where(key=error.where.key if error.where else None)
        raise ConfigError(what, where=place, evidence=error.evidence, cure=error.cure) from None
    return config


def _test_file(ini: IniFile | None) -> Path:
    """Return where pytest collects a new test: in the first folder of ini ``testpaths``, or in this folder."""
    written = (
        ini.values.get("testpaths") if ini is not None and ini.path.parent == Path.cwd() else None
    )
    named = shlex.split(written) if isinstance(written, str) else list(written or ())
    return Path(next((folder for folder in named if Path(folder).is_dir()), ""), _TEST_FILE)


def ini_lines(ini: IniFile | None) -> list[str]:
    """Return the lines that an ini file lacks to make a gate required, in the language of the file."""
    there, is_toml = (ini.values, ini.path.suffix == ".toml") if ini is not None else ({}, False)
    keys = dict(_INI)
    if ignores_strict_addopts():
        del keys["addopts"]
        keys |= {"strict_markers": "true", "strict_config": "true"}

    lines = []
    for key, words in keys.items():
        written = json.dumps(words.split()) if is_toml and words != "true" else words
        if key not in there:
            lines.append(f"{key} = {written}")
    return lines


# --- what is printed
# -----------------------------------------------------------------------------------------


def _findings(survey: Survey) -> Iterator[str]:
    """Yield what is in the files."""
    data = survey.test.data
    groups = len({example.group for example in data if example.group is not None})
    grouped = f" in {plural(groups, 'group')}" if groups else ""
    yield f"{shown_path(survey.test.path):<11} {plural(len(data), 'example')}{grouped}, {_outputs(survey)}"

    audit = survey.audit
    usable = "all usable" if audit.usable == audit.rows else f"{audit.usable:,} usable"
    leaked = audit.leaked + audit.leaked_near
    leaks = f"{leaked:,} leaked" if leaked else "no leaks"
    yield f"{shown_path(survey.training.path):<11} {plural(audit.rows, 'row')}, {usable}, {leaks}"


def _outputs(survey: Survey) -> str:
    """Return the most frequent labels of the test set with their numbers, or what its outputs are."""
    if not survey.labels:
        return "outputs JSON" if survey.is_json else "outputs text"

    labels = []
    for label, count in survey.labels.most_common(_LABELS_SHOWN):
        labels.append(f"{printable(label, 40)} {count:,}")
    more = len(survey.labels) - len(labels)
    return f"labels {', '.join(labels)}" + (f" and {more:,} more" if more else "")


def _warnings(survey: Survey, config: GateKeys) -> Iterator[str]:
    """Yield what the gate will find in the data, before any call is paid for."""
    test, training, audit = survey.test.data, survey.training.data, survey.audit
    try:
        check_test_set(test)
    except DataError as error:
        yield f"{_COLUMN}error: {error.headline}"
    gate = Context(
        config, test, training, audit, build_metrics(config, test, training, None), {}, clock.wall()
    )
    for check in (*findings.check(gate), *check_size(gate)):
        if check.status in ("fail", "warning"):
            yield f"{_COLUMN}warning {check.name}: {check.message}"
    if audit.leaked or audit.leaked_near:
        accepted = (
            "; checks: {leaked_near: warn} accepts near duplicates" if audit.leaked_near else ""
        )
        yield f"{_COLUMN}fix: --dedupe writes copies without duplicates and leaks{accepted}"


def _steps(
    survey: Survey, copies: Copies, models: Mapping[str, str], ini: IniFile | None
) -> Iterator[Sequence[str]]:
    """Yield the next steps, each with the lines below it; an existing ini file is left to the user."""
    missing = [
        f"     {role + ':':<10} {{provider: openai, model: ...}}"
        for role in _ABSENT
        if role not in models
    ]
    yield [f"put your models into {_GATE_FILE}:", *missing] if missing else [f"review {_GATE_FILE}"]
    lacking = ini_lines(ini) if ini is not None else []
    if ini is not None and lacking:
        table = f" in {ini.header}" if ini.path.suffix == ".toml" else ""
        what = f"{shown_path(ini.path)} exists. Set these lines{table}, so that a missing gate fails the run:"
        yield [what, *(f" {line}" for line in lacking)]
    for copy, (source, _) in copies.items():
        if source is survey.training:
            yield [f"train on {shown_path(copy)}, not on the original"]
    test = shlex.quote(shown_path(_test_file(ini)))
    yield [f"python -m pytest {test} --ftgate-plan    # free"]
    yield [f"python -m pytest {test}"]


def _steps_beside_gate(survey: Survey, copies: Copies) -> Iterator[Sequence[str]]:
    """Yield what to change in a gate file that exists."""
    for copy, (source, _) in copies.items():
        if source is survey.test:
            yield [f"write test_set: {shown_path(copy)} in {_GATE_FILE}"]
        else:
            yield [f"write training_set: {shown_path(copy)} in {_GATE_FILE}, and train on it"]


def _numbered(steps: Iterable[Sequence[str]]) -> Iterator[str]:
    for number, (first, *others) in enumerate(steps, start=1):
        yield f"{'next' if number == 1 else '':<12}{number}. {first}"
        yield from (f"{_COLUMN}{line}" for line in others)
