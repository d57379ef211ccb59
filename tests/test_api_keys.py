"""Keys over HTTP: made, shown once, listed, revoked."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.keys import is_well_formed
from applyrate.store import open_store
from tests.servers import Server, running_server

READ = ["chat-sessions:read", "training:read"]


def test_a_new_key_is_shown_once_and_works(client: httpx.Client, server: Server) -> None:
    answer = client.post("/keys", json={"name": "ci", "scopes": READ[::-1]})
    assert answer.status_code == 201
    body = answer.json()
    key = body.pop("key")
    assert is_well_formed(key)
    assert body.pop("key_id").startswith("key_")
    assert datetime.fromisoformat(body.pop("created_at")).tzinfo is not None
    assert body.pop("org").startswith("org-")
    assert body == {
        "name": "ci",
        "hint": key[-4:],
        "scopes": READ,
        "last_used_at": None,
        "expires_at": None,
        "revoked_at": None,
    }
    assert server.client(key=key).get("/resource-usage/knowledge").status_code == 200
    assert server.client(key=key).get("/resource-usage/action").status_code == 403
    assert key not in client.get("/keys").text


def test_a_key_without_scopes_has_full_access(client: httpx.Client, server: Server) -> None:
    body = client.post("/keys", json={"name": "all"}).json()
    assert body["scopes"] is None
    assert server.client(key=body["key"]).get("/keys").status_code == 200


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "name: required, and missing"),
        ({"name": ""}, "name: '' is shorter than 1 character"),
        ({"name": "x" * 201}, "is longer than 200 characters"),
        ({"name": "x", "scopes": []}, "scopes: [] is shorter than 1 item"),
        ({"name": "x", "scopes": ["org:read", "root"]}, "scopes: 'root' is not one of usage:write"),
        ({"name": "x", "scope": "org:read"}, "scope: there is no such field"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "is past"),
        ({"name": "x", "expires_at": "0001-01-01T00:00:00+09:00"}, "lies outside the years"),
        ({"name": "x", "expires_at": "soon"}, "expires_at: 'soon' is not an ISO 8601 date-time"),
        ({"name": "a\0"}, "contains the character U+0000"),
    ],
)
def test_a_wish_that_breaks_a_rule_is_400(
    client: httpx.Client, wanted: dict[str, Any], message: str
) -> None:
    answer = client.post("/keys", json=wanted)
    assert answer.status_code == 400
    assert message in answer.json()["message"]


def test_nobody_gives_what_they_do_not_hold(server: Server) -> None:
    client = server.client(scopes=["org:write", "training:read"])
    assert client.post("/keys", json={"name": "x", "scopes": ["training:read"]}).status_code == 201
    for scopes in (["training:read", "actions:read"], ["org:read"], None):
        answer = client.post("/keys", json={"name": "x", "scopes": scopes})
        assert answer.status_code == 403
        assert answer.json()["message"].startswith("scopes: ")


def test_a_revoked_key_opens_nothing_from_the_next_request_on(server: Server) -> None:
    client = server.client()
    made = client.post("/keys", json={"name": "x", "scopes": ["org:read"]}).json()
    other = server.client(key=made["key"])
    assert other.get("/keys").status_code == 200
    first = client.delete(f"/keys/{made['key_id']}")
    assert first.status_code == 200
    assert first.json()["revoked_at"] is not None
    assert other.get("/keys").status_code == 401
    again = client.delete(f"/keys/{made['key_id']}").json()
    assert again["revoked_at"] == first.json()["revoked_at"]
    (row,) = [one for one in client.get("/keys").json()["items"] if one["name"] == "x"]
    assert row["revoked_at"] is not None


def test_a_key_of_another_organization_can_be_neither_seen_nor_revoked(server: Server) -> None:
    mine, theirs = server.client(), server.client()
    key_id = mine.post("/keys", json={"name": "mine"}).json()["key_id"]
    answer = theirs.delete(f"/keys/{key_id}")
    assert (answer.status_code, answer.json()["message"]) == (
        404,
        f"key_id: {key_id!r} is no key of this organization",
    )
    assert key_id not in theirs.get("/keys").text
    assert key_id in mine.get("/keys").text
    assert mine.get("/keys").json()["items"][1]["revoked_at"] is None


def test_the_list_tells_when_each_key_was_last_used(server: Server) -> None:
    client = server.client()
    before = datetime.now(UTC)
    (row,) = client.get("/keys").json()["items"]
    assert before <= datetime.fromisoformat(row["last_used_at"]) <= datetime.now(UTC)


def test_the_last_use_of_a_key_is_written_at_the_services_end(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client("acme")
        client.get("/resource-usage/action")
        (key,) = server.store.keys("acme")
        assert key.last_used_at is None, "no request waits for this to be written"
    store = open_store(tmp_path / "data")
    (key,) = store.keys("acme")
    store.close()
    assert key.last_used_at is not None
