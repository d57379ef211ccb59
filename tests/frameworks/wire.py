"""The wire between an exporter and the service, tapped: bytes pass unchanged, and are kept."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import h11
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CHUNK = 65_536


class Wire:
    """A loopback port whose connections lead on to a service."""

    def __init__(self, listener: socket.socket, onwards: str) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._onwards = urlsplit(onwards)
        self._listener = listener
        self._sent: list[bytearray] = []

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                self._connect(self._listener.accept()[0])

    def exports(self) -> list[ExportTraceServiceRequest]:
        """The traces that were sent up to now, in the order of their connections."""
        bodies = [body for sent in list(self._sent) for body in _trace_bodies(bytes(sent))]
        return [ExportTraceServiceRequest.FromString(body) for body in bodies]

    def _connect(self, client: socket.socket) -> None:
        service = socket.create_connection((self._onwards.hostname, self._onwards.port))
        sent = bytearray()
        self._sent.append(sent)
        for source, target, kept in ((client, service, sent), (service, client, None)):
            threading.Thread(target=_pass_on, args=(source, target, kept), daemon=True).start()


@contextmanager
def tapped(onwards: str) -> Iterator[Wire]:
    """A wire to the service at an address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener, onwards)
        thread = threading.Thread(target=wire.serve, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _pass_on(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
    with suppress(OSError), target:
        while piece := source.recv(CHUNK):
            if kept is not None:
                kept += piece
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def _trace_bodies(sent: bytes) -> Iterator[bytes]:
    """The bodies of the requests that were sent over one connection, decompressed."""
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(sent)
    body, headers, target = b"", {}, b""
    while True:
        match reader.next_event():
            case h11.Request() as request:
                body, headers, target = b"", dict(request.headers), request.target
            case h11.Data() as data:
                body += data.data
            case h11.EndOfMessage():
                if target == b"/v1/traces":
                    gzipped = headers.get(b"content-encoding") == b"gzip"
                    yield gzip.decompress(body) if gzipped else body
                reader.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                reader.send(h11.EndOfMessage())
                if reader.our_state is not h11.DONE or reader.their_state is not h11.DONE:
                    return
                reader.start_next_cycle()
            case _:
                return
