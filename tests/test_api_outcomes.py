"""Outcomes over HTTP: conversations that applied a resource against those that only had it."""

from typing import Any

import httpx
import pytest

from tests.servers import Server

OUTCOMES = "/resource-usage/instruction/ins/outcomes"


def converse(
    client: httpx.Client, name: str, count: int, facts: dict[str, Any], **usages: Any
) -> None:
    """Conversations of one reply each, that came to an end in one way."""
    replies = [
        {
            "reply_id": f"{name}{n}",
            "session_id": f"{name}{n}",
            "replied_at": "2026-03-01T10:00:00Z",
            **usages,
        }
        for n in range(count)
    ]
    client.post("/replies", json=replies)
    for reply in replies:
        client.put(f"/conversations/{reply['session_id']}", json=facts)


APPLIED = {"applied": {"instruction": ["ins"]}}
AVAILABLE = {"available": {"instruction": ["ins"]}}


@pytest.fixture(scope="module")
def ended(server: Server) -> httpx.Client:
    """40 conversations with the instruction, all resolved; 40 without, half of them handed off."""
    client = server.client()
    converse(client, "a", 40, {"status": "Resolved", "csat": 5}, **APPLIED)
    converse(client, "b", 20, {"status": "open", "csat": 1}, **AVAILABLE)
    converse(client, "c", 20, {"handed_off_at": "2026-03-02T10:00:00Z"}, **AVAILABLE)
    converse(client, "d", 3, {"csat": 3}, applied={"instruction": ["another"]})
    return client


def test_both_groups_are_counted_and_judged(ended: httpx.Client) -> None:
    answer = ended.get(OUTCOMES).json()
    assert answer["applied"]["session_count"] == 40
    assert answer["not_applied"]["session_count"] == 40
    assert answer["applied"]["handoff"] == {
        "count": 0,
        "sample_count": 40,
        "share": 0.0,
        "low": 0.0,
        "high": 0.087622,
    }
    assert answer["not_applied"]["handoff"]["count"] == 20
    resolution = answer["not_applied"]["resolution"]
    assert (resolution["count"], resolution["sample_count"], resolution["share"]) == (0, 20, 0)
    assert answer["applied"]["csat"]["mean"] == 5
    # Of satisfaction and resolution only 20 are known on the other side.
    assert answer["verdict"] == {"handoff": "lower", "resolution": "too_few", "csat": "too_few"}


def test_only_conversations_of_the_window_are_counted(ended: httpx.Client) -> None:
    answer = ended.get(OUTCOMES, params={"from": "2026-03-02"}).json()
    assert answer["applied"]["session_count"] == 0
    assert answer["applied"]["handoff"] == {
        "count": 0,
        "sample_count": 0,
        "share": None,
        "low": 0.0,
        "high": 1.0,
    }
    assert set(answer["verdict"].values()) == {"too_few"}


def test_a_bad_window_and_a_missing_scope_are_refused(server: Server) -> None:
    client = server.client(scopes=["training:read", "chat-sessions:read"])
    assert client.get(OUTCOMES, params={"to": "x"}).status_code == 400
    answer = client.get("/resource-usage/action/look/outcomes")
    assert answer.json()["message"] == "the key lacks the scope actions:read"
    assert client.get("/resource-usage/tool/look/outcomes").status_code == 400
