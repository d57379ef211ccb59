"""The overview: what is used and what is not, in a table that its URL sorts, searches and pages."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from applyrate.buckets import Interval
from applyrate.dashboard.comparisons import Change, compare_counts, compare_shares
from applyrate.dashboard.figures import NOTHING
from applyrate.dashboard.periods import divide, thin_out
from applyrate.dashboard.sparkline import HEIGHT, WIDTH, draw_sparkline
from applyrate.usage import CatalogueEntry, ConversationFacts, ResourceType, Window
from tests.dashboard import Reader, reading, text_of
from tests.servers import Server
from tests.usages import days_ago, record, reply

UNKNOWN = f" {NOTHING}"


@pytest.fixture
def org(server: Server) -> str:
    return server.new_org()


@pytest.fixture
def reader(server: Server, org: str) -> Iterator[Reader]:
    with reading(server, server.new_key(org)) as reader:
        yield reader


def names_of(page: httpx.Response) -> list[str]:
    """The names in the table, in its order."""
    return re.findall(r'<span class="name"><a href="[^"]*">([^<]*)</a>', page.text)


def row_of(page: httpx.Response, resource_id: str) -> str:
    """What the row of a resource says."""
    (row,) = re.findall(rf'<tr id="row-{resource_id}">.*?</tr>', page.text, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split())


def test_a_row_has_what_it_takes_to_judge_a_resource(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("a", days_ago(1), had=["tone", "refunds"], applied=["tone"]),
        reply("b", days_ago(2), had=["tone"], applied=["tone"]),
        reply("b", days_ago(3), had=["tone"]),
        reply("c", days_ago(4), had=["tone"]),
        reply("old", days_ago(40), had=["tone"], applied=["tone"]),
        names={"tone": "Tone of voice"},
    )
    server.store.set_conversations(org, {"a": ConversationFacts(handed_off_at=days_ago(1))})
    page = reader.open("/dashboard")
    # Applied, available, apply-rate, handoff share, last used, and change: 2 against 1 before.
    told = row_of(page, "tone")
    assert re.fullmatch(r"Tone of voice tone 2 4 50% 50% [12] d ago \+100%", told)
    assert row_of(page, "refunds") == f"refunds 0 1 0%{4 * UNKNOWN}"
    assert "sparkline" in page.text.partition('<tr id="row-tone">')[2].partition("</tr>")[0]


def test_the_tiles_count_resources_and_handoffs(server: Server, org: str, reader: Reader) -> None:
    record(
        server,
        org,
        reply("a", days_ago(1), had=["tone", "refunds"], applied=["tone"]),
        reply("b", days_ago(2), had=["tone"]),
    )
    catalogued = CatalogueEntry(type=ResourceType.INSTRUCTION, id="new")
    server.store.set_catalogue(org, [catalogued])
    server.store.set_conversations(org, {"a": ConversationFacts(handed_off_at=days_ago(1))})
    said = text_of(reader.open("/dashboard"))
    assert "Instructions 3 seen or catalogued" in said
    assert "Applied at least once 1 new 33% of them" in said
    assert "Unused 2 in context for nothing" in said
    assert "Handoff share 50% 1 of 2 conversations" in said


def test_the_table_is_sorted_by_its_url_and_says_so(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("a", days_ago(1), had=["one", "two", "three"], applied=["one"]),
        reply("b", days_ago(2), had=["two", "three"], applied=["two", "three"]),
        reply("c", days_ago(3), had=["three"], applied=["three"]),
    )
    by_count = reader.open("/dashboard?sort=applied")
    assert names_of(by_count)[0] == "three"
    assert by_count.text.count("aria-sort") == 1
    head = by_count.text.partition('aria-sort="descending"')[2].partition("</th>")[0]
    assert "Applied" in head
    # A second click turns it round.
    (turned,) = re.findall(r'href="([^"]*)">Applied</a>', head)
    upwards = reader.open(unescape(turned))
    assert names_of(upwards)[-1] == "three"
    assert 'aria-sort="ascending"' in upwards.text
    assert names_of(reader.open("/dashboard?sort=name")) == ["one", "three", "two"]


def test_a_search_finds_ids_and_names_and_can_be_taken_back(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("a", days_ago(1), had=["ins_1", "refunds"]),
        names={"ins_1": "Refund policy"},
    )
    found = reader.open("/dashboard?search=REFUND&sort=name")
    assert sorted(names_of(found)) == ["Refund policy", "refunds"]
    nothing = reader.open("/dashboard?search=%3Cb%3E&sort=name")
    assert "Nothing has “<b>” in its name or id." in text_of(nothing)
    assert 'href="/dashboard?sort=name">Show all instructions' in nothing.text


def test_pages_follow_one_another_and_keep_the_rest_of_the_url(
    server: Server, org: str, reader: Reader
) -> None:
    ids = [f"ins_{number:02}" for number in range(60)]
    record(server, org, reply("a", days_ago(1), had=ids))
    page = reader.open("/dashboard?sort=name&preset=90d")
    seen = names_of(page)
    assert "1 to 25 of 60" in text_of(page)
    while following := re.search(r'rel="next" href="([^"]*)"', page.text):
        page = reader.open(unescape(following[1]))
        seen += names_of(page)
    assert seen == ids
    assert "preset=90d" in str(page.url)
    assert 'rel="prev"' in page.text
    beyond = reader.open("/dashboard?sort=name&page=9")
    assert "The table has no page 9." in text_of(beyond)
    assert 'href="/dashboard?sort=name&amp;page=3">To its last page' in beyond.text


def test_a_script_gets_the_table_alone_and_everybody_else_the_page(
    server: Server, org: str, reader: Reader
) -> None:
    record(server, org, reply("a", days_ago(1), had=["tone"]))
    part = reader.http.get("/dashboard", headers={"HX-Request": "true", "HX-Target": "resources"})
    assert part.text.lstrip().startswith('<div id="resources"')
    assert names_of(part) == ["tone"]
    assert "<html" not in part.text
    assert "<html" in reader.open("/dashboard").text


def test_where_nothing_tells_what_was_applied_a_zero_is_no_zero(
    server: Server, org: str, reader: Reader
) -> None:
    record(server, org, reply("a", days_ago(1), had=["tone"]), reports=frozenset())
    page = reader.open("/dashboard")
    assert "No signal." in text_of(page)
    assert row_of(page, "tone") == f"tone no signal 1 no signal{4 * UNKNOWN}"
    assert "Unused no signal" in text_of(page)


def test_an_organization_without_anything_is_told_what_to_send(
    server: Server, reader: Reader
) -> None:
    page = reader.open("/dashboard?type=knowledge")
    assert "No knowledge yet" in text_of(page)
    assert f"curl {server.url}/replies" in unescape(page.text)
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={server.url}" in unescape(page.text)


def test_a_window_without_a_reply_leads_to_all_time(
    server: Server, org: str, reader: Reader
) -> None:
    record(server, org, reply("a", days_ago(200), had=["tone"], applied=["tone"]))
    page = reader.open("/dashboard")
    assert "No reply was recorded in this window." in text_of(page)
    everything = reader.open("/dashboard?preset=all")
    assert row_of(everything, "tone").startswith("tone 1 1 100%")
    assert "Applied against available" in text_of(everything)


def test_the_chart_has_its_numbers_as_a_table(server: Server, org: str, reader: Reader) -> None:
    at = datetime(2026, 3, 3, 23, 30, tzinfo=UTC)
    record(server, org, reply("a", at, had=["tone", "refunds"], applied=["tone"]))
    utc = text_of(reader.open("/dashboard?from=2026-03-01&to=2026-03-04"))
    assert "03 Mar 2026 2 1 04 Mar 2026 0 0" in utc
    berlin = text_of(reader.open("/dashboard?from=2026-03-01&to=2026-03-04&timezone=Europe/Berlin"))
    assert "03 Mar 2026 0 0 04 Mar 2026 2 1" in berlin


def drawing_of(page: httpx.Response) -> dict[str, Any]:
    """What the chart is drawn from."""
    (text,) = re.findall(r'data-chart="([^"]*)"', page.text)
    drawing: dict[str, Any] = json.loads(unescape(text))
    return drawing


def test_what_today_has_so_far_is_told_apart_from_whole_days(
    server: Server, org: str, reader: Reader
) -> None:
    now = datetime.now(UTC)
    record(server, org, reply("a", now, had=["tone"]), reply("b", days_ago(1), had=["tone"]))
    day = timedelta(days=1)
    page = reader.open(f"/dashboard?from={(now - 2 * day).date()}&to={(now + 2 * day).date()}")
    drawing, said = drawing_of(page), text_of(page)
    assert drawing["running"] == 2
    assert "Today so far" in said
    assert "and today is not over yet" in page.text
    assert f"{now:%d %b %Y} so far 1 0" in said
    assert said.count(" so far ") == 2  # the legend, and one row
    # What has not begun is no zero.
    assert drawing["series"][0]["values"][1:] == [1, 1, None, None]


def test_where_all_days_are_over_nothing_is_so_far(
    server: Server, org: str, reader: Reader
) -> None:
    record(server, org, reply("a", datetime(2026, 3, 3, tzinfo=UTC), had=["tone"]))
    page = reader.open("/dashboard?from=2026-03-01&to=2026-03-04")
    assert drawing_of(page)["running"] is None
    assert "so far" not in page.text


def test_only_a_window_that_reaches_now_is_live(server: Server, org: str, reader: Reader) -> None:
    record(server, org, reply("a", days_ago(1), had=["tone"]))
    assert 'data-live="/dashboard/stream?last_event_id=' in reader.open("/dashboard").text
    assert "data-live=" not in reader.open("/dashboard?from=2026-03-01&to=2026-03-04").text


def test_a_page_hears_of_what_is_recorded(server: Server, org: str, reader: Reader) -> None:
    record(server, org, reply("a", days_ago(1), had=["tone"]))
    with reader.http.stream("GET", "/dashboard/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        next(lines)
        record(server, org, reply("b", days_ago(1), had=["tone"]))
        told = next(line for line in lines if line.startswith("data:"))
        assert '"tone"' in told


def test_the_stream_is_for_those_who_are_signed_in(server: Server) -> None:
    with reading(server) as reader:
        answer = reader.open("/dashboard/stream", follow=False)
        assert answer.status_code == 303


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("sort=size", "sort: 'size' is not one of last_used, name, applied"),
        ("order=up", "order: 'up' is not asc or desc"),
        ("page=0", "page: '0' is not a whole number from 1"),
        ("page=x", "page: 'x' is not a whole number from 1"),
        ("type=tool", "type: 'tool' is not one of instruction"),
    ],
)
def test_an_address_that_makes_no_sense_says_why(
    reader: Reader, query: str, complaint: str
) -> None:
    page = reader.open(f"/dashboard?{query}")
    assert page.status_code == 400
    assert complaint in text_of(page)


def test_a_type_that_the_key_may_not_see_is_not_shown(server: Server, org: str) -> None:
    key = server.new_key(org, ["training:read", "chat-sessions:read"])
    with reading(server, key) as reader:
        page = reader.open("/dashboard?type=action")
        assert page.status_code == 403
        assert "actions:read" in text_of(page)
        assert "Actions" not in text_of(reader.open("/dashboard"))


def test_a_sparkline_rises_from_zero_to_the_largest() -> None:
    drawing = draw_sparkline([0, 5, 10])
    assert drawing is not None
    assert drawing.line == f"M2 {HEIGHT - 2}L{WIDTH // 2} {HEIGHT // 2}L{WIDTH - 2} 2"
    assert list(drawing.end) == [WIDTH - 2, 2]
    assert drawing.running == ""
    assert draw_sparkline([0, 0]) is None
    assert draw_sparkline([7]) is None
    assert draw_sparkline([]) is None


def test_a_sparkline_ends_where_the_last_whole_span_does() -> None:
    drawing = draw_sparkline([0, 10, 5], is_running=True)
    assert drawing is not None
    assert drawing.line == f"M2 {HEIGHT - 2}L{WIDTH // 2} 2"
    assert list(drawing.end) == [WIDTH // 2, 2]
    assert drawing.running == f"M{WIDTH // 2} 2L{WIDTH - 2} {HEIGHT // 2}"


@pytest.mark.parametrize(
    ("now", "before", "change"),
    [
        (0, 0, Change("same", NOTHING)),
        (5, 5, Change("same", "±0%")),
        (5, 0, Change("up", "new")),
        (12, 10, Change("up", "+20%")),
        (1001, 1000, Change("up", "+1%")),
        (8, 10, Change("down", "\N{MINUS SIGN}20%")),
        (0, 10, Change("down", "\N{MINUS SIGN}100%")),
        (300, 10, Change("up", "×30")),  # noqa: RUF001 (times)
    ],
)
def test_a_change_is_told_in_percent_of_what_was(now: int, before: int, change: Change) -> None:
    assert compare_counts(now, before) == change


def test_a_change_of_a_share_is_told_in_points() -> None:
    assert compare_shares(0.5, 0.475) == Change("up", "+2.5 pts")
    assert compare_shares(0.1, 0.3) == Change("down", "\N{MINUS SIGN}20 pts")
    assert compare_shares(0.1, 0.1).direction == "same"
    assert compare_shares(0.1, None).direction == "same"


BERLIN = ZoneInfo("Europe/Berlin")
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "interval"),
    [(1, Interval.HOUR), (2, Interval.HOUR), (30, Interval.DAY), (365, Interval.WEEK)],
)
def test_a_longer_window_has_longer_spans(days: int, interval: Interval) -> None:
    period = divide(Window(MARCH, MARCH + timedelta(days=days)), None, UTC)
    assert period is not None
    assert period.interval is interval
    assert len(period.starts) <= 110


def test_a_window_without_bounds_is_as_long_as_what_was_used() -> None:
    used = (MARCH + timedelta(hours=5), MARCH + timedelta(days=9, hours=5))
    period = divide(Window(), used, UTC)
    assert period is not None
    assert (period.bounds[0], period.bounds[-1]) == (MARCH, MARCH + timedelta(days=10))
    assert divide(Window(), None, UTC) is None
    assert divide(Window(datetime.min.replace(tzinfo=UTC), MARCH), None, UTC) is None


@pytest.mark.parametrize("days", [3, 29, 31, 90, 100, 700, 5000])
def test_a_sparkline_has_few_spans_that_fill_the_window(days: int) -> None:
    window = Window(MARCH - timedelta(hours=1), MARCH + timedelta(days=days, hours=-1))
    period = divide(window, None, BERLIN)
    assert period is not None
    bounds = thin_out(period)
    assert (bounds[0], bounds[-1]) == (window.from_at, window.to_at)
    assert list(bounds) == sorted(set(bounds))
    assert 3 <= len(bounds) <= 33
    assert all((bound - MARCH) % timedelta(days=1) == timedelta() for bound in bounds[1:-1])
