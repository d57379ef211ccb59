"""Keeping files in memory, as a machine with memory to spare keeps them by itself.

Virtual machines give memory that holds nothing but files back to their host within seconds, however
much of it is free. An engine with a cache of its own keeps what it read; one that leaves caching to
the system would read its file from the disk again and again.
"""

import time
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 5.0
_CHUNK = bytearray(1 << 20)


class Warmth:
    """Reads all files of some folders through, whenever that was a few seconds ago."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._until = 0.0

    def keep(self) -> None:
        """To be called between two measurements, never within one."""
        if time.monotonic() < self._until:
            return
        for folder in self._folders:
            for file in folder.rglob("*"):
                _read_through(file)
        self._until = time.monotonic() + _SECONDS


def _read_through(file: Path) -> None:
    try:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(_CHUNK):
                pass
    except OSError:  # a folder, a socket, or a file that an engine has removed
        return
