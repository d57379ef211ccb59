"""What every Store must answer of conversations, exports and changes, promise by promise."""

from datetime import datetime, timedelta

from msgspec.structs import astuple

from applyrate.store import Store
from applyrate.usage import (
    Applied,
    Available,
    Changes,
    ConversationFacts,
    Recording,
    Reply,
    ResourceType,
    Window,
)
from tests.contract.draws import DAY


class SeenContract:
    """The promises, for a suite with the fixture ``store``."""

    def test_a_usage_at_a_bound_is_counted_from_it_on(self, store: Store) -> None:
        instant, hour = timedelta(microseconds=1), timedelta(hours=1)
        times = [DAY - instant, DAY, DAY + hour - instant, DAY + hour, DAY + 2 * hour]
        offered = Available(knowledge=["kb"])
        batch = [Reply(f"r_{n}", "s_1", at, available=offered) for n, at in enumerate(times)]

        def counts(*hours: int) -> list[int]:
            bounds = [DAY + number * hour for number in hours]
            timeline = store.timeline("acme", ResourceType.KNOWLEDGE, "kb", bounds)
            return [span.available_replies for span in timeline]

        assert counts(0, 1) == [0]
        store.record([Recording("acme", batch)])
        assert counts(0, 1, 2) == [2, 1]
        assert counts(0, 0, 1, 3, 4) == [0, 2, 2, 0]
        assert counts(-9, 0, 1, 2) == [1, 2, 1]
        assert counts(0, 2) == [3]
        assert counts(1, 2) == [1]
        assert counts(0) == counts() == []

    def test_a_conversation_that_applied_it_once_is_not_among_those_without_it(
        self, store: Store
    ) -> None:
        had, cited = Available(knowledge=["kb"]), Applied(knowledge=["kb"])
        batch = [
            Reply("r_1", "before", DAY, applied=cited),
            Reply("r_2", "before", DAY + timedelta(hours=1), available=had),
            Reply("r_3", "inside", DAY + timedelta(hours=1), available=had),
            Reply("r_4", "inside", DAY + timedelta(hours=2), applied=cited),
            Reply("r_5", "without", DAY + timedelta(hours=2), available=had),
            Reply("r_6", "never", DAY + timedelta(hours=2)),
        ]
        store.record([Recording("acme", batch)])
        ended = {
            "before": ConversationFacts(status="open", csat=2),
            "inside": ConversationFacts(status="RESOLVED", csat=5, handed_off_at=DAY),
            "without": ConversationFacts(status="Resolved", csat=1),
            "never": ConversationFacts(status="resolved", csat=5, handed_off_at=DAY),
        }
        store.set_conversations("acme", ended)

        def of(window: Window) -> list[tuple[float | None, ...]]:
            outcomes = store.outcomes("acme", ResourceType.KNOWLEDGE, "kb", window)
            return [astuple(outcomes.applied), astuple(outcomes.not_applied)]

        late = Window(DAY + timedelta(minutes=1))
        assert of(late) == [(1, 1, 1, 1, 1, 5.0), (2, 0, 2, 1, 2, 1.5)]
        assert of(Window()) == [(2, 1, 2, 1, 2, 3.5), (1, 0, 1, 1, 1, 1.0)]
        store.set_conversations("acme", {"without": ConversationFacts(status=None, csat=None)})
        assert of(late)[1] == (2, 0, 1, 0, 1, 2.0)
        assert of(Window(None, DAY)) == [(0, 0, 0, 0, 0, None)] * 2
        assert list(store.check()) == []

    def test_a_conversation_is_known_by_what_was_set_for_it_alone(self, store: Store) -> None:
        store.set_conversations("acme", {"s_1": ConversationFacts(ticket_number=7)})
        known = store.conversation("acme", "s_1")
        assert known is not None
        assert (known.ticket_number, known.replies) == (7, [])
        assert store.conversation("acme", "s_2") is None
        assert store.conversation("globex", "s_1") is None

    def test_an_export_leaves_out_replies_that_are_recorded_after_it_began(
        self, store: Store
    ) -> None:
        def reply(number: int, at: datetime) -> Reply:
            return Reply(f"r_{number}", "s_1", at, available=Available(action=["lookup"]))

        batch = [reply(number, DAY + timedelta(seconds=number)) for number in range(1_500)]
        store.record([Recording("acme", batch)])
        rows = store.usages("acme", Window())
        first = next(rows)
        late = DAY + timedelta(days=1)
        store.record([Recording("acme", [reply(2_000, DAY), reply(2_001, late)])])
        assert [row.reply_id for row in (first, *rows)] == [r.reply_id for r in batch]
        assert sum(1 for _ in store.usages("acme", Window())) == 1_502

    def test_replies_of_one_instant_are_exported_once_each(self, store: Store) -> None:
        used = Available(action=["lookup"])
        batch = [Reply(f"r_{number}", "s_1", DAY, available=used) for number in range(2_500)]
        store.record([Recording("acme", batch)])
        exported = [row.reply_id for row in store.usages("acme", Window(DAY))]
        assert exported == sorted(reply.reply_id for reply in batch)

    def test_what_brings_nothing_new_is_no_change(self, store: Store) -> None:
        used = Reply("r_1", "s_1", DAY, applied=Applied(action=["lookup"]))
        other = Reply("r_2", "s_1", DAY, available=Available(action=["refund"]))
        store.record([Recording("acme", [used, other])])
        first = store.changes("acme")
        assert first.resources == []
        store.record([Recording("acme", [used])])
        store.record([Recording("globex", [used])])
        assert store.changes("acme", first.version).resources == []
        again = Reply("r_1", "s_1", DAY, applied=Applied(action=["lookup", "lookup"]))
        store.record([Recording("acme", [again])])
        changes = store.changes("acme", first.version)
        assert changes.version > first.version
        assert changes.resources == [(ResourceType.ACTION, "lookup")]
        assert store.changes("acme", changes.version).resources == []

    def test_after_a_version_that_is_yet_to_come_everything_changed(self, store: Store) -> None:
        offered = Available(knowledge=["kb_2", "kb_1"], action=["lookup"])
        store.record([Recording("acme", [Reply("r_1", "s_1", DAY, available=offered)])])
        store.record([Recording("acme", [Reply("r_2", "s_1", DAY)])])
        version = store.changes("acme").version
        everything = [
            (ResourceType.ACTION, "lookup"),
            (ResourceType.KNOWLEDGE, "kb_1"),
            (ResourceType.KNOWLEDGE, "kb_2"),
        ]
        assert store.changes("acme", version + 9) == Changes(version, everything)
        assert store.changes("globex", version + 9) == Changes(version, [])
