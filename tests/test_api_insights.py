"""The dead weight over HTTP: what nothing was applied of, why, and the heaviest first."""

from typing import Any

import httpx
import pytest

from applyrate.usage import Available, Recording, Reply, ResourceType
from tests.servers import Server
from tests.test_api_resource_usage import START

UNUSED = "/insights/unused"


@pytest.fixture
def loaded(client: httpx.Client) -> httpx.Client:
    """An agent with an instruction for each reason to be unused in March, and one in use."""
    available = {"instruction": ["used", "never_applied", "stopped", "kept"]}
    replies = [
        ("r1", "2026-02-10T10:00:00Z", {"available": available, "applied": _apply("stopped")}),
        ("r2", "2026-03-01T10:00:00Z", {"available": available, "applied": _apply("used")}),
        ("r3", "2026-03-02T10:00:00Z", {"available": {"instruction": ["never_applied"]}}),
    ]
    sent = [
        {"reply_id": reply_id, "session_id": "s", "replied_at": at, **usages}
        for reply_id, at, usages in replies
    ]
    assert client.post("/replies", json=sent).json()["accepted"] == len(sent)
    catalogue: list[dict[str, Any]] = [
        {"type": "instruction", "id": "kept", "name": "Outage", "keep": True},
        {"type": "instruction", "id": "never_available", "url": "https://example.com/x"},
        {"type": "instruction", "id": "used", "keep": True},
    ]
    assert client.put("/resources", json=catalogue).json()["accepted"] == len(catalogue)
    return client


def _apply(resource_id: str) -> dict[str, list[str]]:
    return {"instruction": [resource_id]}


def test_each_unused_resource_is_listed_with_the_reason_the_heaviest_first(
    loaded: httpx.Client,
) -> None:
    query = {"type": "instruction", "from": "2026-03-01", "to": "2026-03-31"}
    answer = loaded.get(UNUSED, params=query).json()
    assert answer["next"] is None
    assert answer["applied_signal"] is True
    told = [
        (row["resource_id"], row["reason"], row["available_replies"]) for row in answer["items"]
    ]
    assert told == [
        ("never_applied", "never_applied", 2),
        ("kept", "kept", 1),
        ("stopped", "stopped", 1),
        ("never_available", "never_available", 0),
    ]
    assert answer["items"][1]["name"] == "Outage"
    assert answer["items"][2] == {
        "resource_id": "stopped",
        "name": None,
        "url": None,
        "reason": "stopped",
        "available_replies": 1,
        "available_sessions": 1,
        "last_used_at": "2026-02-10T10:00:00Z",
    }
    assert answer["items"][3]["url"] == "https://example.com/x"


def test_without_a_window_only_what_was_never_applied_is_unused(loaded: httpx.Client) -> None:
    items = loaded.get(UNUSED, params={"type": "instruction"}).json()["items"]
    assert [row["resource_id"] for row in items] == ["never_applied", "kept", "never_available"]


def test_pages_put_together_are_the_whole_list(loaded: httpx.Client) -> None:
    query = {"type": "instruction", "from": "2026-03-01"}
    whole = loaded.get(UNUSED, params=query).json()["items"]
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in whole:
        page = loaded.get(UNUSED, params={**query, **cursor, "limit": 1}).json()
        pages += page["items"]
        cursor = {"cursor": page["next"]}
    assert pages == whole
    assert page["next"] is None


def test_a_cursor_is_good_for_its_own_question_alone(loaded: httpx.Client) -> None:
    cursor = loaded.get(UNUSED, params={"type": "instruction", "limit": 1}).json()["next"]
    answer = loaded.get(UNUSED, params={"type": "knowledge", "cursor": cursor})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("cursor: it belongs to another question")


def test_it_is_told_where_nobody_knows_what_was_applied(server: Server) -> None:
    org = server.new_org()
    reply = Reply("r_1", "s_1", START, available=Available(instruction=["ins"]))
    server.store.record([Recording(org, [reply], reports=frozenset({ResourceType.ACTION}))])
    answer = server.client(org).get(UNUSED, params={"type": "instruction"}).json()
    assert answer["applied_signal"] is False
    assert len(answer["items"]) == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, "type: missing; send one of action, instruction, knowledge"),
        ({"type": "tool"}, "type: 'tool' is not one of action, instruction, knowledge"),
        ({"type": "action", "limit": "0"}, "limit: '0' is not a whole number from 1 to 250"),
        ({"type": "action", "cursor": "x"}, "cursor: 'x' is not the `next`"),
        ({"type": "action", "to": "x"}, "to: 'x' is not an ISO 8601 date or date-time"),
        ({"type": "action", "format": "pdf"}, "format: 'pdf' is not one of json, csv"),
    ],
)
def test_a_bad_parameter_is_400_and_the_message_names_it(
    client: httpx.Client, query: dict[str, str], told: str
) -> None:
    answer = client.get(UNUSED, params=query)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(told)


def test_a_key_needs_the_scopes_of_the_type(server: Server) -> None:
    client = server.client(scopes=["actions:read", "chat-sessions:read"])
    assert client.get(UNUSED, params={"type": "action"}).status_code == 200
    answer = client.get(UNUSED, params={"type": "knowledge"})
    assert answer.json()["message"] == "the key lacks the scope training:read"


def test_the_dead_weight_is_to_be_had_as_csv_page_by_page(loaded: httpx.Client) -> None:
    loaded.put("/resources", json={"type": "instruction", "id": "kept", "name": "=cmd()"})
    query: dict[str, str | int] = {"type": "instruction", "format": "csv", "limit": 2}
    answer = loaded.get(UNUSED, params=query)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = 'attachment; filename="unused-instruction.csv"'
    assert answer.headers["content-disposition"] == disposition
    assert answer.text == (
        "resource_id,name,url,reason,available_replies,available_sessions,last_used_at\r\n"
        "never_applied,,,never_applied,3,1,\r\n"
        "kept,'=cmd(),,kept,2,1,\r\n"
    )
    rows = answer.text.splitlines()[1:]
    page = loaded.get(UNUSED, params={**query, "limit": 1})
    paged = page.text.splitlines()[1:]
    while "next" in page.links:
        page = loaded.get(page.url.join(page.links["next"]["url"]))
        paged += page.text.splitlines()[1:]
    assert paged == [*rows, "never_available,,https://example.com/x,never_available,0,0,"]
