"""The command ``sheet``: blind rating sheets of a gate's stored answers, and their key."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.config import DataKeys, load_gate_file, resolve_gate
from pytest_ftgate.data import DataSet, Example, load_examples
from pytest_ftgate.data.lines import written_at
from pytest_ftgate.errors import ConfigError, Where, shown_path, write_whole
from pytest_ftgate.gate.calls import answers_to_rate
from pytest_ftgate.gate.state import Services
from pytest_ftgate.judges.sheets import FILES, KEY, PAGE, SHEET, Sheet, blinded
from pytest_ftgate.reports.html.page import sheet_page
from pytest_ftgate.reports.recordings import read_notes, read_recordings
from pytest_ftgate.runs.runner import Stores
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import plural


@dataclass(frozen=True)
class Wishes:
    """The arguments of the command; ``state`` and ``recordings`` are folders with answers, ``ask``: call the models."""

    gate: str
    out: Path
    config: Path
    state: Path
    recordings: Path | None
    ask: bool
    seed: str | None
    question: str


def write_sheet(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Write the sheet as CSV and as a page, and the key; refuse a folder that has a sheet already."""
    there = next((wishes.out / name for name in FILES if (wishes.out / name).exists()), None)
    if there is not None:
        cure = "Name another folder, or delete the sheet if nobody has filled it in."
        raise ConfigError("a sheet is already there", where=Where(shown_path(there)), cure=cure)
    sheet = _sheet(wishes)
    try:
        for name, text in ((SHEET, sheet.rows()), (PAGE, sheet_page(sheet, wishes.question)), (KEY, sheet.key())):
            write_whole(wishes.out / name, [text])
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=Where(shown_path(wishes.out))) from error
    equal = sum(pair.equal for pair in sheet.pairs)
    ties = f", {equal:,} of them equal and filled in as ties" if equal else ""
    folder = Path(os.path.relpath(wishes.out, wishes.config.parent)).as_posix()
    say(f"wrote {plural(len(sheet.pairs), 'pair')} of answers{ties}:")
    say(f"  {shown_path(wishes.out / PAGE)}, {shown_path(wishes.out / SHEET)}: for the raters, one of the two")
    say(f"  {shown_path(wishes.out / KEY)}: which model is A and which is B; not for the raters")
    say(f"put what the raters save into {shown_path(wishes.out)}, and judge it:")
    say(f"  metric: {{name: human_preference, path: {folder}}}")


def _sheet(wishes: Wishes) -> Sheet:
    if not wishes.config.exists():
        cure = "Move the keys of a gate in a marker to this file, or name another gate file with --config."
        raise ConfigError("there is no such gate file", where=Where(shown_path(wishes.config)), cure=cure)
    file = load_gate_file(wishes.config)
    config = resolve_gate(file.layers(wishes.gate), file=file, gate=wishes.gate, default_name=wishes.gate)
    path = wishes.state / "predictions.sqlite3"
    kept = read_recordings(wishes.recordings) if wishes.recordings else {}
    notes = read_notes(wishes.recordings) if wishes.recordings else {}
    stores = Stores(Store(path) if path.exists() or wishes.ask else None, Store(None), kept)
    test, answers = answers_to_rate(config, Services(stores, _load, offline=not wishes.ask, committed=notes))
    examples = [
        (example.id, conversation(example), {role: texts[index] for role, texts in answers.items()})
        for index, example in enumerate(test.examples)
    ]
    return blinded(wishes.gate, examples, wishes.seed or secrets.token_hex(8))


def _load(source: DataKeys, origin: str, *, labeled: bool = True) -> DataSet:  # noqa: ARG001  # a file names itself
    with written_at(source.source.where()):
        return load_examples(
            source.path, format=source.format, fields=source.fields, limit=source.limit, labeled=labeled
        )


def conversation(example: Example) -> str:
    """Return an input as a rater reads it: of a conversation every message, after its role."""
    if isinstance(example.input, str):
        return example.input
    return "\n\n".join(f"{message.get('role')}: {message.get('content')}" for message in example.input)
