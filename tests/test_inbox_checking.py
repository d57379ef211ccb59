"""``check`` names what is wrong with the inbox, whichever row was damaged."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from applyrate.intake.findings import describe
from applyrate.intake.inbox import Inbox, Settlement, SpanBatch
from applyrate.intake.room import State
from tests.observed import agent, observed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An inbox with a trace in each of three states."""
    with closing(Inbox(tmp_path / "inbox.db", max_spans=100)) as inbox:
        for number, state in enumerate((State.DERIVED, State.EXCLUDED, State.UNATTRIBUTED)):
            trace_id = f"{number + 1:032x}"
            spans = [agent("a", trace_id=trace_id), observed("b", "a", trace_id=trace_id)]
            inbox.add([SpanBatch("acme", spans)])
            (trace,) = inbox.due(0, max_spans=100)
            finding = describe("acme", spans, missing=["conversation"])
            told = finding if state is State.UNATTRIBUTED else None
            inbox.settle([Settlement(trace, state, {}, told)])
        assert list(inbox.check()) == []
    return tmp_path / "inbox.db"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE trace SET span_count = 9 WHERE state = 'derived'", "span_count is 9, should be 2"),
        ("UPDATE trace SET span_count = 0 WHERE state = 'excluded'", "is 0, should be 1"),
        ("DELETE FROM span WHERE span_id LIKE '62%'", "span_count is 2, should be 1"),
        ("DELETE FROM trace WHERE state = 'derived'", "its trace is not there"),
        ("DELETE FROM trace WHERE state = 'unattributed'", "finding 3: its trace is not there"),
        ("UPDATE kept SET span_count = 70", "kept: span_count is 70, should be 5"),
    ],
)
def test_what_is_damaged_is_named(file: Path, damage: str, named: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        assert db.execute(damage).rowcount
    with closing(Inbox(file, max_spans=100)) as inbox:
        faults = list(inbox.check())
    assert any(named in fault for fault in faults), faults
    assert all(fault.startswith("inbox.db: ") for fault in faults)
