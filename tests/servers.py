"""A real service in a process of its own, on a free loopback port, for as long as a test needs."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from applyrate.keys import digest, issue_key
from applyrate.store import Store, open_store

START_SECONDS = 30
END_SECONDS = 15

_SERVE = """
import os
from applyrate.api import serving
from applyrate.settings import load_settings
{prelude}
serving.serve(load_settings(), lambda address: print(address, flush=True))
os._exit(0)  # as the command does, and why stands there
"""


class Server:
    """A running service. ``store`` is the service's own, opened by the test itself."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, data: Path, address: str | None = None
    ) -> None:
        self.process = process
        self.url = url
        self.data = data
        self.store: Store = open_store(data, address=address)
        self._clients: list[httpx.Client] = []
        self._orgs = count(1)

    def new_org(self) -> str:
        """A name that no other test has."""
        return f"org-{os.getpid()}-{next(self._orgs)}"

    def new_key(
        self,
        org: str,
        scopes: Sequence[str] | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> str:
        """A new key, put straight into the store."""
        key, kept = issue_key(
            org, "test", scopes=scopes, created_at=datetime.now(UTC), expires_at=expires_at
        )
        self.store.add_key(kept, digest(key))
        return key

    def client(
        self, org: str | None = None, scopes: Sequence[str] | None = None, *, key: str | None = None
    ) -> httpx.Client:
        """A client that holds a key: of a new organization, where none is named."""
        key = key or self.new_key(org or self.new_org(), scopes)
        client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        self._clients.append(client)
        return client

    def request_raw(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[HTTPResponse, bytes]:
        """Send a request's target as it stands here, which httpx would tidy up."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def close(self) -> None:
        """Close what the test opened."""
        for client in self._clients:
            client.close()
        self.store.close()


@contextmanager
def running_server(data: Path, **settings: Any) -> Iterator[Server]:
    """A service on a data folder, ended by its own process id. Settings are as in Settings."""
    process, url = start_process(data, **settings)
    server = Server(process, url, data, settings.get("store"))
    try:
        yield server
    finally:
        server.close()
        end_process(process)


def start_process(
    data: Path, *, prelude: str = "", **settings: Any
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a service; its process and its address, once it answers there.

    ``prelude`` is a line of Python that its process runs before.
    """
    given = {"data": data, "port": 0, "standard_limit": 0, "streaming_limit": 0, **settings}
    environ = {name: value for name, value in os.environ.items() if "APPLYRATE" not in name}
    environ |= {f"APPLYRATE_{name.upper()}": str(value) for name, value in given.items()}
    script = _SERVE.format(prelude=prelude)
    process = subprocess.Popen([sys.executable, "-c", script], env=environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    url = process.stdout.readline().decode().strip() if readable else ""
    if not url:
        end_process(process)
        raise RuntimeError("the service did not start")
    return process, url


def end_process(process: subprocess.Popen[bytes]) -> int:
    """End a service that was started here; its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    status = process.wait(END_SECONDS)
    if process.stdout is not None:
        process.stdout.close()
    return status
