"""A reader of a stream of server-sent events, on a socket of its own."""

import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from msgspec import Struct

PATIENCE_SECONDS = 20
ALL = "/stream"


class Event(Struct, frozen=True):
    """One event as it came, at a time of the monotonic clock."""

    id: int
    data: dict[str, Any]
    at: float

    @property
    def resource(self) -> str:
        """Which resource it tells of."""
        return str(self.data["resource_id"])

    @property
    def applied(self) -> int:
        """How many applications it tells."""
        return int(self.data["summary"]["applied_replies"])


class Listener:
    """What came on a stream, which a thread reads. ``place`` is the id that it has reached."""

    def __init__(self, answer: HTTPResponse) -> None:
        self.place: int | None = None
        self.comment_count = 0
        self._events: queue.Queue[Event] = queue.Queue()
        self._answer = answer
        self._placed = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def next(self, seconds: float = PATIENCE_SECONDS) -> Event:
        """The next event, for which it waits."""
        return self._events.get(timeout=seconds)

    def rest(self, seconds: float) -> list[Event]:
        """All events that come in so many seconds."""
        time.sleep(seconds)
        return list(self.waiting())

    def waiting(self) -> Iterator[Event]:
        """The events that have come and were not looked at."""
        while not self._events.empty():
            yield self._events.get()

    def ends(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether the service ends the stream in that time."""
        return self._ended.wait(seconds)

    def wait_for_place(self) -> None:
        """Wait for the first sign that the stream stands."""
        assert self._placed.wait(PATIENCE_SECONDS)

    def join(self) -> None:
        """Wait for the thread, once the connection is closed."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for read in iter(self._answer.readline, b""):
                line = read.decode().rstrip("\n")
                name, _, value = line.partition(":")
                if line:
                    fields[name] = value.strip()
                    continue
                self.comment_count += "" in fields
                if "id" in fields:
                    self.place = int(fields["id"])
                if "event" in fields:
                    assert fields["event"] == "usage"
                    data = json.loads(fields["data"])
                    self._events.put(Event(int(fields["id"]), data, time.monotonic()))
                fields = {}
                self._placed.set()
        except (HTTPException, OSError):
            pass  # the connection was closed on this side, or the server was killed
        finally:
            self._ended.set()


@contextmanager
def listening(
    client: httpx.Client, path: str = ALL, *, after: int | None = None, **query: int
) -> Iterator[Listener]:
    """A stream that is open for as long as the block; ``after`` is sent as a browser sends it."""
    headers = {"Authorization": client.headers["authorization"]}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    connection = HTTPConnection(client.base_url.netloc.decode(), timeout=PATIENCE_SECONDS)
    connection.request("GET", f"{path}?{urlencode(query)}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == HTTPStatus.OK, answer.read()
    assert answer.headers["content-type"].startswith("text/event-stream")
    opened = connection.sock
    listener = Listener(answer)
    try:
        listener.wait_for_place()
        yield listener
    finally:
        with suppress(OSError):  # the service may have been first
            opened.shutdown(socket.SHUT_RDWR)
        listener.join()
        connection.close()


def connect(url: str, key: str, *, receive_bytes: int = 0) -> socket.socket:
    """A bare connection that has asked for all changes and read nothing yet."""
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(PATIENCE_SECONDS)
    address = urlsplit(url)
    connection.connect((address.hostname, address.port))
    connection.sendall(
        f"GET {ALL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    )
    return connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """All that comes on a connection up to the piece that has the mark in it."""
    read = b""
    while mark not in read:
        piece = connection.recv(65_536)
        if not piece:
            raise AssertionError(f"the stream ended without {mark!r}")
        read += piece
    return read
