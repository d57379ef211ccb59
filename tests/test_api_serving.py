"""The service as a process: its start, its address, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from applyrate.api.serving import FIRST_ORG, AddressUnavailable, make_first_key, serve
from applyrate.keys import digest, is_well_formed
from applyrate.settings import Settings
from applyrate.store import Store, open_store
from applyrate.usage import ResourceType, Window
from tests.servers import end_process, running_server, start_process

LINE = (
    b'{"reply_id": "r_%d", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z",'
    b' "applied": {"action": ["look"]}}\n'
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "data")
    yield store
    store.close()


def test_the_first_key_of_an_empty_store_has_full_access_to_default(store: Store) -> None:
    key = make_first_key(store)
    assert key is not None
    assert is_well_formed(key)
    kept = store.find_key(digest(key))
    assert kept is not None
    assert (kept.org, kept.scopes, kept.expires_at) == (FIRST_ORG, None, None)
    assert make_first_key(store) is None, "it is made once"
    assert len(store.keys(FIRST_ORG)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_cleanly(
    tmp_path: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    process, url = start_process(tmp_path / "data", max_connections=100)  # any machine allows them
    port = urlsplit(url).port
    process.send_signal(number)
    assert process.wait(10) == 0
    end_process(process)
    assert capfd.readouterr().err == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0), 1)


def test_the_service_is_one_process(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        server.client().post("/replies", json=[])
        assert psutil.Process(server.process.pid).children(recursive=True) == []


def test_the_end_waits_for_what_was_accepted(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        org = server.new_org()
        key = server.new_key(org)
        connection = HTTPConnection(urlsplit(server.url).netloc, timeout=30)
        connection.putrequest("POST", "/replies")
        connection.putheader("Authorization", f"Bearer {key}")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()

        def send(piece: bytes) -> None:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))

        send(LINE % 1)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health/live")
        send(LINE % 2)
        send(b"")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["accepted"]) == (200, 2)
        connection.close()
        assert server.process.wait(10) == 0
        counts = server.store.summary(org, ResourceType.ACTION, "look", Window())
        assert counts.applied_replies == 2


def test_the_end_does_not_wait_for_a_client_that_sends_nothing_more(tmp_path: Path) -> None:
    process, url = start_process(tmp_path / "data", stop_seconds=0.5)
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 5) as stalled:
        stalled.sendall(b"POST /replies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.2)
        started_at = time.monotonic()
        end_process(process)
        assert time.monotonic() - started_at < 5
        assert process.returncode == 0


def test_an_idle_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client()
        assert client.get("/keys").status_code == 200
        started_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - started_at < 5


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        port = urlsplit(server.url).port
        assert port is not None
        settings = Settings(data=str(tmp_path / "other"), port=port)
        with pytest.raises(AddressUnavailable) as refused:
            serve(settings)
    assert refused.value.message == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use;"
        " choose another with --port or APPLYRATE_PORT"
    )


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_a_sentence(tmp_path: Path, host: str) -> None:
    with pytest.raises(AddressUnavailable, match=f"cannot listen on {host}:0: "):
        serve(Settings(data=str(tmp_path), host=host, port=0))


def test_a_name_and_ipv6_can_be_listened_on(tmp_path: Path) -> None:
    hosts = {"localhost": "http://", "::1": "http://[::1]:"}
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        del hosts["::1"]
    for host, start in hosts.items():
        process, url = start_process(tmp_path / "data", host=host)
        try:
            assert url.startswith(start)
            assert httpx.get(f"{url}/health/live").status_code == 200
        finally:
            end_process(process)


def test_importing_the_service_does_nothing() -> None:
    script = (
        "import sys, threading; import applyrate.api.app, applyrate.api.serving;"
        "assert threading.active_count() == 1; assert 'jwt' not in sys.modules"
    )
    environ = {name: value for name, value in os.environ.items() if "APPLYRATE" not in name}
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, env=environ)
