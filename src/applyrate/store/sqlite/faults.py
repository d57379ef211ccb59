"""Faults: sentences on what a stored row says and should say."""

from datetime import UTC, datetime, timedelta

from pyroaring import BitMap


def differ(name: str, stored: object, given: object) -> list[str]:
    """A sentence where a stored value is not the one that is given."""
    return [] if stored == given else [f"{name} is {stored}, should be {given}"]


def differ_sets(name: str, stored: BitMap, given: BitMap) -> list[str]:
    """A sentence on the ordinals that a bitmap holds wrongly, and one on those that it lacks."""
    return [
        f"{name} {what} ordinal {ordinals.min()}" + (f" and {more} more" if more else "")
        for what, ordinals in (("wrongly hold", stored - given), ("lack", given - stored))
        if (more := len(ordinals) - 1) >= 0
    ]


def show_date(day: int) -> str:
    """A UTC day as its date, where it has one."""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}"
    except OverflowError:
        return f"day {day}"
