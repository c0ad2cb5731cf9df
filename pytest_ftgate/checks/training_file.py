"""The rule that the training set is the file that the candidate's job was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.config import file_of
from pytest_ftgate.data import DataSet
from pytest_ftgate.errors import DataError
from pytest_ftgate.models.openai_api.tuning import JobFile, _content, content_sha256, read_examples
from pytest_ftgate.result import Check, Status
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


_HASH_SHOWN = 12


def is_the_file(training: DataSet, file: JobFile) -> bool:
    """Return whether a training set is a job's file: by its bytes, or for an iterable by the content of its rows."""
    if training.path is None:
        return content_sha256(training.examples) == file.content_sha256
    return training.sha256 == file.sha256


def check(gate: Context) -> list[Check]:
    """Check that a candidate named by its job was trained on the whole training set."""
    file, training, keys = gate.trained_on, gate.training, file_of(gate.config.training_set)
    limit = None if keys is None else keys.limit
    if not gate.accepts or file is None:
        return []
    name = f"{file.id}, on which the candidate's job was trained (sha256 {file.sha256[:_HASH_SHOWN]})"
    status: Status = "fail"
    advice: str | None
    if not is_the_file(training, file):
        message = f"the training set is not the file {name}{_difference(training, gate.trained_on_content, file)}"
        advice = f"Set training_set to the file that was uploaded as {file.id}, or train again on this one."
    elif limit is not None and limit < file.rows:
        message = f"the training set is limited to {limit:,} of the {plural(file.rows, 'row')} of the file {name}"
        advice = "Remove limit from training_set."
    else:
        how = "is" if training.path is not None else "has the rows of"
        status, message, advice = "pass", f"the training set {how} the file {name}", None
    source = gate.source("training_set")
    return [Check("training_file", status, message, training.sha256, file.sha256, source, advice)]


def _difference(training: DataSet, content: bytes | None, file: JobFile) -> str:
    if content is None:
        return ""
    try:
        trained = read_examples(content, file.id)
    except DataError as error:
        return f": that file cannot be read as examples ({error.headline})"
    here, there = ([_content(example) for example in data] for data in (training, trained))
    alone = [*_only(training, here, there, "the training set"), *_only(trained, there, here, "that file")]
    if alone:
        return f": {', '.join(alone)}"
    if here != there:
        return ": the rows are the same, but in another order"
    return ": the rows are the same, but the files differ in their bytes"


def _only(data: DataSet, these: Sequence[str], those: Sequence[str], name: str) -> list[str]:
    """Return how many rows are in ``these`` alone, counting repetitions, and where the first one is."""
    left = Counter(those)
    alone = []
    for index, row in enumerate(these):
        if left[row]:
            left[row] -= 1
        else:
            alone.append(index)
    if not alone:
        return []
    return [f"{plural(len(alone), 'row')} only in {name} (the first: {data.row_name(alone[0])})"]
