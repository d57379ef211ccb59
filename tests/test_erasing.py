"""An erased conversation is gone from everything, at one moment, for good."""

import multiprocessing
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import pytest

from applyrate.answers import Source
from applyrate.intake import housekeeping
from applyrate.intake.housekeeping import finish_erasures
from applyrate.intake.inbox import FILE, Inbox, SpanBatch
from applyrate.intake.journal import Notes
from applyrate.intake.rejections import describe_rejection
from applyrate.intake.spans import ObservedSpan
from applyrate.store import Store, open_store
from applyrate.store.sqlite.names import add_names
from applyrate.usage import (
    Applied,
    Available,
    ConversationFacts,
    Erasure,
    Recording,
    Reply,
    ResourceType,
    Window,
)
from tests.commands import answer, run
from tests.exporting import AGENT, executed, export, sent, settle
from tests.observed import agent, observed
from tests.servers import Server, end_process, running_server, start_process

AT = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "jane.doe@mail.example"
TICKET = 0x5EC2E7_71C4E7
KB, LOOK = ResourceType.KNOWLEDGE, ResourceType.ACTION


def reply(number: int, session_id: str, **more: object) -> Reply:
    given = {
        "available": Available(instruction=["tone"], knowledge=[f"kb_{number % 7}"]),
        "applied": Applied(action=["look", "look"], knowledge=[f"kb_{number % 7}"]),
    }
    at = AT + timedelta(minutes=17 * number)
    return Reply(f"r {number} of {session_id}", session_id, at, **(given | more))  # type: ignore[arg-type]


def record(store: Store, *replies: Reply) -> None:
    store.record([Recording("acme", replies)])


def bytes_of(folder: Path) -> bytes:
    """All that the files of a folder show."""
    return b"\0".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def shown(folder: Path) -> list[bytes]:
    """What of the secret conversation the files show."""
    secrets = (SECRET.encode(), b"mail.example", b"whispered", TICKET.to_bytes(6, "big"))
    seen = bytes_of(folder)
    return [secret for secret in secrets if secret in seen]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as store:
        yield store


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / FILE, max_spans=100_000)) as inbox:
        yield inbox


def erase(store: Store, *session_ids: str) -> Erasure:
    """Erase conversations as everybody does; what is gone."""
    *_, gone = housekeeping.erase(store, "acme", session_ids, "tester")
    return gone


def count(store: Store, resource_type: ResourceType, name: str) -> tuple[int, int]:
    summary = store.summary("acme", resource_type, name, Window())
    return summary.applied_sessions, summary.applied_replies


def spans_of(trace: int, session_id: str, said: str) -> list[ObservedSpan]:
    of_trace = f"{trace:032x}"
    top = agent("a", trace_id=of_trace, conversation={"session.id": session_id}, output=said)
    return [top, observed("b", "a", trace_id=of_trace)]


def test_no_file_shows_a_byte_of_it(store: Store, inbox: Inbox, tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 (no secret)
    others = [f"{chance.getrandbits(128):032x}" for _ in range(600)]
    for turn in range(3):  # pages fill up and are parted, and texts take the place of others
        batch = []
        for place, session_id in enumerate(chance.sample(others, len(others))):
            said = "words " * chance.randrange(200)
            batch.append(reply(turn, session_id, last_message=said))
            if place % 100 == 0:
                text = f"{SECRET} whispered " * (1 + 500 * turn)
                of_it = reply(1000 * turn + place, SECRET, last_message=text, ticket_number=TICKET)
                batch.append(of_it)
        record(store, *batch)
    store.set_conversations("acme", {SECRET: ConversationFacts(last_message="whispered, too")})
    inbox.add(
        [SpanBatch("acme", spans_of(n, session, "words")) for n, session in enumerate(others)]
    )
    inbox.add([SpanBatch("acme", spans_of(9999, SECRET, f"{SECRET} whispered " * 40))])
    assert len(shown(tmp_path)) == 4
    erased = erase(store, SECRET)
    assert (erased.session_count, erased.reply_count) == (1, 18)
    assert finish_erasures(store, inbox)
    assert shown(tmp_path) == []
    assert list(store.check()) == []
    assert count(store, LOOK, "look") == (600, 3600)
    store.close()
    inbox.close()
    assert shown(tmp_path) == []


def test_the_inbox_loses_what_tells_of_it_and_nothing_else(store: Store, inbox: Inbox) -> None:
    name = "jane's \\ own"  # which messages show as another text
    traces = [f"{number:032x}" for number in range(6)]
    record(store, Reply(traces[0], name, AT), Reply(f"{traces[1]}-00a", name, AT))
    inbox.add(
        [
            SpanBatch("acme", [agent("a", trace_id=traces[0])]),
            SpanBatch("acme", [agent("a", trace_id=traces[1])]),
            SpanBatch("acme", [agent("a", trace_id=traces[2], conversation={"id": name})]),
            SpanBatch("acme", [agent("a", trace_id=traces[3], labels={"thread": name})]),
            SpanBatch("acme", [agent("a", trace_id=traces[4], output=name)]),
            SpanBatch("globex", [agent("a", trace_id=traces[5], conversation={"id": name})]),
        ]
    )
    notes = Notes()
    for message, reply_id, trace_id in (
        (f"reply_id: 'r' is in conversation {name!r}", None, None),
        (f"thread: {name} is too long", None, None),
        ("replied_at: it is late", traces[0], None),
        ("replied_at: it is later", None, traces[1]),
        ("replied_at: of another", "r_9", traces[4]),
    ):
        told = describe_rejection(Source.REPLIES, message, reply_id=reply_id, trace_id=trace_id)
        notes.reject(told)
    inbox.write_notes({"acme": notes})
    erase(store, name)
    assert finish_erasures(store, inbox)
    left = [trace.trace_id for trace in inbox.due(0, max_spans=99)]
    assert left == traces[4:]
    page, reasons = inbox.rejections("acme", limit=9)
    assert [row.message for row in page.items] == ["replied_at: of another"]
    assert sum(reason.rejected_count for reason in reasons) == 5


def test_what_is_erased_before_it_arrives_never_does(store: Store) -> None:
    assert erase(store, "s_1").session_count == 0
    (receipt,) = store.record([Recording("acme", [reply(1, "s_1"), reply(1, "s_2")])])
    assert (receipt.accepted, [refusal.is_gone for refusal in receipt.refused]) == (1, [True])
    told = "session_id: 's_1' was erased; nothing of it is recorded again"
    assert receipt.refused[0].message == told
    assert store.set_conversations("acme", {"s_1": ConversationFacts(csat=3)}) == ["s_1"]
    assert store.conversation("acme", "s_1") is None
    (of_others,) = store.record([Recording("globex", [reply(1, "s_1")])])
    assert of_others.accepted == 1


def test_one_that_is_there_in_spite_of_that_is_a_fault(store: Store, tmp_path: Path) -> None:
    erase(store, "s_1")
    assert list(store.check()) == []
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db, db:
        db.execute("INSERT INTO conversation (id, org, session_id) VALUES (1 << 32, 1, 's_1')")
        add_names(db, "conversation", 1, {"s_1": 1 << 32})
    assert list(store.check()) == ["conversation s_1: it was erased, and is there again"]


def test_a_resource_that_nobody_else_used_goes_with_it(store: Store) -> None:
    names = {KB: {"kb_1": "What Jane asked"}}
    store.record([Recording("acme", [reply(1, "s_1")], names=names)])
    record(store, reply(2, "s_2"))
    version = store.changes("acme").version
    erase(store, "s_1")
    assert store.catalogue("acme", KB, ["kb_1"]) == {}
    assert [row.resource_id for row in store.resources("acme", KB, Window(), limit=9).items] == [
        "kb_2"
    ]
    assert store.type_totals("acme", KB, Window()).resource_count == 1
    changed = [name for _, name in store.changes("acme", version).resources]
    assert changed == ["look", "tone", "kb_1"]


def test_a_process_that_remembers_a_resource_that_is_gone_makes_it_anew(
    store: Store, tmp_path: Path
) -> None:
    record(store, reply(1, "s_1"), reply(2, "s_2"))
    with closing(open_store(tmp_path)) as other:
        erase(other, "s_1")
        record(other, reply(3, "s_3"))
    record(store, reply(8, "s_4"))  # of kb_1, like the first
    assert count(store, KB, "kb_1") == (1, 1)
    assert list(store.check()) == []


def test_an_answer_that_was_given_before_is_not_given_again(store: Store) -> None:
    window = Window(AT + timedelta(hours=1), AT + timedelta(days=3, hours=1))
    record(store, *(reply(n, f"s_{n % 5}") for n in range(400)))

    def ask() -> list[int]:
        by_id = store.summary("acme", KB, "kb_1", window)
        table = store.ranked("acme", KB, window, limit=9).items
        (of_list,) = [row for row in table if row.resource_id == "kb_1"]
        totals = store.type_timeline("acme", KB, [window.from_at or AT, window.to_at or AT])
        return [by_id.applied_replies, of_list.applied_replies, totals[0].applied_replies]

    before = ask()
    erase(store, "s_1")
    after = ask()
    assert all(new < old for old, new in zip(before, after, strict=True))
    assert after[0] == after[1]


def test_an_id_is_never_given_twice(store: Store, tmp_path: Path) -> None:
    record(store, reply(1, "s_1"))
    erase(store, "s_1")
    record(store, reply(2, "s_2"))
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db:
        for table in ("conversation", "reply"):
            assert db.execute(f"SELECT min(id) & 0xFFFFFFFF FROM {table}").fetchone() == (1,)  # noqa: S608


def test_an_erasure_that_was_cut_off_is_finished_by_the_next_start(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    record(store, reply(1, SECRET, last_message="whispered"))
    inbox.add([SpanBatch("acme", spans_of(1, SECRET, "whispered"))])
    erase(store, SECRET)
    store.close()
    inbox.close()
    assert shown(tmp_path)
    with running_server(tmp_path):
        wait_until(lambda: not shown(tmp_path))
    assert shown(tmp_path) == []


def wait_until(holds: object, seconds: float = 30) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def erase_all(folder: Path, sessions: Sequence[str], told: Connection) -> None:
    with closing(open_store(folder)) as store:
        for session_id in sessions:
            erase(store, session_id)
            told.send(session_id)


def test_an_erasure_that_is_killed_is_whole_or_not_begun(tmp_path: Path) -> None:
    chance, spawn = random.Random(), multiprocessing.get_context("spawn")  # noqa: S311
    sessions = [f"s_{number}" for number in range(400)]
    with closing(open_store(tmp_path)) as store:
        record(store, *(reply(n, session) for n in range(5) for session in sessions))
    left = sessions
    for _ in range(3):
        ours, theirs = spawn.Pipe(duplex=False)
        eraser = spawn.Process(target=erase_all, args=(tmp_path, left, theirs))
        eraser.start()
        ours.recv()
        time.sleep(chance.uniform(0, 0.1))
        eraser.kill()
        eraser.join()
        theirs.close()
        acknowledged = {left[0]}
        while ours.poll():
            try:
                acknowledged.add(ours.recv())
            except EOFError:
                break
        with closing(open_store(tmp_path)) as store:
            assert list(store.check()) == []
            known = {one: store.conversation("acme", one) for one in left}
            counted, _ = count(store, LOOK, "look")
        assert all(known[one] is None for one in acknowledged)
        left = [one for one, conversation in known.items() if conversation is not None]
        assert all(len(found.replies) == 5 for found in known.values() if found)
        assert counted == len(left) >= len(known) - len(acknowledged) - 1


def erase_in_steps(folder: Path, told: Connection) -> None:
    with closing(open_store(folder)) as store:
        gone = store.erase("acme", [SECRET])
        while gone != housekeeping.NOTHING_GONE:
            told.send(gone.reply_count)
            gone = store.continue_erasing("acme", 20)


def test_a_long_erasure_that_is_killed_between_its_steps_is_finished_by_the_service(
    tmp_path: Path,
) -> None:
    size, spawn = 3_000, multiprocessing.get_context("spawn")
    of_it = [reply(n, SECRET, last_message=f"{SECRET} whispered") for n in range(size)]
    with closing(open_store(tmp_path)) as store:
        record(store, *of_it, reply(1, "s_2"))
    ours, theirs = spawn.Pipe(duplex=False)
    eraser = spawn.Process(target=erase_in_steps, args=(tmp_path, theirs))
    eraser.start()
    known_gone = sum(ours.recv() for _ in range(4))
    eraser.kill()
    eraser.join()
    theirs.close()
    with closing(open_store(tmp_path)) as store:
        assert list(store.check()) == []
        half = store.conversation("acme", SECRET)
        assert half is not None
        assert half.last_message is None
        assert 0 < len(half.replies) <= size - known_gone
        assert count(store, LOOK, "look") == (2, 2 * len(half.replies) + 2)
        (receipt,) = store.record([Recording("acme", of_it)])  # does not bring it back
        assert receipt.accepted == 0
        assert all(refusal.is_gone for refusal in receipt.refused)
    with running_server(tmp_path) as server:
        wait_until(lambda: server.store.conversation("acme", SECRET) is None)
        wait_until(lambda: not shown(tmp_path))
        assert count(server.store, LOOK, "look") == (1, 2)
        assert list(server.store.check()) == []


def test_a_long_conversation_is_gone_when_the_answer_comes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        replies = [reply(n, SECRET, last_message=f"{SECRET} whispered") for n in range(2_000)]
        record(server.store, *replies, reply(1, "s_2"))
        client = server.client("acme")
        assert client.delete(f"/conversations/{SECRET}").status_code == 204
        assert shown(data) == []
        assert client.get(f"/conversations/{SECRET}/usage").status_code == 404
        counted = client.get("/resource-usage/action/look/usage-summary").json()
        assert (counted["applied_sessions"], counted["applied_replies"]) == (1, 2)
        assert list(server.store.check()) == []


def test_over_http_it_is_gone_from_every_answer(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data, trace_quiet_seconds=0) as server:
        client = server.client("acme")
        root = sent("a", None, {**AGENT, "gen_ai.conversation.id": SECRET}, trace=7)
        export(client, root, executed("t", "a", "look", trace=7), service="shop")
        settle(client)
        body = {
            "reply_id": f"r of {SECRET}",
            "session_id": SECRET,
            "replied_at": "2026-03-01T10:00:00Z",
            "applied": {"action": ["look"]},
            "last_message": "whispered",
            "ticket_number": TICKET,
        }
        client.post("/replies", json=body).raise_for_status()
        other = body | {"reply_id": "r_2", "session_id": "s_2", "last_message": "Hello."}
        client.post("/replies", json=other | {"ticket_number": 7}).raise_for_status()
        conflict = client.post("/replies", json=body | {"replied_at": "2026-03-02T10:00:00Z"})
        assert SECRET in conflict.json()["message"]
        bad = client.post("/replies", json=body | {"replied_at": f"the day of {SECRET}"})
        assert bad.status_code == 400
        wait_until(lambda: len(client.get("/intake/rejected").json()["items"]) == 2)
        where = f"/conversations/{SECRET}"
        wait_until(lambda: len(client.get(f"{where}/usage").json()["replies"]) == 2)
        assert client.delete(where).status_code == 204
        assert shown(data) == []
        assert client.get(f"{where}/usage").status_code == 404
        assert SECRET not in client.get("/export/usages").text
        counted = client.get("/resource-usage/action/look/usage-summary").json()
        assert (counted["applied_sessions"], counted["applied_replies"]) == (1, 1)
        refused = client.post("/replies", json=body)
        assert refused.status_code == 400
        assert "was erased" in refused.json()["message"]
        assert client.put(where, json={"csat": 3}).status_code == 400
        late = executed("u", "a", "look", trace=7)
        export(client, root, late, service="shop")
        settle(client)
        wait_until(lambda: client.get("/intake/unattributed").json()["waiting_count"] == 0)
        assert client.get("/resource-usage/action/look/usage-summary").json() == counted
        assert client.get("/intake/unattributed").json()["items"] == []
        wait_until(lambda: client.get("/intake/rejected").json()["items"])
        (rejected,) = client.get("/intake/rejected").json()["items"]
        assert rejected["message"] == "session_id: was erased; nothing of it is recorded again"
        assert rejected["reply_id"] is None
        assert list(server.store.check()) == []
    assert shown(data) == []


def test_erasing_takes_its_scope_and_touches_no_other_organization(server: Server) -> None:
    org, other_org = server.new_org(), server.new_org()
    for one in (org, other_org):
        server.store.record([Recording(one, [reply(1, "s/1 ?")])])
    where = "/conversations/s%2F1%20%3F"
    reader = server.client(org, ["chat-sessions:read", "usage:write", "org:write"])
    assert reader.delete(where).status_code == 403
    assert server.client(other_org, ["chat-sessions:write"]).delete(where).status_code == 204
    assert server.store.conversation(other_org, "s/1 ?") is None
    assert server.store.conversation(org, "s/1 ?") is not None
    again = server.client(other_org).delete(where)
    assert (again.status_code, again.content) == (204, b"")


def test_a_stream_tells_what_became_less(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    server.store.record([Recording(org, [reply(1, "s_1")])])
    where = "/resource-usage/action/look/stream"
    with client.stream("GET", where, timeout=httpx.Timeout(30)) as events:
        lines = events.iter_lines()
        assert '"applied_replies":2' in next(line for line in lines if line.startswith("data:"))
        server.client(org).delete("/conversations/s_1")
        assert '"applied_replies":0' in next(line for line in lines if line.startswith("data:"))


def test_the_command_asks_first_and_erases_beside_a_running_service(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        record(server.store, reply(1, SECRET, last_message="whispered"), reply(2, "s_2"))
        client = server.client("acme")
        before = client.get("/resource-usage/action/look/usage-summary").json()
        assert before["applied_sessions"] == 2
        where = ("--data", data, "--org", "acme")
        refused = run("erase", SECRET, *where)
        assert refused.exit_code == 1
        assert "Erase 1 conversation of acme for good?" in refused.stderr
        nothing_named = run("erase", *where, "--yes")
        assert nothing_named.exit_code == 2
        assert "name conversations to erase, or --messages" in nothing_named.stderr
        assert run("erase", "", *where, "--yes").exit_code == 2
        erased = answer("erase", SECRET, "unknown", *where, "--yes")
        assert erased == {"session_count": 1, "reply_count": 1, "message_count": 0}
        wait_until(lambda: not shown(data))
        counted = client.get("/resource-usage/action/look/usage-summary").json()
        assert counted["applied_sessions"] == 1
        told = run("erase", "s_2", *where, "--yes").stdout
        assert told == "Erased 1 conversation with 1 reply.\n"


def test_the_command_erases_what_a_running_service_has_only_in_memory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data, trace_quiet_seconds=0) as server:
        client = server.client("acme")
        body = {
            "reply_id": f"r of {SECRET}",
            "session_id": SECRET,
            "replied_at": "2026-03-01T10:00:00Z",
            "last_message": "whispered",
        }
        client.post("/replies", json=body).raise_for_status()
        root = sent("a", None, {**AGENT, "gen_ai.conversation.id": SECRET}, trace=7)
        export(client, root, service="shop")
        conflict = client.post("/replies", json=body | {"replied_at": "2026-03-02T10:00:00Z"})
        assert SECRET in conflict.json()["message"]  # and the service will write that down
        erased = answer("erase", SECRET, "--yes", "--data", data, "--org", "acme")
        assert erased["session_count"] == 1
        assert shown(data) == []
        bad = {"reply_id": "r_2", "session_id": "s_2", "replied_at": "once"}
        client.post("/replies", json=bad)
        wait_until(lambda: client.get("/intake/rejected").json()["items"])
        (noted,) = client.get("/intake/rejected").json()["items"]
        assert noted["message"].startswith("replied_at")
        assert shown(data) == []


def test_a_reader_of_an_earlier_moment_only_delays_the_scrubbing(
    store: Store, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_SCRUB_SECONDS", 0)
    record(store, reply(1, SECRET, last_message="whispered"))
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM reply").fetchone()
        erase(store, SECRET)
        assert not finish_erasures(store, inbox)
        assert store.needs_scrub()
        record(store, reply(2, "s_2"))  # and nobody waits
    assert finish_erasures(store, inbox)
    assert not store.needs_scrub()
    assert shown(tmp_path) == []


def test_a_killed_service_erases_whole_conversations(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process, url = start_process(data)
    server = Server(process, url, data)
    record(server.store, *(reply(n, f"s_{n % 50}") for n in range(500)))
    acknowledged = list[str]()
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {server.new_key('acme')}"}
    ) as client:
        for number in range(20):
            assert client.delete(f"/conversations/s_{number}").status_code == 204
            acknowledged.append(f"s_{number}")
    process.kill()
    end_process(process)
    server.close()
    with closing(open_store(data)) as store:
        assert list(store.check()) == []
        assert all(store.conversation("acme", one) is None for one in acknowledged)
        assert count(store, LOOK, "look") == (30, 600)
