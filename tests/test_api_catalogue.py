"""The catalogue over HTTP: what is known of resources beside their usages."""

from typing import Any

import httpx
import msgspec
import pytest

from applyrate.usage import CataloguedResource, ResourceType
from tests.servers import Server

ENTRY = {
    "type": "instruction",
    "id": "ins_refund",
    "name": "Refunds",
    "version": "2026-03",
    "url": "https://wiki.example.com/refunds",
    "published_at": "2026-03-01T10:00:00+01:00",
    "keep": True,
}


def catalogued(server: Server, org: str, name: str, resource_id: str) -> CataloguedResource | None:
    found = server.store.catalogue(org, ResourceType(name), [resource_id])
    return found.get(resource_id)


def set_resources(client: httpx.Client, *entries: dict[str, Any]) -> httpx.Response:
    return client.put("/resources", json=list(entries))


def test_a_resource_that_was_never_seen_is_listed_with_zeros(client: httpx.Client) -> None:
    assert set_resources(client, ENTRY).json() == {"accepted": 1, "rejected": []}
    (row,) = client.get("/resource-usage/instruction").json()["items"]
    assert row == {
        "resource_id": "ins_refund",
        "name": "Refunds",
        "session_count": 0,
        "applied_sessions": 0,
        "applied_replies": 0,
        "available_sessions": 0,
        "available_replies": 0,
        "handoff_count": 0,
        "first_used_at": None,
        "last_used_at": None,
    }


def test_all_that_an_entry_says_is_kept(server: Server) -> None:
    org = server.new_org()
    set_resources(server.client(org), ENTRY)
    kept = msgspec.to_builtins(catalogued(server, org, "instruction", "ins_refund"))
    assert kept == {
        "name": "Refunds",
        "version": "2026-03",
        "url": "https://wiki.example.com/refunds",
        "published_at": "2026-03-01T09:00:00Z",
        "keep": True,
        "versions": [{"version": "2026-03", "published_at": "2026-03-01T09:00:00Z"}],
    }


def test_a_field_left_out_stays_and_null_takes_one_back(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    which = {"type": "instruction", "id": "ins_refund"}
    set_resources(client, ENTRY)
    set_resources(client, which | {"name": "Money back", "url": None})
    kept = catalogued(server, org, "instruction", "ins_refund")
    assert kept is not None
    assert (kept.name, kept.url, kept.version, kept.keep) == ("Money back", None, "2026-03", True)


def test_a_bad_entry_rejects_itself_and_never_its_neighbours(server: Server) -> None:
    org = server.new_org()
    answer = set_resources(
        server.client(org),
        {"type": "tool", "id": "a"},
        ENTRY,
        {"type": "knowledge", "id": "b", "url": "wiki"},
        {"type": "knowledge", "id": "c", "colour": "red"},
        {"type": "knowledge"},
        {"type": "knowledge", "id": ""},
        {"type": "knowledge", "id": "d", "published_at": "0001-01-01T00:00:00+14:00"},
        {"type": "knowledge", "id": "e", "name": "a\0b"},
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1,
        "rejected": [
            {
                "index": 0,
                "id": "a",
                "message": "type: 'tool' is not one of action, instruction, knowledge",
            },
            {"index": 2, "id": "b", "message": "url: 'wiki' is no http or https address"},
            {"index": 3, "id": "c", "message": "colour: there is no such field"},
            {"index": 4, "id": None, "message": "id: required, and missing"},
            {"index": 5, "id": "", "message": "id: '' is shorter than 1 character"},
            {
                "index": 6,
                "id": "d",
                "message": "published_at: '0001-01-01T00:00:00+14:00' lies outside the years 1 to"
                " 9999 in UTC",
            },
            {
                "index": 7,
                "id": "e",
                "message": "name: 'a\\x00b' contains the character U+0000, which no text may",
            },
        ],
    }
    assert catalogued(server, org, "instruction", "ins_refund")


def test_where_no_entry_is_usable_the_answer_is_400(client: httpx.Client) -> None:
    one, two = {"type": "knowledge", "id": 5}, {"type": "tool", "id": "x"}
    answer = set_resources(client, one)
    assert answer.status_code == 400
    assert answer.json()["message"] == "the entry is not usable: id: 5 is not a string"
    message = set_resources(client, one, two).json()["message"]
    assert message == "none of 2 entries is usable; at index 0: id: 5 is not a string"
    assert set_resources(client).json() == {"accepted": 0, "rejected": []}


def test_entries_come_alone_in_an_array_or_one_on_each_line(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    assert client.put("/resources", json=ENTRY).json()["accepted"] == 1
    lines = b'{"type":"action","id":"a"}\n\n{"type":"action","id":"b"}\nbroken\n'
    answer = client.put(
        "/resources", content=lines, headers={"Content-Type": "application/x-ndjson"}
    ).json()
    assert (answer["accepted"], [one["index"] for one in answer["rejected"]]) == (2, [2])
    assert catalogued(server, org, "action", "b")
    assert client.put("/resources", content=b"x").status_code == 415


@pytest.mark.parametrize(
    ("entries", "missing"),
    [
        (["instruction", "action"], "actions:write"),
        (["action"], "actions:write"),
        (["knowledge", "instruction"], None),
    ],
)
def test_the_types_of_the_entries_say_which_scopes_are_needed(
    server: Server, entries: list[str], missing: str | None
) -> None:
    org = server.new_org()
    client = server.client(org, ["training:write"])
    answer = set_resources(client, *({"type": name, "id": "x"} for name in entries))
    if missing is None:
        assert answer.json()["accepted"] == 2
        return
    assert answer.status_code == 403
    assert answer.json()["message"] == f"the key lacks the scope {missing}"
    assert all(catalogued(server, org, name, "x") is None for name in entries)


def test_writing_actions_lets_nobody_write_instructions(server: Server) -> None:
    client = server.client(scopes=["actions:write"])
    assert set_resources(client, {"type": "action", "id": "x"}).json()["accepted"] == 1
    answer = set_resources(client, {"type": "knowledge", "id": "x"})
    assert answer.json()["message"] == "the key lacks the scope training:write"


def test_10_000_entries_are_the_most_at_once(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    entries = [{"type": "action", "id": f"a{n}"} for n in range(10_001)]
    answer = set_resources(client, *entries)
    assert answer.status_code == 413
    assert answer.json()["message"].startswith(
        "the body: more than 10,000 entries; send the others"
    )
    assert catalogued(server, org, "action", "a0") is None
    assert set_resources(client, *entries[:-1]).json() == {"accepted": 10_000, "rejected": []}


def test_one_organizations_catalogue_is_not_anothers(server: Server) -> None:
    mine, theirs = server.client(), server.client()
    set_resources(mine, ENTRY)
    assert theirs.get("/resource-usage/instruction").json()["items"] == []
