"""The file: how it is opened, migrated, read from and written to."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

BUSY_SECONDS = 30
"""How long a writer waits for another process that writes."""

_WRITER_CACHE_KIB = 65_536
_READER_CACHE_KIB = 16_384
_CHECKPOINT_PAGES = 8_000
_STORE_MIGRATIONS = resources.files("applyrate.store") / "migrations" / "sqlite"


class Database:
    """One SQLite file in WAL mode: a connection for the writer, one for each thread that reads.

    ``migrations`` is the folder of numbered SQL files that make its tables.
    """

    def __init__(self, path: Path, migrations: Traversable = _STORE_MIGRATIONS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        self._threads = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer = self._connect(_WRITER_CACHE_KIB)
        # Nearly every row of a day fits into a page of this size, and few pages have room to spare.
        self._writer.execute("PRAGMA page_size = 8192")
        self._writer.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit returns once the write-ahead log is on disk.
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        with self.writing() as db:
            _migrate(db, migrations)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: on disk when the block ends, undone when it raises."""
        with self._lock:
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: all that is read inside is of one moment."""
        db: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if db is None:
            db = self._threads.connection = self._connect(_READER_CACHE_KIB)
            db.execute("PRAGMA query_only = ON")
            with self._lock:
                self._readers.append(db)
        db.execute("BEGIN")
        try:
            yield db
        finally:
            db.execute("ROLLBACK")  # there is nothing to keep, and a damaged file cannot commit

    def close(self) -> None:
        """Close every connection; the last one to go folds the write-ahead log into the file."""
        with self._lock:
            for connection in (*self._readers, self._writer):
                connection.close()
            self._readers.clear()

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # transactions are begun and ended above, nowhere else
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        return connection


def _migrate(db: sqlite3.Connection, folder: Traversable) -> None:
    """Apply the numbered files that were not applied yet, in this transaction."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
    )
    done = {number for (number,) in db.execute("SELECT number FROM migration")}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        number = int(file.name.split("_")[0])
        if number in done:
            continue
        for statement in _statements(file.read_text(encoding="utf-8")):
            db.execute(statement)
        db.execute("INSERT INTO migration VALUES (?, ?)", (number, file.name))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
