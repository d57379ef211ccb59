"""Backups: a copy of a data folder of one moment, made while it is worked on, and brought back.

A backup is a data folder itself, whose files need nothing beside them. It has its name only once
it is whole, checked and on disk: what is killed before leaves a folder whose name begins with a
dot, which the next try removes.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from applyrate.errors import ApplyrateError, InvalidInput, NotFound
from applyrate.folders import MOVED, MOVING, held, hold_alone, make_folder, sync_folder
from applyrate.intake.inbox import FILE as INBOX
from applyrate.intake.inbox import Inbox
from applyrate.store import FILE as STORE
from applyrate.store import open_store, store_exists
from applyrate.store.sqlite.copying import copy_file, seal

FILES: Final = (INBOX, STORE)
"""In the order in which they are copied.

A trace leaves the inbox after its replies are in the store. So a store that is the younger of the
two knows whatever an inbox is done with, and derives again what it only knows already.
"""

Show: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of how many are copied."""

_RESTORING: Final = ".restoring"
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
_ROOM_TO_SPARE: Final = 1_000_000


class NotIntact(ApplyrateError):
    """A copy has faults; it was not put where it should go."""

    def __init__(self, what: str, faults: Sequence[str]) -> None:
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        super().__init__(f"{what}: {faults[0]}{more}")
        self.faults = faults


class Copied(Struct, frozen=True):
    """What a backup or a restore has brought to its place.

    ``set_aside`` is the folder into which what was there before was moved, where there was any.
    """

    folder: str
    size_bytes: int
    set_aside: str | None = None


def back_up(data: Path, folder: Path, show: Show = lambda _done, _total: None) -> Copied:
    """Copy a data folder, which others may work on, to a new folder, and check the copy.

    Raises NotFound, InvalidInput where the folder is not empty, NotIntact, OSError, sqlite3.Error.
    """
    if not store_exists(data):
        raise NotFound(f"there is no data in {str(data)!r}; name another folder with --data")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{str(folder)!r} is there already; name a folder that is not")
    folder = folder.absolute()
    make_folder(folder.parent)
    with _stage(folder.parent / f".{folder.name}.partial") as staged:
        with held(data):
            size_bytes = _copy(data, staged, show)
        if faults := list(check_files(staged)):
            raise NotIntact("the copy is not intact, and was removed", faults)
        _seal(staged)
        staged.rename(folder)  # in place of an empty one, too
        sync_folder(folder.parent)
    return Copied(str(folder), size_bytes)


def restore(
    source: Path, data: Path, *, force: bool, show: Show = lambda _done, _total: None
) -> Copied:
    """Bring a backup, or any data folder, into a data folder that nobody works on.

    What is there already is moved into a folder inside it with ``force``, and in the way without.
    Raises NotFound, InvalidInput, FolderInUse, NotIntact, OSError, sqlite3.Error. Whatever is
    raised, what was there is there.
    """
    if not store_exists(source):
        raise NotFound(f"there is no backup in {str(source)!r}: it has no {STORE}")
    if data.exists() and source.samefile(data):
        raise InvalidInput(f"{str(source)!r} is the data folder itself; name a backup")
    make_folder(data)
    with hold_alone(data), _stage(data / _RESTORING) as staged:
        if _present(data) and not force:
            raise InvalidInput(
                f"there is data in {str(data)!r}; --force moves it aside, or name another folder"
                " with --data"
            )
        size_bytes = _copy(source, staged, show)
        if faults := list(check_files(staged)):  # which also migrates what an older version made
            raise NotIntact(f"the backup in {str(source)!r} is not intact", faults)
        _seal(staged)
        _move_aside(data)
        for name in FILES:
            (staged / name).replace(data / name)
        sync_folder(data)
        set_aside = _name_moved(data)
    return Copied(str(data), size_bytes, str(set_aside) if set_aside else None)


def check_files(data: Path) -> Iterator[str]:
    """Verify all that a data folder holds; a sentence for each fault."""
    with closing(open_store(data)) as store:
        yield from store.check()
    if (data / INBOX).exists():
        with closing(Inbox(data / INBOX, max_spans=1)) as inbox:
            yield from inbox.check()


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """An empty folder to work in, which is gone afterwards whatever happens, unless renamed."""
    if folder.exists():
        shutil.rmtree(folder)  # somebody was killed at it
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path, show: Show) -> int:
    """Copy every database of a folder; how many bytes they have."""
    sizes = {name: _size_of(source, name) for name in FILES if (source / name).exists()}
    total = sum(sizes.values())
    free = shutil.disk_usage(target).free
    if free < total + _ROOM_TO_SPARE:
        raise InvalidInput(
            f"{str(target.parent)!r} has room for {free / 1e6:,.1f} MB, and the copy needs"
            f" {total / 1e6:,.1f} MB; name a folder on another disk"
        )
    copied = 0
    for name in sizes:
        copied += copy_file(source / name, target / name, partial(_add_up, show, copied, total))
    show(copied, copied)
    return copied


def _add_up(show: Show, before: int, total: int, done: int, _: int) -> None:
    show(before + done, max(total, before + done))


def _size_of(folder: Path, name: str) -> int:
    return sum(
        file.stat().st_size for file in (folder / name, folder / f"{name}-wal") if file.exists()
    )


def _seal(folder: Path) -> None:
    """Make every database of a folder a file by itself, on disk."""
    for name in FILES:
        if not (folder / name).exists():
            Inbox(folder / name, max_spans=1).close()  # the folder was made without the service
        seal(folder / name)
    sync_folder(folder)


def _present(data: Path) -> list[Path]:
    """The databases of a folder and what lies beside them, the databases first."""
    paths = [data / f"{name}{end}" for end in _BESIDE for name in FILES]
    return [path for path in paths if path.exists()]


def _move_aside(data: Path) -> None:
    """Move what a folder holds into one inside it, which is on the same disk.

    A database and its write-ahead log are of no use apart. So nobody can open the folder before
    others are in their place, and where a kill ends this, the next try goes on with the same.
    """
    moving, moved = data / MOVING, data / MOVED
    if moved.exists():
        return
    moving.mkdir(exist_ok=True)
    sync_folder(data)
    for path in _present(data):
        path.replace(moving / path.name)
    sync_folder(moving)
    moving.rename(moved)
    sync_folder(data)


def _name_moved(data: Path) -> Path | None:
    """Name what was moved aside, if anything was, after this moment; the folder can be opened."""
    moved, named = data / MOVED, None
    if any(moved.iterdir()):
        named = data / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        moved.rename(named)
    else:
        moved.rmdir()
    sync_folder(data)
    return named
