"""What was acknowledged and the store does not have yet, on this machine's disk.

Where the store is on other machines, replies and facts are acknowledged once they are here, and
delivered from here. What the store then refuses for good is set aside, for a person to decide.
Several processes may work on the file.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from msgspec import Struct

from applyrate.errors import Unavailable
from applyrate.intake.journal import Notes
from applyrate.intake.rejections import add_rejections
from applyrate.intake.room import micros_ago
from applyrate.intake.sent import (
    Item,
    Sent,
    SentFacts,
    decode_item,
    encode_item,
    leave_out,
    silence,
)
from applyrate.store.sqlite.database import Database

RETRY_AFTER_SECONDS: Final = 10

_ROWS_AT_A_TIME: Final = 1_000


class Waiting(Struct, frozen=True):
    """Something sent that waits for its delivery, under its number."""

    number: int
    sent: Sent


class Refused(Struct, frozen=True):
    """One reply, or the facts of one conversation, that the store refuses for good, and why."""

    sent: Sent
    problem: str


class SetAside(Struct, frozen=True, kw_only=True):
    """Something refused, as it is kept; without ``reply_id`` it is facts of the conversation."""

    number: int
    org: str
    session_id: str
    reply_id: str | None
    problem: str
    set_aside_at: datetime
    item: Item


class Backlog(Struct, frozen=True):
    """How much waits, for how long the oldest of it has, and how much is set aside."""

    reply_count: int
    oldest_seconds: float
    set_aside_count: int


class Undelivered:
    """The tables of a database. Every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sent: Sequence[Sent], max_replies: int) -> list[None]:
        """Keep what was sent, in one transaction; it is on disk when this returns.

        Raises Unavailable where more than ``max_replies`` would wait; none of it is kept then.
        """
        size = sum(one.size for one in sent)
        with self._database.writing() as db:
            (kept,) = db.execute("SELECT reply_count FROM kept").fetchone()
            if kept + size > max_replies:
                raise Unavailable(
                    f"the inbox is full: {kept} replies wait in it for the store, and {max_replies}"
                    " are the most; send it again later",
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                    limit="inbox_max_replies",
                )
            _add(db, sent)
        return [None] * len(sent)

    def oldest(self, max_replies: int) -> list[Waiting]:
        """What waits, in order of arrival: as much as has so many replies, but at least one."""
        waiting: list[Waiting] = []
        size = 0
        with self._database.reading() as db:
            for number, org, item, reply_count in db.execute(_OLDEST, (max_replies,)):
                size += reply_count
                if waiting and size > max_replies:
                    break
                waiting.append(Waiting(number, Sent(org, decode_item(item))))
        return waiting

    def settle(
        self,
        delivered: Iterable[Waiting],
        refused: Iterable[Refused] = (),
        rejected: Mapping[str, Notes] = {},
    ) -> None:
        """Let go of what the store has, set aside what it refuses, note what it did not take.

        All of it in one transaction. ``rejected`` is by organization.
        """
        with self._database.writing() as db:
            for waiting in delivered:
                _remove(db, waiting.number)
            now = micros_ago(0)
            db.executemany(_SET_ASIDE, (_row_aside(one, now) for one in refused))
            for org, notes in rejected.items():
                add_rejections(db, org, notes.newest, notes.faults)

    def backlog(self) -> Backlog:
        """How much waits, at a small cost."""
        with self._database.reading() as db:
            reply_count, arrived_at, set_aside_count = db.execute(_BACKLOG).fetchone()
        age = 0.0 if arrived_at is None else max(0, micros_ago(0) - arrived_at) / 1_000_000
        return Backlog(reply_count, age, set_aside_count)

    def set_aside(self, number: int | None = None) -> list[SetAside]:
        """What is set aside, the oldest first; that of one number, where it is named."""
        with self._database.reading() as db:
            return _read_aside(db, number)

    def retry(self, number: int | None = None) -> int:
        """Let what is set aside wait for its delivery again: all, or that of a number; how many."""
        with self._database.writing() as db:
            again = _read_aside(db, number)
            _add(db, [Sent(one.org, one.item) for one in again])
            _drop_aside(db, again)
        return len(again)

    def drop(self, number: int | None = None) -> int:
        """Let go of what is set aside, for good: all, or that of a number; how many."""
        with self._database.writing() as db:
            going = _read_aside(db, number)
            _drop_aside(db, going)
        return len(going)


def erase_conversation(db: sqlite3.Connection, org: str, session_id: str) -> None:
    """Take a conversation out of what waits and what is set aside."""
    db.execute("DELETE FROM set_aside WHERE org = ? AND session_id = ?", (org, session_id))
    _change(db, org, lambda item: leave_out(item, session_id))


def silence_messages(db: sqlite3.Connection, org: str) -> None:
    """Take the texts of messages out of what waits and what is set aside."""
    for number, item in db.execute(_ITEMS_ASIDE, (org,)).fetchall():
        kept = encode_item(silence(decode_item(item)))
        db.execute("UPDATE set_aside SET item = ? WHERE id = ?", (kept, number))
    _change(db, org, silence)


def _add(db: sqlite3.Connection, sent: Iterable[Sent]) -> None:
    now, total = micros_ago(0), 0
    for one in sent:
        db.execute(_ADD, (one.org, encode_item(one.item), one.size, now))
        total += one.size
    db.execute(_COUNT, (total,))


def _remove(db: sqlite3.Connection, number: int) -> None:
    removed = db.execute(_REMOVE, (number,)).fetchone()
    if removed:  # another process may have delivered it, too
        db.execute(_COUNT, (-removed[0],))


def _change(db: sqlite3.Connection, org: str, change: Callable[[Item], Item | None]) -> None:
    """Keep of what waits of an organization what a change leaves of it."""
    last = 0
    while rows := db.execute(_ITEMS, (org, last, _ROWS_AT_A_TIME)).fetchall():
        for number, kept in rows:
            item = decode_item(kept)
            changed = change(item)
            if changed is None:
                _remove(db, number)
            elif changed is not item:
                before, after = Sent(org, item).size, Sent(org, changed).size
                db.execute(_REPLACE, (encode_item(changed), after, number))
                db.execute(_COUNT, (after - before,))
        last = rows[-1][0]


_RowAside: TypeAlias = tuple[int, str, str, str | None, str, int, bytes]


def _read_aside(db: sqlite3.Connection, number: int | None) -> list[SetAside]:
    rows: Iterator[_RowAside] = db.execute(_ASIDE, (number,))
    return [
        SetAside(
            number=number,
            org=org,
            session_id=session_id,
            reply_id=reply_id,
            problem=problem,
            set_aside_at=_EPOCH + timedelta(microseconds=set_aside_at),
            item=decode_item(item),
        )
        for number, org, session_id, reply_id, problem, set_aside_at, item in rows
    ]


def _row_aside(refused: Refused, now: int) -> tuple[object, ...]:
    item = refused.sent.item
    if isinstance(item, SentFacts):
        names: tuple[str, str | None] = (item.session_id, None)
    else:
        names = (item.replies[0].session_id, item.replies[0].reply_id)
    return (refused.sent.org, *names, encode_item(item), refused.problem, now)


def _drop_aside(db: sqlite3.Connection, going: Iterable[SetAside]) -> None:
    db.executemany("DELETE FROM set_aside WHERE id = ?", ((one.number,) for one in going))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ADD = "INSERT INTO undelivered (org, item, reply_count, arrived_at) VALUES (?, ?, ?, ?)"
_COUNT = "UPDATE kept SET reply_count = reply_count + ?"
_OLDEST = "SELECT id, org, item, reply_count FROM undelivered ORDER BY id LIMIT ?"
_REMOVE = "DELETE FROM undelivered WHERE id = ? RETURNING reply_count"
_ITEMS = "SELECT id, item FROM undelivered WHERE org = ? AND id > ? ORDER BY id LIMIT ?"
_REPLACE = "UPDATE undelivered SET item = ?, reply_count = ? WHERE id = ?"
_BACKLOG = """
SELECT reply_count, (SELECT arrived_at FROM undelivered ORDER BY id LIMIT 1),
    (SELECT count(*) FROM set_aside)
FROM kept
"""
_SET_ASIDE = """
INSERT INTO set_aside (org, session_id, reply_id, item, problem, set_aside_at)
VALUES (?, ?, ?, ?, ?, ?)
"""
_ASIDE = """
SELECT id, org, session_id, reply_id, problem, set_aside_at, item FROM set_aside
WHERE ?1 IS NULL OR id = ?1 ORDER BY id
"""
_ITEMS_ASIDE = "SELECT id, item FROM set_aside WHERE org = ?"
