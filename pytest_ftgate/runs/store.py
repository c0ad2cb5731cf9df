"""Store every paid prediction as it arrives."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.models import Completion, Prediction

if TYPE_CHECKING:
    import sqlite3

    from pytest_ftgate.runs.database import Database

_CHUNK = 800  # older SQLite builds take at most 999 parameters
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Store:
    """Keep predictions by key, in one SQLite file that many processes share, or in memory.

    Every method raises :class:`~pytest_ftgate.errors.StoreError` if the file cannot be used. A read-only file can be
    read.

    Args:
        path: the file, created on first use with its folder. ``None``: in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def persistent(self) -> bool:
        """Return whether the predictions outlive the process."""
        return self._path is not None

    @cached_property
    def _database(self) -> Database:
        """Return the database; SQLite is imported on first use."""
        from pytest_ftgate.runs.database import Database

        return Database(self._path)

    def get(self, keys: Sequence[str], *, newer_than: float | None = None) -> dict[str, Prediction]:
        """Return the predictions that are stored, by key; those made before ``newer_than`` count as absent."""
        if not keys:
            return {}
        return self._database.read(lambda connection: self._found(connection, keys, newer_than))

    def put(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions, all or none, in place of older ones."""
        rows = [(p.key, _value(p), p.created_at) for p in predictions]
        self._execute("INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)", rows)

    def drop(self, keys: Sequence[str]) -> None:
        """Delete the predictions of these keys."""
        found = self.get(keys)
        if found:
            self._execute("DELETE FROM predictions WHERE key = ?", [(key,) for key in found])

    @property
    def notes(self) -> StoreNotes:
        """Return the small texts stored beside the predictions."""
        return StoreNotes(self._database)

    def close(self) -> None:
        """Close the file; the next use opens it again. A store in memory is emptied."""
        if "_database" in self.__dict__:
            self._database.close()

    def _execute(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._database.write(lambda connection: connection.executemany(statement, rows))

    def _found(
        self, connection: sqlite3.Connection, keys: Sequence[str], newer_than: float | None
    ) -> dict[str, Prediction]:
        rows = _select(
            connection,
            "SELECT key, value, created_at FROM predictions WHERE created_at >= ? AND key IN",
            keys,
            float("-inf") if newer_than is None else newer_than,
        )
        return {key: self._prediction(key, value, created_at) for key, value, created_at in rows}

    def _prediction(self, key: str, value: str, created_at: float) -> Prediction:
        try:
            facts = json.loads(value)
            latency_s, busy_s = facts.pop("measured_s", None), facts.pop("busy_s", None)
            completion = Completion(**facts)
            if not isinstance(completion.text, str):
                raise TypeError("its text is not a string")
            return Prediction(key, completion, latency_s, created_at, busy_s)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._database.damaged(f"prediction {key}: {error}") from error


class StoreNotes:
    """Keep small texts by name for later sessions. Every method raises :class:`~pytest_ftgate.errors.StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str | None:
        """Return the text of this name."""
        return self._read("SELECT name, text FROM notes WHERE name = ?", name).get(name)

    def put(self, name: str, text: str) -> None:
        """Keep a text, replacing an older one; it is on disk when this returns."""
        self._database.write(lambda c: c.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text)))

    def named(self, prefix: str) -> dict[str, str]:
        """Return all texts whose name begins with the prefix, by name."""
        return self._read("SELECT name, text FROM notes WHERE substr(name, 1, length(?)) = ?", prefix, prefix)

    def _read(self, statement: str, *values: str) -> dict[str, str]:
        from sqlite3 import OperationalError

        def found(connection: sqlite3.Connection) -> dict[str, str]:
            try:
                return dict(connection.execute(statement, values))
            except OperationalError as error:
                if "no such table" in str(error):  # a file of an earlier version that cannot be written
                    return {}
                raise

        return self._database.read(found)


def _value(prediction: Prediction) -> str:
    """Return the answer as JSON, without what is absent."""
    completion = prediction.completion
    assert completion is not None  # missing answers are not stored
    facts = {field.name: getattr(completion, field.name) for field in dataclasses.fields(completion)}
    facts["finish"] = None if completion.finish == "stop" else completion.finish
    facts |= {"measured_s": prediction.latency_s, "busy_s": prediction.busy_s}
    return _encode({name: value for name, value in facts.items() if value is not None})


def _select(connection: sqlite3.Connection, statement: str, keys: Sequence[str], *first: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        rows += connection.execute(f"{statement} ({marks})", (*first, *chunk))
    return rows
