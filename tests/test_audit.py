"""The audit log tells who did what, and never a secret."""

from pathlib import Path
from typing import Any

import httpx
import jwt

from tests.commands import answer, run
from tests.dashboard import reading
from tests.servers import Server, running_server
from tests.test_dashboard_keys import make, shown_key

JWT_SECRET = "a secret that nobody else can guess"


def acts(client: httpx.Client) -> list[tuple[Any, ...]]:
    """The organization's log, oldest first: who, what, to what, and more."""
    items = client.get("/audit", params={"limit": 250}).raise_for_status().json()["items"]
    fields = ("actor", "action", "target", "detail")
    return [tuple(item[field] for field in fields) for item in reversed(items)]


def test_each_act_is_noted_with_who_did_it(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    (first,) = client.get("/keys").json()["items"]
    who, first_id = f"key:{first['key_id']}", first["key_id"]
    made = client.post("/keys", json={"name": "ci", "scopes": ["org:read"]}).json()
    client.delete(f"/keys/{made['key_id']}").raise_for_status()
    client.delete(f"/keys/{made['key_id']}").raise_for_status()  # revoked before: no act
    client.delete("/conversations/s_1").raise_for_status()
    client.get("/export/usages", params={"from": "2026-03-01", "format": "csv"}).raise_for_status()
    for keep in (True, True, False):
        entry = {"type": "instruction", "id": "fax", "keep": keep}
        client.put("/resources", json=entry).raise_for_status()
    noted = acts(client)
    digest = noted[3][2]
    assert len(bytes.fromhex(digest)) == 16
    assert noted == [
        ("command-line", "key.create", first_id, "test: full access"),
        (who, "key.create", made["key_id"], "ci: org:read"),
        (who, "key.revoke", made["key_id"], "ci"),
        (who, "conversation.erase", digest, None),
        (who, "usages.export", None, "csv, from 2026-03-01 to the last"),
        (who, "resource.keep", "instruction/fax", "kept"),
        (who, "resource.keep", "instruction/fax", "not kept"),
    ]


def test_sessions_and_tokens_are_told_apart_from_keys(tmp_path: Path) -> None:
    with running_server(tmp_path, jwt_secret=JWT_SECRET) as server:
        key = server.new_key("acme")
        with reading(server, key) as reader:
            shown_key(make(reader, name="by hand", access="full"))
        claims = {"org": "acme", "sub": "ann", "exp": 2**33, "scope": "*"}
        token = jwt.encode(claims, JWT_SECRET, "HS256")
        client = server.client(key=token)
        client.post("/keys", json={"name": "by token"}).raise_for_status()
        (own_id,) = [
            k["key_id"] for k in client.get("/keys").json()["items"] if k["name"] == "test"
        ]
        assert [act[0] for act in acts(client)] == [
            "command-line",
            f"session:{own_id}",
            "token:ann",
        ]


def test_the_log_is_read_page_by_page_by_whoever_may_and_by_no_other_organization(
    server: Server,
) -> None:
    org = server.new_org()
    client = server.client(org)
    for number in range(5):
        client.delete(f"/conversations/s_{number}").raise_for_status()
    pages, cursor = list[list[str]](), None
    while True:
        page = client.get("/audit", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        pages.append([item["action"] for item in page.json()["items"]])
        if (cursor := page.json()["next"]) is None:
            break
    assert pages == [["conversation.erase"] * 2] * 2 + [["conversation.erase", "key.create"]]
    assert client.get("/audit", params={"cursor": "x"}).status_code == 400
    narrow = server.client(org, ["org:write", "chat-sessions:read"])
    assert narrow.get("/audit").status_code == 403
    stranger = server.client()
    assert [act[1] for act in acts(stranger)] == ["key.create"]


def test_no_secret_is_noted(tmp_path: Path) -> None:
    with running_server(tmp_path, jwt_secret=JWT_SECRET) as server:
        client = server.client("acme")
        key = client.post("/keys", json={"name": "ci"}).json()["key"]
        client.delete("/conversations/jane.doe@mail.example").raise_for_status()
        told = client.get("/audit").text
    seen = told.encode() + b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (key.encode(), JWT_SECRET.encode(), b"jane.doe@mail.example"):
        assert secret not in seen


def test_the_command_lists_what_commands_did(tmp_path: Path) -> None:
    where = ("--data", tmp_path, "--org", "acme")
    run("keys", "create", "--name", "ci", *where)
    run("erase", "s_1", "--yes", *where)
    run("erase", "--messages", "--yes", *where)
    run("attribute", "--from-attribute", "app.chat", *where)
    listed = answer("audit", *where)
    assert [(act["actor"], act["action"]) for act in listed["items"]] == [
        ("command-line", action)
        for action in ("attribute.map", "messages.erase", "conversation.erase", "key.create")
    ]
    assert listed["items"][0]["target"] == "app.chat"
    first = answer("audit", "--limit", 3, *where)
    (rest,) = answer("audit", "--cursor", first["next"], *where)["items"]
    assert rest == listed["items"][3]
    assert answer("audit", "--all", "--limit", 1, *where) == listed
    shown = run("audit", *where).stdout
    assert "attribute.map" in shown
    assert "app.chat" in shown
    other = run("audit", "--data", tmp_path, "--org", "globex").stdout
    assert other == "Nothing is noted of globex.\n"
