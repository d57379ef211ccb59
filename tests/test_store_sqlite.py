"""The embedded store keeps the contract, on an empty file and about to fill a block of ordinals."""

import sqlite3
from contextlib import closing
from pathlib import Path

from applyrate.store import Store, open_store
from tests.contract.suite import ORGS, StoreContract


class TestSQLiteStore(StoreContract):
    def open(self, folder: Path) -> Store:
        return open_store(folder)


class TestSQLiteStoreAtABlocksEnd(StoreContract):
    """The ordinals of replies and conversations are about to pass from one block to the next."""

    def open(self, folder: Path) -> Store:
        open_store(folder).close()
        with closing(sqlite3.connect(folder / "applyrate.db")) as db, db:
            for org, name in enumerate(ORGS, 1):
                conversation, reply = org << 32 | 16_382, org << 32 | 65_533
                db.execute("INSERT INTO organization VALUES (?, ?)", (org, name))
                db.execute(
                    "INSERT INTO conversation (id, org, session_id) VALUES (?, ?, 'before')",
                    (conversation, org),
                )
                db.execute(
                    "INSERT INTO reply VALUES (?, ?, 'before', ?, 0)", (reply, org, conversation)
                )
        return open_store(folder)
