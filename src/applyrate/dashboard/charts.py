"""Charts: rows of numbers over time, shown as a table that the page's script draws over."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from applyrate.buckets import parse_time_zone


class Tone(StrEnum):
    """What a line is about, which gives it its colour on every page."""

    APPLIED = "applied"
    AVAILABLE = "available"
    RATE = "rate"
    HANDOFF = "handoff"


class Unit(StrEnum):
    """How a chart's values are read: as numbers, or as shares from 0 to 1."""

    COUNT = "count"
    SHARE = "share"


class Series(Struct, frozen=True):
    """One line of a chart: a value for each of its times, None where there is none."""

    label: str
    tone: Tone
    values: Sequence[float | None]


class Mark(Struct, frozen=True):
    """A moment that a chart points out, such as the day a version was published."""

    at: datetime
    label: str


class Chart(Struct, frozen=True, kw_only=True):
    """Lines over the spans of time that begin at ``starts``, each ``interval`` long.

    ``interval`` is ``hour``, ``day``, ``week`` or ``month``; times are told in ``timezone``.
    ``running`` is the place of the span that is not over yet, if it is one of them: what it has so
    far is drawn apart, since beside whole ones it looks like a fall.
    """

    title: str
    starts: Sequence[datetime]
    series: Sequence[Series]
    interval: str = "day"
    timezone: str = "UTC"
    unit: Unit = Unit.COUNT
    marks: Sequence[Mark] = ()
    running: int | None = None

    @property
    def labels(self) -> list[str]:
        """The beginning of each span in words, for the table."""
        zone = parse_time_zone(self.timezone)
        pattern = _PATTERNS.get(self.interval, _PATTERNS["day"])
        return [f"{start.astimezone(zone):{pattern}}" for start in self.starts]

    @property
    def shows_running(self) -> bool:
        """Whether anything of the span that is not over yet is drawn."""
        place = self.running
        if place is None or self.is_empty:
            return False
        return any(line.values[place] is not None for line in self.series)

    @property
    def running_label(self) -> str:
        """What the span that is not over yet is called."""
        return _RUNNING.get(self.interval, _RUNNING["day"])

    @property
    def mark_labels(self) -> list[str]:
        """The marks in words, for the table."""
        zone = parse_time_zone(self.timezone)
        return [f"{mark.label}: {mark.at.astimezone(zone):%d %b %Y}" for mark in self.marks]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for line in self.series for value in line.values)

    @property
    def drawing(self) -> str:
        """What the page's script draws from, as JSON; times are seconds since 1970."""
        return msgspec.json.encode(
            {
                "title": self.title,
                "at": [start.timestamp() for start in self.starts],
                "series": self.series,
                "interval": self.interval,
                "timezone": self.timezone,
                "unit": self.unit,
                "running": self.running,
                "marks": [{"at": mark.at.timestamp(), "label": mark.label} for mark in self.marks],
            }
        ).decode()


_RUNNING = {"hour": "this hour", "day": "today", "week": "this week", "month": "this month"}
_PATTERNS = {
    "hour": "%d %b %Y, %H:%M",
    "day": "%d %b %Y",
    "week": "%d %b %Y",
    "month": "%b %Y",
}
