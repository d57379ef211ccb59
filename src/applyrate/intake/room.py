"""Room in the inbox: how many spans it holds, and which go first when there are too many."""

import sqlite3
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from applyrate.errors import Unavailable
from applyrate.intake.steady_clock import steady_micros

RETRY_AFTER_SECONDS: Final = 10

_TRACES_AT_A_TIME: Final = 500
_SHARE_FREED: Final = 100
"""Room is made for one span in so many at least, since looking for what may go has its cost."""


class State(StrEnum):
    """What is to become of a trace; 0001_inbox.sql says what each means."""

    READY = "ready"
    WAITING = "waiting"
    DERIVED = "derived"
    IRRELEVANT = "irrelevant"
    EXCLUDED = "excluded"
    UNATTRIBUTED = "unattributed"
    FAILED = "failed"


_FIRST_TO_GO: Final = (
    State.IRRELEVANT,
    State.DERIVED,
    State.EXCLUDED,
    State.UNATTRIBUTED,
    State.FAILED,
)

Kept: TypeAlias = tuple[int, int]
"""A trace's key, and how many spans of it are kept."""


def make_room(db: sqlite3.Connection, wanted: int, max_spans: int) -> None:
    """Let the oldest go of what is needed least, until ``wanted`` spans fit.

    Raises Unavailable where only traces are left whose replies are still to be derived.
    """
    (kept,) = db.execute("SELECT span_count FROM kept").fetchone()
    excess = kept + wanted - max_spans
    if excess <= 0:
        return
    enough = max(excess, max_spans // _SHARE_FREED)
    freed = 0
    for state in _FIRST_TO_GO:
        while freed < enough and (traces := oldest(db, state)):
            going = list(_as_many_as_hold(traces, enough - freed))
            drop(db, going)
            freed += sum(count for _, count in going)
    if freed < excess:
        raise Unavailable(
            f"the inbox is full: it holds {max_spans} spans, and the replies of all of them are"
            " still to be derived; send it again later",
            retry_after_seconds=RETRY_AFTER_SECONDS,
            limit="inbox_max_spans",
        )


def oldest(db: sqlite3.Connection, state: State, unchanged_seconds: float = 0) -> list[Kept]:
    """Some traces in a state without a new span for so long, the oldest first."""
    return db.execute(_OLDEST, (state, micros_ago(unchanged_seconds), _TRACES_AT_A_TIME)).fetchall()


def drop(db: sqlite3.Connection, traces: Sequence[Kept]) -> None:
    """Forget traces and all that is kept of them."""
    keys = [(key,) for key, _ in traces]
    db.executemany("DELETE FROM span WHERE trace = ?", keys)
    db.executemany("DELETE FROM finding WHERE trace = ?", keys)
    db.executemany("DELETE FROM trace WHERE id = ?", keys)
    count_kept(db, -sum(count for _, count in traces))


def count_kept(db: sqlite3.Connection, added: int) -> None:
    """Note that so many spans more are kept."""
    db.execute("UPDATE kept SET span_count = span_count + ?", (added,))


def micros_ago(seconds: float) -> int:
    """The time so long ago, in microseconds since 1970, by the steady clock."""
    return steady_micros() - int(seconds * 1_000_000)


def _as_many_as_hold(traces: Iterable[Kept], wanted: int) -> Iterable[Kept]:
    for trace in traces:
        if wanted <= 0:
            return
        wanted -= trace[1]
        yield trace


_OLDEST = """
SELECT id, span_count FROM trace WHERE state = ? AND changed_at <= ? ORDER BY changed_at LIMIT ?
"""
