"""The file: how it is opened, read from and written to, and what if it is not there any more."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from applyrate.folders import hold, make_folder
from applyrate.store.sqlite.migrations import migrate
from applyrate.store.sqlite.troubles import Doing, Troubles

BUSY_SECONDS = 30
"""How long a writer waits for another process that writes."""

SCRUB_WAIT_MS = 20
"""How long the emptying of the write-ahead log waits for readers, while writers wait for it."""

STORE_MIGRATIONS = resources.files("applyrate.store") / "migrations" / "sqlite"

_WRITER_CACHE_KIB = 65_536
_READER_CACHE_KIB = 8_192
_CHECKPOINT_PAGES = 8_000
_GONE_RETRY_SECONDS = 5
_REPLACED_RETRY_SECONDS = 1


class Database:
    """One SQLite file in WAL mode: a connection for the writer, one for each thread that reads.

    ``migrations`` is the folder of numbered SQL files that make its tables. What keeps the file
    from being read or written is raised as Unavailable. A file that was put in the place of the one
    that is open, say a backup, is opened by whoever needs it next; ``reopened`` is called then.
    """

    def __init__(
        self,
        path: Path,
        migrations: Traversable = STORE_MIGRATIONS,
        *,
        reopened: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self._migrations = migrations
        self._reopened = reopened
        self._troubles = Troubles(path)
        self._lock = threading.RLock()
        self._threads = threading.local()
        self._readers: list[sqlite3.Connection] = []
        make_folder(path.parent)
        self._open_file = self._open()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: on disk when the block ends, undone when it raises.

        Raises Unavailable where the file cannot be written now.
        """
        try:
            with self._lock:
                self._follow(Doing.WRITE)
                with _transaction(self._open_file.writer) as db:
                    yield db
                self._require_same()
        except sqlite3.Error as error:
            self._explain(Doing.WRITE, error)
            raise
        self._troubles.end(Doing.WRITE)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: all that is read inside is of one moment.

        Raises Unavailable where the file cannot be read now.
        """
        try:
            self._follow(Doing.READ)
            db = self._reader()
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:  # there is nothing to keep, and a damaged file cannot commit
                    db.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._explain(Doing.READ, error)
            raise
        self._troubles.end(Doing.READ)

    def moment(self) -> "Moment":
        """What stays equal in this thread until something is committed, by whichever process.

        Raises Unavailable where the file cannot be read now.
        """
        try:
            self._follow(Doing.READ)
            db = self._reader()
            (commits,) = db.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            self._explain(Doing.READ, error)
            raise
        self._troubles.end(Doing.READ)
        return Moment(db, commits)

    def probe(self) -> None:
        """Write to the file as any change does, and change nothing; on disk when it returns.

        Raises Unavailable where the file cannot be written to.
        """
        with self.writing() as db:
            # A row that gets the value it has is not written; this number, which nothing reads, is.
            db.execute("PRAGMA user_version = 0")

    def foreign_migrations(self) -> list[str]:
        """The names of migrations that the file has and this version does not, or the reverse."""
        with self.reading() as db:
            applied = {name for (name,) in db.execute("SELECT name FROM migration")}
        return sorted(
            applied.symmetric_difference(file.name for file in self._migrations.iterdir())
        )

    def file_sizes(self) -> dict[str, int]:
        """The bytes of the ``database`` and of its write-ahead log, ``wal``."""
        files = {"database": self._path, "wal": self._wal}
        return {kind: path.stat().st_size for kind, path in files.items() if path.exists()}

    def fold(self) -> None:
        """Fold the write-ahead log into the file as far as it can be, beside whoever writes.

        A writer does it with the commit that makes the log long; then it has little left to do.
        Raises Unavailable where the file cannot be written now.
        """
        try:
            self._follow(Doing.WRITE)
            with closing(self._connect(_READER_CACHE_KIB)) as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            self._explain(Doing.WRITE, error)
            raise

    def scrub(self) -> bool:
        """Fold the write-ahead log into the file and empty it, so that it shows nothing erased.

        False where somebody still reads a moment before: ask again. Writers wait for no more than
        SCRUB_WAIT_MS, and for what is left to fold once most of it is. Raises Unavailable where the
        file cannot be written now.
        """
        try:
            self._follow(Doing.WRITE)
            with closing(self._connect(_READER_CACHE_KIB)) as db:
                db.execute(f"PRAGMA busy_timeout = {SCRUB_WAIT_MS}")
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others write
                try:
                    (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                except sqlite3.OperationalError:
                    return False
        except sqlite3.Error as error:
            self._explain(Doing.WRITE, error)
            raise
        return not busy

    def close(self) -> None:
        """Close every connection; the last one to go folds the write-ahead log into the file."""
        with self._lock:
            for connection in self._readers:
                connection.close()
            self._readers.clear()
            self._open_file.close()

    def _explain(self, doing: Doing, error: sqlite3.Error) -> None:
        """Raise Unavailable where the file is to blame for an error."""
        if unavailable := self._troubles.explain(doing, error):
            raise unavailable from error

    def _follow(self, doing: Doing) -> None:
        """See that what is open is the file of that name, and open another one that now is.

        Raises Unavailable where there is none; none is made then, since its data may come back.
        """
        if _identify(self._path, self._wal) == self._open_file.identity:
            return
        with self._lock:
            before = self._open_file
            found = _identify(self._path, self._wal)
            if found == before.identity:
                return
            if found.file is None:
                reason = "it is gone; bring it back, or restore a backup"
                raise self._troubles.tell(doing, reason, _GONE_RETRY_SECONDS)
            if found.file == before.identity.file:
                reason = (
                    f"{self._wal.name} was removed while it was in use; stop the service and start"
                    " it again, which keeps what is recorded"
                )
                raise self._troubles.tell(doing, reason, _GONE_RETRY_SECONDS)
            try:
                self._open_file = self._open()
            except OSError as error:
                reason = f"its folder cannot be opened: {error.strerror}"
                raise self._troubles.tell(doing, reason, _GONE_RETRY_SECONDS) from error
            before.close()
            self._reopened()

    def _require_same(self) -> None:
        """Raise Unavailable unless what was written is in the file of that name.

        SQLite writes on into one that was removed, where nobody would ever find it.
        """
        if _identify(self._path, self._wal) != self._open_file.identity:
            self._follow(Doing.WRITE)
            reason = "another file was put in its place"
            raise self._troubles.tell(Doing.WRITE, reason, _REPLACED_RETRY_SECONDS)

    def _open(self) -> "_OpenFile":
        held = hold(self._path.parent)
        writer = None
        try:
            writer = self._connect(_WRITER_CACHE_KIB)
            # Nearly every row of a day fits into a page of this size, and few have room to spare.
            writer.execute("PRAGMA page_size = 8192")
            writer.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit returns once the write-ahead log is on disk.
            writer.execute("PRAGMA synchronous = FULL")
            # What is deleted or replaced is overwritten, so that no file shows an erased text.
            writer.execute("PRAGMA secure_delete = ON")
            writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            with _transaction(writer) as db:
                migrate(db, self._migrations, self._path.name)
            return _OpenFile(writer, held, _identify(self._path, self._wal))
        except BaseException:
            if writer:
                writer.close()
            os.close(held)
            raise

    def _reader(self) -> sqlite3.Connection:
        """This thread's connection to the file that is open."""
        open_file, db = getattr(self._threads, "connection", (None, None))
        if db is None or open_file is not self._open_file:
            open_file, before = self._open_file, db
            db = self._connect(_READER_CACHE_KIB)
            db.execute("PRAGMA query_only = ON")
            self._threads.connection = open_file, db
            with self._lock:
                self._readers.append(db)
                if before:
                    self._readers.remove(before)
                    before.close()
        return db

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # transactions are begun and ended here, nowhere else
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        return connection


class Moment(NamedTuple):
    """A moment of a file: how many commits a connection has seen that others made.

    The numbers of two connections have nothing to do with one another.
    """

    connection: sqlite3.Connection
    commits: int


class _Identity(NamedTuple):
    """Which files stand under the two names; the device and the number of each, where it is."""

    file: tuple[int, int] | None
    wal: tuple[int, int] | None


class _OpenFile:
    """The writer's connection, the folder's lock, and which files they belong to."""

    def __init__(self, writer: sqlite3.Connection, held: int, identity: _Identity) -> None:
        self.writer = writer
        self.identity = identity
        self._held: int | None = held

    def close(self) -> None:
        self.writer.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _identify(path: Path, wal: Path) -> _Identity:
    return _Identity(_number(path), _number(wal))


def _number(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (a third of what Path.stat takes, twice a question)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
