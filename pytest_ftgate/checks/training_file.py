"""Whether the training set that is judged is the very file that a job was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import DataSet
from pytest_ftgate.errors import DataError
from pytest_ftgate.models.openai_api.tuning import JobFile, _content, content_sha256, read_examples
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys


_HASH_SHOWN = 12


def is_the_file(training: DataSet, file: JobFile) -> bool:
    """Whether they are one: by their bytes, or by the content of their rows where the training set is an iterable."""
    if training.path is None:
        return content_sha256(training.examples) == file.content_sha256
    return training.sha256 == file.sha256


def check(gate: Context) -> list[Check]:
    """Check that the candidate's job was trained on the training set, where the candidate is named by its job."""
    if not gate.accepts or gate.trained_on is None:
        return []
    return [training_file_check(gate.config, gate.training, gate.trained_on, gate.trained_on_content)]


def training_file_check(config: GateKeys, training: DataSet, file: JobFile, content: bytes | None) -> Check:
    """The training set is the file, whole.

    Args:
        config: the gate.
        training: the training set as read.
        file: the job's training file.
        content: its bytes, by which a difference is explained; ``None`` where they are not at hand.
    """
    limit = getattr(config.training_set, "limit", None)
    same = is_the_file(training, file)
    name = f"{file.id}, on which the candidate's job was trained (sha256 {file.sha256[:_HASH_SHOWN]})"
    advice = f"Name the very file that was uploaded as {file.id}, or train again on this one."
    if same and limit is not None and limit < file.rows:
        message = f"the training set is cut to {limit:,} of the {plural(file.rows, 'row')} of the file {name}"
        return _check(config, training, file, "fail", message, "Take limit out of training_set.")
    if same:
        how = "is" if training.path is not None else "has the rows of"
        return _check(config, training, file, "pass", f"the training set {how} the file {name}", None)
    message = f"the training set is not the file {name}{_difference(training, content, file)}"
    return _check(config, training, file, "fail", message, advice)


def _check(config: GateKeys, training: DataSet, file: JobFile, status: Any, message: str, advice: str | None) -> Check:
    return Check(
        "training_file",
        status,
        message,
        observed=training.sha256,
        required=file.sha256,
        source=str(config.sources["training_set"]),
        advice=advice,
    )


def _difference(training: DataSet, content: bytes | None, file: JobFile) -> str:
    if content is None:
        return ""
    try:
        trained = read_examples(content, file.id)
    except DataError as error:
        return f": that file cannot be read as examples ({str(error).splitlines()[0]})"
    here, there = ([_content(example) for example in data] for data in (training, trained))
    found = [
        *_only(training, here, there, "the training set"),
        *_only(trained, there, here, "that file"),
    ]
    if found:
        return f": {', '.join(found)}"
    if here != there:
        return ": the rows are the same, in another order"
    return ": the rows are the same, but written in other bytes"


def _only(data: DataSet, these: Sequence[str], those: Sequence[str], name: str) -> list[str]:
    """How many rows stand in ``these`` alone, and the first of them; a row that repeats counts as often."""
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
