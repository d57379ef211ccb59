"""``applyrate inbox``: what waits here for a store on other machines, and what it refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from msgspec import Struct

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import DEFAULT_DATA, AsJson, Data, opened_inbox
from applyrate.cli.terminal import print_json, show_count, stdout
from applyrate.errors import InvalidInput, NotFound
from applyrate.usage import ConversationFacts, Reply

if TYPE_CHECKING:
    from applyrate.intake.undelivered import SetAside, Undelivered

app = typer.Typer(
    help="See what waits for a store on other machines, and decide about what it refused.",
    no_args_is_help=True,
)

Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBERS", help="Of what is set aside, as `inbox list` shows them."),
]
Everything = Annotated[bool, typer.Option("--all", help="All that is set aside.")]


class Refused(Struct, frozen=True, kw_only=True):
    """One reply that the store refused for good, or without ``reply_id`` facts of a conversation.

    ``number`` names it here.
    """

    number: int
    org: str
    session_id: str
    reply_id: str | None
    problem: str
    set_aside_at: datetime


class RefusedInFull(Refused, frozen=True, kw_only=True):
    """The same with what was sent."""

    reply: Reply | None
    facts: ConversationFacts | None


class InboxList(Struct, frozen=True):
    """How many replies wait, for how long the oldest has, and what is set aside."""

    waiting_count: int
    oldest_seconds: float
    set_aside: Sequence[Refused]


@app.command("list")
@reporting_failure
def list_inbox(*, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List what is set aside, after how much waits for its delivery."""
    with _opened(data) as undelivered:
        backlog, aside = undelivered.backlog(), undelivered.set_aside()
    if as_json:
        refused = [Refused(**_describe(one)) for one in aside]
        print_json(InboxList(backlog.reply_count, backlog.oldest_seconds, refused))
        return
    waiting = show_count(backlog.reply_count, "reply")
    since = f", the oldest for {backlog.oldest_seconds:,.0f} s" if backlog.reply_count else ""
    stdout().print(f"{waiting} to be delivered{since}; {len(aside):,} set aside.")
    if aside:
        from applyrate.cli.tables import set_aside_table

        stdout().print(set_aside_table(aside, datetime.now(UTC)))


@app.command("show")
@reporting_failure
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As `inbox list` shows it.")],
    *,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show what was sent, and why the store refused it."""
    from applyrate.intake.sent import SentFacts

    with _opened(data) as undelivered:
        (aside,) = _find(undelivered, [number])
    sent = aside.item
    facts = sent.facts if isinstance(sent, SentFacts) else None
    reply = None if isinstance(sent, SentFacts) else sent.replies[0]
    if as_json:
        print_json(RefusedInFull(**_describe(aside), reply=reply, facts=facts))
        return
    what = f"conversation {aside.session_id}" if reply is None else f"reply {aside.reply_id}"
    stdout().print(f"{what} of {aside.org}: {aside.problem}", markup=False, soft_wrap=True)
    text = msgspec.json.format(msgspec.json.encode(reply or facts)).decode()
    stdout().print(text, markup=False, soft_wrap=True)


@app.command("retry")
@reporting_failure
def retry(
    numbers: Numbers = None, *, everything: Everything = False, data: Data = DEFAULT_DATA
) -> None:
    """Deliver what is set aside again. The service does so within a second or so."""
    with _opened(data) as undelivered:
        count = sum(
            undelivered.retry(one) for one in _chosen(undelivered, numbers, everything=everything)
        )
    stdout().print(f"{count:,} to be delivered again.")


@app.command("drop")
@reporting_failure
def drop(
    numbers: Numbers = None,
    *,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Drop what is set aside. It was acknowledged, and is lost for good."""
    with _opened(data) as undelivered:
        chosen = _chosen(undelivered, numbers, everything=everything)
        if chosen and not yes:
            typer.confirm(f"Drop {len(chosen):,} for good?", abort=True, err=True)
        count = sum(undelivered.drop(one) for one in chosen)
    stdout().print(f"{count:,} dropped.")


@contextmanager
def _opened(data: Data) -> "Iterator[Undelivered]":
    from applyrate.intake.inbox import FILE

    if not (data / FILE).exists():
        raise NotFound(f"there is no inbox in {str(data)!r}; name another folder with --data")
    with opened_inbox(data) as inbox:
        yield inbox.undelivered


def _chosen(
    undelivered: "Undelivered", numbers: list[int] | None, *, everything: bool
) -> list[int]:
    if bool(numbers) == everything:
        raise InvalidInput("NUMBERS: name what is set aside, or --all, and not both")
    found = undelivered.set_aside() if everything else _find(undelivered, numbers or [])
    return [aside.number for aside in found]


def _find(undelivered: "Undelivered", numbers: Sequence[int]) -> "list[SetAside]":
    found: list[SetAside] = []
    for number in dict.fromkeys(numbers):
        aside = undelivered.set_aside(number)
        if not aside:
            raise NotFound(f"NUMBER: {number} is not set aside; see `applyrate inbox list`")
        found += aside
    return found


def _describe(aside: "SetAside") -> dict[str, Any]:
    told = msgspec.structs.asdict(aside)
    del told["item"]
    return told
