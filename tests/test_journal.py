"""The journal: whatever is sent, what is noted of it is exact in number and bounded in size."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from applyrate.answers import RejectedInput, Source
from applyrate.errors import InvalidInput, Unavailable
from applyrate.intake.arrivals import MAX_SERVICES, OTHER_SERVICES
from applyrate.intake.inbox import FILE, Inbox
from applyrate.intake.journal import Journal, Notes
from applyrate.intake.rejections import (
    KEPT_DAYS,
    MAX_KEPT,
    MAX_REASONS,
    OTHER_REASONS,
    FaultCount,
    describe_rejection,
)
from applyrate.usage import ERASED

ORG = "acme"


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / FILE, max_spans=100)) as inbox:
        yield inbox


def reasons(inbox: Inbox) -> dict[str, int]:
    _, told = inbox.rejections(ORG, limit=1)
    return {row.reason: row.rejected_count for row in told}


def rejecting(*messages: str) -> Notes:
    notes = Notes()
    for message in messages:
        notes.reject(describe_rejection(Source.REPLIES, message))
    return notes


def test_ever_new_reasons_are_all_counted_and_few_are_named(inbox: Inbox) -> None:
    for start in range(0, 3_000, 1_500):
        messages = [f"field_{number}: there is no such field" for number in range(1_500)]
        inbox.write_notes({ORG: rejecting(*messages[start // 3 :])})
    told = reasons(inbox)
    assert sum(told.values()) == 2_500
    assert len(told) == MAX_REASONS + 1
    assert told[OTHER_REASONS] > 1_000


def test_ever_new_services_are_all_counted_and_few_are_named(inbox: Inbox) -> None:
    notes = Notes()
    for number in range(2_000):
        notes.arrive(Source.TRACES, 2, f"service-{number}")
    inbox.write_notes({ORG: notes})
    inbox.write_notes({ORG: notes})
    arrivals = {row.service: row.arrived_count for row in inbox.depth(ORG).arrivals}
    assert sum(arrivals.values()) > 7_000  # all but the smallest are listed
    assert len(arrivals) <= MAX_SERVICES + 1
    assert arrivals[OTHER_SERVICES] > 7_000


def test_what_is_noted_until_it_is_written_is_bounded() -> None:
    notes = rejecting(*(f"field_{number}: no such field" for number in range(1_500)))
    assert len(notes.faults) <= 1_001
    assert sum(fault.count for fault in notes.faults.values()) == 1_500
    assert len(notes.newest) == MAX_KEPT


def test_a_sender_is_told_with_the_time_when_it_sent_last() -> None:
    notes = Notes()
    notes.arrive(Source.TRACES, 1, "shop")
    (known,) = notes.arrived.values()
    first = known.last_at
    while time.time_ns() // 1_000 == first:
        pass
    notes.arrive(Source.TRACES, 2, "shop")
    assert (known.count, known.last_at > first) == (3, True)


def test_of_what_was_erased_no_id_is_kept() -> None:
    told = f"session_id: 'jane' {ERASED}"
    rejected = describe_rejection(Source.REPLIES, told, reply_id="r of jane")
    assert rejected.message == f"session_id: {ERASED}"
    assert rejected.reply_id is None


def test_the_newest_are_kept_however_many_there_are(inbox: Inbox) -> None:
    for start in (0, 150, 300):
        inbox.write_notes({ORG: rejecting(*(f"m: {n}" for n in range(start, start + 150)))})
    page, _ = inbox.rejections(ORG, limit=250)
    assert [row.message for row in page.items] == [f"m: {n}" for n in range(449, 349, -1)]
    assert len(page.items) == MAX_KEPT
    assert page.next is None


def test_after_its_days_a_rejection_is_neither_told_nor_kept(inbox: Inbox, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for age in (KEPT_DAYS + 1, KEPT_DAYS, KEPT_DAYS - 1, 0):
        at, notes = now - timedelta(days=age), Notes()
        told = RejectedInput(rejected_at=at, source=Source.REPLIES, reason="r", message=f"{age}")
        notes.newest.append(told)
        notes.faults[at.date(), Source.REPLIES, "r"] = FaultCount(1, at)
        inbox.write_notes({ORG: notes})
    page, (reason,) = inbox.rejections(ORG, limit=10)
    assert [row.message for row in page.items] == ["0", f"{KEPT_DAYS - 1}"]
    assert (reason.rejected_count, reason.last_at) == (2, now)
    assert [day.day for day in reason.days] == [
        (now - timedelta(days=KEPT_DAYS - 1)).date(),
        now.date(),
    ]
    inbox.forget_notes()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count(*) FROM rejected").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM rejected_day").fetchone() == (2,)


def test_a_request_that_is_refused_for_the_moment_is_no_rejection(inbox: Inbox) -> None:
    async def note() -> None:
        journal = Journal(inbox)
        journal.note_failure(ORG, Source.TRACES, Unavailable("full", retry_after_seconds=1))
        journal.note_failure(ORG, Source.TRACES, InvalidInput("the body: not JSON"))
        await journal.close()

    asyncio.run(note())
    assert reasons(inbox) == {"the body: not JSON": 1}


def test_what_cannot_be_written_is_logged_and_the_journal_goes_on(
    inbox: Inbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(tmp_path / FILE)) as db:
            db.execute(f"ALTER TABLE {old} RENAME TO {new}")

    async def note() -> None:
        journal = Journal(inbox)
        rename("rejected_day", "elsewhere")
        journal.note_failure(ORG, Source.REPLIES, InvalidInput("the body: lost"))
        with caplog.at_level(logging.ERROR):
            await journal.write()
        rename("elsewhere", "rejected_day")
        journal.note_failure(ORG, Source.REPLIES, InvalidInput("the body: kept"))
        await journal.close()

    asyncio.run(note())
    assert "cannot be noted" in caplog.text
    assert reasons(inbox) == {"the body: kept": 1}
