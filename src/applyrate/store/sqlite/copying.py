"""Copying a file as it is at one moment, while others go on reading and writing it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

_PAGES_AT_A_TIME = 1_000


def copy_file(source: Path, target: Path, show: Callable[[int, int], None]) -> int:
    """Copy a database to a new file, which is on disk when this returns; its size in bytes.

    ``show`` is told how many bytes of how many are copied. The copy is one file without a
    write-ahead log, so that it can also be read where nothing can be written. Raises sqlite3.Error.
    """
    with closing(_open(source, "rw")) as origin, closing(_open(target, "rwc")) as copy:
        (page_bytes,) = origin.execute("PRAGMA page_size").fetchone()
        # While a read transaction is open, the pages that it sees stay as they are: without one,
        # the copy would begin anew whenever somebody commits.
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_schema").fetchone()

        def show_pages(_status: int, left: int, total: int) -> None:
            show((total - left) * page_bytes, total * page_bytes)

        copy.execute("PRAGMA synchronous = OFF")  # it is of no use before all of it is there
        origin.backup(copy, pages=_PAGES_AT_A_TIME, progress=show_pages)
    seal(target)
    return target.stat().st_size


def seal(file: Path) -> None:
    """Make a database that nobody has open a file by itself, and force it to the disk."""
    with closing(_open(file, "rw")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30
    )
