"""Requests whose body a test sends piece by piece, on a connection of its own."""

import json
import socket
from contextlib import closing
from http.client import HTTPConnection
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 30
NDJSON = "application/x-ndjson"
JSON = "application/json"


class Upload:
    """A ``POST`` that has sent its head. Without a length told, each piece is a chunk."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        path: str = "/replies",
        media_type: str = NDJSON,
        length: int | None = None,
    ) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
        self._chunked = length is None
        self._connection.putrequest("POST", path)
        self._connection.putheader("Authorization", f"Bearer {key}")
        self._connection.putheader("Content-Type", media_type)
        if length is None:
            self._connection.putheader("Transfer-Encoding", "chunked")
        else:
            self._connection.putheader("Content-Length", str(length))
        self._connection.endheaders()

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def send(self, piece: bytes) -> None:
        """Send a piece of the body."""
        self._connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def finish(self) -> "Answer":
        """End a chunked body; what is answered."""
        if self._chunked:
            self._connection.send(b"0\r\n\r\n")
        return self.answer()

    def answer(self) -> "Answer":
        """What is answered, whether the body has ended or not."""
        response = self._connection.getresponse()
        return Answer(response.status, json.loads(response.read()), dict(response.getheaders()))


class Answer:
    """An answer, read to its end."""

    def __init__(self, status: int, body: Any, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers


def connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    """A bare connection to a service, from an address of this machine."""
    address = urlsplit(url)
    return socket.create_connection(
        (address.hostname or "", address.port or 0), PATIENCE_SECONDS, (source, 0)
    )


def ask(connection: socket.socket) -> int:
    """The status of the answer to a small request on a bare connection that stays open."""
    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    return read_status(connection)


def read_status(connection: socket.socket) -> int:
    """The status of the next answer; 0 where the connection ends without one."""
    with closing(connection.makefile("rb")) as file:
        line = file.readline()
        length = 0
        while (header := file.readline().strip()) and line:
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        file.read(length)
    return int(line.split()[1]) if line else 0
