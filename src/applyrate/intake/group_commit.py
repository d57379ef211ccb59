"""Group commit: requests that record replies at the same time share one transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from applyrate.intake.shared_commits import SharedCommits
from applyrate.observability.observer import Observer
from applyrate.store import Store
from applyrate.usage import (
    EVERY_TYPE,
    ConversationFacts,
    Receipt,
    Recording,
    Reply,
    ResourceType,
)

MAX_REPLIES_PER_COMMIT: Final = 4_000
"""A commit takes no further recording beyond this, so that none waits long for its neighbours."""


class Recorder(Protocol):
    """What takes that which is sent, and returns once it is on disk.

    Raises Unavailable where it cannot take it now; nothing of it is taken then.
    """

    async def join(self, org: str, replies: Sequence[Reply]) -> Receipt:
        """Take replies of one organization."""
        ...

    async def set_conversation(self, org: str, session_id: str, facts: ConversationFacts) -> bool:
        """Take what is known of a conversation; False for one that is known to be erased."""
        ...


class GroupCommit(SharedCommits[Recording, Receipt]):
    """The store's one writer in a process. ``recorded`` is told for which organization it wrote."""

    def __init__(
        self,
        store: Store,
        *,
        max_replies_per_commit: int = MAX_REPLIES_PER_COMMIT,
        recorded: Callable[[str], None] = lambda _: None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(
            store.record,
            size_of=lambda recording: len(recording.replies),
            max_size=max_replies_per_commit,
            database="store",
            observer=observer,
        )
        self._store = store
        self._recorded = recorded

    async def share(self, entry: Recording) -> Receipt:
        """Record together with what else waits. Raises as ``join`` does."""
        receipt = await super().share(entry)
        self._recorded(entry.org)
        self._observer.recorded(receipt)
        return receipt

    async def join(
        self,
        org: str,
        replies: Sequence[Reply],
        *,
        names: Mapping[ResourceType, Mapping[str, str]] = {},
        reports: frozenset[ResourceType] = EVERY_TYPE,
        handed_off: Mapping[str, datetime] = {},
    ) -> Receipt:
        """Record replies of one organization; returns once they are on disk.

        Raises Unavailable where the store cannot take them now; none of them is recorded then.
        """
        return await self.share(Recording(org, replies, names, reports, handed_off))

    async def set_conversation(self, org: str, session_id: str, facts: ConversationFacts) -> bool:
        """Set what is known of a conversation; returns once it is on disk.

        False for one that was erased, of which nothing is set. Raises as ``join`` does.
        """
        return not await self.write(lambda: self._store.set_conversations(org, {session_id: facts}))
