"""The Store protocol: what any engine must do, and the same contract suite tests."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from applyrate.errors import InvalidInput
from applyrate.keys import ApiKey
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


class Store(Protocol):
    """Usages as a set, with the counts that follow from it.

    Every method may be called from any thread. What a writing method took is on disk when it
    returns, and shows in whatever is asked after. ``is_remote``: an answer comes over the network.
    Such a store may be away while this process goes on. Where it cannot do what is asked now, or
    cannot be reached, a method raises Unavailable; what it was to change may have been changed.
    """

    is_remote: bool

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        """Record replies of any organizations in one transaction; a receipt for each recording."""
        ...

    def set_conversations(self, org: str, facts: Mapping[str, ConversationFacts]) -> list[str]:
        """Set what is known of conversations, by ``session_id``, in one transaction.

        Whether or not a reply of them is recorded yet. Nothing is set of those that were erased,
        which are returned.
        """
        ...

    def erase(self, org: str, session_ids: Sequence[str], actor: str = COMMAND_LINE) -> Erasure:
        """Begin to erase conversations with all of their replies, and note who did; what is gone.

        From then on what is recorded or set of them is refused, also where nothing was known of
        them, and their texts are gone. So are their replies, as far as they may go in one
        transaction that nobody waits long for; ``continue_erasing`` removes the others. What a
        resource has no usage left of goes with them: its name, and the resource unless it is
        catalogued. Until ``finish_erasures``, ``unfinished_erasures`` names what was erased.
        """
        ...

    def continue_erasing(self, org: str, limit: int) -> Erasure:
        """Remove up to ``limit`` replies of the conversations that were begun to be erased.

        What is gone with this transaction, zeros once none of the organization's is being erased.
        Then no answer tells of them any more, nor does a copy made from then on.
        """
        ...

    def unfinished_erasures(self) -> list[UnfinishedErasure]:
        """Conversations that were erased here, and perhaps not yet outside of the store.

        The first of them, if they are many; a conversation comes repeatedly, with other replies.
        """
        ...

    def finish_erasures(self, erasure_ids: Sequence[int]) -> None:
        """Forget what was erased: nothing of it is anywhere else any more. A scrub is needed."""
        ...

    def erase_messages(self, org: str, limit: int) -> int:
        """Erase the texts of messages of up to ``limit`` conversations; of how many it had any."""
        ...

    def fold(self) -> None:
        """Do now, beside whoever writes, what a long log would make some commit do."""
        ...

    def needs_scrub(self) -> bool:
        """Whether something was removed since the files were scrubbed last."""
        ...

    def scrub(self) -> bool:
        """Make the files show nothing of what was erased; False where that must be tried again."""
        ...

    def retention_days(self, org: str) -> int | None:
        """For how many days the organization keeps its replies, 0 for ever.

        None where it set none, and those of the settings count.
        """
        ...

    def set_retention(self, org: str, days: int | None, actor: str = COMMAND_LINE) -> None:
        """Set that, None for the settings', and note who did. Nothing is removed by this."""
        ...

    def oldest_kept(self, org: str) -> datetime | None:
        """The moment before which nothing is to be kept now, the start of a UTC day; None: none.

        A reply from before, that is not recorded, is refused.
        """
        ...

    def has_expired(self, org: str, before: datetime) -> bool:
        """Whether there is anything from before that moment."""
        ...

    def expire(self, org: str, before: datetime, limit: int) -> int:
        """Remove what is from before a moment, in one transaction; how much, 0 once there is none.

        Up to ``limit`` replies, the oldest first, and no more than nobody waits long for; a
        conversation goes with its last one. Then
        conversations that had none since they became known, before that moment. No answer tells of
        them any more, and no tombstone is set.
        """
        ...

    def note_act(
        self,
        org: str,
        actor: str,
        action: AuditAction,
        *,
        target: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Note in the audit log what was done outside of the store, or is about to be."""
        ...

    def audit(
        self, org: str, *, limit: int, after: AuditPosition | None = None
    ) -> Page[AuditEntry, AuditPosition]:
        """The organization's audit log, newest first."""
        ...

    def moment(self) -> Hashable | None:
        """What stays equal in the thread that asks for as long as nothing at all is committed.

        Whichever process commits it; so what was answered after a moment was asked for is still the
        answer where the moment is the same. None where that cannot be told at once.
        """
        ...

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """The counts of one resource; of one that nobody recorded, zeros."""
        ...

    def resources(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: ResourcePosition | None = None,
    ) -> Page[ResourceUsage, ResourcePosition]:
        """Every resource of a type with a fact in the window, most recent use first.

        Catalogued ones without a fact come last, with zeros.
        """
        ...

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
        """The conversations that used a resource in the window, most recent use first.

        With ``unapplied``, those of them alone that applied it in none of their replies there.
        """
        ...

    def replies(self, org: str, reply_ids: Sequence[str]) -> dict[str, RecordedReply]:
        """Those of the replies that are recorded, by ``reply_id``."""
        ...

    def applied_signal(self, org: str) -> frozenset[ResourceType]:
        """The types of which "never applied" means something.

        Those with any applied usage, and those that a sender was able to report (see Recording).
        """
        ...

    def used_window(
        self, org: str, resource_type: ResourceType, resource_id: str | None = None
    ) -> tuple[datetime, datetime] | None:
        """The times of the first and the last usage of a type's resources, or of one of them.

        None where there is none.
        """
        ...

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """The counts of one resource in each span from one of the bounds to the next.

        The bounds rise; what lies before the first or from the last on is not counted.
        """
        ...

    def usage_counts(
        self,
        org: str,
        resource_type: ResourceType,
        resource_ids: Sequence[str],
        bounds: Sequence[datetime],
        *,
        kind: UsageKind = UsageKind.APPLIED,
    ) -> Mapping[str, Sequence[int]]:
        """The usages of a kind, of each of some resources, in each span between rising bounds.

        They are those that ``applied_replies`` and ``available_replies`` count.
        """
        ...

    def type_timeline(
        self, org: str, resource_type: ResourceType, bounds: Sequence[datetime]
    ) -> list[UsageBucket]:
        """The usages of all resources of a type in each span from one bound to the next."""
        ...

    def type_totals(self, org: str, resource_type: ResourceType, window: Window) -> TypeTotals:
        """How many resources and conversations there are, and how many of them were applied."""
        ...

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
        """Rows of a table of a type's resources, seen or catalogued; ties are broken by id.

        ``search`` is a part of the id or the name, in any case.
        """
        ...

    def unused(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: UnusedPosition | None = None,
    ) -> Page[UnusedResource, UnusedPosition]:
        """The resources without an application in the window, the most available first."""
        ...

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
        """Some of the same resources, of one reason or of all, and what all of them come to."""
        ...

    def outcomes(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> Outcomes:
        """What became of the conversations with the resource and without it, in the window.

        With it are those that applied it there, without it those that only had it available.
        """
        ...

    def conversation(self, org: str, session_id: str) -> Conversation | None:
        """A conversation with all of its replies; None where it is unknown."""
        ...

    def usages(self, org: str, window: Window) -> Iterator[UsageRow]:
        """Every usage in the window by the time and id of its reply, read as it is asked for.

        Of a reply those available come first, by type and id, then those applied. The replies are
        those that are recorded when the first usage is asked for, each with its usages of the
        moment when it is read. Nobody waits for it, however slowly it is read.
        """
        ...

    def changes(self, org: str, after: int | None = None) -> Changes:
        """The present version of the usages, and the resources that gained or lost any since one.

        They come by type and id. Without a version there are none; after one that is newer than the
        present, all that ever had one. A version is that of all processes and outlives them; a
        handoff or another fact of a conversation alone makes none.
        """
        ...

    def set_catalogue(
        self, org: str, entries: Sequence[CatalogueEntry], actor: str = COMMAND_LINE
    ) -> None:
        """Set what is known of resources, in one transaction; nobody needs to have used them.

        The audit log tells who began or ended to keep one on purpose.
        """
        ...

    def catalogue(
        self, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
    ) -> dict[str, CataloguedResource]:
        """What is known of those of the resources that are known."""
        ...

    def cursor_secret(self) -> bytes:
        """What the cursors of lists are signed with: 32 random bytes, the same for good."""
        ...

    def organizations(self) -> list[str]:
        """The names of all organizations, sorted."""
        ...

    def add_key(self, key: ApiKey, digest: bytes, actor: str = COMMAND_LINE) -> None:
        """Store what is known of a new key under the SHA-256 of it, and note who made it."""
        ...

    def find_key(self, digest: bytes) -> ApiKey | None:
        """The key of that SHA-256, valid or not, as it was five seconds ago at the latest."""
        ...

    def keys(self, org: str) -> list[ApiKey]:
        """The organization's keys, oldest first, revoked ones too."""
        ...

    def revoke_key(
        self, org: str, key_id: str, revoked_at: datetime, actor: str = COMMAND_LINE
    ) -> ApiKey | None:
        """Revoke a key for good, the first time it is asked, and note who did.

        None where the organization has no such key.
        """
        ...

    def mark_keys_used(self, last_used_at: Mapping[str, datetime]) -> None:
        """Note by key id when keys were last used; an older time than the known one is ignored."""
        ...

    def add_session(self, digest: bytes, key_id: str, now: datetime, expires_at: datetime) -> None:
        """Store a new session of a key under the SHA-256 of its token."""
        ...

    def find_session(self, digest: bytes, now: datetime) -> ApiKey | None:
        """The key of that session; None where it has ended or expired, or its key is not valid."""
        ...

    def end_session(self, digest: bytes) -> bool:
        """End a session for good; whether there was one, which only one caller is told."""
        ...

    def check(self) -> Iterator[str]:
        """Verify everything that is stored against everything else; a sentence for each fault."""
        ...

    def usage_count(self) -> int:
        """How many usages there are, of all organizations."""
        ...

    def probe(self) -> None:
        """Write as ``record`` does, and change nothing. Raises what that would raise."""
        ...

    def foreign_migrations(self) -> list[str]:
        """The migrations in which the data and this version differ, by name; none as it should."""
        ...

    def file_sizes(self) -> Mapping[str, int]:
        """The bytes of the ``database`` and of its write-ahead log, ``wal``."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


FILE = "applyrate.db"
"""The name of the store's file in a data folder."""


def open_store(
    data: Path,
    keeping: Keeping = Keeping(),  # noqa: B008 (it is frozen)
    address: str | None = None,
    limits: QueryLimits = QueryLimits(),  # noqa: B008 (it is frozen)
) -> Store:
    """The store at an address, or the embedded one in a data folder, made where it is not yet.

    Raises InvalidInput where the address is none, or what the installation lacks is needed for it.
    """
    if address is not None:
        return _open_cluster(address, keeping, limits)
    from applyrate.store.sqlite import SQLiteStore

    return SQLiteStore(data / FILE, keeping=keeping)


def _open_cluster(address: str, keeping: Keeping, limits: QueryLimits) -> Store:
    require_cluster()
    from applyrate.store.clickhouse import ClickHouseStore
    from applyrate.store.clickhouse.address import parse_address

    return ClickHouseStore(parse_address(address), keeping=keeping, limits=limits)


def require_cluster() -> None:
    """Raise InvalidInput unless what a store on a cluster needs is installed."""
    if find_spec("clickhouse_connect") is None:
        raise InvalidInput("store: a cluster needs the extra: install 'applyrate[cluster]'")


def store_exists(data: Path) -> bool:
    """Whether a data folder holds a store."""
    return (data / FILE).exists()
