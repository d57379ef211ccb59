"""``check`` names what is wrong, whichever row was damaged."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyroaring import BitMap

from applyrate.store import open_store
from applyrate.store.sqlite.packing import pack
from applyrate.usage import Applied, Available, ConversationFacts, Recording, Reply

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = open_store(tmp_path)
    replies = [
        Reply(
            f"r_{number}",
            f"s_{number // 2}",
            AT + timedelta(hours=number),
            available=Available(knowledge=["kb_1"]),
            applied=Applied(instruction=["ins_1"], action=["lookup", "lookup"]),
        )
        for number in range(40)
    ]
    store.record([Recording("acme", replies)])
    facts = ConversationFacts(handed_off_at=AT, status="Resolved", csat=4.5)
    store.set_conversations("acme", {"s_1": facts})
    assert list(store.check()) == []
    store.close()
    return tmp_path


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE usage_day SET usage_count = usage_count + 1", "usage_count is"),
        ("UPDATE usage_day SET first_at = first_at + 1", "first_at is"),
        ("UPDATE usage_day SET last_at = last_at - 1", "last_at is"),
        ("UPDATE usage_day SET day = day + 400", "day of its first reply is"),
        ("UPDATE usage_day SET block = 3", "block of its first reply is"),
        ("UPDATE usage_day SET replies = :bitmap", "reply ordinal 999 is not there"),
        ("UPDATE usage_day SET replies = x'0102'", "cannot be read"),
        ("UPDATE usage_day SET conversations = :bitmap", "conversations wrongly hold ordinal 999"),
        ("UPDATE usage_day SET conversations = :bitmap", "conversations lack ordinal"),
        ("DELETE FROM usage_day WHERE kind = 1", "calls, but no usage"),
        ("DELETE FROM usage_total", "conversation_count is 0"),
        ("UPDATE usage_total SET handoff_count = 9", "handoff_count is 9"),
        ("UPDATE usage_total SET usage_count = 0", "usage_count is 0"),
        ("DELETE FROM cursor_secret", "cursor_secret: there are 0 of 32 bytes"),
        ("DELETE FROM invocation", "usage_count is"),
        ("DELETE FROM handed_off", "conversations lack ordinal 1"),
        ("DELETE FROM outcome WHERE fact = 'csat'", "csat 4.5, block 0): it is not there"),
        ("UPDATE outcome SET conversations = :bitmap", "conversations wrongly hold ordinal 0"),
        ("UPDATE outcome SET conversations = x'0102'", "'resolved', block 0): cannot be read"),
        ("UPDATE outcome SET value = 'open'", "'open', block 0): conversations wrongly hold"),
        ("UPDATE outcome SET block = 1", "block 1): conversations wrongly hold ordinal 1"),
        ("UPDATE conversation SET csat = NULL", "csat 4.5, block 0): conversations wrongly hold"),
        ("UPDATE usage_total SET version = 2", "its version 2 is not one of the 1 so far"),
        ("UPDATE conversation SET handed_off_at = NULL", "conversations wrongly hold ordinal 1"),
        ("UPDATE conversation SET handoff_is_set = 0", "its handoff was never set"),
        ("UPDATE conversation SET reply_handed_off_at = 1", "conversations lack ordinal 0"),
        ("UPDATE reportable SET org = 9", "reportable: there is no type action of organization 9"),
        ("UPDATE reportable SET type = upper(type)", "reportable: there is no type ACTION"),
        (
            "UPDATE type_day SET usage_counts = zeroblob(384)",
            "usages from 10:00 on is 0",
        ),
        ("UPDATE type_day SET usage_counts = x'01'", "cannot be read"),
        ("UPDATE type_day SET version = 9", "type_day: its version 9 is not one of the 1 so far"),
        ("DELETE FROM type_day", "are not there"),
        ("DELETE FROM conversation_day", "conversation_day (2026-03-02 of 1, block 0): it is not"),
        ("UPDATE conversation_day SET conversations = :bitmap", "wrongly hold ordinal 999"),
        ("UPDATE conversation_day SET conversations = x'0102'", "cannot be read"),
        ("UPDATE resource SET keep = 1", "resource ins_1: what the catalogue says of it was never"),
        ("INSERT INTO published_version VALUES (9, 'v1', 0)", "published_version v1: its resource"),
        ("DELETE FROM reply WHERE reply_id = 'r_7'", "reply ordinal 7 is not there"),
        ("DELETE FROM reply WHERE reply_id = 'r_7'", "reply_digest: there are 40 of 39"),
        ("DELETE FROM recent_reply_digest", "reply r_3: it is not found by its name"),
        (
            "UPDATE recent_conversation_digest SET digest = digest + 1",
            "conversation s_3: it is not found by its name",
        ),
        ("UPDATE recent_digests SET number = 2", "(reply): number is 2, but should be 40"),
        ("INSERT INTO reply_digest SELECT * FROM recent_reply_digest", "there are 80 of 40"),
        ("DELETE FROM conversation WHERE session_id = 's_3'", "reply r_6: its conversation"),
        (
            "INSERT INTO highest_erased SELECT 'reply', 1, max(id) FROM reply",
            "its id was retired",
        ),
        ("INSERT INTO emptied VALUES (1, 'action', 'x', 9)", "emptied x: its version 9 is not one"),
        (
            "INSERT INTO resource (id, org, type, resource_id) VALUES (9, 1, 'action', 'x')",
            "resource x: nobody used it, and it is not catalogued",
        ),
        ("UPDATE reply SET replied_at = replied_at + 1 WHERE reply_id = 'r_0'", "first_at is"),
    ],
)
def test_what_is_damaged_is_named(data: Path, damage: str, named: str) -> None:
    with closing(sqlite3.connect(data / "applyrate.db")) as db, db:
        db.execute(damage, {"bitmap": pack(BitMap([0, 999]))})
    with closing(open_store(data)) as store:
        faults = list(store.check())
    assert any(named in fault for fault in faults), faults


def test_a_damaged_page_is_named(data: Path) -> None:
    file = data / "applyrate.db"
    content = bytearray(file.read_bytes())
    page = 8_192
    content[3 * page : 4 * page] = b"\xff" * page
    file.write_bytes(content)
    with closing(open_store(data)) as store:
        assert "the file is damaged" in " ".join(store.check())
