"""A data folder as the first version of the tables left it, with something of everything in it."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from applyrate.intake.inbox import Inbox, SpanBatch
from applyrate.keys import digest, issue_key
from applyrate.store import FILE
from applyrate.store.sqlite.conversations import set_conversations
from applyrate.store.sqlite.database import STORE_MIGRATIONS, Database
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import Directory
from applyrate.store.sqlite.keys import add_key
from applyrate.store.sqlite.recording import record
from applyrate.usage import COMMAND_LINE, ConversationFacts, Keeping, Recording, Reply
from tests.observed import agent

FIRST = "0001_usage.sql"
STATUS = "resolved"


def make_older(data: Path, org: str, replies: Sequence[Reply]) -> str:
    """Record replies in a folder of the first version; a key of the organization.

    Each conversation has the status STATUS, and the inbox a trace that waits for its end.
    """
    migrations = data.with_name(f"{data.name}-migrations")
    migrations.mkdir(parents=True)
    (migrations / FIRST).write_bytes((STORE_MIGRATIONS / FIRST).read_bytes())
    key, kept = issue_key(org, "older", scopes=None, created_at=datetime.now(UTC))
    facts = {reply.session_id: ConversationFacts(status=STATUS) for reply in replies}
    with closing(Database(data / FILE, migrations)) as database, database.writing() as db:
        days, directory = Days(0), Directory()
        days.advance(db)
        record(db, directory, days, [Recording(org, replies)], Keeping())
        set_conversations(db, directory.organization(db, org), facts)
        add_key(db, kept, digest(key), COMMAND_LINE)
    with closing(Inbox(data / "inbox.db", max_spans=100)) as inbox:
        inbox.add([SpanBatch(org, [agent("a", "not-there")])])
    return key
