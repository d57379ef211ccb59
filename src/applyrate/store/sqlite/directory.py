"""Names to ids: organizations, resources and conversations, made where they are new.

A directory belongs to the writer and remembers the resources it has met, and what was noted of
them. What it remembers may come from a transaction that is undone, so the store makes a new one
then.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import count

from pyroaring import BitMap

from applyrate.store.sqlite.ids import first_free
from applyrate.store.sqlite.names import add_names, find_named
from applyrate.store.sqlite.rows import (
    ORDINAL_BITS,
    ORDINAL_MASK,
    ordinal_range,
    resource_range,
)
from applyrate.store.sqlite.tombstones import Tombstones
from applyrate.usage import ResourceType

_REMEMBERED_RESOURCES = 500_000


class Directory:
    """The writer's view of who is who."""

    def __init__(self) -> None:
        self._organizations: dict[str, int] = {}
        self._resources: dict[tuple[int, ResourceType], ResourceIds] = {}
        self._reportable: dict[int, frozenset[ResourceType]] = {}
        self._removals = 0

    def forget_removed(self, db: sqlite3.Connection) -> None:
        """Forget all resources where one was removed since this was asked before, by whomever."""
        (removals,) = db.execute("SELECT number FROM resource_removal").fetchone()
        if removals != self._removals:
            self._resources.clear()
            self._removals = removals

    def organization(self, db: sqlite3.Connection, name: str) -> int:
        """The organization's id."""
        if name not in self._organizations:
            db.execute("INSERT INTO organization (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            (self._organizations[name],) = db.execute(FIND_ORGANIZATION, (name,)).fetchone()
        return self._organizations[name]

    def resources(
        self, db: sqlite3.Connection, org: int, resource_type: ResourceType
    ) -> "ResourceIds":
        """The ids of an organization's resources of a type, by ``resource_id``."""
        ids = self._resources.get((org, resource_type))
        if ids is None:
            if sum(map(len, self._resources.values())) > _REMEMBERED_RESOURCES:
                self._resources.clear()
            ids = self._resources[org, resource_type] = ResourceIds(db, org, resource_type)
        return ids

    def note_reportable(
        self, db: sqlite3.Connection, org: int, types: frozenset[ResourceType]
    ) -> None:
        """Note that a sender of the organization is able to report applications of these types."""
        known = self._reportable.get(org, frozenset())
        if not types <= known:
            db.executemany(_ADD_REPORTABLE, [(org, resource_type) for resource_type in types])
            self._reportable[org] = known | types


class ResourceIds(dict[str, int]):
    """Ids of rows by ``resource_id``; one that is not there is looked up, or made."""

    def __init__(self, db: sqlite3.Connection, org: int, resource_type: ResourceType) -> None:
        super().__init__()
        self._named = set[str]()
        self._db = db
        self._org = org
        self._type = resource_type

    def __missing__(self, resource_id: str) -> int:
        found = self._db.execute(FIND_RESOURCE, (self._org, self._type, resource_id)).fetchone()
        if found is None:
            ids = resource_range(self._org, self._type)
            row = (first_free(self._db, "resource", ids), self._org, self._type, resource_id)
            found = self._db.execute(_ADD_RESOURCE, row).fetchone()
        self[resource_id] = found[0]
        return int(found[0])

    def give_names(self, names: Mapping[str, str]) -> None:
        """Name those resources that somebody used, and that have no name yet."""
        new = [entry for entry in names.items() if entry[1] and entry[0] not in self._named]
        self._db.executemany(
            _NAME_RESOURCE,
            [(name, self._org, self._type, resource_id) for resource_id, name in new],
        )
        self._named.update(resource_id for resource_id, _ in new if resource_id in self)


class ErasedConversation(LookupError):
    """The conversation was erased, and is not made again."""


class ConversationIds(dict[str, int]):
    """Conversation ids by ``session_id``; one that is not there is looked up, or made.

    ``found`` has the ordinals of those that were there, ``erased`` the ids of those that were
    erased; looking up one of these raises ErasedConversation. ``going`` has the ids of those that
    are being erased.
    """

    def __init__(self, db: sqlite3.Connection, org: int) -> None:
        super().__init__()
        self.found = BitMap()
        self.erased = set[str]()
        self._db = db
        self._org = org
        self._tombstones = Tombstones(db, org)
        self.going = {key for (key,) in db.execute(_GOING, ordinal_range(org))}

    def __missing__(self, session_id: str) -> int:
        if session_id not in self.erased:
            self.meet([session_id])
        if session_id in self.erased:
            raise ErasedConversation(session_id)
        return self[session_id]

    def meet(self, session_ids: Iterable[str]) -> None:
        """Look many up at once; those that are not there are made, unless they were erased."""
        asked = dict.fromkeys(session_ids)
        found = find_named(self._db, "conversation", self._org, asked)
        if self.going:
            going = {name for name, key in found.items() if key in self.going}
            self.erased |= going
            asked = {name: None for name in asked if name not in going}
            found = {name: key for name, key in found.items() if name not in going}
        self.found.update([key & ORDINAL_MASK for key in found.values()])
        others = [name for name in asked if name not in found]
        if erased := self._tombstones.among(others):
            self.erased |= erased
            others = [name for name in others if name not in erased]
        first = next_id(self._db, "conversation", self._org)
        new = dict(zip(others, count(first)))
        self._db.executemany(
            "INSERT INTO conversation (id, org, session_id) VALUES (?, ?, ?)",
            [(key, self._org, name) for name, key in new.items()],
        )
        add_names(self._db, "conversation", self._org, new)
        self |= found | new


def next_id(db: sqlite3.Connection, table: str, org: int) -> int:
    """The id after all that an organization's conversations or replies ever had."""
    key = first_free(db, table, ordinal_range(org))
    if key & ORDINAL_MASK == ORDINAL_MASK:
        raise OverflowError(f"an organization holds at most {1 << ORDINAL_BITS} of {table}")
    return key


FIND_ORGANIZATION = "SELECT id FROM organization WHERE name = ?"
FIND_RESOURCE = "SELECT id FROM resource WHERE org = ? AND type = ? AND resource_id = ?"
_GOING = "SELECT conversation FROM erasing WHERE conversation BETWEEN ? AND ?"

_ADD_RESOURCE = """
INSERT INTO resource (id, org, type, resource_id) VALUES (?, ?, ?, ?) RETURNING id
"""
_NAME_RESOURCE = """
UPDATE resource SET name = ? WHERE org = ? AND type = ? AND resource_id = ? AND name IS NULL
AND EXISTS (SELECT 1 FROM usage_total WHERE kind IN (0, 1) AND resource = resource.id)
"""
_ADD_REPORTABLE = "INSERT OR IGNORE INTO reportable (org, type) VALUES (?, ?)"
