"""Recording: replies in, usages grouped by the row that they belong to.

It runs inside the caller's write transaction. ``usage_rows`` then writes each touched row once.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from applyrate.store.sqlite.conversation_days import write_conversation_days
from applyrate.store.sqlite.conversations import bring_handoffs
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import ConversationIds, Directory, find_names, next_id
from applyrate.store.sqlite.places import Place, place_of
from applyrate.store.sqlite.rows import (
    ORDINAL_MASK,
    from_micros,
    to_micros,
)
from applyrate.store.sqlite.usage_rows import Call, NewUsages, write_usages
from applyrate.usage import Receipt, Recording, Refusal, Reply, ResourceType


def record(
    db: sqlite3.Connection, directory: Directory, days: Days, recording: Recording
) -> Receipt:
    """Record an organization's replies; what contradicts an earlier record is refused."""
    org = directory.organization(db, recording.org)
    accepted, refused = 0, list[Refusal]()
    for start, replies in _without_repeats(recording.replies):
        # In the order of their times, so that the replies of every row come in it too.
        in_order = sorted(enumerate(replies, start), key=lambda one: one[1].replied_at)
        batch = _Batch(db, directory, days, org, [reply for _, reply in in_order])
        for index, reply in in_order:
            if message := batch.add(reply):
                refused.append(Refusal(index, reply.reply_id, message))
        accepted += batch.write()
    refused.sort(key=lambda refusal: refusal.index)
    if len(refused) < len(recording.replies):
        directory.note_reportable(db, org, recording.reports)
        for resource_type, names in recording.names.items():
            directory.resources(db, org, resource_type).give_names(names)
    if recording.handed_off:
        bring_handoffs(db, org, recording.handed_off)
    return Receipt(accepted, len(recording.replies) - len(refused) - accepted, refused)


def _without_repeats(replies: Sequence[Reply]) -> Iterator[tuple[int, Sequence[Reply]]]:
    """The replies in runs that hold each reply once, with the place each run starts at."""
    start, seen = 0, set[str]()
    for place, reply in enumerate(replies):
        if reply.reply_id in seen:
            yield start, replies[start:place]
            start, seen = place, set()
        seen.add(reply.reply_id)
    yield start, replies[start:]


_Names = defaultdict[str, list[int]]
"""The replies of each resource of a type, as ordinals, by its name."""


class _Used(NamedTuple):
    """Who was available and who was applied, of each type."""

    instruction: tuple[_Names, _Names]
    knowledge: tuple[_Names, _Names]
    action: tuple[_Names, _Names]

    @classmethod
    def nothing(cls) -> "_Used":
        return cls(*((_Names(list), _Names(list)) for _ in cls._fields))


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
    ) -> None:
        self._db = db
        self._directory = directory
        self._days = days
        self._org = org
        asked = [reply.reply_id for reply in replies]
        self._known = {row[0]: row[1:] for row in find_names(db, _FIND_REPLIES, org, asked)}
        self._conversations = ConversationIds(db, org)
        self._conversations.meet(
            [reply.session_id for reply in replies if reply.reply_id not in self._known]
        )
        self._next_reply = next_id(db, "reply", org)
        self._new_replies: list[tuple[int, int, str, int, int]] = []
        self._tickets: list[tuple[object, ...]] = []
        self._messages: list[tuple[object, ...]] = []
        self._used = defaultdict[Place, _Used](_Used.nothing)
        self._calls = defaultdict[str, dict[int, frozenset[Call]]](dict)
        self._usages = NewUsages()

    def add(self, reply: Reply) -> str | None:
        """Take a reply in; or say why it is refused."""
        at = to_micros(reply.replied_at)
        if reply.reply_id not in self._known:
            conversation = self._conversations[reply.session_id]
            key = self._next_reply
            self._next_reply += 1
            self._new_replies.append((key, self._org, reply.reply_id, conversation, at))
        else:
            key, conversation, recorded_at, session_id = self._known[reply.reply_id]
            if session_id != reply.session_id or recorded_at != at:
                return (
                    f"reply_id: {reply.reply_id!r} is already recorded in conversation "
                    f"{session_id!r} at {_show(recorded_at)}; "
                    "its first record fixes a reply's conversation and time"
                )
            self._usages.known_replies.add(key & ORDINAL_MASK)
            self._usages.known_conversations.add(conversation & ORDINAL_MASK)
        if reply.ticket_number is not None:
            self._tickets.append((reply.ticket_number, at, conversation))
        if reply.last_message is not None:
            self._messages.append((reply.last_message, at, conversation))
        self._add_usages(reply, key & ORDINAL_MASK, conversation & ORDINAL_MASK, at)
        return None

    def _add_usages(self, reply: Reply, ordinal: int, conversation: int, at: int) -> None:
        """Group the reply's usages; to cite an instruction or an item, it was available."""
        self._usages.conversation_of[ordinal] = conversation
        self._usages.replied_at[ordinal] = at
        had, cited, used = reply.available, reply.applied, self._used[place_of(ordinal, at)]
        for (available, applied), names, applied_names in (
            (used.instruction, had.instruction, cited.instruction),
            (used.knowledge, had.knowledge, cited.knowledge),
        ):
            _note(available, names, ordinal)
            _note(available, applied_names, ordinal)
            _note(applied, applied_names, ordinal)
        available, applied = used.action
        _note(available, had.action, ordinal)
        if cited.action:
            calls = defaultdict[str, list[Call]](list)
            for invocation in cited.action:
                if isinstance(invocation, str):
                    made = calls[invocation]
                    made.append(len(made))
                else:
                    calls[invocation.id].append(invocation.call_id)
            _note(applied, calls, ordinal)
            for action, made in calls.items():
                self._calls[action][ordinal] = frozenset(made)

    def write(self) -> int:
        """Write what was taken in; how many replies brought something new."""
        self._db.executemany(_SET_TICKET, self._tickets)
        self._db.executemany(_SET_MESSAGE, self._messages)
        self._usages.known_conversations |= self._conversations.found
        self._resolve_names()
        # Before the new replies are there: it asks where conversations had replies until now.
        changed = write_usages(self._db, self._days, self._org, self._usages)
        self._db.executemany(_ADD_REPLY, self._new_replies)
        write_conversation_days(
            self._db,
            self._org,
            [(conversation & ORDINAL_MASK, at) for *_, conversation, at in self._new_replies],
        )
        return len(self._new_replies) + changed.intersection_cardinality(self._usages.known_replies)

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


def _note(replies_of: _Names, names: Iterable[str], ordinal: int) -> None:
    """Note a reply for each of the names, of which one may come twice."""
    for name in names:
        replies = replies_of[name]
        if not replies or replies[-1] != ordinal:
            replies.append(ordinal)


def _show(micros: int) -> str:
    return from_micros(micros).isoformat().replace("+00:00", "Z")


_FIND_REPLIES = """
SELECT reply_id, reply.id, conversation.id, replied_at, session_id
FROM reply JOIN conversation ON conversation.id = reply.conversation
WHERE reply.org = ? AND reply_id IN ({})
"""
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
