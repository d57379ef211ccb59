"""``applyrate inbox``: a person sees what a store refused, and decides about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate.intake.inbox import FILE, Inbox
from applyrate.intake.sent import Sent, SentFacts, SentReplies
from applyrate.intake.undelivered import Refused
from applyrate.usage import Applied, ConversationFacts, Reply
from tests.commands import answer, run

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
REPLY = Reply("r_1", "conv_1", AT, applied=Applied(action=["look"]), last_message="Hello.")
FACTS = ConversationFacts(status="open")


@contextmanager
def opened(data: Path) -> Iterator[Inbox]:
    inbox = Inbox(data / FILE, max_spans=1)
    try:
        yield inbox
    finally:
        inbox.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in which a reply and the facts of a conversation are set aside, and one waits."""
    refused = [
        Refused(Sent("acme", SentReplies([REPLY])), "ValueError: no"),
        Refused(Sent("acme", SentFacts("conv_2", FACTS)), "ValueError: never"),
    ]
    with opened(tmp_path) as inbox:
        inbox.undelivered.add([Sent("acme", SentReplies([REPLY, REPLY]))], 10)
        inbox.undelivered.settle([], refused)
    return tmp_path


def waiting(data: Path) -> int:
    with opened(data) as inbox:
        assert list(inbox.check()) == []
        return inbox.undelivered.backlog().reply_count


def test_the_list_tells_what_waits_and_what_was_refused_and_why(data: Path) -> None:
    told = answer("inbox", "list", "--data", data)
    assert told["waiting_count"] == 2
    assert [one["reply_id"] for one in told["set_aside"]] == ["r_1", None]
    assert told["set_aside"][1]["session_id"] == "conv_2"
    shown = run("inbox", "list", "--data", data).stdout
    assert "2 replies to be delivered, the oldest for" in shown
    assert "2 set aside." in shown
    for text in ("reply r_1", "conversation conv_2", "ValueError: never", "acme"):
        assert text in shown


def test_what_was_sent_can_be_read(data: Path) -> None:
    first, second = (one["number"] for one in answer("inbox", "list", "--data", data)["set_aside"])
    told = answer("inbox", "show", first, "--data", data)
    assert (told["problem"], told["facts"]) == ("ValueError: no", None)
    assert told["reply"]["last_message"] == "Hello."
    assert answer("inbox", "show", second, "--data", data)["facts"] == {"status": "open"}
    shown = run("inbox", "show", first, "--data", data).stdout
    assert shown.startswith("reply r_1 of acme: ValueError: no\n")
    assert '"session_id": "conv_1"' in shown


def test_what_is_retried_waits_again(data: Path) -> None:
    first = answer("inbox", "list", "--data", data)["set_aside"][0]["number"]
    assert run("inbox", "retry", first, "--data", data).stdout == "1 to be delivered again.\n"
    assert waiting(data) == 3
    assert run("inbox", "retry", "--all", "--data", data).stdout == "1 to be delivered again.\n"
    assert waiting(data) == 4
    assert answer("inbox", "list", "--data", data)["set_aside"] == []


def test_what_is_dropped_is_gone_once_that_is_confirmed(data: Path) -> None:
    first = answer("inbox", "list", "--data", data)["set_aside"][0]["number"]
    assert run("inbox", "drop", first, "--data", data).exit_code == 1
    assert len(answer("inbox", "list", "--data", data)["set_aside"]) == 2
    assert run("inbox", "drop", first, "--yes", "--data", data).stdout == "1 dropped.\n"
    assert run("inbox", "drop", "--all", "--yes", "--data", data).stdout == "1 dropped.\n"
    assert answer("inbox", "list", "--data", data)["set_aside"] == []
    assert waiting(data) == 2


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_nothing_is_chosen_by_accident(data: Path, command: str) -> None:
    for arguments in ((), (1, "--all")):
        refused = run("inbox", command, *arguments, "--data", data)
        assert refused.exit_code == 2
        assert "name what is set aside, or --all" in refused.stderr
    refused = run("inbox", command, 1, 77, "--data", data)
    assert "NUMBER: 77 is not set aside" in refused.stderr
    assert len(answer("inbox", "list", "--data", data)["set_aside"]) == 2


def test_where_there_is_no_inbox_none_is_made(tmp_path: Path) -> None:
    refused = run("inbox", "list", "--data", tmp_path / "none")
    assert refused.exit_code == 1
    assert "there is no inbox" in refused.stderr
    assert not (tmp_path / "none").exists()
