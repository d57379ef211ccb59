"""One conversation of the simulated agent: what it is about, what it takes, how it ends."""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from applyrate.demo.agent import (
    ACTIONS,
    ESCALATION,
    EVERYWHERE,
    HAND_OVER,
    Action,
    Instruction,
    Topic,
)
from applyrate.demo.topics import TOPICS
from applyrate.usage import Applied, Available, ConversationFacts, Invocation, Reply

_TURNS: Final = (14, 18, 20, 17, 12, 8, 5, 3, 2, 1)
"""How many conversations of a hundred have one reply, two, and so on."""

_TICKET_SHARE: Final = 0.15
_RATED_SHARE: Final = 0.22
_RESOLVED_SHARE: Final = 0.86


def converse(
    rng: random.Random, age: int, started_at: datetime, ticket: int
) -> tuple[list[Reply], ConversationFacts]:
    """The replies of a conversation, and how it ended. ``ticket`` is its number, if it gets one."""
    topic = rng.choices(TOPICS, [topic.weight for topic in TOPICS])[0]
    turns = rng.choices(range(1, len(_TURNS) + 1), _TURNS)[0]
    calls = _plan_calls(rng, age, topic, turns)
    handed_off = rng.random() < _handoff_chance(topic, calls)
    if handed_off:
        calls[-1].append(ESCALATION)
    has_ticket = handed_off or rng.random() < _TICKET_SHARE
    session_id = str(UUID(int=rng.getrandbits(128), version=4))
    names = _names(rng, started_at)
    at = started_at
    replies = []
    for turn in range(turns):
        at += timedelta(seconds=round(rng.uniform(15, 190), 3))
        last = turn == turns - 1
        leaves = handed_off and last
        had, used = _instructions(rng, age, topic, leaves=leaves)
        found, cited = _articles(rng, age, topic)
        message = _HANDED_OVER if leaves else rng.choice(topic.messages)
        replies.append(
            Reply(
                reply_id=f"r_{rng.getrandbits(64):016x}",
                session_id=session_id,
                replied_at=at,
                available=Available(had, found, [a.id for a in ACTIONS if _lives(a, age)]),
                applied=Applied(used, cited, list(_invocations(rng, calls[turn]))),
                ticket_number=ticket if has_ticket and last else None,
                last_message=message.format_map(names),
            )
        )
    return replies, _ending(rng, at, handed_off=handed_off)


def _plan_calls(rng: random.Random, age: int, topic: Topic, turns: int) -> list[list[Action]]:
    """The actions of each reply; what is looked up first comes first."""
    calls: list[list[Action]] = [[] for _ in range(turns)]
    earliest = 0
    for action_id, share in topic.actions:
        if rng.random() < share and _lives(action := _ACTIONS[action_id], age):
            earliest = min(turns - 1, earliest + rng.choice((0, 0, 1, 1, 2)))
            calls[earliest].append(action)
    return calls


def _handoff_chance(topic: Topic, calls: Iterable[Iterable[Action]]) -> float:
    stays = 1 - topic.handoff
    for action in (action for turn in calls for action in turn):
        stays *= 1 - action.handoff
    return 1 - stays


def _invocations(rng: random.Random, actions: Sequence[Action]) -> Iterator[str | Invocation]:
    for action in actions:
        if rng.random() >= action.repeated:
            yield action.id
            continue
        for _ in range(rng.choice((2, 2, 2, 3))):
            yield Invocation(action.id, f"call_{rng.getrandbits(48):012x}")


_STRAYS: Final = 0.3
_STRAY_USE: Final = 0.02


def _instructions(
    rng: random.Random, age: int, topic: Topic, *, leaves: bool
) -> tuple[list[str], list[str]]:
    """The rules in the context of a reply, and those it applies.

    Now and then the search brings a rule of another topic along, which is hardly ever applied.
    """
    had = [rule for rule in (*EVERYWHERE, *topic.instructions) if _lives(rule, age)]
    used = [rule.id for rule in had if rng.random() < rule.applied_at(age)]
    if rng.random() < _STRAYS:
        stray = rng.choice(_SEARCHABLE)
        if stray not in had and _lives(stray, age):
            had.append(stray)
            if stray.applied_at(age) and rng.random() < _STRAY_USE:
                used.append(stray.id)
    if leaves:
        used.append(HAND_OVER.id)
    return [HAND_OVER.id, *(rule.id for rule in had)], used


def _articles(rng: random.Random, age: int, topic: Topic) -> tuple[list[str], list[str]]:
    """The articles that the search found for a reply, the well-known ones most, and those cited."""
    found = set(rng.choices(topic.articles, _popularity(len(topic.articles)), k=rng.randint(3, 7)))
    if rng.random() < _STRAYS:
        other = rng.choice(TOPICS)
        found.add(rng.choice(other.articles))
    ranked = sorted(found)
    cited = [
        article
        for article in ranked
        if age >= (worth := _worth(article)).dead_age and rng.random() < worth.cited
    ]
    return ranked, cited


@cache
def _popularity(count: int) -> list[float]:
    return [1 / (rank + 2) ** 0.85 for rank in range(count)]


class _Worth(Struct, frozen=True):
    """How often an article is cited once it was found, and since which age no more."""

    cited: float
    dead_age: float


_NEVER_CITED: Final = 0.16
_OUTDATED: Final = 0.07


@cache
def _worth(article: str) -> _Worth:
    rng = random.Random(article)  # noqa: S311 (an article is worth the same every time)
    if rng.random() < _NEVER_CITED:
        return _Worth(0, 0)
    dead_age = rng.uniform(8, 60) if rng.random() < _OUTDATED else 0
    return _Worth(rng.betavariate(2, 7), dead_age)


def _lives(part: Action | Instruction, age: int) -> bool:
    return part.until_age <= age < part.since_age


def _ending(rng: random.Random, at: datetime, *, handed_off: bool) -> ConversationFacts:
    resolved = not handed_off and rng.random() < _RESOLVED_SHARE
    marks = (1, 2, 5, 13, 21) if resolved else (6, 6, 7, 5, 3)
    facts = ConversationFacts(status="resolved" if resolved else "unresolved")
    if handed_off:
        facts = ConversationFacts(status="handed_off", handed_off_at=at)
    if rng.random() < _RATED_SHARE:
        return msgspec.structs.replace(facts, csat=float(rng.choices(range(1, 6), marks)[0]))
    return facts


def _names(rng: random.Random, at: datetime) -> dict[str, str]:
    """What the messages of a conversation call things."""
    return {
        "name": rng.choice(_FIRST_NAMES),
        "city": rng.choice(_CITIES),
        "product": f"{rng.choice(_FAMILIES)} {rng.choice(_PIECES)}",
        "order": f"A-{rng.randint(20_000, 99_999)}",
        "amount": f"{rng.randint(5, 480)}.{rng.choice(('00', '50', '90', '99'))} EUR",
        "weekday": f"{at + timedelta(days=rng.randint(1, 4)):%A}",
    }


def _words(text: str) -> list[str]:
    return text.split()


_FIRST_NAMES: Final = _words(
    "Amelia Aino Ben Carla Daan Elif Emma Felix Greta Hugo Ines Jakub Jonas Karin Lena Luca Maja "
    "Marek Nora Olivia Pablo Petra Rania Sofia Tomas Uma Viktor Wanda Yara Zoe"
)
_CITIES: Final = _words(
    "Antwerp Berlin Bologna Brno Cologne Dublin Gdansk Graz Leipzig Lyon Malmo Porto Rotterdam"
)
_FAMILIES: Final = _words("Alder Birch Fjord Heath Maple Oakley Pine Willow")
_PIECES: Final = _words("armchair bed bookcase desk lamp shelf sofa table")
_HANDED_OVER: Final = "A colleague takes over, {name}, and answers you by {weekday}."
_ACTIONS: Final = {action.id: action for action in ACTIONS}
_SEARCHABLE: Final = [rule for topic in TOPICS for rule in topic.instructions]
