"""Folders: made so that they last, and held by whoever works on them.

Everybody who has a database of a data folder open holds the folder, with any others (flock).
Whoever puts other databases in their place must have it alone. A lock ends with its process,
however that ends; folders inside tell then that the databases are not all in their place.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from applyrate.errors import ApplyrateError, Unavailable

RETRY_AFTER_SECONDS = 1

MOVING = ".moving-aside"
"""Inside a data folder: the databases that were there before, while they are moved here."""

MOVED = ".moved-aside"
"""The same once all of them are there, until others stand in their place."""


class FolderInUse(ApplyrateError):
    """Somebody works on a folder that is wanted alone."""


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, whose names survive a loss of power. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Force the names that a folder holds to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold_file(path: Path) -> int | None:
    """Hold a file alone, made where it is not there, until the descriptor returned is closed.

    None where another process holds it. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _lock(descriptor, fcntl.LOCK_EX):
        return descriptor
    os.close(descriptor)
    return None


def hold(folder: Path) -> int:
    """Hold a folder with others until the descriptor that this returns is closed.

    Raises Unavailable while somebody has it alone, or where that ended too early, and OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    if not (_lock(descriptor, fcntl.LOCK_SH) or _lock_again(descriptor)):
        os.close(descriptor)
        raise Unavailable(
            f"a backup is being restored into {folder.name}; try again soon",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    if any((folder / name).exists() for name in (MOVING, MOVED)):
        os.close(descriptor)
        raise Unavailable(
            f"a restore into {folder.name} was broken off; run it again, with --force",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    return descriptor


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder with others while the block runs. Raises as ``hold`` does."""
    descriptor = hold(folder)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_alone(folder: Path) -> Iterator[None]:
    """Hold a folder that nobody else holds. Raises FolderInUse, OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(descriptor, fcntl.LOCK_EX):
            raise FolderInUse(
                f"{str(folder)!r} is in use; stop the service and the commands that work on it"
            )
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether anybody holds a folder now. Raises OSError."""
    try:
        with hold_alone(folder):
            return False
    except FolderInUse:
        return True


def _lock_again(descriptor: int) -> bool:
    """Hold what somebody perhaps had alone for the moment of ``is_held``."""
    time.sleep(_MOMENT_SECONDS)
    return _lock(descriptor, fcntl.LOCK_SH)


_MOMENT_SECONDS: Final = 0.02


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
