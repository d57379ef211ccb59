"""The data of each engine: built once, kept, and copied for each run, which then records into it.

What is built depends on the code that builds it, so a fingerprint of that code is in the folder's
name. A change of the code builds anew and removes what was built before.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from rich.progress import Progress

import applyrate
from applyrate.store import Store, open_store
from applyrate.usage import ConversationFacts, Recording
from bench.generator import ORG, Workload
from bench.peers.postgres.schema import load_bulk
from bench.peers.postgres.server import create_cluster, serve_cluster

BATCH = 1000

Item = TypeVar("Item")

_HERE = Path(__file__).parent
_STORE_SOURCES = Path(applyrate.__file__).parent / "store"
_LOADING = "loading.json"


class Loading(NamedTuple):
    """How long recording all built replies took, in batches of 1000."""

    replies: int
    seconds: float


class Cache(NamedTuple):
    """The folder of built data of one size; ``keep`` uses it although the code has changed."""

    folder: Path
    keep: bool

    def store(self, workload: Workload, stop: int, progress: Progress) -> tuple[Path, Loading]:
        """The embedded store's folder with the replies before ``stop``, and how long they took."""
        folder = self.build(
            "store", store_sources(), lambda folder: _record_all(folder, workload, stop, progress)
        )
        return folder, msgspec.json.decode((folder / _LOADING).read_bytes(), type=Loading)

    def postgres(self, programs: Path, workload: Workload, stop: int, progress: Progress) -> Path:
        """The folder of a PostgreSQL cluster with the replies before ``stop``, loaded in bulk."""
        sources = [_HERE / "generator.py", _HERE / "peers" / "postgres" / "schema.py"]
        return self.build(
            "postgres",
            sources,
            lambda folder: _load_all(programs, folder, workload, stop, progress),
        )

    def build(self, name: str, sources: Iterable[Path], fill: Callable[[Path], None]) -> Path:
        """The folder that ``fill`` makes, made once as long as these sources stay the same."""
        folder = self.folder / f"{name}-{_fingerprint(sources)}"
        built = sorted(self.folder.glob(f"{name}-*"))
        if self.keep and built:
            return built[0]
        if not folder.exists():
            for old in built:
                shutil.rmtree(old)
            unfinished = self.folder / f"unfinished-{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            fill(unfinished)
            unfinished.rename(folder)
        return folder


def store_sources() -> list[Path]:
    """What the embedded store's data depend on."""
    return [
        _HERE / "generator.py",
        *_STORE_SOURCES.rglob("*.py"),
        *_STORE_SOURCES.rglob("*.sql"),
    ]


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """A copy of built data to record into, removed in the end."""
    copy = folder.parent / f"run-{folder.name}"
    shutil.rmtree(copy, ignore_errors=True)
    # With owners and modes, and on the disk, so that writing it does not weigh on the measurement.
    subprocess.run(["cp", "-a", folder, copy], check=True)
    subprocess.run(["sync"], check=True)
    try:
        yield copy
    finally:
        shutil.rmtree(copy)


def _fingerprint(sources: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _record_all(folder: Path, workload: Workload, stop: int, progress: Progress) -> None:
    with closing(open_store(folder)) as store:
        seconds = record_replies(store, workload, stop, progress)
        mark_handed_off(store, workload, stop, progress)
    (folder / _LOADING).write_bytes(msgspec.json.encode(Loading(stop, seconds)))


def record_replies(
    store: Store, workload: Workload, stop: int, progress: Progress, batch: int = BATCH
) -> float:
    """Record the replies before ``stop``; the seconds that the store took."""
    seconds = 0.0
    task = progress.add_task("Recording into the embedded store", total=stop)
    for replies in workload.batches(0, stop, batch):
        start = time.perf_counter()
        store.record([Recording(ORG, replies)])
        seconds += time.perf_counter() - start
        progress.advance(task, len(replies))
    return seconds


def mark_handed_off(store: Store, workload: Workload, stop: int, progress: Progress) -> None:
    """Set when the conversations before ``stop`` were handed off."""
    handed_off = workload.handed_off_before(stop)
    task = progress.add_task("Marking conversations handed off", total=len(handed_off))
    for marked in _portions(list(handed_off.items()), BATCH):
        facts = {
            workload.session_ids[conversation]: ConversationFacts(handed_off_at=at)
            for conversation, at in marked
        }
        store.set_conversations(ORG, facts)
        progress.advance(task, len(marked))


def _portions(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _load_all(
    programs: Path, folder: Path, workload: Workload, stop: int, progress: Progress
) -> None:
    task = progress.add_task("Loading PostgreSQL", total=None)
    create_cluster(programs, folder / "data")
    with serve_cluster(programs, folder / "data") as address:
        load_bulk(address, workload, stop)
    progress.update(task, total=1, completed=1)
