"""The contract suite: random records and questions, one store against the oracle.

``StoreContract`` takes any Store: a subclass says how one is opened.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from msgspec import convert

from applyrate.store import Store
from applyrate.usage import (
    Applied,
    Available,
    ConversationFacts,
    Invocation,
    Recording,
    Reply,
    ResourceType,
    UsageKind,
    Window,
)
from tests.contract.oracle import Oracle

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ORGS = ["acme", "globex"]
NAMES = ["lookup_order", "a/b c?d%2F", "退款🙂", "."]
SESSIONS = ["s_1", "s/2 🙂", "S", "s"]
CALLS = ["0", "call_1", "call_2"]
# Around midnight, and the very same instants again and again, so that ties and edges are met.
INSTANTS = [
    DAY + timedelta(days=day, microseconds=offset)
    for day in (0, 1, 2, 40)
    for offset in (0, 1, 3_600_000_000, 43_200_000_000, 86_399_999_999)
]

instants = st.sampled_from(INSTANTS) | st.integers(-3 * 86_400_000_000, 44 * 86_400_000_000).map(
    lambda offset: DAY + timedelta(microseconds=offset)
)
windows = st.tuples(st.none() | instants, st.none() | instants).map(
    lambda bounds: Window(*(sorted(bounds) if None not in bounds else bounds))  # type: ignore[type-var]
)
names = st.lists(st.sampled_from(NAMES), max_size=3)
invocations = st.lists(
    st.sampled_from(NAMES)
    | st.builds(Invocation, id=st.sampled_from(NAMES), call_id=st.sampled_from(CALLS)),
    max_size=4,
)
replies = st.builds(
    Reply,
    reply_id=st.integers(0, 25).map("r_{}".format) | st.sampled_from(NAMES),
    session_id=st.sampled_from(SESSIONS),
    replied_at=instants,
    available=st.builds(Available, instruction=names, knowledge=names, action=names),
    applied=st.builds(Applied, instruction=names, knowledge=names, action=invocations),
    ticket_number=st.none() | st.integers(0, 3),
    last_message=st.none() | st.sampled_from(["", "Hello.", "Bonjour 🙂"]),
)
sessions = st.sampled_from([*SESSIONS, "s_of_no_reply"])
facts: st.SearchStrategy[ConversationFacts] = st.fixed_dictionaries(
    {},
    optional={
        "ticket_number": st.none() | st.integers(0, 2**53 - 1),
        "last_message": st.none() | st.text(max_size=5),
        "handed_off_at": st.none() | instants,
        "status": st.none() | st.just("resolved"),
        "csat": st.none() | st.floats(1, 5),
    },
).map(lambda named: convert(named, ConversationFacts))


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

    def _record(self, org: str, batch: list[Reply]) -> None:
        (receipt,) = self.store.record([Recording(org, batch)])
        refused = [refusal.index for refusal in receipt.refused]
        assert (receipt.accepted, receipt.duplicates, refused) == self.oracle.record(org, batch)
        self.sent += [(org, reply) for reply in batch]

    @initialize(batch=st.lists(replies, min_size=3, max_size=12))
    def begin(self, batch: list[Reply]) -> None:
        self._record(ORGS[0], batch)

    @rule(org=st.sampled_from(ORGS), batch=st.lists(replies, max_size=8))
    def record(self, org: str, batch: list[Reply]) -> None:
        self._record(org, batch)

    @rule(
        batches=st.lists(
            st.tuples(st.sampled_from(ORGS), st.lists(replies, max_size=3)), max_size=3
        )
    )
    def record_together(self, batches: list[tuple[str, list[Reply]]]) -> None:
        receipts = self.store.record([Recording(org, batch) for org, batch in batches])
        for receipt, (org, batch) in zip(receipts, batches, strict=True):
            expected = self.oracle.record(org, batch)
            assert (receipt.accepted, receipt.duplicates, len(receipt.refused)) == (
                *expected[:2],
                len(expected[2]),
            )
            self.sent += [(org, reply) for reply in batch]

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """In another order, and cut elsewhere."""
        assume(self.sent)
        again = data.draw(st.permutations(self.sent))
        cut = data.draw(st.integers(0, len(again)))
        for part in (again[:cut], again[cut:]):
            for org in ORGS:
                self._record(org, [reply for to, reply in part if to == org])
                del self.sent[len(again) :]

    @rule(org=st.sampled_from(ORGS), known=st.dictionaries(sessions, facts, max_size=4))
    def set_conversations(self, org: str, known: dict[str, ConversationFacts]) -> None:
        self.store.set_conversations(org, known)
        for session_id, named in known.items():
            self.oracle.set_conversation(org, session_id, named)

    @rule(org=st.sampled_from(ORGS), window=windows, limit=st.integers(1, 4))
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

    def teardown(self) -> None:
        assert list(self.store.check()) == []


class StoreContract:
    """Every promise of the Store protocol. A subclass opens the store."""

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

            def teardown(self) -> None:
                try:
                    super().teardown()
                finally:
                    self.store.close()
                    self.folder.cleanup()

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=80,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def test_a_busy_organization_is_counted_like_a_quiet_one(self, store: Store) -> None:
        chance = random.Random(7)  # noqa: S311 (not a secret)
        oracle = Oracle()
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
        oracle.record("acme", batch)
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
