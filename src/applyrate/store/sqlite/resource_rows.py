"""The rows of a list of resources: their names and counts."""

import sqlite3
from collections.abc import Mapping

import msgspec
from msgspec import UNSET
from pyroaring import BitMap

from applyrate.store.sqlite.counting import Counter, counts_of
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.usage import ResourceUsage


def count_resources(
    db: sqlite3.Connection, org: int, counter: Counter, resource_ids: Mapping[int, str]
) -> list[ResourceUsage]:
    """The resources with their names and counts, in the order in which they are given."""
    wanted = msgspec.json.encode(list(resource_ids)).decode()
    names: dict[int, str] = dict(db.execute(_NAMES, (wanted,)).fetchall())
    tallies_of = counter.tally_all(list(resource_ids))
    # Of all time the sums know the handoffs, and the bitmaps need not be read.
    of_window = any(one.applied.conversations is not None for one in tallies_of.values())
    handoffs = handed_off(db, org) if of_window else BitMap()
    return [
        ResourceUsage(
            resource_id=resource_id,
            name=names.get(resource, UNSET),
            handoff_count=(
                tallies.applied.handoff_count
                if tallies.applied.conversations is None
                else tallies.applied.conversations.intersection_cardinality(handoffs)
            ),
            **counts_of(tallies),
        )
        for resource, resource_id in resource_ids.items()
        for tallies in (tallies_of[resource],)
    ]


_NAMES = """
SELECT resource.id, ifnull(catalogue_name, name) FROM json_each(?) AS wanted CROSS JOIN resource
WHERE resource.id = wanted.value AND ifnull(catalogue_name, name) IS NOT NULL
"""
