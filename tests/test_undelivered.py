"""What is acknowledged before the store has it: kept whole, in order, and erased like all else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate.errors import Unavailable
from applyrate.intake.inbox import FILE, Inbox
from applyrate.intake.sent import Sent, SentFacts, SentReplies
from applyrate.intake.undelivered import Refused, Undelivered
from applyrate.usage import Applied, Available, ConversationFacts, Invocation, Reply

ORG = "acme"
AT = datetime(2026, 3, 1, 10, 0, 0, 1, tzinfo=UTC)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    inbox = Inbox(tmp_path / FILE, max_spans=1)
    yield inbox
    assert list(inbox.check()) == []
    inbox.close()


@pytest.fixture
def undelivered(inbox: Inbox) -> Undelivered:
    return inbox.undelivered


def reply(reply_id: str, session_id: str = "s", text: str | None = None) -> Reply:
    return Reply(reply_id, session_id, AT, last_message=text)


def replies(*them: Reply, org: str = ORG) -> Sent:
    return Sent(org, SentReplies(list(them)))


def facts(session_id: str, org: str = ORG, **known: object) -> Sent:
    return Sent(org, SentFacts(session_id, ConversationFacts(**known)))  # type: ignore[arg-type]  # of each field its own


def kept(undelivered: Undelivered) -> list[Sent]:
    return [waiting.sent for waiting in undelivered.oldest(1_000)]


def test_what_is_kept_is_what_was_sent(undelivered: Undelivered) -> None:
    whole = Reply(
        "r\N{SNOWMAN}",
        "s",
        datetime.min.replace(tzinfo=UTC),
        available=Available(knowledge=["k"]),
        applied=Applied(instruction=["i"], action=["a", Invocation("a", "c1")]),
        ticket_number=2**53 - 1,
        last_message="text",
    )
    late = Reply("late", "s", datetime.max.replace(tzinfo=UTC))
    sent = [
        replies(whole, late),
        facts("s", status=None, handed_off_at=AT, csat=4.5),
        facts("t"),
        replies(reply("other"), org="other"),
    ]
    undelivered.add(sent, 100)
    assert kept(undelivered) == sent


def test_a_block_has_what_fits_and_at_least_one(undelivered: Undelivered) -> None:
    undelivered.add([replies(*(reply(f"{one}{two}") for two in "abc")) for one in "123"], 100)
    assert [len(undelivered.oldest(most)) for most in (1, 3, 5, 6, 9, 100)] == [1, 1, 1, 2, 3, 3]


def test_only_what_is_settled_leaves(undelivered: Undelivered) -> None:
    undelivered.add([replies(reply("a"), reply("b")), replies(reply("c"))], 100)
    first, second = undelivered.oldest(100)
    undelivered.settle([first])
    undelivered.settle([first])  # another process had it, too
    assert [waiting.number for waiting in undelivered.oldest(100)] == [second.number]
    assert undelivered.backlog().reply_count == 1


def test_a_full_inbox_takes_nothing_of_what_does_not_fit(undelivered: Undelivered) -> None:
    undelivered.add([replies(reply("a"), reply("b"))], 3)
    with pytest.raises(Unavailable, match="the inbox is full: 2 replies wait in it") as raised:
        undelivered.add([facts("s"), replies(reply("c"))], 3)
    assert raised.value.limit == "inbox_max_replies"
    assert undelivered.backlog().reply_count == 2
    undelivered.add([facts("s")], 3)


def test_what_was_set_aside_waits_again_when_it_is_retried(undelivered: Undelivered) -> None:
    poison = [replies(reply("a")), facts("s", status="open")]
    undelivered.settle([], [Refused(sent, "no") for sent in poison])
    assert undelivered.backlog().set_aside_count == 2
    assert undelivered.retry() == 2
    assert kept(undelivered) == poison
    assert undelivered.backlog().set_aside_count == 0


def test_an_erased_conversation_is_in_neither_table(inbox: Inbox, undelivered: Undelivered) -> None:
    stays = [reply("b", "t"), reply("c", "s t")]
    undelivered.add([replies(reply("a"), *stays), replies(reply("d")), facts("s"), facts("t")], 99)
    undelivered.add([replies(reply("a"), org="other")], 99)
    undelivered.settle([], [Refused(replies(reply("x")), "no"), Refused(facts("t"), "no")])
    inbox.erase(ORG, "s", [])
    assert kept(undelivered) == [replies(*stays), facts("t"), replies(reply("a"), org="other")]
    assert [one.session_id for one in undelivered.set_aside()] == ["t"]


def test_erased_messages_are_in_neither_table(
    inbox: Inbox, undelivered: Undelivered, tmp_path: Path
) -> None:
    secret = "a text of its own"
    undelivered.add([replies(reply("a", text=secret)), facts("s", last_message=secret)], 99)
    undelivered.add([replies(reply("a", text="theirs"), org="other")], 99)
    undelivered.settle([], [Refused(replies(reply("x", text=secret)), "no")])
    inbox.erase_messages(ORG)
    assert kept(undelivered) == [
        replies(reply("a")),
        facts("s"),
        replies(reply("a", text="theirs"), org="other"),
    ]
    (aside,) = undelivered.set_aside()
    assert aside.item == SentReplies([reply("x")])
    assert inbox.scrub()
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())
