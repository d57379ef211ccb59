"""A light HTTP client for many connections, so that on few cores the server is what is measured.

One thread speaks on all connections over raw sockets. With a depth above one, so many requests are
under way on each connection (HTTP/1.1 pipelining), which spares the client the waiting: that
measures requests a second. With a depth of one, each answer's time is that of its own request.
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.timing import WrongAnswer, percentile

_READ = 1 << 18
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_OK = (b"HTTP/1.1 200", b"HTTP/1.1 207")


class Answered(NamedTuple):
    """The seconds that each answer took, and all of them together."""

    durations: Sequence[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.durations) / self.seconds

    def percentile(self, share: float) -> float:
        """The seconds within which that share of the answers came."""
        return percentile(self.durations, share)


def request_of(method: str, target: str, key: str, body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def send(
    url: str, requests: Iterator[bytes], *, clients: int, depth: int = 1, seconds: float = 0
) -> Answered:
    """Send requests until there are no more, or for so long; wait for every answer.

    Raises WrongAnswer for an answer that is none of 200.
    """
    address = urlsplit(url)
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        connections = []
        for _ in range(clients):
            raw = socket.create_connection((address.hostname, address.port), timeout=60)
            stack.enter_context(raw)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(raw, requests)
            connections.append(connection)
            selector.register(raw, selectors.EVENT_READ, connection)
        durations: list[float] = []
        start = time.perf_counter()
        until = start + seconds if seconds else float("inf")
        for connection in connections:
            connection.send(depth)
        while any(connection.sent for connection in connections):
            for key, _ in selector.select(60):
                answered = key.data.receive(durations)
                if time.perf_counter() < until:
                    key.data.send(answered)
        return Answered(durations, time.perf_counter() - start)


class _Connection:
    """What was sent on a connection and waits for its answer, and what has come of answers."""

    def __init__(self, raw: socket.socket, requests: Iterator[bytes]) -> None:
        self._socket = raw
        self._requests = requests
        self._buffer = b""
        self.sent: deque[float] = deque()

    def send(self, count: int) -> None:
        """Send so many requests, as far as there are any."""
        bodies = [body for _, body in zip(range(count), self._requests, strict=False)]
        if bodies:
            self.sent.extend([time.perf_counter()] * len(bodies))
            self._socket.sendall(b"".join(bodies))

    def receive(self, durations: list[float]) -> int:
        """Read what is there; how many answers are whole with it."""
        read = self._socket.recv(_READ)
        if not read:
            raise WrongAnswer("the server closed a connection")
        self._buffer += read
        place = answered = 0
        now = time.perf_counter()
        while (end := self._buffer.find(_END, place)) >= 0:
            head = self._buffer[place:end].lower()
            if not self._buffer.startswith(_OK, place):
                raise WrongAnswer(self._buffer[place : end + 400].decode(errors="replace"))
            length = head.find(_LENGTH)
            size = int(head[length + len(_LENGTH) :].partition(b"\r\n")[0])
            if len(self._buffer) < end + len(_END) + size:
                break
            place = end + len(_END) + size
            durations.append(now - self.sent.popleft())
            answered += 1
        self._buffer = self._buffer[place:]
        return answered
