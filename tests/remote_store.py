"""A store on another machine, as far as a node can tell: a process of its own, asked over a socket.

``python -m tests.remote_store FOLDER PORT`` serves the embedded store in a folder. Tests kill it,
stop it, start it again on its port, and tell it how to fail (``Fault``). ``RemoteStore`` is what a
node has of it: every question is a call, and whatever keeps it from being answered is Unavailable.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Final, cast

from applyrate.errors import Unavailable
from applyrate.store import Store, open_store
from applyrate.usage import ConversationFacts, Recording

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 30
POISON: Final = "poison"
"""The store refuses whatever holds a reply or a conversation whose id begins so."""


class Fault(StrEnum):
    """How the next insert fails."""

    BEFORE = "the connection drops before anything of it is stored"
    MIDDLE = "the connection drops when a half of it is stored"
    AFTER = "it is stored, and its confirmation is lost"


class RemoteStore:
    """The store at a port, from any thread. It answers within ``seconds``, or is away."""

    is_remote = True

    def __init__(self, port: int, seconds: float = 2) -> None:
        self._port = port
        self._seconds = seconds
        self._threads = threading.local()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *parts, **more: self._call(name, parts, more)

    def moment(self) -> None:
        """It is another process that knows it."""
        return

    def close(self) -> None:
        """Each thread's connection ends with the thread."""

    def _call(self, name: str, parts: tuple[object, ...], more: dict[str, object]) -> object:
        try:
            connection = self._connection()
            connection.send((name, parts, more))
            if not connection.poll(self._seconds):
                raise TimeoutError(f"no answer within {self._seconds} s")
            problem, answer = connection.recv()
        except (OSError, EOFError) as error:
            self._threads.connection = None
            raise Unavailable(f"the store is away: {error!r}", retry_after_seconds=1) from error
        if problem:
            raise RuntimeError(problem)
        return iter(answer) if name in ("usages", "check") else answer

    def _connection(self) -> "Connection[Any, Any]":
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = Client((HOST, self._port))
        return cast("Connection[Any, Any]", connection)


class StoreProcess:
    """The process that serves a store, on one port for as long as a test goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> RemoteStore:
        """What a node has of it."""
        return RemoteStore(self.port)

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = [sys.executable, "-m", "tests.remote_store", str(self.folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        assert readable, "the store's process did not start"
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def hang(self) -> None:
        """Let it do nothing more, and close no connection."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it was."""
        self._signal(signal.SIGCONT)

    def fail_next(self, *faults: Fault) -> None:
        """Let the next inserts fail so."""
        self.store.fail_next(faults)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@contextmanager
def store_process(folder: Path) -> Iterator[StoreProcess]:
    """A store in a process of its own, which ends with the block."""
    process = StoreProcess(folder)
    try:
        process.start()
        yield process
    finally:
        process.kill()


class _Dropped(Exception):
    """The connection is to be closed without an answer."""


class _Served:
    """The store, and how it is to fail."""

    def __init__(self, folder: Path) -> None:
        self._store = open_store(folder)
        self._faults: list[Fault] = []

    def answer(self, connection: "Connection[Any, Any]") -> None:
        with connection:
            while True:
                try:
                    name, parts, more = connection.recv()
                    connection.send(self._ask(name, parts, more))
                except (OSError, EOFError, _Dropped):
                    return

    def _ask(
        self, name: str, parts: tuple[Any, ...], more: dict[str, Any]
    ) -> tuple[str | None, object]:
        if name == "fail_next":
            self._faults += parts[0]
            return None, None
        try:
            if name == "record":
                return None, self._record(*parts)
            if name == "set_conversations":
                return None, self._set_conversations(*parts)
            answer = getattr(self._store, name)(*parts, **more)
            return None, list(answer) if name in ("usages", "check") else answer
        except _Dropped:
            raise
        except Exception as error:  # noqa: BLE001 (whoever asked is told)
            return f"{type(error).__name__}: {error}", None

    def _record(self, recordings: Sequence[Recording]) -> object:
        fault = self._faults.pop(0) if self._faults else None
        if fault is Fault.BEFORE:
            raise _Dropped
        if fault is Fault.MIDDLE:
            self._store.record(recordings[: len(recordings) // 2])
            half = recordings[len(recordings) // 2]
            some = half.replies[: len(half.replies) // 2]
            self._store.record([Recording(half.org, some)])
            raise _Dropped
        replies = [reply for recording in recordings for reply in recording.replies]
        if any(reply.reply_id.startswith(POISON) for reply in replies):
            raise ValueError("this reply cannot be stored")
        receipts = self._store.record(recordings)
        if fault is Fault.AFTER:
            raise _Dropped
        return receipts

    def _set_conversations(self, org: str, facts: Mapping[str, ConversationFacts]) -> object:
        if any(session_id.startswith(POISON) for session_id in facts):
            raise ValueError("this conversation cannot be stored")
        return self._store.set_conversations(org, facts)


def serve(folder: Path, port: int) -> None:
    """Serve the store in a folder until the process is ended."""
    served = _Served(folder)
    with Listener((HOST, port), backlog=64) as listener:
        print(listener.address[1], flush=True)
        while True:
            try:
                connection = listener.accept()
            except OSError:
                time.sleep(0.01)
                continue
            threading.Thread(target=served.answer, args=(connection,), daemon=True).start()


def as_store(store: RemoteStore) -> Store:
    """It has every method of the protocol, though none of them by name."""
    return cast("Store", store)


if __name__ == "__main__":
    from tests.remote_store import serve  # under the name by which the faults are known

    serve(Path(sys.argv[1]), int(sys.argv[2]))
