"""The end under load: what was accepted is answered, what was acknowledged is there, in time."""

import json
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.usage import ResourceType, Window
from tests.servers import Server, running_server
from tests.uploads import Upload

WITHIN_SECONDS = 10
CLIENTS = 8
UPLOADS = 40


def reply(reply_id: str) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": "s",
        "replied_at": "2026-03-01T10:00:00Z",
        "applied": {"action": ["look"], "knowledge": [reply_id]},
    }


def stop(server: Server) -> float:
    """Tell the service to stop; when that was."""
    server.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def test_what_was_accepted_is_answered_and_nothing_new_is_taken(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, ExitStack() as stack:
        org = server.new_org()
        key = server.new_key(org)
        uploads = [stack.enter_context(Upload(server.url, key)) for _ in range(UPLOADS)]
        for number, upload in enumerate(uploads):
            upload.send(json.dumps(reply(f"r{number}")).encode() + b"\n")
        time.sleep(0.5)
        stopped_at = stop(server)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health/live")
        for number, upload in enumerate(uploads):
            upload.send(json.dumps(reply(f"again{number}")).encode())
        answers = [upload.finish() for upload in uploads]
        assert [(answer.status, answer.body["accepted"]) for answer in answers] == [
            (200, 2)
        ] * UPLOADS
        assert server.process.wait(WITHIN_SECONDS) == 0
        assert time.monotonic() - stopped_at < WITHIN_SECONDS
        counts = server.store.summary(org, ResourceType.ACTION, "look", Window())
        assert counts.applied_replies == 2 * UPLOADS


def test_a_service_that_is_stopped_while_all_record_has_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path / "data") as server:
        org = server.new_org()
        key = server.new_key(org)
        acknowledged: list[list[str]] = [[] for _ in range(CLIENTS)]
        threads = [
            threading.Thread(
                target=record_until_stopped, args=(server.url, key, str(number), acknowledged)
            )
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        while not all(acknowledged):
            time.sleep(0.05)
        stopped_at = stop(server)
        assert server.process.wait(WITHIN_SECONDS) == 0
        assert time.monotonic() - stopped_at < WITHIN_SECONDS
        for thread in threads:
            thread.join()
        known = [reply_id for ids in acknowledged for reply_id in ids]
        assert list(server.store.check()) == []
        for reply_id in known:
            counts = server.store.summary(org, ResourceType.KNOWLEDGE, reply_id, Window())
            assert counts.applied_replies == 1, reply_id


def record_until_stopped(url: str, key: str, name: str, acknowledged: list[list[str]]) -> None:
    """Record reply after reply until the service takes no more, noting what it acknowledged."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        for number in range(100_000):
            reply_id = f"{name}-{number}"
            try:
                answer = client.post("/replies", json=reply(reply_id))
            except httpx.TransportError:
                return
            if answer.status_code == 503:
                assert "the service is stopping" in answer.json()["message"]
                return
            assert answer.json()["accepted"] == 1
            acknowledged[int(name)].append(reply_id)


def test_whoever_sends_nothing_more_is_waited_for_no_longer_than_is_set(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, ExitStack() as stack:
        uploads = [stack.enter_context(Upload(server.url, server.new_key("acme"))) for _ in "abc"]
        for upload in uploads:
            upload.send(b"{")
        time.sleep(0.3)
        stopped_at = stop(server)
        assert server.process.wait(15) == 0
        assert time.monotonic() - stopped_at < WITHIN_SECONDS
