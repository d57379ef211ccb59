"""Connections: ten thousand idle ones and a thousand slow ones do not stop the others."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from applyrate.dashboard.forms import FORM
from tests.servers import Server, end_process, running_server, start_process
from tests.uploads import JSON, NDJSON, ask, connect, read_status

IDLE = 10_000
SLOW = 1_000
SPARE_DESCRIPTORS = 500
SOURCES = [f"127.0.0.{number}" for number in range(1, 5)]
"""Addresses that connections come from, so that one of them has ports enough."""

MAX_BYTES_EACH = 64 * 1024
"""What the service may hold for a connection that sends nothing, or little."""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process open as many connections as these tests need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = IDLE + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"NOT TESTED: this machine lets a process open {hard} files; {needed} needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def crowd(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many open connections."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(connect(server.url, SOURCES[number % len(SOURCES)]))
            for number in range(count)
        ]


def memory(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def use(client: httpx.Client, times: int = 30) -> None:
    """Ask and record as anybody would, each on a new connection."""
    for number in range(times):
        headers = {"Connection": "close"}
        assert client.get("/resource-usage/action", headers=headers).status_code == 200
        reply = {
            "reply_id": f"r{number}",
            "session_id": "s",
            "replied_at": "2026-03-01T10:00:00Z",
        }
        assert client.post("/replies", json=reply, headers=headers).status_code == 200


@pytest.mark.usefixtures("many_descriptors")
def test_ten_thousand_idle_connections_do_not_stop_the_others(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_idle_seconds=200) as server:
        client = server.client()
        use(client)
        before = memory(server)
        with crowd(server, IDLE) as connections:
            use(client)
            assert memory(server) - before < IDLE * MAX_BYTES_EACH
            assert [ask(one) for one in connections[:: IDLE // 50]] == [200] * 50
            # And with all of them open, the end does not wait for them.
            started_at = time.monotonic()
            assert end_process(server.process) == 0
            assert time.monotonic() - started_at < 10


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_slow_senders_do_not_stop_the_others(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_idle_seconds=200) as server:
        client = server.client()
        use(client)
        before = memory(server)
        key = server.new_key("slow")
        authorized = f"Host: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 9000\r\n"
        heads = [
            head.encode()
            for head in (
                "GET /health/live HTTP/1.1\r\nX-Slow: ",
                f"POST /replies HTTP/1.1\r\n{authorized}Content-Type: {NDJSON}\r\n\r\n",
                f"POST /v1/traces HTTP/1.1\r\n{authorized}Content-Type: {JSON}\r\n\r\n",
                f"POST /dashboard/sign-in HTTP/1.1\r\n{authorized}Content-Type: {FORM}\r\n\r\n",
            )
        ]
        with crowd(server, SLOW) as connections:
            for number, connection in enumerate(connections):
                connection.sendall(heads[number % len(heads)])
            stop = threading.Event()
            dripping = threading.Thread(target=drip, args=(connections, stop))
            dripping.start()
            try:
                use(client)
                assert memory(server) - before < SLOW * MAX_BYTES_EACH
            finally:
                stop.set()
                dripping.join()
        # A signal that comes while all of them go at once is not lost among them.
        started_at = time.monotonic()
        assert end_process(server.process) == 0
        assert time.monotonic() - started_at < 10


def drip(connections: list[socket.socket], stop: threading.Event) -> None:
    """Send a byte on each, round after round."""
    while not stop.wait(0.5):
        for connection in connections:
            with suppress(OSError):  # the service may have had enough of it
                connection.sendall(b" ")


def test_more_connections_than_are_allowed_wait_for_their_turn(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_connections=3) as server, ExitStack() as stack:
        first, *others = [stack.enter_context(connect(server.url)) for _ in range(3)]
        assert [ask(one) for one in (first, *others)] == [200] * 3
        late = stack.enter_context(connect(server.url))
        late.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        late.settimeout(0.5)
        with pytest.raises(TimeoutError):
            late.recv(1)
        late.settimeout(20)
        first.close()
        assert read_status(late) == 200
        assert ask(others[0]) == 200


def test_a_connection_that_sends_nothing_is_ended(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_idle_seconds=1) as server, ExitStack() as stack:
        silent, partial, waiting = (stack.enter_context(connect(server.url)) for _ in range(3))
        partial.sendall(b"GET /health/live HTTP/1.1\r\nHos")
        assert ask(waiting) == 200
        started_at = time.monotonic()
        for connection in (silent, partial, waiting):
            connection.settimeout(20)
            assert connection.recv(1) == b""
        assert time.monotonic() - started_at > 0.5


def test_a_connection_that_asks_in_time_stays_open(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "data", max_idle_seconds=5) as server,
        connect(server.url) as connection,
    ):
        for _ in range(3):
            assert ask(connection) == 200
            time.sleep(2)
        assert ask(connection) == 200


def test_where_the_machine_allows_fewer_connections_that_is_told_and_all_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))"
    process, url = start_process(tmp_path / "data", prelude=few)
    server = Server(process, url, tmp_path / "data")
    try:
        client = server.client()
        with crowd(server, 60) as connections:  # 16 more than there is room for
            assert [ask(one) for one in connections[:40]] == [200] * 40
            for connection in connections[:40]:
                connection.close()
            use(client, 5)
            assert [ask(one) for one in connections[40:]] == [200] * 20
    finally:
        server.close()
        assert end_process(process) == 0
    told = capfd.readouterr().err
    assert "connections_bounded" in told
    assert "(possible=44 wanted=16384 open_files=300)" in told
