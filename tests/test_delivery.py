"""A block on its way into the store: what is at fault stands alone, if it is not the store."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate.errors import Unavailable
from applyrate.intake.delivery import Delivered, deliver
from applyrate.intake.sent import Sent, SentFacts, SentReplies
from applyrate.intake.undelivered import Waiting
from applyrate.store.sqlite import SQLiteStore
from applyrate.usage import Applied, ConversationFacts, Receipt, Recording, Reply, Window

ORG = "acme"
AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


class PickyStore(SQLiteStore):
    """The real store, which refuses some things for good, and may fail as a whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.insert_count = 0
        self.failure: Exception | None = None
        self.probe_failure: Exception | None = None

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        self.insert_count += 1
        self._fail(reply.reply_id for recording in recordings for reply in recording.replies)
        return super().record(recordings)

    def set_conversations(self, org: str, facts: Mapping[str, ConversationFacts]) -> list[str]:
        self._fail(iter(facts))
        return super().set_conversations(org, facts)

    def probe(self) -> None:
        if self.probe_failure:
            raise self.probe_failure
        super().probe()

    def _fail(self, names: Iterator[str]) -> None:
        if self.failure:
            raise self.failure
        if any(name.startswith("poison") for name in names):
            raise ValueError("no")

    def reply_ids(self, org: str = ORG) -> set[str]:
        return {usage.reply_id for usage in self.usages(org, Window())}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PickyStore]:
    store = PickyStore(tmp_path / "applyrate.db")
    yield store
    store.close()


def reply(reply_id: str, session_id: str = "s") -> Reply:
    return Reply(reply_id, session_id, AT, applied=Applied(action=["look"]))


def block(*items: SentReplies | SentFacts, org: str = ORG) -> list[Waiting]:
    return [Waiting(number, Sent(org, item)) for number, item in enumerate(items)]


def replies(*reply_ids: str) -> SentReplies:
    return SentReplies([reply(one) for one in reply_ids])


def refused_of(delivered: Delivered) -> list[str]:
    return [
        one.sent.item.session_id
        if isinstance(one.sent.item, SentFacts)
        else one.sent.item.replies[0].reply_id
        for one in delivered.refused
    ]


def test_a_block_is_one_insert(store: PickyStore) -> None:
    sent = block(*(replies(f"a{number}", f"b{number}") for number in range(50)))
    delivered = deliver(store, [*sent, *block(replies("c"), org="other")])
    assert store.insert_count == 1
    assert sum(receipt.accepted for receipt in delivered.receipts) == 101
    assert delivered.refused == []
    assert delivered.rejected == {}
    again = deliver(store, sent)
    assert sum(receipt.duplicates for receipt in again.receipts) == 100


def test_what_breaks_a_block_is_found_in_few_steps(store: PickyStore) -> None:
    names = [f"r{number}" for number in range(1024)]
    names[400] = "poison"
    sent = block(*(replies(*names[start : start + 64]) for start in range(0, 1024, 64)))
    delivered = deliver(store, sent)
    assert refused_of(delivered) == ["poison"]
    assert delivered.refused[0].problem == "ValueError: no"
    assert store.reply_ids() == set(names) - {"poison"}
    assert store.insert_count <= 21  # two for each halving of 1024, and the whole


def test_the_facts_of_a_conversation_that_is_refused_stand_alone(store: PickyStore) -> None:
    sent = block(
        *(SentFacts(f"s{number}", ConversationFacts(status="open")) for number in range(9)),
        SentFacts("poison", ConversationFacts(status="open")),
        replies("r"),
    )
    delivered = deliver(store, sent)
    assert refused_of(delivered) == ["poison"]
    known = store.conversation(ORG, "s8")
    assert known is not None
    assert known.status == "open"
    assert store.reply_ids() == {"r"}


@pytest.mark.parametrize(
    ("failure", "probe_failure"),
    [
        (Unavailable("later", retry_after_seconds=1), None),
        (ConnectionResetError("gone"), None),
        (TimeoutError("slow"), None),
        (ValueError("no table"), ValueError("no table")),
        (ValueError("no"), Unavailable("later", retry_after_seconds=1)),
        (ValueError("no"), ConnectionResetError("gone")),
    ],
)
def test_where_it_is_the_store_that_fails_nothing_is_refused(
    store: PickyStore, failure: Exception, probe_failure: Exception | None
) -> None:
    store.failure, store.probe_failure = failure, probe_failure
    for sent in (replies("a", "b"), SentFacts("s", ConversationFacts(status="open"))):
        with pytest.raises(Unavailable):
            deliver(store, block(sent))
    assert store.insert_count == 1


def test_what_the_store_does_not_take_is_noted(store: PickyStore) -> None:
    store.record([Recording(ORG, [reply("a", "first")])])
    store.erase(ORG, ["gone"])
    delivered = deliver(
        store,
        [
            *block(
                SentReplies([reply("a", "second"), reply("b", "gone"), reply("c")]),
                SentFacts("gone", ConversationFacts(status="open")),
            ),
            *block(replies("a"), org="other"),
        ],
    )
    assert delivered.rejected.keys() == {ORG}
    notes = list(delivered.rejected[ORG].newest)
    assert [note.source for note in notes] == ["replies", "replies", "conversations"]
    assert [note.reply_id for note in notes] == ["a", None, None]
    assert "'first'" in notes[0].message
    assert sum(receipt.accepted for receipt in delivered.receipts) == 2
    assert sum(len(receipt.refused) for receipt in delivered.receipts) == 2


def test_settings_of_one_conversation_come_to_the_last_of_each_field(store: PickyStore) -> None:
    sent = [
        ConversationFacts(status="open", csat=2, ticket_number=7),
        ConversationFacts(status="resolved", handed_off_at=AT),
        ConversationFacts(csat=None),
    ]
    deliver(store, block(*(SentFacts("s", facts) for facts in sent)))
    known = store.conversation(ORG, "s")
    assert known is not None
    assert (known.status, known.csat, known.ticket_number) == ("resolved", None, 7)
    assert known.handed_off_at == AT
