"""Buckets: whole in the zone's own time, side by side, none left out and none too many."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.buckets import (
    MAX_BUCKETS,
    Interval,
    cut,
    parse_interval,
    parse_time_zone,
    whole,
)
from applyrate.errors import InvalidInput
from applyrate.usage import Window

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


def bounds(from_: str, to: str, interval: Interval, zone: str = "UTC") -> list[str]:
    cut_window = cut(Window.parse(from_, to), interval, parse_time_zone(zone))
    return [bound.isoformat() for bound in cut_window]


def hours(from_: str, to: str, interval: Interval, zone: str) -> list[float]:
    cut_window = cut(Window.parse(from_, to), interval, parse_time_zone(zone))
    # In UTC: between two datetimes of one zone Python counts what the clocks show.
    in_utc = [bound.astimezone(UTC) for bound in cut_window]
    return [(end - start) / timedelta(hours=1) for start, end in pairwise(in_utc)]


def test_a_day_in_which_clocks_are_changed_has_23_or_25_hours() -> None:
    spring = ("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z")
    assert hours(*spring, Interval.DAY, "Europe/Berlin") == [24, 23, 24]
    autumn = ("2026-10-23T22:00:00Z", "2026-10-26T23:00:00Z")
    assert hours(*autumn, Interval.DAY, "Europe/Berlin") == [24, 25, 24]
    assert (
        len(hours("2026-03-28T23:00Z", "2026-03-29T22:00Z", Interval.HOUR, "Europe/Berlin")) == 23
    )


def test_a_day_starts_when_clocks_skip_its_midnight() -> None:
    window = ("2018-11-03T03:00:00Z", "2018-11-06T02:00:00Z")
    assert bounds(*window, Interval.DAY, "America/Sao_Paulo") == [
        "2018-11-03T00:00:00-03:00",
        "2018-11-04T01:00:00-02:00",
        "2018-11-05T00:00:00-02:00",
        "2018-11-06T00:00:00-02:00",
    ]


def test_a_day_starts_when_clocks_strike_its_midnight_for_the_first_time() -> None:
    window = ("2026-10-31T04:00:00Z", "2026-11-02T05:00:00Z")
    assert hours(*window, Interval.DAY, "America/Havana") == [24, 25]


def test_a_day_that_a_zone_left_out_is_no_bucket() -> None:
    window = ("2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z")
    assert bounds(*window, Interval.DAY, "Pacific/Apia") == [
        "2011-12-29T00:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
        "2012-01-01T00:00:00+14:00",
    ]


def test_hours_are_those_of_the_zones_own_clocks() -> None:
    window = ("2026-03-01T00:00:00Z", "2026-03-01T02:00:00Z")
    assert bounds(*window, Interval.HOUR, "Asia/Kolkata") == [
        "2026-03-01T05:30:00+05:30",
        "2026-03-01T06:00:00+05:30",
        "2026-03-01T07:00:00+05:30",
        "2026-03-01T07:30:00+05:30",
    ]
    # Clocks go back from 02:00 to 01:30.
    window = ("2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z")
    assert hours(*window, Interval.HOUR, "Australia/Lord_Howe") == [1, 0.5, 1]


def test_a_week_starts_on_monday_and_a_month_with_its_first_day() -> None:
    assert bounds("2026-03-04", "2026-03-17", Interval.WEEK) == [
        "2026-03-04T00:00:00+00:00",
        "2026-03-09T00:00:00+00:00",
        "2026-03-16T00:00:00+00:00",
        "2026-03-18T00:00:00+00:00",
    ]
    assert bounds("2025-12-31", "2026-02-28", Interval.MONTH) == [
        "2025-12-31T00:00:00+00:00",
        "2026-01-01T00:00:00+00:00",
        "2026-02-01T00:00:00+00:00",
        "2026-03-01T00:00:00+00:00",
    ]


def test_the_window_cuts_the_first_and_the_last_bucket() -> None:
    assert bounds("2026-03-01T10:15:00Z", "2026-03-02T00:00:00.000001Z", Interval.DAY) == [
        "2026-03-01T10:15:00+00:00",
        "2026-03-02T00:00:00+00:00",
        "2026-03-02T00:00:00.000001+00:00",
    ]
    assert bounds("2026-03-01T10:15:00Z", "2026-03-01T10:15:00Z", Interval.DAY) == []


def test_as_many_buckets_as_may_be_are_given_and_not_one_more() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    most = Window(start, start + MAX_BUCKETS * timedelta(hours=1))
    assert len(cut(most, Interval.HOUR, UTC)) == MAX_BUCKETS + 1
    with pytest.raises(InvalidInput) as raised:
        cut(Window(start, start + timedelta(days=365)), Interval.HOUR, UTC)
    assert raised.value.message == (
        "interval: the window has about 8,760 buckets of one hour, and 3,000 are the most;"
        " send a longer interval, or a from and a to that are nearer"
    )
    more = Window(start, start + MAX_BUCKETS * timedelta(hours=1) + timedelta(microseconds=1))
    with pytest.raises(InvalidInput, match="about 3,001 buckets"):
        cut(more, Interval.HOUR, UTC)


def test_a_window_of_all_years_is_refused_at_once() -> None:
    everything = Window.parse("0001-01-01", "9999-12-31")
    for interval in Interval:
        with pytest.raises(InvalidInput, match="3,000 are the most"):
            cut(everything, interval, UTC)


def test_the_ends_of_the_calendar_are_no_error_and_beyond_them_is_one() -> None:
    assert len(cut(Window.parse("9999-12-30", "9999-12-31"), Interval.DAY, UTC)) == 3
    assert len(cut(Window.parse("0001-01-01", "0001-01-07"), Interval.WEEK, UTC)) == 2
    with pytest.raises(InvalidInput, match=r"^timezone: the window leaves the years 1 to 9999"):
        cut(Window.parse("0001-01-01", "0001-01-02"), Interval.DAY, parse_time_zone("America/Lima"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Europe/Berln", "'Europe/Berln' is not an IANA time zone such as Europe/Berlin"),
        ("", "'' is not an IANA time zone such as UTC"),
        ("../../etc/passwd", "is not an IANA time zone"),
        ("America", "is not an IANA time zone"),
        ("CEST+2", "is not an IANA time zone"),
        ("\0", "is not an IANA time zone"),
        ("x" * 5_000, "is not an IANA time zone"),
    ],
)
def test_a_zone_that_is_none_is_refused_with_some_that_are(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=r"^timezone: ") as raised:
        parse_time_zone(name)
    assert told in raised.value.message
    assert len(raised.value.message) < 200


def test_an_interval_that_is_none_is_refused_with_all_that_are() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_interval("year")
    assert raised.value.message == "interval: 'year' is not one of hour, day, week, month"


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(), timedelta(days=120)),
    st.sampled_from(Interval),
    st.sampled_from(ZONES),
)
def test_buckets_are_side_by_side_and_together_the_window(
    from_at: datetime, length: timedelta, interval: Interval, zone: str
) -> None:
    window = Window(from_at, from_at + length)
    in_zone = parse_time_zone(zone)
    cut_window = cut(window, interval, in_zone)
    if not length:
        assert cut_window == []
        return
    in_utc = [bound.astimezone(UTC) for bound in cut_window]
    assert (in_utc[0], in_utc[-1]) == (from_at, from_at + length)
    assert all(start < end for start, end in pairwise(in_utc))
    starts = cut_window[1:-1]
    if interval is not Interval.HOUR:
        days = [start.date() for start in starts]
        assert len(set(days)) == len(days)
        if interval is Interval.WEEK:
            assert {day.weekday() for day in days} <= {0}
        if interval is Interval.MONTH:
            assert {day.day for day in days} <= {1}


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(Interval),
    st.sampled_from(ZONES),
)
def test_whole_buckets_hold_the_instants_that_they_were_made_for(
    at: datetime, interval: Interval, zone: str
) -> None:
    in_zone = parse_time_zone(zone)
    window = whole(at, at, interval, in_zone)
    assert window.from_at is not None
    assert window.to_at is not None
    assert window.from_at <= at < window.to_at
    assert len(cut(window, interval, in_zone)) <= 3  # one, or two where a zone changed its clocks


def test_whole_buckets_reach_to_the_end_of_the_calendar() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    window = whole(last, last, Interval.DAY, UTC)
    assert window.to_at is not None
    assert window.to_at >= last
    east = whole(last - timedelta(hours=1), last, Interval.DAY, ZoneInfo("Pacific/Kiritimati"))
    assert east == Window(last - timedelta(hours=1), last)  # whose clocks show the year 10000
    first = datetime.min.replace(tzinfo=UTC)
    assert whole(first, first, Interval.DAY, ZoneInfo("America/Lima")).from_at == first
