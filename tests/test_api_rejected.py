"""``GET /intake/rejected``: what came and was not taken, and why."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.exporting import AGENT, export, sent, trace_id
from tests.servers import Server, end_process, running_server, start_process

SECONDS = 20
PATH = "/intake/rejected"
NO_TIME = {"reply_id": "r_bad", "session_id": "s", "replied_at": "2026-13-01"}
RULE = "replied_at: is not an ISO 8601 date-time such as 2026-03-01T10:00:00Z"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("rejected") / "data") as server:
        yield server


def good(number: int) -> dict[str, str]:
    return {"reply_id": f"r{number}", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}


def told(
    client: httpx.Client, enough: Callable[[dict[str, Any]], object] = lambda told: told["items"]
) -> dict[str, Any]:
    """What is told of what was rejected, once it is as it should be."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer: dict[str, Any] = client.get(PATH).raise_for_status().json()
        if enough(answer):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def counted(answer: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(row["source"], row["reason"]): row["rejected_count"] for row in answer["reasons"]}


def test_an_organization_that_sent_nothing_wrong_is_told_so(service: Server) -> None:
    client = service.client()
    client.post("/replies", json=good(1)).raise_for_status()
    assert client.get(PATH).json() == {"items": [], "next": None, "reasons": []}


def test_a_rejected_reply_is_told_with_its_place_its_id_and_the_rule(service: Server) -> None:
    client = service.client()
    before = datetime.now(UTC)
    receipt = client.post("/replies", json=[good(1), NO_TIME]).json()
    answer = told(client)
    (row,) = answer["items"]
    assert before <= datetime.fromisoformat(row.pop("rejected_at")) <= datetime.now(UTC)
    assert row == {
        "source": "replies",
        "reason": RULE,
        "message": receipt["rejected"][0]["message"],
        "index": 1,
        "line": None,
        "reply_id": "r_bad",
        "trace_id": None,
    }
    (reason,) = answer["reasons"]
    assert (reason["source"], reason["reason"], reason["rejected_count"]) == ("replies", RULE, 1)
    assert [day["rejected_count"] for day in reason["days"]] == [1]


def test_every_rejection_is_counted_and_the_newest_are_kept_one_by_one(service: Server) -> None:
    client = service.client()
    bad = [{**NO_TIME, "reply_id": f"bad{number}"} for number in range(1200)]
    client.post("/replies", json=[good(1), *bad]).raise_for_status()
    client.post("/replies", json=[good(1), {**good(2), "session_id": 5}]).raise_for_status()
    answer = told(client, lambda told: sum(counted(told).values()) == 1201)
    assert counted(answer) == {
        ("replies", RULE): 1200,
        ("replies", "session_id: is not a string"): 1,
    }
    rows, cursor = answer["items"], answer["next"]
    while cursor:
        page = client.get(PATH, params={"limit": 7, "cursor": cursor}).json()
        rows += page["items"]
        cursor = page["next"]
    kept = [f"bad{number}" for number in range(1199, 1100, -1)]
    assert [row["reply_id"] for row in rows] == ["r2", *kept]


def test_what_is_sent_again_is_rejected_again(service: Server) -> None:
    client = service.client()
    for _ in range(3):
        assert client.post("/replies", json=NO_TIME).status_code == 400
    answer = told(client, lambda told: len(told["items"]) == 3)
    assert counted(answer) == {("replies", RULE): 3}


def test_a_reply_of_two_conversations_is_one_reason_whichever_they_are(service: Server) -> None:
    client = service.client()
    for number in (1, 2, 3):
        first = {**good(number), "replied_at": f"2026-03-0{number}T10:00:00.5Z"}
        client.post("/replies", json=first).raise_for_status()
        moved = {**first, "session_id": f"s{number}"}
        assert client.post("/replies", json=moved).status_code == 400
    ((_, reason),) = counted(told(client, lambda told: len(told["items"]) == 3))
    assert reason == (
        "reply_id: is already recorded in conversation …; its first record fixes a reply's"
        " conversation and time"
    )


def test_a_body_that_cannot_be_read_is_one_rejection(service: Server) -> None:
    client = service.client()
    assert client.post("/replies", content=b"[", headers=JSON).status_code == 400
    assert client.post("/replies", content=b"a", headers={"Content-Type": "x/y"}).status_code == 415
    assert client.post("/v1/traces", content=b"{", headers=JSON).status_code == 400
    answer = told(client, lambda told: len(told["items"]) == 3)
    assert {(row["source"], row["index"], row["reply_id"]) for row in answer["items"]} == {
        ("replies", None, None),
        ("traces", None, None),
    }


JSON = {"Content-Type": "application/json"}


def test_refused_spans_are_counted_by_rule_and_told_with_their_trace(service: Server) -> None:
    client = service.client()
    spans = [{**sent("a", None, AGENT, trace=number), "spanId": "0" * 16} for number in (1, 2, 3)]
    nameless = {**sent("b", None, AGENT), "traceId": ""}
    receipt = export(client, sent("ok", None, AGENT), *spans, nameless).json()
    assert receipt["partialSuccess"]["rejectedSpans"] == "4"
    answer = told(client)
    assert counted(answer) == {
        ("traces", "spanId: all zero"): 3,
        ("traces", "traceId: required, and missing"): 1,
    }
    newest, *others = answer["items"]
    assert (newest["trace_id"], newest["message"]) == (
        None,
        "resourceSpans[0].scopeSpans[0].spans[4].traceId: required, and missing",
    )
    assert [row["trace_id"] for row in others] == [trace_id(number) for number in (3, 2, 1)]


def test_who_may_not_send_or_sends_too_much_is_not_noted(service: Server) -> None:
    org = service.new_org()
    reader = service.client(org, ["chat-sessions:read"])
    assert reader.post("/replies", json=NO_TIME).status_code == 403
    writer = service.client(org, ["usage:write"])
    assert writer.post("/replies", json={**NO_TIME, "reply_id": "r_last"}).status_code == 400
    (row,) = told(reader)["items"]
    assert row["reply_id"] == "r_last"


def test_nothing_of_a_last_message_is_kept(service: Server) -> None:
    client = service.client()
    secret = {**good(1), "last_message": "my card is 4111 " * 5_000}
    answer = client.post("/replies", json=secret)
    assert "my card" in answer.json()["message"]  # whoever sent it is told
    (row,) = told(client)["items"]
    assert row["message"] == row["reason"] == "last_message: is longer than 65536 characters"


def test_what_was_rejected_is_there_after_the_service_was_stopped(service: Server) -> None:
    with_data = service.data.parent / "again"
    with running_server(with_data) as first:
        org = first.new_org()
        key = first.new_key(org)
        first.client(key=key).post("/replies", json=NO_TIME)
    process, url = start_process(with_data)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        (row,) = httpx.get(f"{url}{PATH}", headers=headers).json()["items"]
        assert row["reply_id"] == "r_bad"
    finally:
        end_process(process)


def test_no_organization_sees_what_another_sent(service: Server) -> None:
    first, second = service.client(), service.client()
    for client, name in ((first, "r_first"), (second, "r_second")):
        client.post("/replies", json={**NO_TIME, "reply_id": name})
    for client, name in ((first, "r_first"), (second, "r_second")):
        answer = told(client)
        assert [row["reply_id"] for row in answer["items"]] == [name]
        assert counted(answer) == {("replies", RULE): 1}


def test_the_list_needs_the_scope_to_read_conversations(service: Server) -> None:
    org = service.new_org()
    assert service.client(org, ["usage:write"]).get(PATH).status_code == 403
    allowed = service.client(org, ["chat-sessions:read"])
    assert allowed.get(PATH).status_code == 200


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "limit=251", "cursor=a&cursor=b"])
def test_a_bad_cursor_or_limit_is_told(service: Server, query: str) -> None:
    assert service.client().get(f"{PATH}?{query}").status_code == 400
