"""What tests of several modules share."""

from collections.abc import Iterator

import httpx
import pytest

from tests.servers import Server, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service without limits for all tests; each makes organizations of its own."""
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def client(server: Server) -> httpx.Client:
    """A full-access client of a new, empty organization."""
    return server.client()
