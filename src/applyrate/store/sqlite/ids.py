"""Ids are given in order, and none is given twice, whatever becomes of what had it.

So whatever remembers an id, a bitmap or a cursor or another process, never means something else
by it.
"""

import sqlite3


def first_free(db: sqlite3.Connection, of: str, ids: tuple[int, int]) -> int:
    """The id after all that were ever given of a range of conversations, replies or resources."""
    (key,) = db.execute(_FIRST_FREE[of], ids).fetchone()
    return int(key)


def retire(db: sqlite3.Connection, of: str, first: int, key: int) -> None:
    """Note that an id of the range that starts at ``first`` is of nothing any more."""
    db.execute(_RETIRE, (of, first, key))


_FIRST_FREE = {
    of: f"""
    SELECT max(
        ifnull((SELECT max(id) + 1 FROM {of} WHERE id BETWEEN ?1 AND ?2), ?1),
        ifnull((SELECT id + 1 FROM highest_erased WHERE of = '{of}' AND first = ?1), ?1)
    )
    """  # noqa: S608 (names of our own)
    for of in ("conversation", "reply", "resource")
}
_RETIRE = """
INSERT INTO highest_erased (of, first, id) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET id = max(id, excluded.id)
"""
