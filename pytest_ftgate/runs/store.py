"""Store every paid prediction as it arrives, in one SQLite file that many processes share, or in memory."""

import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pytest_ftgate.errors import StoreError, Where, shown_path
from pytest_ftgate.models import Completion, Prediction

SCHEMA_VERSION = 1

_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], _T]

_CHUNK = 800  # older SQLite builds take at most 999 parameters
# SQLite itself waits this long for another process. Some "busy" errors (a switch of the journal mode, a recovery)
# come without any wait, so the whole step is retried after a pause.
_BUSY_S = 5.0
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4)

_APPLICATION = 0x66746731  # in the file's header, by which no file of another program is taken for ours
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS predictions (key TEXT PRIMARY KEY, value TEXT NOT NULL, created_at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)",
    # Write even if nothing changes: this detects a file that only looks writable before a call is paid.
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

# Nobody is told to delete answers that were paid for: a part of them may still be read out of a damaged file.
_MOVE = "Move the file away (its answers are then asked for again)."
_ROOM = "Check the space, the quota and the permissions of its disk (stored answers are kept)."
_WRITABLE = "Make the folder writable, or set another one with ini ftgate_state."
_READ_ONLY = "answers cannot be stored here"
_DAMAGED = "this is not a sound file of stored answers"
# Matched by SQLite's texts, which have not changed for decades: Python has its error codes only since 3.11.
_CAUSES = (
    (("readonly", "unable to open"), _READ_ONLY, _WRITABLE),
    (("disk is full", "disk I/O error"), "there is no room to store a prediction, or the disk fails", _ROOM),
    (("locked",), "another process holds the stored answers", "End that process."),
    (("not a database", "malformed"), _DAMAGED, _MOVE),
    (("",), "answers cannot be stored or read", _ROOM),
)
_FACTS = tuple(field.name for field in dataclasses.fields(Completion))
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Store:
    """Keep predictions by key, and small texts by name for later sessions.

    The file is opened, checked and made on first use; threads take turns. Every method raises
    :class:`~pytest_ftgate.errors.StoreError` if it cannot be used. A read-only file can be read.

    Args:
        path: the file, created with its folder. ``None``: in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.persistent = path is not None
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._refusal: str | None = None

    def get(self, keys: Sequence[str], *, newer_than: float = float("-inf")) -> dict[str, Prediction]:
        """Return the predictions that are stored, by key; those made before ``newer_than`` count as absent."""

        def found(connection: sqlite3.Connection) -> dict[str, Prediction]:
            rows: list[tuple[str, str, float]] = []
            for start in range(0, len(keys), _CHUNK):
                chunk = keys[start : start + _CHUNK]
                select = "SELECT key, value, created_at FROM predictions WHERE created_at >= ? AND key IN"
                rows += connection.execute(f"{select} ({','.join('?' * len(chunk))})", (newer_than, *chunk))
            return {row[0]: self._prediction(*row) for row in rows}

        return self._patiently(found) if keys else {}

    def put(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions, all or none, in place of older ones; with none, check that some could be kept."""
        rows = [(p.key, _value(p), p.created_at) for p in predictions]
        self._write("INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)", rows)

    def drop(self, keys: Sequence[str]) -> None:
        """Delete the predictions of these keys."""
        found = self.get(keys)
        if found:
            self._write("DELETE FROM predictions WHERE key = ?", [(key,) for key in found])

    def note(self, name: str) -> str | None:
        """Return the text of this name."""
        return self.notes(name).get(name)

    def notes(self, prefix: str) -> dict[str, str]:
        """Return all texts whose name begins with the prefix, by name, in the order in which they were kept."""
        select = "SELECT name, text FROM notes WHERE substr(name, 1, length(?)) = ? ORDER BY rowid"
        return self._patiently(lambda connection: dict(connection.execute(select, (prefix, prefix))))

    def keep_note(self, name: str, text: str) -> None:
        """Keep a text, replacing an older one; it is on disk when this returns."""
        self._write("INSERT OR REPLACE INTO notes VALUES (?, ?)", [(name, text)])

    def close(self) -> None:
        """Close the file; the next use opens it again. A store in memory is emptied.

        The last process that closes the file writes all of it into the one file.
        """
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        # Python 3.13 warns about connections that are garbage collected open, and warnings may be errors.
        if self._connection is not None:
            self._connection.close()

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement for all rows, in one exclusive transaction."""

        def write(connection: sqlite3.Connection) -> None:
            if self._refusal is not None:
                raise self._error(_READ_ONLY, self._refusal, _WRITABLE)
            _in_transaction(connection, lambda: connection.executemany(statement, rows))

        self._patiently(write)

    def _patiently(self, work: _Work[_T]) -> _T:
        """Work on the open file, again where another process holds it; errors of SQLite are ours from here on."""
        with self._lock:
            for pause_s in (*_PAUSES_S, None):
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
                except sqlite3.Error as error:
                    if pause_s is None or not _says(error, ("locked",)):
                        what, cure = next((what, cure) for parts, what, cure in _CAUSES if _says(error, parts))
                        raise self._error(what, f"SQLite says: {error}", cure) from error
                    time.sleep(pause_s)
        raise AssertionError

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return self._made(":memory:")
        uri = self._path.absolute().as_uri()
        try:
            _make_folder(self._path.parent)
            return self._made(f"{uri}?mode=rwc")
        except (OSError, sqlite3.OperationalError) as error:
            if isinstance(error, sqlite3.Error) and not _says(error, _CAUSES[0][0]):
                raise
            self._refusal = str(error)
        if not self._path.exists():
            return self._made(":memory:")  # the file cannot be created
        try:
            return self._checked(f"{uri}?mode=ro")
        except sqlite3.OperationalError:
            # No journal can be created beside the file; reading a file that no one can write needs none.
            return self._checked(f"{uri}?mode=ro&immutable=1")

    def _made(self, uri: str) -> sqlite3.Connection:
        connection = self._checked(uri)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _in_transaction(connection, lambda: [connection.execute(one) for one in _SCHEMA])
        except BaseException:
            connection.close()
            raise
        return connection

    def _checked(self, uri: str) -> sqlite3.Connection:
        """Connect to a file, and reject one of another program before anything in it is changed."""
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            asked = "SELECT count(*) FROM sqlite_master", "PRAGMA application_id", "PRAGMA user_version"
            tables, application, version = (connection.execute(one).fetchone()[0] for one in asked)
            if tables and (application != _APPLICATION or version < SCHEMA_VERSION):
                raise self._damaged("it holds tables of something else")
            if version > SCHEMA_VERSION:
                what = "the stored answers were written by a newer pytest-ftgate"
                known = f"schema {version}; this version knows {SCHEMA_VERSION}"
                raise self._error(what, known, "Update pytest-ftgate.")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prediction(self, key: str, value: str, created_at: float) -> Prediction:
        try:
            facts = json.loads(value)
            latency_s, busy_s = facts.pop("measured_s", None), facts.pop("busy_s", None)
            completion = Completion(**facts)
            if not isinstance(completion.text, str):
                raise TypeError("its text is not a string")
            return Prediction(key, completion, latency_s, created_at, busy_s)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._damaged(f"stored answer {key}: {error}") from error

    def _damaged(self, what: str) -> StoreError:
        """Return the error for content that this version cannot have written."""
        return self._error(_DAMAGED, what, _MOVE)

    def _error(self, what: str, evidence: str, cure: str) -> StoreError:
        place = "stored answers in memory" if self._path is None else shown_path(self._path)
        return StoreError(what, where=Where(place), evidence=evidence, cure=cure)


def _value(prediction: Prediction) -> str:
    """Return the answer as JSON, without what is absent."""
    completion = prediction.completion
    assert completion is not None  # missing answers are not stored
    facts = {name: getattr(completion, name) for name in _FACTS}
    facts |= {"measured_s": prediction.latency_s, "busy_s": prediction.busy_s}
    if completion.finish == "stop":
        del facts["finish"]
    return _encode({name: value for name, value in facts.items() if value is not None})


def _make_folder(folder: Path) -> None:
    """Create the folder and keep it out of version control; an existing folder is left alone."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _in_transaction(connection: sqlite3.Connection, work: Callable[[], object]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        work()
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back after a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _says(error: Exception, parts: tuple[str, ...]) -> bool:
    return any(part in str(error) for part in parts)
