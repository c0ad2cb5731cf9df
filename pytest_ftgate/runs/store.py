"""Store every paid prediction as it arrives: in an SQLite file for all processes, or in memory."""

import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pytest_ftgate import clock
from pytest_ftgate.errors import StoreError, Where, shown_path
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.text import DAY_S

SCHEMA_VERSION = 3

_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], _T]

# SQLite itself waits this long for another process. Some "busy" errors (a switch of the journal
# mode, a recovery) come without any wait, so the whole step is retried after a pause.
_BUSY_S = 0.1
_PAUSE_S = 0.05

PATIENCE_S = 30.0
"""Seconds for which a step is retried while another process holds the file."""

CLAIM_S = 20.0
"""Seconds after which a claim ends that is not renewed: its process was killed, or hangs."""

_ROOM_TESTED = 100_000  # bytes that are written, and deleted, to see whether there is room

# in the file's header, by which no file of another program is taken for ours
_APPLICATION = 0x66746731
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS predictions
    (key TEXT PRIMARY KEY, value TEXT NOT NULL, created_at REAL NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS claims
    (key TEXT PRIMARY KEY, owner TEXT NOT NULL, renewed_at REAL NOT NULL) WITHOUT ROWID""",
    # answers that have served: only sessions that began before may still use them
    "CREATE TABLE IF NOT EXISTS retired (key TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)",
    # Write even if nothing changes: this detects a file that only looks writable before a call is
    # paid.
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

# Nobody is told to delete answers that were paid for: a part of them may still be read out of a
# damaged file.
_CURE = (
    "Check the space, the quota and the permissions of its disk, move the file away (its answers "
    "are then asked for again), or set another folder with ini ftgate_state."
)

_FACTS = tuple(field.name for field in dataclasses.fields(Completion))


class Store:
    """Keep predictions by key, and small texts by name for later sessions.

    The file is opened, checked and made on first use; threads take turns. Every method raises
    :class:`~pytest_ftgate.errors.StoreError` if it cannot be used.

    Args:
        path: the file, created with its folder. ``None``: in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.persistent = path is not None
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(
        self,
        keys: Sequence[str],
        *,
        newer_than: float = float("-inf"),
        began: float = float("inf"),
    ) -> dict[str, Prediction]:
        """Return the stored predictions by key, but those made before ``newer_than``.

        Of retired ones only those come that were retired after the session ``began``.
        """
        if not keys:
            return {}

        select = (
            "SELECT key, value, created_at FROM predictions "
            "WHERE created_at >= ? AND key IN (SELECT value FROM json_each(?)) "
            "AND key NOT IN (SELECT key FROM retired WHERE at <= ?)"
        )
        parameters = newer_than, json.dumps(keys), began
        rows = self._patiently(lambda connection: list(connection.execute(select, parameters)))
        return {row[0]: self._prediction(*row) for row in rows}

    def put(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions, all or none, in place of older ones. What was claimed is free again."""
        rows = []
        for prediction in predictions:
            rows.append((prediction.key, _encoded(prediction), prediction.created_at))
        keys = [row[:1] for row in rows]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)", rows)
            connection.executemany("DELETE FROM claims WHERE key = ?", keys)
            connection.executemany("DELETE FROM retired WHERE key = ?", keys)

        self._write(write)

    def check_room(self) -> None:
        """Raise :class:`StoreError` if no answer could be stored, before one is paid for."""
        self.keep_note("room", "x" * _ROOM_TESTED)
        self._write(lambda connection: connection.execute("DELETE FROM notes WHERE name = 'room'"))

    def claim(self, keys: Sequence[str], owner: str) -> set[str]:
        """Claim questions, which no other owner then asks, and return the keys that are claimed.

        All claims of the owner are renewed. A claim lasts until the answer is put, its owner
        releases all claims, or has not renewed them for ``CLAIM_S`` seconds.
        """
        # All processes of a machine share this clock, and nobody sets it. After a restart it begins
        # anew, so that a claim may seem to come from the future.
        now = clock.monotonic()
        expired = "DELETE FROM claims WHERE renewed_at NOT BETWEEN ? AND ?"
        # The owner claims its own name, too: it is asking.
        rows = [(key, owner, now) for key in (*keys, owner)]

        def write(connection: sqlite3.Connection) -> set[str]:
            connection.execute(expired, (now - CLAIM_S, now + CLAIM_S))
            connection.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", rows)
            connection.execute("UPDATE claims SET renewed_at = ? WHERE owner = ?", (now, owner))
            claims = connection.execute("SELECT key FROM claims WHERE owner = ?", (owner,))
            return {key for (key,) in claims}

        return self._write(write).intersection(keys)

    def release(self, owner: str) -> None:
        """Give up all claims of an owner."""
        delete = "DELETE FROM claims WHERE owner = ?"
        self._write(lambda connection: connection.execute(delete, (owner,)))

    def retire(self, keys: Sequence[str]) -> None:
        """Note that these predictions have served: no session that begins from now on gets them.

        Those that run now still do. What was retired a day ago is deleted.
        """
        now = clock.wall()
        # the first time counts: a later session must not give them a longer life
        insert = (
            "INSERT OR IGNORE INTO retired "
            "SELECT key, ? FROM predictions WHERE key IN (SELECT value FROM json_each(?))"
        )
        delete = "DELETE FROM predictions WHERE key IN (SELECT key FROM retired WHERE at < ?)"
        day_ago = (now - DAY_S,)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(insert, (now, json.dumps(keys)))
            connection.execute(delete, day_ago)
            connection.execute("DELETE FROM retired WHERE at < ?", day_ago)

        if keys:
            self._write(write)

    def note(self, name: str) -> str | None:
        """Return the text of this name."""
        select = "SELECT text FROM notes WHERE name = ?"
        row = self._patiently(lambda connection: connection.execute(select, (name,)).fetchone())
        return None if row is None else str(row[0])

    def keep_note(self, name: str, text: str) -> None:
        """Keep a text, replacing an older one; it is on disk when this returns."""
        insert = "INSERT OR REPLACE INTO notes VALUES (?, ?)"
        self._write(lambda connection: connection.execute(insert, (name, text)))

    def close(self) -> None:
        """Close the file; the next use opens it again. A store in memory is emptied.

        The last process that closes the file writes all of it into the one file.
        """
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        # Python 3.13 warns about connections that are garbage collected open, and warnings may be
        # errors.
        if self._connection is not None:
            self._connection.close()

    def _write(self, work: _Work[_T]) -> _T:
        """Do work that changes the file, in one exclusive transaction."""
        return self._patiently(lambda connection: _in_transaction(connection, work))

    def _patiently(self, work: _Work[_T]) -> _T:
        """Work on the open file, again for ``PATIENCE_S`` seconds while another process holds it.

        Raises:
            StoreError: SQLite cannot do it.
        """
        ends_at = clock.monotonic() + PATIENCE_S
        with self._lock:
            while True:
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
                except (sqlite3.Error, OSError) as error:
                    if "locked" not in str(error) or clock.monotonic() >= ends_at:
                        raise self._error(str(error)) from error
                time.sleep(_PAUSE_S)

    def _open(self) -> sqlite3.Connection:
        """Connect to the file, and create the tables that it does not have yet."""
        if self._path is not None:
            _make_folder(self._path.parent)
        connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # before anything is changed: the file may be another program's
            has_tables = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if has_tables and (application, version) != (_APPLICATION, SCHEMA_VERSION):
                raise self._error("it holds tables of another program or version")

            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _in_transaction(connection, _make_tables)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prediction(self, key: str, value: str, created_at: float) -> Prediction:
        try:
            facts = json.loads(value)
            latency_s = facts.pop("measured_s", None)
            busy_s = facts.pop("busy_s", None)
            return Prediction(
                key,
                completion=Completion(**facts),
                latency_s=latency_s,
                created_at=created_at,
                busy_s=busy_s,
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise self._error(f"stored answer {key}: {error}") from error

    def _error(self, evidence: str) -> StoreError:
        place = "stored answers in memory" if self._path is None else shown_path(self._path)
        problem = "answers cannot be stored here, or read"
        return StoreError(problem, where=Where(place), evidence=evidence, cure=_CURE)


def _encoded(prediction: Prediction) -> str:
    """Return the answer as JSON, without what is absent.

    Raises:
        TypeError, ValueError: JSON cannot hold one of its facts.
    """
    facts = {name: getattr(prediction.completion, name) for name in _FACTS}
    facts |= {"measured_s": prediction.latency_s, "busy_s": prediction.busy_s}
    return json.dumps({name: value for name, value in facts.items() if value is not None})


def _make_folder(folder: Path) -> None:
    """Create the folder, and keep an empty one out of version control.

    A process that is killed in between leaves an empty folder, which the next one completes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)


def _in_transaction(connection: sqlite3.Connection, work: _Work[_T]) -> _T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        value = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back after a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return value
