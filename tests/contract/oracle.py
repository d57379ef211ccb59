"""The counts as they are defined: a plain set of usages, and every answer computed from it anew."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from applyrate.usage import (
    CatalogueEntry,
    ConversationFacts,
    ConversationUsage,
    RecordedReply,
    Recording,
    Reply,
    ResourceType,
    ResourceUsage,
    UsageKind,
    UsageSummary,
    Window,
    utc,
)

_LAST, _AGES = datetime.max.replace(tzinfo=UTC), timedelta.max


Used = tuple[str, ResourceType, str, UsageKind]
"""What was used: organization, type, id and kind."""


Resource = tuple[str, ResourceType, str]
"""Organization, type and id."""


class Usage(NamedTuple):
    """Which use of it: ``call`` is None for all but invocations."""

    reply_id: str
    call: int | str | None


@dataclass
class Conversation:
    """What is known of a conversation: what was set for it, and what its replies said."""

    facts: dict[str, Any] = field(default_factory=dict)
    tickets: set[tuple[datetime, int]] = field(default_factory=set)
    messages: set[tuple[datetime, str]] = field(default_factory=set)
    handoffs: set[datetime] = field(default_factory=set)

    def known(self, name: str, said: set[tuple[datetime, Any]]) -> Any:
        """What was set for it, or else what the newest reply said."""
        value = self.facts.get(name)
        return max(said)[1] if value is None and said else value

    def is_handed_off(self) -> bool:
        """What was set for it, null too, or else whether anything came with its replies."""
        return self.facts.get("handed_off_at", min(self.handoffs, default=None)) is not None


class Oracle:
    """A Store as a set, too slow for anything but being right."""

    def __init__(self) -> None:
        self.usages: defaultdict[Used, set[Usage]] = defaultdict(set)
        self.replies: dict[tuple[str, str], tuple[str, datetime]] = {}
        self.known: dict[tuple[str, str], Conversation] = {}
        self.names: dict[Resource, str] = {}
        self.reported: defaultdict[str, set[ResourceType]] = defaultdict(set)
        self.catalogue: defaultdict[Resource, dict[str, Any]] = defaultdict(dict)
        self.versions: defaultdict[Resource, dict[str, datetime]] = defaultdict(dict)
        self.erased: set[tuple[str, str]] = set()
        self.changes: Counter[Resource] = Counter()

    def record(self, *recordings: Recording) -> list[tuple[int, int, list[int]]]:
        """Record replies; how many brought something, how many nothing, and which are refused.

        What one recording names another one that is written with it may be the first to use.
        """
        told = [self._record(recording) for recording in recordings]
        for recording, (accepted, duplicates, _) in zip(recordings, told, strict=True):
            if accepted or duplicates:
                self._name(recording)
        return told

    def _record(self, recording: Recording) -> tuple[int, int, list[int]]:
        org = recording.org
        accepted = duplicates = 0
        refused = []
        for index, reply in enumerate(recording.replies):
            fixed = (reply.session_id, utc(reply.replied_at))
            new = (org, reply.reply_id) not in self.replies
            if new and (org, reply.session_id) in self.erased:
                refused.append(index)
                continue
            if self.replies.setdefault((org, reply.reply_id), fixed) != fixed:
                refused.append(index)
                continue
            new = self._use(org, reply) or new
            accepted += new
            duplicates += not new
            conversation = self.known.setdefault((org, reply.session_id), Conversation())
            if reply.ticket_number is not None:
                conversation.tickets.add((fixed[1], reply.ticket_number))
            if reply.last_message is not None:
                conversation.messages.add((fixed[1], reply.last_message))
        if accepted or duplicates:
            self.reported[org] |= recording.reports
        for session_id, at in recording.handed_off.items():
            if (org, session_id) in self.erased:
                continue
            self.known.setdefault((org, session_id), Conversation()).handoffs.add(at)
        return accepted, duplicates, refused

    def _use(self, org: str, reply: Reply) -> bool:
        """Take a reply's usages in; whether any was new."""
        new = [
            (used, usage) for used, usage in _usages(org, reply) if usage not in self.usages[used]
        ]
        for used, usage in new:
            self.usages[used].add(usage)
            self.changes[used[:3]] += 1
        return bool(new)

    def _name(self, recording: Recording) -> None:
        for resource_type, names in recording.names.items():
            for resource_id, name in names.items():
                resource = (recording.org, resource_type, resource_id)
                if name and any(self.usages.get((*resource, kind)) for kind in UsageKind):
                    self.names.setdefault(resource, name)

    def set_conversation(self, org: str, session_id: str, facts: ConversationFacts) -> None:
        if (org, session_id) in self.erased:
            return
        conversation = self.known.setdefault((org, session_id), Conversation())
        for name in msgspec.structs.fields(ConversationFacts):
            value = getattr(facts, name.name)
            if value is not msgspec.UNSET:
                conversation.facts[name.name] = value

    def erase(self, org: str, session_ids: Iterable[str]) -> tuple[int, int]:
        """Erase conversations; how many were known, and how many replies they had."""
        gone = {(org, session_id) for session_id in session_ids}
        self.erased |= gone
        replies = {key for key, (session, _) in self.replies.items() if (key[0], session) in gone}
        self._remove(replies)
        return sum(self.known.pop(key, None) is not None for key in gone), len(replies)

    def expire(self, org: str, before: datetime) -> int:
        """Remove what is from before a moment; how many replies that were."""
        old = {key for key, (_, at) in self.replies.items() if key[0] == org and at < before}
        silent = {(of, session) for of, session in self.known if of == org}
        silent -= {(of, session) for (of, _), (session, _) in self.replies.items()}
        touched = {(org, self.replies[key][0]) for key in old}
        self._remove(old)
        left = {(of, session) for (of, _), (session, _) in self.replies.items()}
        for key in touched - left:
            del self.known[key]
        for key in touched & left:
            known = self.known[key]
            known.tickets = {said for said in known.tickets if said[0] >= before}
            known.messages = {said for said in known.messages if said[0] >= before}
        if datetime.now(UTC) < before:  # they became known since this test began
            for key in silent:
                del self.known[key]
        return len(old)

    def _remove(self, replies: set[tuple[str, str]]) -> None:
        for key in replies:
            del self.replies[key]
        for used, usages in self.usages.items():
            gone = {usage for usage in usages if (used[0], usage.reply_id) in replies}
            usages.difference_update(gone)
            self.changes[used[:3]] += len(gone)
        for resource in list(self.names):
            if not any(self.usages.get((*resource, kind)) for kind in UsageKind):
                del self.names[resource]

    def set_catalogue(self, org: str, entries: Iterable[CatalogueEntry]) -> None:
        for entry in entries:
            resource = (org, entry.type, entry.id)
            named = msgspec.structs.asdict(entry)
            named = {name: value for name, value in named.items() if value is not msgspec.UNSET}
            self.catalogue[resource] |= named
            if named.get("version") and named.get("published_at"):
                self.versions[resource][named["version"]] = named["published_at"]

    def name(self, resource: Resource) -> str | None:
        """The catalogue's name for it, or else the one that came with its usages."""
        return self.catalogue.get(resource, {}).get("name") or self.names.get(resource)

    def seen_or_catalogued(self, org: str, resource_type: ResourceType) -> list[str]:
        """The ids of a type's resources, sorted."""
        used = (used[:3] for used, usages in self.usages.items() if usages)
        return sorted({r[2] for r in (*used, *self.catalogue) if r[:2] == (org, resource_type)})

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        counts = self._counts(org, resource_type, resource_id, window)
        counts.pop("handoff_count")
        return UsageSummary(**counts)

    def resources(
        self, org: str, resource_type: ResourceType, window: Window
    ) -> list[ResourceUsage]:
        rows = [
            self.row(org, resource_type, resource_id, window)
            for resource_id in self.seen_or_catalogued(org, resource_type)
        ]
        listed = [
            row
            for row in rows
            if _has_fact(row) or (org, resource_type, row.resource_id) in self.catalogue
        ]
        return sorted(
            listed,
            key=lambda row: (
                not _has_fact(row),
                _AGES if row.last_used_at is None else _LAST - row.last_used_at,
                row.resource_id,
            ),
        )

    def row(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> ResourceUsage:
        return ResourceUsage(
            resource_id=resource_id,
            name=self.name((org, resource_type, resource_id)) or msgspec.UNSET,
            **self._counts(org, resource_type, resource_id, window),
        )

    def conversations(
        self,
        org: str,
        resource_type: ResourceType,
        resource_id: str,
        window: Window,
        kind: UsageKind,
    ) -> list[ConversationUsage]:
        times: dict[str, dict[str, datetime]] = {}
        for usage in self._of(org, resource_type, resource_id, kind, window):
            session_id, at = self.replies[org, usage.reply_id]
            times.setdefault(session_id, {})[usage.reply_id] = at
        rows = []
        for session_id, replied_at in times.items():
            conversation = self.known[org, session_id]
            rows.append(
                ConversationUsage(
                    session_id=session_id,
                    reply_count=len(replied_at),
                    ticket_number=conversation.known("ticket_number", conversation.tickets),
                    last_message=conversation.known("last_message", conversation.messages),
                    first_used_at=min(replied_at.values()),
                    last_used_at=max(replied_at.values()),
                )
            )
        return sorted(rows, key=lambda row: (_LAST - row.last_used_at, row.session_id))

    def recorded(self, org: str, reply_ids: Iterable[str]) -> dict[str, RecordedReply]:
        return {
            reply_id: RecordedReply(*self.replies[org, reply_id])
            for reply_id in reply_ids
            if (org, reply_id) in self.replies
        }

    def applied_signal(self, org: str) -> set[ResourceType]:
        return self.reported[org] | {
            resource_type
            for (of, resource_type, _, kind), usages in self.usages.items()
            if of == org and kind is UsageKind.APPLIED and usages
        }

    def _counts(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> dict[str, Any]:
        available, applied = (
            self._of(org, resource_type, resource_id, kind, window) for kind in UsageKind
        )
        times = [self.replies[org, usage.reply_id][1] for usage in applied]
        sessions = {self.replies[org, usage.reply_id][0] for usage in applied}
        return {
            "session_count": len(sessions),
            "applied_sessions": len(sessions),
            "applied_replies": len(applied),
            "available_sessions": len({self.replies[org, u.reply_id][0] for u in available}),
            "available_replies": len(available),
            "first_used_at": min(times, default=None),
            "last_used_at": max(times, default=None),
            "handoff_count": sum(self.known[org, session].is_handed_off() for session in sessions),
        }

    def _of(
        self,
        org: str,
        resource_type: ResourceType,
        resource_id: str,
        kind: UsageKind,
        window: Window,
    ) -> list[Usage]:
        usages = self.usages.get((org, resource_type, resource_id, kind), ())
        return [usage for usage in usages if self._inside(org, usage, window)]

    def _inside(self, org: str, usage: Usage, window: Window) -> bool:
        at = self.replies[org, usage.reply_id][1]
        return (window.from_at is None or window.from_at <= at) and (
            window.to_at is None or at < window.to_at
        )


def _has_fact(row: ResourceUsage) -> bool:
    return bool(row.available_replies or row.applied_replies)


def _usages(org: str, reply: Reply) -> Iterable[tuple[Used, Usage]]:
    once = Usage(reply.reply_id, None)
    for resource_type in ResourceType:
        for name in getattr(reply.available, resource_type):
            yield (org, resource_type, name, UsageKind.AVAILABLE), once
    for resource_type in (ResourceType.INSTRUCTION, ResourceType.KNOWLEDGE):
        for name in getattr(reply.applied, resource_type):
            for kind in UsageKind:
                yield (org, resource_type, name, kind), once
    places: dict[str, int] = {}
    for invocation in reply.applied.action:
        name = invocation if isinstance(invocation, str) else invocation.id
        place = places.get(name, 0)
        places[name] = place + 1
        call = place if isinstance(invocation, str) else invocation.call_id
        used = (org, ResourceType.ACTION, name, UsageKind.APPLIED)
        yield used, Usage(reply.reply_id, call)
