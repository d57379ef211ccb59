"""The intake: from nothing to the first reply, and from traces that gave none to theirs."""

import os
import subprocess
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.agents import TROUBLES, Agents, send_troubles
from tests.browser.readers import Readers
from tests.exporting import settle
from tests.servers import Server

RUN_SECONDS = 60


def tile(page: Page, label: str) -> Locator:
    named = page.locator("dt").get_by_text(label, exact=True)
    return page.locator(".tile").filter(has=named).locator(".figure")


def test_the_lines_that_a_new_reader_copies_record_the_first_reply(
    readers: Readers, site: Server, tmp_path: Path
) -> None:
    key = site.new_key(site.new_org())
    page = readers.sign_in(key)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/dashboard/intake")
    lines = page.get_by_role("figure").filter(has_text="one request for each reply")
    lines.get_by_role("button", name="Copy").click()
    expect(lines.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    shell = {**os.environ, "KEY": key, "HOME": str(tmp_path)}
    subprocess.run(
        ["bash", "-c", copied], env=shell, check=True, capture_output=True, timeout=RUN_SECONDS
    )
    page.reload()
    expect(tile(page, "Conversations recorded")).to_have_text("1")
    page.goto("/dashboard")
    expect(page.get_by_role("rowheader", name="ins_refund")).to_be_visible()


def test_what_was_rejected_stands_there_with_the_rule(readers: Readers, agents: Agents) -> None:
    page = readers.sign_in(agents.troubled_key)
    page.goto("/dashboard/intake")
    expect(tile(page, "Rejected")).to_have_text(f"{12 * len(TROUBLES)}")
    reasons = page.get_by_role("region", name="Why things were rejected")
    expect(reasons.get_by_role("rowheader")).to_have_count(len(TROUBLES))
    expect(reasons).to_contain_text("avialable: there is no such field")


def test_traces_without_a_conversation_get_one_by_two_clicks(
    readers: Readers, site: Server
) -> None:
    org = site.new_org()
    client = site.client(org)
    send_troubles(client)
    settle(client)
    page = readers.sign_in(site.new_key(org))
    page.goto("/dashboard/intake")
    expect(tile(page, "Traces without a reply")).to_have_text("39")
    group = page.get_by_role("article").first
    chats = group.get_by_role("row").filter(has=page.get_by_role("rowheader", name="app.chat_id"))
    chats.get_by_text("Use it", exact=True).click()
    chats.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("Conversations are now read")).to_contain_text("app.chat_id")
    expect(tile(page, "Traces without a reply")).to_have_text("0")
