"""The simulated agent's days: each one a function of its date, its age and nothing else."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from msgspec import Struct

from applyrate.demo.conversation import converse
from applyrate.usage import ConversationFacts, Reply


class Day(Struct, frozen=True):
    """What the agent did in the conversations that began on one UTC day."""

    replies: Sequence[Reply]
    facts: dict[str, ConversationFacts]


def simulate(end_at: datetime, days: int) -> Iterator[Day]:
    """The days up to a moment, that one's own included, oldest first; nothing comes after it.

    The same day and age always bring the same, to the last id.
    """
    for age in reversed(range(days)):
        yield _simulate_day(end_at.date() - timedelta(days=age), age, end_at)


_CONVERSATIONS_A_DAY: Final = 150
_MONDAY_TO_SUNDAY: Final = (1.26, 1.11, 1.05, 1.01, 0.98, 0.62, 0.55)
_MIDNIGHT_TO_MIDNIGHT: Final = (
    *(2, 1, 1, 1, 1, 2, 5, 10, 17, 24, 27, 26),
    *(23, 24, 25, 24, 22, 20, 21, 22, 19, 13, 8, 4),
)
_GROWTH_A_DAY: Final = 0.003
_SPREAD: Final = 0.07

_TICKETS_A_DAY: Final = 100
_FIRST_TICKET: Final = date(2023, 1, 1)


def _simulate_day(day: date, age: int, end_at: datetime) -> Day:
    rng = random.Random(f"applyrate {day}")  # noqa: S311 (it must come out the same every time)
    expected = _CONVERSATIONS_A_DAY * _MONDAY_TO_SUNDAY[day.weekday()] * (1 - _GROWTH_A_DAY * age)
    count = round(max(0, rng.gauss(expected, _SPREAD * expected)))
    hours = rng.choices(range(24), _MIDNIGHT_TO_MIDNIGHT, k=count)
    midnight = datetime.combine(day, time(), UTC)
    ticket = (day - _FIRST_TICKET).days * _TICKETS_A_DAY
    replies: list[Reply] = []
    facts: dict[str, ConversationFacts] = {}
    for hour in sorted(hour + rng.random() for hour in hours):
        said, known = converse(rng, age, midnight + timedelta(hours=hour), ticket)
        ticket += said[-1].ticket_number is not None
        past = [reply for reply in said if reply.replied_at < end_at]
        replies += past
        if past and len(past) == len(said):
            facts[past[0].session_id] = known
    return Day(replies, facts)
