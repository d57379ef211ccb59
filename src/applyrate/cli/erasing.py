"""``applyrate erase``: conversations, or the texts of messages, that are to be gone for good."""

import time
from pathlib import Path
from typing import Annotated, Final

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
from applyrate.folders import is_held
from applyrate.usage import COMMAND_LINE, AuditAction

_MAX_ID = 512
_MESSAGES_AT_A_TIME = 200
_SERVICE_SECONDS: Final = 10
_POLL_SECONDS: Final = 0.05


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
    what = (
        f"the texts of all messages of {org}"
        if messages
        else f"{show_count(len(session_ids), 'conversation')} of {org}"
    )
    with opened_existing(data):
        if not yes:
            typer.confirm(f"Erase {what} for good?", abort=True, err=True)
    with stderr().status("Erasing ..."):
        erased = _erase_messages(data, org) if messages else _erase(data, org, session_ids)
        is_scrubbed = _finish(data)
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


def _erase(data: Path, org: str, session_ids: list[str]) -> Erased:
    from applyrate.intake.housekeeping import NOTHING_GONE, erase

    erasure = NOTHING_GONE
    with opened_existing(data) as store:
        for erasure in erase(store, org, session_ids, COMMAND_LINE):  # noqa: B007 (the last counts)
            pass
    return Erased(erasure.session_count, erasure.reply_count, 0)


def _erase_messages(data: Path, org: str) -> Erased:
    total = 0
    with opened_existing(data) as store, opened_inbox(data) as inbox:
        store.note_act(org, COMMAND_LINE, AuditAction.MESSAGES_ERASE)
        inbox.erase_messages(org)
        while count := store.erase_messages(org, _MESSAGES_AT_A_TIME):
            total += count
    return Erased(0, 0, total)


def _finish(data: Path) -> bool:
    """Finish what was erased; where the service runs, it does, since it has notes in memory."""
    from applyrate.intake.housekeeping import finish_erasures

    if is_held(data):
        until = time.monotonic() + _SERVICE_SECONDS
        with opened_existing(data) as store:
            while time.monotonic() < until:
                if not store.needs_scrub():
                    return True
                time.sleep(_POLL_SECONDS)
    with opened_existing(data) as store, opened_inbox(data) as inbox:
        return finish_erasures(store, inbox)
