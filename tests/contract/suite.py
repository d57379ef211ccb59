"""The contract suite: random records and questions, one store against the oracle.

``StoreContract`` takes any Store: a subclass says how one is opened.
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import UNSET
from msgspec.structs import replace

from applyrate.store import Store
from applyrate.usage import (
    Applied,
    Available,
    CatalogueEntry,
    Changes,
    ConversationFacts,
    Erasure,
    RecordedReply,
    Recording,
    Reply,
    ResourceSort,
    ResourceType,
    UnusedReason,
    UsageKind,
    Window,
)
from tests.contract import overview, seen
from tests.contract.draws import (
    DAY,
    NAMES,
    ORGS,
    bounds,
    catalogue_entries,
    facts,
    instants,
    orgs,
    recordings,
    resource_types,
    searches,
    sessions,
    windows,
)
from tests.contract.oracle import Oracle
from tests.contract.overview_suite import OverviewContract
from tests.contract.seen_suite import SeenContract


def all_pages(ask: Any, limit: int) -> list[Any]:
    """The items of all pages of a list; no page but the last is short."""
    items: list[Any] = []
    after = None
    while True:
        page = ask(limit=limit, after=after)
        items += page.items
        if page.next is None:
            assert len(page.items) <= limit
            return items
        assert len(page.items) == limit
        after = page.next


class StoreMachine(RuleBasedStateMachine):
    """Records at random into a store and the oracle, and asks both."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.sent: list[tuple[str, Reply]] = []
        self.versions: dict[str, list[tuple[int, Counter[tuple[ResourceType, str]]]]] = {
            org: [(0, Counter())] for org in ORGS
        }

    def _record(self, *recordings: Recording) -> None:
        receipts = [
            (receipt.accepted, receipt.duplicates, [refusal.index for refusal in receipt.refused])
            for receipt in self.store.record(recordings)
        ]
        assert receipts == self.oracle.record(*recordings)
        for recording in recordings:
            self.sent += [(recording.org, reply) for reply in recording.replies]

    @initialize(recording=recordings(st.just(ORGS[0]), min_size=3, max_size=12))
    def begin(self, recording: Recording) -> None:
        self._record(recording)

    @rule(recording=recordings(orgs, max_size=8))
    def record(self, recording: Recording) -> None:
        self._record(recording)

    @rule(together=st.lists(recordings(orgs, max_size=3), max_size=3))
    def record_together(self, together: list[Recording]) -> None:
        self._record(*together)

    @rule(data=st.data(), reports=st.frozensets(resource_types, max_size=1))
    def send_again(self, data: st.DataObject, reports: frozenset[ResourceType]) -> None:
        """In another order, and cut elsewhere."""
        assume(self.sent)
        again = data.draw(st.permutations(self.sent))
        cut = data.draw(st.integers(0, len(again)))
        for part in (again[:cut], again[cut:]):
            for org in ORGS:
                batch = [reply for to, reply in part if to == org]
                self._record(Recording(org, batch, reports=reports))
                del self.sent[len(again) :]

    @rule(org=orgs, known=st.dictionaries(sessions, facts, max_size=4))
    def set_conversations(self, org: str, known: dict[str, ConversationFacts]) -> None:
        self.store.set_conversations(org, known)
        for session_id, named in known.items():
            self.oracle.set_conversation(org, session_id, named)

    @precondition(lambda self: len(self.oracle.erased) < 4)
    @rule(
        org=orgs,
        session_ids=st.lists(sessions, min_size=1, max_size=2),
        limit=st.integers(1, 5),
    )
    def erase(self, org: str, session_ids: list[str], limit: int) -> None:
        """Step by step, and everything adds up after each."""
        gone = self.store.erase(org, session_ids)
        session_count, reply_count = gone.session_count, gone.reply_count
        assert list(self.store.check()) == []
        while (gone := self.store.continue_erasing(org, limit)) != Erasure(0, 0):
            session_count += gone.session_count
            reply_count += gone.reply_count
            assert list(self.store.check()) == []
        assert (session_count, reply_count) == self.oracle.erase(org, session_ids)
        while unfinished := self.store.unfinished_erasures():
            self.store.finish_erasures([one.erasure_id for one in unfinished])

    @rule(org=orgs, before=instants, limit=st.integers(1, 5))
    def expire(self, org: str, before: datetime, limit: int) -> None:
        """Step by step, and everything adds up after each."""
        if self.store.has_expired(org, before):
            while self.store.expire(org, before, limit):
                assert list(self.store.check()) == []
        self.oracle.expire(org, before)
        assert not self.store.has_expired(org, before)

    @rule(org=orgs)
    def ask_what_is_recorded(self, org: str) -> None:
        assert self.store.applied_signal(org) == self.oracle.applied_signal(org)
        reply_ids = ["never", *dict.fromkeys(reply.reply_id for _, reply in self.sent)]
        assert self.store.replies(org, reply_ids) == self.oracle.recorded(org, reply_ids)

    @rule(org=orgs, window=windows, limit=st.integers(1, 4))
    def ask_everything(self, org: str, window: Window, limit: int) -> None:
        for resource_type in ResourceType:
            listed = all_pages(partial(self.store.resources, org, resource_type, window), limit)
            assert listed == self.oracle.resources(org, resource_type, window)
            for name in NAMES:
                question = (org, resource_type, name, window)
                assert self.store.summary(*question) == self.oracle.summary(*question)
                for kind in UsageKind:
                    browse = partial(self.store.conversations, *question, kind=kind)
                    browsed = all_pages(browse, limit)
                    assert browsed == self.oracle.conversations(*question, kind)

    @rule(org=orgs, entries=catalogue_entries())
    def set_catalogue(self, org: str, entries: list[CatalogueEntry]) -> None:
        self.store.set_catalogue(org, entries)
        self.oracle.set_catalogue(org, entries)

    @rule(org=orgs, window=windows, bounds=bounds, limit=st.integers(1, 4))
    def ask_of_types(self, org: str, window: Window, bounds: list[datetime], limit: int) -> None:
        for resource_type in ResourceType:
            of_type = (org, resource_type)
            wanted = (*of_type, [*NAMES, "of no reply", "unknown"])
            assert self.store.catalogue(*wanted) == overview.catalogue(self.oracle, *wanted)
            totals = overview.type_totals(self.oracle, *of_type, window)
            assert self.store.type_totals(*of_type, window) == totals
            timeline = overview.type_timeline(self.oracle, *of_type, bounds)
            assert self.store.type_timeline(*of_type, bounds) == timeline
            listed = all_pages(partial(self.store.unused, *of_type, window), limit)
            assert listed == overview.unused(self.oracle, *of_type, window)
            for kind in UsageKind:
                counts = overview.usage_counts(self.oracle, *wanted, bounds, kind)
                assert self.store.usage_counts(*wanted, bounds, kind=kind) == counts

    @rule(org=orgs, window=windows, limit=st.integers(1, 4), offset=st.integers(0, 3))
    def ask_for_dead_weight(self, org: str, window: Window, limit: int, offset: int) -> None:
        for question in product([org], ResourceType, [window]):
            for reason in (None, *UnusedReason):
                told = self.store.unused_table(*question, reason=reason, limit=limit, offset=offset)
                table = overview.unused_table(self.oracle, *question, reason)
                items = table.items[offset : offset + limit]
                assert told == replace(table, items=items)

    @rule(
        org=orgs,
        window=windows,
        order=st.fixed_dictionaries({"descending": st.booleans(), "search": searches}),
        limit=st.integers(1, 4),
        offset=st.integers(0, 3),
    )
    def ask_for_tables(
        self, org: str, window: Window, order: dict[str, Any], limit: int, offset: int
    ) -> None:
        for resource_type in ResourceType:
            question = (org, resource_type, window)
            for sort in ResourceSort:
                table = overview.ranked(self.oracle, *question, sort, **order)
                page = self.store.ranked(*question, sort=sort, **order, limit=limit, offset=offset)
                assert page.match_count == table.match_count
                assert page.items == table.items[offset : offset + limit]

    @rule(org=orgs, window=windows, bounds=bounds, limit=st.integers(1, 4))
    def ask_what_became_of_them(
        self, org: str, window: Window, bounds: list[datetime], limit: int
    ) -> None:
        for resource_type in ResourceType:
            for name in NAMES:
                resource = (org, resource_type, name)
                timeline = seen.timeline(self.oracle, *resource, bounds)
                assert self.store.timeline(*resource, bounds) == timeline
                outcomes = seen.outcomes(self.oracle, *resource, window)
                assert self.store.outcomes(*resource, window) == outcomes
                for kind in UsageKind:
                    browse = partial(
                        self.store.conversations, *resource, window, kind=kind, unapplied=True
                    )
                    unapplied = seen.unapplied(self.oracle, *resource, window, kind)
                    assert all_pages(browse, limit) == unapplied
                assert self.store.used_window(*resource) == seen.used_window(
                    self.oracle, org, resource_type, [name]
                )
            used = seen.used_window(self.oracle, org, resource_type, NAMES)
            assert self.store.used_window(org, resource_type) == used

    @rule(org=orgs, window=windows, session_id=sessions)
    def ask_for_usages(self, org: str, window: Window, session_id: str) -> None:
        assert list(self.store.usages(org, window)) == seen.usages(self.oracle, org, window)
        conversation = seen.conversation(self.oracle, org, session_id)
        assert self.store.conversation(org, session_id) == conversation

    @rule(data=st.data(), org=orgs)
    def ask_what_changed(self, data: st.DataObject, org: str) -> None:
        version, now = self.store.changes(org).version, seen.change_counts(self.oracle, org)
        after, before = data.draw(st.sampled_from([*self.versions[org], (version, now)]))
        changed = sorted(resource for resource in now if now[resource] != before[resource])
        assert self.store.changes(org, after) == Changes(version, changed)
        assert self.store.changes(org, version + 1) == Changes(version, sorted(now))
        self.versions[org].append((version, now))

    def teardown(self) -> None:
        assert list(self.store.check()) == []


class StoreContract(OverviewContract, SeenContract):
    """Every promise of the Store protocol. A subclass opens the store.

    ``examples``: how many runs of random records and questions there are.
    """

    examples = 60

    def open(self, folder: Path) -> Store:
        """A new, empty store in a folder."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = self.open(tmp_path)
        yield store
        store.close()

    def test_whatever_is_recorded_every_answer_is_that_of_a_plain_set(self) -> None:
        contract = self

        class Machine(StoreMachine):
            def __init__(self) -> None:
                super().__init__()
                self.folder = TemporaryDirectory()
                self.store = contract.open(Path(self.folder.name))
                self.oracle = contract.oracle()

            def teardown(self) -> None:
                try:
                    super().teardown()
                finally:
                    self.store.close()
                    self.folder.cleanup()

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def test_a_busy_organization_is_counted_like_a_quiet_one(self, store: Store) -> None:
        chance = random.Random(7)  # noqa: S311 (not a secret)
        oracle = self.oracle()
        instructions = [f"ins_{number}" for number in range(12)]
        batch = [
            Reply(
                reply_id=f"r_{number}",
                session_id=f"s_{chance.randrange(900)}",
                replied_at=DAY + timedelta(seconds=chance.randrange(2 * 86_400)),
                available=Available(
                    instruction=["ins_always"],
                    knowledge=[name for name in instructions if chance.random() < 0.1],
                ),
                applied=Applied(
                    instruction=[
                        name
                        for place, name in enumerate(instructions)
                        if chance.random() < 0.6**place
                    ],
                    action=["lookup"] * chance.choice([0, 0, 1, 3]),
                ),
            )
            for number in range(6_000)
        ]
        for start in range(0, len(batch), 1_000):
            store.record([Recording("acme", batch[start : start + 1_000])])
        oracle.record(Recording("acme", batch))
        for number in range(0, 900, 7):
            handed_off = ConversationFacts(handed_off_at=DAY)
            store.set_conversations("acme", {f"s_{number}": handed_off})
            oracle.set_conversation("acme", f"s_{number}", handed_off)
        rare = [reply.replied_at for reply in batch if "ins_9" in reply.applied.instruction]
        for _ in range(6):
            window = Window(*sorted(chance.sample(rare, 2)))  # both bounds hit a usage
            for resource_type in ResourceType:
                expected = oracle.resources("acme", resource_type, window)
                ask = partial(store.resources, "acme", resource_type, window)
                assert all_pages(ask, 5) == expected
            for name in ("ins_always", "ins_0", "ins_9"):
                question = ("acme", ResourceType.INSTRUCTION, name, window)
                assert store.summary(*question) == oracle.summary(*question)
                for kind in UsageKind:
                    browse = partial(store.conversations, *question, kind=kind)
                    assert all_pages(browse, 100) == oracle.conversations(*question, kind)
        every_4_hours = [DAY + timedelta(minutes=241 * place) for place in range(1, 13)]
        for resource_type, name in [
            *((ResourceType.INSTRUCTION, name) for name in ("ins_always", "ins_0", "ins_9")),
            *((ResourceType.KNOWLEDGE, "ins_0"), (ResourceType.ACTION, "lookup")),
        ]:
            resource = ("acme", resource_type, name)
            timeline = seen.timeline(oracle, *resource, every_4_hours)
            assert store.timeline(*resource, every_4_hours) == timeline
            for window in (Window(), Window(every_4_hours[3]), Window(*every_4_hours[5:7])):
                assert store.outcomes(*resource, window) == seen.outcomes(oracle, *resource, window)
                assert store.summary(*resource, window) == oracle.summary(*resource, window)
        assert list(store.usages("acme", Window())) == seen.usages(oracle, "acme", Window())
        conversation = seen.conversation(oracle, "acme", "s_7")
        assert store.conversation("acme", "s_7") == conversation
        assert list(store.check()) == []

    def test_conversations_used_at_the_same_instant_are_paged_by_their_id(
        self, store: Store
    ) -> None:
        sessions = [f"s_{number}" for number in (3, 1, 4, 1, 5, 9, 2, 6)]
        used = Applied(action=["lookup"])
        batch = [Reply(f"r_{n}", s, DAY, applied=used) for n, s in enumerate(sessions)]
        store.record([Recording("acme", batch)])
        ask = partial(store.conversations, "acme", ResourceType.ACTION, "lookup", Window())
        for limit in (1, 2, 8):
            listed = [row.session_id for row in all_pages(ask, limit)]
            assert listed == sorted(set(sessions))

    def test_what_one_organization_records_no_other_sees(self, store: Store) -> None:
        reply = Reply("r_1", "s_1", DAY, applied=Applied(action=["lookup"]), ticket_number=7)
        store.record([Recording("acme", [reply])])
        assert store.resources("globex", ResourceType.ACTION, Window(), limit=5).items == []
        everything = ("globex", ResourceType.ACTION, "lookup", Window())
        assert store.summary(*everything).applied_replies == 0
        assert store.conversations(*everything, limit=5).items == []

    def test_a_refused_reply_leaves_nothing_behind(self, store: Store) -> None:
        store.record([Recording("acme", [Reply("r_1", "s_1", DAY)])])
        other = Reply("r_1", "s_2", DAY, applied=Applied(action=["lookup"]), last_message="no")
        (receipt,) = store.record([Recording("acme", [other])])
        assert "'s_1'" in receipt.refused[0].message
        assert receipt.refused[0].reply_id == "r_1"
        assert store.resources("acme", ResourceType.ACTION, Window(), limit=5).items == []

    def test_what_the_first_record_of_a_reply_fixed_is_told(self, store: Store) -> None:
        store.record([Recording("acme", [Reply("r 🙂", "s_1", DAY), Reply("r_2", "s_2", DAY)])])
        store.record([Recording("acme", [Reply("r_2", "s_3", DAY)])])
        assert store.replies("acme", ["r 🙂", "r_2", "r_3"]) == {
            "r 🙂": RecordedReply("s_1", DAY),
            "r_2": RecordedReply("s_2", DAY),
        }
        assert store.replies("globex", ["r_2"]) == store.replies("acme", []) == {}

    def test_a_resource_keeps_the_first_name_that_came_with_a_usage(self, store: Store) -> None:
        used = Reply("r_1", "s_1", DAY, available=Available(instruction=["i_1", "i_2"]))
        for names in ({"i_1": "First", "i_3": "Of none"}, {"i_1": "Second", "i_2": ""}):
            store.record([Recording("acme", [used], names={ResourceType.INSTRUCTION: names})])
        page = store.resources("acme", ResourceType.INSTRUCTION, Window(), limit=5)
        assert [(row.resource_id, row.name) for row in page.items] == [
            ("i_1", "First"),
            ("i_2", UNSET),
        ]
        late = Reply("r_2", "s_1", DAY, available=Available(instruction=["i_3", "i_4"]))
        names = {"i_1": "Late", "i_3": "Used at last"}
        store.record([Recording("acme", [late], names={ResourceType.INSTRUCTION: names})])
        page = store.resources("acme", ResourceType.INSTRUCTION, Window(), limit=5)
        assert [row.name for row in page.items] == ["First", UNSET, "Used at last", UNSET]

    def test_a_type_has_a_signal_once_it_can_be_reported_or_is_applied(self, store: Store) -> None:
        actions = frozenset({ResourceType.ACTION})
        assert store.applied_signal("acme") == frozenset()
        store.record([Recording("acme", [])])
        store.record([Recording("globex", [Reply("r_1", "s_1", DAY)])])
        assert store.applied_signal("acme") == frozenset()
        assert store.applied_signal("globex") == frozenset(ResourceType)
        offered = Reply("r_1", "s_1", DAY, available=Available(knowledge=["kb_1"]))
        store.record([Recording("acme", [offered], reports=actions)])
        refused = Reply("r_1", "s_2", DAY)
        store.record([Recording("acme", [refused])])
        assert store.applied_signal("acme") == actions
        cited = Reply("r_2", "s_1", DAY, applied=Applied(knowledge=["kb_1"]))
        store.record([Recording("acme", [cited], reports=frozenset())])
        assert store.applied_signal("acme") == actions | {ResourceType.KNOWLEDGE}

    def test_a_handoff_that_came_with_replies_gives_way_for_good_to_what_is_set(
        self, store: Store
    ) -> None:
        used = Reply("r_1", "s_1", DAY, applied=Applied(action=["lookup"]))

        def handoff_count() -> int:
            page = store.resources("acme", ResourceType.ACTION, Window(), limit=5)
            return page.items[0].handoff_count

        brought = Recording("acme", [used], handed_off={"s_1": DAY})
        store.record([brought])
        assert handoff_count() == 1
        store.set_conversations("acme", {"s_1": ConversationFacts(status="resolved")})
        assert handoff_count() == 1
        store.set_conversations("acme", {"s_1": ConversationFacts(handed_off_at=None)})
        assert handoff_count() == 0
        store.record([brought])
        assert handoff_count() == 0
        store.set_conversations("acme", {"s_1": ConversationFacts(handed_off_at=DAY)})
        assert handoff_count() == 1
        assert list(store.check()) == []
