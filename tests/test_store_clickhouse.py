"""The ClickHouse store keeps the contract, on one node and on a cluster of two shards."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from applyrate.store import Store, open_store
from tests.clickhouse import Node
from tests.clickhouse_databases import Databases
from tests.contract.suite import StoreContract

_EXAMPLES = 3


@pytest.fixture(scope="session")
def databases(clickhouse_nodes: Sequence[Node]) -> Databases:
    return Databases(clickhouse_nodes)


class TestClickHouseNode(StoreContract):
    examples = _EXAMPLES

    @pytest.fixture(autouse=True)
    def _databases(self, databases: Databases) -> None:
        self.databases = databases

    def open(self, folder: Path) -> Store:
        return open_store(folder, address=self.databases.empty(sharded=False))


class TestClickHouseCluster(StoreContract):
    examples = _EXAMPLES

    @pytest.fixture(autouse=True)
    def _databases(self, databases: Databases) -> None:
        self.databases = databases

    def open(self, folder: Path) -> Store:
        return open_store(folder, address=self.databases.empty(sharded=True))
