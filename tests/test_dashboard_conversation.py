"""A conversation: its replies in order, what each had and applied, and where it was handed off."""

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import pytest

from applyrate.dashboard.conversation import write_length
from applyrate.usage import CatalogueEntry, ConversationFacts, ResourceType
from tests.dashboard import Reader, reading, text_of
from tests.servers import Server
from tests.usages import days_ago, record, reply


@pytest.fixture
def org(server: Server) -> str:
    org = server.new_org()
    at = days_ago(1)
    record(
        server,
        org,
        reply("s1", at + timedelta(minutes=3), had=["tone"], invoked=["refund", "refund"]),
        reply("s1", at, had=["tone", "refunds"], applied=["tone"], had_articles=["kb"]),
        reply("s1", at + timedelta(minutes=9), said="Bye."),
        names={"tone": "Tone of voice"},
    )
    facts = ConversationFacts(
        ticket_number=17,
        handed_off_at=at + timedelta(minutes=5),
        status="handed_off",
        csat=4,
    )
    server.store.set_conversations(org, {"s1": facts})
    return org


@pytest.fixture
def reader(server: Server, org: str) -> Iterator[Reader]:
    with reading(server, server.new_key(org)) as reader:
        yield reader


def replies_of(text: str) -> list[str]:
    """What each entry of the list says, the handoff too."""
    entries = re.findall(
        r'<li class="(?:card|handoff-mark)">.*?(?=<li class="(?:card|h)|</ol>)', text, re.DOTALL
    )
    return [" ".join(re.sub(r"<[^>]+>", " ", entry).split()) for entry in entries]


def test_replies_stand_in_the_order_of_their_times_with_the_handoff_between(
    reader: Reader,
) -> None:
    page = reader.open("/dashboard/conversation?id=s1")
    first, second, handoff, third = replies_of(page.text)
    assert first.startswith("Reply 1")
    assert "3 min later" in second
    assert handoff.startswith("Handed off to a person")
    assert "6 min later" in third
    assert "It had no resource in its context." in third


def test_a_reply_tells_what_it_applied_and_what_it_only_had(reader: Reader) -> None:
    page = reader.open("/dashboard/conversation?id=s1")
    first, second = replies_of(page.text)[:2]
    assert "Instructions Tone of voice Had 1 more and did not apply it refunds" in first
    assert "Knowledge Applied none. Had 1 and did not apply it kb" in first
    assert "Actions refund ×2" in second  # noqa: RUF001 (times)
    assert 'class="used" href="/dashboard/resource?type=action&amp;id=refund"' in page.text


def test_what_is_known_of_it_stands_above(reader: Reader) -> None:
    said = text_of(reader.open("/dashboard/conversation?id=s1"))
    assert "Ticket #17" in said
    assert "Replies 3" in said
    assert "Lasted 9 min" in said
    assert "Status Handed off" in said
    assert "Satisfaction 4 of 5" in said
    assert "Last message Bye." in said


def test_types_that_the_key_may_not_see_are_left_out(server: Server, org: str) -> None:
    key = server.new_key(org, ["training:read", "chat-sessions:read"])
    with reading(server, key) as reader:
        said = text_of(reader.open("/dashboard/conversation?id=s1"))
        assert "Tone of voice" in said
        assert "refund ×2" not in said  # noqa: RUF001 (times)
        assert "Your key may not see actions" in said


def test_the_scope_of_conversations_is_enough_for_the_page(server: Server, org: str) -> None:
    with reading(server, server.new_key(org, ["chat-sessions:read"])) as reader:
        page = reader.open("/dashboard/conversation?id=s1")
        assert page.status_code == 200
        assert "Replies 3" in text_of(page)
        assert "Nothing that your key may see." in text_of(page)
        assert "Tone of voice" not in page.text


def test_a_key_that_may_not_see_conversations_is_told_so(server: Server, org: str) -> None:
    with reading(server, server.new_key(org, ["training:read"])) as reader:
        page = reader.open("/dashboard/conversation?id=s1")
        assert page.status_code == 403
        assert "chat-sessions:read" in text_of(page)


def test_an_unknown_conversation_is_not_found(server: Server, reader: Reader) -> None:
    assert reader.open("/dashboard/conversation?id=s2").status_code == 404
    with reading(server, server.new_key(server.new_org())) as stranger:
        assert stranger.open("/dashboard/conversation?id=s1").status_code == 404


def test_a_conversation_of_which_only_facts_are_known_is_shown(
    server: Server, org: str, reader: Reader
) -> None:
    session_id = "a/b <i>"
    server.store.set_conversations(org, {session_id: ConversationFacts(status="open")})
    page = reader.open(f"/dashboard/conversation?id={quote(session_id, safe='')}")
    assert "No reply of it is recorded" in text_of(page)
    assert "<i>" not in page.text


def test_a_name_of_the_catalogue_is_shown(server: Server, org: str, reader: Reader) -> None:
    entry = CatalogueEntry(type=ResourceType.KNOWLEDGE, id="kb", name="Shipping times")
    server.store.set_catalogue(org, [entry])
    assert "Shipping times" in text_of(reader.open("/dashboard/conversation?id=s1"))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.4, "0 s"),
        (45, "45 s"),
        (200, "3 min 20 s"),
        (180, "3 min"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_is_told_in_two_units(seconds: float, told: str) -> None:
    assert write_length(timedelta(seconds=seconds)) == told
