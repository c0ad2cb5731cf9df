"""Open the SQLite file of a store: shared by processes, checked before use, with readable errors."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pytest_ftgate.errors import StoreError, Where, shown_path

SCHEMA_VERSION = 1

_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], _T]

# SQLite itself waits this long for another process. Some "busy" errors (a switch of the journal mode, a recovery)
# come without any wait, so the whole step is retried after a pause.
_BUSY_S = 5.0
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS predictions (key TEXT PRIMARY KEY, value TEXT NOT NULL, created_at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)",
)

# Nobody is told to delete answers that were paid for: a part of them may still be read out of a damaged file.
_MOVE = "Move the file away (its predictions are then asked for again)."
_ROOM = "Check the space, the quota and the permissions of its disk (stored predictions are kept)."
_WRITABLE = "Make the folder writable, or set another one with ini ftgate_state."
_READ_ONLY = "predictions cannot be stored here"
_DAMAGED = "this is not a sound file of stored predictions"
# Matched by SQLite's texts, which have not changed for decades: Python has its error codes only since 3.11.
_CAUSES = (
    (("readonly", "unable to open"), _READ_ONLY, _WRITABLE),
    (("disk is full", "disk I/O error"), "there is no room to store a prediction, or the disk fails", _ROOM),
    (("locked",), "another process holds the stored predictions", "End that process."),
    (("not a database", "malformed"), _DAMAGED, _MOVE),
)


class Database:
    """Hold one file, or a database in memory (``path=None``). Opened on first use; threads take turns."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._refusal: str | None = None

    def read(self, work: _Work[_T]) -> _T:
        """Run a function that changes nothing. Raises :class:`StoreError`."""
        with self._lock:
            connection = self._connected()
            return self._guarded(lambda: work(connection))

    def write(self, work: _Work[_T]) -> _T:
        """Run a function in one exclusive transaction. Raises :class:`StoreError`."""
        with self._lock:
            connection = self._connected()
            if self._refusal is not None:
                raise self._error(_READ_ONLY, self._refusal, _WRITABLE)
            return self._guarded(lambda: _in_transaction(connection, work))

    def close(self) -> None:
        """Close the file; the next use opens it again. A database in memory is lost."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        # Python 3.13 warns about connections that are garbage collected open, and warnings may be errors.
        if self._connection is not None:
            self._connection.close()

    def damaged(self, what: str) -> StoreError:
        """Return the error for content that this version cannot have written."""
        return self._error(_DAMAGED, what, _MOVE)

    def _guarded(self, step: Callable[[], _T]) -> _T:
        try:
            return _patiently(step)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._open()
            except sqlite3.Error as error:
                raise self._translated(error) from error
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return self._prepared(":memory:")
        try:
            _make_folder(self.path.parent)
            return self._prepared(f"{self.path.absolute().as_uri()}?mode=rwc")
        except OSError as error:
            refusal = str(error)
        except sqlite3.OperationalError as error:
            if not _says(error, _CAUSES[0][0]):
                raise
            refusal = f"SQLite says: {error}"
        self._refusal = refusal
        return self._open_read_only(self.path, refusal)

    def _open_read_only(self, path: Path, refusal: str) -> sqlite3.Connection:
        if not path.exists():
            return self._prepared(":memory:")  # the file does not exist and cannot be created
        if not path.is_file():
            raise self._error(_READ_ONLY, refusal, _WRITABLE)
        uri = path.absolute().as_uri()
        try:
            return self._checked(_connect(f"{uri}?mode=ro"))
        except sqlite3.OperationalError:
            # No journal can be created beside the file; reading a file that no one can write needs none.
            return self._checked(_connect(f"{uri}?mode=ro&immutable=1"))

    def _prepared(self, uri: str) -> sqlite3.Connection:
        connection = self._checked(_connect(uri))
        try:
            _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute("PRAGMA synchronous = NORMAL")
            _patiently(lambda: _in_transaction(connection, _make_tables))
        except BaseException:
            connection.close()
            raise
        return connection

    def _checked(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Reject a file of another program before anything in it is changed."""
        try:
            version = _patiently(lambda: _schema_version(connection))
        except BaseException:
            connection.close()
            raise
        if version in (None, str(SCHEMA_VERSION)):
            return connection
        connection.close()
        if version.isdecimal() and int(version) > SCHEMA_VERSION:
            raise self._error(
                "the stored predictions were written by a newer pytest-ftgate",
                f"schema {version}; this version knows {SCHEMA_VERSION}",
                "Update pytest-ftgate.",
            )
        raise self.damaged(f"schema {version!r}" if version else "it holds tables of something else")

    def _translated(self, error: sqlite3.Error) -> StoreError:
        for parts, what, cure in _CAUSES:
            if _says(error, parts):
                return self._error(what, f"SQLite says: {error}", cure)
        return self._error("predictions cannot be stored or read", f"SQLite says: {error}", _ROOM)

    def _error(self, what: str, evidence: str, cure: str) -> StoreError:
        place = "predictions in memory" if self.path is None else shown_path(self.path)
        return StoreError(what, where=Where(place), evidence=evidence, cure=cure)


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _make_folder(folder: Path) -> None:
    """Create the folder and keep it out of version control; an existing folder is left alone."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _schema_version(connection: sqlite3.Connection) -> str | None:
    """Return the version as written, "" for another program's file, ``None`` for an empty one."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "meta" not in tables:
        return "" if tables else None
    columns = [row[1] for row in connection.execute("PRAGMA table_info(meta)")]
    if columns != ["name", "value"]:
        return ""
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return str(row[0]) if row else ""


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    # Write even if nothing changes: this detects a file that only looks writable before a call is paid.
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))


def _in_transaction(connection: sqlite3.Connection, work: _Work[_T]) -> _T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back after a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _patiently(step: Callable[[], _T]) -> _T:
    for pause in _PAUSES_S:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not _says(error, ("locked",)):
                raise
            time.sleep(pause)
    return step()


def _says(error: Exception, parts: tuple[str, ...]) -> bool:
    return any(part in str(error) for part in parts)
