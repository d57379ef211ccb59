"""Recording over HTTP: what is sent in which form, and what is answered."""

import gzip
import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers import Server, running_server

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def reply(reply_id: str = "r_1", **changes: Any) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": f"s of {reply_id}",
        "replied_at": "2026-03-01T10:00:00Z",
        "applied": {"action": ["look"], "instruction": ["ins"]},
    } | changes


def lines(replies: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in replies)


def applied(client: httpx.Client, resource: str = "action/look") -> int:
    answer = client.get(f"/resource-usage/{resource}/usage-summary")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["applied_replies"])


def receipt(accepted: int, duplicates: int = 0) -> dict[str, Any]:
    return {"accepted": accepted, "duplicates": duplicates, "rejected": []}


def test_an_object_an_array_and_a_stream_record_the_same(server: Server) -> None:
    for content, headers in (
        (json.dumps(reply()).encode(), JSON),
        (json.dumps([reply()]).encode(), {"Content-Type": "application/json; charset=UTF-8"}),
        (lines([reply()]), NDJSON),
        (gzip.compress(json.dumps([reply()]).encode()), JSON | {"Content-Encoding": "gzip"}),
        (gzip.compress(lines([reply()])), NDJSON | {"Content-Encoding": "GZIP"}),
    ):
        client = server.client()
        answer = client.post("/replies", content=content, headers=headers)
        assert (answer.status_code, answer.json()) == (200, receipt(1))
        assert applied(client) == 1


def test_a_resent_reply_changes_no_count(client: httpx.Client) -> None:
    assert client.post("/replies", json=[reply("a"), reply("b")]).json() == receipt(2)
    assert client.post("/replies", json=[reply("b"), reply("a")]).json() == receipt(0, 2)
    assert client.post("/replies", json=[reply("a"), reply("c"), reply("c")]).json() == receipt(
        1, 2
    )
    assert applied(client) == 3


def test_a_later_record_of_a_reply_adds_usages(client: httpx.Client) -> None:
    client.post("/replies", json=reply())
    more = reply(applied={"knowledge": ["kb"]})
    assert client.post("/replies", json=more).json() == receipt(1)
    assert applied(client, "knowledge/kb") == 1


def test_a_bad_reply_rejects_itself_and_never_its_neighbours(client: httpx.Client) -> None:
    sent: list[Any] = [
        reply("a"),
        reply("b", replied_at="2026-13-01"),
        {"no": "id"},
        reply("c"),
        reply("c", session_id="another"),
        reply("d", last_message="\ud800"),
        7,
    ]
    for content, headers in (
        (json.dumps(sent).encode(), JSON),
        (lines([json.loads(json.dumps(one)) for one in sent]), NDJSON),
    ):
        answer = client.post("/replies", content=content, headers=headers)
        assert answer.status_code == 200
        body = answer.json()
        assert body["accepted"] + body["duplicates"] == 2
        assert [(one["index"], one["reply_id"]) for one in body["rejected"]] == [
            (1, "b"),
            (2, None),
            (4, "c"),
            (5, None),
            (6, None),
        ]
        messages = [one["message"] for one in body["rejected"]]
        assert messages[0].startswith("replied_at: '2026-13-01' is not an ISO 8601 date-time")
        assert messages[1] == "no: there is no such field"
        assert messages[2].startswith("reply_id: 'c' is already recorded in conversation 's of c'")
        assert messages[3].startswith("last_message: '\\ud800' contains half a surrogate pair")
        assert messages[4] == "the reply: 7 is not an object"
    assert applied(client) == 2


def test_when_no_reply_is_usable_the_answer_is_400_with_the_first_reason(
    client: httpx.Client,
) -> None:
    answer = client.post("/replies", json=reply(replied_at="2026-13-01"))
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(
        "the reply is not usable: replied_at: '2026-13-01' is not"
    )
    answer = client.post("/replies", content=b"{}\n[]\n", headers=NDJSON)
    assert answer.json() == {
        "statusCode": 400,
        "message": "none of 2 replies is usable; at index 0: reply_id: required, and missing",
        "error": "Bad Request",
    }


def test_a_reply_that_contradicts_its_first_record_alone_is_400(client: httpx.Client) -> None:
    client.post("/replies", json=reply())
    answer = client.post("/replies", json=reply(replied_at="2026-03-02T10:00:00Z"))
    assert answer.status_code == 400
    assert "is already recorded in conversation" in answer.json()["message"]


def test_nothing_sent_is_nothing_recorded(client: httpx.Client) -> None:
    assert client.post("/replies", json=[]).json() == receipt(0)
    for content in (b"", b"\n\n \n"):
        answer = client.post("/replies", content=content, headers=NDJSON)
        assert (answer.status_code, answer.json()) == (200, receipt(0))


@pytest.mark.parametrize("content", [b"", b"nope", b"[1", b'"text"', b'{"reply_id": "r"'])
def test_a_body_that_is_no_json_is_400(client: httpx.Client, content: bytes) -> None:
    assert client.post("/replies", content=content, headers=JSON).status_code == 400


def test_a_stream_may_be_longer_than_a_body_and_is_counted_exactly(client: httpx.Client) -> None:
    count = 3_500
    sent = [reply(f"r{n}", session_id=f"s{n % 50}") for n in range(count)]
    sent[1234] = {"broken": True}
    content = lines(sent)

    def pieces() -> Iterator[bytes]:
        at = 0
        while at < len(content):
            length = random.randint(1, 50_000)  # noqa: S311 (no secret)
            yield content[at : at + length]
            at += length

    answer = client.post("/replies", content=pieces(), headers=NDJSON)
    body = answer.json()
    assert (body["accepted"], body["duplicates"]) == (count - 1, 0)
    assert [one["index"] for one in body["rejected"]] == [1234]
    assert applied(client) == count - 1
    again = client.post(
        "/replies",
        content=gzip.compress(content),
        headers=NDJSON | {"Content-Encoding": "gzip"},
    ).json()
    assert (again["accepted"], again["duplicates"]) == (0, count - 1)


def test_a_large_array_is_recorded_whole(client: httpx.Client) -> None:
    assert client.post("/replies", json=[reply(f"r{n}") for n in range(2_345)]).json() == receipt(
        2_345
    )
    assert applied(client) == 2_345


def test_rejections_beyond_a_thousand_are_counted_in_the_last_entry(client: httpx.Client) -> None:
    answer = client.post(
        "/replies", content=lines([reply()]) + b"{}\n" * 1_500, headers=NDJSON
    ).json()
    assert answer["accepted"] == 1
    assert len(answer["rejected"]) == 1_001
    assert answer["rejected"][-1] == {
        "index": 1_500,
        "reply_id": None,
        "message": "and 500 more replies, up to this one, are rejected",
    }


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Content-Type": "text/plain"}, "Content-Type: 'text/plain' is not application/json"),
        ({"Content-Type": "application/json; charset=latin-1"}, "charset=latin-1"),
        ({}, "Content-Type: missing; send application/json or application/x-ndjson"),
        (JSON | {"Content-Encoding": "br"}, "Content-Encoding: 'br' is not gzip or identity"),
        (JSON | {"Content-Encoding": "gzip, gzip"}, "Content-Encoding: 'gzip, gzip' is not gzip"),
    ],
)
def test_other_types_and_encodings_are_415(
    client: httpx.Client, headers: dict[str, str], named: str
) -> None:
    answer = client.post("/replies", content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert named in answer.json()["message"]


def test_a_damaged_or_cut_gzip_stream_is_400_and_says_what_was_recorded(
    client: httpx.Client,
) -> None:
    headers = NDJSON | {"Content-Encoding": "gzip"}
    whole = gzip.compress(lines([reply(f"r{n}") for n in range(4_000)]), compresslevel=0)
    answer = client.post("/replies", content=whole[:-100], headers=headers)
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert message.startswith("the body: its gzip data ends too early; ")
    recorded = applied(client)
    assert recorded >= 1_000
    assert f"; {recorded} replies before that are recorded" in message
    for damaged in (b"no gzip", whole[:50] + b"x" + whole[51:], b""):
        assert client.post("/replies", content=damaged, headers=headers).status_code == 400


def test_a_gzip_stream_may_have_several_members(client: httpx.Client) -> None:
    content = b"".join(gzip.compress(lines([reply(f"r{n}")])) for n in range(3))
    answer = client.post("/replies", content=content, headers=NDJSON | {"Content-Encoding": "gzip"})
    assert answer.json() == receipt(3)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that takes little at once."""
    data = tmp_path_factory.mktemp("narrow") / "data"
    with running_server(data, max_body_bytes=100_000, max_line_bytes=1_000) as server:
        yield server


def test_a_json_body_is_limited_after_decompression(narrow: Server) -> None:
    client = narrow.client()
    large = json.dumps([reply(f"r{n}") for n in range(5_000)]).encode()
    plain = client.post("/replies", content=large, headers=JSON)
    zipped = client.post(
        "/replies", content=gzip.compress(large), headers=JSON | {"Content-Encoding": "gzip"}
    )
    facts = client.put("/conversations/s", content=b" " * 200_000, headers=JSON)
    for answer in (plain, zipped, facts):
        assert answer.status_code == 413
        assert "longer than 100000 bytes" in answer.json()["message"]
    assert applied(client) == 0


def test_a_stream_has_no_limit_but_that_of_its_lines(narrow: Server) -> None:
    client = narrow.client()
    sent = [reply(f"r{n}") for n in range(2_000)]
    sent[3] = reply("long", last_message="x" * 2_000)
    answer = client.post("/replies", content=lines(sent), headers=NDJSON).json()
    assert answer["accepted"] == 1_999
    assert [(one["index"], one["reply_id"]) for one in answer["rejected"]] == [(3, None)]
    assert "longer than 1000 bytes" in answer["rejected"][0]["message"]


def test_a_request_that_breaks_off_leaves_the_service_well(server: Server) -> None:
    client = server.client()

    def breaking() -> Iterator[bytes]:
        yield lines([reply(f"r{n}") for n in range(1_200)])
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        client.post("/replies", content=breaking(), headers=NDJSON)
    assert client.post("/replies", json=reply()).json() == receipt(1)


def test_many_clients_at_once_lose_and_double_nothing(server: Server) -> None:
    org = server.new_org()
    key = server.new_key(org)
    failures: list[Any] = []

    def record(number: int) -> None:
        with httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=60
        ) as client:
            for n in range(20):
                mine, shared = reply(f"{number}-{n}"), reply(f"shared-{n}")
                body = client.post("/replies", json=[mine, shared]).json()
                if body["accepted"] + body["duplicates"] != 2:
                    failures.append(body)

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert applied(server.client(key=key)) == 8 * 20 + 20


def test_a_conversation_may_be_set_before_between_and_after_its_replies(
    client: httpx.Client,
) -> None:
    def row() -> dict[str, Any]:
        answer = client.get("/resource-usage/action/look/conversations").json()
        (only,) = answer["items"]
        return {name: only[name] for name in ("ticket_number", "last_message")}

    path = "/conversations/a%2Fb%20%F0%9F%98%80"
    assert client.put(path, json={"ticket_number": 7}).status_code == 204
    client.post("/replies", json=reply(session_id="a/b 😀", last_message="Hello."))
    assert row() == {"ticket_number": 7, "last_message": "Hello."}
    assert client.put(path, json={"last_message": "Bye."}).status_code == 204
    assert row() == {"ticket_number": 7, "last_message": "Bye."}
    assert client.put(path, json={}).status_code == 204
    assert row() == {"ticket_number": 7, "last_message": "Bye."}


def test_a_handoff_counts_whenever_it_is_told(client: httpx.Client) -> None:
    client.post("/replies", json=[reply("a"), reply("b")])
    client.put("/conversations/s of a", json={"handed_off_at": "2026-03-01T11:00:00"})
    (row,) = client.get("/resource-usage/action").json()["items"]
    assert (row["session_count"], row["handoff_count"]) == (2, 1)
    client.put("/conversations/s of a", json={"handed_off_at": None})
    (row,) = client.get("/resource-usage/action").json()["items"]
    assert row["handoff_count"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"csat": 9}', "csat: 9 is greater than 5"),
        (b'{"sat": 9}', "sat: there is no such field"),
        (b'{"status": ""}', "status: '' is shorter than 1 character"),
        (b"[]", "the body: [] is not an object"),
        (b"", "the body: not JSON: it ends too early"),
    ],
)
def test_a_fact_that_breaks_a_rule_is_400(
    client: httpx.Client, content: bytes, message: str
) -> None:
    answer = client.put("/conversations/s", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["message"]) == (400, message)
