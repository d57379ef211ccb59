"""A real HTTP server on a socket that answers what a test tells it to, and keeps what was asked."""

import gzip
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from msgspec import Struct


class Answer(Struct, frozen=True):
    """What to answer; ``body`` None is the receipt for all replies of the request."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    delay_seconds: float = 0


class Asked(Struct, frozen=True):
    """A request that came, at a time of the monotonic clock."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def replies(self) -> list[dict[str, Any]]:
        """The replies of an NDJSON body."""
        raw = gzip.decompress(self.body) if "content-encoding" in self.headers else self.body
        return [msgspec.json.decode(line) for line in raw.splitlines()]


class ScriptedService:
    """Gives the answers of ``script`` one after the other, then 200 for ever."""

    def __init__(self, url: str, script: list[Answer]) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self._script = script
        self._lock = threading.Lock()

    def next_answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return self._script.pop(0) if self._script else Answer()

    @property
    def reply_ids(self) -> list[str]:
        """The ids of all replies that came, in their order, those that came twice twice."""
        return [reply["reply_id"] for asked in self.asked for reply in asked.replies]


def error(status: int, message: str = "no", **headers: str) -> Answer:
    """An error as the service words it; ``retry_after`` is the header Retry-After."""
    body = {"statusCode": status, "message": message, "error": "x"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"X-Request-Id": "req_7", **named}, msgspec.json.encode(body))


@contextmanager
def scripted_service(*script: Answer) -> Iterator[ScriptedService]:
    """A service on a free loopback port, ended with the test."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, sent, time.monotonic())
            answer = service.next_answer(asked)
            time.sleep(answer.delay_seconds)
            body = answer.body
            if body is None:
                receipt = {"accepted": len(asked.replies), "duplicates": 0, "rejected": []}
                body = msgspec.json.encode(receipt)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its own name)
            pass

    for method in ("GET", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)

    class Listener(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that went away

    with Listener(("127.0.0.1", 0), Handler) as listener:
        host, port = listener.server_address[:2]
        service = ScriptedService(f"http://{host!s}:{port}", list(script))
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield service
        finally:
            listener.shutdown()
            thread.join()
