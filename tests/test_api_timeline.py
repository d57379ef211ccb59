"""Usage over time over HTTP: every bucket of the window, counted as the summary counts it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.servers import Server

INS = "/resource-usage/instruction/ins"
TIMELINE = f"{INS}/timeline"
ZEROS = {
    "session_count": 0,
    "applied_sessions": 0,
    "applied_replies": 0,
    "available_sessions": 0,
    "available_replies": 0,
    "first_used_at": None,
    "last_used_at": None,
}


def replies(client: httpx.Client, *times: str, session_id: str = "s", **usages: Any) -> None:
    """Replies at these times, each with these usages."""
    usages = usages or {"applied": {"instruction": ["ins"]}}
    sent = [
        {"reply_id": f"{session_id}-{at}", "session_id": session_id, "replied_at": at, **usages}
        for at in times
    ]
    assert client.post("/replies", json=sent).json()["accepted"] == len(times)


def applied(client: httpx.Client, **query: str) -> list[tuple[str, int]]:
    """When each bucket starts, and how often the instruction was applied in it."""
    answer = client.get(TIMELINE, params=query)
    assert answer.status_code == 200, answer.text
    return [(item["from_at"], item["applied_replies"]) for item in answer.json()["items"]]


def test_a_bucket_has_the_summarys_counts_of_its_time(client: httpx.Client) -> None:
    replies(client, "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
    replies(client, "2026-03-02T00:00:00Z", available={"instruction": ["ins"]})
    answer = client.get(TIMELINE, params={"from": "2026-03-01", "to": "2026-03-02"}).json()
    assert (answer["interval"], answer["timezone"]) == ("day", "UTC")
    first, second = answer["items"]
    assert first == {
        "from_at": "2026-03-01T00:00:00Z",
        "to_at": "2026-03-02T00:00:00Z",
        "session_count": 1,
        "applied_sessions": 1,
        "applied_replies": 2,
        "available_sessions": 1,
        "available_replies": 2,
        "first_used_at": "2026-03-01T10:00:00Z",
        "last_used_at": "2026-03-01T11:00:00Z",
    }
    window = {"from": first["from_at"], "to": first["to_at"]}
    assert client.get(f"{INS}/usage-summary", params=window).json().items() <= first.items()
    assert (second["applied_replies"], second["available_replies"]) == (0, 1)


def test_an_empty_bucket_is_there_with_zeros(client: httpx.Client) -> None:
    replies(client, "2026-03-01T10:00:00Z", "2026-03-04T10:00:00Z")
    items = client.get(TIMELINE).json()["items"]
    assert [item["applied_replies"] for item in items] == [1, 0, 0, 1]
    assert items[1] == {
        "from_at": "2026-03-02T00:00:00Z",
        "to_at": "2026-03-03T00:00:00Z",
        **ZEROS,
    }


def test_days_are_those_of_the_time_zone(client: httpx.Client) -> None:
    # In Berlin clocks go forward on March 29: that day ends an hour earlier in UTC.
    replies(client, "2026-03-28T22:59:59.999999Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z")
    replies(client, "2026-03-29T22:00:00Z", session_id="t")
    assert applied(client, timezone="Europe/Berlin") == [
        ("2026-03-28T00:00:00+01:00", 1),
        ("2026-03-29T00:00:00+01:00", 2),
        ("2026-03-30T00:00:00+02:00", 1),
    ]


def test_an_hour_that_clocks_strike_twice_is_two_buckets(client: httpx.Client) -> None:
    replies(client, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
    window = {"from": "2026-10-25T00:00:00Z", "to": "2026-10-25T02:00:00Z"}
    assert applied(client, interval="hour", timezone="Europe/Berlin", **window) == [
        ("2026-10-25T02:00:00+02:00", 1),
        ("2026-10-25T02:00:00+01:00", 1),
    ]


def test_weeks_start_on_monday_and_months_with_their_first_day(client: httpx.Client) -> None:
    replies(client, "2026-03-01T12:00:00Z", "2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z")
    assert applied(client, interval="week")[:2] == [
        ("2026-02-23T00:00:00Z", 1),
        ("2026-03-02T00:00:00Z", 1),
    ]
    assert applied(client, interval="month") == [
        ("2026-03-01T00:00:00Z", 2),
        ("2026-04-01T00:00:00Z", 1),
    ]


def test_the_first_and_last_bucket_are_cut_by_the_window(client: httpx.Client) -> None:
    replies(client, "2026-03-01T09:59:59Z", "2026-03-01T10:00:00Z", "2026-03-03T11:59:59Z")
    window = {"from": "2026-03-01T10:00:00Z", "to": "2026-03-03T11:59:59Z"}
    items = client.get(TIMELINE, params=window).json()["items"]
    assert [item["applied_replies"] for item in items] == [1, 0, 0]
    assert (items[0]["from_at"], items[-1]["to_at"]) == (window["from"], window["to"])


def test_an_open_window_reaches_from_the_first_usage_to_the_last(client: httpx.Client) -> None:
    replies(client, "2026-03-02T10:00:00Z", available={"instruction": ["ins"]})
    replies(client, "2026-03-04T10:00:00Z", session_id="t")
    whole = ["2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"]
    assert [from_at for from_at, _ in applied(client)] == whole
    assert [from_at for from_at, _ in applied(client, to="2026-03-03")] == whole[:2]
    since = applied(client, **{"from": "2026-03-03T12:00:00Z"})
    assert [from_at for from_at, _ in since] == ["2026-03-03T12:00:00Z", whole[2]]
    assert applied(client, **{"from": "2026-04-01"}) == []
    assert applied(client, to="2026-02-01") == []


def test_a_resource_nobody_recorded_has_no_buckets_or_empty_ones(client: httpx.Client) -> None:
    assert applied(client) == []
    assert applied(client, **{"from": "2026-03-01", "to": "2026-03-02"}) == [
        ("2026-03-01T00:00:00Z", 0),
        ("2026-03-02T00:00:00Z", 0),
    ]


def test_buckets_add_up_to_the_summary(server: Server) -> None:
    client = server.client()
    start = datetime(2026, 3, 27, tzinfo=UTC)
    replies(client, *((start + timedelta(hours=7 * n)).isoformat() for n in range(40)))
    window = {"from": "2026-03-27T05:00:00Z", "to": "2026-04-06T01:00:00Z"}
    whole = client.get(f"{INS}/usage-summary", params=window).json()["applied_replies"]
    assert whole == 34
    for interval in ("hour", "day", "week", "month"):
        for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata"):
            buckets = applied(client, interval=interval, timezone=zone, **window)
            assert sum(count for _, count in buckets) == whole


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"interval": "year"}, "interval: 'year' is not one of hour, day, week, month"),
        ({"timezone": "Mars"}, "timezone: 'Mars' is not an IANA time zone such as UTC, "),
        ({"from": "x"}, "from: 'x' is not an ISO 8601 date or date-time"),
        ({"format": "xml"}, "format: 'xml' is not one of json, csv"),
        (
            {"interval": "hour", "from": "2026-01-01", "to": "2026-12-31"},
            "interval: the window has about 8,760 buckets of one hour, and 3,000 are the most;",
        ),
    ],
)
def test_a_bad_parameter_is_400_and_the_message_names_it(
    client: httpx.Client, query: dict[str, str], told: str
) -> None:
    answer = client.get(TIMELINE, params=query)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(told)


def test_a_resource_used_for_longer_than_the_buckets_reach_says_so(client: httpx.Client) -> None:
    replies(client, "2016-03-01T10:00:00Z", "2026-03-01T10:00:00Z")
    answer = client.get(TIMELINE)
    assert answer.status_code == 400
    assert "3,000 are the most" in answer.json()["message"]
    assert len(applied(client, interval="month")) == 121


def test_a_timeline_is_to_be_had_as_csv(client: httpx.Client) -> None:
    replies(client, "2026-03-01T10:00:00Z")
    path = "/resource-usage/instruction/a%2F%20b/timeline"
    replies(client, "2026-03-01T10:00:00Z", session_id="t", applied={"instruction": ["a/ b"]})
    answer = client.get(path, params={"format": "csv", "timezone": "Europe/Berlin"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    name = 'attachment; filename="instruction-a-b-by-day.csv"'
    assert answer.headers["content-disposition"] == name
    assert answer.text == (
        "from_at,to_at,session_count,applied_sessions,applied_replies,available_sessions,"
        "available_replies,first_used_at,last_used_at\r\n"
        "2026-03-01T00:00:00+01:00,2026-03-02T00:00:00+01:00,1,1,1,1,1,"
        "2026-03-01T10:00:00Z,2026-03-01T10:00:00Z\r\n"
    )


def test_a_key_needs_the_scopes_of_the_type(server: Server) -> None:
    scopes = ["training:read", "chat-sessions:read"]
    client = server.client(scopes=scopes)
    assert client.get(TIMELINE).status_code == 200
    answer = client.get("/resource-usage/action/look/timeline")
    assert answer.json()["message"] == "the key lacks the scope actions:read"
