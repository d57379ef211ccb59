"""Checking: what is stored, verified against everything else that is.

A count is computed from the usages anew each time, so there is none that could be wrong by itself.
"""

from collections.abc import Iterator

from applyrate.store.clickhouse.cluster import Operation


def check(db: Operation) -> Iterator[str]:
    """A sentence for each fault."""
    for query in _FAULTS:
        for (sentence,) in db.rows(query):
            yield sentence


_OWNED = """
(org, conversation, replied_at, reply) NOT IN
    (SELECT org, conversation, replied_at, reply FROM disowned)
"""
_FAULTS = (
    f"""
    SELECT DISTINCT concat('usage of ', toString(resource_type), ' ', resource_id, ' at ',
                           toString(replied_at), ': its reply is not recorded')
    FROM usage_all
    WHERE {_OWNED} AND (org, conversation, replied_at, reply) NOT IN
        (SELECT org, conversation, replied_at, reply FROM reply)
    ORDER BY 1
    """,
    f"""
    SELECT DISTINCT concat('reply ', reply_id,
                           ': its first record says another conversation or time')
    FROM reply_all
    WHERE {_OWNED} AND (org, reply_id, session_id, replied_at) GLOBAL NOT IN (
        SELECT org, reply_id, argMin(session_id, (claimed_at, session_id, claim.replied_at)),
               argMin(claim.replied_at, (claimed_at, session_id, claim.replied_at))
        FROM claim_all AS claim GROUP BY org, reply_id
    )
    ORDER BY 1
    """,
    """
    SELECT DISTINCT concat('conversation ', session_id, ': it was erased, and is there again')
    FROM reply_all
    WHERE (org, conversation) IN (SELECT org, conversation FROM tombstone) ORDER BY 1
    """,
    """
    SELECT DISTINCT concat('conversation ', session_id, ': it was erased, and is known again')
    FROM fact_all
    WHERE (org, conversation) IN (SELECT org, conversation FROM tombstone) ORDER BY 1
    """,
    """
    SELECT DISTINCT concat('name of ', toString(resource_type), ' ', resource_id,
                           ': nobody used it')
    FROM resource_name_all
    WHERE (org, resource_type, resource_id) GLOBAL NOT IN
        (SELECT DISTINCT org, resource_type, resource_id FROM usage_all)
    ORDER BY 1
    """,
)
