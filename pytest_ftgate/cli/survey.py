"""Inspect the user's data before a gate is written for it, and propose a metric."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set, check_test_set
from pytest_ftgate.cli.dedupe import Cleaned, clean_test, clean_training
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.data import (
    SUFFIXES,
    DataSet,
    column_names,
    expected_text,
    is_blank,
    likely_columns,
    load_examples,
    recognise,
)
from pytest_ftgate.data.rows import NEVER
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import plural, printable, suggestion

Outputs = Literal["labels", "json", "text"]

MIN_TEST: int = GateKeys.model_fields["min_test_examples"].default
MIN_TRAINING: int = GateKeys.model_fields["min_training_examples"].default

_FOLDERS = ("", "data")
_OURS = ("id", "group", "input", "expected")
_ROWS_PER_LABEL = 3
_MANY_LABELS = 10
_OUT_OF_BALANCE = 2.0
_FEW = 10  # training rows of a label


@dataclass(frozen=True)
class Source:
    """A loaded data file."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]  # its columns for ``input`` and ``expected``, if they have other names
    others: tuple[Path, ...] = ()  # other files that match


@dataclass(frozen=True)
class Survey:
    """Both data sets and their statistics."""

    test: Source
    training: Source
    audit: TrainingAudit
    refused: str | None  # why a gate would reject the test set

    @cached_property
    def labels(self) -> Counter[str]:
        """Return the outputs of the test set with their counts."""
        return Counter(expected_text(example.expected).strip() for example in self.test.data)

    @cached_property
    def outputs(self) -> Outputs:
        """Return the kind of the expected outputs. Labels repeat, free text does not."""
        expected = [example.expected for data in (self.test.data, self.training.data) for example in data]
        if all(isinstance(one, dict | list) or str(one).lstrip()[:1] in ("{", "[") for one in expected):
            return "json"
        distinct = {expected_text(one).strip() for one in expected if not is_blank(expected_text(one))}
        return "labels" if len(distinct) <= max(2, len(expected) // _ROWS_PER_LABEL) else "text"


def look(
    directory: Path,
    test_set: Path | None,
    training_set: Path | None,
    columns: Mapping[str, str],
    *,
    repeats: bool = False,
) -> Survey:
    """Find and read both files; ``columns`` are the user's column names for ``input`` and ``expected``.

    ``repeats``: rows may repeat with all their values, the id too.
    """
    test = _source(directory, test_set, "test", columns, repeats=repeats)
    training = _source(directory, training_set, "train", columns, repeats=repeats)
    _check_columns(columns, test.path, training.path)
    if os.path.realpath(test.path) == os.path.realpath(training.path):
        cure = f"Set aside at least {MIN_TEST} examples that are not used for training."
        raise ConfigError(
            "the test set and the training set are the same file", where=Where(shown_path(test.path)), cure=cure
        )
    return _audited(test, training)


def _audited(test: Source, training: Source) -> Survey:
    refused = None
    try:
        check_test_set(test.data)
    except DataError as error:
        refused = error.headline
    return Survey(test, training, audit_training_set(training.data, test.data), refused)


def cleaned(survey: Survey) -> tuple[Survey, tuple[Cleaned, Cleaned]]:
    """Return the survey of copies without duplicates and leaks, and these copies of the test and training set."""
    test, training = survey.test, survey.training
    tested = clean_test(test.path, test.fields, test.data)
    trained = clean_training(training.path, training.fields, training.data, tested.data, survey.audit)
    if not (tested.removed or trained.removed):
        return survey, (tested, trained)
    sources = (
        replace(source, path=copy.path, data=copy.data) for source, copy in ((test, tested), (training, trained))
    )
    return _audited(*sources), (tested, trained)


def _check_columns(columns: Mapping[str, str], *paths: Path) -> None:
    """Refuse a column name of the user that neither file has."""
    names = {path: column_names(path) for path in paths}
    for part, column in columns.items():
        if not any(column in found for found in names.values()):
            path, *_ = paths
            what = f"no column {column!r} in {' or '.join(shown_path(one) for one in paths)}"
            evidence = f"Columns: {', '.join(names[path])}"
            near = suggestion(column, names[path])
            raise DataError(f"{what}{near}", where=Where(shown_path(path), key=f"--{part}"), evidence=evidence)


def _source(directory: Path, named: Path | None, word: str, columns: Mapping[str, str], *, repeats: bool) -> Source:
    """Read a file: in the columns that the user names, in the format of its keys, or in columns that are guessed."""
    path, *others = [named] if named else _candidates(directory, word)
    names = column_names(path)
    chosen = {part: column for part, column in columns.items() if column in names or part not in names}
    wanted = [part for part in ("input", "expected") if part in chosen or part not in names]
    if not names or not wanted or (not chosen and recognise([dict.fromkeys(names, "")]) is not None):
        return Source(path, load_examples(path, repeats=repeats), {}, tuple(others))
    fields = _fields(path, names, chosen, wanted)
    return Source(path, load_examples(path, fields=fields, repeats=repeats), fields, tuple(others))


def _candidates(directory: Path, word: str) -> list[Path]:
    """Return data files with the word in their name, the most likely one (shortest name) first."""
    found = []
    for folder in _FOLDERS:
        paths = sorted((directory / folder).glob("*"), key=lambda path: (len(path.name), path.name))
        named = ((path, path.name.lower()) for path in paths)
        found += [
            path
            for path, name in named
            if word in name and name.endswith(SUFFIXES) and (word == "train" or "train" not in name)
        ]
    if found:
        return found
    option = "--test-set" if word == "test" else "--training-set"
    what = f"no *{word}* file ({', '.join(SUFFIXES)}) in {shown_path(directory)} or its subfolder data"
    raise ConfigError(what, cure=f"Name the file with {option} PATH.")


def _fields(path: Path, names: Sequence[str], chosen: Mapping[str, str], wanted: Sequence[str]) -> dict[str, str]:
    """Return the columns for ``input`` and ``expected``: those that are chosen, else the likely ones."""
    unknown = {part: part for part in wanted if part not in chosen}
    free = [name for name in names if name not in chosen.values()]
    found = {**chosen, **likely_columns(unknown, free)}
    lacking = [part for part in wanted if part not in found]
    left = [name for name in free if name not in (*found.values(), *_OURS) and name.lower() not in NEVER]
    if len(lacking) == len(left) == 1:  # the only possibility, and it is reported
        found[lacking[0]] = left[0]
    elif lacking:
        raise DataError(
            f"cannot tell which column holds the {' and the '.join(lacking)}",
            where=Where(shown_path(path)),
            evidence=f"Columns: {', '.join(names)}.",
            cure=f"Add {' '.join(f'--{part} COLUMN' for part in lacking)}.",
        )
    return {part: found[part] for part in wanted if found[part] != part or part not in names}


def propose(survey: Survey) -> tuple[str, str, str]:
    """Return a metric that suits the outputs, the reason, and the usual goal of such a fine-tune."""
    if survey.outputs == "json":
        return "exact_match", "outputs are JSON: compares values, ignores the layout", "extraction"
    if survey.outputs == "text":
        return "exact_match", "outputs are text: right means equal", "style"
    labels, counts = plural(len(survey.labels), "label"), survey.labels.values()
    if len(survey.labels) > _MANY_LABELS:
        return "f1_macro", f"{labels}: each has the same weight, however frequent", "classification"
    if max(counts) >= _OUT_OF_BALANCE * min(counts):
        return "f1_macro", f"{labels}, imbalanced: each has the same weight", "classification"
    return "accuracy", f"{labels}, balanced: the share of right answers", "classification"


def warnings(survey: Survey) -> Iterator[str]:
    """Yield the problems that will make the gate fail, before any call is paid for."""
    audit, test, training = survey.audit, survey.test.data, survey.training.data
    if survey.refused:
        yield f"the gate cannot use this test set: {survey.refused}"
    if len(test) < MIN_TEST:
        yield f"{plural(len(test), 'test example')}, and a gate needs {MIN_TEST}: label {MIN_TEST - len(test)} more"
    if audit.usable < MIN_TRAINING:
        have, more = plural(audit.usable, "usable training example"), MIN_TRAINING - audit.usable
        yield f"{have}, and a gate needs {MIN_TRAINING}: collect {more} more"
    remove = "remove the training rows (--dedupe writes a copy without them)"
    if audit.leaked:
        yield f"in the training set, too: {plural(audit.leaked, 'test example')}; {remove}"
    if near := next(iter(audit.leaked_near_rows), None):
        first = f"{test.where(near[0])} ~ {training.where(near[1])}"
        yield (
            f"{plural(audit.leaked_near, 'test example')} with a near duplicate in the training set, with which the "
            f"gate fails: {remove}, or, if they really differ, set checks: {{leaked_near: warn}}; the first is {first}"
        )
    if audit.conflicts:
        yield f"an earlier input with another output: {plural(audit.conflicts, 'training row')}; correct them"
    if survey.outputs == "labels":
        if unseen := audit.labels.only_in_test:
            yield f"not in the training set: {plural(len(unseen), 'label')} of the test set"
        rows = Counter(expected_text(example.expected).strip() for example in training)
        few = [
            f"{printable(label, 40)!r} has only {rows[label]:,}" for label in survey.labels if 0 < rows[label] < _FEW
        ]
        yield from [f"too few training rows: {', '.join(few[:5])}"] if few else ()
