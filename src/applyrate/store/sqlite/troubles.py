"""Troubles: what keeps SQLite from a file, as an answer to whoever asked and as a line in the log.

The log tells of a trouble when it begins, once a minute while it lasts, and when it is over.
"""

import os
import sqlite3
import threading
import time
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from applyrate.errors import Unavailable
from applyrate.observability.events import Event
from applyrate.observability.logs import tell

TELL_EVERY_SECONDS = 60

_BUSY_RETRY_SECONDS = 1
_DISK_RETRY_SECONDS = 5
_DAMAGE_RETRY_SECONDS = 60
_WAYS_OUT_OF_DAMAGE = "`applyrate check` names the places, `applyrate restore` brings a backup back"
_CALM_SECONDS = 2
"""A success so soon after a failure does not yet end the trouble: some still get through."""


class Doing(StrEnum):
    """What is done with a file."""

    READ = "read"
    WRITE = "written"


class Troubles:
    """The troubles with one file. Every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._lasting: dict[Doing, _Trouble] = {}

    def explain(self, doing: Doing, error: sqlite3.Error) -> Unavailable | None:
        """What an error of SQLite means; None where the file is not to blame for it."""
        cause = _cause_of(error, self._path)
        return cause and self.tell(doing, *cause)

    def tell(self, doing: Doing, reason: str, retry_after_seconds: int) -> Unavailable:
        """The answer to whoever cannot be served for that reason, which is also logged."""
        now = time.monotonic()
        with self._lock:
            trouble = self._lasting.setdefault(doing, _Trouble(now))
            trouble.failed_at = now
            trouble.count += 1
            count = trouble.count
            is_new = now >= trouble.silent_until
            if is_new:
                trouble.silent_until = now + TELL_EVERY_SECONDS
        if is_new:
            tell(
                Event.FILE_UNUSABLE, file=self._path.name, doing=doing, problem=reason, count=count
            )
        again = "send it again" if doing is Doing.WRITE else "try again"
        return Unavailable(
            f"{self._path.name} cannot be {doing} now: {reason}; {again} later",
            retry_after_seconds=retry_after_seconds,
        )

    def end(self, doing: Doing) -> None:
        """It was done: whatever kept it from being done is over."""
        if doing not in self._lasting:
            return
        now = time.monotonic()
        with self._lock:
            trouble = self._lasting.get(doing)
            if trouble is None or now < trouble.failed_at + _CALM_SECONDS:
                return
            del self._lasting[doing]
        seconds = round(now - trouble.began_at)
        tell(
            Event.FILE_USABLE,
            file=self._path.name,
            doing=doing,
            seconds=seconds,
            count=trouble.count,
        )


class _Trouble(Struct):
    began_at: float
    failed_at: float = 0
    silent_until: float = 0
    count: int = 0


def _cause_of(error: sqlite3.Error, path: Path) -> tuple[str, int] | None:
    """Why the file cannot be used, and after how many seconds it may be tried again."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    said = f"{error}, {getattr(error, 'sqlite_errorname', '')}"
    match code & 0xFF:  # the primary code; the others tell where it happened
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another process is writing to it ({said})", _BUSY_RETRY_SECONDS
        case sqlite3.SQLITE_FULL:
            return f"its disk is full ({said})", _DISK_RETRY_SECONDS
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return f"it is damaged ({said}); {_WAYS_OUT_OF_DAMAGE}", _DAMAGE_RETRY_SECONDS
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return f"it is read-only ({said})", _DISK_RETRY_SECONDS
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOLFS:
            return f"{_disk_state(path)} ({said})", _DISK_RETRY_SECONDS
    return None


def _disk_state(path: Path) -> str:
    """What is wrong with a disk that fails, as far as it tells."""
    try:
        disk = os.statvfs(path.parent)
    except OSError as error:
        return f"its folder cannot be reached: {error.strerror}"
    if disk.f_flag & os.ST_RDONLY:
        return "its disk is read-only"
    return "its disk is full" if not disk.f_bavail else "its disk does not take it"
