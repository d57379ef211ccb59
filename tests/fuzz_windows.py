"""Throw texts at what a question's parameters are read from: windows, buckets and their zones.

The lines of an input are from, to, interval and time zone.
"""

from itertools import pairwise

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.buckets import MAX_BUCKETS, cut, parse_interval, parse_time_zone
    from applyrate.errors import InvalidInput
    from applyrate.usage import Window
    from tests.fuzzing import fuzz


def check(data: bytes) -> None:
    """Read an input as a question's window, and cut it."""
    text = data.decode("utf-8", "replace")
    from_, to, interval, zone, *_ = (*text.split("\n"), "", "", "", "")
    try:
        check_window(from_ or None, to or None, interval or "month", zone or "UTC")
    except InvalidInput as error:
        error.message.encode()


def check_window(from_: str | None, to: str | None, interval: str, zone: str) -> None:
    """Fail where a window runs backwards or its buckets are not it, one beside the other."""
    window = Window.parse(from_, to)
    for at in (window.from_at, window.to_at):
        assert at is None or at.utcoffset() is not None
    if window.from_at is None or window.to_at is None:
        return
    assert window.from_at <= window.to_at
    before = window.before()
    assert before.to_at == window.from_at
    bounds = cut(window, parse_interval(interval), parse_time_zone(zone))
    assert len(bounds) <= MAX_BUCKETS + 1
    if bounds:
        assert (bounds[0], bounds[-1]) == (window.from_at, window.to_at)
        assert all(earlier.timestamp() < later.timestamp() for earlier, later in pairwise(bounds))


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    return [
        b"2026-03-01\n2026-03-31\nday\nEurope/Berlin",
        b"2026-03-01T10:00:00 02:00\n2026-03-02T00:00:00Z\nhour\nAmerica/New_York",
        b"2026-W10-1\n2027-03-31T10:00:00.123456-11:00\nweek\nPacific/Apia",
        b"0001-01-01\n0001-12-31\nmonth\nUTC",
        b"9998-01-01\n9999-12-31\nmonth\nAsia/Tokyo",
        b"20260301T101112,5\n2026-03-02\nmonth\nUTC",
    ]


if __name__ == "__main__":
    fuzz(check, seeds())
