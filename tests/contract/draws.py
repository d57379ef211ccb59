"""What is drawn at random: records and questions that are likely to meet each other."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from hypothesis import strategies as st
from msgspec import UNSET, convert

from applyrate.usage import (
    Applied,
    Available,
    CatalogueEntry,
    ConversationFacts,
    Invocation,
    Recording,
    Reply,
    ResourceType,
    Window,
)

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
bounds = st.lists(instants, max_size=6).map(sorted) | st.just(
    [DAY + timedelta(hours=hour) for hour in range(-1, 50)]
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
orgs = st.sampled_from(ORGS)
resource_types = st.sampled_from(ResourceType)
facts: st.SearchStrategy[ConversationFacts] = st.fixed_dictionaries(
    {},
    optional={
        "ticket_number": st.none() | st.integers(0, 2**53 - 1),
        "last_message": st.none() | st.text(max_size=5),
        "handed_off_at": st.none() | instants,
        "status": st.none() | st.sampled_from(["resolved", "Resolved", "open", "İn"]),
        # In quarters, so that a sum of them is exact in whatever order it is made.
        "csat": st.none() | st.integers(4, 20).map(lambda quarters: quarters / 4),
    },
).map(lambda named: convert(named, ConversationFacts))


_Recordings: TypeAlias = st.SearchStrategy[Recording]


def recordings(of: st.SearchStrategy[str], *, min_size: int = 0, max_size: int) -> _Recordings:
    """Replies that are sent together, with whatever may come with them."""
    named = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "Refunds", "退款"]))
    return st.builds(
        Recording,
        of,
        st.lists(replies, min_size=min_size, max_size=max_size),
        names=st.dictionaries(resource_types, named, max_size=2),
        reports=st.frozensets(resource_types, max_size=1),
        handed_off=st.dictionaries(sessions, instants, max_size=2),
    )


def catalogue_entries(*types: ResourceType) -> st.SearchStrategy[list[CatalogueEntry]]:
    """Entries of a catalogue, of resources that are used and of one that nobody uses."""
    unset = st.just(UNSET)
    versions = unset | st.none() | st.sampled_from(["v1", "v2", "2026-03 🙂"])
    entry = st.builds(
        CatalogueEntry,
        type=st.sampled_from(types or tuple(ResourceType)),
        id=st.sampled_from([*NAMES, "of no reply"]),
        name=unset | st.none() | st.sampled_from(["Straße", "refunds", "STRASSE 退款"]),
        version=versions,
        url=unset | st.none() | st.just("https://help.example/refunds"),
        published_at=unset | st.none() | instants,
        keep=unset | st.booleans(),
    )
    return st.lists(entry, max_size=4)


searches = st.sampled_from(["", "", "s", "STRASSE", "REFUND", "款", "a/b", "nothing"])
