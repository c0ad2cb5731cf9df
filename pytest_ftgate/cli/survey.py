"""A look at the user's data before a gate is written for it: columns, counts, labels, groups, leakage."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pytest_ftgate.checks.training_set import TrainingAudit, audit_training_set, check_test_set
from pytest_ftgate.data import SUFFIXES, DataSet, column_names, expected_text, is_blank, likely_columns, load_examples
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path

Outputs = Literal["labels", "json", "text"]

_FOLDERS = ("", "data")
_OURS = ("id", "group", "input", "expected")
_ROWS_PER_LABEL = 3
_GROUP_COLUMNS = (
    *("conversation_id", "conversation", "session_id", "session", "thread_id", "thread", "dialog_id"),
    *("document_id", "document", "doc_id", "source_id", "template", "family"),
    *("user_id", "user", "speaker_id", "speaker", "author", "customer_id", "customer", "patient_id"),
)


@dataclass(frozen=True)
class Source:
    """A data file that was read.

    Attributes:
        path: as it was named or found.
        others: further files that it could have been.
        fields: what the file calls ``input`` and ``expected``, where it has other names for them.
    """

    path: Path
    data: DataSet
    fields: Mapping[str, str]
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        refused: why a gate would refuse the test set; None: it would not.
    """

    test: Source
    training: Source
    audit: TrainingAudit
    refused: str | None

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

    @cached_property
    def imbalance(self) -> float:
        """In the test set: examples of the most frequent label by those of the rarest."""
        return max(self.labels.values()) / min(self.labels.values())

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


def look(
    directory: Path,
    test_set: Path | None,
    training_set: Path | None,
    columns: Mapping[str, str],
) -> Survey:
    """Find, read and count both files.

    Args:
        directory: where files are looked for that were not named.
        test_set, training_set: as they were named.
        columns: what the user says that the files call ``input`` and ``expected``.

    Raises:
        ConfigError: a file was not found.
        DataError: one cannot be read as examples.
    """
    test = _source(directory, test_set, "test", columns)
    training = _source(directory, training_set, "train", columns)
    if os.path.realpath(test.path) == os.path.realpath(training.path):
        raise ConfigError(
            "the test set is the training set",
            where=Where(shown_path(test.path)),
            cure="Keep examples aside that no model learns from, at least 50.",
        )
    refused = None
    try:
        check_test_set(test.data)
    except DataError as error:
        refused = str(error).splitlines()[0]
    return Survey(test, training, audit_training_set(training.data, test.data), refused)


def _source(directory: Path, named: Path | None, word: str, columns: Mapping[str, str]) -> Source:
    path, *others = [named] if named else _candidates(directory, word)
    fields = _fields(path, columns)
    return Source(path, load_examples(path, fields=fields), fields, tuple(others))


def _candidates(directory: Path, word: str) -> list[Path]:
    """Data files with the word in their name, the most likely one first: near, and with a short name."""
    found = []
    for folder in _FOLDERS:
        try:
            names = os.listdir(directory / folder)
        except OSError:
            continue
        fitting = (name for name in names if word in name.lower() and name.lower().endswith(SUFFIXES))
        here = [directory / folder / name for name in fitting if word == "train" or "train" not in name.lower()]
        found += sorted(here, key=lambda path: (len(path.name), path.name))
    if found:
        return found
    option = "--test-set" if word == "test" else "--training-set"
    raise ConfigError(
        f"no *{word}* file ({', '.join(SUFFIXES)}) in {shown_path(directory)} or its folder data",
        cure=f"Name it: {option} PATH",
    )


def _fields(path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """What the file calls ``input`` and ``expected``: as the user says, else as its columns suggest."""
    names = column_names(path)
    if not names or ("messages" in names and "input" not in names and not columns):
        return {}
    wanted = {part: part for part in ("input", "expected") if part not in names}
    said = {part: columns[part] for part in wanted if part in columns}
    unsaid = {part: column for part, column in wanted.items() if part not in said}
    found = likely_columns(unsaid, [name for name in names if name not in said.values()])
    taken = {*said.values(), *found.values(), *_OURS}
    left = [name for name in names if name not in taken]
    lacking = [part for part in unsaid if part not in found]
    if len(lacking) == len(left) == 1:  # nothing else can be meant, and what was taken is said
        found[lacking[0]] = left[0]
    elif lacking:
        raise DataError(
            f"which column holds the {' and the '.join(lacking)} is not clear",
            where=Where(shown_path(path)),
            evidence=f"found: {', '.join(names)}",
            cure=f"say it: {' '.join(f'--{part} COLUMN' for part in lacking)}",
        )
    return {part: {**said, **found}[part] for part in wanted}
