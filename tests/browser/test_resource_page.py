"""One resource: its numbers, its lines over time, what became of its conversations."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from applyrate.usage import ResourceType, Window
from tests.browser.agents import REAL_TRANSCRIPTS, SIMULATED, Agents
from tests.browser.readers import Readers

POLICY = "/dashboard/resource?id=refund-policy"


@pytest.fixture
def resource(page: Page) -> Page:
    page.goto(POLICY)
    return page


def tiles(page: Page) -> dict[str, str]:
    return {
        tile.locator("dt").inner_text(): tile.locator(".figure").inner_text()
        for tile in page.locator(".tile").all()
    }


def test_its_numbers_are_those_of_the_store(resource: Page, agents: Agents) -> None:
    summary = agents.server.store.summary(
        SIMULATED, ResourceType.INSTRUCTION, "refund-policy", Window(from_at=agents.month_ago)
    )
    shown = tiles(resource)
    assert shown["Applied"] == f"{summary.applied_replies:,}"
    assert shown["Available"] == f"{summary.available_replies:,}"
    assert (
        shown["Apply-rate"] == f"{100 * summary.applied_replies / summary.available_replies:.0f}%"
    )


def test_both_charts_are_drawn_and_the_published_version_is_marked(resource: Page) -> None:
    expect(resource.locator("[data-chart] canvas")).to_have_count(2)
    rate = resource.locator("#rate-chart")
    rate.get_by_text("Numbers as a table").click()
    expect(rate.locator(".marks")).to_contain_text("v2")
    drawn = json.loads(rate.locator("[data-chart]").get_attribute("data-chart") or "")
    assert [mark["label"] for mark in drawn["marks"]] == ["v2"]


def test_outcomes_have_a_verdict_only_where_there_is_enough_to_tell(
    page: Page,
) -> None:
    page.goto("/dashboard/resource?type=action&id=open_warranty_case&preset=all")
    outcomes = page.locator("#outcomes")
    handoffs = outcomes.get_by_role("row").filter(has_text="Handed off")
    expect(handoffs).to_contain_text("More often with it")
    page.goto("/dashboard/resource?id=cheque-refunds&preset=7d")
    expect(page.locator("#outcomes").get_by_role("row").nth(1)).to_contain_text("oo few")


def test_the_newest_conversations_lead_to_what_was_said_in_them(resource: Page) -> None:
    newest = resource.locator("#applied-in").get_by_role("rowheader").first
    session_id = newest.get_by_role("link").inner_text()
    newest.get_by_role("link").click()
    expect(resource.get_by_role("heading", level=1)).to_have_text("Conversation")
    expect(resource.get_by_role("main")).to_contain_text(session_id)
    expect(resource.get_by_role("link", name="Refund policy").first).to_be_visible()


def test_a_resource_with_an_unusual_id_has_its_page(readers: Readers, agents: Agents) -> None:
    page = readers.sign_in(agents.empty_key)
    page.goto("/dashboard/resource?id=..%2Frefund%20policy%3F%23%26%3Cb%3E%E2%98%95")
    expect(page.get_by_role("heading", level=1)).to_have_text("../refund policy?#&<b>☕")


def test_real_conversations_show_the_figures_that_other_code_counted(
    readers: Readers, agents: Agents
) -> None:
    page = readers.sign_in(agents.real_key)
    expected: dict[str, Any] = json.loads(
        (REAL_TRANSCRIPTS.parent / "expected-counts.json").read_text(encoding="utf-8")
    )
    page.goto("/dashboard?type=action&preset=all")
    rows = {
        row.get_by_role("rowheader").inner_text(): row.locator("td").first.inner_text()
        for row in page.locator("#resources tbody tr").all()
    }
    assert rows == {
        name: f"{counts['applied_replies']:,}" for name, counts in expected["action"].items()
    }
