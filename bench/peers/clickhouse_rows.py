"""ClickHouse: one sorted table of usages, whose duplicates merging removes.

The order of the table is the identity of a usage and the way to every answer. Replies and
conversations are 64-bit hashes of their ids, since nobody hands numbers out. ``FINAL`` removes what
merging has not yet; where a table is one merged part, it costs nothing.

A commit is three inserts, into the tables of replies, of conversations and of usages. Sending them
again adds nothing, so that nothing needs to hold them together. An insert, and what merging makes
of it, is synced to the disk. That a reply keeps the conversation and the time of its first record
is not looked after: it would need a question before each insert.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from applyrate.usage import (
    ConversationPosition,
    ConversationUsage,
    Page,
    Reply,
    ResourcePosition,
    ResourceType,
    ResourceUsage,
    UsageKind,
    UsageSummary,
    Window,
)
from bench.generator import Workload
from bench.peers.answers import (
    DAY,
    conversation_page,
    daily,
    micros,
    resource_page,
    span,
    summary,
)
from bench.peers.encoding import KINDS, Numbers, columns_of, resources_of, usages_of

Run = Callable[[str, Mapping[str, object]], bytes]
"""Runs a statement, with the data that follows it or with parameters, and gives what it answers."""

_UNKNOWN = 0
_LOADED = 2_000_000


class ClickHouse:
    """The peer behind a function that runs statements; the two ways to run one differ in that."""

    def __init__(self, run: Run, close: Callable[[], None]) -> None:
        self._run = run
        self.close = close
        for statement in _TABLES:
            run(statement, {})
        self._orgs: dict[str, int] = {name: id_ for id_, name in self._rows(_ORGS, {})}
        self._resources: dict[tuple[int, str, str], int] = {
            (org, type_, resource_id): number
            for number, org, type_, resource_id in self._rows(_RESOURCES, {})
        }
        self._numbers: dict[int, Numbers] = {}

    def load(self, workload: Workload, stop: int) -> None:
        """Large inserts; ``settle`` merges them into one part."""
        org = self._org(workload.org)
        for number, type_, id_ in resources_of(workload):
            self._resources[org, type_.value, id_] = number
        self._insert(
            "resource",
            ((number, org, type_.value, id_) for number, type_, id_ in resources_of(workload)),
        )
        sessions = {
            place: hashed(workload.session_ids[place])
            for place in sorted(set(workload.conversations[:stop]))
        }
        self._insert(
            "conversation (org, id, session_id, ticket_number)",
            (
                (org, id_, workload.session_ids[place], workload.ticket_numbers[place])
                for place, id_ in sessions.items()
            ),
        )
        reply_ids = [f"rep_{key:016x}" for key in workload.reply_keys[:stop]]
        replies = list(map(hashed, reply_ids))
        self._insert(
            "reply",
            (
                (org, number, reply_id, sessions[conversation], at)
                for number, reply_id, conversation, at in zip(
                    replies,
                    reply_ids,
                    workload.conversations[:stop],
                    workload.replied_at[:stop],
                    strict=True,
                )
            ),
        )
        for columns in columns_of(workload, stop):
            self._insert(
                "usage",
                zip(
                    columns["resource"].tolist(),
                    columns["kind"].tolist(),
                    columns["replied_at"].tolist(),
                    [replies[place - 1] for place in columns["reply"].tolist()],
                    columns["call"].tolist(),
                    [sessions[place - 1] for place in columns["conversation"].tolist()],
                    strict=True,
                ),
            )
        self.settle()

    def record(self, org: str, replies: Sequence[Reply]) -> None:
        """Three inserts; usages come last, so that what is counted is wholly known."""
        org_id = self._org(org)
        number = self._numbers.setdefault(org_id, Numbers(self._finder(org_id)))
        conversations, heads, usages = {}, [], []
        for reply in replies:
            at, id_ = micros(reply.replied_at), hashed(reply.reply_id)
            conversation = hashed(reply.session_id)
            conversations[conversation] = (
                org_id,
                conversation,
                reply.session_id,
                reply.ticket_number,
            )
            heads.append((org_id, id_, reply.reply_id, conversation, at))
            usages += [
                (resource, kind, at, id_, call, conversation)
                for resource, kind, call in usages_of(reply, number)
            ]
        self._insert("conversation (org, id, session_id, ticket_number)", conversations.values())
        self._insert("reply", heads)
        self._insert("usage", usages)

    def hand_off(self, org: str, handed_off_at: Mapping[str, datetime]) -> None:
        """Rows that merging joins with those of the same conversations."""
        org_id = self._org(org)
        self._insert(
            "conversation (org, id, session_id, handed_off_at)",
            (
                (org_id, hashed(session_id), session_id, micros(at))
                for session_id, at in handed_off_at.items()
            ),
        )

    def settle(self) -> int:
        """Merge each table into one part, as merging in the background does in time."""
        for table in ("conversation", "reply", "usage"):
            self._run(f"OPTIMIZE TABLE bench.{table} FINAL", {})
        ((size,),) = self._rows(_SIZE, {})
        return int(size)

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """One range of the order for each kind, in one scan."""
        (row,) = self._rows(
            _SUMMARY, self._within(self._resource(org, resource_type, resource_id), *span(window))
        )
        return summary(row)

    def resources(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: ResourcePosition | None = None,
    ) -> Page[ResourceUsage, ResourcePosition]:
        """Order by the last uses alone, then count the page."""
        start, end = span(window)
        last = None if after is None or after.last_used_at is None else micros(after.last_used_at)
        values = {
            "org": self._orgs.get(org, _UNKNOWN),
            "type": resource_type.value,
            "start": start,
            "end": end,
            "first": int(after is None),
            "last": last or 0,  # the time of those that were never applied, as ClickHouse has it
            "id": "" if after is None else after.resource_id,
            "limit": limit + 1,
        }
        listed = self._rows(_LISTED, values)
        if not listed:
            return resource_page((), limit)
        ids = ",".join(str(number) for number, _ in listed)
        values = {"org": values["org"], "ids": f"[{ids}]", "start": start, "end": end}
        counted = {row[0]: row[1:] for row in self._rows(_COUNTED, values)}
        return resource_page(
            ((resource_id, *counted[number]) for number, resource_id in listed), limit
        )

    def conversations(
        self,
        org: str,
        resource_type: ResourceType,
        resource_id: str,
        window: Window,
        *,
        kind: UsageKind = UsageKind.APPLIED,
        limit: int,
        after: ConversationPosition | None = None,
    ) -> Page[ConversationUsage, ConversationPosition]:
        """Group all conversations by their last use, cut the page, then look their names up."""
        start, end = span(window)
        values = self._within(self._resource(org, resource_type, resource_id), start, end) | {
            "kind": KINDS[kind],
            "before": end if after is None else micros(after.last_used_at),
            "limit": limit + 1,
        }
        page = self._rows(_CONVERSATIONS, values)
        if not page:
            return conversation_page((), limit)
        ids = ",".join(str(row[0]) for row in page)
        known = {"org": self._orgs.get(org, _UNKNOWN), "ids": f"[{ids}]"}
        names = {row[0]: row[1:] for row in self._rows(_NAMES, known)}
        return conversation_page(((*names[row[0]], *row[1:]) for row in page), limit)

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """One scan, grouped by day."""
        resource = self._resource(org, resource_type, resource_id)
        values = self._within(resource, micros(bounds[0]), micros(bounds[-1]))
        return daily({row[0]: row[1:] for row in self._rows(_TIMELINE, values)}, bounds)

    def _within(self, resource: int, start: int, end: int) -> dict[str, object]:
        return {"resource": resource, "start": start, "end": end}

    def _rows(self, query: str, values: Mapping[str, object]) -> list[list[Any]]:
        text = self._run(f"{query} FORMAT JSONCompactEachRow", values)
        return [json.loads(line) for line in text.splitlines()]

    def _insert(self, into: str, rows: Any) -> None:
        lines = [
            "\t".join(["\\N" if value is None else str(value) for value in row]) for row in rows
        ]
        for first in range(0, len(lines), _LOADED):
            data = "\n".join(lines[first : first + _LOADED])
            self._run(f"INSERT INTO bench.{into} FORMAT TSV\n{data}\n", {})

    def _org(self, name: str) -> int:
        if name not in self._orgs:
            self._orgs[name] = len(self._orgs) + 1
            self._insert("org", [(self._orgs[name], name)])
        return self._orgs[name]

    def _resource(self, org: str, resource_type: ResourceType, resource_id: str) -> int:
        key = (self._orgs.get(org, _UNKNOWN), resource_type.value, resource_id)
        return self._resources.get(key, _UNKNOWN)

    def _finder(self, org: int) -> Any:
        def find(resource_type: ResourceType, resource_id: str) -> int:
            key = (org, resource_type.value, resource_id)
            if key not in self._resources:
                self._resources[key] = len(self._resources) + 1
                self._insert("resource", [(self._resources[key], *key)])
            return self._resources[key]

        return find


def hashed(name: str) -> int:
    """The 64-bit number of an id."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


_SYNCED = (
    "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"
)
_TABLES = (
    "CREATE DATABASE IF NOT EXISTS bench",
    f"""
    CREATE TABLE IF NOT EXISTS bench.org (id UInt32, name String)
    ENGINE = MergeTree ORDER BY name {_SYNCED}
    """,
    f"""
    CREATE TABLE IF NOT EXISTS bench.resource (
        id UInt32, org UInt32, type LowCardinality(String), resource_id String
    ) ENGINE = ReplacingMergeTree ORDER BY (org, type, resource_id) {_SYNCED}
    """,
    f"""
    CREATE TABLE IF NOT EXISTS bench.conversation (
        org UInt32,
        id UInt64,
        session_id SimpleAggregateFunction(any, String),
        ticket_number SimpleAggregateFunction(anyLast, Nullable(UInt64)),
        last_message SimpleAggregateFunction(anyLast, Nullable(String)),
        handed_off_at SimpleAggregateFunction(min, Nullable(Int64))
    ) ENGINE = AggregatingMergeTree ORDER BY (org, id) {_SYNCED}
    """,
    f"""
    CREATE TABLE IF NOT EXISTS bench.reply (
        org UInt32, id UInt64, reply_id String, conversation UInt64, replied_at Int64
    ) ENGINE = ReplacingMergeTree ORDER BY (org, id) {_SYNCED}
    """,
    f"""
    CREATE TABLE IF NOT EXISTS bench.usage (
        resource UInt32,
        kind UInt8,
        replied_at Int64 CODEC(Delta, LZ4),
        reply UInt64,
        call UInt16,
        conversation UInt64
    ) ENGINE = ReplacingMergeTree ORDER BY (resource, kind, replied_at, reply, call) {_SYNCED}
    """,
)
_ORGS = "SELECT id, name FROM bench.org"
_RESOURCES = "SELECT id, org, type, resource_id FROM bench.resource FINAL"
_SIZE = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'bench' AND active"
_INSIDE = "replied_at >= {start:Int64} AND replied_at < {end:Int64}"
_TALLY = """
    countIf(kind = 0), uniqExactIf(conversation, kind = 0),
    countIf(kind = 1), uniqExactIf(conversation, kind = 1),
    minIf(replied_at, kind = 1), maxIf(replied_at, kind = 1)
"""
_SUMMARY = f"""
SELECT {_TALLY} FROM bench.usage FINAL WHERE resource = {{resource:UInt32}} AND {_INSIDE}
"""
_TIMELINE = f"""
SELECT intDiv(replied_at, {DAY}) AS day, {_TALLY} FROM bench.usage FINAL
WHERE resource = {{resource:UInt32}} AND {_INSIDE} GROUP BY day
"""
_LISTED = f"""
SELECT listed.resource, known.resource_id FROM (
    SELECT resource, maxIf(replied_at, kind = 1) AS last_at FROM bench.usage
    WHERE resource IN (
        SELECT id FROM bench.resource WHERE org = {{org:UInt32}} AND type = {{type:String}}
    ) AND {_INSIDE} GROUP BY resource
) AS listed JOIN bench.resource AS known ON known.id = listed.resource
WHERE {{first:UInt8}} OR last_at < {{last:Int64}}
   OR last_at = {{last:Int64}} AND resource_id > {{id:String}}
ORDER BY last_at DESC, resource_id LIMIT {{limit:UInt32}}
"""
_COUNTED = f"""
SELECT resource, uniqExactIf(conversation, kind = 1 AND conversation IN (
    SELECT id FROM bench.conversation
    WHERE org = {{org:UInt32}} AND handed_off_at IS NOT NULL
)), {_TALLY}
FROM bench.usage FINAL WHERE resource IN {{ids:Array(UInt32)}} AND {_INSIDE} GROUP BY resource
"""
_CONVERSATIONS = f"""
SELECT conversation, countIf(call = 0), min(replied_at) AS first_at, max(replied_at) AS last_at
FROM bench.usage FINAL
WHERE resource = {{resource:UInt32}} AND kind = {{kind:UInt8}} AND {_INSIDE}
GROUP BY conversation HAVING last_at < {{before:Int64}}
ORDER BY last_at DESC LIMIT {{limit:UInt32}}
"""
_NAMES = """
SELECT id, session_id, ticket_number, last_message FROM bench.conversation FINAL
WHERE org = {org:UInt32} AND id IN {ids:Array(UInt64)}
"""
