"""The directory: organizations and what is reportable, written once by each process."""

import threading
from collections.abc import Iterable

from applyrate.store.clickhouse.cluster import Operation
from applyrate.usage import ResourceType


class Directory:
    """What this process knows to be written, since it is never taken away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = set[tuple[str, str | None]]()

    def note_organization(self, db: Operation, org: str) -> None:
        """Note that there is such an organization."""
        if self._is_new((org, None)):
            db.insert("organization_all", "org", [(org,)])
            self._remember((org, None))

    def note_reportable(self, db: Operation, org: str, types: Iterable[ResourceType]) -> None:
        """Note the types of which some sender is able to report the application."""
        new = sorted(one.value for one in types if self._is_new((org, one.value)))
        db.insert("reportable_all", "org resource_type", [(org, one) for one in new])
        for one in new:
            self._remember((org, one))

    def _is_new(self, entry: tuple[str, str | None]) -> bool:
        with self._lock:
            return entry not in self._known

    def _remember(self, entry: tuple[str, str | None]) -> None:
        with self._lock:
            self._known.add(entry)
