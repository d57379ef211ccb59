"""Picking a window: presets, two dates, a time zone."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.agents import Agents
from tests.browser.readers import Readers


@pytest.fixture
def overview(page: Page) -> Page:
    page.goto("/dashboard")
    return page


def open_picker(page: Page) -> None:
    page.locator("[data-picker] summary").click()


@pytest.mark.parametrize(
    ("label", "preset"),
    [
        ("Last 7 days", "7d"),
        ("Last 90 days", "90d"),
        ("This month", "this-month"),
        ("Last month", "last-month"),
        ("All time", "all"),
    ],
)
def test_a_preset_is_two_clicks_away(overview: Page, label: str, preset: str) -> None:
    open_picker(overview)
    overview.get_by_role("link", name=label).click()
    overview.wait_for_url(f"/dashboard?preset={preset}")
    expect(overview.locator("[data-picker] summary")).to_contain_text(label)


def test_two_dates_and_a_time_zone_make_a_window(overview: Page, agents: Agents) -> None:
    first, last = (
        f"{agents.now.date().replace(day=1)}",
        f"{agents.now.date()}",
    )
    open_picker(overview)
    overview.get_by_label("From").fill(first)
    overview.get_by_label("To", exact=True).fill(last)
    overview.get_by_label("Time zone").fill("Europe/Berlin")
    overview.get_by_role("button", name="Show").click()
    overview.wait_for_url("**timezone=Europe%2FBerlin*")
    assert f"from={first}" in overview.url
    assert f"to={last}" in overview.url
    expect(overview.locator("[data-picker] summary")).to_contain_text("Europe/Berlin")
    expect(overview.locator("#resources table")).to_be_visible()


def test_the_window_goes_along_to_every_page(overview: Page) -> None:
    overview.goto("/dashboard?preset=7d&timezone=Asia%2FTokyo")
    overview.get_by_role("navigation", name="Pages").get_by_text("Unused").click()
    overview.wait_for_url("/dashboard/unused?preset=7d&timezone=Asia%2FTokyo")
    expect(overview.locator("[data-picker] summary")).to_contain_text("Last 7 days")


def test_escape_closes_the_picker_and_gives_the_focus_back(overview: Page) -> None:
    open_picker(overview)
    expect(overview.get_by_label("Time zone")).to_be_visible()
    overview.keyboard.press("Escape")
    expect(overview.get_by_label("Time zone")).to_be_hidden()
    expect(overview.locator("[data-picker] summary")).to_be_focused()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=2026-03-31&to=2026-03-01", "2026-03-31 is after to: 2026-03-01"),
        ("timezone=Mars%2FOlympus", "'Mars/Olympus' is not an IANA time zone"),
        ("preset=tomorrow", "'tomorrow' is not one of"),
    ],
)
def test_a_window_that_is_none_is_explained(
    readers: Readers, agents: Agents, query: str, told: str
) -> None:
    page = readers.sign_in(agents.key)
    page.goto(f"/dashboard?{query}")
    expect(page.get_by_role("main")).to_contain_text(told)
    readers.watch.forgive("400")


def test_a_window_without_a_reply_says_so_and_leads_out_of_it(overview: Page) -> None:
    overview.goto("/dashboard?from=2020-01-01&to=2020-01-31")
    expect(overview.get_by_role("note")).to_contain_text("No reply was recorded in this window.")
    overview.get_by_role("link", name="Show all time").click()
    overview.wait_for_url("/dashboard?preset=all")
