"""``applyrate summary``, ``list`` and ``conversations``: the API's three questions."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Generic, TypeVar

import typer
from msgspec import Struct

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
    ConversationPosition,
    Page,
    ResourcePosition,
    UsageKind,
    Window,
)

Item = TypeVar("Item")
Position = TypeVar("Position", ResourcePosition, ConversationPosition)


class Rows(Struct, Generic[Item], frozen=True):
    """A page as the API answers it: ``next`` is null at the end."""

    items: Sequence[Item]
    next: str | None


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
    if as_json:
        print_json(counts)
        return
    from applyrate.cli.tables import summary_view

    _print_title(f"{resource_type} ", resource_id, org, window)
    stdout().print()
    stdout().print(summary_view(resource_type, counts, datetime.now(UTC)))


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
    question = Question("resources", resource_type, window=window)
    after = question.position(cursor, ResourcePosition)
    with opened_existing(data) as store:
        ask = partial(store.resources, org, resource_type, window)
        rows = _ask(ask, question, after, limit=limit, show_all=show_all)
    if as_json:
        print_json(rows)
        return
    _print_title(f"every {resource_type}", "", org, window)
    if not rows.items:
        stdout().print("Nothing is recorded here.")
        return
    from applyrate.cli.tables import resources_table

    console = stdout()
    console.print(resources_table(resource_type, rows.items, datetime.now(UTC), console.width))
    _print_more(rows)


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
    question = Question("conversations", resource_type, resource_id, usage, window=window)
    after = question.position(cursor, ConversationPosition)
    with opened_existing(data) as store:
        ask = partial(store.conversations, org, resource_type, resource_id, window, kind=usage)
        rows = _ask(ask, question, after, limit=limit, show_all=show_all)
    if as_json:
        print_json(rows)
        return
    _print_title(f"conversations with {usage} {resource_type} ", resource_id, org, window)
    if not rows.items:
        stdout().print("Nothing is recorded here.")
        return
    from applyrate.cli.tables import conversations_table

    console = stdout()
    console.print(conversations_table(rows.items, datetime.now(UTC), console.width))
    _print_more(rows)


def _ask(
    ask: Callable[..., Page[Item, Position]],
    question: Question,
    after: Position | None,
    *,
    limit: int,
    show_all: bool,
) -> Rows[Item]:
    """One page, or every page from there on as one."""
    page = ask(limit=MAX_LIMIT if show_all else limit, after=after)
    items = list(page.items)
    while show_all and page.next is not None:
        page = ask(limit=MAX_LIMIT, after=page.next)
        items += page.items
    return Rows(items, question.cursor(page.next))


def _print_title(words: str, resource_id: str, org: str, window: Window) -> None:
    from rich.text import Text

    asked = f"   {org}, {show_window(window)}"
    stdout().print(Text.assemble(words, (resource_id, "bold cyan"), (asked, "dim")))


def _print_more(rows: Rows[Item]) -> None:
    if rows.next is not None:
        stdout().print(f"[dim]There are more: --all, or --cursor {rows.next}[/]", soft_wrap=True)
