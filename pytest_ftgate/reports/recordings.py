"""Read and write recordings: a folder with one JSONL file per gate and model, which can be committed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_ftgate.data import input_sha256, strict_json
from pytest_ftgate.errors import DataError, Where, shown_path, write_whole
from pytest_ftgate.models import key_of, protocol, recorded
from pytest_ftgate.runs.jobs import Run

_SLUG_CHARACTERS = 80
_GREEN = ".green.json"
_CANDIDATES = ".candidate"  # ends the names of what only serves candidates


def read_recordings(folder: Path) -> dict[str, recorded.Recording]:
    """Return what all JSONL files below ``folder`` record, by the keys of the calls; rows without a key are skipped.

    What only files named ``*.candidate.jsonl`` record serves candidates alone: a change that is
    judged by the rules of the main branch may edit these files, and no others.

    Raise :class:`DataError` if the folder is missing, a row is not a prediction, or one key has two
    different answers.
    """
    if not folder.is_dir():
        cure = "Create it with --ftgate-report=recordings:FOLDER, or remove ftgate_recordings from the ini file."
        raise DataError(
            "folder of recordings not found", where=Where(shown_path(folder)), cure=cure
        )
    found: dict[str, recorded.Recording] = {}
    theirs = {path: path.stem.endswith(_CANDIDATES) for path in sorted(folder.rglob("*.jsonl"))}
    for path in sorted(theirs, key=theirs.__getitem__):
        for row in recorded.read_rows(path).rows.values():
            one = row.prediction
            if not one.key or one.completion is None:
                continue
            where = Where(shown_path(path), row.line)
            kept = found.setdefault(one.key, recorded.Recording(one, where, set(), theirs[path]))
            kept.inputs.update([row.input_sha256] if row.input_sha256 is not None else ())
            first = kept.prediction.completion
            if first is not None and first.text != one.completion.text:
                what = "another recording has a different answer under the same key"
                cure = "Delete the older of the two files and record it again."
                raise DataError(what, where=replace(where, key="key"), cure=cure)
    return found


def read_notes(folder: Path) -> dict[str, str]:
    """Return the notes on green verdicts below ``folder``, by the names of the notes.

    Raise :class:`DataError` if a file is not a JSON object of texts.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob(f"*{_GREEN}")):
        try:
            notes = strict_json.parse_json(path.read_text(encoding="utf-8"))
            if not isinstance(notes, dict) or not all(
                isinstance(text, str) for text in notes.values()
            ):
                raise ValueError("expected a JSON object of texts")
        except (OSError, ValueError) as error:
            what = "not a file of notes on green verdicts"
            raise DataError(
                what, where=Where(shown_path(path)), evidence=str(error), cure="Record it again."
            ) from None
        found |= notes
    return found


def missing_answers(runs: Mapping[str, Run]) -> str | None:
    """Return why the recordings of a gate are not written: they would replace files that hold more answers."""
    missing = {role: len(run.unanswered) for role, run in runs.items() if run.unanswered}
    said = (
        f"{n:,} of {len(runs[role].all_predictions):,} answers of {role} are missing"
        for role, n in missing.items()
    )
    return "; ".join(said) or None


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
    for repeat, predictions in enumerate(run.predictions):
        for example, prediction in zip(run.test_set.examples, predictions, strict=True):
            completion = prediction.completion
            if completion is None:
                continue
            usage = {name: getattr(completion, name) for name in protocol.COUNTS}
            row = {
                "id": prediction.id,
                # as it came
                "output": completion.text if completion.original is None else completion.original,
                "reasoning": completion.reasoning if completion.original is None else None,
                "finish": completion.finish if completion.finish != "stop" else None,
                "usage": {name: count for name, count in usage.items() if count is not None}
                or None,
                "latency_s": prediction.latency_s,
                "busy_s": prediction.busy_s,
                "input_sha256": input_sha256(example.input),
                "key": prediction.key
                if run.model.verified is None
                else key_of(run.model, example, repeat),
                "created_at": prediction.created_at,
                "repeat": repeat or None,
            }
            yield {name: value for name, value in row.items() if value is not None}


def _slug(name: str) -> str:
    """Return a file name that is valid on every system; a changed name gets a hash, so that it stays unique."""
    name, end = name.removesuffix(_CANDIDATES), _CANDIDATES if name.endswith(_CANDIDATES) else ""
    words = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:_SLUG_CHARACTERS]
    return (words if words == name else f"{words}-{sha256(name.encode()).hexdigest()[:8]}") + end
