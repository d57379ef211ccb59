"""The overview: its table is sorted, searched and paged in place, and its URL has all of it."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from applyrate.usage import ResourceType, Window
from tests.browser.agents import SIMULATED, Agents
from tests.browser.readers import Readers

COLUMNS = ["Name", "Applied", "Available", "Apply-rate", "Trend", "Handoff share", "Last used"]
ON_A_PAGE = 25


@pytest.fixture
def overview(page: Page) -> Page:
    page.goto("/dashboard")
    return page


def table(page: Page) -> Locator:
    return page.locator("#resources table")


def cells(page: Page, column: str) -> list[str]:
    place = COLUMNS.index(column) + 1
    return table(page).locator(f"tbody tr > :nth-child({place})").all_inner_texts()


def numbers(page: Page, column: str) -> list[float]:
    return [float(text.strip("<>%").replace(",", "")) for text in cells(page, column)]


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def go_back(page: Page, names: str) -> None:
    """Back to the page whose query has these names."""
    page.evaluate("history.back()")
    page.wait_for_url(lambda url: set(parse_qs(urlsplit(url).query)) == set(names.split()))


def mark(page: Page) -> None:
    """Leave a mark on the page, which a page that is loaded anew would not have."""
    page.evaluate("window.isSamePage = true")


def is_same(page: Page) -> bool:
    return bool(page.evaluate("window.isSamePage === true"))


def test_the_tiles_say_how_much_is_dead_weight(overview: Page, agents: Agents) -> None:
    tiles = overview.locator(".tile")
    totals = agents.server.store.type_totals(
        SIMULATED, ResourceType.INSTRUCTION, Window(from_at=agents.month_ago)
    )
    shown = {
        tile.locator("dt").inner_text(): tile.locator(".figure").inner_text()
        for tile in tiles.all()
    }
    share = 100 * totals.handoff_count / totals.session_count
    assert shown == {
        "Instructions": f"{totals.resource_count}",
        "Applied at least once": f"{totals.applied_count}",
        "Unused": f"{totals.unused_count}",
        "Handoff share": f"{share:.1f}%" if share < 9.95 else f"{share:.0f}%",
    }
    assert totals.unused_count > 3


@pytest.mark.parametrize("column", ["Applied", "Available", "Apply-rate", "Handoff share"])
def test_a_click_on_a_column_sorts_by_it_and_a_second_one_turns_it_round(
    overview: Page, column: str
) -> None:
    mark(overview)
    head = table(overview).get_by_role("columnheader", name=column)
    for order, turned in (("descending", True), ("ascending", False)):
        head.get_by_role("link").click()
        expect(head).to_have_attribute("aria-sort", order)
        known = [text for text in cells(overview, column) if text != "–"]  # noqa: RUF001 (as shown)
        shown = [float(text.strip("<>%").replace(",", "")) for text in known]
        assert shown == sorted(shown, reverse=turned)
        assert len(shown) > 5
        assert (
            overview.get_by_role("columnheader").and_(overview.locator("[aria-sort]")).count() == 1
        )
    assert is_same(overview)
    expect(head.get_by_role("link")).to_be_focused()


def test_sorting_by_name_begins_with_a(overview: Page) -> None:
    head = table(overview).get_by_role("columnheader", name="Name")
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    names = [text.splitlines()[0].casefold() for text in cells(overview, "Name")]
    assert names == sorted(names)


def test_typing_searches_in_place_and_keeps_the_cursor(overview: Page) -> None:
    mark(overview)
    search = overview.get_by_role("searchbox")
    search.press_sequentially("refund", delay=20)
    expect(table(overview).get_by_role("rowheader")).to_have_count(4)
    assert all("refund" in name.casefold() for name in cells(overview, "Name"))
    expect(search).to_be_focused()
    expect(search).to_have_value("refund")
    overview.wait_for_url("**search=refund*")
    assert is_same(overview)


def test_a_search_without_a_match_says_so_and_leads_back(overview: Page) -> None:
    overview.get_by_role("searchbox").fill("zebra")
    expect(overview.locator("#resources")).to_contain_text("Nothing has “zebra” in its name or id.")
    overview.get_by_role("link", name="Show all instructions").click()
    expect(table(overview).get_by_role("rowheader")).to_have_count(ON_A_PAGE)
    expect(overview.get_by_role("searchbox")).to_have_value("")


def test_pages_hold_every_resource_once(overview: Page) -> None:
    mark(overview)
    seen: list[str] = []
    pages = overview.get_by_role("navigation", name="Pages of the table")
    shown = overview.locator("#resources .pages [data-told]")
    while True:
        seen += cells(overview, "Name")
        if not pages.get_by_role("link", name="Next").count():
            break
        told = shown.inner_text()
        pages.get_by_role("link", name="Next").click()
        expect(shown).not_to_have_text(told)
    assert shown.inner_text().endswith(f"of {len(seen)}")
    assert len(set(seen)) == len(seen) > ON_A_PAGE
    assert is_same(overview)


def test_the_url_has_the_whole_state_and_the_back_button_undoes_it(
    overview: Page, readers: Readers, agents: Agents
) -> None:
    overview.get_by_role("navigation", name="Type of resource").get_by_text("Knowledge").click()
    overview.wait_for_url("**type=knowledge*")
    table(overview).get_by_role("link", name="Available").click()
    overview.wait_for_url("**sort=available*")
    overview.get_by_role("searchbox").fill("sofa")
    overview.wait_for_url("**search=sofa*")
    overview.get_by_role("link", name="Next").click()
    overview.wait_for_url("**page=2*")
    assert query(overview) == {
        "type": ["knowledge"],
        "sort": ["available"],
        "search": ["sofa"],
        "page": ["2"],
    }
    shown = cells(overview, "Name")
    other = readers.sign_in(agents.key)
    other.goto(overview.url)
    assert cells(other, "Name") == shown
    expect(other.get_by_role("searchbox")).to_have_value("sofa")
    go_back(overview, "type search sort")
    expect(overview.locator("[data-told]")).to_contain_text("1 to 25 of")
    go_back(overview, "type sort")
    expect(overview.get_by_role("searchbox")).to_have_value("")
    go_back(overview, "type")
    expect(table(overview).get_by_role("rowheader")).to_have_count(ON_A_PAGE)
    expect(overview.get_by_role("columnheader", name="Last used")).to_have_attribute(
        "aria-sort", "descending"
    )


def test_the_chart_shows_what_its_table_says(overview: Page) -> None:
    chart = overview.get_by_role("figure").filter(has=overview.locator("[data-chart]"))
    expect(chart.locator("canvas")).to_be_visible()
    chart.get_by_text("Numbers as a table").click()
    rows = chart.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(31)
    assert painted(chart.locator("canvas"))


def test_the_chart_tells_today_from_days_that_are_over(overview: Page) -> None:
    chart = overview.get_by_role("figure").filter(has=overview.locator("[data-chart]"))
    expect(chart.locator(".legend")).to_contain_text("Today so far")
    plot = chart.locator(".u-over")
    box = plot.bounding_box()
    assert box is not None
    tip = chart.locator(".plot-tip b")
    plot.hover(position={"x": box["width"] - 2, "y": box["height"] / 2})
    expect(tip).to_contain_text(", so far")
    plot.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(tip).not_to_contain_text("so far")


def painted(canvas: Locator) -> bool:
    """Whether anything but nothing is drawn."""
    return bool(
        canvas.evaluate(
            """(canvas) => canvas.getContext("2d")
              .getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value)"""
        )
    )


def test_where_nothing_can_tell_what_was_applied_the_page_says_no_signal(
    readers: Readers, agents: Agents
) -> None:
    page = readers.sign_in(agents.real_key)
    page.goto("/dashboard?preset=all")
    expect(page.get_by_role("note")).to_contain_text("No signal.")
    assert set(cells(page, "Apply-rate")) == {"no signal"}
    page.goto("/dashboard?preset=all&type=action")
    expect(page.get_by_role("note")).to_have_count(0)


def test_an_empty_organization_is_told_what_to_do_with_its_own_address(
    readers: Readers, agents: Agents
) -> None:
    page = readers.sign_in(agents.empty_key)
    page.goto("/dashboard")
    told = page.get_by_role("main").inner_text()
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={readers.url}" in told
    assert f"curl {readers.url}/replies" in told


def test_a_row_leads_to_its_resource_in_the_same_window(overview: Page) -> None:
    overview.goto("/dashboard?preset=7d&search=refund-policy")
    table(overview).get_by_role("link", name="Refund policy").click()
    expect(overview.get_by_role("heading", level=1)).to_have_text("Refund policy")
    assert query(overview) == {"preset": ["7d"], "id": ["refund-policy"]}
