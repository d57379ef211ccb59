"""A server that is killed while clients record loses no reply that it acknowledged."""

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from applyrate.store import open_store
from applyrate.usage import ResourceType, Window
from tests.servers import Server, end_process, start_process

CLIENTS = 10
ROUNDS = 4


def reply(reply_id: str) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": f"s{hash(reply_id) % 50}",
        "replied_at": "2026-03-01T10:00:00Z",
        "available": {"instruction": ["ins", f"ins{hash(reply_id) % 9}"]},
        "applied": {"action": ["look"], "knowledge": [reply_id]},
    }


def record_until_killed(url: str, key: str, name: str, acknowledged: list[str]) -> None:
    """Record reply after reply, alone and in batches, noting each that was acknowledged."""
    headers = {"Authorization": f"Bearer {key}"}
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.Client(base_url=url, headers=headers, timeout=30) as client,
    ):
        for batch in range(100_000):
            sent = [f"{name}-{batch}-{n}" for n in range(1 + batch % 5)]
            answer = client.post("/replies", json=[reply(one) for one in sent])
            if answer.status_code != 200 or answer.json()["accepted"] != len(sent):
                raise AssertionError(answer.text)
            acknowledged += sent


def test_a_killed_server_loses_no_acknowledged_reply(tmp_path: Path) -> None:
    acknowledged: list[list[str]] = [[] for _ in range(CLIENTS)]
    for round_number in range(ROUNDS):
        process, url = start_process(tmp_path / "data")
        server = Server(process, url, tmp_path / "data")
        key = server.new_key("acme")
        threads = [
            threading.Thread(
                target=record_until_killed,
                args=(url, key, f"{round_number}-{number}", acknowledged[number]),
            )
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.3, 0.8))  # noqa: S311 (no secret)
        process.kill()
        for thread in threads:
            thread.join()
        end_process(process)
        server.close()

        store = open_store(tmp_path / "data")
        try:
            assert list(store.check()) == []
            known = [one for names in acknowledged for one in names]
            counted = store.summary("acme", ResourceType.ACTION, "look", Window()).applied_replies
            assert len(known) <= counted <= len(known) + (round_number + 1) * CLIENTS * 5
            for one in random.sample(known, min(len(known), 500)):
                summary = store.summary("acme", ResourceType.KNOWLEDGE, one, Window())
                assert summary.applied_replies == 1, one
        finally:
            store.close()
    assert all(len(names) > ROUNDS for names in acknowledged)
