"""A browser, a service with a simulated agent in it, and readers who look at it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.agents import Agents, filled
from tests.browser.chromium import launched
from tests.browser.readers import Readers
from tests.servers import Server, running_server


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests here. It ends with them: other tests have event loops to run."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="package")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    """A service with agents to look at, which no test changes."""
    with running_server(tmp_path_factory.mktemp("browser") / "data") as server:
        yield filled(server)


@pytest.fixture(scope="package")
def site(agents: Agents) -> Server:
    """The same service, for tests that make an organization of their own."""
    return agents.server


@pytest.fixture(scope="package")
def cookies() -> dict[str, object]:
    """The sessions that tests share, by key: signing in is a test of its own."""
    return {}


@pytest.fixture
def readers(browser: Browser, site: Server, cookies: dict[str, object]) -> Iterator[Readers]:
    """People at their screens. The test fails where a page of theirs complains."""
    readers = Readers(browser, site.url, cookies)
    yield readers
    readers.leave()


@pytest.fixture
def page(readers: Readers, agents: Agents) -> Page:
    """The simulated agent's dashboard, to somebody with a key for everything."""
    return readers.sign_in(agents.key)
