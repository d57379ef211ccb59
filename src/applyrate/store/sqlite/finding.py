"""Finding many rows at once, by the names of an organization's things."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

_NAMES_AT_ONCE = 1_000


def find_names(
    db: sqlite3.Connection, query: str, org: int, names: Sequence[str] | Sequence[bytes]
) -> Iterator[tuple[Any, ...]]:
    """The rows of an organization with one of the names; ``query`` has braces in their place.

    They are no JSON, in which SQLite cuts a name at a null character.
    """
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        yield from db.execute(query.format(",".join("?" * len(some))), (org, *some))
