"""The ClickHouse store: usages as rows on a node or a cluster of shards.

``address`` says where it is, ``cluster`` how its nodes are asked and filled, ``migrations`` how
its tables are made; ``rows`` how ids and times are written. ``recording`` writes, with ``claims``
for who was first, ``usage_rows``, ``facts``, ``names`` and ``tombstones`` for the rows.
``counting``, ``listing``, ``browsing``, ``timelines``, ``outcomes``, ``conversation_usage``,
``export`` and ``changes`` are a question each; ``ranking`` and ``unused`` are about all resources
of a type, by way of ``type_counting``. ``erasing`` and ``retention`` remove, by way of
``removing``.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from applyrate.keys import ApiKey
from applyrate.store.clickhouse import erasing, retention
from applyrate.store.clickhouse import keys as key_rows
from applyrate.store.clickhouse import sessions as session_rows
from applyrate.store.clickhouse.address import Address
from applyrate.store.clickhouse.audit import list_acts, note_act
from applyrate.store.clickhouse.browsing import list_conversations
from applyrate.store.clickhouse.catalogue import find_catalogued, set_catalogue
from applyrate.store.clickhouse.changes import read_changes
from applyrate.store.clickhouse.checking import check
from applyrate.store.clickhouse.claims import find_replies
from applyrate.store.clickhouse.cluster import Cluster
from applyrate.store.clickhouse.conversation_usage import read_conversation
from applyrate.store.clickhouse.counting import count_resource
from applyrate.store.clickhouse.directory import Directory
from applyrate.store.clickhouse.export import export_usages
from applyrate.store.clickhouse.facts import set_facts, without_message
from applyrate.store.clickhouse.listing import list_resources
from applyrate.store.clickhouse.migrations import check_migrated, foreign_migrations, read_secrets
from applyrate.store.clickhouse.outcomes import count_outcomes
from applyrate.store.clickhouse.ranking import rank_resources
from applyrate.store.clickhouse.recording import record
from applyrate.store.clickhouse.rows import SINCE_EVER, Numbers, from_micros, to_micros
from applyrate.store.clickhouse.signals import applied_signal
from applyrate.store.clickhouse.timelines import count_spans, count_type_spans, count_usages
from applyrate.store.clickhouse.type_counting import count_type
from applyrate.store.clickhouse.unused import list_unused, tabulate_unused
from applyrate.store.clickhouse.used_window import find_used_window
from applyrate.store.limits import QueryLimits
from applyrate.usage import (
    COMMAND_LINE,
    AuditAction,
    AuditEntry,
    AuditPosition,
    CataloguedResource,
    CatalogueEntry,
    Changes,
    Conversation,
    ConversationFacts,
    ConversationPosition,
    ConversationUsage,
    Erasure,
    Keeping,
    Outcomes,
    Page,
    RankedResources,
    Receipt,
    RecordedReply,
    Recording,
    ResourcePosition,
    ResourceSort,
    ResourceType,
    ResourceUsage,
    TypeTotals,
    UnfinishedErasure,
    UnusedPosition,
    UnusedReason,
    UnusedResource,
    UnusedTable,
    UsageBucket,
    UsageKind,
    UsageRow,
    UsageSummary,
    Window,
)


class ClickHouseStore:
    """The Store protocol on ClickHouse, which any number of processes may use at the same time.

    Raises WrittenByNewer or NotMigrated where the tables are not those of this version, and
    Unavailable where no node answers.
    """

    is_remote = True

    def __init__(
        self,
        address: Address,
        *,
        keeping: Keeping = Keeping(),  # noqa: B008 (it is frozen)
        limits: QueryLimits = QueryLimits(),  # noqa: B008 (it is frozen)
    ) -> None:
        self._keeping = keeping
        self._cluster = Cluster(address, limits)
        self._directory = Directory()
        self._known_keys = key_rows.KnownKeys()
        check_migrated(self._cluster)
        secrets = read_secrets(self._cluster)
        self._numbers, self._cursor_secret = Numbers(secrets["numbers"]), secrets["cursors"]

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        db = self._cluster.doing("record")
        return record(db, self._numbers, self._directory, recordings, self._keeping)

    def set_conversations(self, org: str, facts: Mapping[str, ConversationFacts]) -> list[str]:
        if not self._keeping.messages:
            facts = {session_id: without_message(known) for session_id, known in facts.items()}
        db = self._cluster.doing("set_conversations")
        self._directory.note_organization(db, org)
        return set_facts(db, self._numbers, org, facts)

    def erase(self, org: str, session_ids: Sequence[str], actor: str = COMMAND_LINE) -> Erasure:
        db = self._cluster.doing("erase")
        self._directory.note_organization(db, org)
        return erasing.erase_conversations(db, self._numbers, org, session_ids, actor)

    def continue_erasing(self, org: str, limit: int) -> Erasure:  # noqa: ARG002 (nothing is left)
        return Erasure(0, 0)

    def unfinished_erasures(self) -> list[UnfinishedErasure]:
        return erasing.unfinished_erasures(self._cluster.doing("unfinished_erasures"))

    def finish_erasures(self, erasure_ids: Sequence[int]) -> None:
        erasing.finish_erasures(self._cluster.doing("finish_erasures"), erasure_ids)

    def erase_messages(self, org: str, limit: int) -> int:
        return erasing.erase_messages(self._cluster.doing("erase_messages"), org, limit)

    def fold(self) -> None:
        return None

    def needs_scrub(self) -> bool:
        return erasing.needs_scrub(self._cluster, self._cluster.doing("needs_scrub"))

    def scrub(self) -> bool:
        erasing.scrub(self._cluster, self._cluster.doing("scrub"))
        return True

    def retention_days(self, org: str) -> int | None:
        return retention.retention_days(self._cluster.doing("retention_days"), org)

    def set_retention(self, org: str, days: int | None, actor: str = COMMAND_LINE) -> None:
        told = "as the settings say" if days is None else str(days or "for ever")
        db = self._cluster.doing("set_retention")
        retention.set_retention(db, org, days)
        note_act(db, org, actor, AuditAction.RETENTION_SET, detail=told)

    def oldest_kept(self, org: str) -> datetime | None:
        at = retention.oldest_kept(self._cluster.doing("oldest_kept"), org, self._keeping)
        return None if at == SINCE_EVER else from_micros(at)

    def has_expired(self, org: str, before: datetime) -> bool:
        return retention.has_expired(self._cluster.doing("has_expired"), org, to_micros(before))

    def expire(self, org: str, before: datetime, limit: int) -> int:
        return retention.expire(self._cluster.doing("expire"), org, to_micros(before), limit)

    def note_act(
        self,
        org: str,
        actor: str,
        action: AuditAction,
        *,
        target: str | None = None,
        detail: str | None = None,
    ) -> None:
        db = self._cluster.doing("note_act")
        note_act(db, org, actor, action, target=target, detail=detail)

    def audit(
        self, org: str, *, limit: int, after: AuditPosition | None = None
    ) -> Page[AuditEntry, AuditPosition]:
        return list_acts(self._cluster.doing("audit"), org, limit, after)

    def moment(self) -> None:
        return None

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        db = self._cluster.doing("summary")
        return count_resource(db, org, resource_type, resource_id, window)

    def resources(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: ResourcePosition | None = None,
    ) -> Page[ResourceUsage, ResourcePosition]:
        db = self._cluster.doing("resources")
        return list_resources(db, org, resource_type, window, limit, after)

    def conversations(
        self,
        org: str,
        resource_type: ResourceType,
        resource_id: str,
        window: Window,
        *,
        kind: UsageKind = UsageKind.APPLIED,
        unapplied: bool = False,
        limit: int,
        after: ConversationPosition | None = None,
    ) -> Page[ConversationUsage, ConversationPosition]:
        page = list_conversations(
            self._cluster.doing("conversations"),
            org,
            resource_type,
            resource_id,
            window,
            kind,
            limit,
            after,
            unapplied=unapplied,
        )
        if self._keeping.messages:
            return page
        return Page([replace(row, last_message=None) for row in page.items], page.next)

    def used_window(
        self, org: str, resource_type: ResourceType, resource_id: str | None = None
    ) -> tuple[datetime, datetime] | None:
        db = self._cluster.doing("used_window")
        return find_used_window(db, org, resource_type, resource_id)

    def replies(self, org: str, reply_ids: Sequence[str]) -> dict[str, RecordedReply]:
        return find_replies(self._cluster.doing("replies"), self._numbers, org, reply_ids)

    def applied_signal(self, org: str) -> frozenset[ResourceType]:
        return applied_signal(self._cluster.doing("applied_signal"), org)

    def usage_counts(
        self,
        org: str,
        resource_type: ResourceType,
        resource_ids: Sequence[str],
        bounds: Sequence[datetime],
        *,
        kind: UsageKind = UsageKind.APPLIED,
    ) -> Mapping[str, Sequence[int]]:
        db = self._cluster.doing("usage_counts")
        return count_usages(db, org, resource_type, resource_ids, bounds, kind)

    def type_timeline(
        self, org: str, resource_type: ResourceType, bounds: Sequence[datetime]
    ) -> list[UsageBucket]:
        db = self._cluster.doing("type_timeline")
        return count_type_spans(db, org, resource_type, bounds)

    def type_totals(self, org: str, resource_type: ResourceType, window: Window) -> TypeTotals:
        return count_type(self._cluster.doing("type_totals"), org, resource_type, window)

    def ranked(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        sort: ResourceSort = ResourceSort.LAST_USED,
        descending: bool = True,
        search: str = "",
        limit: int,
        offset: int = 0,
    ) -> RankedResources:
        return rank_resources(
            self._cluster.doing("ranked"),
            org,
            resource_type,
            window,
            sort=sort,
            descending=descending,
            search=search,
            limit=limit,
            offset=offset,
        )

    def unused(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: UnusedPosition | None = None,
    ) -> Page[UnusedResource, UnusedPosition]:
        db = self._cluster.doing("unused")
        return list_unused(db, org, resource_type, window, limit, after)

    def unused_table(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        reason: UnusedReason | None = None,
        limit: int,
        offset: int = 0,
    ) -> UnusedTable:
        db = self._cluster.doing("unused_table")
        return tabulate_unused(
            db, org, resource_type, window, reason=reason, limit=limit, offset=offset
        )

    def set_catalogue(
        self, org: str, entries: Sequence[CatalogueEntry], actor: str = COMMAND_LINE
    ) -> None:
        db = self._cluster.doing("set_catalogue")
        self._directory.note_organization(db, org)
        set_catalogue(db, org, entries, actor)

    def catalogue(
        self, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
    ) -> dict[str, CataloguedResource]:
        db = self._cluster.doing("catalogue")
        return find_catalogued(db, org, resource_type, resource_ids)

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        db = self._cluster.doing("timeline")
        return count_spans(db, org, resource_type, resource_id, bounds)

    def outcomes(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> Outcomes:
        db = self._cluster.doing("outcomes")
        return count_outcomes(db, org, resource_type, resource_id, window)

    def conversation(self, org: str, session_id: str) -> Conversation | None:
        known = read_conversation(
            self._cluster.doing("conversation"), self._numbers, org, session_id
        )
        if known is None or self._keeping.messages:
            return known
        return replace(known, last_message=None)

    def usages(self, org: str, window: Window) -> Iterator[UsageRow]:
        return export_usages(self._cluster.doing("usages"), org, window)

    def changes(self, org: str, after: int | None = None) -> Changes:
        return read_changes(self._cluster.doing("changes"), org, after)

    def cursor_secret(self) -> bytes:
        return self._cursor_secret

    def organizations(self) -> list[str]:
        return sorted(org for (org,) in self._cluster.doing("organizations").rows(_ORGANIZATIONS))

    def add_key(self, key: ApiKey, digest: bytes, actor: str = COMMAND_LINE) -> None:
        key_rows.add_key(self._cluster.doing("add_key"), key, digest, actor)

    def find_key(self, digest: bytes) -> ApiKey | None:
        return self._known_keys.find(self._cluster.doing("find_key"), digest)

    def keys(self, org: str) -> list[ApiKey]:
        return key_rows.keys_of(self._cluster.doing("keys"), org)

    def revoke_key(
        self, org: str, key_id: str, revoked_at: datetime, actor: str = COMMAND_LINE
    ) -> ApiKey | None:
        db = self._cluster.doing("revoke_key")
        revoked = key_rows.revoke_key(db, org, key_id, revoked_at, actor)
        self._known_keys.forget()
        return revoked

    def mark_keys_used(self, last_used_at: Mapping[str, datetime]) -> None:
        key_rows.mark_keys_used(self._cluster.doing("mark_keys_used"), last_used_at)

    def add_session(self, digest: bytes, key_id: str, now: datetime, expires_at: datetime) -> None:
        db = self._cluster.doing("add_session")
        session_rows.add_session(db, digest, key_id, now, expires_at)

    def find_session(self, digest: bytes, now: datetime) -> ApiKey | None:
        return session_rows.find_session(self._cluster.doing("find_session"), digest, now)

    def end_session(self, digest: bytes) -> bool:
        return session_rows.end_session(self._cluster.doing("end_session"), digest)

    def check(self) -> Iterator[str]:
        return check(self._cluster.doing("check"))

    def usage_count(self) -> int:
        rows = self._cluster.doing("usage_count").rows(_USAGE_COUNT)
        return sum(count for (count,) in rows)

    def probe(self) -> None:
        self._cluster.doing("probe").insert("probe_all", "number", [(0,), (1,)])

    def foreign_migrations(self) -> list[str]:
        return foreign_migrations(self._cluster)

    def file_sizes(self) -> Mapping[str, int]:
        db = self._cluster.doing("file_sizes")
        database = {"database": self._cluster.address.database}
        ((size,),) = db.rows(self._cluster.everywhere(_SIZE, "system.parts"), database)
        return {"database": size, "wal": 0}

    def close(self) -> None:
        self._cluster.close()


_USAGE_COUNT = """
SELECT uniqExact((org, resource_type, resource_id, kind, replied_at, reply, call)) FROM usage_all
SETTINGS distributed_group_by_no_merge = 1
"""
_ORGANIZATIONS = """
SELECT DISTINCT org FROM organization_all UNION DISTINCT SELECT DISTINCT org FROM api_key_all
WHERE org != ''
"""
_SIZE = "SELECT sum(bytes_on_disk) FROM {table} WHERE active AND database = {database:String}"
