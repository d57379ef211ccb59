"""Replies go when they are older than their organization keeps, and nothing else does."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from applyrate.intake.housekeeping import expire
from applyrate.intake.inbox import FILE, Inbox, SpanBatch
from applyrate.store import Store, open_store
from applyrate.usage import (
    SERVICE,
    Applied,
    AuditAction,
    ConversationFacts,
    Keeping,
    Recording,
    Reply,
    ResourceType,
    Window,
)
from tests.commands import answer, run
from tests.observed import agent
from tests.servers import running_server

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def reply(number: int, session_id: str, days_ago: float, **more: object) -> Reply:
    applied = Applied(action=["look"], knowledge=[f"kb_{number % 5}"])
    at = TODAY - timedelta(days=days_ago)
    return Reply(f"r_{number}", session_id, at, applied=applied, **more)  # type: ignore[arg-type]


def record(store: Store, *replies: Reply, org: str = "acme") -> list[str]:
    (receipt,) = store.record([Recording(org, replies)])
    return [refusal.message for refusal in receipt.refused]


def count(store: Store, org: str = "acme") -> int:
    return store.summary(org, ResourceType.ACTION, "look", Window()).applied_replies


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path, Keeping(days=30))) as store:
        yield store


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / FILE, max_spans=100)) as inbox:
        yield inbox


def history(folder: Path, org: str = "acme") -> None:
    """Two replies of each of the last hundred days, in conversations of two days."""
    with closing(open_store(folder)) as store:  # which keeps all
        replies = [
            reply(n, f"s_{n // 4}", n / 2, last_message=f"said by {n} or so") for n in range(200)
        ]
        assert record(store, *replies, org=org) == []


def test_what_is_older_goes_step_by_step_and_the_rest_stays(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    history(tmp_path)
    steps = list(expire(store, inbox, "acme"))
    assert len(steps) > 1
    assert steps[-1] == 200 - count(store)
    # Of the day that is 30 days ago all is kept, and half a day before it nothing.
    assert count(store) == 61
    assert list(store.check()) == []
    assert store.conversation("acme", "s_16") is None
    half_kept = store.conversation("acme", "s_15")
    assert half_kept is not None
    assert [one.reply_id for one in half_kept.replies] == ["r_60"]
    assert half_kept.last_message == "said by 60 or so"
    assert list(expire(store, inbox, "acme")) == []


def test_what_an_old_reply_said_goes_with_it(store: Store, inbox: Inbox, tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as other:
        old = reply(1, "s_1", 40, last_message="long ago", ticket_number=7)
        record(other, old, reply(2, "s_1", 1))
    assert list(expire(store, inbox, "acme")) == [1]
    known = store.conversation("acme", "s_1")
    assert known is not None
    assert (known.last_message, known.ticket_number, len(known.replies)) == (None, None, 1)


def test_what_is_too_old_does_not_come_back(store: Store, inbox: Inbox, tmp_path: Path) -> None:
    history(tmp_path)
    known = reply(180, "s_45", 90, last_message="said by 180 or so")
    assert record(store, known) == []  # it is there still, and nothing new
    list(expire(store, inbox, "acme"))
    before = count(store)
    oldest = f"{TODAY - timedelta(days=30):%Y-%m-%dT00:00:00Z}"
    (message,) = record(store, known, reply(500, "s_new", 30))
    assert message.startswith("replied_at: ")
    assert message.endswith(
        f"is older than this organization keeps; what it keeps begins at {oldest}"
    )
    assert count(store) == before + 1
    assert store.conversation("acme", "s_45") is None


def test_an_organization_may_keep_more_or_less_than_the_settings_say(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    for org in ("acme", "globex", "initech"):
        history(tmp_path, org)
    store.set_retention("globex", 0)
    store.set_retention("initech", 10)
    assert record(store, reply(999, "s", 5000), org="globex") == []
    for org, left in (("acme", 61), ("globex", 201), ("initech", 21)):
        list(expire(store, inbox, org))
        assert count(store, org) == left
    store.set_retention("initech", None)
    assert (store.retention_days("initech"), store.retention_days("globex")) == (None, 0)
    assert store.oldest_kept("initech") == TODAY - timedelta(days=30)


def test_a_conversation_that_never_had_a_reply_goes_by_when_it_became_known(
    store: Store, inbox: Inbox
) -> None:
    facts = {
        f"s_{n}": ConversationFacts(status="open", csat=3, handed_off_at=TODAY) for n in (1, 2)
    }
    store.set_conversations("acme", facts)
    record(store, reply(1, "s_2", 0))
    list(expire(store, inbox, "acme"))
    assert store.conversation("acme", "s_1") is not None
    tomorrow = TODAY + timedelta(days=1, seconds=1)
    assert store.has_expired("acme", tomorrow)
    while store.expire("acme", tomorrow, 1):
        assert list(store.check()) == []
    assert store.conversation("acme", "s_1") is store.conversation("acme", "s_2") is None
    assert not store.has_expired("acme", tomorrow)


def test_the_service_removes_it_by_itself_and_notes_that(tmp_path: Path) -> None:
    history(tmp_path)
    with closing(Inbox(tmp_path / FILE, max_spans=100)) as inbox:
        inbox.add([SpanBatch("acme", [agent("a")])])
    with running_server(tmp_path, retention_days=30) as server:
        deadline = time.monotonic() + 30
        while not (acts := server.store.audit("acme", limit=5).items):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert count(server.store) == 61
        assert (acts[0].actor, acts[0].action) == (SERVICE, AuditAction.REPLIES_EXPIRE)
        day = TODAY - timedelta(days=30)
        assert acts[0].detail == f"139 replies from before {day:%Y-%m-%d}"
        refused = server.client("acme").post(
            "/replies",
            json={"reply_id": "r_old", "session_id": "s", "replied_at": "2020-03-01T10:00:00Z"},
        )
        assert refused.status_code == 400
        assert "is older than this organization keeps" in refused.json()["message"]
        assert list(server.store.check()) == []
        while b"said by 180 or so" in b"".join(f.read_bytes() for f in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_traces_without_a_new_span_for_as_long_go_too(tmp_path: Path) -> None:
    with closing(Inbox(tmp_path / FILE, max_spans=100)) as inbox:
        inbox.add([SpanBatch(org, [agent("a")]) for org in ("acme", "globex")])
        now = time.time_ns() // 1_000
        assert inbox.expire("acme", now - 60_000_000) == 0
        assert inbox.expire("acme", now + 60_000_000) == 1
        assert len(inbox.due(0, max_spans=100)) == 1


def test_the_command_sets_shows_and_removes(tmp_path: Path) -> None:
    history(tmp_path)
    where = ("--data", tmp_path, "--org", "acme")
    assert answer("retention", *where) == {"days": 0, "is_own": False, "removed_replies": 0}
    kept = run("retention", *where, retention_days=30).stdout
    assert kept == "acme keeps its replies for 30 days, as the settings say.\n"
    assert answer("retention", "--days", 10, "--now", *where) == {
        "days": 10,
        "is_own": True,
        "removed_replies": 179,
    }
    assert run("retention", "--days", "none", *where).stdout == "acme keeps its replies for ever.\n"
    assert answer("retention", "--days", "default", *where)["is_own"] is False
    for wrong in ("0", "-1", "forever", "36501", "1.5"):
        assert run("retention", "--days", wrong, *where).exit_code == 2
    with closing(open_store(tmp_path)) as store:
        told = [act.detail for act in store.audit("acme", limit=9).items]
    day = TODAY - timedelta(days=10)
    removed = f"179 replies from before {day:%Y-%m-%d}"
    assert told == ["as the settings say", "for ever", removed, "10"]
