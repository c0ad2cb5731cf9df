"""Look at the user's data before a gate is written for it, and propose what the gate should ask for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pytest_ftgate.checks.training_set import TrainingAudit, audit_training_set, check_test_set
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.data import SUFFIXES, DataSet, column_names, expected_text, is_blank, likely_columns, load_examples
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import plural

Outputs = Literal["labels", "json", "text"]

MIN_TEST: int = GateKeys.model_fields["min_test_examples"].default
MIN_TRAINING: int = GateKeys.model_fields["min_training_examples"].default

_FOLDERS = ("", "data")
_OURS = ("id", "group", "input", "expected")
_ROWS_PER_LABEL = 3
_MANY_LABELS = 10
_OUT_OF_BALANCE = 2.0
_GROUP_COLUMNS = (
    *("conversation_id", "conversation", "session_id", "session", "thread_id", "thread", "dialog_id"),
    *("document_id", "document", "doc_id", "source_id", "template", "family"),
    *("user_id", "user", "speaker_id", "speaker", "author", "customer_id", "customer", "patient_id"),
)


@dataclass(frozen=True)
class Source:
    """A data file that was read."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]  # what it calls ``input`` and ``expected``, where it has other names for them
    others: tuple[Path, ...] = ()  # further files that it could have been


@dataclass(frozen=True)
class Survey:
    """Both files, and what was counted."""

    test: Source
    training: Source
    audit: TrainingAudit
    refused: str | None  # why a gate would refuse the test set

    @cached_property
    def labels(self) -> Counter[str]:
        """The outputs of the test set, and how often each is expected."""
        return Counter(expected_text(example.expected).strip() for example in self.test.data)

    @cached_property
    def outputs(self) -> Outputs:
        """What the models are to answer. Free text hardly repeats itself, labels do."""
        expected = [example.expected for data in (self.test.data, self.training.data) for example in data]
        if all(isinstance(one, dict | list) or str(one).lstrip()[:1] in ("{", "[") for one in expected):
            return "json"
        distinct = {expected_text(one).strip() for one in expected if not is_blank(expected_text(one))}
        return "labels" if len(distinct) <= max(2, len(expected) // _ROWS_PER_LABEL) else "text"

    @property
    def groups(self) -> int:
        """Groups of the test set that hold what belongs together."""
        return len({example.group for example in self.test.data if example.group is not None})

    @cached_property
    def group_column(self) -> tuple[str, int] | None:
        """A column that seems to say what belongs together, and how many values it has; None: none, or it is used."""
        if self.groups:
            return None
        rows = self.test.data.examples
        for name in _GROUP_COLUMNS:
            values = {str(row.fields[name]) for row in rows if name in row.fields}
            if all(name in row.fields for row in rows) and 1 < len(values) < len(rows):
                return name, len(values)
        return None


def look(directory: Path, test_set: Path | None, training_set: Path | None, columns: Mapping[str, str]) -> Survey:
    """Find, read and count both files; ``columns`` are what the user says that they call ``input`` and ``expected``.

    Raises:
        ConfigError: a file was not found.
        DataError: one cannot be read as examples.
    """
    test = _source(directory, test_set, "test", columns)
    training = _source(directory, training_set, "train", columns)
    if os.path.realpath(test.path) == os.path.realpath(training.path):
        cure = "Keep examples aside that no model learns from, at least 50."
        raise ConfigError("the test set is the training set", where=Where(shown_path(test.path)), cure=cure)
    refused = None
    try:
        check_test_set(test.data)
    except DataError as error:
        refused = error.headline
    return Survey(test, training, audit_training_set(training.data, test.data), refused)


def _source(directory: Path, named: Path | None, word: str, columns: Mapping[str, str]) -> Source:
    path, *others = [named] if named else _candidates(directory, word)
    fields = _fields(path, columns)
    return Source(path, load_examples(path, fields=fields), fields, tuple(others))


def _candidates(directory: Path, word: str) -> list[Path]:
    """Data files with the word in their name, the most likely one first: near, and with a short name."""
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
    what = f"no *{word}* file ({', '.join(SUFFIXES)}) in {shown_path(directory)} or its folder data"
    raise ConfigError(what, cure=f"Name it: {option} PATH")


def _fields(path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """What the file calls ``input`` and ``expected``: as the user says, else as its columns suggest."""
    names = column_names(path)
    if not names or ("messages" in names and "input" not in names and not columns):
        return {}
    wanted = [part for part in ("input", "expected") if part not in names]
    chosen = {part: columns[part] for part in wanted if part in columns}
    unknown = {part: part for part in wanted if part not in chosen}
    chosen |= likely_columns(unknown, [name for name in names if name not in chosen.values()])
    left = [name for name in names if name not in (*chosen.values(), *_OURS)]
    lacking = [part for part in wanted if part not in chosen]
    if len(lacking) == len(left) == 1:  # nothing else can be meant, and what was taken is said
        chosen[lacking[0]] = left[0]
    elif lacking:
        raise DataError(
            f"which column holds the {' and the '.join(lacking)} is not clear",
            where=Where(shown_path(path)),
            evidence=f"found: {', '.join(names)}",
            cure=f"say it: {' '.join(f'--{part} COLUMN' for part in lacking)}",
        )
    return {part: chosen[part] for part in wanted}


@dataclass(frozen=True, slots=True)
class Proposal:
    """The metric that suits the data, why, and what such a fine-tune is usually for."""

    metric: str
    why: str
    goal: str = "classification"


def propose(survey: Survey) -> Proposal:
    """Choose the metric that suits the outputs, and the goal that it usually stands for."""
    if survey.outputs == "json":
        return Proposal("exact_match", "outputs are JSON: values are compared, not the layout", "extraction")
    if survey.outputs == "text":
        return Proposal("exact_match", "outputs are text: right means word for word", "style")
    labels, counts = plural(len(survey.labels), "label"), survey.labels.values()
    if len(survey.labels) > _MANY_LABELS:
        return Proposal("f1_macro", f"{labels}: each counts the same, however often it is tested")
    if max(counts) >= _OUT_OF_BALANCE * min(counts):
        return Proposal("f1_macro", f"{labels} out of balance: each counts the same")
    return Proposal("accuracy", f"{labels} in balance: the share of right answers")


def warnings(survey: Survey) -> Iterator[str]:
    """Say what the gate will not let pass, before any of it costs anything."""
    audit = survey.audit
    if survey.refused:
        yield f"the gate cannot use this test set: {survey.refused}"
    for have, least, noun, cure in (
        (len(survey.test.data), MIN_TEST, "test example", "label"),
        (audit.usable, MIN_TRAINING, "usable training example", "collect"),
    ):
        if have < least:
            yield f"{plural(have, noun)}, and a gate asks for {least}: {cure} {least - have} more, or it fails"
    if audit.leaked:
        verb = "stands" if audit.leaked == 1 else "stand"
        yield f"{plural(audit.leaked, 'test example')} {verb} in the training set, too: take them out of it"
    if audit.leaked_near_rows:
        count, (row, first) = len(audit.leaked_near_rows), audit.leaked_near_rows[0]
        yield (
            f"{plural(count, 'test example')} {'has' if count == 1 else 'have'} a near copy in the training set, and "
            f"the gate fails on that: take the copies out of the training set, or say that they differ "
            f"(audit: {{leaked_near: warn}}); the first is {survey.test.data.where(row)} ~ "
            f"{survey.training.data.where(first)}"
        )
    if audit.conflicts:
        yield f"{plural(audit.conflicts, 'training row')} with an earlier row's input and another output: correct them"
    if audit.labels.only_in_test and survey.outputs == "labels":
        count = len(audit.labels.only_in_test)
        yield f"{plural(count, 'label')} of the test set {'is' if count == 1 else 'are'} not in the training set"
