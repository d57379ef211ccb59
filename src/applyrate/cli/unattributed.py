"""``applyrate unattributed`` and ``attribute``: the traces that name no conversation."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

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
from applyrate.settings import load_settings

if TYPE_CHECKING:
    from applyrate.answers import UnattributedList
    from applyrate.intake.traces import Attribution
    from applyrate.settings import Settings
    from applyrate.store import Store

_MAX_NAME = 512


@reporting_failure
def unattributed(
    *, data: Data = DEFAULT_DATA, org: Org = DEFAULT_ORG, as_json: AsJson = False
) -> None:
    """List the traces that gave no reply, and the attributes that may name their conversation."""
    with opened_existing(data), opened_inbox(data) as inbox:
        answer = inbox.findings(org)
    if as_json:
        print_json(answer)
        return
    from rich.text import Text

    title = Text.assemble("traces without a reply", (f" in {org}", "dim"))
    stdout().print(title)
    if answer.items:
        from applyrate.cli.tables import unattributed_table

        console = stdout()
        console.print(unattributed_table(answer.items, datetime.now(UTC), console.width))
    else:
        stdout().print("There are none.")
    _print_rest(answer)


def _checked_name(name: str) -> str:
    if 1 <= len(name) <= _MAX_NAME and "\0" not in name:
        return name
    raise typer.BadParameter(f"{name[:20]!r}: a name has 1 to {_MAX_NAME} characters")


@reporting_failure
def attribute(
    *,
    from_attribute: Annotated[
        str,
        typer.Option(
            "--from-attribute",
            metavar="NAME",
            callback=_checked_name,
            help="The span or resource attribute that holds the conversation's id.",
        ),
    ],
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """Read conversations from an attribute: of the unattributed traces, and from now on."""
    settings = msgspec.structs.replace(load_settings(), data=str(data))
    with opened_existing(data) as store, stderr().status("Attributing ..."):
        brought = asyncio.run(_attribute(settings, store, org, from_attribute))
    if as_json:
        print_json(brought)
        return
    replies = show_count(brought.reply_count, "reply")
    conversations = show_count(brought.conversation_count, "conversation")
    remaining = show_count(brought.remaining_trace_count, "trace")
    stdout().print(f"[bold]{replies}[/] attributed, in {conversations}; {remaining}", end=" ")
    stdout().print(f"{'remains' if brought.remaining_trace_count == 1 else 'remain'} without one.")
    told = f"From now on {from_attribute} is read in new traces of {org}, too."
    stdout().print(told, markup=False, style="dim", soft_wrap=True)


async def _attribute(settings: "Settings", store: "Store", org: str, name: str) -> "Attribution":
    from applyrate.intake.group_commit import GroupCommit
    from applyrate.intake.traces import Traces

    commits = GroupCommit(store)
    traces = Traces(settings, store, commits)
    try:
        return await traces.attribute(org, name)
    finally:
        await traces.close()
        await commits.close()


def _print_rest(answer: "UnattributedList") -> None:
    print_line = stdout().print
    if any("conversation" in row.missing for row in answer.items):
        told = "Once you know the attribute: applyrate attribute --from-attribute NAME"
        print_line(told, style="dim", soft_wrap=True)
    if answer.mapped_attributes:
        told = f"Mapped: {', '.join(answer.mapped_attributes)}"
        print_line(told, markup=False, style="dim", soft_wrap=True)
    rest = [
        f"{show_count(count, 'trace')} {state}"
        for count, state in (
            (answer.waiting_count, "still to be looked at"),
            (answer.excluded_count, "excluded by the settings"),
        )
        if count
    ]
    if rest:
        print_line(f"{'; '.join(rest)}.", style="dim")
