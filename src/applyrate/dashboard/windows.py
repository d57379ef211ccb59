"""The window that a reader picked: a preset or two dates, in a time zone, as the URL has it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from msgspec import Struct

from applyrate.buckets import parse_time_zone
from applyrate.errors import InvalidInput
from applyrate.usage import Window


class Preset(StrEnum):
    """Windows that are picked by name; all end with today but the last month."""

    LAST_7_DAYS = "7d"
    LAST_30_DAYS = "30d"
    LAST_90_DAYS = "90d"
    THIS_MONTH = "this-month"
    LAST_MONTH = "last-month"
    ALL_TIME = "all"

    @property
    def label(self) -> str:
        """What the reader picks."""
        return _LABELS[self]


_LABELS: Final = {
    Preset.LAST_7_DAYS: "Last 7 days",
    Preset.LAST_30_DAYS: "Last 30 days",
    Preset.LAST_90_DAYS: "Last 90 days",
    Preset.THIS_MONTH: "This month",
    Preset.LAST_MONTH: "Last month",
    Preset.ALL_TIME: "All time",
}
_DAYS: Final = {Preset.LAST_7_DAYS: 7, Preset.LAST_30_DAYS: 30, Preset.LAST_90_DAYS: 90}

DEFAULT_PRESET: Final = Preset.LAST_30_DAYS
DEFAULT_TIMEZONE: Final = "UTC"


class PickedWindow(Struct, frozen=True, kw_only=True):
    """Whole days in a time zone, the first and the last of them included; None is no bound."""

    preset: Preset | None
    first_day: date | None
    last_day: date | None
    timezone: str

    @property
    def zone(self) -> tzinfo:
        """The time zone in which days begin and times are shown."""
        return parse_time_zone(self.timezone)

    @property
    def window(self) -> Window:
        """The half-open span of time that the store is asked about."""
        return _window(self.first_day, self.last_day, self.zone)

    @property
    def previous(self) -> Window | None:
        """As many days right before; None where the window has no bounds."""
        if self.first_day is None or self.last_day is None:
            return None
        length = self.last_day - self.first_day + _A_DAY
        if (self.first_day - date.min) < length:
            return None
        return _window(self.first_day - length, self.first_day - _A_DAY, self.zone)

    @property
    def label(self) -> str:
        """The window in words."""
        if self.preset is not None:
            return self.preset.label
        if self.first_day is None:
            return "All time" if self.last_day is None else f"Until {_day(self.last_day)}"
        if self.last_day is None:
            return f"Since {_day(self.first_day)}"
        if self.first_day == self.last_day:
            return _day(self.first_day)
        return f"{_day(self.first_day)} – {_day(self.last_day)}"  # noqa: RUF001

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a URL that pick this window again; none for what is the default."""
        query: dict[str, str] = {}
        if self.preset is None:
            if self.first_day is not None:
                query["from"] = self.first_day.isoformat()
            if self.last_day is not None:
                query["to"] = self.last_day.isoformat()
        elif self.preset is not DEFAULT_PRESET:
            query["preset"] = self.preset.value
        if self.timezone != DEFAULT_TIMEZONE:
            query["timezone"] = self.timezone
        return query


def pick_window(query: Mapping[str, str], now: datetime) -> PickedWindow:
    """The window that a URL picks with ``preset``, or ``from`` and ``to``, and ``timezone``.

    Raises InvalidInput that names the parameter.
    """
    timezone = query.get("timezone") or DEFAULT_TIMEZONE
    today = now.astimezone(parse_time_zone(timezone)).date()
    first_day, last_day = _parse(query, "from"), _parse(query, "to")
    if query.get("preset") or (first_day is None and last_day is None):
        preset = _preset(query.get("preset") or DEFAULT_PRESET)
        first_day, last_day = _days_of(preset, today)
        return PickedWindow(
            preset=preset, first_day=first_day, last_day=last_day, timezone=timezone
        )
    if first_day is not None and last_day is not None and first_day > last_day:
        raise InvalidInput(
            f"from: {first_day} is after to: {last_day}; a window starts before it ends"
        )
    return PickedWindow(preset=None, first_day=first_day, last_day=last_day, timezone=timezone)


_A_DAY: Final = timedelta(days=1)


def _days_of(preset: Preset, today: date) -> tuple[date | None, date | None]:
    if preset in _DAYS:
        return today - timedelta(days=_DAYS[preset] - 1), today
    first_of_month = today.replace(day=1)
    match preset:
        case Preset.THIS_MONTH:
            return first_of_month, today
        case Preset.LAST_MONTH:
            last = first_of_month - _A_DAY
            return last.replace(day=1), last
        case _:
            return None, None


def _window(first_day: date | None, last_day: date | None, zone: tzinfo) -> Window:
    return Window(
        None if first_day is None else _start_of(first_day, zone),
        None if last_day is None or last_day == date.max else _start_of(last_day + _A_DAY, zone),
    )


def _start_of(day: date, zone: tzinfo) -> datetime:
    """The first instant of a day. Where clocks skip midnight, the first that there is."""
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:
        return _FIRST if day.year == date.min.year else _LAST


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _preset(text: str) -> Preset:
    try:
        return Preset(text)
    except ValueError:
        raise InvalidInput(f"preset: {text!r} is not one of {', '.join(Preset)}") from None


def _parse(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{name}: {text!r} is not a date such as 2026-03-31") from None


def _day(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"
