"""What a person reads in a terminal: consoles, and times, windows and rates as words."""

from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec
import typer

from applyrate.usage import Window

if TYPE_CHECKING:
    from rich.console import Console


@cache
def stdout() -> "Console":
    """Where answers go."""
    from rich.console import Console

    return Console(highlight=False)


@cache
def stderr() -> "Console":
    """Where errors and progress go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(answer: object) -> None:
    """Print an answer for machines, on one line, as the HTTP API encodes it."""
    typer.echo(msgspec.json.encode(answer))


NOTHING: Final = "-"
"""Stands where there is no time, no number and no text."""

_RECENT: Final = timedelta(days=60)
_UNITS: Final = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
)


def show_time(at: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"


def show_age(at: datetime | None, now: datetime) -> str:
    """How long ago a time was, or how far ahead it is: ``3 h ago``, ``in 12 d``; else its date."""
    if at is None:
        return NOTHING
    distance = abs(now - at)
    if distance >= _RECENT:
        return f"{at:%Y-%m-%d}"
    for unit, name in _UNITS:
        if distance >= unit:
            words = f"{distance // unit} {name}"
            return f"{words} ago" if at < now else f"in {words}"
    return "now"


def show_window(window: Window) -> str:
    """A window in words; its end is not in it."""
    if window.from_at is None and window.to_at is None:
        return "all time"
    start = "" if window.from_at is None else f"from {show_time(window.from_at)} "
    end = "" if window.to_at is None else f"until {show_time(window.to_at)} "
    return f"{start}{end}UTC"


def show_count(count: int, noun: str) -> str:
    """A number and what it counts, in the plural unless it is one."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun != "day" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def show_share(part: int, whole: int) -> str:
    """A part of a whole in percent; only nothing of it is 0.0 % and only all of it is 100.0 %."""
    if not whole:
        return NOTHING
    thousandths = round(1000 * part / whole)
    if part:
        thousandths = max(thousandths, 1)
    if part < whole:
        thousandths = min(thousandths, 999)
    return f"{thousandths / 10:.1f} %"
