"""Replies for tests of pages: a few words say what each had and applied."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from applyrate.usage import EVERY_TYPE, Applied, Available, Recording, Reply, ResourceType
from tests.servers import Server

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
_numbers = count(1)


def reply(
    session_id: str,
    at: datetime,
    *,
    had: Sequence[str] = (),
    applied: Sequence[str] = (),
    had_articles: Sequence[str] = (),
    invoked: Sequence[str] = (),
    said: str | None = None,
) -> Reply:
    """A reply of a conversation; its ids are those of instructions unless they say otherwise."""
    return Reply(
        reply_id=f"r_{next(_numbers)}",
        session_id=session_id,
        replied_at=at,
        available=Available(instruction=list(had), knowledge=list(had_articles)),
        applied=Applied(instruction=list(applied), action=list(invoked)),
        last_message=said,
    )


def record(
    server: Server,
    org: str,
    *replies: Reply,
    reports: frozenset[ResourceType] = EVERY_TYPE,
    names: dict[str, str] | None = None,
) -> None:
    """Record replies as another process does."""
    of_instructions = {ResourceType.INSTRUCTION: names} if names else {}
    server.store.record([Recording(org, replies, of_instructions, reports)])


def days_ago(days: float) -> datetime:
    """A moment before this day began."""
    return TODAY - timedelta(days=days)
