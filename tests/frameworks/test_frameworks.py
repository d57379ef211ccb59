"""Each framework's page tells the truth: its program counts what its agent did.

Nothing of this can run without the frameworks (the dependency group ``frameworks``) and Node.
"""

import json
import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.frameworks.counts import Counts, await_counts, draw_counts
from tests.frameworks.following import Followed, follow, reading
from tests.frameworks.npm import LOCKED
from tests.frameworks.pages import (
    ARRIVED,
    COUNTED,
    FOLDER,
    INDEX,
    PAGES,
    PYDANTIC_AI,
    VERCEL,
    Page,
)
from tests.frameworks.trace_picture import draw_traces

CONVERSATION = "conv_docs_0001"
DONE = {
    "action": {
        "search_knowledge": (1, 1),
        "lookup_order": (1, 1),
        "escalate_to_human": (1, 0),
    },
    "knowledge": {
        "kb-refund-policy": (1, 1),
        "kb-shipping-times": (1, 0),
        "kb-warranty": (1, 0),
    },
}
"""What the agent of all pages does: replies with the resource available, and its applications."""

INSTRUCTION = (
    "You are a support agent. Rule R1: refunds only within 30 days."
    " Rule R2: never promise a delivery date."
)


def check_counts(counts: Counts, replies: int = 1) -> None:
    """Whether the counts are those of the agent having replied so often."""
    expected = {
        name: {
            resource_id: (available * replies, applied * replies)
            for resource_id, (available, applied) in rows.items()
        }
        for name, rows in DONE.items()
    }
    assert {name: counts.replies[name] for name in DONE} == expected
    assert list(counts.replies["instruction"].values()) == [(replies, 0)]
    assert list(counts.names.values()) == [INSTRUCTION]
    assert counts.with_signal == {"action", "knowledge"}


def require(page: Page) -> None:
    """Skip, loudly, what cannot run here."""
    if page.language == "python":
        missing = [package for package in page.packages if not is_installed(package)]
    else:
        missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        told = f"{page.name.upper()} IS NOT TESTED: no {', '.join(missing)}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(told, pytrace=False)
        pytest.skip(told)


def is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: str(page.name))
def page(request: pytest.FixtureRequest) -> Page:
    """Each page whose framework is here."""
    page: Page = request.param
    require(page)
    return page


@pytest.fixture(scope="module")
def followed(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """What came of the page's program."""
    return follow(page, tmp_path_factory.mktemp(page.name))


def test_the_program_on_the_page_counts_what_its_agent_did(followed: Followed) -> None:
    check_counts(followed.counts)
    assert followed.counts.conversations == {CONVERSATION}


def test_the_page_shows_the_trace_that_arrives(page: Page, followed: Followed) -> None:
    assert page.picture(ARRIVED) == followed.arrived


def test_the_page_shows_what_is_counted(page: Page, followed: Followed) -> None:
    assert page.picture(COUNTED) == draw_counts(followed.counts)


@pytest.mark.parametrize("page", [PYDANTIC_AI, VERCEL], ids=lambda page: str(page.name))
def test_an_encoded_space_in_the_header_does_as_well(page: Page, tmp_path: Path) -> None:
    require(page)
    (environment,) = INDEX.sessions("The environment")
    encoded = environment.replace("Bearer $KEY", "Bearer%20$KEY")
    assert encoded != environment
    with reading(page, tmp_path, encoded) as reader:
        reader.type(*page.sessions("The agent"))
        check_counts(await_counts(reader.client))


def test_a_trace_without_conversation_is_shown_and_counts_once_it_is_mapped(
    tmp_path: Path,
) -> None:
    require(VERCEL)
    run, show, attribute = VERCEL.sessions("Without a conversation")
    with reading(VERCEL, tmp_path) as reader:
        reader.type(run)
        assert await_counts(reader.client).conversations == set()
        reader.type(show, attribute)
        check_counts(await_counts(reader.client))
        reader.type(run)
        check_counts(await_counts(reader.client), replies=2)


def test_the_form_of_older_versions_counts_the_same(tmp_path: Path) -> None:
    require(VERCEL)
    with reading(VERCEL, tmp_path) as reader:
        reader.type(*VERCEL.sessions("AI SDK 5 and 6"))
        check_counts(await_counts(reader.client))
        assert "ai.toolCall" in draw_traces(reader.wire.exports())


def test_every_page_is_tested_and_in_the_index() -> None:
    names = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert names == {page.name for page in PAGES}
    for name in names:
        assert f"({name}.md)" in INDEX.text


def test_the_page_installs_what_the_lock_file_of_npm_has() -> None:
    locked = json.loads((LOCKED / "package.json").read_text(encoding="utf-8"))
    assert set(VERCEL.packages) == set(locked["dependencies"])
