"""Counting over HTTP: what the three questions take, answer and refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from applyrate.usage import Available, Recording, Reply, ResourceType
from tests.servers import Server

START = datetime(2026, 3, 1, tzinfo=UTC)
SUMMARY = "/resource-usage/instruction/ins/usage-summary"


@pytest.fixture(scope="module")
def counted(server: Server) -> httpx.Client:
    """Ten days with a reply each: day n has n instructions available and the first applied."""
    client = server.client()
    replies = [
        {
            "reply_id": f"r{day}",
            "session_id": f"s{day % 4}",
            "replied_at": (START + timedelta(days=day, hours=12)).isoformat(),
            "available": {"instruction": [f"ins{n}" for n in range(day + 1)]},
            "applied": {"instruction": ["ins"], "action": ["look"] * 2},
        }
        for day in range(10)
    ]
    assert client.post("/replies", json=replies).status_code == 200
    client.put("/conversations/s0", json={"handed_off_at": "2026-03-09T00:00:00Z"})
    return client


def test_a_summary_has_the_contracts_fields_in_its_types(counted: httpx.Client) -> None:
    answer = counted.get(SUMMARY)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "session_count": 4,
        "applied_sessions": 4,
        "applied_replies": 10,
        "available_sessions": 4,
        "available_replies": 10,
        "first_used_at": "2026-03-01T12:00:00Z",
        "last_used_at": "2026-03-10T12:00:00Z",
    }


def test_a_resource_nobody_recorded_counts_zero(counted: httpx.Client) -> None:
    answer = counted.get("/resource-usage/knowledge/never/usage-summary")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "session_count": 0,
            "applied_sessions": 0,
            "applied_replies": 0,
            "available_sessions": 0,
            "available_replies": 0,
            "first_used_at": None,
            "last_used_at": None,
        },
    )


@pytest.mark.parametrize(
    ("window", "replies"),
    [
        ({"from": "2026-03-02", "to": "2026-03-03"}, 2),
        ({"from": "2026-03-02T12:00:00", "to": "2026-03-03T12:00:00"}, 1),
        ({"from": "2026-03-02T12:00:00.000001Z"}, 8),
        ({"to": "2026-03-02T14:00:00+02:00"}, 1),
        ({"to": "2026-03-02 12:00:01"}, 2),
        ({"from": "2026-03-10", "to": "2026-03-10"}, 1),
        ({"from": "2026-04-01"}, 0),
        ({}, 10),
    ],
)
def test_a_window_is_half_open_and_a_date_is_its_whole_day(
    counted: httpx.Client, window: dict[str, str], replies: int
) -> None:
    assert counted.get(SUMMARY, params=window).json()["applied_replies"] == replies


def test_a_plus_that_was_not_encoded_still_means_an_offset(counted: httpx.Client) -> None:
    answer = counted.get(f"{SUMMARY}?to=2026-03-02T14:00:00+02:00")
    assert answer.json()["applied_replies"] == 1


def test_a_list_holds_every_resource_most_recent_use_first(counted: httpx.Client) -> None:
    answer = counted.get("/resource-usage/instruction").json()
    assert answer["next"] is None
    assert [row["resource_id"] for row in answer["items"]] == ["ins"] + [
        f"ins{n}" for n in range(10)
    ]
    assert answer["items"][0] == {
        "resource_id": "ins",
        "session_count": 4,
        "applied_sessions": 4,
        "applied_replies": 10,
        "available_sessions": 4,
        "available_replies": 10,
        "handoff_count": 1,
        "first_used_at": "2026-03-01T12:00:00Z",
        "last_used_at": "2026-03-10T12:00:00Z",
    }


def test_a_row_begins_with_the_resource_and_has_a_name_where_one_is_known(server: Server) -> None:
    org = server.new_org()
    reply = Reply("r_1", "s_1", START, available=Available(instruction=["ins_1", "ins_2"]))
    names = {ResourceType.INSTRUCTION: {"ins_1": "Refunds"}}
    server.store.record([Recording(org, [reply], names=names)])
    rows = server.client(org).get("/resource-usage/instruction").json()["items"]
    assert [list(row)[:2] for row in rows] == [
        ["resource_id", "name"],
        ["resource_id", "session_count"],
    ]
    assert rows[0]["name"] == "Refunds"


def test_a_list_says_whether_it_is_known_what_was_applied(server: Server) -> None:
    org = server.new_org()
    reply = Reply("r_1", "s_1", START, available=Available(instruction=["ins_1"]))
    actions = frozenset({ResourceType.ACTION})
    server.store.record([Recording(org, [reply], reports=actions)])
    client = server.client(org)

    def signals() -> list[bool]:
        pages = (client.get(f"/resource-usage/{name}").json() for name in ResourceType)
        return [page["applied_signal"] for page in pages]

    assert signals() == [True, False, False]
    recorded = {"reply_id": "r_2", "session_id": "s_1", "replied_at": "2026-03-01T10:00:00Z"}
    client.post("/replies", json=recorded)
    assert signals() == [True, True, True]


def test_conversations_are_listed_newest_first(counted: httpx.Client) -> None:
    answer = counted.get("/resource-usage/action/look/conversations").json()
    assert [(row["session_id"], row["reply_count"]) for row in answer["items"]] == [
        ("s1", 3),
        ("s0", 3),
        ("s3", 2),
        ("s2", 2),
    ]
    assert answer["items"][0] == {
        "session_id": "s1",
        "reply_count": 3,
        "ticket_number": None,
        "last_message": None,
        "first_used_at": "2026-03-02T12:00:00Z",
        "last_used_at": "2026-03-10T12:00:00Z",
    }


def test_conversations_are_of_applied_usage_unless_asked_otherwise(counted: httpx.Client) -> None:
    path = "/resource-usage/instruction/ins9/conversations"
    assert counted.get(path).json()["items"] == []
    assert counted.get(path, params={"usage": "applied"}).json()["items"] == []
    available = counted.get(path, params={"usage": "available"}).json()["items"]
    assert [row["session_id"] for row in available] == ["s1"]


@pytest.mark.parametrize(
    "path", ["/resource-usage/instruction", "/resource-usage/action/look/conversations"]
)
@pytest.mark.parametrize("window", [{}, {"from": "2026-03-02", "to": "2026-03-08"}])
@pytest.mark.parametrize("limit", [1, 3, 250])
def test_pages_put_together_are_the_whole_list(
    counted: httpx.Client, path: str, window: dict[str, str], limit: int
) -> None:
    whole = counted.get(path, params=window).json()["items"]
    assert len(whole) > 3
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = counted.get(path, params={**window, "limit": limit, **cursor}).json()
        assert len(page["items"]) <= limit
        pages += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert pages == whole


def test_a_cursor_is_good_for_its_own_question_alone(counted: httpx.Client) -> None:
    listed, conversed = "/resource-usage/instruction", "/resource-usage/action/look/conversations"
    of_list = counted.get(listed, params={"limit": 1}).json()["next"]
    of_conversations = counted.get(conversed, params={"limit": 1}).json()["next"]
    assert counted.get(listed, params={"cursor": of_list}).status_code == 200
    for path, params in (
        (conversed, {"cursor": of_list}),
        (listed, {"cursor": of_conversations}),
        ("/resource-usage/action", {"cursor": of_list}),
        (listed, {"cursor": of_list, "from": "2026-03-02"}),
        (conversed, {"cursor": of_conversations, "usage": "available"}),
        ("/resource-usage/action/other/conversations", {"cursor": of_conversations}),
    ):
        answer = counted.get(path, params=params)
        assert answer.status_code == 400
        assert answer.json()["message"].startswith("cursor: it belongs to another question")


@pytest.mark.parametrize(
    "cursor", ["", "x", "====", "ä", "AAAAAAAAAAAA", "A" * 5_000, "Zm9v Zm9v", "%00"]
)
def test_a_text_that_is_no_cursor_is_400(counted: httpx.Client, cursor: str) -> None:
    answer = counted.get("/resource-usage/instruction", params={"cursor": cursor})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("cursor: ")


@pytest.mark.parametrize(
    "limit", ["0", "251", "-1", "1.5", "ten", "", " 5", "+5", "1_0", "٣", "9" * 5_000]
)
def test_a_limit_is_a_whole_number_from_1_to_250(counted: httpx.Client, limit: str) -> None:
    answer = counted.get("/resource-usage/instruction", params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"limit: {limit!r} is not a whole number from 1 to 250"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from=2026-13-01", "from: '2026-13-01' is not an ISO 8601 date or date-time"),
        ("to=soon", "to: 'soon' is not an ISO 8601 date or date-time"),
        ("to=", "to: '' is not an ISO 8601 date or date-time"),
        (
            "from=2026-03-02&to=2026-03-01",
            "from: '2026-03-02' is after to: '2026-03-01'; a window starts before it ends",
        ),
        (
            "from=2026-03-01&from=2026-03-02",
            "from: given more than once: '2026-03-01', '2026-03-02'; send one",
        ),
        ("to=2026-03-01&to=2026-03-01", "to: given more than once: '2026-03-01', '2026-03-01'"),
        ("from=%ff", "the query: not percent-encoded UTF-8"),
    ],
)
@pytest.mark.parametrize(
    "path",
    [SUMMARY, "/resource-usage/instruction", "/resource-usage/action/look/conversations"],
)
def test_a_bad_window_is_400_and_the_message_names_it(
    counted: httpx.Client, path: str, query: str, message: str
) -> None:
    answer = counted.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize("name", ["limit", "cursor", "usage"])
def test_any_parameter_given_twice_is_400(counted: httpx.Client, name: str) -> None:
    answer = counted.get(f"/resource-usage/action/look/conversations?{name}=1&{name}=2")
    assert answer.status_code == 400
    assert answer.json()["message"] == f"{name}: given more than once: '1', '2'; send one"


def test_a_parameter_that_is_not_the_operations_own_is_ignored(counted: httpx.Client) -> None:
    assert counted.get(f"{SUMMARY}?limit=x&limit=y&_=1&usage=z").status_code == 200


def test_an_unknown_usage_is_400(counted: httpx.Client) -> None:
    answer = counted.get("/resource-usage/action/look/conversations?usage=cited")
    assert answer.json()["message"] == "usage: 'cited' is not one of available, applied"


@pytest.mark.parametrize("rest", ["", "/x/usage-summary", "/x/conversations"])
def test_an_unknown_type_is_400_and_the_three_are_told(counted: httpx.Client, rest: str) -> None:
    answer = counted.get(f"/resource-usage/tool{rest}")
    assert answer.status_code == 400
    assert answer.json()["message"] == (
        "resource_type: 'tool' is not one of action, instruction, knowledge"
    )


def test_one_organization_sees_nothing_of_another(server: Server) -> None:
    mine, theirs = server.client(), server.client()
    reply = {
        "reply_id": "r",
        "session_id": "s",
        "replied_at": "2026-03-01T10:00:00Z",
        "applied": {"action": ["look"]},
    }
    mine.post("/replies", json=reply | {"last_message": "secret"})
    answer = theirs.post("/replies", json=reply | {"replied_at": "2026-03-02T10:00:00Z"})
    assert answer.json()["accepted"] == 1
    theirs.put(
        "/conversations/s",
        json={"ticket_number": 9, "handed_off_at": "2026-03-02T00:00:00Z"},
    )
    (row,) = mine.get("/resource-usage/action").json()["items"]
    assert (row["applied_replies"], row["handoff_count"]) == (1, 0)
    (row,) = theirs.get("/resource-usage/action/look/conversations").json()["items"]
    assert row["last_message"] is None
    (row,) = mine.get("/resource-usage/action/look/conversations").json()["items"]
    assert (row["last_message"], row["ticket_number"]) == ("secret", None)


def test_a_recorded_reply_shows_in_the_next_answer(client: httpx.Client) -> None:
    for n in range(20):
        reply = {
            "reply_id": f"r{n}",
            "session_id": "s",
            "replied_at": "2026-03-01T10:00:00Z",
            "applied": {"action": ["look"]},
        }
        client.post("/replies", json=reply)
        answer = client.get("/resource-usage/action/look/usage-summary").json()
        assert answer["applied_replies"] == n + 1


@pytest.mark.parametrize(
    "resource_id",
    [
        "a/b",
        "/",
        "//",
        "..",
        ".",
        "../../keys",
        "100%",
        "%2F",
        "a?b=c&d",
        "a#b",
        "😀 with space",
        "a+b",
        "conversations",
        "usage-summary",
        "{resource_id}",
        "\n\t",
        "x" * 512,
        "é" * 512,
    ],
)
def test_an_identifier_may_be_any_text(server: Server, resource_id: str) -> None:
    client = server.client()
    reply = {
        "reply_id": "r",
        "session_id": resource_id,
        "replied_at": "2026-03-01T10:00:00Z",
        "applied": {"action": [resource_id]},
    }
    assert client.post("/replies", json=reply).json()["accepted"] == 1
    headers = {"Authorization": client.headers["Authorization"], "Content-Type": "application/json"}
    segment = quote(resource_id, safe="")
    for encoded in (segment, segment.replace(".", "%2E")):
        for rest in ("usage-summary", "conversations"):
            target = f"/resource-usage/action/{encoded}/{rest}"
            response, body = server.request_raw("GET", target, headers)
            assert response.status == 200, body
            assert b'"2026-03-01T10:00:00Z"' in body
    response, body = server.request_raw("PUT", f"/conversations/{segment}", headers, b'{"csat": 5}')
    assert response.status == 204, body


@pytest.mark.parametrize(
    ("segment", "told"),
    [
        ("%ff", "is not percent-encoded UTF-8"),
        ("%ed%a0%80", "is not percent-encoded UTF-8"),
        ("a%00b", "contains the character U+0000"),
        ("x" * 513, "has 513 characters; 512 are the most"),
        ("%F0%9F%98%80" * 513, "has 513 characters; 512 are the most"),
    ],
)
def test_a_text_that_no_identifier_can_be_is_400(server: Server, segment: str, told: str) -> None:
    headers = {"Authorization": server.client().headers["Authorization"]}
    for name, target in (
        ("resource_id", f"/resource-usage/action/{segment}/usage-summary"),
        ("session_id", f"/conversations/{segment}"),
    ):
        method = "PUT" if name == "session_id" else "GET"
        response, body = server.request_raw(method, target, headers)
        assert response.status == 400
        assert f'"message":"{name}: '.encode() in body
        assert told.encode() in body
