"""The window that a reader picks: whole days of a time zone, by name or from one to another."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from applyrate.dashboard.views import View
from applyrate.dashboard.windows import Preset, pick_window
from applyrate.errors import InvalidInput
from applyrate.usage import ResourceType, Window

NOW = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)
"""The evening of the day on which Berlin's clocks went forward; there it is the 30th."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("query", "label", "window"),
    [
        ({}, "Last 30 days", ("2026-02-28T00:00Z", "2026-03-30T00:00Z")),
        ({"preset": "7d"}, "Last 7 days", ("2026-03-23T00:00Z", "2026-03-30T00:00Z")),
        ({"preset": "90d"}, "Last 90 days", ("2025-12-30T00:00Z", "2026-03-30T00:00Z")),
        ({"preset": "this-month"}, "This month", ("2026-03-01T00:00Z", "2026-03-30T00:00Z")),
        ({"preset": "last-month"}, "Last month", ("2026-02-01T00:00Z", "2026-03-01T00:00Z")),
        (
            {"from": "2026-03-01", "to": "2026-03-31"},
            "1 Mar 2026 – 31 Mar 2026",  # noqa: RUF001
            ("2026-03-01T00:00Z", "2026-04-01T00:00Z"),
        ),
        (
            {"from": "2026-03-28", "to": "2026-03-28"},
            "28 Mar 2026",
            ("2026-03-28T00:00Z", "2026-03-29T00:00Z"),
        ),
        (
            {"preset": "7d", "timezone": "Europe/Berlin"},
            "Last 7 days",
            ("2026-03-24T00:00+01:00", "2026-03-31T00:00+02:00"),
        ),
        (
            {"from": "2026-03-29", "to": "2026-03-29", "timezone": "Europe/Berlin"},
            "29 Mar 2026",
            ("2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ),
    ],
)
def test_a_window_has_its_first_and_its_last_day_in_it(
    query: dict[str, str], label: str, window: tuple[str, str]
) -> None:
    picked = pick_window(query, NOW)
    assert picked.label == label
    assert picked.window == Window(at(window[0]), at(window[1]))
    assert picked.previous is not None
    assert picked.previous.to_at == picked.window.from_at


def test_the_window_before_is_as_many_days_even_where_clocks_changed() -> None:
    query = {"from": "2026-03-29", "to": "2026-03-29", "timezone": "Europe/Berlin"}
    picked = pick_window(query, NOW)
    assert picked.previous == Window(at("2026-03-28T00:00+01:00"), at("2026-03-29T00:00+01:00"))


@pytest.mark.parametrize(
    ("query", "label", "window"),
    [
        ({"preset": "all"}, "All time", Window()),
        ({"from": "2026-03-01"}, "Since 1 Mar 2026", Window(at("2026-03-01T00:00Z"))),
        ({"to": "2026-03-01"}, "Until 1 Mar 2026", Window(None, at("2026-03-02T00:00Z"))),
        ({"from": "0001-01-01", "to": "9999-12-31"}, "", Window(at("0001-01-01T00:00Z"))),
        ({"from": "0001-01-01", "timezone": "Asia/Tokyo"}, "", Window(at("0001-01-01T00:00Z"))),
    ],
)
def test_a_window_without_a_bound_has_none_before_it(
    query: dict[str, str], label: str, window: Window
) -> None:
    picked = pick_window(query, NOW)
    assert picked.window == window
    assert label in picked.label
    assert picked.previous is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"preset": "week"}, "preset: 'week' is not one of 7d, 30d, 90d, this-month, last-month"),
        ({"from": "yesterday"}, "from: 'yesterday' is not a date such as 2026-03-31"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from: 2026-03-02 is after to: 2026-03-01"),
        ({"timezone": "Berlin"}, "timezone: 'Berlin' is not an IANA time zone such as"),
        ({"timezone": "../../etc/passwd"}, "timezone: "),
    ],
)
def test_a_window_that_is_none_is_refused_with_its_parameter(
    query: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        pick_window(query, NOW)
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize("preset", Preset)
def test_a_link_picks_the_same_window_again(preset: Preset) -> None:
    for timezone in ("UTC", "America/Sao_Paulo"):
        picked = pick_window({"preset": preset, "timezone": timezone}, NOW)
        url = View(ResourceType.ACTION, picked).url("/dashboard", page=2, search=None)
        query = dict(parse_qsl(url.partition("?")[2]))
        assert (query.pop("type"), query.pop("page")) == ("action", "2")
        assert pick_window(query, NOW) == picked
        assert preset.label == picked.label


def test_the_address_of_the_default_is_bare() -> None:
    view = View(ResourceType.INSTRUCTION, pick_window({}, NOW))
    assert view.url("/dashboard") == "/dashboard"
    days = pick_window({"from": "2026-03-01", "to": "2026-03-02"}, NOW + timedelta(days=9))
    assert View(ResourceType.INSTRUCTION, days).url("/dashboard", from_=None) == (
        "/dashboard?to=2026-03-02"
    )
