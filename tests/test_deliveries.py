"""A node in front of a store on another machine counts what it acknowledged, and once."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.errors import Unavailable
from applyrate.intake import deliveries
from applyrate.intake.inbox import FILE, Inbox
from applyrate.settings import Settings
from applyrate.store.sqlite import SQLiteStore
from applyrate.usage import Receipt, Recording, Reply, ResourceType, Window
from tests.nodes import Node, new_key, running_node, wait_until
from tests.remote_store import Fault, StoreProcess, as_store, store_process

ORG = "acme"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    with store_process(tmp_path / "store") as process:
        yield process


@pytest.fixture
def node(tmp_path: Path, store: StoreProcess) -> Iterator[Node]:
    with running_node(tmp_path / "node", store) as node:
        yield node


@pytest.fixture
def client(node: Node, store: StoreProcess) -> Iterator[httpx.Client]:
    with node.client(new_key(store, ORG)) as client:
        assert client.get("/keys").status_code == 200  # from now on the node knows the key
        yield client


def reply(reply_id: str, **more: Any) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": f"s-{reply_id}",
        "replied_at": "2026-03-01T10:00:00.000001Z",
        "available": {"instruction": ["ins"]},
        "applied": {"action": ["look", {"id": "look", "call_id": "c2"}]},
        **more,
    }


def send(client: httpx.Client, *replies: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/replies", json=list(replies))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def count(store: StoreProcess, org: str = ORG) -> tuple[int, int]:
    """How many replies had the instruction, and how often the action was invoked."""
    asked = as_store(store.store)
    known = asked.summary(org, ResourceType.INSTRUCTION, "ins", Window())
    called = asked.summary(org, ResourceType.ACTION, "look", Window())
    return known.available_replies, called.applied_replies


def wait_for_delivery(node: Node) -> None:
    wait_until(lambda: node.metric("applyrate_undelivered_replies") == 0)


def test_what_is_acknowledged_is_delivered(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    told = send(client, reply("a"), reply("b"), {"reply_id": "bad"})
    assert (told["accepted"], told["duplicates"]) == (2, 0)
    assert [one["reply_id"] for one in told["rejected"]] == ["bad"]
    wait_for_delivery(node)
    assert count(store) == (2, 4)
    assert send(client, reply("b"), reply("c"))["accepted"] == 2  # the store alone knows of b
    wait_for_delivery(node)
    assert count(store) == (3, 6)
    assert (
        client.get("/resource-usage/instruction/ins/usage-summary").json()["available_replies"] == 3
    )
    assert node.metric("applyrate_replies_accepted_total") == 3
    assert node.metric("applyrate_replies_duplicate_total") == 1
    assert node.metric("applyrate_replies_delivered_total") == 4


def test_what_the_store_rejects_is_listed(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    send(client, reply("a"))
    wait_for_delivery(node)
    assert client.delete("/conversations/s-gone").status_code == 204
    assert send(client, reply("a", session_id="other"), reply("gone"))["accepted"] == 2
    assert client.put("/conversations/s-gone", json={"status": "open"}).status_code == 204
    wait_for_delivery(node)
    rejected = client.get("/intake/rejected").json()
    messages = {one["source"]: one for one in rejected["items"] if one["reply_id"] is None}
    assert set(messages) == {"replies", "conversations"}
    assert all("was erased" in one["message"] for one in messages.values())
    (conflict,) = [one for one in rejected["items"] if one["reply_id"] == "a"]
    assert "s-a" in conflict["message"]
    assert sum(one["rejected_count"] for one in rejected["reasons"]) == 3
    assert count(store) == (1, 2)


def test_the_facts_of_a_conversation_arrive_in_their_order(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    store.kill()
    for facts in (
        {"status": "open", "csat": 2, "ticket_number": 7},
        {"status": "resolved", "handed_off_at": "2026-03-01T10:04:00Z"},
        {"csat": None},
    ):
        assert client.put("/conversations/s-a", json=facts).status_code == 204
    send(client, reply("a", ticket_number=1))
    store.start()
    wait_for_delivery(node)
    known = as_store(store.store).conversation(ORG, "s-a")
    assert known is not None
    assert (known.status, known.csat, known.ticket_number) == ("resolved", None, 7)
    assert known.handed_off_at is not None
    assert len(known.replies) == 1


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: str(fault.name).lower())
def test_a_delivery_that_breaks_off_counts_once(
    fault: Fault, client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    store.fail_next(fault)
    for number in range(5):
        send(client, *(reply(f"{number}-{place}") for place in range(4)))
    wait_for_delivery(node)
    assert count(store) == (20, 40)
    assert node.metric("applyrate_deliveries_failed_total") >= 1


class Senders:
    """Clients that record until they are told to end; what each was acknowledged."""

    def __init__(self, node: Node, key: str, names: Sequence[str]) -> None:
        self.acknowledged: list[str] = []
        self.slowest_seconds = 0.0
        self.failures: list[object] = []
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(node, key, name)) for name in names
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def sent_after(self, seconds: float) -> int:
        """How many were acknowledged in so many seconds from now."""
        before = len(self.acknowledged)
        time.sleep(seconds)
        return len(self.acknowledged) - before

    def _send(self, node: Node, key: str, name: str) -> None:
        with node.client(key) as client:
            number = 0
            while not self._end.is_set():
                number += 1
                began_at = time.monotonic()
                try:
                    answer = client.post("/replies", json=reply(f"{name}-{number}"))
                except httpx.TransportError:
                    return  # the node was killed
                if answer.status_code != 200:
                    self.failures.append(answer.text)
                    return
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began_at)
                self.acknowledged.append(f"{name}-{number}")


def test_recording_goes_on_while_the_store_hangs_and_is_killed_and_all_of_it_counts(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    key = str(client.headers["authorization"]).removeprefix("Bearer ")
    senders = Senders(node, key, ["x", "y", "z"])
    try:
        assert senders.sent_after(1) > 0
        store.hang()
        assert senders.sent_after(9) > 0  # longer than what is known of a key is used unasked
        assert senders.sent_after(1) > 0
        question = client.get("/resource-usage/instruction/ins/usage-summary")
        assert question.status_code == 503
        assert "retry-after" in question.headers
        assert client.get("/health/ready").status_code == 200
        store.kill()
        assert senders.sent_after(2) > 0
        assert client.get("/resource-usage/instruction/ins/usage-summary").status_code == 503
        assert node.metric("applyrate_undelivered_oldest_seconds") > 5
        store.start()
    finally:
        senders.end()
    assert senders.failures == []
    assert senders.slowest_seconds < 30
    wait_for_delivery(node)
    assert count(store)[0] == len(senders.acknowledged)


def test_a_node_that_is_killed_loses_nothing_that_it_acknowledged(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    key = str(client.headers["authorization"]).removeprefix("Bearer ")
    send(client, reply("first"))
    wait_for_delivery(node)
    store.kill()
    senders = Senders(node, key, ["x", "y"])
    assert senders.sent_after(1) > 0
    node.kill()
    senders.end()
    assert senders.failures == []
    store.start()
    node.start()
    wait_for_delivery(node)
    # A reply whose answer was on its way at the kill may be there, too.
    assert 0 <= count(store)[0] - 1 - len(senders.acknowledged) <= 2
    found = as_store(store.store).replies(ORG, senders.acknowledged)
    assert found.keys() == set(senders.acknowledged)


def test_a_node_that_ends_delivers_what_it_has(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    send(client, *(reply(f"r{number}") for number in range(1000)))
    assert node.end() == 0
    assert count(store) == (1000, 2000)


def test_a_full_inbox_refuses_more_until_the_store_is_back(
    tmp_path: Path, store: StoreProcess
) -> None:
    key = new_key(store, ORG)
    with (
        running_node(tmp_path / "small", store, inbox_max_replies=3) as node,
        node.client(key) as client,
    ):
        client.get("/keys")
        store.kill()
        send(client, reply("a"), reply("b"))
        refused = client.post("/replies", json=[reply("c"), reply("d")])
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert "the inbox is full" in refused.json()["message"]
        send(client, reply("c"))
        assert client.put("/conversations/s-c", json={"status": "open"}).status_code == 503
        assert node.metric('applyrate_limits_hit_total{limit="inbox_max_replies"}') == 2
        assert node.metric('applyrate_commits_failed_total{database="inbox"}') == 0
        store.start()
        wait_for_delivery(node)
        send(client, reply("d"))
        wait_for_delivery(node)
        assert count(store) == (4, 8)


def test_poison_is_set_aside_and_stops_nobody(
    client: httpx.Client, node: Node, store: StoreProcess
) -> None:
    store.kill()  # so that all of it is one block
    send(client, *(reply(f"a{number}") for number in range(50)))
    send(client, reply("b"), reply("poison-1"), reply("c"), reply("poison-2"))
    send(client, *(reply(f"d{number}") for number in range(50)))
    client.put("/conversations/poison-3", json={"status": "open"})
    client.put("/conversations/s-b", json={"status": "resolved"})
    store.start()
    wait_for_delivery(node)
    assert count(store) == (102, 204)
    assert node.metric("applyrate_set_aside_replies") == 3
    known = as_store(store.store).conversation(ORG, "s-b")
    assert known is not None
    assert known.status == "resolved"


class SmallStore(SQLiteStore):
    """A store that can take few replies at once."""

    is_remote = True

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        if sum(len(recording.replies) for recording in recordings) > 100:
            raise Unavailable("that is too much at once", retry_after_seconds=1)
        return super().record(recordings)


def test_blocks_that_are_too_large_come_as_smaller_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MAX_REPLIES_PER_BLOCK", 400)
    monkeypatch.setattr(deliveries, "FIRST_PAUSE_SECONDS", 0.001)
    store, inbox = SmallStore(tmp_path / "applyrate.db"), Inbox(tmp_path / FILE, max_spans=1)

    async def scene() -> None:
        delivering = deliveries.Deliveries(Settings(data=str(tmp_path)), store, inbox)
        for number in range(10):
            at = datetime(2026, 3, 1, tzinfo=UTC)
            await delivering.join(ORG, [Reply(f"{number}-{n}", "s", at) for n in range(50)])
        task = asyncio.create_task(delivering.run())
        await asyncio.to_thread(wait_until, lambda: not inbox.undelivered.backlog().reply_count)
        task.cancel()
        await delivering.close()

    try:
        asyncio.run(scene())
        known = store.conversation(ORG, "s")
    finally:
        store.close()
        inbox.close()
    assert known is not None
    assert len(known.replies) == 500
