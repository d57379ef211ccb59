"""What tests of several modules share."""

import os
from collections.abc import Iterator, Sequence

import httpx
import pytest

from tests.clickhouse import Node, shared_nodes
from tests.servers import Server, running_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the soak, which takes minutes in CI, so that all others run beside it."""
    items.sort(key=lambda item: item.path.name != "test_soak.py")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service without limits for all tests; each makes organizations of its own."""
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def client(server: Server) -> httpx.Client:
    """A full-access client of a new, empty organization."""
    return server.client()


@pytest.fixture(scope="session")
def clickhouse_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Node]]:
    """Two shards of one ClickHouse cluster, which all workers share."""
    folder = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    owner = os.getppid() if is_worker else os.getpid()
    shared = folder.parent if is_worker else folder
    with shared_nodes(shared / "clickhouse", owner) as nodes:
        yield nodes
