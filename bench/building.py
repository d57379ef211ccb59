"""The data of each engine: built once, kept, and copied for each run, which then records into it.

What is built depends on the code that builds it, so a fingerprint of that code is in the folder's
name. A change of the code builds anew and removes what was built before.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from rich.progress import Progress

import applyrate
from applyrate.store import Store, open_store
from applyrate.usage import ConversationFacts, Recording
from bench.generator import Workload
from bench.organizations import Data
from bench.peers.every import Kind

BATCH = 1000

Item = TypeVar("Item")

_HERE = Path(__file__).parent
_STORE_SOURCES = Path(applyrate.__file__).parent / "store"
_LOADING = "loading.json"
_COPY = "run"


class Loading(NamedTuple):
    """How long recording all built replies took, in batches of 1000."""

    replies: int
    seconds: float


class Cache(NamedTuple):
    """The folder of built data of one size; ``keep`` uses it although the code has changed."""

    folder: Path
    keep: bool

    def store(self, data: Data, progress: Progress) -> tuple[Path, Loading]:
        """The embedded store's folder with what is built in, and how long recording it took."""
        folder = self.build(
            "store", store_sources(), lambda folder: _record_all(folder, data, progress)
        )
        return folder, msgspec.json.decode((folder / _LOADING).read_bytes(), type=Loading)

    def peer(self, kind: Kind, data: Data, progress: Progress) -> Path:
        """The folder of a peer with what is built in."""
        sources = [_HERE / "generator.py", _HERE / "organizations.py", *kind.sources()]
        return self.build(
            kind.folder, sources, lambda folder: _load_peer(kind, folder, data, progress)
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


def copies_beside(copy: Path) -> list[Path]:
    """The copies that are measured beside this one, and itself."""
    return sorted(copy.parent.glob(f"{_COPY}-*"))


def store_sources() -> list[Path]:
    """What the embedded store's data depend on."""
    return [
        _HERE / "generator.py",
        _HERE / "organizations.py",
        *_STORE_SOURCES.rglob("*.py"),
        *_STORE_SOURCES.rglob("*.sql"),
    ]


@contextmanager
def copied(folder: Path, name: str = _COPY) -> Iterator[Path]:
    """A copy of built data to record into, removed in the end."""
    copy = folder.parent / f"{name}-{folder.name}"
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
    for source in sorted(set(sources)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _record_all(folder: Path, data: Data, progress: Progress) -> None:
    with closing(open_store(folder)) as store:
        seconds = record_replies(store, data.workload, data.stop, progress)
        for org, replies in data.small_batches(BATCH):
            store.record([Recording(org, replies)])
        for org, handed_off in data.handed_off():
            mark_handed_off(store, org, handed_off, progress)
    (folder / _LOADING).write_bytes(msgspec.json.encode(Loading(data.stop, seconds)))


def record_replies(
    store: Store, workload: Workload, stop: int, progress: Progress, batch: int = BATCH
) -> float:
    """Record the replies before ``stop``; the seconds that the store took."""
    seconds = 0.0
    task = progress.add_task("Recording into the embedded store", total=stop)
    for replies in workload.batches(0, stop, batch):
        start = time.perf_counter()
        store.record([Recording(workload.org, replies)])
        seconds += time.perf_counter() - start
        progress.advance(task, len(replies))
    progress.remove_task(task)
    return seconds


def mark_handed_off(
    store: Store, org: str, handed_off: Mapping[str, datetime], progress: Progress
) -> None:
    """Set when conversations, by ``session_id``, were handed off."""
    task = progress.add_task("Marking conversations handed off", total=len(handed_off))
    for marked in _portions(list(handed_off.items()), BATCH):
        facts = {session_id: ConversationFacts(handed_off_at=at) for session_id, at in marked}
        store.set_conversations(org, facts)
        progress.advance(task, len(marked))
    progress.remove_task(task)


def _portions(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _load_peer(kind: Kind, folder: Path, data: Data, progress: Progress) -> None:
    task = progress.add_task(f"Loading {kind.name}", total=None)
    with closing(kind.open(folder)) as peer:
        peer.load(data.workload, data.stop)
        for org, replies in data.small_batches(BATCH):
            peer.record(org, replies)
        for org, handed_off in data.handed_off():
            peer.hand_off(org, handed_off)
        peer.settle()
    progress.remove_task(task)
