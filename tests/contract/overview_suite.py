"""What every Store must answer of all resources of a type, promise by promise."""

import random
from datetime import timedelta
from itertools import product
from typing import Any

from msgspec import UNSET

from applyrate.store import Store
from applyrate.usage import (
    Applied,
    Available,
    CataloguedResource,
    CatalogueEntry,
    ConversationFacts,
    PublishedVersion,
    Recording,
    Reply,
    ResourcePosition,
    ResourceSort,
    ResourceType,
    TypeTotals,
    UnusedReason,
    UsageBucket,
    UsageKind,
    Window,
)
from tests.contract import overview
from tests.contract.draws import DAY
from tests.contract.oracle import Oracle

KB = ResourceType.KNOWLEDGE
HOUR = timedelta(hours=1)


def record(store: Store, *replies: Reply, **more: Any) -> None:
    store.record([Recording("acme", replies, **more)])


def ids(listed: Any) -> list[str]:
    return [row.resource_id for row in listed.items]


class OverviewContract:
    """The promises, for a suite with the fixture ``store`` and an oracle that knows the same."""

    def oracle(self) -> Oracle:
        """An oracle that knows what such a store does."""
        return Oracle()

    def test_a_catalogued_resource_without_a_usage_is_listed_last_with_zeros(
        self, store: Store
    ) -> None:
        entries = [CatalogueEntry(KB, one, name="Refunds") for one in ("kb_9", "kb_0")]
        store.set_catalogue("acme", entries)
        page = store.resources("acme", KB, Window(), limit=5)
        assert ids(page) == ["kb_0", "kb_9"]
        assert [page.items[0].name, page.items[0].available_replies] == ["Refunds", 0]
        record(store, Reply("r_1", "s_1", DAY, available=Available(knowledge=["kb_5", "kb_9"])))
        page = store.resources("acme", KB, Window(), limit=2)
        assert ids(page) == ["kb_5", "kb_9"]
        assert page.next == ResourcePosition(None, without_fact=False, resource_id="kb_9")
        page = store.resources("acme", KB, Window(), limit=2, after=page.next)
        assert ids(page) == ["kb_0"]
        page = store.resources("acme", KB, Window(DAY + HOUR), limit=1)
        assert ids(page) == ["kb_0"]
        assert page.next == ResourcePosition(None, without_fact=True, resource_id="kb_0")
        assert ids(store.resources("globex", KB, Window(), limit=5)) == []
        assert list(store.check()) == []

    def test_a_field_that_a_catalogue_leaves_out_stays_and_null_takes_it_back(
        self, store: Store
    ) -> None:
        def known() -> CataloguedResource:
            return store.catalogue("acme", KB, ["kb_1", "kb_2"])["kb_1"]

        first = CatalogueEntry(KB, "kb_1", version="v1", published_at=DAY, url="https://a.example")
        store.set_catalogue("acme", [first, CatalogueEntry(KB, "kb_1", keep=True)])
        versions = [PublishedVersion("v1", DAY)]
        assert known() == CataloguedResource(
            version="v1", url="https://a.example", published_at=DAY, keep=True, versions=versions
        )
        store.set_catalogue("acme", [CatalogueEntry(KB, "kb_1", url=None, published_at=None)])
        assert known() == CataloguedResource(version="v1", keep=True, versions=versions)
        before = CatalogueEntry(KB, "kb_1", version="v0", published_at=DAY - HOUR, keep=False)
        store.set_catalogue("acme", [before])
        assert [one.version for one in known().versions] == ["v0", "v1"]
        corrected = CatalogueEntry(KB, "kb_1", version="v0", published_at=DAY + HOUR)
        store.set_catalogue("acme", [corrected])
        assert known() == CataloguedResource(
            version="v0",
            published_at=DAY + HOUR,
            versions=[*versions, PublishedVersion("v0", DAY + HOUR)],
        )
        assert store.catalogue("acme", KB, ["kb_2"]) == {}
        assert store.catalogue("globex", KB, ["kb_1"]) == {}

    def test_a_name_of_the_catalogue_wins_over_one_that_came_with_usages(
        self, store: Store
    ) -> None:
        used = Reply("r_1", "s_1", DAY, available=Available(knowledge=["kb_1"]))

        def name() -> object:
            return store.resources("acme", KB, Window(), limit=1).items[0].name

        store.set_catalogue("acme", [CatalogueEntry(KB, "kb_1")])
        record(store, Reply("r_0", "s_1", DAY), names={KB: {"kb_1": "Of one that nobody used"}})
        assert name() is UNSET
        record(store, used, names={KB: {"kb_1": "Brought"}})
        assert name() == "Brought"
        store.set_catalogue("acme", [CatalogueEntry(KB, "kb_1", name="Set")])
        record(store, used, names={KB: {"kb_1": "Brought again"}})
        assert name() == store.catalogue("acme", KB, ["kb_1"])["kb_1"].name == "Set"
        store.set_catalogue("acme", [CatalogueEntry(KB, "kb_1", name=None)])
        assert name() == "Brought"

    def test_what_is_unused_is_told_with_its_reason_the_most_available_first(
        self, store: Store
    ) -> None:
        had = Available(knowledge=["kb_never", "kb_kept", "kb_stopped", "kb_used"])
        late = DAY + timedelta(days=2)
        record(
            store,
            Reply("r_1", "s_1", DAY, applied=Applied(knowledge=["kb_stopped", "kb_again"])),
            Reply("r_2", "s_1", DAY + HOUR, available=had),
            Reply("r_3", "s_1", DAY + HOUR, available=Available(knowledge=["kb_never"])),
            Reply("r_4", "s_2", DAY + HOUR, applied=Applied(knowledge=["kb_used"])),
            Reply("r_5", "s_2", late, applied=Applied(knowledge=["kb_again", "kb_new"])),
        )
        kept = [CatalogueEntry(KB, "kb_kept", keep=True), CatalogueEntry(KB, "kb_listed")]
        store.set_catalogue("acme", kept)
        window = Window(DAY + HOUR, late)
        page = store.unused("acme", KB, window, limit=10)
        assert [
            (row.resource_id, row.reason, row.available_replies, row.available_sessions)
            for row in page.items
        ] == [
            ("kb_never", UnusedReason.NEVER_APPLIED, 2, 1),
            ("kb_kept", UnusedReason.KEPT, 1, 1),
            ("kb_stopped", UnusedReason.STOPPED, 1, 1),
            ("kb_again", UnusedReason.STOPPED, 0, 0),
            ("kb_listed", UnusedReason.NEVER_AVAILABLE, 0, 0),
            ("kb_new", UnusedReason.NEVER_AVAILABLE, 0, 0),
        ]
        last = {row.resource_id: row.last_used_at for row in page.items}
        assert last["kb_stopped"] == last["kb_again"] == DAY
        assert last["kb_never"] is last["kb_new"] is None

    def test_a_table_has_what_has_no_value_at_its_end_whichever_way_it_is_turned(
        self, store: Store
    ) -> None:
        record(
            store,
            Reply("r_1", "s_1", DAY - 24 * HOUR, applied=Applied(knowledge=["kb_b"])),
            Reply("r_2", "s_2", DAY + HOUR, applied=Applied(knowledge=["kb_c", "kb_d"])),
            Reply("r_3", "s_3", DAY + HOUR, available=Available(knowledge=["kb_c", "kb_z"])),
        )
        store.set_conversations("acme", {"s_2": ConversationFacts(handed_off_at=DAY)})
        store.set_catalogue("acme", [CatalogueEntry(KB, "kb_a", name="Zebra")])
        expected = {
            ResourceSort.LAST_USED: ("c d b | z a", "b c d | z a"),
            ResourceSort.NAME: ("a z d c b", "b c d z a"),
            ResourceSort.APPLIED: ("b c d a z", "a z b c d"),
            ResourceSort.AVAILABLE: ("c b d z a", "a b d z c"),
            ResourceSort.APPLY_RATE: ("b d c z | a", "z c b d | a"),
            ResourceSort.HANDOFF_SHARE: ("c d b | a z", "b c d | a z"),
        }
        for sort, orders in expected.items():
            for descending, order in zip((True, False), orders, strict=True):
                table = store.ranked(
                    "acme", KB, Window(), sort=sort, descending=descending, limit=9
                )
                wanted = [f"kb_{letter}" for letter in order.replace("| ", "").split()]
                assert ids(table) == wanted, (sort, descending)
                assert table.match_count == 5

    def test_a_table_is_searched_by_id_and_name_in_any_case(self, store: Store) -> None:
        names = {"kb_1": "Straße", "kb_2": "Returns", "kb_s": "x"}
        store.set_catalogue("acme", [CatalogueEntry(KB, one, name=names[one]) for one in names])

        def found(search: str, limit: int = 9) -> tuple[list[str], int]:
            table = store.ranked("acme", KB, Window(), search=search, limit=limit)
            return ids(table), table.match_count

        assert found("STRASSE") == (["kb_1"], 1)
        assert found("S") == (["kb_1", "kb_2", "kb_s"], 3)
        assert found("s", limit=1) == (["kb_1"], 3)
        assert found("%") == ([], 0)

    def test_totals_are_of_the_type_and_of_all_conversations(self, store: Store) -> None:
        record(
            store,
            Reply("r_1", "s_1", DAY, applied=Applied(knowledge=["kb_1"])),
            Reply("r_2", "s_2", DAY + HOUR, available=Available(knowledge=["kb_1", "kb_2"])),
            Reply("r_3", "s_3", DAY + HOUR, applied=Applied(action=["lookup"])),
            Reply("r_4", "s_3", DAY + timedelta(days=1)),
        )
        store.set_catalogue("acme", [CatalogueEntry(KB, "kb_3")])
        handed_off = ConversationFacts(handed_off_at=DAY)
        store.set_conversations("acme", {"s_3": handed_off, "of no reply": handed_off})

        def totals(window: Window) -> tuple[int, int, int, int, int]:
            of = store.type_totals("acme", KB, window)
            of_them = (of.resource_count, of.applied_count, of.unused_count)
            return (*of_them, of.session_count, of.handoff_count)

        assert totals(Window(DAY)) == (3, 1, 2, 3, 1)
        assert totals(Window(DAY + HOUR)) == (3, 0, 3, 2, 1)
        assert totals(Window(DAY, DAY + HOUR)) == (3, 1, 2, 1, 0)
        assert totals(Window(DAY + 2 * HOUR)) == (3, 0, 3, 1, 1)
        nothing = TypeTotals(resource_count=0, applied_count=0, session_count=0, handoff_count=0)
        assert store.type_totals("globex", KB, Window(DAY)) == nothing

    def test_a_bucket_of_a_type_may_start_and_end_at_any_instant(self, store: Store) -> None:
        step = timedelta(minutes=7)
        lookup = Applied(action=["lookup", "lookup", "refund"])
        replies = [Reply(f"r_{n}", "s_1", DAY + n * step, applied=lookup) for n in range(40)]
        record(store, *replies)
        instants = [DAY - step, *(DAY + place * step for place in range(41))]
        buckets = [UsageBucket(0, 0), *[UsageBucket(0, 3)] * 40]
        assert store.type_timeline("acme", ResourceType.ACTION, instants) == buckets
        assert store.type_timeline("acme", ResourceType.ACTION, instants[::41]) == [
            UsageBucket(0, 120)
        ]
        assert store.type_timeline("acme", ResourceType.ACTION, instants[:1]) == []
        assert store.type_timeline("acme", ResourceType.ACTION, []) == []
        assert store.type_timeline("acme", KB, instants[:2]) == [UsageBucket(0, 0)]

    def test_the_tables_of_a_busy_organization_are_those_of_a_plain_set(self, store: Store) -> None:
        chance = random.Random(3)  # noqa: S311 (not a secret)
        names = [f"ins_{number}" for number in range(9)]
        batch = [
            Reply(
                reply_id=f"r_{number}",
                session_id=f"s_{chance.randrange(300)}",
                replied_at=DAY + timedelta(seconds=chance.randrange(3 * 86_400)),
                available=Available(instruction=[one for one in names if chance.random() < 0.4]),
                applied=Applied(
                    instruction=[one for n, one in enumerate(names) if chance.random() < 0.5**n],
                    action=["lookup"] * chance.choice([0, 0, 1, 3]),
                ),
            )
            for number in range(1_200)
        ]
        oracle = self.oracle()
        oracle.record(Recording("acme", batch))
        for start in range(0, len(batch), 400):
            record(store, *batch[start : start + 400])
        for number in range(0, 300, 7):
            handed_off = ConversationFacts(handed_off_at=DAY)
            store.set_conversations("acme", {f"s_{number}": handed_off})
            oracle.set_conversation("acme", f"s_{number}", handed_off)
        instants = [DAY + timedelta(minutes=97 * place) for place in range(1, 46)]
        windows = [
            Window(),
            Window(instants[9]),
            Window(*instants[5:7]),
            Window(*instants[1:42:40]),
        ]
        for resource_type in (ResourceType.INSTRUCTION, ResourceType.ACTION):
            of_type = ("acme", resource_type)
            for kind in UsageKind:
                asked = (*of_type, [*names, "lookup"], instants)
                counts = overview.usage_counts(oracle, *asked, kind)
                assert store.usage_counts(*asked, kind=kind) == counts
            timeline = overview.type_timeline(oracle, *of_type, instants)
            assert store.type_timeline(*of_type, instants) == timeline
            for window in windows:
                unused = overview.unused(oracle, *of_type, window)
                assert store.unused(*of_type, window, limit=50).items == unused
                for reason in (None, *UnusedReason):
                    table = overview.unused_table(oracle, *of_type, window, reason)
                    assert store.unused_table(*of_type, window, reason=reason, limit=50) == table
                totals = overview.type_totals(oracle, *of_type, window)
                assert store.type_totals(*of_type, window) == totals
                for sort, descending in product(ResourceSort, (True, False)):
                    order: Any = {"descending": descending, "search": ""}
                    ranked = store.ranked(*of_type, window, sort=sort, **order, limit=50)
                    assert ranked == overview.ranked(oracle, *of_type, window, sort, **order)
