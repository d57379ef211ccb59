"""The inbox: what is kept of traces, for how long, and how much."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from applyrate.errors import Unavailable
from applyrate.intake import inbox as inboxes
from applyrate.intake.findings import describe
from applyrate.intake.inbox import Inbox, KeptTrace, Settlement, SpanBatch
from applyrate.intake.room import State
from applyrate.intake.spans import ObservedSpan
from tests.observed import TRACE, agent, noise, observed

HOUR = 3600
ALL = 1_000_000


@pytest.fixture
def open_inbox(tmp_path: Path) -> Iterator[Callable[..., Inbox]]:
    opened: list[Inbox] = []

    def open_one(max_spans: int = 100) -> Inbox:
        opened.append(Inbox(tmp_path / "inbox.db", max_spans=max_spans))
        return opened[-1]

    yield open_one
    for inbox in opened:
        inbox.close()


@pytest.fixture
def inbox(open_inbox: Callable[..., Inbox]) -> Inbox:
    return open_inbox()


def add(inbox: Inbox, *spans: ObservedSpan, org: str = "acme") -> None:
    inbox.add([SpanBatch(org, spans)])


def due(inbox: Inbox, quiet_seconds: float = HOUR) -> list[KeptTrace]:
    return inbox.due(quiet_seconds, max_spans=ALL)


def settle(inbox: Inbox, state: State, traces: Sequence[KeptTrace], **pins: str) -> None:
    problem = state in (State.UNATTRIBUTED, State.FAILED)
    inbox.settle(
        Settlement(
            *(trace, state, pins),
            describe(trace.org, trace.spans, missing=["conversation"]) if problem else None,
        )
        for trace in traces
    )


def trace_id(number: int) -> str:
    return f"{number:032x}"


def add_settled(inbox: Inbox, state: State, *numbers: int) -> None:
    """Traces of two spans each, settled in this state."""
    for number in numbers:
        add(inbox, agent("a", trace_id=trace_id(number)))
        add(inbox, observed("b", "a", trace_id=trace_id(number)))
        settle(inbox, state, due(inbox))


def trace_ids(folder: Path) -> list[int]:
    """The numbers of the traces in the file."""
    with closing(sqlite3.connect(folder / "inbox.db")) as db:
        return sorted(int(one, 16) for (one,) in db.execute("SELECT trace_id FROM trace"))


def check_count(folder: Path) -> int:
    """The number of spans that is kept in the file; all ways to count it agree."""
    with closing(sqlite3.connect(folder / "inbox.db")) as db:
        (kept,) = db.execute("SELECT span_count FROM kept").fetchone()
        (summed,) = db.execute("SELECT ifnull(sum(span_count), 0) FROM trace").fetchone()
        (spans,) = db.execute("SELECT count(*) FROM span").fetchone()
        (excluded,) = db.execute("SELECT count(*) FROM trace WHERE state = 'excluded'").fetchone()
    assert kept == summed == spans + excluded
    return int(kept)


def test_what_was_added_is_read_back_whole(inbox: Inbox) -> None:
    spans = [
        agent("a", output="Hello ☕", cited=("kb_1",), instructions={"tone": "Be kind"}),
        noise("b", "a", labels={"app.chat": "c_7"}, service="web", is_entry=True),
    ]
    add(inbox, *spans)
    (trace,) = due(inbox)
    assert (trace.org, trace.trace_id, trace.state) == ("acme", TRACE, State.READY)
    assert sorted(trace.spans, key=lambda span: span.name) == spans


def test_a_trace_is_due_with_its_top_or_after_the_quiet_time(inbox: Inbox) -> None:
    add(inbox, observed("b", "a", trace_id=trace_id(1)))
    add(inbox, agent("a", trace_id=trace_id(2)))
    add(inbox, agent("a", "elsewhere", is_entry=True, trace_id=trace_id(3)))
    assert [trace.trace_id for trace in due(inbox)] == [trace_id(2), trace_id(3)]
    assert [trace.trace_id for trace in due(inbox, 0)] == [trace_id(1), trace_id(2), trace_id(3)]


def test_traces_of_two_organizations_that_arrive_together_stay_apart(inbox: Inbox) -> None:
    inbox.add([SpanBatch("acme", [agent("a")]), SpanBatch("other", [agent("b"), agent("c")])])
    kept = {trace.org: sorted(span.name for span in trace.spans) for trace in due(inbox)}
    assert kept == {"acme": ["a"], "other": ["b", "c"]}


def test_a_repeated_span_is_no_change(inbox: Inbox, tmp_path: Path) -> None:
    add(inbox, agent("a"), observed("b", "a"))
    settle(inbox, State.DERIVED, due(inbox))
    add(inbox, agent("a"), agent("a"), observed("b", "a"))
    assert due(inbox, 0) == []
    assert check_count(tmp_path) == 2


def test_a_repeated_span_does_not_put_the_quiet_time_off(inbox: Inbox) -> None:
    add(inbox, observed("b", "a"))
    first = sqlite_changed_at(inbox)
    add(inbox, observed("b", "a"))
    assert sqlite_changed_at(inbox) == first
    add(inbox, observed("c", "a"))
    assert sqlite_changed_at(inbox) > first


def sqlite_changed_at(inbox: Inbox) -> int:
    with inbox._database.reading() as db:  # noqa: SLF001 (no one else asks)
        (changed_at,) = db.execute("SELECT changed_at FROM trace").fetchone()
        return int(changed_at)


def test_a_late_span_lets_a_trace_be_derived_again_with_its_pins(inbox: Inbox) -> None:
    add(inbox, agent("a"))
    settle(inbox, State.DERIVED, due(inbox), aa=TRACE)
    assert due(inbox, 0) == []
    add(inbox, observed("b", "a"))
    (trace,) = due(inbox)
    assert (trace.pins, len(trace.spans)) == ({"aa": TRACE}, 2)


def test_a_span_that_lands_while_its_trace_is_derived_is_not_lost(inbox: Inbox) -> None:
    add(inbox, agent("a"))
    read = due(inbox)
    add(inbox, observed("b", "a"))
    settle(inbox, State.DERIVED, read, aa=TRACE)
    (trace,) = due(inbox)
    assert (trace.pins, len(trace.spans)) == ({"aa": TRACE}, 2)


def test_the_same_trace_of_two_organizations_is_two(inbox: Inbox, tmp_path: Path) -> None:
    add(inbox, agent("a"))
    add(inbox, agent("a"), org="other")
    assert [trace.org for trace in due(inbox)] == ["acme", "other"]
    assert check_count(tmp_path) == 2


def test_what_is_read_at_once_is_bounded(inbox: Inbox) -> None:
    for number in range(5):
        add(
            inbox,
            agent("a", trace_id=trace_id(number)),
            observed("b", "a", trace_id=trace_id(number)),
        )
    assert len(inbox.due(HOUR, max_spans=5)) == 2
    assert len(inbox.due(HOUR, max_spans=1)) == 1


def test_of_a_trace_without_end_only_one_span_is_read(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "MAX_TRACE_SPANS", 2)
    add(inbox, agent("a"), *(observed(f"b{n}", "a") for n in range(2)))
    (trace,) = due(inbox)
    assert (trace.is_oversized, len(trace.spans)) == (True, 1)


def test_of_an_excluded_trace_its_id_alone_is_kept(inbox: Inbox, tmp_path: Path) -> None:
    add(inbox, agent("a"), observed("b", "a"), observed("c", "a"))
    settle(inbox, State.EXCLUDED, due(inbox))
    add(inbox, observed("d", "a"))
    assert due(inbox, 0) == []
    assert check_count(tmp_path) == 1
    assert inbox.findings("acme").excluded_count == 1


def test_derived_traces_stay_for_late_spans_and_irrelevant_ones_for_the_quiet_time(
    inbox: Inbox, tmp_path: Path
) -> None:
    add_settled(inbox, State.DERIVED, 1)
    add_settled(inbox, State.IRRELEVANT, 2)
    add_settled(inbox, State.UNATTRIBUTED, 3)
    add(inbox, observed("waits", "a", trace_id=trace_id(4)))
    assert inbox.forget(HOUR, HOUR) == 0
    assert inbox.forget(0, HOUR) == 1
    assert trace_ids(tmp_path) == [1, 3, 4]
    assert inbox.forget(0, 0) == 1
    assert trace_ids(tmp_path) == [3, 4]
    assert check_count(tmp_path) == 3


def test_room_is_made_of_derived_traces_first_then_of_unattributed_ones_oldest_first(
    open_inbox: Callable[..., Inbox], tmp_path: Path
) -> None:
    inbox = open_inbox(max_spans=10)
    add_settled(inbox, State.UNATTRIBUTED, 1, 2)
    add_settled(inbox, State.DERIVED, 3, 4)
    add(inbox, *(observed(f"x{n}", "a", trace_id=trace_id(5)) for n in range(2)))
    add(inbox, observed("y", "a", trace_id=trace_id(6)))
    assert trace_ids(tmp_path) == [1, 2, 4, 5, 6]
    add(inbox, *(observed(f"z{n}", "a", trace_id=trace_id(7)) for n in range(4)))
    assert trace_ids(tmp_path) == [2, 5, 6, 7]
    assert check_count(tmp_path) == 9
    assert inbox.findings("acme").items[0].trace_count == 1


def test_without_room_nothing_of_the_batch_is_kept(
    open_inbox: Callable[..., Inbox], tmp_path: Path
) -> None:
    inbox = open_inbox(max_spans=3)
    add_settled(inbox, State.DERIVED, 1)
    add(inbox, observed("b", "a", trace_id=trace_id(2)))
    with pytest.raises(Unavailable, match="inbox is full") as raised:
        add(inbox, *(observed(f"c{n}", "a", trace_id=trace_id(3)) for n in range(3)))
    assert raised.value.retry_after_seconds > 0
    assert trace_ids(tmp_path) == [1, 2]
    assert check_count(tmp_path) == 3


def test_two_processes_count_what_both_keep(
    open_inbox: Callable[..., Inbox], tmp_path: Path
) -> None:
    one, other = open_inbox(max_spans=4), open_inbox(max_spans=4)
    for number, inbox in enumerate((one, other, one, other)):
        add(inbox, observed("b", "a", trace_id=trace_id(number)))
    assert check_count(tmp_path) == 4
    for inbox in (one, other):
        with pytest.raises(Unavailable):
            add(inbox, observed("c", "a"))


def test_an_unattributed_trace_waits_for_the_attribute_that_is_mapped_meanwhile(
    inbox: Inbox,
) -> None:
    add(inbox, agent("a"))
    read = due(inbox)
    inbox.map_attribute("acme", "app.chat")
    settle(inbox, State.UNATTRIBUTED, read)
    (trace,) = due(inbox)
    assert trace.mapped == ["app.chat"]
    settle(inbox, State.UNATTRIBUTED, [trace])
    assert due(inbox) == []


def test_mapped_attributes_belong_to_their_organization_and_keep_their_order(
    inbox: Inbox,
) -> None:
    for name in ("b", "a", "b"):
        inbox.map_attribute("acme", name)
    inbox.map_attribute("other", "c")
    assert inbox.mapped() == {"acme": ["b", "a"], "other": ["c"]}
    assert inbox.findings("acme").mapped_attributes == ["b", "a"]


def test_a_new_span_takes_a_trace_from_the_findings(inbox: Inbox) -> None:
    add_settled(inbox, State.UNATTRIBUTED, 1)
    assert [row.trace_count for row in inbox.findings("acme").items] == [1]
    add(inbox, observed("late", "a", trace_id=trace_id(1)))
    findings = inbox.findings("acme")
    assert (findings.items, findings.waiting_count) == ([], 1)


def test_a_trace_goes_by_age_only_once_it_is_older(inbox: Inbox) -> None:
    add(inbox, agent("a"))
    changed_at = sqlite_changed_at(inbox)
    assert inbox.expire("acme", changed_at) == 0
    assert inbox.expire("acme", changed_at + 1) == 1


def test_a_clock_that_is_set_back_keeps_no_trace_waiting(
    open_inbox: Callable[..., Inbox], tmp_path: Path
) -> None:
    add(open_inbox(), observed("b", "a"))
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as db, db:
        db.execute("UPDATE trace SET changed_at = changed_at + 86400000000")
    assert due(open_inbox(), quiet_seconds=0)


def test_a_trace_of_what_was_removed_goes_and_the_file_is_to_be_scrubbed(
    inbox: Inbox, tmp_path: Path
) -> None:
    add(inbox, agent("a", output="whispered"))
    (trace,) = due(inbox)
    needed = [inbox.needs_scrub]
    inbox.settle([Settlement(trace, State.FAILED, {}, is_gone=True)])
    needed.append(inbox.needs_scrub)
    assert inbox.load().span_count == 0
    assert inbox.scrub()
    assert [*needed, inbox.needs_scrub] == [False, True, False]
    assert not [file for file in tmp_path.iterdir() if b"whispered" in file.read_bytes()]
