"""Searching: which resources of a type have a text in their id or name."""

import sqlite3

from applyrate.store.sqlite.columns import to_numbers
from applyrate.store.sqlite.type_counting import TypeCounter


def find_matching(db: sqlite3.Connection, of_type: TypeCounter, search: str = "") -> list[int]:
    """The numbers of the resources with a text in their id or name, in any case, by their id.

    SQLite knows the case of ASCII alone. What has other letters is compared here, as Unicode says.
    """
    wanted = search.casefold()
    named = (of_type.ids[0], of_type.org, of_type.resource_type)
    if not wanted:
        (numbers,) = db.execute(_ALL, named).fetchone()
        return to_numbers(numbers)
    return [
        number
        for number, resource_id, name in db.execute(_MATCHING, (*named, wanted))
        if wanted in resource_id.casefold() or wanted in name.casefold()
    ]


_ALL = """
SELECT group_concat(id - ?1) FROM
    (SELECT id FROM resource WHERE org = ?2 AND type = ?3 ORDER BY resource_id)
"""
_MATCHING = """
SELECT number, resource_id, shown FROM
    (SELECT id - ?1 AS number, resource_id, ifnull(ifnull(catalogue_name, name), '') AS shown
     FROM resource WHERE org = ?2 AND type = ?3)
WHERE instr(lower(resource_id), ?4) OR instr(lower(shown), ?4)
   OR length(resource_id) < length(CAST(resource_id AS BLOB))
   OR length(shown) < length(CAST(shown AS BLOB))
ORDER BY resource_id
"""
