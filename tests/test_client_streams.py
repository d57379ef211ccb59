"""The two clients on streams: what changes is iterated, over any number of connections."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from applyrate import AsyncClient, Client
from applyrate.errors import ApplyrateError, Forbidden, Unauthenticated, Unreachable
from applyrate.keys import digest
from applyrate.store import open_store
from applyrate.usage import Applied, Recording, Reply, ResourceType
from tests.programs import differences, read_program
from tests.scripted_service import Answer, scripted_service
from tests.servers import Server, end_process, running_server, start_process

PAGE = Path(__file__).parent.parent / "docs" / "streams.md"

EVENT = (
    '{"resource_type":"action","resource_id":"a\u2028b","summary":{"session_count":1,'
    '"applied_sessions":1,"applied_replies":1,"available_sessions":0,"available_replies":0,'
    '"first_used_at":"2026-03-01T10:00:00Z","last_used_at":null}}'
)


def recording(org: str, number: int, *actions: str) -> Recording:
    """One reply of an organization, which applied these."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Recording(org, [Reply(f"r{number}", "s", at, applied=Applied(action=list(actions)))])


def test_changes_are_iterated_as_they_come(server: Server) -> None:
    org = server.new_org()
    server.store.record([recording(org, 1, "look")])
    with Client(server.url, server.new_key(org)) as client:
        one = client.resource_changes("action", "look")
        first = next(one)
        assert (first.resource_type, first.resource_id) == (ResourceType.ACTION, "look")
        assert first.summary == client.summary("action", "look")
        server.store.record([recording(org, 2, "look", "find")])
        assert next(one).summary.applied_replies == 2
        missed = client.changes(after=first.version)
        found = [next(missed), next(missed)]
        assert [event.resource_id for event in found] == ["find", "look"]
        assert found[0].version < found[1].version
        server.store.record([recording(org, 3, "find")])
        assert next(missed).summary.applied_replies == 2


def test_the_same_is_to_be_had_with_asyncio(server: Server) -> None:
    org = server.new_org()

    async def follow() -> None:
        async with AsyncClient(server.url, server.new_key(org)) as client:
            stream = client.changes(after=0)
            server.store.record([recording(org, 1, "look")])
            assert (await anext(stream)).resource_id == "look"
            server.store.record([recording(org, 2, "find")])
            assert (await anext(stream)).resource_id == "find"
            async for event in client.resource_changes("action", "quiet"):
                assert event.summary.applied_replies == 0
                break

    asyncio.run(follow())


def test_an_iteration_goes_on_over_a_restart_of_the_service(tmp_path: Path) -> None:
    process, url = start_process(tmp_path / "data")
    server = Server(process, url, tmp_path / "data")
    store = open_store(tmp_path / "data")
    try:
        with Client(url, server.new_key("acme"), max_retries=10) as client:
            stream = client.changes(after=0)
            store.record([recording("acme", 1, "look")])
            assert next(stream).summary.applied_replies == 1
            process.kill()
            process.wait()
            store.record([recording("acme", 2, "look"), recording("acme", 3, "find")])
            end_process(process)
            process, _ = start_process(tmp_path / "data", port=urlsplit(url).port)
            found = {event.resource_id: event for event in (next(stream), next(stream))}
            assert found["look"].summary.applied_replies == 2
            assert found["find"].summary.applied_replies == 1
    finally:
        store.close()
        server.close()
        end_process(process)


def test_an_iteration_ends_with_what_the_service_answers(server: Server) -> None:
    org = server.new_org()
    key = server.new_key(org)
    kept = server.store.find_key(digest(key))
    assert kept is not None
    with Client(server.url, key) as client:
        stream = client.resource_changes("action", "look")
        next(stream)
        server.store.revoke_key(org, kept.key_id, datetime.now(UTC))
        with pytest.raises(Unauthenticated):
            next(stream)
    with (
        Client(server.url, server.new_key(org, ["chat-sessions:read"])) as narrow,
        pytest.raises(Forbidden, match="training:read or actions:read"),
    ):
        next(narrow.changes())
    with Client("http://127.0.0.1:9", max_retries=0) as nobody, pytest.raises(Unreachable):
        next(nobody.changes())


def test_a_broken_connection_is_taken_up_after_the_last_event() -> None:
    def answer(body: str) -> Answer:
        return Answer(200, {"Content-Type": "text/event-stream"}, body.encode())

    whole = f"retry: 1\r\nid: 7\r\n\r\n:\n\nid: 8\nevent: usage\ndata: {EVENT}\n\n"
    half = f"id: 9\nevent: usage\ndata: {EVENT[:40]}"
    other = "id: 9\nevent: news\ndata: x\n\nid: 10\nevent: usage\ndata: {}\n\n"
    with (
        scripted_service(answer(whole + half), answer(other)) as service,
        Client(service.url) as client,
    ):
        stream = client.changes()
        event = next(stream)
        assert (event.version, event.resource_id) == (8, "a\u2028b")
        with pytest.raises(ApplyrateError, match="none of Applyrate's"):
            next(stream)
        asked = [one.headers.get("last-event-id") for one in service.asked]
        assert asked == [None, "8"]
        assert service.asked[0].headers["accept"] == "text/event-stream"


def test_the_python_on_the_page_about_streams_does_what_it_shows(tmp_path: Path) -> None:
    blocks = read_program(PAGE.read_text(encoding="utf-8"))
    assert blocks
    with running_server(tmp_path / "data") as server:
        key = server.new_key("acme")
        used = Applied(action=["lookup_order"], instruction=["ins_refund"])
        at = datetime(2026, 3, 1, 10, tzinfo=UTC)
        server.store.record([Recording("acme", [Reply("r_1", "conv_1", at, applied=used)])])
        assert list(differences(blocks, server.url, key, tmp_path)) == []
