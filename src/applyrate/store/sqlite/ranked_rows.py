"""The rows of a ranking: what a table says of each resource on a page of it."""

import sqlite3
from collections.abc import Sequence

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.edges import Edges
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.kind_counting import tally_kind
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, from_micros
from applyrate.store.sqlite.usage_counts import count_inside
from applyrate.usage import RankedResource


def read_ranked_rows(
    db: sqlite3.Connection, edges: Edges, org: int, resources: Sequence[int]
) -> list[RankedResource]:
    """The rows of resources, by id, in the order in which they are given."""
    wanted = msgspec.json.encode(resources).decode()
    tallies = tally_kind(db, edges, org, APPLIED, resources)
    available = count_inside(db, org, AVAILABLE, resources, edges.span)
    # Of all time the sums know the handoffs, and the bitmaps need not be read.
    of_window = any(tally.conversations is not None for tally in tallies.values())
    handoffs = handed_off(db, org) if of_window else BitMap()
    return [
        RankedResource(
            resource_id=resource_id,
            name=name,
            applied_sessions=applied.conversation_count,
            applied_replies=applied.usage_count,
            available_replies=available[resource],
            handoff_count=(
                applied.handoff_count
                if applied.conversations is None
                else applied.conversations.intersection_cardinality(handoffs)
            ),
            last_used_at=None if applied.last_at is None else from_micros(applied.last_at),
        )
        for resource, resource_id, name in db.execute(_KNOWN, (wanted,)).fetchall()
        for applied in (tallies[resource],)
    ]


_KNOWN = """
SELECT resource.id, resource_id, ifnull(catalogue_name, name)
FROM json_each(?) AS wanted CROSS JOIN resource
WHERE resource.id = wanted.value ORDER BY wanted.key
"""
