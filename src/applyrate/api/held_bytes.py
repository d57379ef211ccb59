"""Held bytes: what bodies take in memory, counted for all requests together.

A body may be as long as the settings let one be, and many may come at once, each as slowly as it
likes. Together they take no more than ``max_bytes``: whoever needs more than is left is refused.
"""

from applyrate.errors import Unavailable


class HeldBytes:
    """What all requests may hold together. It belongs to one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.byte_count = 0


class Share:
    """What one request holds of it, until it gives everything back at its end."""

    def __init__(self, held: HeldBytes) -> None:
        self._held = held
        self._byte_count = 0

    def take(self, byte_count: int) -> None:
        """Hold so many bytes more; fewer, where the number is negative.

        Raises Unavailable where that is more than is left; nothing more is held then.
        """
        held = self._held
        if byte_count > 0 and held.byte_count + byte_count > held.max_bytes:
            raise Unavailable(
                f"the body: all bodies together may take {held.max_bytes} bytes, and there is no"
                " room left; send it again later, or less at once",
                retry_after_seconds=1,
            )
        held.byte_count += byte_count
        self._byte_count += byte_count

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._held.byte_count -= self._byte_count
        self._byte_count = 0
