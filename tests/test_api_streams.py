"""Streams: what changes is told soon, at most once a second, and never lost."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import count, pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from applyrate.keys import digest
from applyrate.store import Store
from applyrate.usage import Applied, Recording, Reply, ResourceType, Window
from tests.listening import Event, connect, listening, read_until
from tests.servers import Server, end_process, running_server, start_process

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
LOOK = "/resource-usage/action/look/stream"
SOON_SECONDS = 2

_numbers = count()


def reply(*actions: str, **applied: list[str]) -> Reply:
    """A new reply that applied these."""
    number = next(_numbers)
    return Reply(f"r{number}", f"s{number}", AT, applied=Applied(action=list(actions), **applied))


def record(client: httpx.Client, *replies: Reply) -> None:
    """Record through the service."""
    sent = [
        {
            "reply_id": one.reply_id,
            "session_id": one.session_id,
            "replied_at": AT.isoformat(),
            "applied": {
                "action": one.applied.action,
                "instruction": one.applied.instruction,
                "knowledge": one.applied.knowledge,
            },
        }
        for one in replies
    ]
    assert client.post("/replies", json=sent).json()["accepted"] == len(replies)


def told(events: Sequence[Event]) -> list[tuple[str, int]]:
    """What events say: which resource, how many applications."""
    return [(event.resource, event.applied) for event in events]


def test_a_change_shows_within_two_seconds(client: httpx.Client) -> None:
    with listening(client) as stream:
        record(client, reply("look"))
        asked_at = time.monotonic()
        event = stream.next(SOON_SECONDS)
        assert event.at - asked_at < SOON_SECONDS
        summary = client.get("/resource-usage/action/look/usage-summary").json()
        assert event.data == {
            "resource_type": "action",
            "resource_id": "look",
            "summary": summary,
        }


def test_what_another_process_records_shows_within_two_seconds(
    server: Server, client: httpx.Client
) -> None:
    org = server.new_org()
    with listening(server.client(org)) as stream, listening(client) as foreign:
        server.store.record([Recording(org, [reply("look")])])
        assert told([stream.next(SOON_SECONDS)]) == [("look", 1)]
        assert foreign.rest(0) == [], "it is of another organization"


def test_a_stream_of_one_resource_begins_with_its_present_counts(client: httpx.Client) -> None:
    record(client, reply("look"), reply("look"), reply("other"))
    with listening(client, LOOK) as stream:
        assert told([stream.next()]) == [("look", 2)]
        record(client, reply("other"))
        record(client, reply("look"))
        assert told([stream.next()]) == [("look", 3)]
    with listening(client, "/resource-usage/action/a%2Fb%20%E2%98%95/stream") as stream:
        assert told([stream.next()]) == [("a/b ☕", 0)]


def test_the_stream_of_all_begins_with_its_place_and_no_event(client: httpx.Client) -> None:
    record(client, reply("look"))
    with listening(client) as stream:
        assert stream.rest(0.3) == []
        place = stream.place
    record(client, reply("look"))
    with listening(client, after=place) as stream:
        assert told([stream.next()]) == [("look", 2)]


def test_changes_within_a_second_are_one_event(client: httpx.Client) -> None:
    with listening(client) as stream:
        record(client, reply("look"))
        first = stream.next()
        for _ in range(5):
            record(client, reply("look"))
            time.sleep(0.05)
        second = stream.next()
        assert told([first, second]) == [("look", 1), ("look", 6)]
        assert second.at - first.at > 0.95
        assert stream.rest(1.3) == []


def test_no_resource_is_told_more_than_once_a_second(client: httpx.Client) -> None:
    with listening(client) as stream:
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            record(client, reply("look", "find"))
            time.sleep(0.02)
        events = list(stream.waiting())
    for name in ("look", "find"):
        times = [event.at for event in events if event.resource == name]
        assert len(times) >= 3
        assert min(later - sooner for sooner, later in pairwise(times)) > 0.95


def test_nothing_is_told_where_no_count_changed(client: httpx.Client) -> None:
    known = reply("look")
    record(client, known)
    with listening(client) as stream, listening(client, LOOK) as one:
        one.next()
        body = {"reply_id": known.reply_id, "session_id": known.session_id}
        again = {**body, "replied_at": AT.isoformat(), "applied": {"action": ["look"]}}
        assert client.post("/replies", json=again).json()["duplicates"] == 1
        client.put(f"/conversations/{known.session_id}", json={"ticket_number": 7})
        assert stream.rest(1.5) == []
        assert one.rest(0) == []


def test_a_reader_that_connects_again_is_told_what_it_missed(client: httpx.Client) -> None:
    record(client, reply("look", "find", "quiet"))
    with listening(client) as stream:
        record(client, reply("look"))
        place = stream.next().id
    record(client, reply("look"), reply("find"))
    with listening(client, after=place) as stream:
        assert sorted(told([stream.next(), stream.next()])) == [("find", 2), ("look", 3)]
        assert stream.rest(0.3) == []
    with listening(client, last_event_id=place) as stream:
        assert {stream.next().resource, stream.next().resource} == {"look", "find"}
        place_now = stream.place
    with listening(client, after=place_now, last_event_id=place) as stream:
        assert stream.rest(0.3) == [], "the header is the newer one of the two"
    with listening(client, LOOK, after=place) as stream:
        assert told([stream.next()]) == [("look", 3)]
    with listening(client, LOOK, after=place_now) as stream:
        assert stream.rest(0.3) == [], "it knows the present counts"


def test_a_break_between_changes_of_the_same_moment_loses_none(client: httpx.Client) -> None:
    with listening(client) as stream:
        start = stream.place
        record(client, reply(*(f"a{number}" for number in range(250))))
        events = [stream.next() for _ in range(250)]
        assert {event.id for event in events[:-1]} == {start}
        assert events[-1].id > (start or 0)
    with listening(client, after=events[120].id) as stream:
        assert {stream.next().resource for _ in range(250)} == {e.resource for e in events}
    with listening(client, after=events[-1].id) as stream:
        assert stream.rest(0.3) == []


def test_an_id_of_a_newer_file_tells_everything(client: httpx.Client) -> None:
    record(client, reply("look", "find"))
    with listening(client, after=2**62) as stream:
        assert {stream.next().resource, stream.next().resource} == {"look", "find"}
        record(client, reply("look"))
        assert told([stream.next()]) == [("look", 2)]


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 40, "½"])
def test_an_id_that_is_none_is_refused(client: httpx.Client, text: str) -> None:
    in_header = [(b"Last-Event-ID", text.encode())]
    for query, headers, name in (
        ({"last_event_id": text}, [], "last_event_id"),
        ({}, in_header, "Last-Event-ID"),
    ):
        answer = client.get("/stream", params=query, headers=headers)
        assert answer.status_code == HTTPStatus.BAD_REQUEST
        assert answer.json()["message"].startswith(f"{name}: ")
        assert answer.json()["message"].endswith("is not the id of an event of this service")


def test_what_a_key_may_not_read_is_left_out(server: Server) -> None:
    org = server.new_org()
    record_all = server.client(org)
    for scope, names in (("training:read", ["ins", "kb"]), ("actions:read", ["look"])):
        narrow = server.client(org, [scope, "chat-sessions:read"])
        with listening(narrow) as stream:
            record(record_all, reply("look", instruction=["ins"], knowledge=["kb"]))
            assert [event.resource for event in stream.rest(1.5)] == names


@pytest.mark.parametrize(
    ("scopes", "path", "missing"),
    [
        (["training:read"], "/stream", "chat-sessions:read"),
        (["chat-sessions:read"], "/stream", "training:read or actions:read"),
        (["training:read", "chat-sessions:read"], LOOK, "actions:read"),
    ],
)
def test_a_key_without_the_scopes_opens_no_stream(
    server: Server, scopes: list[str], path: str, missing: str
) -> None:
    answer = server.client(scopes=scopes).get(path)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert answer.json()["message"] == f"the key lacks the scope {missing}"


def test_a_stream_ends_when_its_key_is_revoked_or_expires(server: Server) -> None:
    org = server.new_org()
    expiring = server.new_key(org, expires_at=datetime.now(UTC) + timedelta(seconds=2))
    revoked = server.new_key(org)
    kept = server.store.find_key(digest(revoked))
    assert kept is not None
    with (
        listening(server.client(key=expiring)) as first,
        listening(server.client(key=revoked)) as second,
        listening(server.client(org)) as other,
    ):
        server.store.revoke_key(org, kept.key_id, datetime.now(UTC))
        assert second.ends(10)
        assert first.ends(10)
        assert not other.ends(0)


def test_so_many_streams_may_be_open_and_no_more(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_key_streams=2, max_streams=3) as server:
        client, other = server.client(), server.client()
        with listening(client), listening(client):
            answer = client.get("/stream")
            assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
            assert answer.json()["message"].startswith("the key has 2 streams open, which is the")
            assert int(answer.headers["retry-after"]) > 0
            with listening(other, LOOK):
                answer = server.client().get("/stream")
                assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
                assert answer.json()["message"].startswith("3 streams are open, which is the most")
                assert int(answer.headers["retry-after"]) > 0
        deadline = time.monotonic() + 5
        while client.get("/keys").status_code == HTTPStatus.OK and time.monotonic() < deadline:
            with client.stream("GET", "/stream") as answer:
                if answer.status_code == HTTPStatus.OK:
                    return
        pytest.fail("those who left still hold their places")


def test_opening_a_stream_spends_from_the_streaming_limit(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", streaming_limit=1, standard_limit=0) as server:
        client = server.client()
        with client.stream("GET", "/stream") as answer:
            assert answer.headers["ratelimit-policy"] == '"streaming";q=1;w=60'
        assert client.get(LOOK).status_code == HTTPStatus.TOO_MANY_REQUESTS
        assert client.get("/keys").status_code == HTTPStatus.OK


def test_a_quiet_stream_carries_comments(tmp_path: Path) -> None:
    prelude = "from applyrate.api import telling; telling.COMMENT_SECONDS = 0.2"
    process, url = start_process(tmp_path / "data", prelude=prelude)
    server = Server(process, url, tmp_path / "data")
    try:
        with listening(server.client("acme")) as stream:
            assert stream.rest(1.1) == []
            assert 3 <= stream.comment_count <= 6
            first = stream.place or 0
            server.store.record([Recording("other", [reply("look")])])
            assert stream.rest(1.5) == []
            assert (stream.place or 0) > first, "its place goes on, though it is told nothing"
    finally:
        server.close()
        end_process(process)


def test_nothing_is_missed_over_a_killed_server(tmp_path: Path) -> None:
    process, url = start_process(tmp_path / "data")
    server = Server(process, url, tmp_path / "data")
    key = server.new_key("acme")
    try:
        with listening(server.client(key=key)) as stream:
            server.store.record([Recording("acme", [reply("look", "find")])])
            events = [stream.next(), stream.next()]
            process.kill()
            assert stream.ends()
        server.store.record([Recording("acme", [reply("look")])])
        end_process(process)
        process, url = start_process(tmp_path / "data", port=urlsplit(url).port)
        with listening(server.client(key=key), after=events[-1].id) as stream:
            assert told([stream.next()]) == [("look", 2)]
            assert stream.rest(0.3) == []
    finally:
        server.close()
        end_process(process)


def test_the_end_of_the_service_ends_all_streams_within_a_second(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client()
        with listening(client) as first, listening(client, LOOK) as second:
            started_at = time.monotonic()
            server.process.terminate()
            assert first.ends(1)
            assert second.ends(1)
            assert server.process.wait(5) == 0
            assert time.monotonic() - started_at < 3
    assert capfd.readouterr().err == ""


def many_actions(store: Store, org: str) -> None:
    """Change 2,000 resources, which takes 500 KB to tell."""
    replies = [reply(*(f"a{part}-{number}" for number in range(100))) for part in range(20)]
    store.record([Recording(org, replies)])


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    """Where bare connections are closed with the test."""
    with ExitStack() as connections:
        yield connections


def test_who_does_not_read_holds_up_nobody_and_no_memory(
    tmp_path: Path, connections: ExitStack, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "data") as server:
        org = server.new_org()
        key = server.new_key(org)
        many_actions(server.store, org)
        for _ in range(20):
            connections.enter_context(connect(server.url, key, receive_bytes=2048))
        process = psutil.Process(server.process.pid)
        taken = []
        with listening(server.client(key=key)) as stream:
            for turn in range(2, 9):
                many_actions(server.store, org)
                events = [stream.next() for _ in range(2_000)]
                assert {event.applied for event in events} == {turn}
                taken.append(process.memory_info().rss)
        # All buffers are full after the first turns; of the others there are 10 MB for each.
        assert taken[-1] - taken[2] < 20 * 2**20
        started_at = time.monotonic()
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert time.monotonic() - started_at < 3
    assert capfd.readouterr().err == ""


def test_two_hundred_streams_at_once_are_told(server: Server, connections: ExitStack) -> None:
    org = server.new_org()
    key = server.new_key(org)
    readers = [connections.enter_context(connect(server.url, key)) for _ in range(200)]
    for reader in readers:
        read_until(reader, b"\nid: ")  # of an event; the header x-request-id comes before
    server.store.record([Recording(org, [reply("look")])])
    started_at = time.monotonic()
    for reader in readers:
        assert b'"applied_replies":1,' in read_until(reader, b'"look"')
    assert time.monotonic() - started_at < SOON_SECONDS


NAMES = [f"a{number}" for number in range(40)]


class Bustle:
    """Two processes that record for an organization, and readers that come and go."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.org = server.new_org()
        self.over = threading.Event()
        self.failures: list[str] = []

    def write(self, client: httpx.Client | None) -> None:
        """Record through the service, or else beside it."""
        choice = random.Random(client is None)  # noqa: S311 (no secret)
        while not self.over.is_set():
            one = reply(*choice.sample(NAMES, 3))
            if client:
                record(client, one)
            else:
                self.server.store.record([Recording(self.org, [one])])
            time.sleep(choice.uniform(0, 0.03))

    def follow(self, client: httpx.Client, known: dict[str, int]) -> None:
        """Connect again and again, each time after the last event, to know all counts."""
        choice = random.Random(len(self.failures))  # noqa: S311 (no secret)
        place = 0
        while True:
            is_last = self.over.is_set()
            with listening(client, after=place) as stream:
                events = stream.rest(2 if is_last else choice.uniform(0, 2.5))
            for event in (*events, *stream.waiting()):
                place = event.id
                known[event.resource] = event.applied
            self.failures += repeated(events)
            if is_last:
                return


def repeated(events: Sequence[Event]) -> list[str]:
    """The resources of which one stream told the same counts twice."""
    counts: dict[str, int] = {}
    found = []
    for event in events:
        if counts.get(event.resource) == event.applied:
            found.append(event.resource)
        counts[event.resource] = event.applied
    return found


def test_whoever_comes_and_goes_knows_all_counts_in_the_end(server: Server) -> None:
    bustle = Bustle(server)
    everyone: list[dict[str, int]] = [{} for _ in range(4)]
    threads = [
        threading.Thread(target=bustle.write, args=(client,))
        for client in (None, server.client(bustle.org))
    ] + [
        threading.Thread(target=bustle.follow, args=(server.client(bustle.org), known))
        for known in everyone
    ]
    for thread in threads:
        thread.start()
    time.sleep(5)
    bustle.over.set()
    for thread in threads:
        thread.join()
    counts = {
        name: server.store.summary(bustle.org, ResourceType.ACTION, name, Window()).applied_replies
        for name in NAMES
    }
    assert bustle.failures == []
    assert everyone == [counts] * len(everyone)
