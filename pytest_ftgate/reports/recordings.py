"""Read and write recordings: a folder, to be committed, with a JSONL file per gate and model."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_ftgate.data import input_sha256, strict_json
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.files import write_whole
from pytest_ftgate.models import key_of, protocol, recorded
from pytest_ftgate.runs.jobs import Run

_SLUG_CHARACTERS = 80
_GREEN = ".green.json"
_CANDIDATES = ".candidate"  # ends the names of what only serves candidates


def read_recordings(folder: Path) -> dict[str, recorded.Recording]:
    """Return what all JSONL files below ``folder`` record, by the keys of the calls.

    Rows without a key are skipped. A folder that does not exist is an empty one: nothing has been
    recorded yet.

    What only files named ``*.candidate.jsonl`` record serves candidates alone: a change that is
    judged by the rules of the main branch may edit these files, and no others.

    Raise :class:`DataError` if a row is not a prediction, or one key has two different answers.
    """
    recordings: dict[str, recorded.Recording] = {}
    paths = sorted(folder.rglob("*.jsonl"))
    # A key that another file has, too, serves all models, so the files of candidates come last.
    for path in sorted(paths, key=_is_of_candidates):
        for row in recorded.read_rows(path).rows.values():
            _add(recordings, row, path)
    return recordings


def _is_of_candidates(path: Path) -> bool:
    return path.stem.endswith(_CANDIDATES)


def _add(recordings: dict[str, recorded.Recording], row: recorded.RecordedRow, path: Path) -> None:
    """Add a row under its key, or its input to the recording that is there."""
    prediction = row.prediction
    if not prediction.key or prediction.completion is None:
        return

    where = Where(shown_path(path), row.line)
    new = recorded.Recording(
        prediction, where=where, inputs=set(), of_candidate=_is_of_candidates(path)
    )
    recording = recordings.setdefault(prediction.key, new)
    if row.input_sha256 is not None:
        recording.inputs.add(row.input_sha256)

    first = recording.prediction.completion
    if first is not None and first.text != prediction.completion.text:
        raise DataError(
            "another recording has a different answer under the same key",
            where=replace(where, key="key"),
            cure="Delete the older of the two files and record it again.",
        )


def read_notes(folder: Path) -> dict[str, str]:
    """Return the notes on green verdicts below ``folder``, by the names of the notes.

    Raise :class:`DataError` if a file is not a JSON object of texts.
    """
    notes: dict[str, str] = {}
    for path in sorted(folder.rglob(f"*{_GREEN}")):
        try:
            document = strict_json.parse_json(path.read_text(encoding="utf-8"))
            values = document.values() if isinstance(document, dict) else [None]
            if not all(isinstance(value, str) for value in values):
                raise ValueError("expected a JSON object of texts")
        except (OSError, ValueError) as error:
            raise DataError(
                "not a file of notes on green verdicts",
                where=Where(shown_path(path)),
                evidence=str(error),
                cure="Record it again.",
            ) from None
        notes |= document
    return notes


def missing_answers(runs: Mapping[str, Run]) -> str | None:
    """Return why recordings are not written: they would replace files with more answers."""
    reasons = []
    for role, run in runs.items():
        if run.unanswered:
            count = f"{len(run.unanswered):,} of {len(run.all_predictions):,}"
            reasons.append(f"{count} answers of {role} are missing")
    return "; ".join(reasons) or None


def write_recordings(
    folder: Path, gate: str, runs: Mapping[str, Run], notes: Mapping[str, str]
) -> None:
    """Write the recordings of one gate; each file is replaced as a whole. Raises :class:`OSError`.

    To be called with complete answers: see :func:`missing_answers`.

    ``runs`` are by their names in recordings; ``notes`` are on the last green verdict, by name.
    """
    for name, run in runs.items():
        rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in _rows(run))
        write_whole(folder / f"{_slug(gate)}.{_slug(name)}.jsonl", rows)
    if notes:
        text = json.dumps(dict(notes), indent=2, sort_keys=True)
        write_whole(folder / f"{_slug(gate)}{_GREEN}", [f"{text}\n"])


def _rows(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the answers of a run as JSON objects, without what is not known."""
    for repeat, predictions in enumerate(run.predictions):
        for example, prediction in zip(run.test_set.examples, predictions, strict=True):
            completion = prediction.completion
            if completion is None:
                continue

            output = completion.original  # as it came, with its reasoning
            reasoning = None
            if output is None:
                output = completion.text
                reasoning = completion.reasoning
            key = prediction.key
            if run.model.verified is not None:
                key = key_of(run.model, example, repeat)
            counts = {name: getattr(completion, name) for name in protocol.COUNTS}

            row = {
                "id": prediction.id,
                "output": output,
                "reasoning": reasoning,
                "finish": None if completion.finish == "stop" else completion.finish,
                "finish_reason": completion.finish_reason,
                "usage": _known(counts) or None,
                "latency_s": prediction.latency_s,
                "busy_s": prediction.busy_s,
                "input_sha256": input_sha256(example.input),
                "key": key,
                "created_at": prediction.created_at,
                "repeat": repeat or None,
            }
            yield _known(row)


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _slug(name: str) -> str:
    """Return a file name that is valid on every system.

    A name that had to be changed gets a hash, so that it stays unique.
    """
    stem = name.removesuffix(_CANDIDATES)
    slug = re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:_SLUG_CHARACTERS]
    if slug != stem:
        slug += f"-{sha256(stem.encode()).hexdigest()[:8]}"
    return slug + name.removeprefix(stem)
