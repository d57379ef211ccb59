"""The page of a resource: how often it is used, with what outcome, and in which conversations."""

from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from urllib.parse import quote

import pytest

from applyrate.dashboard.figures import NOTHING
from applyrate.dashboard.outcome_rows import tell_outcomes
from applyrate.usage import (
    CatalogueEntry,
    ConversationFacts,
    OutcomeGroup,
    Outcomes,
    ResourceType,
)
from tests.dashboard import Reader, reading, text_of
from tests.servers import Server
from tests.usages import days_ago, record, reply


@pytest.fixture
def org(server: Server) -> str:
    return server.new_org()


@pytest.fixture
def reader(server: Server, org: str) -> Iterator[Reader]:
    with reading(server, server.new_key(org)) as reader:
        yield reader


def section_of(page: str, name: str) -> str:
    """The part of a page with that id."""
    return page.partition(f'id="{name}"')[2].partition("</section>")[0]


def test_the_page_tells_the_numbers_and_how_they_changed(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("a", days_ago(1), had=["tone"], applied=["tone"]),
        reply("a", days_ago(2), had=["tone"], applied=["tone"]),
        reply("b", days_ago(3), had=["tone"], applied=["tone"]),
        reply("b", days_ago(4), had=["tone"]),
        reply("c", days_ago(40), had=["tone"], applied=["tone"]),
        reply("c", days_ago(41), had=["tone"]),
        names={"tone": "Tone of voice"},
    )
    server.store.set_conversations(org, {"a": ConversationFacts(handed_off_at=days_ago(1))})
    page = reader.open("/dashboard/resource?id=tone")
    said = text_of(page)
    assert "<h1>Tone of voice</h1>" in page.text
    assert "Applied 3 +200% in 2 conversations" in said
    assert "Available 4 +100% replies of 2 conversations" in said
    assert "Apply-rate 75% +25 pts applied against available" in said
    assert "Handoff share 50% 1 of 2 conversations" in said


def test_conversations_that_had_it_and_did_not_apply_it_are_listed_apart(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("applied", days_ago(1), had=["tone"], applied=["tone"], said="Gladly!"),
        reply("applied", days_ago(0.9), had=["tone"]),
        reply("only-had", days_ago(2), had=["tone"]),
        reply("neither", days_ago(2), had=["refunds"]),
    )
    page = reader.open("/dashboard/resource?id=tone").text
    applied, only_had = section_of(page, "applied-in"), section_of(page, "unapplied-in")
    assert 'href="/dashboard/conversation?id=applied"' in applied
    assert "Gladly!" in applied
    assert "only-had" not in applied
    assert 'href="/dashboard/conversation?id=only-had"' in only_had
    assert "id=applied" not in only_had
    assert "neither" not in applied + only_had


def test_a_conversation_that_applied_it_outside_the_window_did_not_inside(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("a", datetime(2026, 3, 1, 12, tzinfo=UTC), had=["tone"], applied=["tone"]),
        reply("a", datetime(2026, 3, 2, 12, tzinfo=UTC), had=["tone"]),
    )
    page = reader.open("/dashboard/resource?id=tone&from=2026-03-02&to=2026-03-02").text
    assert 'id=a"' in section_of(page, "unapplied-in")
    assert "No conversation applied it" in section_of(page, "applied-in")


def test_published_versions_are_marked_on_both_charts(
    server: Server, org: str, reader: Reader
) -> None:
    record(server, org, reply("a", days_ago(1), had=["tone"], applied=["tone"]))
    for version, at in (("v0", days_ago(300)), ("v1", days_ago(5)), ("v2", days_ago(2))):
        entry = CatalogueEntry(
            type=ResourceType.INSTRUCTION,
            id="tone",
            version=version,
            published_at=at,
            url="https://example.com/tone",
        )
        server.store.set_catalogue(org, [entry])
    page = reader.open("/dashboard/resource?id=tone")
    for chart in ("usage-chart", "rate-chart"):
        marks = page.text.partition(f'id="{chart}"')[2].partition("</figure>")[0]
        marks = marks.partition('class="marks"')[2]
        assert "v1: " in marks
        assert "v2: " in marks
        assert "v0" not in marks
    assert "Version v2, since" in text_of(page)
    assert 'href="https://example.com/tone" rel="noreferrer noopener"' in page.text


def test_a_day_without_anything_available_has_no_rate(
    server: Server, org: str, reader: Reader
) -> None:
    record(
        server,
        org,
        reply("a", datetime(2026, 3, 1, 12, tzinfo=UTC), had=["tone"], applied=["tone"]),
        reply("b", datetime(2026, 3, 3, 12, tzinfo=UTC), had=["tone"]),
    )
    said = text_of(reader.open("/dashboard/resource?id=tone&from=2026-03-01&to=2026-03-03"))
    rates = said.partition("Apply-rate, daily")[2]
    assert f"01 Mar 2026 100% 02 Mar 2026 {NOTHING} 03 Mar 2026 0%" in rates


@pytest.mark.parametrize(
    "resource_id", ["a/b", "..", "a b&c=d", "<script>alert(1)</script>", "ü%2F"]
)
def test_an_id_may_be_any_text(server: Server, org: str, reader: Reader, resource_id: str) -> None:
    record(server, org, reply("a b/..", days_ago(1), had=[resource_id], applied=[resource_id]))
    overview = reader.open("/dashboard")
    assert f"id={quote(resource_id, safe='')}".replace("%20", "+") in unescape(overview.text)
    page = reader.open(f"/dashboard/resource?id={quote(resource_id, safe='')}")
    assert resource_id in text_of(page).partition("Applied")[0] or "<" in resource_id
    assert "Applied 1" in text_of(page)
    assert "<script>alert" not in page.text
    assert "id=a+b%2F.." in page.text


def test_a_resource_that_nobody_knows_says_so(reader: Reader) -> None:
    page = reader.open("/dashboard/resource?id=nope")
    assert page.status_code == 200
    assert "Nobody has recorded or catalogued this resource." in text_of(page)
    assert reader.open("/dashboard/resource").status_code == 400


def test_where_nothing_tells_what_was_applied_there_is_no_rate(
    server: Server, org: str, reader: Reader
) -> None:
    record(server, org, reply("a", days_ago(1), had=["tone"]), reports=frozenset())
    page = reader.open("/dashboard/resource?id=tone")
    assert "Apply-rate no signal" in text_of(page)
    assert 'id="rate-chart"' not in page.text


def _group(session_count: int, handoff_count: int, mean: float | None = None) -> OutcomeGroup:
    return OutcomeGroup(
        session_count=session_count,
        handoff_count=handoff_count,
        status_count=0,
        resolved_count=0,
        csat_count=0 if mean is None else 200,
        csat_mean=mean,
    )


def test_a_difference_is_told_only_where_the_sample_bears_it() -> None:
    fewer = tell_outcomes(Outcomes(_group(200, 10, 4.6), _group(200, 60, 3.1)))
    assert (fewer[0].verdict, fewer[0].tone) == ("Less often with it", "good")
    assert (fewer[2].verdict, fewer[2].tone) == ("Higher with it", "good")
    more = tell_outcomes(Outcomes(_group(200, 60), _group(200, 10)))
    assert (more[0].verdict, more[0].tone) == ("More often with it", "bad")
    alike = tell_outcomes(Outcomes(_group(200, 20), _group(200, 21)))
    assert (alike[0].verdict, alike[0].tone) == ("No clear difference", "")
    few = tell_outcomes(Outcomes(_group(29, 0), _group(200, 200)))
    assert few[0].verdict.startswith("Too few to say")
    assert few[0].tone == ""


def test_an_interval_holds_its_figure() -> None:
    for row in tell_outcomes(Outcomes(_group(40, 10, 4.5), _group(500, 490, 2.0))):
        for cell in (row.applied, row.not_applied):
            assert cell.at is None or 0 <= cell.low <= cell.at <= cell.high <= 1
