"""The answers as tables, for people: they fit 80 columns, and say more where there are more."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec import UNSET
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from applyrate.answers import (
    CandidateAttribute,
    RejectedInput,
    RejectionReason,
    ResourceUsageList,
    UnattributedTraces,
)
from applyrate.cli.terminal import NOTHING, show_age, show_count, show_share, show_time
from applyrate.keys import ApiKey
from applyrate.usage import AuditEntry, ConversationUsage, ResourceType, ResourceUsage, UsageSummary

if TYPE_CHECKING:
    from applyrate.intake.undelivered import SetAside

_WIDE: Final = 110
"""From this many columns on there is room for what is only good to know."""

_BAR_CELLS: Final = 10
_CANDIDATES: Final = 4
_WIDE_CANDIDATES: Final = 8


def summary_view(
    resource_type: ResourceType, summary: UsageSummary, now: datetime, *, applied_signal: bool
) -> RenderableType:
    """One resource's counts, a line each; without a signal none of what was applied."""
    is_action = resource_type is ResourceType.ACTION
    counts = Table.grid(padding=(0, 3, 0, 0))
    counts.add_column(style="dim")
    counts.add_column(justify="right")
    counts.add_column(justify="right")
    if applied_signal:
        counts.add_row(
            "applied",
            show_count(summary.applied_sessions, "conversation"),
            show_count(summary.applied_replies, "invocation" if is_action else "reply"),
        )
    counts.add_row(
        "available",
        show_count(summary.available_sessions, "conversation"),
        show_count(summary.available_replies, "reply"),
    )
    facts = Table.grid(padding=(0, 3, 0, 0))
    facts.add_column(style="dim", min_width=len("available"))
    facts.add_column()
    if not applied_signal:
        facts.add_row("applied", _no_signal())
        return Group(facts, counts)
    if not is_action:
        facts.add_row("rate", _rate(summary, bar_cells=2 * _BAR_CELLS))
    facts.add_row("first", _time(summary.first_used_at, now))
    facts.add_row("last", _time(summary.last_used_at, now))
    return Group(counts, facts)


def resources_table(
    resource_type: ResourceType, listed: ResourceUsageList, now: datetime, width: int
) -> Table:
    """One row a resource, in the order of the list, its name below its id."""
    is_action, is_wide = resource_type is ResourceType.ACTION, width >= _WIDE
    table = _table()
    table.add_column(resource_type, overflow="fold", ratio=1)
    if not is_action:
        table.add_column("apply-rate" if is_wide else "apply-\nrate", justify="right", no_wrap=True)
    table.add_column("invoked" if is_action else "applied", justify="right")
    if not is_action or is_wide:
        table.add_column("available" if is_wide else "avail-\nable", justify="right")
    if is_action or is_wide:
        table.add_column("conver-\nsations", justify="right")
        table.add_column("handed\noff", justify="right", no_wrap=True)
    table.add_column("last\napplied", justify="right", no_wrap=True)
    unknown = Text(NOTHING, style="dim")
    has_signal = listed.applied_signal
    for item in listed.items:
        cells: list[RenderableType] = [_named(item)]
        if not is_action:
            bar_cells = _BAR_CELLS if is_wide else 0
            cells.append(_rate(item, bar_cells=bar_cells) if has_signal else _no_signal())
        cells.append(f"{item.applied_replies:,}" if has_signal else unknown)
        if not is_action or is_wide:
            cells.append(f"{item.available_replies:,}")
        if is_action or is_wide:
            cells.append(f"{item.applied_sessions:,}" if has_signal else unknown)
            cells.append(_handed_off(item) if has_signal else unknown)
        cells.append(_age(item.last_used_at, now) if has_signal else unknown)
        table.add_row(*cells)
    return table


def _named(item: ResourceUsage) -> RenderableType:
    resource_id = Text(item.resource_id, style="cyan")
    return resource_id if item.name is UNSET else Group(resource_id, _on_one_line(item.name))


def conversations_table(items: Sequence[ConversationUsage], now: datetime, width: int) -> Table:
    """One row a conversation, newest use first; its last message beside it or below."""
    is_wide = width >= _WIDE
    table = _table()
    if is_wide:
        longest = max(len(item.session_id) for item in items)
        table.add_column("conversation", overflow="fold", min_width=min(longest, width // 3))
        table.add_column("last message", no_wrap=True, overflow="ellipsis", ratio=1)
    else:
        table.add_column("conversation\nand its last message", overflow="fold", ratio=1)
    table.add_column("replies", justify="right")
    table.add_column("ticket", justify="right")
    table.add_column("last\nused", justify="right", no_wrap=True)
    for item in items:
        session_id = Text(item.session_id, style="cyan")
        message = _on_one_line(item.last_message or NOTHING)
        first = (session_id, message) if is_wide else (Group(session_id, message),)
        ticket = NOTHING if item.ticket_number is None else str(item.ticket_number)
        table.add_row(*first, f"{item.reply_count:,}", ticket, _age(item.last_used_at, now))
    return table


def keys_table(keys: Sequence[ApiKey], now: datetime) -> Table:
    """One row a key, oldest first."""
    table = _table()
    table.add_column("name\nand id", overflow="fold", ratio=1)
    table.add_column("ends\nin", no_wrap=True)
    table.add_column("scopes", no_wrap=True)
    table.add_column("created", no_wrap=True)
    table.add_column("last\nused", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for key in keys:
        table.add_row(
            Group(Text(key.name), Text(key.key_id, style="cyan")),
            key.hint,
            "full access" if key.scopes is None else "\n".join(key.scopes),
            f"{key.created_at:%Y-%m-%d}",
            show_age(key.last_used_at, now),
            _state(key, now),
            style=None if key.valid_at(now) else "dim",
        )
    return table


def audit_table(entries: Sequence[AuditEntry]) -> Table:
    """One row an act, the newest first."""
    table = _table()
    table.add_column("when", no_wrap=True)
    table.add_column("who", overflow="fold")
    table.add_column("what\nand to what", overflow="fold", ratio=1)
    for entry in entries:
        told = [Text(entry.action)]
        if entry.target is not None:
            told.append(Text(entry.target, style="cyan"))
        if entry.detail is not None:
            told.append(Text(entry.detail, style="dim"))
        table.add_row(show_time(entry.at), Text(entry.actor), Group(*told))
    return table


def unattributed_table(items: Sequence[UnattributedTraces], now: datetime, width: int) -> Table:
    """One row for each service and reason, the most traces first."""
    table = _table()
    table.add_column("service\nand what is missing", overflow="fold", ratio=2)
    table.add_column("traces", justify="right")
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("attributes\nthat may be the conversation", overflow="fold", ratio=3)
    candidates = _WIDE_CANDIDATES if width >= _WIDE else _CANDIDATES
    for item in items:
        reason = item.problem or ", ".join(f"no {name}" for name in item.missing)
        table.add_row(
            Group(Text(item.service or NOTHING, style="cyan"), Text(reason, style="red")),
            f"{item.trace_count:,}",
            show_age(item.last_at, now),
            Group(*(_candidate(one) for one in item.attributes[:candidates])),
        )
    return table


def reasons_table(reasons: Sequence[RejectionReason], now: datetime) -> Table:
    """One row for each source and reason, the most frequent first."""
    table = _table()
    table.add_column("reason", overflow="fold", ratio=1)
    table.add_column("came by", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("last", justify="right", no_wrap=True)
    for told in reasons:
        age = show_age(told.last_at, now)
        table.add_row(Text(told.reason, style="red"), told.source, f"{told.rejected_count:,}", age)
    return table


def rejected_table(items: Sequence[RejectedInput], now: datetime) -> Table:
    """One row for each thing that was rejected, newest first."""
    table = _table()
    table.add_column("what\nand why", overflow="fold", ratio=1)
    table.add_column("came by", no_wrap=True)
    table.add_column("when", justify="right", no_wrap=True)
    for item in items:
        told = Group(Text(_rejected_name(item), style="cyan"), Text(item.message))
        table.add_row(told, item.source, show_age(item.rejected_at, now))
    return table


def set_aside_table(items: "Sequence[SetAside]", now: datetime) -> Table:
    """What the store refused for good, and why."""
    table = _table()
    table.add_column("no.", justify="right", no_wrap=True)
    table.add_column("what was sent\nand what is wrong", overflow="fold")
    table.add_column("organization", overflow="fold")
    table.add_column("when", justify="right", no_wrap=True)
    for item in items:
        session, reply = f"conversation {item.session_id}", f"reply {item.reply_id}"
        name = Text(session if item.reply_id is None else reply, style="cyan")
        told = Group(name, Text(item.problem))
        table.add_row(str(item.number), told, Text(item.org), show_age(item.set_aside_at, now))
    return table


def _rejected_name(item: RejectedInput) -> str:
    """What an item is called: its own id and its place, as far as they are known."""
    told = [
        f"line {item.line:,}" if item.line is not None else "",
        f"index {item.index:,}" if item.index is not None else "",
        f"reply {item.reply_id}" if item.reply_id is not None else "",
        f"trace {item.trace_id}" if item.trace_id is not None else "",
    ]
    return ", ".join(filter(None, told)) or "a whole request"


def _candidate(attribute: CandidateAttribute) -> Text:
    return Text.assemble((attribute.name, "bold"), (f" {', '.join(attribute.examples)}", "dim"))


def _table() -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        expand=True,
    )


def _on_one_line(text: str) -> Text:
    """As much of a text as its column has room for."""
    return Text(" ".join(text.split()), style="dim", no_wrap=True, overflow="ellipsis")


def _no_signal() -> Text:
    return Text("no signal", style="dim")


def _rate(summary: UsageSummary | ResourceUsage, *, bar_cells: int) -> Text:
    applied, available = summary.applied_replies, summary.available_replies
    share = show_share(applied, available)
    filled = round(bar_cells * applied / available) if available else 0
    colour = "green" if applied else "red"
    return Text.assemble(
        ("━" * filled, "green"),
        ("━" * (bar_cells - filled), "bright_black"),
        (f" {share:>7}" if bar_cells else share, colour if available else "dim"),
    )


def _handed_off(item: ResourceUsage) -> Text:
    share = show_share(item.handoff_count, item.applied_sessions)
    return Text.assemble(f"{item.handoff_count:,}", (f" {share:>7}", "dim"))


def _time(at: datetime | None, now: datetime) -> Text:
    if at is None:
        return _never()
    age = show_age(at, now)
    told = "" if show_time(at).startswith(age) else f"   {age}"
    return Text.assemble(f"{show_time(at)} UTC", (told, "dim"))


def _age(at: datetime | None, now: datetime) -> Text:
    return _never() if at is None else Text(show_age(at, now))


def _never() -> Text:
    return Text("never", style="red")


def _state(key: ApiKey, now: datetime) -> Text:
    if key.revoked_at is not None:
        return Text(f"revoked\n{show_age(key.revoked_at, now)}", style="red")
    if key.expires_at is None:
        return Text("valid", style="green")
    if key.valid_at(now):
        return Text.assemble(("valid until", "green"), f"\n{key.expires_at:%Y-%m-%d}")
    return Text(f"expired\n{show_age(key.expires_at, now)}", style="red")
