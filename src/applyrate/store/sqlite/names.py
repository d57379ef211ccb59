"""Names: which conversation has a ``session_id``, and which reply a ``reply_id``.

A name is looked up by a digest of 48 bits, so that an entry is short, however long the name. Two
names may share one, so what is found is compared by the name in its row. The digest is keyed with a
key of the file's own: nobody can choose names that share one.

Names come in no order, and an index of all of them in theirs would have a page to write for nearly
each name. So there are two. What is new goes into the small one of *recent* names, whose pages a
commit writes anyway. Once it is full, its entries move on in their order, some more with each
commit: a stretch of neighbours, that land on few pages of the large one.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from applyrate.store.sqlite.rows import ORDINAL_BITS

Named = Literal["conversation", "reply"]

_DIGEST_BYTES = 6
_RECENT: Final[Mapping[Named, int]] = {"conversation": 8_192, "reply": 32_768}
"""So many recent names are kept: a hundred pages, and neighbours enough when some move on."""

_AT_ONCE = 1_000
"""So many more there are before some move on."""


def digest_names(db: sqlite3.Connection, org: int, names: Iterable[str]) -> list[int]:
    """The digest of each name of an organization's."""
    (key,) = db.execute("SELECT key FROM digest_key").fetchone()
    of_org = blake2b(org.to_bytes(8), key=key, digest_size=_DIGEST_BYTES)
    digests = list[int]()
    for name in names:
        digest = of_org.copy()
        digest.update(name.encode())
        digests.append(int.from_bytes(digest.digest()))
    return digests


def find_named(
    db: sqlite3.Connection, of: Named, org: int, names: Collection[str]
) -> dict[str, int]:
    """The ids of those of the names that are known, by name."""
    wanted = _listed(digest_names(db, org, names))
    candidates = [key for query in _FIND[of] for (key,) in db.execute(query, (wanted,))]
    if not candidates:
        return {}
    asked = set(names)
    return {
        name: key
        for key, name in db.execute(_NAMES[of], (_listed(candidates),))
        if name in asked and key >> ORDINAL_BITS == org
    }


def add_names(db: sqlite3.Connection, of: Named, org: int, ids: Mapping[str, int]) -> None:
    """Note the names of what is new, in the transaction that makes it."""
    if not ids:
        return
    entries = sorted(zip(digest_names(db, org, ids), ids.values(), strict=True))
    db.executemany(_ADD[of], entries)
    recent, start = db.execute(_COUNT, (len(entries), of)).fetchone()
    if recent >= _RECENT[of] + _AT_ONCE:
        _move_on(db, of, recent - _RECENT[of], start)


def forget_names(db: sqlite3.Connection, of: Named, org: int, ids: Iterable[int]) -> None:
    """Forget the names of what is about to be deleted."""
    names = dict(db.execute(_NAMES[of], (_listed(ids),)).fetchall())
    if not names:
        return
    entries = sorted(zip(digest_names(db, org, names.values()), names, strict=True))
    recent, _ = (db.executemany(query, entries).rowcount for query in _FORGET[of])
    db.execute(_COUNT, (-recent, of)).fetchone()


def _move_on(db: sqlite3.Connection, of: Named, count: int, start: int) -> None:
    """Let the recent names from a digest on join all others: so many, or all up to the last."""
    last = db.execute(_LAST[of], (start, count - 1)).fetchone()
    stretch = (start, last[0] if last else _HIGHEST)
    db.execute(_JOIN[of], stretch)
    moved = db.execute(_LEAVE[of], stretch).rowcount
    db.execute(_MOVED, (moved, last[0] + 1 if last else 0, of))


def _listed(numbers: Iterable[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()


_HIGHEST = (1 << 8 * _DIGEST_BYTES) - 1

_OF: tuple[Named, ...] = ("conversation", "reply")
_FIND = {
    of: tuple(
        f"""
        SELECT {table}.id FROM json_each(?) AS wanted CROSS JOIN {table}
        WHERE digest = wanted.value
        """  # noqa: S608 (names of our own, here and below)
        for table in (f"recent_{of}_digest", f"{of}_digest")
    )
    for of in _OF
}
_FORGET = {
    of: tuple(
        f"DELETE FROM {table} WHERE digest = ? AND id = ?"  # noqa: S608
        for table in (f"recent_{of}_digest", f"{of}_digest")
    )
    for of in _OF
}
_ADD = {of: f"INSERT INTO recent_{of}_digest (digest, id) VALUES (?, ?)" for of in _OF}  # noqa: S608
_LAST = {
    of: f"""
    SELECT digest FROM recent_{of}_digest WHERE digest >= ? ORDER BY digest LIMIT 1 OFFSET ?
    """  # noqa: S608
    for of in _OF
}
_JOIN = {
    of: f"""
    INSERT INTO {of}_digest (digest, id)
    SELECT digest, id FROM recent_{of}_digest WHERE digest BETWEEN ? AND ? ORDER BY digest, id
    """  # noqa: S608
    for of in _OF
}
_LEAVE = {of: f"DELETE FROM recent_{of}_digest WHERE digest BETWEEN ? AND ?" for of in _OF}  # noqa: S608
_NAMES: Mapping[Named, str] = {
    "conversation": """
    SELECT conversation.id, session_id FROM json_each(?) AS wanted CROSS JOIN conversation
    WHERE conversation.id = wanted.value
    """,
    "reply": """
    SELECT reply.id, reply_id FROM json_each(?) AS wanted CROSS JOIN reply
    WHERE reply.id = wanted.value
    """,
}
_COUNT = "UPDATE recent_digests SET number = number + ? WHERE of = ? RETURNING number, next"
_MOVED = "UPDATE recent_digests SET number = number - ?, next = ? WHERE of = ?"
