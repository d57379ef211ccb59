"""Checking names: each conversation and each reply is found by its own, and by no other's."""

import sqlite3
from collections.abc import Iterator

from applyrate.store.sqlite.names import digest_names


def name_faults(db: sqlite3.Connection) -> Iterator[str]:
    """What has no digest or a wrong one, digests of nothing, and names that are there twice."""
    db.create_function("digest_of", 2, lambda org, name: digest_names(db, org, [name])[0])
    for query in _FAULTS:
        yield from (sentence for (sentence,) in db.execute(query))


_FAULTS = tuple(
    query.format(of=of, name=name)
    for of, name in (("conversation", "session_id"), ("reply", "reply_id"))
    for query in (
        """
        SELECT '{of} ' || {name} || ': it is not found by its name' FROM {of}
        WHERE NOT EXISTS (
            SELECT 1 FROM {of}_digest AS known
            WHERE digest = digest_of(org, {name}) AND known.id = {of}.id
        ) AND NOT EXISTS (
            SELECT 1 FROM recent_{of}_digest AS known
            WHERE digest = digest_of(org, {name}) AND known.id = {of}.id
        )
        """,
        """
        SELECT '{of}_digest: there are ' || digests || ' of ' || things FROM (
            SELECT (SELECT count(*) FROM {of}) AS things,
                   (SELECT count(*) FROM {of}_digest)
                   + (SELECT count(*) FROM recent_{of}_digest) AS digests
        ) WHERE digests <> things
        """,
        """
        SELECT 'recent_digests ({of}): number is ' || number || ', but should be ' || given
        FROM recent_digests, (SELECT count(*) AS given FROM recent_{of}_digest)
        WHERE of = '{of}' AND number <> given
        """,
        # Only what shares a digest can share a name.
        """
        SELECT '{of} ' || {name} || ': it is there twice' FROM (
            SELECT digest FROM {of}_digest GROUP BY digest HAVING count(*) > 1
            UNION SELECT digest FROM recent_{of}_digest GROUP BY digest HAVING count(*) > 1
            UNION SELECT recent.digest FROM recent_{of}_digest AS recent
                  JOIN {of}_digest AS known ON known.digest = recent.digest
        ) AS shared
        CROSS JOIN (
            SELECT digest, id FROM {of}_digest UNION ALL SELECT digest, id FROM recent_{of}_digest
        ) AS known ON known.digest = shared.digest
        CROSS JOIN {of} ON {of}.id = known.id GROUP BY org, {name} HAVING count(*) > 1
        """,
    )
)
