"""``applyrate erase``: conversations, or the texts of messages, that are to be gone for good."""

from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_ORG,
    AsJson,
    Data,
    Org,
    opened_existing,
    opened_inbox,
)
from applyrate.cli.terminal import print_json, show_count, stderr, stdout
from applyrate.errors import InvalidInput
from applyrate.usage import COMMAND_LINE, AuditAction

if TYPE_CHECKING:
    from applyrate.intake.inbox import Inbox
    from applyrate.store import Store

_MAX_ID = 512
_MESSAGES_AT_A_TIME = 500


class Erased(Struct, frozen=True):
    """What was there and is gone."""

    session_count: int
    reply_count: int
    message_count: int


def _checked_ids(session_ids: list[str] | None) -> list[str] | None:
    for session_id in session_ids or ():
        if not 1 <= len(session_id) <= _MAX_ID or "\0" in session_id:
            raise typer.BadParameter(f"{session_id[:20]!r}: an id has 1 to {_MAX_ID} characters")
    return session_ids


@reporting_failure
def erase(
    sessions: Annotated[
        list[str] | None,
        typer.Argument(metavar="SESSIONS", callback=_checked_ids, help="The ids of conversations."),
    ] = None,
    *,
    messages: Annotated[
        bool,
        typer.Option("--messages", help="Erase the texts of all messages instead, and no count."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """Erase conversations and every trace of them. It cannot be undone.

    What is sent of them again is rejected, also where nothing was known of them.
    """
    session_ids = sessions or []
    if bool(session_ids) == messages:
        raise InvalidInput("name conversations to erase, or --messages, and not both")
    with opened_existing(data) as store, opened_inbox(data) as inbox:
        what = (
            f"the texts of all messages of {org}"
            if messages
            else f"{show_count(len(session_ids), 'conversation')} of {org}"
        )
        if not yes:
            typer.confirm(f"Erase {what} for good?", abort=True, err=True)
        with stderr().status("Erasing ..."):
            erased = (
                _erase_messages(store, inbox, org) if messages else _erase(store, org, session_ids)
            )
            is_scrubbed = _finish(store, inbox)
    if as_json:
        print_json(erased)
    elif messages:
        stdout().print(
            f"Erased the messages of {show_count(erased.message_count, 'conversation')}."
        )
    else:
        known = show_count(erased.session_count, "conversation")
        replies = show_count(erased.reply_count, "reply")
        stdout().print(f"Erased {known} with {replies}.")
    if not is_scrubbed:
        told = "Somebody still reads what was: the service empties the log within a minute or so."
        stderr().print(told, style="yellow")


def _erase(store: "Store", org: str, session_ids: list[str]) -> Erased:
    erasure = store.erase(org, session_ids)
    return Erased(erasure.session_count, erasure.reply_count, 0)


def _erase_messages(store: "Store", inbox: "Inbox", org: str) -> Erased:
    store.note_act(org, COMMAND_LINE, AuditAction.MESSAGES_ERASE)
    inbox.erase_messages(org)
    total = 0
    while count := store.erase_messages(org, _MESSAGES_AT_A_TIME):
        total += count
    return Erased(0, 0, total)


def _finish(store: "Store", inbox: "Inbox") -> bool:
    from applyrate.intake.housekeeping import finish_erasures

    return finish_erasures(store, inbox)
