"""Whatever comes in has a limit: up to it all is well, beyond it a clear error and nothing else."""

import gzip
import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.dashboard.forms import FORM
from applyrate.usage import ResourceType, Window
from tests.servers import Server, running_server
from tests.test_api_errors import check_error
from tests.uploads import JSON, NDJSON, Upload

URL_BYTES = 300
HEADERS = 20
HEADER_BYTES = 1_000
ARRAY_ITEMS = 50
REPLY_ITEMS = 40
HELD_BYTES = 1_000_000
INFLATION = 20
FORM_BYTES = 16 * 1024
PAUSE_SECONDS = 2
BODY_RATE = 2_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose limits are near."""
    with running_server(
        tmp_path_factory.mktemp("small") / "data",
        max_url_bytes=URL_BYTES,
        max_headers=HEADERS,
        max_header_bytes=HEADER_BYTES,
        max_array_items=ARRAY_ITEMS,
        max_reply_items=REPLY_ITEMS,
        max_held_bytes=HELD_BYTES,
        max_inflation=INFLATION,
        max_pause_seconds=PAUSE_SECONDS,
        min_body_rate=BODY_RATE,
    ) as server:
        yield server


def reply(reply_id: str = "r", **fields: Any) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": "s",
        "replied_at": "2026-03-01T10:00:00Z",
        "applied": {"action": ["look"]},
        **fields,
    }


def count(server: Server, org: str) -> int:
    return server.store.summary(org, ResourceType.ACTION, "look", Window()).applied_replies


def message_of(read: bytes, status: int) -> str:
    """The message of an error's body."""
    body = json.loads(read)
    assert body["statusCode"] == status
    return str(body["message"])


def test_a_url_may_be_so_long_and_no_longer(small: Server) -> None:
    longest = "/" + "x" * 99 + "?" + "y" * (URL_BYTES - 101)
    response, _ = small.request_raw("GET", longest)
    assert response.status == 404
    response, body = small.request_raw("GET", longest + "y")
    assert response.status == 414
    assert message_of(body, 414) == f"the URL: {URL_BYTES + 1} bytes, and {URL_BYTES} are the most"
    assert response.getheader("x-request-id")


def test_a_request_may_have_so_many_headers_and_no_more(small: Server) -> None:
    headers = {f"x-{number}": "1" for number in range(HEADERS - 1)}  # and Host
    response, _ = small.request_raw("GET", "/health/live", headers)
    assert response.status == 200
    response, body = small.request_raw("GET", "/health/live", {**headers, "x": "1"})
    assert response.status == 431
    assert message_of(body, 431) == (
        f"the header fields: {HEADERS + 1} of them, and {HEADERS} are the most"
    )


def test_headers_may_be_so_long_together_and_no_longer(small: Server) -> None:
    host = len("host: \r\n") + len(httpx.URL(small.url).netloc)
    filler = "x" * (HEADER_BYTES - host - len("a: \r\n"))
    response, _ = small.request_raw("GET", "/health/live", {"a": filler})
    assert response.status == 200
    response, body = small.request_raw("GET", "/health/live", {"a": filler + "x"})
    assert response.status == 431
    assert message_of(body, 431) == (
        f"the header fields: {HEADER_BYTES + 1} bytes in all, and {HEADER_BYTES} are the most"
    )


def test_what_is_far_beyond_the_limits_is_refused_by_the_server_itself(small: Server) -> None:
    for target, headers, status in (
        ("/" + "x" * 65_535, {}, 414),
        ("/", {f"x-{number}": "1" for number in range(101)}, 431),
        ("/", {"a": "x" * 200_000}, 431),
    ):
        response, _ = small.request_raw("GET", target, headers)
        assert response.status == status


def test_an_array_may_have_so_many_items_and_no_more(small: Server) -> None:
    org = small.new_org()
    client = small.client(org)
    items = [reply(f"r{n}", ticket_number=n, last_message='a, "b", c') for n in range(ARRAY_ITEMS)]
    assert client.post("/replies", json=items).json()["accepted"] == ARRAY_ITEMS
    assert check_error(client.post("/replies", json=[*items, reply("x")]), 413) == (
        f"the body: an array of more than {ARRAY_ITEMS} items; send fewer at once, or as"
        " application/x-ndjson"
    )
    assert count(small, org) == ARRAY_ITEMS
    lines = b"\n".join(json.dumps(reply(f"n{n}")).encode() for n in range(2 * ARRAY_ITEMS))
    answer = client.post("/replies", content=lines, headers={"Content-Type": NDJSON})
    assert answer.json()["accepted"] == 2 * ARRAY_ITEMS
    entries = [{"type": "action", "id": f"a{n}"} for n in range(ARRAY_ITEMS + 1)]
    check_error(client.put("/resources", json=entries), 413)
    assert client.put("/resources", json=entries[1:]).json()["accepted"] == ARRAY_ITEMS


@pytest.mark.parametrize("group", ["available", "applied"])
@pytest.mark.parametrize("kind", ["instruction", "knowledge", "action"])
def test_a_list_of_a_reply_may_have_so_many_items_and_no_more(
    small: Server, group: str, kind: str
) -> None:
    client = small.client()
    ids = [f"i{n}" for n in range(REPLY_ITEMS)]
    longest, longer = reply("a", **{group: {kind: ids}}), reply("b", **{group: {kind: [*ids, "x"]}})
    answer = client.post("/replies", json=[longest, longer])
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [
            {
                "index": 1,
                "reply_id": "b",
                "message": f"{group}.{kind}: {REPLY_ITEMS + 1} items, and {REPLY_ITEMS} are the"
                " most",
            }
        ],
    }


def test_a_reply_of_a_trace_has_lists_no_longer_either(small: Server) -> None:
    org = small.new_org()
    client = small.client(org)
    for number, count_given in ((1, REPLY_ITEMS), (2, REPLY_ITEMS + 1)):
        answer = client.post("/v1/traces", json=trace_with(number, count_given))
        assert answer.json() == {}
    deadline = time.monotonic() + 30
    while not (items := client.get("/intake/unattributed").json()["items"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (item,) = items
    assert item["problem"] == (
        f"the reply {2:032x}: available.knowledge: {REPLY_ITEMS + 1} items, and {REPLY_ITEMS} are"
        " the most"
    )
    counts = small.store.summary(org, ResourceType.KNOWLEDGE, "kb_0", Window())
    assert counts.available_replies == 1


def trace_with(number: int, document_count: int) -> dict[str, Any]:
    """A trace of one reply that had so many documents available."""
    documents = [{"stringValue": f"kb_{n}"} for n in range(document_count)]
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": {"stringValue": "invoke_agent"},
        "gen_ai.conversation.id": {"stringValue": "conv"},
        "applyrate.available.knowledge": {"arrayValue": {"values": documents}},
    }
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "invoke_agent",
        "endTimeUnixNano": "1772359200250000000",
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def test_gzip_may_inflate_to_so_much_and_no_more(small: Server) -> None:
    org = small.new_org()
    client = small.client(org)
    dice = random.Random(7)  # noqa: S311 (no secret)
    lines = b"".join(
        json.dumps(reply(f"r{n}", last_message=dice.randbytes(32_000).hex())).encode() + b"\n"
        for n in range(4)
    )
    blank, step = 0, 10_000
    while len(lines) + blank + step <= INFLATION * len(gzip.compress(lines + b"\n" * blank)):
        blank += step
    assert len(lines) + blank > 1024 * 1024
    headers = {"Content-Type": NDJSON, "Content-Encoding": "gzip"}
    under = gzip.compress(lines + b"\n" * (blank - step))
    assert client.post("/replies", content=under, headers=headers).json()["accepted"] == 4
    bomb = gzip.compress(b"\n" * 5_000_000)
    assert check_error(client.post("/replies", content=bomb, headers=headers), 413) == (
        f"the body: its gzip data inflates to more than {INFLATION} times its length; send it"
        " without compression"
    )
    over = gzip.compress(lines + b"\n" * (blank + 10 * step))
    assert client.post("/replies", content=over, headers=headers).status_code == 413
    small_bomb = gzip.compress(json.dumps(reply("z")).encode() + b"\n" * 1_000_000)
    assert client.post("/replies", content=small_bomb, headers=headers).status_code == 200
    assert count(small, org) == 5


@pytest.mark.parametrize("media_type", [JSON, NDJSON])
def test_bodies_hold_so_much_memory_together_and_no_more(tmp_path: Path, media_type: str) -> None:
    first_body = json.dumps(reply("first")).encode().ljust(600_000)
    fits = json.dumps(reply("fits")).encode().ljust(HELD_BYTES - 600_000)
    headers = {"Content-Type": media_type}
    with running_server(tmp_path / "data", max_held_bytes=HELD_BYTES) as server:
        org = server.new_org()
        client = server.client(org)
        with Upload(
            server.url, server.new_key(org), media_type=media_type, length=len(first_body)
        ) as first:
            first.send(first_body[:-1])
            time.sleep(1)  # it has arrived
            answer = client.post("/replies", content=fits + b"  ", headers=headers)
            assert check_error(answer, 503) == (
                f"the body: all bodies together may take {HELD_BYTES} bytes, and there is no room"
                " left; send it again later, or less at once"
            )
            assert answer.headers["retry-after"] == "1"
            first.send(first_body[-1:])
            assert first.answer().status == 200
        for _ in range(3):  # nothing is held any longer
            assert client.post("/replies", content=fits, headers=headers).status_code == 200
        assert count(server, org) == 2


def test_a_form_may_be_so_long_and_no_longer(small: Server) -> None:
    headers = {"Content-Type": FORM}
    longest = b"key=none&next=/".ljust(FORM_BYTES, b"x")
    response, _ = small.request_raw("POST", "/dashboard/sign-in", headers, longest)
    assert response.status != 413
    response, page = small.request_raw("POST", "/dashboard/sign-in", headers, longest + b"x")
    assert response.status == 413
    assert f"longer than {FORM_BYTES} bytes; a form is never so long".encode() in page


def test_forms_that_anybody_may_send_take_no_memory_from_bodies(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_held_bytes=20_000) as server, ExitStack() as stack:
        for _ in range(3):
            path = "/dashboard/sign-in"
            form = Upload(server.url, "none", path=path, media_type=FORM, length=FORM_BYTES)
            stack.enter_context(form).send(b"x" * (FORM_BYTES - 1))
        time.sleep(1)  # they have arrived
        body = json.dumps(reply()).encode().ljust(19_000)
        answer = server.client().post("/replies", content=body, headers={"Content-Type": JSON})
        assert answer.status_code == 200


def test_a_body_is_not_waited_for_beyond_the_longest_pause(small: Server) -> None:
    org = small.new_org()
    with Upload(small.url, small.new_key(org)) as upload:
        lines = b"".join(json.dumps(reply(f"r{n}")).encode() + b"\n" for n in range(1_000))
        upload.send(lines)
        upload.send(json.dumps(reply("left over")).encode())
        started_at = time.monotonic()
        answer = upload.answer()
    assert time.monotonic() - started_at >= PAUSE_SECONDS * 0.9
    assert answer.status == 408
    assert answer.body["error"] == "Request Timeout"
    assert answer.headers["connection"] == "close"
    assert answer.body["message"] == (
        f"the body: nothing of it came for {PAUSE_SECONDS} s; send it again; 1000 replies before"
        " that are recorded, and sending all of it again changes no count"
    )
    assert count(small, org) == 1_000


def test_a_body_that_comes_a_byte_at_a_time_is_not_waited_for(small: Server) -> None:
    with Upload(small.url, small.new_key("slow"), media_type=JSON, length=9_000) as upload:
        started_at = time.monotonic()
        for _ in range(200):
            time.sleep(0.05)
            try:
                upload.send(b" ")
            except OSError:
                break  # the service has closed the connection
            if time.monotonic() - started_at > PAUSE_SECONDS + 0.5:
                break
        answer = upload.answer()
    assert answer.status == 408
    assert answer.body["message"] == (
        f"the body: it comes at less than {BODY_RATE} bytes a second; send it faster, or less at"
        " once"
    )


def test_a_body_that_is_merely_slow_is_waited_for(small: Server) -> None:
    org = small.new_org()
    with Upload(small.url, small.new_key(org)) as upload:
        line = json.dumps(reply("r{}", last_message="x" * 4_000)).encode() + b"\n"
        for number in range(8):  # longer together than any one pause may be
            time.sleep(PAUSE_SECONDS / 6)
            upload.send(line.replace(b"{}", b"%d" % number))
        assert upload.finish().body["accepted"] == 8


def test_an_exporter_is_told_of_its_slow_body_what_it_will_try_again(small: Server) -> None:
    with Upload(
        small.url, small.new_key("slow"), path="/v1/traces", media_type=JSON, length=9_000
    ) as upload:
        upload.send(b"{")
        answer = upload.answer()
    assert answer.status == 503
    assert answer.body["message"].startswith(
        (
            f"the body: nothing of it came for {PAUSE_SECONDS} s; ",
            "the body: it comes at less than ",  # where the machine is slow to look
        )
    )


def test_no_rate_is_asked_of_bodies_where_it_is_set_to_none(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "data", max_pause_seconds=1, min_body_rate=0) as server,
        Upload(server.url, server.new_key("slow"), media_type=JSON, length=110) as upload,
    ):
        body = json.dumps(reply()).encode().rjust(110)
        for number in range(6):
            time.sleep(0.3)
            upload.send(body[number : number + 1])
        upload.send(body[6:])
        assert upload.answer().status == 200
