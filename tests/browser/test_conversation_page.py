"""One conversation, reply by reply."""

from playwright.sync_api import Page, expect

from applyrate.usage import ResourceType
from tests.browser.agents import SIMULATED, Agents
from tests.browser.readers import Readers


def test_each_reply_shows_what_it_had_and_applied(page: Page, agents: Agents) -> None:
    known = agents.server.store.conversation(SIMULATED, agents.session_id)
    assert known is not None
    page.goto(f"/dashboard/conversation?id={agents.session_id}")
    replies = page.get_by_role("article")
    expect(replies).to_have_count(len(known.replies))
    for reply, shown in zip(known.replies, replies.all(), strict=True):
        expect(shown).to_contain_text(reply.reply_id)
        used = shown.get_by_role("list", name="Actions it applied").get_by_role("listitem")
        expect(used).to_have_count(len(set(reply.applied.get(ResourceType.ACTION, ()))))


def test_the_handoff_stands_where_it_happened(page: Page, agents: Agents) -> None:
    page.goto(f"/dashboard/conversation?id={agents.session_id}")
    expect(page.get_by_role("listitem").filter(has_text="Handed off to a person")).to_be_visible()


def test_a_conversation_that_nobody_recorded_is_not_found(page: Page, readers: Readers) -> None:
    answer = page.goto("/dashboard/conversation?id=nobody")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    readers.watch.forgive("404")
