"""Whether the service can do its work: each part is told, and what keeps it from being ready."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.monitoring import metrics_of, wait_until
from tests.servers import Server, running_server

PARTS = ["store", "inbox", "disk", "migrations", "span_processes"]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A service whose data a test may spoil."""
    with running_server(tmp_path / "data", metrics="open") as server:
        yield server


def ready(server: Server) -> httpx.Response:
    return httpx.get(f"{server.url}/health/ready", timeout=60)


def wait_for(server: Server, status: int) -> dict[str, Any]:
    """The answer once it has this status; one is up to a second old."""
    wait_until(lambda: ready(server).status_code == status)
    body: dict[str, Any] = ready(server).json()
    return body


def test_a_service_that_can_do_its_work_says_so_of_each_part(server: Server) -> None:
    answer = ready(server)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "parts": {part: {"status": "ok"} for part in PARTS},
    }


@pytest.mark.parametrize(("part", "file"), [("store", "applyrate.db"), ("inbox", "inbox.db")])
def test_a_file_that_is_gone_is_told_until_it_is_back(own: Server, part: str, file: str) -> None:
    path = own.data / file
    path.rename(own.data / "elsewhere")
    body = wait_for(own, 503)
    assert body["error"] == "Service Unavailable"
    assert body["statusCode"] == 503
    assert f"{file} cannot be written now: it is gone" in body["parts"][part]["problem"]
    assert f"{part}: {body['parts'][part]['problem']}" in body["message"]
    assert not path.exists(), "nothing takes its place"
    (other,) = {"store", "inbox"} - {part}
    assert body["parts"][other] == {"status": "ok"}
    assert ready(own).headers["retry-after"] == "1"
    (own.data / "elsewhere").rename(path)
    assert wait_for(own, 200)["parts"][part] == {"status": "ok"}


def test_a_store_that_takes_no_change_is_told(tmp_path: Path) -> None:
    prelude = "from applyrate.store.sqlite import database; database.BUSY_SECONDS = 0.05"
    with running_server(tmp_path / "data", prelude=prelude, metrics="open") as server:
        assert ready(server).status_code == 200
        with closing(sqlite3.connect(server.data / "applyrate.db", isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            body = wait_for(server, 503)
            assert "database is locked" in body["parts"]["store"]["problem"]
            with httpx.Client(base_url=server.url) as client:
                assert metrics_of(client)["applyrate_ready|part=store"] == 0
            db.execute("ROLLBACK")
        assert wait_for(server, 200)["status"] == "ready"


def test_a_store_that_is_only_busy_stays_ready_and_the_answer_does_not_wait(own: Server) -> None:
    assert ready(own).status_code == 200
    with closing(sqlite3.connect(own.data / "applyrate.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        answers = [ready(own) for _ in range(3)]
        db.execute("ROLLBACK")
    assert [answer.status_code for answer in answers] == [200] * 3


def test_too_little_room_on_the_disk_is_told_with_the_setting(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", min_free_bytes=2**62) as server:
        answer = ready(server)
        assert answer.status_code == 503
        assert f"{2**62} are wanted (APPLYRATE_MIN_FREE_BYTES)" in answer.json()["message"]
        assert httpx.get(f"{server.url}/health/live").status_code == 200


def test_data_that_a_newer_version_changed_is_told(own: Server) -> None:
    with own.store._database.writing() as db:  # type: ignore[attr-defined]  # noqa: SLF001 (the newer version)
        db.execute("INSERT INTO migration VALUES (9999, '9999_newer.sql')")
    body = wait_for(own, 503)
    assert "differ in 9999_newer.sql" in body["parts"]["migrations"]["problem"]


def test_looking_changes_nothing_that_is_stored(own: Server) -> None:
    client = own.client()
    client.post(
        "/replies",
        json={"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"},
    )
    with closing(sqlite3.connect(own.data / "applyrate.db")) as db:
        before = list(db.iterdump())
        assert ready(own).status_code == 200
        assert list(db.iterdump()) == before
    assert list(own.store.check()) == []
