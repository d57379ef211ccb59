"""A support agent's replies, made from a seed: the same numbers give the same data everywhere.

The shape is that of a real agent. Conversations start more by day than by night and less at
weekends, and run over minutes or hours. A reply has a context: some instructions, knowledge items
and actions that were available, drawn with Zipf's skew, and a few of them applied. The first
instruction is in every context, so that hot, mid and cold resources are there by construction. One
resource in ten is dead weight: available, never applied. Replies come in the order of their times
with a little disorder: one in a hundred is up to an hour late.

Contexts are drawn once into pools, and a reply picks from the pools: its usages need not be drawn
one by one, so that the generator never bounds what it feeds. Of a reply six numbers are kept.

Message texts are left out: they are no usages, and would only blur the bytes that a usage takes.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple
from uuid import UUID

from applyrate.usage import Applied, Available, Reply, ResourceType

ORG = "acme"
FIRST_DAY = date(2026, 1, 1)
DAYS = 180
REPLIES_A_CONVERSATION = 4
HANDED_OFF_SHARE = 0.05
TICKETED_SHARE = 0.3

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MICROSECOND = int(datetime.combine(FIRST_DAY, time(), UTC).timestamp()) * _SECOND

_WEEKDAY_WEIGHTS = (1.15, 1.2, 1.1, 1.05, 1.0, 0.6, 0.5)
_HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 6, 9, 11, 12, 12, 11, 11, 12, 12, 11, 10, 9, 8, 7, 6, 5, 3)
_LENGTH_WEIGHTS = (14, 18, 18, 15, 11, 8, 6, 4, 3, 2, 1, 1)
_VARIANTS = 8


class Catalogue(NamedTuple):
    """The resources of one type, and how a reply's context draws from them.

    ``skew`` is Zipf's exponent. ``smallest`` to ``largest`` of them are available in a context,
    and ``applied`` lists how many a reply applies, each number equally often. From one reply of a
    conversation to the next the context stays the same with the chance ``stays``.
    """

    resource_type: ResourceType
    prefix: str
    size: int
    skew: float
    smallest: int
    largest: int
    applied: Sequence[int]
    contexts: int
    stays: float


CATALOGUES = (
    Catalogue(ResourceType.INSTRUCTION, "ins", 300, 0.9, 19, 26, (0, 1, 1, 2), 4096, 0.7),
    Catalogue(ResourceType.KNOWLEDGE, "kb", 2000, 1.05, 7, 11, (0, 1, 1, 2), 16384, 0.3),
    Catalogue(ResourceType.ACTION, "act", 40, 0.8, 2, 6, (0, 0, 1, 1, 1, 2), 1024, 0.9),
)
_HOT_APPLIED_SHARE = 0.75
_REPEATED_INVOCATION_SHARE = 0.03


class ReplyUsages(NamedTuple):
    """What a reply has of one type, as places in the catalogue; an action there twice, twice."""

    available: tuple[int, ...]
    applied: tuple[int, ...]


class Workload:
    """``reply_count`` replies in the order of their arrival, by their places in that order."""

    def __init__(
        self,
        reply_count: int,
        *,
        seed: int = 1,
        org: str = ORG,
        days: int = DAYS,
        catalogues: Sequence[Catalogue] = CATALOGUES,
    ) -> None:
        random = Random(seed)
        self.org = org
        self.days = days
        self.reply_count = reply_count
        self.catalogues = catalogues
        self.conversation_count = max(1, reply_count // REPLIES_A_CONVERSATION)
        self.pools = [_draw_pool(random, catalogue) for catalogue in catalogues]
        self.resource_ids = [
            [f"{catalogue.prefix}_{random.getrandbits(48):012x}" for _ in range(catalogue.size)]
            for catalogue in catalogues
        ]
        conversations = range(self.conversation_count)
        self.session_ids = [
            str(UUID(int=random.getrandbits(128), version=4)) for _ in conversations
        ]
        self.ticket_numbers = [
            100_000 + conversation if random.random() < TICKETED_SHARE else None
            for conversation in conversations
        ]
        self.handed_off = [
            conversation for conversation in conversations if random.random() < HANDED_OFF_SHARE
        ]
        self._of_share: dict[float, tuple[ResourceType, str, int]] = {}
        self._draw_replies(random)
        self._name_pools()

    def _draw_replies(self, random: Random) -> None:
        total = self.reply_count
        conversation_of, replied_at, arrived_at = array("L"), array("q"), array("q")
        picks: list[array[int]] = [array("L") for _ in self.catalogues]
        choices = [(catalogue.contexts, catalogue.stays) for catalogue in self.catalogues]
        starts = _draw_starts(random, self.conversation_count, self.days)
        lengths = _draw_lengths(random, self.conversation_count, total)
        draw = random.random
        for conversation, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            at = start
            contexts = [int(draw() * count) for count, _ in choices]
            for _ in range(length):
                conversation_of.append(conversation)
                replied_at.append(at)
                arrived_at.append(at + _draw_delay(draw()))
                for number, (count, stays) in enumerate(choices):
                    if draw() > stays:
                        contexts[number] = int(draw() * count)
                    picks[number].append(contexts[number] * _VARIANTS + int(draw() * _VARIANTS))
                at += 5 * _SECOND + int(random.expovariate(1 / 240) * _SECOND)
        order = sorted(range(total), key=arrived_at.__getitem__)
        self.conversations = array("L", map(conversation_of.__getitem__, order))
        self.replied_at = array("q", map(replied_at.__getitem__, order))
        self.picks = [array("L", map(pick.__getitem__, order)) for pick in picks]
        self.reply_keys = array("Q", (random.getrandbits(64) for _ in range(total)))

    def _name_pools(self) -> None:
        """The pools by the resources' ids, ready to be put into replies."""
        self._available = [
            [[ids[place] for place in usages.available] for usages in pool[::_VARIANTS]]
            for ids, pool in zip(self.resource_ids, self.pools, strict=True)
        ]
        self._applied = [
            [[ids[place] for place in usages.applied] for usages in pool]
            for ids, pool in zip(self.resource_ids, self.pools, strict=True)
        ]

    def replies(self, start: int, stop: int) -> list[Reply]:
        """The replies at those places, as the API takes them."""
        instructions, knowledge, actions = self._available
        applied_instructions, applied_knowledge, applied_actions = self._applied
        return [
            Reply(
                f"rep_{key:016x}",
                self.session_ids[conversation],
                _EPOCH + timedelta(microseconds=replied_at),
                Available(
                    instructions[instruction // _VARIANTS],
                    knowledge[item // _VARIANTS],
                    actions[action // _VARIANTS],
                ),
                Applied(
                    applied_instructions[instruction],
                    applied_knowledge[item],
                    applied_actions[action],
                ),
                self.ticket_numbers[conversation],
            )
            for key, conversation, replied_at, instruction, item, action in zip(
                self.reply_keys[start:stop],
                self.conversations[start:stop],
                self.replied_at[start:stop],
                *(pick[start:stop] for pick in self.picks),
                strict=True,
            )
        ]

    def batches(self, start: int, stop: int, size: int) -> Iterator[list[Reply]]:
        """The same in batches."""
        for first in range(start, stop, size):
            yield self.replies(first, min(first + size, stop))

    def handed_off_before(self, stop: int) -> dict[str, datetime]:
        """By ``session_id``, when conversations with a reply before that place were handed off."""
        handed_off, found = set(self.handed_off), dict[str, datetime]()
        for place, conversation in enumerate(self.conversations[:stop]):
            if conversation in handed_off:
                found[self.session_ids[conversation]] = _EPOCH + timedelta(
                    microseconds=self.replied_at[place]
                )
        return found

    def usage_count(self) -> int:
        """How many distinct usages there are."""
        return sum(
            times * (len(pool[pick].available) + len(pool[pick].applied))
            for pool, picks in zip(self.pools, self.picks, strict=True)
            for pick, times in Counter(picks).items()
        )

    def resource_of_share(self, share: float) -> tuple[ResourceType, str, int]:
        """The applied resource available in the number of replies nearest to a share of them.

        Its type, its id, and that number.
        """
        if share not in self._of_share:
            self._of_share[share] = self._find_of_share(share)
        return self._of_share[share]

    def _find_of_share(self, share: float) -> tuple[ResourceType, str, int]:
        wanted = share * self.reply_count
        found = []
        for number, catalogue in enumerate(self.catalogues):
            available, applied = Counter[int](), set[int]()
            for pick, times in Counter(self.picks[number]).items():
                usages = self.pools[number][pick]
                applied.update(usages.applied)
                for place in usages.available:
                    available[place] += times
            found += [
                (catalogue.resource_type, self.resource_ids[number][place], available[place])
                for place in applied
            ]
        return min(found, key=lambda resource: (abs(resource[2] - wanted), resource[1]))


def _draw_pool(random: Random, catalogue: Catalogue) -> list[ReplyUsages]:
    """The contexts one after another, each with its variants of what is applied."""
    places = range(catalogue.size)
    weights = list(accumulate((place + 1) ** -catalogue.skew for place in places))
    dead = set(random.sample(places[1:], catalogue.size // 10))
    pool = []
    for _ in range(catalogue.contexts):
        size = random.randint(catalogue.smallest, catalogue.largest)
        drawn = {0} if catalogue.resource_type is ResourceType.INSTRUCTION else set()
        while len(drawn) < size:
            drawn.update(random.choices(places, cum_weights=weights))
        live, available = sorted(drawn - dead), tuple(sorted(drawn))
        pool += [
            ReplyUsages(available, _draw_applied(random, catalogue, live)) for _ in range(_VARIANTS)
        ]
    return pool


def _draw_applied(random: Random, catalogue: Catalogue, live: Sequence[int]) -> tuple[int, ...]:
    applied = set(random.sample(live, min(len(live), random.choice(catalogue.applied))))
    if catalogue.resource_type is ResourceType.INSTRUCTION and random.random() < _HOT_APPLIED_SHARE:
        applied.add(0)
    again: tuple[int, ...] = ()
    if (
        catalogue.resource_type is ResourceType.ACTION
        and random.random() < _REPEATED_INVOCATION_SHARE
    ):
        again = tuple(applied)
    return (*sorted(applied), *again)


def _draw_starts(random: Random, count: int, day_count: int) -> list[int]:
    """When conversations start, in microseconds since the epoch."""
    weekdays = [_WEEKDAY_WEIGHTS[(FIRST_DAY.weekday() + day) % 7] for day in range(day_count)]
    days = random.choices(range(day_count), weekdays, k=count)
    hours = random.choices(range(24), _HOUR_WEIGHTS, k=count)
    hour = _DAY // 24
    return [
        _FIRST_MICROSECOND + day * _DAY + at * hour + int(random.random() * hour)
        for day, at in zip(days, hours, strict=True)
    ]


def _draw_lengths(random: Random, count: int, total: int) -> list[int]:
    """How many replies each conversation has: one to twelve, ``total`` together."""
    lengths = random.choices(range(1, len(_LENGTH_WEIGHTS) + 1), _LENGTH_WEIGHTS, k=count)
    missing = total - sum(lengths)
    step = 1 if missing > 0 else -1
    while missing:
        conversation = random.randrange(count)
        if lengths[conversation] + step >= 1:
            lengths[conversation] += step
            missing -= step
    return lengths


def _draw_delay(chance: float) -> int:
    """From a number between 0 and 1, how many microseconds after its time a reply arrives."""
    if chance < 0.97:
        return int(chance * 2 * _SECOND)
    if chance < 0.99:
        return int((chance - 0.97) * 50 * 60 * _SECOND)
    return int((chance - 0.99) * 100 * 3600 * _SECOND)
