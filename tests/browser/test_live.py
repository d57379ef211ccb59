"""Numbers that change while they are looked at, and a reader who keeps their place."""

from datetime import UTC, datetime
from itertools import count

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.readers import Readers
from tests.servers import Server

LIVE_MILLISECONDS = 8_000
RULES = [f"rule-{number:02}" for number in range(1, 31)]


class Agent:
    """An agent of an organization of its own, which records when it is told to."""

    def __init__(self, site: Server) -> None:
        self.org = site.new_org()
        self.key = site.new_key(self.org)
        self._client = site.client(key=self.key)
        self._numbers = count(1)

    def reply(self, *applied: str) -> None:
        number = next(self._numbers)
        reply = {
            "reply_id": f"r_{number}",
            "session_id": f"conv_{number}",
            "replied_at": datetime.now(UTC).isoformat(),
            "available": {"instruction": RULES},
            "applied": {"instruction": list(applied)},
        }
        receipt = self._client.post("/replies", json=reply).raise_for_status().json()
        assert receipt["accepted"] == 1


@pytest.fixture
def agent(site: Server) -> Agent:
    agent = Agent(site)
    agent.reply("rule-07")
    return agent


@pytest.fixture
def watcher(readers: Readers, agent: Agent) -> Page:
    page = readers.sign_in(agent.key)
    with page.expect_response("**/dashboard/stream*"):
        page.goto("/dashboard?sort=name")
    return page


def tile(page: Page, label: str) -> Locator:
    named = page.locator("dt").get_by_text(label, exact=True)
    return page.locator(".tile").filter(has=named).locator(".figure")


def applied(page: Page, rule: str) -> Locator:
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=rule))
    return row.get_by_role("cell").first


def test_a_recorded_reply_shows_without_a_click(watcher: Page, agent: Agent) -> None:
    expect(applied(watcher, "rule-07")).to_have_text("1")
    expect(tile(watcher, "Applied at least once")).to_have_text("1")
    agent.reply("rule-07", "rule-08")
    expect(applied(watcher, "rule-07")).to_have_text("2", timeout=LIVE_MILLISECONDS)
    expect(applied(watcher, "rule-08")).to_have_text("1")
    expect(tile(watcher, "Applied at least once")).to_have_text("2")


def test_the_reader_keeps_focus_scroll_and_what_was_typed(watcher: Page, agent: Agent) -> None:
    watcher.set_viewport_size({"width": 1200, "height": 500})
    search = watcher.get_by_role("searchbox")
    search.press_sequentially("rule")
    watcher.wait_for_url("**search=rule*")
    search.press("ArrowLeft")
    watcher.evaluate("scrollTo(0, 480)")
    watcher.evaluate("window.isSamePage = true")
    place = "[scrollY, document.activeElement.id, document.activeElement.selectionStart]"
    before = watcher.evaluate(place)
    agent.reply("rule-09")
    expect(applied(watcher, "rule-09")).to_have_text("1", timeout=LIVE_MILLISECONDS)
    assert watcher.evaluate(place) == before
    assert before[1:] == ["search", 3]
    expect(search).to_have_value("rule")
    assert watcher.evaluate("window.isSamePage")


def test_what_the_reader_opened_stays_open(watcher: Page, agent: Agent) -> None:
    chart = watcher.locator("#usage-chart")
    chart.get_by_text("Numbers as a table").click()
    last = chart.get_by_role("row").last
    expect(last.get_by_role("cell").last).to_have_text("1")
    agent.reply("rule-01")
    expect(last.get_by_role("cell").last).to_have_text("2", timeout=LIVE_MILLISECONDS)
    expect(chart.get_by_role("table")).to_be_visible()
    expect(chart.locator("canvas")).to_be_visible()


def test_the_page_of_a_resource_is_live_too(readers: Readers, watcher: Page, agent: Agent) -> None:
    page = readers.sign_in(agent.key)
    with page.expect_response("**/dashboard/stream*"):
        page.goto("/dashboard/resource?id=rule-07")
    expect(tile(page, "Applied")).to_have_text("1")
    agent.reply("rule-07")
    expect(tile(page, "Applied")).to_have_text("2", timeout=LIVE_MILLISECONDS)
    expect(page.locator("#applied-in").get_by_role("rowheader")).to_have_count(2)
    expect(applied(watcher, "rule-07")).to_have_text("2", timeout=LIVE_MILLISECONDS)


def test_what_is_applied_again_leaves_the_unused(readers: Readers, agent: Agent) -> None:
    page = readers.sign_in(agent.key)
    with page.expect_response("**/dashboard/stream*"):
        page.goto("/dashboard/unused")
    expect(tile(page, "Unused")).to_have_text("29")
    expect(page.get_by_role("rowheader", name="rule-30")).to_be_visible()
    agent.reply("rule-30")
    expect(page.get_by_role("rowheader", name="rule-30")).to_have_count(
        0, timeout=LIVE_MILLISECONDS
    )
    expect(tile(page, "Unused")).to_have_text("28")


def test_numbers_stay_live_after_the_reader_went_to_another_type_and_back(
    watcher: Page, agent: Agent
) -> None:
    switch = watcher.get_by_role("navigation", name="Type of resource")
    switch.get_by_text("Actions").click()
    watcher.wait_for_url("**type=action*")
    switch.get_by_text("Instructions").click()
    expect(applied(watcher, "rule-07")).to_have_text("1")
    agent.reply("rule-07")
    expect(applied(watcher, "rule-07")).to_have_text("2", timeout=LIVE_MILLISECONDS)
