"""What a user could take instead of the store: engines that hold the same usages.

Each has the schema and the queries that a good engineer would write for it, on its own terms. A
peer answers what the store answers, in the store's own vocabulary, so that the two can be compared
answer by answer; README.md says why each is made as it is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

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


class Peer(Protocol):
    """An engine on a data folder of its own, used by one thread at a time."""

    def load(self, workload: Workload, stop: int) -> None:
        """Fill the empty engine with the replies before ``stop``, in bulk and at its best."""
        ...

    def record(self, org: str, replies: Sequence[Reply]) -> None:
        """Record replies in one durable commit; what is known already changes no count."""
        ...

    def hand_off(self, org: str, handed_off_at: Mapping[str, datetime]) -> None:
        """Set when conversations, by ``session_id``, were handed off."""
        ...

    def settle(self) -> int:
        """Bring the data into the order in which it answers best; the bytes on disk."""
        ...

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """The counts of one resource."""
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
        """The resources of a type with a fact in the window, last used first."""
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
        """The conversations that used a resource, last used first.

        Two conversations of one page are told apart by their times: microseconds, drawn at random.
        """
        ...

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """The counts of one resource on each UTC day between bounds that are a day apart."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...
