"""The numbered lines of a file, plain or gzip, read as they come."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from io import BufferedIOBase, BufferedReader

from msgspec import Struct

MAX_LINE_BYTES = 64 * 1024 * 1024
"""No line is read beyond this, so that no file takes more memory."""

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(Struct, frozen=True):
    """A line that is not blank; ``number`` counts from 1. ``fault``: why it could not be read."""

    number: int
    raw: bytes
    fault: str | None = None


class LineReader:
    """An open file, read line by line, that knows how far it has come.

    Gzip is told by the first two bytes, whatever the file is called.
    """

    def __init__(self, file: BufferedReader, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._file = file
        self._max_line_bytes = max_line_bytes
        status = os.fstat(file.fileno())
        self.size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
        """The file's size on disk; None for a pipe or a terminal."""

    @property
    def position_bytes(self) -> int:
        """How much of ``size_bytes`` was read."""
        return 0 if self.size_bytes is None else self._file.tell()

    def __iter__(self) -> Iterator[Line]:
        """Every line that is not blank; gzip data that is broken or cut off ends in a fault."""
        zipped = self._file.peek(len(_GZIP)).startswith(_GZIP)
        source: BufferedIOBase = gzip.GzipFile(fileobj=self._file) if zipped else self._file
        number = 0
        try:
            while raw := source.readline(self._max_line_bytes + 1):
                number += 1
                if len(raw) > self._max_line_bytes:
                    _skip_line(source, raw, self._max_line_bytes)
                    fault = f"the line is longer than {self._max_line_bytes:,} bytes"
                    yield Line(number, b"", fault)
                elif raw := raw.removeprefix(_BYTE_ORDER_MARK).strip():
                    yield Line(number, raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Line(number + 1, b"", f"the gzip data ends or breaks here: {error}")


def _skip_line(source: BufferedIOBase, raw: bytes, step_bytes: int) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = source.readline(step_bytes)
