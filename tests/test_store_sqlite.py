"""The embedded store keeps the contract, on an empty file and about to fill a block of ordinals."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pyroaring import BitMap

from applyrate.store import Store, open_store
from applyrate.store.sqlite.names import add_names
from applyrate.store.sqlite.packing import pack
from applyrate.usage import Available, Recording, Reply, ResourceType, Window
from tests.contract.draws import ORGS
from tests.contract.oracle import Oracle
from tests.contract.suite import StoreContract


class TestSQLiteStore(StoreContract):
    def open(self, folder: Path) -> Store:
        return open_store(folder)


class TestSQLiteStoreAtABlocksEnd(StoreContract):
    """The ordinals of replies and conversations are about to pass from one block to the next."""

    def open(self, folder: Path) -> Store:
        open_store(folder).close()
        epoch_conversations = pack(BitMap([65_533]))
        with closing(sqlite3.connect(folder / "applyrate.db")) as db, db:
            for org, name in enumerate(ORGS, 1):
                conversation, reply = org << 32 | 65_533, org << 32 | 65_533
                db.execute("INSERT INTO organization VALUES (?, ?)", (org, name))
                db.execute(
                    "INSERT INTO conversation (id, org, session_id) VALUES (?, ?, 'before')",
                    (conversation, org),
                )
                db.execute(
                    "INSERT INTO reply VALUES (?, ?, 'before', ?, 0)", (reply, org, conversation)
                )
                add_names(db, "conversation", org, {"before": conversation})
                add_names(db, "reply", org, {"before": reply})
                db.execute(
                    "INSERT INTO conversation_day VALUES (?, 0, 0, ?)", (org, epoch_conversations)
                )
        return open_store(folder)

    def oracle(self) -> Oracle:
        oracle = Oracle()
        before = Reply("before", "before", datetime(1970, 1, 1, tzinfo=UTC))
        for org in ORGS:
            oracle.record(Recording(org, [before], reports=frozenset()))
        return oracle


def test_a_resource_keeps_its_name_whichever_process_sends_another(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    used = Reply("r_1", "s_1", at, available=Available(instruction=["i_1"]))
    with closing(open_store(tmp_path)) as first, closing(open_store(tmp_path)) as second:
        for store, name in ((first, "First"), (second, "Second"), (first, "Third")):
            names = {ResourceType.INSTRUCTION: {"i_1": name}}
            store.record([Recording("acme", [used], names=names)])
            page = store.resources("acme", ResourceType.INSTRUCTION, Window(), limit=5)
            assert [row.name for row in page.items] == ["First"]
