"""Nodes: services in front of a store on another machine, each a process and a folder."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from applyrate.keys import digest, issue_key
from tests.remote_store import StoreProcess, as_store
from tests.servers import end_process, start_process

if TYPE_CHECKING:
    import subprocess

PATIENCE_SECONDS = 60

_ON_A_REMOTE_STORE = """
from tests.remote_store import RemoteStore
serving.open_store = lambda *_: RemoteStore({port}, {seconds})
"""


class Node:
    """One of them."""

    def __init__(self, data: Path, store: StoreProcess, **settings: Any) -> None:
        self.data = data
        self._store = store
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, *, store_seconds: float = 2) -> None:
        """Start it; a store that does not answer within so long is away."""
        prelude = _ON_A_REMOTE_STORE.format(port=self._store.port, seconds=store_seconds)
        self._process, self.url = start_process(
            self.data, prelude=prelude, metrics="open", **self._settings
        )

    def kill(self) -> None:
        """Kill it, whatever it does."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.end()

    def end(self) -> int:
        """End it; its exit status."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        return end_process(process)

    def client(self, key: str) -> httpx.Client:
        """A client that holds a key; the caller closes it."""
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def metric(self, name: str) -> float:
        """A metric of the node, by its name with its labels."""
        for line in httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise KeyError(name)


@contextmanager
def running_node(data: Path, store: StoreProcess, **settings: Any) -> Iterator[Node]:
    """A node that is started for as long as the block lasts."""
    node = Node(data, store, **settings)
    try:
        node.start()
        yield node
    finally:
        node.end()


def new_key(store: StoreProcess, org: str) -> str:
    """A new full-access key, put into the store."""
    key, kept = issue_key(org, "test", scopes=None, created_at=datetime.now(UTC))
    as_store(store.store).add_key(kept, digest(key))
    return key


def wait_until(is_so: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
