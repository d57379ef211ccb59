"""Tombstones: which conversations were erased, told by a digest that holds no word of them.

The digest is keyed with a key of the file's own, so that it says nothing to whoever has not the
file. Whoever has it can still try a guessed ``session_id``, and only that.
"""

import hashlib
import sqlite3
from collections.abc import Iterable

from applyrate.store.sqlite.finding import find_names

_DIGEST_BYTES = 16


class Tombstones:
    """The tombstones of one organization, inside one transaction."""

    def __init__(self, db: sqlite3.Connection, org: int) -> None:
        self._db = db
        self._org = org
        (self._any,) = db.execute(_ANY, (org,)).fetchone()
        self._key: bytes | None = None

    def among(self, session_ids: Iterable[str]) -> set[str]:
        """Those of the conversations that were erased."""
        if not self._any:
            return set()
        named = {self.digest(session_id): session_id for session_id in session_ids}
        found = find_names(self._db, _FIND, self._org, list(named))
        return {named[digest] for (digest,) in found}

    def add(self, session_ids: Iterable[str], erased_at: int) -> None:
        """Note that conversations are erased, at a time in microseconds; the first one counts."""
        rows = [(self._org, self.digest(session_id), erased_at) for session_id in session_ids]
        self._db.executemany(_ADD, rows)
        self._any = True

    def digest(self, session_id: str) -> bytes:
        """What stands for a conversation: 16 bytes of BLAKE2b, keyed."""
        if self._key is None:
            (self._key,) = self._db.execute("SELECT key FROM digest_key").fetchone()
        named = self._org.to_bytes(8) + session_id.encode()
        return hashlib.blake2b(named, key=self._key or b"", digest_size=_DIGEST_BYTES).digest()


_ANY = "SELECT EXISTS (SELECT 1 FROM tombstone WHERE org = ?)"
_FIND = "SELECT digest FROM tombstone WHERE org = ? AND digest IN ({})"
_ADD = "INSERT OR IGNORE INTO tombstone (org, digest, erased_at) VALUES (?, ?, ?)"
