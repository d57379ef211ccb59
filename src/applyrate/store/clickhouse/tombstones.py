"""Tombstones: which conversations were erased, told by a digest that holds no word of them."""

from collections.abc import Iterable

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import Numbers, now_micros


def find_erased(db: Operation, numbers: Numbers, org: str, session_ids: Iterable[str]) -> set[str]:
    """Those of the conversations that were erased."""
    named = {numbers.digest(session_id): session_id for session_id in session_ids}
    if not named:
        return set()
    values = {"org": org, "digests": [digest.hex() for digest in named]}
    return {named[bytes.fromhex(digest)] for (digest,) in db.rows(_FIND, values)}


def set_tombstones(db: Operation, numbers: Numbers, org: str, session_ids: Iterable[str]) -> None:
    """Note that conversations are erased from now on."""
    now = now_micros()
    db.insert(
        "tombstone_all",
        "org digest conversation erased_at",
        [
            (org, numbers.digest(session_id), numbers.conversation(session_id), now)
            for session_id in session_ids
        ],
    )


_FIND = """
SELECT DISTINCT lower(hex(digest)) FROM tombstone_all
WHERE org = {org:String}
  AND digest IN (SELECT toFixedString(unhex(arrayJoin({digests:Array(String)})), 16))
"""
