"""Recording: replies in, usages grouped by the row that they belong to.

It runs inside the caller's write transaction. ``usage_rows`` then writes each touched row once.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence

from applyrate.store.sqlite.conversation_days import write_conversation_days
from applyrate.store.sqlite.conversations import bring_handoffs
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import ConversationIds, Directory, next_id
from applyrate.store.sqlite.places import place_of
from applyrate.store.sqlite.rows import (
    APPLIED,
    AVAILABLE,
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
        batch = _Batch(db, directory, days, org)
        for index, reply in enumerate(replies, start):
            if message := batch.add(reply):
                refused.append(Refusal(index, reply.reply_id, message))
        accepted += batch.write()
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


class _Batch:
    """Replies of one organization, each at most once, on their way into the rows."""

    def __init__(self, db: sqlite3.Connection, directory: Directory, days: Days, org: int) -> None:
        self._db = db
        self._days = days
        self._org = org
        self._instructions, self._knowledge, self._actions = (
            directory.resources(db, org, resource_type)
            for resource_type in (
                ResourceType.INSTRUCTION,
                ResourceType.KNOWLEDGE,
                ResourceType.ACTION,
            )
        )
        self._conversations = ConversationIds(db, org)
        self._next_reply = next_id(db, "reply", org)
        self._new_replies: list[tuple[int, int, str, int, int]] = []
        self._tickets: list[tuple[object, ...]] = []
        self._messages: list[tuple[object, ...]] = []
        self._usages = NewUsages()

    def add(self, reply: Reply) -> str | None:
        """Take a reply in; or say why it is refused."""
        at = to_micros(reply.replied_at)
        known = self._db.execute(_FIND_REPLY, (self._org, reply.reply_id)).fetchone()
        if known is None:
            conversation = self._conversations[reply.session_id]
            key = self._next_reply
            self._next_reply += 1
            self._new_replies.append((key, self._org, reply.reply_id, conversation, at))
        else:
            key, conversation, recorded_at, session_id = known
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
        usages = self._usages
        usages.conversation_of[ordinal] = conversation
        usages.replied_at[ordinal] = at
        instructions, knowledge, actions = self._instructions, self._knowledge, self._actions
        had, used = reply.available, reply.applied
        applied = {instructions[name] for name in used.instruction}
        applied.update([knowledge[name] for name in used.knowledge])
        available = applied.union(
            [instructions[name] for name in had.instruction],
            [knowledge[name] for name in had.knowledge],
            [actions[name] for name in had.action],
        )
        if used.action:
            calls = defaultdict[int, list[Call]](list)
            for invocation in used.action:
                if isinstance(invocation, str):
                    made = calls[actions[invocation]]
                    made.append(len(made))
                else:
                    calls[actions[invocation.id]].append(invocation.call_id)
            applied.update(calls)
            for action, made in calls.items():
                usages.calls[action][ordinal] = frozenset(made)
        rows = usages.days[place_of(ordinal, at)]
        for kind, resources in ((AVAILABLE, available), (APPLIED, applied)):
            by_resource = rows[kind]
            for resource in resources:
                by_resource[resource].append(ordinal)

    def write(self) -> int:
        """Write what was taken in; how many replies brought something new."""
        self._db.executemany(_SET_TICKET, self._tickets)
        self._db.executemany(_SET_MESSAGE, self._messages)
        self._usages.known_conversations |= self._conversations.found
        # Before the new replies are there: it asks where conversations had replies until now.
        changed = write_usages(self._db, self._days, self._org, self._usages)
        self._db.executemany(_ADD_REPLY, self._new_replies)
        write_conversation_days(
            self._db,
            self._org,
            [(conversation & ORDINAL_MASK, at) for *_, conversation, at in self._new_replies],
        )
        return len(self._new_replies) + changed.intersection_cardinality(self._usages.known_replies)


def _show(micros: int) -> str:
    return from_micros(micros).isoformat().replace("+00:00", "Z")


_FIND_REPLY = """
SELECT reply.id, conversation.id, replied_at, session_id
FROM reply JOIN conversation ON conversation.id = reply.conversation
WHERE reply.org = ? AND reply_id = ?
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
