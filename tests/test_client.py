"""The two clients: every operation of the API, typed; all pages; errors of the tree."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest

import applyrate
from applyrate import AsyncClient, Client
from applyrate.api.app import ROUTES
from applyrate.api.openapi import operation_of
from applyrate.errors import (
    ApplyrateError,
    Forbidden,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unreachable,
    UnsupportedMediaType,
)
from applyrate.usage import Applied, Available, Invocation, Reply, ResourceType, UsageKind
from tests.scripted_service import Answer, error, scripted_service
from tests.servers import Server

T = TypeVar("T")

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)

METHODS = {
    "getResourceUsageSummary": "summary",
    "listResourceUsage": "resource_page",
    "listResourceConversations": "conversation_page",
    "recordReplies": "record",
    "setConversation": "set_conversation",
    "listUnattributed": "unattributed",
    "createKey": "create_key",
    "listKeys": "keys",
    "revokeKey": "revoke_key",
    "getLiveness": "health",
}
"""The method for each operation."""

FOR_OTHERS = {"recordTraces"}
"""Operations that have clients of their own."""


def reply(number: int, **usages: Any) -> Reply:
    return Reply(f"r{number}", f"s{number % 3}", AT + timedelta(minutes=number), **usages)


def told(server: Server, *replies: Reply) -> Client:
    """A client of a new organization that recorded these."""
    client = Client(server.url, server.new_key(server.new_org()))
    client.record(replies)
    return client


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def test_every_operation_of_the_api_is_a_method_of_both_clients() -> None:
    operations = [operation_of(route) for route in ROUTES]
    known = {operation.operation_id for operation in operations if not operation.hidden}
    assert known - FOR_OTHERS == set(METHODS)
    for name in METHODS.values():
        assert getattr(Client, name).__doc__
        assert getattr(AsyncClient, name) is getattr(Client, name)


def test_what_was_recorded_is_counted(server: Server) -> None:
    used = reply(
        1,
        available=Available(instruction=["tone"], knowledge=["kb"]),
        applied=Applied(action=["look", Invocation("look", "call_2")], knowledge=["kb"]),
    )
    with told(server) as client:
        receipt = client.record([used, used])
        assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (1, 1, [])
        assert client.record(used).duplicates == 1
        assert client.summary("action", "look").applied_replies == 2
        summary = client.summary(ResourceType.KNOWLEDGE, "kb", from_=AT, to=date(2026, 3, 1))
        assert (summary.applied_sessions, summary.first_used_at) == (1, used.replied_at)
        assert client.summary("knowledge", "kb", to=AT).applied_replies == 0


def test_a_window_may_be_given_as_datetime_date_or_text(server: Server) -> None:
    with told(server, reply(0, applied=Applied(action=["look"]))) as client:
        east = timezone(timedelta(hours=2))
        naive, text = AT.replace(tzinfo=None), "2026-03-01T12:00:00+02:00"
        for from_ in (AT, AT.astimezone(east), naive, date(2026, 3, 1), text):
            assert client.summary("action", "look", from_=from_).applied_replies == 1
        assert client.summary("action", "look", from_=date(2026, 3, 2)).applied_replies == 0
        with pytest.raises(InvalidInput, match="from: '2026' is not an ISO 8601 date"):
            client.summary("action", "look", from_="2026")


def test_an_iteration_goes_through_all_pages(server: Server) -> None:
    replies = [reply(number, applied=Applied(knowledge=[f"kb{number}"])) for number in range(7)]
    replies += [reply(number, applied=Applied(action=["look"])) for number in range(10, 17)]
    with told(server, *replies) as client:
        rows = list(client.resources("knowledge", page_size=2))
        assert [row.resource_id for row in rows] == [f"kb{number}" for number in range(6, -1, -1)]
        assert rows == list(client.resources("knowledge"))
        found = list(client.conversations("action", "look", page_size=1))
        assert [row.session_id for row in found] == ["s1", "s0", "s2"]
        assert list(client.conversations("action", "look", usage=UsageKind.AVAILABLE)) == []
        first = client.resource_page("knowledge", limit=3)
        assert [row.resource_id for row in first.items] == ["kb6", "kb5", "kb4"]
        again = client.resource_page("knowledge", limit=3, cursor=first.next)
        assert [row.resource_id for row in again.items] == ["kb3", "kb2", "kb1"]


@pytest.mark.parametrize("name", [".", "..", "a/b", "a b?c#d", "é☕", "%2F", "x" * 512])
def test_any_text_is_an_id(server: Server, name: str) -> None:
    with told(server, reply(1, applied=Applied(action=[name]))) as client:
        assert client.summary("action", name).applied_replies == 1
        assert [row.session_id for row in client.conversations("action", name)] == ["s1"]


def test_an_id_that_no_path_can_hold_is_refused_before_it_is_sent(server: Server) -> None:
    with told(server) as client:
        with pytest.raises(InvalidInput, match="resource_id: '' is shorter than 1 character"):
            client.summary("action", "")
        with pytest.raises(InvalidInput, match="half a surrogate pair"):
            client.summary("action", "\ud800")


def test_only_the_named_facts_of_a_conversation_are_set(server: Server) -> None:
    with told(server, reply(1, applied=Applied(action=["look"]))) as client:
        client.set_conversation("s1", ticket_number=7, handed_off_at=AT)
        client.set_conversation("s1", last_message="bye", status="resolved", csat=4.5)
        (row,) = client.conversations("action", "look")
        assert (row.ticket_number, row.last_message) == (7, "bye")
        assert [row.handoff_count for row in client.resources("action")] == [1]
        client.set_conversation("s1", handed_off_at=None)
        assert [row.handoff_count for row in client.resources("action")] == [0]


def test_keys_are_made_listed_and_revoked(server: Server) -> None:
    with told(server) as client:
        issued = client.create_key("reporting", scopes=["org:read"], expires_at=AT.replace(2099))
        assert issued.scopes == ("org:read",)
        with Client(server.url, issued.key) as narrow:
            listed = narrow.keys()
            assert [key.name for key in listed] == ["test", "reporting"]
            with pytest.raises(Forbidden, match="the key lacks the scope org:write"):
                narrow.revoke_key(issued.key_id)
            assert client.revoke_key(issued.key_id).revoked_at
            with pytest.raises(Unauthenticated):
                narrow.keys()
        with pytest.raises(NotFound, match="key_id: 'key_0' is no key"):
            client.revoke_key("key_0")


def test_what_came_in_and_gave_no_reply_is_listed(server: Server) -> None:
    with told(server) as client:
        assert client.unattributed().items == []


def test_what_needs_no_key_works_without_one(server: Server) -> None:
    with Client(f"{server.url}/") as client:
        assert client.health().status == "ok"
        assert client.document()["openapi"].startswith("3.1")
        with pytest.raises(Unauthenticated):
            client.keys()


def test_the_same_is_to_be_had_with_asyncio(server: Server) -> None:
    async def use() -> None:
        used = [reply(n, applied=Applied(action=["look"], knowledge=[f"kb{n}"])) for n in range(5)]
        async with AsyncClient(server.url, server.new_key(server.new_org())) as client:
            assert (await client.record(used)).accepted == 5
            counts = await asyncio.gather(*(client.summary("action", "look") for _ in range(5)))
            assert {count.applied_replies for count in counts} == {5}
            rows = [row async for row in client.resources("knowledge", page_size=2)]
            assert [row.resource_id for row in rows] == ["kb4", "kb3", "kb2", "kb1", "kb0"]
            found = [row async for row in client.conversations("action", "look", page_size=2)]
            assert len(found) == 3
            await client.set_conversation("s1", ticket_number=7)
            with pytest.raises(InvalidInput, match="resource_type: 'tool' is not one of"):
                await client.resource_page("tool")

    run(use())


def test_where_no_reply_is_usable_the_error_tells_why(server: Server) -> None:
    with told(server) as client:
        with pytest.raises(InvalidInput, match="reply_id") as raised:
            client.record(Reply("", "s", AT))
        assert raised.value.request_id
        receipt = client.record([Reply("", "s", AT), reply(1)])
        assert (receipt.accepted, receipt.rejected[0].index) == (1, 0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (405, ApplyrateError),
        (413, PayloadTooLarge),
        (415, UnsupportedMediaType),
        (429, TooManyRequests),
        (500, ApplyrateError),
        (503, Unavailable),
    ],
)
def test_every_status_is_the_error_of_the_tree(status: int, kind: type[ApplyrateError]) -> None:
    with (
        scripted_service(error(status, "told", retry_after="7")) as service,
        Client(service.url, max_retries=0) as client,
        pytest.raises(ApplyrateError, match=r"^told$") as raised,
    ):
        client.health()
    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.request_id) == (status, "req_7")
    if isinstance(raised.value, TooManyRequests | Unavailable):
        assert raised.value.retry_after_seconds == 7


def test_an_answer_of_someone_else_is_an_error_that_shows_it() -> None:
    page = b"<html>\n  Welcome to our hotel</html>"
    with (
        scripted_service(Answer(200, body=page), Answer(400, body=page)) as service,
        Client(service.url) as client,
    ):
        with pytest.raises(ApplyrateError, match=r"\(200\) is none of Applyrate's"):
            client.health()
        with pytest.raises(ApplyrateError, match="400 Bad Request: <html> Welcome") as raised:
            client.health()
    assert type(raised.value) is ApplyrateError


OVERLOADED = error(503, retry_after="1")


def test_the_client_waits_as_long_as_it_is_told_and_tries_again() -> None:
    async def ask(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.health()

    def ask_and_wait(url: str) -> None:
        with Client(url) as client:
            client.health()

    asks: list[Callable[[str], None]] = [ask_and_wait, lambda url: run(ask(url))]
    for ask_once in asks:
        with scripted_service(OVERLOADED, Answer(body=b'{"status":"ok"}')) as service:
            ask_once(service.url)
        first, second = service.asked
        assert second.at - first.at >= 1


def test_the_client_gives_up_after_the_last_retry_or_a_wait_of_more_than_a_minute() -> None:
    soon, late = error(503, retry_after="0"), error(429, retry_after="61")
    with (
        scripted_service(*[soon] * 3, late) as service,
        Client(service.url, max_retries=2) as client,
    ):
        with pytest.raises(Unavailable):
            client.health()
        assert len(service.asked) == 3
        with pytest.raises(TooManyRequests):
            client.health()
        assert len(service.asked) == 4


def test_a_date_in_retry_after_is_understood() -> None:
    past = error(503, retry_after="Sun, 01 Mar 2026 10:00:00 GMT")
    with (
        scripted_service(past, error(503, retry_after="soon")) as service,
        Client(service.url, max_retries=0) as client,
    ):
        for seconds in (0, 1):
            with pytest.raises(Unavailable) as raised:
                client.health()
            assert raised.value.retry_after_seconds == seconds


def test_a_broken_connection_is_tried_again_unless_twice_would_not_be_as_good_as_once() -> None:
    tries = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def slam() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                tries.append(connection.recv(4))
                connection.close()

        thread = threading.Thread(target=slam)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, max_retries=1) as client:
            with pytest.raises(Unreachable, match="GET /health/live: no answer came"):
                client.health()
            with pytest.raises(Unreachable):
                client.create_key("mine")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert tries == [b"GET ", b"GET ", b"POST"]


def test_a_service_that_does_not_answer_in_time_is_unreachable() -> None:
    with (
        scripted_service(Answer(delay_seconds=0.3)) as service,
        Client(service.url, timeout_seconds=0.05, max_retries=0) as client,
        pytest.raises(Unreachable, match="timed out"),
    ):
        client.health()


@pytest.mark.parametrize("url", ["127.0.0.1:8600", "ftp://host", "http://", "", "http://[::"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^url: "):
        Client(url)


@pytest.mark.parametrize("key", ["", "apr_live_é", "x\r\nHost: y", " x"])
def test_a_key_that_no_header_can_hold_is_refused_at_once(key: str) -> None:
    with pytest.raises(InvalidInput, match=r"^key: "):
        AsyncClient("http://127.0.0.1:8600", key)


def test_all_that_the_package_offers_is_there() -> None:
    for name in applyrate.__all__:
        assert getattr(applyrate, name).__name__ == name
    assert applyrate.Recorder.__module__ == "applyrate.client.recorder"
    with pytest.raises(AttributeError, match="has no attribute 'Recoder'"):
        _ = applyrate.Recoder  # type: ignore[attr-defined]  # that is the point
