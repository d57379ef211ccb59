"""Bounds: what a reply must keep to beside the types of its fields, as the service is set."""

from collections.abc import Sized
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from msgspec import Struct

from applyrate.errors import InvalidInput
from applyrate.settings import Settings
from applyrate.usage import Applied, Available, Reply


class Bounds(Struct, frozen=True):
    """How many items each list of a reply may have, and how far ahead its time may be.

    A reply of any past time is taken, down to the year 1.
    """

    max_items: int
    max_future_seconds: int

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """The bounds that are set."""
        return cls(settings.max_reply_items, settings.max_future_seconds)

    def check(self, reply: Reply) -> None:
        """Raise InvalidInput that names the field which breaks a bound."""
        self.check_lists(reply.available, reply.applied)
        at = reply.replied_at
        if at > datetime.now(UTC) and at > self.latest():  # the first is quick, and most are past
            raise InvalidInput(f"replied_at: {self.why_late(at)}")

    def check_lists(self, available: Available, applied: Applied) -> None:
        """Raise InvalidInput that names the list which is too long."""
        if len(available.instruction) > self.max_items:
            self._refuse("available.instruction", available.instruction)
        if len(available.knowledge) > self.max_items:
            self._refuse("available.knowledge", available.knowledge)
        if len(available.action) > self.max_items:
            self._refuse("available.action", available.action)
        if len(applied.instruction) > self.max_items:
            self._refuse("applied.instruction", applied.instruction)
        if len(applied.knowledge) > self.max_items:
            self._refuse("applied.knowledge", applied.knowledge)
        if len(applied.action) > self.max_items:
            self._refuse("applied.action", applied.action)

    def latest(self) -> datetime:
        """The latest time that is taken now."""
        try:
            return datetime.now(UTC) + timedelta(seconds=self.max_future_seconds)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    def why_late(self, at: datetime) -> str:
        """What is wrong with a time that is later than the latest."""
        told = at.isoformat().replace("+00:00", "Z")
        return (
            f"{told} is more than {self.max_future_seconds} s ahead of the service's clock"
            f" at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        )

    def _refuse(self, name: str, items: Sized) -> NoReturn:
        raise InvalidInput(f"{name}: {len(items)} items, and {self.max_items} are the most")
