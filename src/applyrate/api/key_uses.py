"""When each key was last used: noted in memory, written once a minute."""

import asyncio
from datetime import datetime
from typing import Final

from applyrate.errors import Unavailable
from applyrate.intake.group_commit import GroupCommit
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.store import Store

WRITE_EVERY_SECONDS: Final = 60


class KeyUses:
    """The last use of each key since the last writing. No request waits for a writing."""

    def __init__(self, store: Store, commits: GroupCommit) -> None:
        self._store = store
        self._commits = commits
        self._last_used_at: dict[str, datetime] = {}

    def note(self, key_id: str, at: datetime) -> None:
        """Note that a key is used now."""
        self._last_used_at[key_id] = at

    async def write(self) -> None:
        """Write what was noted. Raises what the store raises; it is kept for the next time then."""
        if not self._last_used_at:
            return
        noted, self._last_used_at = self._last_used_at, {}
        try:
            await self._commits.write(lambda: self._store.mark_keys_used(noted))
        except Exception:
            self._last_used_at = noted | self._last_used_at
            raise

    async def write_every_minute(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await self.try_to_write()

    async def try_to_write(self) -> None:
        """Write what was noted, as far as that can be done now; the log tells why it cannot."""
        try:
            await self.write()
        except Unavailable as error:
            tell(Event.KEY_USES_NOT_WRITTEN, problem=str(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, the next minute tries again)
            tell(Event.KEY_USES_NOT_WRITTEN, error)
