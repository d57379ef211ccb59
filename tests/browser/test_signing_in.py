"""Signing in and out, and what ends a session."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from applyrate.dashboard.sessions import make_link
from applyrate.keys import digest
from tests.browser.agents import Agents
from tests.browser.readers import Readers, give_key
from tests.servers import Server


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def test_a_stranger_signs_in_and_comes_to_the_page_they_asked_for(
    readers: Readers, agents: Agents
) -> None:
    page = readers.arrive()
    page.goto("/dashboard/unused?type=knowledge&preset=7d")
    assert "/dashboard/sign-in" in page.url
    expect(page.get_by_label("Key")).to_be_focused()
    page.keyboard.type(agents.key)
    page.keyboard.press("Enter")
    page.wait_for_url("/dashboard/unused?type=knowledge&preset=7d")
    assert heading(page) == "Unused knowledge"


def test_the_address_of_the_service_leads_to_the_dashboard(readers: Readers) -> None:
    page = readers.arrive()
    page.goto("/")
    assert heading(page) == "Sign in to Applyrate"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("apr_live_nonsense", "its checksum is wrong"),
        (None, "This key is unknown, revoked or expired."),
    ],
)
def test_a_key_that_is_not_valid_lets_nobody_in(
    readers: Readers, site: Server, key: str | None, told: str
) -> None:
    if key is None:
        org = site.new_org()
        key = site.new_key(org)
        site.store.revoke_key(org, site.store.keys(org)[0].key_id, datetime.now(UTC))
    page = readers.arrive()
    page.goto("/dashboard/sign-in")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text(told)
    page.goto("/dashboard")
    assert heading(page) == "Sign in to Applyrate"
    readers.watch.forgive("401")


def test_signing_out_ends_the_session_and_not_only_the_cookie(
    readers: Readers, site: Server
) -> None:
    page = readers.arrive()
    give_key(page, site.new_key(site.new_org()))
    kept = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("/dashboard/sign-in")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to Applyrate")
    page.context.add_cookies([dict(cookie) for cookie in kept])  # type: ignore[misc]
    page.goto("/dashboard")
    assert heading(page) == "Sign in to Applyrate"


def test_a_revoked_key_ends_its_sessions_at_the_next_click(readers: Readers, site: Server) -> None:
    org = site.new_org()
    page = readers.arrive()
    give_key(page, site.new_key(org))
    (key,) = site.store.keys(org)
    site.store.revoke_key(org, key.key_id, datetime.now(UTC))
    page.get_by_role("navigation", name="Pages").get_by_text("Unused").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to Applyrate")


def test_a_link_opens_the_dashboard_once(readers: Readers, site: Server) -> None:
    key = site.store.find_key(digest(site.new_key(site.new_org())))
    assert key is not None
    link = make_link(site.store, key, datetime.now(UTC))
    page = readers.arrive()
    page.goto(f"/dashboard/open/{link}")
    assert page.url == f"{site.url}/dashboard"
    stranger = readers.arrive()
    stranger.goto(f"/dashboard/open/{link}")
    expect(stranger.get_by_role("alert")).to_contain_text("opened before")
    readers.watch.forgive("401")


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    readers: Readers, agents: Agents
) -> None:
    page = readers.sign_in(agents.key)
    (cookie,) = (each for each in page.context.cookies() if "session" in each["name"])
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Lax", False)
    hours = (cookie["expires"] - datetime.now(UTC).timestamp()) / 3600
    assert 11.9 < hours <= 12


def test_a_key_for_the_training_alone_sees_no_actions(readers: Readers, site: Server) -> None:
    key = site.new_key(site.new_org(), ["training:read", "chat-sessions:read"])
    page = readers.sign_in(key)
    page.goto("/dashboard")
    switch = page.get_by_role("navigation", name="Type of resource")
    expect(switch.get_by_role("link")).to_have_text(["Instructions", "Knowledge"])
    page.goto("/dashboard?type=action")
    expect(page.get_by_role("main")).to_contain_text("actions:read")
    readers.watch.forgive("403")
