"""Recording: replies in, usages grouped by the row that they belong to.

It runs inside the caller's write transaction. ``usage_rows`` then writes each touched row once.
"""

import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from applyrate.store.sqlite.conversation_days import write_conversation_days
from applyrate.store.sqlite.conversations import bring_handoffs
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import ConversationIds, Directory, next_id
from applyrate.store.sqlite.names import add_names
from applyrate.store.sqlite.places import Place, place_of
from applyrate.store.sqlite.replies import read_replies
from applyrate.store.sqlite.retention import oldest_kept
from applyrate.store.sqlite.rows import (
    ORDINAL_MASK,
    from_micros,
    to_micros,
)
from applyrate.store.sqlite.usage_rows import Call, NewUsages, write_usages
from applyrate.usage import ERASED, Keeping, Receipt, Recording, Refusal, Reply, ResourceType


def record(
    db: sqlite3.Connection,
    directory: Directory,
    days: Days,
    recordings: Sequence[Recording],
    keeping: Keeping,
) -> list[Receipt]:
    """Record replies; what contradicts an earlier record is refused.

    So is what was erased, and what is older than its organization keeps.

    What several recordings have for one organization is written together, which costs little more
    than one of them.
    """
    numbers_of = defaultdict[str, list[int]](list)
    for number, recording in enumerate(recordings):
        numbers_of[recording.org].append(number)
    receipts: dict[int, Receipt] = {}
    for name, numbers in numbers_of.items():
        org = directory.organization(db, name)
        together = [recordings[number] for number in numbers]
        bounds = _Bounds(oldest_kept(db, name, keeping), keeping.messages)
        written = _record_together(db, directory, days, org, together, bounds)
        receipts.update(zip(numbers, written, strict=True))
    return [receipts[number] for number in range(len(recordings))]


class _Bounds(NamedTuple):
    """What an organization keeps: replies from a time on, in microseconds, and messages or not."""

    oldest_at: int
    messages: bool


class _Sent(NamedTuple):
    """A reply, the number of its recording, and its place there."""

    number: int
    place: int
    reply: Reply


def _record_together(
    db: sqlite3.Connection,
    directory: Directory,
    days: Days,
    org: int,
    recordings: Sequence[Recording],
    bounds: _Bounds,
) -> list[Receipt]:
    accepted, refused = [0] * len(recordings), [list[Refusal]() for _ in recordings]
    for run in _without_repeats(
        _Sent(number, place, reply)
        for number, recording in enumerate(recordings)
        for place, reply in enumerate(recording.replies)
    ):
        # In the order of their times, so that the replies of every row come in it too.
        run.sort(key=lambda sent: sent.reply.replied_at)
        batch = _Batch(db, directory, days, org, [sent.reply for sent in run], bounds)
        for number, place, reply in run:
            try:
                batch.add(reply)
            except _Refused as refusal:
                refused[number].append(refusal.of(place, reply))
        taken = batch.write()
        for number, _, reply in run:
            accepted[number] += reply.reply_id in taken
    receipts = []
    for recording, count, those in zip(recordings, accepted, refused, strict=True):
        those.sort(key=lambda refusal: refusal.index)
        if len(those) < len(recording.replies):
            directory.note_reportable(db, org, recording.reports)
            for resource_type, names in recording.names.items():
                directory.resources(db, org, resource_type).give_names(names)
        if recording.handed_off:
            bring_handoffs(db, org, _without_gone(recording, those))
        receipts.append(Receipt(count, len(recording.replies) - len(those) - count, those))
    return receipts


def _without_repeats(replies: Iterable[_Sent]) -> Iterator[list[_Sent]]:
    """The replies in runs that hold each reply once, as they follow one another."""
    run: dict[str, _Sent] = {}
    for sent in replies:
        if sent.reply.reply_id in run:
            yield list(run.values())
            run = {}
        run[sent.reply.reply_id] = sent
    yield list(run.values())


def _without_gone(recording: Recording, refused: Sequence[Refusal]) -> Mapping[str, datetime]:
    """The handoffs but of conversations whose replies are gone: nothing is to be made of them."""
    if not any(refusal.is_gone for refusal in refused):
        return recording.handed_off
    places = {refusal.index for refusal in refused if refusal.is_gone}
    gone = {recording.replies[place].session_id for place in places}
    gone -= {one.session_id for place, one in enumerate(recording.replies) if place not in places}
    return {name: at for name, at in recording.handed_off.items() if name not in gone}


_Names = defaultdict[str, list[int]]
"""The replies of each resource of a type, as ordinals, by its name; one may come twice."""


class _Used(NamedTuple):
    """Who was available and who was applied, of each type."""

    instruction: tuple[_Names, _Names]
    knowledge: tuple[_Names, _Names]
    action: tuple[_Names, _Names]

    @classmethod
    def nothing(cls) -> "_Used":
        return cls(*((_Names(list), _Names(list)) for _ in cls._fields))


class _Refused(Exception):
    """Why a reply is not taken. ``is_gone``: it is one that was removed, or would be at once."""

    def __init__(self, message: str, *, is_gone: bool = False) -> None:
        super().__init__(message)
        self._message = message
        self._is_gone = is_gone

    def of(self, place: int, reply: Reply) -> Refusal:
        """The same of the reply at a place of its recording."""
        return Refusal(place, reply.reply_id, self._message, is_gone=self._is_gone)


class _Batch:
    """Replies of one organization, each at most once, on their way into the rows.

    They are added in the order of their times.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        directory: Directory,
        days: Days,
        org: int,
        replies: Sequence[Reply],
        bounds: _Bounds,
    ) -> None:
        self._db = db
        self._directory = directory
        self._days = days
        self._org = org
        asked = [reply.reply_id for reply in replies]
        self._known = read_replies(db, org, asked)
        self._conversations = ConversationIds(db, org)
        self._bounds = bounds
        kept = bisect_left(replies, bounds.oldest_at, key=lambda reply: to_micros(reply.replied_at))
        self._conversations.meet(
            [reply.session_id for reply in replies[kept:] if reply.reply_id not in self._known]
        )
        self._next_reply = next_id(db, "reply", org)
        self._new_replies: list[tuple[int, int, str, int, int]] = []
        self._again: dict[str, int] = {}
        self._tickets: list[tuple[object, ...]] = []
        self._messages: list[tuple[object, ...]] = []
        self._used = defaultdict[Place, _Used](_Used.nothing)
        self._calls = defaultdict[str, dict[int, frozenset[Call]]](dict)
        self._usages = NewUsages()

    def add(self, reply: Reply) -> None:
        """Take a reply in. Raises _Refused."""
        at = to_micros(reply.replied_at)
        if reply.reply_id not in self._known:
            conversation = self._conversation_of_new(reply.session_id, at)
            key = self._next_reply
            self._next_reply += 1
            self._new_replies.append((key, self._org, reply.reply_id, conversation, at))
        else:
            key, conversation, session_id, recorded_at = self._known[reply.reply_id]
            if conversation in self._conversations.going:
                raise _erased(session_id)
            if session_id != reply.session_id or recorded_at != at:
                message = (
                    f"reply_id: {reply.reply_id!r} is already recorded in conversation "
                    f"{session_id!r} at {_show(recorded_at)}; "
                    "its first record fixes a reply's conversation and time"
                )
                raise _Refused(message)
            self._again[reply.reply_id] = key & ORDINAL_MASK
            self._usages.known_replies.add(key & ORDINAL_MASK)
            self._usages.known_conversations.add(conversation & ORDINAL_MASK)
        if reply.ticket_number is not None:
            self._tickets.append((reply.ticket_number, at, conversation))
        if reply.last_message is not None and self._bounds.messages:
            self._messages.append((reply.last_message, at, conversation))
        self._add_usages(reply, key & ORDINAL_MASK, conversation & ORDINAL_MASK, at)

    def _conversation_of_new(self, session_id: str, at: int) -> int:
        """The conversation of a reply that is not recorded. Raises _Refused."""
        if at < self._bounds.oldest_at:
            message = (
                f"replied_at: {_show(at)} is older than this organization keeps; what it keeps"
                f" begins at {_show(self._bounds.oldest_at)}"
            )
            raise _Refused(message, is_gone=True)
        if session_id in self._conversations.erased:
            raise _erased(session_id)
        return self._conversations[session_id]

    def _add_usages(self, reply: Reply, ordinal: int, conversation: int, at: int) -> None:
        """Group the reply's usages; to cite an instruction or an item, it was available."""
        self._usages.conversation_of[ordinal] = conversation
        self._usages.replied_at[ordinal] = at
        had, cited, used = reply.available, reply.applied, self._used[place_of(ordinal, at)]
        for (available, applied), names, applied_names in (
            (used.instruction, had.instruction, cited.instruction),
            (used.knowledge, had.knowledge, cited.knowledge),
        ):
            for name in names:
                available[name].append(ordinal)
            for name in applied_names:
                applied[name].append(ordinal)
                if ordinal not in available[name][-1:]:
                    available[name].append(ordinal)
        available, applied = used.action
        for name in had.action:
            available[name].append(ordinal)
        if cited.action:
            calls = defaultdict[str, list[Call]](list)
            for invocation in cited.action:
                if isinstance(invocation, str):
                    made = calls[invocation]
                    made.append(len(made))
                else:
                    calls[invocation.id].append(invocation.call_id)
            for action, made in calls.items():
                applied[action].append(ordinal)
                self._calls[action][ordinal] = frozenset(made)

    def write(self) -> set[str]:
        """Write what was taken in; the ids of the replies that brought something new."""
        self._db.executemany(_SET_TICKET, self._tickets)
        self._db.executemany(_SET_MESSAGE, self._messages)
        self._usages.known_conversations |= self._conversations.found
        self._resolve_names()
        # Before the new replies are there: it asks where conversations had replies until now.
        changed = write_usages(self._db, self._days, self._org, self._usages)
        self._db.executemany(_ADD_REPLY, self._new_replies)
        add_names(
            self._db, "reply", self._org, {name: key for key, _, name, *_ in self._new_replies}
        )
        write_conversation_days(
            self._db,
            self._org,
            [(conversation & ORDINAL_MASK, at) for *_, conversation, at in self._new_replies],
        )
        taken = {reply_id for _, _, reply_id, _, _ in self._new_replies}
        return taken.union(name for name, reply in self._again.items() if reply in changed)

    def _resolve_names(self) -> None:
        """Group by ids what is grouped by names: a batch has far fewer resources than usages."""
        types = (ResourceType.INSTRUCTION, ResourceType.KNOWLEDGE, ResourceType.ACTION)
        ids_of = [self._directory.resources(self._db, self._org, one) for one in types]
        for place, used in self._used.items():
            rows = self._usages.days[place]
            for ids, by_name in zip(ids_of, used, strict=True):
                for replies_of, kind in zip(rows, by_name, strict=True):
                    replies_of.update({ids[name]: replies for name, replies in kind.items()})
        actions = ids_of[-1]
        self._usages.calls = {actions[name]: made for name, made in self._calls.items()}


def _erased(session_id: str) -> _Refused:
    return _Refused(f"session_id: {session_id!r} {ERASED}", is_gone=True)


def _show(micros: int) -> str:
    return from_micros(micros).isoformat().replace("+00:00", "Z")


_ADD_REPLY = """
INSERT INTO reply (id, org, reply_id, conversation, replied_at) VALUES (?, ?, ?, ?, ?)
"""
# Of what replies say the newest is kept, and of two at the same time the greater, so that the order
# in which they arrive does not matter.
_SET_TICKET = """
UPDATE conversation SET reply_ticket_number = ?1, reply_ticket_number_at = ?2
WHERE id = ?3 AND (reply_ticket_number_at IS NULL
                   OR (reply_ticket_number_at, reply_ticket_number) < (?2, ?1))
"""
_SET_MESSAGE = """
UPDATE conversation SET reply_last_message = ?1, reply_last_message_at = ?2
WHERE id = ?3 AND (reply_last_message_at IS NULL
                   OR (reply_last_message_at, reply_last_message) < (?2, ?1))
"""
