"""Comparing a window with the one before it, over HTTP."""

from typing import Any

import httpx
import pytest

PATH = "/resource-usage/instruction/ins"
WINDOW = {"from": "2026-03-05", "to": "2026-03-08"}


@pytest.fixture
def counted(client: httpx.Client) -> httpx.Client:
    """An instruction that is applied on each of the first eight days of March but the fifth."""
    replies = [
        {
            "reply_id": f"r{day}",
            "session_id": f"s{day}",
            "replied_at": f"2026-03-0{day}T12:00:00Z",
            "applied": {"instruction": ["ins"]},
        }
        for day in (1, 2, 3, 4, 6, 7, 8)
    ]
    assert client.post("/replies", json=replies).status_code == 200
    return client


def summary(client: httpx.Client, **query: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"{PATH}/usage-summary", params=query).json()
    return answer


def test_the_window_before_is_as_long_and_ends_where_this_one_starts(
    counted: httpx.Client,
) -> None:
    compared = counted.get(f"{PATH}/comparison", params=WINDOW).json()
    before = {"from_at": "2026-03-01T00:00:00Z", "to_at": "2026-03-05T00:00:00Z"}
    assert compared.pop("previous_window") == before
    previous = compared.pop("previous")
    assert previous == summary(counted, **{"from": "2026-03-01", "to": "2026-03-04"})
    assert (previous["applied_replies"], compared["applied_replies"]) == (4, 3)
    assert compared == summary(counted, **WINDOW)


def test_the_summary_is_compared_only_when_that_is_asked_for(counted: httpx.Client) -> None:
    compared = counted.get(f"{PATH}/comparison", params=WINDOW).json()
    assert summary(counted, **WINDOW, compare="previous") == compared
    assert "previous" not in summary(counted, **WINDOW)


def test_each_row_of_a_list_has_its_counts_in_the_window_before(counted: httpx.Client) -> None:
    query = {**WINDOW, "compare": "previous"}
    page = counted.get("/resource-usage/instruction", params=query).json()
    (row,) = page["items"]
    assert row["previous"] == counted.get(f"{PATH}/comparison", params=WINDOW).json()["previous"]
    assert page["previous_window"]["from_at"] == "2026-03-01T00:00:00Z"
    plain = counted.get("/resource-usage/instruction", params=WINDOW).json()
    del row["previous"], page["previous_window"]
    assert plain == page


@pytest.mark.parametrize("path", [f"{PATH}/usage-summary", "/resource-usage/instruction"])
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, "compare: a window without both ends has none before it; send from and to"),
        ({"from": "2026-03-01"}, "compare: a window without both ends has none before it"),
        (
            {"from": "0002-01-01", "to": "2026-03-01"},
            "compare: the window before starts before the year 1",
        ),
        ({**WINDOW, "compare": "next"}, "compare: 'next' is not previous"),
    ],
)
def test_what_cannot_be_compared_is_400(
    counted: httpx.Client, path: str, query: dict[str, str], told: str
) -> None:
    answer = counted.get(path, params={"compare": "previous", **query})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(told)


def test_a_list_as_csv_has_both_windows_in_a_row(counted: httpx.Client) -> None:
    query = {**WINDOW, "compare": "previous", "format": "csv"}
    head, row, end = counted.get("/resource-usage/instruction", params=query).text.split("\r\n")
    cells = dict(zip(head.split(","), row.split(","), strict=True))
    assert (cells["applied_replies"], cells["previous_applied_replies"]) == ("3", "4")
    assert cells["previous_last_used_at"] == "2026-03-04T12:00:00Z"
    assert end == ""
