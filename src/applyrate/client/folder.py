"""A backlog in a folder: what was not sent yet outlives the process.

The folder holds segments, files with a reply on each line that are only ever appended to. A line is
with the operating system when ``add`` returns, and so survives the process however it ends; it is
forced to the disk when the service could not be reached. Sent segments are deleted.

Each segment is locked (flock) by the process that writes it for as long as it lives, so that
several processes may share a folder. Whoever starts takes over what no living process holds. A
segment that was sent in part is then sent again from its start, which changes no count.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from applyrate.client.backlog import MAX_BATCH_BYTES, MAX_BATCH_LINES, fitting
from applyrate.folders import make_folder, sync_folder

SEGMENT_BYTES: Final = 4 * 1024 * 1024
_SUFFIX: Final = ".ndjson"


class FolderBacklog:
    """The segments of a folder that this process holds."""

    def __init__(self, folder: Path, max_bytes: int, segments: Iterable["_Segment"] = ()) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segments = list(segments)
        self._live: _Segment | None = None

    @classmethod
    def open(cls, folder: Path, max_bytes: int) -> Self:
        """With whatever nobody holds; the folder is made where it is not there. Raises OSError."""
        make_folder(folder)
        return cls(folder, max_bytes, _take_over(folder))

    @property
    def count(self) -> int:
        """As in Backlog."""
        return sum(segment.count for segment in self._segments)

    def add(self, line: bytes) -> bool:
        """As in Backlog."""
        if sum(segment.size for segment in self._segments) + len(line) >= self._max_bytes:
            return False
        if self._live is None or self._live.size >= SEGMENT_BYTES:
            self._live = _Segment.create(self._folder)
            self._segments.append(self._live)
        self._live.append(line)
        return True

    def first(self, max_bytes: int) -> list[bytes]:
        """As in Backlog; a batch is of one segment."""
        for segment in self._segments:
            if segment.count:
                return fitting(segment.first(), max_bytes)
        return []

    def remove(self, lines: Sequence[bytes]) -> None:
        """As in Backlog."""
        segment = next(segment for segment in self._segments if segment.count)
        segment.remove(lines)
        if segment.count:
            return
        if segment is self._live and segment.size < SEGMENT_BYTES:
            segment.empty()
        else:
            segment.delete()
            self._segments.remove(segment)
            if segment is self._live:
                self._live = None

    def keep(self) -> None:
        """As in Backlog: on the disk, with the names that lead there."""
        for segment in list(self._segments):
            segment.force()
        sync_folder(self._folder)

    def leave(self) -> int:
        """As in Backlog: nothing is lost, and whoever starts next on the folder sends it."""
        for segment in self._segments:
            segment.close() if segment.count else segment.delete()
        self._segments.clear()
        self._live = None
        return 0

    def start_over(self) -> Self:
        """As in Backlog. What the parent holds stays locked by the parent."""
        for segment in self._segments:
            segment.close()
        return type(self)(self._folder, self._max_bytes)


class _Segment:
    """An open, locked file of lines. ``count`` of them, behind the first ``_sent`` bytes, wait."""

    def __init__(self, path: Path, descriptor: int, size: int = 0, count: int = 0) -> None:
        self._path = path
        self._descriptor = descriptor
        self._sent = 0
        self.size = size
        self.count = count

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new one, of a name that sorts behind the older ones."""
        while True:
            path = folder / f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            if _lock(descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # someone who starts took it for abandoned

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """One that was left behind; None where a process holds it, or it is none of ours."""
        try:
            descriptor = os.open(path, _FLAGS)
        except FileNotFoundError:
            return None
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        content = path.read_bytes()
        *lines, torn = content.split(b"\n")
        if max(map(len, lines), default=0) >= MAX_BATCH_BYTES:
            os.close(descriptor)
            return None
        return cls(path, descriptor, len(content) - len(torn), len(lines))

    def append(self, line: bytes) -> None:
        """Write a line, all of it or nothing. Raises OSError."""
        data = line + b"\n"
        if os.write(self._descriptor, data) != len(data):
            os.ftruncate(self._descriptor, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.size += len(data)
        self.count += 1

    def first(self) -> list[bytes]:
        """The first lines that wait, as many as a batch may hold."""
        data = os.pread(self._descriptor, MAX_BATCH_BYTES, self._sent)
        return data.split(b"\n")[:-1][:MAX_BATCH_LINES]

    def remove(self, lines: Sequence[bytes]) -> None:
        """Pass over the first lines."""
        self._sent += sum(len(line) + 1 for line in lines)
        self.count -= len(lines)

    def empty(self) -> None:
        """Begin anew in the same file."""
        os.ftruncate(self._descriptor, 0)
        self._sent = self.size = 0

    def force(self) -> None:
        """Have it on the disk."""
        os.fsync(self._descriptor)

    def delete(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it, and of the lock unless a parent process holds it, too."""
        os.close(self._descriptor)


_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


def _take_over(folder: Path) -> Iterator[_Segment]:
    """The segments that no process holds, oldest first; the empty ones are deleted."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        segment = _Segment.adopt(path)
        if segment and segment.count:
            yield segment
        elif segment:
            segment.delete()


def _lock(descriptor: int) -> bool:
    """Whether the file is this process's now, and still has a name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0
