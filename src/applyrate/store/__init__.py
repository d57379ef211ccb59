"""The Store protocol: what any engine must do, and the same contract suite tests."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from applyrate.keys import ApiKey
from applyrate.usage import (
    ConversationFacts,
    ConversationPosition,
    ConversationUsage,
    Page,
    Receipt,
    RecordedReply,
    Recording,
    ResourcePosition,
    ResourceType,
    ResourceUsage,
    UsageKind,
    UsageSummary,
    Window,
)


class Store(Protocol):
    """Usages as a set, with the counts that follow from it.

    Every method may be called from any thread. What a writing method took is on disk when it
    returns, and shows in whatever is asked after.
    """

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        """Record replies of any organizations in one transaction; a receipt for each recording."""
        ...

    def set_conversations(self, org: str, facts: Mapping[str, ConversationFacts]) -> None:
        """Set what is known of conversations, by ``session_id``, in one transaction.

        Whether or not a reply of them is recorded yet.
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
        """Every resource of a type with a fact in the window, most recent use first."""
        ...

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
        """The conversations that used a resource in the window, most recent use first."""
        ...

    def replies(self, org: str, reply_ids: Sequence[str]) -> dict[str, RecordedReply]:
        """Those of the replies that are recorded, by ``reply_id``."""
        ...

    def applied_signal(self, org: str) -> frozenset[ResourceType]:
        """The types of which "never applied" means something.

        Those with any applied usage, and those that a sender was able to report (see Recording).
        """
        ...

    def organizations(self) -> list[str]:
        """The names of all organizations, sorted."""
        ...

    def add_key(self, key: ApiKey, digest: bytes) -> None:
        """Store what is known of a new key under the SHA-256 of it."""
        ...

    def find_key(self, digest: bytes) -> ApiKey | None:
        """The key of that SHA-256, valid or not."""
        ...

    def keys(self, org: str) -> list[ApiKey]:
        """The organization's keys, oldest first, revoked ones too."""
        ...

    def revoke_key(self, org: str, key_id: str, revoked_at: datetime) -> ApiKey | None:
        """Revoke a key for good, the first time it is asked; None where the org has no such key."""
        ...

    def mark_keys_used(self, last_used_at: Mapping[str, datetime]) -> None:
        """Note by key id when keys were last used; an older time than the known one is ignored."""
        ...

    def check(self) -> Iterator[str]:
        """Verify everything that is stored against everything else; a sentence for each fault."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


_FILE = "applyrate.db"


def open_store(data: Path) -> Store:
    """The embedded store in a data folder, made where it is not there yet."""
    from applyrate.store.sqlite import SQLiteStore

    return SQLiteStore(data / _FILE)


def store_exists(data: Path) -> bool:
    """Whether a data folder holds a store."""
    return (data / _FILE).exists()
