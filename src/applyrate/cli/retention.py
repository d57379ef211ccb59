"""``applyrate retention``: for how long an organization keeps its replies."""

from typing import Annotated

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
from applyrate.settings import load_settings
from applyrate.usage import FOREVER

_MOST_DAYS = 36_500


class RetentionAnswer(Struct, frozen=True):
    """For how many days an organization keeps its replies, 0 for ever.

    ``is_own``: it set that itself. ``removed_replies``: what went at once, where that was asked.
    """

    days: int
    is_own: bool
    removed_replies: int


def _checked_days(text: str | None) -> str | None:
    if text is None or text in ("none", "default"):
        return text
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_DAYS:
        return text
    raise typer.BadParameter(f"{text[:20]!r} is no number from 1 to {_MOST_DAYS}, none or default")


@reporting_failure
def retention(
    *,
    days: Annotated[
        str | None,
        typer.Option(
            "--days",
            metavar="N",
            callback=_checked_days,
            help="Keep replies for N days; none: for ever; default: as the settings say.",
        ),
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Remove what is older at once, without the service.")
    ] = False,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """Show or set for how long an organization keeps its replies.

    The service removes what is older within a minute or so, and whatever comes to be.
    """
    removed = 0
    with opened_existing(data) as store:
        if days is not None:
            own = {"none": FOREVER, "default": None}
            store.set_retention(org, own[days] if days in own else int(days))
        if now:
            from applyrate.intake.housekeeping import expire, finish_erasures

            with stderr().status("Removing ..."), opened_inbox(data) as inbox:
                for removed in expire(store, inbox, org):  # noqa: B007 (the last one counts)
                    pass
                finish_erasures(store, inbox)
        own_days = store.retention_days(org)
    kept = load_settings().retention_days if own_days is None else own_days
    if as_json:
        print_json(RetentionAnswer(kept, own_days is not None, removed))
        return
    told = "for ever" if kept == FOREVER else f"for {show_count(kept, 'day')}"
    whose = "" if own_days is not None else ", as the settings say"
    stdout().print(f"{org} keeps its replies {told}{whose}.", markup=False)
    if now:
        stdout().print(f"Removed {show_count(removed, 'reply')}.")
