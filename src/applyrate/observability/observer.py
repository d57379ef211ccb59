"""What the writers and the derivation of replies tell whoever watches them."""

from contextlib import AbstractContextManager, nullcontext

from applyrate.usage import Receipt


class Observer:
    """One that watches nothing; the service has one that does.

    A ``database`` is ``store`` or ``inbox``. Its writer tells from a thread of its own.
    """

    def waiting(self, database: str) -> AbstractContextManager[object]:  # noqa: ARG002 (see above)
        """Around the time in which a request waits for a commit."""
        return nullcontext()

    def committed(self, database: str, size: int, seconds: float) -> None:
        """So many replies or spans are on disk, after so long."""

    def failed(self, database: str) -> None:
        """The database could not be written to."""

    def recorded(self, receipt: Receipt) -> None:
        """Replies are on disk, from whatever source."""

    def delivered(self, size: int) -> None:
        """The store has confirmed a block of so many replies of the inbox."""

    def delivery_failed(self) -> None:
        """A block could not be brought to the store, and will be again."""

    def settled(self, state: str) -> None:
        """A trace was looked at, and this became of it."""
