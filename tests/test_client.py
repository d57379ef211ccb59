"""The two clients: every operation of the API, typed; all pages; errors of the tree."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest
from msgspec import UNSET

import applyrate
from applyrate import AsyncClient, Client
from applyrate.answers import Verdict
from applyrate.api.app import ROUTES
from applyrate.api.openapi import operation_of
from applyrate.errors import (
    ApplyrateError,
    Forbidden,
    HeadersTooLarge,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unreachable,
    UnsupportedMediaType,
    UriTooLong,
)
from applyrate.usage import (
    Applied,
    Available,
    CatalogueEntry,
    Invocation,
    Recording,
    Reply,
    ResourceType,
    UnusedReason,
    UsageKind,
    UsageSummary,
)
from tests.scripted_service import Answer, error, scripted_service
from tests.servers import Server

T = TypeVar("T")

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)

METHODS = {
    "getResourceUsageSummary": "summary",
    "listResourceUsage": "resource_page",
    "listResourceConversations": "conversation_page",
    "compareResourceUsage": "compare",
    "getResourceUsageTimeline": "timeline",
    "getResourceOutcomes": "outcomes",
    "getConversationUsage": "conversation_usage",
    "exportUsages": "usages",
    "streamUsage": "changes",
    "streamResourceUsage": "resource_changes",
    "listUnused": "unused_page",
    "setResources": "set_resources",
    "recordReplies": "record",
    "setConversation": "set_conversation",
    "eraseConversation": "erase_conversation",
    "listAudit": "audit_page",
    "listUnattributed": "unattributed",
    "listRejected": "rejected_page",
    "createKey": "create_key",
    "listKeys": "keys",
    "revokeKey": "revoke_key",
    "getLiveness": "health",
}
"""The method for each operation."""

FOR_OTHERS = {"recordTraces", "getReadiness", "getMetrics"}
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


def test_usage_is_compared_and_followed_over_time(server: Server) -> None:
    days = [reply(n, applied=Applied(action=["look"])) for n in (0, 1_440, 2_880)]
    with told(server, *days) as client:
        compared = client.compare("action", "look", from_=date(2026, 3, 2), to=date(2026, 3, 3))
        assert (compared.applied_replies, compared.previous.applied_replies) == (2, 1)
        assert compared.previous_window.to_at == datetime(2026, 3, 2, tzinfo=UTC)
        day = date(2026, 3, 3)
        (row,) = client.resources("action", compare="previous", from_=day, to=day)
        assert isinstance(row.previous, UsageSummary)
        assert (row.applied_replies, row.previous.applied_replies) == (1, 1)
        (plain,) = client.resources("action", from_=day, to=day)
        assert plain.previous is UNSET
        told_weeks = client.timeline("action", "look", interval="week", timezone="Asia/Tokyo")
        assert [bucket.applied_replies for bucket in told_weeks.items] == [1, 2]
        assert told_weeks.items[1].from_at == datetime(2026, 3, 1, 15, tzinfo=UTC)
        with pytest.raises(InvalidInput, match="timezone: 'Mars' is not an IANA time zone"):
            client.timeline("action", "look", timezone="Mars")


def test_what_is_catalogued_and_unused_is_listed(server: Server) -> None:
    with told(server, reply(1, available=Available(knowledge=["kb1", "kb2"]))) as client:
        entries = [
            CatalogueEntry(ResourceType.KNOWLEDGE, "kb2", name="Fax", keep=True),
            CatalogueEntry(ResourceType.KNOWLEDGE, "kb3", published_at=AT),
            CatalogueEntry(ResourceType.KNOWLEDGE, ""),
        ]
        receipt = client.set_resources(entries)
        assert (receipt.accepted, [one.index for one in receipt.rejected]) == (2, [2])
        assert client.set_resources(entries[0]).accepted == 1
        rows = [(row.resource_id, row.reason) for row in client.unused("knowledge", page_size=1)]
        assert rows == [
            ("kb1", UnusedReason.NEVER_APPLIED),
            ("kb2", UnusedReason.KEPT),
            ("kb3", UnusedReason.NEVER_AVAILABLE),
        ]
        assert client.unused_page("knowledge", limit=2).items[1].name == "Fax"


def test_a_conversation_and_its_outcome_are_shown(server: Server) -> None:
    with told(server, reply(1, applied=Applied(action=["look", "look"]))) as client:
        client.set_conversation("s1", status="resolved")
        shown = client.conversation_usage("s1")
        assert (shown.status, len(shown.replies)) == ("resolved", 1)
        assert shown.replies[0].applied[ResourceType.ACTION] == ["look", "look"]
        outcomes = client.outcomes("action", "look")
        assert outcomes.applied.resolution.count == 1
        assert outcomes.verdict.resolution is Verdict.TOO_FEW
        with pytest.raises(NotFound, match="nothing is recorded of a conversation 's9'"):
            client.conversation_usage("s9")


ODD = "line\u2028or\x85two"


def test_every_usage_is_read_line_by_line(server: Server) -> None:
    used = [reply(n, available=Available(knowledge=[ODD, "kb"])) for n in range(3_000)]
    with told(server, *used) as client:
        rows = list(client.usages())
        assert len(rows) == 6_000
        assert rows == list(client.usages(from_=AT))
        assert {row.resource_id for row in rows} == {ODD, "kb"}
        assert list(client.usages(to=AT)) == []
        first = next(client.usages())  # and the rest of the answer is not read
        assert (first.reply_id, first.count) == ("r0", 1)
        with pytest.raises(InvalidInput, match="from: 'x' is not an ISO 8601 date"):
            next(client.usages(from_="x"))

    async def read(key: str) -> int:
        async with AsyncClient(server.url, key) as client:
            with pytest.raises(InvalidInput, match="from: 'x' is not an ISO 8601 date"):
                _ = [row async for row in client.usages(from_="x")]
            return len([row async for row in client.usages()])

    org = server.new_org()
    server.store.record([Recording(org, used[:5])])
    assert run(read(server.new_key(org))) == 10


def test_lines_that_are_none_of_ours_or_break_off_are_an_error() -> None:
    row = (
        b'{"replied_at":"2026-03-01T10:00:00Z","reply_id":"r","session_id":"s",'
        b'"resource_type":"action","resource_id":"look","usage":"applied","count":1}\n'
    )
    with (
        scripted_service(Answer(200, body=row + b"<html>\n")) as service,
        Client(service.url) as client,
    ):
        rows = client.usages()
        assert next(rows).resource_id == "look"
        with pytest.raises(ApplyrateError, match=r"\(200\) is none of Applyrate's"):
            next(rows)


def test_an_export_is_asked_for_again_where_the_service_is_overloaded() -> None:
    with (
        scripted_service(error(503, retry_after="0"), Answer(200, body=b"")) as service,
        Client(service.url) as client,
    ):
        assert list(client.usages()) == []
    assert len(service.asked) == 2


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
        (408, RequestTimeout),
        (413, PayloadTooLarge),
        (414, UriTooLong),
        (415, UnsupportedMediaType),
        (429, TooManyRequests),
        (431, HeadersTooLarge),
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


def test_a_conversation_is_erased_and_the_audit_log_tells(server: Server) -> None:
    with told(server, reply(1, applied=Applied(action=["look"]))) as client:
        client.erase_conversation("s1")
        client.erase_conversation("s/2 ?")
        assert client.summary("action", "look").applied_replies == 0
        with pytest.raises(InvalidInput, match="'s1' was erased"):
            client.record(reply(1))
        entries = list(client.audit(page_size=1))
        assert [entry.action for entry in entries] == ["conversation.erase"] * 2 + ["key.create"]
        assert entries[0].target != entries[1].target
