"""What befalls the disk under a running service, and is over again when a block ends."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_BYTES = 8 * 1024 * 1024


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own of a few megabytes; skips the test where none can be mounted."""
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"NOT TESTED, a disk that is full: {error}")
    if done.returncode:
        pytest.skip(f"NOT TESTED, a disk that is full: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is left on a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 512, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    yield
    ballast.unlink()


@contextmanager
def no_growth(process_id: int, folder: Path) -> Iterator[None]:
    """No file of a process may be longer than the longest in the folder is."""
    longest = max(file.stat().st_size for file in folder.iterdir())
    before = resource.prlimit(process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(process_id, resource.RLIMIT_FSIZE, (longest // 2, before[1]))
    yield
    resource.prlimit(process_id, resource.RLIMIT_FSIZE, before)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Nothing in a folder can be written; skips the test where files cannot be made so."""
    files = [str(file) for file in (*folder.iterdir(), folder)]
    if shutil.which("chattr") is None or os.geteuid():
        pytest.skip("NOT TESTED, files that become read-only: only root may make them so")
    try:
        done = subprocess.run(("chattr", "+i", *files), capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NOT TESTED, files that become read-only: {done.stderr.strip()}")
        yield
    finally:
        subprocess.run(("chattr", "-i", *files), check=False, stderr=subprocess.DEVNULL)


@contextmanager
def moved_away(folder: Path) -> Iterator[None]:
    """A folder is not there."""
    away = folder.with_name(f"{folder.name}-away")
    folder.rename(away)
    yield
    away.rename(folder)


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Another, empty folder stands in the place of one, as where a disk is not mounted."""
    with moved_away(folder):
        folder.mkdir()
        yield
        folder.rmdir()


def overwrite_pages(file: Path, pages: range, page_bytes: int = 8_192) -> None:
    """Overwrite pages of a file in its place, as a failing disk would."""
    with file.open("r+b") as content:
        for page in pages:
            content.seek(page * page_bytes)
            content.write(b"\xa5" * page_bytes)
