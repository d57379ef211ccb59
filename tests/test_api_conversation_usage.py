"""One conversation over HTTP: what its replies had and applied, as far as the key may see."""

import httpx
import pytest

from tests.servers import Server

USAGE = "/conversations/conv_1/usage"


@pytest.fixture(scope="module")
def org(server: Server) -> str:
    """An organization with a conversation of two replies, recorded the wrong way round."""
    org = server.new_org()
    client = server.client(org)
    client.post(
        "/replies",
        json=[
            {
                "reply_id": "r_2",
                "session_id": "conv_1",
                "replied_at": "2026-03-01T10:01:00Z",
                "available": {"instruction": ["tone"]},
            },
            {
                "reply_id": "r_1",
                "session_id": "conv_1",
                "replied_at": "2026-03-01T10:00:00Z",
                "available": {"instruction": ["tone"], "knowledge": ["kb"], "action": ["look"]},
                "applied": {"knowledge": ["kb"], "action": ["look", "look"]},
                "ticket_number": 7,
            },
        ],
    )
    client.put("/conversations/conv_1", json={"status": "resolved", "csat": 4.5})
    return org


def test_replies_are_in_order_with_what_each_had_and_applied(server: Server, org: str) -> None:
    assert server.client(org).get(USAGE).json() == {
        "session_id": "conv_1",
        "ticket_number": 7,
        "last_message": None,
        "handed_off_at": None,
        "status": "resolved",
        "csat": 4.5,
        "replies": [
            {
                "reply_id": "r_1",
                "replied_at": "2026-03-01T10:00:00Z",
                "available": {"action": ["look"], "instruction": ["tone"], "knowledge": ["kb"]},
                "applied": {"action": ["look", "look"], "instruction": [], "knowledge": ["kb"]},
            },
            {
                "reply_id": "r_2",
                "replied_at": "2026-03-01T10:01:00Z",
                "available": {"action": [], "instruction": ["tone"], "knowledge": []},
                "applied": {"action": [], "instruction": [], "knowledge": []},
            },
        ],
    }


@pytest.mark.parametrize(
    ("scopes", "types"),
    [
        (["chat-sessions:read"], set()),
        (["chat-sessions:read", "actions:read"], {"action"}),
        (["chat-sessions:read", "training:read"], {"instruction", "knowledge"}),
    ],
)
def test_types_that_the_key_may_not_read_are_left_out(
    server: Server, org: str, scopes: list[str], types: set[str]
) -> None:
    for reply in server.client(org, scopes).get(USAGE).json()["replies"]:
        assert (set(reply["available"]), set(reply["applied"])) == (types, types)


def test_without_the_scope_of_conversations_there_is_nothing(server: Server, org: str) -> None:
    answer = server.client(org, ["training:read", "actions:read"]).get(USAGE)
    assert answer.status_code == 403
    assert answer.json()["message"] == "the key lacks the scope chat-sessions:read"


def test_an_unknown_conversation_is_404_and_so_is_anothers(client: httpx.Client, org: str) -> None:
    assert org
    answer = client.get(USAGE)
    assert answer.status_code == 404
    told = "session_id: nothing is recorded of a conversation 'conv_1'"
    assert answer.json()["message"] == told
