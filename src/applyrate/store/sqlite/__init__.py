"""The embedded store: usages as Roaring bitmaps in one SQLite file.

``rows`` says how ids, times and bitmaps are written, ``database`` how the file is opened;
``names`` finds replies and conversations by their ids;
``recording`` and ``usage_rows`` write; ``counting``, ``listing`` and ``browsing`` answer, with
``edges`` and ``reply_order`` for the days that a window covers in part; ``timelines``,
``usage_counts``, ``outcomes``, ``conversation_usage``, ``export`` and ``changes`` are a question
each; ``ranking``, ``unused``, ``totals`` and ``type_timelines`` are about all resources of a type,
which ``type_counting`` counts at once from ``columns``, while ``kind_counting`` counts the few on a
page; ``catalogue`` has what is said of resources, ``replies`` and ``signals`` tell what else was
recorded; ``erasing`` and ``retention`` remove, by way of ``removing``; ``audit`` says who did what;
``checking`` verifies all of it.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from applyrate.keys import ApiKey
from applyrate.store.sqlite import keys as key_rows
from applyrate.store.sqlite import retention
from applyrate.store.sqlite import sessions as session_rows
from applyrate.store.sqlite.audit import list_acts, note_act
from applyrate.store.sqlite.browsing import list_conversations
from applyrate.store.sqlite.catalogue import find_catalogued, set_catalogue
from applyrate.store.sqlite.changes import read_changes
from applyrate.store.sqlite.checking import check
from applyrate.store.sqlite.columns import Columns
from applyrate.store.sqlite.conversation_columns import ConversationColumns
from applyrate.store.sqlite.conversation_usage import read_conversation
from applyrate.store.sqlite.conversations import set_conversations, without_message
from applyrate.store.sqlite.counting import count_resource
from applyrate.store.sqlite.database import Database, Moment
from applyrate.store.sqlite.days import MAX_KEPT_BYTES, Days
from applyrate.store.sqlite.directory import Directory
from applyrate.store.sqlite.erasing import (
    continue_erasing,
    erase_conversations,
    erase_messages,
    finish_erasures,
    forget_scrub_requests,
    is_erasing,
    needs_scrub,
    scrub_requests,
    unfinished_erasures,
)
from applyrate.store.sqlite.export import export_usages
from applyrate.store.sqlite.listing import list_resources
from applyrate.store.sqlite.outcomes import count_outcomes
from applyrate.store.sqlite.ranking import rank_resources
from applyrate.store.sqlite.recording import record
from applyrate.store.sqlite.replies import find_replies
from applyrate.store.sqlite.rows import from_micros, to_micros
from applyrate.store.sqlite.signals import applied_signal
from applyrate.store.sqlite.timelines import count_spans
from applyrate.store.sqlite.totals import count_type
from applyrate.store.sqlite.type_timelines import type_timeline
from applyrate.store.sqlite.unused import list_unused, tabulate_unused
from applyrate.store.sqlite.usage_counts import count_usages
from applyrate.store.sqlite.used_window import find_used_window
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


class SQLiteStore:
    """The Store protocol on one file, which several processes may open at the same time."""

    is_remote = False

    def __init__(
        self,
        path: Path,
        *,
        max_kept_bytes: int = 2 * MAX_KEPT_BYTES,
        keeping: Keeping = Keeping(),  # noqa: B008 (it is frozen)
    ) -> None:
        self._keeping = keeping
        self._directory = Directory()
        self._days = Days(max_kept_bytes // 2)
        self._columns = Columns(max_kept_bytes // 4)
        self._conversation_columns = ConversationColumns(max_kept_bytes // 4)
        self._database = Database(path, reopened=self._forget)

    @property
    def kept_bytes(self) -> int:
        """What the decoded days and the columns that are kept in memory take, about."""
        return (
            self._days.kept_bytes + self._columns.kept_bytes + self._conversation_columns.kept_bytes
        )

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        with self._changing_usages() as db:
            self._directory.forget_removed(db)
            return record(db, self._directory, self._days, recordings, self._keeping)

    def set_conversations(self, org: str, facts: Mapping[str, ConversationFacts]) -> list[str]:
        if not self._keeping.messages:
            facts = {session_id: without_message(known) for session_id, known in facts.items()}
        with self._database.writing() as db:
            return set_conversations(db, Directory().organization(db, org), facts)

    def erase(self, org: str, session_ids: Sequence[str], actor: str = COMMAND_LINE) -> Erasure:
        with self._changing_usages() as db:
            return erase_conversations(db, self._days, org, session_ids, actor)

    def continue_erasing(self, org: str, limit: int) -> Erasure:
        with self._database.reading() as db:
            if not is_erasing(db, org):
                return Erasure(0, 0)
        with self._changing_usages() as db:
            return continue_erasing(db, self._days, org, limit)

    def unfinished_erasures(self) -> list[UnfinishedErasure]:
        with self._database.reading() as db:
            return unfinished_erasures(db)

    def finish_erasures(self, erasure_ids: Sequence[int]) -> None:
        with self._database.writing() as db:
            finish_erasures(db, erasure_ids)

    def erase_messages(self, org: str, limit: int) -> int:
        with self._database.writing() as db:
            return erase_messages(db, org, limit)

    def needs_scrub(self) -> bool:
        with self._database.reading() as db:
            return needs_scrub(db)

    def fold(self) -> None:
        self._database.fold()

    def scrub(self) -> bool:
        with self._database.reading() as db:
            requests = scrub_requests(db)
        if not self._database.scrub():
            return False
        if requests:
            with self._database.writing() as db:
                forget_scrub_requests(db, requests)
        return True

    def retention_days(self, org: str) -> int | None:
        with self._database.reading() as db:
            return retention.retention_days(db, org)

    def set_retention(self, org: str, days: int | None, actor: str = COMMAND_LINE) -> None:
        told = "as the settings say" if days is None else str(days or "for ever")
        with self._database.writing() as db:
            retention.set_retention(db, org, days)
            note_act(db, org, actor, AuditAction.RETENTION_SET, detail=told)

    def oldest_kept(self, org: str) -> datetime | None:
        with self._database.reading() as db:
            at = retention.oldest_kept(db, org, self._keeping)
        return None if at == retention.SINCE_EVER else from_micros(at)

    def has_expired(self, org: str, before: datetime) -> bool:
        with self._database.reading() as db:
            return retention.has_expired(db, org, to_micros(before))

    def expire(self, org: str, before: datetime, limit: int) -> int:
        with self._changing_usages() as db:
            return retention.expire(db, self._days, org, to_micros(before), limit)

    def note_act(
        self,
        org: str,
        actor: str,
        action: AuditAction,
        *,
        target: str | None = None,
        detail: str | None = None,
    ) -> None:
        with self._database.writing() as db:
            note_act(db, org, actor, action, target=target, detail=detail)

    def audit(
        self, org: str, *, limit: int, after: AuditPosition | None = None
    ) -> Page[AuditEntry, AuditPosition]:
        with self._database.reading() as db:
            return list_acts(db, org, limit, after)

    def moment(self) -> Moment:
        return self._database.moment()

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        with self._database.reading() as db:
            return count_resource(db, self._days, org, resource_type, resource_id, window)

    def resources(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: ResourcePosition | None = None,
    ) -> Page[ResourceUsage, ResourcePosition]:
        with self._database.reading() as db:
            return list_resources(
                db, self._days, self._columns, org, resource_type, window, limit, after
            )

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
        with self._database.reading() as db:
            page = list_conversations(
                db,
                self._days,
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
        with self._database.reading() as db:
            return find_used_window(db, org, resource_type, resource_id)

    def replies(self, org: str, reply_ids: Sequence[str]) -> dict[str, RecordedReply]:
        with self._database.reading() as db:
            return find_replies(db, org, reply_ids)

    def applied_signal(self, org: str) -> frozenset[ResourceType]:
        with self._database.reading() as db:
            return applied_signal(db, org)

    def usage_counts(
        self,
        org: str,
        resource_type: ResourceType,
        resource_ids: Sequence[str],
        bounds: Sequence[datetime],
        *,
        kind: UsageKind = UsageKind.APPLIED,
    ) -> Mapping[str, Sequence[int]]:
        with self._database.reading() as db:
            return count_usages(db, org, resource_type, resource_ids, bounds, kind)

    def type_timeline(
        self, org: str, resource_type: ResourceType, bounds: Sequence[datetime]
    ) -> list[UsageBucket]:
        with self._database.reading() as db:
            return type_timeline(db, self._columns, org, resource_type, bounds)

    def type_totals(self, org: str, resource_type: ResourceType, window: Window) -> TypeTotals:
        with self._database.reading() as db:
            return count_type(db, self._columns, org, resource_type, window)

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
        with self._database.reading() as db:
            return rank_resources(
                db,
                self._days.reply_order,
                self._columns,
                self._conversation_columns,
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
        with self._database.reading() as db:
            return list_unused(
                db,
                self._days.reply_order,
                self._columns,
                org,
                resource_type,
                window,
                limit,
                after,
            )

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
        with self._database.reading() as db:
            return tabulate_unused(
                db,
                self._days.reply_order,
                self._columns,
                org,
                resource_type,
                window,
                reason=reason,
                limit=limit,
                offset=offset,
            )

    def set_catalogue(
        self, org: str, entries: Sequence[CatalogueEntry], actor: str = COMMAND_LINE
    ) -> None:
        with self._database.writing() as db:
            set_catalogue(db, org, entries, actor)

    def catalogue(
        self, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
    ) -> dict[str, CataloguedResource]:
        with self._database.reading() as db:
            return find_catalogued(db, org, resource_type, resource_ids)

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        with self._database.reading() as db:
            return count_spans(db, self._days, org, resource_type, resource_id, bounds)

    def outcomes(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> Outcomes:
        with self._database.reading() as db:
            return count_outcomes(db, self._days, org, resource_type, resource_id, window)

    def conversation(self, org: str, session_id: str) -> Conversation | None:
        with self._database.reading() as db:
            known = read_conversation(db, org, session_id)
        if known is None or self._keeping.messages:
            return known
        return replace(known, last_message=None)

    def usages(self, org: str, window: Window) -> Iterator[UsageRow]:
        return export_usages(self._database, org, window)

    def changes(self, org: str, after: int | None = None) -> Changes:
        with self._database.reading() as db:
            return read_changes(db, org, after)

    def cursor_secret(self) -> bytes:
        with self._database.reading() as db:
            (secret,) = db.execute(_SIGNED_WITH).fetchone()
            return bytes(secret)

    def organizations(self) -> list[str]:
        with self._database.reading() as db:
            return [name for (name,) in db.execute(_ORGANIZATIONS)]

    def add_key(self, key: ApiKey, digest: bytes, actor: str = COMMAND_LINE) -> None:
        with self._database.writing() as db:
            key_rows.add_key(db, key, digest, actor)

    def find_key(self, digest: bytes) -> ApiKey | None:
        with self._database.reading() as db:
            return key_rows.find_key(db, digest)

    def keys(self, org: str) -> list[ApiKey]:
        with self._database.reading() as db:
            return key_rows.keys_of(db, org)

    def revoke_key(
        self, org: str, key_id: str, revoked_at: datetime, actor: str = COMMAND_LINE
    ) -> ApiKey | None:
        with self._database.writing() as db:
            return key_rows.revoke_key(db, org, key_id, revoked_at, actor)

    def mark_keys_used(self, last_used_at: Mapping[str, datetime]) -> None:
        with self._database.writing() as db:
            key_rows.mark_keys_used(db, last_used_at)

    def add_session(self, digest: bytes, key_id: str, now: datetime, expires_at: datetime) -> None:
        with self._database.writing() as db:
            session_rows.add_session(db, digest, key_id, now, expires_at)

    def find_session(self, digest: bytes, now: datetime) -> ApiKey | None:
        with self._database.reading() as db:
            return session_rows.find_session(db, digest, now)

    def end_session(self, digest: bytes) -> bool:
        with self._database.writing() as db:
            return session_rows.end_session(db, digest)

    def check(self) -> Iterator[str]:
        with self._database.reading() as db:
            yield from check(db)

    def usage_count(self) -> int:
        with self._database.reading() as db:
            (count,) = db.execute(_USAGE_COUNT).fetchone()
            return int(count)

    def probe(self) -> None:
        self._database.probe()

    def foreign_migrations(self) -> list[str]:
        return self._database.foreign_migrations()

    def file_sizes(self) -> Mapping[str, int]:
        return self._database.file_sizes()

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _changing_usages(self) -> Iterator[sqlite3.Connection]:
        """A write transaction that gives the usages a new version."""
        try:
            with self._database.writing() as db:
                self._days.advance(db)
                yield db
        except BaseException:
            self._directory = Directory()  # it may know ids that were undone
            self._days.clear()
            raise

    def _forget(self) -> None:
        """Keep nothing in memory that was read from the file."""
        self._directory = Directory()
        self._days.clear()
        self._columns.clear()
        self._conversation_columns.clear()


_USAGE_COUNT = "SELECT coalesce(sum(usage_count), 0) FROM usage_total"
_SIGNED_WITH = "SELECT secret FROM cursor_secret"
_ORGANIZATIONS = """
SELECT name FROM organization UNION SELECT org FROM api_key ORDER BY 1
"""
