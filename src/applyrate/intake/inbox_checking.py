"""Checking the inbox: what is counted of the spans against the spans that are there."""

import sqlite3
from collections.abc import Iterator

from applyrate.store.sqlite.checking import file_faults


def check_inbox(db: sqlite3.Connection) -> Iterator[str]:
    """Verify the whole file, inside the caller's read transaction; a sentence for each fault."""
    faults = file_faults(db) or [sentence for query in _FAULTS for (sentence,) in db.execute(query)]
    yield from (f"inbox.db: {fault}" for fault in faults)


_FAULTS = (
    # An excluded trace counts as one span, and has none.
    """
    SELECT 'trace ' || trace_id || ' of ' || org || ': span_count is ' || span_count
        || ', should be ' || held
    FROM (
        SELECT trace.*, CASE state WHEN 'excluded' THEN 1 ELSE (
            SELECT count(*) FROM span WHERE span.trace = trace.id
        ) END AS held
        FROM trace
    ) WHERE span_count <> held
    """,
    """
    SELECT 'span ' || span_id || ': its trace is not there' FROM span
    WHERE trace NOT IN (SELECT id FROM trace)
    """,
    """
    SELECT 'finding ' || finding.trace || ': its trace is not there' FROM finding
    WHERE trace NOT IN (SELECT id FROM trace)
    """,
    """
    SELECT 'kept: span_count is ' || span_count || ', should be ' || held
    FROM kept, (SELECT ifnull(sum(span_count), 0) AS held FROM trace)
    WHERE span_count <> held
    """,
    """
    SELECT 'kept: reply_count is ' || kept.reply_count || ', should be ' || held
    FROM kept, (SELECT ifnull(sum(reply_count), 0) AS held FROM undelivered)
    WHERE kept.reply_count <> held
    """,
)
