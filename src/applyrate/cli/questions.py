"""``applyrate summary``, ``list`` and ``conversations``: the API's three questions."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final, TypeVar

import typer

from applyrate.answers import ConversationUsageList, ResourceUsageList
from applyrate.api.cursors import Question
from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_LIMIT,
    DEFAULT_ORG,
    MAX_LIMIT,
    All,
    AsJson,
    Cursor,
    Data,
    From,
    Id,
    Limit,
    Org,
    To,
    Type,
    opened_existing,
)
from applyrate.cli.terminal import print_json, show_window, stdout
from applyrate.usage import (
    AuditPosition,
    ConversationPosition,
    Page,
    ResourcePosition,
    ResourceType,
    UsageKind,
    Window,
)

Item = TypeVar("Item")
Position = TypeVar("Position", ResourcePosition, ConversationPosition, AuditPosition)


@reporting_failure
def summary(
    resource_type: Type,
    resource_id: Id,
    *,
    from_: From = None,
    to: To = None,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """Count how often one action, instruction or knowledge item was used."""
    window = Window.parse(from_, to)
    with opened_existing(data) as store:
        counts = store.summary(org, resource_type, resource_id, window)
        applied_signal = resource_type in store.applied_signal(org)
    if as_json:
        print_json(counts)
        return
    from applyrate.cli.tables import summary_view

    _print_title(f"{resource_type} ", resource_id, org, window)
    stdout().print()
    now = datetime.now(UTC)
    stdout().print(summary_view(resource_type, counts, now, applied_signal=applied_signal))
    if not applied_signal:
        stdout().print()
        _print_no_signal(resource_type)


@reporting_failure
def list_resources(
    resource_type: Type,
    *,
    from_: From = None,
    to: To = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    show_all: All = False,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """List every resource of a type with its counts, most recently applied first."""
    window = Window.parse(from_, to)
    with opened_existing(data) as store:
        question = Question(store.cursor_secret(), org, "resources", resource_type, window=window)
        after = question.position(cursor, ResourcePosition)
        ask = partial(store.resources, org, resource_type, window)
        items, cursor = read_pages(ask, question, after, limit=limit, show_all=show_all)
        answer = ResourceUsageList(items, cursor, resource_type in store.applied_signal(org))
    if as_json:
        print_json(answer)
        return
    _print_title(f"every {resource_type}", "", org, window)
    if not items:
        stdout().print("Nothing is recorded here.")
        return
    from applyrate.cli.tables import resources_table

    console = stdout()
    console.print(resources_table(resource_type, answer, datetime.now(UTC), console.width))
    print_more(cursor)
    if not answer.applied_signal:
        _print_no_signal(resource_type)


@reporting_failure
def list_conversations(
    resource_type: Type,
    resource_id: Id,
    *,
    usage: Annotated[
        UsageKind, typer.Option("--usage", help="Those that applied it, or had it available.")
    ] = UsageKind.APPLIED,
    from_: From = None,
    to: To = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    show_all: All = False,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """List the conversations that used a resource, newest use first."""
    window = Window.parse(from_, to)
    with opened_existing(data) as store:
        subject = ("conversations", resource_type, resource_id, usage)
        question = Question(store.cursor_secret(), org, *subject, window=window)
        after = question.position(cursor, ConversationPosition)
        ask = partial(store.conversations, org, resource_type, resource_id, window, kind=usage)
        items, cursor = read_pages(ask, question, after, limit=limit, show_all=show_all)
    if as_json:
        print_json(ConversationUsageList(items, cursor))
        return
    _print_title(f"conversations with {usage} {resource_type} ", resource_id, org, window)
    if not items:
        stdout().print("Nothing is recorded here.")
        return
    from applyrate.cli.tables import conversations_table

    console = stdout()
    console.print(conversations_table(items, datetime.now(UTC), console.width))
    print_more(cursor)


def read_pages(
    ask: Callable[..., Page[Item, Position]],
    question: Question,
    after: Position | None,
    *,
    limit: int,
    show_all: bool,
) -> tuple[list[Item], str | None]:
    """One page, or every page from there on as one; and the cursor to go on from."""
    page = ask(limit=MAX_LIMIT if show_all else limit, after=after)
    items = list(page.items)
    while show_all and page.next is not None:
        page = ask(limit=MAX_LIMIT, after=page.next)
        items += page.items
    return items, question.cursor(page.next)


def _print_title(words: str, resource_id: str, org: str, window: Window) -> None:
    from rich.text import Text

    asked = f"   {org}, {show_window(window)}"
    stdout().print(Text.assemble(words, (resource_id, "bold cyan"), (asked, "dim")))


def print_more(cursor: str | None) -> None:
    """Say how to go on, where there is more."""
    if cursor is not None:
        stdout().print(f"[dim]There are more: --all, or --cursor {cursor}[/]", soft_wrap=True)


_NOUNS: Final = {
    ResourceType.ACTION: "actions",
    ResourceType.INSTRUCTION: "instructions",
    ResourceType.KNOWLEDGE: "knowledge items",
}


def _print_no_signal(resource_type: ResourceType) -> None:
    """Say why nothing is known of what was applied, and what would tell it."""
    stdout().print(
        f"[dim]No signal: no source that reports here can tell which {_NOUNS[resource_type]} were"
        " applied; POST /replies can, and so can the span attribute"
        f" applyrate.applied.{resource_type}.[/]"
    )
